/**
 * Store paths that a compiler has taken apart into numbers. gcc makes a short-lived copy of a string by storing eight
 * bytes at a time (`movabs $0x6f74732f78696e2f,%rax`), and so does Go of `[]byte("/nix/store/...")`. No file holds the path
 * then, and no scan can tell which it is; but its beginning is one of the numbers, and nothing else holds
 * `nix/sto` without the rest of it. (Not so where the path begins two bytes or more into a number.)
 */
import { kindOf, placeOf, SIFTED, type Sifted } from './sieve.ts'

const PIECE = Buffer.from('nix/sto', 'latin1')
/** Its end is what is searched for: machine code has few slashes, and an `n` in every hundred bytes. */
const END = PIECE.subarray(3)
const BEGINNING = PIECE.length - END.length
const REST = Buffer.from('re', 'latin1')
const WHOLE = PIECE.length + REST.length
const MAGIC = 4
const EMPTY = Buffer.alloc(0)
/** What files of machine code begin with: ELF, Mach-O in both byte orders, universal Mach-O. */
const CODE = new Set([0x7f454c46, 0xfeedface, 0xfeedfacf, 0xcefaedfe, 0xcffaedfe, 0xcafebabe, 0xcafebabf])

/** Looks for such a number in a file of machine code, piece by piece; other files are passed over. */
export class ApartSearch {
  /** File offset of the first that was found, or -1. */
  found = -1
  /** Null: not yet known. */
  #isCode: boolean | null = null
  #head: Buffer = EMPTY
  #offset = 0
  /** The end of what was pushed, in which one may begin. */
  #tail: Buffer = EMPTY

  /** @param sifted what was let through of these bytes; null: they are looked at here */
  push(next: Buffer, sifted: Sifted | null = null): void {
    let piece = next
    if (this.#isCode === null) {
      // The first pieces may be shorter than what tells.
      piece = this.#head.length === 0 ? next : Buffer.concat([this.#head, next])
      this.#head = piece.length < MAGIC ? Buffer.from(piece) : this.#head
      if (piece.length < MAGIC) return
      this.#isCode = CODE.has(piece.readUInt32BE(0))
    }
    if (!this.#isCode || this.found >= 0) return
    const across = Buffer.concat([this.#tail, piece.subarray(0, WHOLE - 1)])
    this.#search(across, this.#offset - this.#tail.length)
    if (sifted !== null && piece === next) this.#judge(piece, this.#offset, sifted)
    else this.#search(piece, this.#offset)
    this.#offset += piece.length
    this.#tail = Buffer.from(piece.length < WHOLE ? across.subarray(1 - WHOLE) : piece.subarray(1 - WHOLE))
  }

  #search(bytes: Buffer, base: number): void {
    for (let end = bytes.indexOf(END, BEGINNING); end >= 0; end = bytes.indexOf(END, end + 1)) {
      const at = end - BEGINNING
      if (bytes.compare(PIECE, 0, BEGINNING, at, end) === 0) this.#compareRest(bytes, base, at)
    }
  }

  #judge(bytes: Buffer, base: number, sifted: Sifted): void {
    for (const entry of sifted) {
      if (kindOf(entry) !== SIFTED.nix) continue
      const at = placeOf(entry)
      if (PIECE.equals(bytes.subarray(at, at + PIECE.length))) this.#compareRest(bytes, base, at)
    }
  }

  #compareRest(bytes: Buffer, base: number, at: number): void {
    // At its end, the next piece tells.
    if (at + WHOLE > bytes.length || this.found >= 0) return
    if (!bytes.subarray(at + PIECE.length, at + WHOLE).equals(REST)) this.found = base + at
  }
}
