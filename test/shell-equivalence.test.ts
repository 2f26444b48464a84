/** The shell launcher does what the native one does, under every shell that is /bin/sh somewhere. */
import { mkdirSync, symlinkSync } from 'node:fs'
import { beforeAll, describe, expect, test } from 'vitest'
import {
  CALLERS_ARGV0,
  type EnvironmentOperation,
  type LaunchTemplate,
  launch,
  type Part,
  type Template,
} from '../src/entry/launcher.ts'
import { isShellVariable, shellLauncher } from '../src/entry/shell.ts'
import type { BundlePath } from '../src/paths.ts'
import { Random } from './support/elf-tools.ts'
import { bytesOf, type Call, type Given, Laboratory } from './support/launcher.ts'

let lab: Laboratory
let root: string
beforeAll(() => {
  lab = new Laboratory()
  root = lab.root("the 'root'")
  mkdirSync(`${root}/directory`)
  return () => lab.remove()
})

const AT = 'pkg/a b/tool' as BundlePath
const PLAIN = launch(AT, 'printer' as BundlePath)

/** What each has in its `#!` line, and whether it can give a program another argv[0] than its path. */
const SHELLS = [
  { shell: 'dash', line: '/usr/bin/dash', names: false },
  { shell: 'bash as sh', line: '/usr/bin/bash --posix', names: true },
  { shell: 'bash', line: '/usr/bin/bash', names: true },
  { shell: 'busybox sh', line: '/usr/bin/busybox sh', names: true },
  { shell: 'mksh', line: '/usr/bin/mksh', names: false },
]

/** What a program gets, but for the variables that shells have for themselves and the order, which they do not keep. */
function comparable({ environment, ...rest }: Given): Given {
  const own = /^(?:PWD|OLDPWD|SHLVL|_)=/
  return { ...rest, environment: environment.filter(entry => !own.test(entry)).sort() }
}

function inShell(line: string, template: LaunchTemplate, call: Call = {}): Given {
  const text = shellLauncher(template).toString('latin1').replace('#!/bin/sh', `#!${line}`)
  return comparable(lab.given(lab.put(`${root}/${AT}`, bytesOf(text)), call))
}

const natively = (template: LaunchTemplate, call: Call = {}): Given =>
  comparable(lab.given(lab.launcher(root, template), call))

// ---- Random templates --------------------------------------------------------------------------------------------

const SEED = Number(process.env.SEED ?? 1)
const CASES = Number(process.env.CASES ?? 200)

const BYTES = Array.from({ length: 255 }, (_, i) => String.fromCharCode(i + 1)).join('')
const ELEMENTS = [
  ...[
    '',
    '',
    'a',
    'a',
    'aa',
    'b',
    'c',
    '/a',
    '/b c',
    ':',
    '::',
    "it's",
    "'",
    '"',
    '"$HOME"',
    '`id`',
    '$(id)',
    '\\',
    '\\\\',
  ],
  ...[
    '*',
    '?',
    '[!a]',
    '[a',
    ']',
    '~',
    '~root',
    '#',
    '##',
    '%',
    '%%',
    '%s',
    '&',
    ';',
    '|',
    '(',
    ')',
    '}',
    '{a,b}',
    '!',
  ],
  ...[
    '\n',
    'a\nb',
    'a\n',
    '\n\n',
    '\t',
    ' ',
    '  ',
    '\r',
    '-n',
    '-',
    '--',
    '=',
    'A=1',
    '\\n',
    '\\0',
    '$',
    '$0',
    '$@',
    '@(a)',
  ],
  ...[
    '\x01',
    '\x7f',
    '\x80',
    '\x81',
    '\x82\x83',
    '\x84\x85\x86',
    '\x87\x88',
    '\xc3',
    '\xa9',
    '\xc3\xa9',
    '\xe2\x82',
    '\xff',
  ],
  BYTES,
]
const SEPARATORS = [
  ':',
  ':',
  ':',
  ';',
  ' ',
  '',
  'a',
  '::',
  ', ',
  "'",
  '"',
  '\\',
  '*',
  '?',
  '\n',
  '\xc3',
  '\xa9',
  '%',
  '#',
  '$A',
  '}',
]
const NAMES = ['A', 'B', 'PATH', 'IFS', 'CDPATH', 'ENV', 'LANG', 'LC_ALL', 'x_1', 'HOME', 'LD_LIBRARY_PATH', 'TERM']
const RULES = ['nonempty', 'set', 'unique', 'set-unique'] as const

/** The numbers for one case, and a few words from which it is made, so that what is looked for is often there. */
class Case extends Random {
  readonly elements: readonly string[]
  readonly separators: readonly string[]
  constructor(seed: number) {
    super(seed)
    this.elements = Array.from({ length: 2 + this.below(4) }, () => this.pick(ELEMENTS))
    this.separators = Array.from({ length: 2 }, () => this.pick(SEPARATORS))
  }
}

const text = (random: Case, separator = '', limit = 4): string =>
  Array.from({ length: random.below(limit) }, () => random.pick(random.elements)).join(separator)

function template(random: Case): Template {
  const part = (): Part => (random.chance(20) ? { root: true } : random.chance(5) ? { started: true } : text(random))
  return Array.from({ length: random.below(3) }, part)
}

function change(random: Case): EnvironmentOperation<Template> {
  const name = random.pick(NAMES)
  const op = random.pick([
    'set',
    'set-default',
    'unset',
    'prefix',
    'prefix',
    'prefix',
    'suffix',
    'suffix',
    'suffix',
  ] as const)
  if (op === 'unset' && name !== 'IFS') return { op, name }
  // A shell has a value for it whatever its caller's environment says; bash loses bytes when it has \x01 or \x7f.
  if (name === 'IFS') return { op: 'set', name, value: [text(random).replace(/[\x01\x7f]/g, '')] }
  if (op === 'set') return { op, name, value: template(random) }
  if (op === 'set-default') return { op, name, value: template(random) }
  const separator = random.pick(random.separators)
  return {
    op,
    name,
    separator,
    value: random.chance(70) ? [text(random, separator, 3)] : template(random),
    rule: random.pick(RULES),
  }
}

const several = <T>(random: Case, limit: number, make: (random: Case) => T): T[] =>
  Array.from({ length: random.below(limit) }, () => make(random))

const launcher = (random: Case): LaunchTemplate => ({
  ...PLAIN,
  argv0: random.chance(50) ? CALLERS_ARGV0 : random.chance(30) ? PLAIN.program : template(random),
  before: several(random, 4, template),
  after: several(random, 4, template),
  environment: several(random, 8, change),
  directory: random.chance(30) ? [{ root: true }, random.pick(['/directory', '', '/./directory/../directory'])] : null,
})

/** A call with a value for all that a shell has one for. IFS is not taken over by shells. */
function call(random: Case, path: string): Call {
  const names = [...NAMES, 'OTHER'].filter(
    name => name !== 'IFS' && (/^(?:PATH|TERM)$/.test(name) || random.chance(60)),
  )
  const value = (name: string): string =>
    name.startsWith('L') && random.chance(80)
      ? random.pick(['C', 'C.UTF-8'])
      : text(random, random.pick(random.separators))
  return {
    argv: [path, ...several(random, 4, r => text(r))],
    environment: names.map(name => `${name}=${value(name)}`),
    directory: random.pick(['/', '/tmp']),
  }
}

test(`as the native launcher does: ${CASES} random templates`, () => {
  for (let i = 0; i < CASES; i++) {
    const random = new Case(SEED * 1_000_000 + i)
    const what = launcher(random)
    const how = call(random, `${root}/${AT}`)
    const expected = natively(what, how)
    for (const { shell, line, names } of SHELLS) {
      const argv = names ? expected.argv : [`${root}/printer`, ...expected.argv.slice(1)]
      const label = { SEED, i, shell, what: JSON.stringify(what), how: JSON.stringify(how) }
      expect({ ...label, given: inShell(line, what, how) }).toEqual({ ...label, given: { ...expected, argv } })
    }
  }
})

// ---- Case by case ------------------------------------------------------------------------------------------------

const environment = (...changes: EnvironmentOperation<Template>[]): LaunchTemplate => ({
  ...PLAIN,
  environment: changes,
})
const list = (
  op: 'prefix' | 'suffix',
  rule: (typeof RULES)[number],
  element = 'x',
): EnvironmentOperation<Template> => ({
  op,
  name: 'V',
  separator: ':',
  value: [element],
  rule,
})

describe.each(SHELLS)('$shell', ({ line, names }) => {
  const path = (): string => `${root}/${AT}`

  test('argv[0]: its own path, the path that was run, a text, a text with the root', () => {
    const argv0 = (argv0: Template): string => inShell(line, { ...PLAIN, argv0 }).argv[0]!
    const program = `${root}/printer`
    expect(argv0(PLAIN.program)).toBe(program)
    expect(argv0(CALLERS_ARGV0)).toBe(names ? path() : program)
    expect(argv0(['-x'])).toBe(names ? '-x' : program)
    expect(argv0([])).toBe(names ? '' : program)
    expect(argv0([{ root: true }, '/a b'])).toBe(names ? `${root}/a b` : program)
  })

  test('arguments: a hundred kibibytes, empty ones, a thousand', () => {
    const what = { ...PLAIN, before: [[''], ['b']], after: [['a'], []] }
    const args = ['', 'x'.repeat(100 * 1024), ...Array.from({ length: 1000 }, (_, i) => `${i}`), '']
    expect(inShell(line, what, { argv: [path(), ...args], environment: ['PATH=/'] }).argv.slice(1)).toEqual([
      ...['', 'b', ...args, 'a', ''],
    ])
  })

  // Rule by rule, where an element is found and where it is not, in a list of a realistic length.
  test.each(RULES)('a list of 4 KiB, %s', rule => {
    const long = Array.from({ length: 400 }, (_, i) => `/dir/${i}`).join(':')
    for (const op of ['prefix', 'suffix'] as const)
      for (const element of ['/dir/0', '/dir/200', '/dir/399', '/dir/2*']) {
        const what = environment(list(op, rule, element))
        for (const given of [[], [`V=${long}`]]) {
          const how = { argv: [path()], environment: ['PATH=/', ...given] }
          expect({ element, ...inShell(line, what, how), argv: [] }).toEqual({
            element,
            ...natively(what, how),
            argv: [],
          })
        }
      }
  })

  test("the caller's variables with the script's names pass through, or are gone: none is changed", () => {
    const mine = ['root', 'list', 'head', 'tail', 'locale', 'separator', 'name', 'self', 'link'].map(
      n => `_storefree_${n}=x`,
    )
    const what = {
      ...environment(list('prefix', 'unique'), list('suffix', 'nonempty')),
      argv0: [{ root: true as const }],
    }
    const given = inShell(line, what, { argv: [path()], environment: ['PATH=/', ...mine] })
    expect(given.environment.filter(e => !mine.includes(e))).toEqual(['PATH=/', 'V=x:x'])
  })

  test('CDPATH and a change of directory', () => {
    const what = { ...PLAIN, directory: ['directory'] }
    const how = { argv: [path()], environment: ['PATH=/', `CDPATH=/tmp:/`, 'HOME=/tmp'], directory: root }
    expect(inShell(line, what, how).directory).toBe(`${root}/directory`)
    mkdirSync(`${root}/-`, { recursive: true })
    expect(inShell(line, { ...PLAIN, directory: ['-'] }, { ...how, environment: ['OLDPWD=/tmp'] }).directory).toBe(
      `${root}/-`,
    )
  })

  test('a directory or program that is not there: 127, and nothing is run', () => {
    const text = (what: LaunchTemplate) => shellLauncher(what).toString('latin1').replace('#!/bin/sh', `#!${line}`)
    for (const what of [{ ...PLAIN, directory: ['/none'] }, launch(AT, 'none' as BundlePath)]) {
      const { status, stdout, stderr } = lab.run(lab.put(path(), bytesOf(text(what))))
      expect([status, stdout.length]).toEqual([127, 0])
      expect(stderr).toContain('none')
    }
  })
})

// bash takes options and functions over from its caller.
test.each(['nounset', 'errexit', 'noglob', 'allexport', 'noclobber', 'pipefail', 'nounset:errexit:noglob:allexport'])(
  'bash with %s on',
  options => {
    for (const argv0 of [PLAIN.program, CALLERS_ARGV0, ['name']]) {
      const what: LaunchTemplate = {
        ...environment(...RULES.flatMap(rule => [list('prefix', rule), list('suffix', rule, 'y')]), {
          op: 'unset',
          name: 'NONE',
        }),
        argv0,
        directory: [{ root: true }, '/directory'],
      }
      const how = { argv: [`${root}/${AT}`, '*'], environment: ['PATH=/bin', `SHELLOPTS=${options}`] }
      const without = ({ environment, ...rest }: Given) => ({
        ...rest,
        environment: environment.filter(e => !e.startsWith('SHELLOPTS=')),
      })
      expect(without(inShell('/usr/bin/bash --posix', what, how))).toEqual(without(natively(what, how)))
    }
  },
)

test('bash with functions of its caller under the names of commands, which the program gets', () => {
  const functions = ['cd', 'pwd', 'test', 'echo', 'readlink', '['].map(name => `BASH_FUNC_${name}%%=() {  false\n}`)
  const what = { ...PLAIN, directory: [{ root: true as const }, '/directory'] }
  const how = { argv: [`${root}/${AT}`], environment: ['PATH=/bin', ...functions] }
  expect(inShell('/usr/bin/bash --posix', what, how)).toEqual(natively(what, how))
})

test('a link from outside of the bundle', () => {
  lab.put(`${root}/${AT}`, shellLauncher({ ...PLAIN, before: [[{ root: true }], [{ started: true }]] }))
  symlinkSync(`${root}/${AT}`, `${lab.path}/link`)
  const { argv } = lab.given(`${lab.path}/link`, { environment: ['PATH=/usr/bin:/bin'] })
  expect(argv.slice(1)).toEqual([root, `${lab.path}/link`])
})

test.each(['A-B', '1A', '', 'A=B', 'UID', 'PPID', '_', '\xe9'])('a variable named %j is refused', name => {
  expect(isShellVariable(name)).toBe(false)
  expect(() => shellLauncher(environment({ op: 'unset', name }))).toThrow("not a variable's name in a shell")
})

test.each(['a\0b', '\u{100}'])('the text %j is refused', text => {
  expect(() => shellLauncher({ ...PLAIN, argv0: [text] })).toThrow('byte string without NUL')
})
