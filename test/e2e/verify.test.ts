/** `bundle verify` as CI runs it: the Action's command, images, missing programs, memory. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { buildSync } from 'esbuild'
import { beforeAll, describe, expect, test } from 'vitest'
import { command, type Run, run, temporary } from '../support/bundle.ts'

const STORE = `/nix/store/${'x'.repeat(32)}-glibc-2.36`
const cwd = temporary()
const verify = (args: readonly string[], env: NodeJS.ProcessEnv = process.env): Run =>
  run(process.execPath, [command, 'verify', ...args], { cwd, env })
const shell = (script: string): void => {
  const result = run('bash', ['-euc', script], { cwd })
  if (result.code !== 0) throw new Error(`${script}: ${result.stderr}`)
}

beforeAll(() => {
  for (const tree of ['dirty', 'clean']) fs.mkdirSync(join(cwd, tree))
  fs.writeFileSync(join(cwd, 'dirty/conf'), `prefix=${STORE}\n`)
  fs.writeFileSync(join(cwd, 'clean/conf'), 'prefix=/opt\n')
})

describe("the Action's command", () => {
  /** The step's script, and the names that it reads. */
  const action = fs.readFileSync('action.yml', 'utf8')
  const script = action.slice(action.indexOf('run: |') + 6).replace(/^ {8}/gm, '')
  const inputs = Object.fromEntries(
    [...action.matchAll(/^ {8}(STOREFREE_\w+): \$\{\{ inputs\.(\w+) \}\}$/gm)].map(([, name, input]) => [
      input!,
      name!,
    ]),
  )

  const act = (given: Record<string, string>): Run => {
    const bin = join(cwd, 'bin')
    fs.mkdirSync(bin, { recursive: true })
    // npm's, but for the registry.
    fs.writeFileSync(
      join(bin, 'npx'),
      `#!/bin/sh\n[ "$1 $2" = '--yes storefree@latest' ] || exit 99\nshift 2\nexec '${process.execPath}' '${command}' "$@"\n`,
      { mode: 0o755 },
    )
    const defaults = { args: '', version: 'latest' }
    const env = Object.entries({ ...defaults, ...given }).map(([input, value]) => [inputs[input]!, value])
    // As the runner calls it.
    return run('bash', ['--noprofile', '--norc', '-e', '-o', 'pipefail', '-c', script], {
      cwd,
      env: { ...process.env, ...Object.fromEntries(env), PATH: `${bin}:${process.env.PATH}`, CI: 'true' },
    })
  }

  test('fails on a dirty tree, with an annotation', () => {
    const result = act({ path: 'dirty' })
    expect(result.code).toBe(1)
    expect(result.stdout).toContain(`::error file=dirty/conf,title=Store reference::conf: holds ${STORE}`)
  })
  test('passes on a clean one, and on several paths', () => {
    expect(act({ path: 'clean' })).toMatchObject({ code: 0, stderr: '' })
    expect(act({ path: 'clean\nclean/conf\n' })).toMatchObject({ code: 0, stderr: '' })
    expect(act({ path: 'clean\ndirty\n' }).code).toBe(1)
  })
  test('hands arguments on, and its failure', () => {
    expect(act({ path: 'dirty', args: '--allow conf --strict' }).code).toBe(0)
    expect(act({ path: 'none' }).code).toBe(2)
  })
})

test('exit codes, and what is printed where', () => {
  expect(verify(['clean'])).toMatchObject({
    code: 0,
    stdout: 'clean:  directory  1 file, 0.0 MB: clean: 0 store references\n',
    stderr: '',
  })
  expect(verify(['dirty'])).toMatchObject({ code: 1, stderr: '' })
  expect(verify(['dirty', '-q'])).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringContaining('error: conf: holds'),
  })
  const json = verify(['dirty', 'clean', '--json'])
  expect(json.code).toBe(1)
  expect((JSON.parse(json.stdout) as { results: { clean: boolean }[] }).results.map(r => r.clean)).toEqual([
    false,
    true,
  ])
  expect(verify(['dirty', '--write-baseline', 'base.json']).code).toBe(0)
  expect(verify(['dirty', '--baseline', 'base.json']).code).toBe(0)
  expect(verify(['clean', '--baseline', 'base.json']).stderr).toContain('note: found no longer, of the baseline: 1')
  expect(verify(['clean', '--sarif', 'out.sarif']).code).toBe(0)
  expect(fs.existsSync(join(cwd, 'out.sarif'))).toBe(true)
})

describe('several threads', () => {
  const many = join(cwd, 'many')
  beforeAll(() => {
    fs.mkdirSync(many)
    for (let i = 0; i < 4500; i++)
      fs.writeFileSync(join(many, `${i}`), i % 500 === 7 ? `see ${STORE}/${i}\n` : `${i}\n`)
  })
  const byThreads = (jobs: number): Run => verify(['many', '--json', '--jobs', `${jobs}`])

  test('say what one says, byte by byte', () => {
    const [one, two, eight] = [1, 2, 8].map(byThreads)
    expect(one!.code).toBe(1)
    expect(one!.stdout).toContain(`${STORE}/2507`)
    for (const more of [two!, eight!]) expect([more.code, more.stdout]).toEqual([1, one!.stdout])
  })

  test('the library has them too', () => {
    // As `npm run build:api` builds it.
    const library = join(cwd, 'library')
    const require = 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);'
    buildSync({
      entryPoints: ['src/index.ts'],
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node20.20',
      banner: { js: require },
      outfile: join(library, 'index.mjs'),
      logLevel: 'error',
    })
    fs.copyFileSync('dist/look.cjs', join(library, 'look.cjs'))
    const script = `import { verify } from ${JSON.stringify(join(library, 'index.mjs'))}
      const one = await verify('many', { jobs: 1 })
      const two = await verify('many', { jobs: 2 })
      console.log(one.findings.length, JSON.stringify(one) === JSON.stringify(two))`
    expect(run(process.execPath, ['--input-type=module', '-e', script], { cwd })).toMatchObject({
      code: 0,
      stdout: '10 true\n',
    })
  })

  test.each(['SIGINT', 'SIGTERM'] as const)('%s ends all of them, at any time', async signal => {
    for (const delay of [60, 120, 180, 240, 300, 400]) {
      const child = spawn(process.execPath, [command, 'verify', '-q', '--jobs', '4', many], { stdio: 'ignore' })
      const exit = new Promise(done => child.once('exit', (code, by) => done(code ?? by)))
      await new Promise(done => setTimeout(done, delay))
      child.kill(signal)
      expect([signal === 'SIGINT' ? 130 : 143, signal, 1]).toContain(await exit)
    }
  })
})

test('tar.xz without xz: exit 2, and what to install', () => {
  shell('tar -cJf dirty.tar.xz dirty')
  expect(verify(['dirty.tar.xz']).code).toBe(1)
  const result = verify(['dirty.tar.xz'], { ...process.env, PATH: '/nowhere' })
  expect(result.code).toBe(2)
  expect(result.stderr).toContain('error: xz: not found on PATH')
  expect(result.stderr).toContain('apt-get install xz-utils')
})

describe('images', () => {
  const sha256 = (path: string): string => createHash('sha256').update(fs.readFileSync(path)).digest('hex')

  /** An OCI layout (image-layout.md) with one layer, packed as `pack` does it. */
  function layout(name: string, contents: string, pack: string): string {
    const at = join(cwd, name)
    const blobs = join(at, 'blobs/sha256')
    fs.mkdirSync(blobs, { recursive: true })
    const put = (from: string): { digest: string; size: number } => {
      const digest = sha256(from)
      const size = fs.statSync(from).size
      fs.renameSync(from, join(blobs, digest))
      return { digest: `sha256:${digest}`, size }
    }
    const json = (value: object): string => {
      fs.writeFileSync(join(cwd, 'blob'), JSON.stringify(value))
      return join(cwd, 'blob')
    }
    fs.rmSync(join(cwd, 'rootfs'), { recursive: true, force: true })
    fs.mkdirSync(join(cwd, 'rootfs/etc'), { recursive: true })
    fs.writeFileSync(join(cwd, 'rootfs/etc/conf'), contents)
    shell(`tar -C rootfs -cf - . | ${pack} > blob`)
    const layer = put(join(cwd, 'blob'))
    const config = put(json({ architecture: 'amd64', os: 'linux', config: { Env: ['PATH=/bin'] } }))
    const manifest = put(json({ schemaVersion: 2, config, layers: [layer] }))
    fs.writeFileSync(join(at, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
    fs.writeFileSync(join(at, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [manifest] }))
    return layer.digest.slice('sha256:'.length)
  }

  test.each(['cat', 'gzip', 'zstd -qc'])('an OCI layout, its layer packed by %s, as a directory and as a tar', pack => {
    const name = `oci-${pack.split(' ')[0]}`
    const layer = layout(name, STORE, pack)
    layout(`${name}-clean`, 'clean', pack)
    for (const tree of [name, `${name}-clean`]) shell(`tar -C ${tree} -cf ${tree}.tar .`)
    for (const dirty of [name, `${name}.tar`]) {
      const result = verify([dirty])
      expect(result.stdout).toContain(`blobs/sha256/${layer}!etc/conf  0 `)
      expect(result.code).toBe(1)
    }
    for (const clean of [`${name}-clean`, `${name}-clean.tar`])
      expect(verify([clean])).toMatchObject({ code: 0, stderr: '' })
  })

  test.each(['cat', 'gzip'])('docker save, its layer packed by %s', pack => {
    for (const [name, contents] of [
      ['dirty', STORE],
      ['clean', 'clean'],
    ]) {
      const at = `docker-${pack}-${name}`
      fs.mkdirSync(join(cwd, at, 'abc/root'), { recursive: true })
      fs.writeFileSync(join(cwd, at, 'abc/root/conf'), contents!)
      fs.writeFileSync(join(cwd, at, 'manifest.json'), '[{"Layers":["abc/layer.tar"]}]')
      shell(`cd ${at} && tar -C abc/root -cf - . | ${pack} > abc/layer.tar && rm -r abc/root && tar -cf ../${at}.tar .`)
    }
    const dirty = verify([`docker-${pack}-dirty.tar`])
    expect(dirty.code).toBe(1)
    expect(dirty.stdout).toContain('abc/layer.tar!conf  0 ')
    expect(verify([`docker-${pack}-clean.tar`])).toMatchObject({ code: 0, stderr: '' })
  })

  test('a layer that is cut short, or another one, is an error', () => {
    const layer = layout('bad', 'clean'.repeat(10_000), 'gzip')
    const path = join(cwd, 'bad/blobs/sha256', layer)
    fs.truncateSync(path, fs.statSync(path).size - 20)
    const result = verify(['bad'])
    expect(result.code).toBe(1)
    expect(result.stderr).toMatch(/error: blobs\/sha256\/\w+: damaged/)
    expect(result.stderr).toMatch(/error: blobs\/sha256\/\w+: its contents have another digest/)
  })
})

test('a reference behind 5 GB is found, and memory stays flat', () => {
  const path = join(cwd, 'sparse')
  fs.writeFileSync(path, '')
  fs.truncateSync(path, 5e9)
  fs.appendFileSync(path, STORE)
  const atExit = "process.on('exit', () => process.stderr.write('rss ' + process.resourceUsage().maxRSS))"
  const result = verify(['sparse'], {
    ...process.env,
    NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(atExit)}`,
  })
  fs.rmSync(path)
  expect(result.code).toBe(1)
  expect(result.stdout).toMatch(/sparse +5000000000 +utf8 +- +\/nix\/store\/x{32}-glibc-2\.36\n/)
  const kilobytes = Number(/rss (\d+)/.exec(result.stderr)?.[1])
  expect(kilobytes).toBeGreaterThan(10_000)
  expect(kilobytes).toBeLessThan(200_000)
})
