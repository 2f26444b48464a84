/** A run in an empty root: how one is made here, what the command may count on, and what it opened outside of its bundle. */
import { resolve } from 'node:path'
import { BundleError } from '../errors.ts'
import { readText, stat, withFile } from '../io/store.ts'
import { fromText } from '../paths.ts'
import { factsOf } from '../verify/checks/parts.ts'
import { PLACE, type RootMethod, runInRoot } from './empty-root.ts'

export interface TryOptions {
  /** Say which paths outside the bundle were opened. */
  trace?: boolean
  /** A static shell of the host, for programs that start through /bin/sh. */
  shell?: string
}

export interface Tried {
  /** Of the command. */
  readonly code: number
  /** How the root was made: `bwrap`, `unshare`, `chroot`. */
  readonly method: string
  /** With `trace`: what was opened outside the bundle. */
  readonly outside: readonly Outside[] | null
}

/** A path outside of the bundle, and whether it was there. Byte string. */
export interface Outside {
  readonly path: string
  readonly opened: boolean
}

/** @throws BundleError('unsupported') */
export function rootMethod(
  method: RootMethod | { readonly reasons: readonly string[] },
  bundle: string,
  verified: string,
) {
  if (!('reasons' in method)) return method
  throw new BundleError('unsupported', `no empty root can be made here (${method.reasons.join('; ')})`, {
    path: fromText(bundle),
    hint: `run it as root, or in a container with user namespaces; what can be checked without one is: bundle verify ${bundle} (${verified})`,
  })
}

/** @param places of which what is opened is not told, the program's first */
export async function started(
  method: RootMethod,
  argv: readonly [string, ...string[]],
  env: NodeJS.ProcessEnv,
  log: string | null,
  [place, ...others]: readonly [string, ...string[]],
): Promise<Tried> {
  const code = await runInRoot(argv, env, log)
  const outside = log === null ? null : outsideOf(readText(fromText(log)), place)
  const isOther = ({ path }: Outside): boolean => others.some(o => path === o || path.startsWith(`${o}/`))
  return { code, method: method.name, outside: outside?.filter(o => !isOther(o)) ?? null }
}

/** The shell as an absolute path, when it needs no libraries. */
export function staticShell(shell: string): string {
  const path = fromText(resolve(shell))
  if (stat(path)?.type !== 'file') throw new BundleError('not-found', 'no such file', { path })
  const facts = withFile(path, source => factsOf(source, path))
  if (facts !== null && facts.interp === null) return resolve(shell)
  throw new BundleError('usage', 'is no static program, and there are no libraries for it', {
    path,
    hint: 'apt-get install busybox-static, nix-build -A pkgsStatic.busybox',
  })
}

/** What a program can count on anywhere. PATH has to find the tools that make the root, too. */
export const environment = (): NodeJS.ProcessEnv => ({
  PATH: `${process.env.PATH}:${PLACE}/bin`,
  HOME: '/home',
  ...(process.env.TERM !== undefined && { TERM: process.env.TERM }),
})

const CALL = /^\d+ +(\w+)\((?:(?:AT_FDCWD|\d+)(?:<((?:\\x[0-9a-f]{2})*)>)?, )?"((?:\\x[0-9a-f]{2})*)".*\) += (-?\d+)/
/** What each process has, or may write to. */
const ORDINARY = ['/proc', '/dev', '/tmp', '/home'] as const

/**
 * What was opened or tried outside a place, from the first program in it on. Pure.
 * @param text lines of `strace -f -y -xx`
 */
export function outsideOf(text: string, place: string): Outside[] {
  const within = (path: string, directory: string): boolean => path === directory || path.startsWith(`${directory}/`)
  const found = new Map<string, boolean>()
  let isRunning = false
  for (const line of whole(text.split('\n'))) {
    const [, call, directory = '', name, result] = CALL.exec(line) ?? []
    if (name === undefined) continue
    const asked = unescaped(name)
    const path = asked.startsWith('/') ? asked : `${unescaped(directory)}/${asked}`
    if (call === 'execve' && within(path, place)) isRunning = true
    if (!isRunning || !path.startsWith('/') || [place, ...ORDINARY].some(d => within(path, d))) continue
    found.set(path, (found.get(path) ?? false) || !result!.startsWith('-'))
  }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([path, opened]) => ({ path, opened }))
}

const unescaped = (hex: string): string => Buffer.from(hex.replaceAll('\\x', ''), 'hex').toString('latin1')

/** Lines of calls that another process interrupted, put together again. */
function* whole(lines: readonly string[]): Generator<string> {
  const begun = new Map<string, string>()
  for (const line of lines) {
    const pid = /^\d+/.exec(line)?.[0] ?? ''
    const end = line.indexOf(' <unfinished ...>')
    const resumed = /^\d+ +<\.\.\. \w+ resumed>/.exec(line)
    if (end >= 0) begun.set(pid, line.slice(0, end))
    else if (!resumed) yield line
    else yield (begun.get(pid) ?? '') + line.slice(resumed[0].length)
  }
}
