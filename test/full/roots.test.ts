/**
 * Bundles in an empty root, one for a fixed place, a relocatable one at three: real programs do there what they do in the
 * store, without arguments, environment or any step of installation.
 */
import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { temporary } from '../support/bundle.ts'
import { bundles, show } from '../support/jobs.ts'
import { EmptyRoot, tool } from '../support/root.ts'
import { JOBS, titleOf } from './programs.ts'

const relocatable = bundles()
const MODES = [
  { mode: 'with --prefix', place: '/opt/app', bundle: bundles('--prefix', '/opt/app') },
  { mode: 'relocatable', place: '/srv/x', bundle: relocatable },
  { mode: 'moved', place: "/opt/it's another 100%{}", bundle: relocatable },
  { mode: 'at 900 bytes', place: `/srv${`/${'r'.repeat(127)}`.repeat(7)}`, bundle: relocatable },
]

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
