/**
 * Changed files as byte sources: the changes are laid over the original when somebody reads, so that a file of any size
 * is edited, hashed and written without being held.
 */
import type { ByteSource } from '../io/bytes.ts'

/** Bytes to be put at an offset. */
export interface Write {
  readonly offset: number
  readonly bytes: Buffer
}

/** `length` bytes of a source at `offset`, as a source of their own. */
export const windowOf = (source: ByteSource, offset: number, length: number): ByteSource => ({
  size: length,
  read: (at, count) => source.read(offset + at, Math.max(0, Math.min(count, length - at))),
})

/** The source with these bytes in their places, and of this size: what is added and not written is zero. */
export function patched(source: ByteSource, writes: readonly Write[], size = source.size): ByteSource {
  return {
    size,
    read(offset, length) {
      const end = Math.min(offset + length, size)
      if (end <= offset) return Buffer.alloc(0)
      const bytes = Buffer.alloc(end - offset)
      if (offset < source.size) source.read(offset, end - offset).copy(bytes)
      for (const write of writes) {
        const from = Math.max(offset, write.offset)
        const to = Math.min(end, write.offset + write.bytes.length)
        if (from < to) write.bytes.copy(bytes, from - offset, from - write.offset, to - write.offset)
      }
      return bytes
    },
  }
}

/** A source of zeros with other sources in their places, which do not overlap. */
export function laidOut(
  parts: readonly { readonly offset: number; readonly source: ByteSource }[],
  size: number,
): ByteSource {
  return {
    size,
    read(offset, length) {
      const bytes = Buffer.alloc(Math.max(0, Math.min(length, size - offset)))
      for (const { offset: start, source } of parts) {
        const from = Math.max(offset, start)
        const to = Math.min(offset + bytes.length, start + source.size)
        if (from < to) source.read(from - start, to - from).copy(bytes, from - offset)
      }
      return bytes
    },
  }
}

/** In bytes. */
const CHUNK = 1 << 20

/** The bytes from `start` to `end`, in pieces of at most 1 MiB. */
export function* chunks(source: ByteSource, start = 0, end = source.size): Generator<Buffer> {
  for (let at = start; at < end; at += CHUNK) yield source.read(at, Math.min(CHUNK, end - at))
}
