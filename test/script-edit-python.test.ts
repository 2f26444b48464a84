/** Edited Python does what it did, with the bundle's paths. */
import { afterAll, describe, expect, test } from 'vitest'
import { spliced } from '../src/script/edit.ts'
import { editPython } from '../src/script/python-edit.ts'
import { ABSENT, at, NAMES, run, ScriptLab, sitesOf, store, X } from './support/script-lab.ts'

const lab = new ScriptLab()
// `python3` may be a script that chooses one, which takes longer than Python itself.
const PYTHON = run(['python3', '-c', 'import sys; print(sys.executable)']).out.trim()
afterAll(() => lab.close())

const PLACE = 'pkg/script-1/bin/script'
const edit = (text: string) => editPython(text, at(PLACE), sitesOf(text))
const edited = (text: string): string => spliced(text, edit(text).splices)
const ROOT = lab.directory(`a 'b' "c" %s %d {} {0} {x} \\n \\\\ \n g`)
const BLANK = `/var/empty/${'e'.repeat(32)}-x-1`

/** What a program prints before and after, with the store paths of the first mapped to the bundle. */
function compare(code: string, root = ROOT): { before: string; after: string } {
  const original = run([PYTHON, '-W', 'ignore', lab.write(`${lab.directory()}/script`, code)])
  const done = run([PYTHON, '-W', 'ignore', lab.place(root, PLACE, code, edit(code))])
  // What is printed with repr() is compared as such.
  const mapped = original.out.replaceAll(X, `${root}/pkg/x-1`).replaceAll(store('twin-1'), `${root}/pkg/twin-1~2`)
  return { before: `${mapped}${original.err}${original.status}`, after: `${done.out}${done.err}${done.status}` }
}

const CODES: Readonly<Record<string, string>> = {
  'quotes of all kinds': `print('${X}/a', "${X}/b", '''${X}\n/c''', """d ${X}""", 'a"${X}', "it's ${X}")`,
  prefixes: `print(r'${X}\\d', R"""${X}""", u'${X}', f'${X}', rf"\\w{1}${X}", b'${X}'.decode('latin-1'), Rb"${X}\\x".decode('latin-1'))`,
  'several in one literal': `print('${X}/a:${X}/b:${store('twin-1')}')`,
  'escapes around it': `print('a\\t${X}\\n', '\\\\${X}', "\\"${X}\\"", 'a\\\n${X}', '\\x41${X}', '\\N{BULLET}${X}')`,
  'a backslash before it': `print('\\${X}', r'\\${X}', r'\\\\${X}', rb'\\${X}'.decode('latin-1'))`,
  'quotes before it in three quotes': `print("""say "${X}" and ""${X}""", '''it's '${X}''', r"""\\"${X}""", """\\"${X}""", """\\""${X}""")`,
  'f-strings': `x = 'v'; print(f'{x}${X}/{x!r:>5}{{}}{x}', f"{x + f'{x}'}${X}", f'''{x:{'>'}{5}}${X}''', f'{x=}${X}', f'{ {"a": 1}["a"]}${X}', f'{x!=1}${X}', f'{(lambda: x)()}${X}')`,
  'the braces of f-strings': `x = 1; print(f"{'${X}'}", f'{x}{"${X}/a"!s:>3}${X}' 'b', f"""{r'a${X}' if x else ''}""", f"{len('${X}') * 0}")\nclass A: b = f"{['${X}'][0]}"\nprint(A.b, (lambda: f"{'${X}'}")())`,
  neighbours: `x = 1; print('a' '${X}' "b" r'\\c' f'{x}', ('a'\n  # comment\n  '${X}'\n  'b'), 'a' \\\n '${X}' \\\n 'b')`,
  'neighbours of bytes': `print((b'a' b'${X}' rb'\\b').decode('latin-1'))`,
  'a method of it': `print('${X}/a'.upper().lower() == '${X}/a'.lower(), "a" '${X}'.count('nix') < 2, '${X}/a'[-2:])`,
  'an operator beside it': `print('${X}' + 'a' * 2, *('${X}',) * 2, '${X}' 'a' * 2, not '${X}', '${X}' if 1else'${X}', 'a' in'${X}')`,
  formats: `print('${X}/%s' % 1, ('${X}/%s' 'a') % 1, ('%s ' + '${X}') % 1, '${X}/{}'.format(1), ('${X}' '{0}').format(1), '{a}${X}'.format_map({'a': 1}), (b'${X}/%d' % 1).decode('latin-1'))`,
  'a format in three lines': `print("%s"\n  " ${X}"\n  " %s" % (1, 2))`,
  'no formats': `x = 7\nprint('a %s' % '${X}', len(['${X}']) % x, ['${X}'][0], '{}'.format('${X}'))`,
  'defaults, lambdas, comprehensions, decorators': `def d(p): return lambda f: lambda: (p, f())\n@d('${X}')\ndef f(a='${X}/a', *, b="${X}/b"):\n  return a, b\nprint(*f()[1], f()[0], *[('${X}' + str(i)) for i in range(2)], (lambda a='${X}': a)(), sep='|')`,
  'classes and slots': `class A:\n  a = '${X}/a'\n  b: str = "${X}/b"\n  def f(self, globals=None, __file__=None): return '${X}/f'\nprint(A.a, A.b, A().f())`,
  annotations: `def f(a: '${X}') -> "${X}": pass\nprint(*f.__annotations__.values())`,
  'a dictionary': `d = {'${X}': '${X}/a', **{"${X}/b": 1}}; print(*d.keys(), d['${X}'])`,
  match: `match '${X}/a':\n  case str(x) if x == '${X}/a': print('yes', '${X}')\n  case _: print('no')`,
  'names that are keywords elsewhere': `match = '${X}'; case = "${X}/a"; case2: str = '${X}'; print(match, case)\ncase: str = '${X}/b'\nprint(case)`,
  'statements on one line': `if 1: x = '${X}'; print(x)\nfor y in ['${X}']: print(y)\nz = lambda: '${X}'\nprint(z())`,
  'the root is kept': `'${X}'\nimport os; x = '${X}'; os.chdir('/'); __file__ = 'none'; print(x == '${X}', '${X}')`,
  'a byte order mark': `\xef\xbb\xbf'doc ${X}'\nprint('${X}')`,
  'code that is run as such': `exec(compile("print('" + '${X}'[:1] + "')", 'x', 'exec'))`,
}

describe('a value is what it was', () => {
  test.each(Object.keys(CODES))('%s', key => {
    const { before, after } = compare(`${CODES[key]}\n`)
    expect(after).toBe(before)
  })

  test.each(NAMES)('in a root named %j', name => {
    const code = `import os, sys\nsys.stdout.buffer.write(os.fsencode('${X}/a') + b'|${X}/b' + os.fsencode(f'|{1}${X}'))`
    const { before, after } = compare(code, lab.directory(name))
    expect(after).toBe(before)
  })
})

test('docstrings and comments are blanked, and stay what they are', () => {
  const code = `#!${X}/bin/python3
# -*- coding: latin-1 -*- ${X}
"""Module ${X}""" ;
from __future__ import annotations
def f(): 'f ${X}'
class A: # ${X}
  r"""A ${X}
  """
  y = 2
  "attribute ${X}"
def g():
  (("g "
  "${X}"))
  return __doc__, f.__doc__, A.__doc__, g.__doc__
print(*g())`
  const done = edit(code)
  expect(done.outcomes).toEqual(Array(8).fill('blanked'))
  const printed = run([PYTHON, lab.place(ROOT, PLACE, code, done)])
  expect(printed).toEqual({ status: 0, err: '', out: `Module ${BLANK} f ${BLANK} A ${BLANK}\n   g ${BLANK}\n` })
})

test('what is not in the bundle is blanked at equal length', () => {
  expect(edit(`x = '${ABSENT}/a'`).splices.map(s => s.text)).toEqual([`/var/empty/${'e'.repeat(32)}-absent-1`])
})

test.each([
  ['interpolation', `y = f"{'a' '${X}'}"`],
  ['interpolation', `y = f"{'${X}/%s' % 1}"`],
  ['interpolation', `y = f"{x:${X}}"`],
  ['interpolation', `y = f"{f'{"${X}"}'}"`],
  ['interpolation', `y = t'${X}'`],
  ['pattern', `match x:\n  case 'a' | '${X}': pass`],
  ['pattern', `match x:\n  case {'a': '${X}'}: pass`],
  ['unparsable', `x = '${X}`],
  ['unparsable', `x = ('${X}'`],
])('refused: %s, %j', (reason, code) => {
  const done = edit(`x = 1\n${code}\n`)
  expect(done.refusals.map(r => r.reason)).toEqual([reason])
  expect(done.outcomes).toEqual(['refused'])
  expect(done.splices.map(s => s.text)).toEqual([BLANK])
})

test('line numbers stay', () => {
  const code = `x = ['${X}',\n  """${X}\n""", 'a' # c\n '${X}']\n\ndef f():\n  return ('${X}'\n    '%s' % (1, 2))\nf()`
  const done = run([PYTHON, lab.place(ROOT, PLACE, code, edit(code))])
  const original = run([PYTHON, lab.write(`${lab.directory()}/script`, code)])
  const lines = (text: string): unknown[] => [...text.matchAll(/line (\d+)/g)].map(m => m[1])
  expect(lines(original.err)).toHaveLength(2)
  expect(lines(done.err)).toEqual(lines(original.err))
})

test('a module that is imported, from its compiled form too, and from elsewhere', () => {
  const root = lab.directory('a b')
  const module = `path = '${X}'\ndef later(): return '${X}/later'\n`
  lab.place(root, 'pkg/m-1/lib/m.py', module, editPython(module, at('pkg/m-1/lib/m.py'), sitesOf(module)))
  const main = lab.write(
    `${lab.directory()}/main`,
    'import m, os; os.chdir("/"); print(m.path, m.later(), m.__cached__)',
  )
  const env = { PATH: process.env.PATH, PYTHONPATH: 'lib' }
  for (let i = 0; i < 2; i++)
    expect(run([PYTHON, main], { cwd: `${root}/pkg/m-1`, env }).out).toContain(`${root}/pkg/x-1 ${root}/pkg/x-1/later`)
})

test('by a link, and as processes of multiprocessing that read the file again', () => {
  const root = lab.directory('a b')
  const code = `import multiprocessing as m
def f(n): return '${X}/%d' % n
if __name__ == '__main__':
  m.set_start_method('spawn')
  with m.Pool(1) as pool: print(pool.map(f, [1, 2]))
`
  lab.place(root, PLACE, code, edit(code))
  const linked = `${lab.directory()}/linked`
  run(['ln', '-s', `${root}/${PLACE}`, linked])
  expect(run([PYTHON, linked])).toEqual({ status: 0, err: '', out: `['${root}/pkg/x-1/1', '${root}/pkg/x-1/2']\n` })
})

test('run without __file__, as exec does, it finds its root by its code', () => {
  const code = `print('${X}')\n`
  const script = lab.place(ROOT, PLACE, code, edit(code))
  const main = lab.write(
    `${lab.directory()}/main`,
    'import sys\nexec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), {})',
  )
  expect(run([PYTHON, main, script])).toEqual({ status: 0, err: '', out: `${ROOT}/pkg/x-1\n` })
})

test('the syntax of Python 2 is read', () => {
  const code = `print "a %s" % '${X}', ur'${X}', 0777L, \`x\`\nexec "b" '${X}' in d\nraise E, '${X}'\nif a <> '${X}': pass\n`
  const done = edit(code)
  expect(done.outcomes).toEqual(Array(5).fill('templated'))
  expect(edited(code).split('\n')[3]).toMatch(/^if a <> \(''\+.*\+'\/pkg\/x-1'\): pass$/)
})

// ---- Real modules ------------------------------------------------------------------------------------------------

/** Plants paths in Python's own library, and compares the syntax trees before and after. */
test('in modules of the standard library nothing but the literals changes', () => {
  const library = run([PYTHON, '-c', 'import os; print(os.path.dirname(os.__file__))']).out.trim()
  const names = ['ast', 'configparser', 'dataclasses', 'difflib', 'optparse']
  const directory = lab.directory()
  let planted = 0
  for (const name of names) {
    const source = run(['cat', `${library}/${name}.py`]).out
    // Behind an opening quote.
    const text = source.replace(/(?<=[=(,[ ](?:[rbuf]|rb|br)?)(?:'''|"""|['"])(?=[A-Za-z%{<])/g, quote =>
      ++planted % 3 === 0 ? `${quote}${X}/` : quote,
    )
    const done = edit(text)
    const kept = done.splices.filter(s => s.text === BLANK)
    lab.write(`${directory}/${name}.before`, spliced(text, kept))
    lab.write(`${directory}/${name}.after`, spliced(text, done.splices))
  }
  const done = run([
    'python3',
    'test/support/script-tree.py',
    directory,
    X,
    ROOT.length === 0 ? '' : String(PLACE.split('/').length),
  ])
  expect(done).toEqual({ status: 0, err: '', out: `${names.length} same\n` })
})

describe('lines without store paths', () => {
  const OTHERS = Object.values(CODES).map(code => code.replaceAll('/nix/store/', '/nix-store/'))

  test('are gone through and change nothing', () => {
    const line = `print('${X}')\n`
    const alone = edit(line)
    for (const other of OTHERS) {
      const before = other.startsWith('\xef\xbb\xbf') ? 'pass\n' : `${other}\n`
      const { splices, outcomes } = edit(`${before}${line}${before}`)
      expect(outcomes).toEqual(alone.outcomes)
      expect(splices).toEqual(alone.splices.map(s => ({ ...s, offset: s.offset + before.length })))
    }
  })

  test('have to be understood', () => {
    for (const other of ['x = (1]', 'x = )', "y = 'a", 'y = """a', '{', 'f"{a"', "f'''{'", "rb'\\'"]) {
      expect(edit(`x = '${X}'\n${other}\n`).outcomes).toEqual(['refused'])
      expect(edit(`${other}\nx = '${X}'\n`).outcomes).toEqual(['refused'])
    }
    for (const other of ['x = (\n)', "y = 'a\\\nb'", "y = ''''a' '''", '# (', 'a\\\n"b"', `xf"{" rb'\\'' f"{'}'}"`])
      expect(edit(`${other}\nx = '${X}'\n`).outcomes).toEqual(['templated'])
  })
})
