/**
 * What is packed in a file of another kind, and begins anywhere in it: zips, zlib and gzip streams are looked into, of
 * others the kind is named.
 */
import { unzip } from '../../archive/unzip.ts'
import type { ByteSource } from '../../io/bytes.ts'
import type { Task } from '../../io/task.ts'
import type { Finding } from '../../model/findings.ts'
import { containerKind, KIND_HEAD, LIMITS } from '../../references/containers.ts'
import { readZlib } from '../../references/gzip.ts'
import { type Problem, problem } from '../../references/inflate.ts'
import { namedHeads, type PackedHead } from '../../references/packed-heads.ts'
import { zipAt } from '../../references/zip.ts'
import { type ZlibStream, zlibStreams } from '../../references/zlib-streams.ts'
import type { Looking } from './around.ts'
import { checkNames, type Forbidden } from './references.ts'

/** A file, or one that is packed in another. */
export interface Entry {
  /** From the outermost. Byte strings. */
  readonly names: readonly string[]
  /** In bytes; null where it is not known before the end. */
  readonly size: number | null
  readonly path: string | null
  /** All bytes where they are at hand, else as they come. */
  readonly contents: Buffer | AsyncIterable<Buffer>
}

/** Who looks into what is found. */
export interface Opening extends Looking {
  readonly forbidden: Forbidden
  file(entry: Entry, depth: number): Task<unknown>
}

/** Files of other kinds that begin anywhere in a file: zips are looked into, where they are whole. */
export function* filesWithin(
  look: Opening,
  names: readonly string[],
  source: ByteSource | null,
  heads: readonly PackedHead[],
  depth: number,
): Task<void> {
  if (heads.length === 0) return
  const unread: PackedHead[] = []
  let [end, tries] = [0, ZIPS_TRIED]
  for (const head of heads) {
    if (head.offset < end) continue
    const zip = head.kind === 'zip' && source !== null && tries > 0 ? zipAt(source, head.offset) : null
    if (zip === null) {
      unread.push(head)
      if (head.kind === 'zip') tries--
    } else {
      end = head.offset + zip.length
      yield* packedWithin(look, [...names, `zip at ${head.offset}`], zip, depth + 1)
    }
  }
  for (const { what, kind } of namedHeads(unread)) look.problem([...names, what], problem('opaque', kind))
}

/** zlib and gzip streams that begin anywhere in a file of another kind. */
export function* streamsWithin(
  look: Opening,
  names: readonly string[],
  source: ByteSource | null,
  heads: readonly number[],
  depth: number,
): Task<void> {
  if (source === null) return look.problem(names, problem('too-large'))
  for (const stream of zlibStreams(source, heads, look.budget)) {
    if ('code' in stream) look.problem(names, stream)
    else if (!stream.sure) look.scan([...names, stream.format], placeOf(stream), stream.contents)
    else if (depth > LIMITS.depth) return look.problem(names, problem('too-deep'))
    else {
      const before = look.findings.length
      yield* look.file(inMemory([...names, stream.format], stream.contents), depth + 1)
      const within = look.findings.splice(before).map(f => inPart(f, placeOf(stream)))
      look.findings.push(...within)
    }
  }
}

/** Returns the offset behind which all of the file was looked into. */
export function* packedWithin(look: Opening, names: readonly string[], bytes: Buffer, depth: number): Task<number> {
  const isZip = containerKind(bytes.subarray(0, KIND_HEAD), bytes.length) !== 'zlib'
  if (!isZip) {
    const read = readZlib(bytes, look.budget)
    if (read === null) return bytes.length
    if (depth > LIMITS.depth) look.problem(names, problem('too-deep'))
    else if ('code' in read) look.problem(names, read)
    else yield* look.file(inMemory([...names, 'zlib'], read.contents), depth + 1)
    return 0
  }
  const refuse = (why: Problem): number => {
    look.problem(names, why)
    return bytes.length
  }
  if (depth > LIMITS.depth) return refuse(problem('too-deep'))
  const zip = unzip(bytes, look.budget)
  if (zip === null) return refuse(problem('damaged', 'its directory is not where it should be'))
  for (const member of zip.members) {
    const path = [...names, member.name]
    look.findings.push(...checkNames(path.join('!'), member, look.forbidden))
    if (member.type !== 'file') continue
    const read = member.read()
    if (Buffer.isBuffer(read)) yield* look.file(inMemory(path, read), depth + 1)
    else look.problem(path, read)
  }
  if (zip.problem) look.problem(names, zip.problem)
  return zip.start
}

/** Members of zips that nothing lists, of which so many are looked for in a file. */
const ZIPS_TRIED = 8

const placeOf = ({ format, offset }: ZlibStream): string => `${format} at ${offset}`

/** A finding in what is packed in a file, with the place of that. */
const inPart = (finding: Finding, part: string): Finding =>
  'part' in finding && finding.part === null ? { ...finding, part } : finding

export const inMemory = (names: readonly string[], contents: Buffer): Entry => ({
  names,
  size: contents.length,
  path: null,
  contents,
})
