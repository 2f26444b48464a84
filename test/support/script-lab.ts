/** Bundles of edited scripts in directories of any name, and the host's shells to run them. */
import { type SpawnSyncReturns, spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BundlePath } from '../../src/paths.ts'
import { type Site, spliced, type TextEdit } from '../../src/script/edit.ts'

const HASH = '0123456789abcdfghijklmnpqrsvwxyz'
/** The store path of a package, here always of this hash. */
export const store = (name: string): string => `/nix/store/${HASH}-${name}`
/** Store path of a package that is in the bundle as `pkg/x-1`. */
export const X = store('x-1')
export const ABSENT = store('absent-1')
export const BLANK_ABSENT = `/var/empty/${'e'.repeat(32)}-absent-1`

export const at = (path: string): BundlePath => path as BundlePath

/** The sites of a text: every package is in the bundle but `absent-1`; `twin-1` is there under another name. */
export const sitesOf = (text: string): Site[] =>
  [...text.matchAll(/\/nix\/store(?:\/[0-9a-df-np-sv-z]{32}-([0-9A-Za-z+\-._?=]+))?/g)].map(match => ({
    offset: match.index,
    length: match[0].length,
    to:
      match[1] === undefined || match[1] === 'absent-1'
        ? null
        : at(match[1] === 'twin-1' ? 'pkg/twin-1~2' : `pkg/${match[1]}`),
  }))

/** Names of directories that break what is not quoted. */
export const NAMES: readonly string[] = [
  'plain',
  'with blank',
  'quotes \' and " and `',
  'percent %s {0} {}',
  'dollar $HOME $(x) \\n & * ?',
  'new\nline\n',
  'latin \xe9 and \xff',
]

export type Result = Pick<SpawnSyncReturns<Buffer>, 'status'> & { readonly out: string; readonly err: string }

/** A directory for one test file. */
export class ScriptLab {
  readonly #base = mkdtempSync(join(tmpdir(), 'script-'))
  #count = 0

  close(): void {
    rmSync(this.#base, { recursive: true, force: true })
  }

  /** A new empty directory, a byte string. */
  directory(name = 'plain'): string {
    const path = `${this.#base}/${this.#count++}/${name}`
    mkdirSync(bytes(path), { recursive: true })
    return path
  }

  write(path: string, text: string): string {
    const slash = path.lastIndexOf('/')
    mkdirSync(bytes(path.slice(0, slash)), { recursive: true })
    writeFileSync(bytes(path), bytes(text))
    chmodSync(bytes(path), 0o755)
    return path
  }

  /** An edited text, at its place. */
  place(root: string, place: string, text: string, edit: TextEdit): string {
    return this.write(`${root}/${place}`, spliced(text, edit.splices))
  }
}

export const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')

/**
 * Runs a command of byte strings. Node hands strings to a program as UTF-8, so they go through a shell that makes bytes
 * of octal numbers.
 */
export function run(command: readonly string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}): Result {
  const { cwd, env = process.env } = options
  const plain = [...command, cwd ?? ''].every(word => /^[\x01-\x7f]*$/.test(word))
  const octal = (word: string): string =>
    `$'${[...bytes(word)].map(byte => `\\${byte.toString(8).padStart(3, '0')}`).join('')}'`
  const [file = '', ...rest] = plain
    ? command
    : ['bash', '-c', `cd ${octal(cwd ?? '.')}; exec ${command.map(octal).join(' ')}`]
  const done = spawnSync(file, rest, { env, ...(plain && cwd !== undefined ? { cwd } : {}) })
  return { status: done.status, out: done.stdout.toString('latin1'), err: done.stderr.toString('latin1') }
}

/** The host's shells. */
export const SHELLS: Readonly<Record<string, readonly string[]>> = {
  bash: ['bash'],
  posix: ['bash', '--posix'],
  dash: ['dash'],
  busybox: ['busybox', 'sh'],
  mksh: ['mksh'],
}
export const SHELL_NAMES = Object.keys(SHELLS)
export const shell = (name: string): readonly string[] => SHELLS[name] ?? [name]
