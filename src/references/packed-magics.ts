/**
 * What packed files begin with, and by what such a head is known: no magic number alone is one, since whatever unpacks such
 * files has the number in it.
 */
import type { ByteSource } from '../io/bytes.ts'
import { crc32 } from './inflate.ts'

export type PackedHeadKind = 'gzip' | 'zip' | 'xz' | 'bzip2' | 'zstd' | 'lz4' | 'lzma' | '7z' | 'squashfs'

/** So many bytes tell. */
export const HEAD = 40

export interface Magic {
  readonly kind: PackedHeadKind
  /** Four bytes of it (of gzip three), of which no two neighbours are common, and where in it they stand. */
  readonly needle: Buffer
  readonly at: number
  /** Whether a head is one. It has HEAD bytes, or ends with the file. */
  readonly is: (head: Buffer) => boolean
}

const magic = (kind: PackedHeadKind, at: number, needle: string, is: (head: Buffer) => boolean): Magic => ({
  ...{ kind, at, is },
  needle: Buffer.from(needle, 'latin1'),
})

/** Flags of gzip that there are: five bits. */
export const GZIP_FLAGS = 0x20

/** All but lzma's, which has few bytes that are rare. */
export const MAGICS: readonly Magic[] = [
  // RFC 1952, 2.3: the flags that there are; how it was packed; on which system.
  magic(
    'gzip',
    0,
    '\x1f\x8b\x08',
    h => h[3]! < GZIP_FLAGS && [0, 2, 4].includes(h[8]!) && (h[9]! <= 13 || h[9] === 0xff),
  ),
  // The .xz file format, 2.1.1: the kind of checksum, and its own.
  magic('xz', 1, '7zXZ', isXz),
  magic('bzip2', 5, 'AY&S', h => /^BZh[1-9]1AY&SY/.test(h.toString('latin1', 0, 10))),
  magic('zstd', 0, '\x28\xb5\x2f\xfd', h => zstdBlocks(h) !== null),
  magic('lz4', 0, '\x04"M\x18', isLz4),
  // 7zFormat.txt, SignatureHeader: the checksum of where its directory lies.
  magic(
    '7z',
    2,
    '\xbc\xaf\x27\x1c',
    h =>
      h.length >= 32 && h.readUInt16BE(0) === 0x377a && h[6] === 0 && h.readUInt32LE(8) === crc32(h.subarray(12, 32)),
  ),
  magic('squashfs', 0, 'hsqs', isSquashfs),
  magic('zip', 0, 'PK\x03\x04', isZipMember),
]

function isXz(head: Buffer): boolean {
  return (
    head.length >= 12 &&
    head[0] === 0xfd &&
    head.readUInt16BE(5) === 0 &&
    head.readUInt32LE(8) === crc32(head.subarray(6, 8))
  )
}

/**
 * lzma-file-format.txt: a dictionary of 2^n or 2^n + 2^(n-1) bytes, no size, and the first byte of what is packed. With a
 * size it is too much like a table of numbers (objects of Go's linker).
 */
export const LZMA = Buffer.from('5d0000', 'hex')

export function isLzma(head: Buffer): boolean {
  if (head.length < 14 || head[13] !== 0 || head.readBigUInt64LE(5) !== 0xffffffffffffffffn) return false
  const dictionary = head.readUInt32LE(1)
  const high = 1 << (31 - Math.clz32(dictionary))
  return dictionary >= 1 << 16 && (dictionary === high || dictionary === high + high / 2)
}

/** lz4_Frame_format.md: version 01, reserved bits, sizes of blocks that there are, and a first block that fits. */
function isLz4(head: Buffer): boolean {
  if (head.length < 11 || (head[4]! & 0xc2) !== 0x40 || (head[5]! & 0x8f) !== 0) return false
  const most = [0, 0, 0, 0, 1 << 16, 1 << 18, 1 << 20, 1 << 22][head[5]! >> 4]!
  const block = 7 + ((head[4]! & 8) !== 0 ? 8 : 0) + ((head[4]! & 1) !== 0 ? 4 : 0)
  const size = block + 4 <= head.length ? head.readUInt32LE(block) & 0x7fffffff : 0
  return size > 0 && size <= most
}

/** Its version, and two ways of saying how large its blocks are. */
function isSquashfs(head: Buffer): boolean {
  if (head.length < 32 || head.readUInt32LE(28) !== 4) return false
  const [size, log, how] = [head.readUInt32LE(12), head.readUInt16LE(22), head.readUInt16LE(20)]
  return log >= 12 && log <= 20 && size === 1 << log && how >= 1 && how <= 6
}

/** Ways of packing of a zip (APPNOTE.TXT, 4.4.5) that hide what they pack. */
const METHODS: ReadonlySet<number> = new Set([8, 9, 12, 14, 93, 95, 98])

/** A member that is packed: one that is not shows what is in it. */
function isZipMember(head: Buffer): boolean {
  if (head.length < 31 || head.readUInt16LE(4) > 63 || !METHODS.has(head.readUInt16LE(8))) return false
  const name = head.readUInt16LE(26)
  return name > 0 && name <= 1024 && head[30]! > 0x20
}

/** RFC 8878, 3.1.1.1: where the first block begins; null where it is none. A block of nothing is not written first. */
function zstdBlocks(head: Buffer): number | null {
  if (head.length < 10 || (head[4]! & 0x08) !== 0) return null
  const single = (head[4]! & 0x20) !== 0
  const dictionary = [0, 1, 2, 4][head[4]! & 3]!
  const size = [single ? 1 : 0, 2, 4, 8][head[4]! >> 6]!
  const at = 5 + (single ? 0 : 1) + dictionary + size
  return at + 3 <= head.length && zstdBlock(head, at) !== null ? at : null
}

/** Of a block, how many bytes it has, and whether it is the last; null for what is none. */
function zstdBlock(bytes: Buffer, at: number): { length: number; last: boolean } | null {
  const header = bytes.readUIntLE(at, 3)
  const [last, type, size] = [(header & 1) === 1, (header >> 1) & 3, header >> 3]
  if (type === 3 || size > 128 << 10 || (size === 0 && !last)) return null
  return { length: 3 + (type === 1 ? 1 : size), last }
}

/** Whether the blocks of a zstd frame go on to its last one. */
export function isZstd(source: ByteSource, offset: number): boolean {
  const first = zstdBlocks(source.read(offset, HEAD))
  if (first === null) return false
  for (let at = offset + first; ; ) {
    const header = source.read(at, 3)
    const block = header.length < 3 ? null : zstdBlock(header, 0)
    if (block === null || at + block.length > source.size) return false
    if (block.last) return true
    at += block.length
  }
}

/** Whether a magic number stands at `at`. */
export function holds(bytes: Buffer, at: number, needle: Buffer): boolean {
  for (let i = 0; i < needle.length; i++) if (bytes[at + i] !== needle[i]) return false
  return true
}
