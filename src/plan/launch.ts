/**
 * How a program, a script or a wrapper of a bundle is started where an absolute path would be needed: what stands in its
 * place. Pure.
 *
 * A launcher is the native one (entry/launcher.c) where there is one for the CPU, else, or when it is asked for, a
 * `/bin/sh` script.
 */

import { blobOf, type EntryCpu, entryCpu } from '../entry/cpus.ts'
import { isStatic } from '../entry/inject.ts'
import {
  calledInRoot,
  inRoot,
  type LaunchTemplate,
  launch,
  nativeLauncher,
  type Part,
  plain,
  type Template,
  throughInterpreter,
  throughLoader,
  type Wrapper,
  wrapping,
} from '../entry/launcher.ts'
import { isShellVariable, shellLauncher } from '../entry/shell.ts'
import { isMachOProgram } from '../macho/facts.ts'
import type { Finding } from '../model/findings.ts'
import type { DependencyGraph } from '../model/graph.ts'
import type { PlanOptions } from '../model/plan.ts'
import { STORE_DIR, storePathPrefix } from '../nix/store-path.ts'
import { type BundlePath, directoryOf, type SourcePath } from '../paths.ts'
import { blank, type Target } from '../references/rewrite.ts'
import type { Language } from '../script/language.ts'
import { SCRIPTS_MAX } from '../script/parse.ts'
import { throughPerl } from '../script/perl-edit.ts'
import type { Layout } from './layout.ts'
import { interprets, type Script, type Scripts } from './scripts.ts'

/**
 * Languages in which a text takes the way that it was called by for the way to its bundle, and puts command lines together
 * without quotes: its way is a plain one. Perl is told the root apart from its text's name.
 */
const FOLLOWS: ReadonlySet<Language> = new Set<Language>(['shell', 'tcl', 'lua'])

/** What stands in the place of a file, and findings about it. */
export interface Launcher {
  readonly bytes: Buffer
  readonly findings: readonly Finding[]
}

/** Where the file goes that a launcher stands for: beside it, so that what it finds beside itself is there. */
export function hidden(at: BundlePath): BundlePath {
  const directory = directoryOf(at)
  const name = at.slice(directory.length === 0 ? 0 : directory.length + 1)
  return `${directory === '' ? '' : `${directory}/`}.${name}-program` as BundlePath
}

/**
 * Where a script's text goes that a launcher stands for: under its own name, in a directory beside its own that holds
 * links to its neighbours. So `$0`, `__file__` and the like have the name that they had, and what the script looks for
 * beside itself, or above, is there.
 */
export function shadow(at: BundlePath): BundlePath {
  const directory = directoryOf(at)
  const parent = directoryOf(directory)
  const own = directory.slice(parent === '' ? 0 : parent.length + 1)
  return `${parent === '' ? '' : `${parent}/`}.${own}-text${at.slice(directory.length)}` as BundlePath
}

export class Launchers {
  readonly #graph: DependencyGraph
  readonly #layout: Layout
  readonly #options: PlanOptions
  readonly #targets: ReadonlyMap<string, Target>
  /** The files that wrappers start. */
  readonly #wrappedFiles: ReadonlyMap<SourcePath, SourcePath | null>

  readonly #scripts: Scripts

  /** @param targets where store paths go, by hash */
  constructor(
    graph: DependencyGraph,
    layout: Layout,
    options: PlanOptions,
    targets: ReadonlyMap<string, Target>,
    scripts: Scripts,
  ) {
    this.#graph = graph
    this.#scripts = scripts
    this.#layout = layout
    this.#options = options
    this.#targets = targets
    this.#wrappedFiles = new Map(graph.edges.filter(e => e.kind === 'wrapper').map(e => [e.from, e.to]))
  }

  /** Where the loader of a program lies; null for what has none. */
  loaderOf(program: SourcePath): BundlePath | null {
    const loader = this.#graph.linkMaps.get(program)?.loader
    return loader === undefined ? null : (this.#layout.placed.get(loader) ?? null)
  }

  /** For a program that cannot take the stub and lies hidden behind `at`: its loader runs it. */
  forProgram(program: SourcePath, at: BundlePath): Launcher {
    const { argv0, findings } = this.#argv0(program)
    return { bytes: this.#render(this.#loaded(program, launch(at, hidden(at)), argv0), program), findings }
  }

  /** Whether what starts through this program or wrapper has a native launcher, which passes argv[0] on to the next. */
  isNative(path: SourcePath): boolean {
    return this.#compiledFor(path) !== null
  }

  /** Whether a program can be started in the bundle: its loader is there, it needs none, or a launcher stands for it. */
  runs(program: SourcePath): boolean {
    return this.#startsAlone(program) || this.loaderOf(program) !== null || this.#wrapped(program) !== null
  }

  /** Where the interpreter of a `#!` line lies, under the name that the line gives it: `sh` is not `bash`. */
  placeOfInterpreter({ program, interpreter }: Script): BundlePath {
    return this.#layout.placed.get(program as SourcePath) ?? this.#layout.placed.get(interpreter)!
  }

  /**
   * For a script whose text lies beside `at` (shadow): its interpreter runs it.
   * @param otherNames names that links give it
   */
  forScript(script: Script, at: BundlePath, otherNames: readonly string[]): Launcher {
    const { interpreter, language } = script
    const interpreterAt = this.placeOfInterpreter(script)
    const flags = this.flagsOf(script)
    const isNative = this.isNative(interpreter)
    const called = calledInRoot(shadow(at), otherNames)
    const program = language !== null && FOLLOWS.has(language) ? plain(called) : called
    const bare = { ...launch(at, shadow(at)), program }
    const template =
      language === 'perl' && isNative
        ? throughPerl(bare, inRoot(interpreterAt), flags)
        : throughInterpreter(bare, inRoot(interpreterAt), flags)
    // What stands for a wrapper starts as it lies there, and so does what needs no loader of the bundle's.
    if (isNative || this.#wrapped(interpreter) || this.loaderOf(interpreter) === null)
      return { bytes: this.#render(template, interpreter), findings: [] }
    const { argv0, findings } = this.#argv0(interpreter)
    const file = inRoot(this.#fileOf(interpreter))
    const loaded = this.#loaded(interpreter, { ...template, program: file }, argv0)
    return { bytes: this.#render(loaded, interpreter), findings }
  }

  /** The arguments of a script's `#!` line, with what they name in the bundle. */
  flagsOf({ flags, interpreter }: Script): readonly Template[] {
    return flags.map(flag => plain(this.#flag(flag, interpreter)))
  }

  /** In a wrapper's own place; null for what is no wrapper, or wraps nothing that is in the bundle. */
  forWrapper(path: SourcePath, at: BundlePath): Launcher | null {
    const template = this.#wrapping(path, at, new Set())
    return template && { bytes: this.#render(template, path), findings: [] }
  }

  /** @param outer wrappers that this one is wrapped in */
  #wrapping(path: SourcePath, at: BundlePath, outer: ReadonlySet<SourcePath>): LaunchTemplate | null {
    const wrapped = this.#wrapped(path)
    if (!wrapped) return null
    const { wrapper, program, place } = wrapped
    const inner = this.isNative(path) ? null : this.#started(program, at, new Set([...outer, path]))
    // Where both change the directory, the inner one may start from the outer's.
    const start = inner?.directory && wrapper.directory !== null ? null : inner
    const filled = (text: string): Template => this.#filled(text)
    const template = wrapping(start ?? launch(at, place), wrapper, filled, text => this.#flag(text, program))
    if (!this.isNative(path) || this.#graph.files.get(path)?.facts.format !== 'script') return template
    // bash's exec hands no `_` on.
    return { ...template, environment: [...template.environment, { op: 'unset', name: '_' }] }
  }

  /**
   * How a wrapper's program is started by a shell without another launcher, which could not be told its argv[0]; null
   * for what starts as it lies there, and for scripts, which see no argv[0].
   */
  #started(program: SourcePath, at: BundlePath, outer: ReadonlySet<SourcePath>): LaunchTemplate | null {
    if (this.#wrapped(program)) return outer.has(program) ? null : this.#wrapping(program, at, outer)
    if (this.loaderOf(program) === null || this.#takesStub(program)) return null
    return this.#loaded(program, launch(at, this.#fileOf(program)), this.#argv0(program).argv0)
  }

  /** A wrapper, what it starts and where that lies; null for what is none that a launcher stands for. */
  #wrapped(path: SourcePath): { wrapper: Wrapper; program: SourcePath; place: BundlePath } | null {
    const wrapper = this.#options.prefix === null ? this.#graph.wrappers.get(path) : undefined
    if (!wrapper || !(this.isNative(path) || wrapper.environment.every(({ name }) => isShellVariable(name))))
      return null
    const program = this.#wrappedFiles.get(path)
    if (!program) return null
    // The name that the wrapper gives it; by way of a linked directory only the file has a place.
    const place = this.#layout.placed.get(wrapper.program as SourcePath) ?? this.#layout.placed.get(program)
    return place === undefined ? null : { wrapper, program, place }
  }

  /** @param path what is started: it says for which CPU the launcher is */
  #render(template: LaunchTemplate, path: SourcePath): Buffer {
    const compiled = this.#compiledFor(path)
    return compiled ? nativeLauncher(template, compiled) : shellLauncher(template)
  }

  /** The native launcher for the CPU of what is started; null where launchers are shell scripts. */
  #compiledFor(path: SourcePath): Buffer | null {
    if (this.#options.launcher === 'shell' || this.#options.prefix !== null) return null
    const cpu = this.#cpuOf(path, SCRIPTS_MAX)
    return cpu && blobOf(cpu, 'launcher')
  }

  /** The CPU of a program for Linux, of what a wrapper starts, or of a script's interpreter. */
  #cpuOf(path: SourcePath, steps: number): EntryCpu | null {
    const next = this.#wrappedFiles.get(path) ?? this.#scripts.interpreterOf(path)
    const started = next && steps > 0 ? this.#cpuOf(next, steps - 1) : null
    const facts = this.#graph.files.get(path)?.facts
    return started ?? (facts?.format === 'elf' ? entryCpu(facts) : null)
  }

  #loaded(program: SourcePath, template: LaunchTemplate, argv0: boolean): LaunchTemplate {
    return throughLoader(template, inRoot(this.loaderOf(program)!), argv0)
  }

  /** Whether a program needs no loader of the bundle's: a static one, one of macOS. */
  #startsAlone(program: SourcePath): boolean {
    const facts = this.#graph.files.get(program)?.facts
    return facts !== undefined && (facts.format === 'elf' ? isStatic(facts) : isMachOProgram(facts))
  }

  #takesStub(program: SourcePath): boolean {
    return this.#options.launcher !== 'shell' && !this.#graph.refusals.has(program)
  }

  /** Where the ELF file of a program lies. */
  #fileOf(program: SourcePath): BundlePath {
    const at = this.#layout.placed.get(program)!
    return this.#takesStub(program) ? at : hidden(at)
  }

  /** Whether a program's loader can be told its argv[0]. */
  #argv0(program: SourcePath): { argv0: boolean; findings: Finding[] } {
    const loader = this.#graph.linkMaps.get(program)!.loader
    const argv0 = this.#graph.loaders.get(loader)?.argv0 ?? false
    return {
      argv0,
      findings: argv0 ? [] : [{ code: 'argv0-unsupported', severity: 'warning', file: program, loader }],
    }
  }

  /**
   * An argument of a program. A script that the program interprets is named by its text: a launcher stands in its place.
   * @param program what is given the argument
   */
  #flag(text: string, program: SourcePath): Template {
    return this.#filled(text, path => {
      const link = this.#graph.links.get(path as SourcePath)
      const linked = link === undefined ? null : this.#scripts.linked(link)
      if (linked && interprets(program, linked)) return shadow(this.#layout.placed.get(link!.path)!)
      const script = this.#scripts.launched(path as SourcePath)
      const place = script && interprets(program, script) ? this.#layout.placed.get(script.path) : undefined
      return place === undefined ? null : shadow(place)
    })
  }

  /**
   * A text with its store paths made relative to the root, or blanked where the bundle has nothing of the package.
   * @param elsewhere the place of a path that does not lie where its package does; null for others
   */
  #filled(text: string, elsewhere: (path: string) => BundlePath | null = () => null): Template {
    const parts: Part[] = []
    let rest = text
    for (let at = rest.indexOf(STORE_DIR); at >= 0; at = rest.indexOf(STORE_DIR)) {
      parts.push(rest.slice(0, at))
      const path = /^[^\s"'`;:,=]*/.exec(rest.slice(at))![0]
      const place = elsewhere(path)
      if (place !== null) {
        parts.push({ root: true }, `/${place}`)
        rest = rest.slice(at + path.length)
        continue
      }
      const store = storePathPrefix(rest.slice(at))
      const target = store && this.#targets.get(store.hash)
      if (target && store.root === target.root) parts.push({ root: true }, target.path)
      else parts.push(blank(store?.root ?? STORE_DIR))
      rest = rest.slice(at + (store?.root ?? STORE_DIR).length)
    }
    return [...parts, rest].filter(part => part !== '')
  }
}
