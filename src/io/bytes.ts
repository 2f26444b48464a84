/**
 * Bytes: the only bounds-checked reader, and the text form of byte strings.
 *
 * Every name, path and string that comes out of a file or a file system is a sequence of bytes, not of
 * characters. This code base holds it as a **byte string**: a JavaScript string of which each unit (0..255) is
 * one byte (Node's `latin1`). So nothing is lost for names that are not UTF-8, `<` sorts bytewise, and
 * `length` counts bytes. `fromText` and `toText` are the doors to what a person types and reads.
 */
import { BundleError } from '../errors.ts'

/** Random access to the bytes of a file or buffer. `read` returns fewer bytes than asked only at the end. */
export interface ByteSource {
  /** In bytes. */
  readonly size: number
  read(offset: number, length: number): Buffer
}

/** A byte string of a person's text (UTF-8). */
export const fromText = (text: string): string => Buffer.from(text, 'utf8').toString('latin1')

/**
 * A byte string as a person can read it on one line: UTF-8 decoded; control characters, and all bytes when they
 * are no UTF-8, as `\xNN`.
 */
export function toText(bytes: string): string {
  const utf8 = Buffer.from(bytes, 'latin1').toString('utf8')
  const readable = utf8.includes('\ufffd') ? bytes.replace(/[\x80-\xff]/g, escaped) : utf8
  return readable.replace(/[\x00-\x1f\x7f]/g, escaped)
}
const escaped = (c: string): string => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`

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

  /** A 64-bit value as a number; one beyond 2^53 fits no file, so it is Infinity and fails every bounds check. */
  u64(at: number): number {
    this.#check(at, 8)
    const value = this.#little ? this.buffer.readBigUInt64LE(at) : this.buffer.readBigUInt64BE(at)
    return value <= Number.MAX_SAFE_INTEGER ? Number(value) : Number.POSITIVE_INFINITY
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
