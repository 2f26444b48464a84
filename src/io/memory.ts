/**
 * What was learnt of a file system a moment ago. While inputs are scanned, the same paths are asked about again and again,
 * and each small file is opened by everybody who looks for something else in it. As long as a synchronous function runs,
 * inputs are taken to stay as they are, and the first answer is the answer.
 */

/** A file up to this size is kept. In bytes. */
export const KEPT_MAX = 512 * 1024
/** All files that are kept. In bytes. */
const TOTAL_MAX = 24 * 1024 * 1024

/** Answers of a kind: neighbours are asked about soon after one another. */
const ANSWERS_MAX = 20_000

/** Answers by path; what is thrown is asked for again. */
export class Memory {
  readonly #answers = new Map<(path: string) => unknown, Map<string, unknown>>()
  readonly #files = new Map<string, Buffer>()
  #total = 0

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

  file(path: string): Buffer | undefined {
    return this.#files.get(path)
  }

  /** Keeps a file's bytes, in the place of those that were kept longest. */
  keep(path: string, bytes: Buffer): void {
    if (this.#files.has(path)) return
    this.#files.set(path, bytes)
    this.#total += bytes.length
    for (const [oldest, { length }] of this.#files) {
      if (this.#total <= TOTAL_MAX) return
      this.#files.delete(oldest)
      this.#total -= length
    }
  }
}
