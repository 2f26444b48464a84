/** What of a bundle needs what, and of which parts the document tells the whole. Pure. */
import type { Component, Sbom, SbomOptions } from '../../model/sbom.ts'
import { ownerOf } from '../why.ts'
import { MADE, ROOT, type Shipped } from './shipped.ts'

export function dependencies(shipped: Shipped, options: SbomOptions): Sbom['dependencies'] {
  const { explained, refs, hasMade } = shipped
  const out = options.edges === 'nix' ? nixEdges(shipped, options) : fileEdges(shipped)
  const used = new Set([...out.values()].flatMap(ids => [...ids]))
  const first = new Set(explained.asked.flatMap(({ kind, to }) => (kind === 'bundle' ? [] : [ownerOf(explained, to)])))
  const direct = [...refs.keys()].filter(id => first.has(id) || !used.has(id))
  const sorted = (ids: Iterable<number>): string[] => [...ids].map(id => refs.get(id)!).sort()
  return [
    { ref: ROOT, dependsOn: [...sorted(direct), ...(hasMade ? [MADE] : [])] },
    ...[...out].map(([id, ids]) => ({ ref: refs.get(id)!, dependsOn: sorted(ids) })),
    ...(hasMade ? [{ ref: MADE, dependsOn: [] }] : []),
  ]
}

/** What files of one package need of another's. */
function fileEdges({ explained, refs }: Shipped): Map<number, Set<number>> {
  const out = new Map<number, Set<number>>([...refs.keys()].map(id => [id, new Set()]))
  for (const { from, to } of explained.needs) {
    const [user, owner] = [ownerOf(explained, from), ownerOf(explained, to)]
    if (user !== null && owner !== null && user !== owner && refs.has(owner)) out.get(user)?.add(owner)
  }
  return out
}

/** What Nix keeps for each; where no file of that is in the bundle, what it keeps for that in turn. */
function nixEdges({ explained: { packages }, refs }: Shipped, { told }: SbomOptions): Map<number, Set<number>> {
  const ids = new Map(packages.flatMap(({ digest }, id) => (digest === null || !refs.has(id) ? [] : [[digest, id]])))
  return new Map(
    [...refs.keys()].map(id => {
      const found = new Set<number>()
      const passed = new Set<string>()
      const queue = [packages[id]!.digest]
      for (let digest = queue.pop(); digest !== undefined; digest = queue.pop())
        for (const other of (digest === null ? undefined : told?.get(digest))?.references ?? []) {
          const shipped = ids.get(other)
          if (shipped !== undefined && shipped !== id) found.add(shipped)
          else if (shipped === undefined && !passed.has(other)) queue.push(other)
          passed.add(other)
        }
      return [id, found]
    }),
  )
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
