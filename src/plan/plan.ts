/**
 * Stage 4: from the graph to the plan: every file of the bundle, where it goes, and every byte of it that will differ
 * from its input. Pure: nothing is read or written here.
 */

import { editInPlace } from '../elf/edit.ts'
import type { ElfFacts, LoaderPlace } from '../elf/facts.ts'
import type { Strip } from '../elf/strip.ts'
import { isStatic } from '../entry/inject.ts'
import { editedCommands } from '../macho/edit.ts'
import { isMachOProgram, type MachOFacts } from '../macho/facts.ts'
import type { Finding } from '../model/findings.ts'
import type { DependencyGraph, Extra, FileNode } from '../model/graph.ts'
import type { Account, BundlePlan, Edit, PlannedProgram, PlanOptions } from '../model/plan.ts'
import { type BundlePath, baseName, type SourcePath } from '../paths.ts'
import { ParsedShell } from '../script/shell-parsed.ts'
import { Accounts, type Rewritten } from './accounts.ts'
import { InstallNames } from './install-names.ts'
import { hidden, type Launcher, Launchers } from './launch.ts'
import { type Layout, layOut, relativeLink } from './layout.ts'
import { Links } from './links.ts'
import { byPatchelf } from './patcher.ts'
import { Relocations } from './relocate.ts'
import { LoaderStrings } from './rpath.ts'
import { Scripts } from './scripts.ts'
import { Steps } from './steps.ts'
import { targets } from './targets.ts'
import { Templates } from './templates.ts'
import { Texts } from './texts.ts'

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

/** Of most files: one list for all of them. */
const NO_EDITS: readonly Edit[] = []

class Planner {
  readonly #graph: DependencyGraph
  readonly #layout: Layout
  readonly #options: PlanOptions
  readonly #steps = new Steps()
  readonly #programs: PlannedProgram[] = []
  readonly #findings: Finding[]
  readonly #accounts: Accounts
  readonly #kept: Account[] = []
  #hostPaths = 0
  readonly #launchers: Launchers
  readonly #strings: LoaderStrings
  readonly #installNames: InstallNames
  readonly #relocations: Relocations
  readonly #texts: Texts
  readonly #links: Links
  readonly #templates: Templates

  constructor(graph: DependencyGraph, layout: Layout, options: PlanOptions) {
    this.#graph = graph
    this.#layout = layout
    this.#options = options
    this.#findings = [...graph.findings, ...layout.findings]
    const known = targets(graph, layout, options.prefix)
    const shell = new ParsedShell()
    this.#accounts = new Accounts(graph, known, options.prefix, shell)
    const scripts = new Scripts(graph, layout, options.prefix === null, shell)
    this.#launchers = new Launchers(graph, layout, options, known, scripts)
    this.#strings = new LoaderStrings(graph, layout, options.prefix)
    this.#installNames = new InstallNames(graph, layout, options.prefix)
    this.#relocations = new Relocations(graph, options)
    this.#templates = new Templates(graph, options)
    this.#texts = new Texts(graph, layout, options, this.#accounts, this.#launchers, scripts, this.#templates, {
      copy: (at, node, rewritten) => this.#copy(at, node, rewritten),
      launch: (at, launcher) => this.#launch(at, launcher),
      standIn: (node, at, launcher) => this.#standIn(node, at, launcher),
      symlink: (at, to) => this.#steps.symlink(at, to),
      finding: finding => void this.#findings.push(finding),
    })
    this.#links = new Links(graph, layout, this.#steps, this.#texts)
  }

  plan(): BundlePlan {
    for (const node of this.#graph.files.values()) this.#planFile(node)
    for (const path of this.#graph.empty) this.#steps.addDirectory(this.#layout.placed.get(path)!)
    this.#links.ofPackages()
    for (const extra of this.#graph.extras) this.#planExtra(extra)
    this.#links.ofPrograms()
    for (const step of this.#templates.steps()) this.#steps.add(step)
    for (const { link, at } of this.#accounts.linked) this.#steps.symlink(link.at, relativeLink(link.at, at))
    this.#links.ofProfile()
    return {
      steps: this.#steps.sorted(),
      empty: this.#steps.empty(),
      programs: this.#programs.sort((a, b) => (a.at < b.at ? -1 : 1)),
      placed: this.#layout.placed,
      accounts: this.#kept.sort((a, b) =>
        a.at < b.at ? -1 : a.at > b.at ? 1 : a.reference.offset - b.reference.offset,
      ),
      relocations: this.#relocations.plan(),
      templates: this.#templates.places(),
      hostPaths: this.#hostPaths,
      findings: [...this.#findings, ...this.#texts.findings(), ...this.#accounts.findings(this.#kept)],
    }
  }

  // ---- Files ---------------------------------------------------------------------------------------------------

  #planFile(node: FileNode): void {
    const at = this.#layout.placed.get(node.path)!
    // Contents that two packages share lie in one place; the first has them.
    if (this.#steps.has(at)) return
    if (node.facts.format === 'elf') this.#planElf(node, node.facts, at)
    else if (node.facts.format === 'macho') this.#planMachO(node, node.facts, at)
    else if (node.facts.format === 'script') this.#texts.script(node, node.facts, at)
    else this.#texts.data(node, at)
  }

  #planElf(node: FileNode, facts: ElfFacts, at: BundlePath): void {
    const wrapper = this.#launchers.forWrapper(node.path, at)
    if (wrapper) {
      this.#standIn(node, at, wrapper)
      return
    }
    const loader = this.#launchers.loaderOf(node.path)
    const wanted = this.#strings.edits(node.path, facts, at, loader)
    const bySidecar = this.#isEnteredBySidecar(node.path)
    // What does not fit into the file it gets in memory.
    const given = bySidecar ? editInPlace(facts, wanted).left.find(e => e.op === 'set-rpath') : undefined
    const strings = wanted.filter(e => e !== given)
    const hostPaths = (this.#graph.loaders.get(node.path)?.hostPaths ?? []).map(
      (p): Edit => ({ op: 'overwrite', offset: p.offset, from: bytes(p.from), to: bytes(p.to) }),
    )
    this.#hostPaths += hostPaths.length
    const inPlace = byPatchelf(node.path, strings, bySidecar, this.#graph, this.#options)
      ? []
      : editInPlace(facts, strings).writes
    const replaced = inPlace.map(w => ({ offset: w.offset, length: w.bytes.length }))
    const own = [...hostPaths, ...strings]
    const inPlaceOnly = (): Rewritten => {
      const { edits, accounts } = this.#accounts.inPlace(node, at, replaced)
      return { edits: [...edits, ...own], accounts }
    }
    if (this.#options.prefix !== null) {
      this.#copy(at, node, inPlaceOnly())
      if (loader !== null) this.#programs.push({ at, elf: at, loader, source: node.path })
      return
    }
    if (isStatic(facts)) {
      this.#planStatic(node, facts, at, inPlaceOnly, own)
      return
    }
    const stub = loader !== null && this.#takesStub(node.path, facts)
    if (stub || (loader === null && this.#relocations.serves(facts))) {
      const { edits, accounts, sites, findings } = this.#accounts.relocated(node, facts, at, replaced)
      this.#findings.push(...findings)
      const copies = (this.#graph.copies.get(node.path) ?? []).map(({ from, ...copy }) => ({
        ...copy,
        library: this.#layout.placed.get(from)!,
      }))
      const number = this.#relocations.add(at, sites, stub, copies)
      const place = { up: at.split('/').length - 1, path: loader ?? '' }
      const inject = stub ? [entryBy(bySidecar, place, number, given?.to ?? null)] : []
      this.#copy(at, node, { accounts, edits: [...edits, ...own, ...inject] })
      if (stub) this.#programs.push({ at, elf: at, loader, source: node.path })
      return
    }
    if (loader === null) {
      this.#copy(at, node, inPlaceOnly())
      return
    }
    this.#copy(hidden(at), node, inPlaceOnly())
    this.#launch(at, this.#launchers.forProgram(node.path, at))
    this.#programs.push({ at, elf: hidden(at), loader, source: node.path })
  }

  /** A static program of a relocatable bundle: it gets the stub for its strings, where there are any. */
  #planStatic(
    node: FileNode,
    facts: ElfFacts,
    at: BundlePath,
    inPlaceOnly: () => Rewritten,
    own: readonly Edit[],
  ): void {
    const { edits, accounts, sites, findings } = this.#accounts.relocated(node, facts, at, [])
    const refusal = this.#graph.refusals.get(node.path)
    // What cannot be started is data that looks like a program: kernels, firmware.
    const isStarted = node.executable && this.#options.launcher !== 'shell'
    if (isStarted && refusal !== undefined && sites.length > 0)
      this.#findings.push({
        code: 'static-refused',
        severity: 'warning',
        file: node.path,
        refusal,
        count: sites.length,
      })
    if (!isStarted || refusal !== undefined) {
      this.#copy(at, node, inPlaceOnly())
      return
    }
    this.#findings.push(...findings)
    const program = this.#relocations.add(at, sites, true)
    const place = { up: at.split('/').length - 1, path: '' }
    const bySidecar = this.#isEnteredBySidecar(node.path)
    const inject = program === null ? [] : [entryBy(bySidecar, place, program, null)]
    this.#copy(at, node, { accounts, edits: [...edits, ...own, ...inject] })
  }

  /** A Mach-O file: what dyld reads, then at equal length all else, then a new signature. */
  #planMachO(node: FileNode, facts: MachOFacts, at: BundlePath): void {
    const wrapper = this.#launchers.forWrapper(node.path, at)
    if (wrapper) {
      this.#standIn(node, at, wrapper)
      return
    }
    const loadCommands = this.#installNames.edits(node.path, facts, at)
    // A store path in a string that is set anew goes with it; other commands, such as LC_LINKER_OPTION, keep their bytes.
    const replaced = editedCommands(facts, loadCommands).map(({ offset, size }) => ({ offset, length: size }))
    const { edits, accounts } = this.#accounts.inPlace(node, at, replaced)
    const changed = loadCommands.length > 0 || edits.length > 0
    const own: Edit[] = changed
      ? [
          { op: 'load-commands', edits: loadCommands },
          { op: 'sign', name: baseName(at) },
        ]
      : []
    this.#copy(at, node, { accounts, edits: [...edits, ...own] })
    if (isMachOProgram(facts)) this.#programs.push({ at, elf: at, loader: null, source: node.path })
  }

  #isEnteredBySidecar(path: SourcePath): boolean {
    const { prefix, launcher } = this.#options
    return prefix === null && launcher !== 'shell' && this.#graph.sidecars.has(path)
  }

  /** Whether a program of a relocatable bundle finds its loader by itself; else it is a launcher that runs it. */
  #takesStub(path: SourcePath, { arch }: ElfFacts): boolean {
    const isShell = this.#options.launcher === 'shell'
    const refusal = this.#graph.refusals.get(path) ?? (isShell ? this.#graph.sidecars.get(path) : undefined)
    // Run by its loader, a program that reads its own file would read the loader's.
    if (refusal === 'payload') this.#findings.push({ code: 'payload', severity: 'error', file: path })
    if (isShell) return false
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

  /** What was asked for by kind: what is there already stays. */
  #planExtra({ node, link, under, package: root, path }: Extra): void {
    const directory = root === null ? '' : `${this.#layout.directories.get(root)!}/`
    const at = this.#steps.throughLinks(
      under === 'share/licenses' ? `${under}/${directory.slice('pkg/'.length)}${path}` : directory + path,
    )
    if (at === null || this.#steps.isPlanned(at)) return
    if (node === null) this.#steps.symlink(at, link!)
    else this.#copy(at, node, this.#texts.edits(node, at))
  }

  // ---- Steps ---------------------------------------------------------------------------------------------------

  #launch(at: BundlePath, { bytes, findings }: Launcher): void {
    this.#steps.add({ do: 'write', at, bytes, executable: true })
    this.#findings.push(...findings)
  }

  #standIn(node: FileNode, at: BundlePath, launcher: Launcher): void {
    this.#launch(at, launcher)
    this.#kept.push(...this.#accounts.standIn(node, at))
  }

  #copy(at: BundlePath, node: FileNode, rewritten: Rewritten): void {
    const strip = this.#graph.strips.get(node.path)
    const { edits: made, accounts } = strip ? stripped(rewritten, strip) : rewritten
    const edits = made.length === 0 ? NO_EDITS : made
    this.#steps.add({ do: 'copy', at, from: node.path, executable: node.executable, size: node.size, edits })
    this.#kept.push(...accounts)
  }
}

/** What is written of an object that loses all behind its segments. */
const stripped = ({ edits, accounts }: Rewritten, { keep, tail, writes }: Strip): Rewritten => ({
  edits: [...edits.filter(e => e.op !== 'overwrite' || e.offset < keep), ...writes, { op: 'strip', keep, tail }],
  accounts: accounts.map(a => (a.reference.offset < keep ? a : { ...a, outcome: 'stripped', missed: false })),
})

/** How a program finds its loader: by the stub in it, or by a sidecar. */
const entryBy = (sidecar: boolean, loader: LoaderPlace, program: number | null, rpath: string | null): Edit =>
  sidecar
    ? { op: 'enter-by-sidecar', loader, relocations: { program }, rpath }
    : { op: 'inject-stub', loader, relocations: { program } }

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')
