/** What stage 1 hands on, types only: what the user typed, resolved. Strings are byte strings (paths.ts). */
import type { BundlePath, SourcePath } from '../paths.ts'

/** What the user typed, resolved. */
export interface Target {
  /** Which rule of cli.md's list it was resolved by, in a person's words: `nix attribute nginx`. */
  readonly label: string
  readonly name: string
  readonly version: string | null
  /** Sorted by `at`, which is unique. */
  readonly entries: readonly Entry[]
  readonly roots: readonly PackageRoot[]
}

/** Something that is started by name: `bin/nginx`. */
export interface Entry {
  /** Where its link lies in the bundle: `bin/nginx`. */
  readonly at: BundlePath
  /** The file as it lies in its package, links unresolved. */
  readonly source: SourcePath
}

export interface PackageRoot {
  /** Its directory (or file) in the store, or the directory of a target outside a store. */
  readonly root: SourcePath
  /** The name without the hash: `nginx-1.22.1`. */
  readonly name: string
  /** True when its own tree is bundled; else only single files of it are. */
  readonly tree: boolean
}

/** A file that a program was seen to open while it ran. */
export interface Traced {
  /** By the name that was used, made absolute. */
  readonly file: SourcePath
  /** The program that was executed last before; null when its name is not known. */
  readonly program: SourcePath | null
}
