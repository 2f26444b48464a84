/**
 * What a program opens while it runs, seen from outside: `--trace` runs the original under strace(1), and what it opens
 * in a store comes along, whatever the table of references says.
 */
import { BundleError } from '../errors.ts'
import { stat } from '../io/store.ts'
import { strace } from '../io/strace.ts'
import type { Finding } from '../model/findings.ts'
import type { Entry, Traced } from '../model/target.ts'
import { storePathOf } from '../nix/store-path.ts'
import { fromText, type SourcePath, toText } from '../paths.ts'

/**
 * Runs a command with the entries' directories first on PATH.
 * @returns the files of a store that it opened, by name
 * @throws BundleError('not-found' | 'tool-missing' | 'tool-failed')
 */
export async function trace(
  command: readonly string[],
  entries: readonly Entry[],
  cwd: string,
): Promise<{ traced: Traced[]; findings: Finding[] }> {
  const directories = new Set(entries.map(({ source }) => toText(source.slice(0, source.lastIndexOf('/')))))
  const path = [...directories, process.env.PATH ?? ''].join(':')
  const [file = ''] = command
  if (
    !(file.includes('/') ? [file.startsWith('/') ? '' : cwd] : path.split(':')).some(d =>
      isProgram(fromText(`${d}/${file}`)),
    )
  )
    throw new BundleError('not-found', `${file}: no such program to trace`, {
      hint: `one of the target's: ${entries.map(({ at }) => toText(at.slice(at.lastIndexOf('/') + 1))).join(', ')}`,
    })
  const { code, processes } = await strace(command, { cwd, path })
  const traced = new Map<string, Traced>()
  for (const text of processes)
    for (const { file, program } of openedBy(text))
      if (storePathOf(file) !== null && stat(file)?.type === 'file')
        traced.set(`${program}\0${file}`, { file: file as SourcePath, program: program as SourcePath | null })
  const about = { file: fromText(command[0] ?? ''), severity: 'warning' as const }
  const findings: Finding[] = []
  if (code !== 0) findings.push({ ...about, code: 'trace-failed', exit: code })
  if (traced.size === 0) findings.push({ ...about, code: 'trace-nothing' })
  return { traced: [...traced].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, opened]) => opened), findings }
}

function isProgram(path: string): boolean {
  const status = stat(path)
  return status?.type === 'file' && (status.mode & 0o111) !== 0
}

const CALL = /^(\w+)\((?:AT_FDCWD|\d+)?(?:<((?:\\x[0-9a-f]{2})*)>)?(?:, )?"((?:\\x[0-9a-f]{2})*)"(.*)$/

/**
 * What one process opened and executed, by the names it used, made absolute. Pure.
 * @param text lines of `strace -y -xx -z`
 * @returns each with the program that was executed last by then; null before the first
 */
export function* openedBy(text: string): Generator<{ file: string; program: string | null }> {
  let program: string | null = null
  for (const line of text.split('\n')) {
    const [, call, directory, name, rest = ''] = CALL.exec(line) ?? []
    if (name === undefined || / = -/.test(rest) || /O_DIRECTORY|O_PATH/.test(rest)) continue
    const asked = unescaped(name)
    // execve names no directory: only a name in full says where the program lies.
    if (!asked.startsWith('/') && directory === undefined) continue
    const file = asked.startsWith('/') ? asked : `${unescaped(directory!)}/${asked}`
    if (call?.startsWith('execve')) program = file
    yield { file, program }
  }
}

const unescaped = (hex: string): string => Buffer.from(hex.replaceAll('\\x', ''), 'hex').toString('latin1')
