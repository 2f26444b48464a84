/**
 * A zip with other contents of some members. Everything else is copied byte for byte: names, order, times, comments,
 * extra fields, what stands before the first member and between two. Members move when one before them has another
 * size, so the offsets of the directory are mended, those of zip64 too.
 */
import { crc32, deflate } from './inflate.ts'
import { LOCAL, STREAMED, type Zip, type ZipMember } from './zip.ts'
import { extraField, FULL, zip64 } from './zip64.ts'

/** A member's new data as it stands in the file. */
export interface Packed {
  readonly data: Buffer
  readonly crc: number
  /** Of the contents, in bytes. */
  readonly size: number
}

/** General purpose bits 1 and 2: normal, maximum, fast, super fast (4.4.4). */
const LEVELS = [6, 9, 2, 1] as const
/** Android's zipalign: an alignment of 2 bytes, then padding up to the data. */
const ALIGNMENT_EXTRA = 0xd935

/** New contents as the member's method packs them. */
export function pack(member: ZipMember, contents: Buffer): Packed {
  const data = member.method === 0 ? contents : deflate(contents, LEVELS[(member.flags >> 1) & 3]!)
  return { data, crc: crc32(contents), size: contents.length }
}

/** The zip with the changed members in it; null where a size or an offset needs more bytes than there are. */
export function remakeZip(bytes: Buffer, zip: Zip, changed: ReadonlyMap<ZipMember, Packed>): Buffer | null {
  const pieces: Buffer[] = []
  const tail = Buffer.from(bytes.subarray(zip.directory))
  let copied = 0
  let shift = 0
  let fits = true
  const put = (to: Buffer, at: number, wide: number | null, value: number): void => {
    if (wide !== null) to.writeBigUInt64LE(BigInt(value), wide)
    else if (value < FULL) to.writeUInt32LE(value, at)
    else fits = false
  }

  for (const member of [...zip.members].sort((a, b) => a.local - b.local)) {
    const { local, data, end, behind, wide } = member
    const record = member.record - zip.directory
    const inRecord = (at: number | null): number | null => (at === null ? null : at - zip.directory)
    // A damaged member inside one that was made again has no place any more.
    if (local < copied) return null
    put(tail, record + 42, inRecord(wide.local), local + shift - zip.delta)
    const packed = changed.get(member)
    const header = packed || shift !== 0 ? aligned(bytes, member, shift) : null
    if (!packed && header === null) continue

    const head = Buffer.from(header ?? bytes.subarray(local, data))
    const descriptor = Buffer.from(bytes.subarray(end, behind))
    if (packed) {
      tail.writeUInt32LE(packed.crc, record + 16)
      put(tail, record + 20, inRecord(wide.packed), packed.data.length)
      put(tail, record + 24, inRecord(wide.size), packed.size)
      mendLocal(head, member, packed, put)
      if (member.descriptor !== null) {
        const at = member.descriptor.crc - end
        descriptor.writeUInt32LE(packed.crc, at)
        put(descriptor, at + 4, member.descriptor.wide ? at + 4 : null, packed.data.length)
        put(descriptor, at + 8, member.descriptor.wide ? at + 12 : null, packed.size)
      }
    }
    const made = [head, packed ? packed.data : bytes.subarray(data, end), descriptor]
    pieces.push(bytes.subarray(copied, local), ...made)
    shift += made.reduce((sum, piece) => sum + piece.length, 0) - (behind - local)
    copied = behind
  }
  pieces.push(bytes.subarray(copied, zip.directory))

  const offset = zip.directory - zip.delta + shift
  const last = zip.last - zip.directory + 16
  if (zip.last64 !== null) {
    const last64 = zip.last64 - zip.directory
    tail.writeBigUInt64LE(BigInt(offset), last64 + 48)
    // The locator behind it tells where it lies.
    tail.writeBigUInt64LE(tail.readBigUInt64LE(last64 + 56 + 8) + BigInt(shift), last64 + 56 + 8)
  }
  if (zip.last64 === null || tail.readUInt32LE(last) !== FULL) put(tail, last, null, offset)
  return fits ? Buffer.concat([...pieces, tail]) : null
}

type Put = (to: Buffer, at: number, wide: number | null, value: number) => void

function mendLocal(head: Buffer, member: ZipMember, packed: Packed, put: Put): void {
  const nameEnd = LOCAL + head.readUInt16LE(26)
  const size32 = head.readUInt32LE(22)
  const packed32 = head.readUInt32LE(18)
  // A streaming writer knew neither when it wrote the header, and left zeros; some went back and filled them in.
  const unknown = (member.flags & STREAMED) !== 0 && head.readUInt32LE(14) !== member.crc
  if (unknown || (head.readUInt32LE(14) === 0 && (member.flags & STREAMED) !== 0)) return
  const wide = zip64(head, nameEnd, head.length, size32 === FULL, packed32 === FULL, false)
  if (wide === null) return
  head.writeUInt32LE(packed.crc, 14)
  put(head, 18, wide.packed, packed.data.length)
  put(head, 22, wide.size, packed.size)
}

/**
 * The local header of a stored member that asks for an alignment of its data, with the padding for its new place; null
 * when it asks for none, or did not have it.
 */
function aligned(bytes: Buffer, member: ZipMember, shift: number): Buffer | null {
  if (member.method !== 0 || member.damage !== '' || shift === 0) return null
  const { local, data } = member
  const field = extraField(bytes, local + LOCAL + bytes.readUInt16LE(local + 26), data, ALIGNMENT_EXTRA)
  if (field === null || field.end - field.start < 2) return null
  const alignment = bytes.readUInt16LE(field.start)
  if (alignment === 0 || data % alignment !== 0) return null
  const without = data + shift - (field.end - field.start - 2)
  const padding = (alignment - (without % alignment)) % alignment
  const extra = bytes.readUInt16LE(local + 28) - (field.end - field.start - 2) + padding
  if (extra > 0xffff) return null
  const head = Buffer.concat([
    bytes.subarray(local, field.start + 2),
    Buffer.alloc(padding),
    bytes.subarray(field.end, data),
  ])
  head.writeUInt16LE(2 + padding, field.start - 2 - local)
  head.writeUInt16LE(extra, 28)
  return head
}
