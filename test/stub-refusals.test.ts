/** Which files cannot get the stub, and why; and that all others of this machine can. */
import { copyFileSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { PT } from '../src/elf/constants.ts'
import { parseElf } from '../src/elf/parse.ts'
import { readStub } from '../src/elf/stub.ts'
import { bufferSource } from '../src/io/bytes.ts'
import { temporary } from './support/bundle.ts'
import { eachOf, output } from './support/elf-tools.ts'
import { BIN, inject, layOut, programsOfMachine, ROOT, refusal, say, sayInEmptyRoot } from './support/stub-lab.ts'

const directory = temporary()
const at = (name: string): string => join(directory, name)

describe('refused', () => {
  beforeAll(async () => {
    writeFileSync(at('main.c'), 'int main(void) { return 3; }\n')
    writeFileSync(at('start.s'), '.globl _start\n_start: .long 0\n')
    const interp = ['--dynamic-linker', '/lib/ld.so']
    await eachOf(
      [
        ['gcc', 'main.c', '-o', 'prog'],
        ['gcc', '-static', 'main.c', '-o', 'static'],
        ['gcc', '-static-pie', 'main.c', '-o', 'static-pie'],
        ['gcc', '-c', 'main.c', '-o', 'main.o'],
        ['gcc', '-shared', '-fPIC', 'main.c', '-o', 'main.so'],
        ['sh', '-c', 'as --x32 start.s -o 32.o && ld -m elf32_x86_64 -pie "$@" 32.o -o 32', 'sh', ...interp],
        [
          ...['sh', '-c', 'P=aarch64-linux-gnu; $P-as -EB start.s -o be.o && $P-ld -EB -pie "$@" be.o -o be'],
          ...['sh', ...interp],
        ],
      ],
      async ([command, ...args]) => void (await output(command!, args, { cwd: directory })),
    )
  })

  /** A copy of the good program with its bytes changed. */
  function changed(name: string, change: (bytes: Buffer) => Buffer | undefined): string {
    const bytes = readFileSync(at('prog'))
    writeFileSync(at(name), change(bytes) ?? bytes, { mode: 0o755 })
    return at(name)
  }
  const append = (name: string, ...pieces: (string | Buffer)[]) =>
    changed(name, bytes => Buffer.concat([bytes, ...pieces.map(piece => Buffer.from(piece))]))

  test.each(['prog', 'static', 'static-pie'])('nothing of an ordinary program: %s', name =>
    expect(refusal(at(name))).toBeNull(),
  )

  test.each([
    ['main.o', 'no-interpreter'],
    ['main.so', 'no-interpreter'],
    ['32', 'cpu'],
    ['be', 'cpu'],
  ])('%s: %s', (name, why) => expect(refusal(at(name))).toBe(why))

  test('another CPU', () => {
    expect(refusal(changed('loongarch', bytes => void bytes.writeUInt16LE(258, 18)))).toBe('cpu')
  })

  test('an object file with an interpreter', () => {
    expect(refusal(changed('et-rel', bytes => void bytes.writeUInt16LE(1, 16)))).toBe('no-interpreter')
  })

  test('segments that are not in ascending order', () => {
    const swapped = changed('descending', bytes => {
      const { segments } = parseElf(bufferSource(bytes), '')
      const table = Number(bytes.readBigUInt64LE(32))
      const loads = segments.flatMap((s, i) => (s.type === PT.load ? [table + i * 56] : []))
      const [first, last] = [loads[0]!, loads.at(-1)!]
      const kept = Buffer.from(bytes.subarray(first, first + 56))
      bytes.copy(bytes, first, last, last + 56)
      kept.copy(bytes, last)
      return undefined
    })
    expect(refusal(swapped)).toBe('segment-order')
  })

  test('a payload, wherever behind the end', () => {
    expect(refusal(append('payload', 'x'))).toBe('payload')
    expect(refusal(append('payload after zeros', Buffer.alloc(200_000), 'x'))).toBe('payload')
    expect(refusal(append('payload before zeros', 'x', Buffer.alloc(200_000)))).toBe('payload')
  })

  const withoutTable = (bytes: Buffer): Buffer => {
    const copy = Buffer.from(bytes)
    copy.writeBigUInt64LE(0n, 40)
    copy.writeUInt32LE(0, 60)
    return copy
  }

  test('sections that no header names any more are no payload: it gets the stub, and runs', async () => {
    const headless = changed('headless', withoutTable)
    expect(refusal(headless)).toBeNull()
    const place = layOut(at('headless-bundle'), '/lib64/ld-linux-x86-64.so.2', ['/lib/x86_64-linux-gnu/libc.so.6'])
    copyFileSync(headless, at('headless-bundle/bin/prog'))
    inject(at('headless-bundle/bin/prog'), place)
    const library = ['--ro-bind', at('headless-bundle/lib/libc.so.6'), '/lib/x86_64-linux-gnu/libc.so.6']
    expect(await sayInEmptyRoot(at('headless-bundle'), [`${ROOT}/bin/prog`], {}, library)).toMatchObject({ end: 3 })
  })

  test('but a payload is one with such sections too: behind them, before them, in the place of one', () => {
    expect(refusal(changed('behind', bytes => Buffer.concat([withoutTable(bytes), Buffer.from('x')])))).toBe('payload')
    const loadedEnd = (bytes: Buffer): number =>
      Math.max(...parseElf(bufferSource(bytes), '').segments.map(s => s.offset + s.filesz))
    const between = changed('between', bytes => {
      const end = loadedEnd(bytes)
      // The table says where its sections lie: they all move.
      const table = Number(bytes.readBigUInt64LE(40))
      const moved = withoutTable(bytes)
      for (let header = table; header + 64 <= bytes.length; header += 64) {
        const offset = bytes.readBigUInt64LE(header + 24)
        if (offset >= end) moved.writeBigUInt64LE(offset + 16n, header + 24)
      }
      return Buffer.concat([moved.subarray(0, end), Buffer.from('sixteen bytes...'), moved.subarray(end)])
    })
    expect(refusal(between)).toBe('payload')
    const alien = changed('alien', bytes => {
      // A table that does not agree with the segments: of another file.
      const copy = withoutTable(bytes)
      const table = Number(bytes.readBigUInt64LE(40))
      copy.writeBigUInt64LE(bytes.readBigUInt64LE(table + 64 + 16) + 16n, table + 64 + 16)
      return copy
    })
    expect(refusal(alien)).toBe('payload')
  })

  test.each(['32', 'be'])('a payload is found whatever the CPU (%s)', name => {
    const bytes = readFileSync(at(name))
    writeFileSync(at(`${name}-payload`), Buffer.concat([bytes, Buffer.from('x')]))
    expect(refusal(at(`${name}-payload`))).toBe('payload')
  })

  test('zeros behind the end are padding: it gets the stub, and runs', async () => {
    const padded = append('padded', Buffer.alloc(70_001))
    expect(refusal(padded)).toBeNull()
    const place = layOut(at('padded-bundle'), '/lib64/ld-linux-x86-64.so.2', ['/lib/x86_64-linux-gnu/libc.so.6'])
    copyFileSync(padded, at('padded-bundle/bin/prog'))
    await output('patchelf', ['--force-rpath', '--set-rpath', '$ORIGIN/../lib', at('padded-bundle/bin/prog')])
    inject(at('padded-bundle/bin/prog'), place)
    expect(await sayInEmptyRoot(at('padded-bundle'), [`${ROOT}/bin/prog`], {})).toMatchObject({ end: 3, stderr: '' })
  })
})

test('what is no stub is not read as one', () => {
  expect(readStub(Buffer.alloc(0))).toBeNull()
  expect(readStub(Buffer.from('SFSTUB1\0'))).toBeNull()
  expect(readStub(Buffer.concat([Buffer.from('SFSTUB1\0'), Buffer.alloc(24), Buffer.from('endless')]))).toBeNull()
})

// ---- The programs of this machine ------------------------------------------------------------------------------

test('200 programs of this machine get the stub, and readelf has no more to say about them than before', async () => {
  const programs = programsOfMachine(200, 20)
  let i = 0
  await eachOf(programs, async path => {
    const copy = at(`sample-${i++}`)
    copyFileSync(path, copy)
    inject(copy, { up: 1, path: 'lib/ld-linux-x86-64.so.2' })
    const [before, after] = [await say('readelf', ['-aW', path]), await say('readelf', ['-aW', copy])]
    expect({ ...after, stdout: '' }, path).toEqual({ ...before, stdout: '' })
    expect(after.stdout, path).toContain('.ldstub')
  })
})

const PROGRAMS = [
  ...['ls', 'sort', 'date', 'grep', 'sed', 'tar', 'find', 'xargs', 'diff', 'bash', 'perl', 'gcc', 'g++', 'make'],
  ...['readelf', 'objdump', 'ld.bfd', 'strip', 'curl', 'file', 'zstd', 'xz', 'strace', 'patchelf', 'bwrap'],
]

test(`${PROGRAMS.length} of them say their version in an empty root`, async () => {
  await eachOf(PROGRAMS, async name => {
    const original = realpathSync(join(BIN, name))
    const before = await say(join(BIN, name), ['--version'])
    expect(before, name).toMatchObject({ end: 0, stderr: '' })
    expect(before.stdout, name).not.toBe('')

    const listed = await output('ldd', [original])
    const libraries = [...listed.matchAll(/ => (\/\S+) \(0x/g)].map(([, path]) => path!)
    const loader = /^\t(\/\S*ld-linux\S*) \(0x/m.exec(listed)![1]!
    const bundle = at(`bundle-${name}`)
    const place = layOut(bundle, loader, [])
    for (const library of libraries) copyFileSync(realpathSync(library), join(bundle, 'lib', basename(library)))
    const program = join(bundle, 'bin', name)
    copyFileSync(original, program)
    await output('patchelf', ['--force-rpath', '--set-rpath', '$ORIGIN/../lib', program])
    inject(program, place)
    const after = await sayInEmptyRoot(bundle, [`${ROOT}/bin/${name}`, '--version'], {})
    // Some name themselves by argv[0].
    expect({ ...after, stdout: after.stdout.replaceAll(`${ROOT}/bin`, BIN) }, name).toEqual(before)
  })
})
