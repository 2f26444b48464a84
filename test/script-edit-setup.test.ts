/** An edited shell script finds its bundle, wherever and however it is started, and runs with the bundle's interpreter. */
import { chmodSync, mkdirSync, symlinkSync } from 'node:fs'
import { type ParsedScript, parse } from 'unbash'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { editShell, type Polyglot, sourcedNames } from '../src/script/shell-edit.ts'
import { ParsedShell } from '../src/script/shell-parsed.ts'
import { at, bytes, NAMES, run, ScriptLab, SHELL_NAMES, shell, sitesOf, X } from './support/script-lab.ts'

const lab = new ScriptLab()
afterAll(() => lab.close())

const PLACE = 'pkg/script-1/bin/script'
function put(root: string, place: string, text: string, polyglot: Polyglot | null = null): string {
  return lab.place(root, place, text, editShell(text, at(place), sitesOf(text), polyglot))
}
const link = (target: string, path: string): string => {
  mkdirSync(bytes(path.slice(0, path.lastIndexOf('/'))), { recursive: true })
  symlinkSync(bytes(target), bytes(path))
  return path
}
const NAME = "root of 'it' \n"

describe.each(SHELL_NAMES)('in %s', name => {
  const sh = shell(name)
  let root: string
  beforeAll(() => {
    root = lab.directory(NAME)
    put(root, PLACE, `#!/bin/sh\nset -eu\necho ${X} "$#" "$*"\n`)
    link('../pkg/script-1/bin/script', `${root}/bin/linked`)
  })
  const right = { status: 0, out: '', err: '' }
  const expected = (): object => ({ ...right, out: `${root}/pkg/x-1 2 a b c\n` })

  test('by its path', () => {
    expect(run([...sh, `${root}/${PLACE}`, 'a', 'b c'])).toEqual(expected())
  })

  test('by a relative path', () => {
    expect(run([...sh, '../bin/script', 'a', 'b c'], { cwd: `${root}/pkg/script-1/bin` })).toEqual(expected())
  })

  test('by a name without a slash', () => {
    expect(run([...sh, 'script', 'a', 'b c'], { cwd: `${root}/pkg/script-1/bin` })).toEqual(expected())
  })

  test('by a link of the bundle, without any tool', () => {
    const script = [...sh, 'linked', 'a', 'b c']
    // mksh has no printf of its own.
    const PATH = name === 'mksh' ? '/bin:/usr/bin' : '/none'
    const done = run(['/usr/bin/env', `PATH=${PATH}`, `/usr/bin/${script[0]}`, ...script.slice(1)], {
      cwd: `${root}/bin`,
    })
    expect(done).toEqual(expected())
  })

  test('by links from outside, one of them relative', () => {
    const outside = lab.directory()
    link(`${root}/bin/linked`, `${outside}/a/one`)
    link('../a/one', `${outside}/b/two`)
    expect(run([...sh, `${outside}/b/two`, 'a', 'b c'])).toEqual(expected())
  })

  test('under flags of its own', () => {
    expect(run([...sh, '-eu', `${root}/${PLACE}`, 'a', 'b c'])).toEqual(expected())
  })

  test('what it sources is found, and the options and arguments stay', () => {
    const lib = lab.directory()
    put(lib, 'pkg/lib-1/lib/common', `value=${X}/lib\ncount=$#\n`)
    put(lib, PLACE, `#!/bin/sh\nset -eu\n. ${X.replace('x-1', 'lib-1')}/lib/common\necho "$value" "$count" "$*" $-`)
    const plain = run([...sh, lab.write(`${lab.directory()}/plain`, 'set -eu; echo $-')])
    const done = run([...sh, `${lib}/${PLACE}`, 'a', 'b'])
    expect(done).toEqual({ ...right, out: `${lib}/pkg/x-1/lib 2 a b ${plain.out}` })
  })

  test('$? is what it was when the file is sourced', () => {
    const lib = lab.directory()
    put(lib, 'pkg/lib-1/lib/common', `echo "$?" ${X}\n`)
    put(
      lib,
      PLACE,
      `#!/bin/sh\nset -e\nf() { return "$1"; }\nfor s in 0 3; do f $s || . ${X.replace('x-1', 'lib-1')}/lib/common; done`,
    )
    expect(run([...sh, `${lib}/${PLACE}`])).toEqual({ ...right, out: `3 ${lib}/pkg/x-1\n` })
  })

  test('nothing is exported', () => {
    const lib = lab.directory()
    put(lib, PLACE, `#!/bin/sh\n: ${X}\nenv\n`)
    const plain = run([...sh, lab.write(`${lab.directory()}/plain`, '#!/bin/sh\n: x\nenv\n')])
    const names = (text: string): string[] => [...text.matchAll(/^(\w+)=/gm)].map(m => m[1] ?? '').sort()
    expect(names(run([...sh, `${lib}/${PLACE}`]).out)).toEqual(names(plain.out))
  })

  test('outside of a bundle it says so, with status 127', () => {
    const lost = lab.directory()
    put(lost, 'elsewhere/script', `#!/bin/sh\necho ${X}\n`)
    const moved = lab.write(`${lab.directory()}/script`, run(['cat', `${lost}/elsewhere/script`]).out)
    const done = run([...sh, moved])
    expect(done.out).toBe('')
    expect(done.err).toMatch(/^.*cannot find its bundle.*\n/)
    expect(done.status).toBe(127)
  })
})

test.each(NAMES)('the root may be named %j', name => {
  const root = lab.directory(name)
  put(root, PLACE, `#!/bin/sh\nprintf '%s\\n' ${X}\n`)
  for (const sh of SHELL_NAMES)
    expect(run([...shell(sh), `${root}/${PLACE}`])).toEqual({ status: 0, out: `${root}/pkg/x-1\n`, err: '' })
})

describe.each(SHELL_NAMES)('in %s, a root with a blank', name => {
  const RUN = [...shell(name)]
  const LIB = X.replace('x-1', 'lib-1')
  test('called by a way that is plain, that is the root: also of what is sourced, without quotes', () => {
    const root = lab.directory('with blank')
    const way = link(root, `${lab.directory()}/way`)
    put(root, 'pkg/lib-1/lib/common', `prefix=${X}\n`)
    put(root, PLACE, `#!/bin/sh\nset -eu\nlib=${LIB}\n. $lib/lib/common\necho $lib $prefix "$0"\n`)
    link('../pkg/script-1', `${root}/p/0-script-1`)
    for (const place of [PLACE, '/p/0-script-1//bin/script']) {
      const called = `${way}/${place}`
      expect(run([...RUN, called])).toEqual({ status: 0, out: `${way}/pkg/lib-1 ${way}/pkg/x-1 ${called}\n`, err: '' })
    }
  })

  test('else it is what it was: by its own path, by a way with a blank, by a link to the file, by a relative path', () => {
    const root = lab.directory('with blank')
    put(root, PLACE, `#!/bin/sh\necho ${X}\n`)
    const other = link(root, `${lab.directory('another blank')}/way`)
    const file = link(`${root}/${PLACE}`, `${lab.directory()}/file`)
    const said = { status: 0, out: `${root}/pkg/x-1\n`, err: '' }
    for (const called of [`${root}/${PLACE}`, `${other}/${PLACE}`, file]) expect(run([...RUN, called])).toEqual(said)
    const way = link(root, `${lab.directory()}/way`)
    expect(run([...RUN, `./${PLACE}`], { cwd: way })).toEqual(said)
  })

  test('a way to another bundle of the same layout is none', () => {
    const [root, other] = [lab.directory('with blank'), lab.directory('way')]
    for (const at of [root, other]) put(at, PLACE, `#!/bin/sh\necho ${X}\n`)
    link(`${root}/pkg/script-1`, `${other}/pkg/linked`)
    expect(run([...RUN, `${other}/pkg/linked/bin/script`]).out).toBe(`${root}/pkg/x-1\n`)
  })
})

describe('lines', () => {
  test.each([
    ['code', `#!/bin/bash\necho ${X} $LINENO\necho $LINENO`, '2\n3\n'],
    ['a comment', `#!/bin/bash\n#comment\necho ${X} $LINENO`, '3\n'],
    ['a blank line', `#!/bin/bash\n\necho ${X} $LINENO`, '3\n'],
    ['more of a command', `#!/bin/bash\necho \\\n  ${X} $LINENO\necho $LINENO`, '3\n4\n'],
    ['a function', `#!/bin/bash\nf() {\necho ${X} $LINENO\n}; f`, '3\n'],
    ['code without a first line', `echo ${X} $LINENO\necho $LINENO`, '1\n2\n'],
  ])('stay where they are: %s', (_, text, numbers) => {
    const root = lab.directory()
    const done = run(['bash', put(root, PLACE, text)])
    expect(done).toEqual({ status: 0, err: '', out: `${root}/pkg/x-1 ${numbers}` })
  })

  test('nothing is put into a text without a path of the bundle', () => {
    const text = '#!/bin/bash\necho a\n'
    expect(editShell(text, at(PLACE), [], null).splices).toEqual([])
  })
})

test('in bash, $_ is what it was', () => {
  const root = lab.directory()
  put(root, 'pkg/lib-1/lib/common', `echo "$_" ${X}\n`)
  const main = lab.write(`${lab.directory()}/main`, `: first last\n. '${root}/pkg/lib-1/lib/common'\n`)
  const plain = lab.write(`${lab.directory()}/plain`, `echo "$_" ${root}/pkg/x-1\n`)
  const expected = run(['bash', lab.write(`${lab.directory()}/main`, `: first last\n. '${plain}'\n`)])
  expect(run(['bash', main]).out.replace(/^\S+/, '')).toBe(expected.out.replace(/^\S+/, ''))
})

test('sourced from a script that is in no bundle, with a cd of its own', () => {
  const root = lab.directory(NAME)
  put(root, 'pkg/lib-1/lib/common', `value=${X}\n`)
  const main = lab.write(`${lab.directory()}/main`, `cd() { echo no; }; CDPATH=/usr\n. "$1"\necho "$value"\n`)
  expect(run(['bash', main, `${root}/pkg/lib-1/lib/common`]).out).toBe(`${root}/pkg/x-1\n`)
})

test('a shell that sources a file outside of its bundle goes on', () => {
  const lost = lab.directory()
  put(lost, 'elsewhere/common', `echo ${X}\n`)
  const moved = lab.write(`${lab.directory()}/common`, run(['cat', `${lost}/elsewhere/common`]).out)
  const main = lab.write(`${lab.directory()}/main`, `. '${moved}'\necho "$?"\n`)
  expect(run(['bash', main]).out).toBe('127\n')
})

// ---- Polyglots ---------------------------------------------------------------------------------------------------

describe('a polyglot', () => {
  const BUNDLED = 'pkg/bash-5/bin/bash'
  const polyglot = (argument: string | null = null): Polyglot => ({
    interpreter: at(BUNDLED),
    flags: argument === null ? [] : [[argument]],
  })
  /** A bundle with an interpreter that says so. */
  function bundle(interpreter = 'bash'): string {
    const root = lab.directory(NAME)
    link(`/usr/bin/${interpreter}`, `${root}/${BUNDLED}`)
    return root
  }
  const TEXT = `#!${X}/bin/bash -e
# comment
echo "$0" "\${BASH_SOURCE[0]}" "\${BASH}" "$#" "$*" $-
a=(1 ${X} 3); [[ \${a[1]} = ${X} ]] && printf '%s\\n' "\${a[@]}"
`

  test('its first line and its statement', () => {
    const done = editShell(TEXT, at(PLACE), sitesOf(TEXT), polyglot())
    expect(done.splices[0]).toEqual({ offset: 0, length: TEXT.indexOf('\n'), text: '#!/bin/sh' })
    expect(done.outcomes).toEqual(['templated', 'templated', 'templated'])
  })

  describe.each([...SHELL_NAMES, 'kernel'])('started by %s', name => {
    const sh = name === 'kernel' ? [] : shell(name)

    test('runs with the bundled interpreter, once', () => {
      const root = bundle()
      const script = put(root, PLACE, TEXT, polyglot('-e'))
      const done = run([...sh, script, 'a', 'b c'])
      expect(done.err).toBe('')
      const [first] = done.out.split('\n1\n')
      expect(first).toBe(`${script} ${script} ${root}/${BUNDLED} 2 a b c ehB`)
      expect(done.out.split('\n1\n')[1]).toBe(`${root}/pkg/x-1\n3\n`)
    })

    test('by a link under another name it keeps that name', () => {
      const root = bundle()
      put(root, PLACE, '#!/x/bash\necho "$0"\n', polyglot())
      const other = link('script', `${root}/pkg/script-1/bin/other`)
      expect(run([...sh, other])).toEqual({ status: 0, out: `${other}\n`, err: '' })
    })

    test('by a link of the bundle it is told its place in its package', () => {
      const root = bundle()
      const script = put(root, PLACE, '#!/x/bash\necho "$0"\n', polyglot())
      const linked = link('../pkg/script-1/bin/script', `${root}/bin/script`)
      expect(run([...sh, linked])).toEqual({ status: 0, out: `${script}\n`, err: '' })
    })

    test('other interpreters than bash do not start it again and again', () => {
      for (const interpreter of ['dash', 'mksh', 'busybox']) {
        const root = lab.directory()
        if (interpreter === 'busybox') {
          lab.write(`${root}/${BUNDLED}`, '#!/bin/sh\nexec busybox sh "$@"\n')
          chmodSync(`${root}/${BUNDLED}`, 0o755)
        } else link(`/usr/bin/${interpreter}`, `${root}/${BUNDLED}`)
        const script = put(root, PLACE, '#!/x/sh\necho "$0" "$@"\n', polyglot())
        expect(run([...sh, script, 'a', ''])).toEqual({ status: 0, out: `${script} a \n`, err: '' })
      }
    })
  })

  test.each(SHELL_NAMES)('sourced in %s, it is only read', name => {
    const root = bundle()
    put(root, 'pkg/lib-1/bin/both', `#!/x/bash\nvalue=${X}; count=$#\n`, polyglot())
    put(root, PLACE, `#!/bin/sh\n. ${X.replace('x-1', 'lib-1')}/bin/both\necho "$value" "$count" "$*"\n`)
    const done = run([...shell(name), `${root}/${PLACE}`, 'a', 'b'])
    expect(done).toEqual({ status: 0, out: `${root}/pkg/x-1 2 a b\n`, err: '' })
  })

  test('started by the bundled interpreter it does not start again', () => {
    const root = bundle()
    const script = put(root, PLACE, '#!/x/bash -e\necho $-\n', polyglot('-e'))
    expect(run([`${root}/${BUNDLED}`, script]).out).toBe('hB\n')
  })

  test('its environment and exit code are its own', () => {
    const root = bundle()
    const script = put(root, PLACE, '#!/x/bash\nenv | sort\nexit 7\n', polyglot())
    const plain = lab.write(`${lab.directory()}/plain`, '#!/bin/sh\nexec bash "$0-2"\n')
    lab.write(`${plain}-2`, 'env | sort\nexit 7\n')
    const env = { A: 'a b', PATH: '/usr/bin:/bin' }
    const strip = (text: string): string => text.replace(/^_=.*\n/m, '')
    const [done, expected] = [run([script], { env }), run([plain], { env })]
    expect(strip(done.out)).toBe(strip(expected.out))
    expect(done.status).toBe(7)
  })

  test.each([
    ['what every shell reads stays on its line', `set -eu; a="$(echo b)" c=\${d:-e}`, false],
    ['an array gets a line of its own', 'a=(1 2)', true],
    ['a function gets a line of its own', 'f() {\n[[ a ]]\n}', true],
    ['a comment stays', '# (', false],
    ['a test gets a line of its own', '[[ a == a ]] &&\ntrue', true],
  ])('%s', (_, second, moves) => {
    const root = bundle()
    const text = `#!/x/bash\n${second}\necho done $LINENO\n`
    const script = put(root, PLACE, text, polyglot())
    const line = second.split('\n').length + 2 + (moves ? 1 : 0)
    for (const name of SHELL_NAMES)
      expect(run([...shell(name), script])).toEqual({ status: 0, out: `done ${line}\n`, err: '' })
  })

  test('a text that cannot be parsed still gets its interpreter', () => {
    const root = bundle()
    const script = put(root, PLACE, `#!/x/bash\n# a\necho ok; exit\n${X} ((\n`, polyglot())
    expect(run([script]).out).toBe('ok\n')
  })

  test('a text that ends with its first line, and one that has none', () => {
    const root = bundle()
    expect(run([put(root, PLACE, '#!/x/bash', polyglot())]).status).toBe(0)
    expect(run([put(root, PLACE, 'echo "$BASH"', polyglot())]).out).toBe(`${root}/${BUNDLED}\n`)
  })
})

describe('what a text sources', () => {
  test.each([
    ['. name', ['name']],
    ['source "$dir/name"', ['name']],
    ['. "$(git --exec-path)/git-sh-setup"', ['git-sh-setup']],
    ['if x; then f() { . \'a b/c d\'; }; fi; . ./e.sh "$@"', ['c d', 'e.sh']],
    [`. \${lib:-/x/y.sh}; . "\${lib:-/x/z.sh}"`, ['y.sh', 'z.sh']],
    ['command . a; builtin source -- b/c', ['a', 'c']],
    ['. "$x/$y"; . "$x"; . $(z); . "$x-$y"', []],
    ['. "$x/a$y"; . "$x/a-"b', ['a-b']],
    ['echo . a; x=. b; # . c', []],
    ['x=$(. a/b; echo `. c/d`)', ['b', 'd']],
    ['. ./a/b; if (', ['b']],
    ['[ -r /e/f ] && . /e/f', ['f']],
    ['. -- "a"; source -- b; .\\\n c; . d\\\ne', ['a', 'b', 'c', 'de']],
    ['. 2>/dev/null a/b; source </dev/null c', ['b', 'c']],
    [`echo "\${x:-$(. a/b)}" \${ . c/d; }; y=(<(source e)); echo "a . b"`, ['b', 'd', 'e']],
  ])('%j', (text, names) => {
    expect(sourcedNames(text)).toEqual(names)
    for (const name of names) expect(sourcedNames(text, n => n === name)).toContain(name)
  })

  test('a text that cannot source what is known is not parsed', () => {
    const parsed: string[] = []
    const names = (text: string): string[] =>
      sourcedNames(
        text,
        name => name === 'known',
        text => {
          parsed.push(text)
          return parse(text)
        },
      )
    expect(names('# source ~/.other\n[ "$x" = "." ] && echo known')).toEqual([])
    expect(parsed).toEqual([])
    expect(names('. /a/known')).toEqual(['known'])
    expect(names('. "$x"; echo . known')).toEqual([])
    expect(parsed).toEqual(['. /a/known', '. "$x"; echo . known'])
  })

  test('what was parsed to know it is edited as what is parsed anew', () => {
    const text = `#!${X}/bin/sh\n. "${X}/a"; b=\`. ${X}/c\`; eval "echo '${X}'"; cat <<'E'\n${X}\nE\n`
    const shell = new ParsedShell()
    sourcedNames(text, undefined, text => shell.keep(text))
    const start = { interpreter: at('pkg/sh/bin/sh'), flags: [] }
    const edit = (parsed?: () => ParsedScript) => editShell(text, at(PLACE), sitesOf(text), start, parsed)
    expect(edit(() => shell.take(text))).toEqual(edit())
  })

  test('a script whose only path is in its first line is not parsed', () => {
    const start = { interpreter: at('pkg/sh/bin/sh'), flags: [] }
    const place = at('pkg/a/.bin-text/x')
    const edit = (text: string, parsed?: () => ParsedScript) => editShell(text, place, sitesOf(text), start, parsed)
    const never = (): never => {
      throw new Error('parsed')
    }
    for (const line of ['', '# a comment', '\t#'])
      expect(edit(`#!${X}/bin/sh\n${line}\nf() { echo; }\n`, never).outcomes).toEqual(['templated'])
    for (const text of ['f() {\n}', `\n${X}`, '\nexec -a "$0" sh']) {
      const whole = `#!${X}/bin/sh\n${text}\n`
      expect(() => edit(whole, never)).toThrow('parsed')
      expect(edit(whole, () => parse(whole))).toEqual(edit(whole))
    }
  })

  test('what is parsed is kept once, and no more than a bound', () => {
    const shell = new ParsedShell()
    const first = shell.keep('. a')
    expect(shell.keep('. a')).toBe(first)
    expect(shell.take('. a')).toBe(first)
    expect(shell.take('. a')).not.toBe(first)
    const long = `. a # ${'x'.repeat(1 << 20)}`
    expect(shell.keep(long)).not.toBe(shell.keep(long))
  })
})
