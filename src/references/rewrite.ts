/**
 * What becomes of a reference: overwrites of equal length.
 *
 * **Blanked**: `/nix/store` becomes `/var/empty` and the hash becomes e's, letters that no hash has; both keep their
 * length, so lengths taken at compile time stay right, and the path names nothing.
 *
 * **Fixed** (`--prefix`): `/nix/store/<hash>-<name>` becomes `<prefix>///pkg/<name>` with as many slashes as it takes.
 * They stand before `pkg`, because a store path may be a file, and a file's name takes no slash at its end.
 */
import type { Edit, Outcome, Reference } from '../model.ts'
import { HASH_LENGTH, STORE_DIR } from '../nix/store-path.ts'
import { WIDTH } from './scan.ts'

/** Where references to a store path go: its root's new place, at most as long as the root. */
export interface Target {
  readonly root: string
  /** The two parts that slashes are put between to fill the length. */
  readonly prefix: string
  readonly path: string
}

const BLANK_DIR = '/var/empty'
const BLANK_HASH = 'e'.repeat(HASH_LENGTH)

/**
 * The overwrite for one reference.
 * @param target where its store path lies from now on; null blanks it
 */
export function rewrite(reference: Reference, target: Target | null): Edit & { op: 'overwrite' } {
  if (reference.bare) return overwrite(reference, reference.text, BLANK_HASH, 'blanked')
  if (target !== null && reference.text.startsWith(target.root))
    return overwrite(reference, target.root, fill(target), 'fixed')
  return reference.hash === null
    ? overwrite(reference, STORE_DIR, BLANK_DIR, 'blanked')
    : overwrite(reference, `${STORE_DIR}/${reference.hash}`, `${BLANK_DIR}/${BLANK_HASH}`, 'blanked')
}

/** A text with every store path in it blanked. */
export const blank = (text: string): string =>
  text.replace(/\/nix\/store(\/[0-9a-df-np-sv-z]{32}(?=-))?/g, (_, hash) => BLANK_DIR + (hash ? `/${BLANK_HASH}` : ''))

/** The new root, filled up with slashes to the old one's length. */
function fill({ root, prefix, path }: Target): string {
  return prefix + '/'.repeat(root.length - prefix.length - path.length) + path
}

function overwrite(reference: Reference, from: string, to: string, outcome: Outcome): Edit & { op: 'overwrite' } {
  const width = WIDTH[reference.encoding]
  return {
    op: 'overwrite',
    offset: reference.offset,
    from: encode(from, width),
    to: encode(to, width),
    outcome,
  }
}

/** The characters' own bytes with the zeros between them: what both byte orders have in common. */
function encode(text: string, width: number): Uint8Array {
  if (width === 1) return Buffer.from(text, 'latin1')
  const bytes = new Uint8Array((text.length - 1) * width + 1)
  for (let i = 0; i < text.length; i++) bytes[i * width] = text.charCodeAt(i)
  return bytes
}
