/** Where references to packages lead once they are in a bundle. Pure. */
import { BundleError } from '../errors.ts'
import type { DependencyGraph } from '../model/graph.ts'
import { STORE_PREFIX_LENGTH } from '../nix/store-path.ts'
import type { BundlePath } from '../paths.ts'
import { linkAt, linkRoom, type Target } from '../references/rewrite.ts'
import { type Layout, withoutHashes } from './layout.ts'

/**
 * Where references to each package go that has a place under pkg/, by hash.
 * @throws BundleError('prefix-unusable')
 */
export function targets(graph: DependencyGraph, layout: Layout, prefix: string | null): Map<string, Target> {
  // `lib/NAME~2/` is no tree of a package's: libraries that another one hides lie there.
  const inUse = new Set<string>(
    [...layout.placed.values(), ...layout.aliases.keys()].flatMap(at =>
      at.startsWith('pkg/') ? at.split('/')[1]! : [],
    ),
  )
  for (const { under, package: root } of graph.extras)
    if (under === 'pkg' && root !== null) inUse.add(layout.directories.get(root)!.split('/')[1] ?? '')
  const result = new Map<string, Target>()
  // Two packages of one name have two numbers.
  const count = new Map<string, number>()
  let room = Number.POSITIVE_INFINITY
  for (const { root, hash } of graph.packages) {
    const path = `/${layout.directories.get(root)!}`
    if (hash === null || !inUse.has(path.slice('/pkg/'.length).split('/')[0] ?? '')) continue
    const name = withoutHashes(root.slice(STORE_PREFIX_LENGTH), graph.hashes)
    const number = count.get(name) ?? 0
    count.set(name, number + 1)
    room = Math.min(room, linkRoom(number))
    result.set(hash, {
      root,
      prefix: prefix ?? '',
      path,
      at: path.slice(1) as BundlePath,
      link: { number, at: linkAt(number, name) },
    })
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
