/** What of a bundle needs what, and of which parts the document tells the whole. Pure. */
import type { Component, Sbom, SbomOptions } from '../../model/sbom.ts'
import { ownerOf } from '../why.ts'
import { MADE, ROOT, type Shipped } from './shipped.ts'

export function dependencies({ explained, refs, hasMade }: Shipped): Sbom['dependencies'] {
  const { needs, asked } = explained
  const out = new Map<number, Set<number>>([...refs.keys()].map(id => [id, new Set()]))
  const used = new Set<number>()
  for (const { from, to } of needs) {
    const [user, owner] = [ownerOf(explained, from), ownerOf(explained, to)]
    if (user === null || owner === null || user === owner || !refs.has(owner)) continue
    out.get(user)?.add(owner)
    used.add(owner)
  }
  const first = new Set(asked.flatMap(({ kind, to }) => (kind === 'bundle' ? [] : [ownerOf(explained, to)])))
  const direct = [...refs.keys()].filter(id => first.has(id) || !used.has(id))
  const sorted = (ids: Iterable<number>): string[] => [...ids].map(id => refs.get(id)!).sort()
  return [
    { ref: ROOT, dependsOn: [...sorted(direct), ...(hasMade ? [MADE] : [])] },
    ...[...out].map(([id, ids]) => ({ ref: refs.get(id)!, dependsOn: sorted(ids) })),
    ...(hasMade ? [{ ref: MADE, dependsOn: [] }] : []),
  ]
}

/**
 * What of it is the whole: what files need of each other, and with all files the bundle's. What else was linked or
 * copied into a file when it was built no file says.
 */
export function compositions(
  { explained: { packages }, refs, hasMade }: Shipped,
  components: readonly Component[],
  { files }: SbomOptions,
): object[] {
  const ids = [...refs.keys()]
  const whole = ids.filter(id => packages[id]!.tree).map(id => refs.get(id)!)
  const part = ids.filter(id => !packages[id]!.tree).map(id => refs.get(id)!)
  const inside = components.flatMap(c => c.components ?? []).filter(c => c.type !== 'file')
  const unknown = inside.map(c => c['bom-ref'])
  return [
    {
      aggregate: 'complete',
      ...(files === 'all' && { assemblies: [ROOT, ...(hasMade ? [MADE] : [])] }),
      dependencies: [ROOT, ...refs.values(), ...(hasMade ? [MADE] : [])],
    },
    ...(part.length > 0 ? [{ aggregate: 'incomplete', assemblies: part }] : []),
    ...(whole.length + unknown.length > 0
      ? [
          {
            aggregate: 'unknown',
            ...(whole.length > 0 && { assemblies: whole }),
            ...(unknown.length > 0 && { dependencies: unknown }),
          },
        ]
      : []),
  ]
}
