/** The entry by a sidecar put into programs of this machine: what of them stays, and that they run. */
import { appendFileSync, copyFileSync, mkdirSync, readFileSync, realpathSync, statSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { expect, test } from 'vitest'
import { parseElf } from '../src/elf/parse.ts'
import { blobOf, entryCpuOf } from '../src/entry/cpus.ts'
import { stubRefusal } from '../src/entry/inject.ts'
import { enter, placeOf, sidecarPath, takesSidecar } from '../src/entry/sidecar.ts'
import { bufferSource } from '../src/io/bytes.ts'
import { temporary } from './support/bundle.ts'

import { eachOf, output, Random } from './support/elf-tools.ts'

import {
  BIN,
  dropSections,
  enterBySidecar,
  layOut,
  programsOfMachine,
  ROOT,
  say,
  sayInEmptyRoot,
} from './support/stub-lab.ts'

const directory = temporary()
const bootstrap = blobOf(entryCpuOf('x86_64')!, 'bootstrap')

test('200 programs of this machine with a payload have room for it, and readelf has no more to say about them', async () => {
  const programs = programsOfMachine(200, 21)
  let i = 0
  const without: string[] = []
  await eachOf(programs, async path => {
    const copy = join(directory, `sample-${i++}`)
    copyFileSync(path, copy)
    appendFileSync(copy, 'payload')
    const bytes = readFileSync(copy)
    const facts = parseElf(bufferSource(bytes), copy)
    expect(stubRefusal(bufferSource(bytes), facts), path).toBe('payload')
    if (!takesSidecar(bufferSource(bytes), facts, 'payload')) return void without.push(path)
    expect(enterBySidecar([copy], { up: 1, path: 'lib/ld-linux-x86-64.so.2' }, '$ORIGIN/../lib')).not.toBeNull()
    expect(statSync(copy).size).toBe(bytes.length)
    const [before, after] = [await say('readelf', ['-aW', path]), await say('readelf', ['-aW', copy])]
    expect({ ...after, stdout: '' }, path).toEqual({ ...before, stdout: '' })
  })
  expect(without).toEqual([])
})

const PROGRAMS = [
  'ls',
  'sort',
  'grep',
  'sed',
  'tar',
  'find',
  'bash',
  'perl',
  'gcc',
  'make',
  'readelf',
  'curl',
  'file',
  'xz',
  'strace',
]

test(`${PROGRAMS.length} of them say their version in an empty root, with a search path in memory alone`, async () => {
  await eachOf(PROGRAMS, async name => {
    const original = realpathSync(join(BIN, name))
    const before = await say(join(BIN, name), ['--version'])
    const listed = await output('ldd', [original])
    const libraries = [...listed.matchAll(/ => (\/\S+) \(0x/g)].map(([, path]) => path!)
    const loader = /^\t(\/\S*ld-linux\S*) \(0x/m.exec(listed)![1]!
    const bundle = join(directory, `bundle-${name}`)
    const place = layOut(bundle, loader, [])
    for (const library of libraries) copyFileSync(realpathSync(library), join(bundle, 'lib', basename(library)))
    const program = join(bundle, 'bin', name)
    copyFileSync(original, program)
    appendFileSync(program, 'payload')
    mkdirSync(join(bundle, 'lib'), { recursive: true })
    writeFileSync(join(bundle, sidecarPath('x86_64')), enterBySidecar([program], place, '$ORIGIN/../lib')!)
    const after = await sayInEmptyRoot(bundle, [`${ROOT}/bin/${name}`, '--version'], {})
    expect({ ...after, stdout: after.stdout.replaceAll(`${ROOT}/bin`, BIN) }, name).toEqual(before)
  })
})

test('in programs of one segment the tables that tools read stay as they are', async () => {
  let entered = 0
  for (const more of [200, 250, 300, 350, 400, 450, 500, 550, 600, 1500]) {
    const program = join(directory, `small-${more}`)
    writeFileSync(
      `${program}.c`,
      `int main(void) { return 3; } __asm__(".pushsection .text; .skip ${more}; .popsection");`,
    )
    await output('gcc', ['-Wl,-z,noseparate-code', '-o', program, `${program}.c`])
    if (more % 500 === 0)
      await output('objcopy', ['--strip-section-headers', program]).catch(() => dropSections(program))
    const before = await say('readelf', ['-W', '--dyn-syms', '-V', '-d', program])
    appendFileSync(program, 'payload')
    if (enterBySidecar([program], { up: 1, path: 'lib/ld-linux-x86-64.so.2' }, null) === null) continue
    entered++
    expect(await say('readelf', ['-W', '--dyn-syms', '-V', '-d', program]), `${more}`).toEqual(before)
  }
  expect(entered).toBeGreaterThan(1)
})

test('what has no room is told, and what is malformed does no harm', () => {
  const bytes = readFileSync(realpathSync(join(BIN, 'ls')))
  const random = new Random(22)
  for (let i = 0; i < 3000; i++) {
    const copy = Buffer.from(bytes.subarray(0, random.pick([bytes.length, 5000])))
    const table = Number(copy.readBigUInt64LE(32))
    for (let n = 1 + random.below(3); n > 0; n--)
      copy.writeUInt8(
        random.below(256),
        random.pick([24 + random.below(8), table + random.below(13 * 56), 40 + random.below(8)]),
      )
    let facts: ReturnType<typeof parseElf>
    try {
      facts = parseElf(bufferSource(copy), 'ls')
    } catch {
      continue
    }
    const place = placeOf(bufferSource(copy), facts, 1500)
    if (place === null) continue
    expect(place.offset).toBeGreaterThanOrEqual(0)
    expect(place.offset + 1500).toBeLessThanOrEqual(copy.length)
    enter(bufferSource(copy), facts, bootstrap, {
      loader: { up: 1, path: 'lib/ld.so' },
      relocations: null,
      rpath: null,
    })
  }
})
