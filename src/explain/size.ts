/** What a bundle's bytes are spent on. Pure. */
import type { Explained, Need } from '../model/explained.ts'
import { parseName } from '../nix/store-path.ts'
import { Chains } from './chains.ts'
import { ownerOf } from './why.ts'

export interface Size {
  /** The largest first. */
  readonly packages: readonly PackageSize[]
  readonly files: number
  readonly bytes: number
  /** Of Nix's closure, where it was asked. */
  readonly nar: number | null
}

export interface PackageSize {
  /** Null for what is made. */
  readonly package: number | null
  readonly files: number
  readonly bytes: number
  /** Bytes of the bundle that only this package brings: its own, and those of what nothing else needs. Null: not known. */
  readonly alone: number | null
  readonly nar: number | null
  /** What files of other packages need of it. */
  readonly needs: readonly Need[]
  /** What was asked for of it. */
  readonly asked: readonly Explained['asked'][number][]
}

/** Needs and files that are looked at for all packages together. */
const STEPS_MAX = 300_000_000

export function sizeOf(explained: Explained): Size {
  const { files, packages, needs, asked } = explained
  const chains = new Chains(explained)
  const isCheap = packages.length * (needs.length + files.length) < STEPS_MAX
  const own = new Map<number | null, number[]>()
  for (const [id, file] of files.entries()) {
    const known = own.get(file.package)
    if (known) known.push(id)
    else own.set(file.package, [id])
  }
  const from = new Map<number | null, Need[]>()
  for (const need of needs) {
    const owner = ownerOf(explained, need.to)
    if (!chains.isReached(need.from) || ownerOf(explained, need.from) === owner) continue
    const known = from.get(owner)
    if (known) known.push(need)
    else from.set(owner, [need])
  }
  const rows = [...own].map(([owner, ids]): PackageSize => {
    const isTarget = asked.some(a => (a.kind === 'target' || a.kind === 'entry') && ownerOf(explained, a.to) === owner)
    return {
      package: owner,
      files: ids.length,
      bytes: ids.reduce((sum, id) => sum + files[id]!.size, 0),
      // Without a target there is no bundle.
      alone:
        owner === null || isTarget || !isCheap ? null : chains.bytesWithout(id => ownerOf(explained, id) === owner),
      nar: owner === null ? null : packages[owner]!.nar,
      needs: from.get(owner) ?? [],
      asked: asked.filter(a => ownerOf(explained, a.to) === owner),
    }
  })
  const nars = packages.flatMap(({ nar }) => (nar === null ? [] : [nar]))
  return {
    packages: rows.sort((a, b) => b.bytes - a.bytes || (a.package ?? -1) - (b.package ?? -1)),
    files: files.length,
    bytes: files.reduce((sum, { size }) => sum + size, 0),
    nar: nars.length === 0 ? null : nars.reduce((sum, nar) => sum + nar, 0),
  }
}

/** What became of a package, or of a file, from one bundle to another. */
export interface Change {
  readonly name: string
  /** Bytes; null where it is not. */
  readonly before: number | null
  readonly after: number | null
}

/** What came, what went, what grew: packages by their names without version, or files by their places. */
export function changes(before: Explained, after: Explained, by: 'package' | 'file'): Change[] {
  const [old, now] = [sums(before, by), sums(after, by)]
  return [...new Set([...old.keys(), ...now.keys()])]
    .map(name => ({ name, before: old.get(name) ?? null, after: now.get(name) ?? null }))
    .filter(change => change.before !== change.after)
    .sort((a, b) => Math.abs(delta(b)) - Math.abs(delta(a)) || (a.name < b.name ? -1 : 1))
}

export const delta = ({ before, after }: Change): number => (after ?? 0) - (before ?? 0)

function sums({ files, packages }: Explained, by: 'package' | 'file'): Map<string, number> {
  const found = new Map<string, number>()
  for (const { at, size, package: owner, part } of files) {
    const name = owner === null ? '' : parseName(packages[owner]!.name).name
    // A place holds the version of its package.
    const key = by === 'package' ? name || '(no package)' : owner === null ? at : `${name}/${part}`
    found.set(key, (found.get(key) ?? 0) + size)
  }
  return found
}
