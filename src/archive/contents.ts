/** What is in a member, as whoever looks into it reads it; and that of a file on disk. */
import { filePiecesInto, readWhole } from '../io/store.ts'
import type { Problem } from '../references/inflate.ts'

export interface Contents {
  /** Where they can be read at random; null inside an archive. */
  readonly path: string | null
  /** In bytes. */
  readonly size: number
  /** Why they cannot be read; null when they can. */
  readonly problem: Problem | null
  /** Pieces are valid until the next one is asked for. */
  contents(): AsyncGenerator<Buffer>
  /** All of a small file, and where they are at hand, else null: valid until the next member. */
  whole(): Buffer | null
}

/** Two of them stay in the level 2 cache of common CPUs, and to ask for a piece costs little beside it. In bytes. */
export const READ_SIZE = 512 * 1024
/** The event loop gets its turn after so much: signals are looked at, progress is shown. In bytes. */
export const TURN_BYTES = 32 << 20

/** Of a regular file. */
export class OnDisk implements Contents {
  readonly path: string
  readonly size: number
  readonly problem = null
  readonly #buffer: Buffer

  /** @param buffer that it is read into, of READ_SIZE: one serves file after file */
  constructor(path: string, size: number, buffer: Buffer) {
    this.path = path
    this.size = size
    this.#buffer = buffer
  }

  contents(): AsyncGenerator<Buffer> {
    return filePiecesInto(this.#buffer, this.path, TURN_BYTES)
  }

  whole(): Buffer | null {
    return this.size < this.#buffer.length ? readWhole(this.#buffer, this.path) : null
  }
}
