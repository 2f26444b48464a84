/**
 * Deflate streams (RFC 1951) out of files that may be hostile: what they take in time and memory is bounded, whatever
 * their headers say.
 *
 * A deflate stream can be a thousand times larger than its bytes; a zip can name the same stream many times; streams
 * nest. So each stream may become only so large for the bytes that it has, and everything that is read of one file is
 * drawn from one budget.
 */
import * as zlib from 'node:zlib'

export interface ContainerLimits {
  /** The largest contents of one member, in bytes: it is held in memory. */
  readonly member: number
  /** All contents of all members of a file, those of nested containers too, in bytes. */
  readonly total: number
  /** A member is at most so many times as large as its compressed bytes... */
  readonly ratio: number
  /** ...or as large as this, in bytes: small files of zeros are no bombs. */
  readonly small: number
  /** Members of a file, those of nested containers too. */
  readonly members: number
  /** References that are told of one file. */
  readonly references: number
  /** How deep containers are opened: 1 is the file itself. */
  readonly depth: number
}

export const LIMITS: ContainerLimits = {
  member: 256 * 2 ** 20,
  total: 4 * 2 ** 30,
  ratio: 250,
  small: 32 * 2 ** 20,
  members: 250_000,
  references: 20_000,
  depth: 4,
}

/** Why something in a container was not looked into, or cannot be changed. */
export type ProblemCode =
  | 'encrypted'
  | 'method' /* a compression that is not deflate; the detail is its number in the zip specification */
  | 'damaged' /* the bytes are not what the format promises */
  | 'too-large' /* a bomb, or past the limits */
  | 'too-deep' /* a container in too many others */
  | 'too-many' /* references */
  | 'opaque' /* a format that is not looked into; the detail is its name */
  | 'apart' /* in code, as numbers (apart.ts) */
  | 'signed' /* it can be read, but a change would break its signature */

export interface Problem {
  readonly code: ProblemCode
  readonly detail: string
}

/** What becomes of a read: the contents, or why there are none. */
export type Read = { readonly contents: Buffer } | Problem

export const problem = (code: ProblemCode, detail = ''): Problem => ({ code, detail })

/** Contents with the number of compressed bytes that they were made of. */
export interface Inflated {
  readonly contents: Buffer
  readonly taken: number
}

/** Sizes of the pieces that zlib writes to: one piece does for most members, and none is large because a header lies. */
const PIECE_MIN = 16 * 1024
const PIECE_MAX = 1024 * 1024

/** What is left of the limits for one file. */
export class Budget {
  readonly limits: ContainerLimits
  #bytes: number
  #members: number
  #references: number

  constructor(limits: ContainerLimits) {
    this.limits = limits
    this.#bytes = limits.total
    this.#members = limits.members
    this.#references = limits.references
  }

  /** Takes a member of this many bytes; false when too much was taken before. */
  take(bytes: number): boolean {
    if (this.#members < 1 || bytes > this.#bytes) return false
    this.#members--
    this.#bytes -= bytes
    return true
  }

  /** Takes what was unpacked before it was known how much it would be; false when it was too much. */
  spend(bytes: number): boolean {
    this.#members--
    this.#bytes -= bytes
    return !this.isSpent
  }

  get isSpent(): boolean {
    return this.#members < 0 || this.#bytes < 0
  }

  takeReference(): boolean {
    return this.#references-- > 0
  }

  /**
   * The contents of the stream at the start of `bytes`.
   * @param format `zlib` is RFC 1950: a header of two bytes and a checksum around the stream
   * @param size how large they are by the container's own word; null when it does not say
   */
  inflate(bytes: Buffer, format: 'raw' | 'zlib', size: number | null): Inflated | Problem {
    const { member, small, ratio } = this.limits
    const most = Math.min(member, Math.max(small, bytes.length * ratio), this.#bytes)
    if (size !== null && size > most) return problem('too-large', String(size))
    const chunkSize = Math.min(PIECE_MAX, Math.max(PIECE_MIN, size ?? bytes.length * 4))
    const inflate = format === 'raw' ? zlib.inflateRawSync : zlib.inflateSync
    try {
      const { buffer, engine } = inflate(bytes, {
        chunkSize,
        // zlib wants at least one byte; what is larger than promised is told from what is too large below.
        maxOutputLength: Math.max(1, size ?? most),
        info: true,
      }) as unknown as { buffer: Buffer; engine: { bytesWritten: number } }
      if (size !== null && buffer.length !== size) return problem('damaged', 'its size is another')
      return this.take(buffer.length) ? { contents: buffer, taken: engine.bytesWritten } : problem('too-large')
    } catch (error) {
      // Also work that comes to nothing is paid for: no more members than the limit are tried.
      this.take(0)
      if (!(error instanceof Error && 'code' in error)) throw error
      if (error.code !== 'ERR_BUFFER_TOO_LARGE') return problem('damaged', 'its compressed bytes are no stream')
      return size === null ? problem('too-large') : problem('damaged', 'its size is another')
    }
  }
}

/** A deflate stream of these contents. Equal contents give equal bytes in one version of Node on one kind of CPU. */
export const deflate = (contents: Buffer, level: number): Buffer => zlib.deflateRawSync(contents, { level })

export const crc32 = (bytes: Buffer): number => zlib.crc32(bytes)
