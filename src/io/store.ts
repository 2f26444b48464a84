/**
 * Reading: everything that is learnt from a file system goes through here. Paths are byte strings; nothing is ever
 * opened for writing, and nothing but regular files is opened at all (a FIFO would block).
 */
import * as fs from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'
import { BundleError, errno } from '../errors.ts'
import type { SourcePath } from '../paths.ts'
import type { ByteSource } from './bytes.ts'

export type FileType = 'file' | 'directory' | 'link' | 'special'

export interface Status {
  readonly type: FileType
  /** In bytes. */
  readonly size: number
  readonly mode: number
}

/** A byte string as Node's fs takes it. */
export const native = (path: string): Buffer => Buffer.from(path, 'latin1')

/** The status of what a path names, of the link itself when it names one; null when it names nothing. */
export const lstat = (path: string): Status | null => status(path, fs.lstatSync)

/** The status of what a path names, links followed; null when it names nothing, or only a broken or cyclic link. */
export const stat = (path: string): Status | null => status(path, fs.statSync)

function status(path: string, call: (path: Buffer) => fs.Stats): Status | null {
  try {
    const s = call(native(path))
    const type = s.isFile() ? 'file' : s.isDirectory() ? 'directory' : s.isSymbolicLink() ? 'link' : 'special'
    return { type, size: s.size, mode: s.mode }
  } catch (error) {
    const code = errno(error)
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP' || code === 'ENAMETOOLONG') return null
    throw unreadable(path, error)
  }
}

/** Names in a directory, sorted bytewise. */
export const list = (path: string): string[] =>
  reading(path, () =>
    fs
      .readdirSync(native(path), { encoding: 'buffer' })
      .map(name => name.toString('latin1'))
      .sort(),
  )

export const readLink = (path: string): string =>
  reading(path, () => fs.readlinkSync(native(path), { encoding: 'buffer' }).toString('latin1'))

/** The path with every link resolved. */
export const realPath = (path: string): SourcePath =>
  reading(path, () => fs.realpathSync.native(native(path), { encoding: 'buffer' }).toString('latin1')) as SourcePath

/** Runs `use` on an open regular file, as a source of bytes, and closes it. */
export function withFile<T>(path: string, use: (source: ByteSource) => T): T {
  const fd = reading(path, () => fs.openSync(native(path), 'r'))
  try {
    const size = reading(path, () => fs.fstatSync(fd).size)
    return use({
      size,
      read: (offset, length) =>
        reading(path, () => {
          const buffer = Buffer.allocUnsafe(Math.max(0, Math.min(length, size - offset)))
          let done = 0
          while (done < buffer.length) {
            const n = fs.readSync(fd, buffer, done, buffer.length - done, offset + done)
            if (n === 0) break
            done += n
          }
          return done === buffer.length ? buffer : buffer.subarray(0, done)
        }),
    })
  } finally {
    fs.closeSync(fd)
  }
}

/** All of a text file, or of a pipe that a person names as one (`<(nix-store -qR ./result)`). */
export const readText = (path: string): string => reading(path, () => fs.readFileSync(native(path), 'utf8'))

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
export function* pieces(source: ByteSource, size = 256 * 1024): Generator<Buffer> {
  for (let offset = 0; offset < source.size; offset += size) yield source.read(offset, size)
}

/** Bytes of a file piece by piece, each in a buffer of its own. */
export async function* filePieces(path: string, size = 512 * 1024): AsyncGenerator<Buffer> {
  let file: fs.promises.FileHandle | undefined
  try {
    file = await fs.promises.open(native(path), 'r')
    for (let offset = 0; ; ) {
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(size), 0, size, offset)
      if (bytesRead === 0) return
      offset += bytesRead
      yield buffer.subarray(0, bytesRead)
    }
  } catch (error) {
    throw unreadable(path, error)
  } finally {
    await file?.close()
  }
}

/**
 * Bytes of a file piece by piece, all in one buffer: a piece is valid until the next is asked for.
 * @param every the event loop gets its turn after so many bytes
 */
export async function* filePiecesInto(buffer: Buffer, path: string, every: number): AsyncGenerator<Buffer> {
  const fd = reading(path, () => fs.openSync(native(path), 'r'))
  try {
    for (let offset = 0, next = every; ; ) {
      const n = reading(path, () => fs.readSync(fd, buffer, 0, buffer.length, offset))
      if (n === 0) return
      offset += n
      yield buffer.subarray(0, n)
      if (offset < next) continue
      next += every
      await turn()
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

/** A new file as a stream: it is an error (EEXIST) when it is there. */
export const newFileStream = (path: string): fs.WriteStream =>
  fs.createWriteStream(native(path), { flags: 'wx', highWaterMark: 1 << 20 })
