/**
 * gzip (RFC 1952) and zlib (RFC 1950) files: one stream of contents around which there is little.
 *
 * A gzip file is a row of members of which each is a header, a deflate stream, a checksum and a size; the contents are
 * those of all members in a row. `cat a.gz b.gz` makes such files, and bgzip cuts a file into members of 64 KiB: a
 * reference may begin in one member and end in the next. So the contents are one, and are cut again where they were
 * cut before. Behind the last member there may be zeros (tapes, archives), which programs pass over.
 */
import * as zlib from 'node:zlib'
import { type Budget, crc32, deflate, type ProblemCode, problem } from './inflate.ts'

interface Part {
  /** The header is [start, data), the deflate stream [data, trailer). */
  readonly start: number
  readonly data: number
  readonly trailer: number
  /** Bytes of contents. */
  readonly size: number
}

export interface Stream {
  readonly kind: 'gzip' | 'zlib'
  /** The name that the header gives to the contents, a byte string; else the kind. */
  readonly name: string
  readonly contents: Buffer
  /** Of gzip. */
  readonly parts: readonly Part[]
}

const HEADER = 10
const TRAILER = 8
/** Bits of FLG. */
const FHCRC = 2
const FEXTRA = 4
const FNAME = 8
const FCOMMENT = 16
const RESERVED = 0xe0

/** By XFL ("maximum compression", "fastest algorithm"), by zlib's FLEVEL, by a zip's general purpose bits 1 and 2. */
const GZIP_LEVELS: Readonly<Record<number, number>> = { 2: 9, 4: 1 }
const ZLIB_LEVELS = [1, 5, 6, 9] as const

type Failure = { readonly code: ProblemCode; readonly detail: string }

/** The contents of a gzip file, or why there are none. */
export function readGzip(bytes: Buffer, budget: Budget): Stream | Failure {
  const parts: Part[] = []
  const contents: Buffer[] = []
  let name = ''
  let total = 0
  for (let at = 0; at < bytes.length && !(parts.length > 0 && isZero(bytes, at)); ) {
    const header = parseHeader(bytes, at)
    if (header === null)
      return problem('damaged', parts.length === 0 ? 'its header is cut short' : `something follows at ${at}`)
    if (parts.length === 0) name = header.name
    const inflated = budget.inflate(bytes.subarray(header.end), 'raw', null)
    if ('code' in inflated) return inflated
    const trailer = header.end + inflated.taken
    total += inflated.contents.length
    if (total > budget.limits.member) return problem('too-large')
    if (trailer + TRAILER > bytes.length) return problem('damaged', 'it ends before its checksum')
    if (
      bytes.readUInt32LE(trailer) !== crc32(inflated.contents) ||
      bytes.readUInt32LE(trailer + 4) !== inflated.contents.length
    )
      return problem('damaged', 'its checksum is another')
    parts.push({ start: at, data: header.end, trailer, size: inflated.contents.length })
    contents.push(inflated.contents)
    at = trailer + TRAILER
  }
  return {
    kind: 'gzip',
    name: name || 'gzip',
    parts,
    contents: contents.length === 1 ? contents[0]! : Buffer.concat(contents),
  }
}

/** Where the stream begins behind the gzip header at the start of these bytes; null for what is none. */
export const gzipHeaderEnd = (bytes: Buffer): number | null => parseHeader(bytes, 0)?.end ?? null

/** The name that a gzip file's header gives to the contents; `gzip` where it gives none. A byte string. */
export const gzipName = (head: Buffer): string => parseHeader(head, 0)?.name || 'gzip'

function parseHeader(bytes: Buffer, start: number): { end: number; name: string } | null {
  let end = start + HEADER
  if (end > bytes.length || bytes.readUIntBE(start, 3) !== 0x1f8b08) return null
  const flags = bytes[start + 3]!
  if ((flags & RESERVED) !== 0) return null
  if ((flags & FEXTRA) !== 0) {
    if (end + 2 > bytes.length) return null
    end += 2 + bytes.readUInt16LE(end)
  }
  let name = ''
  for (const flag of [FNAME, FCOMMENT]) {
    if ((flags & flag) === 0) continue
    const zero = end < bytes.length ? bytes.indexOf(0, end) : -1
    if (zero < 0) return null
    if (flag === FNAME) name = bytes.toString('latin1', end, zero)
    end = zero + 1
  }
  if ((flags & FHCRC) !== 0) end += 2
  return end > bytes.length ? null : { end, name }
}

/** The contents of a file that is one zlib stream from its first byte to its last; null for any other file. */
export function readZlib(bytes: Buffer, budget: Budget): Stream | Failure | null {
  if (!isZlibHead(bytes)) return null
  const inflated = budget.inflate(bytes, 'zlib', null)
  // Any text may begin with two bytes that look like a header: only a stream that is whole is one.
  if ('code' in inflated) return inflated.code === 'too-large' ? inflated : null
  return inflated.taken === bytes.length ? { kind: 'zlib', name: 'zlib', parts: [], contents: inflated.contents } : null
}

/** CMF and FLG: deflate, a window of at most 32 KiB, no preset dictionary, a multiple of 31. */
export const isZlibHead = (head: Buffer): boolean =>
  head.length >= 2 &&
  (head[0]! & 0x0f) === 8 &&
  head[0]! >> 4 <= 7 &&
  (head[1]! & 0x20) === 0 &&
  head.readUInt16BE(0) % 31 === 0

/** The file with other contents; null where something in it would no longer be true. */
export function remakeStream(bytes: Buffer, stream: Stream, contents: Buffer): Buffer | null {
  if (stream.kind === 'zlib') {
    const level = ZLIB_LEVELS[bytes[1]! >> 6]!
    return zlib.deflateSync(contents, { level, windowBits: Math.max(9, (bytes[0]! >> 4) + 8) })
  }
  const pieces: Buffer[] = []
  let at = 0
  for (const [i, part] of stream.parts.entries()) {
    // A nested container may have another length now: what follows the last cut takes the difference.
    const end = i === stream.parts.length - 1 ? contents.length : Math.min(contents.length, at + part.size)
    const piece = remakePart(bytes, part, stream.contents.subarray(at, at + part.size), contents.subarray(at, end))
    if (piece === null) return null
    pieces.push(piece)
    at = end
  }
  // The zeros.
  const last = stream.parts.at(-1)!
  return Buffer.concat([...pieces, bytes.subarray(last.trailer + TRAILER)])
}

function remakePart(bytes: Buffer, part: Part, before: Buffer, after: Buffer): Buffer | null {
  if (before.equals(after)) return bytes.subarray(part.start, part.trailer + TRAILER)
  const header = Buffer.from(bytes.subarray(part.start, part.data))
  const stream = deflate(after, GZIP_LEVELS[header[8]!] ?? zlib.constants.Z_DEFAULT_COMPRESSION)
  const trailer = gzipTrailer(after)
  return mendExtra(header, header.length + stream.length + TRAILER) ? Buffer.concat([header, stream, trailer]) : null
}

/** The checksum and the size behind a member's stream. */
export function gzipTrailer(contents: Buffer): Buffer {
  const trailer = Buffer.alloc(TRAILER)
  trailer.writeUInt32LE(crc32(contents), 0)
  trailer.writeUInt32LE(contents.length, 4)
  return trailer
}

/**
 * bgzip's members tell their own size in an extra field (SAM specification 4.1), which is mended. dictzip's tell where
 * in the stream each piece begins: that is not made again.
 */
function mendExtra(header: Buffer, size: number): boolean {
  if ((header[3]! & FEXTRA) === 0) return true
  const end = HEADER + 2 + header.readUInt16LE(HEADER)
  for (let at = HEADER + 2; at + 4 <= end; at += 4 + header.readUInt16LE(at + 2)) {
    const id = header.toString('latin1', at, at + 2)
    if (id === 'RA') return false
    if (id !== 'BC') continue
    if (header.readUInt16LE(at + 2) !== 2 || at + 6 > end || size > 0x10000 || (header[3]! & FHCRC) !== 0) return false
    header.writeUInt16LE(size - 1, at + 4)
  }
  return true
}

function isZero(bytes: Buffer, from: number): boolean {
  for (let i = from; i < bytes.length; i++) if (bytes[i] !== 0) return false
  return true
}
