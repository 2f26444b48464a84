/**
 * Two neighbours of bytes that `/nix/store` or a hash in a wide encoding may have: what a walk over all bytes asks of each
 * pair that it meets (scan.ts says why it meets all).
 */
import { STORE_DIR } from '../nix/store-path.ts'
import { ESCAPED_PAIRS } from './escaped.ts'
import { DIGIT, NONE } from './hash-filter.ts'

const STORE = Buffer.from(STORE_DIR, 'latin1')

/** Pairs of neighbours in STORE, and so the bytes from one look to the next. */
export const STEP = STORE.length - 1
/**
 * What a pair of bytes, the first one lower, may be: the number from 1 of a pair of STORE, or a bit for wide ones, or for
 * those of an escaped one.
 */
export const NUMBER = 0x0f
export const WIDE_STORE = 0x10
export const WIDE_HASH = 0x20
export const ESCAPED = 0x40
export const PAIRS = new Uint8Array(0x10000)
for (let c = 0; c < 256; c++) if (DIGIT[c] !== NONE) PAIRS[c] = WIDE_HASH
for (let k = 0; k < STEP; k++) {
  PAIRS[STORE[k]! | (STORE[k + 1]! << 8)] = k + 1
  PAIRS[STORE[k]!]! |= WIDE_STORE
}
for (const pair of ESCAPED_PAIRS) if (PAIRS[pair] === 0) PAIRS[pair] = ESCAPED

/** The pairs that are looked for without hashes: those that may begin one are none. */
export const STORE_PAIRS = PAIRS.slice()
for (let c = 0; c < 256; c++) STORE_PAIRS[c]! &= ~WIDE_HASH
