/**
 * Checksums of the parts of a file that overwrites lie in: headers of tar (a link's target, a member's name) and chunks
 * of PNG (a comment of the program that made it). Whoever reads such a part and finds another sum drops it, or all of the file.
 */
import type { ByteSource } from '../io/bytes.ts'
import { crc32 } from './inflate.ts'

/** Bytes to be written at an offset, as many as were there. */
export interface Write {
  readonly offset: number
  readonly to: Uint8Array
}

/** The writes that make the sums agree with what other ones leave; none for files of other kinds. Sorted. */
export function checksumsOf(source: ByteSource, writes: readonly Write[]): Write[] {
  if (writes.length === 0) return []
  const parts = isPng(source) ? pngChunks(source) : tarHeaders(source)
  const sums: Write[] = []
  for (const { offset, size, sum } of parts) {
    const own = writes.filter(w => w.offset < offset + size && w.offset + w.to.length > offset)
    if (own.length === 0) continue
    const bytes = Buffer.from(source.read(offset, size))
    for (const { offset: at, to } of own)
      for (let i = Math.max(at, offset); i < Math.min(at + to.length, offset + size); i++)
        bytes[i - offset] = to[i - at]!
    sums.push(sum(bytes))
  }
  return sums
}

interface Part {
  readonly offset: number
  readonly size: number
  /** What is to be written for its bytes. */
  readonly sum: (bytes: Buffer) => Write
}

const BLOCK = 512
/** Where a header of tar has its own sum, and what is summed there instead (POSIX pax, "ustar Interchange Format"). */
const SUM = { offset: 148, length: 8 }
const SIZE = { offset: 124, length: 12 }

const tarSum = (header: Buffer): number =>
  header.reduce((sum, byte, i) => sum + (i >= SUM.offset && i < SUM.offset + SUM.length ? 0x20 : byte), 0)

const octal = (header: Buffer, { offset, length }: typeof SUM): number =>
  Number.parseInt(
    header
      .toString('latin1', offset, offset + length)
      .replaceAll('\0', ' ')
      .trim(),
    8,
  )

/** The size of a member in bytes; larger ones than 8 GiB are binary (GNU tar). */
function sizeOf(header: Buffer): number {
  if ((header[SIZE.offset]! & 0x80) === 0) return octal(header, SIZE)
  return Number(header.readBigUInt64BE(SIZE.offset + SIZE.length - 8))
}

function* tarHeaders(source: ByteSource): Generator<Part> {
  for (let offset = 0; offset + BLOCK <= source.size; ) {
    const header = source.read(offset, BLOCK)
    if (octal(header, SUM) !== tarSum(header)) return
    const at = offset
    yield {
      offset,
      size: BLOCK,
      sum: bytes => ({ offset: at + SUM.offset, to: Buffer.from(`${tarSum(bytes).toString(8).padStart(6, '0')}\0 `) }),
    }
    const size = sizeOf(header)
    if (!Number.isSafeInteger(size) || size < 0) return
    offset += BLOCK + Math.ceil(size / BLOCK) * BLOCK
  }
}

const isPng = (source: ByteSource): boolean => source.read(0, 8).toString('latin1') === '\x89PNG\r\n\x1a\n'

/** The type and contents of each chunk; its sum stands behind (PNG, 5.3 "Chunk layout"). */
function* pngChunks(source: ByteSource): Generator<Part> {
  for (let at = 8; at + 12 <= source.size; ) {
    const size = 4 + source.read(at, 4).readUInt32BE(0)
    const offset = at + 4
    if (offset + size + 4 > source.size) return
    yield {
      offset,
      size,
      sum(bytes) {
        const to = Buffer.alloc(4)
        to.writeUInt32BE(crc32(bytes))
        return { offset: offset + size, to }
      },
    }
    at = offset + size + 4
  }
}
