/** Files that several threads look into: what they see is what one sees, whatever becomes of the threads. */
import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { buildSync } from 'esbuild'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { silent } from '../src/io/progress.ts'
import { lstat } from '../src/io/store.ts'
import { run } from '../src/io/task.ts'
import { Workers } from '../src/io/workers.ts'
import { type Look, Looks } from '../src/verify/looks.ts'
import { verify } from '../src/verify/verify.ts'

const work = mkdtempSync(join(tmpdir(), 'storefree-looks-'))
afterAll(() => rmSync(work, { recursive: true, force: true }))

const HASH = '0c8b4gz5vd6h1jr9xk2mnqfwl3yaips7'
const STORE = `/nix/store/${HASH}-glibc-2.36`
/** Small files: batches enough for all. */
const MANY = 1200

/** From here on threads are there, as beside the built command. */
const built = join(work, 'look.cjs')
vi.mock('../src/io/workers.ts', async original => ({
  ...(await original<typeof import('../src/io/workers.ts')>()),
  workerFile: () => built,
}))
beforeAll(() => {
  const entryPoints = [join(import.meta.dirname, '../src/verify/look-worker.ts')]
  buildSync({ entryPoints, bundle: true, platform: 'node', format: 'cjs', outfile: built, logLevel: 'error' })
})

const tree = join(work, 'tree')
const script = (name: string, text: string): string => {
  const file = join(work, name)
  writeFileSync(file, text)
  return file
}

beforeAll(() => {
  for (const directory of ['bin', 'share/many', 'share/a', 'etc']) mkdirSync(join(tree, directory), { recursive: true })
  const at = (name: string): string => join(tree, name)
  for (let i = 0; i < MANY; i++)
    writeFileSync(at(`share/many/${i}`), i % 100 === 7 ? `see ${STORE}/${i}\n` : `number ${i}\n`)
  copyFileSync('/bin/true', at('bin/true'))
  writeFileSync(at('share/a/wide'), Buffer.from(`${STORE}/lib`, 'utf16le'))
  writeFileSync(at('share/a/packed.gz'), gzipSync(`packed ${STORE}/x ${HASH}\n`))
  writeFileSync(at('share/a/large'), Buffer.concat([Buffer.alloc(20 << 20, 'text '), Buffer.from(`${STORE}/large`)]))
  writeFileSync(Buffer.from(`${tree}/share/a/odd \n\xff`, 'latin1'), `odd ${STORE}/odd\n`)
  // So much that there is more than one other thread, of eight.
  writeFileSync(at('share/zeros'), '')
  truncateSync(at('share/zeros'), 300 << 20)
  // A member of an archive, and a file, that go by the same words.
  execFileSync('tar', ['-cf', at('share/a/t'), '--transform=s,^.*/,,', '-C', tree, 'share/many/7'])
  writeFileSync(at('share/a/t!7'), `also ${STORE}/7\n`)
  linkSync(at('share/many/107'), at('share/many/z107'))
  linkSync(at('share/many/107'), at('bin/a107'))
  symlinkSync(`${STORE}/bin/sh`, at('bin/sh'))
  writeFileSync(at('etc/image.json'), `{"a":"${STORE}/json"}`)
}, 60_000)

describe('a tree', () => {
  const verified = async (jobs: number, more: object = {}): Promise<string> => {
    const { elf, linkMaps, names, ...rest } = await verify(tree, silent, { jobs, facts: true, ...more })
    return JSON.stringify([rest, [...elf], [...linkMaps], [...names]])
  }
  test.each([
    ['as it is', {}],
    ['with hashes', { hashes: new Set([HASH]) }],
    ['closed, with another store', { closed: true, storeDirectories: ['/opt/store'] }],
    ['with hashes that cannot be listed', { hashes: { has: (hash: string) => hash === HASH } }],
  ])('%s: the same of one, two and eight threads', async (_, options) => {
    const one = await verified(1, options)
    expect(one.match(/store-reference/g)!.length).toBeGreaterThan(MANY / 100)
    for (const jobs of [2, 8]) expect(await verified(jobs, options)).toBe(one)
  })
})

/** All files of a tree, asked for early and seen. */
function asking(file: string): { looks: Looks; asked: Look[]; seen: () => Promise<string[]> } {
  const wanted = { digest: true, facts: false, layer: false }
  const looks = new Looks({ forbidden: { hashes: null, directories: [] }, wanted, early: true }, 3, file)
  looks.in(join(tree, 'share/many')).expect(MANY, 256 << 20)
  const asked = Array.from({ length: MANY }, (_, i) =>
    looks.askEarly({ name: String(i), size: lstat(join(tree, `share/many/${i}`))?.size ?? 0 }),
  )
  const seen = async (): Promise<string[]> => {
    const files: string[] = []
    for (const look of asked)
      files.push(
        ...(await run(looks.seen(look, lstat(join(tree, `share/many/${look.name}`))!.changed))).findings.map(
          f => f.file,
        ),
      )
    return files
  }
  return { looks, asked, seen }
}
const EXPECTED = Array.from({ length: MANY / 100 }, (_, i) => String(i * 100 + 7))

test('other threads look while this one does something else', async () => {
  const { looks, asked, seen } = asking(built)
  expect(looks.workers).toBe(2)
  await vi.waitFor(() => expect(asked.filter(look => look.isSeen).length).toBeGreaterThan(MANY / 2), 20_000)
  expect(await seen()).toEqual(EXPECTED)
  looks.close()
})

test('a file that is written to after it was looked into is looked into anew', async () => {
  const { looks, asked, seen } = asking(built)
  await vi.waitFor(() => expect(asked[3]!.isSeen).toBe(true), 20_000)
  const path = join(tree, 'share/many/3')
  await new Promise(done => setTimeout(done, 20))
  appendFileSync(path, `${STORE}/late\n`)
  expect(await seen()).toEqual(['3', ...EXPECTED])
  writeFileSync(path, 'number 3\n')
  looks.close()
})

describe('a thread that', () => {
  test.each([
    ['ends at its first file', "require('node:worker_threads').parentPort.on('message', () => process.exit(0))"],
    ['throws', "require('node:worker_threads').parentPort.on('message', () => { throw new Error('a bug') })"],
    ['cannot be read', 'this is no program'],
    ['ends at once', ''],
  ])('%s: this one does it all', async (what, text) => {
    const { looks, seen } = asking(script(`${what.replace(/ /g, '-')}.cjs`, text))
    expect(await seen()).toEqual(EXPECTED)
    looks.close()
  })

  test('is not there', async () => {
    const { looks, seen } = asking(join(work, 'nowhere.cjs'))
    expect(await seen()).toEqual(EXPECTED)
    looks.close()
  })
})

test('a file that cannot be read is told when it is asked for', async () => {
  const path = join(tree, 'share/many/500')
  rmSync(path)
  const { looks, asked } = asking(built)
  for (const look of asked.slice(0, 500)) await run(looks.seen(look, null))
  await expect(async () => run(looks.seen(asked[500]!, null))).rejects.toMatchObject({ code: 'not-found', path })
  for (const look of asked.slice(501)) await run(looks.seen(look, null))
  writeFileSync(path, 'number 500\n')
  looks.close()
})

describe('threads', () => {
  const echo = (): string =>
    script(
      'echo.cjs',
      `const { parentPort } = require('node:worker_threads')
       parentPort.on('message', ([number, job]) => parentPort.postMessage([number, job * 2]))`,
    )
  test('do jobs, as many at a time as they have room for', async () => {
    const workers = new Workers<number, number>(echo(), null, 2)
    expect(workers.hasRoom).toBe(false)
    workers.start()
    const results: (number | null)[] = []
    for (let job = 1; workers.hasRoom; job++) workers.send(job, result => results.push(result))
    await vi.waitFor(() => expect(results).toEqual([2, 4]))
    expect(workers.hasRoom).toBe(true)
    workers.close()
    expect(workers.hasRoom).toBe(false)
  })
  test('that have nothing to do keep no process from its end, nor do those that are not closed', () => {
    const file = echo()
    const entry = script(
      'holds.ts',
      `import { Workers } from '${join(import.meta.dirname, '../src/io/workers.ts')}'
       const workers = new Workers(${JSON.stringify(file)}, null, 2)
       workers.start()
       workers.send(21, result => console.log(result))`,
    )
    const outfile = join(work, 'holds.cjs')
    buildSync({
      entryPoints: [entry],
      bundle: true,
      platform: 'node',
      format: 'cjs',
      outfile,
      logLevel: 'error',
      define: { 'import.meta.dirname': '__dirname' },
    })
    expect(execFileSync(process.execPath, [outfile], { encoding: 'utf8', timeout: 30_000 })).toBe('42\n')
  })
})
