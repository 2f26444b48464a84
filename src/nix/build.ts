/**
 * What Nix is asked: to build an attribute or a flake's output. Nix's own error is the answer when it fails; nothing else is
 * tried then.
 */
import { BundleError } from '../errors.ts'
import { runTool, type ToolResult } from '../io/tool.ts'

/** How Nix is asked to build. */
export interface NixOptions {
  /** The file that attributes are taken from; null: nixpkgs. */
  readonly file: string | null
  /** The Nix system that is built for, such as `aarch64-linux`; null: this machine's. */
  readonly system: string | null
  /** Further arguments for Nix, as they are. */
  readonly args: readonly string[]
  /** Directory that relative paths start from. */
  readonly cwd: string
  /** Whether Nix's own messages are shown while it builds. */
  readonly shown: boolean
}

/** Outputs that hold no programs by nixpkgs' conventions: not built for a bundle unless asked for. */
const WITHOUT_PROGRAMS: ReadonlySet<string> = new Set([
  'dev',
  'devdoc',
  'devman',
  'doc',
  'man',
  'info',
  'debug',
  'lib',
  'static',
])

const ATTRIBUTE = /^[A-Za-z_][\w'-]*(?:\.[\w'-]+)*$/
/** Flake references by their scheme (Nix manual, "Flake references"); others are known by their `#`. */
const FLAKE_SCHEME = /^(?:flake|path|github|gitlab|sourcehut|(?:git|hg|tarball|file)(?:\+[a-z]+)?|https?|ssh):/

/** Whether a word can be an attribute path with, maybe, outputs: `nginx`, `python3Packages.black`, `nginx^bin,out`. */
export const isAttribute = (word: string): boolean => ATTRIBUTE.test(word.split('^')[0] ?? '')

/** Whether a word is a flake reference: `nixpkgs#nginx`, `.#app^bin`, `github:owner/repo`. */
export const isFlake = (word: string): boolean => word.includes('#') || FLAKE_SCHEME.test(word)

/** Splits `nginx^bin,out`. The outputs are null where none are named, `*` for all. */
export function outputsOf(word: string): { what: string; outputs: readonly string[] | '*' | null } {
  const caret = word.lastIndexOf('^')
  if (caret < 0 || word.indexOf('#', caret) >= 0) return { what: word, outputs: null }
  const list = word.slice(caret + 1)
  return { what: word.slice(0, caret), outputs: list === '*' ? '*' : list.split(',') }
}

/** Of all outputs of a derivation those that are wanted. */
function wanted(all: readonly string[], outputs: '*' | null): readonly string[] {
  const some = all.filter(output => !WITHOUT_PROGRAMS.has(output))
  return outputs === '*' || some.length === 0 ? all : some
}

/**
 * Builds an attribute of a file, of `<nixpkgs>`, or of the flake registry's nixpkgs where NIX_PATH has none.
 * @returns store paths of the outputs that may hold programs, or of those that the word names
 * @throws BundleError('nix-missing' | 'nix-failed')
 */
export async function buildAttribute(word: string, options: NixOptions): Promise<string[]> {
  const nix = new Nix(word, options)
  if (options.file === null && (await nix.run('nix-instantiate', ['--find-file', 'nixpkgs'])).code !== 0)
    return buildFlake(`nixpkgs#${word}`, options)
  const { what, outputs } = outputsOf(word)
  const file = options.file ?? '<nixpkgs>'
  const named = outputs === null || outputs === '*' ? wanted(await nix.outputs(file, what), outputs) : outputs
  const attributes = named.flatMap(output => ['-A', `${what}.${output}`])
  const built = await nix.must('nix-build', [file, '--no-out-link', ...attributes, ...nix.settings])
  return built.stdout.split('\n').filter(line => line !== '')
}

/**
 * Builds what a flake reference names; the flake's lock file stays as it is.
 * @returns and
 * @throws as above
 */
export async function buildFlake(word: string, options: NixOptions): Promise<string[]> {
  const nix = new Nix(word, options)
  const { what, outputs } = outputsOf(word)
  const reference = what.includes('#') ? what : `${what}#default`
  // `^` is younger than Nix 2.8; an output is an attribute of its derivation in every version.
  let named = outputs
  if (named === null || named === '*') {
    const all = await nix.run('nix', ['eval', '--json', ...FLAKES, ...nix.settings, `${reference}.outputs`])
    named = all.code === 0 ? wanted(JSON.parse(all.stdout) as string[], named) : null
  }
  const installables = named === null ? [what] : named.map(output => `${reference}.${output}`)
  const arguments_ = ['build', '--no-link', '--json', ...FLAKES, ...nix.settings, ...installables]
  const built = JSON.parse((await nix.must('nix', arguments_)).stdout) as { outputs: Record<string, string> }[]
  return built.flatMap(({ outputs }) => Object.values(outputs))
}

/** Who types a flake reference wants flakes, whatever nix.conf says. */
export const FLAKES = ['--extra-experimental-features', 'nix-command flakes', '--no-write-lock-file']

/** Nix, asked about one word of the command line. */
class Nix {
  readonly #word: string
  readonly #options: NixOptions
  readonly settings: readonly string[]

  constructor(word: string, options: NixOptions) {
    this.#word = word
    this.#options = options
    this.settings = [...(options.system === null ? [] : ['--system', options.system]), ...options.args]
  }

  /** The names of a derivation's outputs. */
  async outputs(file: string, attribute: string): Promise<string[]> {
    const evaluate = (path: string): Promise<ToolResult> =>
      this.run('nix-instantiate', ['--eval', '--strict', '--json', file, '-A', path, ...this.settings])
    const outputs = await evaluate(`${attribute}.outputs`)
    if (outputs.code === 0) return JSON.parse(outputs.stdout) as string[]
    // A derivation that names no outputs has one.
    const derivation = await evaluate(`${attribute}.drvPath`)
    if (derivation.code !== 0) throw this.#failed(derivation, false)
    return ['out']
  }

  /** Runs a tool of Nix that has to succeed. */
  async must(tool: string, args: readonly string[]): Promise<ToolResult> {
    const result = await this.run(tool, args, this.#options.shown)
    if (result.code !== 0) throw this.#failed(result, this.#options.shown)
    return result
  }

  async run(tool: string, args: readonly string[], shown = false): Promise<ToolResult> {
    try {
      return await runTool(tool, args, { shown, cwd: this.#options.cwd })
    } catch (error) {
      if (!(error instanceof BundleError) || error.code !== 'tool-missing') throw error
      throw new BundleError('nix-missing', `${this.#word}: there is no Nix on PATH to build it`, {
        hint: `give a path such as ./result or ./${this.#word.split(/[#^]/)[0]}, or install Nix`,
        cause: error,
      })
    }
  }

  #failed(result: ToolResult, shown: boolean): BundleError {
    const said = shown ? '; its error stands above' : `:\n${result.stderr.trim()}`
    const { file } = this.#options
    const what = this.#word.split('^')[0]!
    return new BundleError('nix-failed', `${this.#word}: Nix failed (exit code ${result.code})${said}`, {
      hint: `check with: ${isFlake(what) ? `nix build '${what}'` : `nix-build ${file ?? "'<nixpkgs>'"} -A ${what}`}`,
    })
  }
}

/** Whether there is a Nix on PATH. */
export async function hasNix(): Promise<boolean> {
  try {
    await runTool('nix-instantiate', ['--version'])
    return true
  } catch (error) {
    if (error instanceof BundleError && error.code === 'tool-missing') return false
    throw error
  }
}
