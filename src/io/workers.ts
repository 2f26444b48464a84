/**
 * Work on several cores: threads that do jobs of one kind. Their code is a file that is built beside the others; where it
 * is not (in tests, which run from the sources), there are none, and whoever has jobs does them himself.
 *
 * A thread that dies loses nothing: whoever gave it jobs is told that they are not done. And none keeps the process from
 * its end: it counts only while it has a job.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parentPort, Worker, workerData } from 'node:worker_threads'
import { forLoading, goOn, type Run } from './flags.ts'

/** What a thread is told, and what it says: a job or its result, by number. */
type Message<T> = readonly [number, T]
/** What a thread knows from its start, and how V8 is to run when it is there. */
type Start = readonly [data: unknown, run: Run]

/** The built file of a thread's code, which lies beside this one; null where there is none. */
export function workerFile(name: string): string | null {
  // Others may build this into files of their own, which do not know where they lie.
  const directory: string | undefined = import.meta.dirname
  const file = typeof directory === 'string' ? join(directory, name) : null
  return file !== null && existsSync(file) ? file : null
}

/** What a thread makes of a job is soon of no use: by itself it might keep 48 MB of it. In MB. */
const LIMITS = { maxYoungGenerationSizeMb: 6 }

interface Thread<Result> {
  readonly worker: Worker
  readonly pending: Map<number, (result: Result | null) => void>
}

/** Jobs and results are what `structuredClone` can copy. */
export class Workers<Job, Result> {
  readonly #file: string
  readonly #data: unknown
  readonly #ahead: number
  readonly #threads = new Set<Thread<Result>>()
  #sent = 0
  /** How many threads were started, also those that have died. */
  started = 0

  /**
   * @param data what each thread knows from its start
   * @param ahead jobs that a thread has at a time: when one is done, the next one is there
   */
  constructor(file: string, data: unknown, ahead: number) {
    this.#file = file
    this.#data = data
    this.#ahead = ahead
  }

  /** Starts one more. Nothing is waited for. */
  start(): void {
    this.started++
    let worker: Worker
    try {
      worker = new Worker(this.#file, {
        workerData: [this.#data, forLoading()] satisfies Start,
        resourceLimits: LIMITS,
      })
    } catch {
      // No more threads for this user.
      return
    }
    const thread: Thread<Result> = { worker, pending: new Map() }
    this.#threads.add(thread)
    worker.unref()
    worker.on('message', ([number, result]: Message<Result>) => this.#done(thread, number, result))
    // Out of memory, or a bug: whoever does the job himself sees which.
    worker.on('error', () => this.#lost(thread))
    worker.on('messageerror', () => this.#lost(thread))
    worker.on('exit', () => this.#lost(thread))
  }

  /** Whether one of them can take a job. */
  get hasRoom(): boolean {
    return this.#free() !== null
  }

  /**
   * Gives a job to one of them, which has room.
   * @param done is given the result; null when the thread has died
   */
  send(job: Job, done: (result: Result | null) => void): void {
    const thread = this.#free()
    if (thread === null) {
      done(null)
      return
    }
    const number = this.#sent++
    if (thread.pending.size === 0) thread.worker.ref()
    thread.pending.set(number, done)
    thread.worker.postMessage([number, job] satisfies Message<Job>)
  }

  /** Ends all of them, whatever they are at: nobody is told of it. */
  close(): void {
    for (const { worker, pending } of this.#threads) {
      pending.clear()
      void worker.terminate()
    }
    this.#threads.clear()
  }

  /** The one with the fewest jobs; null when none has room. */
  #free(): Thread<Result> | null {
    let free: Thread<Result> | null = null
    for (const thread of this.#threads) if (thread.pending.size < (free?.pending.size ?? this.#ahead)) free = thread
    return free
  }

  #done({ worker, pending }: Thread<Result>, number: number, result: Result): void {
    const done = pending.get(number)
    pending.delete(number)
    if (pending.size === 0) worker.unref()
    done?.(result)
  }

  #lost(thread: Thread<Result>): void {
    this.#threads.delete(thread)
    void thread.worker.terminate()
    const lost = [...thread.pending.values()]
    thread.pending.clear()
    for (const done of lost) done(null)
  }
}

/**
 * A thread's own side: does one job after another.
 * @param begin is given what the thread knows from its start, and returns what does a job
 */
export function serve<Data, Job, Result>(begin: (data: Data) => (job: Job) => Result | Promise<Result>): void {
  const port = parentPort
  if (port === null) throw new Error('not a thread of its own')
  const [data, run] = workerData as Start
  goOn(run)
  const work = begin(data as Data)
  let before: Promise<void> | null = null
  const one = async (after: Promise<void> | null, [number, job]: Message<Job>): Promise<void> => {
    await after
    port.postMessage([number, await work(job)] satisfies Message<Result>)
  }
  // A job that waits for something lets the next message in: it has to wait too.
  port.on('message', (message: Message<Job>) => {
    before = one(before, message)
  })
}
