/**
 * A dry run says what the run itself would: the same findings, or the same error. The tests of what is left out and of
 * what is refused ask the same of their inputs.
 */
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { BundleOptions } from '../../src/options.ts'
import { fixture } from '../support/bundle.ts'
import { DarwinClosure } from '../support/darwin-closure.ts'
import { dryRunAgrees } from '../support/dry-run.ts'
import { compile, GLIBC, storePath } from '../support/store-lab.ts'

test.each<[name: string, options: BundleOptions]>([
  ['nginx', {}],
  ['nginx', { format: 'oci' }],
  ['twins', {}],
  ['plugin-host', { prefix: '/opt/x', strip: true }],
  ['wrapped', { prefix: '/opt/x' }],
  ['scripts', { launcher: 'shell', data: 'all' }],
  ['nginx', { disallow: ['pcre2'], include: ['none/*'] }],
])('%s %j', async (name, options) => {
  await dryRunAgrees(fixture(name), options)
})

describe('what is wrong', () => {
  test('a library that is missing', async () => {
    const files = Object.entries(GLIBC.libc).map(([name, file]) => [`lib/${name}`, file])
    const c = storePath('libc-1.0', Object.fromEntries(files))
    const app = storePath('app-1')
    const library = join(app, 'lib/liba.so')
    compile('gcc', 'int a(void) { return 1; }', library, ['-shared', '-fPIC', '-Wl,-soname,libnone.so'])
    compile('gcc', 'int a(void); int main(void) { return a(); }', join(app, 'bin/app'), [
      ...[library, `-Wl,-rpath,${c}/lib`, `-Wl,--dynamic-linker,${c}/lib/${GLIBC.loader}`],
    ])
    expect(await dryRunAgrees(app)).toEqual({ findings: [expect.stringContaining('library-missing')] })
  })

  test('a Mach-O program without room', async () => {
    const closure = new DarwinClosure('arm64')
    const app = closure.package('a-1')
    const library = closure.build(`${app}/l/l`, 'int l(void) { return 1; }', { id: '@rpath/l' })
    const flags = ['-rpath', '@loader_path/../l', '-headerpad', '0']
    const text = 'int l(void); int main(void) { return l(); }'
    closure.build(`${app}/bin/app`, text, { libraries: [library], flags })
    expect(await dryRunAgrees(app)).toMatchObject({ error: expect.stringContaining('load commands would need') })
  })

  test('a signed .phar', async () => {
    const text = `#!${fixture('bash')}/bin/bash\n<?php __HALT_COMPILER(); ?>\n\0\0${'x'.repeat(40)}GBMB`
    const said = await dryRunAgrees(storePath('phar-1', { 'bin/x.phar': text }))
    expect(said).toMatchObject({ error: expect.stringContaining('a change would break its signature') })
  })
})
