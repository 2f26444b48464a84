/**
 * Memory for the bytes of one file after another. New memory for each costs more than to read it, and V8, which does not
 * know how much there is, frees it late.
 */

/** What is kept for the next one. In bytes. */
const KEPT_MAX = 16 << 20
/** Files are seldom as long as the one before. In bytes. */
const STEP = 1 << 20

let kept: Buffer = Buffer.alloc(0)

/** Runs `use` with so many bytes, which are its own until it returns. What is in them is anything. */
export function withRoom<T>(size: number, use: (room: Buffer) => T): T {
  const whole = kept.length >= size ? kept : Buffer.allocUnsafeSlow(Math.ceil(size / STEP) * STEP)
  kept = Buffer.alloc(0)
  try {
    return use(whole.subarray(0, size))
  } finally {
    if (whole.length <= KEPT_MAX) kept = whole
  }
}
