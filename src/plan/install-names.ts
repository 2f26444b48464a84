/**
 * The strings of a Mach-O file that dyld reads, as a bundle wants them. Pure. The counterpart of rpath.ts.
 *
 * Every library that is found gets a name that says where the file that asks for it finds it: `@loader_path/...`, from
 * where that file really lies, for dyld resolves links before it looks. Such names are shorter than store paths, so they
 * fit where these stood. With a prefix they are absolute.
 */

import type { MachOEdit } from '../macho/edit.ts'
import type { MachOFacts } from '../macho/facts.ts'
import { isSystem } from '../macho/search.ts'
import type { DependencyGraph } from '../model/graph.ts'
import { STORE_DIR, storePathOf } from '../nix/store-path.ts'
import { type BundlePath, directoryOf, type SourcePath } from '../paths.ts'
import { blank } from '../references/rewrite.ts'
import { type Layout, relativePath } from './layout.ts'

export class InstallNames {
  readonly #layout: Layout
  readonly #prefix: string | null
  /** By image, CPU and name, and by image and name alone: what the first process that asks finds. */
  readonly #choices = new Map<string, SourcePath>()
  readonly #hashes: ReadonlySet<string>
  /** Packages whose own tree is in the bundle. */
  readonly #trees: ReadonlySet<SourcePath>

  /** @param prefix the place that the bundle is made for; null when it is relocatable */
  constructor(graph: DependencyGraph, layout: Layout, prefix: string | null) {
    this.#layout = layout
    this.#prefix = prefix
    this.#hashes = graph.hashes
    this.#trees = new Set(graph.packages.filter(p => p.tree).map(p => p.root))
    for (const { images, resolutions } of graph.images) {
      // The CPU of the image: x86_64h in a process for x86_64.
      const archs = new Map(images.map(({ path, slice }) => [path, slice.arch]))
      for (const { by, dylib, to } of resolutions) {
        if (to === null || to === 'system') continue
        for (const key of [keyOf(by, archs.get(by)!, dylib.name.value), keyOf(by, ANY_CPU, dylib.name.value)])
          if (!this.#choices.has(key)) this.#choices.set(key, to)
      }
    }
  }

  /** The edits for the file at `path`, which comes to lie at `at`. */
  edits(path: SourcePath, facts: MachOFacts, at: BundlePath): MachOEdit[] {
    const edits: MachOEdit[] = []
    for (const [slice, { arch, dylibs, id, rpaths, environment, dylinker }] of facts.slices.entries()) {
      const change = (edit: MachOEdit, from: string): void => {
        if (!('to' in edit) || edit.to !== from) edits.push({ ...edit, slice })
      }
      const taken = new Set<string>()
      for (const from of new Set(dylibs.map(d => d.name.value))) {
        // A slice that no program of the bundle maps asks for what the others find.
        const found = this.#choices.get(keyOf(path, arch, from)) ?? this.#choices.get(keyOf(path, ANY_CPU, from))
        const place = found === undefined ? undefined : this.#layout.placed.get(found)
        // What is missing, and may be, names nothing any more.
        let to = place === undefined ? (isSystem(from) ? from : blank(from)) : this.#nameOf(at, place)
        // One library by two names keeps two: dyld of macOS 26 refuses a program with two equal ones.
        while (taken.has(to)) to = to.replace('/', '/./')
        taken.add(to)
        change({ op: 'change-install-name', from, to }, from)
      }
      if (id && this.#namesStore(id.value)) {
        const to = this.#prefix === null ? `@rpath/${idOf(at)}` : `${this.#prefix}/${at}`
        change({ op: 'set-id', to }, id.value)
      }
      for (const { value: from } of rpaths)
        if (this.#namesStore(from))
          change({ op: 'change-rpath', from, to: this.#nameOf(at, this.#directoryFor(from)) }, from)
      if (dylinker?.value.includes(STORE_DIR)) change({ op: 'set-dylinker', to: '/usr/lib/dyld' }, dylinker.value)
      for (const { value: from } of environment)
        if (from.includes(STORE_DIR)) change({ op: 'change-environment', from, to: blank(from) }, from)
    }
    return edits
  }

  /** Whether a string holds the store's directory, or, in a relative path, the hash of a store path. */
  #namesStore(text: string): boolean {
    return text.includes(STORE_DIR) || (text.match(HASHES) ?? []).some(hash => this.#hashes.has(hash))
  }

  /** Where a search path leads: into a tree that is there, for what programs open by `@rpath`; else to the libraries. */
  #directoryFor(rpath: string): BundlePath {
    const root = storePathOf(rpath)?.root as SourcePath | undefined
    if (root === undefined || !this.#trees.has(root)) return 'lib' as BundlePath
    const below = rpath.slice(root.length).replace(/\/+/g, '/').replace(/\/$/, '')
    return below.split('/').includes('..')
      ? ('lib' as BundlePath)
      : (`${this.#layout.directories.get(root)}${below}` as BundlePath)
  }

  #nameOf(at: BundlePath, to: BundlePath): string {
    return this.#prefix === null ? `@loader_path/${relativePath(directoryOf(at), to)}` : `${this.#prefix}/${to}`
  }
}

const HASHES = /(?<![0-9a-z])[0-9a-df-np-sv-z]{32}(?=-)/g

const ANY_CPU = ''

const keyOf = (by: SourcePath, arch: string, name: string): string => `${by}\0${arch}\0${name}`

/** What tells a library from all others: its path below lib/, or from its framework on. */
function idOf(at: BundlePath): string {
  const framework = /[^/]+\.framework\/.*$/.exec(at)?.[0]
  return framework ?? (at.startsWith('lib/') ? at.slice('lib/'.length) : at.slice(at.lastIndexOf('/') + 1))
}
