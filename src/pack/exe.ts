/**
 * A bundle as one file that runs: a small static program (entry/single.c, whose head has the form of what is behind it)
 * that unpacks the bundle at its first start.
 */
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createDeflate } from 'node:zlib'
import { PROGRAM, TRAILER } from '../archive/single.ts'
import { blobOf, entryCpuOf, entrySystems } from '../entry/cpus.ts'
import { BundleError } from '../errors.ts'
import { writeNew } from '../io/staging.ts'
import { filePieces } from '../io/store.ts'
import type { Packed, PackedFile } from './archive.ts'

/** @throws BundleError('unsupported') for a system without such a program */
export function singleFor(system: string): Buffer {
  const cpu = system.endsWith('-linux') ? entryCpuOf(system.slice(0, -'-linux'.length)) : null
  if (cpu) return blobOf(cpu, 'single')
  throw new BundleError(
    'unsupported',
    `no single file for ${system}: there is one for Linux on ${entrySystems().join(', ')}`,
    {
      hint: 'choose another format with -f',
    },
  )
}

/**
 * Writes the file.
 * @param program what it runs when it is called by no name of another program of the bundle: `bin/nginx`
 */
export async function writeExe(
  tree: string,
  files: readonly PackedFile[],
  system: string,
  program: string,
  archive: string,
): Promise<Packed> {
  const single = singleFor(system)
  const hash = createHash('sha256')
  const digest = createHash('sha256')
  let written = 0
  let size = 0
  async function* entries(): AsyncGenerator<Buffer> {
    for await (const piece of bundled(tree, files)) {
      hash.update(piece)
      written += piece.length
      yield piece
    }
  }
  async function* framed(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    yield single
    for await (const piece of pieces) {
      digest.update(piece)
      size += piece.length
      yield piece
    }
    const trailer = Buffer.alloc(TRAILER.size)
    trailer.write(TRAILER.magic, 0, 'latin1')
    trailer.writeBigUInt64LE(BigInt(single.length), 8)
    trailer.writeBigUInt64LE(BigInt(size), 16)
    trailer.write(digest.digest('hex').slice(0, 16), 24, 'latin1')
    if (program.length >= PROGRAM) throw new Error(`${program}: too long a name`)
    trailer.write(program, 40, 'latin1')
    yield trailer
  }
  const source = Readable.from(entries(), { objectMode: false, highWaterMark: 1 << 20 })
  const deflate = createDeflate({ level: 6, chunkSize: 1 << 17 })
  await pipeline(source, deflate, pieces => writeNew(archive, framed(pieces)))
  return { tarSha256: hash.digest('hex'), tarSize: written }
}

/** The entries, as single.c reads them. */
async function* bundled(tree: string, files: readonly PackedFile[]): AsyncGenerator<Buffer> {
  for (const { at, type, executable, size, target } of [...files].sort((a, b) => (a.at < b.at ? -1 : 1))) {
    const contents = type === 'file' ? null : Buffer.from(target ?? '', 'latin1')
    const head = Buffer.alloc(3 + at.length + 8)
    head.write(type === 'link' ? 'l' : type === 'directory' ? 'd' : executable ? 'x' : 'f', 0, 'latin1')
    head.writeUInt16LE(at.length, 1)
    head.write(at, 3, 'latin1')
    head.writeBigUInt64LE(BigInt(contents?.length ?? size), 3 + at.length)
    yield head
    if (contents) yield contents
    else for await (const piece of filePieces(`${tree}/${at}`)) yield Buffer.from(piece)
  }
  yield Buffer.from('e')
}
