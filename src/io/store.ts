/**
 * Reading: everything that is learnt from a file system goes through here. Paths are byte strings; nothing is ever
 * opened for writing, and nothing but regular files is opened at all (a FIFO would block).
 */
import * as fs from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'
import { BundleError, errno } from '../errors.ts'
import type { SourcePath } from '../paths.ts'
import type { ByteSource } from './bytes.ts'
import { KEPT_MAX, Memory } from './memory.ts'

export type FileType = 'file' | 'directory' | 'link' | 'special'

export interface Status {
  readonly type: FileType
  /** In bytes. */
  readonly size: number
  readonly mode: number
  /** What tells a file that has several names (hard links) from all others; null for one that has one. */
  readonly inode: string | null
  /** When contents or status were last changed, which nobody can set (st_ctime). In milliseconds. */
  readonly changed: number
}

/** A byte string as Node's fs takes it: of ASCII alone as it is, which is the same bytes in UTF-8 and needs no memory. */
export const native = (path: string): string | Buffer => (NOT_ASCII.test(path) ? Buffer.from(path, 'latin1') : path)
const NOT_ASCII = /[\x80-\xff]/

/** What is known by now, as long as inputs are taken to stay as they are. */
let memory: Memory | null = null

/** Runs a function that asks for the same things again and again: each is asked of the file system once. */
export function remembering<T>(use: () => T): T {
  const before = memory
  memory ??= new Memory()
  try {
    return use()
  } finally {
    memory = before
  }
}

/** What a function says of a path; while things are remembered, what it said first. @param call always the same one */
export const asked = <T>(call: (path: string) => T, path: string): T => (memory ? memory.ask(call, path) : call(path))

/** The status of what a path names, of the link itself when it names one; null when it names nothing. */
export const lstat = (path: string): Status | null => asked(lstatNow, path)
const lstatNow = (path: string): Status | null => status(path, fs.lstatSync)

/** The status of what a path names, links followed; null when it names nothing, or only a broken or cyclic link. */
export const stat = (path: string): Status | null => asked(statNow, path)
function statNow(path: string): Status | null {
  if (memory) {
    // What is remembered of it is the same, unless it is a link.
    const own = lstat(path)
    if (own?.type !== 'link') return own
  }
  return status(path, fs.statSync)
}

function status(path: string, call: typeof fs.lstatSync): Status | null {
  try {
    // An error that is thrown costs more than the question.
    const s = call(native(path), { throwIfNoEntry: false })
    if (s === undefined) return null
    const type = s.isFile() ? 'file' : s.isDirectory() ? 'directory' : s.isSymbolicLink() ? 'link' : 'special'
    const inode = type === 'file' && s.nlink > 1 ? `${s.dev}:${s.ino}` : null
    // As V8 has small numbers: what comes from Node takes memory of its own wherever it is kept.
    const size = s.size < SMALL_NUMBERS ? s.size | 0 : s.size
    return { type, size, mode: s.mode | 0, inode, changed: s.ctimeMs }
  } catch (error) {
    const code = errno(error)
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP' || code === 'ENAMETOOLONG') return null
    throw unreadable(path, error)
  }
}

const SMALL_NUMBERS = 2 ** 31

/** Names in a directory, sorted bytewise. */
export const list = (path: string): string[] => reading(path, () => fs.readdirSync(native(path), 'latin1').sort())

export const readLink = (path: string): string => asked(readLinkNow, path)
const readLinkNow = (path: string): string => reading(path, () => fs.readlinkSync(native(path), 'latin1'))

/** The path with every link resolved. */
export const realPath = (path: string): SourcePath => asked(realPathNow, path)
function realPathNow(path: string): SourcePath {
  // Where it lies is known of its neighbours: one question is left.
  const slash = path.lastIndexOf('/')
  if (memory && slash > 0 && !ODD.test(path)) {
    const directory = realPath(path.slice(0, slash))
    const inside = `${directory === '/' ? '' : directory}${path.slice(slash)}`
    const type = lstat(inside)?.type
    if (type !== undefined && type !== 'link') return inside as SourcePath
  }
  return reading(path, () => fs.realpathSync.native(native(path), 'latin1')) as SourcePath
}
/** A path that names something else than it says, or is told from where the process stands. */
const ODD = /^[^/]|\/\.{0,2}(?:\/|$)/

/** What a file is, its first bytes tell: they are read once for all who ask. In bytes. */
const HEAD = 4096

/** Runs `use` on an open regular file, as a source of bytes, and closes it. */
export function withFile<T>(path: string, use: (source: ByteSource) => T): T {
  const kept = memory?.file(path)
  if (kept !== undefined) return use(whole(kept))
  const fd = reading(path, () => fs.openSync(native(path), 'r'))
  try {
    const known = memory?.known(lstatNow, path)
    const sizeNow = (): number => reading(path, () => fs.fstatSync(fd).size)
    let size = known?.type === 'file' ? known.size : sizeNow()
    if (memory && size <= KEPT_MAX) {
      // A byte more than it has shows its end.
      const room = memory.room(size + 1)
      if (reading(path, () => fs.readSync(fd, room, 0, room.length, 0)) === size)
        return use(whole(memory.keep(path, room.subarray(0, size))))
      size = sizeNow()
    }
    const readInto = (buffer: Buffer, offset: number): number =>
      reading(path, () => {
        let done = 0
        while (done < buffer.length) {
          const n = fs.readSync(fd, buffer, done, buffer.length - done, offset + done)
          if (n === 0) break
          done += n
        }
        return done
      })
    let head: Buffer | null = null
    return use({
      size,
      readInto,
      read: (offset, length) => {
        if (length < HEAD && offset >= 0 && offset + length <= HEAD) {
          if (head === null) {
            head = Buffer.allocUnsafe(Math.min(HEAD, size))
            head = head.subarray(0, readInto(head, 0))
          }
          return head.subarray(offset, offset + length)
        }
        const buffer = Buffer.allocUnsafe(Math.max(0, Math.min(length, size - offset)))
        const n = readInto(buffer, offset)
        return n === buffer.length ? buffer : buffer.subarray(0, n)
      },
    })
  } finally {
    fs.closeSync(fd)
  }
}

/** Bytes that are kept, as a file gives them. Whoever holds on to a few of them holds all, and its neighbours'. */
const whole = (bytes: Buffer): ByteSource => ({
  size: bytes.length,
  readInto: (buffer, offset) => (offset < bytes.length ? bytes.copy(buffer, 0, offset) : 0),
  read: (offset, length) => bytes.subarray(offset, offset + Math.max(0, length)),
})

/** All of a text file, or of a pipe that a person names as one (`<(nix-store -qR ./result)`). */
export const readText = (path: string): string => reading(path, () => fs.readFileSync(native(path), 'utf8'))

/** All of standard input, whatever it is. */
export const readInput = (): Buffer => reading('standard input', () => fs.readFileSync(0))

/** Whether two files have the same contents. */
export function sameContents(a: string, b: string): boolean {
  return withFile(a, x =>
    withFile(b, y => {
      if (x.size !== y.size) return false
      const others = pieces(y)
      for (const piece of pieces(x)) if (!piece.equals(others.next().value as Buffer)) return false
      return true
    }),
  )
}

/** Bytes of a source piece by piece; a piece is valid until the next is asked for. */
export function* pieces(source: ByteSource, size = PIECE): Generator<Buffer> {
  const { readInto } = source
  if (readInto === undefined) {
    for (let offset = 0; offset < source.size; offset += size) yield source.read(offset, size)
    return
  }
  const buffer = size === PIECE ? (spare ?? Buffer.allocUnsafe(PIECE)) : Buffer.allocUnsafe(size)
  if (buffer === spare) spare = null
  for (let offset = 0; offset < source.size; offset += size) {
    const n = readInto(buffer.subarray(0, Math.min(size, source.size - offset)), offset)
    yield buffer.subarray(0, n)
  }
  if (size === PIECE) spare = buffer
}

/** Bytes of a piece: they fit into a CPU's cache. */
const PIECE = 256 * 1024
/** A buffer that nobody reads into now: new memory for every file would cost as much as the reading. */
let spare: Buffer | null = null

/**
 * Bytes of a file piece by piece; a piece is valid until the next is asked for. One that is not large is read without
 * waiting: to wait for the thread that reads a piece takes longer than to read it.
 */
export async function* filePieces(path: string): AsyncGenerator<Buffer> {
  const fd = reading(path, () => fs.openSync(native(path), 'r'))
  try {
    // A byte more than it has shows its end.
    const expected = fs.fstatSync(fd).size + 1
    const buffer = Buffer.allocUnsafe(Math.min(expected, WAITED))
    for (let offset = 0; ; ) {
      const n = expected <= AT_ONCE ? fs.readSync(fd, buffer, 0, buffer.length, offset) : await read(fd, buffer, offset)
      if (n > 0) yield buffer.subarray(0, n)
      offset += n
      if (n === 0 || offset === expected - 1) return
    }
  } catch (error) {
    throw unreadable(path, error)
  } finally {
    fs.closeSync(fd)
  }
}

/** Bytes of a piece that may be waited for. */
const WAITED = 512 * 1024
/** Of so many bytes no more than 10 ms go by. */
const AT_ONCE = 16 << 20

const read = (fd: number, buffer: Buffer, offset: number): Promise<number> =>
  new Promise((done, fail) => {
    fs.read(fd, buffer, 0, buffer.length, offset, (error, n) => (error ? fail(error) : done(n)))
  })

/**
 * Bytes of a file piece by piece, all in one buffer: a piece is valid until the next is asked for.
 * @param every the event loop gets its turn after so many bytes
 */
export async function* filePiecesInto(buffer: Buffer, path: string, every: number): AsyncGenerator<Buffer> {
  const fd = reading(path, () => fs.openSync(native(path), 'r'))
  try {
    for (let offset = 0, next = every; ; ) {
      const n = reading(path, () => fs.readSync(fd, buffer, 0, buffer.length, offset))
      offset += n
      if (n > 0) yield buffer.subarray(0, n)
      // Only at its end a regular file gives less than asked for.
      if (n < buffer.length) return
      if (offset < next) continue
      next += every
      await turn()
    }
  } finally {
    fs.closeSync(fd)
  }
}

/** All of a small file, valid until the next is read so; null for a larger one. */
export function readSmall(path: string, size: number): Buffer | null {
  if (size > SMALL) return null
  // A byte more than it has shows its end.
  small ??= Buffer.allocUnsafeSlow(SMALL + 1)
  return readWhole(small, path)
}
const SMALL = 512 * 1024
let small: Buffer | null = null

/** All of a small file, in a buffer that is larger than it; null when it is no smaller than that any more. */
export function readWhole(buffer: Buffer, path: string): Buffer | null {
  let fd: number | null = null
  try {
    fd = fs.openSync(native(path), 'r')
    // Only at its end a regular file gives less than asked for.
    const n = fs.readSync(fd, buffer, 0, buffer.length, 0)
    return n < buffer.length ? buffer.subarray(0, n) : null
  } catch (error) {
    throw unreadable(path, error)
  } finally {
    if (fd !== null) fs.closeSync(fd)
  }
}

/**
 * Reads a file from its start to its end, each time into the room that there is, which is never empty.
 * @returns how many bytes were read, each time
 */
export function* readInto(path: string, room: () => Buffer): Generator<number> {
  const fd = reading(path, () => fs.openSync(native(path), 'r'))
  try {
    for (let offset = 0; ; ) {
      const buffer = room()
      const n = reading(path, () => fs.readSync(fd, buffer, 0, buffer.length, offset))
      if (n > 0) yield n
      // Only at its end a regular file gives less than asked for.
      if (n < buffer.length) return
      offset += n
    }
  } finally {
    fs.closeSync(fd)
  }
}

function reading<T>(path: string, call: () => T): T {
  try {
    return call()
  } catch (error) {
    throw unreadable(path, error)
  }
}

function unreadable(path: string, error: unknown): unknown {
  const code = errno(error)
  if (code === undefined || error instanceof BundleError) return error
  if (code === 'ENOENT') return new BundleError('not-found', 'no such file or directory', { path, cause: error })
  if (code === 'EACCES' || code === 'EPERM')
    return new BundleError('unreadable', 'permission denied', {
      path,
      cause: error,
      hint: 'run as a user who may read it',
    })
  return new BundleError('unreadable', `cannot be read (${code})`, { path, cause: error })
}

/**
 * A file, or a part of it, as a stream.
 * @param size bytes of a piece
 */
export const readStream = (
  path: string,
  size: number,
  part?: { readonly offset: number; readonly size: number },
): fs.ReadStream =>
  fs.createReadStream(native(path), {
    highWaterMark: size,
    // The last byte is one of it; a part without any ends before it begins.
    ...(part !== undefined && { start: part.offset, end: Math.max(part.offset, part.offset + part.size - 1) }),
  })
