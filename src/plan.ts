/**
 * Stage 4: from the graph to the plan: every file of the bundle, where it goes, and every byte of it that will differ
 * from its input. Pure: nothing is read or written here.
 */

import { type ElfEdit, editInPlace } from './elf/edit.ts'
import {
  inRoot,
  type LaunchTemplate,
  launch,
  nativeLauncher,
  type Part,
  type Template,
  throughInterpreter,
  throughLoader,
  wrapping,
} from './entry/launcher.ts'
import { PREBUILT } from './entry/prebuilt.ts'
import { shellLauncher } from './entry/shell.ts'
import { BundleError } from './errors.ts'
import { directoryOf, finder, type Layout, layOut, relativeLink, relativePath } from './layout.ts'
import type {
  BundlePath,
  BundlePlan,
  Dependency,
  DependencyGraph,
  Edit,
  ElfFacts,
  FileNode,
  Finding,
  LinkNode,
  Package,
  PlannedProgram,
  PlanOptions,
  Reference,
  ScriptFacts,
  SourcePath,
  Step,
} from './model.ts'
import { STORE_DIR, storePathOf, storePathPrefix } from './nix/store-path.ts'
import { blank, rewrite, type Target } from './references/rewrite.ts'

/**
 * The plan for a graph.
 * @param same whether two files have the same contents; asked only where library names collide
 * @throws BundleError('prefix-unusable') when the prefix is too long for what it replaces
 */
export function plan(
  graph: DependencyGraph,
  options: PlanOptions,
  same: (a: SourcePath, b: SourcePath) => boolean,
): BundlePlan {
  return new Planner(graph, layOut(graph, same), options).plan()
}

class Planner {
  readonly #graph: DependencyGraph
  readonly #layout: Layout
  readonly #options: PlanOptions
  readonly #steps = new Map<BundlePath, Step>()
  /** Directories that something lies in. */
  readonly #inUse = new Set<string>()
  readonly #programs: PlannedProgram[] = []
  readonly #findings: Finding[]
  readonly #edgesFrom: ReadonlyMap<SourcePath, readonly Dependency[]>
  readonly #targets: ReadonlyMap<string, Target>
  readonly #entrySources: ReadonlySet<SourcePath>
  readonly #packageOf: (path: string) => Package
  /** The CPU of the bundle's programs. */
  readonly #arch: string
  /** Directories of the inputs that something was taken from. */
  readonly #directories = new Set<string>()

  constructor(graph: DependencyGraph, layout: Layout, options: PlanOptions) {
    this.#graph = graph
    this.#layout = layout
    this.#options = options
    this.#findings = [...graph.findings, ...layout.findings]
    this.#edgesFrom = edgesByOrigin(graph.edges)
    for (const path of [...graph.files.keys(), ...graph.links.keys()])
      for (let d = directoryOf(path); d !== '' && !this.#directories.has(d); d = directoryOf(d))
        this.#directories.add(d)
    this.#targets = targets(graph, layout, options.prefix)
    this.#packageOf = finder(graph.packages)
    this.#arch = [...graph.linkMaps.keys()].map(path => archOf(graph, path))[0] ?? ''
    this.#entrySources = new Set(graph.entries.map(entry => graph.links.get(entry.source)?.target ?? entry.source))
  }

  plan(): BundlePlan {
    for (const node of this.#graph.files.values()) this.#planFile(node)
    for (const link of this.#graph.links.values()) this.#planLink(link)
    for (const [at, to] of this.#layout.aliases) this.#symlink(at, relativeLink(at, to))
    for (const { at, source } of this.#graph.entries) {
      const to = this.#layout.placed.get(source)
      if (to !== undefined && this.#steps.has(to) && to !== at) this.#symlink(at, relativeLink(at, to))
    }
    return {
      steps: [...this.#steps.values()].sort((a, b) => (a.at < b.at ? -1 : 1)),
      programs: this.#programs.sort((a, b) => (a.at < b.at ? -1 : 1)),
      placed: this.#layout.placed,
      findings: this.#findings,
    }
  }

  // ---- Files ---------------------------------------------------------------------------------------------------

  #planFile(node: FileNode): void {
    const at = this.#layout.placed.get(node.path)!
    // Contents that two packages share lie in one place; the first has them.
    if (this.#steps.has(at)) return
    if (node.facts.format === 'elf') this.#planElf(node, node.facts, at)
    else if (node.facts.format === 'script') this.#planScript(node, node.facts, at)
    else this.#copy(at, node, this.#references(node, []))
  }

  #planElf(node: FileNode, facts: ElfFacts, at: BundlePath): void {
    if (this.#planWrapper(node, at)) return
    const edits = this.#elfEdits(node, facts, at)
    const hostPaths = (this.#graph.loaders.get(node.path)?.hostPaths ?? []).map(
      (p): Edit => ({
        op: 'overwrite',
        offset: p.offset,
        from: bytes(p.from),
        to: bytes(p.to),
        outcome: 'host-path-blanked',
      }),
    )
    const all = [...this.#references(node, edits), ...hostPaths, ...edits]
    const loader = this.#loaderOf(node.path)
    if (loader === null || this.#options.prefix !== null) {
      this.#copy(at, node, all)
      if (loader !== null) this.#programs.push({ at, elf: at, loader, source: node.path })
      return
    }
    if (this.#takesStub(node.path, facts)) {
      const place = { up: at.split('/').length - 1, path: loader }
      this.#copy(at, node, [...all, { op: 'inject-stub', loader: place }])
      this.#programs.push({ at, elf: at, loader, source: node.path })
      return
    }
    const elf = this.#hidden(at)
    this.#copy(elf, node, all)
    if (this.#isNative()) {
      const knowsArgv0 = this.#knowsArgv0(node.path)
      this.#native(at, throughLoader(launch(at, elf), inRoot(loader), knowsArgv0))
    } else this.#launch(at, loader, elf, node.path, null)
    this.#programs.push({ at, elf, loader, source: node.path })
  }

  /** Whether a program of a relocatable bundle gets the stub; else it is a launcher that runs it. */
  #takesStub(path: SourcePath, { arch }: ElfFacts): boolean {
    const refusal = this.#graph.refusals.get(path)
    // Run by its loader, a program that reads its own file would read the loader's.
    if (refusal === 'payload') this.#findings.push({ code: 'payload', severity: 'error', file: path })
    if (this.#options.launcher === 'shell') return false
    if (refusal !== undefined && refusal !== 'payload')
      this.#findings.push({
        code: 'stub-refused',
        severity: this.#options.launcher === 'stub' ? 'error' : 'note',
        file: path,
        refusal,
        arch,
      })
    return refusal === undefined
  }

  /** A script in bin/ whose interpreter lies in the store gets a launcher too: a `#!` line cannot be relative. */
  #planScript(node: FileNode, facts: ScriptFacts, at: BundlePath): void {
    if (this.#planWrapper(node, at)) return
    const edits = this.#references(node, [])
    const interpreter = this.#edgesFrom.get(node.path)?.find(edge => edge.kind === 'shebang')?.to
    const inStore = storePathOf(facts.interpreter.value) !== null
    const loader = interpreter ? this.#loaderOf(interpreter) : null
    if (this.#options.prefix === null && inStore && interpreter && loader && this.#isStarted(node.path)) {
      const script = this.#hidden(at)
      this.#copy(script, node, edits)
      if (this.#isNative()) {
        const interpreterAt = inRoot(this.#layout.placed.get(interpreter)!)
        this.#native(at, throughInterpreter(launch(at, script), interpreterAt, facts.argument))
      } else
        this.#launch(at, loader, this.#elfOf(interpreter), interpreter, {
          at: script,
          argument: facts.argument,
        })
      return
    }
    this.#copy(at, node, edits)
    if (inStore && node.executable && (this.#options.prefix === null || !interpreter))
      this.#findings.push({
        code: 'interpreter-unreachable',
        severity: 'warning',
        file: node.path,
        interpreter: facts.interpreter.value,
      })
  }

  /** Whether something is started by name: an entry, or what lies where programs lie. */
  #isStarted(path: SourcePath): boolean {
    return this.#entrySources.has(path) || PROGRAM_PLACE.test(path.slice(this.#packageOf(path).root.length))
  }

  // ---- Launchers -----------------------------------------------------------------------------------------------

  /** Whether launchers are programs; else they are shell scripts. */
  #isNative(): boolean {
    return this.#options.launcher !== 'shell' && this.#options.prefix === null && PREBUILT[this.#arch] !== undefined
  }

  /** Puts a launcher in a wrapper's place; false for what is no wrapper, or wraps nothing that is in the bundle. */
  #planWrapper({ path }: FileNode, at: BundlePath): boolean {
    const wrapper = this.#isNative() ? this.#graph.wrappers.get(path) : undefined
    const program = wrapper && this.#placeOf(wrapper.program)
    if (program)
      this.#native(
        at,
        wrapping(launch(at, program), wrapper, text => this.#filled(text)),
      )
    return program !== undefined
  }

  /** Where the file or link at an input's path lies in the bundle. */
  #placeOf(path: string): BundlePath | undefined {
    const placed = this.#layout.placed.get(path as SourcePath)
    if (placed !== undefined) return placed
    // A path through a linked directory: the edge knows what it led to.
    const edge = this.#graph.edges.find(e => e.name === path && e.to !== null)
    return edge?.to ? this.#layout.placed.get(edge.to) : undefined
  }

  /** A text with its store paths made relative to the root, or blanked where the bundle has nothing of the package. */
  #filled(text: string): Template {
    const parts: Part[] = []
    let rest = text
    for (let at = rest.indexOf(STORE_DIR); at >= 0; at = rest.indexOf(STORE_DIR)) {
      parts.push(rest.slice(0, at))
      const store = storePathPrefix(rest.slice(at))
      const target = store && this.#targets.get(store.hash)
      if (target && store.root === target.root) parts.push({ root: true }, target.path)
      else parts.push(blank(store?.root ?? STORE_DIR))
      rest = rest.slice(at + (store?.root ?? STORE_DIR).length)
    }
    return [...parts, rest].filter(part => part !== '')
  }

  #native(at: BundlePath, template: LaunchTemplate): void {
    const compiled = Buffer.from(PREBUILT[this.#arch]!.launcher, 'base64')
    this.#add({ do: 'write', at, bytes: nativeLauncher(template, compiled), executable: true })
  }

  #knowsArgv0(program: SourcePath): boolean {
    const loader = this.#graph.linkMaps.get(program)!.loader
    const knows = this.#graph.loaders.get(loader)?.argv0 ?? false
    if (!knows) this.#findings.push({ code: 'argv0-unsupported', severity: 'warning', file: program, loader })
    return knows
  }

  /** Where the ELF file of a program lies: where it is started, or behind a launcher. */
  #elfOf(program: SourcePath): BundlePath {
    const at = this.#layout.placed.get(program)!
    const stub = this.#options.launcher !== 'shell' && !this.#graph.refusals.has(program)
    return stub ? at : this.#hidden(at)
  }

  /** Where the file goes that a launcher stands for: beside it, so that what it finds beside itself is there. */
  #hidden(at: BundlePath): BundlePath {
    const directory = directoryOf(at)
    const name = at.slice(directory.length === 0 ? 0 : directory.length + 1)
    return `${directory === '' ? '' : `${directory}/`}.${name}-program` as BundlePath
  }

  #launch(
    at: BundlePath,
    loader: BundlePath,
    program: BundlePath,
    source: SourcePath,
    script: { at: BundlePath; argument: string | null } | null,
  ): void {
    const argv0 = this.#knowsArgv0(source)
    this.#add({ do: 'write', at, bytes: shellLauncher({ loader, program, script, argv0 }), executable: true })
  }

  #loaderOf(program: SourcePath): BundlePath | null {
    const loader = this.#graph.linkMaps.get(program)?.loader
    return loader === undefined ? null : (this.#layout.placed.get(loader) ?? null)
  }

  // ---- Strings that the loader reads ---------------------------------------------------------------------------

  #elfEdits(node: FileNode, facts: ElfFacts, at: BundlePath): ElfEdit[] {
    const edits: ElfEdit[] = []
    const { prefix } = this.#options
    const loader = this.#loaderOf(node.path)
    if (facts.interp) {
      // The kernel takes no relative interpreter: in a relocatable bundle it names nothing, and a launcher stands in.
      const to = prefix !== null && loader ? `${prefix}/${loader}` : blank(facts.interp.value)
      if (to !== facts.interp.value) edits.push({ op: 'set-interp', to })
    }
    for (const { value } of facts.needed) {
      const name = value.slice(value.lastIndexOf('/') + 1)
      if (name !== value) edits.push({ op: 'replace-needed', from: value, to: name })
    }
    const directories = this.#libraryDirectories(node.path, facts)
    const has = facts.rpath !== null || facts.runpath !== null
    if (facts.dynstr && (has || (facts.program && facts.interp && directories.length > 0))) {
      const to = this.#rpath(at, directories)
      if (to !== facts.rpath?.value || facts.runpath !== null) edits.push({ op: 'set-rpath', to })
    } else if (facts.dynstr && this.#needsOwnRpath(node.path, directories))
      edits.push({ op: 'set-rpath', to: this.#rpath(at, directories) })
    return edits
  }

  /**
   * Directories of what an object asks for. `lib/` comes last: a library that lies elsewhere under a name that lib/
   * has too is there for those who need that one. A program also answers for the objects of its process that have no
   * RPATH and so inherit its own.
   */
  #libraryDirectories(path: SourcePath, facts: ElfFacts): string[] {
    const wanted = (this.#edgesFrom.get(path) ?? [])
      .filter(edge => edge.kind === 'needed' || (edge.kind === 'dlopen' && !edge.name.includes('/')))
      .map(edge => edge.to)
    if (facts.program)
      for (const object of this.#graph.linkMaps.get(path)?.objects ?? []) {
        const by = object.by && this.#graph.files.get(object.by)?.facts
        if (by && by.format === 'elf' && !by.rpath && !by.runpath) wanted.push(object.path)
      }
    const directories = new Set(wanted.flatMap(to => (to === null ? [] : [directoryOf(this.#layout.placed.get(to)!)])))
    const rest = [...directories].filter(d => d !== 'lib')
    return rest.length < directories.size || facts.program ? [...rest, 'lib'] : rest
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
    const { prefix } = this.#options
    if (prefix !== null) return (directories.length === 0 ? ['lib'] : directories).map(d => `${prefix}/${d}`).join(':')
    if (directories.length === 0) return '$ORIGIN'
    // The file lies where the launcher's name is hidden: in the same directory.
    const here = directoryOf(at)
    return directories.map(d => ['$ORIGIN', relativePath(here, d)].filter(p => p !== '').join('/')).join(':')
  }

  // ---- References ----------------------------------------------------------------------------------------------

  /** The overwrites for a file's references, but for those inside strings that the ELF edits replace whole. */
  #references(node: FileNode, elfEdits: readonly ElfEdit[]): Edit[] {
    const replaced =
      node.facts.format === 'elf' && this.#options.patcher === 'auto' ? editInPlace(node.facts, elfEdits).writes : []
    const edits: Edit[] = []
    const blanked = new Map<string, { reference: Reference; count: number }>()
    let end = 0
    for (const reference of node.references) {
      // Inside the hash or the name of the one before: `/nix/store//nix/store`, overlapping encodings.
      if (reference.offset < end) continue
      if (replaced.some(w => reference.offset >= w.offset && reference.offset < w.offset + w.bytes.length)) continue
      const target = reference.hash === null ? undefined : this.#targets.get(reference.hash)
      const edit = rewrite(reference, this.#options.prefix === null ? null : (target ?? null))
      end = edit.offset + edit.from.length
      edits.push(edit)
      if (edit.outcome === 'blanked' && target && this.#misses(reference) && !isShebang(node, reference)) {
        const known = blanked.get(target.root)
        if (known) known.count++
        else blanked.set(target.root, { reference, count: 1 })
      }
    }
    for (const [root, { reference, count }] of blanked)
      this.#findings.push({
        code: 'reference-blanked',
        severity: 'warning',
        file: node.path,
        target: reference.text.startsWith(root) ? reference.text : root,
        offset: reference.offset,
        count,
      })
    return edits
  }

  /** Whether what a reference names is in the bundle: then the program misses it when the reference is blanked. */
  #misses({ bare, text }: Reference): boolean {
    const path = text.replace(/\/+$/, '') as SourcePath
    return !bare && (this.#graph.files.has(path) || this.#graph.links.has(path) || this.#directories.has(path))
  }

  // ---- Links and steps -----------------------------------------------------------------------------------------

  #planLink(link: LinkNode): void {
    const at = this.#layout.placed.get(link.path)!
    if (this.#steps.has(at)) return
    const to = link.directory ? this.#directoryAt(link.target) : this.#layout.placed.get(link.target)
    // What it led to stays out (documentation, headers): so does the link.
    if (to === undefined || !this.#isPlanned(to)) return
    this.#symlink(at, this.#keptText(link, at, to) ?? relativeLink(at, to))
  }

  /** A relative link to a neighbour in the same tree is kept as it stands, so that chains of names stay chains. */
  #keptText(link: LinkNode, at: BundlePath, to: BundlePath): string | null {
    if (link.text.includes('/')) return null
    const neighbour = `${directoryOf(link.path)}/${link.text}` as SourcePath
    const beside = `${directoryOf(at)}/${link.text}`
    return this.#layout.placed.get(neighbour) === beside && (this.#graph.links.has(neighbour) || to === beside)
      ? link.text
      : null
  }

  #directoryAt(path: SourcePath): BundlePath {
    const { root } = this.#packageOf(path)
    return (this.#layout.directories.get(root)! + path.slice(root.length)) as BundlePath
  }

  /** Whether something lies at a bundle path, or below it. */
  #isPlanned(at: BundlePath): boolean {
    return this.#steps.has(at) || this.#inUse.has(at)
  }

  #symlink(at: BundlePath, to: string): void {
    if (!this.#steps.has(at)) this.#add({ do: 'symlink', at, to })
  }

  #copy(at: BundlePath, node: FileNode, edits: readonly Edit[]): void {
    this.#add({ do: 'copy', at, from: node.path, executable: node.executable, edits })
  }

  #add(step: Step): void {
    if (this.#steps.has(step.at)) throw new Error(`two files for ${step.at}`)
    this.#steps.set(step.at, step)
    for (let at = directoryOf(step.at); at !== '' && !this.#inUse.has(at); at = directoryOf(at)) this.#inUse.add(at)
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

/** Where programs lie in a package. */
const PROGRAM_PLACE = /^\/(?:bin|sbin|libexec)\/[^/]+$/

function archOf(graph: DependencyGraph, program: SourcePath): string {
  const facts = graph.files.get(program)?.facts
  return facts?.format === 'elf' ? facts.arch : ''
}

/**
 * Where references to each package go that has a place under pkg/, by hash.
 * @throws BundleError('prefix-unusable')
 */
function targets(graph: DependencyGraph, layout: Layout, prefix: string | null): Map<string, Target> {
  const inUse = new Set([...layout.placed.values(), ...layout.aliases.keys()].map(at => at.split('/')[1]))
  const result = new Map<string, Target>()
  let room = Number.POSITIVE_INFINITY
  for (const { root, hash } of graph.packages) {
    const path = `/${layout.directories.get(root)!}`
    if (hash === null || !inUse.has(path.slice('/pkg/'.length).split('/')[0])) continue
    room = Math.min(room, root.length - path.length)
    result.set(hash, { root, prefix: prefix ?? '', path })
  }
  if (prefix !== null && prefix.length > room)
    throw new BundleError(
      'prefix-unusable',
      `the prefix has ${prefix.length} bytes, and ${room} is the most that fits where store paths stood`,
      {
        path: prefix,
        hint: 'choose a shorter --prefix',
      },
    )
  return result
}

/** The reference in a script's `#!` line, which a launcher or `interpreter-unreachable` answers for. */
const isShebang = (node: FileNode, reference: Reference): boolean =>
  node.facts.format === 'script' && reference.offset === node.facts.interpreter.offset

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')
