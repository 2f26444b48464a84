/** One closure with several C libraries, or CPUs: each program keeps its own loader and its own libc, under any name. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { bundle, grep, mustBundle, run, temporary } from '../support/bundle.ts'
import {
  CPUS,
  compile,
  GLIBC,
  greeterClosure,
  inBareRoot,
  launched,
  MUSL,
  PLACE,
  storePath,
  type Toolchain,
} from '../support/store-lab.ts'

/** Prints which libc it runs on, which files are mapped, what a library of the same soname says, and runs others. */
const PROGRAM = `
  #include <stdio.h>
  #include <string.h>
  #include <sys/wait.h>
  #include <unistd.h>
  #ifdef __GLIBC__
  #include <gnu/libc-version.h>
  #else
  #define gnu_get_libc_release() "none"
  #endif
  const char *word(void);
  int main(void) {
    static const char *const others[] = { OTHERS 0 };
    printf(NAME ": glibc %s, library %s\\n", gnu_get_libc_release(), word());
    char line[4096];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps)) {
      const char *path = strchr(line, '/');
      if (path && strstr(line, " r-xp ")) printf(NAME " maps %s", path);
    }
    fclose(maps);
    for (const char *const *other = others; *other; other++) {
      fflush(stdout);
      if (vfork() == 0) {
        execl(*other, *other, (char *)0);
        _exit(111);
      }
      int status;
      wait(&status);
      printf(NAME ": %d\\n", WEXITSTATUS(status));
    }
    return 0;
  }`

/** A C library's store path. Two of one name are no rarity: a program of an older nixpkgs has another glibc. */
const cLibrary = (name: string, { libc }: Toolchain, change = (_: Buffer): void => {}): string =>
  storePath(
    name,
    Object.fromEntries(
      Object.entries(libc).map(([file, contents]) => {
        if (!(typeof contents === 'object' && 'from' in contents)) return [`lib/${file}`, contents]
        const bytes = readFileSync(contents.from)
        change(bytes)
        return [`lib/${file}`, bytes]
      }),
    ),
  )

/** Makes it another release, as gnu_get_libc_release() and the banners tell it: `stable` is what Debian's is. */
const rename = (bytes: Buffer): void => {
  for (const match of bytes.toString('latin1').matchAll(/(?<=\0)stable(?=\0| release)/g))
    bytes.write('second', match.index)
  for (const match of bytes.toString('latin1').matchAll(/(?<=\(Debian) (?=GLIBC)/g)) bytes.write('-', match.index)
}

interface Part {
  readonly name: string
  readonly tools: Toolchain
  readonly libc: string
  readonly others: readonly string[]
}

/** A program of a package, on a library of its own whose soname others have too. */
function program({ name, tools, libc, others }: Part): string {
  const library = join(storePath(`word-${name}`), 'lib/libword.so.1')
  const text = `const char *word(void) { return "${name}'s"; }`
  compile(tools.cc, text, library, ['-shared', '-fPIC', '-Wl,-soname,libword.so.1'])
  const path = join(storePath(`${name}-1.0`), 'bin', name)
  compile(tools.cc, PROGRAM, path, [
    ...['-fPIE', '-pie', `-DNAME="${name}"`, `-DOTHERS=${others.map(other => `"${other}",`).join('')}`, library],
    ...[`-Wl,--enable-new-dtags,-rpath,${join(library, '..')}:${libc}/lib`],
    `-Wl,--dynamic-linker,${libc}/lib/${tools.loader}`,
  ])
  return path
}

const directory = temporary()
let first: string
let original: ReturnType<typeof run>

beforeAll(() => {
  const musl = program({ name: 'third', tools: MUSL, libc: cLibrary('musl-1.2', MUSL), others: [] })
  const second = program({ name: 'second', tools: GLIBC, libc: cLibrary('glibc-2', GLIBC, rename), others: [] })
  first = program({ name: 'first', tools: GLIBC, libc: cLibrary('glibc-2', GLIBC), others: [second, musl] })
  original = run(first, [], { env: {} })
})

const facts = (stdout: string): string[] => stdout.split('\n').filter(line => !line.includes(' maps '))
const maps = (stdout: string, name: string): string[] =>
  [...stdout.matchAll(new RegExp(`^${name} maps (.*)$`, 'gm'))].map(m => m[1]!).sort()

test('the original has three C libraries', () => {
  expect(facts(original.stdout)).toEqual([
    "first: glibc stable, library first's",
    "second: glibc second, library second's",
    'first: 0',
    "third: glibc none, library third's",
    'first: 0',
    '',
  ])
})

describe.each([
  { kind: 'relocatable', options: [] },
  { kind: 'fixed', options: ['--prefix', PLACE] },
])('$kind', ({ kind, options }) => {
  const place = join(directory, kind)
  let bundled: ReturnType<typeof run>

  beforeAll(() => {
    mustBundle([first, ...options, '-f', 'dir', '-o', place])
    bundled = inBareRoot(place, [`${PLACE}/bin/first`])
  })

  test('each program says what it said', () => {
    expect(bundled).toMatchObject({ code: 0, stderr: '' })
    expect(facts(bundled.stdout)).toEqual(facts(original.stdout))
  })

  test('each program has its own loader and libc mapped, and no other', () => {
    // Which of two packages with one name is the second depends on their hashes.
    const inBundle = (path: string): string => path.slice(PLACE.length + 1).replace('glibc-2~2', 'glibc-2')
    const mapped = (name: string) => [...new Set(maps(bundled.stdout, name).map(inBundle))]
    expect(mapped('first')).toEqual([
      'lib/ld-linux-x86-64.so.2',
      'lib/libc.so.6',
      'lib/libword.so.1',
      'pkg/first-1.0/bin/first',
    ])
    expect(mapped('second')).toEqual([
      'lib/glibc-2/ld-linux-x86-64.so.2',
      'lib/glibc-2/libc.so.6',
      'lib/word-second/libword.so.1',
      'pkg/second-1.0/bin/second',
    ])
    expect(mapped('third')).toEqual([
      'lib/ld-musl-x86_64.so.1',
      'lib/word-third/libword.so.1',
      'pkg/third-1.0/bin/third',
    ])
  })

  test('verified, without a store path', () => {
    expect(bundle(['verify', place]).code).toBe(0)
    expect(grep('/nix/store', place)).toBe('')
  })
})

test('a place whose path is longer than what stood in the files: nothing is written for a package of which no tree is there', () => {
  const place = join(directory, 'long')
  mustBundle([first, '--prefix', `/opt/${'long'.repeat(8)}`, '-f', 'dir', '-o', place])
  expect(bundle(['verify', place]).code).toBe(0)
})

describe('two CPUs', () => {
  const place = join(directory, 'cpus')
  const s390x = CPUS.find(cpu => cpu.arch === 's390x')!
  let closures: Record<'own' | 'other', ReturnType<typeof greeterClosure>>

  beforeAll(() => {
    closures = { own: greeterClosure(GLIBC), other: greeterClosure(s390x) }
    const script = join(closures.own.program, 'bin/other')
    writeFileSync(script, `#!${closures.other.program}/bin/greeter\n`, { mode: 0o755 })
    mustBundle([closures.own.program, '-f', 'dir', '-o', place])
  })

  test('each program finds the libraries of its CPU', () => {
    const own = run(join(closures.own.program, 'bin/greeter'), ['x'])
    expect(own).toMatchObject({ code: 3, stderr: '' })
    expect(inBareRoot(place, [`${PLACE}/bin/greeter`, 'x'])).toEqual(own)
    const { stdout, stderr } = launched(s390x, place, 'bin/other', ['x'])
    expect({ stdout, stderr }).toMatchObject({ stdout: expect.stringContaining('big endian'), stderr: '' })
    expect(stdout).toContain('a plugin speaks')
  })

  test('each gets the launcher that its CPU has', () => {
    const head = (name: string): string => readFileSync(join(place, 'bin', name), 'latin1').slice(0, 4)
    expect(head('shown')).toBe('\x7fELF')
    expect(head('other')).toBe('#!/b')
  })
})
