/**
 * The strings of an ELF file that the loader reads, as a bundle wants them: interpreter, needed names, search path.
 * Pure.
 */
import type { ElfEdit } from '../elf/edit.ts'
import type { ElfFacts } from '../elf/facts.ts'
import type { Dependency, DependencyGraph } from '../model/graph.ts'
import { type BundlePath, baseName, directoryOf, type SourcePath } from '../paths.ts'
import { blank } from '../references/rewrite.ts'
import { type Layout, relativePath } from './layout.ts'

/** A name that is searched for, and where its file lies. */
interface Wanted {
  readonly name: string
  readonly at: BundlePath
}

export class LoaderStrings {
  readonly #graph: DependencyGraph
  readonly #layout: Layout
  readonly #prefix: string | null
  readonly #edgesFrom: ReadonlyMap<SourcePath, readonly Dependency[]>
  /** What lies at each place, by every name. */
  readonly #holdings: ReadonlyMap<BundlePath, BundlePath>

  /** @param prefix the place that the bundle is made for; null when it is relocatable */
  constructor(graph: DependencyGraph, layout: Layout, prefix: string | null) {
    this.#graph = graph
    this.#layout = layout
    this.#prefix = prefix
    this.#edgesFrom = edgesByOrigin(graph.edges)
    this.#holdings = new Map([...layout.aliases, ...[...layout.placed.values()].map(at => [at, at] as const)])
  }

  /**
   * The edits for the file at `path`, which comes to lie at `at`.
   * @param loader where the loader of the program lies; null for what is no program
   */
  edits(path: SourcePath, facts: ElfFacts, at: BundlePath, loader: BundlePath | null): ElfEdit[] {
    const edits: ElfEdit[] = []
    const prefix = this.#prefix
    if (facts.interp) {
      // The kernel takes no relative interpreter: in a relocatable bundle it names nothing, and a launcher stands in.
      const to = prefix !== null && loader ? `${prefix}/${loader}` : blank(facts.interp.value)
      if (to !== facts.interp.value) edits.push({ op: 'set-interp', to })
    }
    for (const { value } of facts.needed) {
      const name = value.slice(value.lastIndexOf('/') + 1)
      if (name !== value) edits.push({ op: 'replace-needed', from: value, to: name })
    }
    for (const { kind, value } of facts.companions) {
      const names = kind === 'audit' ? value.split(':') : [value]
      const to = names.map(name => name.slice(name.lastIndexOf('/') + 1)).join(':')
      if (to !== value) edits.push({ op: 'replace-companions', from: value, to })
    }
    const directories = this.#libraryDirectories(path, facts)
    const has = facts.rpath !== null || facts.runpath !== null
    if (facts.dynstr && (has || (facts.program && facts.interp && directories.length > 0))) {
      const to = this.#rpath(at, directories)
      if (to !== facts.rpath?.value || facts.runpath !== null) edits.push({ op: 'set-rpath', to })
    } else if (facts.dynstr && this.#needsOwnRpath(path, directories))
      edits.push({ op: 'set-rpath', to: this.#rpath(at, directories) })
    return edits
  }

  /**
   * Directories of what an object asks for, in an order in which each name is found where it shall be. As far as that
   * leaves a choice, `lib/` comes last: a library that lies elsewhere under a name that lib/ has too is there for those
   * who need that one. A program also answers for the objects of its process that have no RPATH and so inherit its own.
   */
  #libraryDirectories(path: SourcePath, facts: ElfFacts): string[] {
    const wanted: Wanted[] = []
    const want = (name: string, to: SourcePath | null): void => {
      const at = to === null ? undefined : this.#layout.placed.get(to)
      if (at !== undefined) wanted.push({ name: baseName(name), at })
    }
    for (const { kind, name, to } of this.#edgesFrom.get(path) ?? [])
      if (kind === 'needed' || (kind === 'dlopen' && !name.includes('/'))) want(name, to)
    if (facts.program)
      for (const object of this.#graph.linkMaps.get(path)?.objects ?? []) {
        const by = object.by && this.#graph.files.get(object.by)?.facts
        if (by && by.format === 'elf' && !by.rpath && !by.runpath) want(object.name ?? object.path, object.path)
      }
    const directories = new Set<string>(wanted.map(({ at }) => directoryOf(at)))
    const rest = [...directories].filter(d => d !== 'lib')
    return this.#ordered(rest.length < directories.size || facts.program ? [...rest, 'lib'] : rest, wanted)
  }

  /** Directories so that none hides from a later one what is wanted of that. */
  #ordered(directories: readonly string[], wanted: readonly Wanted[]): string[] {
    const rest = [...directories]
    const ordered: string[] = []
    for (let open = wanted; rest.length > 0; ) {
      const holds = (directory: string, { name }: Wanted): BundlePath | undefined =>
        this.#holdings.get(`${directory}/${name}` as BundlePath)
      const free = rest.findIndex(d => open.every(w => (holds(d, w) ?? w.at) === w.at))
      const [next] = rest.splice(Math.max(free, 0), 1)
      ordered.push(next!)
      open = open.filter(w => holds(next!, w) === undefined)
    }
    return ordered
  }

  /** An object without RPATH inherits its program's, which names lib/; it needs one of its own for any other place. */
  #needsOwnRpath(path: SourcePath, directories: readonly string[]): boolean {
    const inherited = new Set<string>(['lib'])
    for (const map of this.#graph.linkMaps.values()) {
      if (!map.objects.some(o => o.path === path)) continue
      const program = this.#graph.files.get(map.program)?.facts
      if (program?.format === 'elf') for (const d of this.#libraryDirectories(map.program, program)) inherited.add(d)
    }
    return directories.some(d => !inherited.has(d))
  }

  #rpath(at: BundlePath, directories: readonly string[]): string {
    const prefix = this.#prefix
    if (prefix !== null) return (directories.length === 0 ? ['lib'] : directories).map(d => `${prefix}/${d}`).join(':')
    if (directories.length === 0) return '$ORIGIN'
    // The file lies where the launcher's name is hidden: in the same directory.
    const here = directoryOf(at)
    return directories.map(d => ['$ORIGIN', relativePath(here, d)].filter(p => p !== '').join('/')).join(':')
  }
}

function edgesByOrigin(edges: readonly Dependency[]): Map<SourcePath, Dependency[]> {
  const byOrigin = new Map<SourcePath, Dependency[]>()
  for (const edge of edges) {
    const known = byOrigin.get(edge.from)
    if (known) known.push(edge)
    else byOrigin.set(edge.from, [edge])
  }
  return byOrigin
}
