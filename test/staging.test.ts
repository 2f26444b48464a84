/** Staging: a destination is absent or complete, whoever else writes there and whenever the process dies. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BundleError } from '../src/errors.ts'
import { Staging } from '../src/io/staging.ts'
import type { BundlePath } from '../src/paths.ts'
import { asNobody } from './support/privilege.ts'

const work = fs.mkdtempSync(`${tmpdir()}/storefree-staging-`)
fs.chmodSync(work, 0o755)
afterAll(() => fs.rmSync(work, { recursive: true, force: true }))

const at = (path: string): BundlePath => path as BundlePath
const fresh = (): string => fs.mkdtempSync(`${work}/d-`)
const code = (call: () => unknown): string => {
  try {
    call()
    return 'done'
  } catch (error) {
    if (error instanceof BundleError) return error.code
    throw error
  }
}

/** Stages a small tree with an executable, a link and a directory in a directory. */
function stage(staging: Staging, text = 'data'): void {
  for (const [path, contents] of [
    ['bin/run', '#!/bin/sh\n'],
    ['share/a/data', text],
  ] as const) {
    staging.makeParents(at(path))
    staging.write(at(path), Buffer.from(contents))
  }
  staging.symlink(at('share/link'), 'a/data')
  staging.seal([
    { at: at('bin/run'), executable: true, type: 'file' },
    { at: at('share/a/data'), executable: false, type: 'file' },
    { at: at('share/link'), executable: false, type: 'link' },
  ])
}

const listing = (root: string): string[] =>
  execFileSync('find', [root, '-printf', '%P %y %m %T@ %l\\n'], { encoding: 'utf8' }).split('\n').sort()

describe('the destination', () => {
  test.each(['file', 'directory', 'dangling link'])('is never a %s that exists', kind => {
    const destination = `${fresh()}/out`
    if (kind === 'file') fs.writeFileSync(destination, 'old')
    else if (kind === 'directory') fs.mkdirSync(destination)
    else fs.symlinkSync('nothing', destination)
    expect(code(() => new Staging(destination, false))).toBe('destination-exists')
  })

  test.each(['file', 'directory', 'full directory', 'dangling link'])(
    'that comes to be a %s meanwhile is left alone',
    kind => {
      for (const what of ['tree', 'scratch'] as const) {
        const destination = `${fresh()}/out`
        const staging = new Staging(destination, false)
        stage(staging)
        fs.writeFileSync(staging.scratch('archive'), 'new')
        if (kind === 'file') fs.writeFileSync(destination, 'old')
        else if (kind === 'dangling link') fs.symlinkSync('nothing', destination)
        else fs.mkdirSync(destination)
        if (kind === 'full directory') fs.writeFileSync(`${destination}/old`, 'old')
        const before = listing(destination)
        const result = code(() => staging.publish(what === 'tree' ? { tree: true } : { scratch: 'archive' }, false))
        // rename(2) takes the place of an empty directory: nothing is lost by that.
        if (kind === 'directory' && what === 'tree') expect(result).toBe('done')
        else {
          expect(result).toBe('destination-exists')
          expect(listing(destination)).toEqual(before)
        }
        staging.remove()
        expect(fs.readdirSync(destination.slice(0, -4))).toEqual(['out'])
      }
    },
  )

  test('below a directory that is not there, that is a file, that may not be written to or not be searched', async () => {
    const parent = fresh()
    fs.writeFileSync(`${parent}/file`, '')
    fs.mkdirSync(`${parent}/closed`, { mode: 0o700 })
    fs.chmodSync(parent, 0o755)
    for (const path of ['none/out', 'file/out', 'out', 'closed/out', `${'x'.repeat(300)}/out`])
      expect(await asNobody(() => code(() => new Staging(`${parent}/${path}`, false))), path).toBe(
        'destination-unwritable',
      )
    expect(fs.readdirSync(parent).sort()).toEqual(['closed', 'file'])
  })

  test('with a name as long as names may be', () => {
    const destination = `${fresh()}/${'n'.repeat(255)}`
    const staging = new Staging(destination, false)
    stage(staging)
    staging.publish({ tree: true }, false)
    expect(fs.existsSync(`${destination}/bin/run`)).toBe(true)
  })

  test('with a name that is no UTF-8', () => {
    const parent = fresh()
    const staging = new Staging(`${parent}/\xe9\xff`, false)
    stage(staging)
    staging.publish({ tree: true }, false)
    expect(fs.readdirSync(parent, 'latin1')).toEqual(['\xe9\xff'])
  })
})

describe('force', () => {
  test.each(['file', 'directory', 'link'])('replaces a %s by a directory', kind => {
    const parent = fresh()
    const destination = `${parent}/out`
    if (kind === 'file') fs.writeFileSync(destination, 'old')
    else if (kind === 'link') fs.symlinkSync('/etc', destination)
    else {
      fs.mkdirSync(`${destination}/deep/er`, { recursive: true })
      fs.writeFileSync(`${destination}/deep/er/old`, 'old')
      fs.writeFileSync(`${destination}/bundle.json`, '{}')
    }
    const staging = new Staging(destination, true)
    stage(staging)
    staging.publish({ tree: true }, true)
    expect(fs.lstatSync(destination).isDirectory()).toBe(true)
    expect(fs.readdirSync(destination).sort()).toEqual(['bin', 'share'])
    expect(fs.readdirSync(parent)).toEqual(['out'])
  })

  test('leaves a directory alone that holds anything but a bundle', () => {
    const destination = `${fresh()}/home`
    fs.mkdirSync(destination)
    fs.writeFileSync(`${destination}/precious`, 'precious')
    expect(code(() => new Staging(destination, true))).toBe('destination-exists')
    expect(fs.readdirSync(destination)).toEqual(['precious'])
  })

  test.each(['file', 'link'])('replaces a %s by a file', kind => {
    const parent = fresh()
    const destination = `${parent}/out`
    fs.writeFileSync(`${parent}/other`, 'other')
    if (kind === 'file') fs.writeFileSync(destination, 'old')
    else fs.symlinkSync('other', destination)
    const staging = new Staging(destination, true)
    fs.writeFileSync(staging.scratch('archive'), 'new')
    staging.publish({ scratch: 'archive' }, true)
    expect(fs.lstatSync(destination).isFile()).toBe(true)
    expect(fs.readFileSync(destination, 'utf8')).toBe('new')
    expect(fs.readFileSync(`${parent}/other`, 'utf8')).toBe('other')
    expect(fs.readdirSync(parent).sort()).toEqual(['other', 'out'])
  })

  test('does not replace a directory by a file', () => {
    const parent = fresh()
    fs.mkdirSync(`${parent}/out`)
    const staging = new Staging(`${parent}/out`, true)
    fs.writeFileSync(staging.scratch('archive'), 'new')
    expect(code(() => staging.publish({ scratch: 'archive' }, true))).toBe('destination-exists')
    staging.remove()
    expect(fs.statSync(`${parent}/out`).isDirectory()).toBe(true)
    expect(fs.readdirSync(parent)).toEqual(['out'])
  })

  test('gives the old directory back when the new one cannot take its place', () => {
    const destination = `${fresh()}/out`
    fs.mkdirSync(destination)
    fs.writeFileSync(`${destination}/old`, 'old')
    fs.writeFileSync(`${destination}/bundle.json`, '{}')
    const staging = new Staging(destination, true)
    stage(staging)
    fs.rmSync(staging.tree, { recursive: true })
    expect(() => staging.publish({ tree: true }, true)).toThrow()
    staging.remove()
    expect(fs.readFileSync(`${destination}/old`, 'utf8')).toBe('old')
  })

  test('replaces a directory that holds directories nobody may write to', async () => {
    const parent = fresh()
    fs.chmodSync(parent, 0o777)
    await asNobody(() => {
      const destination = `${parent}/out`
      fs.mkdirSync(`${destination}/share/a`, { recursive: true })
      fs.writeFileSync(`${destination}/share/a/old`, 'old')
      fs.writeFileSync(`${destination}/bundle.json`, '{}')
      fs.chmodSync(`${destination}/share/a`, 0o555)
      fs.chmodSync(`${destination}/share`, 0o555)
      const staging = new Staging(destination, true)
      stage(staging)
      staging.publish({ tree: true }, true)
      expect(fs.existsSync(`${destination}/share/a/data`)).toBe(true)
      expect(fs.readdirSync(parent)).toEqual(['out'])
    })
  })
})

test('umask makes no difference to the tree', async () => {
  const before = process.umask()
  const seen: string[][] = []
  try {
    for (const umask of [0o000, 0o022, 0o027, 0o077]) {
      process.umask(umask)
      const parent = fresh()
      fs.chmodSync(parent, 0o777)
      seen.push(
        await asNobody(() => {
          const staging = new Staging(`${parent}/out`, false)
          for (const [path, executable] of [
            ['bin/whole', true],
            ['bin/other', true],
            ['share/a/whole', false],
          ] as const) {
            staging.makeParents(at(path))
            staging.writeFinished(at(path), Buffer.from(path), executable)
          }
          stage(staging)
          staging.publish({ tree: true }, false)
          return listing(`${parent}/out`)
        }),
      )
    }
  } finally {
    process.umask(before)
  }
  expect(seen[0]).toContain('bin/run f 755 1.0000000000 ')
  expect(seen[0]).toContain('bin/other f 755 1.0000000000 ')
  expect(seen[0]).toContain('share/a/whole f 644 1.0000000000 ')
  expect(seen[0]).toContain('share/a d 755 1.0000000000 ')
  for (const other of seen) expect(other).toEqual(seen[0])
})

test('an archive has the mode that umask gives to new files', () => {
  const before = process.umask()
  try {
    for (const [umask, mode] of [
      [0o022, 0o644],
      [0o077, 0o600],
      [0o000, 0o666],
    ] as const) {
      process.umask(umask)
      const destination = `${fresh()}/out`
      const staging = new Staging(destination, false)
      fs.writeFileSync(staging.scratch('archive'), 'new')
      staging.publish({ scratch: 'archive' }, false)
      expect(fs.statSync(destination).mode & 0o777).toBe(mode)
    }
  } finally {
    process.umask(before)
  }
})

describe('on a file system that is full', () => {
  const mount = `${work}/full`
  beforeAll(() => {
    fs.mkdirSync(mount)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k,nr_inodes=64', 'tmpfs', mount])
  })
  afterAll(() => execFileSync('umount', [mount]))

  test.each([0, 4, 20, 40, 60])(
    'with %i KiB taken, files are written or write-failed, and nothing is left',
    async taken => {
      fs.writeFileSync(`${mount}/taken`, Buffer.alloc(taken << 10))
      const calls: ((s: Staging) => unknown)[] = [
        s => s.write(at('data'), Buffer.alloc(100 << 10)),
        s =>
          s.writePieces(
            at('data'),
            Array.from({ length: 25 }, () => Buffer.alloc(4096)),
          ),
      ]
      for (const call of calls) {
        const staging = new Staging(`${mount}/out`, false)
        try {
          staging.makeParents(at('data'))
          const failure = await (async () => call(staging))().then(
            () => 'done',
            (error: unknown) => (error instanceof BundleError ? `${error.code} ${error.message}` : error),
          )
          expect(failure).toMatch(/^write-failed .*no space left/)
        } finally {
          staging.remove()
        }
        expect(fs.readdirSync(mount)).toEqual(['taken'])
      }
      fs.rmSync(`${mount}/taken`)
    },
  )

  test('without room for another name', () => {
    const names: string[] = []
    try {
      for (;;) {
        const name = `${mount}/f${names.length}`
        fs.writeFileSync(name, '')
        names.push(name)
      }
    } catch {
      // Full, as wanted.
    }
    expect(code(() => new Staging(`${mount}/out`, false))).toMatch(/destination-unwritable|write-failed/)
    for (const name of names) fs.rmSync(name)
    expect(fs.readdirSync(mount)).toEqual([])
  })
})

// ---- Several processes -------------------------------------------------------------------------------------------

const script = `${work}/publish.mjs`
beforeAll(async () => {
  await build({
    stdin: {
      contents: `
import * as fs from 'node:fs'
import { Staging } from './src/io/staging.ts'
const [destination, what, text, count] = process.argv.slice(2)
const files = Array.from({ length: Number(count) }, (_, i) => 'd' + (i % 7) + '/f' + i)
process.stdout.write('ready\\n')
process.stdin.once('data', () => {
  try {
    const staging = new Staging(destination, what.startsWith('force'))
    for (const at of files) { staging.makeParents(at); staging.write(at, Buffer.from(text)) }
    staging.seal(files.map(at => ({ at, executable: false, type: 'file' as const })))
    fs.writeFileSync(staging.scratch('archive'), text.repeat(1000))
    staging.publish(what.endsWith('tree') ? { tree: true } : { scratch: 'archive' }, what.startsWith('force'))
    process.stdout.write('published\\n')
  } catch (error) { process.stdout.write((error.code ?? String(error)) + '\\n') }
  process.exit()
})
`,
      resolveDir: `${import.meta.dirname}/..`,
      loader: 'ts',
    },
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile: script,
    logLevel: 'error',
  })
})

interface Publisher {
  readonly child: ChildProcess
  readonly ready: Promise<void>
  readonly said: Promise<string>
}

function publisher(destination: string, what: string, text: string, files: number): Publisher {
  const child = spawn(process.execPath, [script, destination, what, text, String(files)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdin?.on('error', () => {})
  const said = new Promise<string>(done => child.on('close', () => done(output.replace('ready\n', '').trim())))
  const ready = new Promise<void>(done =>
    child.stdout?.on('data', (data: Buffer) => {
      output += data
      if (output.startsWith('ready\n')) done()
    }),
  )
  return { child, ready, said }
}

test.each(['tree', 'file'])('8 processes, one destination: exactly one publishes its %s', async what => {
  for (let round = 0; round < 2; round++) {
    const parent = fresh()
    const all = Array.from({ length: 8 }, (_, i) => publisher(`${parent}/out`, what, `text ${i}\n`, 20))
    await Promise.all(all.map(p => p.ready))
    for (const { child } of all) child.stdin?.write('go\n')
    const said = await Promise.all(all.map(p => p.said))
    const winner = said.indexOf('published')
    expect(said.filter(s => s === 'published')).toHaveLength(1)
    expect(said.filter(s => s === 'destination-exists')).toHaveLength(7)
    const text = `text ${winner}\n`
    if (what === 'file') expect(fs.readFileSync(`${parent}/out`, 'utf8')).toBe(text.repeat(1000))
    else for (let i = 0; i < 20; i++) expect(fs.readFileSync(`${parent}/out/d${i % 7}/f${i}`, 'utf8')).toBe(text)
    // Those that lost leave nothing, when their caller removes what they staged: here it does not.
    expect(fs.readdirSync(parent).filter(n => !n.endsWith('.partial'))).toEqual(['out'])
  }
})

test.each(['tree', 'file', 'force tree', 'force file'])(
  'kill -9 at random times: the destination is absent or complete (%s)',
  async what => {
    const seed = Number(process.env.STOREFREE_SEED ?? 1)
    let state = seed
    const random = (): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
      return state / 2 ** 32
    }
    const outcomes = new Set<string>()
    const files = 150
    for (let round = 0; round < 12; round++) {
      const parent = fresh()
      const destination = `${parent}/out`
      const force = what.startsWith('force')
      if (force && what.endsWith('tree')) {
        fs.mkdirSync(destination)
        fs.writeFileSync(`${destination}/old`, 'old')
      } else if (force) fs.writeFileSync(destination, 'old')
      const { child, ready, said } = publisher(destination, what, 'new\n', files)
      await ready
      child.stdin?.write('go\n')
      const delay = random() * 60
      await new Promise(done => setTimeout(done, delay))
      child.kill('SIGKILL')
      await said
      const label = `seed ${seed}, round ${round}, after ${delay} ms`
      if (!fs.existsSync(destination)) {
        outcomes.add('absent')
        // What was replaced is not lost: it lies beside, with what was staged.
        if (force) {
          expect(what, label).toBe('force tree')
          const [staged] = fs.readdirSync(parent)
          expect(fs.readFileSync(`${parent}/${staged}/replaced/old`, 'utf8'), label).toBe('old')
        }
      } else if (what.endsWith('file')) {
        const text = fs.readFileSync(destination, 'utf8')
        if (force && text === 'old') outcomes.add('old')
        else {
          expect(text, label).toBe('new\n'.repeat(1000))
          outcomes.add('new')
        }
      } else if (fs.existsSync(`${destination}/old`)) {
        expect(fs.readdirSync(destination), label).toEqual(['old'])
        outcomes.add('old')
      } else {
        expect(
          listing(destination).filter(l => l.includes(' f 644 1.0')),
          label,
        ).toHaveLength(files)
        outcomes.add('new')
      }
    }
    expect(outcomes.size).toBeGreaterThan(0)
  },
)
