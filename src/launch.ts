/**
 * How a program, a script or a wrapper of a bundle is started where an absolute path would be needed: what stands in its
 * place. Pure.
 *
 * A launcher is the native one (entry/launcher.c) where there is one for the CPU, else, or when it is asked for, a
 * `/bin/sh` script.
 */
import {
  inRoot,
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
import { directoryOf, type Layout } from './layout.ts'
import type { BundlePath, DependencyGraph, ElfFacts, Finding, PlanOptions, ScriptFacts, SourcePath } from './model.ts'
import { STORE_DIR, storePathPrefix } from './nix/store-path.ts'
import { blank, type Target } from './references/rewrite.ts'
import { SCRIPTS_MAX } from './script/parse.ts'
import { throughPerl } from './script/perl-edit.ts'

/** What stands in the place of a file, and findings about it. */
interface Launcher {
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

  /** @param targets where store paths go, by hash */
  constructor(graph: DependencyGraph, layout: Layout, options: PlanOptions, targets: ReadonlyMap<string, Target>) {
    this.#graph = graph
    this.#layout = layout
    this.#options = options
    this.#targets = targets
  }

  /** Where the loader of a program lies; null for what has none. */
  loaderOf(program: SourcePath): BundlePath | null {
    const loader = this.#graph.linkMaps.get(program)?.loader
    return loader === undefined ? null : (this.#layout.placed.get(loader) ?? null)
  }

  /** For a program that cannot take the stub and lies hidden behind `at`: its loader runs it. */
  forProgram(program: SourcePath, at: BundlePath): Launcher {
    const loader = this.loaderOf(program)!
    const { argv0, findings } = this.#argv0(program)
    const compiled = this.#compiledFor(program)
    const bytes = compiled
      ? nativeLauncher(throughLoader(launch(at, hidden(at)), inRoot(loader), argv0), compiled)
      : shellLauncher({ loader, program: hidden(at), script: null, argv0 })
    return { bytes, findings }
  }

  /** Whether what starts through this program or wrapper has a native launcher, which can do all that a template says. */
  isNative(path: SourcePath): boolean {
    return this.#compiledFor(path) !== null
  }

  /** Whether a program can be started in the bundle: its loader is there, it needs none, or a launcher stands for it. */
  runs(program: SourcePath): boolean {
    const facts = this.#graph.files.get(program)?.facts
    const isStatic = facts?.format === 'elf' && facts.program && facts.interp === null
    return isStatic || this.loaderOf(program) !== null || this.#graph.launched.has(program)
  }

  /** What a script's `#!` line names, if that is in the bundle. */
  interpreterOf(script: SourcePath): SourcePath | null {
    return this.#graph.edges.find(edge => edge.kind === 'shebang' && edge.from === script)?.to ?? null
  }

  /** Where the interpreter of a `#!` line lies, under the name that the line gives it: `sh` is not `bash`. */
  placeOfInterpreter({ interpreter }: ScriptFacts, path: SourcePath): BundlePath {
    return this.#layout.placed.get(interpreter.value as SourcePath) ?? this.#layout.placed.get(path)!
  }

  /** For a script whose text lies beside `at` (shadow): its interpreter runs it. */
  forScript(facts: ScriptFacts, interpreter: SourcePath, isPerl: boolean, at: BundlePath): Launcher {
    const interpreterAt = this.placeOfInterpreter(facts, interpreter)
    const text = shadow(at)
    const compiled = this.#compiledFor(interpreter)
    if (compiled) {
      const through = isPerl ? throughPerl : throughInterpreter
      const template = through(launch(at, text), inRoot(interpreterAt), facts.argument)
      return { bytes: nativeLauncher(template, compiled), findings: [] }
    }
    const loader = this.loaderOf(interpreter)
    const script = { at: text, interpreter: interpreterAt, argument: facts.argument }
    if (loader === null) {
      const bytes = shellLauncher({ loader, program: interpreterAt, script, argv0: false })
      return { bytes, findings: [] }
    }
    const stub = this.#options.launcher !== 'shell' && !this.#graph.refusals.has(interpreter)
    const program = stub ? interpreterAt : hidden(this.#layout.placed.get(interpreter)!)
    const { argv0, findings } = this.#argv0(interpreter)
    return { bytes: shellLauncher({ loader, program, script, argv0 }), findings }
  }

  /** In a wrapper's own place; null for what is no wrapper, or wraps nothing that is in the bundle. */
  forWrapper(path: SourcePath, at: BundlePath): Launcher | null {
    const compiled = this.#graph.launched.has(path) ? this.#compiledFor(path) : null
    const wrapper = this.#graph.wrappers.get(path)
    const program = wrapper && this.#placeOf(wrapper.program)
    if (!compiled || !program) return null
    const template = wrapping(launch(at, program), wrapper, text => this.#filled(text))
    return { bytes: nativeLauncher(template, compiled), findings: [] }
  }

  /** The native launcher for the CPU of what is started; null where launchers are shell scripts. */
  #compiledFor(path: SourcePath): Buffer | null {
    if (this.#options.launcher === 'shell' || this.#options.prefix !== null) return null
    const cpu = this.#cpuOf(path, SCRIPTS_MAX)
    const blob = cpu === null ? undefined : PREBUILT[cpu]
    return blob ? Buffer.from(blob.launcher, 'base64') : null
  }

  /** The CPU of a program, of what a launcher stands for, or of a script's interpreter. */
  #cpuOf(path: SourcePath, scripts: number): string | null {
    const launched = this.#graph.launched.get(path)
    const facts = this.#graph.files.get(path)?.facts
    if (launched !== undefined || facts?.format === 'elf') return launched ?? (facts as ElfFacts).arch
    const interpreter = scripts > 0 ? this.interpreterOf(path) : null
    return interpreter && this.#cpuOf(interpreter, scripts - 1)
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

  /** Where the file or link at an input's path lies in the bundle. */
  #placeOf(path: string): BundlePath | undefined {
    const placed = this.#layout.placed.get(path as SourcePath)
    if (placed !== undefined) return placed
    // A path through a linked directory: the edge knows what it led to.
    const edge = this.#graph.edges.find(e => e.kind === 'wrapper' && e.name === path)
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
}
