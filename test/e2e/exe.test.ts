/** `-f exe`: one file that unpacks itself once, and never leaves or runs half a bundle. */
import { spawn, spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { bundle, fixture, mustBundle, run, temporary } from '../support/bundle.ts'

const work = temporary()
const file = join(work, 'probe')
/** Short, for a bundle lies no deeper than its strings are long. */
let home: string
beforeAll(() => {
  mustBundle(['probe', '-f', 'exe', '-o', file])
})
beforeEach(() => {
  home = fs.mkdtempSync('/tmp/h')
  return () => fs.rmSync(home, { recursive: true, force: true })
})

const cache = (): string => join(home, '.cache/storefree')
const start = (args: readonly string[] = [], env: NodeJS.ProcessEnv = { HOME: home }, path = file) =>
  run(path, args, { env })
/** What lies in the cache once all is well. */
const whole = (): string[] =>
  fs
    .readdirSync(cache())
    .filter(name => !name.startsWith('.'))
    .sort()

test('the first start unpacks, the next only runs; arguments and environment pass as they are', () => {
  const original = run(join(fixture('probe'), 'bin/probe'), ['a', 'b c'], { env: { HOME: home } })
  const first = start(['a', 'b c'])
  expect(first.code).toBe(0)
  const plain = (text: string): string[] => text.split('\n').filter(line => /^(argv [1-9]|env)/.test(line))
  expect(plain(first.stdout)).toEqual(plain(original.stdout))
  expect(first.stdout).toContain(`argv 0 "${file}"`)
  const [digest, ready] = whole()
  expect([digest, ready]).toEqual([expect.stringMatching(/^[0-9a-f]{16}$/), `${digest}.ready`])
  expect(bundle(['verify', '--strict', join(cache(), digest!)]).code).toBe(0)
  const before = fs.statSync(join(cache(), digest!)).mtimeMs
  expect(start().code).toBe(0)
  expect(fs.statSync(join(cache(), digest!)).mtimeMs).toBe(before)
})

test('the name that it is called by picks the program', () => {
  const many = join(work, 'twins')
  mustBundle(['twins', '-f', 'exe', '--entrypoint', 'red', '-o', many])
  const names = ['red', 'blue', 'twins', '..']
  const said = names.map(name => {
    const link = join(home, name === '..' ? 'odd' : name)
    fs.symlinkSync(many, link)
    return name === '..'
      ? spawnSync(link, [], { argv0: '..', env: { HOME: home }, encoding: 'utf8' }).stdout
      : start([], { HOME: home }, link).stdout
  })
  const [red, blue] = ['red', 'blue'].map(name => run(join(fixture('twins'), 'bin', name), []).stdout)
  expect(said).toEqual([red, blue, red, red])
})

test('equal inputs give equal bytes; without a store, a library or a shell it runs', () => {
  const again = join(work, 'again')
  mustBundle(['probe', '-f', 'exe', '-o', again, '--jobs', '1'])
  expect(fs.readFileSync(again).equals(fs.readFileSync(file))).toBe(true)
  const inRoot = [
    '--dev',
    '/dev',
    '--proc',
    '/proc',
    '--tmpfs',
    '/h',
    '--setenv',
    'HOME',
    '/h',
    '--ro-bind',
    file,
    '/x/probe',
  ]
  expect(run('bwrap', [...inRoot, '--', '/x/probe', '--exit', '7']).code).toBe(7)
})

test('bundle verify reads it as the bundle that it is, and what is damaged is an error', () => {
  const read = (path: string, ...more: string[]) => bundle(['verify', '--strict', ...more, path])
  const { code, stdout } = read(file, '--json')
  const [{ kind, closed, clean }] = JSON.parse(stdout).results
  expect([code, kind, closed, clean]).toEqual([0, 'exe', true, true])
  const bytes = fs.readFileSync(file)
  const [begin, end] = [Number(bytes.readBigUInt64LE(bytes.length - 296 + 8)), bytes.length - 296]
  const changed = join(work, 'changed')
  for (let i = 0; i < 8; i++) {
    const other = Buffer.from(bytes)
    const at = begin + Math.floor(((end - 1 - begin) * i) / 7)
    other[at] = other[at]! ^ 0x55
    fs.writeFileSync(changed, other)
    expect(read(changed).code, `${at} of ${begin} to ${end}`).toBe(2)
  }
  // What belongs to no file of the bundle is looked at too.
  const planted = Buffer.from(bytes)
  planted.write(`/nix/store/${'a1b2c3d4f5'.repeat(4).slice(0, 32)}-x`, bytes.length - 120, 'latin1')
  fs.writeFileSync(changed, planted)
  expect(read(changed)).toMatchObject({ code: 1, stdout: expect.stringContaining('/nix/store/a1b2') })
})

test('STOREFREE_EXTRACT unpacks into a new directory, and no further', () => {
  const to = join(home, 'out')
  expect(start([], { STOREFREE_EXTRACT: to })).toMatchObject({ code: 0, stdout: '' })
  expect(bundle(['verify', '--strict', to]).code).toBe(0)
  expect(start([], { STOREFREE_EXTRACT: to })).toMatchObject({ code: 127, stderr: `probe: ${to}: is there already\n` })
})

test('a place of its own is refused: it has none', () => {
  const out = join(work, 'none')
  expect(bundle(['probe', '-f', 'exe', '-o', out, '--prefix', '/opt/x'])).toMatchObject({ code: 2 })
  expect(fs.existsSync(out)).toBe(false)
})

describe('where to', () => {
  test('XDG_CACHE_HOME, else HOME, else a directory of the user in /tmp', () => {
    const xdg = join(home, 'x')
    expect(start([], { HOME: home, XDG_CACHE_HOME: xdg }).code).toBe(0)
    expect(fs.existsSync(join(xdg, 'storefree'))).toBe(true)
    const own = `/tmp/storefree-${process.getuid?.()}`
    const had = fs.existsSync(own)
    expect(start([], {}).code).toBe(0)
    expect(fs.statSync(own).mode & 0o777).toBe(0o700)
    if (!had) fs.rmSync(own, { recursive: true })
  })

  test("never a directory that others can write, or that is somebody else's, or a link", () => {
    // So that there is no other choice.
    const root = (prepare: string): string[] => [
      ...['--bind', '/', '/', '--tmpfs', '/tmp', '--bind', work, '/mnt', '--dev', '/dev', '--proc', '/proc'],
      ...['--', 'bash', '-c', `mkdir -p /tmp/h/.cache; cd /tmp; ${prepare}; HOME=/tmp/h exec /mnt/probe --exit 0`],
    ]
    const prepared = [
      'mkdir -m 777 h/.cache/storefree; mkdir -m 777 /tmp/storefree-0',
      'mkdir h/.cache/storefree /tmp/storefree-0; chown 1:1 h/.cache/storefree /tmp/storefree-0',
      'mkdir h/other; ln -s /tmp/h/other h/.cache/storefree; ln -s /tmp/h/other /tmp/storefree-0',
      'touch h/.cache/storefree /tmp/storefree-0',
    ]
    for (const prepare of prepared) {
      const { code, stderr } = run('bwrap', root(prepare))
      expect([code, stderr], prepare).toEqual([127, expect.stringContaining('no directory to unpack into')])
    }
  })
})

describe('what fails says one line, and leaves nothing that runs', () => {
  const oneLine = (result: { code: number | null; stderr: string }, reason: string): void => {
    expect([result.code, result.stderr.split('\n').length], result.stderr).toEqual([127, 2])
    expect(result.stderr).toContain(reason)
  }

  test('a damaged file: any byte of what is packed, a cut end', () => {
    const bytes = fs.readFileSync(file)
    const damaged = join(home, 'probe')
    const begin = Number(bytes.readBigUInt64LE(bytes.length - 296 + 8))
    for (let i = 0; i < 16; i++) {
      const changed = Buffer.from(bytes)
      const at = begin + Math.floor(((bytes.length - 297 - begin) * i) / 15)
      changed[at] = changed[at]! ^ 0x55
      fs.writeFileSync(damaged, changed, { mode: 0o755 })
      oneLine(start([], { HOME: home }, damaged), 'damaged')
      expect(whole().filter(name => !name.endsWith('.partial'))).toEqual([])
    }
    fs.writeFileSync(damaged, bytes.subarray(0, -1))
    oneLine(start([], { HOME: home }, damaged), 'damaged')
  })

  test('a full disk, a read-only one, one where nothing may run', () => {
    const on = (mount: string, options: string): ReturnType<typeof run> =>
      run('unshare', [
        '-m',
        'bash',
        '-c',
        `mount -t tmpfs -o ${options} tmpfs ${home} && ${mount} HOME=${home} exec ${file}`,
      ])
    oneLine(on('', 'size=1m'), 'no space left')
    oneLine(on('', 'noexec'), 'noexec')
    const readOnly = on(`mkdir -p ${cache()} && mount -o remount,ro ${home} &&`, 'size=64m')
    oneLine(readOnly, 'read-only')
  })

  test('ten first starts at once: one unpacks, all run', async () => {
    const codes = await Promise.all(
      Array.from(
        { length: 10 },
        () => new Promise(resolve => spawn(file, ['--exit', '3'], { env: { HOME: home } }).on('close', resolve)),
      ),
    )
    expect(codes).toEqual(Array.from({ length: 10 }, () => 3))
    expect(whole()).toHaveLength(2)
  })

  test('killed at each system call of the first start, the next start is whole', () => {
    let killed = 0
    for (let n = 1; n < 500; n++) {
      fs.rmSync(cache(), { recursive: true, force: true })
      const inject = ['-qq', '-o', '/dev/null', '-e', `inject=all:signal=KILL:when=${n}`, file, '--exit', '0']
      const { signal } = spawnSync('strace', inject, { env: { HOME: home, PATH: process.env.PATH } })
      if (signal === null) break
      killed++
      expect(start(['--exit', '5']).code, `call ${n}`).toBe(5)
      expect(whole(), `call ${n}`).toHaveLength(2)
    }
    expect(killed).toBeGreaterThan(40)
  })
})
