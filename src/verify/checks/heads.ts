/** The search for what is packed in a file and shows by its head, while the bytes of the file pass by. */
import { dataRanges } from '../../elf/data-ranges.ts'
import { isElf } from '../../elf/parse.ts'
import { type Section, sectionsOf } from '../../elf/sections.ts'
import { withFile } from '../../io/store.ts'
import { HeadsInProgram, type PackedHead, PackedHeads } from '../../references/packed-heads.ts'
import type { Sifted } from '../../references/sieve.ts'

export class PassingHeads {
  readonly #path: string | null
  #search: PackedHeads | HeadsInProgram | null = null
  #isFirst = true
  /** Of an ELF file on the disk: where it has data. In an archive they may come last, and its data is looked at then. */
  sections: readonly Section[] | null = null

  /** @param path null in an archive */
  constructor(path: string | null) {
    this.#path = path
  }

  push(piece: Buffer, sifted: Sifted | null): void {
    if (this.#isFirst) this.#search = this.#begin(piece)
    this.#isFirst = false
    this.#search?.push(piece, sifted)
  }

  #begin(first: Buffer): PackedHeads | HeadsInProgram | null {
    if (!isElf(first)) return new PackedHeads()
    if (this.#path === null) return null
    return withFile(this.#path, source => {
      this.sections = sectionsOf(source)
      return new HeadsInProgram(dataRanges(source, this.sections))
    })
  }

  /** Whether a head was told until now. */
  get any(): boolean {
    return this.#search?.any ?? false
  }

  /** All heads, by offset. Nothing may be pushed any more. */
  end(): readonly PackedHead[] {
    return this.#search?.end() ?? []
  }
}
