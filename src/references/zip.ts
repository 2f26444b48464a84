/**
 * Reading zip (PKWARE's APPNOTE.TXT): jar, whl, egg, zipapp. Nothing is unpacked.
 *
 * **It is read from its end.** The last record says where the central directory lies, which lists the members and
 * where each one's local header lies. What stands before the first member is anything: a shell script, a `#!` line, an
 * ELF program. Who put it there either mended all offsets or none; the directory ends where the last record begins, so
 * the difference (`delta`) is known.
 *
 * **Everything is said twice**, in the directory and in the local header, and once more behind the data where a
 * program wrote a stream (the data descriptor). Programs believe one or the other. A member of which the two disagree,
 * or which shares bytes with another (a known bomb), is named as damaged and is not read.
 */
import type { ByteSource } from '../io/bytes.ts'
import { type Budget, crc32, problem, type Read } from './inflate.ts'
import { FULL, u64, type Wide, zip64 } from './zip64.ts'

export interface ZipMember {
  /** Byte string as the directory has it. */
  readonly name: string
  readonly flags: number
  /** 0 is stored, 8 is deflated. */
  readonly method: number
  readonly crc: number
  /** In bytes, compressed and not. */
  readonly packed: number
  readonly size: number
  /** Place of the directory's record, and of the zip64 fields in it. */
  readonly record: number
  readonly wide: Wide
  /** The local header is [local, data), the data [data, end), a descriptor [end, behind). */
  readonly local: number
  readonly data: number
  readonly end: number
  readonly behind: number
  readonly descriptor: { /** Place of its CRC. */ readonly crc: number; readonly wide: boolean } | null
  /** Why it cannot be read; '' when it can. */
  readonly damage: string
}

export interface Zip {
  readonly kind: 'zip'
  /** In the directory's order. */
  readonly members: readonly ZipMember[]
  readonly directory: number
  /** Place of the last record, and of zip64's, if it is there. */
  readonly last: number
  readonly last64: number | null
  /** Bytes before the first member that no offset counts. */
  readonly delta: number
  /** Signed as a jar or an apk. */
  readonly signed: boolean
  /** Between the members lies one that the directory does not list: who reads from the start sees it. */
  readonly unlisted: boolean
}

export const LAST = 22
const LOCATOR = 20
const LAST64 = 56
export const RECORD = 46
export const LOCAL = 30
const COMMENT_MAX = 0xffff
const MAGIC = { local: 0x04034b50, record: 0x02014b50, descriptor: 0x08074b50, last: 0x06054b50 } as const
const MAGIC64 = { last: 0x06064b50, locator: 0x07064b50 } as const
const LAST_BYTES = Buffer.from('PK\x05\x06', 'latin1')
/** Bits of the general purpose flags. */
const ENCRYPTED = 1 | 0x40 | 0x2000
export const STREAMED = 8
const PATCH = 0x20
/** Java's rules of what a signature is (JarFile); a digest in it is of a member as it stands. */
const SIGNATURE = /^META-INF\/[^/]+\.(?:SF|RSA|DSA|EC)$/i
const APK_SIGNATURE = 'APK Sig Block 42'

/** Whether a file ends as a zip does: whatever it begins with. */
export function endsAsZip(source: ByteSource): boolean {
  const start = Math.max(0, source.size - LAST - COMMENT_MAX)
  const tail = source.read(start, source.size - start)
  const last = findLast(tail)
  if (last < 0) return false
  const count = tail.readUInt16LE(last + 10)
  const directory = start + last - tail.readUInt32LE(last + 12)
  // In zip64 the directory's size stands elsewhere; and of a zip without members there is no more to see.
  if (count === 0 || tail.readUInt32LE(last + 12) === FULL) return true
  if (last >= LOCATOR && tail.readUInt32LE(last - LOCATOR) === MAGIC64.locator) return true
  // Where it should end, or where it is said to begin: Firefox's omni.ja has it in front, which is told as damage.
  return [directory, tail.readUInt32LE(last + 16)].some(at => {
    const head = at < 0 ? Buffer.alloc(0) : source.read(at, 4)
    return head.length === 4 && head.readUInt32LE(0) === MAGIC.record
  })
}

/** The place of the last record: the one whose comment ends with the file. */
function findLast(bytes: Buffer): number {
  const lowest = Math.max(0, bytes.length - LAST - COMMENT_MAX)
  const tail = bytes.subarray(lowest)
  for (let at = tail.length - LAST; at >= 0; at--) {
    at = tail.lastIndexOf(LAST_BYTES, at)
    if (at >= 0 && at + LAST + tail.readUInt16LE(at + 20) === tail.length) return lowest + at
  }
  return -1
}

/** The largest zip that is looked for in another file. In bytes. */
const WITHIN_MAX = 64 << 20

/** The zip that begins at an offset of a file, and ends before its end; null where none does. */
export function zipAt(source: ByteSource, offset: number): Buffer | null {
  const bytes = source.read(offset, Math.min(WITHIN_MAX, source.size - offset))
  for (
    let at = bytes.indexOf(LAST_BYTES);
    at >= 0 && at + LAST <= bytes.length;
    at = bytes.indexOf(LAST_BYTES, at + 4)
  ) {
    const zip = bytes.subarray(0, at + LAST + bytes.readUInt16LE(at + 20))
    if (readZip(zip)?.members.some(member => member.local === 0)) return zip
  }
  return null
}

/** A zip's members; null when the file does not end as a zip does, or its directory is damaged. */
export function readZip(bytes: Buffer): Zip | null {
  const last = findLast(bytes)
  if (last < 0) return null
  let count = bytes.readUInt16LE(last + 10)
  let size = bytes.readUInt32LE(last + 12)
  let offset = bytes.readUInt32LE(last + 16)
  let end = last
  let last64: number | null = null
  const locator = last - LOCATOR
  if (locator >= LAST64 && bytes.readUInt32LE(locator) === MAGIC64.locator) {
    // The record is before the locator; it may carry more than 56 bytes, which no program writes.
    last64 = locator - LAST64
    if (bytes.readUInt32LE(last64) !== MAGIC64.last || u64(bytes, last64 + 4) !== LAST64 - 12) return null
    count = u64(bytes, last64 + 32)
    size = u64(bytes, last64 + 40)
    offset = u64(bytes, last64 + 48)
    end = last64
  }
  const directory = end - size
  const delta = directory - offset
  if (!(directory >= 0 && delta >= 0)) return null

  const members: Listed[] = []
  let at = directory
  while (at < end) {
    const member = parseRecord(bytes, at, end, delta)
    if (member === null) return null
    members.push(member.listed)
    at = member.next
  }
  // Programs that know no zip64 counted modulo 2^16.
  if ((last64 === null ? members.length & 0xffff : members.length) !== count) return null
  const placed = place(bytes, members, directory)
  const signed =
    members.some(member => SIGNATURE.test(member.name)) ||
    (directory >= 16 && bytes.toString('latin1', directory - 16, directory) === APK_SIGNATURE)
  return {
    kind: 'zip',
    members: placed,
    directory,
    last,
    last64,
    delta,
    signed,
    unlisted: unlisted(bytes, placed, directory),
  }
}

type Listed = Omit<ZipMember, 'data' | 'end' | 'behind' | 'descriptor' | 'damage'>

/** One record of the central directory (4.3.12). */
function parseRecord(bytes: Buffer, at: number, end: number, delta: number): { listed: Listed; next: number } | null {
  if (at + RECORD > end || bytes.readUInt32LE(at) !== MAGIC.record) return null
  const nameEnd = at + RECORD + bytes.readUInt16LE(at + 28)
  const extraEnd = nameEnd + bytes.readUInt16LE(at + 30)
  const next = extraEnd + bytes.readUInt16LE(at + 32)
  if (next > end) return null
  let packed = bytes.readUInt32LE(at + 20)
  let size = bytes.readUInt32LE(at + 24)
  let local = bytes.readUInt32LE(at + 42)
  const wide = zip64(bytes, nameEnd, extraEnd, size === FULL, packed === FULL, local === FULL)
  if (wide === null) return null
  if (wide.size !== null) size = u64(bytes, wide.size)
  if (wide.packed !== null) packed = u64(bytes, wide.packed)
  if (wide.local !== null) local = u64(bytes, wide.local)
  return {
    listed: {
      name: bytes.toString('latin1', at + RECORD, nameEnd),
      flags: bytes.readUInt16LE(at + 8),
      method: bytes.readUInt16LE(at + 10),
      crc: bytes.readUInt32LE(at + 16),
      packed,
      size,
      record: at,
      wide,
      local: local + delta,
    },
    next,
  }
}

/** Finds each member's local header and data, in the directory's order. */
function place(bytes: Buffer, members: readonly Listed[], directory: number): ZipMember[] {
  const placed = new Map<Listed, ZipMember>()
  let behind = 0
  for (const member of [...members].sort((a, b) => a.local - b.local)) {
    const full = locate(bytes, member, behind, directory)
    placed.set(member, full)
    if (full.damage === '') behind = full.behind
  }
  return members.map(member => placed.get(member)!)
}

function unlisted(bytes: Buffer, members: readonly ZipMember[], directory: number): boolean {
  const places = [...members.map(({ local, behind }) => ({ local, behind })), { local: directory, behind: directory }]
  let end = 0
  for (const { local, behind } of places.sort((a, b) => a.local - b.local || a.behind - b.behind)) {
    if (local - end >= LOCAL && bytes.readUInt32LE(end) === MAGIC.local) return true
    end = Math.max(end, behind)
  }
  return false
}

/** @param from the end of the member before this one */
function locate(bytes: Buffer, listed: Listed, from: number, directory: number): ZipMember {
  const { local, packed } = listed
  const damaged = (damage: string): ZipMember => {
    return { data: local, end: local, behind: local, descriptor: null, damage, ...listed }
  }
  if (local < from) return damaged('it shares bytes with another')
  if (!(local + LOCAL <= directory) || bytes.readUInt32LE(local) !== MAGIC.local)
    return damaged('its header is not there')
  const nameEnd = local + LOCAL + bytes.readUInt16LE(local + 26)
  const data = nameEnd + bytes.readUInt16LE(local + 28)
  const end = data + packed
  if (!(end <= directory)) return damaged('it is cut short')
  const streamed = (listed.flags & STREAMED) !== 0
  const same =
    bytes.toString('latin1', local + LOCAL, nameEnd) === listed.name &&
    bytes.readUInt16LE(local + 8) === listed.method &&
    ((bytes.readUInt16LE(local + 6) ^ listed.flags) & (ENCRYPTED | STREAMED)) === 0 &&
    (streamed || sameSizes(bytes, listed, nameEnd, data))
  if (!same) return damaged('its two headers disagree')
  const descriptor = streamed ? findDescriptor(bytes, listed, end, directory) : null
  if (streamed && descriptor === null) return damaged('its data descriptor is not there')
  const behind = descriptor === null ? end : descriptor.crc + (descriptor.wide ? 20 : 12)
  // What stands behind a spread takes V8 a microsecond for each member.
  return { data, end, behind, descriptor, damage: '', ...listed }
}

function sameSizes(bytes: Buffer, { local, crc, packed, size }: Listed, nameEnd: number, data: number): boolean {
  const packed32 = bytes.readUInt32LE(local + 18)
  const size32 = bytes.readUInt32LE(local + 22)
  const wide = zip64(bytes, nameEnd, data, size32 === FULL, packed32 === FULL, false)
  return (
    wide !== null &&
    bytes.readUInt32LE(local + 14) === crc &&
    (wide.packed === null ? packed32 : u64(bytes, wide.packed)) === packed &&
    (wide.size === null ? size32 : u64(bytes, wide.size)) === size
  )
}

/** The data descriptor (4.3.9): with or without a magic number, sizes of 4 or 8 bytes. The one that says the truth. */
function findDescriptor(bytes: Buffer, { crc, packed, size }: Listed, end: number, directory: number) {
  for (const at of [end + 4, end]) {
    if (at + 12 > directory || bytes.readUInt32LE(at) !== crc) continue
    if (at > end && bytes.readUInt32LE(end) !== MAGIC.descriptor) continue
    if (at + 20 <= directory && u64(bytes, at + 4) === packed && u64(bytes, at + 12) === size)
      return { crc: at, wide: true }
    if (bytes.readUInt32LE(at + 4) === packed && bytes.readUInt32LE(at + 8) === size) return { crc: at, wide: false }
  }
  return null
}

/** Contents of one member. */
export function readMember(bytes: Buffer, member: ZipMember, budget: Budget): Read {
  if (member.damage !== '') return problem('damaged', member.damage)
  if ((member.flags & ENCRYPTED) !== 0) return problem('encrypted')
  if ((member.method !== 0 && member.method !== 8) || (member.flags & PATCH) !== 0)
    return problem('method', String(member.method))
  const packed = bytes.subarray(member.data, member.end)
  let contents = packed
  if (member.method === 8) {
    const inflated = budget.inflate(packed, 'raw', member.size)
    if ('code' in inflated) return inflated
    if (inflated.taken !== packed.length) return problem('damaged', 'its compressed size is another')
    contents = inflated.contents
  } else if (!budget.take(contents.length)) return problem('too-large')
  if (contents.length !== member.size || crc32(contents) !== member.crc)
    return problem('damaged', 'its checksum is another')
  return { contents }
}
