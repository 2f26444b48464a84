/**
 * Paths, as byte strings, and their text form.
 *
 * Every name, path and string that comes out of a file or a file system is a sequence of bytes, not of
 * characters. This code base holds it as a **byte string**: a JavaScript string of which each unit (0..255) is
 * one byte (Node's `latin1`). So nothing is lost for names that are not UTF-8, `<` sorts bytewise, and
 * `length` counts bytes. `fromText` and `toText` are the doors to what a person types and reads.
 */

declare const brand: unique symbol
/** Absolute path of an input. Inputs are never written to. A byte string. */
export type SourcePath = string & { readonly [brand]: 'source' }
/** Path in a bundle: relative, normal, no leading '/', no '..'. A byte string. */
export type BundlePath = string & { readonly [brand]: 'bundle' }

/** A byte string of a person's text (UTF-8). */
export const fromText = (text: string): string => Buffer.from(text, 'utf8').toString('latin1')

/**
 * A byte string as a person can read it on one line: UTF-8 decoded; what a terminal would obey or a reader be misled by
 * (control characters of one byte and of two, line separators, marks that turn the direction of text), and all bytes when
 * they are no UTF-8, as `\xNN`.
 */
export function toText(bytes: string): string {
  if (PLAIN.test(bytes)) return bytes
  const utf8 = Buffer.from(bytes, 'latin1').toString('utf8')
  return oneLine(utf8.includes('\ufffd') ? bytes.replace(/[\x80-\xff]/g, escaped) : utf8)
}

/** What most names consist of: it is the same as bytes and as text. */
const PLAIN = /^[\x20-\x7e]*$/

/** A person's text, which may be anybody's, in the same way. */
export const oneLine = (text: string): string =>
  text.replace(/[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, c =>
    [...fromText(c)].map(escaped).join(''),
  )

const escaped = (c: string): string => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`

/** The directory that a bundle path lies in; empty for the bundle's root. */
export const directoryOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')))

/** The last component of a path. */
export const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1)
