/** Where references to packages lead once they are in a bundle. Pure. */
import { BundleError } from '../errors.ts'
import type { DependencyGraph } from '../model/graph.ts'
import type { BundlePath } from '../paths.ts'
import type { Target } from '../references/rewrite.ts'
import type { Layout } from './layout.ts'

/**
 * Where references to each package go that has a place under pkg/, by hash.
 * @throws BundleError('prefix-unusable')
 */
export function targets(graph: DependencyGraph, layout: Layout, prefix: string | null): Map<string, Target> {
  const inUse = new Set([...layout.placed.values(), ...layout.aliases.keys()].map(at => at.split('/')[1]))
  for (const { under, package: root } of graph.extras)
    if (under === 'pkg' && root !== null) inUse.add(layout.directories.get(root)!.split('/')[1])
  const result = new Map<string, Target>()
  let room = Number.POSITIVE_INFINITY
  for (const { root, hash } of graph.packages) {
    const path = `/${layout.directories.get(root)!}`
    if (hash === null || !inUse.has(path.slice('/pkg/'.length).split('/')[0])) continue
    room = Math.min(room, root.length - path.length)
    result.set(hash, { root, prefix: prefix ?? '', path, at: path.slice(1) as BundlePath })
  }
  if (prefix !== null && prefix.length > room)
    throw new BundleError(
      'prefix-unusable',
      `the prefix has ${prefix.length} bytes, and ${room} is the most that fits where store paths stood`,
      {
        path: prefix,
        hint: 'choose a shorter --prefix',
      },
    )
  return result
}
