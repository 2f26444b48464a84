/** Wrappers: what is read from them, and that a launcher made from it does what they do. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { beforeAll, describe, expect, test } from 'vitest'
import { launch, type Template, type Wrapper, wrapping } from '../src/entry/launcher.ts'
import type { BundlePath } from '../src/paths.ts'
import { findBinaryWrapper, parseBinaryWrapper, readBinaryWrapper } from '../src/script/binary-wrapper.ts'
import { parseShellWrapper } from '../src/script/shell-wrapper.ts'
import { Random } from './support/elf-tools.ts'
import { bytesOf, type Given, Laboratory } from './support/launcher.ts'

const BASH = '#! /nix/store/0123456789abcdfghijklmnpqrsvwxyz-bash/bin/bash -e\n'
const PROGRAM = '/nix/store/0123456789abcdfghijklmnpqrsvwxyz-x/bin/.x-wrapped'
const EXEC = `exec -a "$0" "${PROGRAM}"  "$@" \n`
const NOTHING: Wrapper = {
  program: PROGRAM,
  argv0: 'started',
  environment: [],
  before: [],
  after: [],
  directory: null,
}

const shell = (lines: string, exec = EXEC): Wrapper | null => parseShellWrapper(BASH + lines + exec)

// ---- The fixtures' own -------------------------------------------------------------------------------------------

/** The store path of a fixture, which `npm run fixtures` has built. */
const fixture = (name: string): string =>
  execFileSync('bash', ['-c', '. native-fixtures/env.sh; nix-build "<nixpkgs>" --no-out-link -A "$0"', name], {
    env: { ...process.env, NIX_PATH: 'nixpkgs=native-fixtures' },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
    .toString('latin1')
    .trim()

describe('the fixtures', () => {
  let root: string
  const operations = (rule: 'unique' | 'set') => {
    const multicall = expect.stringMatching(/^\/nix\/store\/.{32}-multicall-1\.0\/bin$/)
    const probe = expect.stringMatching(/^\/nix\/store\/.{32}-probe-1\.0\/bin$/)
    const both = expect.stringMatching(/^\/nix\/store\/.{32}-probe-1\.0\/bin:\/nix\/store\/.{32}-multicall-1\.0\/bin$/)
    const path = { op: 'prefix', name: 'PATH', separator: ':', rule }
    const suffix = { op: 'suffix', name: 'FX_SUFFIX', separator: ':', rule }
    return [
      { op: 'set', name: 'FX_SET', value: `two words, a ' and a "` },
      { op: 'set', name: 'FX_DATA', value: expect.stringMatching(/^\/nix\/store\/.*\/data\.txt$/) },
      { op: 'set-default', name: 'FX_DEFAULT', value: 'the default' },
      { op: 'unset', name: 'FX_UNSET' },
      // The script has a block for each element, the last of a prefix first.
      ...(rule === 'unique'
        ? [
            { ...path, value: multicall },
            { ...path, value: probe },
          ]
        : [{ ...path, value: both }]),
      { op: 'prefix', name: 'FX_PREFIX', separator: ';', value: 'first', rule },
      ...(rule === 'unique'
        ? [
            { ...suffix, value: multicall },
            { ...suffix, value: '/plain/directory' },
          ]
        : [{ ...suffix, value: expect.stringMatching(/^\/nix\/store\/.*\/bin:\/plain\/directory$/) }]),
    ]
  }

  test('scripts of makeWrapper', () => {
    root = fixture('wrapped')
    const read = (name: string) => parseShellWrapper(readFileSync(`${root}/bin/${name}`, 'latin1'))
    const program = `${root}/bin/.wrapped-wrapped`
    expect(read('wrapped')).toEqual({
      program,
      argv0: 'started',
      environment: operations('unique'),
      before: ['--fx-flag', `--fx-data=${root}/share/wrapped/data.txt`],
      after: [],
      directory: null,
    })
    expect(read('wrapped-name')).toEqual({
      ...NOTHING,
      program,
      argv0: { value: 'another-name' },
      after: ['--fx-last'],
    })
    expect(read('wrapped-run')).toBeNull()
  })

  test('programs of makeBinaryWrapper', () => {
    root = fixture('binwrapped')
    const read = (name: string) => readBinaryWrapper(readFileSync(`${root}/bin/${name}`))
    const program = `${root}/bin/.binwrapped-wrapped`
    expect(read('binwrapped')).toEqual({
      program,
      argv0: 'keep',
      environment: operations('set'),
      before: ['--fx-flag', `--fx-data=${root}/share/binwrapped/data.txt`],
      after: [],
      directory: null,
    })
    expect(read('binwrapped-old')).toEqual({
      program,
      argv0: { value: 'another-name' },
      environment: [{ op: 'set', name: 'FX_OLD', value: 'yes' }],
      before: [],
      after: [],
      directory: `${root}/share/binwrapped`,
    })
    expect(read('.binwrapped-wrapped')).toBeNull()
  })

  test('no script of the scripts package is a wrapper', () => {
    root = fixture('scripts')
    const names = execFileSync('find', ['-L', root, '-type', 'f']).toString().trim().split('\n')
    const scripts = names.map(name => readFileSync(name, 'latin1')).filter(text => text.startsWith('#!'))
    expect(scripts.length).toBeGreaterThan(5)
    expect(scripts.map(parseShellWrapper)).toEqual(scripts.map(() => null))
  })
})

// ---- Scripts -----------------------------------------------------------------------------------------------------

test.each<[string, Wrapper['environment']]>([
  [`export A='x y'\n`, [{ op: 'set', name: 'A', value: 'x y' }]],
  [`export A='it'\\''s'\n`, [{ op: 'set', name: 'A', value: "it's" }]],
  [`export A=$'a\\n\\t\\\\\\'\\001\\377\\x41\\E'\n`, [{ op: 'set', name: 'A', value: "a\n\t\\'\x01\xffA\x1b" }]],
  [`export A=''\n`, [{ op: 'set', name: 'A', value: '' }]],
  [`export A=\n`, [{ op: 'set', name: 'A', value: '' }]],
  [`export A="a \\"b\\" \\$c 'd' \\e"\n`, [{ op: 'set', name: 'A', value: `a "b" $c 'd' \\e` }]],
  [`export A=/plain:\\ x\n`, [{ op: 'set', name: 'A', value: '/plain: x' }]],
  [`export A='a\nb'\n`, [{ op: 'set', name: 'A', value: 'a\nb' }]],
  [`export A=\${A-'d'}\n`, [{ op: 'set-default', name: 'A', value: 'd' }]],
  [`export A=\${A-}\n`, [{ op: 'set-default', name: 'A', value: '' }]],
  [`unset A\n\n`, [{ op: 'unset', name: 'A' }]],
  ...[
    `export A='x'\${A:+':'}$A\n`,
    `export A=x\${A:+:}$A\n`,
    `export A='x'\${A:+':'$A}\n`,
    `export A="x\${A:+:}$A"\n`,
    `export A="x\${A:+:$A}"\n`,
    `export A=x\${A:+:}\${A}\n`,
  ].map((line): [string, Wrapper['environment']] => [
    line,
    [{ op: 'prefix', name: 'A', separator: ':', value: 'x', rule: 'nonempty' }],
  ]),
  ...[`export A=$A\${A:+':'}'x'\n`, `export A=$A\${A:+:}x\n`, `export A="$A\${A:+:}x"\n`].map(
    (line): [string, Wrapper['environment']] => [
      line,
      [{ op: 'suffix', name: 'A', separator: ':', value: 'x', rule: 'nonempty' }],
    ],
  ),
])('%j', (lines, environment) => {
  expect(shell(lines)).toEqual({ ...NOTHING, environment })
})

const PREFIX = `A=\${A:+':'$A':'}
A=\${A/':''it'\\''s'':'/':'}
A='it'\\''s'$A
A=\${A#':'}
A=\${A%':'}
export A
`
const SUFFIX = `A=\${A:+':'$A':'}
if [[ $A != *':''x'':'* ]]; then
    A=$A'x'
fi
A=\${A#':'}
A=\${A%':'}
export A
`

test('--prefix and --suffix of today', () => {
  const rule = 'unique'
  expect(shell(PREFIX + SUFFIX)?.environment).toEqual([
    { op: 'prefix', name: 'A', separator: ':', value: "it's", rule },
    { op: 'suffix', name: 'A', separator: ':', value: 'x', rule },
  ])
})

test.each<[string, Partial<Wrapper>]>([
  [`exec "${PROGRAM}" "$@"`, { argv0: { value: PROGRAM } }],
  [`exec  "${PROGRAM}"  "\${extraFlagsArray[@]}" "$@" \n\n`, { argv0: { value: PROGRAM } }],
  [
    `exec -a "$0" "${PROGRAM}"  -a  "b c"'d' \\$x "" '' "$@"  e\\\n f \n`,
    { before: ['-a', 'b cd', '$x', '', ''], after: ['e', 'f'] },
  ],
  [
    `exec -a "name" ${PROGRAM} --x=a,b:c@d+e%f^g!h]i#j "$@"\n`,
    { argv0: { value: 'name' }, before: ['--x=a,b:c@d+e%f^g!h]i#j'] },
  ],
  [`exec -a '' '${PROGRAM}' "$@"\n`, { argv0: { value: '' } }],
])('%j', (exec, facts) => {
  expect(shell('', exec)).toEqual({ ...NOTHING, ...facts })
})

test('cd, and the shells', () => {
  expect(shell(`cd '/a b'\ncd '/c'\n`)).toEqual({ ...NOTHING, directory: '/c' })
  for (const line of ['#!/bin/sh\n', '#! /bin/bash\n', '#!/nix/store/x/bin/bash -e\n'])
    expect(parseShellWrapper(line + EXEC)).toEqual(NOTHING)
})

test.each([
  // More than is known.
  'X=1\n',
  'echo hello\n',
  '# comment\n',
  'export A\n',
  'export A=1 B=2\n',
  "export A='1' \n",
  "export A='1'; echo\n",
  'export A=$B\n',
  'export A=$(id)\n',
  'export A=`id`\n',
  'export A="$(id)"\n',
  'export A="`id`"\n',
  'export A=~/x\n',
  'export A=x:~\n',
  'export A=$((1))\n',
  `export A=\${A:-x}\n`,
  `export A=\${B-x}\n`,
  `export A=x\${A-y}\n`,
  'export A=$A\n',
  'export A=$A:x\n',
  `export A=x\${B:+:}$A\n`,
  `export A=x\${A:+:}$B\n`,
  `export A=x\${A:+:}$A:y\n`,
  `export A=x\${A:+:$A:}\n`,
  "export A='open\n",
  'export A="open\n',
  "export A=$'\\u00e9'\n",
  "export A=$'a\\0b'\n",
  "export A=$'\\cA'\n",
  'export A-B=x\n',
  'unset A B\n',
  'unset -f A\n',
  "cd 'relative'\n",
  "cd '/a/../b'\n",
  'cd -\n',
  'cd "$HOME"\n',
  'set -u\n',
  'if true; then :; fi\n',
  'export A=x &&\n',
  // bash's own variables.
  "export SHLVL='1'\n",
  "export UID='1'\n",
  "export extraFlagsArray='1'\n",
  "export BASH_ENV='1'\n",
  'unset RANDOM\n',
  // Lists that are not quite.
  PREFIX.replace('export A', 'export B'),
  PREFIX.replace(`A=\${A#':'}\n`, ''),
  PREFIX.replace("A='it'", "A='if'"),
  PREFIX.replace("/':'}", "/';'}"),
  PREFIX.replace(`\${A#':'}`, `\${A#:}`),
  PREFIX.replace("':''it'", "';''it'"),
  SUFFIX.replace("$A'x'", "$A'y'"),
  SUFFIX.replace('fi\n', 'else\nfi\n'),
])('%j makes no wrapper', lines => {
  expect(shell(lines)).toBeNull()
})

test.each([
  '',
  `exec -a "$0" "${PROGRAM}" \n`,
  `exec -a "$0" "${PROGRAM}" $@\n`,
  `exec -a "$0" "${PROGRAM}" "$@" "$@"\n`,
  `exec -a "$0" "${PROGRAM}" "x$@"\n`,
  `exec -a "$0" "${PROGRAM}" "$*"\n`,
  `exec -a $0 "${PROGRAM}" "$@"\n`,
  `exec -a "x$0" "${PROGRAM}" "$@"\n`,
  `exec -c "${PROGRAM}" "$@"\n`,
  `exec "x" "$@"\n`,
  `exec "$HOME/x" "$@"\n`,
  `exec "${PROGRAM}" "$0" "$@"\n`,
  `exec "${PROGRAM}" $FLAGS "$@"\n`,
  `exec "${PROGRAM}" \${NIXOS_OZONE_WL:+--wayland} "$@"\n`,
  `exec "${PROGRAM}" "\${other[@]}" "$@"\n`,
  `exec "${PROGRAM}" *.c "$@"\n`,
  `exec "${PROGRAM}" a? "$@"\n`,
  `exec "${PROGRAM}" [a] "$@"\n`,
  `exec "${PROGRAM}" {a,b} "$@"\n`,
  `exec "${PROGRAM}" ~ "$@"\n`,
  `exec "${PROGRAM}" "$@" # comment\n`,
  `exec "${PROGRAM}" "$@" 2>&1\n`,
  `exec "${PROGRAM}" "$@" & \n`,
  `exec "${PROGRAM}" "$@" | cat\n`,
  `exec "${PROGRAM}" "$@" || true\n`,
  `exec "${PROGRAM}" "$@"; true\n`,
  `exec "${PROGRAM}" "$@"\ntrue\n`,
  `"${PROGRAM}" "$@"\n`,
])('%j makes no wrapper', exec => {
  expect(shell('', exec)).toBeNull()
})

test.each(['', EXEC, `#!/usr/bin/env bash\n${EXEC}`, `#!/bin/bash -eu\n${EXEC}`, `#!/usr/bin/python3\n${EXEC}`])(
  '%j is no wrapper',
  text => {
    expect(parseShellWrapper(text)).toBeNull()
  },
)

// ---- Programs ----------------------------------------------------------------------------------------------------

const COMMAND = `makeCWrapper '${PROGRAM}' \\
    --inherit-argv0 \\
    --set 'A' $'a\\n\\'\\\\' \\
    --set-default 'B' '' \\
    --prefix 'C' ':' 'x:y' \\
    --suffix 'C' ', ' 'z' \\
    --unset 'D' \\
    --chdir '/a' \\
    --chdir 'b' \\
    --add-flag 'one flag' \\
    --add-flags ' two  flags' \\
    --append-flag '' \\
    --append-flags '"last'`

/** A file as far as it is looked at. */
const binary = (command: string, ...imports: readonly string[]): Buffer =>
  bytesOf(
    `\x7fELF......\0${imports.join('\0')}\0\n\n\n# ----\n# The C-code for this binary wrapper has been generated using the following command:\n\n\n${command}\n\n\n# (Use \`nix-shell -p makeBinaryWrapper\` to get access to makeCWrapper in your shell)\n\0`,
  )

test('every option of makeCWrapper', () => {
  const wrapper: Wrapper = {
    program: PROGRAM,
    argv0: 'keep',
    environment: [
      { op: 'set', name: 'A', value: "a\n'\\" },
      { op: 'set-default', name: 'B', value: '' },
      { op: 'prefix', name: 'C', separator: ':', value: 'x:y', rule: 'set' },
      { op: 'suffix', name: 'C', separator: ', ', value: 'z', rule: 'set' },
      { op: 'unset', name: 'D' },
    ],
    before: ['one flag', 'two', 'flags'],
    after: ['', '"last'],
    directory: '/a/b',
  }
  expect(findBinaryWrapper(binary(COMMAND))).toBe(COMMAND)
  expect(parseBinaryWrapper(COMMAND)).toEqual(wrapper)
  expect(readBinaryWrapper(binary(COMMAND, 'execv', 'setenv'))).toEqual(wrapper)
})

test('what its imports say: lists that look for the element, a search for argv[0], nothing', () => {
  const command = `makeCWrapper '${PROGRAM}' \\\n    --prefix 'C' ':' 'x'\n`
  expect(readBinaryWrapper(binary(command, 'execv', 'strstr'))?.environment).toEqual([
    { op: 'prefix', name: 'C', separator: ':', value: 'x', rule: 'set-unique' },
  ])
  expect(readBinaryWrapper(binary(command, 'execv', 'strtok'))).toBeNull()
  expect(readBinaryWrapper(binary(command))).toBeNull()
  expect(readBinaryWrapper(binary(command, 'execv').subarray(1))).toBeNull()
})

test.each([
  [`makeCWrapper ${PROGRAM} \\\n    --argv0 'a'\n`, { value: 'a' }],
  [`makeCWrapper ${PROGRAM}\n`, { value: PROGRAM }],
  [`makeCWrapper '${PROGRAM}' \\\n    --argv0 ''\n`, { value: PROGRAM }],
  [`makeCWrapper '${PROGRAM}' \\\n    --argv0 'a' \\\n    --inherit-argv0\n`, 'keep'],
  [`makeCWrapper '${PROGRAM}' \\\n    --inherit-argv0 \\\n    --argv0 'a'\n`, { value: 'a' }],
])('%j', (command, argv0) => {
  expect(parseBinaryWrapper(command)).toEqual({ ...NOTHING, argv0 })
})

test.each([
  'makeCWrapper',
  "makeCWrapper 'x'\n",
  `makeCWrapper '${PROGRAM}' \\\n    --run 'x'\n`,
  `makeCWrapper '${PROGRAM}' \\\n    --set 'A'\n`,
  `makeCWrapper '${PROGRAM}' \\\n    --set 'A=B' 'x'\n`,
  `makeCWrapper '${PROGRAM}' \\\n    --set 'A' 'x' 'y'\n`,
  `makeCWrapper '${PROGRAM}' \\\n    --set A x\n`,
  `makeCWrapper '${PROGRAM}' \\\n    --add-flags $'a\\nb'\n`,
  `makeCWrapper '${PROGRAM}' more\n`,
])('%j makes no wrapper', command => {
  expect(parseBinaryWrapper(command)).toBeNull()
})

// ---- A launcher does what the wrapper does -----------------------------------------------------------------------

describe('against the wrappers themselves', () => {
  let lab: Laboratory
  beforeAll(() => {
    lab = new Laboratory()
    return () => lab.remove()
  })

  const SEED = 20_240_611
  const NAMES = ['A', 'PATH', 'XDG_DATA_DIRS', '_b1']
  const SEPARATORS = [':', ':', ':', ';', ' ', ', ', '#', '%', '/', '&', '*', "'", '\\', '[', '~']
  const ELEMENTS = [
    '/a',
    '/b c',
    'x',
    'xx',
    "it's",
    '"$HOME"',
    '`',
    '\\',
    '*',
    '?[!a]',
    '~',
    '#',
    '&',
    '%',
    '/',
    'a\tb',
    '\x01',
    '\xc3\xa9',
    '\xff',
    '-n',
    '=',
    'a\nb',
    '',
    '!',
    '{a,b}',
    `\${A}`,
    '\\\\',
    '$',
  ]
  const FLAGS = [
    '--flag',
    "'two words'",
    '"three \\"quoted\\" words"',
    '\\ \\$',
    '--x=\'a\'"b"c',
    "''",
    "$'\\n'",
    '-',
    '--a=b:c,d',
    "'$(x)'",
    '"`"'.replace('`', '\\`'),
  ]

  const list = (random: Random, separator: string): string =>
    Array.from({ length: random.below(4) }, () => random.pick(ELEMENTS)).join(separator)

  /** Options for both kinds of wrappers. */
  function options(random: Random, kind: 'shell' | 'binary'): string[] {
    const result: string[] = []
    for (let i = random.below(7); i > 0; i--) {
      const name = random.pick(NAMES)
      const option = random.pick(['set', 'set-default', 'unset', 'prefix', 'prefix', 'suffix', 'suffix'])
      const separator = random.pick(SEPARATORS)
      if (option === 'unset') result.push('--unset', name)
      else if (option.startsWith('set')) result.push(`--${option}`, name, list(random, separator))
      else result.push(`--${option}`, name, separator, list(random, separator))
    }
    const flags = () =>
      Array.from({ length: random.below(4) }, () => (kind === 'shell' ? random.pick(FLAGS) : '--f=*')).join('  ')
    if (random.chance(50)) result.push('--add-flags', flags())
    if (random.chance(50) && kind === 'shell') result.push('--append-flags', flags())
    if (random.chance(30)) result.push('--chdir', `${lab.path}/a 'directory'`)
    if (random.chance(30))
      result.push('--argv0', random.pick(['name', "it's", '\xff', 'a b', ...(kind === 'shell' ? [''] : [])]))
    else if (random.chance(50)) result.push('--inherit-argv0')
    return result
  }

  /** What is there before; PATH always, because bash has one of its own. */
  function environment(random: Random, twice: boolean): string[] {
    const names = [...NAMES, 'OTHER'].filter(name => name === 'PATH' || random.chance(70))
    if (twice) names.push(...names.filter(() => random.chance(30)))
    return names.map(name => `${name}=${list(random, random.pick(SEPARATORS))}`)
  }

  const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

  /** Calls functions of the fixtures' wrappers.sh. */
  function make(commands: readonly (readonly string[])[], locale: string): void {
    const script = [
      'set -e',
      `. ${quote(`${process.cwd()}/native-fixtures/build/wrappers.sh`)}`,
      'bash=/usr',
      ...commands.map(words => words.map(quote).join(' ')),
    ]
    writeFileSync(`${lab.path}/make.sh`, bytesOf(script.join('\n')))
    execFileSync('bash', ['make.sh'], { cwd: lab.path, env: { PATH: process.env.PATH, LC_ALL: locale } })
  }

  const verbatim = (text: string): Template => (text === '' ? [] : [text])

  /** Puts the launcher in the wrapper's place: what it is started by is then the same. */
  function replace(path: string, wrapper: Wrapper): void {
    const name = path.slice(path.lastIndexOf('/') + 1) as BundlePath
    const program = { ...launch(name, name), program: [wrapper.program] }
    lab.launcher(path.slice(0, -name.length - 1), wrapping(program, wrapper, verbatim))
  }

  test.each(['C', 'C.UTF-8'])('a hundred scripts of makeWrapper in locale %s', locale => {
    const random = new Random(SEED + locale.length)
    mkdirSync(`${lab.path}/a 'directory'`, { recursive: true })
    const directory = `${lab.path}/shell-${locale}`
    const paths = Array.from({ length: 100 }, (_, i) => `${directory}/wrapper ${i}`)
    make(
      paths.map(path => ['make_wrapper', lab.printer, path, ...options(random, 'shell')]),
      locale,
    )
    const bashOnly = /^(?:PWD|OLDPWD|SHLVL|_)=/
    const comparable = (given: Given) => ({
      ...given,
      environment: given.environment.filter(entry => !bashOnly.test(entry)).sort(),
    })
    for (const path of paths) {
      const text = readFileSync(path, 'latin1')
      const call = { argv: ['argv0', ...list(random, ':').split(':')], environment: environment(random, false) }
      const wrapper = parseShellWrapper(text)
      expect({ text, wrapper }).not.toEqual({ text, wrapper: null })
      const expected = comparable(lab.given(path, call))
      replace(path, wrapper!)
      expect({ seed: SEED, text, call, given: comparable(lab.given(path, call)) }).toEqual({
        seed: SEED,
        text,
        call,
        given: expected,
      })
    }
  })

  test('twenty programs of makeBinaryWrapper, in the order of the environment', () => {
    const random = new Random(SEED)
    mkdirSync(`${lab.path}/a 'directory'`, { recursive: true })
    const paths = Array.from({ length: 20 }, (_, i) => `${lab.path}/binary/wrapper-${i}`)
    make(
      paths.map(path => ['make_binary_wrapper', lab.printer, path, ...options(random, 'binary')]),
      'C',
    )
    for (const path of paths) {
      const bytes = readFileSync(path)
      const text = findBinaryWrapper(bytes)
      const call = { argv: ['argv0', ...list(random, ':').split(':')], environment: environment(random, true) }
      const wrapper = readBinaryWrapper(bytes)
      expect({ text, wrapper }).not.toEqual({ text, wrapper: null })
      const expected = lab.given(path, call)
      replace(path, wrapper!)
      expect({ seed: SEED, text, call, given: lab.given(path, call) }).toEqual({
        seed: SEED,
        text,
        call,
        given: expected,
      })
    }
  })
})
