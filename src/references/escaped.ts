/**
 * Store paths whose slashes are escaped: `\/nix\/store\/...` in JSON (PHP writes it so), in expressions of sed and in
 * regular expressions; `\u002f` and `\x2f` in JSON and programs; `%2F` in addresses; `&#47;` in HTML; and what is
 * escaped twice. In UTF-8 only.
 *
 * A path begins with a slash, so what is between `nix` and `store` says how all of it is spelled. A plain slash in such
 * a text is no part of the path: sed's expression ends there.
 *
 * **To find them costs no second look** (scan.ts, one look at every ninth byte): `nix<slash>store<slash>` has at least
 * nine pairs of neighbours in a row too, so a look meets one of them. Which nine is chosen here; that a pair is met says
 * little, and `nix` and `store` are looked for around it.
 */
import { STORE_DIR } from '../nix/store-path.ts'
import { ENDS_PATH, isHash, TEXT_MAX } from './encoded.ts'
import type { Escaped } from './reference.ts'

/** The longest one first where one is the end of another. */
export const SPELLINGS = [
  '\\\\\\/',
  '\\\\/',
  '\\/',
  '\\\\u002f',
  '\\\\u002F',
  '\\u002f',
  '\\u002F',
  '\\\\x2f',
  '\\\\x2F',
  '\\x2f',
  '\\x2F',
  '%252f',
  '%252F',
  '%2f',
  '%2F',
  '&#47;',
  '&#x2f;',
  '&#x2F;',
] as const

const LONGEST = Math.max(...SPELLINGS.map(s => s.length))
/** Bytes of `<slash>nix<slash>store<slash>` at most. */
const DIR_LONGEST = 3 * LONGEST + 'nixstore'.length

const storeDir = (slash: string): Buffer => Buffer.from(`nix${slash}store${slash}`, 'latin1')
/** Looks are as many bytes apart (scan.ts). */
const WINDOW = STORE_DIR.length - 1
/** By the byte: 1 for a digit, as hexadecimal numbers have them. */
const DIGIT = new Uint8Array(256)
for (const digit of '0123456789abcdefABCDEF') DIGIT[digit.charCodeAt(0)] = 1

/**
 * Nine pairs of neighbours in a row, the first byte lower, of `nix<slash>store<slash>`: those with the fewest pairs of
 * digits, of which files are full. Where they reach into the last slash, a text is found only if it has that.
 */
function choosePairs(slash: string): { slash: string; pairs: readonly number[]; word: string } {
  const bytes = storeDir(slash)
  const digits = (from: number): number => {
    let count = 0
    for (let i = from; i < from + WINDOW; i++) count += DIGIT[bytes[i]!]! & DIGIT[bytes[i + 1]!]!
    return count
  }
  let best = 0
  let fewest = digits(best)
  for (let from = 1; from + WINDOW < bytes.length && fewest > 0; from++) {
    const count = digits(from)
    if (count < fewest) [best, fewest] = [from, count]
  }
  const pairs = Array.from({ length: WINDOW }, (_, i) => bytes[best + i]! | (bytes[best + i + 1]! << 8))
  const store = `${slash}store`
  return { slash, pairs, word: best + WINDOW < 'nix'.length + store.length ? store : store + slash }
}

const CHOSEN = SPELLINGS.map(choosePairs)
/** The pairs by which one of the looks meets an escaped store path, however it is spelled. */
export const ESCAPED_PAIRS: ReadonlySet<number> = new Set(CHOSEN.flatMap(({ pairs }) => pairs))

/** Bytes from the beginning of `nix` to the last pair that is met. */
const BEFORE = LONGEST + 'nixstore'.length + LONGEST

/** 1 for each byte that a spelling begins with, 2 for one that it ends with. */
const ENDS = new Uint8Array(256)
/** 1 for each byte of such a text. */
const IN_TEXT = new Uint8Array(256)
for (const slash of SPELLINGS) {
  ENDS[slash.charCodeAt(0)]! |= 1
  ENDS[slash.charCodeAt(slash.length - 1)]! |= 2
  for (const byte of storeDir(slash)) IN_TEXT[byte] = 1
}

const [N, I, X] = [...Buffer.from('nix', 'latin1')] as [number, number, number]

/** Whether a byte may be the first one of a slash, or the last one. */
export const beginsSlash = (byte: number): boolean => (ENDS[byte]! & 1) !== 0
export const endsSlash = (byte: number): boolean => (ENDS[byte]! & 2) !== 0

/** The escaped store path that the pair of bytes at `at` is in: where it begins, and its slash; null for anything else. */
export function escapedAround(bytes: Buffer, at: number): { readonly start: number; readonly slash: string } | null {
  for (let n = at; n >= at - BEFORE && n >= 2; n--) {
    if (bytes[n] === N && bytes[n + 1] === I && bytes[n + 2] === X) return escapedFrom(bytes, n)
    if (IN_TEXT[bytes[n]!] === 0) return null
  }
  return null
}

/** The store path whose `nix` lies at `n`. */
function escapedFrom(bytes: Buffer, n: number): { readonly start: number; readonly slash: string } | null {
  if (!beginsSlash(bytes[n + 3]!) || !endsSlash(bytes[n - 1]!)) return null
  const text = bytes.toString('latin1', n + 3, n + 3 + 2 * LONGEST + 'store'.length)
  const slash = CHOSEN.find(({ word }) => text.startsWith(word))?.slash
  if (slash === undefined || n < slash.length) return null
  const start = n - slash.length
  return bytes.toString('latin1', start, n) === slash ? { start, slash } : null
}

/** Whether `<slash>nix<slash>store<slash>` ends where a hash begins. */
export function followsEscapedStoreDir(bytes: Buffer, at: number): boolean {
  if (at < 1 || !endsSlash(bytes[at - 1]!)) return false
  const text = bytes.toString('latin1', Math.max(0, at - DIR_LONGEST), at)
  return SPELLINGS.some(s => text.endsWith(`${s}nix${s}store${s}`))
}

/** What is escaped besides slashes, by how a spelling begins. */
const OTHERS: readonly (readonly [slash: RegExp, escape: RegExp])[] = [
  [/^%25/, /%25([0-9A-Fa-f]{2})/y],
  [/^%/, /%([0-9A-Fa-f]{2})/y],
  [/^\\\\[ux]/, /\\\\(?:u00|x)([0-9A-Fa-f]{2})/y],
  [/^\\[ux]/, /\\(?:u00|x)([0-9A-Fa-f]{2})/y],
]

/** The escaped text that begins at `start`, up to what ends a path. */
export function readEscaped(bytes: Buffer, start: number, slash: string): { text: string; raw: string } {
  const all = bytes.toString('latin1', start, Math.min(bytes.length, start + TEXT_MAX * 2))
  let text = ''
  let at = 0
  while (at < all.length && text.length < TEXT_MAX) {
    const { character, length } = characterAt(all, at, slash)
    if (character === null) break
    text += character
    at += length
  }
  return { text, raw: all.slice(0, at) }
}

/** The character at a place of an escaped text, and the bytes that it takes; null for what ends a path. */
function characterAt(raw: string, at: number, slash: string): { character: string | null; length: number } {
  if (raw.startsWith(slash, at)) return { character: '/', length: slash.length }
  const pattern = OTHERS.find(([begins]) => begins.test(slash))?.[1]
  if (pattern) pattern.lastIndex = at
  const match = pattern?.exec(raw)
  if (match) {
    const code = Number.parseInt(match[1]!, 16)
    return { character: ENDS_PATH[code] === 0 ? String.fromCharCode(code) : null, length: match[0].length }
  }
  return { character: raw[at] === '/' || ENDS_PATH[raw.charCodeAt(at)] === 1 ? null : raw[at]!, length: 1 }
}

/** How the first characters of an escaped reference stand in the file. */
export function rawStart({ slash, raw }: Escaped, characters: number): string {
  let at = 0
  for (let n = 0; n < characters; n++) at += characterAt(raw, at, slash).length
  return raw.slice(0, at)
}

/** A path as such a text spells it. What an address may not hold is escaped there too. */
export function escapePath(path: string, slash: string): string {
  const percent = slash.startsWith('%25') ? '%25' : slash.startsWith('%') ? '%' : null
  const name = (part: string): string =>
    percent === null
      ? part
      : part.replace(/[^\w.~+=?-]/g, c => percent + c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0'))
  return path.split('/').map(name).join(slash)
}

/**
 * Slashes that fill so many bytes between two parts of a path, of which one is there already; null where none do. A
 * slash takes several bytes, so some of the parts between two are a full stop.
 */
export function fillEscaped(length: number, slash: string): string | null {
  const stops = length % slash.length
  const slashes = (length - stops) / slash.length
  return stops > slashes ? null : `${slash}.`.repeat(stops) + slash.repeat(slashes - stops)
}

/** What a text after the store directory names: the hash of its store path, if it is one. */
export function hashOf(text: string): string | null {
  const from = STORE_DIR.length + 1
  const hash = text.slice(from, from + 32)
  return text[from - 1] === '/' && isHash(hash) ? hash : null
}
