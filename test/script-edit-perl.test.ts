/** A Perl script with placeholders runs as it did, with the bundle's paths. */

import { mkdirSync, symlinkSync } from 'node:fs'
import { afterAll, describe, expect, test } from 'vitest'
import { inRoot, launch, type Template } from '../src/entry/launcher.ts'
import { spliced } from '../src/script/edit.ts'
import { editPerl, throughPerl } from '../src/script/perl-edit.ts'
import {
  ABSENT,
  at,
  BLANK_ABSENT,
  bytes,
  NAMES,
  type Result,
  run,
  ScriptLab,
  sitesOf,
  store,
  X,
} from './support/script-lab.ts'

const lab = new ScriptLab()
afterAll(() => lab.close())

const PLACE = at('pkg/script-1/.bin-text/script')
const LAUNCHER = at('pkg/script-1/bin/script')
const PERL = at('pkg/perl-5/bin/perl')

/** A bundle in which the script lies; its command is what its launcher starts. */
function bundle(text: string, name = 'plain', argument: string | null = null): { root: string; command: string[] } {
  const root = lab.directory(name)
  lab.place(root, PLACE, text, editPerl(text, PLACE, sitesOf(text)))
  lab.write(`${root}/${LAUNCHER}`, 'the launcher')
  mkdirSync(bytes(`${root}/pkg/perl-5/bin`), { recursive: true })
  symlinkSync('/usr/bin/perl', bytes(`${root}/${PERL}`))
  const template = throughPerl(launch(LAUNCHER, PLACE), inRoot(PERL), argument === null ? [] : [[argument]])
  const filled = (parts: Template): string => parts.map(part => (typeof part === 'string' ? part : root)).join('')
  return { root, command: [filled(template.program), ...template.before.map(filled)] }
}

/** The result before and after, with the store paths and names of the first mapped to the bundle. */
function compare(text: string, name?: string, argument: string | null = null, words: string[] = []) {
  const { root, command } = bundle(text, name, argument)
  const script = lab.write(`${lab.directory()}/script`, text)
  const original = run(['/usr/bin/perl', ...(argument === null ? [] : [argument]), script, ...words])
  const map = (out: string): string =>
    out
      .replaceAll(X, `${root}/pkg/x-1`)
      .replaceAll(store('twin-1'), `${root}/pkg/twin-1~2`)
      .replaceAll(script, `${root}/${PLACE}`)
      .replaceAll(script.slice(0, script.lastIndexOf('/')), `${root}/pkg/script-1/.bin-text`)
  const before: Result = { status: original.status, out: map(original.out), err: map(original.err) }
  return { before, after: run([...command, ...words]) }
}

describe('a script does what it did', () => {
  const CODES: Readonly<Record<string, string>> = {
    paths: `print "${X}/a ", '${X}/b', q{ ${X}.d }, "${store('twin-1')}/c ${store('twin-1')}:d\\n"; print <<E;\n${X}\nE`,
    'its name': `print "$0 ", __FILE__, ' ', __LINE__, "\\n"; warn 'here'; use FindBin; print "$FindBin::Bin $FindBin::Script\\n"`,
    'no caller, no eval': `print defined caller() ? 'called' : 'main', " $^S\\n"; sub f { (caller(0))[1, 2, 3] } print join ' ', f()`,
    phases: `BEGIN { print "b " } INIT { print "i " } CHECK { print "c " } END { print "e $?\\n" } print "run "; exit 3`,
    'data in main': `print while <DATA>;\n__DATA__\na ${X}/a\nb\n`,
    'data of a package, read twice': `package Foo; my $at = tell DATA; my @l = <DATA>; seek DATA, $at, 0; print @l, <DATA>;\n__DATA__\na ${X}\n`,
    'data behind an end': `print "x ${X} ", <DATA>;\n__END__\nb ${X}\n=pod\n`,
    'a death': `use strict; my $x = 1;\ndie "oh ${X}"`,
    'a death with a number': `$! = 5; die "no\\n"`,
    'an error of syntax': `print 1;\nmy $x = ;\n`,
    strictness: `use strict;\n$x = 1;`,
    'a return': `print "a ${X}\\n";\nreturn 1;\n`,
    'a library': `use lib '${X}/lib'; print "$INC[0]\\n"`,
    'lexical variables': `my $p = "${X}"; { my $p = 1; } sub f { $p } print f(), "\\n"`,
    'UTF-8': `use utf8; my $s = '\xc3\xa9 ${X}'; print length($s) - length('${X}'), "\\n"; no utf8; print "\xc3\xa9\\n"`,
    'its own children': `my $pid = fork; if (!$pid) { exit 4 } wait; print $? >> 8, ' ', wait, "\\n"; system 'echo', '${X}'`,
    'no descriptor is left open': `opendir my $d, '/proc/self/fd'; print join ' ', sort grep { /\\d/ && $_ ne fileno $d } readdir $d`,
    'the environment': `print map { "$_=$ENV{$_}\\n" } grep { !/^_$/ } sort keys %ENV`,
    'a list of words': `print join '|', qw(${X}/a b ${X})`,
  }
  test.each(Object.keys(CODES))('%s', key => {
    const { before, after } = compare(`#!${X.replace('x-1', 'perl-5')}/bin/perl\n${CODES[key]}`)
    expect(after).toEqual(before)
  })

  test('its arguments', () => {
    const words = ['a b', '', '-w', '--', "'", 'e\xe9']
    const { before, after } = compare(`print join('|', scalar @ARGV, @ARGV, '${X}')`, 'plain', null, words)
    expect(after).toEqual(before)
  })

  test.each(['-w', '-T', '-wT', '-w -T', '-l', '-Mstrict'])('its flags: %s', flags => {
    const code = `#!/x/bin/perl ${flags}\nprint "\${^TAINT} $^W ${X}"; my $u; my $v = "a$u"; eval { $x = 1; system $ENV{PATH} if \${^TAINT} }; print $@`
    const { before, after } = compare(code, 'plain', flags)
    expect(after).toEqual(before)
  })

  test('its flags of a loop', () => {
    const input = lab.write(`${lab.directory()}/input`, 'a\nb\n')
    const { before, after } = compare(`#!/x/bin/perl -n\nprint "${X} $_"`, 'plain', '-n', [input])
    expect(after).toEqual(before)
  })

  test('a text of a megabyte', () => {
    const { before, after } = compare(
      `print "${X}\\n";\n${`# ${X}\n`.repeat(20_000)}print __LINE__, <DATA>;\n__END__\n${X}`,
    )
    expect(after).toEqual(before)
  })

  test('characters set by the environment change nothing', () => {
    const { root, command } = bundle(`print "${X} \xc3\xa9 @ARGV"`, 'latin \xe9')
    const env = { ...process.env, PERL_UNICODE: 'SDA' }
    const done = run([...command, 'a'], { env })
    expect(done.status).toBe(0)
    expect(root).toContain('\xe9')
  })
})

describe('the root may be named', () => {
  test.each(NAMES)('%j', name => {
    const code = `open my $f, '<', '${X}/data' or die "no: $!"; print <$f>; system 'cat', "${X}/data"; my @w = qw(${X}/data); print scalar @w, -e $w[0] ? 1 : 0, "$0\\n"`
    const { root, command } = bundle(code, name)
    lab.write(`${root}/pkg/x-1/data`, 'data\n')
    expect(run(command)).toEqual({ status: 0, err: '', out: `data\ndata\n11${root}/${PLACE}\n` })
  })
})

test('a plain way to the root, as the launcher tells it, is what stands in the text', () => {
  const { root, command } = bundle(`print "${X} $0"`, 'with blank')
  const way = `${lab.directory()}/way`
  symlinkSync(root, way)
  const told = command.map((word, i) => (i === command.indexOf('--') + 1 ? way : word))
  expect(run(told)).toEqual({ status: 0, err: '', out: `${way}/pkg/x-1 ${root}/${PLACE}` })
})

test('where there is no memory to write to, a pipe serves, and the script has no child it does not know', () => {
  const text = `print "${X}\\n", wait, <DATA>;\n${'# comment\n'.repeat(20_000)}\n__END__\nb ${X}\n`
  const { root, command } = bundle(text)
  const boot = command.map(word => word.replace('62 => 319, 183 => 279, 243 => 279', ''))
  expect(boot).not.toEqual(command)
  expect(run(boot)).toEqual({ status: 0, err: '', out: `${root}/pkg/x-1\n-1b ${root}/pkg/x-1\n` })
})

test('a text that is not there: it says so, with status 127', () => {
  const { root, command } = bundle('print 1')
  run(['rm', `${root}/${PLACE}`])
  const done = run(command)
  expect(done.status).toBe(127)
  expect(done.err).toMatch(/^\/.*bin-text\/script: cannot read /)
})

test('at the root of the file system, paths begin with a slash', () => {
  const template = throughPerl(launch(LAUNCHER, PLACE), inRoot(PERL), [['-w']])
  const words = template.before.map(parts => parts.map(part => (typeof part === 'string' ? part : '')).join(''))
  expect(words.slice(2)).toEqual(['--', '', `/${PERL}`, `/${PLACE}`, `/${PLACE}`, '1', '-w'])
})

describe('on disk', () => {
  const edited = (text: string): string => spliced(text, editPerl(text, PLACE, sitesOf(text)).splices)

  test('nothing changes its length, and the first line is blanked', () => {
    const text = `#!${X}/bin/perl -w\n"${X}/a"; '${ABSENT}'; '${store('twin-1')}'\n`
    const done = editPerl(text, PLACE, sitesOf(text))
    expect(done.outcomes).toEqual(['blanked', 'templated', 'blanked', 'templated'])
    expect(edited(text)).toBe(
      `#!/var/empty/${'e'.repeat(32)}-x-1/bin/perl -w\n"/var/empty/${'o'.repeat(32)}-x-1/a"; '${BLANK_ABSENT}'; '/var/empty/${'o'.repeat(29)}6~2-twin-1'\n`,
    )
    expect(edited(text)).toHaveLength(text.length)
  })

  test('a place that is not named after the package is refused', () => {
    const text = `"${X}"`
    const done = editPerl(text, PLACE, [{ offset: 1, length: X.length, to: at('lib/x') }])
    expect(done.refusals).toEqual([{ offset: 1, reason: 'name' }])
  })
})
