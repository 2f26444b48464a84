/** A bundle as a tree of what needs what: what loaders do first, as libtree(1) draws it, then data. Pure. */
import { type Explained, LOADING, type Need, type NeedKind } from '../model/explained.ts'
import { fromText } from '../paths.ts'
import { Chains } from './chains.ts'
import { namesOf } from './names.ts'

export interface TreeNode {
  readonly id: number
  /** How it came from the node above; null for a root. */
  readonly need: Need | null
  /** It is shown with its children elsewhere. */
  readonly isShown: boolean
  /** Of a directory: files below it and their bytes. */
  readonly holds: { readonly files: number; readonly bytes: number } | null
  readonly children: readonly TreeNode[]
  /** Children that are left out. */
  readonly left: number
}

export interface TreeOptions {
  /** Levels below the roots. */
  readonly depth: number
  /** Whether each file of a directory is a node. */
  readonly files: boolean
  readonly kinds: readonly NeedKind[]
}

/** Nodes of one tree. */
const NODES_MAX = 20_000
/** A deeper tree is no one's to read, and a chain in a document that is not ours may have any length. */
const DEPTH_MAX = 60

/** From each program down. */
export function treeOf(explained: Explained, options: TreeOptions): TreeNode[] {
  const { asked, files } = explained
  const roots = [...new Set(asked.filter(a => a.kind === 'entry').map(a => a.to))]
  // A program's further names lead to it.
  const programs = roots.filter(id => files[id]?.type === 'file')
  const others = asked.filter(a => a.kind !== 'entry' && a.kind !== 'target' && a.kind !== 'bundle').map(a => a.to)
  return new Trees(explained, options, false).from([...new Set([...programs, ...others])])
}

/** From what a name stands for up to whoever needs it; null for what is not in the bundle. */
export function reverseTreeOf(explained: Explained, name: string, options: TreeOptions): TreeNode[] | null {
  const { packages, ids } = namesOf(explained, fromText(name))
  const all = [
    ...ids,
    ...explained.files.flatMap(({ package: owner }, id) => (owner !== null && packages.includes(owner) ? [id] : [])),
  ]
  return all.length === 0 ? null : new Trees(explained, options, true).from(all)
}

class Trees {
  readonly #explained: Explained
  readonly #options: TreeOptions
  readonly #isReverse: boolean
  readonly #chains: Chains
  readonly #shown = new Set<number>()
  readonly #targets: ReadonlySet<number>
  #budget = NODES_MAX

  constructor(explained: Explained, options: TreeOptions, isReverse: boolean) {
    this.#explained = explained
    this.#options = { ...options, depth: Math.min(options.depth, DEPTH_MAX) }
    this.#isReverse = isReverse
    this.#chains = new Chains(explained)
    this.#targets = new Set(explained.asked.filter(a => a.kind === 'target').map(a => a.to))
  }

  from(ids: readonly number[]): TreeNode[] {
    return ids.map(id => this.#node(id, null, 0))
  }

  #node(id: number, need: Need | null, level: number): TreeNode {
    const isShown = this.#shown.has(id)
    this.#shown.add(id)
    this.#budget--
    const holds = id < this.#explained.files.length || this.#isReverse ? null : this.#holds(id)
    const next = isShown ? [] : this.#next(id, holds !== null)
    const isCut = level >= this.#options.depth
    const children: TreeNode[] = []
    for (const child of isCut ? [] : next) {
      if (this.#budget <= 0) break
      children.push(this.#node(this.#isReverse ? child.from : child.to, child, level + 1))
    }
    return { id, need, isShown: isShown && this.#hasNext(id), holds, children, left: next.length - children.length }
  }

  #hasNext(id: number): boolean {
    return this.#next(id, id >= this.#explained.files.length).length > 0
  }

  /** The needs that lead on: what loaders do before the rest. */
  #next(id: number, isDirectory: boolean): Need[] {
    const { needs } = this.#explained
    const { files, kinds } = this.#options
    const indices = this.#isReverse ? this.#chains.needsTo(id) : this.#chains.needsFrom(id)
    const wanted = [...indices]
      .map(index => needs[index]!)
      .filter(need => kinds.length === 0 || kinds.includes(need.kind))
      .filter(need => this.#isReverse || (need.kind !== 'made' && !this.#targets.has(need.to)))
      .filter(need => this.#isReverse || files || !isDirectory || need.kind !== 'member')
    const byEnd = new Map<number, Need>()
    for (const need of wanted) {
      const end = this.#isReverse ? need.from : need.to
      if (!byEnd.has(end) || LOADING.has(need.kind)) byEnd.set(end, need)
    }
    const rank = (need: Need): number => (need.kind === 'dlopen' ? 1 : LOADING.has(need.kind) ? 0 : 2)
    return [...byEnd.values()].sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1))
  }

  #holds(id: number): { files: number; bytes: number } {
    const members = [...this.#chains.needsFrom(id)].map(index => this.#explained.needs[index]!)
    const all = members.filter(({ kind }) => kind === 'member').map(({ to }) => this.#explained.files[to])
    return { files: all.length, bytes: all.reduce((sum, file) => sum + (file?.size ?? 0), 0) }
  }
}
