/**
 * Part of stage 5 (apply.ts): staged programs that are entered by a sidecar. Each gives its bytes to the sidecar of its
 * CPU, and when that is whole gets the bootstrap which knows it. Nothing of a program moves.
 */
import type { ElfFacts } from '../elf/facts.ts'
import { blobOf, type EntryCpu, entryCpu } from '../entry/cpus.ts'
import { bootstrapWrites, type Entered, enter, sidecarOf, sidecarPath } from '../entry/sidecar.ts'
import { BundleError } from '../errors.ts'
import type { ByteSource } from '../io/bytes.ts'
import type { Staging } from '../io/staging.ts'
import { withFile } from '../io/store.ts'
import { chunks, patched } from '../macho/patch.ts'
import type { Finding } from '../model/findings.ts'
import type { BundlePlan, Step } from '../model/plan.ts'
import type { BundlePath } from '../paths.ts'
import { checkEntered, type Seen, seen } from './fidelity.ts'

interface Staged {
  /** Its step's index in the plan. */
  readonly index: number
  readonly path: string
  readonly before: Seen
  readonly entered: Entered
}

type Copy = Step & { do: 'copy' }
type Enter = Copy['edits'][number] & { op: 'enter-by-sidecar' }

const enterOf = ({ edits }: Copy): Enter | undefined => edits.find(e => e.op === 'enter-by-sidecar')

/** Whether a program is entered by a sidecar. */
export const isEntered = (step: Copy): boolean => enterOf(step) !== undefined

/**
 * What a program gives to its sidecar.
 * @param source the program with all other edits made
 * @throws BundleError('edit-refused') where the paths behind a bootstrap need more room than there is
 */
export function enteredAs(source: ByteSource, facts: ElfFacts, step: Copy, plan: BundlePlan): Entered {
  const edit = enterOf(step)!
  const relocations = plan.relocations === null ? null : edit.relocations
  const entered = enter(source, facts, blobOf(entryCpu(facts)!, 'bootstrap'), { ...edit, relocations })
  if (entered !== null) return entered
  throw new BundleError('edit-refused', 'the way to its loader does not fit over its code', {
    path: step.from,
    hint: 'bundle with --prefix',
  })
}

/**
 * Puts the bootstraps in.
 * @param unlessUnmade carries out what is done with a step; what the bundle does without is told there
 * @returns the indices of the steps whose files have changed, and the sidecars, not yet accounted for
 * @throws as `enteredAs`
 */
export async function enterBySidecars(
  plan: BundlePlan,
  staging: Staging,
  unlessUnmade: (step: Step, edit: () => Promise<void>) => Promise<void>,
): Promise<{ programs: number[]; sidecars: { at: BundlePath; bytes: Buffer }[]; findings: Finding[] }> {
  const byCpu = new Map<EntryCpu, Staged[]>()
  for (const [index, step] of plan.steps.entries()) {
    if (step.do !== 'copy' || !isEntered(step)) continue
    const path = staging.path(step.at)
    await unlessUnmade(step, async () =>
      withFile(path, source => {
        const before = seen(source, path)
        const cpu = entryCpu(before.facts)!
        const entered = enteredAs(source, before.facts, step, plan)
        const staged = { index, path, before, entered }
        byCpu.set(cpu, [...(byCpu.get(cpu) ?? []), staged])
      }),
    )
  }
  const findings: Finding[] = []
  const sidecars = [...byCpu].map(([cpu, programs]) => {
    const at = sidecarPath(cpu.name) as BundlePath
    const sidecar = sidecarOf(
      cpu,
      blobOf(cpu, 'sidecar'),
      programs.map(p => p.entered),
    )
    for (const [number, { path, before, entered }] of programs.entries()) {
      const writes = bootstrapWrites(entered, number, blobOf(cpu, 'bootstrap'), sidecar)
      withFile(path, source => staging.rewrite(path, chunks(patched(source, writes))))
      findings.push(
        ...checkEntered(
          path,
          before,
          withFile(path, source => seen(source, path)),
          entered,
        ),
      )
    }
    staging.makeParents(at)
    staging.write(at, sidecar.bytes)
    return { at, bytes: sidecar.bytes }
  })
  return { programs: [...byCpu.values()].flatMap(list => list.map(p => p.index)), sidecars, findings }
}
