/** The programs that the ELF tests compare with. One that is missing or fails is a failed test. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { onTestFinished } from 'vitest'

const execute = promisify(execFile)

interface Options {
  readonly cwd?: string
  /** The whole environment but PATH; LC_ALL is C. */
  readonly env?: Readonly<Record<string, string>>
}

/** Standard output as a byte string. Rejects when the tool is not there or exits with an error. */
export async function output(file: string, args: readonly string[], { cwd, env }: Options = {}): Promise<string> {
  const { stdout } = await execute(file, args, {
    ...(cwd !== undefined && { cwd }),
    env: { PATH: process.env.PATH, LC_ALL: 'C', ...env },
    encoding: 'latin1',
    maxBuffer: 1 << 29,
  })
  return stdout
}

/** A directory that is removed after the test. */
export function temporaryDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'storefree-elf-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }), 60_000)
  return path
}

/** `use` on every item, three at a time: the time goes into other processes. */
export async function eachOf<T>(items: Iterable<T>, use: (item: T) => Promise<void>): Promise<void> {
  const queue = items[Symbol.iterator]()
  const worker = async () => {
    for (let next = queue.next(); !next.done; next = queue.next()) await use(next.value)
  }
  await Promise.all([worker(), worker(), worker()])
}

/** Repeatable random numbers (mulberry32). */
export class Random {
  #state: number
  constructor(seed: number) {
    this.#state = seed | 0
  }
  /** An integer from 0 to `limit` - 1. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * limit)
  }
  chance(percent: number): boolean {
    return this.below(100) < percent
  }
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!
  }
}
