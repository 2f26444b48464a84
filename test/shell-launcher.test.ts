/** The shell launcher finds its bundle under every shell that is /bin/sh somewhere, from every place. */
import { execFileSync, spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { inRoot, launch, throughInterpreter, throughLoader } from '../src/entry/launcher.ts'
import { shellLauncher } from '../src/entry/shell.ts'
import type { BundlePath } from '../src/paths.ts'

const work = fs.realpathSync(fs.mkdtempSync(`${tmpdir()}/storefree-shell-`))
afterAll(() => fs.rmSync(work, { recursive: true, force: true }))

const which = (name: string): string => execFileSync('sh', ['-c', 'command -v "$0"', name], { encoding: 'utf8' }).trim()
/** How each is started, and what it puts into the environment by itself, given one that has nothing but `given`. */
const SHELLS: readonly { name: string; line: string[]; adds: string[] }[] = [
  { name: 'dash', line: [which('dash')], adds: ['PWD'] },
  { name: 'bash as sh', line: [which('bash'), '--posix'], adds: ['PWD', 'SHLVL'] },
  { name: 'busybox sh', line: [which('busybox'), 'sh'], adds: ['PWD', 'SHLVL'] },
  { name: 'mksh', line: [which('mksh')], adds: ['_'] },
]

/** Byte strings, as in the code itself. */
const native = (path: string): Buffer => Buffer.from(path, 'latin1')
const at = (path: string): BundlePath => path as BundlePath

// Says how it was called, each string with a NUL behind it: the number of arguments, these, the environment.
const LOADER = `
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(int argc, char **argv, char **envp) {
  printf("%d", argc), putchar(0);
  for (int i = 0; i < argc; i++) fputs(argv[i], stdout), putchar(0);
  for (char **e = envp; *e; e++) fputs(*e, stdout), putchar(0);
  return argc > 4 && !strcmp(argv[4], "exit") ? atoi(argv[5]) : 0;
}
`
beforeAll(() => {
  fs.writeFileSync(`${work}/loader.c`, LOADER)
  execFileSync('gcc', ['-O1', '-static', '-o', `${work}/loader`, `${work}/loader.c`])
})

const LIBRARY = inRoot(at('lib/ld.so'))
const APP = at("pkg/a b's/$x/app")
const PROGRAM = at("pkg/a b's/$x/.app-program")
const TOOL = at("pkg/a b's/tool")
const TEXT = shellLauncher(throughLoader(launch(APP, PROGRAM), LIBRARY, true))
const SCRIPT = shellLauncher(
  throughLoader(
    throughInterpreter(launch(TOOL, at("pkg/a b's/.tool-program")), inRoot(PROGRAM), [['-w -x']]),
    LIBRARY,
    true,
  ),
)

let count = 0
/** A bundle in a new directory of this name, whose launchers are run by this shell. */
function bundle(shell: readonly string[], name = 'plain'): string {
  const root = `${work}/${count++}/${name}`
  const make = (path: string, text: Buffer | string, mode = 0o755): void => {
    fs.mkdirSync(native(`${root}/${path}`.slice(0, `${root}/${path}`.lastIndexOf('/'))), { recursive: true })
    fs.writeFileSync(native(`${root}/${path}`), text, { mode })
  }
  make('lib/ld.so', fs.readFileSync(`${work}/loader`))
  make("pkg/a b's/$x/.app-program", '', 0o644)
  make("pkg/a b's/.tool-program", '', 0o644)
  const [first, ...rest] = shell
  const shebang = (text: Buffer): string =>
    text.toString('latin1').replace('#!/bin/sh', `#!${[first, ...rest].join(' ')}`)
  make("pkg/a b's/$x/app", Buffer.from(shebang(TEXT), 'latin1'))
  make("pkg/a b's/tool", Buffer.from(shebang(SCRIPT), 'latin1'))
  fs.mkdirSync(native(`${root}/bin`))
  fs.symlinkSync("../pkg/a b's/$x/app", native(`${root}/bin/app`))
  fs.symlinkSync("../pkg/a b's/tool", native(`${root}/bin/tool`))
  return root
}

interface Called {
  readonly status: number | null
  readonly stderr: string
  readonly argv: readonly string[]
  readonly env: readonly string[]
}

// biome-ignore lint/suspicious/noTemplateCurlyInString: bash's
const DRIVER = 'mapfile -d "" -t a < "$1" && cd -P -- "$a" && unset "a[0]" && exec env -i "${a[@]}"'

/** Runs a command of byte strings in a directory with nothing but the given environment. */
function call(cwd: string, argv: readonly string[], env: readonly string[] = []): Called {
  fs.writeFileSync(`${work}/argv`, native([cwd, ...env, ...argv].map(a => `${a}\0`).join('')))
  const result = spawnSync('bash', ['-c', DRIVER, 'driver', `${work}/argv`], { encoding: 'latin1' })
  const words = result.stdout.split('\0')
  const argc = Number(words[0])
  return {
    status: result.status,
    stderr: result.stderr,
    argv: words.slice(1, 1 + argc),
    env: words.slice(1 + argc, -1),
  }
}

/** What the loader is to be called with. */
const expected = (root: string, argv0: string, args: readonly string[] = []): string[] => [
  `${root}/lib/ld.so`,
  '--argv0',
  argv0,
  `${root}/pkg/a b's/$x/.app-program`,
  ...args,
]

const ARGUMENTS = [
  '',
  'a b',
  '',
  '*',
  '$HOME',
  '`x`',
  '"',
  "'",
  '\\',
  '\\n',
  'line\nline',
  '\n',
  '-n',
  '--',
  '\xff\xfe',
  '\xc3',
]
const PATH = 'PATH=/usr/bin:/bin'

describe.each(SHELLS)('$name', ({ line, adds }) => {
  test('by an absolute path, with any arguments', () => {
    const root = bundle(line)
    const { argv, status } = call('/', [`${root}/bin/app`, ...ARGUMENTS], [PATH])
    expect(argv).toEqual(expected(root, `${root}/bin/app`, ARGUMENTS))
    expect(status).toBe(0)
  })

  test('a script: its interpreter, its argument, its own path, the arguments', () => {
    const root = bundle(line)
    expect(call('/', [`${root}/bin/tool`, ...ARGUMENTS], [PATH]).argv).toEqual([
      `${root}/lib/ld.so`,
      '--argv0',
      `${root}/pkg/a b's/$x/.app-program`,
      `${root}/pkg/a b's/$x/.app-program`,
      '-w -x',
      `${root}/pkg/a b's/.tool-program`,
      ...ARGUMENTS,
    ])
  })

  test('by relative paths, and by name in its own directory', () => {
    const root = bundle(line)
    const run = (cwd: string, ...argv: string[]): readonly string[] => call(cwd, argv, [PATH]).argv
    expect(run(root, 'bin/app')).toEqual(expected(root, 'bin/app'))
    expect(run(root, './bin/app')).toEqual(expected(root, './bin/app'))
    expect(run(`${root}/bin`, './app')).toEqual(expected(root, './app'))
    expect(run(`${root}/lib`, '../bin/app')).toEqual(expected(root, '../bin/app'))
    expect(run(`${root}/bin`, ...line, 'app', 'x')).toEqual(expected(root, 'app', ['x']))
    expect(run(`${root}/pkg/a b's/$x`, './app')).toEqual(expected(root, './app'))
  })

  test('through PATH, absolute and relative', () => {
    const root = bundle(line)
    expect(call('/', ['app'], [`PATH=/usr/bin:/bin:${root}/bin`]).argv).toEqual(expected(root, `${root}/bin/app`))
    expect(call(root, ['app'], ['PATH=/usr/bin:/bin:bin']).argv).toEqual(expected(root, 'bin/app'))
    expect(call(`${root}/bin`, ['app'], ['PATH=/usr/bin:/bin:.']).argv).toEqual(expected(root, './app'))
  })

  test.each([
    'with space',
    ' leading',
    'trailing ',
    'a:b',
    'quote"s',
    "quote's",
    '$HOME',
    '`id`',
    '$(id)',
    'back\\slash',
    'star*',
    '[x]',
    'new\nline',
    'trailing newline\n',
    'two\n\n',
    '\n',
    '-n',
    '-P',
    '--',
    '~',
    'tab\t',
    'latin1-\xe9',
    '\xff',
    'half a character \xc3',
    'utf8-\xc3\xa9',
    'x',
    '..x',
  ])('in a directory named %j', name => {
    const root = bundle(line, name)
    const parent = root.slice(0, root.length - name.length - 1)
    // Where names are characters, a name that is none is what shells differ on.
    for (const locale of /[\x80-\xff]/.test(name) ? ['C', 'C.UTF-8'] : ['C.UTF-8']) {
      const env = [PATH, `LC_ALL=${locale}`]
      expect(call('/', [`${root}/bin/app`], env).argv).toEqual(expected(root, `${root}/bin/app`))
      expect(call(root, ['bin/app'], env).argv).toEqual(expected(root, 'bin/app'))
      expect(call(`${root}/bin`, [...line, 'app'], env).argv).toEqual(expected(root, 'app'))
      // A shell would take a name with a dash for an option: the kernel hands over what PATH gave.
      if (!name.startsWith('-'))
        expect(call(parent, [`${name}/bin/app`], env).argv).toEqual(expected(root, `${name}/bin/app`))
      const link = `${work}/l${count++}`
      fs.symlinkSync(native(`${root}/bin/app`), link)
      expect(call('/', [link], env).argv).toEqual(expected(root, link))
    }
  })

  test('by links from outside: absolute, relative, in chains, by way of linked directories', () => {
    const root = bundle(line)
    const outside = `${work}/outside-${count++}`
    fs.mkdirSync(`${outside}/deep/er`, { recursive: true })
    const number = root.split('/').at(-2)
    const links: [string, string][] = [
      ['absolute', `${root}/bin/app`],
      ['relative', `../${number}/plain/bin/app`],
      ['chain', 'chain2'],
      ['chain2', 'deep/chain3'],
      ['deep/chain3', '../absolute'],
      ['deep/er/up', '../../relative'],
      ['new\nline\n', 'absolute'],
      ['-dash', 'relative'],
      ['other name', `${root}/pkg/a b's/$x/app`],
    ]
    for (const [name, to] of links) fs.symlinkSync(to, `${outside}/${name}`)
    for (const [name] of links)
      expect(call('/', [`${outside}/${name}`], [PATH]).argv, name).toEqual(expected(root, `${outside}/${name}`))
    expect(call(outside, ['./-dash'], [PATH]).argv).toEqual(expected(root, './-dash'))
    expect(call(`${outside}/deep`, ['er/up'], [PATH]).argv).toEqual(expected(root, 'er/up'))
    expect(call('/', ['chain'], [`PATH=/usr/bin:/bin:${outside}`]).argv).toEqual(expected(root, `${outside}/chain`))

    // A directory on the way is a link: `..` behind it is the real directory's.
    fs.symlinkSync(root, `${outside}/root`)
    fs.symlinkSync(`${root}/bin`, `${outside}/bin`)
    for (const path of ['root/bin/app', 'bin/app', 'bin/../bin/app'])
      expect(call(outside, [path], [PATH]).argv, path).toEqual(expected(root, path))
  })

  test('with CDPATH, and with directories of the same name elsewhere', () => {
    const root = bundle(line)
    const decoy = `${work}/decoy-${count++}`
    fs.mkdirSync(`${decoy}/bin`, { recursive: true })
    expect(call(root, ['bin/app'], [PATH, `CDPATH=${decoy}:.`]).argv).toEqual(expected(root, 'bin/app'))
    expect(call(root, ['bin/app'], [PATH, `CDPATH=${decoy}`, `OLDPWD=${decoy}`, `PWD=${decoy}`]).argv).toEqual(
      expected(root, 'bin/app'),
    )
  })

  test('from a directory that is gone', () => {
    const root = bundle(line)
    const gone = `${work}/gone-${count++}`
    fs.mkdirSync(gone)
    const result = spawnSync(
      'bash',
      ['-c', 'cd "$1" && rmdir "$1" && exec env -i PATH=/usr/bin:/bin "$2" x', 'x', gone, `${root}/bin/app`],
      {
        encoding: 'latin1',
      },
    )
    expect(result.stdout.split('\0').slice(1, 6)).toEqual(expected(root, `${root}/bin/app`, ['x']))
  })

  test('the exit code is the program’s, and so is the end by a signal', () => {
    const root = bundle(line)
    for (const code of [0, 1, 42, 127, 255])
      expect(call('/', [`${root}/bin/app`, 'exit', String(code)], [PATH]).status).toBe(code)
  })

  test('a program sees the environment of its caller, and what the shell itself adds', () => {
    const root = bundle(line)
    const given = [PATH, 'EMPTY=', 'SPACE=a b', 'LINE=a\nb', 'BYTES=\xff\xc3', '_storefree_root=mine', 'ENV=/dev/null']
    const link = `${root}/../link`
    fs.symlinkSync(`${root}/bin/app`, link)
    for (const path of [`${root}/bin/app`, link]) {
      const { argv, env } = call(
        '/',
        [path],
        given.filter(e => !e.startsWith('_storefree')),
      )
      expect(argv).toEqual(expected(root, path))
      const names = (list: readonly string[]): string[] => list.map(e => e.slice(0, e.indexOf('=')))
      // What was given is there, unchanged.
      for (const variable of given.filter(e => !e.startsWith('_storefree'))) expect(env).toContain(variable)
      expect(
        names(env)
          .filter(n => !names(given).includes(n))
          .sort(),
      ).toEqual([...adds].sort())
    }
  })

  test('outside its bundle: 127, and what to do', () => {
    const root = bundle(line)
    const lost = `${work}/lost-${count++}`
    fs.copyFileSync(`${root}/pkg/a b's/$x/app`, lost)
    const result = call('/', [lost], [PATH])
    expect(result.status).toBe(127)
    expect(result.stderr).toContain('cannot find its bundle')
    // Without readlink a link from outside cannot be followed; inside the bundle none is needed.
    const link = `${work}/nolink-${count++}`
    fs.symlinkSync(`${root}/bin/app`, link)
    expect(call('/', [`${root}/bin/app`], ['PATH=/nonexistent']).argv).toEqual(expected(root, `${root}/bin/app`))
  })

  test('in the root directory', () => {
    const root = bundle(line)
    // The shell and its own libraries go along.
    const shell = line[0]!
    const libraries = [...spawnSync('ldd', [shell], { encoding: 'utf8' }).stdout.matchAll(/(\/\S+) \(0x/g)].map(
      m => m[1]!,
    )
    for (const file of [shell, ...libraries]) {
      fs.mkdirSync(`${root}${file.slice(0, file.lastIndexOf('/'))}`, { recursive: true })
      fs.copyFileSync(fs.realpathSync(file), `${root}${file}`)
    }
    const result = spawnSync(which('chroot'), [root, '/bin/app', 'x'], { encoding: 'latin1', env: {} })
    const argc = Number(result.stdout.split('\0')[0])
    expect(result.stdout.split('\0').slice(1, 1 + argc), result.stderr).toEqual(expected('', '/bin/app', ['x']))
  })
})
