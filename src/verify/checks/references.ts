/**
 * No store string is left: not in contents, names, link texts or archive headers, in any encoding that the scanner
 * knows; and no hash that is forbidden.
 */
import type { Member } from '../../archive/members.ts'
import type { Finding } from '../../model/findings.ts'
import { HASH_ALPHABET, HASH_LENGTH } from '../../nix/store-path.ts'
import { LIMITS } from '../../references/containers.ts'
import { type Reference, WIDTH } from '../../references/reference.ts'
import { type HashSet, ReferenceScanner } from '../../references/scan.ts'
import type { Sifted } from '../../references/sieve.ts'
import { DirectoryScanner } from '../../references/store-dir.ts'

type Where = 'contents' | 'name' | 'link' | 'header'

/** What must not be there. */
export interface Forbidden {
  /** Hashes that count without a store directory before them. */
  readonly hashes: HashSet | null
  /** Store directories besides /nix/store: byte strings without a slash at the end. */
  readonly directories: readonly string[]
}

/** References of one file that are kept, so that a file of nothing else costs no memory. */
const PER_FILE = LIMITS.references / 2

/** The references in a row of bytes, gathered piece by piece. */
export class References {
  readonly #found: Reference[] = []
  readonly #scanners: readonly (ReferenceScanner | DirectoryScanner)[]
  readonly #directories: readonly string[]
  /** Whether there were more than are kept. */
  tooMany = false

  constructor({ hashes, directories }: Forbidden) {
    const emit = (reference: Reference): void => {
      if (this.#found.length < PER_FILE) this.#found.push(reference)
      else this.tooMany = true
    }
    this.#scanners = [new ReferenceScanner(hashes, emit), ...directories.map(d => new DirectoryScanner(d, emit))]
    this.#directories = directories
  }

  /** All of these bytes, and no others. @param sifted what was let through of them, where that is known */
  of(bytes: Buffer, sifted?: Sifted | null): Reference[] {
    for (const scanner of this.#scanners)
      if (scanner instanceof ReferenceScanner) scanner.scan(bytes, sifted)
      else scanner.push(bytes)
    return this.end()
  }

  push(piece: Buffer, sifted?: Sifted | null): void {
    for (const scanner of this.#scanners)
      if (scanner instanceof ReferenceScanner) scanner.push(piece, sifted)
      else scanner.push(piece)
  }

  /** All that were found, by offset. Nothing may be pushed any more. */
  end(): Reference[] {
    for (const scanner of this.#scanners) scanner.end()
    const sorted = this.#found.sort((a, b) => a.offset - b.offset)
    // `/opt/nix/store` holds `/nix/store`: it is told once.
    return this.#directories.length === 0 ? sorted : sorted.filter((r, i) => !this.#within(r, sorted, i))
  }

  #within({ offset, encoding }: Reference, sorted: readonly Reference[], i: number): boolean {
    for (let k = i - 1; k >= 0; k--) {
      const before = sorted[k]!
      const directory = this.#directories.find(d => before.text.startsWith(d))
      const distance = offset - before.offset
      if (distance > 4096 * WIDTH[encoding]) return false
      if (directory !== undefined && distance < directory.length * WIDTH[before.encoding]) return true
    }
    return false
  }
}

const referencesIn = (bytes: Buffer, forbidden: Forbidden): Reference[] =>
  bytes.length === 0 ? [] : new References(forbidden).of(bytes)

/** Whether a reference may be in a text, as nearly all names show that none is: what wide encodings have is NULs. */
const mayHold = (text: string, { hashes, directories }: Forbidden): boolean =>
  text.includes('nix') || text.includes('\0') || directories.length > 0 || (hashes !== null && HASH.test(text))
const HASH = new RegExp(`[${HASH_ALPHABET}]{${HASH_LENGTH}}`)

const NONE: readonly Finding[] = []

/** References outside a member's contents. */
export function checkNames(
  file: string,
  member: Pick<Member, 'name' | 'target' | 'header'>,
  forbidden: Forbidden,
): readonly Finding[] {
  // So of nearly all members, of which there are thousands.
  if (member.header.length === 0 && !mayHold(member.name, forbidden) && !mayHold(member.target, forbidden)) return NONE
  // The name follows a slash wherever the bundle lies: `nix/store` at its top is `/nix/store` in every path to it.
  const parts: [Where, string, number][] = [
    ['name', `/${member.name}`, 1],
    ['link', member.target, 0],
  ]
  const found = parts.flatMap(([where, text, before]) => {
    if (!mayHold(text, forbidden)) return []
    const references = referencesIn(Buffer.from(text, 'latin1'), forbidden)
    return grouped(
      file,
      where,
      references.map(r => ({ ...r, offset: Math.max(0, r.offset - before) })),
    )
  })
  // A header repeats the name and the link's text: it counts when they do not show it.
  return found.length > 0 || member.header.length === 0
    ? found
    : grouped(file, 'header', referencesIn(member.header, forbidden))
}

/** One finding for each text in each place, with its first offset. */
export function grouped(
  file: string,
  where: Where,
  references: readonly Reference[],
  partOf: (offset: number) => string | null = () => null,
): Finding[] {
  const groups = new Map<string, { first: Reference; part: string | null; count: number }>()
  for (const reference of references) {
    const part = partOf(reference.offset)
    const key = [reference.encoding, reference.escaped?.slash, reference.bare, part, reference.text].join('\0')
    const group = groups.get(key)
    if (group) group.count++
    else groups.set(key, { first: reference, part, count: 1 })
  }
  return [...groups.values()].map(({ first: { offset, encoding, bare, text, escaped }, part, count }) => ({
    code: bare ? 'store-hash' : 'store-reference',
    severity: 'error',
    file,
    where,
    part,
    text,
    offset,
    encoding,
    ...(escaped && { slash: escaped.slash, raw: escaped.raw }),
    count,
  }))
}
