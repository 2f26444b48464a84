/** Static programs with strings that relocate themselves: the stub writes them, and is gone. */
import { chmodSync, copyFileSync, cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { checkInjected, seen } from '../src/apply/fidelity.ts'
import { PT } from '../src/elf/constants.ts'
import { parseElf } from '../src/elf/parse.ts'
import { rootLimit } from '../src/entry/relocations.ts'
import { bufferSource } from '../src/io/bytes.ts'
import { temporary } from './support/bundle.ts'
import { AARCH64, ARMV7L, I686, RISCV64 } from './support/cross.ts'
import { eachOf, output } from './support/elf-tools.ts'
import { aliasOf, LINK, PLACEHOLDER, relocate, relocated, sayAt } from './support/relocation-lab.ts'
import { ROOT, refusal, SUPPORT, say } from './support/stub-lab.ts'

const root = temporary()
// What is started as another user has to be reachable.
chmodSync(root, 0o755)
symlinkSync('/usr/bin/ld.lld', join(root, 'ld.lld'))
const LLD = ['-fuse-ld=lld', `-B${root}`]
const NO_LOADER = { up: 1, path: '' }

const MUSL = '/usr/lib/x86_64-linux-musl'
/** musl-gcc knows no -static-pie: what that means is told to the linker. */
const MUSL_PIE = ['-static', '-fPIE', '-nostartfiles', '-Wl,-pie,--no-dynamic-linker,-z,text', `${MUSL}/rcrt1.o`]

interface Kind {
  readonly name: string
  readonly command: readonly string[]
  /** The type of the program header that gives way. */
  readonly spare: number
  readonly emulator?: string
}
const KINDS: readonly Kind[] = [
  { name: 'glibc, static', command: ['gcc', '-static'], spare: PT.note },
  { name: 'glibc, static-pie', command: ['gcc', '-static-pie', '-fPIE'], spare: PT.note },
  { name: 'glibc, static, lld', command: ['gcc', '-static', ...LLD], spare: PT.note },
  { name: 'glibc, static-pie, lld', command: ['gcc', '-static-pie', '-fPIE', ...LLD], spare: PT.note },
  { name: 'musl, static', command: ['musl-gcc', '-static'], spare: PT.gnuRelro },
  { name: 'musl, static-pie', command: ['musl-gcc', ...MUSL_PIE], spare: PT.gnuRelro },
  { name: 'musl, static, build ID', command: ['musl-gcc', '-static', '-Wl,--build-id'], spare: PT.note },
  {
    name: 'musl, static, lld',
    command: ['musl-gcc', '-static', ...LLD, '-Wl,--no-dynamic-linker'],
    spare: PT.phdr,
  },
  ...[AARCH64, RISCV64, I686, ARMV7L].map(({ name, cc, emulator }) => ({
    ...{ name: `${name}, static`, command: [cc, '-static'], spare: PT.note, emulator },
  })),
  // glibc has no such start files for the others.
  ...[AARCH64, I686].map(({ name, cc, emulator }) => ({
    ...{ name: `${name}, static-pie`, command: [cc, '-static-pie', '-fPIE'], spare: PT.note, emulator },
  })),
]
const LAYOUTS: readonly (readonly string[])[] = [
  [],
  ['-Wl,-z,noseparate-code'],
  ['-Wl,-z,norelro', '-Wl,--build-id'],
  ['-Wl,-z,relro,-z,now'],
  ['-s'],
]

/** Compiles bin/prog of a bundle. Returns the bundle, and the program as it was before the stub was put in. */
async function build({ name, command, emulator }: Kind, link: readonly string[] = [], use = '') {
  const bundle = join(root, `${name}${link.join('')}${use}`)
  mkdirSync(join(bundle, 'bin'), { recursive: true })
  const program = join(bundle, 'bin/prog')
  const [cc, ...flags] = command
  const source = join(SUPPORT, 'relocated.c')
  await output(cc!, [
    '-O1',
    '-D_GNU_SOURCE',
    '-DALONE',
    `-DSTORE="${PLACEHOLDER}"`,
    ...flags,
    ...link,
    source,
    '-o',
    program,
  ])
  const original = `${program}.original`
  copyFileSync(program, original)
  expect(refusal(program), name).toBeNull()
  relocate(bundle, NO_LOADER, [])
  return { bundle, program, original, more: emulator ? ['--ro-bind', emulator, '/qemu'] : [] }
}

/** What the program says with its strings at `store`. */
function lines(store: string, argv: string): string {
  const sizes = (tail: string): string => `${store}${tail} ${PLACEHOLDER.length + tail.length + 1}`
  return [
    `rodata: ${sizes('/rodata')}`,
    `data: ${sizes('/data')}`,
    `pointer: ${store}/pointer/joined`,
    `relro: ${store}/relro ${store}/in-relro`,
    `argv: ${argv}`,
    '',
  ].join('\n')
}
const good = (stdout: string) => ({ end: 0, stdout, stderr: '' })

describe.each(KINDS)('$name', kind => {
  const qemu = kind.emulator ? ['/qemu'] : []
  test('every layout, in an empty root', async () => {
    await eachOf(LAYOUTS, async link => {
      const { bundle, program, original, more } = await build(kind, link)
      const command = [...qemu, `${ROOT}/bin/prog`, 'x', 'last']
      expect(await sayAt(bundle, ROOT, command, { more }), `${link}`).toEqual(good(lines(relocated(ROOT), '3 last')))
      const [before, after] = [readFileSync(original), readFileSync(program)]
      const [was, is] = [before, after].map(bytes => seen(bufferSource(bytes), program))
      expect(checkInjected(program, was!, is!, NO_LOADER)).toEqual([])
      expect(parseElf(bufferSource(after), program).stub).toEqual(NO_LOADER)
      // As readelf sees it, which shares no code with us: one header of this type less, one PT_LOAD more.
      const types = async (file: string) =>
        [...(await output('readelf', ['-lW', file])).matchAll(/^ {2}([A-Z_]+) +0x/gm)].map(m => m[1]!)
      const names: Readonly<Record<number, string>> = {
        [PT.note]: 'NOTE',
        [PT.phdr]: 'PHDR',
        [PT.gnuRelro]: 'GNU_RELRO',
      }
      const spare = link.some(flag => flag.includes('build-id')) ? 'NOTE' : names[kind.spare]!
      const expected = await types(original)
      expected.splice(expected.indexOf(spare), 1)
      expected.splice(expected.lastIndexOf('LOAD') + 1, 0, 'LOAD')
      expect(await types(program), `${link}`).toEqual(expected)
      expect((await say('readelf', ['-aW', program])).stderr, `${link}`).toBe('')
    })
  })

  test('moved; with blanks; the longest root; one byte more', async () => {
    const { bundle, more } = await build(kind, [], 'moved')
    const runs = (place: string, mounts: readonly string[] = []) =>
      sayAt(bundle, place, [...qemu, `${place}/bin/prog`], { more: [...more, ...mounts] })
    const limit = rootLimit([{ link: LINK }])
    const longest = `/${'r'.repeat(limit - 1)}`
    for (const place of ['/a', longest])
      expect(await runs(place)).toEqual(good(lines(relocated(place), `1 ${place}/bin/prog`)))
    const blank = '/b c/d  e'
    const plain = relocated(aliasOf('/dev/shm/sf-0', blank))
    expect(await runs(blank)).toEqual(good(lines(plain, `1 ${blank}/bin/prog`)))
    expect(await runs(blank, ['--remount-ro', '/dev'])).toEqual(good(lines(relocated(blank), `1 ${blank}/bin/prog`)))
    const longer = `${longest}r`
    const alias = relocated(aliasOf('/dev/shm/sf-0', longer))
    expect(await runs(longer)).toEqual(good(lines(alias, `1 ${longer}/bin/prog`)))
    expect(await runs(longer, ['--remount-ro', '/dev'])).toEqual({
      end: 127,
      stdout: '',
      stderr: `${longer}/bin/prog: unpacked too deep: ${limit + 1} bytes, at most ${limit}: move it, or bundle with --prefix\n`,
    })
  })
})

describe('around it', () => {
  const kind = KINDS[1]!

  test('without /proc', async () => {
    const { bundle } = await build(kind, [], 'no proc')
    const said = await sayAt(bundle, ROOT, [`${ROOT}/bin/prog`], { proc: false })
    expect(said).toEqual(good(lines(relocated(`${ROOT}/bin/..`), `1 ${ROOT}/bin/prog`)))
  })

  test('alone, and in memory: strings stay, all else works', async () => {
    const { program } = await build(kind, [], 'alone')
    const alone = join(root, 'alone')
    copyFileSync(program, alone)
    expect(await say(alone, [])).toEqual(good(lines(PLACEHOLDER, `1 ${alone}`)))
    const script =
      'import os, sys; fd = os.memfd_create("x"); os.write(fd, open(sys.argv[1], "rb").read()); os.execve(fd, ["x"], {})'
    expect(await say('python3', ['-c', script, program])).toEqual(good(lines(PLACEHOLDER, '1 x')))
  })

  test("its bundle's links were copied as files: it says so, and does not go on without its strings", async () => {
    const { program } = await build(kind, [], 'copied')
    const copied = join(root, 'bundle of copies')
    mkdirSync(join(copied, 'bin/deeper'), { recursive: true })
    copyFileSync(program, join(copied, 'bin/deeper/prog'))
    writeFileSync(join(copied, 'bundle.json'), '{}')
    const said = await say(join(copied, 'bin/deeper/prog'), [])
    expect(said).toMatchObject({ end: 127, stdout: '' })
    expect(said.stderr).toMatch(/prog: this bundle was copied without its symbolic links; copy it with cp -a/)
  })

  test('set-uid: refused', async () => {
    const { bundle } = await build(kind, [], 'set-uid')
    const copy = join(root, 'setuid')
    cpSync(bundle, copy, { recursive: true })
    chmodSync(join(copy, 'bin/prog'), 0o4755)
    const said = await say('setpriv', ['--reuid', '65534', '--regid', '65534', '--clear-groups', `${copy}/bin/prog`])
    expect(said).toMatchObject({ end: 127, stdout: '' })
    expect(said.stderr).toMatch(/^.*bin\/prog: a relocatable program cannot be set-uid.*--prefix\n$/)
  })

  test.each([['-static'], ['-static-pie']])('%s: registers and stack are as the kernel set them', async linked => {
    const bundle = join(root, `start${linked}`)
    mkdirSync(join(bundle, 'bin'), { recursive: true })
    const program = join(bundle, 'bin/prog')
    const flags = [linked, '-fPIE', '-O1', '-nostdlib', '-fno-stack-protector', `-DSTORE="${PLACEHOLDER}"`]
    await output('gcc', [...flags, '-Wl,--build-id', join(SUPPORT, 'static-start.c'), '-o', program])
    const command = [`${ROOT}/bin/prog`, 'a', '', 'b']
    const before = await sayAt(bundle, ROOT, command)
    relocate(bundle, NO_LOADER, [])
    expect(before.stdout).toContain(`${PLACEHOLDER}/share\n`)
    expect(before).toMatchObject({ end: 0, stderr: '' })
    const after = await sayAt(bundle, ROOT, command)
    expect(after).toEqual({ ...before, stdout: before.stdout.replace(PLACEHOLDER, relocated(ROOT)) })
  })

  test('where no header can be spared: refused', async () => {
    const program = join(root, 'bare')
    const flags = ['-static', '-nostdlib', '-fno-stack-protector', '-fno-asynchronous-unwind-tables']
    const source = join(SUPPORT, 'static-start.c')
    const bare = ['-Wl,--build-id=none,-z,norelro', '-fcf-protection=none', '-Wa,-mx86-used-note=no']
    await output('gcc', [...flags, ...bare, `-DSTORE="${PLACEHOLDER}"`, source, '-o', program])
    expect(refusal(program)).toBe('no-slot')
  })
})
