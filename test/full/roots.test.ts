/**
 * Bundles in an empty root, one for a fixed place, a relocatable one at three: real programs do there what they do in the
 * store, without arguments, environment or any step of installation.
 */
import { spawn } from 'node:child_process'
import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { temporary } from '../support/bundle.ts'
import { bundles, NOBODY, show } from '../support/jobs.ts'
import { EmptyRoot, PLAIN_ENVIRONMENT, tool } from '../support/root.ts'
import { JOBS, titleOf } from './programs.ts'

const BWRAP = tool('bwrap')
const relocatable = bundles()
const MODES = [
  { mode: 'with --prefix', place: '/opt/app', bundle: bundles('--prefix', '/opt/app') },
  { mode: 'relocatable', place: '/srv/x', bundle: relocatable },
  { mode: 'moved', place: "/opt/it's another 100%{}", bundle: relocatable },
  { mode: 'at 200 bytes', place: `/srv${`/${'r'.repeat(48)}`.repeat(4)}`, bundle: relocatable },
  { mode: 'at 900 bytes', place: `/srv${`/${'r'.repeat(127)}`.repeat(7)}`, bundle: relocatable },
]

test.each([200, 900])('as nobody, at %i bytes: every program does what it does', length => {
  const place = `/srv${`/${'n'.repeat(127)}`.repeat(7)}`.slice(0, length).replace(/\/$/, 'n')
  expect(place.length).toBe(length)
  for (const job of JOBS) show(job, relocatable(job.attribute), place, NOBODY)
})

const shown = (shows: string | RegExp) =>
  typeof shows === 'string' ? expect.stringContaining(shows) : expect.stringMatching(shows)

test('two at once, at two long places, that have one directory for their links', async () => {
  const tmp = temporary()
  chmodSync(tmp, 0o1777)
  const jobs = JOBS.filter(job => job.code === undefined && job.files === undefined && job.input === undefined)
  const places = ['a', 'b'].map(c => `/srv${`/${c.repeat(127)}`.repeat(7)}`)
  const runs = jobs.flatMap(job =>
    places.map(async place => {
      const mounts = [...NOBODY.mounts(), '--bind', tmp, '/dev/shm']
      const root = new EmptyRoot(relocatable(job.attribute), place, mounts, NOBODY.before)
      const child = spawn(BWRAP, root.arguments(`bin/${job.program}`, job.args), {
        env: PLAIN_ENVIRONMENT,
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      let output = ''
      child.stdout.on('data', data => (output += data))
      child.stderr.on('data', data => (output += data))
      const code = await new Promise(done => child.once('close', done))
      expect([titleOf(job), code, output]).toEqual([titleOf(job), 0, shown(job.shows)])
    }),
  )
  await Promise.all(runs)
  expect(readdirSync(join(tmp, 'sf-65534'))).toHaveLength(2)
})

describe.each(MODES)('$mode, at $place', ({ place, bundle }) => {
  test.each(JOBS.map(job => [titleOf(job), job] as const))('%s', (_, job) => show(job, bundle(job.attribute), place))

  test('nginx without arguments serves its own page; -V prints no store path', async () => {
    const nginx = bundle('full.nginx')
    // Its configuration is its own: port 80, a log in /var/log, a user that there has to be and that may read all.
    const etc = temporary()
    writeFileSync(join(etc, 'passwd'), 'nobody:x:0:0::/:/bin/sh\n')
    writeFileSync(join(etc, 'group'), 'nogroup:x:0:\n')
    const root = new EmptyRoot(nginx, place, [
      ...['--unshare-net', '--ro-bind', etc, '/etc', '--dir', '/var/log/nginx', '--dir', '/var/empty'],
      ...['--ro-bind', tool('busybox'), '/busybox'],
    ])
    expect(root.run('bin/nginx', ['-V']).stderr).not.toContain('/nix/store')
    const script = `"${place}/bin/nginx" || exit; /busybox wget -q -O - http://127.0.0.1/; kill $(/busybox cat /var/log/nginx/nginx.pid)`
    const child = spawn('bwrap', root.arguments('/busybox', ['sh', '-c', script]), {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    child.stdout.on('data', data => (output += data))
    child.stderr.on('data', data => (output += data))
    await new Promise(done => child.once('close', done))
    expect(output).toContain('Welcome to nginx')
  })

  test('git: init, commit, clone over file://, submodule status, and its own templates', () => {
    const root = new EmptyRoot(bundle('full.git'), place)
    const git = (...args: string[]): string => root.output('bin/git', args)
    git('init', '-q', '-b', 'main', 'there')
    expect(readFileSync(join(root.home, 'there/.git/description'), 'utf8')).toContain('Unnamed repository')
    writeFileSync(join(root.home, 'there/file'), 'contents\n')
    git('-C', 'there', 'add', 'file')
    git('-C', 'there', 'commit', '-qm', 'first')
    git('clone', '-q', 'file:///home/there', 'here')
    expect(readFileSync(join(root.home, 'here/file'), 'utf8')).toBe('contents\n')
    expect(git('-C', 'here', 'log', '--format=%s')).toBe('first\n')
    expect(git('-C', 'here', 'submodule', 'status')).toBe('')
  })

  test('a Perl program with a module, data, DATA, and its own name', () => {
    const root = new EmptyRoot(bundle('full.plapp'), place, [...['--ro-bind', tool('busybox'), '/bin/sh']])
    const text = root.output('bin/plapp', ['a', 'b'])
    expect(text).toContain('greets PlApp 1\ndata data of plapp\nsame yes\n')
    // Its text lies beside the launcher; the kernel tells what was typed.
    expect(text).toMatch(/^name .*\/(?:bin|pkg\/plapp-1\.0\/\.bin-text)\/plapp$/m)
    expect(text).toMatch(/DATA 1 first, from \/.*\/pkg\/plapp-1\.0\/bin\/plapp\n/)
  })
})
