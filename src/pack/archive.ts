/**
 * A tree as one archive file: one directory named after the bundle, entries sorted bytewise.
 */
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type Compression, compressor } from '../archive/compress.ts'
import { type TarEntry, tarEnd, tarHeader, tarPadding } from '../archive/tar.ts'
import { BundleError, errno } from '../errors.ts'
import { filePieces, newFileStream } from '../io/store.ts'
import type { BundlePath } from '../paths.ts'

export interface PackedFile {
  readonly at: BundlePath
  readonly type: 'file' | 'link'
  readonly executable: boolean
  /** In bytes. */
  readonly size: number
  readonly target: string | null
}

/** SHA-256 of the tar, and sizes in bytes. The digest is of the tar and not of its compressed form. */
export interface Packed {
  readonly tarSha256: string
  readonly tarSize: number
}

/** An entry of an archive; `from` is the file (byte string) that its contents are read of, or the contents themselves. */
export interface SourcedEntry extends TarEntry {
  readonly from: string | Buffer | null
}

/**
 * Writes the files below `tree` to `archive`.
 * @param root the one directory that everything lies in
 */
export function pack(
  tree: string,
  files: readonly PackedFile[],
  root: string,
  archive: string,
  compression: Compression,
): Promise<Packed> {
  const entries = files.map(
    (f): SourcedEntry => ({
      name: `${root}/${f.at}`,
      type: f.type,
      executable: f.executable,
      size: f.type === 'file' ? f.size : 0,
      target: f.target ?? '',
      from: f.type === 'file' ? `${tree}/${f.at}` : null,
    }),
  )
  return writeTar(withDirectories(entries), archive, compression)
}

/**
 * Writes a tar.
 * @param compressed is told of the bytes that are written in the end
 */
export async function writeTar(
  entries: readonly SourcedEntry[],
  archive: string,
  compression: Compression,
  compressed?: (piece: Buffer) => void,
): Promise<Packed> {
  const hash = createHash('sha256')
  let written = 0
  async function* bytes(): AsyncGenerator<Buffer> {
    for await (const piece of tarBytes(entries)) {
      hash.update(piece)
      written += piece.length
      yield piece
    }
    const end = tarEnd(written)
    hash.update(end)
    written += end.length
    yield end
  }
  async function* told(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const piece of pieces) {
      compressed?.(piece)
      yield piece
    }
  }
  const source = Readable.from(bytes(), { objectMode: false, highWaterMark: 1 << 20 })
  const target = newFileStream(archive)
  const stage = compressor(compression)
  try {
    await (stage ? pipeline(source, stage, told, target) : pipeline(source, told, target))
  } catch (error) {
    const code = errno(error)
    if (error instanceof BundleError || code === undefined) throw error
    throw new BundleError(
      'write-failed',
      code === 'ENOSPC' ? 'no space left on the device' : `cannot be written (${code})`,
      {
        path: archive,
        cause: error,
        hint: 'give an --output on another file system',
      },
    )
  }
  return { tarSha256: hash.digest('hex'), tarSize: written }
}

async function* tarBytes(entries: readonly SourcedEntry[]): AsyncGenerator<Buffer> {
  for (const entry of entries) {
    yield tarHeader(entry)
    if (entry.from === null) continue
    let size = 0
    for await (const piece of typeof entry.from === 'string' ? filePieces(entry.from) : [entry.from]) {
      size += piece.length
      yield piece
    }
    if (size !== entry.size) throw new Error(`${entry.name} has ${size} bytes, not ${entry.size}`)
    yield tarPadding(size)
  }
}

/** The entries with the directories that they lie in, each directory before what is in it. */
export function withDirectories(entries: readonly SourcedEntry[]): SourcedEntry[] {
  const known = new Set(entries.filter(e => e.type === 'directory').map(e => e.name))
  const directories = new Set<string>()
  for (const { name } of entries)
    for (let d = name.lastIndexOf('/'); d > 0; d = name.lastIndexOf('/', d - 1)) directories.add(name.slice(0, d))
  const all = [
    ...entries,
    ...[...directories]
      .filter(name => !known.has(name))
      .map((name): SourcedEntry => ({ name, type: 'directory', executable: true, size: 0, target: '', from: null })),
  ]
  // By the names that stand in the archive: `a/` follows `a-b`. So nothing comes between a directory and what is in it,
  // and GNU tar, which sets a directory's time when it sees another, sets it last.
  const key = ({ type, name }: TarEntry): string => (type === 'directory' ? `${name}/` : name)
  return all.sort((a, b) => (key(a) < key(b) ? -1 : 1))
}
