/** Strings that move with the bundle: the table, and programs that say what their strings became. */
import { cpSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { debugStateOf } from '../src/entry/hook.ts'
import { decodeRelocations, encodeRelocations, hashWords, libraryKey, rootLimit } from '../src/entry/relocations.ts'
import { bufferSource } from '../src/io/bytes.ts'
import { temporary } from './support/bundle.ts'
import { AARCH64, ARMV7L, I686, RISCV64 } from './support/cross.ts'
import { eachOf, output, Random } from './support/elf-tools.ts'
import { aliasOf, LINK, PLACEHOLDER, relocate, relocated, sayAt } from './support/relocation-lab.ts'
import { layOut, ROOT, SUPPORT } from './support/stub-lab.ts'

const root = temporary()
symlinkSync('/usr/bin/ld.lld', join(root, 'ld.lld'))

describe('the table', () => {
  const key = 1n << 63n
  const site = { address: 0x1234, link: 1 }

  test('is read as it was written, sorted', () => {
    const files = [
      { key: key + 5n, dynamic: 0x3000, sites: [{ address: 2 ** 40 - 1, link: 16 }, site], hook: 0x2060 },
      { key: { program: 3 }, dynamic: 0, sites: [site] },
      { key: key + 1n, dynamic: 1, sites: [] },
    ]
    expect(decodeRelocations(encodeRelocations(files))).toEqual({
      limit: 38,
      files: [files[1], files[2], { ...files[0], sites: files[0]!.sites.toReversed() }],
    })
  })

  test('equal keys: once with equal sites, else an error', () => {
    const file = { key: key + 5n, dynamic: 8, sites: [{ address: 8, link: 0 }] }
    const table = (other: object) => encodeRelocations([file, { ...file, ...other }])
    expect(decodeRelocations(table({}))!.files).toHaveLength(1)
    expect(() => table({ sites: [{ address: 9, link: 0 }] })).toThrow('cannot be told apart')
    expect(() => table({ sites: [{ address: 8, link: 1 }] })).toThrow('cannot be told apart')
  })

  test('what does not fit it', () => {
    const one = (address: number, link: number) => encodeRelocations([{ key, dynamic: 0, sites: [{ address, link }] }])
    expect(() => one(2 ** 40, 0)).toThrow()
    expect(() => one(0, 2 ** 16)).toThrow()
    // There is room for every alias.
    expect(decodeRelocations(one(0, 2 ** 16 - 1))!.limit).toBe('/run/user/4294967295/sf/0123456789ab'.length)
    expect(() => encodeRelocations([{ key: 5n, dynamic: 0, sites: [] }])).toThrow()
  })

  test('the longest root', () => {
    expect(rootLimit([{ link: 15 }, { link: 0 }])).toBe(39)
    expect(rootLimit([{ link: 15 }, { link: 16 }])).toBe(38)
    expect(rootLimit([])).toBe(Number.POSITIVE_INFINITY)
  })

  test('a key needs headers in the first page', () => {
    const bytes = readFileSync('/lib/x86_64-linux-gnu/libc.so.6')
    expect(libraryKey(bytes) >> 63n).toBe(1n)
    expect(libraryKey(bytes.subarray(0, 4096))).toBe(libraryKey(bytes))
    expect(() => libraryKey(bytes.subarray(0, 100))).toThrow()
  })

  test("the hook's place: an empty function only", () => {
    const file = readFileSync('/lib64/ld-linux-x86-64.so.2')
    const at = debugStateOf(bufferSource(file), '')!
    expect(file[at]).toBe(0xc3)
    const changed = (offset: number, ...code: number[]) => {
      const copy = Buffer.from(file)
      Buffer.from(code).copy(copy, at + offset)
      return debugStateOf(bufferSource(copy), '')
    }
    expect(changed(0, 0x90)).toBeNull()
    expect(changed(1, 0x55)).toBeNull()
    expect(changed(0, 0xc3, ...Array<number>(11).fill(0xcc))).toBe(at)
    expect(changed(0, 0xc3, ...Array<number>(10).fill(0xcc), 0x55)).toBeNull()
    expect(changed(0, 0xf3, 0x0f, 0x1e, 0xfa, 0xc3, 0x66, 0x90, 0x0f, 0x1f, 0x44, 0, 0)).toBe(at)
    expect(debugStateOf(bufferSource(readFileSync('/lib/x86_64-linux-gnu/libc.so.6')), '')).toBeNull()
  })

  test("the hook's place on aarch64: ret, with whatever behind it", () => {
    const file = readFileSync(AARCH64.loader)
    const at = debugStateOf(bufferSource(file), '')!
    expect(file.readUInt32LE(at)).toBe(0xd65f03c0)
    const changed = (...words: number[]) => {
      const copy = Buffer.from(file)
      for (const [i, word] of words.entries()) copy.writeUInt32LE(word, at + 4 * i)
      return debugStateOf(bufferSource(copy), '')
    }
    expect(changed(0xd503245f, 0xd65f03c0)).toBe(at)
    expect(changed(0xd503245f, 0xd503201f)).toBeNull()
    expect(changed(0xd503201f, 0xd65f03c0)).toBeNull()
  })
})

interface Libc {
  readonly name: string
  readonly cc: string
  readonly loader: string
  readonly libraries: readonly string[]
  readonly emulator?: string
}

const LIBCS: readonly Libc[] = [
  {
    name: 'glibc',
    cc: 'gcc',
    loader: '/lib64/ld-linux-x86-64.so.2',
    libraries: ['/lib/x86_64-linux-gnu/libc.so.6'],
  },
  { name: 'musl', cc: 'musl-gcc', loader: '/lib/ld-musl-x86_64.so.1', libraries: [] },
  AARCH64,
  I686,
  ARMV7L,
]
const GLIBC = LIBCS[0]!
const LAYOUTS: readonly (readonly string[])[] = [
  [],
  ['-Wl,-z,noseparate-code'],
  ['-Wl,-z,relro,-z,now'],
  ['-Wl,-z,norelro'],
  ['-Wl,-z,max-page-size=65536'],
]
const LLD = ['-fuse-ld=lld', '-Wl,--no-rosegment']

/** Compiles a bundle: bin/prog, lib/libreloc.so, lib/plugin.so. */
async function build(libc: Libc, kind: string, link: readonly string[], hooked = false): Promise<string> {
  const bundle = join(root, `${libc.name}${kind}${link.join('')}${hooked}`)
  const loader = layOut(bundle, libc.loader, libc.libraries)
  const flags = ['-O1', '-D_GNU_SOURCE', `-DSTORE="${PLACEHOLDER}"`, `-B${root}`, ...link, join(SUPPORT, 'relocated.c')]
  const at = (path: string): string => join(bundle, path)
  const shared = ['-shared', '-fPIC', ...flags]
  await output(libc.cc, [...shared, '-DLIBRARY', '-o', at('lib/libreloc.so'), '-Wl,-soname,libreloc.so'])
  await output(libc.cc, [...shared, '-DPLUGIN', '-o', at('lib/plugin.so')])
  await output(libc.cc, [
    ...[`-${kind}`, kind === 'pie' ? '-fPIE' : '-fno-pie', ...flags, '-o', at('bin/prog'), `-L${at('lib')}`],
    ...['-lreloc', '-Wl,--disable-new-dtags,-rpath,$ORIGIN/../lib'],
  ])
  const copied = /^(\w+) B library_data/m.exec(await output('nm', ['-D', at('bin/prog')]))?.[1]
  const more = copied ? [Number.parseInt(copied, 16)] : []
  relocate(bundle, loader, ['lib/libreloc.so', 'lib/plugin.so'], { hooked, more })
  return bundle
}

/** What the program says with its strings at `store`. */
function lines(store: string, start = store): string {
  const sizes = (tail: string): string => `${store}${tail} ${PLACEHOLDER.length + tail.length + 1}`
  return [
    `library's constructor: ${start}/start`,
    `rodata: ${sizes('/rodata')}`,
    `data: ${sizes('/data')}`,
    `pointer: ${store}/pointer/joined`,
    `relro: ${store}/relro ${store}/in-relro`,
    `library's data from here: ${store}/share/data`,
    `library rodata: ${sizes('/share/rodata')}`,
    `library data: ${sizes('/share/data')}`,
    `library pointer: ${store}/share/pointer`,
    `library relro: ${store}/share/relro ${store}/in-relro`,
    '',
  ].join('\n')
}

/** Of a program that found its strings where they were, or did not. */
const good = (stdout: string) => ({ end: 0, stdout, stderr: '' })

describe.each(LIBCS)('$name', libc => {
  const more = libc.emulator ? ['--ro-bind', libc.emulator, '/qemu'] : []
  const command = [...(libc.emulator ? ['/qemu'] : []), `${ROOT}/bin/prog`]
  // On musl constructors run after AT_ENTRY was reached.
  const early = libc.name === 'musl' ? relocated(ROOT) : PLACEHOLDER

  test.each([...LAYOUTS, LLD, [...LLD, '-Wl,-z,now'], ['-fuse-ld=lld']].map(link => ({ link })))(
    'pie and no-pie, $link',
    async ({ link }) => {
      await eachOf(['pie', 'no-pie'], async kind => {
        const bundle = await build(libc, kind, link)
        const said = await sayAt(bundle, ROOT, command, { more })
        expect(said, kind).toEqual(good(lines(relocated(ROOT), early)))
      })
    },
  )
})

// On riscv64 ld.so has no room for a jump: the calls of the function are changed. Debian's lld cannot link for it.
describe.each([...LIBCS, RISCV64])('with the hook, $name', libc => {
  let bundle: string
  beforeAll(async () => {
    bundle = await build(libc, 'no-pie', [], true)
  })
  const store = relocated(ROOT)
  const plugged = `plugin's constructor: ${store}/plugin ${store}/plugin/pointer\nplugin: ${store}/plugin\n`
  const more = libc.emulator ? ['--ro-bind', libc.emulator, '/qemu'] : []
  const program = [`${ROOT}/bin/prog`, 'plugin', `${ROOT}/lib/plugin.so`]
  const command = libc.emulator ? ['/qemu', ...program] : program

  test('constructors of libraries and plugins', async () => {
    expect(await sayAt(bundle, ROOT, command, { more })).toEqual(good(lines(store) + plugged))
  })

  test('a namespace of its own', async () => {
    const said = await sayAt(bundle, ROOT, command, { more, env: { NEW_NAMESPACE: '1' } })
    expect(said).toMatchObject({ end: 0, stderr: '' })
    expect(said.stdout).toContain(`plugin: ${store}/plugin\n`)
  })

  // Without /proc the jump is written through mprotect.
  test('without /proc', async () => {
    const said = await sayAt(bundle, ROOT, command, { more, proc: false, env: { LD_LIBRARY_PATH: `${ROOT}/lib` } })
    // What the emulator says of /proc/self/exe it knows by itself.
    const place = libc.emulator ? store : relocated(`${ROOT}/bin/..`)
    expect(said).toEqual(good(lines(place) + plugged.replaceAll(store, place)))
  })

  test('LD_PRELOAD', async () => {
    const said = await sayAt(bundle, ROOT, command, { more, env: { LD_PRELOAD: `${ROOT}/lib/plugin.so` } })
    expect(said.stdout).toContain(`plugin's constructor: ${store}/plugin ${store}/plugin/pointer\n`)
    expect(said.stdout).not.toContain('/var/empty')
  })
})

/** Its first and fourth byte: movabs (48 b8), b (14 to 17 at its end), mov (b8), b.w (90 to bf at its end). */
const JUMPS: Readonly<Record<string, string>> = {
  glibc: '72 \\d+',
  aarch64: '\\d+ 2[0-3]',
  i686: '184 \\d+',
  armv7l: '\\d+ 1([4-8]\\d|9[01])',
}
// Where a jump stands in the function itself, so that a program can call it. (On riscv64 ld.so's own calls lead elsewhere.)
test.each(LIBCS)('with the hook, $name: registers', async libc => {
  const more = libc.emulator ? ['--ro-bind', libc.emulator, '/qemu'] : []
  const command = libc.emulator ? ['/qemu', `${ROOT}/bin/prog`] : [`${ROOT}/bin/prog`]
  const place = join(root, `${libc.name}-registers`)
  const loader = layOut(place, libc.loader, libc.libraries)
  const source = join(SUPPORT, 'hook-registers.c')
  const flags = [
    '-O1',
    '-D_GNU_SOURCE',
    `-DSTORE="${PLACEHOLDER}"`,
    '-ldl',
    '-Wl,--disable-new-dtags,-rpath,$ORIGIN/../lib',
  ]
  await output(libc.cc, [source, ...flags, '-o', join(place, 'bin/prog')])
  relocate(place, loader, [], { hooked: true })
  const said = await sayAt(place, ROOT, command, { more })
  const first = new RegExp(`^${relocated(ROOT)}/path 0 ${JUMPS[libc.name] ?? JUMPS.glibc}\n$`)
  expect(said).toEqual({ end: 0, stdout: expect.stringMatching(first), stderr: '' })
})

describe('a bundle of glibc', () => {
  let bundle: string
  let hooked: string
  beforeAll(async () => {
    bundle = await build(GLIBC, 'pie', ['-Wl,-z,noseparate-code'])
    hooked = await build(GLIBC, 'pie', ['-Wl,-z,noseparate-code'], true)
    await output('gcc', ['-static', '-O1', '-o', join(root, 'deny'), join(SUPPORT, 'no-mprotect.c')])
  })
  const runs = (place: string, program = `${place}/bin/prog`, options = {}) => sayAt(bundle, place, [program], options)

  test('moved, with spaces', async () => {
    expect(await runs('/a')).toEqual(good(lines(relocated('/a'), PLACEHOLDER)))
    const place = '/b c/d  e'
    expect(await runs(place)).toEqual(good(lines(relocated(aliasOf('/dev/shm/sf-0', place)), PLACEHOLDER)))
    const none = { more: ['--remount-ro', '/dev'] }
    expect(await runs(place, undefined, none)).toEqual(good(lines(relocated(place), PLACEHOLDER)))
  })

  test('the longest root; one byte more goes by an alias, or a shorter way to it', async () => {
    const limit = rootLimit([{ link: LINK }])
    const longest = `/${'r'.repeat(limit - 1)}`
    expect(await runs(longest)).toEqual(good(lines(relocated(longest), PLACEHOLDER)))
    const longer = `${longest}r`
    const alias = relocated(aliasOf('/dev/shm/sf-0', longer))
    expect(await runs(longer)).toEqual(good(lines(alias, PLACEHOLDER)))
    const none = ['--remount-ro', '/dev']
    expect(await runs(longer, undefined, { more: none })).toEqual({
      end: 127,
      stdout: '',
      stderr: `${longer}/bin/prog: unpacked too deep: ${limit + 1} bytes, at most ${limit}: move it, or bundle with --prefix\n`,
    })
    const link = [...none, '--symlink', longer, '/short']
    expect(await runs(longer, '/short/bin/prog', { more: link })).toEqual(good(lines(relocated('/short'), PLACEHOLDER)))
    // A way to something else is none.
    const other = [...none, '--symlink', `${longer}/bin`, '/short']
    expect(await runs(longer, '/short/prog', { more: other })).toMatchObject({ end: 127, stdout: '' })
  })

  test('without /proc', async () => {
    const said = await sayAt(bundle, ROOT, [`${ROOT}/bin/prog`], {
      proc: false,
      env: { LD_LIBRARY_PATH: `${ROOT}/lib` },
    })
    expect(said).toEqual(good(lines(relocated(`${ROOT}/bin/..`), PLACEHOLDER)))
  })

  test('vfork and exec', async () => {
    const said = await sayAt(hooked, ROOT, [`${ROOT}/bin/prog`, 'again'])
    expect(said).toMatchObject({ end: 0, stderr: '' })
  })

  test('ld.so prog: strings stay, all else works', async () => {
    const said = await sayAt(bundle, ROOT, [`${ROOT}/lib/ld-linux-x86-64.so.2`, `${ROOT}/bin/prog`])
    expect(said).toEqual(good(lines(PLACEHOLDER)))
  })

  test.each(['wx', 'all'])('mprotect denied: %s', async what => {
    const deny = ['--ro-bind', join(root, 'deny'), '/deny']
    for (const place of [bundle, hooked]) {
      const said = await sayAt(place, ROOT, ['/deny', what, `${ROOT}/bin/prog`], { more: deny })
      if (what === 'wx')
        expect(said).toEqual(good(lines(relocated(ROOT), place === bundle ? PLACEHOLDER : relocated(ROOT))))
      // ld.so itself cannot do without.
      else expect([0, 127], said.stderr).toContain(said.end)
    }
  })

  test('a table that is not there, cut, of something else or damaged: strings stay', async () => {
    const copy = join(root, 'damaged')
    cpSync(bundle, copy, { recursive: true })
    const file = join(copy, '.relocations')
    const table = readFileSync(file)
    const random = new Random(5)
    const untouched = good(lines(PLACEHOLDER))
    const run = () => sayAt(copy, ROOT, [`${ROOT}/bin/prog`])
    rmSync(file)
    expect(await run()).toEqual(untouched)
    for (let i = 0; i < 60; i++) {
      const bytes = Buffer.from(table)
      if (i < 20) writeFileSync(file, bytes.subarray(0, random.below(bytes.length)))
      else {
        const at = random.below(bytes.length)
        bytes[at] = bytes[at]! ^ (1 << random.below(8))
        writeFileSync(file, bytes)
      }
      expect(await run(), `${i}`).toEqual(untouched)
    }
  })

  test('a table that is whole and wrong: no crash', async () => {
    const copy = join(root, 'hostile')
    cpSync(bundle, copy, { recursive: true })
    const file = join(copy, '.relocations')
    const table = readFileSync(file)
    const { files } = decodeRelocations(table)!
    const random = new Random(6)
    const skeleton = (text: string): string => text.replace(/(\/var\/empty|\/srv\/x)[^ ]*?-package-1\.0/g, '@')
    const number = (): number => random.pick([0, 1, 44, 255, 256, 2 ** 16, 2 ** 31, 2 ** 32 - 1, random.below(5000)])
    for (let i = 0; i < 200; i++) {
      const wrong = files.map(entry => ({
        ...entry,
        sites: Array.from({ length: 50 }, () => ({
          address: random.chance(50) ? random.below(2 ** 16) : random.below(2 ** 31) * 300,
          link: random.below(32),
        })),
      }))
      const bytes = i < 50 ? encodeRelocations(wrong) : Buffer.from(table)
      // Any word but the hook's: what is there is for the bundler to see.
      for (let n = i < 50 ? 0 : 1 + random.below(8); n > 0; n--) {
        const at = 16 + 4 * random.below((bytes.length - 16) / 4)
        const within = at - 32
        if (within < 0 || within >= files.length * 32 || within % 32 < 16 || within % 32 >= 24)
          bytes.writeUInt32LE(number(), at)
      }
      bytes.writeBigUInt64LE(hashWords(bytes.subarray(16)), 8)
      writeFileSync(file, bytes)
      const said = await sayAt(copy, ROOT, [`${ROOT}/bin/prog`])
      if (said.stderr.includes('unpacked too deep')) expect(said, `${i}`).toMatchObject({ end: 127, stdout: '' })
      else {
        expect(said, `${i}`).toMatchObject({ end: 0, stderr: '' })
        expect(skeleton(said.stdout), `${i}`).toBe(skeleton(lines(PLACEHOLDER)))
      }
    }
  })
})
