/**
 * Data files of a relocatable bundle that name places (entry/templates.ts), collected while the plan is made. Pure.
 */
import { blobOf, entryCpu } from '../entry/cpus.ts'
import { encodeTemplates, RELOCATE, TEMPLATES, type Template } from '../entry/templates.ts'
import type { DependencyGraph } from '../model/graph.ts'
import type { PlanOptions, Step } from '../model/plan.ts'
import type { BundlePath } from '../paths.ts'

export class Templates {
  readonly #templates = new Map<BundlePath, Template>()
  /** `relocate` for the CPU of the bundle's programs; null where there is none, and so no template. */
  readonly #relocate: Buffer | null

  constructor(graph: DependencyGraph, { prefix }: PlanOptions) {
    const [program] = graph.linkMaps.keys()
    const facts = program === undefined ? undefined : graph.files.get(program)?.facts
    const cpu = prefix === null && facts?.format === 'elf' ? entryCpu(facts) : null
    this.#relocate = cpu && blobOf(cpu, 'relocate')
  }

  /** Whether a bundle can have templates. */
  get served(): boolean {
    return this.#relocate !== null
  }

  add(template: Template): void {
    this.#templates.set(template.at, template)
  }

  /** Where the files lie, sorted. */
  places(): BundlePath[] {
    return [...this.#templates.keys()].sort()
  }

  /** The table and the program that reads it; none without templates. */
  steps(): Step[] {
    if (this.#templates.size === 0) return []
    const templates = this.places().map(at => this.#templates.get(at)!)
    const relocate = this.#relocate!
    return [
      { do: 'write', at: TEMPLATES, bytes: encodeTemplates(templates), executable: false },
      { do: 'write', at: RELOCATE, bytes: relocate, executable: true },
    ]
  }
}
