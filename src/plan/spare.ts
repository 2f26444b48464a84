/**
 * What a bundle does without: files that cannot be made as it needs them, and that no program has to have which was asked
 * for. A member of a tree, a helper in libexec/, a plugin, an archive. They stay out, which is told; anything else that
 * cannot be made is an error. Pure.
 */
import { type BundleError, LEAVE_OUT } from '../errors.ts'
import type { Finding } from '../model/findings.ts'
import type { DependencyGraph, DependencyKind } from '../model/graph.ts'
import type { SourcePath } from '../paths.ts'

/** Why a file stays out. */
export interface Unmade {
  /** Null: it carries a payload. */
  readonly reason: string | null
  /** What makes it possible, where anything does. */
  readonly hint: string | null
  /** Files that name it, sorted. */
  readonly users: readonly SourcePath[]
}

/** What a program needs to start, and what starts in its place. */
const STARTS: ReadonlySet<DependencyKind> = new Set([
  ...(['interp', 'needed', 'loaded', 'install-name', 'shebang', 'wrapper', 'link'] as const),
])

/**
 * The files that a bundle is nothing without: programs in bin/ and sbin/ (all, where there are none of these), what they
 * need to start, what a wrapper among them names, and what was asked for by an option.
 */
function indispensable({ entries, asked, edges, wrappers, links }: DependencyGraph): ReadonlySet<SourcePath> {
  const programs = entries.filter(({ at }) => !at.startsWith('libexec/'))
  const found = new Set<SourcePath>()
  const queue: SourcePath[] = [
    ...(programs.length > 0 ? programs : entries).map(({ source }) => source),
    ...asked.flatMap(({ kind, to }) => (kind === 'include' || kind === 'with' ? [to] : [])),
  ]
  const from = new Map<SourcePath, SourcePath[]>()
  for (const edge of edges) {
    const isNamed = wrappers.has(edge.from) && (edge.kind === 'reference' || edge.kind === 'dlopen')
    if (edge.to === null || !(STARTS.has(edge.kind) || isNamed)) continue
    const known = from.get(edge.from)
    if (known) known.push(edge.to)
    else from.set(edge.from, [edge.to])
  }
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (found.has(path)) continue
    found.add(path)
    const link = links.get(path)
    queue.push(...(from.get(path) ?? []), ...(link ? [link.target] : []))
  }
  return found
}

/** What was found to be impossible, while it is only of what a bundle does without. */
export class Spared {
  readonly unmade = new Map<SourcePath, Unmade>()
  readonly #graph: DependencyGraph
  readonly #indispensable: ReadonlySet<SourcePath>

  constructor(graph: DependencyGraph) {
    this.#graph = graph
    this.#indispensable = indispensable(graph)
  }

  isSpare(path: SourcePath): boolean {
    return !this.#indispensable.has(path)
  }

  /** @throws the error itself when the bundle is nothing without the file */
  add(path: SourcePath, error: BundleError): void {
    if (!this.isSpare(path)) throw error
    const hint = error.hint === undefined || error.hint === LEAVE_OUT ? null : error.hint
    this.unmade.set(path, { reason: error.reason, hint, users: usersOf(this.#graph, path) })
  }
}

/** Programs with a payload that a plan refuses and its bundle does without. */
export function spareOf(graph: DependencyGraph, findings: readonly Finding[]): ReadonlyMap<SourcePath, Unmade> {
  const payloads = findings.flatMap(({ code, file }) => (code === 'payload' ? [file as SourcePath] : []))
  if (payloads.length === 0) return new Map()
  const needed = indispensable(graph)
  const spare = payloads.filter(path => !needed.has(path))
  const why = { reason: null, hint: 'bundle with --prefix' }
  return new Map(spare.map(path => [path, { ...why, users: usersOf(graph, path) }]))
}

/** Who names a file: those who will not find it. */
const usersOf = ({ edges }: DependencyGraph, path: SourcePath): readonly SourcePath[] =>
  [...new Set(edges.flatMap(({ from, to, kind }) => (to === path && kind !== 'member' && from !== path ? [from] : [])))]
    .sort()
    .slice(0, USERS_MAX)
/** A person reads no more of them. */
const USERS_MAX = 100

/** One warning for all that stays out for one reason. */
export function leftOut(unmade: ReadonlyMap<SourcePath, Unmade>): Finding[] {
  const groups = new Map<string, [SourcePath, Unmade][]>()
  for (const entry of unmade) {
    const key = `${entry[1].reason}\0${entry[1].hint}`
    const known = groups.get(key)
    if (known) known.push(entry)
    else groups.set(key, [entry])
  }
  return [...groups.values()].map((group): Finding => {
    const files = group.map(([path]) => path).sort()
    const { reason, hint } = group[0]![1]
    const users = [...new Set(group.flatMap(([, { users }]) => users))].sort()
    return { code: 'left-out', severity: 'warning', file: files[0]!, files, reason, hint, users }
  })
}
