/**
 * Extra fields of a zip, and the one among them that holds what four bytes cannot (APPNOTE.TXT 4.5.3).
 */

/** A 4-byte field that is full: the value stands in the extra field. */
export const FULL = 0xffffffff
const ZIP64_EXTRA = 1

/** Places of 8-byte fields in a zip64 extra field; null where the 4-byte field holds the value. */
export interface Wide {
  readonly size: number | null
  readonly packed: number | null
  readonly local: number | null
}

/** Places of the fields of a zip64 extra field (4.5.3), which holds only those that are full; null if one is missing. */
export function zip64(
  bytes: Buffer,
  start: number,
  end: number,
  size: boolean,
  packed: boolean,
  local: boolean,
): Wide | null {
  const wide = { size: null as number | null, packed: null as number | null, local: null as number | null }
  if (!size && !packed && !local) return wide
  const field = extraField(bytes, start, end, ZIP64_EXTRA)
  if (field === null) return null
  let at = field.start
  if (size) wide.size = at
  if (size) at += 8
  if (packed) wide.packed = at
  if (packed) at += 8
  if (local) wide.local = at
  if (local) at += 8
  return at <= field.end ? wide : null
}

/** Where the contents of an extra field lie. */
export function extraField(
  bytes: Buffer,
  start: number,
  end: number,
  id: number,
): { start: number; end: number } | null {
  for (let at = start; at + 4 <= end; ) {
    const next = at + 4 + bytes.readUInt16LE(at + 2)
    if (bytes.readUInt16LE(at) === id) return next <= end ? { start: at + 4, end: next } : null
    at = next
  }
  return null
}

/** A 64-bit value as a number; one beyond 2^53 fits no file, so it is Infinity and fails every check. */
export function u64(bytes: Buffer, at: number): number {
  const value = bytes.readBigUInt64LE(at)
  return value <= Number.MAX_SAFE_INTEGER ? Number(value) : Number.POSITIVE_INFINITY
}
