/**
 * Ad-hoc signing: page hashes and no certificate, which is what arm64 demands and what linkers write.
 *
 * A file that has a signature keeps its identifier, flags, requirements and entitlements, and the bytes stay where they
 * are; one without gets a load command, if there is room, and a longer __LINKEDIT. Two layouts are in use, and what was
 * signed in one is signed in it again, byte for byte:
 *
 * - lld's: the SuperBlob's index is padded to 8 bytes, the hashes begin at a multiple of 16 and all of it ends at one;
 * - ld64's, Apple's codesign and Go's: nothing is padded.
 *
 * Both were taken from files that those tools have made; the fields are those of xnu's osfmk/kern/cs_blobs.h. Pages are
 * read 1 MiB at a time; the hashes, one hundredth of the file, are held.
 */
import { BundleError } from '../errors.ts'
import { type ByteSource, bufferSource } from '../io/bytes.ts'
import { CPU, FAT_MAGIC, LC, MH, pageSize, roundUp } from './constants.ts'
import type { MachOFacts, MachOSegment, MachOSlice } from './facts.ts'
import { headerSize } from './image.ts'
import { laidOut, patched, type Write, windowOf } from './patch.ts'
import {
  type Blob,
  type CodeDirectory,
  CS,
  hashOf,
  MAGIC,
  pageHashes,
  readSignature,
  type Signature,
  SLOT,
} from './signature.ts'

const SHA256 = 2
const HASH_SIZE = 32

export interface Signed {
  /** The signed file, computed as it is read. */
  readonly source: ByteSource
  /** The same as overwrites of the original (and bytes behind its end); null where slices had to move. */
  readonly writes: readonly Write[] | null
}

/** Whether a slice wants a signature: it had one, or it is for a CPU whose kernel demands one. */
export const isSigned = (slice: MachOSlice): boolean =>
  slice.signature !== null ||
  (slice.cputype === CPU.arm64 && ([MH.execute, MH.dylib, MH.bundle, MH.dylinker] as number[]).includes(slice.filetype))

/**
 * Signs slices ad hoc.
 * @param source with all other edits made
 * @param facts of `source`
 * @param name the identifier of what has none: the file's base name. A byte string.
 * @param which slices
 * @throws BundleError('edit-refused') when a signature does not fit
 */
export function signMachO(
  source: ByteSource,
  facts: MachOFacts,
  name: string,
  path: string,
  which: (slice: MachOSlice) => boolean = isSigned,
): Signed {
  const slices = facts.slices.map(slice =>
    which(slice) ? signSlice(source, slice, name, path) : { writes: [], size: slice.size },
  )
  const moved = facts.container !== 'thin' && slices.some((s, i) => s.size !== facts.slices[i]!.size)
  if (moved) return { source: relaid(source, facts, slices, path), writes: null }
  const writes = slices.flatMap((signed, i) =>
    signed.writes.map(({ offset, bytes }) => ({ offset: facts.slices[i]!.offset + offset, bytes })),
  )
  const size = facts.container === 'thin' ? slices[0]!.size : source.size
  return { source: patched(source, writes, size), writes }
}

/** Writes relative to the slice, and its new size. */
interface SignedSlice {
  readonly writes: readonly Write[]
  readonly size: number
}

function signSlice(source: ByteSource, slice: MachOSlice, name: string, path: string): SignedSlice {
  const refuse = (reason: string): never => {
    throw new BundleError('edit-refused', `cannot be signed (${slice.arch}): ${reason}`, { path })
  }
  const linkedit = slice.segments.find(s => s.name === '__LINKEDIT') ?? refuse('it has no __LINKEDIT segment')
  if (!Number.isFinite(linkedit.vmsize)) refuse('__LINKEDIT takes more memory than there is')
  const end = linkedit.fileoff + linkedit.filesize
  const { old, place } = oldSignature(source, slice, end, path)
  const codeLimit = place ? place.offset - slice.offset : roundUp(end, 16)
  const form = formOf(slice, old?.directories ?? [], old?.blobs ?? [], name, codeLimit)
  const has = place?.size ?? 0
  if (place && (codeLimit < linkedit.fileoff || codeLimit + has > end))
    refuse('its signature lies outside of __LINKEDIT')
  // Zeros may follow a signature, and do where it became shorter.
  const size = form.size > has ? roundUp(form.size, 16) : has
  if (size > has && ((place && codeLimit + has !== end) || end !== slice.size))
    refuse('other bytes lie behind the place of its signature')
  if (codeLimit + size > 0xffffffff) refuse('it is larger than 4 GiB')
  const writes: Write[] = []
  if (size > has || place !== slice.signature)
    writes.push(...commandWrites(source, slice, linkedit, codeLimit, size, refuse))
  const code = patched(windowOf(source, slice.offset, slice.size), writes, Math.max(codeLimit, slice.size))
  const bytes = Buffer.alloc(size)
  form.write(bytes, Buffer.concat([...pageHashes(code, form)]))
  return { writes: [...writes, { offset: codeLimit, bytes }], size: Math.max(slice.size, codeLimit + size) }
}

/**
 * The signature that a slice has, and its place, which the new one takes. One that cannot be read is as none: whoever
 * has emptied it left the load command, which then may name no place.
 */
function oldSignature(
  source: ByteSource,
  slice: MachOSlice,
  end: number,
  path: string,
): { old: Signature | null; place: MachOSlice['signature'] } {
  const place = slice.signature
  try {
    return { old: readSignature(source, slice, path), place }
  } catch (error) {
    if (!(error instanceof BundleError) || error.code !== 'malformed') throw error
    const isAtEnd = place !== null && place.size > 0 && place.offset - slice.offset + place.size === end
    return { old: null, place: isAtEnd ? place : null }
  }
}

// ---- The blob --------------------------------------------------------------------------------------------------

/** A signature to be: all but the hashes of the pages. */
interface Form extends Pick<CodeDirectory, 'hashType' | 'codeLimit' | 'pageSize'> {
  readonly size: number
  write(into: Buffer, pages: Buffer): void
}

function formOf(
  slice: MachOSlice,
  directories: readonly CodeDirectory[],
  blobs: readonly Blob[],
  name: string,
  codeLimit: number,
): Form {
  // Of several with the same contents and other hashes, the one whose hashes of outer files can be kept.
  const old = directories.find(d => d.hashType === SHA256) ?? directories[0]
  const kept = blobs.filter(({ slot, magic }) => KEPT.get(slot) === magic).sort((a, b) => a.slot - b.slot)
  const padded = kept.length === 0 && !(old && isPacked(old, blobs.length))
  const special = specialHashes(old, kept)
  const identifier = Buffer.from(`${old?.identifier ?? name}\0`, 'latin1')
  const runtime = old?.runtime ?? 0
  const fixed = runtime === 0 ? 88 : 96
  const pageBits = old && old.pageSize > 0 ? Math.log2(old.pageSize) : 12
  const pages = Math.ceil(codeLimit / 2 ** pageBits)

  const index = 12 + 8 * (1 + kept.length)
  const start = padded ? roundUp(index, 8) : index
  const hashes = start + fixed + identifier.length + special.length * HASH_SIZE
  const hashStart = padded ? roundUp(hashes, 16) : hashes
  const directoryEnd = hashStart + pages * HASH_SIZE
  const length = kept.reduce((sum, blob) => sum + blob.bytes.length, padded ? roundUp(directoryEnd, 16) : directoryEnd)
  const text = slice.segments.find(s => s.name === '__TEXT')

  const write = (into: Buffer, pageHashes: Buffer): void => {
    const words = (at: number, ...values: readonly number[]): void => {
      for (const [i, value] of values.entries()) into.writeUInt32BE(value, at + 4 * i)
    }
    const long = (at: number, value: number) => into.writeBigUInt64BE(BigInt(value), at)
    words(0, MAGIC.superBlob, length, 1 + kept.length, SLOT.codeDirectory, start)
    const flags = ((old?.flags ?? CS.linkerSigned) | CS.adhoc) >>> 0
    words(start, MAGIC.codeDirectory, (padded ? length : directoryEnd) - start, fixed === 88 ? 0x20400 : 0x20500, flags)
    words(start + 16, hashStart - start, fixed, special.length, pages, codeLimit)
    into.set([HASH_SIZE, SHA256, 0, pageBits], start + 36)
    long(start + 64, text?.fileoff ?? 0)
    long(start + 72, text?.filesize ?? 0)
    long(start + 80, old && old.version >= 0x20400 ? old.execSegFlags : slice.filetype === MH.execute ? 1 : 0)
    if (fixed === 96) words(start + 88, runtime)
    identifier.copy(into, start + fixed)
    for (const [i, hash] of special.entries()) hash.copy(into, hashStart - (i + 1) * HASH_SIZE)
    pageHashes.copy(into, hashStart)
    let at = directoryEnd
    for (const [i, { slot, bytes }] of kept.entries()) {
      words(20 + 8 * i, slot, at)
      at += bytes.copy(into, at)
    }
  }
  return { hashType: SHA256, codeLimit, pageSize: 2 ** pageBits, size: length, write }
}

/** What a new signature takes over, by slot, and the magic number that it has to have. */
const KEPT: ReadonlyMap<number, number> = new Map([
  [SLOT.requirements, MAGIC.requirements],
  [SLOT.entitlements, MAGIC.entitlements],
  [SLOT.derEntitlements, MAGIC.derEntitlements],
])

/** Whether nothing is padded between index, identifier and hashes. */
const isPacked = (directory: CodeDirectory, blobs: number): boolean => directory.offset === 12 + 8 * blobs

/** The hashes of slots 1, 2, 3 ...: of what is kept, and of outer files as they were. */
function specialHashes(old: CodeDirectory | undefined, kept: readonly Blob[]): Buffer[] {
  const outer = (slot: number): Buffer | undefined =>
    (slot === 1 || slot === 3) && old?.hashType === SHA256 ? old.special[slot - 1] : undefined
  const none = Buffer.alloc(HASH_SIZE)
  const hashes = Array.from({ length: SLOT.derEntitlements }, (_, i) => {
    const blob = kept.find(b => b.slot === i + 1)
    return blob ? hashOf(SHA256, blob.bytes) : (outer(i + 1) ?? none)
  })
  return hashes.slice(0, hashes.findLastIndex(hash => !hash.equals(none)) + 1)
}

// ---- The place -------------------------------------------------------------------------------------------------

/** LC_CODE_SIGNATURE, new or changed, and a __LINKEDIT that reaches to the end of the signature. */
function commandWrites(
  source: ByteSource,
  slice: MachOSlice,
  linkedit: MachOSegment,
  dataoff: number,
  datasize: number,
  refuse: (reason: string) => never,
): Write[] {
  const number = (value: number): Buffer => {
    const bytes = Buffer.alloc(4)
    if (slice.little) bytes.writeUInt32LE(value)
    else bytes.writeUInt32BE(value)
    return bytes
  }
  const word = (offset: number, value: number): Write => ({ offset, bytes: number(value) })
  const wide = slice.class === 64
  const long = (offset: number, value: number): Write => {
    const [low, high] = [number(value % 2 ** 32), number(Math.floor(value / 2 ** 32))]
    const bytes = !wide ? low : Buffer.concat(slice.little ? [low, high] : [high, low])
    return { offset, bytes }
  }
  const filesize = dataoff + datasize - linkedit.fileoff
  // Apple's linkers write whole pages of memory, lld does not.
  const unit = linkedit.vmsize % pageSize(slice.cputype) === 0 ? pageSize(slice.cputype) : 1
  const vmsize = Math.max(linkedit.vmsize, roundUp(filesize, unit))
  const segment = linkedit.command - slice.offset
  const writes = [long(segment + (wide ? 32 : 28), vmsize), long(segment + (wide ? 48 : 36), filesize)]
  const command = slice.commands.find(c => c.cmd === LC.codeSignature)
  const field = command && command.offset - slice.offset
  if (field !== undefined) return [...writes, word(field + 8, dataoff), word(field + 12, datasize)]
  const at = headerSize(slice) + slice.sizeofcmds
  if (slice.room < 16) refuse(`${slice.room} bytes are left for a load command of 16`)
  if (source.read(slice.offset + at, 16).some(byte => byte !== 0)) refuse('the room for a load command is in use')
  const added = Buffer.concat([LC.codeSignature, 16, dataoff, datasize].map(number))
  return [...writes, word(16, slice.commands.length + 1), word(20, slice.sizeofcmds + 16), { offset: at, bytes: added }]
}

/** The universal file anew, each slice at its old offset or at the next that its alignment allows. */
function relaid(source: ByteSource, facts: MachOFacts, slices: readonly SignedSlice[], path: string): ByteSource {
  const wide = facts.container === 'fat64'
  const step = wide ? 32 : 20
  const parts: { offset: number; source: ByteSource }[] = []
  const table = Buffer.alloc(8 + step * slices.length)
  table.writeUInt32BE(wide ? FAT_MAGIC.fat64 : FAT_MAGIC.fat, 0)
  table.writeUInt32BE(slices.length, 4)
  if (source.size !== Math.max(...facts.slices.map(s => s.offset + s.size)))
    throw new BundleError('edit-refused', 'cannot be signed: other bytes lie behind the last slice', { path })
  let end = table.length
  for (const [i, slice] of [...facts.slices.entries()].sort(([, a], [, b]) => a.offset - b.offset)) {
    const { writes, size } = slices[i]!
    const { cputype, cpusubtype, align } = slice.entry!
    const offset = Math.max(slice.offset, roundUp(end, 2 ** align))
    end = offset + size
    if (!wide && end > 0xffffffff)
      throw new BundleError('edit-refused', 'cannot be signed: a slice would end beyond 4 GiB', { path })
    parts.push({ offset, source: patched(windowOf(source, slice.offset, slice.size), writes, size) })
    const at = 8 + i * step
    table.writeUInt32BE(cputype, at)
    table.writeUInt32BE(cpusubtype, at + 4)
    if (wide) {
      table.writeBigUInt64BE(BigInt(offset), at + 8)
      table.writeBigUInt64BE(BigInt(size), at + 16)
      table.writeUInt32BE(align, at + 24)
    } else for (const [k, value] of [offset, size, align].entries()) table.writeUInt32BE(value, at + 8 + 4 * k)
  }
  return laidOut([{ offset: 0, source: bufferSource(table) }, ...parts], end)
}
