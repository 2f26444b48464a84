/** A graph and what is planned of it, or written, as the questions of this room are asked of it. Pure. */
import { digestOfHash } from '../apply/manifest.ts'
import type { ElfFacts } from '../elf/facts.ts'
import { isMachOProgram } from '../macho/facts.ts'
import {
  type Explained,
  type ExplainedFile,
  type ExplainedPackage,
  type FileRole,
  KEPT_MAX,
  type Kept,
  type Need,
  type Place,
  type Subject,
} from '../model/explained.ts'
import type { DependencyGraph, Evidence, FileFacts, FileNode } from '../model/graph.ts'
import type { MachinePackage } from '../model/machine.ts'
import type { BundlePlan } from '../model/plan.ts'
import type { ClosureFacts } from '../nix/database.ts'
import { storePathOf, storePathPrefix } from '../nix/store-path.ts'
import { type BundlePath, directoryOf, fromText, type SourcePath } from '../paths.ts'

/** A file of the bundle, planned or written. */
export interface Placed {
  readonly at: BundlePath
  readonly type: 'file' | 'link'
  readonly size: number
}

/** Names the part of a file at each offset; null for one that lies in none. */
export type Parts = (path: SourcePath) => (offset: number) => string | null

/**
 * @param files in any order
 * @param closure what Nix says; null where it was not asked
 */
export function fromGraph(
  subject: Subject,
  graph: DependencyGraph,
  plan: BundlePlan,
  files: readonly Placed[],
  closure: ClosureFacts['paths'] | null,
  parts: Parts,
): Explained {
  return new Explaining(graph, plan, files, closure, parts).explained(subject)
}

class Explaining {
  readonly #graph: DependencyGraph
  readonly #plan: BundlePlan
  readonly #closure: ClosureFacts['paths'] | null
  readonly #parts: Parts
  readonly #placed: readonly Placed[]
  readonly #idsByPlace: ReadonlyMap<string, number>
  readonly #ids = new Map<SourcePath, number>()
  /** Copies of what was asked for by kind: its places. */
  readonly #extras = new Map<SourcePath, number[]>()
  readonly #extraNodes: ReadonlyMap<SourcePath, FileNode | null>
  readonly #packages: (Named & { readonly machine: MachinePackage | null })[]
  /** Packages of the machine, by the files that they have. */
  readonly #owners = new Map<SourcePath, number>()
  /** Those of the packages that may have files. */
  readonly #present: number
  readonly #packageIds = new Map<string, number>()
  readonly #packagesByHash = new Map<string, number>()
  readonly #files: ExplainedFile[] = []
  readonly #directories: { package: number; part: string }[] = []
  readonly #needs: Need[] = []
  readonly #partsByFile = new Map<SourcePath, (offset: number) => string | null>()
  readonly #linesByFile = new Map<SourcePath, (offset: number) => number>()

  constructor(
    graph: DependencyGraph,
    plan: BundlePlan,
    files: readonly Placed[],
    closure: ClosureFacts['paths'] | null,
    parts: Parts,
  ) {
    this.#graph = graph
    this.#plan = plan
    this.#closure = closure
    this.#parts = parts
    this.#extraNodes = new Map(graph.extras.map(({ from, node }) => [from, node]))
    this.#placed = [...files].sort((a, b) => (a.at < b.at ? -1 : 1))
    this.#idsByPlace = new Map(this.#placed.map(({ at }, id) => [at, id]))
    for (const path of [...graph.files.keys(), ...graph.links.keys()]) {
      const id = this.#idsByPlace.get(plan.placed.get(path) ?? '')
      if (id !== undefined) this.#ids.set(path, id)
    }
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
    this.#packages = [...named, ...this.#absent().map(p => ({ ...p, machine: null }))]
    for (const [i, { files }] of machine.entries()) for (const path of files) this.#owners.set(path, known.length + i)
    for (const [id, { store, hash }] of this.#packages.entries()) {
      if (store !== null) this.#packageIds.set(store, id)
      if (hash !== null) this.#packagesByHash.set(hash, id)
    }
  }

  explained(subject: Subject): Explained {
    this.#addFiles()
    for (const edge of this.#graph.edges) {
      const [from, to] = [this.#idOf(edge.from), edge.to === null ? null : this.#idOf(edge.to)]
      if (from === null || to === null || from === to) continue
      const { kind, via, count } = edge
      const at = edge.at.map(e => this.#place(e.file ?? edge.from, e.file === null ? null : this.#idOf(e.file), e))
      this.#needs.push({ from, to, kind, name: this.#short(edge.name), via, at, count })
    }
    const asked: Explained['asked'][number][] = this.#graph.asked.flatMap(({ kind, name, to }) => {
      const own = kind === 'with' || kind === 'licence' ? [] : [this.#idOf(to) ?? []].flat()
      const ids = own.length > 0 ? own : (this.#extras.get(to) ?? [])
      return ids.map(id => ({ kind, name: this.#short(name), to: id }))
    })
    const explained = new Set([...this.#needs.map(need => need.to), ...asked.map(a => a.to)])
    for (const [id] of this.#files.entries()) if (!explained.has(id)) asked.push({ kind: 'bundle', name: '', to: id })
    return {
      subject,
      packages: this.#explainedPackages(),
      files: this.#files,
      directories: this.#directories,
      needs: merged(this.#needs),
      asked,
      closure: this.#closure !== null,
    }
  }

  // ---- Files ---------------------------------------------------------------------------------------------------

  #addFiles(): void {
    const sources = new Map<string, SourcePath>()
    for (const path of [...this.#graph.files.keys(), ...this.#graph.links.keys()]) {
      const at = this.#plan.placed.get(path)
      if (at !== undefined && !sources.has(at)) sources.set(at, path)
    }
    const steps = new Map(this.#plan.steps.map(step => [step.at as string, step]))
    for (const [id, { at, type, size }] of this.#placed.entries()) {
      const step = steps.get(at)
      const copied = step?.do === 'copy' ? step.from : null
      const source = sources.get(at) ?? copied
      const [owner, part] = source === null ? [null, ''] : this.#partOf(source)
      const role = this.#role(type, sources.get(at) ?? null, copied)
      this.#files.push({ at, type, size: type === 'file' ? size : 0, role, package: owner, part })
      const main = copied === null ? undefined : this.#ids.get(copied)
      if (copied !== null && main === undefined) this.#extras.set(copied, [...(this.#extras.get(copied) ?? []), id])
      else if (main !== undefined && main !== id) this.#made(main, id)
      else if (step?.do === 'symlink' && role === 'name') {
        const to = this.#idsByPlace.get(resolveLink(at, step.to))
        if (to !== undefined && to !== id) this.#made(to, id)
      }
    }
  }

  #made(from: number, to: number): void {
    this.#needs.push({ from, to, kind: 'made', name: this.#placed[to]!.at, via: null, at: [], count: 0 })
  }

  #role(type: 'file' | 'link', source: SourcePath | null, copied: SourcePath | null): FileRole {
    if (type === 'link') return source !== null && this.#graph.links.has(source) ? 'link' : 'name'
    if (copied === null) return 'made'
    if (this.#graph.loaders.has(copied)) return 'loader'
    const node = this.#graph.files.get(copied) ?? this.#extraNodes.get(copied)
    return node ? roleOf(node.facts) : 'data'
  }

  /** The id of a file, link or directory; null for what is not in the bundle. */
  #idOf(path: SourcePath): number | null {
    const known = this.#ids.get(path)
    if (known !== undefined) return known
    if (this.#graph.files.has(path) || this.#graph.links.has(path) || this.#extraNodes.has(path)) return null
    const [owner, part] = this.#partOf(path)
    if (owner === null) return null
    const id = this.#placed.length + this.#directories.length
    this.#directories.push({ package: owner, part })
    this.#ids.set(path, id)
    return id
  }

  #partOf(path: SourcePath): [owner: number | null, part: string] {
    const machine = this.#owners.get(path)
    if (machine !== undefined) return [machine, this.#blank(path.slice(1))]
    for (let at: string = path; at !== ''; at = directoryOf(at)) {
      const owner = this.#packageIds.get(at)
      if (owner !== undefined) return [owner, this.#blank(path.slice(at.length + 1))]
    }
    // Taken from the machine where it was made: where from is no one's to know.
    return [null, '']
  }

  // ---- Packages ------------------------------------------------------------------------------------------------

  /** Packages of the closure without a file in the bundle, and those that files of the bundle name, by name. */
  #absent(): { name: string; hash: string; store: SourcePath; tree: boolean }[] {
    const present = new Set(this.#graph.packages.map(p => p.hash))
    const found = new Map<string, SourcePath>()
    for (const root of this.#closure?.keys() ?? []) {
      const store = storePathOf(root)
      if (store && !present.has(store.hash)) found.set(store.hash, store.root as SourcePath)
    }
    // By the texts alone: what lies in this machine's store makes no difference.
    if (this.#closure === null)
      for (const { references } of this.#graph.files.values())
        for (const { hash, text } of references) {
          if (hash === null || present.has(hash) || !this.#graph.hashes.has(hash)) continue
          const root = storePathPrefix(text)?.root as SourcePath | undefined
          const known = found.get(hash)
          // A full stop behind it may be the end of a sentence.
          if (root !== undefined && (known === undefined || root.length < known.length)) found.set(hash, root)
        }
    return [...found]
      .map(([hash, store]) => ({ name: storePathOf(store)!.name, hash, store, tree: false }))
      .sort((a, b) => (a.name === b.name ? (a.hash < b.hash ? -1 : 1) : a.name < b.name ? -1 : 1))
  }

  #explainedPackages(): ExplainedPackage[] {
    const kept = this.#kept()
    return this.#packages.map(({ name, hash, store, tree, machine }, id) => {
      const facts = store === null ? undefined : this.#closure?.get(store)
      const places = kept.get(id) ?? []
      return {
        name,
        digest: hash === null ? null : digestOfHash(hash),
        store,
        machine,
        tree,
        nar: facts?.nar ?? null,
        references: (facts?.references ?? [])
          .flatMap(root => this.#packageIds.get(root) ?? [])
          .filter(other => other !== id)
          .sort((a, b) => a - b),
        kept: places.slice(0, KEPT_MAX),
        keptCount: places.length,
      }
    })
  }

  /** Where files of the bundle name packages that have no file in it. */
  #kept(): Map<number, Kept[]> {
    const kept = new Map<number, Kept[]>()
    const present = this.#present
    for (const node of this.#graph.files.values()) {
      const from = this.#ids.get(node.path)
      if (from === undefined) continue
      for (const [i, reference] of node.references.entries()) {
        const id = reference.hash === null ? undefined : this.#packagesByHash.get(reference.hash)
        if (id === undefined || id < present) continue
        const places = kept.get(id) ?? []
        kept.set(id, places)
        const place = this.#place(node.path, null, { file: null, member: null, ...reference })
        places.push({ from, place, rule: node.verdicts[i]!.rule, via: searchPathEntry(node.facts, reference.offset) })
      }
    }
    return kept
  }

  // ---- Places and names ----------------------------------------------------------------------------------------

  #place(path: SourcePath, file: number | null, { member, offset, encoding }: Evidence): Place {
    const whole = member === null
    const isText = whole && this.#graph.files.get(path)?.text === true
    return {
      file,
      member: member === null ? null : member.join('!'),
      offset,
      line: isText ? this.#lineAt(path, offset) : null,
      part: whole && !isText ? this.#partAt(path, offset) : null,
      encoding,
    }
  }

  #partAt(path: SourcePath, offset: number): string | null {
    const known = this.#partsByFile.get(path) ?? this.#parts(path)
    this.#partsByFile.set(path, known)
    return known(offset)
  }

  #lineAt(path: SourcePath, offset: number): number | null {
    const text = this.#graph.texts.get(path)
    if (text === undefined) return null
    const known = this.#linesByFile.get(path) ?? lineCounter(text)
    this.#linesByFile.set(path, known)
    return known(offset)
  }

  /** A name without store directory and hash. */
  #short(name: string): string {
    return this.#blank(name.replace(/\/nix\/store\/?(?:[0-9a-df-np-sv-z]{32}-?)?/g, ''))
  }

  /** Further hashes of the store in a name are blanked, as in the names of files (plan/layout.ts). */
  #blank(name: string): string {
    return name.length < 32
      ? name
      : name.replace(/[0-9a-df-np-sv-z]{32}/g, hash => (this.#graph.hashes.has(hash) ? 'e'.repeat(32) : hash))
  }
}

interface Named {
  readonly name: string
  readonly hash: string | null
  /** Null for one of the machine's package manager. */
  readonly store: SourcePath | null
  readonly tree: boolean
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

/** Equal needs of files that lie in one place are one; sorted. */
function merged(needs: readonly Need[]): Need[] {
  const byKey = new Map<string, Need>()
  for (const need of needs) {
    const key = `${need.from} ${need.to} ${need.kind} ${need.name}`
    if (!byKey.has(key)) byKey.set(key, need)
  }
  return [...byKey.values()].sort(
    (a, b) =>
      a.from - b.from ||
      a.to - b.to ||
      (a.kind === b.kind ? (a.name < b.name ? -1 : a.name > b.name ? 1 : 0) : a.kind < b.kind ? -1 : 1),
  )
}

function roleOf(facts: FileFacts): FileRole {
  if (facts.format === 'elf') return facts.program ? 'program' : 'library'
  if (facts.format === 'macho') return isMachOProgram(facts) ? 'program' : 'library'
  return facts.format
}

/** The entry of RUNPATH or RPATH that lies at an offset. */
function searchPathEntry(facts: FileNode['facts'], offset: number): string | null {
  if (facts.format !== 'elf') return null
  const entry = (path: ElfFacts['runpath'], name: string): string | null =>
    path !== null && offset >= path.offset && offset < path.offset + path.value.length
      ? `${name}[${path.value.slice(0, offset - path.offset).split(':').length - 1}]`
      : null
  return entry(facts.runpath, 'RUNPATH') ?? entry(facts.rpath, 'RPATH')
}

function lineCounter(text: string): (offset: number) => number {
  const ends: number[] = []
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) ends.push(at)
  return offset => {
    let [low, high] = [0, ends.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (ends[middle]! < offset) low = middle + 1
      else high = middle
    }
    return low + 1
  }
}

/** Where a relative link of the bundle leads. */
function resolveLink(at: string, target: string): string {
  const parts = at.split('/').slice(0, -1)
  for (const part of target.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '.' && part !== '') parts.push(part)
  }
  return parts.join('/')
}
