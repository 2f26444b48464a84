/**
 * Scripts of a relocatable bundle: what runs each, and in which form it is there. Pure.
 *
 * A `#!` line is absolute. So what is executed is a launcher, which leaves the text for what reads it; or it is a text
 * that `/bin/sh` can start (script/polyglot.ts, script/shell-setup.ts), which others can read as well. A launcher needs
 * no shell, so programs are launchers: what lies in bin/, sbin/ and libexec/ (git's helpers run where there is no shell).
 * But a file that an interpreter is given as an argument has to be a text, and so it is everywhere else, and where a file
 * of the bundle is seen to do so.
 *
 * A program may be a link to a script that lies elsewhere: `bin/x -> ../lib/node_modules/x/cli.js` (npm), where other
 * modules load it. Then the launcher stands in the place of the link.
 */
import type { DependencyGraph, FileNode, LinkNode, Package } from '../model/graph.ts'
import { storePathOf } from '../nix/store-path.ts'
import { type BundlePath, baseName, directoryOf, type SourcePath } from '../paths.ts'
import type { ScriptFacts } from '../script/facts.ts'
import { handsItselfOn } from '../script/handed-on.ts'
import { type Language, languageOf } from '../script/language.ts'
import { moduleFlags } from '../script/perl-edit.ts'
import { canBePolyglot } from '../script/polyglot.ts'
import { interpreterName, startedBy, stem } from '../script/shebang.ts'
import { sourcedNames } from '../script/shell-edit.ts'
import type { ParsedShell } from '../script/shell-parsed.ts'
import { finder, type Layout } from './layout.ts'

/** A script whose interpreter is in the bundle. */
export interface Script {
  readonly path: SourcePath
  readonly facts: ScriptFacts
  readonly language: Language | null
  /** Of the interpreter, without its version. */
  readonly name: string
  /** As the `#!` line, or `env -S` in it, names it. */
  readonly program: string
  readonly flags: readonly string[]
  readonly interpreter: SourcePath
}

/**
 * - `launcher`: a launcher stands for it, its text lies beside
 * - `text`: it is a text that `/bin/sh` starts
 * - `module`: it is a text that others load; nothing starts it
 */
export type Form = 'launcher' | 'text' | 'module'

/** Whether a program is what would interpret a script: the file itself, or one of that name. */
export const interprets = (program: SourcePath, script: Script): boolean =>
  program === script.interpreter || isOneOf(stem(baseName(program)), script)

const isOneOf = (name: string, script: Script): boolean =>
  name === script.name || (script.language === 'shell' && SHELLS.has(name))

export class Scripts {
  readonly #graph: DependencyGraph
  readonly #layout: Layout
  readonly #packageOf: (path: string) => Package
  readonly #entrySources: ReadonlySet<SourcePath>
  /** What was asked for, its links followed. */
  readonly #entryFiles: ReadonlySet<SourcePath>
  /** Names of files that shell texts source. */
  readonly #sourced = new Set<string>()
  readonly #interpreters: ReadonlyMap<SourcePath, SourcePath>
  readonly #forms = new Map<SourcePath, Form>()
  readonly #handedOn = new Map<SourcePath, boolean>()
  #names: ReadonlyMap<SourcePath, string[]> | null = null
  #mentioned: { readonly arguments: ReadonlySet<string>; readonly paths: ReadonlySet<string> } | null = null

  /** @param isRelocatable else every script is a text */
  constructor(graph: DependencyGraph, layout: Layout, isRelocatable: boolean, shell: ParsedShell) {
    this.#graph = graph
    this.#layout = layout
    this.#packageOf = finder(graph.packages)
    this.#entrySources = new Set(graph.entries.map(entry => entry.source))
    this.#entryFiles = new Set(graph.entries.map(entry => graph.links.get(entry.source)?.target ?? entry.source))
    this.#interpreters = new Map(
      graph.edges.flatMap(({ kind, from, to }) => (kind === 'shebang' && to !== null ? [[from, to] as const] : [])),
    )
    if (isRelocatable) this.#addSourced(shell)
  }

  #addSourced(shell: ParsedShell): void {
    // Whether it is sourced matters of what has a text alone, under all its names.
    let known: ReadonlySet<string> | null = null
    const isKnown = (name: string): boolean => (known ??= this.#textNames()).has(name)
    for (const [path, text] of this.#graph.texts) {
      if (this.languageOf(path) !== 'shell') continue
      const isEdited = this.#graph.files.get(path)!.references.length > 0
      const names = sourcedNames(text, isKnown, isEdited ? text => shell.keep(text) : undefined)
      for (const name of names) this.#sourced.add(name)
    }
  }

  #textNames(): ReadonlySet<string> {
    const names = new Set<string>()
    for (const path of this.#graph.texts.keys())
      for (const name of [baseName(path), ...this.otherNames(path)]) names.add(name)
    return names
  }

  /** Whether a file is what was asked for, by its own path or by a link. */
  isEntry(path: SourcePath): boolean {
    return this.#entryFiles.has(path)
  }

  /** What a script's `#!` line starts, if that is in the bundle. */
  interpreterOf(script: SourcePath): SourcePath | null {
    return this.#interpreters.get(script) ?? null
  }

  /** The language of a text: what shell scripts source is shell, whatever it is called. */
  languageOf(path: SourcePath): Language | null {
    const facts = this.#graph.files.get(path)?.facts
    const text = this.#graph.texts.get(path)
    if (!facts || text === undefined) return null
    const language =
      languageOf(path, facts) ?? (facts.format === 'data' && this.#sourced.has(baseName(path)) ? 'shell' : null)
    return language === 'shell' && this.#isHandedOn(path, text) ? null : language
  }

  /** Whether a shell text is one of another language too, in which a line of shell more would mean something else. */
  #isHandedOn(path: SourcePath, text: string): boolean {
    const known = this.#handedOn.get(path)
    if (known !== undefined) return known
    const isHandedOn = handsItselfOn(text)
    this.#handedOn.set(path, isHandedOn)
    return isHandedOn
  }

  /** A script that runs in the bundle by an interpreter of the bundle's; null for other files. */
  of(path: SourcePath): Script | null {
    const node = this.#graph.files.get(path)
    const interpreter = this.interpreterOf(path)
    if (node?.facts.format !== 'script' || interpreter === null || !node.executable) return null
    const { facts } = node
    const name = interpreterName(facts)
    const { program, flags } = startedBy(facts)
    const all = name === 'perl' ? (moduleFlags(this.#graph.texts.get(path) ?? '') ?? flags) : flags
    // `env perl` starts a perl of the machine's.
    const isMachines = name === 'perl' && baseName(program) === 'env'
    const language = isMachines ? null : this.languageOf(path)
    return { path, facts, language, name, program, flags: all, interpreter }
  }

  /** A script that a launcher stands for; null for other files. @param path may go through links */
  launched(path: SourcePath): Script | null {
    const file = this.#graph.links.get(path)?.target ?? path
    const script = storePathOf(file) === null ? null : this.of(file)
    return script && this.formOf(script) === 'launcher' ? script : null
  }

  /** A script outside the directories of programs that a link in one of them leads to: the launcher stands for the link. */
  linked(link: LinkNode): Script | null {
    if (link.directory || this.#graph.wrappers.has(link.target)) return null
    if (!this.#isInPrograms(link.path) || this.#isInPrograms(link.target)) return null
    const script = this.of(link.target)
    return script && this.formOf(script) !== 'launcher' && !this.#isRead(script) ? script : null
  }

  /** Whether a path lies in bin/, sbin/ or libexec/ of its package. */
  #isInPrograms(path: SourcePath): boolean {
    return /^\/(?:s?bin|libexec)\//.test(path.slice(this.#packageOf(path).root.length))
  }

  formOf(script: Script): Form {
    const known = this.#forms.get(script.path)
    if (known !== undefined) return known
    const form = this.#form(script)
    this.#forms.set(script.path, form)
    return form
  }

  /** Whether its text can find its interpreter by itself. */
  canStart({ path, language, name, interpreter }: Script, at: BundlePath): boolean {
    return this.#graph.texts.has(path) && (language === 'shell' || canBePolyglot(name, baseName(interpreter), at))
  }

  #form(script: Script): Form {
    const { path } = script
    const inPackage = path.slice(this.#packageOf(path).root.length)
    const isProgram = this.#isInPrograms(path) || this.#entrySources.has(path)
    const place = this.#layout.placed.get(path)
    const canBeText = place !== undefined && this.canStart(script, place)
    if (canBeText && this.#isLibrary(inPackage)) return 'module'
    if (canBeText) return isProgram && !this.#isRead(script) ? 'launcher' : 'text'
    return /\.[A-Za-z]+$/.test(path) && !isProgram && !this.isEntry(path) ? 'module' : 'launcher'
  }

  /** Modules of the interpreters' own: many can be run too, few ever are, and compiled ones know the source's lines. */
  #isLibrary(inPackage: string): boolean {
    return /^\/lib(?:64)?\/(?:python|pypy|perl|ruby)[\d.]*\/.*\.[A-Za-z]+$/.test(inPackage)
  }

  /** Whether a file of the bundle is seen to read it: a shell sources it, an interpreter is given it. */
  #isRead(script: Script): boolean {
    const { path, language } = script
    const names = [baseName(path), ...this.otherNames(path)]
    if (language === 'shell' && (/\.(?:ba)?sh$/.test(path) || names.some(name => this.#sourced.has(name)))) return true
    const mentioned = (this.#mentioned ??= this.#mentions())
    return names.some(name => mentioned.arguments.has(`${kindOf(script.name)} ${name}`)) || mentioned.paths.has(path)
  }

  /** What files of the bundle give to interpreters: names behind an interpreter's in a shell text, paths elsewhere. */
  #mentions(): { arguments: Set<string>; paths: Set<string> } {
    const names = new Set<string>()
    const scripts = [...this.#graph.files.keys()].flatMap(path => this.of(path) ?? [])
    const interpreters = new Set(scripts.map(script => kindOf(script.name)))
    const calls = callsOf(interpreters)
    for (const [path, text] of this.#graph.texts)
      if (this.languageOf(path) === 'shell') argumentsIn(text, calls, interpreters, names)
    const paths = new Set<string>()
    const byPath = new Map(scripts.map(script => [script.path as string, script]))
    for (const node of this.#graph.files.values()) {
      const named = new Set(node.verdicts.flatMap(({ target }) => (target && byPath.get(target)) ?? []))
      if (named.size === 0 || this.languageOf(node.path) === 'shell' || this.#graph.wrappers.has(node.path)) continue
      for (const script of named)
        if (script.path !== node.path && this.#mayInterpret(node, script)) paths.add(script.path)
    }
    return { arguments: names, paths }
  }

  /** Whether a file that names a script knows its interpreter too, or is of the same language. */
  #mayInterpret(node: FileNode, script: Script): boolean {
    if (node.facts.format === 'script') return interpreterName(node.facts) === script.name
    return node.verdicts.some(({ target }) => target !== null && this.#isInterpreter(target, script))
  }

  #isInterpreter(target: SourcePath, script: Script): boolean {
    return interprets(this.#graph.links.get(target)?.target ?? target, script)
  }

  /** Names that links give a script in the bundle, other than its own. */
  otherNames(path: SourcePath): readonly string[] {
    return (this.#names ??= this.#linkNames()).get(path) ?? []
  }

  #linkNames(): ReadonlyMap<SourcePath, string[]> {
    const names = new Map<SourcePath, string[]>()
    for (const link of this.#graph.links.values()) {
      if (link.directory || this.#graph.files.get(link.target)?.facts.format !== 'script') continue
      const name = baseName(link.path)
      const neighbour = `${directoryOf(link.target)}/${name}` as SourcePath
      // Another file beside it has that name.
      if (name === baseName(link.target) || (this.#graph.files.has(neighbour) && neighbour !== link.target)) continue
      const led = this.#graph.links.get(neighbour)
      if (led !== undefined && led.target !== link.target) continue
      const known = names.get(link.target)
      if (known === undefined) names.set(link.target, [name])
      else if (!known.includes(name)) known.push(name)
    }
    return names
  }
}

const SHELLS: ReadonlySet<string> = new Set('sh ash bash dash ksh mksh zsh'.split(' '))

/** One name for all shells. */
const kindOf = (name: string): string => (SHELLS.has(name) ? 'sh' : name)

/** A name of an interpreter on a line of shell, quoted or not, with something behind it. */
function callsOf(interpreters: ReadonlySet<string>): RegExp {
  const names = [...interpreters].flatMap(name => (name === 'sh' ? [...SHELLS] : [name]))
  const spelled = names.map(name => [...name].map(c => c.replace(/\W/, '\\$&')).join(`["']*`))
  return new RegExp(`(?<![^\\s;&|()\`/\${"'])(?:${spelled.join('|')})["'}\\d.-]*[\\s;&|()\`]`, 'i')
}

/**
 * Adds `<interpreter> <name>` for the paths that stand behind an interpreter's name on a line of shell.
 * @param calls of these interpreters
 */
function argumentsIn(text: string, calls: RegExp, interpreters: ReadonlySet<string>, found: Set<string>): void {
  for (let start = 0, end = 0; start < text.length; start = end + 1) {
    end = text.indexOf('\n', start)
    if (end < 0) end = text.length
    if (end - start > 4096) continue
    const line = text.slice(start, end)
    const slash = line.lastIndexOf('/')
    if (slash < 0 || !calls.test(line.slice(0, slash)) || /^\s*#/.test(line)) continue
    let interpreter: string | null = null
    for (const piece of line.split(/([\s;&|()`]+)/)) {
      if (/[;&|()`]/.test(piece)) interpreter = null
      const name = baseName(piece.replace(/["']/g, ''))
      if (interpreter !== null && piece.includes('/')) found.add(`${interpreter} ${name}`)
      const program = kindOf(
        stem(
          name
            .replace(/^\$\{?/, '')
            .replace(/\}$/, '')
            .toLowerCase(),
        ),
      )
      if (interpreter === null && interpreters.has(program)) interpreter = program
    }
  }
}
