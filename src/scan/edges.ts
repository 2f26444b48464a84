/** The edges of the graph while it grows (scan.ts): equal ones are one edge, with all places where its name stands. */
import type { LinkMap } from '../elf/search.ts'
import { realPath } from '../io/store.ts'
import {
  type Asked,
  type Dependency,
  EVIDENCE_MAX,
  type Evidence,
  type FileNode,
  type LinkNode,
} from '../model/graph.ts'
import { directoryOf, type SourcePath } from '../paths.ts'
import type { Settled } from './verdicts.ts'

/** An edge as it is found: where its name stands, as far as that is known. */
export type Found = Omit<Dependency, 'at' | 'count'> & { readonly at?: readonly Evidence[] }

type Growing = Omit<Dependency, 'at' | 'count'> & { at: readonly Evidence[]; count: number }

const NOWHERE: readonly Evidence[] = []

/** That a directory holds a file or a link: in a large tree most edges are of this kind, so it is no more than its ends. */
class MemberEdge implements Dependency {
  readonly from: SourcePath
  readonly to: SourcePath

  constructor(from: SourcePath, to: SourcePath) {
    this.from = from
    this.to = to
  }

  get kind() {
    return 'member' as const
  }

  get name(): string {
    return this.to.slice(this.from.length + 1)
  }

  get via(): null {
    return null
  }

  get at(): readonly Evidence[] {
    return NOWHERE
  }

  get count(): number {
    return 0
  }
}

export class Edges {
  readonly #edges: Dependency[] = []
  /** By where they begin and end, and where there are several by kind and name: keys of it all would be long texts. */
  readonly #between = new Map<SourcePath, Map<SourcePath | null, Growing | Map<string, Growing>>>()
  /** What directories hold. */
  readonly #members = new Map<SourcePath, Set<SourcePath>>()
  readonly #asked: Asked[] = []
  readonly #askedKeys = new Set<string>()

  get all(): readonly Dependency[] {
    return this.#edges
  }

  get asked(): readonly Asked[] {
    return this.#asked
  }

  /** That a directory holds a file or a link, wherever below it. */
  addMember(from: SourcePath, to: SourcePath): void {
    if (from === to) return
    let members = this.#members.get(from)
    if (members === undefined) this.#members.set(from, (members = new Set()))
    if (members.has(to)) return
    members.add(to)
    this.#edges.push(new MemberEdge(from, to))
  }

  add({ from, kind, name, to, via, at = NOWHERE }: Found): void {
    let ends = this.#between.get(from)
    if (ends === undefined) this.#between.set(from, (ends = new Map()))
    const met = ends.get(to)
    let edge =
      met instanceof Map ? met.get(keyOf(kind, name)) : met?.kind === kind && met.name === name ? met : undefined
    if (edge === undefined) {
      edge = { from, kind, name, to, via, at: NOWHERE, count: 0 }
      this.#edges.push(edge)
      if (met === undefined) ends.set(to, edge)
      else if (met instanceof Map) met.set(keyOf(kind, name), edge)
      else ends.set(to, new Map([met, edge].map(e => [keyOf(e.kind, e.name), e])))
    }
    if (at.length === 0) return
    const { at: known } = edge
    const more = at.filter(a => !known.some(b => sameEvidence(a, b)))
    edge.at = [...known, ...more.slice(0, EVIDENCE_MAX - known.length)]
    edge.count += more.length
  }

  ask(asked: Asked): void {
    const key = `${asked.kind}\0${asked.name}\0${asked.to}`
    if (this.#askedKeys.has(key)) return
    this.#askedKeys.add(key)
    this.#asked.push(asked)
  }

  /** What directories hold that an edge leads to, and that came with a larger tree: it would come by that edge too. */
  addMembers(files: ReadonlyMap<SourcePath, FileNode>, links: ReadonlyMap<SourcePath, LinkNode>): void {
    const walked = new Set<SourcePath>()
    const wanted = new Set<SourcePath>()
    for (const { kind, from, to } of this.#edges) {
      if (kind === 'member') walked.add(from)
      if (to !== null && !files.has(to) && !links.has(to)) wanted.add(to)
    }
    const due = new Set([...wanted].filter(directory => !walked.has(directory)))
    if (due.size === 0) return
    const above = new Map<string, readonly SourcePath[]>()
    for (const paths of [files.keys(), links.keys()])
      for (const path of paths) {
        const own = directoryOf(path)
        let dues = above.get(own)
        if (dues === undefined) above.set(own, (dues = [...directories(own)].filter(d => due.has(d))))
        for (const d of dues) this.addMember(d, path)
      }
  }

  /** What a process loads by another search than that of any object by itself: RPATHs are inherited by the chain. */
  addLoaded(maps: Iterable<LinkMap>): void {
    const all = [...maps]
    const reached = new Set<SourcePath>()
    const loaded = new Set(all.flatMap(({ objects }) => objects.map(o => o.path)))
    for (const { to } of this.#edges) if (to !== null && loaded.has(to)) reached.add(to)
    for (const { objects } of all)
      for (const { path, by, name, via } of objects)
        if (by !== null && name !== null && !reached.has(path))
          this.add({ from: by, kind: 'loaded', name, to: path, via })
  }

  /** What waited for functions: from every object that imports one of them; from what names it, where none does. */
  addConditions(conditions: Iterable<Settled>): void {
    for (const { target, rule: via, text, named, importers } of conditions) {
      const to = realPath(target)
      const [{ file, ...at }] = named as [Evidence]
      if (importers.length === 0)
        this.add({ from: file as SourcePath, kind: 'reference', name: text, to, via, at: [{ ...at, file: null }] })
      for (const { path, name, offset } of importers)
        this.add({
          from: path,
          kind: 'condition',
          name,
          to,
          via,
          at: [...(offset === null ? [] : here(offset)), ...named],
        })
    }
  }
}

/** A directory and all that it lies in. */
function* directories(path: string): Generator<SourcePath> {
  for (let d = path; d !== ''; d = directoryOf(d)) yield d as SourcePath
}

const keyOf = (kind: string, name: string): string => `${kind}\0${name}`

const sameEvidence = (a: Evidence, b: Evidence): boolean =>
  a.offset === b.offset && a.file === b.file && a.member?.join('!') === b.member?.join('!')

/** A place in the file that an edge begins at. */
export const here = (offset: number): readonly Evidence[] => [{ file: null, member: null, offset, encoding: 'utf8' }]
