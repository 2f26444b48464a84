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

type Growing = Omit<Dependency, 'at' | 'count'> & { at: Evidence[]; count: number }

export class Edges {
  readonly #edges: Growing[] = []
  readonly #byKey = new Map<string, Growing>()
  readonly #asked: Asked[] = []
  readonly #askedKeys = new Set<string>()

  get all(): readonly Dependency[] {
    return this.#edges
  }

  get asked(): readonly Asked[] {
    return this.#asked
  }

  add({ at = [], ...edge }: Found): void {
    if (edge.kind === 'member' && edge.from === edge.to) return
    const key = `${edge.kind}\0${edge.from}\0${edge.name}\0${edge.to}`
    const known = this.#byKey.get(key)
    const growing = known ?? { ...edge, at: [], count: 0 }
    const more = at.filter(a => !growing.at.some(b => sameEvidence(a, b)))
    growing.at.push(...more.slice(0, EVIDENCE_MAX - growing.at.length))
    growing.count += more.length
    if (known) return
    this.#byKey.set(key, growing)
    this.#edges.push(growing)
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
    for (const path of [...files.keys(), ...links.keys()])
      for (let d = directoryOf(path) as SourcePath; d !== ''; d = directoryOf(d) as SourcePath)
        if (due.has(d)) this.add({ from: d, kind: 'member', name: path.slice(d.length + 1), to: path, via: null })
  }

  /** What a process loads by another search than that of any object by itself: RPATHs are inherited by the chain. */
  addLoaded(maps: Iterable<LinkMap>): void {
    const reached = new Set(this.#edges.map(edge => edge.to))
    for (const { objects } of maps)
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

const sameEvidence = (a: Evidence, b: Evidence): boolean =>
  a.offset === b.offset && a.file === b.file && a.member?.join('!') === b.member?.join('!')

/** A place in the file that an edge begins at. */
export const here = (offset: number): readonly Evidence[] => [{ file: null, member: null, offset, encoding: 'utf8' }]
