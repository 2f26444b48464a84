/**
 * Files of a directory that are looked into by several threads, this one among them. Each file is a matter of its own
 * (checks/packed.ts); what is seen is taken in the order in which whoever asks wants it, so that nothing of a report
 * depends on how many threads there were.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { fileOnDisk, READ_SIZE } from '../archive/members.ts'
import { type Task, wait } from '../io/task.ts'
import { Workers, workerFile } from '../io/workers.ts'
import { digestOfHash } from '../nix/hash-digest.ts'
import { type Looked, lookInto, type Wanted } from './checks/packed.ts'
import type { Forbidden } from './checks/references.ts'

/** The built look-worker.ts. */
const WORKER = 'look.cjs'

/** What must not be there, as a thread can be told. */
export interface ForbiddenList {
  /** Hashes, or what the manifest of a bundle has of them: their digests. */
  readonly hashes: { readonly bare: ReadonlySet<string> } | { readonly digests: ReadonlySet<string> } | null
  readonly directories: readonly string[]
}

/** What all threads are asked. */
export interface Asked {
  readonly forbidden: ForbiddenList
  readonly wanted: Wanted
  /** Whether files are asked for before all of the tree is written. */
  readonly early: boolean
}

export interface FileOnDisk {
  /** In the tree. Byte strings. */
  readonly name: string
  readonly path: string
  /** In bytes. */
  readonly size: number
}

/** What was seen of a file. */
export interface Sight {
  readonly looked: Looked
  /** Of a file that was asked for early: when it had last been changed before it was read. Else null. */
  readonly changed: number | null
}

/** A file that is looked into, or will be. */
export interface Look extends FileOnDisk {
  readonly batch: Batch
  /** Null until it is seen; and afterwards, when it has to be looked into anew. */
  sight: Sight | null
}

/** Files that are looked into one after another. */
interface Batch {
  readonly looks: Look[]
  cost: number
  state: 'open' | 'waiting' | 'under way' | 'done'
}

/** A batch is closed when it has so many files, or bytes. */
const BATCH_FILES = 64
const BATCH_COST = 8 << 20
/** A small file takes as long as so many bytes of a large one. */
const FILE_COST = 64 << 10
/** So much has to wait for a thread to be worth its start, and until its code is compiled for speed. In bytes. */
const THREAD_COST = 48 << 20
/** The same where this thread has other things to do. */
const THREAD_COST_EARLY = 16 << 20

export function forbiddenOf({ hashes, directories }: ForbiddenList): Forbidden {
  if (hashes === null) return { hashes, directories }
  if ('bare' in hashes) return { hashes: hashes.bare, directories }
  const { digests } = hashes
  return { hashes: { has: hash => digests.has(digestOfHash(hash)) }, directories }
}

export class Looks {
  readonly #asked: Asked
  readonly #forbidden: Forbidden
  readonly #workers: Workers<readonly FileOnDisk[], readonly (Sight | null)[]>
  readonly #mostWorkers: number
  readonly #early = new Map<string, Look>()
  #open: Batch | null = null
  /** From the first that was asked for. */
  readonly #waiting = new Set<Batch>()
  #waitingCost = 0
  #wake: (() => void) | null = null
  #buffer: Buffer | null = null

  /**
   * @param threads how many there may be, this one among them
   * @param file the built look-worker.ts
   */
  constructor(asked: Asked, threads: number, file: string) {
    this.#asked = asked
    this.#forbidden = forbiddenOf(asked.forbidden)
    this.#mostWorkers = threads - 1
    this.#workers = new Workers(file, asked)
  }

  /** Null where this thread does all by itself: there is one core, or the code of the others is not there. */
  static of(asked: Asked, threads: number, file = workerFile(WORKER)): Looks | null {
    return threads > 1 && file !== null ? new Looks(asked, threads, file) : null
  }

  /** For the files of a bundle, as they are written. */
  static ofBundle(hashes: ReadonlySet<string>, threads: number): Looks | null {
    const wanted = { digest: true, facts: true, layer: false }
    return Looks.of({ forbidden: { hashes: { bare: hashes }, directories: [] }, wanted, early: true }, threads)
  }

  /** Threads besides this one. */
  get workers(): number {
    return this.#workers.started
  }

  /** Has a file looked into, some time before `seen` is called for it. */
  ask({ name, path, size }: FileOnDisk): Look {
    this.#open ??= { looks: [], cost: 0, state: 'open' }
    const batch = this.#open
    const look: Look = { name, path, size, batch, sight: null }
    batch.looks.push(look)
    batch.cost += FILE_COST + size
    if (batch.looks.length >= BATCH_FILES || batch.cost >= BATCH_COST) this.#close(batch)
    return look
  }

  /** The same for a file that has just been written. Nothing may write to it any more. */
  askEarly(file: FileOnDisk): Look {
    const look = this.ask(file)
    this.#early.set(file.name, look)
    return look
  }

  /** A file that was asked for early, or else is asked for now. */
  asked(file: FileOnDisk): Look {
    return this.#early.get(file.name) ?? this.ask(file)
  }

  /**
   * Within a task: what is in a file. While others look into it, this thread looks into what waits.
   * @param changed when the file was last changed: what was seen of an older one does not count
   * @throws what `lookInto` throws
   */
  *seen(look: Look, changed: number | null): Task<Looked> {
    const { batch } = look
    if (batch.state === 'open') this.#close(batch)
    while (batch.state !== 'done') {
      const next = batch.state === 'waiting' ? batch : first(this.#waiting)
      if (next === undefined) yield* wait(new Promise<void>(resolve => void (this.#wake = resolve)))
      else {
        this.#leave(next)
        for (const look of next.looks) look.sight = yield* this.#tryHere(look)
        next.state = 'done'
        // Signals want to be heard, and other threads to have their next batch.
        yield* wait(turn())
      }
    }
    const { sight } = look
    if (sight !== null && (sight.changed === null || sight.changed === changed)) return sight.looked
    return yield* this.#here(look)
  }

  close(): void {
    this.#workers.close()
  }

  #close(batch: Batch): void {
    this.#open = null
    batch.state = 'waiting'
    this.#waiting.add(batch)
    this.#waitingCost += batch.cost
    const { started } = this.#workers
    const cost = this.#asked.early ? THREAD_COST_EARLY : THREAD_COST
    if (started < this.#mostWorkers && this.#waitingCost >= cost * (started + 1)) this.#workers.start()
    this.#hand()
  }

  #leave(batch: Batch): void {
    this.#waiting.delete(batch)
    this.#waitingCost -= batch.cost
    batch.state = 'under way'
  }

  /** Gives other threads what waits. */
  #hand(): void {
    for (const batch of this.#waiting) {
      if (!this.#workers.hasRoom) return
      this.#leave(batch)
      const files = batch.looks.map(({ name, path, size }) => ({ name, path, size }))
      this.#workers.send(files, sights => {
        for (const [i, look] of batch.looks.entries()) look.sight = sights?.[i] ?? null
        batch.state = 'done'
        this.#wake?.()
        this.#hand()
      })
    }
  }

  /** What goes wrong is told when this file is asked for, as if none had been looked into before. */
  *#tryHere(look: Look): Task<Sight | null> {
    try {
      return { looked: yield* this.#here(look), changed: null }
    } catch {
      return null
    }
  }

  #here({ name, path, size }: Look): Task<Looked> {
    this.#buffer ??= Buffer.allocUnsafe(READ_SIZE)
    return lookInto(fileOnDisk(path, size, this.#buffer), name, this.#forbidden, this.#asked.wanted)
  }
}

const first = <T>(items: ReadonlySet<T>): T | undefined => items.values().next().value
