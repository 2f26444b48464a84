/** The packages of a graph, and the names by which people know them. */
import type { Package } from '../model/graph.ts'
import type { PackageRoot } from '../model/target.ts'
import { storePathOf } from '../nix/store-path.ts'
import { baseName, type SourcePath } from '../paths.ts'

/**
 * The packages that files were taken from: those that are known beforehand in their order, then the others by path.
 * @param paths of files, links and places
 * @param trees packages whose own tree comes along
 */
export function packagesOf(
  known: readonly PackageRoot[],
  paths: Iterable<SourcePath>,
  trees: ReadonlySet<SourcePath>,
): Package[] {
  const roots = new Map<SourcePath, Package>()
  for (const { root, name, tree } of known) roots.set(root, { root, name, hash: storePathOf(root)?.hash ?? null, tree })
  let last = ''
  for (const path of [...paths].sort()) {
    // Of most files it is that of the one before.
    if (last !== '' && path.startsWith(last)) continue
    const store = storePathOf(path)
    last = store ? `${store.root}/` : ''
    const root = (store?.root ?? path.slice(0, path.lastIndexOf('/'))) as SourcePath
    if (roots.has(root) || (!store && [...roots.keys()].some(r => path === r || path.startsWith(`${r}/`)))) continue
    const name = store?.name ?? (baseName(root) || 'root')
    roots.set(root, { root, name, hash: store?.hash ?? null, tree: trees.has(root) })
  }
  return [...roots.values()]
}

/** A path without store directory and hash, as `--include` and `--exclude` know it. */
export const withoutHash = (path: string): string => {
  const store = storePathOf(path)
  return store ? store.name + path.slice(store.root.length) : path.replace(/^\//, '')
}
