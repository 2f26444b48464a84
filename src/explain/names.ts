/** What a person calls a file or a package of a bundle. Pure. */

import type { Explained, ExplainedPackage } from '../model/explained.ts'
import { digestOfHash } from '../nix/hash-digest.ts'
import { parseName, storePathOf } from '../nix/store-path.ts'
import { baseName, fromText } from '../paths.ts'
import { globs } from '../references/glob.ts'

/** What a name stands for. */
export interface Named {
  /** Packages of that name: with files in the bundle, and without. */
  readonly packages: readonly number[]
  /** Files and directories, by their ids; those of the packages are not among them. */
  readonly ids: readonly number[]
}

/**
 * A package with or without its version, or by its store path; a file by its name, its soname or another name that it is
 * asked for by, its place in the bundle, its path in its package, its path without hash, or its store path; a glob on the
 * last.
 * @param name byte string
 */
export function namesOf(explained: Explained, name: string): Named {
  const { packages, files } = explained
  if (/^\/*$/.test(name)) return { packages: [], ids: [] }
  const store = storePathOf(name)
  if (store !== null) {
    const digest = digestOfHash(store.hash)
    const owners = new Set(packages.flatMap((p, id) => (p.digest === digest ? [id] : [])))
    const part = name.slice(store.root.length + 1).replace(/\/+$/, '')
    if (part === '') return { packages: [...owners], ids: [] }
    const ids = idsWhere(explained, (owner, own) => owner !== null && owners.has(owner) && own === part)
    return { packages: [], ids }
  }
  const shortName = (p: ExplainedPackage): string =>
    p.machine === null ? parseName(p.name).name : fromText(p.machine.name)
  const found = packages.flatMap((p, id) => (p.name === name || shortName(p) === name ? [id] : []))
  if (found.length > 0) return { packages: found, ids: [] }
  const isGlob = /[*?[\]{}]/.test(name)
  const glob = isGlob ? globs([name]) : () => false
  const called = new Set<number>()
  if (!name.includes('/'))
    for (const { to, kind, name: asked } of explained.needs)
      if (kind !== 'condition' && kind !== 'member' && baseName(asked) === name) called.add(to)
  const path = name.replace(/\/+$/, '')
  const exact = idsWhere(explained, (owner, part, id) => {
    const whole = owner === null ? part : `${packages[owner]!.name}${part === '' ? '' : `/${part}`}`
    const at = files[id]?.at
    if (at === path || whole === path || part === path || glob(whole)) return true
    if (name.includes('/')) return false
    return baseName(at ?? part) === name || baseName(part) === name || called.has(id)
  })
  return { packages: [], ids: exact }
}

function idsWhere(
  { files, directories }: Explained,
  isIt: (owner: number | null, part: string, id: number) => boolean,
): number[] {
  return [
    ...files.flatMap((file, id) => (isIt(file.package, file.part, id) ? [id] : [])),
    ...directories.flatMap((d, i) => (isIt(d.package, d.part, files.length + i) ? [files.length + i] : [])),
  ]
}
