/**
 * A walk over bytes in steps, with a look at two neighbours at a time: of a text whose first pairs are as many as a step is
 * long, it meets one and only one, wherever the text begins. Pure.
 */

/** For both bytes of a pair in one load. */
export const viewOf = (bytes: Buffer): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length)

/**
 * The next place of one of these pairs in steps of `step` bytes; `end` or what is behind it when there is none.
 * @param pairs by the pair, its first byte lower: not 0 for those that are wanted
 */
export function nextPair(view: DataView, from: number, end: number, pairs: Uint8Array, step: number): number {
  let at = from
  // Most places have none: four are asked about at once.
  for (const last = end - 3 * step; at < last; at += 4 * step)
    if (
      (pairs[view.getUint16(at, true)]! |
        pairs[view.getUint16(at + step, true)]! |
        pairs[view.getUint16(at + 2 * step, true)]! |
        pairs[view.getUint16(at + 3 * step, true)]!) !==
      0
    )
      break
  while (at < end && pairs[view.getUint16(at, true)] === 0) at += step
  return at
}
