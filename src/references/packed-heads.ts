/**
 * Packed files inside of files of other kinds: assets in the data of programs (Go's `embed`, Qt's resources with zstd), in
 * images of kernels and firmware, in Chromium's packs of resources, behind headers of any format. Each kind here begins
 * with bytes that are enough to know it by, once what stands behind them is checked: no magic number alone is one, since
 * whatever unpacks such files has the number in it.
 *
 * zlib's streams, which begin with two bytes, are found in another way (zlib-streams.ts).
 */
import { type ByteSource, bufferSource } from '../io/bytes.ts'
import {
  GZIP_FLAGS,
  HEAD,
  holds,
  isLzma,
  isZstd,
  LZMA,
  MAGICS,
  type Magic,
  type PackedHeadKind,
} from './packed-magics.ts'
import { nextPair, viewOf } from './pairs.ts'
import { kindOf, placeOf, SIFTED, type Sifted, sieve, siftedFrom } from './sieve.ts'

export type { PackedHeadKind } from './packed-magics.ts'

export interface PackedHead {
  readonly kind: PackedHeadKind
  /** Of its first byte, in the file. */
  readonly offset: number
}

/** A stretch of a file, its end excluded. */
export type Range = readonly [start: number, end: number]

/** Bytes that are read at a time: they fit into a CPU's cache. */
const PIECE = 128 << 10
/** Of one file, so many are told: a file of nothing else costs no memory. */
const FOUND_MAX = 10_000

const EMPTY = Buffer.alloc(0)

/** Kinds that are looked for in the data of programs: where disks and archives lie in one, they lie behind its end. */
const IN_PROGRAMS: readonly PackedHeadKind[] = ['gzip', 'zip', 'xz', 'bzip2', 'zstd', 'lz4']
/** A library of objects to link with. */
const OBJECTS = '!<arch>\n/'

/** Needles have three pairs of neighbours: of three places in a row a walk in steps of three meets one and only one. */
const STEP = 3
/** Bytes behind the first byte of a head that end with the last pair of any needle. */
const REACH = Math.max(...MAGICS.map(({ at }) => at + STEP))

/** What is looked for. */
interface Wanted {
  /** For a pair of bytes, the first one lower, the place from 1 of what has it; 0: nothing. No two needles share one. */
  readonly pairs: Uint8Array
  readonly places: readonly { readonly magic: Magic /** From the first byte of a head. */; readonly at: number }[]
  readonly lzma: boolean
  /** By the kind that the sieve tells. */
  readonly sifted: readonly (Pick<Magic, 'kind' | 'is'> | undefined)[]
}

function wanted(kinds: readonly PackedHeadKind[] | null): Wanted {
  const pairs = new Uint8Array(1 << 16)
  const sifted: (Pick<Magic, 'kind' | 'is'> | undefined)[] = []
  if (kinds === null) sifted[SIFTED.lzma] = { kind: 'lzma', is: isLzma }
  const places: Wanted['places'][number][] = []
  for (const magic of MAGICS) {
    if (kinds !== null && !kinds.includes(magic.kind)) continue
    const { needle, at } = magic
    sifted[SIFTED[magic.kind]] = magic
    for (let k = 0; k < STEP; k++) {
      places.push({ magic, at: at + k })
      // Behind gzip's three bytes its flags stand.
      const next = k + 1 < needle.length ? [needle[k + 1]!] : Array(GZIP_FLAGS).keys()
      for (const byte of next) {
        const pair = needle[k]! | (byte << 8)
        if (pairs[pair] !== 0) throw new Error(`two needles have the pair ${pair.toString(16)}`)
        pairs[pair] = places.length
      }
    }
  }
  return { pairs, places, lzma: kinds === null, sifted }
}

const ANYWHERE = wanted(null)
const IN_PROGRAM = wanted(IN_PROGRAMS)

/** Heads that begin before byte `to`, by looks at all bytes. */
function searchAll(
  bytes: Buffer,
  base: number,
  to: number,
  { pairs, places, lzma }: Wanted,
  found: PackedHead[],
): void {
  const view = viewOf(bytes)
  const end = Math.min(bytes.length - 1, to + REACH)
  for (let met = nextPair(view, 0, end, pairs, STEP); met < end; met = nextPair(view, met + STEP, end, pairs, STEP)) {
    const { magic, at } = places[pairs[view.getUint16(met, true)]! - 1]!
    const start = met - at
    if (start < 0 || start >= to || !holds(bytes, start + magic.at, magic.needle)) continue
    if (magic.is(bytes.subarray(start, start + HEAD))) tell(found, magic.kind, base + start)
  }
  if (lzma) searchLzma(bytes, base, to, found)
}

function searchLzma(bytes: Buffer, base: number, to: number, found: PackedHead[]): void {
  for (let met = bytes.indexOf(LZMA); met >= 0 && met < to; met = bytes.indexOf(LZMA, met + 1))
    if (isLzma(bytes.subarray(met, met + HEAD))) tell(found, 'lzma', base + met)
}

function tell(found: PackedHead[], kind: PackedHeadKind, offset: number): void {
  if (found.length < FOUND_MAX) found.push({ kind, offset })
}

/** Whatever is packed has a NUL in so many bytes; texts have none. */
const mayHold = (bytes: Buffer): boolean => bytes.length < SHORT || bytes.includes(0)

/** The same. @param sifted null: to be looked for here */
function search(
  bytes: Buffer,
  base: number,
  to: number,
  wanted: Wanted,
  found: PackedHead[],
  sifted: Sifted | null,
): void {
  if (to <= 0) return
  if (sifted !== null) judge(bytes, base, to, wanted, found, sifted)
  else if (mayHold(bytes)) searchAll(bytes, base, to, wanted, found)
}

/** Heads that begin before byte `to`, of what the sieve has let through. */
function judge(bytes: Buffer, base: number, to: number, wanted: Wanted, found: PackedHead[], sifted: Sifted): void {
  let may: boolean | null = null
  for (const entry of sifted) {
    const start = placeOf(entry)
    const magic = wanted.sifted[kindOf(entry)]
    if (magic === undefined || start >= to) continue
    may ??= mayHold(bytes)
    if (!may) return
    if (magic.is(bytes.subarray(start, start + HEAD))) tell(found, magic.kind, base + start)
  }
}
const SHORT = 4096

const byOffset = (a: PackedHead, b: PackedHead): number => a.offset - b.offset
const wantedOf = (head: Buffer): Wanted =>
  head.toString('latin1', 0, OBJECTS.length) === OBJECTS ? IN_PROGRAM : ANYWHERE

/** Gathers heads while the bytes of a file pass by. */
export class PackedHeads {
  readonly #found: PackedHead[] = []
  #wanted: Wanted | null
  #base: number
  /** Bytes before #base in which no head was told yet, for want of what stands behind it. */
  #tail: Buffer = EMPTY

  /** @param start the offset of the first byte that is pushed */
  constructor(wanted: Wanted | null = null, start = 0) {
    this.#wanted = wanted
    this.#base = start
  }

  /** @param sifted what was let through of these bytes; null: they are looked at here */
  push(piece: Buffer, sifted: Sifted | null = null): void {
    this.#wanted ??= wantedOf(piece)
    if (this.#tail.length > 0) this.#seam(piece, this.#wanted)
    search(piece, this.#base, piece.length - HEAD + 1, this.#wanted, this.#found, sifted)
    this.#base += piece.length
    const rest = piece.length >= HEAD ? piece : Buffer.concat([this.#tail, piece])
    this.#tail = Buffer.from(rest.subarray(Math.max(0, rest.length - HEAD + 1)))
  }

  /** What begins in the last piece, and could not be told for want of this one. */
  #seam(piece: Buffer, wanted: Wanted): void {
    const seam = Buffer.concat([this.#tail, piece.subarray(0, HEAD)])
    const to = Math.min(this.#tail.length, seam.length - HEAD + 1)
    searchAll(seam, this.#base - this.#tail.length, to, wanted, this.#found)
  }

  /** Whether a head was told until now. */
  get any(): boolean {
    return this.#found.length > 0
  }

  /** All heads, by offset. Nothing may be pushed any more. */
  end(): PackedHead[] {
    const tail = this.#tail
    searchAll(tail, this.#base - tail.length, tail.length, this.#wanted ?? ANYWHERE, this.#found)
    return this.#found.sort(byOffset)
  }
}

/** Gathers heads in stretches of a program or a library (ascending) while its bytes pass by. */
export class HeadsInProgram {
  readonly #ranges: readonly Range[]
  readonly #found: PackedHead[] = []
  /** The first of the ranges that has not ended yet. */
  #next = 0
  /** What began of it. */
  #heads: PackedHeads | null = null
  #base = 0

  constructor(ranges: readonly Range[]) {
    this.#ranges = ranges.filter(([start, end]) => end - start >= HEAD)
  }

  /** @param sifted what was let through of these bytes; null: they are looked at here */
  push(piece: Buffer, sifted: Sifted | null = null): void {
    const base = this.#base
    this.#base += piece.length
    for (let range = this.#ranges[this.#next]; range !== undefined; range = this.#ranges[this.#next]) {
      const [start, end] = range
      if (start >= this.#base) return
      const from = Math.max(0, start - base)
      const part = piece.subarray(from, end - base)
      const rest = sifted && siftedFrom(sifted, from)
      if (start >= base && end <= this.#base) search(part, start, part.length, IN_PROGRAM, this.#found, rest)
      else {
        this.#heads ??= new PackedHeads(IN_PROGRAM, start)
        this.#heads.push(part, rest)
        if (end > this.#base) return
        this.#take()
      }
      this.#next++
    }
  }

  #take(): void {
    for (const head of this.#heads?.end() ?? []) this.#found.push(head)
    this.#heads = null
  }

  /** Whether a head was told until now. */
  get any(): boolean {
    return this.#found.length > 0
  }

  /** All heads, by offset. Nothing may be pushed any more. */
  end(): PackedHead[] {
    this.#take()
    return this.#found.sort(byOffset)
  }
}

/** The heads in stretches of a program or a library, read at random. */
export function headsInProgram(source: ByteSource, ranges: readonly Range[]): PackedHead[] {
  const found: PackedHead[] = []
  const sift = sieve(false)
  for (const [start, end] of ranges) {
    if (end - start < HEAD) continue
    if (end - start <= PIECE) {
      const piece = pieceOf(source, start, end - start)
      search(piece, start, end - start, IN_PROGRAM, found, sift(piece))
      continue
    }
    const heads = new PackedHeads(IN_PROGRAM, start)
    for (let at = start; at < end; at += PIECE) {
      const piece = pieceOf(source, at, Math.min(PIECE, end - at))
      heads.push(piece, sift(piece))
    }
    for (const head of heads.end()) found.push(head)
  }
  return confirmed(source, found.sort(byOffset))
}

/** The heads in all of a file, as its bytes show them. */
export function headsShown(bytes: Buffer, sifted: Sifted | null = null): PackedHead[] {
  const found: PackedHead[] = []
  if (sifted?.length === 0) return found
  search(bytes, 0, bytes.length, wantedOf(bytes), found, sifted)
  return found.sort(byOffset)
}

/** The heads in all of a file. */
export const headsIn = (bytes: Buffer, sifted: Sifted | null = null): PackedHead[] =>
  confirmed(bufferSource(bytes), headsShown(bytes, sifted))

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
