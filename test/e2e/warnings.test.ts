/** Warnings are worth reading: few lines for each program of the fixtures, and what the longest say. */
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { fixture } from '../support/bundle.ts'
import { compile, GLIBC, storePath } from '../support/store-lab.ts'
import { longest, WARNINGS_MAX, warningsOf } from '../support/warnings.ts'

const ATTRIBUTES = [
  ...['bash', 'binwrapped', 'cxx', 'multicall', 'ncurses', 'nginx', 'openssl^bin', 'plugin-host', 'probe'],
  ...['scripts', 'tools^bin', 'twins', 'wrapped'],
]
const KINDS = [
  ['relocatable', {}],
  ['with shell launchers', { launcher: 'shell' }],
] as const

const told = new Map<string, string>()

describe.each(KINDS)('%s', (kind, options) => {
  test.each(ATTRIBUTES)('%s', async attribute => {
    const lines = await warningsOf(fixture(attribute), options)
    expect(lines.length).toBeLessThanOrEqual(WARNINGS_MAX)
    if (lines.length > 0) told.set(`${attribute} ${kind}`, lines.join('\n'))
  })
})

test('the longest five', () => {
  expect(longest(told, 5)).toMatchInlineSnapshot(`
    "plugin-host with shell launchers:
    warning: plugin-extra-1.0/lib/plugins/extra.so: finds plugin-extra-1.0/share/plugin-extra-1.0/data.txt by store path, which a relocatable bundle cannot keep: name the place on its command line, or bundle with --prefix
    warning: plugin-host-1.0/bin/plugin-host: finds plugin-host-1.0/lib/plugins/hello.so, plugin-extra-1.0/lib/plugins/extra.so by store path, which a relocatable bundle cannot keep: name the place on its command line, or bundle with --prefix
    nginx with shell launchers:
    warning: nginx-1.22.1/bin/nginx: finds nginx-1.22.1 by store path, which a relocatable bundle cannot keep: name the place on its command line, or bundle with --prefix
    warning: openssl-3.0/lib/libcrypto.so.3: finds openssl-3.0/etc/ssl/ct_log_list.cnf, openssl-3.0/lib/engines-3, openssl-3.0/etc/ssl and 1 more by store path, which a relocatable bundle cannot keep: name the place on its command line, or bundle with --prefix
    scripts with shell launchers:
    warning: scripts-1.0/bin/env-sh: its #! line leaves its interpreter to the machine where it runs (env bash)
    warning: ncurses-6.4/lib/libncursesw.so.6.4: finds ncurses-6.4/share/terminfo by store path, which a relocatable bundle cannot keep: name the place on its command line, or bundle with --prefix
    openssl^bin with shell launchers:
    warning: openssl-3.0/lib/libcrypto.so.3: finds openssl-3.0/etc/ssl/ct_log_list.cnf, openssl-3.0/lib/engines-3, openssl-3.0/etc/ssl and 1 more by store path, which a relocatable bundle cannot keep: name the place on its command line, or bundle with --prefix
    bash with shell launchers:
    warning: ncurses-6.4/lib/libncursesw.so.6.4: finds ncurses-6.4/share/terminfo by store path, which a relocatable bundle cannot keep: name the place on its command line, or bundle with --prefix"
  `)
})

test("python's library has its prefix from who runs it; a program elsewhere that embeds it has not", async () => {
  const libc = storePath(
    'libc-1.0',
    Object.fromEntries(Object.entries(GLIBC.libc).map(([name, contents]) => [`lib/${name}`, contents])),
  )
  const python = storePath('python3-3.11.2', { 'lib/python3.11/os.py': 'name = 1\n' })
  const library = join(python, 'lib/libpython3.11.so.1.0')
  const text = `const char *prefix(void) { return "${python}"; }`
  compile('gcc', text, library, ['-shared', '-fPIC', '-Wl,-soname,libpython3.11.so.1.0'])
  const program = (to: string): void =>
    compile('gcc', 'const char *prefix(void); int main(void) { return *prefix(); }', to, [
      ...[library, `-Wl,-rpath,${python}/lib:${libc}/lib`, `-Wl,--dynamic-linker,${libc}/lib/${GLIBC.loader}`],
    ])
  program(join(python, 'bin/python3'))
  const embedding = storePath('editor-1.0')
  program(join(embedding, 'bin/editor'))
  expect(await warningsOf(python, { launcher: 'shell' })).toEqual([])
  expect(await warningsOf(embedding, { launcher: 'shell' })).toEqual([
    expect.stringMatching(/libpython3\.11\.so\.1\.0: finds python3-3\.11\.2 by store path/),
  ])
})
