/**
 * External programs: run, waited for, and ended with us. A tool that is missing or fails is an error that names it.
 */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { constants } from 'node:os'
import { BundleError } from '../errors.ts'
import { onEarlyEnd } from './cleanup.ts'

export interface ToolResult {
  readonly code: number
  /** What it printed, without the last line's end. */
  readonly stdout: string
  readonly stderr: string
}

/** What a tool may print, in bytes: what becomes of it is a string, and is read as a whole. */
const PRINTED_MAX = 256 << 20
/** How long a tool that is asked to end may take before it is ended, in milliseconds. */
const GRACE = 5000

const running = new Set<ChildProcess>()
let isInterrupted = false

onEarlyEnd(() => {
  isInterrupted = true
  endAll()
})

function endAll(): void {
  for (const tool of running) end(tool)
}

function end(tool: ChildProcess): void {
  tool.kill()
  setTimeout(() => void tool.kill('SIGKILL'), GRACE).unref()
}

/** How a tool ended. */
interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/**
 * Runs a program to its end, and to that of what it prints.
 * @param hint what to do where there is none
 * @param begun is given the process, whose streams have to be read
 * @throws BundleError('tool-missing' | 'tool-failed' | 'interrupted')
 */
async function ended(
  file: string,
  args: readonly string[],
  options: SpawnOptions,
  hint: string | undefined,
  begun: (tool: ChildProcess) => void = () => {},
): Promise<Ended> {
  if (isInterrupted) throw new BundleError('interrupted', 'interrupted')
  let tool: ChildProcess
  try {
    tool = spawn(file, args, options)
  } catch (error) {
    // Of arguments that no program can be given, say.
    throw failed(file, hint, error)
  }
  if (running.size === 0) process.on('exit', endAll)
  running.add(tool)
  try {
    const result = await new Promise<Ended>((resolve, reject) => {
      tool.on('error', error => reject(failed(file, hint, error)))
      tool.once('close', (code, signal) => resolve({ code, signal }))
      begun(tool)
    })
    if (isInterrupted) throw new BundleError('interrupted', 'interrupted')
    return result
  } finally {
    running.delete(tool)
    if (running.size === 0) process.off('exit', endAll)
  }
}

function failed(file: string, hint: string | undefined, cause: unknown): BundleError {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  if (code === 'ENOENT' || code === 'EACCES')
    return new BundleError('tool-missing', `${file}: not found on PATH`, { ...(hint && { hint }), cause })
  return new BundleError('tool-failed', `${file}: ${cause instanceof Error ? cause.message : cause}`, { cause })
}

/** The exit code of a program that ended by itself. @throws BundleError('tool-failed') */
function codeOf(file: string, { code, signal }: Ended): number {
  if (code !== null) return code
  throw new BundleError('tool-failed', `${file}: ended by ${signal ?? 'an unknown cause'}`)
}

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
  const env = { ...process.env, PATH: path }
  return codeOf(file, await ended(file, args, { stdio: ['inherit', 2, 2], cwd, env }, hint))
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
  const result = await ended(file, args, { stdio: 'inherit', env }, hint)
  return result.signal === null ? codeOf(file, result) : 128 + (constants.signals[result.signal] ?? 0)
}

/**
 * Runs a tool and gives what it printed, whatever its exit code.
 * @param shown hand its standard error on to ours as it comes
 * @throws BundleError('tool-missing' | 'tool-failed')
 */
export async function runTool(
  file: string,
  args: readonly string[],
  { hint, shown = false, cwd, input }: { hint?: string; shown?: boolean; cwd?: string; input?: string } = {},
): Promise<ToolResult> {
  const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []]
  let size = 0
  const options: SpawnOptions = {
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    ...(cwd && { cwd }),
  }
  const result = await ended(file, args, options, hint, tool => {
    const keep = (parts: Buffer[]) => (piece: Buffer) => {
      size += piece.length
      if (size > PRINTED_MAX) end(tool)
      else parts.push(piece)
    }
    tool.stdout?.on('data', keep(stdout))
    tool.stderr?.on('data', keep(stderr))
    if (shown) tool.stderr?.on('data', (piece: Buffer) => void process.stderr.write(piece))
    // It need not read its input.
    tool.stdin?.on('error', () => {})
    tool.stdin?.end(input)
  })
  if (size > PRINTED_MAX) throw new BundleError('tool-failed', `${file}: printed more than ${PRINTED_MAX >> 20} MiB`)
  return { code: codeOf(file, result), stdout: textOf(stdout), stderr: textOf(stderr) }
}

const textOf = (parts: readonly Buffer[]): string =>
  Buffer.concat(parts)
    .toString('utf8')
    .replace(/\r?\n$/, '')
