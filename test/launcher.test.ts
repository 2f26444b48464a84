/** The native launcher on this machine's kernel, and those of other CPUs under emulators. */
import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, copyFileSync, mkdirSync, readFileSync, renameSync, symlinkSync } from 'node:fs'
import { beforeAll, describe, expect, test } from 'vitest'
import {
  calledInRoot,
  type EnvironmentOperation,
  type LaunchTemplate,
  type ListRule,
  launch,
  nativeLauncher,
  type Template,
  throughInterpreter,
  throughLoader,
  wrapping,
} from '../src/entry/launcher.ts'
import type { BundlePath } from '../src/paths.ts'
import { type Arch, compiled, Laboratory } from './support/launcher.ts'

let lab: Laboratory
beforeAll(() => {
  lab = new Laboratory()
  return () => lab.remove()
})

const AT = 'pkg/tool/bin/tool' as BundlePath
const PLAIN = launch(AT, 'printer' as BundlePath)
const environment = (...changes: EnvironmentOperation<Template>[]): LaunchTemplate => ({
  ...PLAIN,
  environment: changes,
})

/** The environment that the printer gets from a launcher with one list operation. */
function listed(
  before: string | null,
  op: 'prefix' | 'suffix',
  rule: ListRule,
  value: string,
  separator = ':',
): string {
  const path = lab.launcher(lab.root(), environment({ op, name: 'V', separator, value: [value], rule }))
  const result = lab.given(path, { environment: before === null ? [] : [`V=${before}`] }).environment
  expect(result).toHaveLength(1)
  return result[0]!.slice(2)
}

describe.each(['x86_64', 'aarch64', 'riscv64', 'i686', 'arm'] as const)('%s', (arch: Arch) => {
  test('argv and environment pass through to the byte', () => {
    const path = lab.launcher(lab.root(), PLAIN, arch)
    const argv = ['any name', '', ' ', 'a\nb', '\xff\xfe\x80', '\'"$`\\', '']
    const result = lab.given(path, { argv, environment: ['A=1', 'B=', 'C=\xff\n'] }, arch)
    expect(result.argv).toEqual(argv)
    expect([...result.environment].sort()).toEqual(['A=1', 'B=', 'C=\xff\n'])
  })

  test('an argument of 100 KiB, and a thousand', () => {
    const path = lab.launcher(lab.root(), PLAIN, arch)
    const argv = ['n', 'x'.repeat(100 * 1024), ...Array.from({ length: 1000 }, (_, i) => `argument ${i}`)]
    expect(lab.given(path, { argv }, arch).argv).toEqual(argv)
  })

  test('every operation, flags on both sides, argv[0], a directory', () => {
    const root = lab.root()
    mkdirSync(`${root}/data`)
    const path = lab.launcher(
      root,
      {
        ...PLAIN,
        argv0: ['<', { started: true }, '>'],
        before: [['first'], ['--data=', { root: true }, '/data:', { root: true }], ['']],
        after: [[{ argv0: true }], ['last']],
        directory: [{ root: true }, '/data'],
        environment: [
          { op: 'set', name: 'SET', value: ['\xff=', { root: true }] },
          { op: 'set-default', name: 'THERE', value: ['no'] },
          { op: 'set-default', name: 'DEFAULT', value: ['yes'] },
          { op: 'unset', name: 'GONE' },
          { op: 'prefix', name: 'LIST', separator: ':', value: [{ root: true }, '/bin'], rule: 'unique' },
          { op: 'suffix', name: 'LIST', separator: ':', value: ['/end'], rule: 'set' },
        ],
      },
      arch,
    )
    const given = lab.given(path, { argv: ['me', 'mine'], environment: ['THERE=1', 'GONE=1', 'LIST=/a'] }, arch)
    expect(given.argv).toEqual([`<${path}>`, 'first', `--data=${root}/data:${root}`, '', 'mine', 'me', 'last'])
    expect(given.directory).toBe(`${root}/data`)
    expect([...given.environment].sort()).toEqual([
      'DEFAULT=yes',
      `LIST=${root}/bin:/a:/end`,
      `SET=\xff=${root}`,
      'THERE=1',
    ])
  })

  test('a target that is not there: one line, 127', () => {
    const root = lab.root()
    const path = lab.launcher(root, launch(AT, 'pkg/none' as BundlePath), arch)
    const { status, stderr, stdout } = lab.run(path, {}, arch)
    expect([status, stderr, stdout.length]).toEqual([127, `launcher: ${root}/pkg/none: no such file or directory\n`, 0])
  })

  test.each(['a b', 'a:b', 'a%sb', 'plain'])('a root named %j, by a way that command lines can hold', name => {
    const root = lab.root(`${arch}/${name}`)
    const template: LaunchTemplate = {
      ...PLAIN,
      before: [[{ root: true }], [{ root: 'plain' }, '/x:', { root: 'plain' }]],
      environment: [{ op: 'set', name: 'LIST', value: [{ root: 'plain' }, '/bin'] }],
    }
    const path = lab.launcher(root, template, arch)
    const [, own, two] = lab.given(path, {}, arch).argv
    const way = two!.slice(0, two!.indexOf('/x:'))
    expect([own, two]).toEqual([root, `${way}/x:${way}`])
    expect(lab.given(path, {}, arch).environment).toEqual([`LIST=${way}/bin`])
    if (name === 'plain') expect(way).toBe(root)
    else expect(way).toMatch(/^\/[\w/.-]+\/sf[\w-]*(?:\/[0-9a-f]{12})$/)
    expect(readFileSync(`${way}/printer`).equals(readFileSync(`${root}/printer`))).toBe(true)
    // The way that it was started by will do as well.
    const link = `${lab.path}/link-${arch}-${name.length}-${name.charCodeAt(1)}`
    symlinkSync(root, link)
    const started = lab.given(`${link}${path.slice(root.length)}`, {}, arch).argv
    expect(started[1]).toBe(root)
    expect(started[2]).toBe(name === 'plain' ? two : `${link}/x:${link}`)
  })
})

// ---- The environment ---------------------------------------------------------------------------------------------

test('a variable that is the path that was executed becomes another; any other value stays', () => {
  const root = lab.root()
  const path = lab.launcher(root, {
    ...PLAIN,
    environment: [{ op: 'set-started', name: '_', value: [{ root: true }, '/text'] }],
  })
  const seen = (...before: string[]) => lab.given(path, { environment: before }).environment
  expect(seen(`_=${path}`, 'A=1')).toEqual([`_=${root}/text`, 'A=1'])
  expect(seen(`_=${path}x`, `__=${path}`)).toEqual([`_=${path}x`, `__=${path}`])
  expect(seen()).toEqual([])
})

test('an empty environment stays empty', () => {
  expect(lab.given(lab.launcher(lab.root(), PLAIN)).environment).toEqual([])
})

test('what is not named keeps its bytes and its order, duplicates and strings without = too', () => {
  const strings = ['B=2', 'A=1', 'no equals sign', '', '=x', 'A=2', 'AB=3', 'S=old', 'A', 'é=\xff']
  const path = lab.launcher(
    lab.root(),
    environment({ op: 'set', name: 'S', value: ['new'] }, { op: 'set', name: 'T', value: [] }),
  )
  const expected = strings.map(s => (s === 'S=old' ? 'S=new' : s)).map(s => Buffer.from(s, 'latin1').toString('latin1'))
  expect(lab.given(path, { environment: strings }).environment).toEqual([...expected, 'T='])
})

test('of a name that is there twice the first is changed, and unset removes both', () => {
  const there = ['S=1', 'U=1', 'P=1', 'S=2', 'D=1', 'U=2', 'P=2', 'D=2', 'Z=0']
  const path = lab.launcher(
    lab.root(),
    environment(
      { op: 'set', name: 'S', value: ['s'] },
      { op: 'unset', name: 'U' },
      { op: 'prefix', name: 'P', separator: ':', value: ['p'], rule: 'unique' },
      { op: 'set-default', name: 'D', value: ['d'] },
    ),
  )
  expect(lab.given(path, { environment: there }).environment).toEqual([
    'S=s',
    'P=p:1',
    'S=2',
    'D=1',
    'P=2',
    'D=2',
    'Z=0',
  ])
})

test('operations on one variable follow each other', () => {
  const path = lab.launcher(
    lab.root(),
    environment(
      { op: 'unset', name: 'V' },
      { op: 'suffix', name: 'V', separator: ';', value: ['b'], rule: 'unique' },
      { op: 'prefix', name: 'V', separator: ';', value: ['a'], rule: 'set' },
      { op: 'set-default', name: 'V', value: ['no'] },
      { op: 'set-default', name: 'W', value: ['w'] },
      { op: 'suffix', name: 'W', separator: ':', value: ['x'.repeat(5000)], rule: 'nonempty' },
      { op: 'set', name: 'X', value: ['1'] },
      { op: 'unset', name: 'X' },
      { op: 'set', name: 'X', value: ['2'] },
      { op: 'set', name: 'X', value: ['3'] },
      { op: 'prefix', name: 'X', separator: ', ', value: ['4'], rule: 'set-unique' },
    ),
  )
  expect(lab.given(path, { environment: ['V=old', 'K=k'] }).environment).toEqual([
    'K=k',
    'V=a;b',
    `W=w:${'x'.repeat(5000)}`,
    'X=4, 3',
  ])
})

test('forty elements before and behind lists of 100 KiB, in turn', () => {
  const changes = Array.from({ length: 40 }, (_, i): EnvironmentOperation<Template> => {
    const name = i % 2 ? 'PATH' : 'OTHER'
    return i % 4 < 2
      ? { op: 'prefix', name, separator: ':', value: [`/p${i}`], rule: 'unique' }
      : { op: 'suffix', name, separator: ':', value: [`/s${i}`], rule: 'unique' }
  })
  const long = Array.from({ length: 10_000 }, (_, i) => `/dir/${i}`)
    .join(':')
    .slice(0, 100 * 1024)
  const of = (name: string, odd: number) =>
    [
      ...changes.flatMap((c, i) => (c.name === name && i % 4 === odd ? [`/p${i}`] : [])).reverse(),
      long,
      ...changes.flatMap((c, i) => (c.name === name && i % 4 === odd + 2 ? [`/s${i}`] : [])),
    ].join(':')
  const path = lab.launcher(lab.root(), environment(...changes))
  expect(lab.given(path, { environment: [`PATH=${long}`, `OTHER=${long}`] }).environment).toEqual([
    `PATH=${of('PATH', 1)}`,
    `OTHER=${of('OTHER', 0)}`,
  ])
})

// Rule by rule, what the program that is replaced does; `null` is not set.
test.each<[string | null, 'prefix' | 'suffix', ListRule, string, string]>([
  [null, 'prefix', 'nonempty', 'x', 'x'],
  ['', 'prefix', 'nonempty', 'x', 'x'],
  ['a:x', 'prefix', 'nonempty', 'x', 'x:a:x'],
  ['', 'suffix', 'nonempty', 'x', 'x'],
  ['a', 'suffix', 'nonempty', 'x', 'a:x'],
  [null, 'prefix', 'set', 'x', 'x'],
  ['', 'prefix', 'set', 'x', 'x:'],
  ['', 'suffix', 'set', 'x', ':x'],
  ['a', 'suffix', 'set', 'x', 'a:x'],
  [null, 'prefix', 'unique', 'x', 'x'],
  ['a:x:b:x', 'prefix', 'unique', 'x', 'x:a:b:x'],
  ['x', 'prefix', 'unique', 'x', 'x'],
  ['a:xx', 'prefix', 'unique', 'x', 'x:a:xx'],
  [':a:', 'prefix', 'unique', 'x', 'x::a:'],
  ['a:x:b', 'suffix', 'unique', 'x', 'a:x:b'],
  ['a:b', 'suffix', 'unique', 'x', 'a:b:x'],
  [':', 'suffix', 'unique', 'x', '::x'],
  ['a', 'suffix', 'unique', '', 'a'],
  [null, 'prefix', 'set-unique', 'x', 'x'],
  ['', 'prefix', 'set-unique', 'x', 'x:'],
  ['x:a', 'prefix', 'set-unique', 'x', 'x:a'],
  ['a:x:b', 'prefix', 'set-unique', 'x', 'x:a:b'],
  ['a:x', 'prefix', 'set-unique', 'x', 'x:a'],
  ['a:xx:x', 'prefix', 'set-unique', 'x', 'x:a:xx:x'],
  ['a:x', 'suffix', 'set-unique', 'x', 'a:x'],
  ['x:a', 'suffix', 'set-unique', 'x', 'a:x'],
  ['a:x:b', 'suffix', 'set-unique', 'x', 'a:b:x'],
  ['a', 'suffix', 'set-unique', 'x', 'a:x'],
])('%j: %s, %s, %j gives %j', (before, op, rule, value, expected) => {
  expect(listed(before, op, rule, value)).toBe(expected)
})

test('a separator may be long, or empty', () => {
  expect(listed('a', 'prefix', 'unique', 'x', ' and ')).toBe('x and a')
  expect(listed('ab', 'prefix', 'unique', 'b', '')).toBe('ba')
  expect(listed('ab', 'suffix', 'unique', 'b', '')).toBe('ab')
})

// ---- Arguments ---------------------------------------------------------------------------------------------------

test('two megabytes of arguments', () => {
  const path = lab.launcher(lab.root(), { ...PLAIN, before: [['flag']] })
  // The kernel counts a string and its pointer: a quarter of the stack's 8 MiB, less some for the environment.
  const argv = ['n', ...Array.from({ length: 190_000 }, () => 'ab')]
  const given = lab.given(path, { argv })
  expect(given.argv).toHaveLength(190_002)
  expect(given.argv[1]).toBe('flag')
})

test('too many: one line', () => {
  const root = lab.root()
  const path = lab.launcher(root, { ...PLAIN, before: Array.from({ length: 20 }, () => ['x'.repeat(100_000)]) })
  const argv = ['n', ...Array.from({ length: 190_000 }, () => 'ab')]
  const { status, stderr } = lab.run(path, { argv })
  expect([status, stderr]).toEqual([127, `launcher: ${root}/printer: argument list too long\n`])
})

test('no argv[0] at all, where the kernel lets that through, is an empty one', () => {
  const path = lab.launcher(lab.root(), { ...PLAIN, before: [['flag']] })
  expect(lab.given(path, { argv: [] }).argv).toEqual(['', 'flag'])
})

test('a script: the interpreter, the argument of its #! line, its path', () => {
  const root = lab.root()
  const path = lab.launcher(
    root,
    throughInterpreter(launch(AT, 'pkg/s' as BundlePath), [{ root: true }, '/printer'], [['-e x']]),
  )
  expect(lab.given(path, { argv: ['me', 'a', ''] }).argv).toEqual([`${root}/printer`, '-e x', `${root}/pkg/s`, 'a', ''])
})

test('a file of several names: the one that the launcher is called by, else its own', () => {
  const root = lab.root()
  const text = calledInRoot('pkg/.bin-text/xzgrep' as BundlePath, ['xzegrep', 'xzfgrep'])
  const path = lab.launcher(root, { ...PLAIN, before: [text, ['b']] })
  const directory = path.slice(0, path.lastIndexOf('/'))
  for (const [name, seen] of [
    ['xzegrep', 'xzegrep'],
    ['xzfgrep', 'xzfgrep'],
    ['egrep', 'xzgrep'],
    ['xzegrep2', 'xzgrep'],
  ]) {
    symlinkSync(path, `${directory}/${name}`)
    const { argv } = lab.given(`${directory}/${name}`, { argv: ['me', 'a'] })
    expect(argv).toEqual(['me', `${root}/pkg/.bin-text/${seen}`, 'b', 'a'])
  }
})

test('a loader: --argv0 and the program', () => {
  const root = lab.root()
  const loader: Template = [{ root: true }, '/printer']
  const program = launch(AT, 'pkg/p' as BundlePath)
  const argv = (knows: boolean) =>
    lab.given(lab.launcher(root, throughLoader(program, loader, knows)), { argv: ['me', 'a'] }).argv
  expect(argv(true)).toEqual([`${root}/printer`, '--argv0', 'me', `${root}/pkg/p`, 'a'])
  expect(argv(false)).toEqual([`${root}/printer`, `${root}/pkg/p`, 'a'])
})

test('a wrapper of a script: the flags come behind the script, the interpreter keeps its name', () => {
  const root = lab.root()
  const script = throughInterpreter(launch(AT, 'pkg/s' as BundlePath), [{ root: true }, '/printer'], [])
  const wrapped = wrapping(
    script,
    { program: '/store/s', argv0: 'started', environment: [], before: ['b'], after: ['/store/z'], directory: null },
    text => (text.startsWith('/store') ? [{ root: true }, text.slice('/store'.length)] : [text]),
  )
  expect(lab.given(lab.launcher(root, wrapped), { argv: ['me', 'a'] }).argv).toEqual([
    `${root}/printer`,
    `${root}/pkg/s`,
    'b',
    'a',
    `${root}/z`,
  ])
})

// ---- Where it lies -----------------------------------------------------------------------------------------------

test.each(['with space', 'with\nnewline', '\xff\xfe', 'x'.repeat(255), '\'"$(x)'])('a root %j', name => {
  const root = lab.root(`${name}/r`)
  const path = lab.launcher(root, { ...PLAIN, before: [[{ root: true }]] })
  expect(lab.given(path).argv[1]).toBe(root)
})

test('through links, relative, by another name, with the root moved', () => {
  const root = lab.root('here/root')
  const path = lab.launcher(root, { ...PLAIN, before: [[{ root: true }]] })
  const link = `${lab.path}/link`
  symlinkSync('here/root/pkg', `${lab.path}/directory`)
  symlinkSync('directory/tool/bin/tool', link)
  const rootBy = (file: string, directory = '/') => lab.given(file, { argv: ['x'], directory }).argv[1]
  expect(rootBy(link)).toBe(root)
  expect(rootBy('./link', lab.path)).toBe(root)
  expect(rootBy('tool', `${root}/pkg/tool/bin`)).toBe(root)
  expect(rootBy('../../../pkg/tool/../tool/bin/tool', `${root}/pkg/tool/bin`)).toBe(root)
  renameSync(path, `${root}/pkg/tool/bin/renamed`)
  renameSync(root, `${lab.path}/moved`)
  expect(rootBy(`${lab.path}/moved/pkg/tool/bin/renamed`)).toBe(`${lab.path}/moved`)
})

test('the root directory itself as root', () => {
  const root = lab.root()
  lab.launcher(root, { ...PLAIN, before: [[{ root: true }, '/x']] })
  const output = execFileSync('/usr/sbin/chroot', [root, '/pkg/tool/bin/tool'], { env: {} })
  expect(output.toString('latin1').split('\0').slice(2, 4)).toEqual(['/pkg/tool/bin/tool', '/x'])
})

test('without /proc: by the path it was started by, links and directories followed', () => {
  const root = lab.root()
  const path = lab.launcher(root, { ...PLAIN, before: [[{ root: true }]] })
  symlinkSync('pkg/tool/bin', `${root}/bin`)
  symlinkSync('../tool/bin/../bin/tool', `${root}/pkg/one`.replace('/one', '/tool/one'))
  mkdirSync(`${root}/links`)
  symlinkSync(`${root}/pkg/tool/bin/tool`, `${root}/links/absolute`)
  symlinkSync('absolute', `${root}/links/relative`)
  symlinkSync('loop', `${root}/links/loop`)
  const run = (command: string) => {
    const shell = `mount -t tmpfs none /proc && cd ${root} && ${command}`
    return execFileSync('unshare', ['-m', 'sh', '-c', shell]).toString('latin1').split('\0')
  }
  for (const command of [
    path,
    'pkg/tool/bin/tool',
    './bin/tool',
    './bin/../bin/tool',
    'links/relative',
    'cd bin; ./tool',
  ]) {
    const [directory, , , found] = run(command)
    expect([command, found]).toEqual([command, root])
    expect(directory).toBe(command.startsWith('cd') ? `${root}/pkg/tool/bin` : root)
  }
})

test('too shallow for its own place: one line, 127', () => {
  const path = lab.put('/tmp/storefree-shallow', nativeLauncher(PLAIN, compiled('x86_64')))
  try {
    const { status, stderr } = lab.run(path)
    expect([status, stderr]).toEqual([127, `launcher: ${path}: does not lie in its bundle\n`])
  } finally {
    execFileSync('rm', [path])
  }
})

test('its links were copied as files (scp -r): that is what it says', () => {
  const root = lab.root('copied')
  const launcher = nativeLauncher(PLAIN, compiled('x86_64'))
  const path = lab.put(`${root}/bin/tool`, launcher)
  const line = (said: string): unknown[] => [127, `launcher: ${path}: ${said}\n`]
  const said = (): unknown[] => {
    const { status, stderr } = lab.run(path)
    return [status, stderr]
  }
  expect(said()).toEqual([127, 'launcher: /tmp/printer: no such file or directory\n'])
  lab.put(`${root}/bundle.json`, Buffer.from('{}'))
  expect(said()).toEqual(line('this bundle was copied without its symbolic links; copy it with cp -a, tar or rsync -a'))
  // What is missing is named where the launcher is in its place.
  const place = lab.put(`${root}/${AT}`, launcher)
  renameSync(`${root}/printer`, `${root}/elsewhere`)
  expect(lab.run(place).stderr).toBe(`launcher: ${root}/printer: no such file or directory\n`)
})

// ---- Failures and endings ----------------------------------------------------------------------------------------

test('a target without permission, or in no known format: one line, 126', () => {
  const root = lab.root()
  const path = lab.launcher(root, launch(AT, 'target' as BundlePath))
  lab.put(`${root}/target`, readFileSync(lab.printer), 0o644)
  expect(lab.run(path)).toMatchObject({ status: 126, stderr: `launcher: ${root}/target: permission denied\n` })
  lab.put(`${root}/target`, Buffer.from('text'))
  expect(lab.run(path)).toMatchObject({
    status: 126,
    stderr: `launcher: ${root}/target: not a program for this machine\n`,
  })
})

test('a directory that is not there: one line, 127, and nothing is run', () => {
  const root = lab.root()
  const path = lab.launcher(root, { ...PLAIN, directory: [{ root: true }, '/none\n'] })
  const { status, stderr, stdout } = lab.run(path)
  expect([status, stderr, stdout.length]).toEqual([127, `launcher: ${root}/none?: no such file or directory\n`, 0])
})

test('exit codes and signals are the program’s', () => {
  const root = lab.root()
  const shell = lab.launcher(root, { ...PLAIN, program: ['/bin/sh'], before: [['-c']] })
  expect(lab.run(shell, { argv: ['sh', 'exit 7'] }).status).toBe(7)
  expect(lab.run(shell, { argv: ['sh', 'kill -TERM $$'] }).signal).toBe('SIGTERM')
})

test('raised privileges: one line, 127', () => {
  const root = lab.root()
  const path = lab.launcher(root, PLAIN)
  const asNobody = (file: string) =>
    execFileSync(
      'setpriv',
      ['--reuid=65534', '--regid=65534', '--clear-groups', 'sh', '-c', '"$0" 2>&1; echo $?', file],
      {
        env: {},
      },
    ).toString('latin1')
  expect(asNobody(path)).toContain(path)

  const setuid = `${root}/pkg/tool/bin/setuid`
  copyFileSync(path, setuid)
  chownSync(setuid, 0, 0)
  chmodSync(setuid, 0o4755)
  const capable = `${root}/pkg/tool/bin/capable`
  copyFileSync(path, capable)
  execFileSync('/usr/sbin/setcap', ['cap_net_bind_service+ep', capable])
  for (const file of [setuid, capable])
    expect(asNobody(file)).toBe(
      `launcher: ${file}: set-user-ID programs and programs with capabilities cannot run from a relocatable bundle\n127\n`,
    )
})

// ---- The image ---------------------------------------------------------------------------------------------------

test.each([
  ['strip', '--strip-all'],
  ['strip', '--strip-debug'],
  ['objcopy', '--strip-unneeded'],
])('it works after %s %s', (tool, option) => {
  const root = lab.root()
  const path = lab.launcher(root, { ...PLAIN, before: [['kept']] })
  execFileSync(tool, [option, path])
  expect(lab.given(path, { argv: ['me'] }).argv).toEqual(['me', 'kept'])
})

test('readelf finds nothing to say against it', () => {
  const path = lab.launcher(lab.root(), PLAIN)
  const { stderr, stdout } = run('readelf', ['-aW', '--lint', path])
  expect(stderr).toBe('')
  expect(stdout).not.toMatch(/warning|error/i)
  expect(stdout).toContain('.configuration')
  expect(stdout).not.toMatch(/\bINTERP|DYNAMIC|RWE/)
})

test('the same template gives the same bytes', () => {
  expect(nativeLauncher(PLAIN, compiled('x86_64')).equals(nativeLauncher(PLAIN, compiled('x86_64')))).toBe(true)
})

test('what is no compiled launcher is refused', () => {
  expect(() => nativeLauncher(PLAIN, Buffer.from('text'))).toThrow('not a compiled launcher')
  expect(() => nativeLauncher(PLAIN, readFileSync(lab.printer))).toThrow('one segment')
})

test.each<[string, LaunchTemplate]>([
  ['NUL', { ...PLAIN, argv0: ['a\0b'] }],
  ['no byte', { ...PLAIN, argv0: ['\u{100}'] }],
  ['an empty name', environment({ op: 'unset', name: '' })],
  ['= in a name', environment({ op: 'set', name: 'A=B', value: [] })],
])('a template with %s is refused', (_, template) => {
  expect(() => nativeLauncher(template, compiled('x86_64'))).toThrow()
})

function run(file: string, args: readonly string[]): { stdout: string; stderr: string } {
  const errors = `${lab.path}/stderr`
  const stdout = execFileSync('sh', ['-c', '"$@" 2>"$0"', errors, file, ...args], { maxBuffer: 1 << 26 })
  return { stdout: stdout.toString('latin1'), stderr: readFileSync(errors, 'latin1') }
}
