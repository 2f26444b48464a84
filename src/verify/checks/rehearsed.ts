/** Of a bundle that is not written: what of it would not resolve inside, by what its files would become. */
import type { Rehearsed } from '../../apply/rehearsal.ts'
import type { ElfFacts } from '../../elf/facts.ts'
import type { MachOFacts } from '../../macho/facts.ts'
import type { Finding } from '../../model/findings.ts'
import type { DependencyGraph } from '../../model/graph.ts'
import type { BundlePlan } from '../../model/plan.ts'
import { compareChoices } from './choices.ts'
import { type BundledProgram, checkClosure } from './closure.ts'

/** @param prefix the place that the bundle is made for; null when it is relocatable */
export function checkRehearsed(
  graph: DependencyGraph,
  plan: BundlePlan,
  { objects }: Rehearsed,
  prefix: string | null,
): Finding[] {
  if (objects === null) return []
  const elf = new Map<string, ElfFacts>()
  const images = new Map<string, MachOFacts>()
  for (const [at, facts] of objects)
    if (facts.format === 'elf') elf.set(at, facts)
    else images.set(at, facts)
  const links = new Map(plan.steps.flatMap(step => (step.do === 'symlink' ? [[step.at, step.to] as const] : [])))
  const names = new Set([...plan.steps.map(step => step.at), ...plan.empty])
  const tree = { names, links, elf, images }
  const { findings, linkMaps } = checkClosure(tree, programsOf(graph, plan), prefix)
  return [...findings, ...compareChoices(graph, plan, linkMaps)]
}

const programsOf = ({ findings }: DependencyGraph, { programs }: BundlePlan): BundledProgram[] =>
  programs.flatMap(({ at, elf, loader, source }) => {
    const missing = findings.flatMap(f => (f.code === 'library-missing' && f.chain[0] === source ? [f.name] : []))
    return loader === null ? [] : [{ at, elf, loader, missing }]
  })
