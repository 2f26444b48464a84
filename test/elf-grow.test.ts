/** Strings that do not fit in place: a program and its library do what they did, and every tool takes them. */
import { copyFileSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { compareEdited } from '../src/apply/edited-object.ts'
import { grown } from '../src/apply/grow.ts'
import { PT } from '../src/elf/constants.ts'
import type { ElfEdit } from '../src/elf/edit.ts'
import { grow } from '../src/elf/grow.ts'
import { parseElf } from '../src/elf/parse.ts'
import { bufferSource } from '../src/io/bytes.ts'
import { output, temporaryDirectory } from './support/elf-tools.ts'
import { CPUS } from './support/store-lab.ts'

const LIBRARY = `
  #include <string.h>
  __thread int counter = 40, later;
  static char zeros[ZEROS + 1];
  static const char *name = "a constant";
  static int ready;
  __attribute__((constructor)) static void start(void) { ready = 1; }
  int check(int n) {
    for (int i = 0; i < (int)sizeof zeros; i++) if (zeros[i]) return -1;
    memset(zeros, 1, sizeof zeros);
    return ready * 1000 + n + ++counter + later + name[0];
  }`
const PROGRAM = `
  #include <stdio.h>
  #include <stdlib.h>
  int check(int);
  static int zeros[5000];
  int main(int argc, char **argv) {
    for (int i = 0; i < 5000; i++) if (zeros[i]++) return 2;
    char *heap = malloc(200000);
    heap[199999] = 1;
    printf("%d %d\\n", check(argc), argc);
    return 0;
  }`

interface Layout {
  readonly name: string
  readonly cc: string
  readonly flags: readonly string[]
  /** Where the C library lies. */
  readonly libc: string
  readonly loader: string
  readonly run: readonly string[]
  /** Bytes of zeros in the library. */
  readonly zeros?: number
  readonly strip?: string
  /** Without section headers. */
  readonly bare?: boolean
}

const native = (name: string, flags: readonly string[], more: Partial<Layout> = {}): Layout => ({
  name,
  cc: 'gcc',
  flags,
  libc: '/lib/x86_64-linux-gnu',
  loader: 'ld-linux-x86-64.so.2',
  run: [],
  strip: 'strip',
  ...more,
})

const LAYOUTS: readonly Layout[] = [
  native('bfd', ['-fuse-ld=bfd']),
  // patchelf 0.14 gave its segment the alignment of x86's pages.
  native('bfd of binutils before 2.38, pages of 2 MiB', ['-fuse-ld=bfd', '-Wl,-z,max-page-size=0x200000']),
  native('bfd, all in one segment', ['-fuse-ld=bfd', '-Wl,-z,noseparate-code,-z,norelro'], { zeros: 1 << 20 }),
  native('bfd, fixed address', ['-fuse-ld=bfd', '-no-pie']),
  native('gold', ['-fuse-ld=gold']),
  native('lld', ['-fuse-ld=lld']),
  native('lld, fixed address, without section headers', ['-fuse-ld=lld', '-no-pie'], { bare: true }),
  native('lld, relro alone', ['-fuse-ld=lld', '-Wl,-z,now'], { zeros: 0 }),
  native('more zeros than a file may get', ['-fuse-ld=bfd', '-Wl,--strip-debug'], { zeros: 100 << 20 }),
  native('musl', [], { cc: 'musl-gcc', libc: '/usr/lib/x86_64-linux-musl', loader: 'libc.so' }),
  ...CPUS.map(
    ({ arch, cc, loader, emulator }): Layout => ({
      name: arch,
      cc,
      flags: [],
      libc: `/usr/${cc.replace('-gcc', '')}/lib`,
      loader,
      run: [emulator],
      strip: cc.replace('gcc', 'strip'),
    }),
  ),
]

async function built(root: string, { cc, flags, libc, loader, zeros = 300_000 }: Layout): Promise<void> {
  writeFileSync(`${root}/library.c`, LIBRARY)
  writeFileSync(`${root}/program.c`, PROGRAM)
  for (const directory of ['bin', 'lib', 'new/bin', 'new/lib']) mkdirSync(`${root}/${directory}`, { recursive: true })
  const own = flags.filter(flag => flag !== '-no-pie')
  await output(
    cc,
    [
      ...['-shared', '-fPIC', '-O1', `-DZEROS=${zeros}`, ...own, 'library.c', '-o', 'lib/libshort.so'],
      '-Wl,-soname,libshort.so',
    ],
    { cwd: root },
  )
  await output(
    cc,
    [
      ...['-O1', ...flags, 'program.c', 'lib/libshort.so', '-o', 'bin/program'],
      ...[`-Wl,-rpath,${root}/lib:${libc},--enable-new-dtags`, `-Wl,--dynamic-linker,${libc}/${loader}`],
    ],
    { cwd: root },
  )
}

const warnings = async (file: string): Promise<string> =>
  (await output('sh', ['-c', 'readelf -aW "$0" 2>&1 >"$0.txt"; true', file])).replaceAll(file, 'FILE')

function growFile(from: string, to: string, edits: readonly ElfEdit[]): void {
  const source = bufferSource(readFileSync(from))
  const growth = grow(source, from, edits)
  if (typeof growth === 'string') throw new Error(`${from}: ${growth}`)
  const after = grown(source, growth)
  writeFileSync(to, after.read(0, after.size), { mode: 0o755 })
}

/** What sstrip(1) does to the ELF header. */
function takeSections(file: string): void {
  const bytes = readFileSync(file)
  bytes.fill(0, 40, 48).fill(0, 58, 64)
  writeFileSync(file, bytes)
}

const factsOf = (file: string) => parseElf(bufferSource(readFileSync(file)), file)

test.each(LAYOUTS)('$name', { timeout: 60_000 }, async layout => {
  const { libc, loader, run, strip, bare } = layout
  const root = realpathSync(temporaryDirectory())
  await built(root, layout)
  if (bare) for (const name of ['bin/program', 'lib/libshort.so']) takeSections(`${root}/${name}`)
  const execute = (program: string) => output(run[0] ?? program, [...(run[0] ? [program] : []), 'an argument'])
  const expected = await execute(`${root}/bin/program`)
  expect(expected).toBe('1140 2\n')

  const long = `/${'x'.repeat(400)}`
  const edits: Record<string, readonly ElfEdit[]> = {
    'bin/program': [
      { op: 'set-interp', to: `/..${'/.'.repeat(60)}${libc}/${loader}` },
      { op: 'set-rpath', to: `$ORIGIN/../lib:${libc}:${long}` },
      { op: 'replace-needed', from: 'libshort.so', to: 'libshort-and-now-long.so' },
    ],
    'lib/libshort.so': [{ op: 'set-rpath', to: `${libc}:${long}` }],
  }
  const to = (name: string) => `${root}/new/${name.replace('short.so', 'short-and-now-long.so')}`
  for (const [name, own] of Object.entries(edits)) {
    const from = `${root}/${name}`
    growFile(from, to(name), own)
    expect(compareEdited(from, to(name), factsOf(from), own, 'grown')).toEqual([])
    expect(await warnings(to(name))).toBe(await warnings(from))
    const alignments = (file: string) =>
      new Set(factsOf(file).segments.flatMap(s => (s.type === PT.load ? [s.align] : [])))
    expect(alignments(to(name))).toEqual(alignments(from))
  }
  expect(await execute(to('bin/program'))).toBe(expected)

  // Whoever comes after it: strip, and patchelf, which moves the string table once more.
  const later = async (file: string, change: () => Promise<string>): Promise<void> => {
    copyFileSync(file, `${file}.kept`)
    await change()
    expect(await execute(to('bin/program'))).toBe(expected)
    copyFileSync(`${file}.kept`, file)
  }
  for (const name of Object.keys(edits).filter(() => !layout.bare)) {
    if (strip !== undefined) await later(to(name), () => output(strip, [to(name)]))
    if (run.length === 0)
      await later(to(name), () =>
        output('patchelf', ['--force-rpath', '--set-rpath', `$ORIGIN/../lib:${libc}:${long}/more`, to(name)]),
      )
  }
})
