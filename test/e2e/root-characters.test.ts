/**
 * A root whose path has blanks, colons, percent signs or what else a store path never has. Programs give their store paths
 * to shells, put them into lists and formats, and name variables without quotes (texi2dvi, libtoolize, man-db), all of
 * which was right in the store: so it is by a link to the root.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import { fixture, mustBundle, run, temporary } from '../support/bundle.ts'
import { EmptyRoot, PLAIN_ENVIRONMENT, tool } from '../support/root.ts'
import { compile, GLIBC, storePath } from '../support/store-lab.ts'

const libc = storePath(
  'libc-1.0',
  Object.fromEntries(Object.entries(GLIBC.libc).map(([file, contents]) => [`lib/${file}`, contents])),
)
const bash = `${fixture('bash')}/bin/bash`
const app = storePath('app-1.0', {
  'share/one.txt': 'one\n',
  'etc/two': 'two\n',
  'lib/common.sh': 'say() { echo "$# $1"; }\n',
})
const program = (name: string, text: string): void =>
  compile(GLIBC.cc, text, `${app}/bin/${name}`, [
    `-Wl,-rpath,${libc}/lib`,
    `-Wl,--dynamic-linker,${libc}/lib/${GLIBC.loader}`,
  ])
program(
  'helper',
  '#include <stdio.h>\nint main(int n, char **a) { printf("helper %d %s\\n", n, n > 1 ? a[1] : ""); return 0; }',
)
program(
  'parts',
  `
  #include <stdio.h>
  #include <stdlib.h>
  #include <string.h>
  static const char *volatile format = "${app}/share/%s.txt";
  static char list[] = "${app}/share:${app}/etc";
  int main(void) {
    char path[4096];
    snprintf(path, sizeof path, format, "one");
    puts(fopen(path, "r") ? "a format" : path);
    for (char *at = strtok(list, ":"); at; at = strtok(0, ":")) {
      snprintf(path, sizeof path, "%s/two", at);
      if (fopen(path, "r")) puts("a list");
    }
    fflush(stdout);
    return system("${app}/bin/helper -e 2>&1");
  }`,
)
const scripts = storePath('scripts-1.0', {
  'bin/script': `#!${bash}
prefix=${app}
lib=${app}/lib/common.sh
. $lib
[ -f $0 ] && say "its own name without quotes, niess/python-appimage#92"
say $prefix/bin/helper
$prefix/bin/helper b
${app}/bin/parts
`,
})

const ROOTS = ['/srv/with blank', '/srv/a:b', '/srv/100%s %n', "/srv/it's $HOME;x", '/srv/new\nline*', '/srv/plain']
const SH = ['--ro-bind', tool('busybox'), '/bin/sh']

/** What is printed, without where the program lies. */
const plain = (text: string): string => text.replace(/ \/.*(?=\/bin\/helper)/, ' ROOT')

describe.each([
  ['bin/parts', app],
  ['bin/script', scripts],
])('%s', (name, target) => {
  const place = `${temporary()}/bundle`
  let original: string
  beforeAll(() => {
    mustBundle([target, '-f', 'dir', '-o', place])
    original = plain(run(`${target}/${name}`, [], { env: PLAIN_ENVIRONMENT }).stdout)
  })
  test.each(ROOTS)('does what it did in the root %j', root => {
    const done = new EmptyRoot(place, root, SH).run(name)
    expect([done.code, plain(done.stdout), done.stderr]).toEqual([0, original, ''])
  })
})
