/** Texts that /bin/sh starts and another interpreter reads: both see what they would have seen of the original. */
import { mkdirSync, symlinkSync } from 'node:fs'
import { afterAll, describe, expect, test } from 'vitest'
import { refuseAll, spliced, type TextEdit } from '../src/script/edit.ts'
import { languageOf } from '../src/script/language.ts'
import { parseScript } from '../src/script/parse.ts'
import { editPerl, moduleFlags } from '../src/script/perl-edit.ts'
import { canBePolyglot, withStart } from '../src/script/polyglot.ts'
import { editPth, isPathsOnly } from '../src/script/pth-edit.ts'
import { editPython } from '../src/script/python-edit.ts'
import { interpreterName, startedBy } from '../src/script/shebang.ts'
import { editShell } from '../src/script/shell-edit.ts'
import { at, bytes, NAMES, run, ScriptLab, SHELL_NAMES, shell, sitesOf, X } from './support/script-lab.ts'

const lab = new ScriptLab()
afterAll(() => lab.close())

const BLANK_X = `/var/empty/${'e'.repeat(32)}-x-1`
const PLACE = at('pkg/script-1/libexec/tool')

const INTERPRETERS: Readonly<Record<string, string>> = {
  python: '/usr/bin/python3',
  perl: '/usr/bin/perl',
  node: process.execPath,
  sed: '/usr/bin/sed',
  awk: '/usr/bin/mawk',
  gawk: '/usr/bin/gawk',
}

function edit(name: string, text: string, flags: readonly string[]): TextEdit {
  const sites = sitesOf(text)
  const edits =
    name === 'python' ? editPython(text, PLACE, sites) : name === 'perl' ? editPerl(text, PLACE, sites) : null
  const polyglot = { interpreter: at('pkg/i-1/bin/i'), flags: flags.map(flag => [flag]) }
  return withStart(text, PLACE, sites, edits ?? refuseAll(text, sites, 'unparsable'), name, polyglot)
}

/** A bundle with the script and its interpreter. */
function bundle(name: string, text: string, { flags = [] as readonly string[], directory = 'plain' } = {}) {
  const root = lab.directory(directory)
  mkdirSync(bytes(`${root}/pkg/i-1/bin`), { recursive: true })
  lab.write(`${root}/pkg/i-1/bin/i`, `#!/bin/sh\nexec ${INTERPRETERS[name]} "$@"\n`)
  return { root, script: lab.place(root, PLACE, text, edit(name, text, flags)) }
}

const SCRIPTS: Readonly<Record<string, readonly [name: string, text: string]>> = {
  'Python with a docstring and an import from the future': [
    'python',
    `#!${X}/bin/python3\n"""the docstring"""\nfrom __future__ import annotations\nimport sys\nprint(__doc__, sys.argv, __file__, '${X}/share')\n`,
  ],
  'Python with an encoding in its second line': [
    'python',
    `#!${X}/bin/python3\n# -*- coding: latin-1 -*-\nimport sys; print(ascii('\xe9'), sys.argv, sys._getframe().f_lineno)\n`,
  ],
  'Perl under flags': [
    'perl',
    `#!${X}/bin/perl -w\nuse strict;\nprint "$0 @ARGV ", __LINE__, " $^W\\n"; warn 'here'\n`,
  ],
  'Perl with paths': [
    'perl',
    `#!${X}/bin/perl\n\nprint "$0 @ARGV ${X}/share ", __FILE__, __LINE__, "\\n"; print <DATA>\n__DATA__\n${X}\n`,
  ],
  JavaScript: [
    'node',
    `#!${X}/bin/node\n'use strict'; const { stack } = new Error()\nconsole.log(__filename, JSON.stringify(process.argv.slice(1)), (function () { return this })(), /:(\\d+):\\d+\\)/.exec(stack)[1], /:(\\d+):/.exec(new Error().stack)[1])\n`,
  ],
  'JavaScript with flags that end a comment': [
    'node',
    `#!${X}/bin/node\n/** A comment. */ console.log(__filename, JSON.stringify(process.argv.slice(2)), /:(\\d+):/.exec(new Error().stack)[1])\n`,
  ],
}

test.each(['awk', 'gawk'])('%s, whose scripts are given behind -f', name => {
  const text = `#!${X}/bin/awk -f\n\nBEGIN { print ARGC, ARGV[1], "${X}/share"; exit }\n`
  const { root, script } = bundle(name, text, { flags: ['-f'] })
  const out = `2 a b ${BLANK_X}/share\n`
  for (const sh of SHELL_NAMES) expect(run([...shell(sh), script, 'a b'])).toEqual({ status: 0, out, err: '' })
  expect(run([`${root}/pkg/i-1/bin/i`, '-f', script, 'a b'])).toEqual({ status: 0, out, err: '' })
})

test.each(['sed', 'busybox sed'])('%s', name => {
  const text = `#!${X}/bin/sed -nf\n# a comment\ns/^a$/&&/p\n`
  const { root, script } = bundle('sed', text, { flags: ['-nf'] })
  lab.write(`${root}/pkg/i-1/bin/i`, `#!/bin/sh\nexec ${name} "$@"\n`)
  const input = lab.write(`${lab.directory()}/input`, 'a\nb\n')
  for (const sh of SHELL_NAMES) expect(run([...shell(sh), script, input])).toEqual({ status: 0, out: 'aa\n', err: '' })
  expect(run([...name.split(' '), '-n', '-f', script, input])).toEqual({ status: 0, out: 'aa\n', err: '' })
})

describe.each(Object.entries(SCRIPTS))('%s', (_, [name, text]) => {
  const original = (script: string, root: string): string => {
    const before = run([
      INTERPRETERS[name]!,
      ...(text.includes('perl -w') ? ['-w'] : []),
      lab.write(`${lab.directory()}/tool`, text),
      'a',
      'b c',
    ])
    const path = /\/\S*\/tool(?=[\s'",])/.exec(before.out)?.[0]
    const told = `${before.out}${before.err}`.replaceAll(X, `${root}/pkg/x-1`)
    return path === undefined ? told : told.replaceAll(path, script)
  }
  const seen = (command: readonly string[]): string => {
    const done = run([...command, 'a', 'b c'])
    return done.out + done.err
  }
  const flags = text.includes('perl -w') ? ['-w'] : text.includes('A comment') ? ['--title=a*/b'] : []

  test('given to its interpreter', () => {
    const { root, script } = bundle(name, text, { flags })
    expect(seen([INTERPRETERS[name]!, script])).toBe(original(script, root))
  })

  test.each([...SHELL_NAMES, 'kernel'])('started by %s', sh => {
    const { root, script } = bundle(name, text, { flags })
    expect(seen([...(sh === 'kernel' ? [] : shell(sh)), script])).toBe(original(script, root))
  })

  // node knows no path that is not UTF-8.
  test.each(NAMES.filter(place => name !== 'node' || !place.includes('\xff')))('in a directory named %j', directory => {
    const { root, script } = bundle(name, text, { flags, directory })
    const done = run([script, 'a'])
    expect({ ...done, out: done.out.includes('a') }).toMatchObject({ status: 0, out: true })
    if (text.includes('/share') && name === 'python') expect(done.out).toContain(`${root}/pkg/x-1/share`)
  })
})

test('it is told the name of a link beside it, and its place in its package by a link elsewhere', () => {
  const { root, script } = bundle('perl', '#!/x/perl\nprint "$0\\n"\n')
  const other = `${root}/pkg/script-1/libexec/other`
  symlinkSync('tool', other)
  mkdirSync(`${root}/bin`)
  symlinkSync('../pkg/script-1/libexec/tool', `${root}/bin/tool`)
  symlinkSync('../pkg/script-1/libexec/tool', `${root}/bin/unknown`)
  expect(run([other]).out).toBe(`${other}\n`)
  expect(run([`${root}/bin/tool`]).out).toBe(`${script}\n`)
  expect(run([`${root}/bin/unknown`]).out).toBe(`${root}/bin/unknown\n`)
  expect(run(['./tool'], { cwd: `${root}/pkg/script-1/libexec` }).out).toBe('./tool\n')
})

test("perl's flags lie behind what the kernel reads of the first line", () => {
  const { script } = bundle('perl', `#!/x/perl -T -w\nprint "\${^TAINT} $^W\\n"\n`, { flags: ['-T', '-w'] })
  expect(run([script])).toEqual({ status: 0, out: '1 1\n', err: '' })
  expect(parseScript(bytes(run(['cat', script]).out))).toMatchObject({
    interpreter: { value: '/bin/sh' },
    argument: null,
  })
})

test('perl that cannot fill its text in says so', () => {
  const { script } = bundle('perl', `#!/x/perl -T\nprint "${X}\\n"\n`, { flags: ['-T'] })
  expect(run([script])).toMatchObject({ status: 127, out: '', err: expect.stringContaining('under -T') })
})

test('which can be: not where a path would be no comment of Python', () => {
  const names = ['python', 'perl', 'ruby', 'node', 'lua', 'tclsh', 'sed', 'awk', 'gawk', 'mawk']
  expect(names.map(name => canBePolyglot(name, name, PLACE))).not.toContain(false)
  expect(canBePolyglot('php', 'php', PLACE)).toBe(false)
  expect(canBePolyglot('awk', 'busybox', PLACE)).toBe(false)
  expect(canBePolyglot('python', 'python3', at('pkg/x/\xe9'))).toBe(false)
})

describe('what a #! line starts', () => {
  const line = (text: string) => parseScript(bytes(`#!${text}\n`))!
  test.each([
    ['/a/bash', '/a/bash', []],
    ['/a/bash -e -x', '/a/bash', ['-e -x']],
    ['/a/env -S /b/bash -e -x', '/b/bash', ['-e', '-x']],
    ['/a/env -S/b/bash', '/b/bash', []],
    ['/a/env --split-string=/b/bash -e', '/b/bash', ['-e']],
    ['/a/env -S -i A=1 /b/bash', '/a/env', ['-i', 'A=1', '/b/bash']],
    ['/a/env -S python3 -u', '/a/env', ['python3', '-u']],
    ["/a/env -S /b/bash 'a b'", '/a/env', ["-S /b/bash 'a b'"]],
    ['/a/env bash', '/a/env', ['bash']],
  ])('%s', (text, program, flags) => {
    expect(startedBy(line(text))).toEqual({ program, flags })
  })

  test('the name of the interpreter, without a version', () => {
    const names = ['/a/python3.11', '/a/env python3', '/a/env -S -i A=1 perl5.36.0 -w', '/a/env -S /b/lua5.4 -']
    expect(names.map(text => interpreterName(line(text)))).toEqual(['python', 'python', 'perl', 'lua'])
  })

  test('flags of perl with directories of modules, whatever the kernel has cut off', () => {
    const flags = Array.from({ length: 9 }, (_, i) => `-I${X}/lib/${i}`)
    expect(moduleFlags(`#!${X}/bin/perl ${flags.join(' ')} -w\nprint 1\n`)).toEqual([...flags, '-w'])
    expect(moduleFlags(`#!${X.replace('x-1', 'perl-5.36')}/bin/perl -I ${X}\n`)).toEqual(['-I', X])
    expect(moduleFlags('#!/usr/bin/perl -w\n')).toBeNull()
  })
})

describe('texts without a #! line', () => {
  test('a .pth file: lines that name directories become relative', () => {
    const text = `import sys\n${X}/lib/py\n${X}\n`
    const place = at('pkg/y/lib/python3/site-packages/x.pth')
    const edited = spliced(text, editPth(text, place, sitesOf(text)).splices)
    expect(edited).toBe('import sys\n../../../../../pkg/x-1/lib/py\n../../../../../pkg/x-1\n')
    expect([text, `import sys; sys.path.append('${X}')\n`, 'x\n'].map(isPathsOnly)).toEqual([true, false, false])
  })

  test('completions and functions of shells are known by their place', () => {
    const places = ['share/bash-completion/completions/x', 'etc/bash_completion.d/x', 'share/zsh/site-functions/_x']
    expect(places.map(place => languageOf(`${X}/${place}`, { format: 'data' }))).toEqual(['shell', 'shell', 'shell'])
    expect(languageOf(`${X}/share/x/_x`, { format: 'data' })).toBeNull()
  })

  test("zsh's first line stays the first", () => {
    const text = `#compdef x\n_files -W ${X}/share\n`
    const place = at('pkg/y/share/zsh/site-functions/_x')
    const edited = spliced(text, editShell(text, place, sitesOf(text), null).splices)
    expect(edited).toMatch(/^#compdef x\n_storefree_state=/)
    expect(edited).toContain('_files -W "$_storefree_root"/pkg/x-1/share')
  })
})
