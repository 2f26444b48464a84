/**
 * External programs: run, waited for, and ended with us. A tool that is missing or fails is an error that names it.
 */
import { constants } from 'node:os'
import type { Options, Result } from 'execa'
import { BundleError } from '../errors.ts'
import { onEarlyEnd } from './cleanup.ts'

export interface ToolResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const running = new AbortController()

onEarlyEnd(() => running.abort())

/**
 * Runs a tool for a person to see: its input is ours, and all that it prints goes to standard error.
 * @param path PATH for it
 * @returns its exit code
 * @throws BundleError('tool-missing' | 'tool-failed')
 */
export async function runShown(
  file: string,
  args: readonly string[],
  { cwd, path, hint }: { cwd: string; path: string; hint: string },
): Promise<number> {
  const { execa } = await import('execa')
  const result = await execa(file, args, {
    reject: false,
    stdio: ['inherit', process.stderr, process.stderr],
    cancelSignal: running.signal,
    cwd,
    env: { PATH: path },
  })
  return codeOf(file, result, hint)
}

/**
 * Runs a program in our place: all standard streams are ours, and the environment is `env` alone.
 * @returns its exit code; 128 and the number of the signal that ended it
 * @throws BundleError('tool-missing')
 */
export async function runAttached(
  file: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  hint?: string,
): Promise<number> {
  const { execa } = await import('execa')
  const result = await execa(file, args, {
    reject: false,
    stdio: 'inherit',
    cancelSignal: running.signal,
    extendEnv: false,
    env,
  })
  return !result.isCanceled && result.signal !== undefined
    ? 128 + (constants.signals[result.signal] ?? 0)
    : codeOf(file, result, hint)
}

/**
 * Runs a tool and gives what it printed, whatever its exit code.
 * @param shown hand its standard error on to ours as it comes
 * @throws BundleError('tool-missing')
 */
export async function runTool(
  file: string,
  args: readonly string[],
  { hint, shown = false, cwd, input }: { hint?: string; shown?: boolean; cwd?: string; input?: string } = {},
): Promise<ToolResult> {
  // Loaded only when a program is run: most of what this tool does needs none.
  const { execa } = await import('execa')
  const options: Options = {
    reject: false,
    ...(input === undefined ? { stdin: 'ignore' } : { input }),
    stderr: shown ? ['pipe', 'inherit'] : 'pipe',
    cancelSignal: running.signal,
    encoding: 'utf8',
    ...(cwd !== undefined && { cwd }),
  }
  const result = await execa(file, args, options)
  return { code: codeOf(file, result, hint), stdout: String(result.stdout), stderr: String(result.stderr) }
}

/** The exit code of a program that ran; else what is wrong. */
function codeOf(
  file: string,
  result: Pick<Result, 'isCanceled' | 'exitCode' | 'signal'>,
  hint: string | undefined,
): number {
  if (result.isCanceled) throw new BundleError('interrupted', 'interrupted')
  if (result.exitCode !== undefined) return result.exitCode
  if ('code' in result && (result.code === 'ENOENT' || result.code === 'EACCES'))
    throw new BundleError('tool-missing', `${file}: not found on PATH`, { ...(hint && { hint }), cause: result })
  throw new BundleError('tool-failed', `${file}: ended by ${result.signal ?? 'an unknown cause'}`, { cause: result })
}
