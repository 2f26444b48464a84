/**
 * Store paths: `/nix/store/<hash>-<name>` (Nix manual, "Store Path"). The hash is 160 bits in Nix's base 32: 32
 * characters of an alphabet without e, o, t and u. Byte strings all.
 */

export const STORE_DIR = '/nix/store'
export const HASH_LENGTH = 32
/** Length of `/nix/store/<hash>-`. */
export const STORE_PREFIX_LENGTH = STORE_DIR.length + 1 + HASH_LENGTH + 1

export const HASH_ALPHABET = '0123456789abcdfghijklmnpqrsvwxyz'

/** Fewer different characters than these a hash has once in ten thousand million times, and tables of bytes often. */
const DIFFERENT = 10

/**
 * Whether a hash tells of its store path wherever it stands. One of few different characters (those that tests make up)
 * may be ordinary bytes: it counts in a store path, and nowhere else.
 */
export function isTelling(hash: string): boolean {
  let different = 0
  for (let i = 0; i < hash.length && different < DIFFERENT; i++) if (hash.indexOf(hash[i]!) === i) different++
  return different >= DIFFERENT
}

const STORE_PATH = /^\/nix\/store\/([0-9a-df-np-sv-z]{32})-([0-9A-Za-z+\-._?=]+)/

export interface StorePath {
  /** `/nix/store/<hash>-<name>` */
  readonly root: string
  readonly hash: string
  readonly name: string
}

/** The last one that a path was found to lie in: paths come package by package. */
let last: StorePath | null = null

/** The store path that a path lies in; null when it lies in none. */
export function storePathOf(path: string): StorePath | null {
  if (last !== null && path.startsWith(last.root) && endsAt(path, last.root.length)) return last
  const prefix = storePathPrefix(path)
  return prefix && endsAt(path, prefix.root.length) ? (last = prefix) : null
}

/** Whether a part of a path ends at an index. */
const endsAt = (path: string, index: number): boolean => index === path.length || path[index] === '/'

/** The store path that a text begins with, whatever follows it; null when it begins with none. */
export function storePathPrefix(text: string): StorePath | null {
  const match = STORE_PATH.exec(text)
  return match && { root: match[0], hash: match[1]!, name: match[2]! }
}

/**
 * `nginx-1.22.1` -> name and version, split at the first dash that no letter follows (Nix's parseDrvName). The name
 * of an output (`-bin`) belongs to neither.
 */
export function parseName(full: string): { name: string; version: string | null } {
  const match = /^(.*?)-([^A-Za-z].*)$/.exec(full)
  if (!match) return { name: full, version: null }
  return { name: match[1]!, version: match[2]!.replace(OUTPUT, '') }
}

/** Names of outputs that nixpkgs' packages have. */
const OUTPUT =
  /-(?:bin|out|lib|dev|devdoc|doc|man|info|static|debug|libgcc|locales|terminfo|dnsutils|getent|data|tools|utils|plugins|modules|dist|py|python|scripts|host|nc|xdg|wheel|unwrapped)$/

/**
 * What a package is, by its name alone: `openssl-3.0.22-bin` is openssl, 3.0.22, the output bin. The version is upstream's:
 * without the number of nixpkgs' own patches, which glibc's and others' names have (`glibc-2.40-66`).
 */
export function identityOf(full: string): { pname: string; version: string | null; output: string | null } {
  const { name, version } = parseName(full)
  const output = version === null ? null : (OUTPUT.exec(full)?.[0].slice(1) ?? null)
  return { pname: name, version: version?.replace(/^(\d+(?:\.\d+)+)-\d+$/, '$1') ?? null, output }
}
