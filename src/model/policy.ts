/** What a project asks of its bundles (`storefree.json`, docs/policy.md), types only. Names and globs are byte strings. */
import type { FindingCode } from './findings.ts'

export interface Policy {
  /** The file that says so, as it is told of: text. */
  readonly file: string
  /** Bytes that a bundle may have, unpacked. */
  readonly maxSize: number | null
  /** Packages, libraries, files, as `bundle why` names them, that must not be in it, and that must. */
  readonly disallow: readonly string[]
  readonly require: readonly string[]
  /** Globs of places in the bundle, and of paths in packages without hash, where there must be no file. */
  readonly disallowFiles: readonly string[]
  /** Findings that are errors where they are warnings. */
  readonly errors: readonly FindingCode[] | 'all'
  /** The newest version of symbols that a library outside the bundle may be asked for: `GLIBC` to `2.31`. */
  readonly newestSymbols: ReadonlyMap<string, string>
}

/** What a policy asks of symbols: names of libraries with the versions asked of each. */
export interface Asking {
  /** A byte string: an input's path, or a place. */
  readonly file: string
  readonly verneed: readonly { readonly file: string; readonly versions: readonly string[] }[]
}
