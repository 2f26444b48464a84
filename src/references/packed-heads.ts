/**
 * Packed files inside of files of other kinds: assets in the data of programs (Go's `embed`, Qt's resources with zstd), in
 * images of kernels and firmware, in Chromium's packs of resources, behind headers of any format. Each kind here begins
 * with bytes that are enough to know it by, once what stands behind them is checked: no magic number alone is one, since
 * whatever unpacks such files has the number in it.
 *
 * zlib's streams, which begin with two bytes, are found in another way (zlib-streams.ts).
 */
import { type ByteSource, bufferSource } from '../io/bytes.ts'
import { crc32 } from './inflate.ts'

export type PackedHeadKind = 'gzip' | 'zip' | 'xz' | 'bzip2' | 'zstd' | 'lz4' | 'lzma' | '7z' | 'squashfs'

export interface PackedHead {
  readonly kind: PackedHeadKind
  /** Of its first byte, in the file. */
  readonly offset: number
}

/** A stretch of a file, its end excluded. */
export type Range = readonly [start: number, end: number]

/** So many bytes tell. */
const HEAD = 40
/** Bytes that are read at a time: they fit into a CPU's cache. */
const PIECE = 128 << 10
/** Of one file, so many are told: a file of nothing else costs no memory. */
const FOUND_MAX = 10_000

interface Magic {
  readonly kind: PackedHeadKind
  /** Rare bytes of it, which are searched for, and where in it they stand. */
  readonly needle: Buffer
  readonly at: number
  /** Whether a head is one. It has HEAD bytes, or ends with the file. */
  readonly is: (head: Buffer) => boolean
}

const magic = (kind: PackedHeadKind, at: number, needle: string, is: (head: Buffer) => boolean): Magic => ({
  ...{ kind, at, is },
  needle: Buffer.from(needle, 'latin1'),
})

const MAGICS: readonly Magic[] = [
  // RFC 1952, 2.3: the flags that there are; how it was packed; on which system.
  magic('gzip', 0, '\x1f\x8b\x08', h => h[3]! < 0x20 && [0, 2, 4].includes(h[8]!) && (h[9]! <= 13 || h[9] === 0xff)),
  // The .xz file format, 2.1.1: the kind of checksum, and its own.
  magic('xz', 3, 'XZ\0', isXz),
  magic('bzip2', 6, 'Y&SY', h => /^BZh[1-9]1AY/.test(h.toString('latin1', 0, 7))),
  magic('zstd', 1, '\xb5\x2f\xfd', h => h[0] === 0x28 && zstdBlocks(h) !== null),
  magic('lz4', 1, '"M\x18', h => h[0] === 4 && isLz4(h)),
  magic('lzma', 0, '\x5d\0\0', isLzma),
  // 7zFormat.txt, SignatureHeader: the checksum of where its directory lies.
  magic(
    '7z',
    2,
    '\xbc\xaf\x27\x1c\0',
    h => h.length >= 32 && h.readUInt16BE(0) === 0x377a && h.readUInt32LE(8) === crc32(h.subarray(12, 32)),
  ),
  magic('squashfs', 2, 'qs', isSquashfs),
  magic('zip', 1, 'K\x03\x04', isZipMember),
]

function isXz(head: Buffer): boolean {
  return (
    head[0] === 0xfd &&
    head[1] === 0x37 &&
    head[6] === 0 &&
    head.length >= 12 &&
    head.readUInt32LE(8) === crc32(head.subarray(6, 8))
  )
}

/**
 * lzma-file-format.txt: a dictionary of 2^n or 2^n + 2^(n-1) bytes, no size, and the first byte of what is packed. With a
 * size it is too much like a table of numbers (objects of Go's linker).
 */
function isLzma(head: Buffer): boolean {
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
  if (head.length < 32 || head.readUInt32LE(28) !== 4 || head.readUInt32BE(0) !== 0x68737173) return false
  const [size, log, how] = [head.readUInt32LE(12), head.readUInt16LE(22), head.readUInt16LE(20)]
  return log >= 12 && log <= 20 && size === 1 << log && how >= 1 && how <= 6
}

/** Ways of packing of a zip (APPNOTE.TXT, 4.4.5) that hide what they pack. */
const METHODS: ReadonlySet<number> = new Set([8, 9, 12, 14, 93, 95, 98])

/** A member that is packed: one that is not shows what is in it. */
function isZipMember(head: Buffer): boolean {
  if (head.length < 31 || head[0] !== 0x50 || head.readUInt16LE(4) > 63 || !METHODS.has(head.readUInt16LE(8)))
    return false
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
function isZstd(source: ByteSource, offset: number): boolean {
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

/** Kinds that are looked for in the data of programs: where disks and archives lie in one, they lie behind its end. */
const IN_PROGRAMS: readonly PackedHeadKind[] = ['gzip', 'zip', 'xz', 'bzip2', 'zstd', 'lz4']
const PROGRAM_MAGICS = MAGICS.filter(({ kind }) => IN_PROGRAMS.includes(kind))
/** A library of objects to link with. */
const OBJECTS = '!<arch>\n/'

/** Heads that begin before byte `to`. Whatever has one of these magic numbers, or is packed, has a NUL; texts have none. */
function search(bytes: Buffer, base: number, to: number, magics: readonly Magic[], found: PackedHead[]): void {
  if (to <= 0 || !bytes.includes(0)) return
  for (const { kind, needle, at, is } of magics)
    for (let met = bytes.indexOf(needle, at); met >= 0 && met - at < to; met = bytes.indexOf(needle, met + 1)) {
      if (found.length >= FOUND_MAX) return
      if (is(bytes.subarray(met - at, met - at + HEAD))) found.push({ kind, offset: base + met - at })
    }
}

const byOffset = (a: PackedHead, b: PackedHead): number => a.offset - b.offset
const magicsFor = (head: Buffer): readonly Magic[] =>
  head.toString('latin1', 0, OBJECTS.length) === OBJECTS ? PROGRAM_MAGICS : MAGICS

/** Gathers heads while the bytes of a file pass by. */
export class PackedHeads {
  readonly #found: PackedHead[] = []
  #magics: readonly Magic[] | null
  #base = 0
  /** Bytes before #base in which no head was told yet, for want of what stands behind it. */
  #tail: Buffer = Buffer.alloc(0)

  /** @param magics null: what the first bytes suggest */
  constructor(magics: readonly Magic[] | null = null) {
    this.#magics = magics
  }

  push(piece: Buffer): void {
    this.#magics ??= magicsFor(piece)
    if (this.#tail.length > 0) this.#seam(piece, this.#magics)
    search(piece, this.#base, piece.length - HEAD + 1, this.#magics, this.#found)
    this.#base += piece.length
    const rest = piece.length >= HEAD ? piece : Buffer.concat([this.#tail, piece])
    this.#tail = Buffer.from(rest.subarray(Math.max(0, rest.length - HEAD + 1)))
  }

  /** What begins in the last piece, and could not be told for want of this one. */
  #seam(piece: Buffer, magics: readonly Magic[]): void {
    const seam = Buffer.concat([this.#tail, piece.subarray(0, HEAD)])
    const to = Math.min(this.#tail.length, seam.length - HEAD + 1)
    search(seam, this.#base - this.#tail.length, to, magics, this.#found)
  }

  /** Whether a head was told until now. */
  get any(): boolean {
    return this.#found.length > 0
  }

  /** All heads, by offset. Nothing may be pushed any more. */
  end(): PackedHead[] {
    const tail = this.#tail
    search(tail, this.#base - tail.length, tail.length, this.#magics ?? MAGICS, this.#found)
    return this.#found.sort(byOffset)
  }
}

/** The heads in stretches of a program or a library, read at random. */
export function headsInProgram(source: ByteSource, ranges: readonly Range[]): PackedHead[] {
  const found: PackedHead[] = []
  for (const [start, end] of ranges) {
    if (end - start < HEAD) continue
    if (end - start <= PIECE) {
      search(pieceOf(source, start, end - start), start, end - start, PROGRAM_MAGICS, found)
      continue
    }
    const heads = new PackedHeads(PROGRAM_MAGICS)
    for (let at = start; at < end; at += PIECE) heads.push(pieceOf(source, at, Math.min(PIECE, end - at)))
    for (const { kind, offset } of heads.end()) found.push({ kind, offset: start + offset })
  }
  return confirmed(source, found.sort(byOffset))
}

/** The heads in all of a file, as its bytes show them. */
export function headsShown(bytes: Buffer): PackedHead[] {
  const found: PackedHead[] = []
  search(bytes, 0, bytes.length, magicsFor(bytes), found)
  return found.sort(byOffset)
}

/** The heads in all of a file. */
export const headsIn = (bytes: Buffer): PackedHead[] => confirmed(bufferSource(bytes), headsShown(bytes))

/** New memory for every piece would cost as much as the search. */
let spare: Buffer | null = null

function pieceOf(source: ByteSource, offset: number, length: number): Buffer {
  if (source.readInto === undefined) return source.read(offset, length)
  spare ??= Buffer.allocUnsafe(PIECE)
  return spare.subarray(0, source.readInto(spare.subarray(0, length), offset))
}

/** Those of which more than the head tells that they are. */
export const confirmed = (source: ByteSource, heads: readonly PackedHead[]): PackedHead[] =>
  heads.filter(({ kind, offset }) => kind !== 'zstd' || isZstd(source, offset))

/** Two rows of offsets as one. */
export const ascending = (some: readonly number[], more: readonly number[]): number[] =>
  more.length === 0 ? [...some] : [...some, ...more].sort((a, b) => a - b)

/** What is told of heads, once for each kind: where the first lies, and how many there are. */
export function namedHeads(heads: readonly PackedHead[]): { what: string; kind: PackedHeadKind }[] {
  const byKind = new Map<PackedHeadKind, PackedHead[]>()
  for (const head of heads) byKind.set(head.kind, [...(byKind.get(head.kind) ?? []), head])
  return [...byKind].map(([kind, [first, ...more]]) => ({
    what: `${kind} at ${first!.offset}${more.length === 0 ? '' : ` and ${more.length} more`}`,
    kind,
  }))
}
