/**
 * Whatever is verified, as a sequence of members: a directory, a tar archive (plain, gzip, zstd, xz, bzip2), a zip, a
 * package of Debian's, one file that unpacks itself, any other file. Nothing is unpacked to disk.
 */
import { createHash } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import { createInflate } from 'node:zlib'
import { BundleError } from '../errors.ts'
import type { ByteSource } from '../io/bytes.ts'
import { filePiecesInto, list, lstat, readLink, readStream, type Status, stat, withFile } from '../io/store.ts'
import { containerKindOf, LIMITS } from '../references/containers.ts'
import type { Problem } from '../references/inflate.ts'
import { borrow } from '../references/sieve.ts'
import { type ArMember, isDebHead, readAr } from './ar.ts'
import { compressionOf, decompressor } from './compress.ts'
import { type Contents, OnDisk, READ_SIZE, TURN_BYTES } from './contents.ts'
import { isTarHead, namesTar, namesZip } from './kind.ts'
import { readSingle, type Single, singleOf } from './single.ts'
import { peek, pieceOf, takenBy } from './stream.ts'
import { BLOCK } from './tar.ts'
import { type ArchiveMember, readTar } from './untar.ts'
import { type Unzipped, unzip } from './unzip.ts'

export interface Member extends ArchiveMember, Contents {
  /** Its name below the one directory that a bundle's archive has; elsewhere its name. */
  readonly inside: string
  /** Equal for names of one file on disk (hard links); null where there are no others, and in archives. */
  readonly inode: string | null
  /** When a file on disk was last changed, in milliseconds; not in archives. */
  readonly changed?: number
}

export type ArtefactKind = 'directory' | 'tar' | 'zip' | 'deb' | 'exe' | 'file'

export interface Artefact {
  readonly kind: ArtefactKind
  /** Each call reads anew, from the start. */
  members(): AsyncGenerator<Member>
  /** The same without waiting, where members are read as they are asked for. */
  walk?(): Generator<Member>
}

/**
 * What lies at a path.
 * @throws BundleError('not-found' | 'unreadable' | 'unsupported' | 'archive-unreadable' | 'tool-missing'), here or later
 */
export async function open(path: string): Promise<Artefact> {
  const status = stat(path)
  if (status === null) throw new BundleError('not-found', 'no such file or directory', { path })
  if (status.type === 'directory')
    return { kind: 'directory', members: () => inTurns(directoryMembers(path)), walk: () => directoryMembers(path) }
  if (status.type !== 'file') throw new BundleError('unsupported', 'neither a directory nor a file', { path })
  if (namesTar(path) || (await beginsAsTar(path)))
    return { kind: 'tar', members: () => belowRoot(tarMembers(path), path) }
  if (withFile(path, source => isDebHead(source.read(0, 32)))) return { kind: 'deb', members: () => debMembers(path) }
  const single = withFile(path, singleOf)
  if (single !== null) return { kind: 'exe', members: () => singleMembers(path, single) }
  const isZip = namesZip(path) || withFile(path, containerKindOf) === 'zip'
  if (isZip) return { kind: 'zip', members: () => belowRoot(zipMembers(path), path) }
  return { kind: 'file', members: () => fileMembers(path, status) }
}

const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1)

const NOT_AT_HAND = (): null => null
/** The event loop gets its turn after this many members: signals are looked at, progress is shown. */
export const TURN_MEMBERS = 256

function* directoryMembers(root: string): Generator<Member> {
  const pending = ['']
  const buffer = borrow(READ_SIZE)
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    const path = name === '' ? root : `${root}/${name}`
    const status = name === '' ? stat(path) : lstat(path)
    if (status === null) continue
    if (name !== '') yield new MemberOnDisk(name, path, status, buffer)
    if (status.type === 'directory')
      for (const child of list(path).reverse()) pending.push(name === '' ? child : `${name}/${child}`)
  }
}

const EMPTY = Buffer.alloc(0)

/** There are thousands: as objects that were spread, with functions of their own, they were an eighth of the walk. */
class MemberOnDisk extends OnDisk implements Member {
  readonly name: string
  readonly inside: string
  readonly inode: string | null
  readonly changed: number
  readonly type: Status['type']
  readonly mode: number
  readonly target: string
  readonly header = EMPTY

  constructor(name: string, path: string, status: Status, buffer: Buffer) {
    super(path, status.type === 'file' ? status.size : 0, buffer)
    this.name = name
    this.inside = name
    this.inode = status.inode
    this.changed = status.changed
    this.type = status.type
    this.mode = status.mode & 0o7777
    this.target = status.type === 'link' ? readLink(path) : ''
  }
}

/** Members one by one; signals are heard in between. */
async function* inTurns(members: Generator<Member>): AsyncGenerator<Member> {
  let count = 0
  for (const member of members) {
    if (++count % TURN_MEMBERS === 0) await turn()
    yield member
  }
}

async function* fileMembers(path: string, { size, mode }: { size: number; mode: number }): AsyncGenerator<Member> {
  const name = nameOf(path)
  yield {
    name,
    inside: name,
    path,
    inode: null,
    problem: null,
    type: 'file',
    mode: mode & 0o7777,
    size,
    target: '',
    header: EMPTY,
    contents: () => filePiecesInto(borrow(READ_SIZE), path, TURN_BYTES),
    whole: NOT_AT_HAND,
  }
}

/** Whether a tar header is what a file begins with, after decompression. */
async function beginsAsTar(path: string): Promise<boolean> {
  const head = withFile(path, source => source.read(0, BLOCK))
  if (compressionOf(head) === 'none') return isTarHead(head)
  const { stream, close } = openArchive(path)
  try {
    return isTarHead((await peek(stream, BLOCK)).head)
  } catch (error) {
    // What is no tar archive is a file, whatever is wrong with it; without its program nothing can be told.
    if (error instanceof BundleError && error.code === 'tool-missing') throw error
    return false
  } finally {
    close()
  }
}

interface OpenArchive {
  readonly stream: AsyncIterable<Buffer>
  /** @throws BundleError when something follows that no program unpacks */
  checkEnd(): void
  close(): void
}

/** A file's bytes, or those of a part of it, decompressed. */
function openArchive(path: string, part?: { readonly offset: number; readonly size: number }): OpenArchive {
  const start = part?.offset ?? 0
  const compression = withFile(path, source => compressionOf(source.read(start, 6)))
  const file = readStream(path, READ_SIZE, part)
  const stage = decompressor(compression)
  const stream = stage ? file.on('error', error => stage.destroy(error)).pipe(stage) : file
  return {
    stream,
    checkEnd: () => {
      const taken = compression === 'gzip' && stage ? takenBy(stage) : null
      const end = part === undefined ? undefined : part.offset + part.size
      const follows = taken !== null && withFile(path, source => !isZero(source, start + taken, end))
      if (follows)
        throw new BundleError('archive-unreadable', `something follows behind its end, at ${taken}`, { path })
    },
    close: () => {
      file.destroy()
      stream.destroy()
    },
  }
}

/** Tapes, and programs that round sizes up, leave zeros behind a file. */
function isZero(source: ByteSource, from: number, end = source.size): boolean {
  for (let at = from; at < end; at += READ_SIZE)
    if (source.read(at, Math.min(READ_SIZE, end - at)).some(byte => byte !== 0)) return false
  return true
}

type Raw = Omit<Member, 'inside' | 'path' | 'inode' | 'problem'> & { readonly problem?: Problem | null }

async function* tarMembers(path: string, part?: ArMember): AsyncGenerator<Raw> {
  const { stream, checkEnd, close } = openArchive(path, part)
  try {
    yield* readTar(stream, path)
    checkEnd()
  } finally {
    close()
  }
}

/** What a package installs, by its place, and what dpkg is told below `DEBIAN/`. */
async function* debMembers(path: string): AsyncGenerator<Member> {
  const parts = withFile(path, readAr)
  if (typeof parts === 'string') throw new BundleError('archive-unreadable', `no package: ${parts}`, { path })
  try {
    for (const part of parts) {
      const isTar = /^(?:control|data)\.tar(?:\.|$)/.test(part.name)
      const below = part.name.startsWith('control') ? 'DEBIAN/' : ''
      for await (const member of isTar ? tarMembers(path, part) : wholePart(path, part)) {
        // The directory that all lies in has no name.
        const name = member.name === '' || member.name === '.' ? '' : below + member.name
        const contents = (): AsyncGenerator<Buffer> => readable(member.contents(), path)
        yield { ...member, name, inside: name, path: null, inode: null, problem: null, contents }
      }
    }
  } catch (error) {
    throw unreadable(error, path)
  }
}

/** `debian-binary`, a signature: a part that is no archive. */
async function* wholePart(path: string, { name, offset, size }: ArMember): AsyncGenerator<Raw> {
  async function* contents(): AsyncGenerator<Buffer> {
    for (let at = 0; at < size; at += READ_SIZE)
      yield withFile(path, source => Buffer.from(source.read(offset + at, Math.min(READ_SIZE, size - at))))
  }
  yield { name, type: 'file', mode: 0o644, size, target: '', header: EMPTY, contents, whole: NOT_AT_HAND }
}

/** What `-f exe` has packed. */
async function* singleMembers(path: string, { offset, size, digest, isWhole }: Single): AsyncGenerator<Member> {
  if (!isWhole) throw unreadable(new Error('its end speaks of what is not there'), path)
  const front = withFile(path, source =>
    Buffer.concat(
      [source.read(0, offset), source.read(offset + size, source.size - offset - size)].map(b => Buffer.from(b)),
    ),
  )
  const file = readStream(path, READ_SIZE, { offset, size })
  const hash = createHash('sha256')
  const inflate = createInflate({ chunkSize: READ_SIZE })
  // Before it is piped: a pipe waits for nobody else.
  file.on('data', piece => hash.update(piece))
  file.on('error', error => inflate.destroy(error)).pipe(inflate)
  try {
    for await (const member of readSingle(inflate, front)) {
      const contents = (): AsyncGenerator<Buffer> => readable(member.contents(), path)
      yield { ...member, inside: member.name, path: null, inode: null, problem: null, contents }
    }
    if (takenBy(inflate) !== size) throw new Error('something follows behind what is packed')
    if (hash.digest('hex').slice(0, 16) !== digest) throw new Error('its checksum is another')
  } catch (error) {
    throw unreadable(error, path)
  } finally {
    file.destroy()
    inflate.destroy()
  }
}

async function* zipMembers(path: string): AsyncGenerator<Raw> {
  const bytes = withFile(path, source => (source.size > LIMITS.member ? null : source.read(0, source.size)))
  if (bytes === null)
    throw new BundleError('unsupported', `a zip of more than ${LIMITS.member >> 20} MiB is not read`, {
      path,
      hint: 'unpack it, and verify the directory',
    })
  const zip = unzip(bytes)
  if (zip === null)
    throw new BundleError('archive-unreadable', 'not a readable zip: its directory is not where it should be', { path })
  for (const member of zip.members) yield fromZip(member)
  const { around } = zip
  if (around.length === 0 && zip.problem === null) return
  yield {
    name: nameOf(path),
    type: 'file',
    mode: 0,
    size: around.length,
    target: '',
    header: EMPTY,
    problem: zip.problem,
    contents: () => pieceOf(around),
    whole: () => around,
  }
}

function fromZip(member: Unzipped): Raw {
  const read = member.type === 'file' ? member.read() : Buffer.alloc(0)
  const isRead = Buffer.isBuffer(read)
  if (!isRead && read.code === 'damaged')
    throw new BundleError('archive-unreadable', `not a readable zip: ${member.name}: ${read.detail}`)
  const contents = isRead ? read : Buffer.alloc(0)
  return {
    ...member,
    size: contents.length,
    problem: isRead ? null : read,
    contents: () => pieceOf(contents),
    whole: () => contents,
  }
}

/** With the names below the one directory that all of a bundle's archive lies in. */
async function* belowRoot(archive: AsyncGenerator<Raw>, path: string): AsyncGenerator<Member> {
  try {
    let root: string | null = null
    for await (const member of archive) {
      // A bundle's archive has everything in one directory, whose name is not part of the bundle; or in `.`, when it
      // was packed again from inside.
      const slash = member.name.indexOf('/')
      const first = slash < 0 ? member.name : member.name.slice(0, slash)
      if (root === null) root = member.name === '' || first === '.' || first === '..' ? '' : first
      const name = member.name === '.' ? '' : member.name
      const isRoot = member.type === 'directory' && (name === root || name === '')
      // What lies beside the one directory, or stands in its place, is not in the bundle.
      const below = root === '' ? member.name : first === root && slash >= 0 ? member.name.slice(slash + 1) : null
      const inside = isRoot ? '' : (below ?? `../${member.name}`)
      yield {
        ...member,
        inside,
        path: null,
        inode: null,
        problem: member.problem ?? null,
        contents: () => readable(member.contents(), path),
      }
    }
  } catch (error) {
    throw unreadable(error, path)
  }
}

/** Contents are read by whoever got the member, outside the loop above: what is wrong with them is said all the same. */
async function* readable(pieces: AsyncIterable<Buffer>, path: string): AsyncGenerator<Buffer> {
  try {
    yield* pieces
  } catch (error) {
    throw unreadable(error, path)
  }
}

/** What went wrong in the archive's stream, in one form. */
function unreadable(error: unknown, path: string): unknown {
  // What zstd says of a damaged file, where it is a program, is of the file and not of the tool.
  if (error instanceof BundleError && error.code !== 'tool-failed') return error
  const reason = `cannot be read to its end: ${error instanceof Error ? error.message : error}`
  return new BundleError('archive-unreadable', reason, { path, cause: error })
}
