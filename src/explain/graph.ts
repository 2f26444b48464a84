/** A bundle as a graph of packages or of files, whole or what leads to one of them. Pure. */
import type { Explained, NeedKind } from '../model/explained.ts'
import { fromText } from '../paths.ts'
import { Chains } from './chains.ts'
import { namesOf } from './names.ts'
import { ownerOf } from './why.ts'

export interface Graph {
  /** Of packages or of files, the first of which are the programs' own. */
  readonly nodes: readonly GraphNode[]
  readonly edges: readonly GraphEdge[]
}

export interface GraphNode {
  readonly key: number
  /** A package, or a file or directory by its id. */
  readonly package: number | null
  readonly id: number | null
  readonly files: number
  readonly bytes: number
  readonly isTarget: boolean
}

export interface GraphEdge {
  readonly from: number
  readonly to: number
  /** The kinds of the needs, sorted, each once. */
  readonly kinds: readonly NeedKind[]
  /** The first of the names that are asked for. */
  readonly name: string
  readonly count: number
  /** Whether it only may be needed: opened, named. */
  readonly isLoose: boolean
}

export interface GraphOptions {
  readonly by: 'package' | 'file'
  /** Only what leads there; null: all. */
  readonly to: string | null
  /** Steps from the programs, or up from `to`. */
  readonly depth: number
  readonly kinds: readonly NeedKind[]
}

const FIRM: ReadonlySet<NeedKind> = new Set([
  'interp',
  'needed',
  'install-name',
  'loaded',
  'shebang',
  'wrapper',
  'link',
  'member',
])

/** @returns null when `to` names nothing of the bundle */
export function graphOf(explained: Explained, { by, to, depth, kinds }: GraphOptions): Graph | null {
  const { files, needs, asked } = explained
  const chains = new Chains(explained)
  const keyOf = (id: number): number | null => (by === 'file' ? id : ownerOf(explained, id))
  // What is started by name, and a target's own tree, are there by themselves.
  const begins = new Set(asked.flatMap(a => (a.kind === 'entry' || a.kind === 'target' ? [a.to] : [])))
  const edges = new Map<string, { from: number; to: number; kinds: Set<NeedKind>; name: string; count: number }>()
  for (const need of needs) {
    const [from, end] = [keyOf(need.from), keyOf(need.to)]
    if (from === null || end === null || from === end || !chains.isReached(need.from)) continue
    if (
      need.kind === 'made' ||
      (by === 'file' && begins.has(need.to)) ||
      (kinds.length > 0 && !kinds.includes(need.kind))
    )
      continue
    const key = `${from} ${end}`
    const known = edges.get(key) ?? { from, to: end, kinds: new Set(), name: need.name, count: 0 }
    known.kinds.add(need.kind)
    known.count++
    edges.set(key, known)
  }
  const roots = asked.flatMap(a => (a.kind === 'bundle' ? [] : (keyOf(a.to) ?? [])))
  const all = [...edges.values()]
  let kept: Map<number, number>
  if (to === null) kept = within(roots, all, depth, edge => [edge.from, edge.to])
  else {
    const { packages, ids } = namesOf(explained, fromText(to))
    const wanted =
      by === 'package'
        ? [...packages, ...ids.flatMap(id => keyOf(id) ?? [])]
        : [...ids, ...files.flatMap((f, id) => (f.package !== null && packages.includes(f.package) ? [id] : []))]
    const isThere = (key: number): boolean =>
      by === 'file' ? chains.isReached(key) : files.some(file => file.package === key)
    const present = [...new Set(wanted)].filter(isThere)
    if (present.length === 0) return null
    kept = within(present, all, depth, edge => [edge.to, edge.from])
  }
  const targets = new Set(asked.flatMap(a => (a.kind === 'target' || a.kind === 'entry' ? (keyOf(a.to) ?? []) : [])))
  const sums = new Map<number, { files: number; bytes: number }>()
  for (const [id, file] of files.entries()) {
    const key = keyOf(id)
    if (key === null || !kept.has(key)) continue
    const known = sums.get(key) ?? { files: 0, bytes: 0 }
    sums.set(key, { files: known.files + 1, bytes: known.bytes + file.size })
  }
  return {
    nodes: [...kept.keys()]
      .sort((a, b) => a - b)
      .map(key => ({
        key,
        package: by === 'package' ? key : ownerOf(explained, key),
        id: by === 'file' ? key : null,
        ...(sums.get(key) ?? { files: 0, bytes: 0 }),
        isTarget: targets.has(key),
      })),
    edges: all
      .filter(edge => kept.has(edge.from) && kept.has(edge.to))
      .sort((a, b) => a.from - b.from || a.to - b.to)
      .map(edge => ({
        ...edge,
        kinds: [...edge.kinds].sort(),
        isLoose: ![...edge.kinds].some(kind => FIRM.has(kind)),
      })),
  }
}

/** What is reached in so many steps, with the number of steps. */
function within<E>(
  from: readonly number[],
  edges: readonly E[],
  depth: number,
  ends: (edge: E) => [number, number],
): Map<number, number> {
  const next = new Map<number, number[]>()
  for (const edge of edges) {
    const [a, b] = ends(edge)
    const known = next.get(a)
    if (known) known.push(b)
    else next.set(a, [b])
  }
  const reached = new Map(from.map(key => [key, 0]))
  // A map is walked in the order in which it grows.
  for (const [key, steps] of reached)
    if (steps < depth) for (const other of next.get(key) ?? []) if (!reached.has(other)) reached.set(other, steps + 1)
  return reached
}
