/**
 * The packages that a bundle's files are of, by id: those of the store, those of the machine's package manager, and then
 * those that have no file in it and are named all the same. Pure.
 */
import type { DependencyGraph } from '../model/graph.ts'
import type { MachinePackage } from '../model/machine.ts'
import type { ClosureFacts } from '../nix/database.ts'
import { storePathOf, storePathPrefix } from '../nix/store-path.ts'
import { directoryOf, fromText, type SourcePath } from '../paths.ts'

interface Named {
  readonly name: string
  readonly hash: string | null
  /** Null for one of the machine's package manager. */
  readonly store: SourcePath | null
  readonly tree: boolean
}

export class Packages {
  readonly all: readonly (Named & { readonly machine: MachinePackage | null })[]
  /** Those of the packages that may have files. */
  readonly #present: number
  /** Packages of the machine, by the files that they have. */
  readonly #owners = new Map<SourcePath, number>()
  readonly #ids = new Map<string, number>()
  readonly #byHash = new Map<string, number>()
  /** The package that a directory is in, with the length of its root; null for none. */
  readonly #ofDirectories = new Map<string, { readonly owner: number; readonly length: number } | null>()

  /** @param closure what Nix says; null where it was not asked */
  constructor(graph: DependencyGraph, closure: ClosureFacts['paths'] | null) {
    const machine = machinePackages(graph)
    // A directory of the machine is a package where nobody knows better.
    const owned = (root: SourcePath): boolean => {
      const own = [...graph.files.keys(), ...graph.links.keys()].filter(path => path.startsWith(`${root}/`))
      return own.length > 0 && own.every(path => storePathOf(path) !== null || graph.owners.has(path))
    }
    const known = graph.packages.filter(({ hash, root }) => hash !== null || !owned(root))
    const named = [
      ...known.map(({ root, name, hash, tree }) => ({ name, hash, store: root, tree, machine: null })),
      ...machine.map(({ owner, name }) => ({ name, hash: null, store: null, tree: false, machine: owner })),
    ]
    this.#present = named.length
    this.all = [...named, ...namedOnly(graph, closure).map(p => ({ ...p, machine: null }))]
    for (const [i, { files }] of machine.entries()) for (const path of files) this.#owners.set(path, known.length + i)
    for (const [id, { store, hash }] of this.all.entries()) {
      if (store !== null) this.#ids.set(store, id)
      if (hash !== null) this.#byHash.set(hash, id)
    }
  }

  /** The package with this store path. */
  idOf(root: string): number | null {
    return this.#ids.get(root) ?? null
  }

  /** The package with this hash that has no file in the bundle. */
  absent(hash: string | null): number | null {
    const id = hash === null ? undefined : this.#byHash.get(hash)
    return id === undefined || id < this.#present ? null : id
  }

  /** The package of a file or directory, and its path below it; null for what is of none. */
  ownerOf(path: SourcePath): { readonly owner: number; readonly part: string } | null {
    const machine = this.#owners.get(path)
    if (machine !== undefined) return { owner: machine, part: path.slice(1) }
    const own = this.#ids.get(path)
    if (own !== undefined) return { owner: own, part: '' }
    const directory = directoryOf(path)
    let of = this.#ofDirectories.get(directory)
    if (of === undefined) this.#ofDirectories.set(directory, (of = this.#ofDirectory(directory)))
    return of && { owner: of.owner, part: path.slice(of.length + 1) }
  }

  #ofDirectory(directory: string): { readonly owner: number; readonly length: number } | null {
    for (let at = directory; at !== ''; at = directoryOf(at)) {
      const owner = this.#ids.get(at)
      if (owner !== undefined) return { owner, length: at.length }
    }
    return null
  }
}

/** Packages of the closure without a file in the bundle, and those that files of the bundle name, by name. */
function namedOnly(
  graph: DependencyGraph,
  closure: ClosureFacts['paths'] | null,
): { name: string; hash: string; store: SourcePath; tree: boolean }[] {
  const present = new Set(graph.packages.map(p => p.hash))
  const found = new Map<string, SourcePath>()
  for (const root of closure?.keys() ?? []) {
    const store = storePathOf(root)
    if (store && !present.has(store.hash)) found.set(store.hash, store.root as SourcePath)
  }
  // By the texts alone: what lies in this machine's store makes no difference.
  if (closure === null)
    for (const { references } of graph.files.values())
      for (const { hash, text } of references) {
        if (hash === null || present.has(hash) || !graph.hashes.has(hash)) continue
        const root = storePathPrefix(text)?.root as SourcePath | undefined
        const known = found.get(hash)
        // A full stop behind it may be the end of a sentence.
        if (root !== undefined && (known === undefined || root.length < known.length)) found.set(hash, root)
      }
  return [...found]
    .map(([hash, store]) => ({ name: storePathOf(store)!.name, hash, store, tree: false }))
    .sort((a, b) => (a.name === b.name ? (a.hash < b.hash ? -1 : 1) : a.name < b.name ? -1 : 1))
}

/** The packages that the machine's package manager has, by name, each with its files. */
function machinePackages({ owners }: DependencyGraph): { owner: MachinePackage; name: string; files: SourcePath[] }[] {
  const found = new Map<string, { owner: MachinePackage; name: string; files: SourcePath[] }>()
  for (const [path, owner] of owners) {
    const { manager, name, version, arch } = owner
    const key = [name, version, arch ?? '', manager].join('\0')
    const known = found.get(key) ?? { owner, name: fromText(`${name}-${version}`), files: [] }
    known.files.push(path)
    found.set(key, known)
  }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, p]) => p)
}
