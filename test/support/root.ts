/** Running a bundle's programs in an empty root: the bundle, /proc, /dev, /tmp, an empty home; no /nix, no libraries. */
import { chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Run, type RunOptions, run, temporary } from './bundle.ts'

/** Who commits, what a terminal is; nothing else. */
export const PLAIN_ENVIRONMENT: NodeJS.ProcessEnv = {
  HOME: '/home',
  PATH: '/nowhere',
  TERM: 'xterm',
  GIT_AUTHOR_NAME: 'A',
  GIT_AUTHOR_EMAIL: 'a@example.org',
  GIT_COMMITTER_NAME: 'A',
  GIT_COMMITTER_EMAIL: 'a@example.org',
}

/** Where a tool of the host lies: programs run with another PATH. */
export const tool = (name: string): string => run('sh', ['-c', `command -v ${name}`]).stdout.trim()
const BWRAP = tool('bwrap')

/** A root in which one bundle lies at `place`; what its programs write below /home stays between runs. */
export class EmptyRoot {
  readonly home = join(temporary(), 'home')
  readonly #bundle: string
  readonly place: string
  readonly #extra: readonly string[]
  readonly #before: readonly string[]

  /**
   * @param extra further arguments of bwrap, such as more mounts
   * @param before a command that starts the program
   */
  constructor(bundle: string, place: string, extra: readonly string[] = [], before: readonly string[] = []) {
    mkdirSync(this.home)
    chmodSync(this.home, 0o777)
    this.#bundle = bundle
    this.place = place
    this.#extra = extra
    this.#before = before
  }

  /** The arguments of bwrap for a program of the bundle. */
  arguments(program: string, args: readonly string[]): string[] {
    return [
      ...['--unshare-pid', '--die-with-parent', '--tmpfs', '/', '--proc', '/proc', '--dev', '/dev', '--tmpfs', '/tmp'],
      // bwrap makes them for root alone.
      ...parents(this.place).flatMap(directory => ['--perms', '0755', '--dir', directory]),
      ...['--ro-bind', this.#bundle, this.place, '--bind', this.home, '/home', '--chdir', '/home', ...this.#extra],
      ...['--', ...this.#before, program.startsWith('/') ? program : `${this.place}/${program}`, ...args],
    ]
  }

  run(program: string, args: readonly string[] = [], { env, input }: RunOptions = {}): Run {
    return run(BWRAP, this.arguments(program, args), {
      env: { ...PLAIN_ENVIRONMENT, ...env },
      ...(input !== undefined && { input }),
    })
  }

  /** The standard output of a program that must succeed. */
  output(program: string, args: readonly string[] = [], options: RunOptions = {}): string {
    const result = this.run(program, args, options)
    if (result.code !== 0)
      throw new Error(`${program} ${args.join(' ')}: ${result.code ?? result.signal}\n${result.stdout}${result.stderr}`)
    return result.stdout
  }
}

/** The directories above a path, outermost first. */
const parents = (path: string): string[] => [...path.matchAll(/(?<=.)\//g)].map(({ index }) => path.slice(0, index))
