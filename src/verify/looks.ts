/**
 * Files of a directory that are looked into by several threads, this one among them. Each file is a matter of its own
 * (checks/packed.ts); what is seen is taken in the order in which whoever asks wants it, so that nothing of a report
 * depends on how many threads there were.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { OnDisk, READ_SIZE } from '../archive/contents.ts'
import { type Task, wait } from '../io/task.ts'
import { Workers, workerFile } from '../io/workers.ts'
import { digestOfHash } from '../nix/hash-digest.ts'
import { borrow } from '../references/sieve.ts'
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

/** A file of a directory. */
export interface FileOnDisk {
  /** Its path in the directory, a byte string. */
  readonly name: string
  /** In bytes. */
  readonly size: number
}

/** What was seen of a file, as another thread hands it over. */
export interface Sight {
  /** Of a file that was asked for early: when it had last been changed before it was read. Else null. */
  readonly changed: number | null
  readonly sha256: string | null
  /** What else there is to tell: of most files nothing, and null. */
  readonly more: Omit<Looked, 'sha256'> | null
}

/** A file that is looked into, or will be. */
export interface Look extends FileOnDisk {
  readonly batch: Batch
  /** Not before it is seen; nor afterwards, when it has to be looked into anew. */
  isSeen: boolean
  /** These as in what was seen; until then its digest is what it should be, where that is known. */
  changed: number | null
  sha256: string | null
  more: Sight['more']
}

/** Files that are looked into one after another. */
interface Batch {
  /** The directory that they lie in. A byte string. */
  readonly root: string
  readonly looks: Look[]
  cost: number
  state: 'open' | 'waiting' | 'sent' | 'here' | 'done'
  /** Not 0 when somebody looks into it: of two threads that both have it, one does. */
  readonly claim: Int32Array<SharedArrayBuffer>
}

/** A batch as another thread is given it. */
export interface Sent {
  readonly root: string
  readonly files: readonly FileOnDisk[]
  readonly claim: Int32Array<SharedArrayBuffer>
}

/** What is kept of what was seen. */
export function sightOf({ sha256, ...more }: Looked, changed: number | null): Sight {
  const { findings, facts, loading, diffId, members } = more
  const isPlain = findings.length + members.length === 0 && facts === null && loading === null && diffId === null
  return { changed, sha256, more: isPlain ? null : more }
}

/** Nothing else to tell. */
const NOTHING: Omit<Looked, 'sha256'> = { findings: [], facts: null, loading: null, diffId: null, members: [] }

export const claimed = (claim: Int32Array<SharedArrayBuffer>): boolean => Atomics.exchange(claim, 0, 1) === 0

/** A batch is closed when it has so many files, or bytes. */
const BATCH_FILES = 64
const BATCH_COST = 8 << 20
/** A small file takes as long as so many bytes of a large one. */
const FILE_COST = 64 << 10
/**
 * So much has to be asked for a thread to be worth its start: 40 ms of CPU time, 80 ms until it has its first file, and as
 * much again until its code is compiled for speed. A core looks into so much in 60 ms. In bytes.
 */
const THREAD_COST = 128 << 20
/** The same of the first one, where this thread has other things to do. */
const THREAD_COST_EARLY = 32 << 20
/** Files that are asked for before the first one is wanted, so that a thread is started where there are many. */
const WINDOW = 4096
/** Batches that another thread has before it, so that it need not wait until this one hears it. */
const AHEAD = 8

export function forbiddenOf({ hashes, directories }: ForbiddenList): Forbidden {
  if (hashes === null) return { hashes, directories }
  if ('bare' in hashes) return { hashes: hashes.bare, directories }
  const { digests } = hashes
  return { hashes: { has: hash => digests.has(digestOfHash(hash)) }, directories }
}

export class Looks {
  readonly #asked: Asked
  readonly #forbidden: Forbidden
  readonly #workers: Workers<Sent, readonly (Sight | null)[] | null>
  readonly #mostWorkers: number
  readonly #early = new Map<string, Look>()
  #root = ''
  #open: Batch | null = null
  /** From the first that was asked for: those that no other thread has, and those that nobody may have begun with. */
  readonly #waiting = new Set<Batch>()
  readonly #untouched = new Set<Batch>()
  /** That were asked for. */
  #files = 0
  #bytes = 0
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
    // Whoever writes files has no time to hand them out.
    this.#workers = new Workers(file, asked, asked.early ? Number.POSITIVE_INFINITY : AHEAD)
  }

  /** Null where this thread does all by itself: there is one core, or the code of the others is not there. */
  static of(asked: Asked, threads: number, file = workerFile(WORKER)): Looks | null {
    return threads > 1 && file !== null ? new Looks(asked, threads, file) : null
  }

  /**
   * For the files of a bundle, as they are written. Threads are started at once; null where there is too little for any.
   * @param sizes of the files that there may be, in bytes
   */
  static ofBundle(hashes: ReadonlySet<string>, sizes: readonly number[], threads: number): Looks | null {
    const wanted = { digest: true, facts: true, layer: false }
    const looks = Looks.of({ forbidden: { hashes: { bare: hashes }, directories: [] }, wanted, early: true }, threads)
    looks?.expectSizes(sizes)
    return looks?.workers ? looks : null
  }

  /** Files are asked for by their paths in this directory. A byte string. */
  in(root: string): this {
    if (this.#open !== null) this.#close(this.#open)
    this.#root = root
    return this
  }

  /** Threads besides this one. */
  get workers(): number {
    return this.#workers.started
  }

  /** How many files are best asked for before the first of them is wanted: all threads have enough to do. */
  get window(): number {
    return this.workers === 0 ? WINDOW : BATCH_FILES * AHEAD * (2 + this.workers)
  }

  /** Starts the threads that so much is worth, where it is known before. @param bytes of all files */
  expect(files: number, bytes: number): void {
    const first = this.#asked.early ? THREAD_COST_EARLY : THREAD_COST
    const { started } = this.#workers
    // What this thread does for each file keeps no more than one of them busy with small ones.
    const worth = started === 0 ? files * FILE_COST + bytes : bytes - started * THREAD_COST
    if (started >= this.#mostWorkers || worth < first) return
    this.#workers.start()
    this.expect(files, bytes)
  }

  /** The same. @param sizes of files, in bytes */
  expectSizes(sizes: readonly number[]): void {
    let bytes = 0
    for (const size of sizes) bytes += size
    this.expect(sizes.length, bytes)
  }

  /** Has a file looked into, some time before `seen` is called for it. */
  ask({ name, size }: FileOnDisk, sha256: string | null = null): Look {
    const claim = this.#open?.claim ?? new Int32Array(new SharedArrayBuffer(4))
    this.#open ??= { root: this.#root, looks: [], cost: 0, state: 'open', claim }
    const batch = this.#open
    const look: Look = { name, size, batch, isSeen: false, changed: null, sha256, more: null }
    batch.looks.push(look)
    batch.cost += FILE_COST + size
    this.#files++
    this.#bytes += size
    if (batch.looks.length >= BATCH_FILES || batch.cost >= BATCH_COST) this.#close(batch)
    return look
  }

  /** The same for a file that has been written, unless it is asked for already. Nothing may write to it any more. */
  askEarly(file: FileOnDisk, sha256: string | null = null): Look {
    const known = this.#early.get(file.name)
    if (known !== undefined) return known
    const look = this.ask(file, sha256)
    this.#early.set(file.name, look)
    return look
  }

  /** One that was asked for early, by its name. */
  known(name: string): Look | undefined {
    return this.#early.get(name)
  }

  /** All that was asked for can be looked into, for some time nothing else will come. */
  flush(): void {
    if (this.#open !== null) this.#close(this.#open)
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
      const next = this.#claim()
      if (next !== null) yield* this.#lookHere(next)
      else if (batch.state === 'sent') yield* wait(new Promise<void>(resolve => void (this.#wake = resolve)))
    }
    if (look.isSeen && (look.changed === null || look.changed === changed))
      return { sha256: look.sha256, ...(look.more ?? NOTHING) }
    return yield* this.#here(look)
  }

  close(): void {
    this.#workers.close()
  }

  #close(batch: Batch): void {
    this.#open = null
    batch.state = 'waiting'
    this.#waiting.add(batch)
    this.#untouched.add(batch)
    if (!this.#asked.early) this.expect(this.#files, this.#bytes)
    this.#hand()
  }

  /**
   * A batch for this thread; null when others are at all that there are. Those that others have before them come last, and
   * of these the last first, for they begin with the first.
   */
  #claim(): Batch | null {
    for (const batch of this.#waiting) if (this.#claims(batch)) return batch
    for (const batch of [...this.#untouched].reverse()) if (this.#claims(batch)) return batch
    return null
  }

  #claims(batch: Batch): boolean {
    if (!this.#untouched.delete(batch) || !claimed(batch.claim)) return false
    this.#waiting.delete(batch)
    batch.state = 'here'
    return true
  }

  /** Gives other threads what waits. */
  #hand(): void {
    for (const batch of this.#waiting) {
      if (!this.#workers.hasRoom) return
      this.#waiting.delete(batch)
      batch.state = 'sent'
      const files = batch.looks.map(({ name, size }) => ({ name, size }))
      this.#workers.send({ root: batch.root, files, claim: batch.claim }, sights => this.#back(batch, sights))
    }
  }

  /** @param sights null when this thread looks into them, and when the other has died */
  #back(batch: Batch, sights: readonly (Sight | null)[] | null): void {
    if (batch.state === 'sent') {
      for (const [i, look] of batch.looks.entries()) keep(look, sights?.[i] ?? null)
      batch.state = 'done'
      this.#untouched.delete(batch)
    }
    this.#wake?.()
    this.#hand()
  }

  *#lookHere(batch: Batch): Task<void> {
    for (const look of batch.looks) keep(look, yield* this.#tryHere(look))
    batch.state = 'done'
    // Signals want to be heard, and other threads to have their next batch.
    yield* wait(turn())
  }

  /** What goes wrong is told when this file is asked for, as if none had been looked into before. */
  *#tryHere(look: Look): Task<Sight | null> {
    try {
      return sightOf(yield* this.#here(look), null)
    } catch {
      return null
    }
  }

  #here({ name, size, batch: { root } }: Look): Task<Looked> {
    this.#buffer ??= borrow(READ_SIZE)
    return lookInto(new OnDisk(`${root}/${name}`, size, this.#buffer), name, this.#forbidden, this.#asked.wanted)
  }
}

/** What was seen is kept in the look: a sight of each would be half as much again. */
function keep(look: Look, sight: Sight | null): void {
  if (sight === null) return
  look.isSeen = true
  look.changed = sight.changed
  // Of equal digests one is kept.
  if (sight.sha256 !== look.sha256) look.sha256 = sight.sha256
  look.more = sight.more
}
