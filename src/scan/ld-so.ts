/**
 * What the loader does for the programs of a bundle: each program's process, and what its objects open by name while it
 * runs. Part of stage 2 (scan.ts), which is told of every file that is found.
 */
import { ET } from '../elf/constants.ts'
import { type CopiedVariable, readCopies, readVariables, resolveCopies, type Variables } from '../elf/copies.ts'
import type { SonameString } from '../elf/dlopen.ts'
import type { ElfFacts } from '../elf/facts.ts'
import { symbolNames } from '../elf/parse.ts'
import { type LinkMap, type Opened, Process, sameMachine } from '../elf/search.ts'
import { BundleError } from '../errors.ts'
import { list, realPath, stat, withFile } from '../io/store.ts'
import type { Finding } from '../model/findings.ts'
import type { FileNode } from '../model/graph.ts'
import { storePathOf } from '../nix/store-path.ts'
import { baseName, directoryOf, type SourcePath } from '../paths.ts'
import { type Found, here } from './edges.ts'
import { fitting } from './lookup.ts'
import type { Loader, Sources } from './sources.ts'

/**
 * Since glibc 2.34 the C library itself reads files and asks DNS, and its libraries for these are empty; the others are for
 * NIS, Hesiod and databases of Berkeley DB, of which no bundle needs to know.
 */
const isWorthIt = (name: string, file: SourcePath): boolean =>
  !name.startsWith('libnss_') ||
  (/^libnss_(?:files|dns)\./.test(name) &&
    withFile(file, source => symbolNames(source, file)).some(symbol => symbol.startsWith('_nss_')))

/** Who is told of what is found. */
export interface Listener {
  /** A file that comes along. */
  file(path: SourcePath): void
  edge(edge: Found): void
}

export class Processes {
  readonly #sources: Sources
  readonly #listener: Listener
  readonly #processes: Process[] = []
  readonly #linkMaps = new Map<SourcePath, LinkMap>()
  readonly #copies = new Map<SourcePath, readonly CopiedVariable[]>()
  readonly #variables = new Map<SourcePath, Variables>()
  /** The first process in which an object was seen: what its names mean is asked there. */
  readonly #contexts = new Map<SourcePath, Process>()
  readonly #findings: (Finding & { code: 'library-missing' | 'dlopen-missing' })[] = []

  constructor(sources: Sources, listener: Listener) {
    this.#sources = sources
    this.#listener = listener
  }

  get linkMaps(): ReadonlyMap<SourcePath, LinkMap> {
    return this.#linkMaps
  }

  /** What the loader copies out of libraries, by program. */
  get copies(): ReadonlyMap<SourcePath, readonly CopiedVariable[]> {
    return this.#copies
  }

  /** Whether a process has loaded the object. */
  knows(path: SourcePath): boolean {
    return this.#contexts.has(path)
  }

  /** Starts a program as the kernel would; false when its loader is not there. */
  start(path: SourcePath, facts: ElfFacts): boolean {
    const { value: interp, offset } = facts.interp!
    const loader = this.#sources.loader(interp)
    if (loader === null) {
      this.missing(interp, [path], 'error')
      return false
    }
    this.#listener.edge({
      from: path,
      kind: 'interp',
      name: interp,
      to: loader.file.path,
      via: 'PT_INTERP',
      at: here(offset),
    })
    this.#listener.file(loader.file.path)
    const process = new Process({ path, facts }, loader.file, loader.settings, this.#sources)
    this.#processes.push(process)
    this.#admit(process)
    this.#linkMaps.set(path, process.linkMap)
    this.#addCopies(process.linkMap)
    for (const { name, by } of process.missing) this.missing(name, chainTo(process.linkMap, by), 'error')
    return true
  }

  #addCopies({ program, objects }: LinkMap): void {
    const libraries = objects.map(o => o.path).filter(path => path !== program)
    const variables = (path: SourcePath): Variables => {
      const known = this.#variables.get(path) ?? withFile(path, source => readVariables(source, path))
      this.#variables.set(path, known)
      return known
    }
    // What a damaged table of one file says is not needed to bundle it.
    const copies = orNone(() =>
      resolveCopies(
        withFile(program, source => readCopies(source, program)),
        libraries,
        path => orNone(() => variables(path)) ?? new Map(),
      ),
    )
    if (copies === null) return
    if (copies.length > 0) this.#copies.set(program, copies)
  }

  /**
   * Follows what one object asks for by name: NEEDED by its own search, notes, sonames in its read-only data.
   * @param sonames strings that it may open libraries by
   */
  examine({ path, facts }: FileNode, sonames: readonly SonameString[]): void {
    if (facts.format !== 'elf' || this.#loaders().some(l => l.file.path === path)) return
    const process = this.#contexts.get(path) ?? this.#adopt({ path, facts })
    if (process === null) return
    for (const { value: name, offset } of facts.needed) {
      const own = process.ownChoice(name, path)
      const to = own?.path ?? process.loaded(name) ?? null
      if (to === null) continue
      const via = own?.via ?? 'already loaded'
      this.#listener.edge({ from: path, kind: 'needed', name, to, via, at: here(offset) })
      this.#listener.file(to)
      if (own) this.#addVariants(path, name, offset, own.opened, facts)
    }
    for (const { kind, value, offset } of facts.companions)
      for (const name of kind === 'audit' ? value.split(':').filter(n => n !== '') : [value]) {
        const to = process.ownChoice(name, path)
        if (to === null) {
          // The loader says so and goes on. An auxiliary library may be missing; a filter's is told with the needed ones.
          if (kind === 'audit') this.missing(name, [path], 'warning')
          continue
        }
        this.#listener.edge({ from: path, kind: 'needed', name, to: to.path, via: to.via, at: here(offset) })
        this.#listener.file(to.path)
      }
    const noted = new Map(facts.dlopenNotes.flatMap(note => note.sonames.map(name => [name, note.priority] as const)))
    for (const note of facts.dlopenNotes) {
      if (note.priority === 'suggested') continue
      const found = note.sonames.filter((name, i) => this.#open(process, path, name, note.offsets[i] ?? null))
      if (found.length === 0 && note.sonames.length > 0)
        this.#findings.push({
          code: 'dlopen-missing',
          severity: 'warning',
          file: path,
          name: note.sonames.join(' or '),
          priority: note.priority,
        })
    }
    for (const { name, offset } of sonames)
      for (const one of name.includes('%') ? fittingOf(process, name, path) : [name])
        if (!noted.has(one) && one !== facts.soname?.value) this.#open(process, path, one, offset)
  }

  missing(name: string, chain: readonly SourcePath[], severity: 'error' | 'warning'): void {
    const file = chain.at(-1)!
    if (this.#findings.some(f => f.code === 'library-missing' && f.file === file && f.name === name)) return
    this.#findings.push({ code: 'library-missing', severity, file, name, chain })
  }

  /**
   * The findings; a library that is missing is an error only for what is started: an entry, or what an entry's wrapper or
   * `#!` line names. Any other program of a tree did not start before either, and nobody asked for it. And whoever opens
   * a plugin has opened the library of its package that it needs, by its path, as a Java VM does with libjvm.so: a note.
   */
  findings(started: ReadonlySet<SourcePath>, files: ReadonlyMap<SourcePath, FileNode>): Finding[] {
    // A machine's files are of one root.
    const rootOf = (path: string): string => storePathOf(path)?.root ?? '/'
    const inPackage = new Set([...files.keys()].map(path => `${rootOf(path)}\0${baseName(path)}`))
    return this.#findings.map((finding): Finding => {
      if (finding.code !== 'library-missing' || started.has(finding.chain[0] as SourcePath)) return finding
      const isPlugin = !this.#linkMaps.has(finding.chain[0] as SourcePath)
      const isBeside = inPackage.has(`${rootOf(finding.file)}\0${finding.name}`)
      return { ...finding, severity: isPlugin && isBeside ? 'note' : 'warning' }
    })
  }

  // ---- Objects -------------------------------------------------------------------------------------------------

  #loaders(): Loader[] {
    return [...this.#sources.loaders.values()]
  }

  /** Brings in every object of a process. */
  #admit(process: Process): void {
    for (const object of process.linkMap.objects) {
      this.#listener.file(object.path)
      if (!this.#contexts.has(object.path)) this.#contexts.set(object.path, process)
    }
  }

  /** A dlopen of `name` by the object at `from`; false when nothing is found. */
  #open(process: Process, from: SourcePath, name: string, offset: number | null): boolean {
    const found = process.ownChoice(name, from)
    if (!found) return false
    const at = offset === null ? [] : here(offset)
    this.#listener.edge({ from, kind: 'dlopen', name, to: found.path, via: found.via, at })
    const before = process.missing.length
    process.dlopen(name, from)
    for (const missing of process.missing.slice(before)) this.missing(missing.name, [from, missing.by], 'warning')
    this.#admit(process)
    this.#listener.file(found.path)
    return true
  }

  /**
   * An object that no process loads (a plugin in a tree): looked at as if it were loaded by itself, and where that is
   * not enough as opened by a program, whose RPATH it inherits.
   */
  #adopt(object: Opened): Process | null {
    const loader = this.#loaders().find(l => sameMachine(l.file.facts, object.facts))
    if (!loader || object.facts.type !== ET.dyn) return null
    const alone = new Process(object, loader.file, loader.settings, this.#sources)
    // Whoever loads it may have brought a name along.
    const missing = alone.missing.filter(({ name }) => !this.#processes.some(p => p.loaded(name) !== undefined))
    const host = missing.length === 0 ? undefined : this.#processes.find(p => opens(p, object.path))
    if (!host) for (const { name, by } of missing) this.missing(name, [object.path, by], 'warning')
    this.#admit(host ?? alone)
    return host ?? alone
  }

  /** The variants of a library for newer CPUs (ld.so(8), "glibc-hwcaps"): all of them come along. */
  #addVariants(from: SourcePath, name: string, offset: number, opened: string, facts: ElfFacts): void {
    const directory = `${opened.slice(0, opened.lastIndexOf('/'))}/glibc-hwcaps`
    if (stat(directory)?.type !== 'directory') return
    for (const level of list(directory)) {
      const variant = this.#sources.open(`${directory}/${level}/${name}`)
      if (!variant || !sameMachine(variant.facts, facts)) continue
      this.#listener.edge({
        from,
        kind: 'variant',
        name: `glibc-hwcaps/${level}/${name}`,
        to: variant.path,
        via: 'glibc-hwcaps',
        at: here(offset),
      })
      this.#listener.file(variant.path)
    }
  }
}

/**
 * The libraries that a pattern of an object's may mean: of its own directory and of those that it is searched for in. Of
 * a machine's programs none: there it would be whatever is installed.
 */
function fittingOf(process: Process, pattern: string, path: SourcePath): readonly string[] {
  if (storePathOf(path) === null) return []
  const names = new Set(
    [directoryOf(path), ...process.directoriesOf(path)]
      .filter(directory => stat(directory)?.type === 'directory')
      .flatMap(directory => fitting(pattern, list(directory), 'delimiter').map(name => [name, `${directory}/${name}`]))
      .flatMap(([name, file]) => (isWorthIt(name!, realPath(file!)) ? [name!] : [])),
  )
  return [...names].sort()
}

/** Null where a file is malformed. */
function orNone<T>(read: () => T): T | null {
  try {
    return read()
  } catch (error) {
    if (error instanceof BundleError && error.code === 'malformed') return null
    throw error
  }
}

/** Whether a process finds all that an object needs when it opens it by its path. */
function opens(process: Process, path: SourcePath): boolean {
  const before = process.missing.length
  return process.dlopen(path, process.linkMap.program) !== null && process.missing.length === before
}

/** The objects from the program down to the one at `path`, each loaded by the one before it. */
function chainTo(linkMap: LinkMap, path: SourcePath): SourcePath[] {
  const chain: SourcePath[] = []
  for (let at: SourcePath | null = path; at !== null && !chain.includes(at); ) {
    chain.unshift(at)
    at = linkMap.objects.find(o => o.path === at)?.by ?? null
  }
  return chain
}
