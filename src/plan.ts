/**
 * Stage 4: from the graph to the plan: every file of the bundle, where it goes, and every byte of it that will differ
 * from its input. Pure: nothing is read or written here.
 */

import { type ElfEdit, editInPlace } from './elf/edit.ts'
import { BundleError } from './errors.ts'
import { hidden, Launchers } from './launch.ts'
import { directoryOf, finder, type Layout, layOut, relativeLink } from './layout.ts'
import type {
  BundlePath,
  BundlePlan,
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
import { storePathOf } from './nix/store-path.ts'
import { rewrite, type Target } from './references/rewrite.ts'
import { LoaderStrings } from './rpath.ts'

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
  readonly #targets: ReadonlyMap<string, Target>
  readonly #entrySources: ReadonlySet<SourcePath>
  readonly #packageOf: (path: string) => Package
  readonly #launchers: Launchers
  readonly #strings: LoaderStrings
  /** Directories of the inputs that something was taken from. */
  readonly #directories = new Set<string>()

  constructor(graph: DependencyGraph, layout: Layout, options: PlanOptions) {
    this.#graph = graph
    this.#layout = layout
    this.#options = options
    this.#findings = [...graph.findings, ...layout.findings]
    for (const path of [...graph.files.keys(), ...graph.links.keys()])
      for (let d = directoryOf(path); d !== '' && !this.#directories.has(d); d = directoryOf(d))
        this.#directories.add(d)
    this.#targets = targets(graph, layout, options.prefix)
    this.#packageOf = finder(graph.packages)
    this.#launchers = new Launchers(graph, layout, options, this.#targets)
    this.#strings = new LoaderStrings(graph, layout, options.prefix)
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
    const wrapper = this.#launchers.forWrapper(node.path, at)
    if (wrapper) {
      this.#launch(at, wrapper)
      return
    }
    const loader = this.#launchers.loaderOf(node.path)
    const edits = this.#strings.edits(node.path, facts, at, loader)
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
    this.#copy(hidden(at), node, all)
    this.#launch(at, this.#launchers.forProgram(node.path, at))
    this.#programs.push({ at, elf: hidden(at), loader, source: node.path })
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
    const wrapper = this.#launchers.forWrapper(node.path, at)
    if (wrapper) {
      this.#launch(at, wrapper)
      return
    }
    const edits = this.#references(node, [])
    const interpreter = this.#graph.edges.find(edge => edge.kind === 'shebang' && edge.from === node.path)?.to
    const inStore = storePathOf(facts.interpreter.value) !== null
    const runs = interpreter && this.#launchers.loaderOf(interpreter) !== null
    if (this.#options.prefix === null && inStore && runs && this.#isStarted(node.path)) {
      this.#copy(hidden(at), node, edits)
      this.#launch(at, this.#launchers.forScript(interpreter, facts.argument, at))
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

  #launch(at: BundlePath, { bytes, findings }: { bytes: Buffer; findings: readonly Finding[] }): void {
    this.#add({ do: 'write', at, bytes, executable: true })
    this.#findings.push(...findings)
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

/** Where programs lie in a package. */
const PROGRAM_PLACE = /^\/(?:bin|sbin|libexec)\/[^/]+$/

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
