/**
 * A package's own tree, file by file.
 */
import { list, lstat } from '../io/store.ts'
import type { SourcePath } from '../paths.ts'

export interface TreeMember {
  readonly path: SourcePath
  /** `directory`: one that holds nothing. */
  readonly type: 'file' | 'link' | 'special' | 'directory'
}

/**
 * The files, links and empty directories below a directory (or the file itself), depth first in the order of their names.
 * Links are not followed, so a cycle of links ends nothing up.
 * @param wanted asked for each path below `root`; what lies below an unwanted directory is not looked at
 */
export function* walkTree(root: SourcePath, wanted: (path: string) => boolean): Generator<TreeMember> {
  const pending: SourcePath[] = [root]
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    const status = lstat(path)
    if (status === null) continue
    if (status.type !== 'directory') {
      yield { path, type: status.type }
      continue
    }
    const names = list(path)
    if (names.length === 0) yield { path, type: 'directory' }
    for (const name of names.reverse()) {
      const child = `${path}/${name}` as SourcePath
      if (wanted(child)) pending.push(child)
    }
  }
}
