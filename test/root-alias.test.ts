/**
 * Roots that are too long for a store path's place, or that command lines take apart: the alias, a link to the root in a directory that nobody but the user
 * can change. Which directory that is, and every hostile thing that may be there before.
 */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { temporary } from './support/bundle.ts'
import { AARCH64, ARMV7L, I686, RISCV64 } from './support/cross.ts'
import { output } from './support/elf-tools.ts'
import { aliasOf, PLACEHOLDER, relocate, relocated } from './support/relocation-lab.ts'
import { layOut, type Said, SUPPORT, say } from './support/stub-lab.ts'

const scratch = temporary()
chmodSync(scratch, 0o755)
const DEEP = `/${['r'.repeat(200), 'it is', 'long'].join('/')}`

interface Kind {
  readonly name: string
  readonly cc: readonly string[]
  readonly loader?: string
  readonly libraries?: readonly string[]
  /** Of another CPU than this machine's kernel runs. */
  readonly emulator?: string
}
const STATIC: Kind = { name: 'static', cc: ['gcc', '-static'] }
const KINDS: readonly Kind[] = [
  STATIC,
  { name: 'pie', cc: ['gcc'], loader: '/lib64/ld-linux-x86-64.so.2', libraries: ['/lib/x86_64-linux-gnu/libc.so.6'] },
  { name: 'musl', cc: ['musl-gcc'], loader: '/lib/ld-musl-x86_64.so.1', libraries: [] },
  { name: 'i686, static', cc: [I686.cc, '-static'] },
  { name: 'i686', cc: [I686.cc], loader: I686.loader, libraries: [I686.libc] },
  ...[AARCH64, RISCV64, ARMV7L].flatMap(({ name, cc, loader, libc, emulator }) => [
    { name: `${name}, static`, cc: [cc, '-static'], emulator },
    { name, cc: [cc], loader, libraries: [libc], emulator },
  ]),
]
const AS = join(scratch, 'as')
const bundles = new Map<string, string>()
beforeAll(async () => {
  await output('gcc', ['-static', '-O1', '-DAS', join(SUPPORT, 'root-alias.c'), '-o', AS])
  for (const { name, cc, loader, libraries } of KINDS) {
    const bundle = join(scratch, name)
    const place = loader === undefined ? { up: 1, path: '' } : layOut(bundle, loader, libraries!)
    for (const directory of ['bin', 'p', 'pkg/package-1.0']) mkdirSync(join(bundle, directory), { recursive: true })
    writeFileSync(join(bundle, 'pkg/package-1.0/data'), 'it is found\n')
    symlinkSync('../pkg/package-1.0', join(bundle, 'p/1f-package-1.0'))
    const flags = ['-O1', `-DSTORE="${PLACEHOLDER}"`, '-Wl,--disable-new-dtags,-rpath,$ORIGIN/../lib']
    await output(cc[0]!, [...cc.slice(1), ...flags, join(SUPPORT, 'root-alias.c'), '-o', join(bundle, 'bin/prog')])
    relocate(bundle, place, [])
    bundles.set(name, bundle)
  }
}, 120_000)

const USER = 1000
let made = 0

/** The directories that may hold aliases, in a root of their own, as they are on a machine. */
class Machine {
  readonly #path = join(scratch, `machine-${++made}`)
  /** Further arguments of bwrap. */
  readonly more: string[] = []

  constructor(directories: readonly string[] = ['/run', `/run/user/${USER}`, '/dev/shm', '/tmp']) {
    mkdirSync(this.#path)
    for (const directory of directories) {
      mkdirSync(this.at(directory), { recursive: true })
      if (directory === '/tmp' || directory === '/dev/shm') this.own(directory, 0, 0o1777)
      else if (directory.startsWith('/run/user/')) this.own(directory, Number(directory.slice(10)), 0o700)
    }
  }

  /** Where a path of it lies here. */
  at(path: string): string {
    return join(this.#path, path)
  }

  own(path: string, owner: number, mode: number): void {
    chownSync(this.at(path), owner, owner)
    chmodSync(this.at(path), mode)
  }

  /** A directory with an owner, made there. */
  directory(path: string, owner: number, mode: number): void {
    mkdirSync(this.at(path))
    this.own(path, owner, mode)
  }

  /** The arguments of bwrap that make it the root, with a bundle at `root`. */
  arguments(bundle: string, root: string): string[] {
    const mounts = readdirSync(this.#path).flatMap(name =>
      name === 'dev' ? ['--bind', this.at('dev/shm'), '/dev/shm'] : ['--bind', this.at(name), `/${name}`],
    )
    const caps = ['CAP_SETUID', 'CAP_SETGID'].flatMap(cap => ['--cap-add', cap])
    // What bwrap makes by itself is for root alone.
    const parts = root.split('/').slice(1, -1)
    const above = parts.flatMap((_, i) => ['--perms', '0755', '--dir', `/${parts.slice(0, i + 1).join('/')}`])
    const hidden = mounts.includes('/dev/shm') ? [] : ['--remount-ro', '/dev']
    return [
      ...['--unshare-pid', '--tmpfs', '/', '--proc', '/proc', '--dev', '/dev', ...caps, ...mounts, ...hidden],
      ...above,
      ...['--ro-bind', bundle, root, '--ro-bind', AS, '/as', ...this.more],
    ]
  }

  start(
    user: number,
    { kind = STATIC, root = DEEP, umask = '022', args = [] as readonly string[] } = {},
  ): Promise<Said> {
    const { emulator } = kind
    const more = emulator ? ['--ro-bind', emulator, '/qemu'] : []
    const command = ['/as', `${user}`, umask, ...(emulator ? ['/qemu'] : []), `${root}/bin/prog`, ...args]
    return say('bwrap', [...this.arguments(bundles.get(kind.name)!, root), ...more, '--', ...command])
  }
}

const found = (alias: string) => ({ end: 0, stdout: `${relocated(alias)}: it is found\n`, stderr: '' })
const refused = (root = DEEP) => ({
  end: 127,
  stdout: '',
  stderr: `${root}/bin/prog: unpacked too deep: ${root.length} bytes, at most 38: move it, or bundle with --prefix\n`,
})

describe('which directory', () => {
  test("the user's runtime directory, and whatever comes next where there is none", async () => {
    const directories = ['/run', `/run/user/${USER}`, '/dev/shm', '/tmp']
    for (const [without, place] of [
      [[], `/run/user/${USER}/sf`],
      [[`/run/user/${USER}`], `/dev/shm/sf-${USER}`],
      [[`/run/user/${USER}`, '/dev/shm'], `/tmp/sf-${USER}`],
    ] as const) {
      const machine = new Machine(directories.filter(d => !(without as readonly string[]).includes(d)))
      expect(await machine.start(USER)).toEqual(found(aliasOf(place, DEEP)))
      const { mode, uid } = statSync(machine.at(place))
      expect([mode & 0o7777, uid]).toEqual([0o711, USER])
      expect(readdirSync(machine.at(place))).toHaveLength(1)
      expect(readlinkSync(machine.at(aliasOf(place, DEEP)))).toBe(DEEP)
      // Again: it is used as it is.
      const { ctimeMs } = lstatSync(machine.at(aliasOf(place, DEEP)))
      expect(await machine.start(USER)).toEqual(found(aliasOf(place, DEEP)))
      expect(lstatSync(machine.at(aliasOf(place, DEEP))).ctimeMs).toBe(ctimeMs)
    }
  })

  test('root has one of its own; a user without a name too; none at all is a line and exit 127', async () => {
    expect(await new Machine().start(0)).toEqual(found(aliasOf('/run/sf', DEEP)))
    const last = 4294967294
    const machine = new Machine(['/run', `/run/user/${last}`])
    const alias = aliasOf(`/run/user/${last}/sf`, DEEP)
    expect(alias).toHaveLength(36)
    expect(await machine.start(last)).toEqual(found(alias))
    expect(await new Machine([]).start(USER)).toEqual(refused())
  })

  test('a root that fits has none', async () => {
    const machine = new Machine()
    expect(await machine.start(USER, { root: '/srv/x' })).toEqual(found('/srv/x'))
    expect(readdirSync(machine.at(`/run/user/${USER}`))).toEqual([])
  })

  test.each(KINDS)('$name: 200, 900 and 4000 bytes', async kind => {
    const machine = new Machine()
    for (const length of [39, 200, 900, 4000]) {
      const root = Array.from({ length }, (_, i) => (i % 100 === 0 ? '/' : 'r'))
        .join('')
        .replace(/\/$/, 'r')
      expect(await machine.start(USER, { kind, root }), `${length}`).toEqual(
        found(aliasOf(`/run/user/${USER}/sf`, root)),
      )
    }
  })

  test.each(KINDS)('$name: a short root with a blank', async kind => {
    const machine = new Machine()
    const at = { kind, root: '/srv/a b' }
    expect(await machine.start(USER, at)).toEqual(found(aliasOf(`/run/user/${USER}/sf`, at.root)))
    // Where there is no place for an alias it is named as it is.
    expect(await new Machine([]).start(USER, at)).toEqual(found(at.root))
  })

  test('every character that a shell, a list or a format takes apart', async () => {
    const machine = new Machine()
    const own = `/run/user/${USER}`
    for (const c of ' \t\n\x01\x7f!"#$%&\'()*,:;<>?[\\]^`{|}') {
      const root = `/srv/a${c}b`
      expect(await machine.start(USER, { root }), JSON.stringify(c)).toEqual(found(aliasOf(`${own}/sf`, root)))
    }
    for (const root of ['/srv/A-z_0.9+=@~', '/srv/\xe4\u20ac']) // what it prints is read as bytes
      expect(await machine.start(USER, { root })).toEqual(found(Buffer.from(root).toString('latin1')))
  })

  test('the way that it was started by, where that is plain; a long root by one that is not, where there is no alias', async () => {
    const by = async (root: string, link: string, machine: Machine): Promise<Said> => {
      machine.more.push('--symlink', root, link)
      const args = [...machine.arguments(bundles.get(STATIC.name)!, root), '--', '/as', `${USER}`, '022']
      return say('bwrap', [...args, `${link}/bin/prog`])
    }
    expect(await by('/srv/a b', '/plain', new Machine())).toEqual(found('/plain'))
    expect(await by('/srv/a b', '/a:b', new Machine())).toEqual(found(aliasOf(`/run/user/${USER}/sf`, '/srv/a b')))
    expect(await by('/srv/a b', '/a:b', new Machine([]))).toEqual(found('/srv/a b'))
    expect(await by(DEEP, '/a:b', new Machine())).toEqual(found(aliasOf(`/run/user/${USER}/sf`, DEEP)))
    expect(await by(DEEP, '/a:b', new Machine([]))).toEqual(found('/a:b'))
  })

  test('a program that goes on as another user gets through, whatever the umask', async () => {
    const machine = new Machine()
    expect(await machine.start(0, { umask: '077', args: ['1234'] })).toEqual(found(aliasOf('/run/sf', DEEP)))
  })
})

describe('what may be there before', () => {
  /** The runtime directory is missing, /dev/shm has the hostile thing, /tmp is good. */
  const machine = (): Machine => new Machine(['/dev/shm', '/tmp'])
  const own = `/dev/shm/sf-${USER}`
  const next = found(aliasOf(`/tmp/sf-${USER}`, DEEP))

  test.each<[string, (on: Machine) => void]>([
    ["another user's directory", on => on.directory(own, 2000, 0o711)],
    ["another user's directory, open to all", on => on.directory(own, 2000, 0o1777)],
    ["root's directory", on => on.directory(own, 0, 0o755)],
    ['a directory that its group may write to', on => on.directory(own, USER, 0o770)],
    ['a directory that all may write to', on => on.directory(own, USER, 0o1777)],
    ['a file', on => writeFileSync(on.at(own), '')],
    ['a FIFO', on => void execFileSync('mkfifo', [on.at(own)])],
    ['a link that leads nowhere', on => symlinkSync('/nowhere', on.at(own))],
    [
      'a link to a good directory',
      on => {
        on.directory('/tmp/good', USER, 0o711)
        symlinkSync('/tmp/good', on.at(own))
      },
    ],
    ['a directory of its own that it may not read', on => on.directory(own, USER, 0o311)],
    ['the directory above is not sticky', on => on.own('/dev/shm', 0, 0o777)],
    ["the directory above is another user's", on => on.own('/dev/shm', 2000, 0o1777)],
    ["the directory above is another user's, and nobody else may write", on => on.own('/dev/shm', 2000, 0o755)],
  ])('%s: passed over, and left as it was', async (_, plant) => {
    const on = machine()
    plant(on)
    const before = execFileSync('find', [on.at('/dev/shm'), '-ls']).toString()
    expect(await on.start(USER)).toEqual(next)
    expect(execFileSync('find', [on.at('/dev/shm'), '-ls']).toString()).toBe(before)
    rmSync(on.at('/tmp'), { recursive: true })
    expect(await on.start(USER)).toEqual(refused())
  })

  test('two users have one each', async () => {
    const on = new Machine(['/tmp'])
    for (const user of [USER, 1001]) expect(await on.start(user)).toEqual(found(aliasOf(`/tmp/sf-${user}`, DEEP)))
  })

  test('a root of the same hash: the next name, then the next directory; nothing is replaced', async () => {
    const on = machine()
    on.directory(own, USER, 0o711)
    for (const [n, text] of ['/another', `${DEEP}r`, DEEP.slice(0, -1), ''].entries()) {
      const name = on.at(aliasOf(own, DEEP, n))
      if (text === '') writeFileSync(name, 'a file')
      else symlinkSync(text, name)
      expect(await on.start(USER)).toEqual(found(aliasOf(own, DEEP, n + 1)))
      rmSync(on.at(aliasOf(own, DEEP, n + 1)))
      if (text !== '') expect(readlinkSync(name)).toBe(text)
    }
    for (let n = 4; n < 16; n++) symlinkSync('/another', on.at(aliasOf(own, DEEP, n)))
    expect(await on.start(USER)).toEqual(next)
  })

  test('fifty starts at once: one link', async () => {
    const on = machine()
    const said = await Promise.all(Array.from({ length: 50 }, () => on.start(USER)))
    for (const one of said) expect(one).toEqual(found(aliasOf(own, DEEP)))
    expect(readdirSync(on.at(own))).toHaveLength(1)
  })
})

describe('mounts and namespaces', () => {
  test('read-only: a link that is there is used, none can be made', async () => {
    const on = new Machine(['/tmp'])
    expect(await on.start(USER)).toEqual(found(aliasOf(`/tmp/sf-${USER}`, DEEP)))
    on.more.push('--remount-ro', '/tmp')
    expect(await on.start(USER)).toEqual(found(aliasOf(`/tmp/sf-${USER}`, DEEP)))
    expect(await on.start(1001)).toEqual(refused())
  })

  /** Starts it with file systems of its own at /tmp and at /dev/shm, which is mounted with these options. */
  const place = `/mnt/${'r'.repeat(60)}`
  const mounted = (options: string, start: readonly string[]): Promise<Said> => {
    const script = [
      ...['set -e', 'mount -t tmpfs tmpfs /mnt', 'mkdir "$1"', 'mount --bind "$0" "$1"'],
      ...['mount -t tmpfs -o mode=1777 tmpfs /tmp', `mount -t tmpfs -o ${options} tmpfs /dev/shm`, ...start],
    ]
    return say('unshare', ['-m', 'sh', '-c', script.join('; '), bundles.get(STATIC.name)!, place])
  }

  test('noexec is no matter; where links are not followed the next directory is taken', async () => {
    const start = ['exec setpriv --reuid 1234 --regid 1234 --clear-groups "$1/bin/prog"']
    expect(await mounted('mode=1777,noexec,nosuid,nodev', start)).toEqual(found(aliasOf('/dev/shm/sf-1234', place)))
    expect(await mounted('mode=1777,nosymfollow', start)).toEqual(found(aliasOf('/tmp/sf-1234', place)))
  })

  test('a user namespace in which the user has no number: only what the kernel says is its own', async () => {
    // All that is not mapped is 65534 there, the user, root and any other.
    const start = [
      ...['mkdir -m 711 /dev/shm/sf-65534', 'chown 5000 /dev/shm/sf-65534'],
      'exec setpriv --reuid 1234 --regid 1234 --clear-groups unshare -U "$1/bin/prog"',
    ]
    expect(await mounted('mode=1777', start)).toEqual(found(aliasOf('/tmp/sf-65534', place)))
  })
})
