/**
 * A tree as one archive file: one directory named after the bundle, entries sorted bytewise.
 */
import { createHash } from 'node:crypto'
import { pipeline } from 'node:stream/promises'
import { type Compression, zstdCompressor } from '../archive/compress.ts'
import { GZIP_BLOCK, gzipped, HELD } from '../archive/gzip-blocks.ts'
import { type TarEntry, tarEnd, tarHeader, tarPadding } from '../archive/tar.ts'
import { writeNew } from '../io/staging.ts'
import { readInto } from '../io/store.ts'
import type { BundlePath } from '../paths.ts'

export interface PackedFile {
  readonly at: BundlePath
  /** `directory`: one that holds nothing. */
  readonly type: 'file' | 'link' | 'directory'
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
  function* blocks(): Generator<Buffer> {
    for (const block of tarBlocks(entries)) {
      hash.update(block)
      written += block.length
      yield block
    }
  }
  async function* told(pieces: AsyncIterable<Buffer> | Iterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const piece of pieces) {
      compressed?.(piece)
      yield piece
    }
  }
  const write = (pieces: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<void> => writeNew(archive, told(pieces))
  // A block is larger than what a stream holds back: the next one is asked for when it is taken.
  if (compression === 'zstd') await pipeline(blocks(), zstdCompressor(), write)
  else await write(compression === 'gzip' ? gzipped(blocks()) : blocks())
  return { tarSha256: hash.digest('hex'), tarSize: written }
}

/**
 * The bytes of a tar in blocks, all of one size but for the last. A block is filled anew when HELD more were asked for: new
 * memory for each took a third of the time.
 */
function* tarBlocks(entries: readonly SourcedEntry[]): Generator<Buffer> {
  const ring: Buffer[] = []
  let turn = 0
  const next = (): Buffer => (ring[turn++ % (HELD + 1)] ??= Buffer.allocUnsafeSlow(GZIP_BLOCK))
  let block = next()
  let [used, written] = [0, 0]
  /** Takes what was put into the block's free part; the block itself when it is full. */
  function* take(size: number): Generator<Buffer> {
    used += size
    if (used < block.length) return
    written += used
    yield block
    block = next()
    used = 0
  }
  function* put(bytes: Buffer): Generator<Buffer> {
    for (let done = 0; done < bytes.length; ) {
      const n = bytes.copy(block, used, done)
      done += n
      yield* take(n)
    }
  }
  for (const entry of entries) {
    yield* put(tarHeader(entry))
    if (entry.from === null) continue
    let size = 0
    if (typeof entry.from !== 'string') {
      yield* put(entry.from)
      size = entry.from.length
    } else
      for (const n of readInto(entry.from, () => block.subarray(used))) {
        size += n
        yield* take(n)
      }
    if (size !== entry.size) throw new Error(`${entry.name} has ${size} bytes, not ${entry.size}`)
    yield* put(tarPadding(size))
  }
  yield* put(tarEnd(written + used))
  if (used > 0) yield block.subarray(0, used)
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
