/**
 * zlib streams (RFC 1950) anywhere in a file: literals of compiled Erlang, R's databases, resources of Qt and GLib, git's
 * packs, Java's images, documents. Their formats are many, and each says in its own way where a stream begins; but all
 * begin with one of four pairs of bytes, and unpack.
 *
 * A stream has a window of 32 KiB and no dictionary, as zlib makes it when it is not asked for something else: then its
 * first byte is `x`, and its second one of four that make the pair a multiple of 31. Of random bytes one pair in 16,384 is
 * such a head; its first block tells nearly all of them apart (deflate-head.ts), and the rest do not unpack.
 *
 * gzip files in others (packed-heads.ts says where) are streams as well, with more around them.
 *
 * What unpacks to its end is a stream; where its checksum is wrong it is looked at and nothing more. Data of a PNG, which are cut in pieces, are
 * passed over: pictures are no containers of files.
 */
import * as zlib from 'node:zlib'
import type { ByteSource } from '../io/bytes.ts'
import { mayBeDeflate } from './deflate-head.ts'
import { gzipHeaderEnd, gzipTrailer } from './gzip.ts'
import { type Budget, type Problem, problem } from './inflate.ts'
import { kindOf, placeOf, SIFTED, type Sifted } from './sieve.ts'

const X = 0x78
const GZIP = 0x1f
/** The bytes that may follow it: levels of 0 to 3, without a dictionary. */
const FOLLOWS = new Uint8Array(256)
for (const byte of [0x01, 0x5e, 0x9c, 0xda]) FOLLOWS[byte] = 1
const HEADER = 2
/** A gzip header with a long name. In bytes. */
const GZIP_HEADER_MAX = 1024
/** Bytes behind an `x` that are looked at one by one before the next one is searched for: where there are many. */
const NEAR = 8
/** So many bytes are tried to unpack when a head is met. With fewer at hand it is left to later. */
const [TRIAL, TRIAL_MIN] = [2048, 512]
/** How much of a stream is unpacked at a time: what fails costs no more than a few times what it was. In bytes. */
const WINDOWS = [4 << 10, 64 << 10, 1 << 20, Number.POSITIVE_INFINITY]
/** Contents of a stream that failed count as so many times the bytes it had. */
const FAILED = 256
const TOO_LARGE = 'too large'

/** A stream that was unpacked. */
export interface ZlibStream {
  readonly format: 'zlib' | 'gzip'
  /** Of its head, in the file. */
  readonly offset: number
  /** Its bytes in the file, with head and checksum. */
  readonly length: number
  readonly contents: Buffer
  /** Whether its checksum is right. Where it is not, a table of numbers may have looked like a stream. */
  readonly sure: boolean
}

/** Gathers where streams may begin while the bytes of a file pass by. */
export class ZlibHeads {
  /** Offsets, ascending. */
  readonly found: number[] = []
  #base = 0
  /** Whether the last byte was an `x`. */
  #open = false

  /** @param sifted what was let through of these bytes; null: they are looked at here */
  push(piece: Buffer, sifted: Sifted | null = null): void {
    if (piece.length === 0) return
    if (this.#open && FOLLOWS[piece[0]!] !== 0) this.found.push(this.#base - 1)
    const end = piece.length - 1
    if (sifted !== null) {
      for (const entry of sifted) if (kindOf(entry) === SIFTED.zlib) this.#judge(piece, placeOf(entry))
    } else
      for (let at = piece.indexOf(X); at >= 0 && at < end; at = nextX(piece, at, end))
        if (FOLLOWS[piece[at + 1]!] !== 0) this.#judge(piece, at)
    this.#open = piece[end] === X
    this.#base += piece.length
  }

  #judge(piece: Buffer, at: number): void {
    if (mayBeDeflate(piece, at + HEADER) && !isPicture(piece, at) && unpacks(piece, at))
      this.found.push(this.#base + at)
  }
}

function nextX(piece: Buffer, at: number, end: number): number {
  for (let near = at + 1; near <= at + NEAR && near < end; near++) if (piece[near] === X) return near
  return piece.indexOf(X, at + NEAR + 1)
}

/** PNG: a chunk's type stands before its data. */
const isPicture = (bytes: Buffer, at: number): boolean => at >= 4 && bytes.toString('latin1', at - 4, at) === 'IDAT'

/** Whether what is at hand of a stream unpacks. */
function unpacks(piece: Buffer, at: number): boolean {
  const stream = piece.subarray(at + HEADER, at + TRIAL)
  return stream.length < TRIAL_MIN || inflated(stream, TRIAL * FAILED) !== null
}

/** What a part of a stream unpacks to; null when it is none. */
function inflated(bytes: Buffer, most: number): { contents: Buffer; taken: number } | typeof TOO_LARGE | null {
  try {
    const { buffer, engine } = zlib.inflateRawSync(bytes, {
      // What is cut short gives what it has.
      finishFlush: zlib.constants.Z_SYNC_FLUSH,
      chunkSize: Math.max(4096, Math.min(1 << 20, bytes.length * 4)),
      maxOutputLength: most,
      info: true,
    }) as unknown as { buffer: Buffer; engine: { bytesWritten: number } }
    return { contents: buffer, taken: engine.bytesWritten }
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error
    return error.code === 'ERR_BUFFER_TOO_LARGE' ? TOO_LARGE : null
  }
}

/**
 * The streams that begin at these heads (ascending), in the order of the file, each with its contents; what is inside of one is passed
 * over. A problem stands for one that is too large, and is the last where the budget is used up.
 */
export function* zlibStreams(
  source: ByteSource,
  heads: readonly number[],
  budget: Budget,
): Generator<ZlibStream | Problem> {
  let end = 0
  for (const offset of heads) {
    if (offset < end) continue
    const stream = readStream(source, offset, budget)
    if (stream === null) continue
    yield stream
    if (!('code' in stream)) end = stream.sure ? offset + stream.length : end
    else if (budget.isSpent) return
  }
}

/** What stands around a stream. */
interface Format {
  readonly format: 'zlib' | 'gzip'
  /** Bytes before the stream. */
  readonly header: number
  /** What stands behind one of these contents. */
  readonly trailer: (contents: Buffer) => Buffer
}

function formatOf(head: Buffer): Format | null {
  if (head[0] !== GZIP) return { format: 'zlib', header: HEADER, trailer: adler32 }
  const header = gzipHeaderEnd(head)
  return header === null ? null : { format: 'gzip', header, trailer: gzipTrailer }
}

/** The stream at `offset`; null when there is none. */
function readStream(source: ByteSource, offset: number, budget: Budget): ZlibStream | Problem | null {
  const around = formatOf(source.read(offset, GZIP_HEADER_MAX))
  if (around === null) return null
  const { format, header, trailer } = around
  const rest = source.size - offset - header
  const { member, small, ratio } = budget.limits
  for (const window of WINDOWS) {
    const size = Math.min(window, rest, member)
    const bytes = source.read(offset + header, size)
    const most = Math.min(member, Math.max(small, size * ratio))
    const read = mayBeDeflate(bytes, 0) ? inflated(bytes, most) : null
    if (read === null) return budget.spend(size * FAILED) ? null : problem('too-large')
    if (read === TOO_LARGE) {
      budget.spend(most)
      return problem('too-large')
    }
    // Of what is cut short, what there is counts.
    if (read.taken < size || size === rest) {
      if (!budget.spend(read.contents.length)) return problem('too-large')
      const wanted = trailer(read.contents)
      const length = Math.min(header + read.taken + wanted.length, source.size - offset)
      const sure = source.read(offset + header + read.taken, wanted.length).equals(wanted)
      return { format, offset, length, contents: read.contents, sure }
    }
    if (size === member) return problem('too-large')
  }
  return null
}

/**
 * A stream of these contents that is `length` bytes long and begins as `bytes` do; null where they do not fit. Behind the
 * contents stand blocks of nothing, which unpack to nothing: so nothing moves in the file around.
 */
export function streamOfLength(contents: Buffer, length: number, bytes: Buffer): Buffer | null {
  const around = formatOf(bytes)
  if (around === null) return null
  const checksum = around.trailer(contents)
  const room = length - around.header - checksum.length
  const made = (...parts: readonly Buffer[]): Buffer =>
    Buffer.concat([bytes.subarray(0, around.header), ...parts, checksum])
  for (const strategy of STRATEGIES)
    for (const level of LEVELS) {
      const options = { level, strategy, memLevel: 9 }
      const whole = zlib.deflateRawSync(contents, options)
      if (whole.length === room) return made(whole)
      if (whole.length > room) continue
      const open = zlib.deflateRawSync(contents, { ...options, finishFlush: zlib.constants.Z_SYNC_FLUSH })
      const padding = emptyBlocks(room - open.length)
      if (padding !== null) return made(open, padding)
    }
  return null
}

/** The checksum behind a stream (RFC 1950, 8.2). */
function adler32(bytes: Buffer): Buffer {
  let [a, b] = [1, 0]
  for (let at = 0; at < bytes.length; ) {
    // So many bytes go before the sums have to be cut to size.
    for (const end = Math.min(bytes.length, at + 3800); at < end; at++) {
      a += bytes[at]!
      b += a
    }
    a %= 65521
    b %= 65521
  }
  const checksum = Buffer.alloc(4)
  checksum.writeUInt16BE(b, 0)
  checksum.writeUInt16BE(a, 2)
  return checksum
}

const LEVELS = [9, 8, 7, 6, 5, 4]
const STRATEGIES = [zlib.constants.Z_DEFAULT_STRATEGY, zlib.constants.Z_FILTERED]

/** A stored block of nothing, and ends of a stream from 2 to 6 bytes: of fixed and stored blocks of nothing. */
const EMPTY = Buffer.from('000000ffff', 'hex')
const ENDS = ['0100 00ffff', '0204 0000ffff', '0300', '020c00', '02083000'].map(hex =>
  Buffer.from(hex.replace(' ', ''), 'hex'),
)

/** The end of a stream that makes nothing, from a byte's border on; null where there is none of that length. */
function emptyBlocks(length: number): Buffer | null {
  const end = ENDS[((length % 5) + 5) % 5]!
  if (length < end.length) return null
  return Buffer.concat([...Array<Buffer>((length - end.length) / EMPTY.length).fill(EMPTY), end])
}
