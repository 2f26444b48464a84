/** `-f oci`: other tools read the image, all find the same one, and it runs as anybody. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bundle, fixture, fixtureEnv, grep, mustBundle, run, temporary } from '../support/bundle.ts'

const work = temporary()
const archive = join(work, 'nginx.oci.tar')
const tools = { env: { ...process.env, TMPDIR: work } }
const PORT = 18_481
const CONF = `pid /tmp/nginx.pid; error_log stderr; daemon off; events {}
http { access_log off; client_body_temp_path /tmp/b; proxy_temp_path /tmp/p; fastcgi_temp_path /tmp/f;
  uwsgi_temp_path /tmp/u; scgi_temp_path /tmp/s;
  server { listen 127.0.0.1:${PORT}; location / { root /srv/html; } } }\n`
const OPTIONS = [
  ...['--user', '1001:0', '--writable', '/var/log/nginx', '--expose', '8080', '--label', 'team=web', '--env', 'A=b'],
  ...['--cmd=-c', '--cmd', '/etc/nginx/nginx.conf', '--stop-signal', 'SIGQUIT'],
]
interface Config {
  config: { Env: string[]; Entrypoint: string[]; Cmd: string[]; User: string }
  architecture: string
  rootfs: { diff_ids: string[] }
}
let report: { image: { id: string; digest: string; ref: string; layers: { contents: string; size: number }[] } }
let options: string[]

beforeAll(() => {
  fs.mkdirSync(join(work, 'html'))
  fs.writeFileSync(join(work, 'html/index.html'), 'a page of an image\n')
  fs.writeFileSync(join(work, 'nginx.conf'), CONF)
  options = [...OPTIONS, '--add', `${work}/html:/srv/html`, '--add', `${work}/nginx.conf:/etc/nginx/nginx.conf`]
  report = JSON.parse(mustBundle(['nginx', '-o', archive, ...options, '--json']).stdout)
  run('skopeo', ['copy', '-q', `oci-archive:${archive}`, `oci:${work}/layout:latest`], tools)
  run('umoci', ['unpack', '--image', `${work}/layout:latest`, join(work, 'unpacked')], tools)
})

const skopeo = (...args: string[]): string => {
  const { code, stdout, stderr } = run('skopeo', args, tools)
  expect(code, stderr).toBe(0)
  return stdout
}

test('skopeo reads it as an archive of OCI and as one of docker: one image', () => {
  const [oci, docker] = ['oci-archive', 'docker-archive'].map(kind => {
    const config = skopeo('inspect', '--config', '--raw', `${kind}:${archive}`)
    return { config: JSON.parse(config) as Config, id: execFileSync('sha256sum', { input: config }).toString() }
  })
  expect(oci).toEqual(docker)
  expect(oci!.id).toContain(report.image.id.slice('sha256:'.length))
  expect(oci!.config.architecture).toBe('amd64')
  expect(oci!.config.config).toMatchObject({
    Entrypoint: ['/app/bin/nginx'],
    Cmd: ['-c', '/etc/nginx/nginx.conf'],
    User: '1001:0',
    Env: ['PATH=/app/bin', 'A=b'],
  })
  expect(skopeo('inspect', `oci-archive:${archive}`)).toContain(report.image.digest)
})

test('the layers are packages and their programs, the largest first, and no more than asked for', () => {
  expect(report.image.layers.map(l => l.contents)).toEqual([
    'openssl-3.0',
    'C library',
    'pcre2-10.42',
    'libxcrypt-4.4.33',
    'libgcc_s.so.1',
    'zlib-1.2.13',
    'libnss_files.so.2',
    'nginx-1.22.1 (programs)',
    'nginx-1.22.1',
    'programs, bundle.json, /etc',
  ])
  const few = JSON.parse(mustBundle(['nginx', '-o', join(work, 'few.oci'), '--layers', '4', '--json']).stdout)
  expect(few.image.layers).toHaveLength(4)
})

test('umoci unpacks it: the bundle is whole, nothing of the store is in it, modes and owners are set', () => {
  const rootfs = join(work, 'unpacked/rootfs')
  expect(grep('/nix/store', rootfs)).toBe('')
  expect(fs.statSync(join(rootfs, 'var/log/nginx')).mode & 0o7777).toBe(0o775)
  expect(fs.statSync(join(rootfs, 'tmp')).mode & 0o7777).toBe(0o1777)
  expect(fs.readFileSync(join(rootfs, 'etc/passwd'), 'utf8')).toContain('app:x:1001:0:')
  expect(fs.readFileSync(join(rootfs, 'srv/html/index.html'), 'utf8')).toContain('a page')
  for (const path of ['app', 'app/bin', 'var/log/nginx', 'etc/passwd']) {
    const { uid, gid, mtimeMs } = fs.statSync(join(rootfs, path))
    expect([uid, gid, mtimeMs]).toEqual([0, 0, 1000])
  }
})

test('bundle verify reads it', () => {
  expect(bundle(['verify', archive])).toMatchObject({ code: 0 })
})

test('equal inputs give equal bytes, whatever the time zone, the umask, the language, the jobs', () => {
  const again = join(work, 'again.oci.tar')
  const env = { ...fixtureEnv, TZ: 'Asia/Tokyo', LC_ALL: 'C', LANG: 'de_DE' }
  const args = ['nginx', '-o', again, ...options, '--jobs', '1', '-q'].map(a => `'${a}'`).join(' ')
  const command = `umask 077; exec '${process.execPath}' bin/bundle.js ${args}`
  expect(run('bash', ['-c', command], { env })).toMatchObject({ code: 0 })
  expect(fs.readFileSync(again).equals(fs.readFileSync(archive))).toBe(true)
})

test.each(['zstd', 'none'])('compressed by %s it is the same image', compression => {
  const out = join(work, `${compression}.oci.tar`)
  const other = JSON.parse(mustBundle(['nginx', '-o', out, ...options, '--compression', compression, '--json']).stdout)
  expect(other.image.id).toBe(report.image.id)
  expect(other.image.digest).not.toBe(report.image.digest)
  expect(skopeo('inspect', '--config', '--raw', `oci-archive:${out}`)).toContain('diff_ids')
})

test('other readers find the bill of materials, and the files that it lists', () => {
  const image = join(work, 'billed.oci.tar')
  mustBundle(['multicall', '--entrypoint', 'alpha', '--sbom', '-o', image])
  run('skopeo', ['copy', '-q', `oci-archive:${image}`, `oci:${work}/billed:latest`], tools)
  run('umoci', ['unpack', '--image', `${work}/billed:latest`, join(work, 'billed-root')], tools)
  // As scanners of images look for one, by its name; its sums are asked of sha256sum.
  const read = `
import glob, json, subprocess, sys
root = sys.argv[1] + '/rootfs'
place, = glob.glob(root + '/**/*.cdx.json', recursive=True)
files = [f for c in json.load(open(place))['components'] for f in c.get('components', []) if f['type'] == 'file']
for f in files:
    said, = [h['content'] for h in f['hashes'] if h['alg'] == 'SHA-256']
    assert subprocess.check_output(['sha256sum', root + '/app/' + f['name']]).split()[0].decode() == said, f['name']
print(len(files))`
  const { code, stdout, stderr } = run('python3', ['-c', read, join(work, 'billed-root')])
  expect(code, stderr).toBe(0)
  expect(Number(stdout)).toBeGreaterThan(4)
})

describe('it runs', () => {
  const started: ChildProcess[] = []
  afterAll(() => {
    for (const process of started) process.kill('SIGKILL')
  })

  test.each([
    { user: '1001:0', readonly: false },
    { user: '1000730000:0', readonly: false },
    { user: '1234:1234', readonly: true },
  ])('as $user, read-only: $readonly', async ({ user, readonly }) => {
    const directory = join(work, 'unpacked')
    const config = JSON.parse(fs.readFileSync(join(directory, 'config.json'), 'utf8'))
    const [uid, gid] = user.split(':').map(Number)
    Object.assign(config.process, { user: { uid, gid }, rlimits: [], terminal: false })
    config.root.readonly = readonly
    delete config.linux.resources
    // Its page is asked for from here.
    config.linux.namespaces = config.linux.namespaces.filter(({ type }: { type: string }) => type !== 'network')
    config.mounts.push({ destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['mode=1777'] })
    const place = join(work, `as-${uid}`)
    fs.mkdirSync(place)
    fs.symlinkSync(join(directory, 'rootfs'), join(place, 'rootfs'))
    config.root.path = join(directory, 'rootfs')
    fs.writeFileSync(join(place, 'config.json'), JSON.stringify(config))
    const name = `storefree-${process.pid}-${uid}`
    const container = spawn('runc', ['--root', join(work, 'runc'), 'run', '-b', place, name], { stdio: 'pipe' })
    started.push(container)
    let said = ''
    container.stderr?.on('data', text => (said += text))
    try {
      expect(await page(), said).toBe('a page of an image\n')
    } finally {
      run('runc', ['--root', join(work, 'runc'), 'kill', name, 'KILL'])
      await new Promise(resolve => container.on('close', resolve))
      run('runc', ['--root', join(work, 'runc'), 'delete', '-f', name])
    }
  })

  async function page(): Promise<string> {
    for (let tries = 0; tries < 100; tries++) {
      const { code, stdout } = run('curl', ['-s', `http://127.0.0.1:${PORT}/`])
      if (code === 0) return stdout
      await new Promise(resolve => setTimeout(resolve, 50))
    }
    return 'no page'
  }
})

describe('refused', () => {
  const refused = (...args: string[]) => bundle([...args, '-f', 'oci', '-o', join(work, 'refused.oci.tar')])

  test.each([
    [['nginx', '--user', 'nginx'], 'numbers only'],
    [['nginx', '--writable', 'logs'], 'absolute path'],
    [['nginx', '--add', '/etc/hostname:/app/bin/nginx'], 'in the bundle already'],
    [['nginx', '--add', '/etc/hostname:/app/bin/nginx/x'], 'cannot hold others'],
    [['nginx', '--add', '/nothing:/app/x'], 'no such file'],
    [['twins'], 'which program does the image start? There are blue, both, red'],
    [['twins', '--entrypoint', 'green'], 'no program green'],
  ])('%j: %s', (args, reason) => {
    const { code, stderr } = refused(...args)
    expect([code, stderr]).toEqual([2, expect.stringContaining(reason)])
    expect(fs.existsSync(join(work, 'refused.oci.tar'))).toBe(false)
  })

  test('own files that name the store are no less an error than those of the bundle', () => {
    fs.writeFileSync(join(work, 'store.conf'), `root ${fixture('nginx')}/html;\n`)
    const { code, stderr } = refused('nginx', '--add', `${work}/store.conf:/etc/nginx/store.conf`)
    expect([code, stderr]).toEqual([1, expect.stringContaining('/etc/nginx/store.conf: holds /nix/store/')])
    expect(fs.existsSync(join(work, 'refused.oci.tar'))).toBe(false)
  })

  test('an option of images without an image', () => {
    const { code, stderr } = bundle(['nginx', '--user', '1', '-o', join(work, 'x.tar')])
    expect([code, stderr]).toEqual([2, expect.stringContaining('--user is for images')])
  })
})
