/**
 * One file of what is verified, and what is packed in it: gzip, zlib, zip and tar in one another are looked into, up
 * to a depth and a size; what cannot be looked into is told by name.
 *
 * A file is read once. Its bytes go to the search for references and to its digest on the way to whatever unpacks
 * them, so memory stays flat; only what has to be read at random (a zip, an ELF file for its parts) is held, and only
 * when it does not lie on the disk.
 */
import { createHash } from 'node:crypto'
import { isTarHead } from '../../archive/kind.ts'
import type { Member } from '../../archive/members.ts'
import { Decompression, Input, Kept, type Peeked, peek, TOO_LARGE } from '../../archive/stream.ts'
import { BLOCK } from '../../archive/tar.ts'
import { readTar } from '../../archive/untar.ts'
import { unzip } from '../../archive/unzip.ts'
import type { ElfFacts } from '../../elf/facts.ts'
import { BundleError } from '../../errors.ts'
import type { ByteSource } from '../../io/bytes.ts'
import type { MachOFacts } from '../../macho/facts.ts'
import type { Finding } from '../../model/findings.ts'
import { ApartSearch } from '../../references/apart.ts'
import { containerKind, KIND_HEAD, LIMITS } from '../../references/containers.ts'
import { gzipName, readGzip, readZlib } from '../../references/gzip.ts'
import { Budget, type Problem, problem } from '../../references/inflate.ts'
import type { Reference } from '../../references/reference.ts'
import { ZlibHeads, zlibStreams } from '../../references/zlib-streams.ts'
import { type Kind, type Looking, lookAround } from './around.ts'
import type { SeenMember } from './image-root.ts'
import { checkNames, type Forbidden, grouped, References } from './references.ts'

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
  /** The SHA-256 of a layer's tar, unpacked; null for what is none. */
  readonly diffId: string | null
  /** Of a layer, where facts are wanted. */
  readonly members: readonly SeenMember[]
}

/** A file, or one that is packed in another. */
interface Entry {
  /** From the outermost. Byte strings. */
  readonly names: readonly string[]
  /** In bytes; null where it is not known before the end. */
  readonly size: number | null
  readonly path: string | null
  readonly contents: AsyncIterable<Buffer>
}

/** What stands behind a name or a stored member in a zip looks like more of a path: the next record, an extra field. */
const ZIP_FOLLOWS = /\/?(?:PK|UT|ux)$/

/** Reads a member of what is verified once, and what is packed in it. */
export async function lookInto(member: Member, name: string, forbidden: Forbidden, wanted: Wanted): Promise<Looked> {
  const look = new Look(forbidden, wanted)
  if (member.problem !== null) look.problem([name], member.problem)
  const entry = { names: [name], size: member.size, path: member.path, contents: member.contents() }
  return { findings: look.findings, ...(await look.file(entry, 1)) }
}

class Look implements Looking {
  readonly findings: Finding[]
  readonly #forbidden: Forbidden
  readonly #wanted: Wanted
  readonly budget = new Budget(LIMITS)
  #diffId: string | null = null
  readonly #members: SeenMember[] = []

  constructor(forbidden: Forbidden, wanted: Wanted, findings: Finding[] = []) {
    this.#forbidden = forbidden
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
  async file(entry: Entry, depth: number): Promise<Omit<Looked, 'findings'>> {
    const { names, size } = entry
    const hash = names.length === 1 && this.#wanted.digest ? createHash('sha256') : null
    const references = new References(this.#forbidden)
    const apart = new ApartSearch()
    const kept = new Kept(entry.path)
    const heads = new ZlibHeads()
    const input = new Input(entry.contents, piece => {
      hash?.update(piece)
      references.push(piece)
      apart.push(piece)
      heads.push(piece)
      if (heads.found.length > 0) kept.hold()
      kept.push(piece)
    })
    const peeked = await peek(input.pieces(), KIND_HEAD)
    const before = this.findings.length
    const isTar = isTarHead(peeked.head) || (this.#isLayer(names) && isEmptyTar(peeked.head))
    const kind: Kind = isTar ? 'tar' : containerKind(peeked.head, size ?? Number.POSITIVE_INFINITY)
    try {
      await this.#stream(entry, kind, peeked, input, depth)
    } catch (error) {
      if (input.error === null) this.problem(names, problemOf(error))
    }
    await drain(peeked.all).catch(() => {})
    const found = references.end()
    if (input.error !== null) {
      // What is wrong with the bytes around is told of whatever is around; what they held until then counts.
      this.findings.push(...grouped(names.join('!'), 'contents', found))
      throw input.error
    }

    const whole = size === peeked.first.length ? peeked.first : null
    const [facts, zstd] = [depth === 1 && this.#wanted.facts, this.#isLayer(names)]
    const random = kept.use(whole, source =>
      lookAround({ names, source, kind, facts, zstd, holdsReferences: found.length > 0 }, this),
    )
    const around = random?.packed ? await this.#packed(names, random.packed, depth) : Number.POSITIVE_INFINITY
    const streams = kind === 'tar' || kind === 'gzip' ? [] : heads.found.filter(at => at < around && !random?.told(at))
    if (streams.length > 0) await this.#zlibStreams(names, kept.source(whole), streams, depth)
    if (random === null && (kind === 'zip' || kind === 'zlib')) this.problem(names, problem('too-large'))
    const own = this.#own(names, found, random?.partOf, this.findings.slice(before))
    this.findings.splice(before, 0, ...own)
    if (references.tooMany) this.problem(names, problem('too-many'))
    if (apart.found >= 0) this.problem(names, problem('apart', `offset ${apart.found}`))
    const sha256 = hash?.digest('hex') ?? null
    const diffId = kind === 'tar' && this.#isLayer(names) ? sha256 : this.#diffId
    return { sha256, facts: random?.facts ?? null, diffId, members: this.#members }
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

  /** Kinds that are read as they come. */
  async #stream(entry: Entry, kind: Kind, peeked: Peeked, input: Input, depth: number): Promise<void> {
    const { names } = entry
    if (kind !== 'tar' && kind !== 'gzip' && !(kind === 'zstd' && this.#isLayer(names))) return
    if (depth > LIMITS.depth) return this.problem(names, problem('too-deep'))
    if (kind === 'tar') return this.#tar(names, peeked.all, depth)
    const inner = { names: [...names, kind === 'gzip' ? gzipName(peeked.head) : kind], size: null, path: null }
    if (kind === 'gzip' && entry.size === peeked.first.length) {
      const read = readGzip(peeked.first, this.budget)
      if (!('code' in read)) return this.#unpacked(names, inner, once(read.contents), depth)
      // A larger one may still be read as a stream.
      if (read.code !== 'too-large') return this.problem(names, read)
    }
    const limits = this.#isLayer(names) ? null : { budget: this.budget, fed: () => input.size }
    const stream = new Decompression(peeked.all, kind, limits)
    try {
      await this.#unpacked(names, inner, stream.pieces(), depth)
    } finally {
      await stream.close()
    }
    await drain(peeked.all)
    if (stream.taken !== null && stream.taken < input.size)
      this.problem(names, problem('damaged', `something follows at ${stream.taken}`))
  }

  /** A tar archive goes by the name of the file that it is compressed in. */
  async #unpacked(
    names: readonly string[],
    inner: Omit<Entry, 'contents'>,
    pieces: AsyncGenerator<Buffer>,
    depth: number,
  ): Promise<void> {
    const unpacked = this.#isLayer(names) ? createHash('sha256') : null
    const input = new Input(pieces, piece => void unpacked?.update(piece))
    const { head, all } = await peek(input.pieces(), KIND_HEAD)
    if (isTarHead(head) || (this.#isLayer(names) && isEmptyTar(head))) {
      await this.#tar(names, all, depth)
      await drain(all)
      this.#diffId = unpacked?.digest('hex') ?? null
    } else await this.file({ ...inner, contents: all }, depth + 1)
  }

  async #tar(names: readonly string[], pieces: AsyncIterable<Buffer>, depth: number): Promise<void> {
    const layer = this.#isLayer(names)
    for await (const member of readTar(pieces, '')) {
      const path = [...names, member.name]
      this.findings.push(...checkNames(path.join('!'), member, this.#forbidden))
      if (!layer && !this.budget.take(0)) return this.problem(names, problem('too-large'))
      // Each file of a layer is a file of the artefact.
      const look = layer ? new Look(this.#forbidden, { ...this.#wanted, layer: false }, this.findings) : this
      const entry = { names: path, size: member.size, path: null, contents: member.contents() }
      const looked = member.type === 'file' ? await look.file(entry, layer ? 1 : depth + 1) : null
      if (!layer || !this.#wanted.facts) continue
      const { name, type, mode, target } = member
      this.#members.push({ name, type, mode, target, facts: looked?.facts ?? null })
    }
  }

  scan(names: readonly string[], part: string, contents: Buffer): void {
    const references = new References(this.#forbidden)
    references.push(contents)
    this.findings.push(...grouped(names.join('!'), 'contents', references.end(), () => part))
  }

  /** zlib streams that begin anywhere in a file of another kind. */
  async #zlibStreams(
    names: readonly string[],
    source: ByteSource | null,
    heads: readonly number[],
    depth: number,
  ): Promise<void> {
    if (source === null) return this.problem(names, problem('too-large'))
    for (const stream of zlibStreams(source, heads, this.budget)) {
      if ('code' in stream) this.problem(names, stream)
      else if (!stream.sure) this.scan([...names, 'zlib'], `zlib at ${stream.offset}`, stream.contents)
      else if (depth > LIMITS.depth) return this.problem(names, problem('too-deep'))
      else {
        const before = this.findings.length
        await this.file({ names: [...names, 'zlib'], ...inMemory(stream.contents) }, depth + 1)
        const within = this.findings.splice(before).map(f => inPart(f, `zlib at ${stream.offset}`))
        this.findings.push(...within)
      }
    }
  }

  /** Returns the offset behind which all of the file was looked into. */
  async #packed(names: readonly string[], bytes: Buffer, depth: number): Promise<number> {
    const isZip = containerKind(bytes.subarray(0, KIND_HEAD), bytes.length) !== 'zlib'
    if (!isZip) {
      const read = readZlib(bytes, this.budget)
      if (read === null) return bytes.length
      if (depth > LIMITS.depth) this.problem(names, problem('too-deep'))
      else if ('code' in read) this.problem(names, read)
      else await this.file({ names: [...names, 'zlib'], ...inMemory(read.contents) }, depth + 1)
      return 0
    }
    const refuse = (why: Problem): number => {
      this.problem(names, why)
      return bytes.length
    }
    if (depth > LIMITS.depth) return refuse(problem('too-deep'))
    const zip = unzip(bytes, this.budget)
    if (zip === null) return refuse(problem('damaged', 'its directory is not where it should be'))
    for (const member of zip.members) {
      const path = [...names, member.name]
      this.findings.push(...checkNames(path.join('!'), member, this.#forbidden))
      if (member.type !== 'file') continue
      const read = member.read()
      if (Buffer.isBuffer(read)) await this.file({ names: path, ...inMemory(read) }, depth + 1)
      else this.problem(path, read)
    }
    if (zip.problem) this.problem(names, zip.problem)
    return zip.start
  }
}

/** A finding in what is packed in a file, with the place of that. */
const inPart = (finding: Finding, part: string): Finding =>
  'part' in finding && finding.part === null ? { ...finding, part } : finding

/** A layer that changes nothing: an archive's end alone. */
const isEmptyTar = (head: Buffer): boolean => head.length >= BLOCK && head.every(byte => byte === 0)

const inMemory = (bytes: Buffer): Omit<Entry, 'names'> => ({ size: bytes.length, path: null, contents: once(bytes) })

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}

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
