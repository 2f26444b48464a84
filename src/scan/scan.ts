/**
 * Stage 2: from entries to the graph of everything they need. Reads, classifies, parses and resolves. Each file is read
 * once and its facts never change.
 *
 * A file comes in as a member of a bundled package's tree, as an object of a program's link map (ld-so.ts), as the
 * interpreter of a script, as the far end of a link, or because a file that is in already names it by its store path and
 * the table of references/follow.ts says so.
 */

import { isStatic, type StubRefusal, stubRefusal } from '../entry/inject.ts'
import { takesSidecar } from '../entry/sidecar.ts'
import type { Located } from '../io/bytes.ts'
import type { Progress } from '../io/progress.ts'
import { realPath, remembering, stat, withFile } from '../io/store.ts'
import { isMachOProgram } from '../macho/facts.ts'
import type { DependencyGraph, Evidence, FileNode, ScanOptions } from '../model/graph.ts'
import type { Entry, PackageRoot } from '../model/target.ts'
import { storePathOf } from '../nix/store-path.ts'
import { baseName, type SourcePath } from '../paths.ts'
import { globs } from '../references/glob.ts'
import type { Reference } from '../references/reference.ts'
import type { ScriptFacts } from '../script/facts.ts'
import { startedBy } from '../script/shebang.ts'
import { Asking } from './asking.ts'
import { lookedForBeside } from './beside.ts'
import { dpkgBrings } from './dpkg.ts'
import { Images } from './dyld.ts'
import { Edges, here } from './edges.ts'
import { Files } from './files.ts'
import { shownHashes } from './hashes.ts'
import { Holdings, inRealDirectory } from './holdings.ts'
import { Processes } from './ld-so.ts'
import { machineData, machineRoot, withMachineRoots } from './machine-data.ts'
import { withoutHash } from './packages.ts'
import { Sources } from './sources.ts'
import { notStripped, strips } from './strips.ts'
import { addTypelibs } from './typelibs.ts'
import { Verdicts } from './verdicts.ts'

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
  return remembering(() => {
    const onMachine = options.data === 'all' ? entries.flatMap(({ source }) => dpkgBrings(realPath(source))) : []
    const scanner = new Scanner(onMachine.length > 0 ? withMachineRoots(roots) : roots, options, progress)
    const { asking } = scanner
    for (const root of roots) if (root.tree) asking.addTarget(root)
    for (const entry of entries) asking.addEntry(entry)
    if (options.data === 'all') for (const root of options.closure) asking.addPackage(root)
    asking.addMachine(onMachine)
    for (const opened of options.traced) asking.addTraced(opened)
    scanner.run()
    asking.addExtras()
    scanner.addHashes()
    return scanner.graph(entries)
  })
}

class Scanner {
  readonly #sources = new Sources()
  readonly #options: ScanOptions
  readonly #progress: Progress
  readonly #excluded: (path: string) => boolean
  readonly #edges = new Edges()
  #hashes: ReadonlySet<string> = new Set()
  readonly #refusals = new Map<SourcePath, StubRefusal>()
  readonly #sidecars = new Map<SourcePath, StubRefusal>()
  readonly #verdicts: Verdicts
  readonly #reader: Files
  readonly #held: Holdings
  readonly asking: Asking
  readonly #processes = new Processes(this.#sources, {
    file: path => void this.#held.addFile(path),
    edge: edge => this.#edges.add(edge),
  })

  readonly #images = new Images(
    { open: path => this.#sources.openMachO(path) },
    { file: path => void this.#addImage(path), edge: edge => this.#edges.add(edge) },
  )

  constructor(roots: readonly PackageRoot[], options: ScanOptions, progress: Progress) {
    this.#options = options
    this.#progress = progress
    const matches = globs(options.exclude)
    this.#excluded = path => options.without.has(path as SourcePath) || matches(withoutHash(path))
    this.#verdicts = new Verdicts(this.#sources, options.data, this.#excluded)
    this.#reader = new Files(this.#sources, this.#verdicts)
    const trees = roots.filter(({ tree }) => tree).map(({ root }) => root)
    this.#held = new Holdings(
      this.#sources,
      this.#reader,
      this.#edges,
      { data: options.data, excluded: this.#excluded },
      trees,
    )
    this.asking = new Asking(roots, options, {
      sources: this.#sources,
      reader: this.#reader,
      held: this.#held,
      edges: this.#edges,
      verdicts: this.#verdicts,
      excluded: this.#excluded,
    })
  }

  /** Resolves until nothing new comes in: programs first, for an object's names mean what they mean in a process. */
  run(): void {
    const objects: FileNode[] = []
    const images: FileNode[] = []
    for (;;) {
      const node = this.#held.next()
      if (node !== undefined) {
        this.#progress.update(`reading ${this.#held.files.size} files`)
        this.#follow(node)
        if (node.facts.format === 'elf') objects.push(node)
        else if (node.facts.format === 'macho') images.push(node)
        continue
      }
      const known = objects.findIndex(o => this.#processes.knows(o.path))
      const [object] = objects.splice(Math.max(known, 0), 1)
      const image = object ? undefined : images.shift()
      if (object) this.#processes.examine(object, this.#reader.sonames.get(object.path) ?? [])
      else if (image) this.#images.examine(image)
      else if (!this.#settleConditions() && !this.#bringBeside() && !this.asking.addIncluded()) return
    }
  }

  /** Finds the hashes that stand alone: of the closure as it is known by now, whatever else the machine's store holds. */
  addHashes(): void {
    const nodes = [...this.#held.files.values(), ...this.asking.extras.flatMap(({ node }) => node ?? [])]
    const links = [...this.#held.links.values()].map(({ text }) => text)
    this.#hashes = shownHashes(
      [...this.asking.packages(), ...this.#options.closure.map(root => ({ root }))],
      nodes,
      links,
    )
    for (const [path, node] of this.#held.files) this.#held.files.set(path, this.#reader.withHashes(node, this.#hashes))
    for (const [i, extra] of this.asking.extras.entries())
      if (extra.node) this.asking.extras[i] = { ...extra, node: this.#reader.withHashes(extra.node, this.#hashes) }
  }

  graph(entries: readonly Entry[]): DependencyGraph {
    const started = new Set(entries.map(entry => realPath(entry.source)))
    const onMachine = machineData(started, this.#held, this.#processes.linkMaps)
    this.#edges.addConditions(this.#verdicts.conditions(this.#held.files.values()))
    this.#edges.addMembers(this.#held.files, this.#held.links)
    this.#edges.addLoaded(this.#processes.linkMaps.values())
    addTypelibs(this.#reader.typelibs, this.#held.files, this.#edges)
    for (const { kind, to } of this.#edges.all)
      if (to !== null && (kind === 'wrapper' || kind === 'shebang')) started.add(to)
    return {
      entries,
      extras: this.asking.extras,
      packages: this.asking.packages(),
      files: sorted(this.#held.files),
      links: sorted(this.#held.links),
      empty: [...this.#held.empty].sort(),
      edges: this.#edges.all,
      asked: this.#edges.asked,
      linkMaps: this.#processes.linkMaps,
      copies: this.#processes.copies,
      images: this.#images.linkMaps,
      loaders: new Map([...this.#sources.loaders].map(([path, { compiled }]) => [path, compiled])),
      wrappers: this.#reader.wrappers,
      refusals: this.#refusals,
      sidecars: this.#sidecars,
      texts: this.#reader.texts,
      pycs: this.#reader.pycs,
      typelibs: this.#reader.typelibs,
      split: this.#reader.split,
      strips: this.#options.strip ? strips(this.#held.files.values(), this.#sources.loaders.keys()) : new Map(),
      hashes: this.#hashes,
      owners: new Map(),
      findings: [
        ...this.#sources.findings,
        ...this.#reader.findings,
        ...this.asking.findings,
        ...this.#held.findings,
        ...onMachine,
        ...(this.#options.data === 'all' ? machineRoot(this.#held) : []),
        ...this.#processes.findings(started, this.#held.files),
        ...this.#images.findings(started),
        ...(this.#options.strip ? notStripped(this.#held.files.values()) : []),
      ],
    }
  }

  // ---- Files and links -----------------------------------------------------------------------------------------

  /** What lies in a framework or an application comes with all of it: its resources are found from there. */
  #addImage(path: SourcePath): void {
    this.#held.addFile(path)
    const whole = /^.*?\.(?:framework|app)(?=\/)/.exec(path)?.[0]
    if (whole === undefined || storePathOf(whole) === null) return
    this.#edges.add({ from: path, kind: 'image', name: baseName(whole), to: whole as SourcePath, via: null })
    this.#held.bring(whole as SourcePath)
  }

  // ---- References ----------------------------------------------------------------------------------------------

  /** Brings what a file needs: the program that it starts, what it names. */
  #follow(node: FileNode): void {
    const { path, facts } = node
    const wrapper = this.#reader.wrappers.get(path)
    if (facts.format === 'elf' && facts.program && (facts.interp || isStatic(facts))) {
      withFile(path, source => {
        const refused = stubRefusal(source, facts)
        if (refused === null) return
        const others = takesSidecar(source, facts, refused) ? this.#sidecars : this.#refusals
        others.set(path, refused)
      })
      if (facts.interp) this.#processes.start(path, facts)
    }
    if (isMachOProgram(facts)) this.#images.start(path, facts)
    if (facts.format === 'script' && node.executable && !(wrapper && this.#options.launchers))
      this.#followShebang(path, this.#interpreterOf(node, facts))
    if (wrapper) {
      const { program: name } = wrapper
      const at = node.references.filter(r => r.text === name).map(evidence(null))
      this.#edges.add({ from: path, kind: 'wrapper', name, to: realPath(name), via: 'wrapper', at })
      this.#held.addNamed(name)
      this.#held.throughLinks(name, { from: path, name, via: 'wrapper', at })
      this.#held.standsAlone(realPath(name))
    }
    // Most files name nothing.
    if (node.references.length + node.members.length === 0) return
    const parts = [{ ...node, names: null }, ...node.members]
    const references = parts.flatMap(({ names, references, verdicts }) =>
      verdicts.map((verdict, i) => ({ ...verdict, name: references[i]!.text, at: evidence(names)(references[i]!) })),
    )
    for (const { rule, target, others, followed, name, at } of references) {
      if (!followed || target === null) continue
      for (const named of [target, ...(others ?? [])]) {
        const kind = this.#sources.isObject(named, facts) ? 'dlopen' : 'reference'
        this.#edges.add({ from: path, kind, name, to: realPath(named), via: rule, at: [at] })
        this.#held.bring(named)
        this.#held.throughLinks(named, { from: path, name, via: rule, at: [at] })
      }
    }
  }

  /** What runs a script: where launchers do without it, env is not needed. */
  #interpreterOf({ references }: FileNode, facts: ScriptFacts): Pick<Located, 'value' | 'offset'> {
    const { program } = startedBy(facts)
    if (!this.#options.launchers || program === facts.interpreter.value) return facts.interpreter
    return { value: program, offset: references.find(r => r.text === program)?.offset ?? facts.interpreter.offset }
  }

  #followShebang(path: SourcePath, { value: name, offset }: Pick<Located, 'value' | 'offset'>): void {
    if (storePathOf(name) === null) return
    if (stat(name)?.type !== 'file') {
      this.#processes.missing(name, [path], 'error')
      return
    }
    this.#edges.add({ from: path, kind: 'shebang', name, to: realPath(name), via: 'shebang', at: here(offset) })
    this.#held.addNamed(name, false)
    this.#held.throughLinks(name, { from: path, name, via: 'shebang', at: here(offset) })
    this.#held.standsAlone(realPath(name))
  }

  /** Brings the packages of programs that find things beside themselves; false when nothing came of it. */
  #bringBeside(): boolean {
    const before = this.#held.files.size
    for (const path of this.#held.takeAlone()) {
      const node = this.#held.files.get(path)
      const root = storePathOf(path)?.root as SourcePath | undefined
      if (!node || root === undefined || this.#held.trees.has(root) || this.#options.data === 'none') continue
      const objects = this.#processes.linkMaps.get(path)?.objects.map(o => o.path) ?? [path]
      const beside = lookedForBeside(node, objects, this.#sources, file => this.#held.files.has(file))
      if (beside === null || this.#excluded(beside)) continue
      this.#edges.add({ from: path, kind: 'reference', name: beside, to: root, via: 'beside' })
      this.#held.bring(root)
    }
    return this.#held.files.size > before
  }

  /** Brings what waited for functions that the bundle's objects import by now; false when nothing came of it. */
  #settleConditions(): boolean {
    const before = this.#held.files.size
    for (const { target, only } of this.#verdicts.settle(this.#held.files.values())) {
      if (stat(target)?.type === 'directory') this.#held.addTree(realPath(target), only)
      else this.#held.add(inRealDirectory(target))
    }
    return this.#held.files.size > before
  }
}

/** By path. */
const sorted = <T>(nodes: ReadonlyMap<SourcePath, T>): Map<SourcePath, T> =>
  new Map([...nodes.keys()].sort().map(path => [path, nodes.get(path)!]))

/** Where a reference of a file, or of a member of it, stands. */
const evidence =
  (member: readonly string[] | null) =>
  ({ offset, encoding }: Reference): Evidence => ({ file: null, member, offset, encoding })
