/**
 * Whether bytes may begin a deflate stream (RFC 1951, 3.2.3), told by its first block without unpacking anything. Of
 * random bytes one in several hundred may; all real streams do.
 */

/** A stream of fewer bytes of contents holds nothing that is looked for: `/nix/store` and a character. */
const CONTENTS_MIN = 11
/** So many symbols of a block with fixed codes are read: a distance that leads before the start shows soon. */
const SYMBOLS = 128
const CODE_LENGTHS = 19
/** The code lengths' own come in this order (RFC 1951, 3.2.7). */
const ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]
/** The symbol that ends a block. */
const END = 256
/** What zlib takes (inflate.c): of these numbers fewer are used than bits allow. */
const [LITERALS_MAX, DISTANCES_MAX] = [286, 30]

/** Reads bits from the lowest on; -1 behind the end. */
class Bits {
  readonly #bytes: Buffer
  #at: number
  #held = 0
  #count = 0

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes
    this.#at = at
  }

  take(count: number): number {
    while (this.#count < count) {
      if (this.#at >= this.#bytes.length) return -1
      this.#held |= this.#bytes[this.#at++]! << this.#count
      this.#count += 8
    }
    const bits = this.#held & ((1 << count) - 1)
    this.#held >>>= count
    this.#count -= count
    return bits
  }

  /** A Huffman code: its first bit is the highest. */
  code(count: number): number {
    let code = 0
    for (let i = 0; i < count; i++) {
      const bit = this.take(1)
      if (bit < 0) return -1
      code = (code << 1) | bit
    }
    return code
  }
}

/** @param at where the first block begins; where bytes end too soon to tell, it may */
export function mayBeDeflate(bytes: Buffer, at: number): boolean {
  if (at >= bytes.length) return true
  const last = (bytes[at]! & 1) === 1
  const type = (bytes[at]! >> 1) & 3
  if (type === 0) return isStored(bytes, at + 1, last)
  if (type === 3) return false
  const bits = new Bits(bytes, at)
  bits.take(3)
  return type === 1 ? isFixed(bits) : isDynamic(bits)
}

/** A length, and the same with all bits turned. */
function isStored(bytes: Buffer, at: number, last: boolean): boolean {
  if (at + 4 > bytes.length) return true
  const length = bytes[at]! | (bytes[at + 1]! << 8)
  // Tables of small numbers look like blocks of nothing.
  return (length ^ (bytes[at + 2]! | (bytes[at + 3]! << 8))) === 0xffff && length >= (last ? CONTENTS_MIN : 1)
}

/** The codes of the code lengths, of literals and of distances have to be as zlib takes them (inftrees.c). */
function isDynamic(bits: Bits): boolean {
  const literals = bits.take(5) + 257
  const distances = bits.take(5) + 1
  const count = bits.take(4) + 4
  if (literals > LITERALS_MAX || distances > DISTANCES_MAX || count > CODE_LENGTHS) return false
  const lengths = new Uint8Array(CODE_LENGTHS)
  let sum = 0
  for (let i = 0; i < count; i++) {
    const length = bits.take(3)
    if (length < 0) return true
    lengths[ORDER[i]!] = length
    if (length > 0) sum += 128 >> length
  }
  if (sum !== 128) return false
  const codes = readCodes(bits, lengths, literals + distances)
  if (typeof codes === 'boolean') return codes
  return codes[END]! > 0 && isCode(codes.subarray(0, literals)) && isCode(codes.subarray(literals))
}

/** As many code lengths; whether they may go on where bits end too soon, or false where they cannot be. */
function readCodes(bits: Bits, lengths: Uint8Array, count: number): Uint8Array | boolean {
  const codes = new Uint8Array(count)
  for (let i = 0; i < count; ) {
    const symbol = symbolOf(bits, lengths)
    if (symbol < 0) return true
    if (symbol < 16) {
      codes[i++] = symbol
      continue
    }
    const more = bits.take(symbol === 16 ? 2 : symbol === 17 ? 3 : 7)
    if (more < 0) return true
    const end = i + more + (symbol === 18 ? 11 : 3)
    if (end > count || (symbol === 16 && i === 0)) return false
    codes.fill(symbol === 16 ? codes[i - 1]! : 0, i, end)
    i = end
  }
  return codes
}

/** The next symbol of a complete code of up to 7 bits; -1 behind the end. Codes of a length are in the order of symbols. */
function symbolOf(bits: Bits, lengths: Uint8Array): number {
  let [code, first] = [0, 0]
  for (let length = 1; length <= 7; length++) {
    const bit = bits.take(1)
    if (bit < 0) return -1
    code |= bit
    let rest = code - first
    for (let symbol = 0; symbol < CODE_LENGTHS; symbol++)
      if (lengths[symbol] === length) {
        first++
        if (rest-- === 0) return symbol
      }
    code <<= 1
    first <<= 1
  }
  return -1
}

/** Whether codes of these lengths are complete: all bits mean something. One alone, and none, may be all there is. */
function isCode(lengths: Uint8Array): boolean {
  let [sum, longest] = [0, 0]
  for (const length of lengths)
    if (length > 0) {
      sum += 1 << (15 - length)
      longest = Math.max(longest, length)
    }
  return sum === 1 << 15 || (sum < 1 << 15 && longest <= 1)
}

/** The first symbols: each distance has to lead to what was there before. A block of nearly nothing begins no stream. */
function isFixed(bits: Bits): boolean {
  let made = 0
  for (let i = 0; i < SYMBOLS; i++) {
    const symbol = fixedSymbol(bits)
    if (symbol < 0) return true
    if (symbol < 256) made++
    else if (symbol === 256) return made >= CONTENTS_MIN
    else {
      if (symbol > 285) return false
      const extra = symbol < 265 || symbol === 285 ? 0 : (symbol - 261) >> 2
      const more = bits.take(extra)
      const code = bits.code(5)
      if (more < 0 || code < 0) return true
      if (code >= DISTANCES_MAX) return false
      const wide = code < 4 ? 0 : (code >> 1) - 1
      const rest = bits.take(wide)
      if (rest < 0) return true
      const distance = code < 4 ? code + 1 : ((2 + (code & 1)) << wide) + rest + 1
      if (distance > made) return false
      made += symbol < 265 ? symbol - 254 : symbol === 285 ? 258 : ((4 + ((symbol - 265) & 3)) << extra) + 3 + more
    }
  }
  return true
}

/** RFC 1951, 3.2.6. */
function fixedSymbol(bits: Bits): number {
  const seven = bits.code(7)
  if (seven < 0) return -1
  if (seven < 24) return 256 + seven
  const eighth = bits.take(1)
  if (eighth < 0) return -1
  const eight = (seven << 1) | eighth
  if (eight < 192) return eight - 48
  if (eight < 200) return 280 + eight - 192
  const ninth = bits.take(1)
  return ninth < 0 ? -1 : 144 + ((eight << 1) | ninth) - 400
}
