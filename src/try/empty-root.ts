/**
 * A root directory in which there is a bundle, /proc, /dev, an empty /tmp and /home, and nothing else: by bubblewrap, by
 * unshare(1), or by chroot(1) as root.
 */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { runAttached, runTool } from '../io/tool.ts'

/** Where the bundle lies in it. */
export const PLACE = '/bundle'
const DIRECTORIES = ['proc', 'dev', 'tmp', 'home', 'bin', PLACE.slice(1)] as const
/**
 * Of a bundle with data of the machine where it was made (`--data all`): the links in its root by which this data is found
 * where the bundle is the root directory. They lie in this root too.
 */
const machineLinks = (bundle: string): string[] =>
  ['usr', 'etc'].filter(name => {
    const path = join(bundle, name)
    return fs.lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() && fs.readlinkSync(path) === `pkg/${name}`
  })
const DEVICES = ['null', 'zero', 'full', 'random', 'urandom', 'tty'] as const

export interface RootOptions {
  /** The bundle's directory on the host, and an empty directory to make the root in. Text. */
  readonly bundle: string
  readonly root: string
  /** A static shell of the host that lies in it at /bin/sh; null for none. */
  readonly shell: string | null
}

/** A root that is an image's: how its program starts. */
export interface ImageRootOptions {
  /** Where the image's files lie. Text. */
  readonly root: string
  /** Absolute, in the image. */
  readonly workdir: string
  /** Null for whoever we are. */
  readonly user: { readonly uid: number; readonly gid: number } | null
}

/** A way to an empty root. */
export interface RootMethod {
  readonly name: 'bwrap' | 'unshare' | 'chroot'
  /** A command that works when this does. */
  readonly probe: readonly [string, ...string[]]
  /** Whether the bundle has to lie in the root, as nothing can be mounted. */
  readonly copies: boolean
  command(options: RootOptions, argv: readonly string[]): readonly [string, ...string[]]
  /** The same in a root that is an image's; null when it cannot run as that user. */
  inImage(options: ImageRootOptions, argv: readonly string[]): readonly [string, ...string[]] | null
}

/** `$1` is the root, `$2` the bundle, `$3` the shell or nothing, `$4` names of links; the rest is the command. */
const MOUNTS = `set -e
root=$1 bundle=$2 shell=$3 links=$4; shift 4
mount -t tmpfs none "$root"
mkdir ${DIRECTORIES.map(d => `"$root/${d}"`).join(' ')}
chmod 1777 "$root/tmp"
mount --rbind "$bundle" "$root${PLACE}"
mount -t proc none "$root/proc"
for d in ${DEVICES.join(' ')}; do : > "$root/dev/$d"; mount --bind "/dev/$d" "$root/dev/$d"; done
if [ -n "$shell" ]; then : > "$root/bin/sh"; mount --bind "$shell" "$root/bin/sh"; fi
for d in $links; do ln -s "${PLACE.slice(1)}/$d" "$root/$d"; done
exec chroot "$root" "$@"`

/** `$1` is the root; the rest is the command. */
const IMAGE_MOUNTS = `set -e
root=$1; shift
mount -t proc none "$root/proc"
mount -t tmpfs none "$root/dev"
for d in ${DEVICES.join(' ')}; do : > "$root/dev/$d"; mount --bind "/dev/$d" "$root/dev/$d"; done
exec "$@"`

/** unshare(1) without a namespace to unshare: what chroot(1) cannot do, a directory to start in. */
const entered = (
  { root, workdir, user }: ImageRootOptions,
  argv: readonly string[],
): readonly [string, ...string[]] => [
  ...(['unshare', `--root=${root}`, `--wd=${workdir}`] as const),
  ...(user === null ? [] : [`--setgid=${user.gid}`, `--setuid=${user.uid}`]),
  ...['--', ...argv],
]

const inNamespaces = (flags: readonly string[]) => ['unshare', ...flags, '--mount', '--pid', '--fork'] as const

const unshare = (flags: readonly string[]): RootMethod => ({
  name: 'unshare',
  probe: [...inNamespaces(flags), 'sh', '-c', 'mount -t proc none /proc'],
  copies: false,
  command: ({ bundle, root, shell }, argv) => [
    ...inNamespaces(flags),
    ...['sh', '-c', MOUNTS, 'sh', root, bundle, shell ?? '', machineLinks(bundle).join(' '), ...argv],
  ],
  inImage: (options, argv) =>
    flags.length > 0 && options.user !== null && options.user.uid !== 0
      ? null
      : [...inNamespaces(flags), 'sh', '-c', IMAGE_MOUNTS, 'sh', options.root, ...entered(options, argv)],
})

export const METHODS: readonly RootMethod[] = [
  {
    name: 'bwrap',
    probe: ['bwrap', '--unshare-pid', '--ro-bind', '/', '/', '--proc', '/proc', '--dev', '/dev', '--', 'true'],
    copies: false,
    command: ({ bundle, shell }, argv) => [
      'bwrap',
      ...['--unshare-pid', '--die-with-parent', '--tmpfs', '/', '--proc', '/proc', '--dev', '/dev', '--tmpfs', '/tmp'],
      ...['--dir', '/home', '--ro-bind', bundle, PLACE, '--chdir', '/home'],
      ...(shell === null ? [] : ['--ro-bind', shell, '/bin/sh']),
      ...machineLinks(bundle).flatMap(name => ['--symlink', `${PLACE.slice(1)}/${name}`, `/${name}`]),
      ...['--', ...argv],
    ],
    // As root it would own all files as that user: what that may write would not show.
    inImage: ({ root, workdir, user }, argv) =>
      user !== null && process.geteuid?.() === 0
        ? null
        : [
            'bwrap',
            ...['--unshare-pid', '--die-with-parent', '--bind', root, '/', '--proc', '/proc', '--dev', '/dev'],
            ...(user === null ? [] : ['--unshare-user', '--uid', String(user.uid), '--gid', String(user.gid)]),
            ...['--chdir', workdir, '--', ...argv],
          ],
  },
  unshare(['--map-root-user']),
  unshare([]),
  {
    name: 'chroot',
    probe: ['chroot', '/', 'true'],
    copies: true,
    command: ({ root }, argv) => ['chroot', root, ...argv],
    inImage: entered,
  },
]

/** The first way that works here, or why each does not. */
export async function findMethod(
  methods: readonly RootMethod[] = METHODS,
): Promise<RootMethod | { readonly reasons: readonly string[] }> {
  const reasons: string[] = []
  for (const method of methods) {
    const reason = await attempt(method.probe)
    if (reason === null) return method
    if (!reasons.some(r => r.startsWith(`${method.name}: `))) reasons.push(`${method.name}: ${reason}`)
  }
  return { reasons }
}

/** What is wrong when this command is run; null when nothing is. */
async function attempt([file, ...args]: readonly [string, ...string[]]): Promise<string | null> {
  try {
    const { code, stderr } = await runTool(file, args)
    return code === 0 ? null : (stderr.trim().split('\n').at(-1) ?? `exit ${code}`)
  } catch (error) {
    return error instanceof Error ? error.message.replace(`${file}: `, '') : String(error)
  }
}

/** For a root that is no mount: its directories, as far as they can be made. */
export function makeRoot(root: string, shell: string | null): void {
  for (const directory of DIRECTORIES) fs.mkdirSync(join(root, directory), { recursive: true })
  fs.chmodSync(join(root, 'tmp'), 0o1777)
  if (shell !== null) fs.copyFileSync(shell, join(root, 'bin/sh'))
}

/** The same, once the bundle lies in it: what its data of a machine is found by. */
export function linkMachineData(root: string): void {
  for (const name of machineLinks(join(root, PLACE))) fs.symlinkSync(`${PLACE.slice(1)}/${name}`, join(root, name))
}

/** For a root that is an image's: the directories that something is mounted on. */
export function makeImageRoot(root: string): void {
  for (const directory of ['proc', 'dev']) {
    const path = join(root, directory)
    if (!fs.lstatSync(path, { throwIfNoEntry: false })?.isDirectory()) fs.rmSync(path, { force: true })
    fs.mkdirSync(path, { recursive: true })
  }
}

/** A program alone in its place. */
export function copyProgram(file: string, place: string, name: string): void {
  fs.mkdirSync(place, { recursive: true })
  fs.copyFileSync(file, join(place, name))
  fs.chmodSync(join(place, name), 0o755)
}

/** Copies a tree as it is. */
export const copyTree = (from: string, to: string): void =>
  fs.cpSync(from, to, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true })

/**
 * Runs a command with our standard streams.
 * @param log strace(1) writes here what is opened; null to run without it
 * @returns its exit code; 128 and the number of the signal that ended it
 */
export const runInRoot = (
  [file, ...args]: readonly [string, ...string[]],
  env: NodeJS.ProcessEnv,
  log: string | null,
): Promise<number> =>
  log === null
    ? runAttached(file, args, env)
    : runAttached('strace', [...STRACE, '-o', log, '--', file, ...args], env, STRACE_HINT)

const STRACE = ['-f', '-qq', '-y', '-xx', '-s', '131072', '-e', 'trace=execve,open,openat,openat2', '-e', 'signal=none']
const STRACE_HINT = 'install strace (nix-env -iA nixpkgs.strace, apt-get install strace) so that it is on PATH'
