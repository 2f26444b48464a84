/**
 * What was learnt of a file system a moment ago. While inputs are scanned, the same paths are asked about again and again,
 * and each small file is opened by everybody who looks for something else in it. As long as a synchronous function runs,
 * inputs are taken to stay as they are, and the first answer is the answer.
 */

/** A file up to this size is kept. In bytes. */
export const KEPT_MAX = 512 * 1024
/** All files that are kept are of one or two generations of that size. In bytes. */
const GENERATION = 12 * 1024 * 1024
/** Small ones lie side by side: memory of its own for each would cost as much as the reading. In bytes. */
const SLAB = 1024 * 1024

/** Answers of a kind: neighbours are asked about soon after one another. */
const ANSWERS_MAX = 20_000

/** Answers by path; what is thrown is asked for again. */
export class Memory {
  readonly #answers = new Map<(path: string) => unknown, Map<string, unknown>>()
  #files = new Map<string, Buffer>()
  /** Those that were kept before. To remove files one by one would cost more: a map goes past what it has lost. */
  #older = new Map<string, Buffer>()
  #total = 0
  /** What is left of the memory that the last files lie in. */
  #slab = EMPTY

  ask<T>(call: (path: string) => T, path: string): T {
    const answers = this.#answers.get(call) ?? new Map<string, unknown>()
    if (answers.size === 0) this.#answers.set(call, answers)
    const known = answers.get(path)
    if (known !== undefined) return known as T
    const answer = call(path)
    if (answers.size >= ANSWERS_MAX) answers.clear()
    answers.set(path, answer)
    return answer
  }

  /** What `ask` would answer without calling. */
  known<T>(call: (path: string) => T, path: string): T | undefined {
    return this.#answers.get(call)?.get(path) as T | undefined
  }

  file(path: string): Buffer | undefined {
    return this.#files.get(path) ?? this.#older.get(path)
  }

  /** Memory for a file's bytes, which is given again unless they are kept. */
  room(length: number): Buffer {
    if (this.#slab.length < length) this.#slab = Buffer.allocUnsafeSlow(Math.max(SLAB, length))
    return this.#slab.subarray(0, length)
  }

  /**
   * Keeps a file's bytes, in the place of those that were kept longest.
   * @param bytes what `room` gave last, or the start of it
   */
  keep(path: string, bytes: Buffer): Buffer {
    this.#slab = this.#slab.subarray(bytes.length)
    if (this.#total > GENERATION) {
      this.#older = this.#files
      this.#files = new Map()
      this.#total = 0
    }
    this.#files.set(path, bytes)
    this.#total += bytes.length
    return bytes
  }
}

const EMPTY = Buffer.alloc(0)
