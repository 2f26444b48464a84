/** `--push`: a registry gets the image, once what it has is known; and what goes wrong there is said. */
import { type ChildProcess, spawn } from 'node:child_process'
import * as fs from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { command, fixtureEnv, run, temporary } from '../support/bundle.ts'

const work = temporary()
let n = 0
const skopeo = (...args: string[]): string => {
  const { code, stdout, stderr } = run('skopeo', [...args, '--tls-verify=false'], {
    env: { ...process.env, TMPDIR: work },
  })
  expect(code, stderr).toBe(0)
  return stdout
}

/** Runs `bundle` beside a server in this process. */
function push(
  ref: string,
  env: NodeJS.ProcessEnv = {},
  target = 'multicall',
  ...more: string[]
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const args = [
    command,
    target,
    '--entrypoint',
    target === 'nginx' ? 'nginx' : 'alpha',
    '-o',
    join(work, `${n++}.oci.tar`),
    '--push',
    ref,
    '--json',
    ...more,
  ]
  const child = spawn(process.execPath, args, { env: { ...fixtureEnv, DOCKER_CONFIG: work, ...env } })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', text => (stdout += text))
  child.stderr.on('data', text => (stderr += text))
  return new Promise(resolve => child.on('close', code => resolve({ code, stdout, stderr })))
}

describe("Debian's docker-registry", () => {
  const PORT = 18_571
  let registry: ChildProcess
  beforeAll(async () => {
    const config = join(work, 'registry.yml')
    fs.writeFileSync(
      config,
      `version: 0.1\nstorage: { filesystem: { rootdirectory: ${work}/registry } }\nhttp: { addr: "127.0.0.1:${PORT}" }\n`,
    )
    registry = spawn('docker-registry', ['serve', config], { stdio: 'ignore' })
    for (let i = 0; i < 100; i++) {
      if (run('curl', ['-s', '-o', '/dev/null', `http://127.0.0.1:${PORT}/v2/`]).code === 0) return
      await new Promise(resolve => setTimeout(resolve, 50))
    }
  })
  afterAll(() => void registry.kill())

  test('takes it; the second time everything is there', async () => {
    const ref = `localhost:${PORT}/team/multicall:1`
    const first = await push(ref)
    expect(first.code, first.stderr).toBe(0)
    const { image, pushed } = JSON.parse(first.stdout)
    expect([pushed.skipped, pushed.uploaded]).toEqual([0, image.layers.length + 1])
    const read = run('skopeo', ['inspect', '--tls-verify=false', `docker://${ref}`], {
      env: { ...process.env, TMPDIR: work },
    })
    expect(read.stdout).toContain(image.digest)
    const again = await push(ref)
    expect(JSON.parse(again.stdout).pushed).toEqual({ uploaded: 0, skipped: image.layers.length + 1 })
    expect(JSON.parse(again.stdout).image.digest).toBe(image.digest)
  })

  test('mounts what another repository of it has: two programs of one package set', async () => {
    const [curl, none] = ['curl', 'none'].map(name => `localhost:${PORT}/team/${name}:1`)
    expect((await push(`localhost:${PORT}/team/nginx:1`, {}, 'nginx')).code).toBe(0)
    const { code, stdout, stderr } = await push(
      curl!,
      {},
      'multicall',
      '--mount-from',
      'team/empty',
      '--mount-from',
      'team/nginx',
    )
    expect(code, stderr).toBe(0)
    const { pushed, image } = JSON.parse(stdout)
    expect(pushed.skipped).toBeGreaterThan(0)
    expect(skopeo('inspect', `docker://${curl}`)).toContain(image.digest)
    // A tag of one repository needs no mount.
    expect(JSON.parse((await push(none!, {}, 'multicall')).stdout).pushed.skipped).toBe(0)
    const tag = await push(`localhost:${PORT}/team/nginx:alpha`, {}, 'multicall')
    expect(JSON.parse(tag.stdout).pushed.skipped).toBe(pushed.skipped)
    expect(await push(none!, {}, 'multicall', '--mount-from', '../x')).toMatchObject({ code: 2 })
  })

  test('keeps the bill of materials beside it, under the tag that says what it refers to; twice is once', async () => {
    const ref = `localhost:${PORT}/team/billed:1`
    for (const _ of [1, 2]) {
      const { code, stdout, stderr } = await push(ref, {}, 'multicall', '--sbom')
      expect(code, stderr).toBe(0)
      const tag = `docker://localhost:${PORT}/team/billed:${JSON.parse(stdout).image.digest.replace(':', '-')}`
      const index = JSON.parse(skopeo('inspect', '--raw', tag))
      expect(index.manifests).toHaveLength(1)
      expect(index.manifests[0].artifactType).toBe('application/vnd.cyclonedx+json')
      const own = `docker://localhost:${PORT}/team/billed@${index.manifests[0].digest}`
      const manifest = JSON.parse(skopeo('inspect', '--raw', own))
      expect(manifest.subject.digest).toBe(JSON.parse(stdout).image.digest)
      const blob = `http://localhost:${PORT}/v2/team/billed/blobs/${manifest.layers[0].digest}`
      expect(JSON.parse(run('curl', ['-s', blob]).stdout).bomFormat).toBe('CycloneDX')
    }
  })
})

describe('a registry that keeps referrers is asked for no tag', () => {
  test('it says so with OCI-Subject', async () => {
    const asked: string[] = []
    const server = createServer((request, response) => {
      request.resume()
      request.on('end', () => {
        asked.push(`${request.method} ${request.url}`)
        if (request.method === 'HEAD') response.writeHead(200).end()
        else response.writeHead(201, { 'oci-subject': 'sha256:0' }).end()
      })
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const ref = `127.0.0.1:${(server.address() as AddressInfo).port}/x:1`
    const { code, stderr } = await push(ref, {}, 'multicall', '--sbom')
    server.close()
    expect(code, stderr).toBe(0)
    expect(asked.filter(line => line.startsWith('PUT')).map(line => line.replace(/[0-9a-f]{64}/, 'D'))).toEqual([
      'PUT /v2/x/manifests/1',
      'PUT /v2/x/manifests/sha256:D',
    ])
    expect(asked.filter(line => line.startsWith('GET'))).toEqual([])
  })
})

describe('a registry that', () => {
  let server: Server
  afterEach(() => void server.close())
  async function serve(listener: RequestListener): Promise<string> {
    server = createServer((request, response) => {
      request.resume()
      request.on('end', () => listener(request, response))
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    return `127.0.0.1:${(server.address() as AddressInfo).port}/x:1`
  }
  async function refused(ref: string, reason: string, env: NodeJS.ProcessEnv = {}): Promise<void> {
    const files = fs.readdirSync(work).filter(name => name.endsWith('.oci.tar')).length
    const { code, stdout, stderr } = await push(ref, env)
    expect([code, JSON.parse(stdout).error]).toEqual([2, expect.objectContaining({ code: 'registry-failed' })])
    expect(stderr).toContain(reason)
    expect(fs.readdirSync(work).filter(name => name.endsWith('.oci.tar'))).toHaveLength(files)
  }

  test('refuses', async () => {
    const denied = JSON.stringify({ errors: [{ code: 'DENIED', message: 'quota exceeded' }] })
    await refused(
      await serve((request, response) => {
        response.writeHead(request.method === 'HEAD' ? 404 : 403).end(request.method === 'HEAD' ? '' : denied)
      }),
      'it answers 403 (quota exceeded)',
    )
  })

  test('is none', async () => {
    await refused(
      await serve((request, response) => {
        response.writeHead(request.method === 'HEAD' ? 404 : 200).end('<html>welcome</html>')
      }),
      'it is no registry',
    )
  })

  test('is not there', async () => {
    const ref = await serve(() => {})
    server.close()
    await refused(ref, 'ECONNREFUSED')
  })

  test('hangs up', async () => {
    await refused(await serve((_, response) => void response.destroy()), 'the registry 127.0.0.1')
  })

  test('wants a token, and gets it with the password of docker login', async () => {
    const seen: string[] = []
    const listener: RequestListener = (request, response) => {
      const { authorization = '', host = '' } = request.headers
      const url = request.url ?? ''
      if (url.startsWith('/token')) {
        seen.push(`${authorization} ${new URL(url, 'http://x').searchParams.get('scope')}`)
        response.end(JSON.stringify({ token: 'abc' }))
      } else if (authorization !== 'Bearer abc')
        response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${host}/token",service="s"` }).end()
      else if (request.method === 'HEAD') response.writeHead(404).end()
      else if (request.method === 'POST') response.writeHead(202, { location: '/v2/x/blobs/uploads/1' }).end()
      else response.writeHead(201).end()
    }
    const ref = await serve(listener)
    const auth = Buffer.from('me:secret').toString('base64')
    const config = fs.mkdtempSync(join(work, 'docker-'))
    fs.writeFileSync(join(config, 'config.json'), JSON.stringify({ auths: { [ref.split('/')[0]!]: { auth } } }))
    const { code, stderr } = await push(ref, { DOCKER_CONFIG: config })
    expect(code, stderr).toBe(0)
    expect(seen).toEqual([`Basic ${auth} repository:x:pull,push`])
  })

  test('wants a password that is not known', async () => {
    const challenge = { 'www-authenticate': 'Basic realm="x"' }
    await refused(await serve((_, response) => response.writeHead(401, challenge).end()), 'wants a password')
  })
})

test('a name without a registry is refused before anything is built', async () => {
  expect(await push('nginx:1')).toMatchObject({ code: 2, stderr: expect.stringContaining('no registry in it') })
})
