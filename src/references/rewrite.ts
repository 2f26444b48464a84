/**
 * What becomes of a reference.
 *
 * **Blanked**: `/nix/store` becomes `/var/empty` and the hash becomes e's, letters that no hash has; both keep their
 * length, so lengths taken at compile time stay right, and the path names nothing.
 *
 * **Fixed** (`--prefix`): in a binary, `/nix/store/<hash>-<name>` becomes `<prefix>///p/0-<name>`, a link to the package,
 * with as many slashes as it takes. They stand before `p`, because a store path may be a file, and a file's name takes no
 * slash at its end. A text takes `<prefix>/pkg/<name>` as it is.
 *
 * **The bytes behind the hash stay**, whichever it is: a linker lets the constants `"1"`, `"2.1"` and `"-foo-2.1"` share
 * those of `"/nix/store/<hash>-foo-2.1"`, and they are other words of the program.
 *
 * A path whose slashes are escaped (escaped.ts) stays spelled as it was.
 */

import { HASH_LENGTH, STORE_DIR, storePathPrefix } from '../nix/store-path.ts'
import type { BundlePath } from '../paths.ts'
import { escapePath, fillEscaped, rawStart } from './escaped.ts'
import { type Reference, WIDTH } from './reference.ts'

/** Bytes of a file that are replaced by as many others. */
export interface Overwrite {
  readonly op: 'overwrite'
  /** File offset. */
  readonly offset: number
  readonly from: Uint8Array
  readonly to: Uint8Array
}

/** Where references to a store path go: its root's new place, at most as long as the root. */
export interface Target {
  readonly root: string
  readonly prefix: string
  /** Its place below the prefix, with a slash before it. */
  readonly path: string
  /** `path` without its slash. */
  readonly at: BundlePath
  /** The link by which binaries name it: `p/<number>-<name>`, the number in hexadecimal digits. */
  readonly link: { readonly number: number; readonly at: BundlePath }
}

const BLANK_DIR = '/var/empty'
const BLANK_HASH = 'e'.repeat(HASH_LENGTH)
/** What a store path begins with, up to the end of its hash. In bytes. */
const HASHED = STORE_DIR.length + 1 + HASH_LENGTH

/** The beginning of a link's place, which takes the hash's; `-<name>` follows. */
const linkStart = (number: number): string => `p/${number.toString(16)}`
export const linkAt = (number: number, name: string): BundlePath => `${linkStart(number)}-${name}` as BundlePath
/** How long the root of a bundle may be whose place, and that of a link, have to fit where the hash ends. In bytes. */
export const linkRoom = (number: number): number => HASHED - 1 - linkStart(number).length

/** The overwrite that makes a reference name nothing. */
export function blanked(reference: Reference): Overwrite {
  if (reference.bare) return overwrite(reference, reference.text, BLANK_HASH)
  const [from, to] =
    reference.hash === null ? [STORE_DIR, BLANK_DIR] : [`${STORE_DIR}/${reference.hash}`, `${BLANK_DIR}/${BLANK_HASH}`]
  if (!reference.escaped) return overwrite(reference, from, to)
  return overwrite(reference, rawStart(reference.escaped, from.length), escapePath(to, reference.escaped.slash))
}

/**
 * The overwrite that makes a reference name its target's link, at equal length; null for another target's, and where an
 * escaped one does not fit.
 */
export function fixed(reference: Reference, target: Target): Overwrite | null {
  if (!names(reference, target)) return null
  const start = `/${linkStart(target.link.number)}`
  if (!reference.escaped)
    return overwrite(reference, target.root.slice(0, HASHED), target.prefix.padEnd(HASHED - start.length, '/') + start)
  const { slash } = reference.escaped
  const from = rawStart(reference.escaped, HASHED)
  const [prefix, escapedStart] = [escapePath(target.prefix, slash), escapePath(start, slash)]
  const room = from.length - prefix.length - escapedStart.length
  const slashes = room < 0 ? null : fillEscaped(room, slash)
  return slashes === null ? null : overwrite(reference, from, prefix + slashes + escapedStart)
}

/** A text's new bytes, as long as they are, for a target's root. */
export const inText = ({ escaped }: Reference, { prefix, path }: Target): string =>
  escaped ? escapePath(prefix + path, escaped.slash) : prefix + path

/** Whether a reference names the target's store path: its hash alone may stand before another name. */
export const names = ({ bare, text }: Reference, { root }: Target): boolean => !bare && text.startsWith(root)

/** A text with every store path in it blanked. */
export const blank = (text: string): string =>
  text.replace(/\/nix\/store(\/[0-9a-df-np-sv-z]{32}(?=-))?/g, (_, hash) => BLANK_DIR + (hash ? `/${BLANK_HASH}` : ''))

/** Bytes of a reference in UTF-8 that stand for the store path itself, without what lies below it. */
export function rootLength(reference: Reference, target: Target | null): number {
  const length = plainLength(reference, target)
  return reference.escaped ? rawStart(reference.escaped, length).length : length
}

function plainLength(reference: Reference, target: Target | null): number {
  if (target !== null && names(reference, target)) return target.root.length
  if (reference.bare) return HASH_LENGTH
  return reference.hash === null ? STORE_DIR.length : (storePathPrefix(reference.text)?.root.length ?? STORE_DIR.length)
}

function overwrite(reference: Reference, from: string, to: string): Overwrite {
  const width = WIDTH[reference.encoding]
  return { op: 'overwrite', offset: reference.offset, from: encode(from, width), to: encode(to, width) }
}

/** The characters' own bytes with the zeros between them: what both byte orders have in common. */
function encode(text: string, width: number): Uint8Array {
  if (width === 1) return Buffer.from(text, 'latin1')
  const bytes = new Uint8Array((text.length - 1) * width + 1)
  for (let i = 0; i < text.length; i++) bytes[i * width] = text.charCodeAt(i)
  return bytes
}
