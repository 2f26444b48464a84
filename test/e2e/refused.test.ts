/** What cannot be made as it should: what is refused and why, and what goes on with something left as it is. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { bundle, fixture, mustBundle, run, temporary } from '../support/bundle.ts'
import { dryRunAgrees } from '../support/dry-run.ts'
import { EmptyRoot } from '../support/root.ts'
import { compile, storePath } from '../support/store-lab.ts'

test('two libraries of equal headers with paths in other places', async () => {
  const directory = temporary()
  const at = (path: string): string => join(directory, path)
  const page = `${fixture('nginx')}/html/index.html`
  const filler = 'x'.repeat(page.length)
  for (const part of ['bin', 'lib']) mkdirSync(at(part))
  const compile = (...args: string[]): void =>
    expect(run('gcc', ['-O1', ...args])).toMatchObject({ code: 0, stderr: '' })
  for (const [name, first, second] of [
    ['a', page, filler],
    ['b', filler, page],
  ]) {
    writeFileSync(
      at('library.c'),
      `static char first[] = "${first}", second[] = "${second}";
const char *get_${name}(void) { return *first == '/' ? first : second; }`,
    )
    const soname = `lib${name}.so`
    compile('-shared', '-fPIC', '-nostdlib', at('library.c'), '-o', at(`lib/${soname}`), `-Wl,-soname,${soname}`)
  }
  writeFileSync(
    at('main.c'),
    `#include <stdio.h>
const char *get_a(void), *get_b(void);
static const char *own = "${page}";
int main(void) { puts(get_a()); puts(get_b()); return fopen(own, "r") == 0; }`,
  )
  compile(
    '-fPIE',
    '-pie',
    at('main.c'),
    '-o',
    at('bin/main'),
    `-L${at('lib')}`,
    '-la',
    '-lb',
    '-Wl,-rpath,$ORIGIN/../lib',
  )

  await dryRunAgrees(at('bin/main'))
  const made = mustBundle([at('bin/main'), '-f', 'dir', '-o', at('bundle'), '--report', at('report.json')])
  const report = JSON.parse(readFileSync(at('report.json'), 'utf8')) as {
    findings: { code: string; file: string; count: number }[]
    references: { at: string; text: string; outcome: string; missed: boolean }[]
  }
  expect(report.findings.filter(f => f.code === 'relocation-refused').map(f => [f.file, f.count])).toEqual([
    ['lib/liba.so', 1],
    ['lib/libb.so', 1],
  ])
  const outcomes = report.references.filter(r => r.text === page).map(r => [r.at, r.outcome, r.missed])
  expect(outcomes).toEqual([
    ['lib/liba.so', 'blanked', true],
    ['lib/libb.so', 'blanked', true],
    [expect.stringMatching(/main$/), 'relocated', false],
  ])
  expect(made.stdout).toMatch(/\b1 self-relocating, 2 blanked/)
  const { references } = JSON.parse(readFileSync(at('bundle/bundle.json'), 'utf8'))
  expect(references).toMatchObject({ relocated: 1, blanked: 2 })
  expect(bundle(['verify', at('bundle')]).code).toBe(0)

  const said = new EmptyRoot(at('bundle'), '/srv/x').run('bin/main')
  expect(said).toMatchObject({ code: 0, stderr: '' })
  expect(said.stdout).toMatch(/^(\/var\/empty\/e{32}-nginx-[^\n]*\/html\/index.html\n){2}$/)
})

test('an interpreter that is all zeros is called that', () => {
  const root = storePath('odd-1.0')
  const program = join(root, 'bin/odd')
  compile('gcc', 'int main(void) { return 0; }', program, ['-Wl,--dynamic-linker,/lib/loader-that-is-not-there.so'])
  const bytes = readFileSync(program)
  const at = bytes.indexOf('/lib/loader-that')
  bytes.fill(0, at, bytes.indexOf(0, at))
  writeFileSync(program, bytes)
  const made = bundle([root, '-o', join(temporary(), 'odd.tar')])
  expect(made.code).toBe(1)
  expect(made.stderr).toContain('an interpreter without a name (PT_INTERP is all zeros) is not found; it is needed by')
})
