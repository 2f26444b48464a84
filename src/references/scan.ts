/**
 * References: store paths and bare store hashes in bytes, whatever the bytes are.
 *
 * Nix itself knows a reference by the 32 characters of its hash (libstore/references.cc). A bundle may hold neither
 * these nor `/nix/store`, so both are looked for: `/nix/store` in UTF-8, UTF-16 and UTF-32 of both byte orders, and
 * the hashes of known store paths in UTF-8.
 *
 * The scan is a stream: bytes are pushed in pieces of any size, and memory stays flat. A reference that lies across
 * two pieces is found because the last LOOKAHEAD bytes of what came are kept until what follows is there.
 */
import type { Encoding, Reference } from '../model.ts'
import { HASH_ALPHABET, HASH_LENGTH, STORE_DIR, STORE_PREFIX_LENGTH } from '../nix/store-path.ts'

/** The hashes that must not appear. `has` is asked for every run of 32 hash characters that `mayHave` lets through. */
export interface HashSet {
  has(hash: string): boolean
}

/** Bytes of one character, by encoding. */
export const WIDTH: Readonly<Record<Encoding, number>> = { utf8: 1, utf16le: 2, utf16be: 2, utf32le: 4, utf32be: 4 }

/** Characters of a reference's text that are kept: a path is never longer (PATH_MAX). */
const TEXT_MAX = 4096
/** Bytes that may be needed behind the first byte of a reference. */
const LOOKAHEAD = TEXT_MAX * 4

const PATTERN8 = Buffer.from(STORE_DIR, 'latin1')
/** `nix/store` with zeros between its characters: UTF-16 of either byte order holds it. */
const PATTERN16 = spread('nix/store', 2)
const PATTERN32 = spread('nix/store', 4)

function spread(text: string, width: number): Buffer {
  const bytes = Buffer.alloc((text.length - 1) * width + 1)
  for (let i = 0; i < text.length; i++) bytes[i * width] = text.charCodeAt(i)
  return bytes
}

/** 1 for each byte of the hash alphabet. */
const IS_HASH = new Uint8Array(256)
for (const c of HASH_ALPHABET) IS_HASH[c.charCodeAt(0)] = 1

/** 1 for each byte that cannot be part of a path in text: what shells, formats and people end a path with. */
const ENDS_PATH = new Uint8Array(256)
for (let c = 0; c <= 0x20; c++) ENDS_PATH[c] = 1
for (const c of '"\'`:;,()<>|&*$[]{}\\\x7f') ENDS_PATH[c.charCodeAt(0)] = 1

export class ReferenceScanner {
  readonly #hashes: HashSet | null
  readonly #emit: (reference: Reference) => void
  #kept: Buffer = Buffer.alloc(0)
  /** Bytes at the start of `#kept` in which no reference begins that was not emitted yet, per kind of search. */
  #done = 0
  /** Stream offset of the first byte of `#kept`. */
  #base = 0

  /** @param emit is called in order of offsets within one push, not across encodings */
  constructor(hashes: HashSet | null, emit: (reference: Reference) => void) {
    this.#hashes = hashes
    this.#emit = emit
  }

  push(piece: Buffer): void {
    this.#kept = this.#kept.length === 0 ? piece : Buffer.concat([this.#kept, piece])
    const limit = this.#kept.length - LOOKAHEAD
    if (limit > this.#done) this.#scan(limit)
  }

  end(): void {
    this.#scan(this.#kept.length)
  }

  /** Emits the references that begin in [done, limit), then forgets what lies well before `limit`. */
  #scan(limit: number): void {
    const bytes = this.#kept
    const from = this.#done
    this.#find(bytes, from, limit, PATTERN8, 1, 0)
    this.#find(bytes, from, limit, PATTERN16, 2, 2)
    this.#find(bytes, from, limit, PATTERN32, 4, 4)
    if (this.#hashes) this.#findHashes(bytes, from, limit, this.#hashes)
    // What lies before is looked at to tell a bare hash from a store path's: keep a prefix of it.
    const drop = Math.max(0, limit - STORE_PREFIX_LENGTH)
    // A copy: the piece belongs to the caller, who may fill it again.
    this.#kept = Buffer.from(bytes.subarray(drop))
    this.#base += drop
    this.#done = limit - drop
  }

  /** @param lead bytes from the reference's first character to the first byte of the pattern */
  #find(bytes: Buffer, from: number, limit: number, pattern: Buffer, width: number, lead: number): void {
    for (let at = bytes.indexOf(pattern, from + lead); at >= 0; at = bytes.indexOf(pattern, at + 1)) {
      const start = at - lead
      if (start >= limit) return
      if (start < from || bytes[start] !== 0x2f || !zeros(bytes, start + 1, at)) continue
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

  /**
   * Looks at the last byte of a window of 32 first: where that is no hash character, none of the 32 windows over it
   * can be a hash, and the search moves on by 32 bytes.
   */
  #findHashes(bytes: Buffer, from: number, limit: number, hashes: HashSet): void {
    const end = Math.min(bytes.length, limit + HASH_LENGTH - 1)
    let unknown = ''
    for (let start = from; start + HASH_LENGTH <= end; ) {
      let i = start + HASH_LENGTH - 1
      while (i >= start && IS_HASH[bytes[i]!] === 1) i--
      if (i >= start) {
        start = i + 1
        continue
      }
      const hash = bytes.toString('latin1', start, start + HASH_LENGTH)
      // A run of one character (a table of zeros) is asked for once.
      const known = hash !== unknown && hashes.has(hash)
      if (!known) unknown = hash
      else if (!followsStoreDir(bytes, start))
        this.#emit({ offset: this.#base + start, encoding: 'utf8', hash, bare: true, text: hash })
      start++
    }
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

const followsStoreDir = (bytes: Buffer, at: number): boolean =>
  at > STORE_DIR.length && bytes.toString('latin1', at - STORE_DIR.length - 1, at) === `${STORE_DIR}/`

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
