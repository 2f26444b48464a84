/**
 * `bundle try`: a bundle's program in a root where there is nothing else. No /nix, no libraries and no shell of the
 * host: what runs here needs nothing but the bundle and a kernel.
 */
import { join, resolve } from 'node:path'
import { type Manifest, pathBytes } from '../apply/manifest.ts'
import { open } from '../archive/members.ts'
import { SHELL_LAUNCHER_LINE } from '../entry/shell.ts'
import { BundleError } from '../errors.ts'
import type { Progress } from '../io/progress.ts'
import { readText, realPath, stat, withFile } from '../io/store.ts'
import { fromText, toText } from '../paths.ts'
import { factsOf } from '../verify/checks/parts.ts'
import { type Verification, verify } from '../verify/verify.ts'
import { copyTree, findMethod, makeRoot, PLACE, runInRoot } from './empty-root.ts'
import { inTemporary, unpack } from './unpack.ts'

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

/**
 * Runs a command of a bundle, a directory or an archive.
 * @param command of which the first is a program of the bundle; empty for its only program
 * @throws BundleError when it is no bundle, or no empty root can be made here
 */
export async function tryBundle(
  bundle: string,
  command: readonly string[],
  options: TryOptions,
  progress: Progress,
): Promise<Tried> {
  const path = fromText(bundle)
  const verification = await verify(path, progress)
  const { manifest } = verification
  if (manifest === null)
    throw new BundleError('usage', 'no bundle: there is no bundle.json in it', {
      path,
      hint: 'bundle TARGET makes one',
    })
  refuseUnsafe(path, verification)
  const file = programOf(manifest, command[0])
  const shell = options.shell === undefined ? null : staticShell(options.shell)
  const method = await findMethod()
  if ('reasons' in method)
    throw new BundleError('unsupported', `no empty root can be made here (${method.reasons.join('; ')})`, {
      path,
      hint: `run it as root, or in a container with user namespaces; what can be checked without one is: bundle verify ${bundle} (${errorsOf(verification)})`,
    })
  const artefact = await open(path)
  return inTemporary(async directory => {
    const root = join(directory, 'root')
    const inRoot = join(root, PLACE)
    makeRoot(root, method.copies ? shell : null)
    let place = method.copies ? inRoot : join(directory, 'bundle')
    progress.update('unpacking')
    if (artefact.kind !== 'directory') await unpack(artefact, place)
    else if (method.copies) copyTree(bundle, place)
    else place = resolve(bundle)
    refuseShell(place, file, shell)
    progress.done()
    const log = options.trace ? join(directory, 'trace') : null
    const argv = method.command({ bundle: place, root, shell }, [`${PLACE}/${file}`, ...command.slice(1)])
    const env = { ...environment(), ...(method.copies && { LD_ORIGIN_PATH: originOf(manifest, place, file) }) }
    const code = await runInRoot(argv, env, log)
    return {
      code,
      method: method.name,
      outside: log === null ? null : outsideOf(readText(fromText(log)), PLACE),
    }
  })
}

const errorsOf = ({ findings }: Verification): string => {
  const errors = findings.filter(f => f.severity === 'error').length
  return errors === 0 ? 'clean: everything resolves inside' : `${errors} errors`
}

/** What leads out of the place where it is unpacked is not unpacked. */
function refuseUnsafe(path: string, { findings }: Verification): void {
  const unsafe = findings.find(f => f.code === 'entry-unsafe' || f.code === 'link-escapes')
  if (unsafe === undefined) return
  throw new BundleError('unsupported', `is not unpacked: ${toText(unsafe.file)} is unsafe`, {
    path,
    hint: `bundle verify ${toText(path)}`,
  })
}

/** The path in the bundle (text) of the program that is meant. */
function programOf(manifest: Manifest, name: string | undefined): string {
  const programs = manifest.files
    .map(f => toText(pathBytes(f)))
    .filter(at => /^(?:s?bin|libexec)\/[^/.][^/]*$/.test(at))
  const found =
    name === undefined
      ? programs.filter(at => /^s?bin\//.test(at))
      : [...programs, ...manifest.files.map(f => f.path)].filter(
          at => at === name.replace(/^\.?\/+/, '') || (!name.includes('/') && at.endsWith(`/${name}`)),
        )
  const [only, second] = found
  if (only !== undefined && (second === undefined || name !== undefined)) return only
  const all = programs.map(at => at.slice(at.lastIndexOf('/') + 1)).join(', ')
  throw name === undefined
    ? new BundleError('usage', `which program? there are ${programs.length}: ${all}`, {
        hint: `bundle try BUNDLE -- ${programs[0]?.replace(/^.*\//, '') ?? 'PROGRAM'}`,
      })
    : new BundleError('not-found', `${name}: no such program in the bundle`, { hint: `one of ${all}` })
}

/** A program that starts through /bin/sh has none in an empty root. */
function refuseShell(place: string, file: string, shell: string | null): void {
  const path = fromText(join(place, file))
  if (shell !== null || stat(path)?.type !== 'file') return
  const head = withFile(path, source => source.read(0, 128)).toString('latin1')
  const interpreter = /^#! *(\S+)/.exec(head)?.[1]
  if (interpreter === undefined || interpreter.startsWith(PLACE)) return
  const shellHint = '--shell /bin/busybox puts a static shell there'
  const hint = head.includes(SHELL_LAUNCHER_LINE)
    ? `${shellHint}; --launcher auto makes a bundle that needs none`
    : interpreter === '/bin/sh'
      ? shellHint
      : `its package leaves ${interpreter} to the machine that it runs on`
  throw new BundleError('unsupported', `starts through ${interpreter}, and an empty root has none`, {
    path: fromText(file),
    hint,
  })
}

/** The shell as an absolute path, when it needs no libraries. */
function staticShell(shell: string): string {
  const path = fromText(resolve(shell))
  if (stat(path)?.type !== 'file') throw new BundleError('not-found', 'no such file', { path })
  const facts = withFile(path, source => factsOf(source, path))
  if (facts !== null && facts.interp === null) return resolve(shell)
  throw new BundleError('usage', 'is no static program, and there are no libraries for it', {
    path,
    hint: 'apt-get install busybox-static, nix-build -A pkgsStatic.busybox',
  })
}

/** Where nothing can be mounted there is no /proc, which tells the loader where the program lies (ld.so(8), $ORIGIN). */
function originOf(manifest: Manifest, place: string, file: string): string {
  const at = toText(realPath(fromText(join(place, file)))).slice(toText(realPath(fromText(place))).length + 1)
  const elf = manifest.programs.find(p => p.at.path === at)?.elf.path ?? at
  return `${PLACE}/${elf.slice(0, elf.lastIndexOf('/'))}`
}

/** What a program can count on anywhere. PATH has to find the tools that make the root, too. */
const environment = (): NodeJS.ProcessEnv => ({
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
