/**
 * What four characters in a row tell of hashes: a quick no to nearly every question whether a hash lies here.
 *
 * A hash has 29 groups of four neighbours, of the 32^4 (a million) that there are. So of a closure with 2000 hashes
 * fifteen groups of sixteen are in none of them, and there is no hash around one of these; and only one group of five
 * hundred begins one. Both are tables of a bit for each group, 128 KiB, which stay in the cache. In a large store more
 * groups are in use, and more questions are asked of the set itself.
 */
import { HASH_ALPHABET, HASH_LENGTH } from '../nix/store-path.ts'

/** The hashes that must not appear. */
export interface HashSet {
  has(hash: string): boolean
}

/** Characters that are looked at together. */
export const GROUP = 4
/** Of a byte that is no character of a hash. */
export const NONE = 32
/** 0..31 for each byte of the hash alphabet, else NONE. */
export const DIGIT = new Uint8Array(256).fill(NONE)
for (let i = 0; i < HASH_ALPHABET.length; i++) DIGIT[HASH_ALPHABET.charCodeAt(i)] = i

/** For each group a bit: whether it may be in a hash of the set, and whether it may begin one. */
export interface HashFilter {
  readonly within: Uint8Array
  readonly first: Uint8Array
}

const BYTES = 32 ** GROUP / 8
/** Of a set that cannot be listed: it has to be asked. */
let any: HashFilter | null = null
const anyFilter = (): HashFilter => {
  const all = new Uint8Array(BYTES).fill(0xff)
  return { within: all, first: all }
}

const made = new WeakMap<HashSet, { filter: HashFilter; size: number }>()

/** The filter of a set, made once: a set may grow from one call to the next, and loses nothing. */
export function filterOf(hashes: HashSet): HashFilter {
  if (!(hashes instanceof Set)) return (any ??= anyFilter())
  const known = made.get(hashes)
  if (known?.size === hashes.size) return known.filter
  const filter = { within: new Uint8Array(BYTES), first: new Uint8Array(BYTES) }
  for (const hash of hashes as ReadonlySet<string>) {
    let group = 0
    for (let i = 0; i < HASH_LENGTH; i++) {
      group = ((group << 5) | DIGIT[hash.charCodeAt(i) & 0xff]!) & (32 ** GROUP - 1)
      if (i >= GROUP - 1) filter.within[group >> 3]! |= 1 << (group & 7)
      if (i === GROUP - 1) filter.first[group >> 3]! |= 1 << (group & 7)
    }
  }
  made.set(hashes, { filter, size: hashes.size })
  return filter
}

/** Whether the bit of a group is set. */
export const hasGroup = (bits: Uint8Array, group: number): boolean => ((bits[group >> 3]! >> (group & 7)) & 1) === 1

/**
 * The last byte of the next four that may be in a hash, when windows of 32 end at `from` and behind it; `end` or what
 * is behind it when there are none.
 */
export function nextGroup(bytes: Buffer, from: number, end: number, within: Uint8Array): number {
  let last = from
  while (last < end) {
    const d = DIGIT[bytes[last]!]!
    if (d === NONE) {
      last += HASH_LENGTH
      continue
    }
    const a = DIGIT[bytes[last - 3]!]!
    const b = DIGIT[bytes[last - 2]!]!
    const c = DIGIT[bytes[last - 1]!]!
    if (((a | b | c) & NONE) === 0 && hasGroup(within, (a << 15) | (b << 10) | (c << 5) | d)) return last
    last += HASH_LENGTH - GROUP + 1
  }
  return last
}
