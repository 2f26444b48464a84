/**
 * Part of stage 5 (apply.ts): staged programs that are entered by a sidecar. Each gives its bytes to the sidecar of its
 * CPU, and when that is whole gets the bootstrap which knows it. Nothing of a program moves.
 */
import type { ElfFacts } from '../elf/facts.ts'
import { parseElf, symbolNames } from '../elf/parse.ts'
import { blobOf, type EntryCpu, entryCpu } from '../entry/cpus.ts'
import { bootstrapWrites, type Entered, enter, sidecarOf, sidecarPath } from '../entry/sidecar.ts'
import { BundleError } from '../errors.ts'
import type { Staging } from '../io/staging.ts'
import { withFile } from '../io/store.ts'
import { chunks, patched } from '../macho/patch.ts'
import type { Finding } from '../model/findings.ts'
import type { BundlePlan } from '../model/plan.ts'
import type { BundlePath } from '../paths.ts'
import { checkEntered } from './fidelity.ts'

interface Staged {
  /** Its step's index in the plan. */
  readonly index: number
  readonly path: string
  readonly before: ElfFacts
  readonly names: readonly string[]
  readonly entered: Entered
}

/**
 * Puts the bootstraps in.
 * @returns the indices of the steps whose files have changed, and the sidecars, not yet accounted for
 * @throws BundleError('edit-refused') where the paths behind a bootstrap need more room than there is
 */
export function enterBySidecars(
  plan: BundlePlan,
  staging: Staging,
): { programs: number[]; sidecars: { at: BundlePath; bytes: Buffer }[]; findings: Finding[] } {
  const byCpu = new Map<EntryCpu, Staged[]>()
  for (const [index, step] of plan.steps.entries()) {
    const edit = step.do === 'copy' ? step.edits.find(e => e.op === 'enter-by-sidecar') : undefined
    if (step.do !== 'copy' || !edit) continue
    const path = staging.path(step.at)
    withFile(path, source => {
      const before = parseElf(source, path)
      const cpu = entryCpu(before)!
      const relocations = plan.relocations === null ? null : edit.relocations
      const entered = enter(source, before, blobOf(cpu, 'bootstrap'), { ...edit, relocations })
      if (entered === null)
        throw new BundleError('edit-refused', 'the way to its loader does not fit over its code', {
          path: step.from,
          hint: 'bundle with --prefix',
        })
      const staged = { index, path, before, names: symbolNames(source, path), entered }
      byCpu.set(cpu, [...(byCpu.get(cpu) ?? []), staged])
    })
  }
  const findings: Finding[] = []
  const sidecars = [...byCpu].map(([cpu, programs]) => {
    const at = sidecarPath(cpu.name) as BundlePath
    const sidecar = sidecarOf(
      cpu,
      blobOf(cpu, 'sidecar'),
      programs.map(p => p.entered),
    )
    for (const [number, { path, before, names, entered }] of programs.entries()) {
      const writes = bootstrapWrites(entered, number, blobOf(cpu, 'bootstrap'), sidecar)
      withFile(path, source => staging.rewrite(path, chunks(patched(source, writes))))
      findings.push(...withFile(path, source => checkEntered(path, before, names, source, entered)))
    }
    staging.makeParents(at)
    staging.write(at, sidecar.bytes)
    return { at, bytes: sidecar.bytes }
  })
  return { programs: [...byCpu.values()].flatMap(list => list.map(p => p.index)), sidecars, findings }
}
