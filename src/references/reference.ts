/** What the scanner finds. */

export type Encoding = 'utf8' | 'utf16le' | 'utf16be' | 'utf32le' | 'utf32be'

/** Bytes of one character, by encoding. */
export const WIDTH: Readonly<Record<Encoding, number>> = { utf8: 1, utf16le: 2, utf16be: 2, utf32le: 4, utf32be: 4 }

/** A store path or a bare store hash inside a file. */
export interface Reference {
  /** File offset of its first byte: of `/nix/store`, or of the hash when it stands bare. */
  readonly offset: number
  readonly encoding: Encoding
  /** The 32 characters of the hash; null where `/nix/store` is not followed by a store path's name. */
  readonly hash: string | null
  /** True for a hash without `/nix/store/` before it. */
  readonly bare: boolean
  /** The text from `offset` to the first character that ends a path, at most 4096 characters; with its escapes decoded. */
  readonly text: string
  /** How its slashes are spelled, where they are escaped. */
  readonly escaped?: Escaped
}

/** How a text spells its slashes, and how the reference stands in the file. Byte strings. */
export interface Escaped {
  /** Such as `\/`. */
  readonly slash: string
  /** The text as it stands: with every escape in it decoded it is the reference's `text`. */
  readonly raw: string
}
