/** The main job: nginx, out of the store, into a tarball, serving its page where there is no Nix. */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { bundle, fixture, grep, mustBundle, run, temporary } from '../support/bundle.ts'

const ARCHIVE = 'nginx-1.22.1-x86_64-linux.tar.gz'

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise(done => server.once('listening', done))
  const address = server.address()
  await new Promise(done => server.close(done))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

const configuration = (port: number, root: string): string => `daemon off; pid /tmp/nginx.pid; error_log stderr;
worker_processes 2; events {}
http {
  access_log off;
  client_body_temp_path /tmp/a; proxy_temp_path /tmp/b; fastcgi_temp_path /tmp/c; uwsgi_temp_path /tmp/d; scgi_temp_path /tmp/e;
  server { listen 127.0.0.1:${port}; location / { root ${root}; } }
}
`

/** Fetches a page until it is there; whatever runs is ended afterwards. */
async function page(args: readonly string[], port: number): Promise<{ body: string; stderr: string }> {
  const child = spawn('bwrap', args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let stderr = ''
  child.stderr.on('data', data => (stderr += data))
  try {
    for (let i = 0; i < 100; i++) {
      await new Promise(done => setTimeout(done, 100))
      const body = await fetch(`http://127.0.0.1:${port}/`).then(
        r => r.text(),
        () => null,
      )
      if (body !== null) return { body, stderr }
      if (child.exitCode !== null) break
    }
    return { body: '', stderr }
  } finally {
    child.kill('SIGTERM')
    await new Promise(done => (child.exitCode === null ? child.once('exit', done) : done(null)))
  }
}

/** An empty root: the bundle, /proc and /dev, and what is added. No user database: nginx runs as who started it. */
const emptyRoot = (mounts: readonly string[]): string[] => [
  ...['--unshare-pid', '--unshare-user', '--uid', '1000', '--gid', '1000', '--die-with-parent'],
  ...['--tmpfs', '/', '--proc', '/proc', '--dev', '/dev', '--tmpfs', '/tmp'],
  ...mounts,
]

describe('bundle nginx', () => {
  const cwd = temporary()
  const unpacked = join(cwd, 'unpacked')
  const tree = join(unpacked, 'nginx-1.22.1')
  let printed: string

  beforeAll(() => {
    printed = mustBundle(['nginx'], { cwd }).stdout
    mustBundle(['nginx', '--launcher', 'shell', '-f', 'dir', '-o', 'shell'], { cwd })
    mkdirSync(unpacked)
    const untar = run('tar', ['xzf', ARCHIVE, '-C', unpacked], { cwd })
    expect(untar).toMatchObject({ code: 0, stderr: '' })
  })

  test('writes one archive and nothing else', () => {
    expect(readdirSync(cwd).filter(name => name !== 'unpacked' && name !== 'shell')).toEqual([ARCHIVE])
    expect(readdirSync(unpacked)).toEqual(['nginx-1.22.1'])
  })

  test('says what it took the word for, and what became of it', () => {
    expect(printed).toMatch(
      /^nginx 1\.22\.1 {2}x86_64-linux {2}\(nix attribute nginx\)\n {2}programs 1 {3}libraries \d+ {3}data files \d+\n/,
    )
    expect(printed).toMatch(
      /Nix closure [\d.]+ MB {2}-> {2}bundle [\d.]+ MB {2}-> {2}nginx-1\.22\.1-x86_64-linux\.tar\.gz [\d.]+ MB/,
    )
    expect(printed).toMatch(/0 store references \(\d+ rewritten: \d+ self-relocating, \d+ in strings of the loader/)
  })

  test('holds no store string and no hash of its closure, as grep sees it', () => {
    expect(grep('/nix/store', unpacked)).toBe('')
    const closure = run('nix-store', ['-qR', fixture('nginx')])
      .stdout.trim()
      .split('\n')
    expect(closure.length).toBeGreaterThan(3)
    for (const path of closure) expect(grep(path.slice('/nix/store/'.length).slice(0, 32), unpacked)).toBe('')
  })

  test('is verified clean, packed and unpacked', () => {
    for (const path of [join(cwd, ARCHIVE), tree]) {
      const verdict = bundle(['verify', path])
      expect(verdict).toMatchObject({ code: 0, stderr: '' })
      expect(verdict.stdout).toContain('clean: 0 store references, everything resolves inside')
    }
  })

  test('has every entry of the original, conf and html too', () => {
    for (const file of ['conf/nginx.conf', 'conf/mime.types', 'html/index.html'])
      expect(readFileSync(join(tree, 'pkg/nginx-1.22.1', file), 'latin1')).not.toContain('/nix/store')
    expect(existsSync(join(tree, 'bin/nginx'))).toBe(true)
    expect(JSON.parse(readFileSync(join(tree, 'bundle.json'), 'utf8'))).toMatchObject({
      schema: 2,
      name: 'nginx',
      version: '1.22.1',
    })
  })

  test.each([
    // The stub puts the bundle's place into nginx; a shell launcher's nginx has to be told.
    { launcher: 'stub', from: tree, beside: [], told: [] },
    {
      launcher: 'shell',
      from: join(cwd, 'shell'),
      beside: ['--ro-bind', '/bin/busybox', '/bin/sh'],
      told: ['-p', '/srv/my bundle: 1/pkg/nginx-1.22.1/'],
    },
  ])('serves its page in an empty root ($launcher launcher, beside it: $beside)', async ({ from, beside, told }) => {
    const port = await freePort()
    const root = '/srv/my bundle: 1'
    writeFileSync(join(cwd, 'nginx.conf'), configuration(port, 'html'))
    const { body, stderr } = await page(
      emptyRoot([
        ...[...beside, '--ro-bind', from, root],
        ...['--ro-bind', join(cwd, 'nginx.conf'), '/nginx.conf'],
        ...['--', `${root}/bin/nginx`, ...told, '-c', '/nginx.conf'],
      ]),
      port,
    )
    expect(body, stderr).toContain('Welcome to nginx!')
  })

  test('with --prefix needs no shell, and finds its page by itself', async () => {
    const port = await freePort()
    const place = join(cwd, 'placed')
    mustBundle(['nginx', '--prefix', '/opt/web', '-o', place, '-f', 'dir'])
    expect(grep('/nix/store', place)).toBe('')
    writeFileSync(join(cwd, 'prefix.conf'), configuration(port, 'html'))
    const { body, stderr } = await page(
      emptyRoot([
        ...['--ro-bind', place, '/opt/web', '--ro-bind', join(cwd, 'prefix.conf'), '/prefix.conf'],
        ...['--', '/opt/web/bin/nginx', '-c', '/prefix.conf'],
      ]),
      port,
    )
    expect(body, stderr).toContain('Welcome to nginx!')
  })
})
