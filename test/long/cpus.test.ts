/**
 * Debian's own programs for other CPUs, put into the shape that a Nix store gives them, bundled, and run in an emulator
 * where there is nothing but the bundle: they say what the originals say. Packages are fetched by apt.
 */
import { spawn } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { PT } from '../../src/elf/constants.ts'
import { isElf, parseElf } from '../../src/elf/parse.ts'
import { bufferSource } from '../../src/io/bytes.ts'
import { grep, mustBundle, run, temporary } from '../support/bundle.ts'
import { packages } from '../support/debian.ts'
import { output } from '../support/elf-tools.ts'
import { bareRoot, inBareRoot, PLACE, storePath } from '../support/store-lab.ts'
import { filesBelow } from '../support/store-shape.ts'

interface Debian {
  readonly arch: string
  readonly suite: string
  readonly triplet: string
  readonly loader: string
  readonly emulator: readonly string[]
}

const CPUS: readonly Debian[] = [
  { arch: 'i386', suite: 'bookworm', triplet: 'i386-linux-gnu', loader: 'ld-linux.so.2', emulator: ['i386'] },
  {
    arch: 'armhf',
    suite: 'bookworm',
    triplet: 'arm-linux-gnueabihf',
    loader: 'ld-linux-armhf.so.3',
    emulator: ['arm'],
  },
  // ARMv5TE, with no floating point.
  {
    ...{ arch: 'armel', suite: 'bookworm', triplet: 'arm-linux-gnueabi', loader: 'ld-linux.so.3' },
    emulator: ['arm', '-cpu', 'arm926'],
  },
  {
    ...{ arch: 'riscv64', suite: 'trixie', triplet: 'riscv64-linux-gnu', loader: 'ld-linux-riscv64-lp64d.so.1' },
    emulator: ['riscv64'],
  },
]
const PACKAGES = ['hello', 'bash', 'nginx-light', 'python3-minimal', 'libpython3-stdlib']

const PYTHON = `
import ssl, zlib, hashlib, json, ctypes, sqlite3, sys, os
print(ssl.OPENSSL_VERSION, ssl.create_default_context().get_ciphers()[0]['name'])
print(hashlib.sha256(zlib.compress(b'x' * 1000)).hexdigest())
print(sqlite3.connect(':memory:').execute('select 6 * 7').fetchone(), ctypes.sizeof(ctypes.c_void_p))
print(json.dumps(sys.argv[1:]), sys.version_info[:2], os.path.basename(sys.executable))`

describe.each(CPUS)('$arch', ({ arch, suite, triplet, loader, emulator: [cpu, ...more] }) => {
  const directory = temporary()
  const emulator = `/usr/bin/qemu-${cpu}-static`
  const place = join(directory, 'bundle')
  let store: string

  /** One store path, as a profile is: its programs in bin, its libraries in lib, which names them by their place. */
  beforeAll(async () => {
    const tree = await packages(arch, suite, PACKAGES)
    store = storePath('debian-1.0')
    for (const name of ['bin', 'lib', 'share']) mkdirSync(join(store, name))
    const copy = (from: string, to: string): void => {
      if (existsSync(join(tree, from)))
        cpSync(join(tree, from), join(store, to), { recursive: true, verbatimSymlinks: true })
    }
    for (const lib of [`lib/${triplet}`, `usr/lib/${triplet}`]) copy(lib, 'lib')
    for (const name of readdirSync(join(tree, 'usr/lib')))
      if (/^python3/.test(name)) copy(`usr/lib/${name}`, `lib/${name}`)
    rmSync(join(store, 'lib/perl-base'), { recursive: true, force: true })
    const python = readdirSync(join(tree, 'usr/bin')).find(name => /^python3\.\d+$/.test(name))!
    for (const [from, to] of [
      ['usr/bin/hello', 'hello'],
      [existsSync(join(tree, 'bin/bash')) ? 'bin/bash' : 'usr/bin/bash', 'bash'],
      ['usr/sbin/nginx', 'nginx'],
      [`usr/bin/${python}`, 'python3'],
    ] as const)
      copy(from, `bin/${to}`)
    const ld = join(store, 'lib', loader)
    if (!existsSync(ld)) throw new Error(`no ${ld}`)
    for (const file of elfFiles(store)) {
      const { segments } = parseElf(bufferSource(readFileSync(file)), file)
      if (basename(file) === loader || !segments.some(s => s.type === PT.dynamic)) continue
      const interp = segments.some(s => s.type === PT.interp) && file.startsWith(`${store}/bin/`)
      await output('patchelf', [
        ...(interp ? ['--set-interpreter', ld] : []),
        ...['--force-rpath', '--set-rpath', `${store}/lib`, file],
      ])
    }
    mustBundle([store, '-f', 'dir', '-o', place])
  }, 600_000)

  const jobs: readonly (readonly [program: string, ...args: string[]])[] = [
    ['hello', '--greeting=by a stub'],
    ['bash', '--norc', '-c', 'a=(1 2 3); echo "$BASH_VERSION $a $0 $((6 * 7))"; (exit 7); exit $?', 'name'],
    ['nginx', '-V'],
    ['python3', '-c', PYTHON, 'one', 'two words'],
  ]
  test.each(jobs)('%s', { timeout: 120_000 }, (program, ...args) => {
    const original = run(emulator, [...more, join(store, 'bin', program), ...args], { env: { LANG: 'C' } })
    expect(original.stdout + original.stderr).not.toBe('')
    expect([0, 7]).toContain(original.code)
    const mount = ['--ro-bind', emulator, '/emulator']
    expect(inBareRoot(place, ['/emulator', ...more, `${PLACE}/bin/${program}`, ...args], mount)).toEqual(original)
  })

  test('nginx serves a page', { timeout: 120_000 }, async () => {
    const work = join(directory, 'work')
    mkdirSync(join(work, 'html'), { recursive: true })
    writeFileSync(join(work, 'html/index.html'), 'a page of the bundle\n')
    const port = 20_000 + (process.pid % 20_000)
    const temporaries = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(n => `${n}_temp_path /tmp/${n};`)
    const http = `${temporaries.join(' ')} access_log off; server { listen 127.0.0.1:${port}; root /site/html; }`
    const main = 'daemon off; master_process off; pid /tmp/pid; error_log stderr;'
    writeFileSync(join(work, 'nginx.conf'), `${main} events {} http { ${http} }`)
    writeFileSync(join(work, 'passwd'), 'nobody:x:65534:65534::/:/\n')
    writeFileSync(join(work, 'group'), 'nogroup:x:65534:\n')
    const users = ['passwd', 'group'].flatMap(name => ['--ro-bind', join(work, name), `/etc/${name}`])
    const mounts = ['--ro-bind', emulator, '/emulator', '--ro-bind', work, '/site', ...users]
    const command = [
      '/emulator',
      ...more,
      `${PLACE}/bin/nginx`,
      '-e',
      'stderr',
      '-p',
      '/site',
      '-c',
      '/site/nginx.conf',
    ]
    const child = spawn('bwrap', ['--die-with-parent', ...bareRoot(place, command, mounts)], { stdio: 'inherit' })
    try {
      let page = ''
      for (let tries = 0; page === '' && tries < 100; tries++) {
        await new Promise(done => setTimeout(done, 200))
        page = await fetch(`http://127.0.0.1:${port}/`).then(
          answer => answer.text(),
          () => '',
        )
      }
      expect(page).toBe('a page of the bundle\n')
    } finally {
      child.kill('SIGKILL')
    }
  })

  test('no store path is left', () => {
    expect(run('node', ['bin/bundle.js', 'verify', place]).code).toBe(0)
    expect(grep('/nix/store', place)).toBe('')
  })
})

const elfFiles = (directory: string): string[] =>
  filesBelow(directory).filter(path => isElf(readFileSync(path).subarray(0, 4)))
