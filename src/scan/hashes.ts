/**
 * The hashes of a closure, as the files of a bundle show it: of the packages that they lie in, and of the store paths that
 * they and the links among them name. Nothing else of the machine's store counts, nor whether Nix can be asked: a bundle
 * is the same wherever it is made.
 */
import type { FileNode } from '../model/graph.ts'
import { isTelling, STORE_DIR, storePathOf, storePathPrefix } from '../nix/store-path.ts'

/**
 * Those of them that tell of a store path where they stand alone.
 * @param links the texts of links
 */
export function shownHashes(
  packages: readonly { readonly root: string }[],
  nodes: readonly FileNode[],
  links: readonly string[],
): ReadonlySet<string> {
  const hashes = new Set<string>()
  const add = (hash: string | undefined): void => {
    if (hash !== undefined && isTelling(hash)) hashes.add(hash)
  }
  for (const { root } of packages) add(storePathOf(root)?.hash)
  for (const node of nodes)
    for (const { references } of [node, ...node.members])
      for (const { text } of references) add(storePathPrefix(text)?.hash)
  for (const text of links) {
    const at = text.indexOf(STORE_DIR)
    if (at >= 0) add(storePathPrefix(text.slice(at))?.hash)
  }
  return hashes
}
