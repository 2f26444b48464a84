/** `--strip`: what only debuggers read stays out, and what runs is the same. */
import { execFileSync } from 'node:child_process'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { bundle, fixture, grep, mustBundle, run, temporary, withoutNix } from '../support/bundle.ts'

const work = temporary()
const program = join(work, 'program')
const data = `${fixture('nginx')}/conf/mime.types`

/** With debug information that names the store, and a store path that it uses. */
beforeAll(() => {
  writeFileSync(
    `${program}.c`,
    `#include <stdio.h>
     const char *file = "${data}";
     int main(void) { FILE *f = fopen(file, "r"); char line[99]; return f && fgets(line, 99, f) ? puts(line) < 0 : 1; }`,
  )
  const loader = `${fixture('glibc')}/lib/ld-linux-x86-64.so.2`
  const flags = [
    '-g',
    `-fdebug-prefix-map=${work}=${fixture('nginx')}/src`,
    `-DORIGIN="${fixture('nginx')}/src"`,
    '-g3',
  ]
  execFileSync('gcc', [
    ...flags,
    '-o',
    program,
    `${program}.c`,
    `-Wl,--dynamic-linker=${loader},-rpath,${fixture('glibc')}/lib`,
  ])
})

describe.each([
  ['relocatable', []],
  ['for one place', ['--prefix', join(work, 'fixed')]],
  ['with patchelf', ['--patcher', 'patchelf']],
])('%s', (kind, options) => {
  const out = join(work, kind === 'for one place' ? 'fixed' : kind.replaceAll(' ', '-'))

  test('the program runs, symbols are gone, references in them need no rewriting', () => {
    expect(grep('/nix/store', program)).not.toBe('')
    const made = mustBundle([program, '-f', 'dir', '-o', out, '--strip', ...options])
    expect(made.stdout).toMatch(/\d+ stripped/)
    expect(grep('/nix/store', out)).toBe('')
    expect(bundle(['verify', out]).code).toBe(0)
    expect(withoutNix(join(out, 'bin/program')).stdout).toBe(`${readFileSync(data, 'utf8').split('\n')[0]}\n\n`)
    const sections = run('readelf', ['-SW', join(out, 'bin/program')])
    expect(sections.stderr).toBe('')
    expect(sections.stdout).not.toMatch(/\.debug_|\.symtab/)
  })
})

test('the C library keeps its symbols: debuggers and valgrind ask for them', () => {
  const out = join(work, 'libc')
  mustBundle([program, '-f', 'dir', '-o', out, '--strip'])
  const size = (path: string): number => statSync(path).size
  expect(size(join(out, 'lib/libc.so.6'))).toBe(size(`${fixture('glibc')}/lib/libc.so.6`))
})
