/**
 * References inside compressed files: gzip, zlib and zip (jar, whl, egg), zlib streams in files of any other kind, and
 * these in one another.
 *
 * A plain scan of a container sees names, comments and stored members, and nothing of what is compressed. So each
 * member's contents are scanned by themselves, and are opened in turn when they are a container. What cannot be looked
 * into is named as a problem, never passed over.
 *
 * A container is made again only when the contents of a member change; else it is the same bytes. Equal input gives
 * equal output with one version of Node on one kind of CPU: other builds of zlib compress to other bytes of the same
 * meaning. What stands in a container outside of its members (a zip's names, its `#!` line) is left to a plain
 * overwrite of the result at equal length.
 */
import { BundleError, LEAVE_OUT } from '../errors.ts'
import { type ByteSource, bufferSource } from '../io/bytes.ts'
import { readGzip, readZlib, remakeStream, type Stream } from './gzip.ts'
import { Budget, type ContainerLimits, LIMITS, type ProblemCode, problem } from './inflate.ts'
import { type ContainerKind, containerKindOf, type OpaqueKind } from './kind.ts'
import { ascending, headsIn, namedHeads, type PackedHead } from './packed-heads.ts'
import type { Reference } from './reference.ts'
import { ANY_HASH, type HashSet, ReferenceScanner } from './scan.ts'
import { sieve } from './sieve.ts'
import { readMember, readZip, type Zip, type ZipMember } from './zip.ts'
import { type Packed, pack, remakeZip } from './zip-edit.ts'
import { streamOfLength, ZlibHeads, type ZlibStream, zlibStreams } from './zlib-streams.ts'

export { type ContainerLimits, LIMITS, type ProblemCode } from './inflate.ts'
export { type ContainerKind, containerKind, containerKindOf, KIND_HEAD, kindByName, type OpaqueKind } from './kind.ts'

export interface ContainerMember {
  /** From the outermost: a zip's member has its name, a gzip's contents the name in the header or `gzip`. Byte strings. */
  readonly names: readonly string[]
  /** By offset in the contents. */
  readonly references: readonly Reference[]
}

export interface ContainerProblem {
  /** Of the member that it is about; none for the file itself. */
  readonly names: readonly string[]
  readonly code: ProblemCode
  readonly detail: string
}

export interface ContainerScan {
  /** null for what is no container: two bytes alone do not make a zlib stream. */
  readonly kind: ContainerKind | OpaqueKind | null
  /** All that were looked into, in the order of the file, each before what is in it. */
  readonly members: readonly ContainerMember[]
  readonly problems: readonly ContainerProblem[]
  /** With ANY_HASH: whether a member holds what may be a hash that stands alone. No such is among the references. */
  readonly anyHash?: boolean
}

/**
 * The references in a container's members. Throws nothing, whatever the bytes are. What lies in a stored member of a
 * nested zip is seen twice: in the member, and in the bytes of the zip, where also its names and comments are.
 * @param hashes that count without a store directory before them; null: none; ANY_HASH: only whether there is one
 */
export function scanContainer(bytes: Buffer, hashes: HashSet | null, limits: ContainerLimits = LIMITS): ContainerScan {
  const look = new Look(hashes, new Budget(limits))
  return look.scan(look.into([], bytes, 1))
}

/** Where something packed begins in a file that is no container. */
export interface PackedPlaces {
  /** zlib and gzip streams. By offset. */
  readonly streams: readonly number[]
  /** Heads of what is not looked into. By offset. */
  readonly others: readonly PackedHead[]
}

/** The places of what was gathered while a file was read. @param heads all but those of zlib streams */
export function packedPlaces({ found }: ZlibHeads, heads: readonly PackedHead[]): PackedPlaces {
  const gzip = heads.filter(h => h.kind === 'gzip').map(h => h.offset)
  return { streams: ascending(found, gzip), others: heads.filter(h => h.kind !== 'gzip') }
}

/**
 * The same of a file that is no container, of which it is known by now where something packed begins: nothing else of it
 * is read.
 * @param hashes as of `scanContainer`
 */
export function scanStreams(source: ByteSource, places: PackedPlaces, hashes: HashSet | null): ContainerScan {
  const look = new Look(hashes, new Budget(LIMITS))
  look.streams([], source, places, 1, false)
  return look.scan(null)
}

class Look {
  readonly members: ContainerMember[] = []
  readonly problems: ContainerProblem[] = []
  anyHash = false
  readonly #hashes: HashSet | null
  readonly #budget: Budget

  constructor(hashes: HashSet | null, budget: Budget) {
    this.#hashes = hashes
    this.#budget = budget
  }

  /** What was seen of a file of this kind. */
  scan(kind: ContainerScan['kind']): ContainerScan {
    const { members, problems, anyHash } = this
    return { kind, members, problems, ...(this.#hashes === ANY_HASH && { anyHash }) }
  }

  into(names: readonly string[], bytes: Buffer, depth: number): ContainerScan['kind'] {
    const opened = open(bytes, this.#budget)
    if (opened === null) {
      this.streams(names, bufferSource(bytes), packedIn(bytes), depth, false)
      return null
    }
    if ('code' in opened) {
      this.#problem(names, opened)
      if (opened.code === 'opaque') this.streams(names, bufferSource(bytes), packedIn(bytes), depth, true)
    } else if (depth > this.#budget.limits.depth) this.#problem(names, problem('too-deep'))
    else if (opened.kind === 'zip') this.#zip(names, bytes, opened, depth)
    else this.#member([...names, opened.name], opened.contents, depth)
    return opened.kind
  }

  #zip(names: readonly string[], bytes: Buffer, zip: Zip, depth: number): void {
    const first = this.members.length
    for (const member of zip.members.filter(isFile)) {
      const read = readMember(bytes, member, this.#budget)
      const path = [...names, member.name]
      if ('code' in read) this.#problem(path, read)
      else this.#member(path, read.contents, depth)
    }
    if (zip.unlisted) this.#problem(names, problem('damaged', 'its directory does not list all members'))
    if (zip.signed && this.members.slice(first).some(({ references }) => references.length > 0))
      this.#problem(names, problem('signed'))
  }

  streams(
    names: readonly string[],
    source: ByteSource,
    { streams, others }: PackedPlaces,
    depth: number,
    isNamed: boolean,
  ): void {
    // What is in a file of a kind that is named is named with it.
    if (!isNamed)
      for (const { what, kind } of namedHeads(others)) this.#problem([...names, what], problem('opaque', kind))
    for (const stream of zlibStreams(source, streams, this.#budget)) {
      if ('code' in stream) this.#problem(names, stream)
      else if (!stream.sure) this.#scanned([...names, nameOf(stream)], stream.contents)
      else if (depth <= this.#budget.limits.depth) this.#member([...names, nameOf(stream)], stream.contents, depth)
      else {
        this.#problem(names, problem('too-deep'))
        return
      }
    }
  }

  #member(names: readonly string[], contents: Buffer, depth: number): void {
    this.#scanned(names, contents)
    this.into(names, contents, depth + 1)
  }

  #scanned(names: readonly string[], contents: Buffer): void {
    this.members.push({ names, references: this.#scan(names, contents) })
  }

  #scan(names: readonly string[], contents: Buffer): Reference[] {
    const references: Reference[] = []
    const scanner = new ReferenceScanner(this.anyHash ? null : this.#hashes, reference => {
      if (reference.bare && this.#hashes === ANY_HASH) {
        this.anyHash = true
        scanner.ignoreHashes()
        return
      }
      // A member of nothing but references is told by its first ones; to go on would cost time and memory.
      if (!this.#budget.takeReference()) throw ENOUGH
      references.push(reference)
    })
    try {
      scanner.push(contents)
      scanner.end()
    } catch (error) {
      if (error !== ENOUGH) throw error
      this.#problem(names, problem('too-many'))
    }
    return references.sort((a, b) => a.offset - b.offset)
  }

  #problem(names: readonly string[], { code, detail }: { code: ProblemCode; detail: string }): void {
    this.problems.push({ names, code, detail })
  }
}

const ENOUGH = new Error('enough references')

/** What is packed in a file of another kind: zlib and gzip streams, and heads of what is not looked into. */
function packedIn(bytes: Buffer): PackedPlaces {
  const zlib = new ZlibHeads()
  const sifted = sieve(false)(bytes)
  zlib.push(bytes, sifted)
  return packedPlaces(zlib, headsIn(bytes, sifted))
}

/** Streams have no names; where they begin tells them apart. */
const nameOf = ({ format, offset }: ZlibStream): string => `${format} at ${offset}`

/** Directories are members without contents. */
const isFile = (member: ZipMember): boolean => !(member.name.endsWith('/') && member.size === 0 && member.packed === 0)

type Failure = { readonly kind: ContainerKind | OpaqueKind; readonly code: ProblemCode; readonly detail: string }

/** Formats whose checksums cover streams in them; null for others. */
function sealOf(bytes: Buffer): string | null {
  if (/^(?:PACK\0|# v\d git bundle\n)/.test(bytes.toString('latin1', 0, 16))) return "git's"
  if (bytes.toString('latin1', 1, 8) === 'PNG\r\n\x1a\n') return 'a PNG'
  if (bytes.toString('latin1', bytes.length - 512, bytes.length - 508) === 'koly') return 'a disk image'
  const kind = containerKindOf(bufferSource(bytes))
  return kind === null || kind === 'zlib' ? null : `of the kind ${kind}`
}

/** A container that can be read, why it cannot, or null for anything else. */
function open(bytes: Buffer, budget: Budget): Zip | Stream | Failure | null {
  const kind = containerKindOf(bufferSource(bytes))
  if (kind === null) return null
  if (kind === 'zip')
    return readZip(bytes) ?? { kind, ...problem('damaged', 'its directory is not where it should be') }
  if (kind !== 'gzip' && kind !== 'zlib') return { kind, ...problem('opaque', kind) }
  const stream = kind === 'gzip' ? readGzip(bytes, budget) : readZlib(bytes, budget)
  return stream !== null && 'code' in stream ? { kind, ...stream } : stream
}

/** New contents of a member: of equal length, and never the same buffer changed. The same buffer stays as it is. */
export type EditMember = (names: readonly string[], contents: Buffer) => Buffer

export interface RewriteOptions {
  /** Byte string: the file that an error is about. */
  readonly path?: string
  readonly limits?: ContainerLimits
}

/**
 * The container with its members edited. A member that is a container itself is edited from within first, and is then
 * given to `edit` as it was made again. What cannot be read stays as it is: scanContainer names it.
 */
export function rewriteContainer(bytes: Buffer, edit: EditMember, options: RewriteOptions = {}): Buffer {
  return new Rewrite(edit, options).of([], bytes, 1)
}

class Rewrite {
  readonly #edit: EditMember
  readonly #path: string | undefined
  readonly #budget: Budget

  constructor(edit: EditMember, { path, limits = LIMITS }: RewriteOptions) {
    this.#edit = edit
    this.#path = path
    this.#budget = new Budget(limits)
  }

  of(names: readonly string[], bytes: Buffer, depth: number): Buffer {
    if (depth > this.#budget.limits.depth) return bytes
    const opened = open(bytes, this.#budget)
    if (opened === null || ('code' in opened && opened.code === 'opaque')) return this.#streams(names, bytes, depth)
    if ('code' in opened) return bytes
    if (opened.kind === 'zip') return this.#zip(names, bytes, opened, depth)
    const after = this.#member([...names, opened.name], opened.contents, depth)
    if (after === opened.contents) return bytes
    return (
      remakeStream(bytes, opened, after) ??
      this.#refuse(names, 'its index of the compressed stream cannot be made again')
    )
  }

  #zip(names: readonly string[], bytes: Buffer, zip: Zip, depth: number): Buffer {
    const changed = new Map<ZipMember, Packed>()
    for (const member of zip.members.filter(isFile)) {
      const read = readMember(bytes, member, this.#budget)
      if ('code' in read) continue
      const after = this.#member([...names, member.name], read.contents, depth)
      if (after !== read.contents) changed.set(member, pack(member, after))
    }
    if (changed.size === 0) return bytes
    if (zip.signed) this.#refuse(names, 'it is signed, and a change would break the signature')
    return remakeZip(bytes, zip, changed) ?? this.#refuse(names, 'its sizes or offsets do not fit any more')
  }

  /** Each stream is as long afterwards as it was: whoever says where they begin is right. */
  #streams(names: readonly string[], bytes: Buffer, depth: number): Buffer {
    let changed: Buffer | null = null
    for (const stream of zlibStreams(bufferSource(bytes), packedIn(bytes).streams, this.#budget)) {
      if ('code' in stream) continue
      const { offset, length, contents, sure } = stream
      const path = [...names, nameOf(stream)]
      const after = sure ? this.#member(path, contents, depth) : this.#edit(path, contents)
      if (after.equals(contents)) continue
      if (!sure) this.#refuse(path, 'its checksum is another')
      const seal = sealOf(bytes)
      if (seal !== null) this.#refuse(names, `it is ${seal}, with checksums of what is packed`)
      const remade = streamOfLength(after, length, bytes.subarray(offset))
      if (remade === null) this.#refuse(path, 'its stream does not fit in its place any more')
      changed ??= Buffer.from(bytes)
      changed.set(remade, offset)
    }
    return changed ?? bytes
  }

  /** The member's contents after all edits: the same buffer when nothing changed. */
  #member(names: readonly string[], contents: Buffer, depth: number): Buffer {
    const inner = this.of(names, contents, depth + 1)
    const after = this.#edit(names, inner)
    if (after.length !== inner.length) throw new Error(`an edit of ${inner.length} bytes gave ${after.length}`)
    return after.equals(contents) ? contents : after
  }

  #refuse(names: readonly string[], reason: string): never {
    const where = names.length === 0 ? '' : `${names.join(' > ')}: `
    throw new BundleError('edit-refused', `a store path in it cannot be overwritten: ${where}${reason}`, {
      ...(this.#path === undefined ? {} : { path: this.#path }),
      hint: LEAVE_OUT,
    })
  }
}
