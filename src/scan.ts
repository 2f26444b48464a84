/**
 * Stage 2: from entries to the graph of everything they need. Reads, classifies, parses and resolves. Each file is read
 * once and its facts never change.
 *
 * A file comes in as a member of a bundled package's tree, as an object of a program's link map (processes.ts), as the
 * interpreter of a script, as the far end of a link, or because a file that is in already names it by its store path and
 * the table of references/follow.ts says so.
 */
import { machinePaths, readMembers, readReferences, readWrapper, splitHashes } from './contents.ts'
import { isElf, parseElf } from './elf/parse.ts'
import { type Strip, strip } from './elf/strip.ts'
import { isStatic, stubRefusal } from './entry/inject.ts'
import { type Brought, licences, provide } from './extras.ts'
import { Images } from './images.ts'
import type { Progress } from './io/progress.ts'
import { lstat, readLink, realPath, stat, withFile } from './io/store.ts'
import { directoryOf } from './layout.ts'
import { isMachOProgram } from './macho/facts.ts'
import { holdsMachO, parseMachO } from './macho/parse.ts'
import type {
  Dependency,
  DependencyGraph,
  Entry,
  Extra,
  FileNode,
  Finding,
  LinkNode,
  Package,
  PackageRoot,
  Reference,
  ScanOptions,
  SourcePath,
  StubRefusal,
  Traced,
  Verdict,
} from './model.ts'
import { storePathOf } from './nix/store-path.ts'
import { Processes } from './processes.ts'
import { leftOut } from './references/follow.ts'
import { globs } from './references/glob.ts'
import { languageOf } from './script/language.ts'
import { PYC_HEAD } from './script/pyc.ts'
import type { Wrapper } from './script/wrapper.ts'
import { Sources, storePaths } from './sources.ts'
import { walkTree } from './tree.ts'
import { Verdicts } from './verdicts.ts'

/** The bits of a file's mode by which a program runs with the rights of its owner or group. */
const SET_ID = 0o6000

/** What every program has and does without: locales, character sets. */
const C_LIBRARY = /\/(?:ld-[^/]*|libc)\.so[^/]*$/

/** A larger script is data. In bytes. */
const SCRIPT_MAX = 4 << 20

/**
 * The graph of all that the entries need.
 * @param roots packages that are known beforehand; the others are found by their store paths
 * @throws BundleError when an entry is no program, or a file cannot be read
 */
export function scan(
  entries: readonly Entry[],
  roots: readonly PackageRoot[],
  options: ScanOptions,
  progress: Progress,
): DependencyGraph {
  const scanner = new Scanner(roots, options, progress)
  for (const { root, tree } of roots) if (tree) scanner.addTree(root)
  for (const entry of entries) scanner.addEntry(entry)
  for (const opened of options.traced) scanner.addTraced(opened)
  scanner.run()
  scanner.addExtras()
  return scanner.graph(entries)
}

class Scanner {
  readonly #sources = new Sources()
  readonly #options: ScanOptions
  readonly #progress: Progress
  /** Every store path of this machine by its hash. */
  readonly #store = storePaths()
  readonly #roots: readonly PackageRoot[]
  /** Packages whose own tree comes along. */
  readonly #trees = new Set<SourcePath>()
  readonly #excluded: (path: string) => boolean
  readonly #files = new Map<SourcePath, FileNode>()
  readonly #links = new Map<SourcePath, LinkNode>()
  readonly #texts = new Map<SourcePath, string>()
  readonly #pycs = new Map<SourcePath, Buffer>()
  readonly #split = new Map<SourcePath, ReadonlySet<string>>()
  readonly #edges: Dependency[] = []
  readonly #edgeKeys = new Set<string>()
  readonly #findings: Finding[] = []
  readonly #wrappers = new Map<SourcePath, Wrapper>()
  readonly #refusals = new Map<SourcePath, StubRefusal>()
  readonly #extras: Extra[] = []
  readonly #queue: FileNode[] = []
  /** Directories that were brought because they are named. */
  readonly #brought = new Set<SourcePath>()
  readonly #verdicts: Verdicts
  readonly #processes = new Processes(this.#sources, {
    file: path => void this.#addFile(path),
    edge: edge => this.#edge(edge),
  })

  readonly #images = new Images(
    { open: path => this.#sources.openMachO(path) },
    { file: path => void this.#addImage(path), edge: edge => this.#edge(edge) },
  )

  constructor(roots: readonly PackageRoot[], options: ScanOptions, progress: Progress) {
    this.#roots = roots
    this.#options = options
    this.#progress = progress
    const matches = globs(options.exclude)
    this.#excluded = path => matches(withoutHash(path))
    this.#verdicts = new Verdicts(this.#sources, this.#store, options.data, this.#excluded)
    for (const { root, tree } of roots) if (tree) this.#trees.add(root)
  }

  /** Adds what lies below a directory of a package. */
  addTree(root: SourcePath, only?: RegExp): void {
    const { data } = this.#options
    const packageRoot = storePathOf(root)?.root ?? root
    const wanted = (path: string): boolean =>
      !this.#excluded(path) && (data === 'all' || leftOut(path.slice(packageRoot.length + 1)) === null)
    for (const { path, type } of walkTree(root, wanted)) {
      if (only && !only.test(path.slice(root.length + 1))) continue
      if (type === 'link') this.#addLink(path)
      else if (type === 'special') this.#findings.push({ code: 'special-file', severity: 'warning', file: path })
      else if (data !== 'none' || this.#sources.facts(path).format !== 'data') this.#addFile(path)
    }
  }

  addEntry(entry: Entry): void {
    this.#add(entry.source)
    const path = realPath(entry.source)
    const node = this.#addFile(path)
    // A store has none of these, a machine has.
    if (((stat(path)?.mode ?? 0) & SET_ID) !== 0)
      this.#findings.push({ code: 'set-id-dropped', severity: 'warning', file: path })
    // What is typed has to run: here a damaged file is an error, in a tree it is data with a finding.
    if (node.facts.format === 'data')
      withFile(path, source => {
        if (isElf(source.read(0, 4))) parseElf(source, path)
        else if (holdsMachO(source)) parseMachO(source, path)
      })
  }

  /** Adds what a program was seen to open. */
  addTraced({ file, program }: Traced): void {
    if (this.#excluded(file)) return
    const to = realPath(file)
    this.#add(inRealDirectory(file))
    const facts = this.#sources.facts(to)
    // A program that is gone by now, such as one that a test has made, opened what it opened.
    const from = program === null || stat(program) === null ? to : realPath(program)
    // What a loader finds by its soname lies in lib/; all else where its path says.
    const bySoname =
      facts.format === 'elf' && !facts.program && facts.soname !== null && /\/lib(?:64|32)?$/.test(directoryOf(file))
    if (bySoname) this.#edge({ from, kind: 'dlopen', name: facts.soname!.value, to, via: 'trace' })
    else this.#edge({ from, kind: 'trace', name: file, to, via: 'trace' })
  }

  /** Resolves until nothing new comes in: programs first, for an object's names mean what they mean in a process. */
  run(): void {
    const objects: FileNode[] = []
    const images: FileNode[] = []
    for (;;) {
      const node = this.#queue.shift()
      if (node !== undefined) {
        this.#progress.update(`reading ${this.#files.size} files`)
        this.#follow(node)
        if (node.facts.format === 'elf') objects.push(node)
        else if (node.facts.format === 'macho') images.push(node)
        continue
      }
      const known = objects.findIndex(o => this.#processes.knows(o.path))
      const [object] = objects.splice(Math.max(known, 0), 1)
      const image = object ? undefined : images.shift()
      if (object) this.#processes.examine(object)
      else if (image) this.#images.examine(image)
      else if (!this.#settleConditions() && !this.#addIncluded()) return
    }
  }

  /** Adds what was asked for by kind, once it is known what the bundle holds. */
  addExtras(): void {
    const add = ({ brought, findings }: { brought: readonly Brought[]; findings: readonly Finding[] }): void => {
      this.#findings.push(...findings)
      for (const b of brought) this.#extras.push({ ...b, node: b.link === null ? this.#read(b.from) : null })
    }
    if (this.#options.licenses) add(licences(this.#packages()))
    for (const kind of this.#options.with)
      add(
        provide(
          kind,
          [...this.#packages().map(p => p.root), ...this.#store.values()],
          [...this.#files.values()].flatMap(({ references }) => references),
        ),
      )
  }

  graph(entries: readonly Entry[]): DependencyGraph {
    const started = new Set(entries.map(entry => realPath(entry.source)))
    const machineData = this.#machineData(started)
    for (const { kind, to } of this.#edges)
      if (to !== null && (kind === 'wrapper' || kind === 'shebang')) started.add(to)
    return {
      entries,
      extras: this.#extras,
      packages: this.#packages(),
      files: new Map([...this.#files].sort(([a], [b]) => compare(a, b))),
      links: new Map([...this.#links].sort(([a], [b]) => compare(a, b))),
      edges: this.#edges,
      linkMaps: this.#processes.linkMaps,
      copies: this.#processes.copies,
      images: this.#images.linkMaps,
      loaders: new Map([...this.#sources.loaders].map(([path, { compiled }]) => [path, compiled])),
      wrappers: this.#wrappers,
      refusals: this.#refusals,
      texts: this.#texts,
      pycs: this.#pycs,
      split: this.#split,
      strips: this.#options.strip ? this.#strips() : new Map(),
      hashes: new Set(this.#store.keys()),
      findings: [
        ...this.#sources.findings,
        ...this.#findings,
        ...machineData,
        ...this.#processes.findings(started),
        ...this.#images.findings(started),
        ...(this.#options.strip ? this.#notStripped() : []),
      ],
    }
  }

  /** What programs of this machine name of its files; what their libraries name is much, and seldom missed: a note. */
  #machineData(started: ReadonlySet<SourcePath>): Finding[] {
    const files = new Set<SourcePath>()
    for (const path of started) {
      const facts = this.#files.get(path)?.facts
      if (facts?.format !== 'elf' || !facts.interp || storePathOf(facts.interp.value) !== null) continue
      files.add(path)
      for (const object of this.#processes.linkMaps.get(path)?.objects ?? [])
        if (!C_LIBRARY.test(object.path)) files.add(object.path)
    }
    return [...files].flatMap((file): Finding[] => {
      const paths = machinePaths(file)
      const severity = started.has(file) ? 'warning' : 'note'
      return paths.length === 0 ? [] : [{ code: 'machine-data', severity, file, paths }]
    })
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
    const node = this.#read(path)
    this.#files.set(path, node)
    this.#queue.push(node)
    return node
  }

  #read(path: SourcePath): FileNode {
    const facts = this.#sources.facts(path)
    const status = stat(path)
    const size = status?.size ?? 0
    const executable = ((status?.mode ?? 0) & 0o111) !== 0
    const { references, text } = readReferences(path, this.#store)
    const wrapper = executable ? readWrapper(path, facts, size) : null
    if (wrapper) this.#wrappers.set(path, wrapper)
    // Whatever names the store may turn out to be a part of a script; of shell scripts all that they source is known then.
    if (text && size <= SCRIPT_MAX && (references.length > 0 || languageOf(path, facts) === 'shell'))
      this.#texts.set(
        path,
        withFile(path, source => source.read(0, size).toString('latin1')),
      )
    const split = facts.format === 'elf' ? splitHashes(path, references) : new Set<string>()
    if (split.size > 0) this.#split.set(path, split)
    if (path.endsWith('.pyc'))
      this.#pycs.set(
        path,
        withFile(path, source => source.read(0, PYC_HEAD)),
      )
    const judge = (reference: Reference): Verdict => this.#verdicts.of(path, facts, wrapper !== null, reference)
    const members = facts.format === 'macho' ? [] : readMembers(path, facts, this.#store, this.#findings)
    return {
      path,
      size,
      executable,
      facts,
      text,
      references,
      verdicts: references.map(judge),
      members: members.map(member => ({ ...member, verdicts: member.references.map(judge) })),
    }
  }

  /** What lies in a framework or an application comes with all of it: its resources are found from there. */
  #addImage(path: SourcePath): void {
    this.#addFile(path)
    const whole = /^.*?\.(?:framework|app)(?=\/)/.exec(path)?.[0]
    if (whole !== undefined && storePathOf(whole) !== null) this.#bring(whole as SourcePath)
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
    const owner = storePathOf(target)?.root as SourcePath | undefined
    if (owner !== undefined && owner !== target && this.#trees.has(owner)) return // the tree brings it
    if (status.type === 'directory') this.addTree(target)
    else if (status.type === 'file') this.#addFile(target)
  }

  // ---- References ----------------------------------------------------------------------------------------------

  /** Brings what a file needs: the program that it starts, what it names. */
  #follow(node: FileNode): void {
    const { path, facts } = node
    const wrapper = this.#wrappers.get(path)
    if (facts.format === 'elf' && facts.program && (facts.interp || isStatic(facts))) {
      const refused = withFile(path, source => stubRefusal(source, facts))
      if (refused !== null) this.#refusals.set(path, refused)
      if (facts.interp) this.#processes.start(path, facts)
    }
    if (isMachOProgram(facts)) this.#images.start(path, facts)
    if (facts.format === 'script' && node.executable && !(wrapper && this.#options.launchers))
      this.#followShebang(path, facts.interpreter.value)
    if (wrapper) {
      this.#edge({ from: path, kind: 'wrapper', name: wrapper.program, to: realPath(wrapper.program), via: 'wrapper' })
      this.#add(inRealDirectory(wrapper.program))
    }
    const named = [node, ...node.members].flatMap(({ references, verdicts }) =>
      verdicts.map((verdict, i) => ({ ...verdict, name: references[i]!.text })),
    )
    for (const { rule, target, followed, name } of named) {
      if (!followed || target === null) continue
      const object = this.#sources.isObject(target, facts)
      this.#edge({ from: path, kind: object ? 'dlopen' : 'reference', name, to: realPath(target), via: rule })
      this.#bring(target)
    }
  }

  /** Adds a file, a directory with all below it, or a whole package. */
  #bring(target: SourcePath): void {
    if (stat(target)?.type !== 'directory') {
      this.#add(inRealDirectory(target))
      return
    }
    if (this.#brought.has(target) || this.#trees.has(target)) return
    this.#brought.add(target)
    if (storePathOf(target)?.root === target) this.#trees.add(target)
    // A link on the way is a name that the program uses: it comes along.
    if (lstat(target)?.type === 'link') this.#addLink(target)
    this.addTree(realPath(target))
  }

  #followShebang(path: SourcePath, name: string): void {
    if (storePathOf(name) === null) return
    if (stat(name)?.type !== 'file') {
      this.#processes.missing(name, [path], 'error')
      return
    }
    this.#edge({ from: path, kind: 'shebang', name, to: realPath(name), via: 'shebang' })
    this.#add(inRealDirectory(name))
  }

  #included = false

  /** Brings what waited for functions that the bundle's objects import by now; false when nothing came of it. */
  #settleConditions(): boolean {
    const before = this.#files.size
    for (const { target, only } of this.#verdicts.settle(this.#files.values())) {
      if (stat(target)?.type === 'directory') this.addTree(realPath(target), only)
      else this.#add(inRealDirectory(target))
    }
    return this.#files.size > before
  }

  /** Brings what `--include` names of the packages that the bundle's files refer to; false when nothing came of it. */
  #addIncluded(): boolean {
    if (this.#included) return false
    this.#included = true
    const before = this.#files.size + this.#links.size
    const roots = new Set<string>(this.#roots.map(({ root }) => root))
    for (const { references } of this.#files.values())
      for (const { hash } of references) {
        const root = hash === null ? undefined : this.#store.get(hash)
        if (root !== undefined) roots.add(root)
      }
    for (const glob of this.#options.include) {
      const matches = globs([glob])
      let found = false
      for (const root of [...roots].sort())
        for (const { path, type } of walkTree(root as SourcePath, () => true)) {
          if (type === 'special' || !matches(withoutHash(path))) continue
          found = true
          this.#add(path)
        }
      if (!found) this.#findings.push({ code: 'include-nothing', severity: 'warning', file: glob, glob })
    }
    return this.#files.size + this.#links.size > before
  }

  /** How objects are stripped; the C library and its loader keep what debuggers and valgrind know them by. */
  #strips(): Map<SourcePath, Strip> {
    const libcs = new Set([...this.#sources.loaders.keys()].map(directoryOf))
    const strips = new Map<SourcePath, Strip>()
    for (const { path, facts } of this.#files.values()) {
      if (facts.format !== 'elf' || libcs.has(directoryOf(path))) continue
      const how = withFile(path, source => strip(source, facts))
      if (how !== null) strips.set(path, how)
    }
    return strips
  }

  #notStripped(): Finding[] {
    const count = [...this.#files.values()].filter(({ facts }) => facts.format === 'macho').length
    return count === 0 ? [] : [{ code: 'strip-nothing', severity: 'warning', file: '--strip', count }]
  }

  // ---- Book-keeping --------------------------------------------------------------------------------------------

  #edge(edge: Dependency): void {
    const key = `${edge.kind}\0${edge.from}\0${edge.name}\0${edge.to}`
    if (this.#edgeKeys.has(key)) return
    this.#edgeKeys.add(key)
    this.#edges.push(edge)
  }

  /** The packages that files were taken from: own trees in the order given, then the others by path. */
  #packages(): Package[] {
    const roots = new Map<SourcePath, Package>()
    for (const { root, name, tree } of this.#roots)
      roots.set(root, { root, name, hash: storePathOf(root)?.hash ?? null, tree })
    const places = this.#extras.flatMap(e => (e.package === null ? [] : [e.package]))
    for (const path of [...this.#files.keys(), ...this.#links.keys(), ...places].sort(compare)) {
      const store = storePathOf(path)
      const root = (store?.root ?? path.slice(0, path.lastIndexOf('/'))) as SourcePath
      if (roots.has(root) || (!store && [...roots.keys()].some(r => path === r || path.startsWith(`${r}/`)))) continue
      const name = store?.name ?? (root.slice(root.lastIndexOf('/') + 1) || 'root')
      roots.set(root, { root, name, hash: store?.hash ?? null, tree: this.#trees.has(root) })
    }
    return [...roots.values()]
  }
}

/** A path without store directory and hash, as `--include` and `--exclude` know it. */
const withoutHash = (path: string): string => {
  const store = storePathOf(path)
  return store ? store.name + path.slice(store.root.length) : path.replace(/^\//, '')
}

/** A path whose directory is free of links; its last component may be one. */
const inRealDirectory = (path: string): SourcePath =>
  (realPath(path.slice(0, path.lastIndexOf('/'))) + path.slice(path.lastIndexOf('/'))) as SourcePath

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
