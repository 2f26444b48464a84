/**
 * The needs of a bundle as a graph: what is reached, by which chains, and what would be without one of its files. All of
 * it is bounded, for a `bundle.json` may be anybody's: circles, a million needs. Pure.
 */
import type { Explained, Need } from '../model/explained.ts'

/** A chain of needs from what was asked for; each begins where the one before it ends. */
export interface Chain {
  readonly asked: Explained['asked'][number]
  readonly needs: readonly Need[]
}

/** What a program needs comes before what its package's tree brings, and that before what an option does. */
const ORDER: readonly (readonly Explained['asked'][number]['kind'][])[] = [
  ['entry'],
  ['target'],
  ['trace', 'include', 'closure', 'with', 'licence', 'bundle'],
]

/** Steps that a search for all chains may take. */
const STEPS_MAX = 200_000

export class Chains {
  readonly #explained: Explained
  /** Needs by where they begin, and by where they end: offsets into lists of indices. */
  readonly #out: Lists
  readonly #in: Lists
  /** Trees of the targets: that a program names its own package is not why that is there. */
  readonly #trees: ReadonlySet<number>
  /** How each id came in: the index of a need, or `-1 - index` of what was asked for. */
  readonly #came: Int32Array
  /** Ids that came in, nearest to the programs first. */
  readonly order: readonly number[]

  constructor(explained: Explained) {
    const { files, directories, needs, asked } = explained
    const size = files.length + directories.length
    this.#explained = explained
    this.#out = lists(size, needs, need => need.from)
    this.#in = lists(size, needs, need => need.to)
    this.#trees = new Set(asked.filter(a => a.kind === 'target').map(a => a.to))
    this.#came = new Int32Array(size).fill(NOT)
    const order: number[] = []
    const arrive = (id: number, how: number): void => {
      if (this.#came[id] !== NOT) return
      this.#came[id] = how
      order.push(id)
    }
    let done = 0
    for (const kinds of ORDER) {
      for (const [i, { kind, to }] of asked.entries()) if (kinds.includes(kind)) arrive(to, -1 - i)
      for (; done < order.length; done++)
        for (const index of this.needsFrom(order[done]!)) {
          const { to } = needs[index]!
          if (!this.#trees.has(to)) arrive(to, index)
        }
    }
    this.order = order
  }

  /** Indices of the needs that begin at an id, and of those that end there. */
  needsFrom(id: number): Int32Array {
    return this.#out.items.subarray(this.#out.starts[id]!, this.#out.starts[id + 1]!)
  }

  needsTo(id: number): Int32Array {
    return this.#in.items.subarray(this.#in.starts[id]!, this.#in.starts[id + 1]!)
  }

  isReached(id: number): boolean {
    return this.#came[id] !== NOT
  }

  /** How an id came in first: by the index of a need, or as `-1 - index` of what was asked for; null for what did not. */
  cameBy(id: number): number | null {
    const how = this.#came[id]!
    return how === NOT ? null : how
  }

  /** The shortest chain to an id; null for what nothing leads to. */
  chainTo(id: number): Chain | null {
    const needs: Need[] = []
    for (let at = id; ; ) {
      const how = this.#came[at]!
      if (how === NOT) return null
      if (how < 0) return { asked: this.#explained.asked[-1 - how]!, needs: needs.reverse() }
      const need = this.#explained.needs[how]!
      needs.push(need)
      at = need.from
    }
  }

  /**
   * Chains to an id without circles, the shortest first.
   * @returns at most `max` of them; their number, and whether there may be more than were counted
   */
  allTo(id: number, max: number): { chains: Chain[]; count: number; more: boolean } {
    const { needs, asked } = this.#explained
    const askedFor = new Map<number, number[]>()
    for (const [i, { to }] of asked.entries()) askedFor.set(to, [...(askedFor.get(to) ?? []), i])
    const chains: Chain[] = []
    let count = 0
    const found = (i: number, path: Path | null): void => {
      if (count++ < max) chains.push({ asked: asked[i]!, needs: unwound(path) })
    }
    const queue: { at: number; path: Path | null; length: number }[] = [{ at: id, path: null, length: 0 }]
    let steps = 0
    for (let i = 0; i < queue.length; i++) {
      const { at, path, length } = queue[i]!
      const roots = askedFor.get(at) ?? []
      for (const root of roots) found(root, path)
      // What is asked for by name needs no other reason; and a package that its own programs name needs none either.
      if (path !== null && roots.length > 0) continue
      for (const index of this.needsTo(at)) {
        // That a path holds no circle takes its length to find out.
        steps += 1 + (length >> 5)
        if (steps > STEPS_MAX) return { chains, count, more: true }
        const need = needs[index]!
        if (!this.isReached(need.from) || need.from === id || holds(path, need.from)) continue
        queue.push({ at: need.from, path: { need, next: path }, length: length + 1 })
      }
    }
    return { chains, count, more: false }
  }

  /** For each id whether anything still leads to it when nothing passes through some. */
  reachedWithout(isGone: (id: number) => boolean): Uint8Array {
    const { needs, asked } = this.#explained
    const reached = new Uint8Array(this.#came.length)
    const queue: number[] = []
    const arrive = (id: number): void => {
      if (reached[id] || isGone(id)) return
      reached[id] = 1
      queue.push(id)
    }
    for (const { to } of asked) arrive(to)
    for (let id = queue.pop(); id !== undefined; id = queue.pop())
      for (const index of this.needsFrom(id)) arrive(needs[index]!.to)
    return reached
  }

  /** Bytes of the files that are in the bundle because of some ids alone, these with them. */
  bytesWithout(isGone: (id: number) => boolean): number {
    const reached = this.reachedWithout(isGone)
    return this.#explained.files.reduce((sum, { size }, id) => sum + (reached[id] || !this.isReached(id) ? 0 : size), 0)
  }

  /**
   * The steps of a chain that every chain to its end goes through, without the end itself. One pass over the needs: what
   * is reached without the chain's own files, then from each of these in turn; where that leads no further than to the next
   * one, nothing leads around that.
   */
  throughAll({ asked, needs }: Chain): number[] {
    const chain = needs.length === 0 ? [asked.to] : [needs[0]!.from, ...needs.map(need => need.to)]
    const places = new Map(chain.map((id, place) => [id, place]))
    const reached = new Uint8Array(this.#came.length)
    let furthest = -1
    const explore = (from: readonly number[]): void => {
      const queue: number[] = []
      const arrive = (id: number): void => {
        const place = places.get(id)
        if (place !== undefined) furthest = Math.max(furthest, place)
        else if (!reached[id]) {
          reached[id] = 1
          queue.push(id)
        }
      }
      for (const id of from) arrive(id)
      for (let id = queue.pop(); id !== undefined; id = queue.pop())
        for (const index of this.needsFrom(id)) arrive(this.#explained.needs[index]!.to)
    }
    explore(this.#explained.asked.map(a => a.to))
    const through: number[] = []
    for (const [place, id] of chain.slice(0, -1).entries()) {
      if (furthest === place) through.push(id)
      explore([...this.needsFrom(id)].map(index => this.#explained.needs[index]!.to))
    }
    return through
  }
}

const NOT = -0x80000000

/** A chain backwards from its end. */
interface Path {
  readonly need: Need
  readonly next: Path | null
}

function holds(path: Path | null, id: number): boolean {
  for (let at = path; at !== null; at = at.next) if (at.need.from === id) return true
  return false
}

function unwound(path: Path | null): Need[] {
  const needs: Need[] = []
  for (let at = path; at !== null; at = at.next) needs.push(at.need)
  return needs
}

interface Lists {
  readonly starts: Int32Array
  readonly items: Int32Array
}

/** Indices of needs, grouped by an id. */
function lists(size: number, needs: readonly Need[], idOf: (need: Need) => number): Lists {
  const starts = new Int32Array(size + 1)
  for (const need of needs) starts[idOf(need) + 1]!++
  for (let i = 0; i < size; i++) starts[i + 1]! += starts[i]!
  const next = starts.slice()
  const items = new Int32Array(needs.length)
  for (const [i, need] of needs.entries()) items[next[idOf(need)]!++] = i
  return { starts, items }
}
