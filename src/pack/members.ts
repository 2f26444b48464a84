/**
 * A finished bundle as a sequence of members, whether it is a directory or an archive: what `verify` reads.
 */
import { createReadStream } from 'node:fs'
import type { Readable } from 'node:stream'
import { BundleError } from '../errors.ts'
import { filePieces, list, lstat, native, readLink, stat, withFile } from '../io/store.ts'
import { compressionOf, decompressor } from './compress.ts'
import { type ArchiveMember, readTar } from './untar.ts'

export interface Member extends ArchiveMember {
  /** Where its contents can be read at random; null inside an archive. */
  readonly path: string | null
}

/**
 * The members of a directory or tar archive (plain, gzip or zstd), names as they are below the bundle's root.
 * @throws BundleError('not-found' | 'unreadable' | 'archive-unreadable')
 */
export function members(path: string): AsyncGenerator<Member> {
  const status = stat(path)
  if (status === null) throw new BundleError('not-found', 'no such file or directory', { path })
  if (status.type === 'directory') return directoryMembers(path)
  if (status.type !== 'file') throw new BundleError('unsupported', 'neither a directory nor an archive', { path })
  return archiveMembers(path)
}

async function* directoryMembers(root: string): AsyncGenerator<Member> {
  const pending = ['']
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    const path = name === '' ? root : `${root}/${name}`
    const status = name === '' ? stat(path) : lstat(path)
    if (status === null) continue
    if (name !== '')
      yield {
        name,
        path,
        type: status.type,
        mode: status.mode & 0o7777,
        size: status.type === 'file' ? status.size : 0,
        target: status.type === 'link' ? readLink(path) : '',
        header: Buffer.alloc(0),
        contents: () => filePieces(path, 256 * 1024),
      }
    if (status.type === 'directory')
      for (const child of list(path).reverse()) pending.push(name === '' ? child : `${name}/${child}`)
  }
}

async function* archiveMembers(path: string): AsyncGenerator<Member> {
  const compression = withFile(path, source => compressionOf(source.read(0, 4)))
  const file = createReadStream(native(path), { highWaterMark: 256 * 1024 })
  const stage = decompressor(compression)
  const stream: Readable = stage ? file.on('error', error => stage.destroy(error)).pipe(stage) : file
  try {
    let root: string | null = null
    for await (const member of readTar(stream, path)) {
      // A bundle's archive has everything in one directory, whose name is not part of the bundle; or in `.`, when it
      // was packed again from inside.
      const slash = member.name.indexOf('/')
      const first = slash < 0 ? member.name : member.name.slice(0, slash)
      if (root === null) root = member.name === '' || first === '.' || first === '..' ? '' : first
      if (member.type === 'directory' && (member.name === '.' ? '' : member.name) === root) continue
      // What lies beside the one directory, or stands in its place, is not in the bundle.
      const inside = root === '' ? member.name : first === root && slash >= 0 ? member.name.slice(slash + 1) : null
      const name = inside ?? `../${member.name}`
      yield { ...member, name, path: null, contents: () => readable(member.contents(), path) }
    }
  } catch (error) {
    throw unreadable(error, path)
  } finally {
    file.destroy()
    stream.destroy()
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
