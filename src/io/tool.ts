/**
 * External programs: run, waited for, and ended with us. A tool that is missing or fails is an error that names it.
 */
import type { Options } from 'execa'
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
 * Runs a tool and gives what it printed, whatever its exit code.
 * @param shown hand its standard error on to ours as it comes
 * @throws BundleError('tool-missing')
 */
export async function runTool(
  file: string,
  args: readonly string[],
  { hint, shown = false, cwd }: { hint?: string; shown?: boolean; cwd?: string } = {},
): Promise<ToolResult> {
  // Loaded only when a program is run: most of what this tool does needs none.
  const { execa } = await import('execa')
  const options: Options = {
    reject: false,
    stdin: 'ignore',
    stderr: shown ? ['pipe', 'inherit'] : 'pipe',
    cancelSignal: running.signal,
    encoding: 'utf8',
    ...(cwd !== undefined && { cwd }),
  }
  const result = await execa(file, args, options)
  if (result.isCanceled) throw new BundleError('interrupted', 'interrupted')
  if (result.exitCode === undefined) {
    if ('code' in result && (result.code === 'ENOENT' || result.code === 'EACCES'))
      throw new BundleError('tool-missing', `${file}: not found on PATH`, { ...(hint && { hint }), cause: result })
    throw new BundleError('tool-failed', `${file}: ended by ${result.signal ?? 'an unknown cause'}`, { cause: result })
  }
  return { code: result.exitCode, stdout: String(result.stdout), stderr: String(result.stderr) }
}
