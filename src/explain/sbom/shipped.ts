/** Which files of a bundle are of which package, and by what name the document refers to each. Pure. */
import type { Explained, ExplainedFile } from '../../model/explained.ts'
import type { Contents } from '../../model/sbom.ts'
import { toText } from '../../paths.ts'
import { Chains } from '../chains.ts'

/** The bundle, and what is made for it: launchers, tables, `bundle.json`. */
export const ROOT = 'bundle'
export const MADE = 'made'

export class Shipped {
  readonly explained: Explained
  readonly contents: ReadonlyMap<string, Contents>
  readonly chains: Chains
  /** Files and links of each package; of null those that are made. */
  readonly #files = new Map<number | null, number[]>()
  /** Of packages that have any. */
  readonly refs = new Map<number, string>()

  constructor(explained: Explained, contents: ReadonlyMap<string, Contents>) {
    this.explained = explained
    this.contents = contents
    this.chains = new Chains(explained)
    for (const [id, file] of explained.files.entries()) {
      const known = this.#files.get(file.package)
      if (known) known.push(id)
      else this.#files.set(file.package, [id])
    }
    const taken = new Set([ROOT, MADE])
    for (const [id, { name, digest }] of explained.packages.entries()) {
      if (!this.#files.has(id)) continue
      // Two packages of one name are told apart by what their hashes come to.
      let ref = digest === null ? toText(name) : `${toText(name)}#${digest}`
      while (taken.has(ref)) ref = `${ref}'`
      taken.add(ref)
      this.refs.set(id, ref)
    }
  }

  /** Ids of files and links. */
  of(owner: number | null): readonly number[] {
    return this.#files.get(owner) ?? []
  }

  get hasMade(): boolean {
    return this.#files.has(null)
  }

  ref(id: number): string {
    return this.refs.get(id)!
  }
}

export const isObject = ({ role }: ExplainedFile): boolean =>
  role === 'program' || role === 'library' || role === 'loader' || role === 'script'
