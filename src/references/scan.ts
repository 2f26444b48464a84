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
 * the text, and only around these the whole text is compared. What is found is found once.
 *
 * **Hashes in wide encodings** are found by the same looks: a character of a hash with a zero behind it may be one of
 * the first nine of a hash.
 *
 * **Hashes in UTF-8: one look at every 32nd byte.** Where the last byte of a window of 32 is no character of a hash,
 * none of the 32 windows over it is a hash, and the search goes on behind it.
 *
 * The scan is a stream: bytes are pushed in pieces of any size and are copied through one window that fits into a
 * CPU's cache, so memory stays flat and a piece may be filled again as soon as push() is back. A reference that lies
 * across two pieces is whole in the window: what begins in its last LOOKAHEAD bytes waits for what follows.
 */
import type { Encoding, Reference } from '../model.ts'
import { HASH_ALPHABET, HASH_LENGTH, STORE_DIR, STORE_PREFIX_LENGTH } from '../nix/store-path.ts'

/** The hashes that must not appear. `has` is asked for every run of 32 hash characters. */
export interface HashSet {
  has(hash: string): boolean
}

/** Bytes of one character, by encoding. */
export const WIDTH: Readonly<Record<Encoding, number>> = { utf8: 1, utf16le: 2, utf16be: 2, utf32le: 4, utf32be: 4 }

/** Characters of a reference's text that are kept: a path is never longer (PATH_MAX). */
const TEXT_MAX = 4096
const WIDTHS = [1, 2, 4] as const
const WIDE = [2, 4] as const
/** Bytes that may be needed behind the first byte of a reference. */
const LOOKAHEAD = TEXT_MAX * 4
/** Bytes that are looked at before a bare hash, to tell it from a store path's: `/nix/store/` in UTF-32. */
const LOOKBACK = (STORE_DIR.length + 1) * 4
/** Beyond the level 2 cache of common CPUs the copy would cost as much as the search. In bytes. */
const WINDOW = 128 * 1024

const STORE = Buffer.from(STORE_DIR, 'latin1')
const STORE_SLASH = Buffer.from(`${STORE_DIR}/`, 'latin1')
/** 1 for each byte of the hash alphabet. */
const IS_HASH = new Uint8Array(256)
for (const c of HASH_ALPHABET) IS_HASH[c.charCodeAt(0)] = 1

/** Pairs of neighbours in STORE, and so the bytes from one look to the next. */
const STEP = STORE.length - 1
/** What a pair of bytes, the first one lower, may be part of. */
const PART_OF_STORE = 1
const PART_OF_WIDE_HASH = 2
const PAIRS = new Uint8Array(0x10000)
for (let c = 0; c < 256; c++) if (IS_HASH[c] === 1) PAIRS[c] = PART_OF_WIDE_HASH
for (let k = 0; k < STEP; k++) {
  PAIRS[STORE[k]! | (STORE[k + 1]! << 8)]! |= PART_OF_STORE
  PAIRS[STORE[k]!]! |= PART_OF_STORE
}

/** 1 for each byte that cannot be part of a path in text: what shells, formats and people end a path with. */
const ENDS_PATH = new Uint8Array(256)
for (let c = 0; c <= 0x20; c++) ENDS_PATH[c] = 1
for (const c of '"\'`:;,()<>|&*$[]{}\\\x7f') ENDS_PATH[c.charCodeAt(0)] = 1

export class ReferenceScanner {
  readonly #hashes: HashSet | null
  readonly #emit: (reference: Reference) => void
  /** Grows to WINDOW: most of what is scanned are names of a few bytes. */
  #window: Buffer = Buffer.alloc(0)
  /** Bytes in the window. */
  #length = 0
  /** Bytes at the window's start in which no reference begins that was not emitted yet. */
  #done = 0
  /** Stream offset of the window's first byte. */
  #base = 0

  /** @param emit is not called in order: scanReferences() sorts */
  constructor(hashes: HashSet | null, emit: (reference: Reference) => void) {
    this.#hashes = hashes
    this.#emit = emit
  }

  push(piece: Buffer): void {
    for (let taken = 0; taken < piece.length; ) {
      this.#makeRoom(piece.length - taken)
      const n = piece.copy(this.#window, this.#length, taken)
      this.#length += n
      taken += n
    }
  }

  end(): void {
    this.#scan(this.#length)
  }

  #makeRoom(wanted: number): void {
    if (this.#length < this.#window.length) return
    if (this.#length < WINDOW) {
      const size = Math.min(WINDOW, Math.max(this.#length + wanted, 2 * this.#length))
      this.#window = Buffer.concat([this.#window.subarray(0, this.#length)], size)
      return
    }
    const limit = this.#length - LOOKAHEAD
    this.#scan(limit)
    const drop = limit - LOOKBACK
    this.#window.copyWithin(0, drop, this.#length)
    this.#base += drop
    this.#length -= drop
    this.#done = LOOKBACK
  }

  /** Emits the references that begin in [done, limit). */
  #scan(limit: number): void {
    const bytes = this.#window.subarray(0, this.#length)
    const from = this.#done
    const wanted = this.#hashes === null ? PART_OF_STORE : PART_OF_STORE | PART_OF_WIDE_HASH
    // The last of the first nine characters of what begins before `limit`, in UTF-32.
    const end = Math.min(bytes.length - 1, limit + (STEP - 1) * 4)
    for (let at = from; at < end; at += STEP) {
      const part = PAIRS[bytes[at]! | (bytes[at + 1]! << 8)]! & wanted
      if (part === 0) continue
      if ((part & PART_OF_STORE) !== 0) this.#compareStore(bytes, at, from, limit)
      if ((part & PART_OF_WIDE_HASH) !== 0) for (const width of WIDE) this.#compareHash(bytes, at, width, from, limit)
    }
    if (this.#hashes !== null) this.#findHashes(bytes, from, limit)
  }

  /** Finds the `/nix/store` of which one of the first nine characters is the byte at `at`. */
  #compareStore(bytes: Buffer, at: number, from: number, limit: number): void {
    for (let k = 0; k < STEP; k++) {
      if (STORE[k] !== bytes[at]) continue
      for (const width of WIDTHS) {
        const start = at - k * width
        if (start < from || start >= limit || !holds(bytes, start, width, STORE)) continue
        const text = readText(bytes, start, width)
        const hash = text.slice(STORE_DIR.length + 1, STORE_PREFIX_LENGTH - 1)
        this.#emit({
          offset: this.#base + start,
          encoding: encodingOf(width, this.#base + start),
          hash: text[STORE_DIR.length] === '/' && isHash(hash) ? hash : null,
          bare: false,
          text,
        })
      }
    }
  }

  /** Finds the hashes of a wide encoding of which one of the first nine characters is the byte at `at`. */
  #compareHash(bytes: Buffer, at: number, width: number, from: number, limit: number): void {
    const stop = endOfRun(bytes, at, at + HASH_LENGTH * width, width)
    if (stop - at < (HASH_LENGTH - STEP + 1) * width) return
    for (let k = 0; k < STEP; k++) {
      const start = at - k * width
      if (start < from || IS_HASH[bytes[start]!] !== 1 || (k > 0 && !zeros(bytes, start + 1, start + width))) return
      if (start < limit && start + HASH_LENGTH * width <= stop)
        this.#ask(bytes, start, width, readRun(bytes, start, start + HASH_LENGTH * width, width))
    }
  }

  #findHashes(bytes: Buffer, from: number, limit: number): void {
    const end = Math.min(bytes.length, limit + HASH_LENGTH - 1)
    for (let start = from; start + HASH_LENGTH <= end; ) {
      let at = start + HASH_LENGTH - 1
      while (at >= start && IS_HASH[bytes[at]!] === 1) at--
      start = at < start ? this.#askRun(bytes, start, end) : at + 1
    }
  }

  /**
   * Asks for each window of the run of hash characters that begins with a whole window at `start`.
   * @returns the end of the run
   */
  #askRun(bytes: Buffer, start: number, end: number): number {
    const stop = endOfRun(bytes, start, end, 1)
    const run = readRun(bytes, start, stop, 1)
    let forbidden = false
    /** Characters at the window's end that equal the one before them. */
    let same = 0
    for (let i = 0; i + HASH_LENGTH <= run.length; i++) {
      const last = i + HASH_LENGTH - 1
      same = i > 0 && run.charCodeAt(last) === run.charCodeAt(last - 1) ? same + 1 : 0
      // In a long run of one character (a table of zeros) this window is the one before it again.
      if (same < HASH_LENGTH || forbidden) forbidden = this.#ask(bytes, start + i, 1, run.slice(i, i + HASH_LENGTH))
    }
    return stop
  }

  #ask(bytes: Buffer, start: number, width: number, hash: string): boolean {
    if (!this.#hashes!.has(hash)) return false
    const offset = this.#base + start
    if (!followsStoreDir(bytes, start, width))
      this.#emit({ offset, encoding: encodingOf(width, offset), hash, bare: true, text: hash })
    return true
  }
}

/** Every reference of some bytes, by offset. */
export function scanReferences(pieces: Iterable<Buffer>, hashes: HashSet | null): Reference[] {
  const references: Reference[] = []
  const scanner = new ReferenceScanner(hashes, reference => references.push(reference))
  for (const piece of pieces) scanner.push(piece)
  scanner.end()
  return references.sort((a, b) => a.offset - b.offset)
}

const isHash = (text: string): boolean =>
  text.length === HASH_LENGTH && [...text].every(c => IS_HASH[c.charCodeAt(0)] === 1)

/** The end, at most `end`, of the run of hash characters that begins at `start`. */
function endOfRun(bytes: Buffer, start: number, end: number, width: number): number {
  const stop = Math.min(end, bytes.length)
  let at = start
  while (at < stop && IS_HASH[bytes[at]!] === 1 && (at === start || zeros(bytes, at - width + 1, at))) at += width
  return at
}

function readRun(bytes: Buffer, start: number, stop: number, width: number): string {
  if (width === 1) return bytes.toString('latin1', start, stop)
  let text = ''
  for (let at = start; at < stop; at += width) text += String.fromCharCode(bytes[at]!)
  return text
}

/** Whether a text of this width lies at `start`. */
function holds(bytes: Buffer, start: number, width: number, text: Buffer): boolean {
  if (start < 0 || start + (text.length - 1) * width >= bytes.length) return false
  for (let k = 0; k < text.length; k++) {
    const at = start + k * width
    if (bytes[at] !== text[k] || (k > 0 && !zeros(bytes, at - width + 1, at))) return false
  }
  return true
}

const followsStoreDir = (bytes: Buffer, at: number, width: number): boolean =>
  holds(bytes, at - STORE_SLASH.length * width, width, STORE_SLASH) && zeros(bytes, at - width + 1, at)

function zeros(bytes: Buffer, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (bytes[i] !== 0) return false
  return true
}

/** Inside a text the two byte orders look alike; the alignment of the character tells which it is. */
function encodingOf(width: number, offset: number): Encoding {
  if (width === 1) return 'utf8'
  if (width === 2) return offset % 2 === 0 ? 'utf16le' : 'utf16be'
  return offset % 4 === 0 ? 'utf32le' : 'utf32be'
}

function readText(bytes: Buffer, start: number, width: number): string {
  let end = start
  const stop = Math.min(bytes.length, start + TEXT_MAX * width)
  if (width === 1) {
    while (end < stop && ENDS_PATH[bytes[end]!] === 0) end++
    return bytes.toString('latin1', start, end)
  }
  let text = ''
  for (; end < stop && ENDS_PATH[bytes[end]!] === 0; end += width) {
    if (end > start && !zeros(bytes, end - width + 1, end)) break
    text += String.fromCharCode(bytes[end]!)
  }
  return text
}
