/**
 * References: store paths and bare store hashes in bytes, whatever the bytes are.
 *
 * Nix itself knows a reference by the 32 characters of its hash (libstore/references.cc). A bundle may hold neither
 * these nor `/nix/store`, so both are looked for, in UTF-8, UTF-16 and UTF-32 of both byte orders. Of a character of
 * either text, a wide encoding has the same byte as UTF-8 and zeros beside it; so a text is a row of bytes that lie
 * one, two or four apart (its *width*), with zeros between them.
 *
 * **`/nix/store`: one look at every ninth byte.** The text has nine pairs of a character and the byte behind it: its
 * next character in UTF-8, a zero in the wide encodings. These pairs begin `width` bytes apart. Nine is odd, so of nine
 * places in a row that are `width` apart, a walk in steps of nine bytes meets one and only one, for each width and
 * wherever the text begins. So it is enough to look at the pair of bytes at each ninth place. Few of them are pairs of
 * the text; and as no two of its nine pairs of characters are alike, a pair tells where the text would begin, and only
 * there it is compared. What is found is found once.
 *
 * **Escaped slashes** (`\\/nix\\/store`) are met by the same looks: escaped.ts says how.
 *
 * **Hashes in wide encodings** are found by the same looks: a character of a hash with a zero behind it may be one of
 * the first nine of a hash.
 *
 * **Hashes in UTF-8: one look at every 29th byte or so.** Where one of the last four bytes of a window of 32 is no
 * character of a hash, no window over it is a hash, and the search goes on behind it. Where all four are, they are
 * mostly in no hash of the set (hash-filter.ts), and no window over these four is one.
 *
 * The scan is a stream: bytes are pushed in pieces of any size, of which a piece may be filled again as soon as push() is
 * back. A large piece is searched where it lies; small ones, and where two pieces meet, are copied through one window
 * that fits into a CPU's cache, so memory stays flat. A reference that lies across two pieces is whole in the window:
 * what begins in its last LOOKAHEAD bytes, or in those of a large piece, waits for what follows.
 */

import { HASH_LENGTH, isTelling, STORE_DIR } from '../nix/store-path.ts'
import { encodingOf, endOfRun, followsStoreDir, groupAt, holds, readRun, readText, TEXT_MAX, zeros } from './encoded.ts'
import { beginsSlash, endsSlash, escapedAround, followsEscapedStoreDir, hashOf, readEscaped } from './escaped.ts'
import { DIGIT, filterOf, GROUP, type HashFilter, type HashSet, hasGroup, NONE, nextGroup } from './hash-filter.ts'
import { nextPair, viewOf } from './pairs.ts'
import type { Reference } from './reference.ts'
import { isQuiet, kindOf, placeOf, SIFTED, type Sift, type Sifted, sieve } from './sieve.ts'
import { ESCAPED, NUMBER, PAIRS, STEP, STORE_PAIRS, WIDE_HASH, WIDE_STORE } from './store-pairs.ts'

export type { HashSet } from './hash-filter.ts'

/** Every text that may be a hash is one: for asking whether there is any before it is known which there are. */
export const ANY_HASH: HashSet = { has: () => true }

/** Bytes that may be needed behind the first byte of a reference. */
const LOOKAHEAD = TEXT_MAX * 4
/** Bytes that are looked at before a bare hash, to tell it from a store path's: `/nix/store/` in UTF-32. */
const LOOKBACK = (STORE_DIR.length + 1) * 4
/** What the end of a piece is kept of, for what follows. In bytes. */
const SEAM = LOOKBACK + LOOKAHEAD
/** Beyond the level 2 cache of common CPUs the copy would cost as much as the search. In bytes. */
const WINDOW = 128 * 1024
/** To copy a smaller piece costs less than to look at its two ends again. In bytes. */
const LARGE = 64 * 1024
/** The same where it is known that nothing begins at its end. */
const LARGE_SIFTED = 32 * 1024
/** Of what begins before, so much is enough to know that it does: hashes in UTF-32 are the longest. In bytes. */
const REACH = 256
/** Fewer bytes are not worth to be sifted. */
const SIFTED_MIN = 512

const STORE = Buffer.from(STORE_DIR, 'latin1')

const SLASH = STORE[0]
/** Of the second slash in STORE. */
const MIDDLE = 4

/** Bytes that the sieve looks at together. */
const VECTOR = 16
const EMPTY = Buffer.alloc(0)
/** A window that no scanner uses, with its view: the next one need not make its own. */
let spare: Buffer = EMPTY
let spareView = viewOf(spare)

export class ReferenceScanner {
  readonly #hashes: HashSet | null
  #filter: HashFilter | null
  readonly #emit: (reference: Reference) => void
  /** Grows to WINDOW, as most of what is scanned are names of a few bytes; or is the one of a scanner that has ended. */
  #window: Buffer
  /** The window, for both bytes of a pair in one load. */
  #view: DataView
  /** Bytes in the window. */
  #length = 0
  /** Bytes at the window's start in which no reference begins that was not emitted yet. */
  #done = 0
  /** Stream offset of the window's first byte. */
  #base = 0
  /** What was asked last, and the answer: in a table of zeros all windows are alike. */
  #asked = ''
  #forbidden = false

  /** Stream offset of the last escaped store path: more than one of the looks may meet it. */
  #escaped = -1
  readonly #sieve: typeof sieve | null
  /** Made when it is needed. */
  #sift: Sift | null = null

  /**
   * @param emit is not called in order: scanReferences() sorts
   * @param by null: all bytes are looked at here
   */
  constructor(hashes: HashSet | null, emit: (reference: Reference) => void, by: typeof sieve | null = sieve) {
    this.#hashes = hashes
    this.#filter = hashes && filterOf(hashes)
    this.#emit = emit
    this.#sieve = by
    this.#window = spare
    this.#view = spareView
    spare = EMPTY
  }

  /** @param sifted what was let through of this piece, for hashes too where they are looked for, if somebody has asked */
  push(piece: Buffer, sifted?: Sifted | null): void {
    const known = sifted === undefined ? this.#sieve !== null : sifted !== null
    if (piece.length >= (known ? LARGE_SIFTED : LARGE)) this.#inPlace(piece, sifted)
    else this.#copy(piece)
  }

  /** What is let through of bytes; null for so few that it is not worth it. */
  #siftedOf(bytes: Buffer): Sifted | null {
    if (this.#sieve === null || bytes.length < SIFTED_MIN) return null
    this.#sift ??= this.#sieve(this.#filter !== null)
    return this.#sift(bytes)
  }

  #copy(piece: Buffer): void {
    for (let taken = 0; taken < piece.length; ) {
      this.#makeRoom(piece.length - taken)
      const n = piece.copy(this.#window, this.#length, taken)
      this.#length += n
      taken += n
    }
  }

  /** A piece where it lies; its first bytes with those that came before, its last ones when more has come. */
  #inPlace(piece: Buffer, known: Sifted | null | undefined): void {
    if (this.#length > 0) {
      this.#copy(piece.subarray(0, SEAM))
      this.#scan(this.#length - LOOKAHEAD)
      this.#base += this.#length - SEAM
      this.#done = LOOKBACK
    }
    const sifted = known === undefined ? this.#siftedOf(piece) : known
    // Where nothing begins in the last bytes but for the very last, none but these are needed.
    const open = sifted !== null && isQuiet(sifted, piece.length - LOOKAHEAD) ? REACH : LOOKAHEAD
    this.#searchParts(piece, piece.length - open, sifted)
    this.#base += piece.length - open - LOOKBACK
    this.#done = LOOKBACK
    this.#length = 0
    this.#copy(piece.subarray(-open - LOOKBACK))
  }

  /** All of these bytes at once: where nothing else is pushed, none of them need be copied. */
  scan(bytes: Buffer, sifted: Sifted | null = this.#siftedOf(bytes)): void {
    this.#searchParts(bytes, bytes.length, sifted)
  }

  /** Nothing may be pushed any more. */
  end(): void {
    this.#scan(this.#length)
    if (this.#window.length > spare.length) {
      spare = this.#window
      spareView = this.#view
    }
    this.#window = EMPTY
    this.#length = 0
  }

  /** From here on hashes that stand alone are passed over. May be called while one is emitted. */
  ignoreHashes(): void {
    this.#filter = null
  }

  #makeRoom(wanted: number): void {
    if (this.#length < this.#window.length) return
    if (this.#length < WINDOW) {
      const size = Math.min(WINDOW, Math.max(this.#length + wanted, 2 * this.#length))
      this.#window = Buffer.concat([this.#window.subarray(0, this.#length)], size)
      this.#view = viewOf(this.#window)
      return
    }
    this.#slide()
  }

  /** Emits what begins in the window and is whole for certain. Its last SEAM bytes stay. */
  #slide(): void {
    const limit = this.#length - LOOKAHEAD
    this.#scan(limit)
    const drop = limit - LOOKBACK
    this.#window.copyWithin(0, drop, this.#length)
    this.#base += drop
    this.#length -= drop
    this.#done = LOOKBACK
  }

  #scan(limit: number): void {
    if (this.#length === 0) return
    const bytes = this.#window.subarray(0, this.#length)
    const sifted = limit - this.#done < SIFTED_MIN ? null : this.#siftedOf(bytes)
    if (sifted === null) this.#search(bytes, this.#view, limit)
    else this.#judge(bytes, sifted, limit)
  }

  /** Emits the references that begin in [done, limit); in parts that stay in the cache while they are gone through twice. */
  #searchParts(bytes: Buffer, limit: number, sifted: Sifted | null): void {
    if (sifted !== null) {
      this.#judge(bytes, sifted, limit)
      return
    }
    const view = viewOf(bytes)
    for (; this.#done + WINDOW < limit; this.#done += WINDOW) this.#search(bytes, view, this.#done + WINDOW)
    this.#search(bytes, view, limit)
  }

  /** Emits the references that begin in [done, limit), of what the sieve has let through. */
  #judge(bytes: Buffer, sifted: Sifted, limit: number): void {
    const from = this.#done
    for (const entry of sifted) {
      const at = placeOf(entry)
      switch (kindOf(entry)) {
        case SIFTED.nix:
          if (bytes[at - 1] === SLASH && bytes[at + MIDDLE - 1] === SLASH)
            this.#compareStore(bytes, at - 1, 1, from, limit)
          else this.#compareEscaped(bytes, at, from, limit)
          break
        case SIFTED.wide:
          this.#compareStore(bytes, at, bytes[at + 2] !== 0 ? 2 : 4, from, limit)
          break
        case SIFTED.wideHashes:
          this.#compareWideHashes(bytes, at, from, limit)
      }
    }
    let row = 0
    for (const entry of sifted) {
      if (kindOf(entry) === SIFTED.hashes) row = Math.max(from, placeOf(entry) - VECTOR + 1)
      else if (kindOf(entry) === SIFTED.hashesEnd && this.#filter !== null)
        this.#findHashes(bytes, this.#filter.within, row, Math.min(limit, placeOf(entry) + 1))
    }
  }

  /** Finds the hashes of a wide encoding around the vector at `at`, of which every second is looked at. */
  #compareWideHashes(bytes: Buffer, at: number, from: number, limit: number): void {
    let first = at
    while (DIGIT[bytes[first]!] === NONE) first++
    const width = DIGIT[bytes[first + 2]!] !== NONE ? 2 : 4
    // Those that begin before are around the one before.
    const least = Math.max(from, at - 2 * VECTOR + 1)
    if (!this.#mayHold(bytes, first, width)) return
    let start = first
    while (start - width >= least && DIGIT[bytes[start - width]!] !== NONE && zeros(bytes, start - width + 1, start))
      start -= width
    const stop = endOfRun(bytes, first, first + HASH_LENGTH * width, width)
    for (; start <= at && start + HASH_LENGTH * width <= stop; start += width)
      if (start >= from && start < limit) this.#ask(bytes, start, width)
  }

  /**
   * Emits the references that begin in [done, limit), by looks at all bytes.
   * @param view of these bytes, or of more
   */
  #search(bytes: Buffer, view: DataView, limit: number): void {
    const from = this.#done
    const pairs = this.#filter === null ? STORE_PAIRS : PAIRS
    // The last of the first nine characters of what begins before `limit`, in UTF-32.
    const end = Math.min(bytes.length - 1, limit + (STEP - 1) * 4)
    for (let at = nextPair(view, from, end, pairs, STEP); at < end; at = nextPair(view, at + STEP, end, pairs, STEP)) {
      const pair = pairs[view.getUint16(at, true)]!
      if ((pair & (WIDE_STORE | WIDE_HASH)) !== 0) {
        this.#compareWide(bytes, at, from, limit)
        continue
      }
      if (pair === ESCAPED) {
        this.#compareEscaped(bytes, at, from, limit)
        continue
      }
      const start = at - (pair - 1)
      const middle = bytes[start + MIDDLE]!
      if (middle === SLASH && bytes[start] === SLASH) this.#compareStore(bytes, start, 1, from, limit)
      else if (pair > MIDDLE ? endsSlash(middle) : beginsSlash(middle)) this.#compareEscaped(bytes, at, from, limit)
    }
    if (this.#filter !== null) this.#findHashes(bytes, this.#filter.within, from, limit)
  }

  /** Looks for a `/nix/store` that begins at `start`. */
  #compareStore(bytes: Buffer, start: number, width: number, from: number, limit: number): void {
    if (start < from || start >= limit || !holds(bytes, start, width, STORE)) return
    const text = readText(bytes, start, width)
    const offset = this.#base + start
    this.#emit({ offset, encoding: encodingOf(width, offset), hash: hashOf(text), bare: false, text })
  }

  /** Looks for an escaped store path that has the pair at `at` in it. */
  #compareEscaped(bytes: Buffer, at: number, from: number, limit: number): void {
    const found = escapedAround(bytes, at)
    if (found === null || found.start < from || found.start >= limit) return
    const { start, slash } = found
    const offset = this.#base + start
    if (offset === this.#escaped) return
    this.#escaped = offset
    const { text, raw } = readEscaped(bytes, start, slash)
    this.#emit({ offset, encoding: 'utf8', hash: hashOf(text), bare: false, text, escaped: { slash, raw } })
  }

  /** Looks for what has one of its first nine characters at `at`, with a zero behind it. */
  #compareWide(bytes: Buffer, at: number, from: number, limit: number): void {
    const width = bytes[at + 2] !== 0 ? 2 : 4
    const next = bytes[at + width]
    if (!next || (width === 4 && bytes[at + 3] !== 0)) return
    const pair = PAIRS[bytes[at]! | (next << 8)]! & NUMBER
    if (pair !== 0) this.#compareStore(bytes, at - (pair - 1) * width, width, from, limit)
    // Of a hash, the half behind its first characters follows.
    if (DIGIT[next] !== NONE && this.#mayHold(bytes, at, width) && this.#mayHold(bytes, at + 16 * width, width))
      this.#compareHash(bytes, at, width, from, limit)
  }

  /** Whether the four characters at `at` may be in a hash. */
  #mayHold(bytes: Buffer, at: number, width: number): boolean {
    if (this.#filter === null) return false
    const group = groupAt(bytes, at, width)
    return group >= 0 && hasGroup(this.#filter.within, group)
  }

  /** Finds the hashes of a wide encoding of which one of the first nine characters is the byte at `at`. */
  #compareHash(bytes: Buffer, at: number, width: number, from: number, limit: number): void {
    const stop = endOfRun(bytes, at, at + HASH_LENGTH * width, width)
    for (let k = 0; k < STEP; k++) {
      const start = at - k * width
      if (start < from || DIGIT[bytes[start]!] === NONE || (k > 0 && !zeros(bytes, start + 1, start + width))) return
      if (start < limit && start + HASH_LENGTH * width <= stop) this.#ask(bytes, start, width)
    }
  }

  #findHashes(bytes: Buffer, within: Uint8Array, from: number, limit: number): void {
    const end = Math.min(bytes.length, limit + HASH_LENGTH - 1)
    let last = nextGroup(bytes, from + HASH_LENGTH - 1, end, within)
    while (last < end && this.#filter !== null) {
      this.#askAround(bytes, last - GROUP + 1, end)
      last = nextGroup(bytes, last + HASH_LENGTH - GROUP + 1, end, within)
    }
  }

  /** Asks for each window that holds the group at `at`, from the one that ends with it to the one that begins with it. */
  #askAround(bytes: Buffer, at: number, end: number): void {
    let start = at
    while (start > at + GROUP - HASH_LENGTH && DIGIT[bytes[start - 1]!] !== NONE) start--
    const stop = endOfRun(bytes, at + GROUP, Math.min(end, at + HASH_LENGTH), 1)
    for (; start + HASH_LENGTH <= stop && this.#filter !== null; start++) this.#ask(bytes, start, 1)
  }

  /** Emits the hash at `start`, where 32 characters of a hash lie. */
  #ask(bytes: Buffer, start: number, width: number): void {
    if (this.#filter === null || !hasGroup(this.#filter.first, groupAt(bytes, start, width))) return
    const hash = readRun(bytes, start, start + HASH_LENGTH * width, width)
    if (hash !== this.#asked) {
      this.#asked = hash
      this.#forbidden = this.#hashes!.has(hash) && isTelling(hash)
    }
    if (!this.#forbidden || followsStoreDir(bytes, start, width)) return
    if (width === 1 && followsEscapedStoreDir(bytes, start)) return
    const offset = this.#base + start
    this.#emit({ offset, encoding: encodingOf(width, offset), hash, bare: true, text: hash })
  }
}

/** Every reference of some bytes, by offset. */
export function scanReferences(
  pieces: Iterable<Buffer>,
  hashes: HashSet | null,
  by: typeof sieve | null = sieve,
): Reference[] {
  const references: Reference[] = []
  const scanner = new ReferenceScanner(hashes, reference => references.push(reference), by)
  for (const piece of pieces) scanner.push(piece)
  scanner.end()
  return references.sort((a, b) => a.offset - b.offset)
}
