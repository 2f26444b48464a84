/**
 * How linkers can lay programs out: pages of any size, segments aligned for huge pages, sections far away or in any order,
 * headers that nobody has, data aligned to more than a page. In a bundle each finds its loader, its libraries and its data,
 * and its data is aligned as it was.
 */
import { appendFileSync, copyFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { grep, mustBundle, run, temporary } from '../support/bundle.ts'
import { EmptyRoot } from '../support/root.ts'
import { CPUS, compile, GLIBC, inBareRoot, MUSL, PLACE, storePath, type Toolchain } from '../support/store-lab.ts'
import { askForAnyPage } from '../support/stub-lab.ts'

const directory = temporary()

const PROGRAM = (data: string) => `
  #include <pthread.h>
  #include <stdint.h>
  #include <stdio.h>
  #define A __attribute__((aligned(ALIGNED)))
  static A char data = 7, bss;
  static const A char constant = 9;
  #ifndef NO_TLS
  static __thread A char local = 5;
  #else
  static A char local = 5;
  #endif
  #ifdef SECTION
  __attribute__((section("apart"))) char lying[100] = "apart";
  __attribute__((section("code"))) int more(int n) { return n + 1; }
  #else
  static char lying[] = "apart";
  static int more(int n) { return n + 1; }
  #endif
  static char zeros[300000];
  __asm__(".pushsection .text; .skip 3000, 0x90; .popsection"); /* as long as programs are */
  static const char *volatile path = "${data}/share/text";
  static int started;
  __attribute__((constructor)) static void start(void) { started = 1; }
  /* A compiler believes that it is aligned, and does not ask. */
  static const char *is(const volatile char *p) { __asm__("" : "+r"(p)); return (uintptr_t)p % ALIGNED ? "astray" : "aligned"; }
  static void *thread(void *is_thread) { printf("%s: %d %s\\n", is_thread ? "thread" : "main", local, is(&local)); return 0; }
  int main(int argc, char **argv) {
    int sum = 0;
    for (int i = 0; i < sizeof zeros; i++) sum += zeros[i];
    printf("%d %s, %d %s, %d %s\\n", data, is(&data), bss, is(&bss), constant, is(&constant));
    thread(0);
    pthread_t t;
    if (pthread_create(&t, 0, thread, "") == 0) pthread_join(t, 0);
    FILE *text = fopen(path, "r");
    char line[100] = "no file\\n";
    if (text) fgets(line, sizeof line, text);
    printf("%s %d %d %d %s", lying, more(argc), started, sum, line);
    return 3;
  }`

const SAYS = `7 aligned, 0 aligned, 9 aligned
main: 5 aligned
thread: 5 aligned
apart 2 1 0 what a data file says
`

/** A kind of layout: flags for the linker and the compiler. */
interface Layout {
  readonly name: string
  readonly flags: readonly string[]
  readonly aligned?: number
  /** What of the linkers has no such option, or makes programs of it that do not run. */
  readonly not?: readonly string[]
}
const LAYOUTS: readonly Layout[] = [
  { name: 'plain', flags: [] },
  { name: 'huge', flags: ['-Wl,-z,max-page-size=0x200000'] },
  { name: 'huge-both', flags: ['-Wl,-z,max-page-size=0x200000', '-Wl,-z,common-page-size=0x200000'], not: ['lld'] },
  { name: 'separate', flags: ['-Wl,-z,separate-code'], not: ['gold'] },
  { name: 'noseparate', flags: ['-Wl,-z,noseparate-code'], not: ['gold'] },
  { name: 'wide', flags: ['-Wl,-z,max-page-size=0x10000'] },
  { name: 'apart', flags: ['-DSECTION'] },
  { name: 'far', flags: ['-DSECTION', '-Wl,--section-start=apart=0x30000000'], not: ['lld', 'gold'] },
  { name: 'norelro', flags: ['-Wl,-z,norelro'] },
  { name: 'no-id', flags: ['-Wl,--build-id=none', '-fcf-protection=none'] },
  { name: 'aligned-64k', flags: [], aligned: 0x10000 },
  { name: 'aligned-2m', flags: ['-Wl,-z,max-page-size=0x1000'], aligned: 0x200000 },
  { name: 'aligned-no-relro', flags: ['-Wl,-z,norelro'], aligned: 0x4000 },
]
const KINDS = {
  pie: ['-fPIE', '-pie'],
  fixed: ['-no-pie', '-fno-pie'],
  static: ['-static', '-no-pie', '-fno-pie'],
  'static-pie': ['-static-pie', '-fPIE'],
} as const

/** A compiler, its linkers and what it can make. */
const MAKERS = [
  { cc: 'gcc', linkers: ['bfd', 'gold', 'lld'], kinds: ['pie', 'fixed', 'static', 'static-pie'], tools: GLIBC },
  { cc: 'clang-19', linkers: ['lld'], kinds: ['pie', 'static-pie'], tools: GLIBC },
  { cc: 'musl-gcc', linkers: ['bfd'], kinds: ['pie', 'fixed', 'static'], tools: MUSL },
] as const

/** Every program, or about a sixth of them that has each layout in it. */
function programs() {
  const all = MAKERS.flatMap(({ cc, linkers, kinds, tools }) =>
    linkers.flatMap(linker =>
      kinds.flatMap(kind =>
        LAYOUTS.filter(({ not }) => !not?.includes(linker)).map(layout => ({ cc, linker, kind, tools, layout })),
      ),
    ),
  ).filter(({ linker, kind }) => linker !== 'gold' || kind !== 'static-pie')
  if (process.env.STUB_MATRIX === 'full') return all
  return all.filter(({ kind, linker, cc }, i) => (kind === 'pie' && linker === 'bfd' && cc === 'gcc') || i % 7 === 0)
}

test('every layout', { timeout: 600_000 }, () => {
  const libcs = new Map<Toolchain, string>()
  for (const { libc, cc } of [GLIBC, MUSL].map(t => ({ libc: t, cc: t.cc })))
    libcs.set(
      libc,
      storePath(
        `libc-${cc}`,
        Object.fromEntries(Object.entries(libc.libc).map(([n, contents]) => [`lib/${n}`, contents])),
      ),
    )
  const text = storePath('text-1.0', { 'share/text': 'what a data file says\n' })
  const root = storePath('layouts-1.0')
  mkdirSync(join(root, 'bin'))
  const names: string[] = []
  for (const { cc, linker, kind, tools, layout } of programs()) {
    const name = [kind, layout.name, linker, cc].join('.')
    const c = libcs.get(tools)!
    const search = [`-Wl,--dynamic-linker,${c}/lib/${tools.loader},--enable-new-dtags,-rpath,${c}/lib`]
    const to = join(root, 'bin', name)
    compile(cc, PROGRAM(text), to, [
      ...[...KINDS[kind], ...layout.flags, ...(kind.startsWith('static') ? [] : search)],
      ...[`-DALIGNED=${layout.aligned ?? 16}`, `-fuse-ld=${linker}`, '-pthread', '-w'],
    ])
    // With something behind its end, so that it is entered by a sidecar.
    copyFileSync(to, `${to}.carrier`)
    appendFileSync(`${to}.carrier`, 'payload')
    names.push(name, `${name}.carrier`)
  }
  const originals = new Map(names.map(name => [name, run(join(root, 'bin', name), [])]))
  expect([...originals].filter(([, said]) => said.stdout !== SAYS)).toEqual([])
  const place = join(directory, 'layouts')
  const made = mustBundle([root, '-f', 'dir', '-o', place])
  if (process.env.SHOW) console.info(made.stdout, made.stderr)
  const empty = new EmptyRoot(place, '/b')
  const wrong: unknown[] = []
  for (const [name, said] of originals) {
    const now = empty.run(`bin/${name}`)
    if (now.stdout !== SAYS || now.code !== 3 || now.stderr !== '') wrong.push([name, said, now])
  }
  expect(wrong).toEqual([])
  expect(grep('/nix/store', place)).toBe('')

  const moved = names.filter(name => name.startsWith('pie.aligned'))
  expect(moved.length).toBeGreaterThan(5)
  for (const name of moved) {
    askForAnyPage(join(place, 'bin', name))
    for (let i = 0; i < 3; i++)
      expect(empty.run(`bin/${name}`), name).toMatchObject({ code: 3, stdout: SAYS, stderr: '' })
  }
})

test.each(CPUS.filter(({ arch }) => arch === 'aarch64'))('data aligned to 2 MiB on $arch', cpu => {
  const c = storePath('libc-1.0', Object.fromEntries(Object.entries(cpu.libc).map(([n, from]) => [`lib/${n}`, from])))
  const text = storePath('text-1.0', { 'share/text': 'what a data file says\n' })
  const program = join(storePath('aligned-1.0'), 'bin/aligned')
  const search = [`-Wl,--dynamic-linker,${c}/lib/${cpu.loader},--enable-new-dtags,-rpath,${c}/lib`]
  compile(cpu.cc, PROGRAM(text), program, [...KINDS.pie, ...search, '-DALIGNED=0x200000', '-pthread', '-w'])
  copyFileSync(program, `${program}.carrier`)
  appendFileSync(`${program}.carrier`, 'payload')
  const place = join(directory, cpu.arch)
  mustBundle([join(program, '../..'), '-f', 'dir', '-o', place])
  for (const name of ['aligned', 'aligned.carrier']) {
    askForAnyPage(join(place, 'bin', name))
    const said = inBareRoot(place, ['/emulator', `${PLACE}/bin/${name}`], ['--ro-bind', cpu.emulator, '/emulator'])
    expect(said, name).toMatchObject({ code: 3, stdout: SAYS, stderr: '' })
  }
})
