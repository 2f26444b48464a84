/** `bundle try`: a program of a bundle where there is nothing else, by each way to an empty root. */
import { spawn } from 'node:child_process'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { command, fixtureEnv, mustBundle, type Run, run, temporary } from '../support/bundle.ts'
import { tool } from '../support/root.ts'

const cwd = temporary()
/** Where temporary directories are made: empty before and after. */
const TMP = join(cwd, 'tmp')
const tried = (args: readonly string[], env: NodeJS.ProcessEnv = {}): Run => {
  const result = run(process.execPath, [command, 'try', ...args], { cwd, env: { ...fixtureEnv, TMPDIR: TMP, ...env } })
  expect(fs.readdirSync(TMP)).toEqual([])
  return result
}

const PROGRAM = `
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv) {
  if (argc > 2 && !strcmp(argv[1], "exit")) return atoi(argv[2]);
  if (argc > 2 && !strcmp(argv[1], "kill")) { raise(atoi(argv[2])); }
  if (argc > 2 && !strcmp(argv[1], "open")) {
    if (fork() == 0) return 0;
    return open(argv[2], O_RDONLY) < 0;
  }
  if (argc > 2 && !strcmp(argv[1], "write")) return open(argv[2], O_WRONLY | O_CREAT, 0600) < 0;
  if (argc > 1 && !strcmp(argv[1], "wait")) { puts("waiting"); fflush(stdout); for (;;) pause(); }
  if (argc > 1 && !strcmp(argv[1], "environment")) { extern char **environ; for (char **e = environ; *e; e++) puts(*e); return 0; }
  printf("%s: %d %d %d\\n", argv[0], access("/nix", F_OK), access("/bin/ls", F_OK), access("/bin/sh", F_OK));
  return 0;
}
`

beforeAll(() => {
  fs.mkdirSync(TMP)
  for (const [name, programs] of [
    ['one', ['app']],
    ['two', ['app', 'other']],
  ] as const) {
    fs.mkdirSync(join(cwd, name, 'bin'), { recursive: true })
    fs.writeFileSync(join(cwd, 'app.c'), PROGRAM)
    for (const program of programs)
      expect(run('gcc', ['-o', join(cwd, name, 'bin', program), join(cwd, 'app.c')]).code).toBe(0)
    mustBundle([`./${name}`, '-q', '-f', 'dir', '-o', `${name}.dir`], { cwd })
    mustBundle([`./${name}`, '-q', '-o', `${name}.tar.gz`], { cwd })
  }
  mustBundle(['./one', '-q', '-o', 'one.tar.zst'], { cwd })
  mustBundle(['./one', '-q', '-f', 'dir', '-o', 'shell', '--launcher', 'shell'], { cwd })
})

const NOTHING_THERE = '/bundle/bin/app: -1 -1 -1\n'

test.each(['one.dir', 'one.tar.gz', 'one.tar.zst'])('%s: its only program runs, and nothing else is there', bundle => {
  expect(tried([bundle])).toMatchObject({ code: 0, stdout: NOTHING_THERE, stderr: '' })
})

test("the exit code is the command's, and 128 + n for a signal", () => {
  expect(tried(['one.dir', '--', 'app', 'exit', '7']).code).toBe(7)
  expect(tried(['one.dir', '--', 'bin/app', 'exit', '0']).code).toBe(0)
  expect(tried(['one.tar.gz', '--', 'app', 'kill', '15']).code).toBe(143)
})

test('its environment is a plain one', () => {
  const { stdout } = tried(['one.dir', '--', 'app', 'environment'], { SECRET: 'x', LD_LIBRARY_PATH: '/x' })
  expect(stdout).not.toMatch(/SECRET|LD_LIBRARY_PATH/)
})

test('which program is asked when there are several, and when there is none of that name', () => {
  const several = tried(['two.tar.gz'])
  expect(several.code).toBe(2)
  expect(several.stderr).toContain('which program? there are 2: app, other')
  expect(tried(['two.tar.gz', '--', 'other', 'exit', '3']).code).toBe(3)
  const none = tried(['two.tar.gz', '--', 'third'])
  expect(none.code).toBe(2)
  expect(none.stderr).toContain('third: no such program in the bundle\n  try: one of app, other')
})

describe('each way to an empty root', () => {
  const DIRECTORIES: Record<string, readonly string[]> = {
    bwrap: ['bwrap', 'true', 'strace'],
    unshare: ['unshare', 'sh', 'mount', 'mkdir', 'chmod', 'chroot', 'strace'],
    chroot: ['chroot', 'true', 'strace'],
  }
  /** A PATH with these programs only. */
  function path(name: string): string {
    const directory = join(cwd, `path-${name}`)
    if (fs.existsSync(directory)) return directory
    fs.mkdirSync(directory)
    // `true` is a word of the shell, too.
    for (const program of DIRECTORIES[name] ?? [])
      fs.symlinkSync(program === 'true' ? '/bin/true' : tool(program), join(directory, program))
    return directory
  }

  test.each(Object.keys(DIRECTORIES))('%s', method => {
    for (const bundle of ['one.dir', 'one.tar.gz']) {
      const result = tried([bundle, '--trace'], { PATH: path(method) })
      expect(result).toMatchObject({ code: 0, stdout: NOTHING_THERE })
      expect(result.stderr).toBe(`trace (${method}): nothing outside the bundle\n`)
      expect(tried([bundle, '--', 'app', 'exit', '9'], { PATH: path(method) }).code).toBe(9)
    }
  })

  test('none: it says so, and what was checked all the same', () => {
    const result = tried(['one.dir'], { PATH: path('none') })
    expect(result.code).toBe(2)
    expect(result.stderr).toContain(
      'no empty root can be made here (bwrap: not found on PATH; unshare: not found on PATH; chroot: not found on PATH)',
    )
    expect(result.stderr).toContain('bundle verify one.dir (clean: everything resolves inside)')
  })

  test("a script's own shell is the machine's, and no launcher's", () => {
    fs.mkdirSync(join(cwd, 'plain/bin'), { recursive: true })
    for (const [name, shell] of [
      ['plain', '/bin/sh'],
      ['bashed', '/bin/bash'],
    ])
      fs.writeFileSync(join(cwd, 'plain/bin', name!), `#!${shell}\necho "$0"\n`, { mode: 0o755 })
    mustBundle(['./plain', '-q', '-f', 'dir', '-o', 'plain.dir'], { cwd })
    const said = (name: string): string => tried(['plain.dir', '--', name]).stderr
    expect(said('plain')).toMatch(
      /starts through \/bin\/sh, and an empty root has none\n {2}try: --shell \/bin\/busybox puts a static shell there\n$/,
    )
    expect(said('bashed')).toMatch(
      /starts through \/bin\/bash, .* has none\n {2}try: its package leaves \/bin\/bash to the machine that it runs on\n$/,
    )
    expect(tried(['plain.dir', '--shell', '/bin/busybox', '--', 'plain']).stdout).toBe('/bundle/bin/plain\n')
  })

  test('a shell launcher needs a shell, which has to be static', () => {
    const without = tried(['shell'])
    expect(without.code).toBe(2)
    expect(without.stderr).toContain('bin/app: starts through /bin/sh, and an empty root has none')
    for (const method of Object.keys(DIRECTORIES))
      expect(
        tried(['shell', '--shell', '/bin/busybox', '--', 'app', 'exit', '4'], { PATH: path(method) }).code,
        method,
      ).toBe(4)
    expect(tried(['shell', '--shell', fs.realpathSync('/bin/bash')])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('is no static program'),
    })
  })
})

describe('an image', () => {
  const image = (...options: string[]): string => {
    const out = `image${options.join('')}.oci.tar`.replace(/[^\w.]/g, '')
    mustBundle(['./one', '-q', '-o', out, ...options], { cwd })
    return out
  }

  test('what it starts is run in its own root: arguments stand for its own, another program by its name', () => {
    const out = image('--cmd=exit', '--cmd=5', '--env', 'A=b', '--workdir', '/tmp')
    expect(tried([out]).code).toBe(5)
    expect(tried([out, '--', '-v'])).toMatchObject({ code: 0, stdout: '/app/bin/app: -1 -1 -1\n', stderr: '' })
    expect(tried([out, '--', 'app', 'exit', '6']).code).toBe(6)
    expect(tried([out, '--', 'app', 'environment'], { SECRET: 'x' }).stdout).toMatch(/^(?!.*SECRET).*A=b$/ms)
    expect(tried([out, '--trace', '--', 'app', 'open', '/etc/passwd'])).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/^trace \(\w+\): nothing outside the bundle\n$/),
    })
    expect(tried([out, '--', 'third'])).toMatchObject({ code: 2, stderr: expect.stringContaining('no such program') })
    expect(tried([out, '--shell', '/bin/busybox'])).toMatchObject({ code: 2 })
  })

  test.runIf(process.getuid?.() === 0)('as the user that it says: what that may not write shows', () => {
    const out = image('--user', '1001:0', '--writable', '/var/log/app')
    expect(tried([out, '--', 'app', 'write', '/var/log/app/x']).code).toBe(0)
    expect(tried([out, '--', 'app', 'write', '/var/log/x']).code).toBe(1)
  })

  test('with a missing layer it is not unpacked', () => {
    const out = image()
    const layer = run('tar', ['-tf', join(cwd, out)])
      .stdout.split('\n')
      .find(name => /^blobs\/sha256\/./.test(name))!
    expect(run('tar', ['--delete', '-f', join(cwd, out), layer]).code).toBe(0)
    expect(tried([out])).toMatchObject({ code: 2, stderr: expect.stringContaining('is not unpacked') })
  })
})

test('one file unpacks itself there; it is called by the name that is asked for', () => {
  mustBundle(['./two', '-q', '-f', 'exe', '--entrypoint', 'app', '-o', 'two.exe'], { cwd })
  expect(tried(['two.exe'])).toMatchObject({ code: 0, stdout: NOTHING_THERE.replace('bin/', '') })
  expect(tried(['two.exe', '--', 'other', 'exit', '7']).code).toBe(7)
  expect(tried(['two.exe', '--trace', '--', 'app', 'open', '/etc/passwd'])).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/: 1 path outside the bundle\n {2}not there {2}\/etc\/passwd\n$/),
  })
  expect(tried(['two.exe', '--', 'third'])).toMatchObject({
    code: 2,
    stderr: 'error: third: no such program in the bundle\n  try: one of app, other\n',
  })
})

test('--trace tells what was opened outside, and what was tried, as strace on its own does', () => {
  const result = tried(['one.tar.gz', '--trace', '--', 'app', 'open', '/etc/passwd'])
  expect(result.code).toBe(1)
  expect(result.stderr).toBe('trace (bwrap): 1 path outside the bundle\n  not there  /etc/passwd\n')
  expect(tried(['one.dir', '--trace', '--', 'app', 'open', '/dev/null'])).toMatchObject({
    code: 0,
    stderr: 'trace (bwrap): nothing outside the bundle\n',
  })
  expect(tried(['one.dir', '--trace', '--', 'app', 'open', '/'])).toMatchObject({
    code: 0,
    stderr: expect.stringContaining('  opened     /\n'),
  })
})

test.each(['SIGINT', 'SIGTERM'] as const)('%s leaves no directory and no process', async signal => {
  const child = spawn(process.execPath, [command, 'try', 'one.tar.gz', '--', 'app', 'wait'], {
    cwd,
    env: { ...fixtureEnv, TMPDIR: TMP },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  await new Promise(done => child.stdout.once('data', done))
  expect(fs.readdirSync(TMP)).not.toEqual([])
  const code = await new Promise(done => {
    child.once('exit', done)
    child.kill(signal)
  })
  expect(code).toBe(signal === 'SIGINT' ? 130 : 143)
  expect(fs.readdirSync(TMP)).toEqual([])
  const running = (): string => run('pgrep', ['-f', '^/bundle/bin/app wait']).stdout
  for (let i = 0; i < 50 && running() !== ''; i++) await new Promise(done => setTimeout(done, 20))
  expect(running()).toBe('')
})

test('what is no bundle, or would lead out when it is unpacked, is refused', () => {
  expect(tried(['one'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('no bundle: there is no bundle.json'),
  })
  fs.cpSync(join(cwd, 'one.dir'), join(cwd, 'bad'), { recursive: true, verbatimSymlinks: true })
  fs.symlinkSync('../../x', join(cwd, 'bad/lib/out'))
  expect(run('tar', ['-cf', join(cwd, 'bad.tar'), '-C', cwd, 'bad']).code).toBe(0)
  expect(tried(['bad.tar'])).toMatchObject({ code: 2, stderr: expect.stringContaining('lib/out is unsafe') })
})
