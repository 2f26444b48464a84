/** A graph and what is planned of it, or written, as the questions of this room are asked of it. Pure. */

import type { ElfFacts } from '../elf/facts.ts'
import { isMachOProgram } from '../macho/facts.ts'
import {
  byEnds,
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
import type { DependencyGraph, FileFacts, FileNode } from '../model/graph.ts'
import type { BundlePlan } from '../model/plan.ts'
import type { ClosureFacts } from '../nix/database.ts'
import { digestOfHash } from '../nix/hash-digest.ts'
import type { BundlePath, SourcePath } from '../paths.ts'
import { Packages } from './packages.ts'
import { type Parts, Places } from './places.ts'

/** A file of the bundle, planned or written. */
export interface Placed {
  readonly at: BundlePath
  readonly type: 'file' | 'link'
  readonly size: number
}

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

/** Most needs of a large tree say that a directory has a file: such a need is no more than this. */
class MemberNeed implements Need {
  readonly from: number
  readonly to: number
  readonly name: string

  constructor(from: number, to: number, name: string) {
    this.from = from
    this.to = to
    this.name = name
  }

  get kind() {
    return 'member' as const
  }

  get via(): null {
    return null
  }

  get at(): readonly Place[] {
    return NOWHERE
  }

  get count(): number {
    return 0
  }
}

const NOWHERE: readonly Place[] = []

class Explaining {
  readonly #graph: DependencyGraph
  readonly #plan: BundlePlan
  readonly #closure: ClosureFacts['paths'] | null
  readonly #places: Places
  readonly #placed: readonly Placed[]
  readonly #idsByPlace: ReadonlyMap<string, number>
  readonly #ids = new Map<SourcePath, number>()
  /** The first file, or else link, of the graph that lies at each place. */
  readonly #sources: SourcePath[]
  /** Copies of what was asked for by kind: its places. */
  readonly #extras = new Map<SourcePath, number[]>()
  readonly #extraNodes: ReadonlyMap<SourcePath, FileNode | null>
  readonly #packages: Packages
  readonly #files: ExplainedFile[] = []
  readonly #directories: { package: number; part: string }[] = []
  readonly #needs: Need[] = []

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
    this.#places = new Places(graph, parts)
    this.#extraNodes = new Map(graph.extras.map(({ from, node }) => [from, node]))
    this.#placed = [...files].sort((a, b) => (a.at < b.at ? -1 : 1))
    this.#idsByPlace = new Map(this.#placed.map(({ at }, id) => [at, id]))
    this.#sources = new Array(this.#placed.length)
    for (const nodes of [graph.files, graph.links])
      for (const path of nodes.keys()) {
        const id = this.#idsByPlace.get(plan.placed.get(path) ?? '')
        if (id === undefined) continue
        this.#ids.set(path, id)
        this.#sources[id] ??= path
      }
    this.#packages = new Packages(graph, closure)
  }

  explained(subject: Subject): Explained {
    this.#addFiles()
    for (const edge of this.#graph.edges) {
      const [from, to] = [this.#idOf(edge.from), edge.to === null ? null : this.#idOf(edge.to)]
      if (from === null || to === null || from === to) continue
      const { kind, via, count } = edge
      if (kind === 'member') {
        this.#needs.push(new MemberNeed(from, to, this.#short(edge.name)))
        continue
      }
      const at = edge.at.map(e => this.#places.of(e.file ?? edge.from, e.file === null ? null : this.#idOf(e.file), e))
      this.#needs.push({ from, to, kind, name: this.#short(edge.name), via, at, count })
    }
    const asked: Explained['asked'][number][] = this.#graph.asked.flatMap(({ kind, name, to }) => {
      const own = kind === 'with' || kind === 'licence' ? [] : [this.#idOf(to) ?? []].flat()
      const ids = own.length > 0 ? own : (this.#extras.get(to) ?? [])
      return ids.map(id => ({ kind, name: this.#short(name), to: id }))
    })
    const isExplained = new Uint8Array(this.#files.length)
    for (const { to } of this.#needs) isExplained[to] = 1
    for (const { to } of asked) isExplained[to] = 1
    for (let id = 0; id < this.#files.length; id++)
      if (isExplained[id] === 0) asked.push({ kind: 'bundle', name: '', to: id })
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
    // Both are sorted by place.
    const { steps } = this.#plan
    let next = 0
    for (const [id, { at, type, size }] of this.#placed.entries()) {
      while (next < steps.length && steps[next]!.at < at) next++
      const step = steps[next]?.at === at ? steps[next] : undefined
      const copied = step?.do === 'copy' ? step.from : null
      const placed = this.#sources[id] ?? null
      const source = placed ?? copied
      const [owner, part] = source === null ? [null, ''] : this.#partOf(source)
      const role = this.#role(type, placed, copied)
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
    const owned = this.#packages.ownerOf(path)
    if (owned !== null) return [owned.owner, this.#blank(owned.part)]
    // Taken from the machine where it was made: where from is no one's to know.
    return [null, '']
  }

  // ---- Packages ------------------------------------------------------------------------------------------------

  #explainedPackages(): ExplainedPackage[] {
    const kept = this.#kept()
    return this.#packages.all.map(({ name, hash, store, tree, machine }, id) => {
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
          .flatMap(root => this.#packages.idOf(root) ?? [])
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
    for (const node of this.#graph.files.values()) {
      const from = this.#ids.get(node.path)
      if (from === undefined) continue
      for (const [i, reference] of node.references.entries()) {
        const id = this.#packages.absent(reference.hash)
        if (id === null) continue
        const places = kept.get(id) ?? []
        kept.set(id, places)
        const place = this.#places.of(node.path, null, { file: null, member: null, ...reference })
        places.push({ from, place, rule: node.verdicts[i]!.rule, via: searchPathEntry(node.facts, reference.offset) })
      }
    }
    return kept
  }

  // ---- Places and names ----------------------------------------------------------------------------------------

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

/** Equal needs of files that lie in one place are one; sorted. */
function merged(needs: Need[]): Need[] {
  needs.sort(byEnds)
  return needs.filter((need, i) => i === 0 || byEnds(needs[i - 1]!, need) !== 0)
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

/** Where a relative link of the bundle leads. */
function resolveLink(at: string, target: string): string {
  const parts = at.split('/').slice(0, -1)
  for (const part of target.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '.' && part !== '') parts.push(part)
  }
  return parts.join('/')
}
