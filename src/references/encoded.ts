/**
 * Texts in bytes, in the encodings that references are looked for in: a row of characters that lie `width` bytes
 * apart, with zeros between them (scan.ts).
 */

import { HASH_LENGTH, STORE_DIR } from '../nix/store-path.ts'
import { DIGIT, GROUP, NONE } from './hash-filter.ts'
import type { Encoding } from './reference.ts'

/** Characters of a reference's text that are kept: a path is never longer (PATH_MAX). */
export const TEXT_MAX = 4096
const STORE_SLASH = Buffer.from(`${STORE_DIR}/`, 'latin1')

/** 1 for each byte that cannot be part of a path in text: what shells, formats and people end a path with. */
export const ENDS_PATH = new Uint8Array(256)
for (let c = 0; c <= 0x20; c++) ENDS_PATH[c] = 1
for (const c of '"\'`:;,()<>|&*$[]{}\\\x7f') ENDS_PATH[c.charCodeAt(0)] = 1

export const isHash = (text: string): boolean =>
  text.length === HASH_LENGTH && [...text].every(c => DIGIT[c.charCodeAt(0)] !== NONE)

/** The end, at most `end`, of the run of hash characters that begins at `start`. */
export function endOfRun(bytes: Buffer, start: number, end: number, width: number): number {
  const stop = Math.min(end, bytes.length)
  let at = start
  while (at < stop && DIGIT[bytes[at]!] !== NONE && (at === start || zeros(bytes, at - width + 1, at))) at += width
  return at
}

/** The group of four characters at `start`; -1 when they are none of a hash. */
export function groupAt(bytes: Buffer, start: number, width: number): number {
  let group = 0
  if (start + (GROUP - 1) * width >= bytes.length) return -1
  for (let i = 0; i < GROUP; i++) {
    const digit = DIGIT[bytes[start + i * width]!]!
    if (digit === NONE) return -1
    group = (group << 5) | digit
  }
  return group
}

/** Characters of a run from `start` to `stop`. */
export function readRun(bytes: Buffer, start: number, stop: number, width: number): string {
  if (width === 1) return bytes.toString('latin1', start, stop)
  let text = ''
  for (let at = start; at < stop; at += width) text += String.fromCharCode(bytes[at]!)
  return text
}

/** Whether a text of this width lies at `start`. */
export function holds(bytes: Buffer, start: number, width: number, text: Buffer): boolean {
  if (start < 0 || start + (text.length - 1) * width >= bytes.length) return false
  for (let k = 0; k < text.length; k++) {
    const at = start + k * width
    if (bytes[at] !== text[k] || (k > 0 && !zeros(bytes, at - width + 1, at))) return false
  }
  return true
}

/** Whether `/nix/store/` ends where a text of this width begins. */
export const followsStoreDir = (bytes: Buffer, at: number, width: number): boolean =>
  holds(bytes, at - STORE_SLASH.length * width, width, STORE_SLASH) && zeros(bytes, at - width + 1, at)

export function zeros(bytes: Buffer, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (bytes[i] !== 0) return false
  return true
}

/** Inside a text the two byte orders look alike; the alignment of the character tells which it is. */
export function encodingOf(width: number, offset: number): Encoding {
  if (width === 1) return 'utf8'
  if (width === 2) return offset % 2 === 0 ? 'utf16le' : 'utf16be'
  return offset % 4 === 0 ? 'utf32le' : 'utf32be'
}

/** The text from `start` to what ends a path. */
export function readText(bytes: Buffer, start: number, width: number): string {
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
