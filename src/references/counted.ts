/**
 * Texts in which a length or an offset is written down: what is put into them has to be as long as what it replaces.
 *
 *     s:61:"/nix/store/...-x/share/x";   PHP's serialize (caches, options of WordPress and the like)
 *     61:/nix/store/...-x/share/x,       netstrings; and bencode, whose texts begin with `d` or `l`
 *     ;ELC                               compiled Emacs Lisp: where each documentation string begins
 *     %PDF-                              where each object begins
 */
import type { Reference } from './reference.ts'

const POSITIONS = /^(?:;ELC|%PDF-)/
/** The length of a string stands before it, so far away at most. In bytes. */
const AWAY = 4096

/** @param text of one character for each byte */
export function isCounted(text: string, references: readonly Reference[]): boolean {
  return POSITIONS.test(text) || references.some(({ offset }) => liesInCounted(text, offset))
}

function liesInCounted(text: string, offset: number): boolean {
  const from = Math.max(0, offset - AWAY)
  for (const match of text.slice(from, offset).matchAll(/(s:)?(\d{1,9}):("?)/g)) {
    const start = from + match.index + match[0].length
    const end = start + Number(match[2])
    if (end <= offset) continue
    const behind = text.slice(end, end + 1)
    if (match[1] && match[3] ? behind === '"' : !match[3] && (behind === ',' || isBencode(text, behind))) return true
  }
  return false
}

const isBencode = (text: string, behind: string): boolean => /^[dl](?=[\dilde])/.test(text) && /[\dilde]/.test(behind)
