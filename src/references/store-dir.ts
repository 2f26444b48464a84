/**
 * References to another store directory than `/nix/store`: `/gnu/store`, `/opt/nix/store`. scan.ts is made for one
 * text of which no two pairs of neighbours are alike; this search takes any text, and as many passes as there are
 * widths of characters.
 */

import { HASH_LENGTH } from '../nix/store-path.ts'
import { encodingOf, isHash, readText, TEXT_MAX } from './encoded.ts'
import type { Reference } from './reference.ts'

const WIDTHS = [1, 2, 4] as const
/** Bytes that may be needed behind the first byte of a reference. */
const LOOKAHEAD = TEXT_MAX * 4

export class DirectoryScanner {
  readonly #directory: string
  readonly #patterns: readonly (readonly [number, Buffer])[]
  readonly #emit: (reference: Reference) => void
  /** What was seen and not yet searched. */
  #rest: Buffer = Buffer.alloc(0)
  /** Stream offset of its first byte. */
  #base = 0

  /** @param directory byte string without a slash at its end */
  constructor(directory: string, emit: (reference: Reference) => void) {
    this.#directory = directory
    this.#patterns = WIDTHS.map(width => {
      // Between the characters, not around them: so both byte orders are one pattern.
      const bytes = Buffer.alloc((directory.length - 1) * width + 1)
      for (let i = 0; i < directory.length; i++) bytes[i * width] = directory.charCodeAt(i)
      return [width, bytes] as const
    })
    this.#emit = emit
  }

  push(piece: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, piece])
    if (this.#rest.length > 2 * LOOKAHEAD) this.#search(this.#rest.length - LOOKAHEAD)
  }

  end(): void {
    this.#search(this.#rest.length)
  }

  /** Emits what begins before `limit`. */
  #search(limit: number): void {
    const bytes = this.#rest
    for (const [width, pattern] of this.#patterns)
      for (let at = bytes.indexOf(pattern); at >= 0 && at < limit; at = bytes.indexOf(pattern, at + 1)) {
        const text = readText(bytes, at, width)
        const hash = text.slice(this.#directory.length + 1, this.#directory.length + 1 + HASH_LENGTH)
        this.#emit({
          offset: this.#base + at,
          encoding: encodingOf(width, this.#base + at),
          hash: text[this.#directory.length] === '/' && isHash(hash) ? hash : null,
          bare: false,
          text,
        })
      }
    this.#base += limit
    this.#rest = bytes.subarray(limit)
  }
}
