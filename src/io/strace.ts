/**
 * Running a program under strace(1), and reading what that wrote.
 */
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onEarlyEnd } from './cleanup.ts'
import { runShown } from './tool.ts'

/** Directories of traces that are to be removed when the process ends early. */
const live = new Set<string>()

onEarlyEnd(() => {
  for (const directory of live) fs.rmSync(directory, { recursive: true, force: true })
})

/** A name has at most 4096 bytes (PATH_MAX), an argument may have more. */
const STRING_MAX = '131072'
/**
 * One file for each process, successful calls only, all strings in hexadecimal, descriptors with their paths; signals
 * end it, which with -o they would not.
 */
const OPTIONS = [
  '-I1',
  '-ff',
  '-qq',
  '-y',
  '-xx',
  '-z',
  '-s',
  STRING_MAX,
  '-e',
  'trace=execve,execveat,open,openat,openat2',
]

/**
 * Runs a command under strace; its input is ours, what it prints goes to standard error.
 * @returns its exit code, and what strace wrote of each of its processes
 * @throws BundleError('tool-missing' | 'tool-failed')
 */
export async function strace(
  command: readonly string[],
  options: { readonly cwd: string; readonly path: string },
): Promise<{ code: number; processes: string[] }> {
  const directory = fs.mkdtempSync(join(tmpdir(), 'storefree-trace-'))
  live.add(directory)
  try {
    const code = await runShown('strace', [...OPTIONS, '-o', join(directory, 'process'), '--', ...command], {
      ...options,
      hint: 'install strace (nix-env -iA nixpkgs.strace, apt-get install strace) so that it is on PATH',
    })
    const processes = fs.readdirSync(directory).sort()
    return { code, processes: processes.map(name => fs.readFileSync(join(directory, name), 'latin1')) }
  } finally {
    fs.rmSync(directory, { recursive: true, force: true })
    live.delete(directory)
  }
}
