/**
 * Scripts as packages of nixpkgs have them, beside their originals: run by name, by links, through their interpreters, from
 * each other, with store paths in their `#!` lines.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { bundle, fixture, grep, mustBundle, run, temporary, withoutNix } from '../support/bundle.ts'
import { storePath } from '../support/store-lab.ts'

const directory = temporary()
let app: string
let names: string[]
let originals: Map<string, ReturnType<typeof run>>

/** Runs a program of bin/, as a shell does: with its path as `_`. */
const executed = (by: typeof run, root: string, name: string) =>
  by(join(root, 'bin', name), ['a b', ''], { env: { ...process.env, _: join(root, 'bin', name) } })

/** By the name of a program in bin/, its text. */
function programs(): Record<string, string> {
  const bash = `${fixture('bash')}/bin/bash`
  const env = `${storePath('coreutils-9', { 'bin/env': { from: '/usr/bin/env' } })}/bin/env`
  // Debian's, which finds its modules wherever it lies.
  const perl = `${storePath('perl-5', { 'bin/perl': { from: '/usr/bin/perl' } })}/bin/perl`
  const python = `${storePath('python3-3', { 'bin/python3': { from: '/usr/bin/python3' } })}/bin/python3`
  const modules = storePath('perl-Foo-1', {
    'lib/perl5/site_perl/Foo.pm': 'package Foo; sub hi { "hi from Foo" } 1;\n',
  })
  const lib = `${modules}/lib/perl5/site_perl`
  const second = storePath('second-1', { 'bin/second': `#!${bash}\necho "second $#"; tail -n1 "$1"\n` })
  const long = Array.from({ length: 4 }, (_, i) =>
    storePath(`perl-A-Module-Of-A-Long-Name-${i}-1`, { [`lib/perl5/site_perl/M${i}.pm`]: `package M${i}; 1;\n` }),
  )
  const wrapper = (program: string, flags: string): string =>
    `#! ${bash} -e\nexport WRAPPED='1'\nexec -a "$0" "${program}" ${flags} "$@" \n`
  const other = {
    'share/app/data': 'the data\n',
    'share/app/lib.sh': 'echo sourced\n',
    'share/app/tool.pl': `#!${perl} -w\nuse strict;\nprint "tool.pl @ARGV ", __LINE__, "\\n"; open F, '@APP@/share/app/data' or die; print <F>;\n`,
    'lib/app/cli': `#!${python}\n"""doc"""\nfrom __future__ import annotations\nimport sys; print(__doc__, sys.argv[1:])\n`,
    'libexec/shell': `#!${bash}\necho "shell \${0##*/} $*"\n`,
    'libexec/deep/one': `#!${perl}\nprint +($0 =~ m{([^/]*)$})[0], "\\n";\n`,
    'libexec/deep/two': { link: 'one' },
    'bin/.real': `#!${python}\nimport sys; print(sys.argv[1:], open('@APP@/share/app/data').read())\n`,
    'bin/segrep': { link: 'sgrep' },
    'bin/pegrep': { link: 'pgrep' },
    'bin/yegrep': { link: 'ygrep' },
    // As npm's programs: a module that other modules load, and that asks whether it is what was started.
    'lib/mods/cli.py': `#!${python}\nimport os, sys\nprint('main' if os.path.realpath(sys.argv[0]) == os.path.realpath(__file__) else 'module', os.path.basename(sys.argv[0]), __name__, os.path.exists(os.path.dirname(os.path.realpath(__file__)) + '/other.py'))\n`,
    'lib/mods/other.py': `import cli\n`,
    'bin/linked': { link: '../lib/mods/cli.py' },
    'bin/linked-perl': { link: '../share/app/tool.pl' },
    'share/app/here.sh': `#!${bash}\necho "\${0##*/} $(basename "$(readlink -f "$0")") $*"; [ "$_" = "$0" ] && echo executed\n`,
    'bin/linked-shell': { link: '../share/app/here.sh' },
    'bin/linked-again': { link: 'linked-shell' },
  }
  app = storePath('app-1', other)
  for (const [at, text] of Object.entries(other))
    if (typeof text === 'string')
      writeFileSync(join(app, at), text.replaceAll('@APP@', app), text.startsWith('#!') ? { mode: 0o755 } : {})
  const own = `\${0##*/}`
  return {
    // Store paths in #! lines.
    'perl-modules': `#!${perl} -I${lib} -w\nuse Foo; print Foo::hi(), " $^W\\n";\n`,
    'perl-many-modules': `#!${perl} ${long.map(m => `-I${m}/lib/perl5/site_perl`).join(' ')} -w\nuse M0; use M1; use M2; use M3; print "all $^W\\n";\n`,
    // As patchShebangs writes it (nixpkgs#378221).
    'env-split': `#!${env} -S ${bash} -e\necho "$-"; false; echo no\n`,
    'env-with-more': `#!${env} -S -i A=b ${bash} -e\necho "$A \${HOME-none} $-"\n`,
    'host-env-split': `#!/usr/bin/env -S ${bash} -e\necho "$-"\n`,
    'env-perl': `#!${env} -S ${perl} -I${lib}\nuse Foo; print Foo::hi(), -e '${app}/share/app/data', "\\n";\n`,
    'by-another': `#!${bash} ${second}/bin/second\nthe last line\n`,
    // Read by an interpreter.
    'wraps-perl': wrapper(perl, `-w ${app}/share/app/tool.pl`),
    'wraps-python': wrapper(python, `-u ${app}/lib/app/cli`),
    'wraps-bin': wrapper(python, `${app}/bin/.real`),
    reads: `#!${bash}\nhere=\${0%/*}\n${perl} "$here/../share/app/tool.pl" a\n${python} ${app}/lib/app/cli b\n${bash} "$here/hello" c\n${python} ${app}/bin/.real d\n`,
    executes: `#!${bash}\nhere=\${0%/*}\n"$here/../share/app/tool.pl" a; ${app}/lib/app/cli b; ${app}/libexec/shell c\n"$here/hello" d; ${app}/bin/hello e; ${app}/bin/.real f\n${app}/libexec/deep/two\n`,
    hello: `#!${bash}\necho "hello ${own} $*"\n`,
    again: `#!${python}\nimport os, sys\nif sys.argv[1:2] != ['again']: os.execv(sys.argv[0], [sys.argv[0], 'again'])\nprint('again')\n`,
    'loads-linked': `#!${python}\nimport sys; sys.path.insert(0, '${app}/lib/mods'); import other\n`,
    'wraps-linked': wrapper(python, `${app}/bin/linked`),
    'runs-linked': wrapper(`${app}/bin/linked`, 'x'),
    // By what shells hand on as `_` (npm's resolve).
    'is-executed': `#!${bash}\n[ "$_" = "$0" ] && echo executed || echo sourced\n`,
    'asks-executed': `#!${bash}\n${app}/bin/is-executed; ${app}/bin/is-executed-python; . ${app}/share/app/lib.sh; exec ${app}/bin/is-executed\n`,
    'is-executed-python': `#!${python}\nimport os, sys; print(os.environ['_'] == sys.argv[0])\n`,
    'wraps-asking': wrapper(python, `-c 'import os; print("_" in os.environ)'`),
    // Names.
    sgrep: `#!${bash}\necho "${own}"\n`,
    pgrep: `#!${perl}\nprint +($0 =~ m{([^/]*)$})[0], "\\n";\n`,
    ygrep: `#!${python}\nimport sys; print(sys.argv[0].split('/')[-1])\n`,
    // No wrapper that is understood: its program sees what it was called by.
    'odd-wrapper': `#! ${bash} -e\nif [ -n "$ODD" ]; then export A=1; fi\nexec -a "$0" "${bash}" -c 'echo "\${0##*/bin}"'\n`,
    // Data beside it.
    'data-shell': `#!${bash}\n. "\${0%/*}/../share/app/lib.sh"\n`,
    'data-python': `#!${python}\nimport os; print(open(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../share/app/data')).read())\n`,
    'its-manual': `#!${perl}\nuse Pod::Usage; pod2usage(-exitval => 0, -output => '>&STDOUT');\n\n=head1 SYNOPSIS\n\nthe manual\n\n=cut\n`,
    'data-perl': `#!${perl}\nuse FindBin; open F, "$FindBin::Bin/../share/app/data" or die; print <F>;\n`,
  }
}

beforeAll(() => {
  const texts = programs()
  for (const [name, text] of Object.entries(texts)) writeFileSync(join(app, 'bin', name), text, { mode: 0o755 })
  names = [...Object.keys(texts), 'segrep', 'pegrep', 'yegrep', 'linked', 'linked-perl', 'linked-shell', 'linked-again']
  originals = new Map(names.map(name => [name, executed(run, app, name)]))
})

test('the originals run', () => {
  for (const [name, { stderr }] of originals) expect({ name, stderr }).toEqual({ name, stderr: '' })
})

describe.each([
  { kind: 'relocatable', options: [] as string[] },
  { kind: 'shell launchers', options: ['--launcher', 'shell'] },
  { kind: 'one-place', options: ['--prefix', join(directory, 'one-place')] },
])('$kind', ({ kind, options }) => {
  const place = join(directory, kind)
  let said: string
  beforeAll(() => {
    said = mustBundle([app, ...options, '-f', 'dir', '-o', place]).stderr
  })

  test('each script does what its original does', () => {
    for (const name of names) {
      // Perl's texts are filled in by a native launcher alone, which alone passes on a name too.
      if (
        kind === 'shell launchers' &&
        /^(?:env-perl|wraps-perl|reads|executes|odd-wrapper|wraps-asking|linked-perl|.*execut.*|linked-again|linked-shell)$/.test(
          name,
        )
      )
        continue
      const { code, stdout, stderr } = originals.get(name)!
      const done = executed(withoutNix, place, name)
      expect({ name, code: done.code, stdout: done.stdout, stderr: done.stderr }).toEqual({
        name,
        code,
        stdout,
        stderr,
      })
    }
  })

  test('nothing is said to be lost', () => {
    expect(said).not.toMatch(/its #! line|lead nowhere|is not found/)
    expect(grep('/nix/store', place)).toBe('')
    expect(bundle(['verify', place]).code).toBe(0)
  })
})

test('a signed .phar that would change is an error: PHP runs none whose signature is wrong', () => {
  const text = `#!${fixture('bash')}/bin/bash\n<?php __HALT_COMPILER(); ?>\n\0\0${'x'.repeat(40)}GBMB`
  const { code, stderr } = bundle([storePath('phar-1', { 'bin/x.phar': text }), '-o', join(directory, 'phar.tar')])
  expect(code).toBe(2)
  expect(stderr).toContain('a change would break its signature')
})
