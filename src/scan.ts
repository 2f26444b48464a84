/**
 * Stage 2: from entries to the graph of everything they need. Reads, classifies, parses and resolves; decides
 * nothing. Each file is read once and its facts never change.
 *
 * A file comes in as a member of a bundled package's tree, as an object of a program's link map, as the interpreter
 * of a script, as the far end of a link, or by being opened at run time (a soname or a file's store path in an object,
 * a `.note.dlopen`).
 */

import { ET } from './elf/constants.ts'
import { inDynstr, sonameStrings } from './elf/dlopen.ts'
import { isElf, parseElf } from './elf/parse.ts'
import { type Opened, Process, sameMachine } from './elf/search.ts'
import { stubRefusal } from './entry/inject.ts'
import type { Progress } from './io/progress.ts'
import { list, lstat, pieces, readLink, realPath, stat, withFile } from './io/store.ts'
import type {
  Dependency,
  DependencyGraph,
  ElfFacts,
  Entry,
  FileNode,
  Finding,
  LinkMap,
  LinkNode,
  Package,
  PackageRoot,
  ScriptFacts,
  SourcePath,
  StubRefusal,
} from './model.ts'
import { storePathOf } from './nix/store-path.ts'
import { scanReferences } from './references/scan.ts'
import { parseShellWrapper, readBinaryWrapper, type Wrapper } from './script/wrapper.ts'
import { type Loader, Sources, storeHashes } from './sources.ts'
import { leftOut, walkTree } from './tree.ts'

/** A wrapper is small; a larger program or script is none. In bytes. */
const WRAPPER_MAX = 1 << 20
/** Store paths in the values that wrappers set: lists are joined by colons and the like. */
const STORE_PATHS = /\/nix\/store\/[0-9A-Za-z+\-._?=/]+/g

/**
 * The graph of all that the entries need.
 * @param roots packages that are known beforehand; the others are found by their store paths
 * @throws BundleError when an entry is no program, or a file cannot be read
 */
export function scan(entries: readonly Entry[], roots: readonly PackageRoot[], progress: Progress): DependencyGraph {
  const scanner = new Scanner(roots, progress)
  for (const { root, tree } of roots) if (tree) scanner.addTree(root)
  for (const entry of entries) scanner.addEntry(entry)
  scanner.run()
  return scanner.graph(entries)
}

class Scanner {
  readonly #sources = new Sources()
  readonly #roots: readonly PackageRoot[]
  readonly #progress: Progress
  readonly #hashes = storeHashes()
  readonly #files = new Map<SourcePath, FileNode>()
  readonly #links = new Map<SourcePath, LinkNode>()
  readonly #edges: Dependency[] = []
  readonly #edgeKeys = new Set<string>()
  readonly #findings: Finding[] = []
  readonly #linkMaps = new Map<SourcePath, LinkMap>()
  /** The first process in which an object was seen: what its names mean is asked there. */
  readonly #contexts = new Map<SourcePath, Process>()
  readonly #wrappers = new Map<SourcePath, Wrapper>()
  readonly #refusals = new Map<SourcePath, StubRefusal>()
  readonly #processes: Process[] = []
  readonly #pending: FileNode[] = []

  constructor(roots: readonly PackageRoot[], progress: Progress) {
    this.#roots = roots
    this.#progress = progress
  }

  addTree(root: SourcePath): void {
    for (const member of walkTree(root)) {
      if (member.type === 'file') this.#addFile(member.path)
      else if (member.type === 'link') this.#addLink(member.path)
      else this.#findings.push({ code: 'special-file', severity: 'warning', file: member.path })
    }
  }

  addEntry(entry: Entry): void {
    this.#add(entry.source)
    const path = realPath(entry.source)
    const node = this.#addFile(path)
    // What is typed has to run: here a damaged file is an error, in a tree it is data with a finding.
    if (node.facts.format === 'data')
      withFile(path, source => {
        if (isElf(source.read(0, 4))) parseElf(source, path)
      })
  }

  /** Resolves until nothing new comes in: programs first, for an object's names mean what they mean in a process. */
  run(): void {
    const objects: FileNode[] = []
    for (;;) {
      const node = this.#pending.shift()
      if (node !== undefined) {
        this.#progress.update(`reading ${this.#files.size} files`)
        if (node.facts.format === 'script') this.#followScript(node, node.facts)
        else if (node.facts.format === 'elf') {
          if (node.facts.program && node.facts.interp) this.#startProgram(node, node.facts)
          objects.push(node)
        }
        continue
      }
      const known = objects.findIndex(o => this.#contexts.has(o.path))
      const [object] = objects.splice(Math.max(known, 0), 1)
      if (!object) return
      this.#examine(object)
    }
  }

  graph(entries: readonly Entry[]): DependencyGraph {
    return {
      entries,
      packages: this.#packages(),
      files: new Map([...this.#files].sort(([a], [b]) => compare(a, b))),
      links: new Map([...this.#links].sort(([a], [b]) => compare(a, b))),
      edges: this.#edges,
      linkMaps: this.#linkMaps,
      loaders: new Map([...this.#sources.loaders].map(([path, { compiled }]) => [path, compiled])),
      wrappers: this.#wrappers,
      refusals: this.#refusals,
      hashes: this.#hashes,
      findings: [...this.#sources.findings, ...this.#judged(entries)],
    }
  }

  // ---- Files and links -----------------------------------------------------------------------------------------

  /** Adds what a path names: a link with what is at its end, or a file. */
  #add(path: SourcePath): void {
    if (lstat(path)?.type === 'link') this.#addLink(path)
    else this.#addFile(realPath(path))
  }

  #addFile(path: SourcePath): FileNode {
    const known = this.#files.get(path)
    if (known) return known
    const facts = this.#sources.facts(path)
    const status = stat(path)
    const node: FileNode = {
      path,
      size: status?.size ?? 0,
      executable: ((status?.mode ?? 0) & 0o111) !== 0,
      facts,
      references: withFile(path, source => scanReferences(pieces(source), this.#hashes)),
    }
    this.#files.set(path, node)
    this.#pending.push(node)
    return node
  }

  #addLink(path: SourcePath): void {
    if (this.#links.has(path)) return
    const text = readLink(path)
    const status = stat(path)
    if (status === null) {
      this.#findings.push({ code: 'link-broken', severity: 'warning', file: path, target: text })
      return
    }
    const target = realPath(path)
    if (storePathOf(path) !== null && storePathOf(target) === null) {
      this.#findings.push({ code: 'link-outside', severity: 'warning', file: path, target })
      return
    }
    this.#links.set(path, { path, target, text, directory: status.type === 'directory' })
    this.#edge({ from: path, kind: 'link', name: text, to: target, via: null })
    if (this.#roots.some(({ root, tree }) => tree && target.startsWith(`${root}/`))) return // the tree brings it
    if (status.type === 'directory') this.addTree(target)
    else if (status.type === 'file') this.#addFile(target)
  }

  // ---- Programs and what they load -----------------------------------------------------------------------------

  #startProgram(node: FileNode, facts: ElfFacts): void {
    const interp = facts.interp!.value
    const loader = this.#sources.loader(interp)
    if (loader === null) {
      this.#missing(interp, [node.path], 'error')
      return
    }
    this.#edge({ from: node.path, kind: 'interp', name: interp, to: loader.file.path, via: 'PT_INTERP' })
    this.#addFile(loader.file.path)
    if (node.size <= WRAPPER_MAX)
      this.#followWrapper(
        node.path,
        withFile(node.path, source => readBinaryWrapper(source.read(0, node.size))),
      )
    const refused = withFile(node.path, source => stubRefusal(source, facts))
    if (refused !== null) this.#refusals.set(node.path, refused)
    const process = this.#start({ path: node.path, facts }, loader)
    this.#linkMaps.set(node.path, process.linkMap)
    for (const { name, by } of process.missing) this.#missing(name, chainTo(process.linkMap, by), 'error')
  }

  #start(program: Opened, loader: Loader): Process {
    const process = new Process(program, loader.file, loader.settings, this.#sources)
    this.#processes.push(process)
    this.#admit(process)
    return process
  }

  /** Brings in every object of a process. */
  #admit(process: Process): void {
    for (const object of process.linkMap.objects) {
      this.#addFile(object.path)
      if (!this.#contexts.has(object.path)) this.#contexts.set(object.path, process)
    }
  }

  /** Follows what one object asks for: NEEDED by its own search, notes, sonames and paths in its read-only data. */
  #examine({ path, facts, references }: FileNode): void {
    if (facts.format !== 'elf' || [...this.#sources.loaders.values()].some(l => l.file.path === path)) return
    const process = this.#contexts.get(path) ?? this.#adopt({ path, facts })
    if (process === null) return
    for (const { value: name } of facts.needed) {
      const own = process.ownChoice(name, path)
      const to = own?.path ?? process.loaded(name) ?? null
      if (to === null) continue
      this.#edge({ from: path, kind: 'needed', name, to, via: own?.via ?? 'already loaded' })
      this.#addFile(to)
      if (own) this.#addVariants(path, name, own.opened, facts)
    }
    const noted = new Map(facts.dlopenNotes.flatMap(note => note.sonames.map(name => [name, note.priority] as const)))
    for (const note of facts.dlopenNotes) {
      if (note.priority === 'suggested') continue
      const found = note.sonames.filter(name => this.#follow(process, path, name))
      if (found.length === 0 && note.sonames.length > 0)
        this.#findings.push({
          code: 'dlopen-missing',
          severity: 'warning',
          file: path,
          name: note.sonames.join(' or '),
          priority: note.priority,
        })
    }
    for (const name of withFile(path, source => sonameStrings(source, facts)))
      if (!noted.has(name) && name !== facts.soname?.value) this.#follow(process, path, name)
    for (const reference of references)
      if (reference.offset !== facts.interp?.offset && !inDynstr(facts, reference.offset))
        this.#followPath(path, facts, reference.text)
  }

  /** A dlopen of `name` by the object at `from`; false when nothing is found. */
  #follow(process: Process, from: SourcePath, name: string): boolean {
    const found = process.ownChoice(name, from)
    if (!found) return false
    this.#edge({ from, kind: 'dlopen', name, to: found.path, via: found.via })
    const before = process.missing.length
    process.dlopen(name, from)
    for (const missing of process.missing.slice(before)) this.#missing(missing.name, [from, missing.by], 'warning')
    this.#admit(process)
    this.#addFile(found.path)
    return true
  }

  /**
   * What an object names by its full store path: a shared object that it opens, or a data file that it reads. Programs
   * and directories are not followed: they are mostly what the build was configured with.
   */
  #followPath(from: SourcePath, facts: ElfFacts, name: string): void {
    const store = storePathOf(name)
    if (store === null || stat(name)?.type !== 'file' || leftOut(name.slice(store.root.length + 1)) !== null) return
    const object = this.#sources.open(name)
    const program = object
      ? object.facts.program || !sameMachine(object.facts, facts)
      : (stat(name)!.mode & 0o111) !== 0
    if (program) return
    this.#edge({ from, kind: object ? 'dlopen' : 'reference', name, to: realPath(name), via: 'path' })
    this.#add(inRealDirectory(name))
  }

  /**
   * An object that no process loads (a plugin in a tree): looked at as if it were loaded by itself, and where that is
   * not enough as opened by a program, whose RPATH it inherits.
   */
  #adopt(object: Opened): Process | null {
    const loader = [...this.#sources.loaders.values()].find(l => sameMachine(l.file.facts, object.facts))
    if (!loader || object.facts.type !== ET.dyn) return null
    const alone = new Process(object, loader.file, loader.settings, this.#sources)
    // Whoever loads it may have brought a name along.
    const missing = alone.missing.filter(({ name }) => !this.#processes.some(p => p.loaded(name) !== undefined))
    const host = missing.length === 0 ? undefined : this.#processes.find(p => opens(p, object.path))
    if (!host) for (const { name, by } of missing) this.#missing(name, [object.path, by], 'warning')
    this.#admit(host ?? alone)
    return host ?? alone
  }

  /** The variants of a library for newer CPUs (ld.so(8), "glibc-hwcaps"): all of them come along. */
  #addVariants(from: SourcePath, name: string, opened: string, facts: ElfFacts): void {
    const directory = `${opened.slice(0, opened.lastIndexOf('/'))}/glibc-hwcaps`
    if (stat(directory)?.type !== 'directory') return
    for (const level of list(directory)) {
      const variant = this.#sources.open(`${directory}/${level}/${name}`)
      if (!variant || !sameMachine(variant.facts, facts)) continue
      this.#edge({
        from,
        kind: 'variant',
        name: `glibc-hwcaps/${level}/${name}`,
        to: variant.path,
        via: 'glibc-hwcaps',
      })
      this.#addFile(variant.path)
    }
  }

  /** What a script needs to run: the interpreter of its `#!` line, and what it wraps. */
  #followScript({ path, size, executable }: FileNode, facts: ScriptFacts): void {
    const name = facts.interpreter.value
    if (!executable || storePathOf(name) === null) return
    if (size <= WRAPPER_MAX)
      this.#followWrapper(path, parseShellWrapper(withFile(path, source => source.read(0, size).toString('latin1'))))
    if (stat(name)?.type !== 'file') {
      this.#missing(name, [path], 'warning')
      return
    }
    this.#edge({ from: path, kind: 'shebang', name, to: realPath(name), via: 'shebang' })
    this.#add(inRealDirectory(name))
  }

  /** The program that a wrapper runs, and the files and directories that it names for it. */
  #followWrapper(from: SourcePath, wrapper: Wrapper | null): void {
    if (wrapper === null || stat(wrapper.program)?.type !== 'file') return
    this.#wrappers.set(from, wrapper)
    const { program, environment, before, after, directory } = wrapper
    this.#edge({ from, kind: 'wrapper', name: program, to: realPath(program), via: 'wrapper' })
    this.#add(inRealDirectory(program))
    const texts = [...before, ...after, ...environment.map(e => (e.op === 'unset' ? '' : e.value)), directory ?? '']
    for (const [name] of texts.join('\n').matchAll(STORE_PATHS)) {
      const store = storePathOf(name)
      // The bare root of a package says nothing of what is wanted of it.
      if (store === null || store.root === name || leftOut(name.slice(store.root.length + 1)) !== null) continue
      const type = stat(name)?.type
      if (type === undefined || type === 'special') continue
      this.#edge({ from, kind: 'reference', name, to: realPath(name), via: 'wrapper' })
      if (type === 'directory') this.addTree(realPath(name))
      else this.#add(inRealDirectory(name))
    }
  }

  // ---- Book-keeping --------------------------------------------------------------------------------------------

  #edge(edge: Dependency): void {
    const key = `${edge.kind}\0${edge.from}\0${edge.name}\0${edge.to}`
    if (this.#edgeKeys.has(key)) return
    this.#edgeKeys.add(key)
    this.#edges.push(edge)
  }

  #missing(name: string, chain: readonly SourcePath[], severity: 'error' | 'warning'): void {
    const file = chain.at(-1)!
    if (this.#findings.some(f => f.code === 'library-missing' && f.file === file && f.name === name)) return
    this.#findings.push({ code: 'library-missing', severity, file, name, chain })
  }

  /**
   * The findings; a library that is missing is an error only for what is started: an entry, or what an entry's wrapper or
   * `#!` line names. Any other program of a tree did not start before either, and nobody asked for it.
   */
  #judged(entries: readonly Entry[]): Finding[] {
    const started = new Set(entries.map(entry => realPath(entry.source)))
    for (const { kind, to } of this.#edges)
      if (to !== null && (kind === 'wrapper' || kind === 'shebang')) started.add(to)
    return this.#findings.map(finding =>
      finding.code === 'library-missing' && !started.has(finding.chain[0] as SourcePath)
        ? { ...finding, severity: 'warning' }
        : finding,
    )
  }

  /** The packages that files were taken from: own trees in the order given, then the others by path. */
  #packages(): Package[] {
    const roots = new Map<SourcePath, Package>()
    for (const { root, name, tree } of this.#roots)
      roots.set(root, { root, name, hash: storePathOf(root)?.hash ?? null, tree })
    for (const path of [...this.#files.keys(), ...this.#links.keys()].sort(compare)) {
      if ([...roots.keys()].some(root => path === root || path.startsWith(`${root}/`))) continue
      const root = (storePathOf(path)?.root ?? path.slice(0, path.lastIndexOf('/'))) as SourcePath
      const name = storePathOf(root)?.name ?? (root.slice(root.lastIndexOf('/') + 1) || 'root')
      roots.set(root, { root, name, hash: storePathOf(root)?.hash ?? null, tree: false })
    }
    return [...roots.values()]
  }
}

/** A path whose directory is free of links; its last component may be one. */
const inRealDirectory = (path: string): SourcePath =>
  (realPath(path.slice(0, path.lastIndexOf('/'))) + path.slice(path.lastIndexOf('/'))) as SourcePath

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

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
