/**
 * One file that unpacks itself (`-f exe`; entry/single.c reads it when it runs, pack/exe.ts writes it): a static program, a
 * zlib stream of entries, a trailer.
 *
 * An entry is a kind (`f` file, `x` executable file, `l` link, `d` empty directory), the length of the path (2 bytes, little-endian), the path, the
 * length of the contents or of the link's text (8), and these; the last is a byte `e`. The trailer is the magic, where the
 * stream begins (8), its length (8), 16 characters of its SHA-256, the default program's path (256, NULs behind it).
 */
import type { ByteSource } from '../io/bytes.ts'
import { mayBeDeflate } from '../references/deflate-head.ts'
import type { ArchiveMember } from './untar.ts'

const MAGIC = 'SFONE01\0'
/** Bytes of the default program's path, with a NUL. */
export const PROGRAM = 256
/** What a file ends in. Size in bytes. */
export const TRAILER = { magic: MAGIC, size: MAGIC.length + 8 + 8 + 16 + PROGRAM } as const
/** The program before the stream is smaller: 7 kB. In bytes. */
const FRONT_MAX = 1 << 20
/** Of a stream's beginning. In bytes. */
const ZLIB_LOOK = 512
/** As long as paths are on Linux. In bytes. */
const PATH_MAX = 4096

export interface Single {
  /** Where the stream lies, in bytes. */
  readonly offset: number
  readonly size: number
  /** 16 hexadecimal digits: of the stream's SHA-256. */
  readonly digest: string
  /** Byte string: `bin/nginx`. */
  readonly program: string
  /** Whether the file has what the trailer speaks of, a zlib stream by its first bytes, and nothing else. */
  readonly isWhole: boolean
}

/** What stands in a file's trailer; null for another file. */
export function singleOf(source: ByteSource): Single | null {
  const end = source.size - TRAILER.size
  if (end < 0) return null
  const trailer = source.read(end, TRAILER.size)
  if (trailer.toString('latin1', 0, MAGIC.length) !== MAGIC) return null
  const [offset, size] = [Number(trailer.readBigUInt64LE(8)), Number(trailer.readBigUInt64LE(16))]
  const text = trailer.toString('latin1', 24)
  const isWhole = offset <= FRONT_MAX && offset + size === end && isZlib(source.read(offset, Math.min(size, ZLIB_LOOK)))
  return { offset, size, digest: text.slice(0, 16), program: text.slice(16).split('\0')[0]!, isWhole }
}

/** RFC 1950, and a first block that deflate could have. */
const isZlib = (head: Buffer): boolean =>
  head.length >= 2 && (head[0]! & 15) === 8 && head.readUInt16BE(0) % 31 === 0 && mayBeDeflate(head, 2)

/**
 * The entries of the stream, each directory once before what is in it.
 * @param front the bytes that belong to no entry: the program and the trailer
 * @throws Error for what the program would take for damaged
 */
export async function* readSingle(inflated: AsyncIterable<Buffer>, front: Buffer): AsyncGenerator<ArchiveMember> {
  const bytes = new Pieces(inflated)
  const made = new Set<string>()
  yield directory('', front)
  for (;;) {
    const kind = (await bytes.take(1)).toString('latin1')
    if (kind === 'e') break
    const length = (await bytes.take(2)).readUInt16LE(0)
    if (!['f', 'x', 'l', 'd'].includes(kind) || length === 0 || length >= PATH_MAX) throw damaged(bytes.at)
    const name = (await bytes.take(length)).toString('latin1')
    const size = Number((await bytes.take(8)).readBigUInt64LE(0))
    if (!Number.isSafeInteger(size) || (kind === 'l' && size >= PATH_MAX) || (kind === 'd' && size > 0))
      throw damaged(bytes.at)
    for (let slash = name.indexOf('/'); slash > 0; slash = name.indexOf('/', slash + 1)) {
      const parent = name.slice(0, slash)
      if (!made.has(parent)) yield directory(parent)
      made.add(parent)
    }
    if (kind === 'd') {
      made.add(name)
      yield directory(name)
      continue
    }
    const target = kind === 'l' ? (await bytes.take(size)).toString('latin1') : ''
    bytes.expect(kind === 'l' ? 0 : size)
    yield {
      name,
      type: kind === 'l' ? 'link' : 'file',
      mode: kind === 'l' ? 0o777 : kind === 'x' ? 0o755 : 0o644,
      size: kind === 'l' ? 0 : size,
      target,
      header: Buffer.alloc(0),
      contents: () => bytes.contents(),
      whole: () => null,
    }
    // What the reader left.
    for await (const _ of bytes.contents());
  }
  if (!(await bytes.isOver())) throw new Error('something follows behind its last file')
}

const damaged = (at: number): Error => new Error(`no entry at ${at} of what is packed`)

const directory = (name: string, header: Buffer = Buffer.alloc(0)): ArchiveMember => ({
  name,
  type: 'directory',
  mode: 0o755,
  size: 0,
  target: '',
  header,
  contents: none,
  whole: () => null,
})

async function* none(): AsyncGenerator<Buffer> {}

/** A stream of which so many bytes are taken. */
class Pieces {
  readonly #source: AsyncIterator<Buffer>
  #piece: Buffer = Buffer.alloc(0)
  #left = 0
  /** Bytes that were taken. */
  at = 0

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]()
  }

  /** At most so many bytes; none at the end. */
  async #some(most: number): Promise<Buffer> {
    while (this.#piece.length === 0) {
      const next = await this.#source.next()
      if (next.done) return this.#piece
      this.#piece = next.value
    }
    const taken = this.#piece.subarray(0, most)
    this.#piece = this.#piece.subarray(taken.length)
    this.at += taken.length
    return taken
  }

  async take(size: number): Promise<Buffer> {
    const pieces: Buffer[] = []
    for (let left = size; left > 0; left -= pieces.at(-1)!.length) {
      pieces.push(await this.#some(left))
      if (pieces.at(-1)!.length === 0) throw new Error('what is packed ends early')
    }
    return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces)
  }

  /** So many bytes are contents. */
  expect(size: number): void {
    this.#left = size
  }

  /** What nobody has read of them yet. */
  async *contents(): AsyncGenerator<Buffer> {
    while (this.#left > 0) {
      const piece = await this.#some(this.#left)
      if (piece.length === 0) throw new Error('what is packed ends early')
      this.#left -= piece.length
      yield piece
    }
  }

  async isOver(): Promise<boolean> {
    return (await this.#some(1)).length === 0
  }
}
