/**
 * Scripts, modules and other texts as a bundle wants them: part of stage 4 (plan.ts), which is told what is written. Pure.
 */

import type { Finding, Severity } from '../model/findings.ts'
import type { DependencyGraph, FileNode, Package } from '../model/graph.ts'
import type { Account, PlanOptions } from '../model/plan.ts'
import { storePathOf } from '../nix/store-path.ts'
import { type BundlePath, baseName, directoryOf, type SourcePath } from '../paths.ts'
import type { ScriptFacts } from '../script/facts.ts'
import { type Language, languageOf } from '../script/language.ts'
import { SCRIPTS_MAX } from '../script/parse.ts'
import { mendPyc, pycSource } from '../script/pyc.ts'
import { sourcedNames } from '../script/shell-edit.ts'
import type { Accounts, Rewritten } from './accounts.ts'
import { type Launcher, type Launchers, shadow } from './launch.ts'
import { finder, type Layout } from './layout.ts'
import type { Templates } from './templates.ts'

/** Who is told of what is to be written. */
export interface Writing {
  /** A file with these edits. */
  copy(at: BundlePath, node: FileNode, rewritten: Rewritten): void
  launch(at: BundlePath, launcher: Launcher): void
  /** A launcher in the place of a file. */
  standIn(node: FileNode, at: BundlePath, launcher: Launcher): void
  finding(finding: Finding): void
}

export class Texts {
  readonly #graph: DependencyGraph
  readonly #layout: Layout
  readonly #options: PlanOptions
  readonly #accounts: Accounts
  readonly #launchers: Launchers
  readonly #templates: Templates
  readonly #steps: Writing
  /** Directories of scripts whose text lies apart -> where the texts lie. */
  readonly shadows = new Map<string, string>()
  readonly #sourced = new Set<string>()
  readonly #entrySources: ReadonlySet<SourcePath>
  readonly #packageOf: (path: string) => Package

  constructor(
    graph: DependencyGraph,
    layout: Layout,
    options: PlanOptions,
    accounts: Accounts,
    launchers: Launchers,
    templates: Templates,
    steps: Writing,
  ) {
    this.#graph = graph
    this.#layout = layout
    this.#options = options
    this.#accounts = accounts
    this.#launchers = launchers
    this.#templates = templates
    this.#steps = steps
    this.#entrySources = new Set(graph.entries.map(entry => graph.links.get(entry.source)?.target ?? entry.source))
    this.#packageOf = finder(graph.packages)
    if (options.prefix === null)
      for (const [path, text] of graph.texts)
        if (this.#languageOf(path) === 'shell') for (const name of sourcedNames(text)) this.#sourced.add(name)
  }

  /**
   * A script. For one place its text says it all. Where the bundle may lie anywhere, a `#!` line cannot: a launcher stands
   * in the script's place, and the text lies beside, under its own name (launch.ts, `shadow`). A shell script that others
   * may source has to stay a text: its first lines find the interpreter (script/shell-edit.ts).
   */
  script(node: FileNode, facts: ScriptFacts, at: BundlePath): void {
    const wrapper = this.#launchers.forWrapper(node.path, at)
    if (wrapper) {
      this.#steps.standIn(node, at, wrapper)
      return
    }
    const inStore = storePathOf(facts.interpreter.value) !== null
    const interpreter = this.#launchers.interpreterOf(node.path)
    const isLost = inStore && node.executable && (interpreter === null || !this.#runs(interpreter))
    // One that is not on this machine either has been told of.
    if (isLost && interpreter !== null) this.#losesInterpreter(node.path, facts, 'warning')
    else if (node.executable) this.#noteHostInterpreter(node.path, facts)
    if (this.#options.prefix !== null || !inStore || !node.executable || isLost || interpreter === null) {
      this.data(node, at)
      return
    }
    const language = this.#languageOf(node.path)
    if (language !== 'shell' && this.#isModule(node.path)) {
      this.#losesInterpreter(node.path, facts, 'note')
      this.data(node, at)
      return
    }
    if (language === 'shell' && this.#mayBeSourced(node.path)) {
      const place = this.#launchers.placeOfInterpreter(facts, interpreter)
      const polyglot = { interpreter: place, argument: facts.argument }
      this.#steps.copy(at, node, this.#accounts.asExpressions(node, at, 'shell', polyglot))
      return
    }
    const text = shadow(at)
    this.shadows.set(directoryOf(at), directoryOf(text))
    // `env perl` starts a perl of the machine's.
    const isPerl = language === 'perl' && baseName(facts.interpreter.value) !== 'env'
    const isEdited = language !== null && (language !== 'perl' || (isPerl && this.#launchers.isNative(interpreter)))
    const { edits, accounts } = isEdited
      ? this.#accounts.asExpressions(node, text, language)
      : this.#asTemplate(node, text)
    // The launcher names the interpreter of the `#!` line.
    const stoodFor = (a: Account): Account => (a.verdict.rule === 'shebang' ? { ...a, outcome: 'templated' } : a)
    this.#steps.copy(text, node, { edits, accounts: accounts.map(stoodFor) })
    this.#steps.launch(at, this.#launchers.forScript(facts, interpreter, isPerl, at))
  }

  /** The language of a text: what shell scripts source is shell, whatever it is called. */
  #languageOf(path: SourcePath): Language | null {
    const facts = this.#graph.files.get(path)?.facts
    if (!facts || !this.#graph.texts.has(path)) return null
    return languageOf(path, facts) ?? (facts.format === 'data' && this.#sourced.has(baseName(path)) ? 'shell' : null)
  }

  /** Whether a shell script is, by its name or by what other scripts say, one that shells read as a part of others. */
  #mayBeSourced(path: SourcePath): boolean {
    return /\.(?:ba)?sh$/.test(path) || this.#sourced.has(baseName(path))
  }

  /** Whether what a `#!` line names can be started in the bundle: it may be a script, and that one's too. */
  #runs(interpreter: SourcePath, scripts = SCRIPTS_MAX): boolean {
    if (this.#launchers.runs(interpreter)) return true
    const { facts, executable } = this.#graph.files.get(interpreter)!
    if (facts.format !== 'script' || !executable || scripts === 0) return false
    if (storePathOf(facts.interpreter.value) === null) return true
    const next = this.#launchers.interpreterOf(interpreter)
    const hasLauncher = this.#options.prefix !== null || !this.#isModule(interpreter)
    return next !== null && hasLauncher && this.#runs(next, scripts - 1)
  }

  /** A script that starts only where the machine has its interpreter: /bin/sh is everywhere, others are not. */
  #noteHostInterpreter(file: SourcePath, { interpreter, argument }: ScriptFacts): void {
    const isEnv = baseName(interpreter.value) === 'env'
    if (storePathOf(interpreter.value) !== null && !isEnv) return
    const isCommon = interpreter.value === '/bin/sh' || !this.#entrySources.has(file)
    const name = isEnv ? `env ${argument ?? ''}`.trimEnd() : interpreter.value
    this.#steps.finding({ code: 'interpreter-host', severity: isCommon ? 'note' : 'warning', file, interpreter: name })
  }

  #losesInterpreter(file: SourcePath, { interpreter }: ScriptFacts, severity: Severity): void {
    this.#steps.finding({ code: 'interpreter-unreachable', severity, file, interpreter: interpreter.value })
  }

  /** Whether a script is what others load, by its ending and place: many modules can be run too, few ever are. */
  #isModule(path: SourcePath): boolean {
    const inPackage = path.slice(this.#packageOf(path).root.length)
    return /\.[A-Za-z]+$/.test(path) && !PROGRAM_PLACE.test(inPackage) && !this.#entrySources.has(path)
  }

  /** What is read and not started: modules, parts of scripts, data. */
  data(node: FileNode, at: BundlePath): void {
    if (node.path.endsWith('.pyc')) this.#pyc(node, at)
    else this.#steps.copy(at, node, this.edits(node, at))
  }

  /** What is written of a text, or of what else is no binary. */
  edits(node: FileNode, at: BundlePath): Rewritten {
    // What has members is packed, even where no byte of it happens to be NUL.
    const isText = node.text && node.members.length === 0
    if (this.#options.prefix !== null && isText) return this.#accounts.atAnyLength(node, at)
    const language = this.#options.prefix === null && isText ? this.#languageOf(node.path) : null
    // Perl's needs a launcher's help.
    if (language === 'shell' || language === 'python') return this.#accounts.asExpressions(node, at, language)
    return isText ? this.#asTemplate(node, at) : this.#accounts.inPlace(node, at)
  }

  /** A text in a language or format that cannot say where it lies: `relocate` tells it. */
  #asTemplate(node: FileNode, at: BundlePath): Rewritten {
    const filled = this.#templates.served ? this.#accounts.asTemplate(node, at) : null
    if (filled !== null) this.#templates.add(filled.template)
    return filled ?? this.#accounts.inPlace(node, at)
  }

  /** A compiled Python module: it has to agree with its source, which may have become longer or other code. */
  #pyc(node: FileNode, at: BundlePath): void {
    const source = this.#graph.files.get(pycSource(node.path) as SourcePath)
    const head = this.#graph.pycs.get(node.path)
    const { edits, accounts } = this.#accounts.inPlace(node, at)
    if (!source || !head) {
      this.#steps.copy(at, node, { edits, accounts })
      return
    }
    const changed = this.edits(source, this.#layout.placed.get(source.path)!)
    // Its code holds paths where the source has expressions: Python compiles it anew.
    if (changed.accounts.some(a => a.outcome === 'templated')) return
    const growth = changed.edits.reduce((sum, e) => sum + (e.op === 'splice' ? e.to.length - e.length : 0), 0)
    const mended = changed.edits.length === 0 ? null : mendPyc(head, source.size + growth)
    this.#steps.copy(at, node, {
      accounts,
      edits: mended === null ? edits : [...edits, { op: 'overwrite', ...mended }],
    })
  }
}

/** Where programs lie in a package. */
const PROGRAM_PLACE = /^\/(?:bin|sbin|libexec)\//
