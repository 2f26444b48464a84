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

/**
 * Writes the files below `tree` to `archive`.
 * @param root the one directory that everything lies in
 */
export async function pack(
  tree: string,
  files: readonly PackedFile[],
  root: string,
  archive: string,
  compression: Compression,
): Promise<Packed> {
  const hash = createHash('sha256')
  let written = 0
  async function* bytes(): AsyncGenerator<Buffer> {
    for await (const piece of tarBytes(tree, files, root)) {
      hash.update(piece)
      written += piece.length
      yield piece
    }
    const end = tarEnd(written)
    hash.update(end)
    written += end.length
    yield end
  }
  const source = Readable.from(bytes(), { objectMode: false, highWaterMark: 1 << 20 })
  const target = newFileStream(archive)
  const stage = compressor(compression)
  try {
    await (stage ? pipeline(source, stage, target) : pipeline(source, target))
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

async function* tarBytes(tree: string, files: readonly PackedFile[], root: string): AsyncGenerator<Buffer> {
  for (const entry of withDirectories(files)) {
    const name = entry.name === '' ? root : `${root}/${entry.name}`
    yield tarHeader({ ...entry, name })
    if (entry.type !== 'file') continue
    let size = 0
    for await (const piece of filePieces(`${tree}/${entry.name}`)) {
      size += piece.length
      yield piece
    }
    if (size !== entry.size) throw new Error(`${entry.name} has ${size} bytes, not ${entry.size}`)
    yield tarPadding(size)
  }
}

/** The files with the directories they lie in, each directory before what is in it. */
function withDirectories(files: readonly PackedFile[]): TarEntry[] {
  const directories = new Set<string>([''])
  for (const { at } of files)
    for (let d = at.lastIndexOf('/'); d > 0; d = at.lastIndexOf('/', d - 1)) directories.add(at.slice(0, d))
  const entries: TarEntry[] = files.map(f => ({
    name: f.at,
    type: f.type,
    executable: f.executable,
    size: f.type === 'file' ? f.size : 0,
    target: f.target ?? '',
  }))
  for (const name of directories) entries.push({ name, type: 'directory', executable: true, size: 0, target: '' })
  // By the names that stand in the archive: `a/` follows `a-b`. So nothing comes between a directory and what is in it,
  // and GNU tar, which sets a directory's time when it sees another, sets it last.
  const key = ({ type, name }: TarEntry): string => (type === 'directory' && name !== '' ? `${name}/` : name)
  return entries.sort((a, b) => (key(a) < key(b) ? -1 : 1))
}
