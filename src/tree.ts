/**
 * A package's own tree: which of its files come along.
 *
 * The rules are data. A path is looked at relative to the package's root, component by component from the start, and
 * the first rule that matches leaves it out.
 */

import { list, lstat } from './io/store.ts'
import type { SourcePath } from './model.ts'

/** What running a program never reads: left out of the bundle. */
const LEFT_OUT: readonly { readonly pattern: RegExp; readonly reason: string }[] = [
  { pattern: /^nix-support$/, reason: 'instructions for Nix builds' },
  { pattern: /^(?:share\/)?(?:doc|man|info|gtk-doc|devhelp)$/, reason: 'documentation' },
  { pattern: /^include$/, reason: 'headers' },
  { pattern: /^(?:lib|share)\/(?:pkgconfig|cmake)$/, reason: 'build instructions for other packages' },
  { pattern: /^share\/aclocal$/, reason: 'build instructions for other packages' },
  { pattern: /^lib\/debug$/, reason: 'debug information' },
  { pattern: /\.l?a$/, reason: 'static library' },
]

/** Why a path of a package, relative to its root, stays out of a bundle; null when it comes along. */
export const leftOut = (path: string): string | null => LEFT_OUT.find(rule => rule.pattern.test(path))?.reason ?? null

export interface TreeMember {
  readonly path: SourcePath
  readonly type: 'file' | 'link' | 'special'
}

/**
 * The files and links below a package's root (or the root itself, when it is a file), depth first in the order of
 * their names. Links are not followed, so a cycle of links ends nothing up.
 */
export function* walkTree(root: SourcePath): Generator<TreeMember> {
  const pending: SourcePath[] = [root]
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    const status = lstat(path)
    if (status === null) continue
    if (status.type !== 'directory') {
      yield { path, type: status.type }
      continue
    }
    for (const name of list(path).reverse()) {
      const child = `${path}/${name}` as SourcePath
      if (leftOut(child.slice(root.length + 1)) === null) pending.push(child)
    }
  }
}
