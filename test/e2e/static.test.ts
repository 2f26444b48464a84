/** Static programs that name store paths: they find their data wherever the bundle lies, as dynamic ones do. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { bundle, fixture, grep, mustBundle, run, temporary } from '../support/bundle.ts'
import { EmptyRoot } from '../support/root.ts'

const directory = temporary()
const programs = join(directory, 'programs')
const place = join(directory, 'bundle')
let page: string

/** Programs that print nginx's page, whose store path is compiled in. */
beforeAll(() => {
  page = readFileSync(`${fixture('nginx')}/html/index.html`, 'utf8')
  mkdirSync(join(programs, 'bin'), { recursive: true })
  const source = join(directory, 'page.c')
  writeFileSync(
    source,
    `#include <stdio.h>
static const char *place = "${fixture('nginx')}/html";
int main(void) {
  char path[500];
  snprintf(path, sizeof path, "%s/%s", place, "index.html");
  FILE *file = fopen(path, "r");
  if (!file) return perror(path), 1;
  for (int c; (c = getc(file)) != EOF;) putchar(c);
  return 0;
}`,
  )
  for (const [name, ...flags] of [
    ['dynamic'],
    ['static', '-static'],
    ['static-pie', '-static-pie', '-fPIE'],
    ['bare', '-static', '-Wl,--build-id=none,-z,norelro'],
  ]) {
    const cc = name === 'bare' ? 'musl-gcc' : 'gcc'
    expect(run(cc, ['-O1', ...flags, source, '-o', join(programs, 'bin', name!)])).toMatchObject({
      code: 0,
      stderr: '',
    })
  }
  mustBundle([programs, '-f', 'dir', '-o', place, '--json', '--report', join(directory, 'report.json')])
})

const good = () => ({ code: 0, signal: null, stdout: page, stderr: '' })

test.each(['dynamic', 'static', 'static-pie', 'bare'])('%s, in an empty root, moved', name => {
  expect(run(join(programs, 'bin', name), [])).toEqual(good())
  for (const at of ['/srv/x', '/b c/d  e']) expect(new EmptyRoot(place, at).run(`bin/${name}`)).toEqual(good())
})

test('the longest root that bundle.json names; longer ones', () => {
  const { rootLimit } = JSON.parse(readFileSync(join(place, 'bundle.json'), 'utf8')) as { rootLimit: number }
  const longest = `/${'r'.repeat(rootLimit - 1)}`
  for (const name of ['static', 'static-pie']) {
    expect(new EmptyRoot(place, longest).run(`bin/${name}`)).toEqual(good())
    for (const more of ['r', '/r'.repeat(400)])
      expect(new EmptyRoot(place, `${longest}${more}`).run(`bin/${name}`)).toEqual(good())
  }
})

test('what has no header to spare is entered by a sidecar; nothing is blanked', () => {
  const report = JSON.parse(readFileSync(join(directory, 'report.json'), 'utf8')) as {
    findings: { code: string }[]
    references: { at: string; text: string; outcome: string; missed: boolean }[]
  }
  expect(report.findings.filter(f => f.code === 'static-refused')).toEqual([])
  const outcomes = report.references.filter(r => r.text.endsWith('/html')).map(r => [r.at, r.outcome, r.missed])
  expect(outcomes).toEqual([
    ...['bare', 'dynamic', 'static', 'static-pie'].map(name => [
      expect.stringMatching(`/${name}$`),
      'relocated',
      false,
    ]),
  ])
})

test('alone in a bundle; without the stub; for one place', () => {
  const alone = join(directory, 'alone')
  const made = mustBundle([join(programs, 'bin/static'), '-f', 'dir', '-o', alone])
  expect(made.stdout).toContain('1 self-relocating')
  expect(grep('/nix/store', alone)).toBe('')
  expect(new EmptyRoot(alone, '/srv/x').run('bin/static')).toEqual(good())
  expect(bundle(['verify', alone])).toMatchObject({ code: 0 })

  const shell = join(directory, 'shell')
  mustBundle([join(programs, 'bin/static'), '--launcher', 'shell', '-f', 'dir', '-o', shell])
  expect(new EmptyRoot(shell, '/srv/x').run('bin/static')).toMatchObject({ code: 1, stdout: '' })

  const fixed = join(directory, 'fixed')
  mustBundle([join(programs, 'bin/static'), '--prefix', '/opt/x', '-f', 'dir', '-o', fixed])
  expect(new EmptyRoot(fixed, '/opt/x').run('bin/static')).toEqual(good())
})
