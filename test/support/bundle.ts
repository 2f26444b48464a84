/** Running the built command, and programs where there is no Nix. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll } from 'vitest'

export const repository = resolve(import.meta.dirname, '../..')
export const command = join(repository, 'bin/bundle.js')

/** The environment in which Nix finds the fixtures. */
export const fixtureEnv: NodeJS.ProcessEnv = {
  ...Object.fromEntries(
    execFileSync('bash', ['-c', '. native-fixtures/env.sh; env -0'], { cwd: repository, encoding: 'utf8' })
      .split('\0')
      .filter(line => line.includes('='))
      .map(line => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  ),
  NIX_PATH: `nixpkgs=${repository}/native-fixtures`,
}

const built = new Map<string, string>()

/** The store path of a fixture, or of one output of it (`glibc^bin`), built by the setup script. */
export function fixture(attribute: string): string {
  const known = built.get(attribute)
  if (known) return known
  const path = execFileSync('nix-build', ['<nixpkgs>', '-A', attribute.replace('^', '.'), '--no-out-link'], {
    env: fixtureEnv,
    encoding: 'utf8',
  }).trim()
  built.set(attribute, path)
  return path
}

export interface Run {
  readonly code: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  cwd?: string
  env?: NodeJS.ProcessEnv
  input?: string
}

/** Runs any program to its end; a hang is killed after two minutes. */
export function run(file: string, args: readonly string[], { cwd, env, input = '' }: RunOptions = {}): Run {
  const result = spawnSync(file, args, { cwd, env, input, encoding: 'utf8', timeout: 120_000, maxBuffer: 1 << 28 })
  if (result.error && 'code' in result.error && result.error.code === 'ENOENT') throw result.error
  return { code: result.status, signal: result.signal, stdout: result.stdout, stderr: result.stderr }
}

/** Runs `bundle` with the fixtures' Nix. */
export const bundle = (args: readonly string[], options: RunOptions = {}): Run =>
  run(process.execPath, [command, ...args], { env: fixtureEnv, ...options })

/** A bundle that must be made: its output otherwise is the failure's message. */
export function mustBundle(args: readonly string[], options: RunOptions = {}): Run {
  const result = bundle(args, options)
  if (result.code !== 0) throw new Error(`bundle ${args.join(' ')}: ${result.code}\n${result.stdout}${result.stderr}`)
  return result
}

/**
 * A bundle of a fixture that several files of tests read, and none changes: made once.
 * @param ending of the place, by which its format goes: `` is a directory
 */
export function sharedBundle(attribute: string, ending = '', ...options: string[]): string {
  const name = `${attribute}${options.join('')}`.replace(/[^\w.-]/g, '_')
  const place = join(process.env.STOREFREE_SHARED ?? temporary(), `${name}${ending}`)
  if (existsSync(place)) return place
  // Of two that make it at a time one is first: what is published is whole.
  const { code, stderr } = bundle([fixture(attribute), '-o', place, '-q', ...options])
  if (code !== 0 && !existsSync(place)) throw new Error(stderr)
  return place
}

/** Runs a program with the store hidden, all else as it is. */
export const withoutNix = (file: string, args: readonly string[] = [], options: RunOptions = {}): Run =>
  run(
    'bwrap',
    ['--bind', '/', '/', '--tmpfs', '/nix', '--dev', '/dev', '--proc', '/proc', '--', file, ...args],
    options,
  )

const scratch: string[] = []
afterAll(() => {
  for (const directory of scratch.splice(0)) rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
})

/** A new directory that is removed after the tests of the file. */
export function temporary(): string {
  const directory = mkdtempSync(join(tmpdir(), 'storefree-'))
  scratch.push(directory)
  return directory
}

/** Files below a directory that hold a string of bytes. */
export const grep = (text: string, directory: string): string => run('grep', ['-rlaF', '--', text, directory]).stdout
