/** Bytes: the only bounds-checked reader. What it reads of names are byte strings (paths.ts). */
import { BundleError } from '../errors.ts'

/**
 * Random access to the bytes of a file or buffer. `read` returns fewer bytes than asked only at the end; others may have
 * the same bytes: who changes them copies them first.
 */
export interface ByteSource {
  /** In bytes. */
  readonly size: number
  read(offset: number, length: number): Buffer
  /** Fills a buffer from an offset on, as far as there are bytes, and returns how many. Where reading copies. */
  readInto?(buffer: Buffer, offset: number): number
}

/** A string in a binary with where it lives, so that an edit is judged before it is made. */
export interface Located {
  readonly value: string
  /** File offset of the first byte. */
  readonly offset: number
  /** Bytes from `offset`, with the NUL, that belong to this string alone: a suffix-merged neighbour may end it early. */
  readonly capacity: number
}

/** A byte source over bytes in memory. */
export const bufferSource = (buffer: Buffer): ByteSource => ({
  size: buffer.length,
  read: (offset, length) => buffer.subarray(offset, offset + length),
})

/**
 * A window of a file with a byte order. Every read is checked: what lies outside is `BundleError('malformed')`.
 * Offsets are relative to the window.
 */
export class View {
  readonly buffer: Buffer
  readonly #little: boolean
  readonly #what: string
  readonly #path: string

  constructor(buffer: Buffer, little: boolean, what: string, path: string) {
    this.buffer = buffer
    this.#little = little
    this.#what = what
    this.#path = path
  }

  get size(): number {
    return this.buffer.length
  }

  u8(at: number): number {
    this.#check(at, 1)
    return this.buffer[at]!
  }

  u16(at: number): number {
    this.#check(at, 2)
    return this.#little ? this.buffer.readUInt16LE(at) : this.buffer.readUInt16BE(at)
  }

  u32(at: number): number {
    this.#check(at, 4)
    return this.#little ? this.buffer.readUInt32LE(at) : this.buffer.readUInt32BE(at)
  }

  /**
   * A 64-bit value as a number. One beyond 2^53 fits no file and fails every bounds check: it is Infinity, but for
   * addresses of ia64, whose three highest bits are the number of a region and whose next thirteen are zero. Their
   * region counts from bit 48 on, so that they keep their order and the distances within a region.
   */
  u64(at: number): number {
    this.#check(at, 8)
    const high = this.#little ? this.buffer.readUInt32LE(at + 4) : this.buffer.readUInt32BE(at)
    if (high < 2 ** 21)
      return high * 2 ** 32 + (this.#little ? this.buffer.readUInt32LE(at) : this.buffer.readUInt32BE(at + 4))
    const value = this.#little ? this.buffer.readBigUInt64LE(at) : this.buffer.readBigUInt64BE(at)
    if (value <= Number.MAX_SAFE_INTEGER) return Number(value)
    const isInRegion = (value & REGION_GAP) === 0n
    return isInRegion ? Number(((value >> 61n) << 48n) | (value & REGION)) : Number.POSITIVE_INFINITY
  }

  /** Every value of 32 bits in a column of a table, whose rows are `stride` bytes long. */
  column(at: number, stride: number, count: number): Uint32Array {
    if (count > 0) this.#check(at, (count - 1) * stride + 4)
    const values = new Uint32Array(count)
    const data = new DataView(this.buffer.buffer, this.buffer.byteOffset, this.buffer.length)
    const little = this.#little
    for (let i = 0; i < count; i++) values[i] = data.getUint32(at + i * stride, little)
    return values
  }

  /** The byte string that starts at `at` and ends before the next NUL, which has to be there. */
  cstring(at: number): string {
    this.#check(at, 1)
    const end = this.buffer.indexOf(0, at)
    if (end < 0) throw malformed(this.#path, `${this.#what}: a string at ${at} has no end`)
    return this.buffer.toString('latin1', at, end)
  }

  #check(at: number, length: number): void {
    if (!(at >= 0 && at + length <= this.buffer.length))
      throw malformed(this.#path, `${this.#what}: ${length} bytes at ${at} of ${this.buffer.length}`)
  }
}

/** The bits of an address within its region, and those that are zero. */
const REGION = (1n << 48n) - 1n
const REGION_GAP = ((1n << 61n) - 1n) & ~REGION

/** The view of `length` bytes at `offset` of a source, all of which have to be there. */
export function viewAt(
  source: ByteSource,
  offset: number,
  length: number,
  little: boolean,
  what: string,
  path: string,
): View {
  if (!(offset >= 0 && length >= 0 && offset + length <= source.size))
    throw malformed(path, `${what}: ${length} bytes at ${offset}, but the file has ${source.size}`)
  return new View(source.read(offset, length), little, what, path)
}

/** The error for bytes that are not what their format promises. */
export const malformed = (path: string, reason: string): BundleError => new BundleError('malformed', reason, { path })
