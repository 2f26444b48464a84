/** DT_AUDIT, DT_DEPAUDIT, DT_FILTER, DT_AUXILIARY: libraries that the loader opens beside the needed ones. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { bundle, fixture, mustBundle, run, temporary, withoutNix } from '../support/bundle.ts'
import { compile, storePath } from '../support/store-lab.ts'

const AUDIT = `
  #define _GNU_SOURCE
  #include <link.h>
  #include <stdio.h>
  unsigned la_version(unsigned version) { puts(NAME " watches"); fflush(stdout); return version; }`
const PROGRAM = `
  #include <stdio.h>
  int filtered(void), auxiliary(void);
  int main(void) { printf("%d %d\\n", filtered(), auxiliary()); return 0; }`

/** A program that is watched twice, on a library whose functions two others have. */
function watched(): { program: string; libraries: string } {
  const libc = fixture('glibc')
  const libraries = storePath('watchers-1.0')
  const library = (name: string, text: string, flags: readonly string[] = []): string => {
    const to = join(libraries, 'lib', name)
    compile('gcc', text, to, ['-shared', '-fPIC', `-Wl,-soname,${name}`, `-Wl,-rpath,${libc}/lib`, ...flags])
    return to
  }
  const first = library('libfirst.so', AUDIT, ['-DNAME="first"'])
  const second = library('libsecond.so', AUDIT, ['-DNAME="second"'])
  const third = library('libthird.so', AUDIT, ['-DNAME="third"'])
  const behind = library('libbehind.so', 'int filtered(void) { return 42; }')
  const aside = library('libaside.so', 'int auxiliary(void) { return 43; }')
  const filter = library('libfilter.so', 'int filtered(void) { return 1; }', [`-Wl,--filter=${behind}`])
  const front = library('libfront.so', 'int auxiliary(void) { return 2; }', [`-Wl,--auxiliary=${aside}`])
  const program = storePath('watched-1.0')
  compile('gcc', PROGRAM, join(program, 'bin/watched'), [
    ...[filter, front, `-Wl,--audit=${first}:${second}`, `-Wl,--depaudit=${third}`],
    ...[`-Wl,-rpath,${libraries}/lib:${libc}/lib`, `-Wl,--dynamic-linker,${libc}/lib/ld-linux-x86-64.so.2`],
  ])
  return { program, libraries }
}

const PRINTED = 'first watches\nsecond watches\nthird watches\n42 43\n'

describe('libraries that watch and filter, by store path', () => {
  const cwd = temporary()
  const { program, libraries } = watched()

  test('the original', () => {
    expect(run(join(program, 'bin/watched'), [])).toMatchObject({ code: 0, stdout: PRINTED })
  })

  test.each([
    ['relocatable', []],
    ['for one place', ['--prefix', join(cwd, 'foroneplace')]],
    ['patchelf', ['--patcher', 'patchelf']],
  ])('come along and are found (%s)', (kind, options) => {
    const out = join(cwd, kind.replaceAll(' ', ''))
    const made = mustBundle([program, ...options, '-f', 'dir', '-o', out], { cwd })
    expect(made.stderr).toBe('')
    expect(withoutNix(join(out, 'bin/watched'))).toMatchObject({ code: 0, stdout: PRINTED })
    expect(bundle(['verify', out]).code).toBe(0)
    for (const name of ['libfirst.so', 'libaside.so'])
      expect(readFileSync(join(out, 'lib', name)).length).toBeGreaterThan(1000)
    expect(run('readelf', ['-dW', join(out, 'lib/libfilter.so')]).stdout).toContain('[libbehind.so]')
    expect(libraries).toMatch(/watchers-1\.0$/)
  })
})
