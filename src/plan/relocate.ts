/**
 * Which strings relocate themselves (entry/relocations.ts): the store paths in a relocatable bundle's programs and
 * libraries whose targets are in the bundle, collected while the plan is made. Pure.
 */

import type { ElfFacts } from '../elf/facts.ts'
import { entryCpu } from '../entry/cpus.ts'
import { ADDRESS_END, rootLimit } from '../entry/relocations.ts'
import type { DependencyGraph } from '../model/graph.ts'
import type { PlannedRelocations, PlanOptions, RelocationSite } from '../model/plan.ts'
import type { BundlePath } from '../paths.ts'
import type { RelocatedSite } from './accounts.ts'

/** A variable that the loader copies into a program when it starts, out of the library at a bundle path. */
export interface PlacedCopy {
  readonly library: BundlePath
  /** Virtual addresses in the library and in the program. */
  readonly address: number
  readonly to: number
  /** In bytes. */
  readonly size: number
}

export class Relocations {
  /** Machines of programs that get the stub: libraries for these are relocated. */
  readonly #machines: ReadonlySet<number>
  readonly #programs: { at: BundlePath; sites: RelocationSite[] }[] = []
  readonly #objects: { at: BundlePath; sites: RelocationSite[] }[] = []
  readonly #copies: (PlacedCopy & { readonly program: number })[] = []

  constructor(graph: DependencyGraph, { prefix, launcher }: PlanOptions) {
    const machines = new Set<number>()
    if (prefix === null && launcher !== 'shell')
      for (const program of graph.linkMaps.keys()) {
        const facts = graph.files.get(program)?.facts
        if (facts?.format !== 'elf' || graph.refusals.has(program)) continue
        if (entryCpu(facts)) machines.add(facts.machine)
      }
    this.#machines = machines
  }

  /** Whether programs with the stub may load an object. */
  serves(facts: ElfFacts): boolean {
    return entryCpu(facts) !== null && this.#machines.has(facts.machine)
  }

  /**
   * Takes an object's sites in. Returns a program's number; null for one without sites, and for libraries.
   * @param copies of a program, with their libraries' places
   */
  add(
    at: BundlePath,
    sites: readonly RelocatedSite[],
    isProgram: boolean,
    copies: readonly PlacedCopy[] = [],
  ): number | null {
    if (sites.length === 0 && copies.length === 0) return null
    const numbered = sites.map(({ address, target }) => ({ address, link: target.link.number }))
    const list = isProgram ? this.#programs : this.#objects
    list.push({ at, sites: numbered })
    for (const copy of copies) this.#copies.push({ ...copy, program: list.length - 1 })
    return isProgram ? list.length - 1 : null
  }

  plan(): PlannedRelocations | null {
    const all = [...this.#programs, ...this.#objects].flatMap(({ sites }) => sites)
    if (all.length === 0) return null
    const programs = this.#programs.map(({ at, sites }, number) => ({
      at,
      sites: [...sites, ...this.#copies.filter(c => c.program === number).flatMap(c => this.#copied(c))],
    }))
    return { programs, objects: this.#objects, rootLimit: rootLimit(all) }
  }

  /** The sites of a library that lie in a variable whose bytes the loader copies, where the copy has them. */
  #copied({ library, address, to, size }: PlacedCopy): RelocationSite[] {
    const sites = this.#objects.find(o => o.at === library)?.sites ?? []
    return to >= ADDRESS_END
      ? []
      : sites
          .filter(s => s.address >= address && s.address < address + size)
          .map(s => ({ address: s.address - address + to, link: s.link }))
  }
}
