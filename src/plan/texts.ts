/**
 * Scripts, modules and other texts as a bundle wants them: part of stage 4 (plan.ts), which is told what is written. Pure.
 */

import type { Located } from '../io/bytes.ts'
import type { Finding, Severity } from '../model/findings.ts'
import type { DependencyGraph, FileNode, LinkNode } from '../model/graph.ts'
import type { Account, PlanOptions } from '../model/plan.ts'
import { storePathOf } from '../nix/store-path.ts'
import { type BundlePath, baseName, directoryOf, type SourcePath } from '../paths.ts'
import { isCounted } from '../references/counted.ts'
import { namesIn } from '../references/typelib.ts'
import type { Start } from '../script/expressions.ts'
import type { ScriptFacts } from '../script/facts.ts'
import type { Language } from '../script/language.ts'
import { SCRIPTS_MAX } from '../script/parse.ts'
import { isPathsOnly } from '../script/pth-edit.ts'
import { mendPyc, pycSource } from '../script/pyc.ts'
import { startedBy } from '../script/shebang.ts'
import type { Accounts, Rewritten } from './accounts.ts'
import { type Launcher, type Launchers, shadow } from './launch.ts'
import { type Layout, relativeLink } from './layout.ts'
import type { Script, Scripts } from './scripts.ts'
import type { Templates } from './templates.ts'

/** Languages of which what is refused is a warning. */
const READ_WHOLE: ReadonlySet<Language> = new Set(['shell', 'python', 'perl', 'pth'])

/** Who is told of what is to be written. */
export interface Writing {
  /** A file with these edits. */
  copy(at: BundlePath, node: FileNode, rewritten: Rewritten): void
  launch(at: BundlePath, launcher: Launcher): void
  /** A launcher in the place of a file. */
  standIn(node: FileNode, at: BundlePath, launcher: Launcher): void
  symlink(at: BundlePath, to: string): void
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
  readonly #scripts: Scripts
  /** Edits of Python sources. */
  readonly #sources = new Map<SourcePath, Rewritten>()
  /** Scripts by what they leave to the machine. */
  readonly #hostInterpreters = new Map<string, { severity: Severity; interpreter: string; files: SourcePath[] }>()

  constructor(
    graph: DependencyGraph,
    layout: Layout,
    options: PlanOptions,
    accounts: Accounts,
    launchers: Launchers,
    scripts: Scripts,
    templates: Templates,
    steps: Writing,
  ) {
    this.#graph = graph
    this.#layout = layout
    this.#options = options
    this.#accounts = accounts
    this.#launchers = launchers
    this.#scripts = scripts
    this.#templates = templates
    this.#steps = steps
  }

  /**
   * A script. For one place its text says it all. Where the bundle may lie anywhere, a `#!` line cannot: a launcher stands
   * in the script's place, and the text lies beside, under its own name (launch.ts, `shadow`); or the text finds its
   * interpreter by itself (scripts.ts says which).
   */
  script(node: FileNode, facts: ScriptFacts, at: BundlePath): void {
    const wrapper = this.#launchers.forWrapper(node.path, at)
    if (wrapper) {
      this.#steps.standIn(node, at, wrapper)
      return
    }
    const isRelocatable = this.#options.prefix === null
    const inStore = storePathOf(isRelocatable ? startedBy(facts).program : facts.interpreter.value) !== null
    const interpreter = this.#scripts.interpreterOf(node.path)
    const isLost = inStore && node.executable && (interpreter === null || !this.#runs(interpreter))
    // One that is not on this machine either has been told of.
    if (isLost && interpreter !== null) this.#losesInterpreter(node.path, facts, 'warning')
    else if (node.executable) this.#noteHostInterpreter(node.path, facts)
    const script = isRelocatable && inStore && !isLost ? this.#scripts.of(node.path) : null
    const form = script && this.#scripts.formOf(script)
    if (form === 'module') this.#losesInterpreter(node.path, facts, 'note')
    if (script === null || form === 'module') this.data(node, at)
    else if (form === 'text') this.#steps.copy(at, node, this.#asText(node, script, at))
    else {
      const text = shadow(at)
      const names = this.#scripts.otherNames(node.path)
      this.shadows.set(directoryOf(at), directoryOf(text))
      this.#steps.copy(text, node, this.#asText(node, script, text))
      for (const name of names) this.#steps.symlink(`${directoryOf(text)}/${name}` as BundlePath, baseName(text))
      this.#steps.launch(at, this.#launchers.forScript(script, at, names))
    }
  }

  /** A launcher in the place of a link to a script; false where that stays a link. */
  link(link: LinkNode, at: BundlePath): boolean {
    const script = this.#options.prefix === null ? this.#scripts.linked(link) : null
    const place = script && this.#layout.placed.get(script.path)
    if (!script || !place || !this.#runs(script.interpreter)) return false
    const text = shadow(at)
    this.shadows.set(directoryOf(at), directoryOf(text))
    this.#steps.symlink(text, relativeLink(text, place))
    this.#steps.launch(at, this.#launchers.forScript(script, at, []))
    return true
  }

  /** The text of a script, which finds its interpreter by itself wherever a language lets it. */
  #asText(node: FileNode, script: Script, at: BundlePath): Rewritten {
    const { language, name, facts } = script
    const canStart = this.#scripts.canStart(script, at)
    const start = {
      name,
      interpreter: this.#launchers.placeOfInterpreter(script),
      flags: this.#launchers.flagsOf(script),
    }
    // perl fills its text in only as a program that can be executed.
    const isFilled = language !== null && (language !== 'perl' || this.#launchers.isNative(script.interpreter))
    const isText = this.#graph.texts.has(node.path)
    const { edits, accounts } =
      isText && isFilled
        ? this.#asExpressions(node, at, language, canStart ? start : null)
        : this.#asTemplate(node, at, canStart ? start : null)
    // What the `#!` line names, the launcher or the text's start does.
    const stoodFor = (a: Account): Account =>
      a.verdict.rule === 'shebang' || (a.verdict.followed && a.reference.offset < facts.lineEnd)
        ? { ...a, outcome: 'templated', missed: false }
        : a
    return { edits, accounts: accounts.map(stoodFor) }
  }

  /** Whether what a `#!` line names can be started in the bundle: it may be a script, and that one's too. */
  #runs(interpreter: SourcePath, scripts = SCRIPTS_MAX): boolean {
    if (this.#launchers.runs(interpreter)) return true
    const { facts, executable } = this.#graph.files.get(interpreter)!
    if (facts.format !== 'script' || !executable || scripts === 0) return false
    if (storePathOf(facts.interpreter.value) === null) return true
    const script = this.#scripts.of(interpreter)
    const hasLauncher = this.#options.prefix !== null || (script !== null && this.#scripts.formOf(script) !== 'module')
    return script !== null && hasLauncher && this.#runs(script.interpreter, scripts - 1)
  }

  /** A script that starts only where the machine has its interpreter: /bin/sh is everywhere, others are not. */
  #noteHostInterpreter(file: SourcePath, facts: ScriptFacts): void {
    const { interpreter, argument } = facts
    const { program, flags } = startedBy(facts)
    const isEnv = baseName(program) === 'env'
    const found = isEnv ? flags.find(word => !/^-|=/.test(word)) : undefined
    if (storePathOf(found ?? program) !== null && (!isEnv || found?.startsWith('/'))) return
    const isCommon = interpreter.value === '/bin/sh' || !this.#scripts.isEntry(file)
    const name = isEnv ? `env ${argument ?? ''}`.trimEnd() : interpreter.value
    const severity = isCommon ? 'note' : 'warning'
    const key = `${severity} ${name}`
    const files = this.#hostInterpreters.get(key)?.files ?? []
    this.#hostInterpreters.set(key, { severity, interpreter: name, files: [...files, file] })
  }

  /** What the machine has to have: one finding for each interpreter. */
  findings(): Finding[] {
    return [...this.#hostInterpreters.values()].map(({ severity, interpreter, files }) => {
      const sorted = [...files].sort()
      return { code: 'interpreter-host', severity, file: sorted[0]!, interpreter, files: sorted }
    })
  }

  #losesInterpreter(file: SourcePath, { interpreter }: ScriptFacts, severity: Severity): void {
    this.#steps.finding({ code: 'interpreter-unreachable', severity, file, interpreter: interpreter.value })
  }

  /** What is read and not started: modules, parts of scripts, data. */
  data(node: FileNode, at: BundlePath): void {
    const libraries = this.#options.prefix === null ? this.#graph.typelibs.get(node.path) : undefined
    if (node.path.endsWith('.pyc')) this.#pyc(node, at)
    else if (libraries !== undefined) this.#typelib(node, at, libraries)
    else this.#steps.copy(at, node, this.#placed(node, at))
  }

  /** `edits` of a file in its own place, where a Python source has several who ask: it, and each that is compiled of it. */
  #placed(node: FileNode, at: BundlePath): Rewritten {
    if (!node.path.endsWith('.py')) return this.edits(node, at)
    const known = this.#sources.get(node.path) ?? this.edits(node, at)
    this.#sources.set(node.path, known)
    return known
  }

  /** What is written of a text, or of what else is no binary. */
  edits(node: FileNode, at: BundlePath): Rewritten {
    // What has members is packed, even where no byte of it happens to be NUL.
    const text = this.#graph.texts.get(node.path)
    const isText = node.text && node.members.length === 0 && !(text !== undefined && isCounted(text, node.references))
    if (this.#options.prefix !== null && isText) return this.#accounts.atAnyLength(node, at)
    const language = this.#options.prefix === null && isText ? this.#scripts.languageOf(node.path) : null
    // A script's, of Perl, needs a launcher's help.
    const isCode = language === 'pth' && !isPathsOnly(this.#graph.texts.get(node.path) ?? '')
    if (language !== null && language !== 'perl' && !isCode) return this.#asExpressions(node, at, language)
    return isText ? this.#asTemplate(node, at) : this.#accounts.inPlace(node, at)
  }

  /**
   * A text that says itself where it lies. One of which a program would miss something all the same is `relocate`'s, all of
   * it, where its language has been read no further than its strings, and where it could not be read at all.
   */
  #asExpressions(node: FileNode, at: BundlePath, language: Language, start: Start | null = null): Rewritten {
    const rewritten = this.#accounts.asExpressions(node, at, language, start)
    const missed = rewritten.accounts.some(account => account.missed)
    const isRead = rewritten.accounts.some(account => account.outcome === 'templated')
    const filled = missed && !(READ_WHOLE.has(language) && isRead) ? this.#asTemplate(node, at, start) : null
    return filled === null || filled.accounts.some(account => account.missed) ? rewritten : filled
  }

  /** A text in a language or format that cannot say where it lies: `relocate` tells it. */
  #asTemplate(node: FileNode, at: BundlePath, start: Start | null = null): Rewritten {
    const filled = this.#templates.served ? this.#accounts.asTemplate(node, at, start) : null
    if (filled !== null) this.#templates.add(filled.template)
    if (filled === null && start !== null) return this.#accounts.asExpressions(node, at, null, start)
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
    const changed = this.#placed(source, this.#layout.placed.get(source.path)!)
    // Its code holds paths where the source has expressions: Python compiles it anew.
    if (changed.accounts.some(a => a.outcome === 'templated')) return
    const growth = changed.edits.reduce((sum, e) => sum + (e.op === 'splice' ? e.to.length - e.length : 0), 0)
    const mended = changed.edits.length === 0 ? null : mendPyc(head, source.size + growth)
    this.#steps.copy(at, node, {
      accounts,
      edits: mended === null ? edits : [...edits, { op: 'overwrite', ...mended }],
    })
  }

  /** A typelib names its libraries by what they are found by, at no greater length. */
  #typelib(node: FileNode, at: BundlePath, libraries: Located): void {
    const length = libraries.value.length
    const names = namesIn(libraries).map(name => (storePathOf(name) === null ? name : this.#sonameOf(name)))
    const to = Buffer.alloc(length)
    const isShorter = to.length >= Buffer.from(names.join(','), 'latin1').copy(to)
    const { edits, accounts } = this.#accounts.inPlace(node, at, [{ offset: libraries.offset, length }])
    const from = Buffer.from(libraries.value, 'latin1')
    const edit = { op: 'overwrite', offset: libraries.offset, from, to } as const
    this.#steps.copy(at, node, isShorter ? { accounts, edits: [...edits, edit] } : this.#accounts.inPlace(node, at))
  }

  /** What the loader knows a library by; links of the store lead to files of the graph. */
  #sonameOf(name: string): string {
    const path = name as SourcePath
    const facts = this.#graph.files.get(this.#graph.links.get(path)?.target ?? path)?.facts
    return facts?.format === 'elf' && facts.soname !== null ? facts.soname.value : baseName(name)
  }
}
