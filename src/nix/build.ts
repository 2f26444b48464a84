/**
 * What Nix is asked: to build an attribute, and for the closure of a store path. Nix's own error is the answer when it
 * fails; nothing else is tried then.
 */
import { BundleError } from '../errors.ts'
import { runTool, type ToolResult } from '../io/tool.ts'
import { storePathOf } from './store-path.ts'

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

/** Whether a word can be an attribute path with, maybe, outputs: `nginx`, `python3Packages.black`, `nginx^bin,out`. */
export const isAttribute = (word: string): boolean => ATTRIBUTE.test(word.split('^')[0] ?? '')

/**
 * Builds an attribute of `<nixpkgs>`, or of the flake registry's nixpkgs where NIX_PATH has none.
 * @param shown whether Nix's own messages are shown while it works
 * @returns store paths of the outputs that may hold programs
 * @throws BundleError('nix-missing' | 'nix-failed')
 */
export async function buildAttribute(word: string, shown: boolean): Promise<string[]> {
  const [attribute = '', outputs] = word.split('^')
  const found = await nix('nix-instantiate', ['--find-file', 'nixpkgs'], word)
  const result =
    found.code === 0
      ? await buildFromPath(attribute, outputs, shown, word)
      : await nix('nix', ['build', '--no-link', '--json', `nixpkgs#${word}`], word, shown)
  if (result.code !== 0) throw nixFailed(word, result, shown)
  return found.code === 0 ? result.stdout.split('\n').filter(line => line !== '') : builtOutputs(result.stdout)
}

/** The store paths in what `nix build --json` prints (`--print-out-paths` is younger: Nix 2.9). */
function builtOutputs(json: string): string[] {
  const built = JSON.parse(json) as { outputs: Record<string, string> }[]
  return built.flatMap(({ outputs }) => Object.values(outputs))
}

async function buildFromPath(
  attribute: string,
  outputs: string | undefined,
  shown: boolean,
  word: string,
): Promise<ToolResult> {
  const wanted = await wantedOutputs(attribute, outputs, word)
  return nix(
    'nix-build',
    ['<nixpkgs>', '--no-out-link', ...wanted.flatMap(o => ['-A', `${attribute}.${o}`])],
    word,
    shown,
  )
}

async function wantedOutputs(attribute: string, outputs: string | undefined, word: string): Promise<string[]> {
  if (outputs !== undefined && outputs !== '*') return outputs.split(',')
  const path = attribute
    .split('.')
    .map(part => `."${part}"`)
    .join('')
  const expression = `let p = import <nixpkgs>; in ((if builtins.isFunction p then p { } else p)${path}).outputs or [ "out" ]`
  const result = await nix('nix-instantiate', ['--eval', '--strict', '--json', '-E', expression], word)
  if (result.code !== 0) throw nixFailed(word, result, false)
  const all = JSON.parse(result.stdout) as string[]
  const some = all.filter(output => !WITHOUT_PROGRAMS.has(output))
  return outputs === '*' || some.length === 0 ? all : some
}

async function nix(tool: string, args: readonly string[], word: string, shown = false): Promise<ToolResult> {
  try {
    return await runTool(tool, args, { shown })
  } catch (error) {
    if (!(error instanceof BundleError) || error.code !== 'tool-missing') throw error
    throw new BundleError(
      'nix-missing',
      `${word}: not a path (it has no /), and there is no Nix on PATH to build it as an attribute`,
      {
        hint: `give a path such as ./result or ./${word}, or install Nix`,
        cause: error,
      },
    )
  }
}

function nixFailed(word: string, result: ToolResult, shown: boolean): BundleError {
  const said = shown ? '; its error stands above' : `:\n${result.stderr.trim()}`
  return new BundleError('nix-failed', `${word}: Nix failed (exit code ${result.code})${said}`, {
    hint: `check with: nix-build '<nixpkgs>' -A ${word.split('^')[0]}`,
  })
}

/**
 * The closure of store paths as Nix's database has it.
 * @returns hashes and the sum of sizes in bytes; null without Nix, or for paths that it does not know
 */
export async function closureOf(paths: readonly string[]): Promise<{ hashes: Set<string>; size: number } | null> {
  if (paths.length === 0) return null
  try {
    const closure = await runTool('nix-store', ['--query', '--requisites', ...paths])
    if (closure.code !== 0) return null
    const all = closure.stdout.split('\n').filter(line => line !== '')
    const sizes = await runTool('nix-store', ['--query', '--size', ...all])
    if (sizes.code !== 0) return null
    return {
      hashes: new Set(all.flatMap(path => storePathOf(path)?.hash ?? [])),
      size: sizes.stdout.split('\n').reduce((sum, line) => sum + Number(line), 0),
    }
  } catch (error) {
    // Without Nix the closure is not known; that takes a line off the summary and nothing else.
    if (error instanceof BundleError && error.code === 'tool-missing') return null
    throw error
  }
}
