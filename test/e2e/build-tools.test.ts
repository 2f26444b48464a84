/**
 * Programs that build others, bundled for their own sake: what they read is what stays out of all other bundles. As
 * aclocal has it, which lists its own share/aclocal and runs autoconf.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { mustBundle, temporary, withoutNix } from '../support/bundle.ts'
import { compile, GLIBC, storePath } from '../support/store-lab.ts'

const autoconf = storePath('autoconf-2.71', { 'bin/autoconf': '#!/bin/sh\necho traced\n' })
const automake = storePath('automake-1.16', {
  'share/aclocal/init.m4': 'macros\n',
  'share/aclocal/more/x.m4': 'more\n',
  'share/doc/manual': 'manual\n',
  'lib/libx.a': 'archive\n',
})
mkdirSync(join(automake, 'bin'))
writeFileSync(
  join(automake, 'bin/aclocal'),
  `#!/bin/sh\ncat "${automake}/share/aclocal/"*.m4 "${automake}/share/aclocal/more/x.m4"\n"${autoconf}/bin/autoconf"\n`,
  { mode: 0o755 },
)

const pkgconf = storePath('pkgconf-1.8')
mkdirSync(join(pkgconf, 'share/pkgconfig'), { recursive: true })
writeFileSync(join(pkgconf, 'share/pkgconfig/own.pc'), `prefix=${pkgconf}\nLibs: -L\${prefix}/lib -lown\n`)
const libc = storePath(
  'libc-1.0',
  Object.fromEntries(Object.entries(GLIBC.libc).map(([name, contents]) => [`lib/${name}`, contents])),
)
const PKG_CONFIG = `
  #include <stdio.h>
  int main(void) {
    char line[4096];
    FILE *own = fopen("${pkgconf}/share/pkgconfig/own.pc", "r");
    while (own && fgets(line, sizeof line, own)) fputs(line, stdout);
    return !own;
  }`
compile(GLIBC.cc, PKG_CONFIG, join(pkgconf, 'bin/pkg-config'), [
  `-Wl,-rpath,${libc}/lib`,
  `-Wl,--dynamic-linker,${libc}/lib/${GLIBC.loader}`,
])

test('what pkg-config reads of its own package names the place where it lies', () => {
  const place = temporary()
  for (const options of [[], ['--prefix', join(place, 'p')]]) {
    const at = join(place, options.length > 0 ? 'p' : 'r')
    mustBundle([pkgconf, '-o', at, ...options])
    if (options.length === 0) execFileSync(join(at, 'relocate'), { stdio: 'ignore' })
    const { stdout } = withoutNix(join(at, 'bin/pkg-config'))
    expect(stdout).toBe(`prefix=${at}/pkg/pkgconf-1.8\nLibs: -L\${prefix}/lib -lown\n`)
  }
})

test('a build tool has its own macros, and the build tool that it runs', () => {
  const place = temporary()
  for (const options of [[], ['--prefix', join(place, 'p')]]) {
    const at = join(place, options.length > 0 ? 'p' : 'r')
    mustBundle([automake, '-o', at, ...options])
    expect(withoutNix(join(at, 'bin/aclocal'))).toMatchObject({ code: 0, stdout: 'macros\nmore\ntraced\n', stderr: '' })
    const tree = join(at, 'pkg/automake-1.16')
    expect([existsSync(join(tree, 'share/doc')), existsSync(join(tree, 'lib/libx.a'))]).toEqual([false, false])
  }
})
