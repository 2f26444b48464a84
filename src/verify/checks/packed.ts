/**
 * One file of what is verified, and what is packed in it: gzip, zlib, zip and tar in one another are looked into, up
 * to a depth and a size; what cannot be looked into is told by name.
 *
 * A file is read once. Its bytes go to the search for references and to its digest on the way to whatever unpacks
 * them, so memory stays flat; only what has to be read at random (a zip, an ELF file for its parts) is held, and only
 * when it does not lie on the disk.
 */
import { createHash, hash as digestOf } from 'node:crypto'
import type { Contents } from '../../archive/contents.ts'
import { isTarHead } from '../../archive/kind.ts'
import { Decompression, Input, Kept, peek, pieceOf, TOO_LARGE } from '../../archive/stream.ts'
import { BLOCK } from '../../archive/tar.ts'
import { type ArchiveMember, readTar, tarMembersOf } from '../../archive/untar.ts'
import type { ElfFacts } from '../../elf/facts.ts'
import { isElf } from '../../elf/parse.ts'
import type { Section } from '../../elf/sections.ts'
import { BundleError } from '../../errors.ts'
import { each, type Task, wait } from '../../io/task.ts'
import type { MachOFacts } from '../../macho/facts.ts'
import type { Finding } from '../../model/findings.ts'
import { ApartSearch } from '../../references/apart.ts'
import { containerKind, KIND_HEAD, LIMITS } from '../../references/containers.ts'
import { gzipName, readGzip } from '../../references/gzip.ts'
import { Budget, type Problem, problem } from '../../references/inflate.ts'
import { ascending, headsShown, type PackedHead } from '../../references/packed-heads.ts'
import type { Reference } from '../../references/reference.ts'
import { sieve } from '../../references/sieve.ts'
import { ZlibHeads } from '../../references/zlib-streams.ts'
import { type Kind, lookAround } from './around.ts'
import { PassingHeads } from './heads.ts'
import type { SeenMember } from './image-root.ts'
import type { Loading } from './loading.ts'
import { checkNames, type Forbidden, grouped, References } from './references.ts'
import { type Entry, filesWithin, type Opening, packedWithin, streamsWithin } from './within.ts'

export interface Wanted {
  /** Digests of the files themselves. */
  readonly digest: boolean
  /** What ELF files say of themselves. */
  readonly facts: boolean
  /** Whether it may be a layer of an image: that is as large as it is, and all of it is read. */
  readonly layer: boolean
}

export interface Looked {
  readonly findings: readonly Finding[]
  readonly sha256: string | null
  readonly facts: ElfFacts | MachOFacts | null
  /** What loaders read of it, where facts are wanted. */
  readonly loading: Loading | null
  /** The SHA-256 of a layer's tar, unpacked; null for what is none. */
  readonly diffId: string | null
  /** Of a layer, where facts are wanted. */
  readonly members: readonly SeenMember[]
}

/** What stands behind a name or a stored member in a zip looks like more of a path: the next record, an extra field. */
const ZIP_FOLLOWS = /\/?(?:PK|UT|ux)$/

/** Reads a member of what is verified once, and what is packed in it: a task, which of a small file waits for nothing. */
export function* lookInto(member: Contents, name: string, forbidden: Forbidden, wanted: Wanted): Task<Looked> {
  const look = new Look(forbidden, wanted)
  if (member.problem !== null) look.problem([name], member.problem)
  const { size, path } = member
  const { sha256, facts, loading, diffId, members } = yield* look.file(
    { names: [name], size, path, contents: contentsOf(member) },
    1,
  )
  return { findings: look.findings, sha256, facts, loading, diffId, members }
}

const contentsOf = (member: Pick<Contents, 'whole' | 'contents'>): Buffer | AsyncIterable<Buffer> =>
  member.whole() ?? member.contents()

/** What was seen of a file while its bytes passed by. */
interface Seen {
  readonly found: readonly Reference[]
  readonly apart: ApartSearch
  readonly heads: ZlibHeads
  /** Of packed files in it; none of an ELF file in which they are still to be looked for. */
  readonly shown: readonly PackedHead[]
  /** Of an ELF file, where they had to be known. */
  readonly sections: readonly Section[] | null
  readonly tooMany: boolean
  readonly sha256: string | null
  /** Findings that there were before. */
  readonly before: number
}

class Look implements Opening {
  readonly findings: Finding[]
  readonly forbidden: Forbidden
  readonly #wanted: Wanted
  readonly budget = new Budget(LIMITS)
  #diffId: string | null = null
  readonly #members: SeenMember[] = []

  constructor(forbidden: Forbidden, wanted: Wanted, findings: Finding[] = []) {
    this.forbidden = forbidden
    this.#wanted = wanted
    this.findings = findings
  }

  #isLayer(names: readonly string[]): boolean {
    return this.#wanted.layer && names.length === 1
  }

  problem(names: readonly string[], { code, detail }: Problem): void {
    const [file = '', ...rest] = names
    const severity = this.#isLayer(names) ? 'error' : 'warning'
    this.findings.push({ code: 'container-unread', severity, file, member: rest.join('!'), problem: code, detail })
  }

  /** @param depth 1 for the file itself */
  *file(entry: Entry, depth: number): Task<Omit<Looked, 'findings'>> {
    const { names, contents } = entry
    const isWhole = Buffer.isBuffer(contents)
    const hash = names.length === 1 && this.#wanted.digest && !isWhole ? createHash('sha256') : null
    const sift = sieve(this.forbidden.hashes !== null)
    const apart = new ApartSearch()
    const heads = new ZlibHeads()
    const before = this.findings.length
    if (isWhole) {
      const sifted = sift(contents)
      // Of most small files nothing is let through.
      const isNothing = sifted?.length === 0 && this.forbidden.directories.length === 0
      const references = isNothing ? null : new References(this.forbidden)
      const found = references?.of(contents, sifted) ?? []
      apart.push(contents, sifted)
      heads.push(contents, sifted)
      const shown = isElf(contents) ? [] : headsShown(contents, sifted)
      const kind = this.#kindOf(names, contents.subarray(0, KIND_HEAD), contents.length)
      try {
        yield* this.#unpack(names, kind, contents.subarray(0, KIND_HEAD), contents, () => contents.length, depth)
      } catch (error) {
        this.problem(names, problemOf(error))
      }
      const sha256 = names.length === 1 && this.#wanted.digest ? digestOf('sha256', contents) : null
      const seen = { found, apart, heads, shown, sections: null, tooMany: references?.tooMany ?? false, sha256, before }
      return yield* this.#end(entry, kind, seen, new Kept(null), contents, depth)
    }
    const references = new References(this.forbidden)
    const kept = new Kept(entry.path)
    const files = new PassingHeads(entry.path)
    const input = new Input(contents, piece => {
      hash?.update(piece)
      const sifted = sift(piece)
      references.push(piece, sifted)
      apart.push(piece, sifted)
      heads.push(piece, sifted)
      files.push(piece, sifted)
      if (heads.found.length > 0 || files.any) kept.hold()
      kept.push(piece)
    })
    const peeked = yield* wait(peek(input.pieces(), KIND_HEAD))
    const kind = this.#kindOf(names, peeked.head, entry.size ?? Number.POSITIVE_INFINITY)
    const whole = entry.size === peeked.first.length ? peeked.first : null
    try {
      const pieces = kind === 'gzip' && whole !== null ? whole : peeked.all
      yield* this.#unpack(names, kind, peeked.head, pieces, () => input.size, depth)
    } catch (error) {
      if (input.error === null) this.problem(names, problemOf(error))
    }
    yield* wait(drain(peeked.all).catch(() => {}))
    const found = references.end()
    if (input.error !== null) {
      // What is wrong with the bytes around is told of whatever is around; what they held until then counts.
      this.findings.push(...grouped(names.join('!'), 'contents', found))
      throw input.error
    }
    const seen = {
      found,
      apart,
      heads,
      shown: files.end(),
      sections: files.sections,
      tooMany: references.tooMany,
      sha256: hash?.digest('hex') ?? null,
      before,
    }
    return yield* this.#end(entry, kind, seen, kept, whole, depth)
  }

  #kindOf(names: readonly string[], head: Buffer, size: number): Kind {
    return this.#isTar(names, head) ? 'tar' : containerKind(head, size)
  }

  #isTar(names: readonly string[], head: Buffer): boolean {
    return isTarHead(head) || (this.#isLayer(names) && isEmptyTar(head))
  }

  /** What is told when all bytes were seen. */
  *#end(
    entry: Entry,
    kind: Kind,
    { found, apart, heads, shown, sections, tooMany, sha256, before }: Seen,
    kept: Kept,
    whole: Buffer | null,
    depth: number,
  ): Task<Omit<Looked, 'findings'>> {
    const { names } = entry
    const [facts, zstd] = [depth === 1 && this.#wanted.facts, this.#isLayer(names)]
    const random = kept.use(whole, source =>
      lookAround({ names, source, kind, facts, zstd, holdsReferences: found.length > 0, heads: shown, sections }, this),
    )
    const around = random?.packed ? yield* packedWithin(this, names, random.packed, depth) : Number.POSITIVE_INFINITY
    if (kind !== 'tar' && kind !== 'gzip') {
      const within = (random?.heads ?? shown).filter(h => h.offset < around)
      const gzip = within.filter(h => h.kind === 'gzip').map(h => h.offset)
      const streams = ascending(heads.found, gzip).filter(at => at < around && !random?.told(at))
      if (streams.length > 0) yield* streamsWithin(this, names, kept.source(whole), streams, depth)
      const others = within.filter(h => h.kind !== 'gzip')
      if (!random?.isKnown) yield* filesWithin(this, names, kept.source(whole), others, depth)
    }
    if (random === null && (kind === 'zip' || kind === 'zlib')) this.problem(names, problem('too-large'))
    if (found.length > 0) {
      const own = this.#own(names, found, random?.partOf, this.findings.slice(before))
      this.findings.splice(before, 0, ...own)
    }
    if (tooMany) this.problem(names, problem('too-many'))
    if (apart.found >= 0) this.problem(names, problem('apart', `offset ${apart.found}`))
    const diffId = kind === 'tar' && this.#isLayer(names) ? sha256 : this.#diffId
    return { sha256, facts: random?.facts ?? null, loading: random?.loading ?? null, diffId, members: this.#members }
  }

  /** What is packed without compression shows in the bytes of the whole as well: it is told once. */
  #own(
    names: readonly string[],
    found: readonly Reference[],
    partOf: ((offset: number) => string | null) | undefined,
    within: readonly Finding[],
  ): Finding[] {
    const told = new Set(within.flatMap(f => ('where' in f ? [f.text] : [])))
    return grouped(names.join('!'), 'contents', found, partOf).filter(
      f => !('where' in f && (told.has(f.text) || told.has(f.text.replace(ZIP_FOLLOWS, '')))),
    )
  }

  /**
   * Kinds that are read as they come.
   * @param fed bytes that came until now
   */
  *#unpack(
    names: readonly string[],
    kind: Kind,
    head: Buffer,
    pieces: Buffer | AsyncIterable<Buffer>,
    fed: () => number,
    depth: number,
  ): Task<void> {
    if (kind !== 'tar' && kind !== 'gzip' && !(kind === 'zstd' && this.#isLayer(names))) return
    if (depth > LIMITS.depth) return this.problem(names, problem('too-deep'))
    if (kind === 'tar') return yield* this.#tar(names, pieces, depth)
    const isWhole = Buffer.isBuffer(pieces)
    const inner = { names: [...names, kind === 'gzip' ? gzipName(head) : kind], size: null, path: null }
    if (kind === 'gzip' && isWhole) {
      const read = readGzip(pieces, this.budget)
      if (!('code' in read)) return yield* this.#unpacked(names, inner, read.contents, depth)
      // A larger one may still be read as a stream.
      if (read.code !== 'too-large') return this.problem(names, read)
    }
    const all = isWhole ? pieceOf(pieces) : pieces
    const limits = this.#isLayer(names) ? null : { budget: this.budget, fed }
    const stream = new Decompression(all, kind, limits)
    try {
      yield* this.#unpacked(names, inner, stream.pieces(), depth)
    } finally {
      yield* wait(stream.close())
    }
    yield* wait(drain(all))
    if (stream.taken !== null && stream.taken < fed())
      this.problem(names, problem('damaged', `something follows at ${stream.taken}`))
  }

  /** A tar archive goes by the name of the file that it is compressed in. */
  *#unpacked(
    names: readonly string[],
    inner: Omit<Entry, 'contents'>,
    contents: Buffer | AsyncGenerator<Buffer>,
    depth: number,
  ): Task<void> {
    const isLayer = this.#isLayer(names)
    if (Buffer.isBuffer(contents)) {
      if (!this.#isTar(names, contents.subarray(0, KIND_HEAD))) yield* this.file({ ...inner, contents }, depth + 1)
      else {
        yield* this.#tar(names, contents, depth)
        this.#diffId = isLayer ? digestOf('sha256', contents) : null
      }
      return
    }
    const unpacked = isLayer ? createHash('sha256') : null
    const input = new Input(contents, piece => void unpacked?.update(piece))
    const { head, all } = yield* wait(peek(input.pieces(), KIND_HEAD))
    if (this.#isTar(names, head)) {
      yield* this.#tar(names, all, depth)
      yield* wait(drain(all))
      this.#diffId = unpacked?.digest('hex') ?? null
    } else yield* this.file({ ...inner, contents: all }, depth + 1)
  }

  *#tar(names: readonly string[], pieces: Buffer | AsyncIterable<Buffer>, depth: number): Task<void> {
    const layer = this.#isLayer(names)
    const look = this
    function* member(member: ArchiveMember): Task<boolean> {
      const path = [...names, member.name]
      look.findings.push(...checkNames(path.join('!'), member, look.forbidden))
      if (!layer && !look.budget.take(0)) {
        look.problem(names, problem('too-large'))
        return false
      }
      // Each file of a layer is a file of the artefact.
      const own = layer ? new Look(look.forbidden, { ...look.#wanted, layer: false }, look.findings) : look
      const { name, type, mode, target, size } = member
      const entry = (): Entry => ({ names: path, size, path: null, contents: contentsOf(member) })
      const looked = type === 'file' ? yield* own.file(entry(), layer ? 1 : depth + 1) : null
      if (layer && look.#wanted.facts)
        look.#members.push({
          ...{ name, type, mode, target },
          facts: looked?.facts ?? null,
          loading: looked?.loading ?? null,
        })
      return true
    }
    if (!Buffer.isBuffer(pieces)) return yield* each(readTar(pieces, ''), member)
    for (const found of tarMembersOf(pieces, '')) if (!(yield* member(found))) return
  }

  scan(names: readonly string[], part: string, contents: Buffer): void {
    const references = new References(this.forbidden).of(contents)
    this.findings.push(...grouped(names.join('!'), 'contents', references, () => part))
  }
}

/** A layer that changes nothing: an archive's end alone. */
const isEmptyTar = (head: Buffer): boolean => head.length >= BLOCK && head.every(byte => byte === 0)

/** Reads the rest, for those who see it on its way. */
async function drain(pieces: AsyncIterable<Buffer>): Promise<void> {
  for await (const _ of pieces);
}

/** Why a stream could not be read to its end. */
function problemOf(error: unknown): Problem {
  if (error === TOO_LARGE) return problem('too-large')
  if (error instanceof BundleError) {
    if (error.code === 'tool-missing') return problem('opaque', error.message)
    return problem('damaged', error.message.replace(/^.*not a readable tar archive: /, ''))
  }
  // zlib's own.
  if (error instanceof Error && 'code' in error && String(error.code).startsWith('Z_'))
    return problem('damaged', error.message)
  throw error
}
