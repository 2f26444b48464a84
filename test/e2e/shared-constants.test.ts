/**
 * Constants that share their bytes with a store path. `"1"`, `"2.1"`, `"-end-2.1"` are ends of
 * `"/nix/store/...-end-2.1"`, and linkers keep such strings once: clang -Os and gcc -Os with GNU ld, lld at -O2, gcc -O2
 * for aarch64, musl. What is written in a store path's place leaves the bytes behind its hash alone, or `setenv("X", "1")`
 * sets something else (conda-build#3986, spack#32253, rattler#2342). The original beside the bundle, relocatable and for one place.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { mustBundle, temporary } from '../support/bundle.ts'
import { EmptyRoot } from '../support/root.ts'
import { compile, storePath } from '../support/store-lab.ts'

test.each([
  ['relocatable', []],
  ['for one place', ['--prefix', '/srv/x']],
] as const)('a slice of as many bytes as were compiled in has no NUL in it (rattler#2342), %s', (_, options) => {
  const dep = storePath('slice-2.1', { 'share/data': 'data of slice\n' })
  const app = storePath('slicing-1.0')
  const text = `#include <stdio.h>
static const char path[] = "${dep}/share/data";
int main(void) { const char *volatile p = path; fwrite(p, 1, sizeof path - 1, stdout); return 0; }`
  compile('gcc', text, join(app, 'bin/slicing'), ['-static'])
  const out = join(temporary(), 'bundle')
  mustBundle([app, '-f', 'dir', '-o', out, ...options])
  const { stdout } = new EmptyRoot(out, '/srv/x').run('bin/slicing')
  expect(stdout).toMatch(/^\/srv\/x\/+p\/0-slice-2\.1\/share\/data$/)
  expect(stdout).toHaveLength(`${dep}/share/data`.length)
})

/** Prints the text that lies below a store path; strings of wchar_t and of char16_t. */
const PRINT = `
  #include <stdio.h>
  #include <stdlib.h>
  #include <uchar.h>
  #include <wchar.h>
  static __attribute__((noinline)) void data(const char *root, const char *below) {
    char path[500], line[80] = "no data";
    snprintf(path, sizeof path, "%s%s", root, below);
    FILE *file = fopen(path, "r");
    if (file) fgets(line, sizeof line, file);
    printf("at %s: %s\\n", root, line);
  }
  static __attribute__((noinline)) void wide(const wchar_t *w, const char16_t *c) {
    printf("wide ");
    while (*w) putchar((int)*w++);
    putchar(' ');
    while (*c) putchar(*c++);
    putchar('\\n');
  }`
/** A function that prints ends of a store path, and the path. */
const SAY = (name: string): string => `
  void ${name}(void) {
    puts("${name}");
    puts("1"); puts(".1"); puts("2.1"); puts("-2.1"); puts("end-2.1"); puts("-end-2.1");
    puts("end-2.1/"); puts("/end-2.1");
    puts("html"); puts("/html"); puts("l");
    setenv("END", "1", 1);
    puts(getenv("END"));
    data(FIRST, "/html/data");
    data(SECOND "/html", "/data");
    data(FIRST "/html", "/data");
    data(FIRST "/", "html/data");
    wide(L"2.1", u"end-2.1");
    wide(L"end-2.1", u"1");
    wide(WIDE(L, FIRST), WIDE(u, FIRST));
  }`
const MAIN = 'void program(void), library(void); int main(void) { program(); library(); return 0; }'

interface Kind {
  readonly name: string
  readonly cc: string
  readonly flags: readonly string[]
  readonly isStatic?: boolean
}
const LLD = ['-fuse-ld=lld', '-Wl,-O2']
const X86: readonly Kind[] = [
  { name: 'clang', cc: 'clang-19', flags: ['-Os'] },
  { name: 'clang-lld', cc: 'clang-19', flags: ['-Os', ...LLD] },
  { name: 'clang-fixed', cc: 'clang-19', flags: ['-Os', '-fno-pie', '-no-pie', '-Wl,-z,noseparate-code'] },
  { name: 'gcc', cc: 'gcc', flags: ['-Os'] },
  { name: 'static', cc: 'clang-19', flags: ['-Os', '-static'], isStatic: true },
  { name: 'static-pie', cc: 'gcc', flags: ['-Os', '-static-pie', '-fPIE'], isStatic: true },
  { name: 'musl', cc: 'musl-gcc', flags: ['-Os', '-static', '-Wl,--build-id'], isStatic: true },
]
const CROSS = '/usr/aarch64-linux-gnu/lib'
const DYNAMIC = [`-Wl,-dynamic-linker,${CROSS}/ld-linux-aarch64.so.1,-rpath,${CROSS}`]
const ARM: readonly Kind[] = [
  { name: 'O2', cc: 'aarch64-linux-gnu-gcc', flags: ['-O2', ...DYNAMIC] },
  { name: 'fixed', cc: 'aarch64-linux-gnu-gcc', flags: ['-O2', '-fno-pie', '-no-pie', ...DYNAMIC] },
  { name: 'static', cc: 'aarch64-linux-gnu-gcc', flags: ['-O2', '-static'], isStatic: true },
]
const QEMU = '/usr/bin/qemu-aarch64-static'

describe.each([
  { cpu: 'x86_64', kinds: X86, emulator: null },
  { cpu: 'aarch64', kinds: ARM, emulator: QEMU },
])('$cpu', ({ kinds, emulator }) => {
  const directory = temporary()
  let programs: string
  let ends: readonly string[]
  beforeAll(() => {
    // Two packages of one name, numbered by their hashes. For gcc on aarch64 it has three letters: the number is aligned to 8 bytes then.
    ends = [1, 2].map(n => storePath('end-2.1', { 'html/data': `data ${n}` })).sort()
    programs = storePath('programs-1.0')
    const defines = [`-DFIRST="${ends[0]}"`, `-DSECOND="${ends[1]}"`, '-DJOINED(a,b)=a##b', '-DWIDE(a,b)=JOINED(a,b)']
    for (const { name, cc, flags, isStatic } of kinds) {
      const own = join(programs, `lib/lib${name}.so`)
      if (!isStatic) compile(cc, PRINT + SAY('library'), own, [...flags, '-shared', '-fPIC', ...defines])
      const text = [PRINT, SAY('program'), isStatic ? SAY('library') : '', MAIN].join('\n')
      const library = isStatic ? [] : [`-L${join(programs, 'lib')}`, `-l${name}`, '-Wl,-rpath,$ORIGIN/../lib']
      compile(cc, text, join(programs, 'bin', name), [...flags, ...defines, ...library])
    }
  })

  test("each kind's linker does keep one of them in a store path", () => {
    for (const { name } of kinds)
      expect(readFileSync(join(programs, 'bin', name)).includes('\x002.1\0', 'latin1'), name).toBe(false)
  })

  /** What the originals say, with both packages in other places. */
  const expected = (name: string, places: readonly string[], wide: string): string => {
    const program = join(programs, 'bin', name)
    const said = (emulator ? execFileSync(emulator, [program]) : execFileSync(program)).toString()
    expect(said).toContain('data 2\n')
    return said
      .replaceAll(`wide ${ends[0]} ${ends[0]}`, `wide ${wide} ${wide}`)
      .replaceAll(`at ${ends[0]}`, `at ${places[0]}`)
      .replaceAll(`at ${ends[1]}`, `at ${places[1]}`)
  }
  const runs = (bundle: string, place: string, name: string) => {
    const root = new EmptyRoot(bundle, place, emulator ? ['--ro-bind', emulator, '/qemu'] : [])
    return emulator ? root.run('/qemu', [`${place}/bin/${name}`]) : root.run(`bin/${name}`)
  }
  const linked = (place: string): string[] => [0, 1].map(n => `${place.padEnd(39, '/')}/p/${n}-end-2.1`)
  const good = (stdout: string) => ({ code: 0, signal: null, stdout, stderr: '' })

  test('relocatable: short, and as long as it may be', () => {
    const bundle = join(directory, 'relocatable')
    mustBundle([programs, '-f', 'dir', '-o', bundle])
    const { rootLimit } = JSON.parse(readFileSync(join(bundle, 'bundle.json'), 'utf8')) as { rootLimit: number }
    expect(rootLimit).toBe(39)
    const blank = `/var/empty/${'e'.repeat(32)}-end-2.1`
    for (const place of ['/x', `/${'r'.repeat(rootLimit - 1)}`])
      for (const { name } of kinds)
        expect(runs(bundle, place, name), name).toEqual(good(expected(name, linked(place), blank)))
  })

  test('for one place', () => {
    const bundle = join(directory, 'fixed')
    mustBundle([programs, '--prefix', '/opt/programs', '-f', 'dir', '-o', bundle])
    const places = linked('/opt/programs')
    for (const { name } of kinds)
      expect(runs(bundle, '/opt/programs', name), name).toEqual(good(expected(name, places, places[0]!)))
  })
})
