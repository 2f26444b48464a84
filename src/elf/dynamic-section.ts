/** The dynamic section and its string table as they are while strings grow (grow.ts): in their old places, or made anew. Pure. */
import { DT, EM } from './constants.ts'
import type { ElfFacts } from './facts.ts'
import { readExact, writeWord } from './words.ts'

/** The dynamic string table with strings added to its end. */
export class Strings {
  readonly #old: Buffer
  #added = ''

  constructor(old: Buffer) {
    this.#old = old
  }

  get bytes(): Buffer {
    return Buffer.concat([this.#old, Buffer.from(this.#added, 'latin1')])
  }

  at(offset: number): string {
    const end = this.#old.indexOf(0, offset)
    return this.#old.toString('latin1', offset, end < 0 ? undefined : end)
  }

  /** Where the string now is. */
  add(text: string): number {
    // A table ends with a NUL, or what follows it in the file did.
    if (this.#added === '' && this.#old.at(-1) !== 0) this.#added = '\0'
    const at = this.#old.length + this.#added.length
    this.#added += `${text}\0`
    return at
  }
}

/** The dynamic section, in its old place or grown. */
export class Dynamic {
  readonly #facts: ElfFacts
  readonly #from: number
  readonly #step: number
  readonly #capacity: number
  #bytes: Buffer
  #moves = false

  constructor(facts: ElfFacts, bytes: Buffer, from: number) {
    this.#facts = facts
    this.#bytes = Buffer.from(bytes)
    this.#from = from
    this.#step = facts.class / 4
    this.#capacity = Math.floor(bytes.length / this.#step)
  }

  get bytes(): Buffer {
    return this.#bytes
  }

  get moves(): boolean {
    return this.#moves
  }

  /** Gives the entry that lay at a file offset another tag and value. */
  set(offset: number, tag: number, value: number | bigint): void {
    this.#write(offset - this.#from, tag, value)
  }

  /** Every search path is this one, a RPATH; where there is none it becomes the last entry. */
  setRpath(value: number): void {
    const entries = this.#facts.dynamic.filter(e => e.tag === DT.rpath || e.tag === DT.runpath)
    for (const { offset } of entries) this.set(offset, DT.rpath, value)
    if (entries.length > 0) return
    const end = this.#facts.dynamic.length
    // One has to stay that ends the list.
    this.#moves = end + 2 > this.#capacity
    if (this.#moves)
      this.#bytes = Buffer.concat([this.#bytes.subarray(0, end * this.#step), Buffer.alloc(2 * this.#step)])
    this.#write(end * this.#step, DT.rpath, value)
    this.#write((end + 1) * this.#step, DT.null, 0)
  }

  point(tag: number, value: bigint): void {
    for (const entry of this.#facts.dynamic) if (entry.tag === tag) this.set(entry.offset, tag, value)
  }

  /** What is told from the place of its own entry, when all lies `by` bytes higher. */
  moved(by: number): void {
    if (this.#facts.machine !== EM.mips) return
    for (const { tag, offset } of this.#facts.dynamic) {
      if (tag !== DT.mipsRldMapRel) continue
      const value = readExact(this.#bytes, offset - this.#from + this.#step / 2, this.#facts)
      this.set(offset, tag, BigInt.asUintN(this.#facts.class, value - BigInt(by)))
    }
  }

  #write(at: number, tag: number, value: number | bigint): void {
    writeWord(this.#bytes, at, tag, this.#facts)
    writeWord(this.#bytes, at + this.#step / 2, value, this.#facts)
  }
}
