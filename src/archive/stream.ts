/**
 * Streams of bytes that are looked at before it is known what they are, and on the way to somewhere else.
 */
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { isElf } from '../elf/parse.ts'
import { type ByteSource, bufferSource } from '../io/bytes.ts'
import { withFile } from '../io/store.ts'
import { isMachO } from '../macho/image.ts'
import { containerKind, KIND_HEAD, LIMITS } from '../references/containers.ts'
import type { Budget } from '../references/inflate.ts'
import { type AnyCompression, decompressor } from './compress.ts'

export interface Peeked {
  /** The first bytes, as many as were asked for or all there are; a copy. */
  readonly head: Buffer
  /** The head and what came with it: valid until more of the stream is read. */
  readonly first: Buffer
  /** The stream from its first byte on. */
  readonly all: AsyncGenerator<Buffer>
}

/** The first bytes of a stream, and the stream with them. */
export async function peek(pieces: AsyncIterable<Buffer>, length: number): Promise<Peeked> {
  const iterator = pieces[Symbol.asyncIterator]()
  let next = await iterator.next()
  let first = next.done ? Buffer.alloc(0) : next.value
  // Most streams come in pieces that are large enough, and none of them is copied.
  while (!next.done && first.length < length) {
    first = Buffer.from(first)
    next = await iterator.next()
    if (!next.done) first = Buffer.concat([first, next.value])
  }
  const isOver = next.done
  async function* all(): AsyncGenerator<Buffer> {
    try {
      if (first.length > 0) yield first
      if (!isOver) for (let more = await iterator.next(); !more.done; more = await iterator.next()) yield more.value
    } finally {
      await iterator.return?.()
    }
  }
  return { head: Buffer.from(first.subarray(0, length)), first, all: all() }
}

/** A stream whose pieces are seen on their way, and whose own error is told from those of whoever reads it. */
export class Input {
  readonly #source: AsyncIterable<Buffer>
  readonly #see: (piece: Buffer) => void
  /** What the source threw. */
  error: unknown = null
  /** Bytes that were read. */
  size = 0

  constructor(source: AsyncIterable<Buffer>, see: (piece: Buffer) => void) {
    this.#source = source
    this.#see = see
  }

  async *pieces(): AsyncGenerator<Buffer> {
    try {
      for await (const piece of this.#source) {
        this.size += piece.length
        this.#see(piece)
        yield piece
      }
    } catch (error) {
      this.error = error
      throw error
    }
  }
}

/** An ELF file in an archive is held in memory to be parsed, up to this size. In bytes. */
const BINARY_MAX = 1 << 30
/** Any file of an archive is held in memory up to this size, for zips are known by their end only. In bytes. */
const SMALL = 16 << 20

/** The bytes of a file that have to be read at random: where they lie on disk, else in memory as far as that is wise. */
export class Kept {
  readonly #path: string | null
  readonly #parts: Buffer[] = []
  #size = 0
  /** null once it is too large. */
  #limit: number | null = SMALL

  constructor(path: string | null) {
    this.#path = path
  }

  push(piece: Buffer): void {
    if (this.#path !== null || this.#limit === null) return
    this.#parts.push(Buffer.from(piece))
    this.#size += piece.length
    if (this.#size > this.#limit) this.#limit = this.#limit === SMALL ? this.#larger() : null
    if (this.#limit === null) this.#parts.length = 0
  }

  #larger(): number | null {
    const head = Buffer.concat(this.#parts).subarray(0, KIND_HEAD)
    if (isElf(head) || isMachO(head)) return BINARY_MAX
    const kind = containerKind(head, LIMITS.member)
    return kind === 'zip' || kind === 'zlib' ? LIMITS.member : null
  }

  /**
   * Runs `use` on the bytes; null when they are not held.
   * @param whole all the bytes, where the caller has them
   */
  use<T>(whole: Buffer | null, use: (source: ByteSource) => T): T | null {
    if (whole !== null) return use(bufferSource(whole))
    if (this.#path !== null) return withFile(this.#path, use)
    return this.#limit === null ? null : use(bufferSource(Buffer.concat(this.#parts)))
  }

  /** Holds what came until now and what comes, up to the size that a member may have. */
  hold(): void {
    if (this.#limit === SMALL) this.#limit = LIMITS.member
  }

  /** The bytes for whoever reads them here and there for a while; null when they are not held. `whole` as in `use`. */
  source(whole: Buffer | null): ByteSource | null {
    const path = this.#path
    if (whole !== null || path === null) return this.use(whole, source => source)
    const { size } = withFile(path, source => source)
    return { size, read: (offset, length) => withFile(path, source => source.read(offset, length)) }
  }
}

/** The bytes that zlib has taken: it leaves what follows a stream, and does not tell. */
export const takenBy = (stage: object): number | null =>
  'bytesWritten' in stage && typeof stage.bytesWritten === 'number' ? stage.bytesWritten : null

/** A stream that becomes larger than it may. */
export const TOO_LARGE = new Error('too large')

/** What a compressed stream holds, piece by piece. */
export class Decompression {
  readonly #stage: Duplex
  readonly #fed: Promise<void>
  readonly #limits: { readonly budget: Budget; readonly fed: () => number } | null

  /** @param limits what it may become; null for a stream that may be as large as it is */
  constructor(
    pieces: AsyncIterable<Buffer>,
    compression: Exclude<AnyCompression, 'none'>,
    limits: { readonly budget: Budget; readonly fed: () => number } | null,
  ) {
    this.#stage = decompressor(compression)!
    this.#limits = limits
    this.#fed = this.#feed(pieces)
    // It is told by the stage, which it destroys.
    this.#fed.catch(() => {})
  }

  /** Bytes that the stream is made of, when it has ended; null where that is not known. */
  get taken(): number | null {
    return takenBy(this.#stage)
  }

  /** @throws TOO_LARGE */
  async *pieces(): AsyncGenerator<Buffer> {
    let size = 0
    for await (const piece of this.#stage as AsyncIterable<Buffer>) {
      size += piece.length
      if (this.#limits !== null) {
        const { budget, fed } = this.#limits
        const most = Math.max(budget.limits.small, fed() * budget.limits.ratio)
        if (size > most || !budget.take(piece.length)) throw TOO_LARGE
      }
      yield piece
    }
  }

  /** Nothing reads the source any more when it is back. */
  async close(): Promise<void> {
    this.#stage.destroy()
    await this.#fed.catch(() => {})
  }

  async #feed(pieces: AsyncIterable<Buffer>): Promise<void> {
    const stage = this.#stage
    const closed = once(stage, 'close').catch(() => {})
    try {
      // By hand, so that the rest can still be read by others when the stage wants no more.
      const iterator = pieces[Symbol.asyncIterator]()
      for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
        // A piece may be filled anew when the next one is asked for: it has to be taken by then.
        const { value } = next
        const taken = new Promise<void>(resolve => void stage.write(value, () => resolve()))
        await Promise.race([taken, closed])
        if (stage.destroyed) return
      }
      stage.end()
    } catch (error) {
      stage.destroy(error instanceof Error ? error : new Error(String(error)))
    }
  }
}

/** All bytes of a stream; a copy. */
export async function gathered(pieces: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const piece of pieces) parts.push(Buffer.from(piece))
  return Buffer.concat(parts)
}

/** Bytes at hand as a stream. */
export async function* pieceOf(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}
