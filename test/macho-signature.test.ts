/**
 * Signatures that lld, ld64, codesign and Go's linker have made are the oracle: each is made again, byte for byte. What
 * codesign adds with a certificate is put together by the test, with code of its own.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BundleError } from '../src/errors.ts'
import { bufferSource } from '../src/io/bytes.ts'
import type { MachOFacts, MachOSlice } from '../src/macho/facts.ts'
import { parseMachO } from '../src/macho/parse.ts'
import { isSigned, signMachO } from '../src/macho/sign.ts'
import { checkSignature, isIntact, readSignature } from '../src/macho/signature.ts'
import { buildMachO } from './support/macho-image.ts'
import { type Fixture, MachOLab, npmFixtures } from './support/macho-lab.ts'
import { hash, superBlob } from './support/macho-signature.ts'

const directory = mkdtempSync(join(tmpdir(), 'storefree-macho-'))
afterAll(() => rmSync(directory, { recursive: true }))
let lab: MachOLab
let signed: Fixture[]
const npm = npmFixtures()
beforeAll(() => {
  lab = new MachOLab(directory)
  signed = lab.signed()
  lab.others()
}, 120_000)

const factsOf = (bytes: Buffer): MachOFacts => parseMachO(bufferSource(bytes), 'x')
const signature = (bytes: Buffer, slice = 0) => readSignature(bufferSource(bytes), factsOf(bytes).slices[slice]!, 'x')!
const check = (bytes: Buffer) => factsOf(bytes).slices.flatMap(slice => checkSignature(bufferSource(bytes), slice, 'x'))
const sign = (bytes: Buffer, name = 'x', which: (slice: MachOSlice) => boolean = isSigned): Buffer => {
  const made = signMachO(bufferSource(bytes), factsOf(bytes), name, 'x', which)
  const result = made.source.read(0, made.source.size)
  if (made.writes) {
    // The overwrites say the same as the source.
    const written = Buffer.alloc(made.source.size)
    bytes.copy(written)
    for (const { offset, bytes: put } of made.writes) put.copy(written, offset)
    expect(written.equals(result)).toBe(true)
  }
  return result
}
const everySlice = () => true

/** The file before its linker signed it: no load command, which is the last one, and no bytes of a signature. */
function stripped(bytes: Buffer): Buffer {
  const slice = factsOf(bytes).slices[0]!
  const command = slice.commands.at(-1)!
  expect(command.cmd).toBe(0x1d)
  const result = Buffer.from(bytes.subarray(0, slice.signature!.offset))
  result.fill(0, command.offset, command.offset + 16)
  result.writeUInt32LE(slice.commands.length - 1, 16)
  result.writeUInt32LE(slice.sizeofcmds - 16, 20)
  const linkedit = slice.segments.find(s => s.name === '__LINKEDIT')!
  const size = BigInt(slice.signature!.offset - linkedit.fileoff)
  result.writeBigUInt64LE(size, linkedit.command + 32)
  result.writeBigUInt64LE(size, linkedit.command + 48)
  return result
}

test('every signature of a tool is intact', () => {
  expect(signed.length).toBeGreaterThanOrEqual(30)
  for (const { name, bytes } of [...signed, ...npm]) {
    const checks = check(bytes)
    expect({ name, checks: checks.length, intact: checks.every(isIntact) }).toEqual({ name, checks: 1, intact: true })
  }
})

test('stripped and signed again, every file of lld is what it was', () => {
  for (const { name, bytes } of signed) {
    const again = sign(stripped(bytes), signature(bytes).directories[0]!.identifier, everySlice)
    expect({ name, same: again.equals(bytes) }).toEqual({ name, same: true })
  }
})

test('with its hashes wiped and signed again, every file is what it was, whoever signed it', () => {
  for (const { name, bytes } of [...signed, ...npm]) {
    const wiped = Buffer.from(bytes)
    for (const [i, slice] of factsOf(bytes).slices.entries()) {
      if (!slice.signature) continue
      const [first] = signature(bytes, i).directories
      const at = slice.signature.offset + first!.offset + first!.hashOffset
      wiped.fill(0xee, at, at + 32 * first!.pages.length)
    }
    expect(wiped.equals(bytes)).toBe(false)
    expect({ name, same: sign(wiped).equals(bytes) }).toEqual({ name, same: true })
  }
})

test('a changed byte is found in its page, wherever it is', () => {
  const { bytes } = signed.find(f => f.name === 'big.dylib')!
  const { codeLimit } = signature(bytes).directories[0]!
  for (const at of [4095, 4096, 70_000, codeLimit - 1]) {
    const tampered = Buffer.from(bytes)
    tampered[at]! ^= 1
    expect(check(tampered).map(c => c.wrongPages)).toEqual([[Math.floor(at / 4096)]])
    expect(check(sign(tampered)).every(isIntact)).toBe(true)
  }
  const { slices } = factsOf(npm.at(-1)!.bytes)
  const fat = Buffer.from(npm.at(-1)!.bytes)
  fat[slices[1]!.offset + 0x4000]! ^= 1
  expect(check(fat).map(c => c.wrongPages)).toEqual([[4]])
})

// ---- What codesign adds ----------------------------------------------------------------------------------------

const ENTITLEMENTS = '<plist version="1.0"><dict><key>com.apple.security.cs.allow-jit</key><true/></dict></plist>'
const EXTRAS = {
  requirements: Buffer.from('00000001000000030000001400000000', 'hex'),
  entitlements: ENTITLEMENTS,
  der: Buffer.from('7031020101b02c302a', 'hex'),
}

/** A program of lld's with a signature as codesign makes it, in a place of just its size or of so many bytes. */
function codesigned(options: Parameters<typeof superBlob>[1], place?: number): Buffer {
  const { bytes } = lab.fixture('arm64-fixup_chains/program')
  const slice = factsOf(bytes).slices[0]!
  const { offset } = slice.signature!
  const room = place ?? superBlob(bytes.subarray(0, offset), options).length
  const grown = Buffer.concat([bytes.subarray(0, offset), Buffer.alloc(room)])
  const linkedit = slice.segments.find(s => s.name === '__LINKEDIT')!
  grown.writeBigUInt64LE(BigInt(offset + room - linkedit.fileoff), linkedit.command + 48)
  grown.writeBigUInt64LE(0x4000n, linkedit.command + 32)
  grown.writeUInt32LE(room, slice.commands.at(-1)!.offset + 12)
  superBlob(grown.subarray(0, offset), options).copy(grown, offset)
  return grown
}

test('every kind of hash is checked, alternates too', () => {
  for (const hashes of [[1], [2], [3], [4], [1, 2], [1, 2, 4]] as const) {
    const bytes = codesigned({ ...EXTRAS, hashes })
    expect(check(bytes).map(c => [c.directory.hashType, isIntact(c)])).toEqual(hashes.map(type => [type, true]))
    bytes[5000]! ^= 1
    expect(check(bytes).map(c => c.wrongPages)).toEqual(hashes.map(() => [1]))
  }
})

test('a blob that is not what was signed is found in its slot', () => {
  const bytes = codesigned(EXTRAS)
  bytes.write('deny', bytes.indexOf('allow-jit'))
  expect(check(bytes).map(c => c.wrongSlots)).toEqual([[5]])
  const { offset } = factsOf(bytes).slices[0]!.signature!
  const lost = codesigned(EXTRAS)
  lost.writeUInt32BE(0x4000, offset + 12 + 8) // the requirements are another slot
  expect(check(lost).map(c => c.wrongSlots)).toEqual([[2]])
  expect(check(codesigned({ info: hash(2, Buffer.from('plist')) })).map(c => c.unchecked)).toEqual([[1]])
})

test('entitlements, requirements, flags, runtime and identifier are kept; the certificate is not', () => {
  const info = hash(2, Buffer.from('plist'))
  const before = codesigned({ ...EXTRAS, info, hashes: [1, 2] })
  const after = sign(before, 'other')
  expect(check(after).map(c => [isIntact(c), c.unchecked])).toEqual([[true, [1]]])
  const { blobs, directories } = signature(after)
  const old = signature(before)
  expect(blobs.map(b => b.slot)).toEqual([0, 2, 5, 7])
  for (const slot of [2, 5, 7])
    expect(blobs.find(b => b.slot === slot)!.bytes).toEqual(old.blobs.find(b => b.slot === slot)!.bytes)
  const [made] = directories
  expect(made).toMatchObject({
    version: 0x20500,
    flags: 0x10002,
    hashType: 2,
    runtime: 0xe0000,
    identifier: 'org.example.tool',
    team: null,
    execSegBase: 0,
    execSegLimit: 0x4000,
    execSegFlags: 1,
  })
  // Recomputed here.
  const { offset } = factsOf(after).slices[0]!.signature!
  const pages = Array.from({ length: Math.ceil(offset / 4096) }, (_, i) =>
    hash(2, after.subarray(i * 4096, Math.min(offset, i * 4096 + 4096))),
  )
  expect(made!.pages).toEqual(pages)
  expect(made!.special).toEqual([
    info,
    hash(2, blobs[1]!.bytes),
    Buffer.alloc(32),
    Buffer.alloc(32),
    hash(2, blobs[2]!.bytes),
    Buffer.alloc(32),
    hash(2, blobs[3]!.bytes),
  ])
  expect(sign(after).equals(after)).toBe(true)
})

// ---- A place for it --------------------------------------------------------------------------------------------

test('in a universal file every slice is what it is alone, at its alignment', () => {
  for (const flags of [[], ['-fat64']]) {
    const fat = lab.lipo('again', ['unsigned-x86_64.dylib', 'unsigned-arm64.dylib'], ...flags)
    const alone = ['unsigned-x86_64.dylib', 'unsigned-arm64.dylib'].map(f => lab.fixture(f).bytes)
    for (const which of [isSigned, everySlice]) {
      const bytes = sign(fat.bytes, 'id', which)
      const facts = factsOf(bytes)
      expect(facts.container).toBe(flags.length === 0 ? 'fat' : 'fat64')
      expect(facts.slices.map(s => s.offset % 2 ** s.entry!.align)).toEqual([0, 0])
      expect(facts.slices.map(s => s.entry!.align)).toEqual([12, 14])
      expect(facts.slices.map(s => s.signature !== null)).toEqual([which === everySlice, true])
      for (const [i, slice] of facts.slices.entries())
        expect(
          bytes.subarray(slice.offset, slice.offset + slice.size).equals(sign(alone[i]!, 'id', which)),
          slice.arch,
        ).toBe(true)
      expect(check(bytes).every(isIntact)).toBe(true)
      lab.write('signed-fat', bytes)
      expect(lab.run('llvm-lipo-19', '-archs', 'signed-fat').trim()).toBe('x86_64 arm64')
      expect(
        lab
          .run('llvm-objdump-19', '--macho', '--arch=all', '--private-headers', 'signed-fat')
          .match(/LC_CODE_SIGNATURE/g),
      ).toHaveLength(which === everySlice ? 2 : 1)
    }
  }
})

test('a signature that becomes longer takes __LINKEDIT along', () => {
  // Of SHA-1 only.
  const before = codesigned({ ...EXTRAS, hashes: [1] })
  const after = sign(before)
  expect(check(after).map(c => [c.directory.hashType, isIntact(c)])).toEqual([[2, true]])
  const [slice] = factsOf(after).slices
  const linkedit = slice!.segments.find(s => s.name === '__LINKEDIT')!
  expect(after.length).toBeGreaterThan(before.length)
  expect(after.length % 16).toBe(0)
  expect(linkedit).toMatchObject({ filesize: after.length - linkedit.fileoff, vmsize: 0x4000 })
  expect(slice!.signature!.offset + slice!.signature!.size).toBe(after.length)
  expect(() => sign(Buffer.concat([before, Buffer.from('payload')]))).toThrow(
    'x: cannot be signed (arm64): other bytes lie behind the place of its signature',
  )
})

test('a signature that becomes shorter leaves zeros', () => {
  const before = codesigned({ ...EXTRAS, hashes: [1, 2, 4] }, 8192)
  const after = sign(before)
  expect(after.length).toBe(before.length)
  expect(check(after).every(isIntact)).toBe(true)
  expect(after.subarray(-4096).every(byte => byte === 0)).toBe(true)
})

/** A thin file whose __LINKEDIT has zeros at its end, up to this size of the file, and whole pages of memory. */
function extended(bytes: Buffer, size: number, page: number): Buffer {
  const result = Buffer.concat([bytes, Buffer.alloc(size - bytes.length)])
  const linkedit = factsOf(bytes).slices[0]!.segments.find(s => s.name === '__LINKEDIT')!
  const filesize = size - linkedit.fileoff
  result.writeBigUInt64LE(BigInt(Math.ceil(filesize / page) * page), linkedit.command + 32)
  result.writeBigUInt64LE(BigInt(filesize), linkedit.command + 48)
  return result
}

test('__LINKEDIT takes whole pages of memory where it did', () => {
  for (const [arch, page] of [
    ['x86_64', 0x1000],
    ['arm64', 0x4000],
  ] as const) {
    const { bytes } = lab.fixture(`unsigned-${arch}.dylib`)
    const { fileoff } = factsOf(bytes).slices[0]!.segments.at(-1)!
    const after = sign(extended(bytes, fileoff + page - 16, page), 'x', everySlice)
    expect(factsOf(after).slices[0]!.segments.at(-1)).toMatchObject({ name: '__LINKEDIT', vmsize: 2 * page })
    expect(check(after).every(isIntact)).toBe(true)
  }
})

test('a slice behind one that has become longer moves to where its alignment allows', () => {
  const intel = lab.fixture('unsigned-x86_64.dylib').bytes
  // In the universal file the first slice is at 4096 and ends right before the second one.
  const size = Math.ceil((4096 + intel.length) / 0x4000) * 0x4000 - 4096
  lab.write('full-x86_64', extended(intel, size, 0x1000))
  const { bytes } = lab.lipo('full', ['full-x86_64', 'unsigned-arm64.dylib'])
  const [before, after] = [factsOf(bytes), factsOf(sign(bytes, 'id', everySlice))]
  expect(before.slices[1]!.offset).toBe(4096 + size)
  expect(after.slices.map(s => s.offset)).toEqual([4096, 4096 + size + 0x4000])
  const fat = sign(bytes, 'id', everySlice)
  expect(check(fat).every(isIntact)).toBe(true)
  // LLVM lays it out alike.
  for (const [i, slice] of after.slices.entries())
    lab.write(`moved-${i}`, fat.subarray(slice.offset, slice.offset + slice.size))
  expect(lab.lipo('moved', ['moved-0', 'moved-1']).bytes.equals(fat)).toBe(true)
})

const refused = (bytes: Buffer): string => {
  try {
    sign(bytes, 'x', everySlice)
  } catch (error) {
    if (error instanceof BundleError && error.code === 'edit-refused') return error.message
    throw error
  }
  return 'signed'
}

describe('what has no place for a signature is refused', () => {
  test('no room for a load command', () => {
    // lld leaves what the alignment of the code leaves: names of all lengths meet a header without room.
    const rooms = new Map<number, string>()
    for (let length = 1; length <= 48; length += 4) {
      const id = ['-install_name', 'i'.repeat(length)]
      const { bytes } = lab.link('x86_64', 'tight', '-dylib', ...id, '-headerpad', '0', 'a-x86_64.o')
      rooms.set(factsOf(bytes).slices[0]!.room, refused(bytes))
    }
    const small = [...rooms].filter(([room]) => room < 16)
    for (const [room, said] of rooms)
      expect(said).toBe(
        room < 16 ? `x: cannot be signed (x86_64): ${room} bytes are left for a load command of 16` : 'signed',
      )
    expect(small.length).toBeGreaterThan(0)
  })

  test('the room is in use', () => {
    const { bytes } = lab.fixture('unsigned-x86_64.dylib')
    bytes[32 + factsOf(bytes).slices[0]!.sizeofcmds + 3] = 1
    expect(refused(bytes)).toBe('x: cannot be signed (x86_64): the room for a load command is in use')
  })

  test('a payload behind the file, or behind the last slice', () => {
    const behind = Buffer.concat([lab.fixture('unsigned-arm64.dylib').bytes, Buffer.from('payload')])
    expect(refused(behind)).toBe('x: cannot be signed (arm64): other bytes lie behind the place of its signature')
    const fat = Buffer.concat([lab.fixture('fat-unsigned').bytes, Buffer.from('payload')])
    expect(refused(fat)).toBe('x: cannot be signed: other bytes lie behind the last slice')
  })

  test('a signature in the middle of the code', () => {
    const { bytes } = lab.fixture('x86_64-fixup_chains/liba.1.dylib')
    const slice = factsOf(bytes).slices[0]!
    const { offset, size } = slice.signature!
    bytes.copy(bytes, 4096, offset, offset + size)
    bytes.writeUInt32LE(4096, slice.commands.at(-1)!.offset + 8)
    bytes.writeUInt32BE(4096, 4096 + 56)
    bytes.writeUInt32BE(1, 4096 + 52)
    expect(refused(bytes)).toBe('x: cannot be signed (x86_64): its signature lies outside of __LINKEDIT')
  })

  test('more than 4 GiB', () => {
    const far = 2 ** 32
    const bytes = buildMachO().with({
      'signature.cmd': 0x26,
      '__LINKEDIT.fileoff': far,
      '__LINKEDIT.filesize': 16,
      '__LINKEDIT.vmsize': 4096,
    })
    const read = (offset: number, length: number): Buffer => {
      const part = Buffer.alloc(Math.max(0, Math.min(length, far + 16 - offset)))
      bytes.copy(part, 0, Math.min(offset, bytes.length))
      return part
    }
    const source = { size: far + 16, read }
    expect(() => signMachO(source, parseMachO(source, 'x'), 'x', 'x', everySlice)).toThrow(
      'x: cannot be signed (x86_64): it is larger than 4 GiB',
    )
  })

  test('no __LINKEDIT', () => {
    expect(refused(lab.fixture('tiny-arm64.o').bytes)).toBe('x: cannot be signed (arm64): it has no __LINKEDIT segment')
  })
})

test('a payload behind a signature that stays as long as it is stays too', () => {
  const { bytes } = lab.fixture('arm64-fixup_chains/program')
  const behind = Buffer.concat([bytes, Buffer.from('payload')])
  behind[2000]! ^= 1
  const after = sign(behind)
  expect(after.subarray(bytes.length).toString()).toBe('payload')
  expect(check(after).every(isIntact)).toBe(true)
})

describe('a signature that is made anew anyhow', () => {
  test.each([
    ['empty, at no place', (at: Buffer) => at.fill(0)],
    ['empty, in its place', (at: Buffer) => at.fill(0, 4)],
  ])('is %s', (_, change) => {
    const { bytes } = lab.fixture('arm64-fixup_chains/program')
    const command = factsOf(bytes).slices[0]!.commands.find(c => c.cmd === 0x1d)!
    change(bytes.subarray(command.offset + 8, command.offset + 16))
    const after = sign(bytes, 'program')
    expect(check(after).map(isIntact)).toEqual([true])
    expect(signature(after).directories[0]!.identifier).toBe('program')
  })

  test('holds zeros', () => {
    const { bytes } = lab.fixture('arm64-fixup_chains/program')
    const { offset, size } = factsOf(bytes).slices[0]!.signature!
    const after = sign(Buffer.from(bytes).fill(0, offset, offset + size), 'program')
    expect(check(after).map(isIntact)).toEqual([true])
    expect(after.length).toBe(bytes.length)
  })

  test.each([
    ['begins', 1 << 20, 4096],
    ['ends', null, 1 << 20],
  ])('%s beyond the file', (_, offset, size) => {
    const { bytes } = lab.fixture('arm64-fixup_chains/program')
    const changed = Buffer.from(bytes)
    const command = factsOf(bytes).slices[0]!.commands.find(c => c.cmd === 0x1d)!
    if (offset !== null) changed.writeUInt32LE(offset, command.offset + 8)
    changed.writeUInt32LE(size, command.offset + 12)
    expect(() => check(changed)).toThrow('code signature')
    const after = sign(changed, 'program')
    expect(check(after).map(isIntact)).toEqual([true])
    expect(signature(after).directories[0]!.identifier).toBe('program')
  })

  test('covers itself: its identifier is kept', () => {
    const { bytes } = lab.fixture('arm64-fixup_chains/program')
    const { offset } = factsOf(bytes).slices[0]!.signature!
    const identifier = signature(bytes).directories[0]!.identifier
    const reaching = Buffer.from(bytes)
    reaching.writeUInt32BE(reaching.readUInt32BE(offset + 56) + 8, offset + 56)
    expect(check(reaching).map(isIntact)).toEqual([false])
    const after = sign(reaching, 'other')
    expect(check(after).map(isIntact)).toEqual([true])
    expect(signature(after).directories[0]!.identifier).toBe(identifier)
  })
})

// ---- Hostile ---------------------------------------------------------------------------------------------------

/** Offsets in the SuperBlob of lld: its code directory is at 24. */
const CORRUPTIONS: [what: string, at: number, size: 1 | 4, value: number, expected: string][] = [
  ['magic', 0, 4, 0xfade0cc1, 'code signature: magic fade0cc1'],
  ['length', 4, 4, 0xffffffff, 'code signature: 4294967295 bytes, but there are 256'],
  ['length', 4, 4, 16, 'code signature: 1 blobs in 16 bytes'],
  ['count', 8, 4, 0xffffffff, 'code signature: 4294967295 blobs in 256 bytes'],
  ['count', 8, 4, 0, 'code signature: no code directory comes first'],
  ['slot', 12, 4, 1, 'code signature: no code directory comes first'],
  ['slot', 12, 4, 0x1000, 'code signature: no code directory comes first'],
  ['blob offset', 16, 4, 0xffffffff, 'code signature: 4 bytes at 4294967299 of 256'],
  ['blob offset', 16, 4, 0, 'code directory: magic fade0cc0'],
  ['blob magic', 24, 4, 0xfade0c01, 'code directory: magic fade0c01'],
  ['blob length', 28, 4, 7, 'code signature: a blob of 7 bytes at 24 of 256'],
  ['blob length', 28, 4, 233, 'code signature: a blob of 233 bytes at 24 of 256'],
  ['blob length', 28, 4, 8, 'code directory: 4 bytes at 8 of 8'],
  ['hashOffset', 40, 4, 0, 'code directory: 0 + 4 hashes around 0 of 232'],
  ['hashOffset', 40, 4, 0xffffffff, 'code directory: 0 + 4 hashes around 4294967295 of 232'],
  ['identOffset', 44, 4, 232, 'code directory: 1 bytes at 232 of 232'],
  ['nSpecialSlots', 48, 4, 0xffffffff, 'code directory: 4294967295 + 4 hashes around 104 of 232'],
  ['nCodeSlots', 52, 4, 0xffffffff, 'code directory: 4294967295 hashes of 4 pages'],
  ['nCodeSlots', 52, 4, 3, 'code directory: 3 hashes of 4 pages'],
  ['codeLimit', 56, 4, 0xffffffff, 'code directory: 4 hashes of 1048576 pages'],
  ['codeLimit', 56, 4, 0, 'code directory: 4 hashes of 0 pages'],
  ['hashSize', 60, 1, 0, 'code directory: hashes of type 2 and 0 bytes'],
  ['hashType', 61, 1, 9, 'code directory: hashes of type 9 and 32 bytes'],
  ['pageSize', 63, 1, 1, 'code directory: pages of 2^1 bytes'],
  ['pageSize', 63, 1, 255, 'code directory: pages of 2^255 bytes'],
  ['pageSize', 63, 1, 0, 'code directory: 4 hashes of 1 pages'],
  ['scatterOffset', 68, 4, 1, 'code directory: scattered pages'],
  ['teamOffset', 72, 4, 0xffffffff, 'code directory: 1 bytes at 4294967295 of 232'],
]

test.each(CORRUPTIONS)(
  'one field of a signature is wrong: %s at %i of %i bytes = %i',
  (_, at, size, value, expected) => {
    const { bytes } = lab.fixture('x86_64-fixup_chains/liba.1.dylib')
    const { offset } = factsOf(bytes).slices[0]!.signature!
    bytes.writeUIntBE(value, offset + at, size)
    let said = 'read'
    try {
      check(bytes)
    } catch (error) {
      if (!(error instanceof BundleError && error.code === 'malformed')) throw error
      said = error.message
    }
    expect(said).toBe(`x: ${expected}`)
  },
)
