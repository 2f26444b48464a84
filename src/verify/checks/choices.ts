/**
 * Each program of a bundle loads the same libraries, in the same order, as its original does.
 */

import type { LinkMap } from '../../elf/search.ts'
import type { Finding } from '../../model/findings.ts'
import type { DependencyGraph } from '../../model/graph.ts'
import type { BundlePlan } from '../../model/plan.ts'
import type { BundlePath } from '../../paths.ts'

/** @param linkMaps what the bundled programs load, by their ELF files' bundle paths */
export function compareChoices(
  graph: DependencyGraph,
  plan: BundlePlan,
  linkMaps: ReadonlyMap<BundlePath, LinkMap>,
): Finding[] {
  return plan.programs.flatMap(({ elf, source }): Finding[] => {
    const original = graph.linkMaps.get(source)
    const bundled = linkMaps.get(elf)
    if (!original || !bundled) return []
    return original.objects.slice(1).flatMap((object, i): Finding[] => {
      const expected: string = plan.placed.get(object.path)!
      const found: string = bundled.objects[i + 1]?.path ?? 'nothing'
      return expected === found
        ? []
        : [
            {
              code: 'choice-changed',
              severity: 'error',
              file: elf,
              program: elf,
              name: object.name ?? expected,
              expected,
              found,
            },
          ]
    })
  })
}
