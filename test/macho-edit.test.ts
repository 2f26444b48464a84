/**
 * Edits of load commands, read back by LLVM: what the plan names has changed, and nothing else. Bytes outside of the
 * load commands stay as they are.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bufferSource } from '../src/io/bytes.ts'
import { editedStrings, editMachO, type MachOEdit } from '../src/macho/edit.ts'
import { parseMachO } from '../src/macho/parse.ts'
import { patched } from '../src/macho/patch.ts'
import { signMachO } from '../src/macho/sign.ts'
import { checkSignature, isIntact } from '../src/macho/signature.ts'
import { eachOf } from './support/elf-tools.ts'
import { buildMachO } from './support/macho-image.ts'
import { type Fixture, MachOLab, npmFixtures, STORE } from './support/macho-lab.ts'
import { type PrintedSlice, printedSlices } from './support/macho-otool.ts'

const directory = mkdtempSync(join(tmpdir(), 'storefree-macho-'))
afterAll(() => rmSync(directory, { recursive: true }))
let lab: MachOLab
let signed: Fixture[]
beforeAll(() => {
  lab = new MachOLab(directory)
  signed = lab.signed()
  lab.others()
}, 120_000)

const factsOf = (bytes: Buffer) => parseMachO(bufferSource(bytes), 'x')
const edit = (bytes: Buffer, edits: readonly MachOEdit[]) => editMachO(bufferSource(bytes), factsOf(bytes), edits)

/** The edited file. Its size and all that is no load command, nor room for one, is as it was. */
function edited(bytes: Buffer, edits: readonly MachOEdit[]): Buffer {
  const { writes, refusals } = edit(bytes, edits)
  expect(refusals).toEqual([])
  const source = patched(bufferSource(bytes), writes)
  const after = source.read(0, source.size)
  expect(after.length).toBe(bytes.length)
  const wipe = (file: Buffer): Buffer => {
    const wiped = Buffer.from(file)
    for (const { offset, sizeofcmds, room, class: bits } of factsOf(file).slices)
      wiped.fill(0, offset + 16, offset + (bits === 64 ? 32 : 28) + sizeofcmds + room)
    return wiped
  }
  expect(wipe(after).equals(wipe(bytes))).toBe(true)
  expect(editedStrings(factsOf(after), [])).toEqual(editedStrings(factsOf(bytes), edits))
  return after
}

/** What LLVM prints but for sizes, as text. */
type Printed = string[][]
const printed = (slices: readonly PrintedSlice[]): Printed =>
  slices.map(({ header, commands }) => [
    header.toSpliced(5, 2).join(' '),
    ...commands.map(({ fields, sections }) =>
      JSON.stringify([[...fields].filter(([key]) => key !== 'cmdsize'), sections.map(s => [...s])]),
    ),
  ])

/** The printed commands with one text in the place of another; without those that `gone` names. */
const replaced = (before: Printed, texts: Readonly<Record<string, string>>, gone: readonly string[] = []): Printed =>
  before.map(commands =>
    commands
      .filter(command => !gone.some(text => command.includes(`"${text} (offset`)))
      .map(command =>
        Object.entries(texts).reduce(
          (text, [from, to]) => text.replaceAll(`"${from} (offset`, `"${to} (offset`),
          command,
        ),
      ),
  )

const llvm = async (bytes: Buffer, name: string): Promise<PrintedSlice[]> => printedSlices(lab.write(name, bytes).path)

const A = `${STORE}-a-1.0/lib`
const SHORTER: MachOEdit[] = [
  { op: 'change-install-name', from: `${A}/liba.1.dylib`, to: '@loader_path/../lib/liba.1.dylib' },
  { op: 'change-rpath', from: `${A}`, to: '@loader_path/../lib' },
  { op: 'delete-rpath', from: '@executable_path/../lib' },
]

test('every file of lld with shorter names, signed again, is what LLVM expects and intact', async () => {
  let changed = 0
  await eachOf(signed.entries(), async ([i, { name, path, bytes }]) => {
    const before = await printedSlices(path)
    const { id, rpaths, dylibs, environment } = factsOf(bytes).slices[0]!
    const names = [...new Set(dylibs.map(d => d.name.value))]
    const edits: MachOEdit[] = [
      ...(id ? [{ op: 'set-id' as const, to: 'i' }] : []),
      ...names.map((from, k) => ({ op: 'change-install-name' as const, from, to: `l${k}.dylib` })),
      ...rpaths.map((r, k) => ({ op: 'change-rpath' as const, from: r.value, to: `@r${k}` })),
      ...environment.map(e => ({ op: 'change-environment' as const, from: e.value, to: 'DYLD_X=' })),
    ]
    const made = edited(bytes, edits)
    const after = signMachO(bufferSource(made), factsOf(made), name, name).source
    const result = after.read(0, after.size)
    expect(checkSignature(after, factsOf(result).slices[0]!, name).every(isIntact)).toBe(true)
    const texts = Object.fromEntries([
      ...(id ? [[id.value, 'i']] : []),
      ...names.map((from, k) => [from, `l${k}.dylib`]),
      ...rpaths.map((r, k) => [r.value, `@r${k}`]),
      ...environment.map(e => [e.value, 'DYLD_X=']),
    ])
    const printedAfter = await llvm(result, `edited-${i}`)
    expect(printed(printedAfter), name).toEqual(replaced(printed(before), texts))
    // In place: no command has another size.
    const sizes = (slices: readonly PrintedSlice[]) =>
      slices.map(s => [s.header[5], s.header[6], s.commands.map(c => c.fields.get('cmdsize'))])
    expect(sizes(printedAfter)).toEqual(sizes(before))
    changed++
  })
  expect(changed).toBeGreaterThanOrEqual(30)
})

test('only the bytes of the string are written', () => {
  const { bytes } = lab.fixture('arm64-fixup_chains/program')
  const { dylibs } = factsOf(bytes).slices[0]!
  const { offset, capacity } = dylibs[0]!.name
  const { writes } = edit(bytes, [
    { op: 'change-install-name', from: dylibs[0]!.name.value, to: '@rpath/liba.1.dylib' },
  ])
  expect(writes).toHaveLength(1)
  expect(writes[0]!.offset).toBeGreaterThanOrEqual(offset)
  expect(writes[0]!.offset + writes[0]!.bytes.length).toBeLessThanOrEqual(offset + capacity)
  expect(edit(bytes, []).writes).toEqual([])
})

test('a deleted LC_RPATH leaves zeros behind the commands that close up', async () => {
  const { path, bytes } = lab.fixture('x86_64-no_fixup_chains/program')
  const before = await printedSlices(path)
  const after = edited(bytes, SHORTER)
  const result = await llvm(after, 'deleted')
  expect(printed(result)).toEqual(
    replaced(
      printed(before),
      { [`${A}/liba.1.dylib`]: '@loader_path/../lib/liba.1.dylib', [A]: '@loader_path/../lib' },
      ['@executable_path/../lib'],
    ),
  )
  const [was, is] = [factsOf(bytes).slices[0]!, factsOf(after).slices[0]!]
  expect([is.commands.length, is.sizeofcmds]).toEqual([was.commands.length - 1, was.sizeofcmds - 40])
  expect(after.subarray(32 + is.sizeofcmds, 32 + was.sizeofcmds).every(byte => byte === 0)).toBe(true)
})

test('equal LC_RPATHs become one, whether they were equal or become so', async () => {
  const twice = ['-rpath', '/x/1', '-rpath', '/x/2', '-rpath', '/x/3']
  const { bytes, path } = lab.library('arm64', 'twice.dylib', 'id', ...twice)
  const before = await printedSlices(path)
  const after = edited(bytes, [
    { op: 'change-rpath', from: '/x/1', to: '/x/2' },
    { op: 'change-rpath', from: '/x/3', to: '/x/2' },
  ])
  expect(factsOf(after).slices[0]!.rpaths.map(r => r.value)).toEqual(['/x/2'])
  const kept = printed(before)[0]!.filter(text => !/"\/x\/[13] /.test(text))
  expect(printed(await llvm(after, 'once'))).toEqual([kept])
  // ld64 used to write equal ones; here the last is made so by hand.
  const equal = Buffer.from(bytes)
  const { offset } = factsOf(bytes).slices[0]!.rpaths[2]!
  equal.write('/x/1', offset, 'latin1')
  expect(factsOf(edited(equal, [])).slices[0]!.rpaths.map(r => r.value)).toEqual(['/x/1', '/x/2'])
})

describe('a string that does not fit its command', () => {
  const long = `@loader_path/${'../'.repeat(60)}lib/liba.1.dylib`
  const grow: MachOEdit[] = [{ op: 'change-install-name', from: '/usr/lib/libSystem.B.dylib', to: long }]

  test('makes it grow where there is room, and those behind it move', async () => {
    for (const arch of ['arm64', 'x86_64']) {
      const { bytes, path } = lab.fixture(`${arch}-fixup_chains/padded.dylib`)
      const before = await printedSlices(path)
      const after = edited(bytes, grow)
      expect(printed(await llvm(after, 'grown'))).toEqual(
        replaced(printed(before), { '/usr/lib/libSystem.B.dylib': long }),
      )
      const [was, is] = [factsOf(bytes).slices[0]!, factsOf(after).slices[0]!]
      expect(is.sizeofcmds % 8).toBe(0)
      expect(is.sizeofcmds + is.room).toBe(was.sizeofcmds + was.room)
      const signedAgain = signMachO(bufferSource(after), factsOf(after), 'x', 'x').source
      expect(checkSignature(signedAgain, is, 'x').every(isIntact)).toBe(true)
    }
  })

  test('is refused where there is none, with the numbers', () => {
    const { bytes } = lab.fixture('arm64-fixup_chains/tight.dylib')
    const { room } = factsOf(bytes).slices[0]!
    expect(room).toBeLessThan(160)
    const size = Math.ceil((24 + long.length + 1) / 8) * 8
    expect(edit(bytes, grow)).toEqual({
      writes: [],
      refusals: [{ reason: 'no-room', arch: 'arm64', edits: grow, need: size - 56, room }],
    })
  })

  test('fits to the last byte of the room, and not one more', () => {
    const { bytes } = lab.fixture('x86_64-fixup_chains/padded.dylib')
    const { room } = factsOf(bytes).slices[0]!
    const most = 56 + Math.floor(room / 8) * 8 - 24 - 1
    const to = (length: number): MachOEdit[] => [{ ...grow[0]!, to: 'x'.repeat(length) } as MachOEdit]
    edited(bytes, to(most))
    expect(edit(bytes, to(most + 1)).refusals.map(r => r.reason)).toEqual(['no-room'])
  })

  test('is refused where the room is in use', () => {
    const bytes = Buffer.from(lab.fixture('arm64-fixup_chains/padded.dylib').bytes)
    bytes[32 + factsOf(bytes).slices[0]!.sizeofcmds + 100] = 1
    expect(edit(bytes, grow).refusals.map(r => r.reason)).toEqual(['occupied'])
  })

  test('takes what another edit leaves', () => {
    const { bytes } = lab.fixture('arm64-fixup_chains/tight.dylib')
    const { id, room } = factsOf(bytes).slices[0]!
    const free = id!.capacity - 8 + Math.floor(room / 8) * 8
    const to = 'x'.repeat(56 - 24 - 1 + free)
    const both: MachOEdit[] = [{ op: 'set-id', to: 'i' }, { ...grow[0]!, to } as MachOEdit]
    expect(edit(bytes, both.slice(1)).refusals.map(r => r.reason)).toEqual(['no-room'])
    edited(bytes, both)
  })
})

test('what cannot be carried out is told, and then nothing is written', () => {
  const { bytes } = lab.fixture('arm64-fixup_chains/liba.1.dylib')
  const good: MachOEdit = { op: 'set-id', to: 'fine' }
  const bad: MachOEdit[] = [
    { op: 'change-install-name', from: '/none', to: 'x' },
    { op: 'change-rpath', from: '/none', to: 'x' },
    { op: 'delete-rpath', from: '/none' },
    { op: 'change-environment', from: 'DYLD_X=y', to: 'x' },
    { op: 'set-dylinker', to: 'x' },
    { op: 'set-id', to: 'x', slice: 1 },
  ]
  for (const edits of bad)
    expect(edit(bytes, [good, edits])).toEqual({ writes: [], refusals: [{ reason: 'absent', edit: edits }] })
  const nul: MachOEdit = { op: 'set-id', to: 'a\0b' }
  expect(edit(bytes, [nul])).toEqual({ writes: [], refusals: [{ reason: 'unwritable', edit: nul }] })
})

test('libraries that would get one name are refused; those that have one keep it in common', () => {
  const { bytes } = buildMachO()
  const [first, second] = factsOf(bytes).slices[0]!.dylibs.map(d => d.name.value)
  const edits = [first!, second!].map((from): MachOEdit => ({ op: 'change-install-name', from, to: '/one' }))
  expect(edit(bytes, edits)).toEqual({
    writes: [],
    refusals: [{ reason: 'duplicate', arch: 'x86_64', name: '/one' }],
  })
  expect(edit(bytes, [{ ...edits[0]!, to: second! } as MachOEdit]).refusals.map(r => r.reason)).toEqual(['duplicate'])
  const swapped = edited(bytes, [{ ...edits[0]!, to: second! } as MachOEdit, { ...edits[1]!, to: first! } as MachOEdit])
  expect(
    factsOf(swapped)
      .slices[0]!.dylibs.slice(0, 2)
      .map(d => d.name.value),
  ).toEqual([second, first])
  const twice = Buffer.from(bytes)
  const { offset } = factsOf(bytes).slices[0]!.dylibs[1]!.name
  twice.write('/x\0', offset, 'latin1')
  twice.write('/x\0', factsOf(bytes).slices[0]!.dylibs[2]!.name.offset, 'latin1')
  const both = edited(twice, [{ op: 'change-install-name', from: '/x', to: '/y' }])
  expect(
    factsOf(both)
      .slices[0]!.dylibs.map(d => `${d.kind} ${d.name.value}`)
      .slice(1, 3),
  ).toEqual(['weak /y', 'reexport /y'])
})

test('edits do not follow on each other', () => {
  const { bytes } = lab.library('x86_64', 'swap.dylib', 'id', '-rpath', '/x/1', '-rpath', '/x/2')
  const after = edited(bytes, [
    { op: 'change-rpath', from: '/x/1', to: '/x/2' },
    { op: 'change-rpath', from: '/x/2', to: '/x/1' },
  ])
  expect(factsOf(after).slices[0]!.rpaths.map(r => r.value)).toEqual(['/x/2', '/x/1'])
})

test('in a universal file every slice is edited, or the one that is named', async () => {
  for (const name of ['fat', 'fat64', 'fat-arm64e']) {
    const { bytes, path } = lab.fixture(name)
    const before = printed(await printedSlices(path))
    const id = `${A}/liba.1.dylib`
    const all = edited(bytes, [{ op: 'set-id', to: '@rpath/liba.1.dylib' }])
    expect(printed(await llvm(all, 'all'))).toEqual(replaced(before, { [id]: '@rpath/liba.1.dylib' }))
    const one = edited(bytes, [{ op: 'set-id', to: '@rpath/liba.1.dylib', slice: 1 }])
    const changed = replaced(before, { [id]: '@rpath/liba.1.dylib' })
    expect(printed(await llvm(one, 'one'))).toEqual(before.map((slice, i) => (i === 1 ? changed[i] : slice)))
    const signedAgain = signMachO(bufferSource(all), factsOf(all), 'x', 'x').source
    for (const slice of factsOf(all).slices) expect(checkSignature(signedAgain, slice, 'x').every(isIntact)).toBe(true)
  }
})

test('either width and byte order, every kind of command', async () => {
  for (const bits of [32, 64] as const)
    for (const little of [true, false]) {
      const { bytes } = buildMachO({ bits, little })
      const before = printed(await llvm(bytes, 'image'))
      const texts = {
        '@rpath/libself.dylib': 'i',
        '/usr/lib/libSystem.B.dylib': 's',
        '@rpath/libweak.dylib': 'much/longer/than/@rpath/libweak.dylib',
        '@loader_path/libre.dylib': 're',
        '/nix/store/up.dylib': 'up',
        'lazy.dylib': 'a/longer/lazy.dylib',
        '/usr/lib/dyld': '/d',
        'DYLD_LIBRARY_PATH=/x': 'DYLD_LIBRARY_PATH=/a/longer/x',
        '@loader_path/../lib': '@loader_path',
      }
      const [id, ...rest] = Object.entries(texts)
      const edits: MachOEdit[] = [
        { op: 'set-id', to: id![1] },
        ...rest.slice(0, 5).map(([from, to]) => ({ op: 'change-install-name' as const, from, to })),
        { op: 'set-dylinker', to: '/d' },
        { op: 'change-environment', from: 'DYLD_LIBRARY_PATH=/x', to: texts['DYLD_LIBRARY_PATH=/x'] },
        { op: 'change-rpath', from: '@loader_path/../lib', to: '@loader_path' },
        { op: 'delete-rpath', from: '/nix/store/lib' },
      ]
      const after = edited(bytes, edits)
      expect(printed(await llvm(after, 'image'))).toEqual(replaced(before, texts, ['/nix/store/lib']))
    }
})

test('what sizeofcmds counts behind the last command stays there', () => {
  const image = buildMachO()
  const bytes = image.with({ 'header.sizeofcmds': 1008 + 16 })
  bytes.write('sixteen bytes ok', 32 + 1008, 'latin1')
  const after = edited(bytes, [{ op: 'delete-rpath', from: '/nix/store/lib' }])
  const slice = factsOf(after).slices[0]!
  expect(slice.sizeofcmds).toBe(1008 + 16 - 32)
  expect(after.toString('latin1', 32 + slice.sizeofcmds - 16, 32 + slice.sizeofcmds)).toBe('sixteen bytes ok')
})

test('files that Apple and Go have linked', async () => {
  for (const { name, path, bytes } of npmFixtures().filter(f => f.bytes.length < 20_000_000)) {
    const facts = factsOf(bytes)
    const before = printed(await printedSlices(path))
    const texts: Record<string, string> = {}
    for (const slice of facts.slices) for (const [k, d] of slice.dylibs.entries()) texts[d.name.value] ??= `/l/${k}`
    const edits = Object.entries(texts).map(([from, to]) => ({ op: 'change-install-name' as const, from, to }))
    const made = edited(bytes, edits)
    expect(printed(await llvm(made, 'npm')), name).toEqual(replaced(before, texts))
    const again = signMachO(bufferSource(made), factsOf(made), name, name).source
    for (const slice of factsOf(made).slices)
      for (const check of checkSignature(again, slice, name)) expect(isIntact(check), name).toBe(true)
  }
})

test('4 MiB of load commands are edited in time', () => {
  const count = 130_000
  const bytes = Buffer.alloc(32 + 32 * count)
  for (const [i, word] of [0xfeedfacf, 0x0100000c, 0, 6, count, 32 * count, 0, 0].entries())
    bytes.writeUInt32LE(word, 4 * i)
  for (let i = 0; i < count; i++) {
    for (const [k, word] of [0x8000001c, 32, 12].entries()) bytes.writeUInt32LE(word, 32 + 32 * i + 4 * k)
    bytes.write(`/r/${i % 60_000}`, 32 + 32 * i + 12, 'latin1')
  }
  const start = process.cpuUsage().user
  const after = edited(bytes, [{ op: 'delete-rpath', from: '/r/7' }])
  expect(factsOf(after).slices[0]!.rpaths).toHaveLength(59_999)
  expect((process.cpuUsage().user - start) / 1e6).toBeLessThan(5)
})
