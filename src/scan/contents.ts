/**
 * What is read of a file's contents when it comes into the graph (scan.ts), besides its facts: references, what is packed
 * in it, what it wraps.
 */
import { dataRanges } from '../elf/data-ranges.ts'
import { SONAME_OR_PATTERN, SonameMarks, type SonameString, sonameStrings } from '../elf/dlopen.ts'
import { isElf } from '../elf/parse.ts'
import { hasPayload } from '../elf/payload.ts'
import { sectionsOf } from '../elf/sections.ts'
import type { Wrapper } from '../entry/launcher.ts'
import { pieces, stat, withFile } from '../io/store.ts'
import { isMachOProgram } from '../macho/facts.ts'
import type { Finding } from '../model/findings.ts'
import type { FileFacts, FileNode } from '../model/graph.ts'
import { STORE_DIR, storePathOf } from '../nix/store-path.ts'
import type { SourcePath } from '../paths.ts'
import { ApartSearch } from '../references/apart.ts'
import {
  type ContainerMember,
  containerKindOf,
  KIND_HEAD,
  kindByName,
  LIMITS,
  type PackedPlaces,
  type ProblemCode,
  packedPlaces,
  scanContainer,
  scanStreams,
} from '../references/containers.ts'
import { confirmed, HeadsInProgram, PackedHeads } from '../references/packed-heads.ts'
import type { Reference } from '../references/reference.ts'
import { ANY_HASH, type HashSet, ReferenceScanner } from '../references/scan.ts'
import { sieve } from '../references/sieve.ts'
import { ZlibHeads } from '../references/zlib-streams.ts'
import { readBinaryWrapper } from '../script/binary-wrapper.ts'
import { parseShellWrapper } from '../script/shell-wrapper.ts'

/** A wrapper is small; a larger program or script is none. In bytes. */
const WRAPPER_MAX = 1 << 20
/** Bytes before a reference that are looked at. */
const BEFORE = 1024

/** What one reading of a file shows. */
export interface ReadBytes {
  readonly references: Reference[]
  /** Whether no byte of it is NUL. */
  readonly text: boolean
  /** Where something packed may lie in it. */
  readonly packed: PackedPlaces
  /** Whether it was asked for any hash, and it holds what may be one. */
  readonly anyHash: boolean
  /** Where its code begins to put a store path together; -1: nowhere. */
  readonly apart: number
  /** Of an ELF file, strings that it may open a library by. */
  readonly sonames: readonly SonameString[]
}

/** @param hashes that count without a store directory before them; ANY_HASH: only whether there may be one */
export function readBytes(path: SourcePath, facts: FileFacts, hashes: HashSet): ReadBytes {
  const references: Reference[] = []
  const heads = new ZlibHeads()
  const sift = sieve(true)
  const apart = new ApartSearch()
  const marks = facts.format === 'elf' ? new SonameMarks() : null
  let text = true
  let anyHash = false
  const found = withFile(path, source => {
    const scanner = new ReferenceScanner(hashes, reference => {
      if (!reference.bare || hashes !== ANY_HASH) references.push(reference)
      else {
        anyHash = true
        scanner.ignoreHashes()
      }
    })
    const isProgram = isElf(source.read(0, 4))
    const files = isProgram ? new HeadsInProgram(dataRanges(source, sectionsOf(source))) : new PackedHeads()
    for (const piece of pieces(source)) {
      text &&= !piece.includes(0)
      const sifted = sift(piece)
      scanner.push(piece, sifted)
      apart.push(piece, sifted)
      heads.push(piece, sifted)
      files.push(piece, sifted)
      marks?.push(piece)
    }
    scanner.end()
    return {
      packed: packedPlaces(heads, confirmed(source, files.end())),
      sonames:
        facts.format === 'elf' && marks ? sonameStrings(source, facts, SONAME_OR_PATTERN, marks.found) : NO_SONAMES,
    }
  })
  references.sort((a, b) => a.offset - b.offset)
  return { references, text, anyHash, apart: apart.found, ...found }
}
const NO_SONAMES: readonly SonameString[] = []

/** gcc and clang keep copied strings in constants of 16 bytes, which linkers sort and share. */
const PIECE = 16

/**
 * The hashes of which a file holds pieces outside of whole store paths: a compiler has taken a string apart, and other
 * code may share these pieces. What looks whole there may be by chance, and must not be changed in memory. What only the
 * loader reads is not, so most libraries, which name their search path and no more, are not read for it.
 */
export function splitHashes({
  path,
  references,
  verdicts,
}: Pick<FileNode, 'path' | 'references' | 'verdicts'>): ReadonlySet<string> {
  const byHash = new Map<string, Set<number>>()
  const asked = new Set<string>()
  for (const [i, { hash, bare, encoding, offset }] of references.entries()) {
    if (hash === null || encoding !== 'utf8') continue
    const wholes = byHash.get(hash) ?? new Set()
    byHash.set(hash, wholes.add(bare ? offset - STORE_DIR.length - 1 : offset))
    if (verdicts[i]!.rule !== 'loader') asked.add(hash)
  }
  for (const hash of byHash.keys()) if (!asked.has(hash)) byHash.delete(hash)
  if (byHash.size === 0) return new Set()
  return withFile(path, source => {
    const split = new Set<string>()
    /** The last bytes, in which a piece may begin. */
    let tail: Buffer = Buffer.alloc(0)
    let base = 0
    for (const piece of pieces(source)) {
      addSplit(Buffer.concat([tail, piece.subarray(0, PIECE - 1)]), base - tail.length, byHash, split)
      addSplit(piece, base, byHash, split)
      base += piece.length
      tail = Buffer.from(piece.subarray(Math.max(0, piece.length - PIECE + 1)))
    }
    return split
  })
}

/** All first pieces begin with it. */
const FIRST = `${STORE_DIR}/`

/**
 * The hashes of which a piece stands in some bytes outside of whole store paths.
 * @param base the offset of the first of the bytes
 * @param byHash where each stands whole
 */
function addSplit(
  bytes: Buffer,
  base: number,
  byHash: ReadonlyMap<string, ReadonlySet<number>>,
  split: Set<string>,
): void {
  for (let at = bytes.indexOf(FIRST, 0, 'latin1'); at >= 0; at = bytes.indexOf(FIRST, at + 1, 'latin1')) {
    const rest = bytes.toString('latin1', at + FIRST.length, at + PIECE)
    if (rest.length < PIECE - FIRST.length) continue
    for (const [hash, wholes] of byHash) if (hash.startsWith(rest) && !wholes.has(base + at)) split.add(hash)
  }
  for (const [hash, wholes] of byHash) {
    const whole = `${FIRST}${hash}-`
    for (let start = PIECE; start + PIECE <= whole.length; start += PIECE) {
      const piece = whole.slice(start, start + PIECE)
      for (let at = bytes.indexOf(piece, 0, 'latin1'); at >= 0; at = bytes.indexOf(piece, at + 1, 'latin1'))
        if (!wholes.has(base + at - start)) split.add(hash)
    }
  }
}

/** What one look into a container shows. */
export interface ReadMembers {
  readonly members: readonly ContainerMember[]
  /** Whether it was asked for any hash, and a member holds what may be one. */
  readonly anyHash: boolean
}

/**
 * The members of a container that name the store, and zlib streams in any other file that do. What cannot be looked into
 * is added to the findings.
 */
export function readMembers(
  path: SourcePath,
  facts: FileFacts,
  { packed }: ReadBytes,
  hashes: HashSet,
  findings: Finding[],
): ReadMembers {
  return withFile(path, source => {
    const named = kindByName(path, source.read(0, KIND_HEAD))
    const kind = containerKindOf(source) ?? named
    const problem = (names: readonly string[], code: ProblemCode, detail: string): void => {
      findings.push({
        code: 'container-unread',
        severity: code === 'signed' ? 'note' : 'warning',
        file: path,
        member: names.join('!'),
        problem: code,
        detail,
      })
    }
    const isCarrier = facts.format === 'elf' && facts.program
    if (kind === null && isCarrier && hasPayload(source, facts)) problem([], 'opaque', 'data behind its end')
    if (kind === null && packed.streams.length + packed.others.length === 0) return NO_MEMBERS
    if (source.size > LIMITS.member) {
      problem([], 'too-large', '')
      return NO_MEMBERS
    }
    if (named !== null && kind === named) problem([], 'opaque', named)
    const {
      members,
      problems,
      anyHash = false,
    } = kind === null ? scanStreams(source, packed, hashes) : scanContainer(source.read(0, source.size), hashes)
    for (const { names, code, detail } of problems) problem(names, code, detail)
    return { members: members.filter(member => member.references.length > 0), anyHash }
  })
}

export const NO_MEMBERS: ReadMembers = { members: [], anyHash: false }

/** What a file wraps; null for what is no wrapper, or wraps nothing that is there. */
export function readWrapper(path: SourcePath, facts: FileFacts, size: number): Wrapper | null {
  if (size > WRAPPER_MAX) return null
  const read = (): Buffer => withFile(path, source => source.read(0, size))
  const wrapper =
    facts.format === 'script'
      ? storePathOf(facts.interpreter.value) && parseShellWrapper(read().toString('latin1'))
      : (facts.format === 'elf' && facts.program) || isMachOProgram(facts)
        ? readBinaryWrapper(read())
        : null
  return wrapper && stat(wrapper.program)?.type === 'file' ? wrapper : null
}

/** What stands behind a reference of a binary. */
export function byteBehind(path: SourcePath, { offset, text, escaped }: Reference): 'nul' | 'anything' {
  // No path goes through the store twice.
  if (text.includes(`${STORE_DIR}/`, 1)) return 'anything'
  const behind = withFile(path, source => source.read(offset + (escaped?.raw ?? text).length, PATTERN_MAX))
  if (behind.length === 0 || behind[0] === 0) return 'nul'
  // A pattern of a directory's files (`conf.d/*`) ends in a NUL of its own.
  return text.endsWith('/') && GLOB.test(behind.toString('latin1')) ? 'nul' : 'anything'
}

/** What stands behind a directory in a pattern for glob(3), and how much of it is read. In bytes. */
const GLOB = /^[\w.-]*[*?[][\w.*?[\]-]*\0/
const PATTERN_MAX = 32

/** The end of the string or line that stands before an offset. */
export function textBefore(path: SourcePath, offset: number): string {
  const from = Math.max(0, offset - BEFORE)
  const text = withFile(path, source => source.read(from, offset - from)).toString('latin1')
  return text.slice(Math.max(text.lastIndexOf('\0'), text.lastIndexOf('\n')) + 1)
}
