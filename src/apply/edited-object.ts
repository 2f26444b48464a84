/**
 * Part of stage 5 (apply.ts): a program or library with all its edits made in memory. It is read once and written once,
 * whole: what is overwritten, strings of the loader that grow, the stub. Each step is compared with what was planned.
 */
import { type ElfEdit, editInPlace, elfEdits } from '../elf/edit.ts'
import type { ElfFacts, LoaderPlace } from '../elf/facts.ts'
import { parseElf } from '../elf/parse.ts'
import { blobOf, entryCpu } from '../entry/cpus.ts'
import { injectStub, type ProgramRelocations } from '../entry/inject.ts'
import { bufferSource } from '../io/bytes.ts'
import { withFile } from '../io/store.ts'
import type { Finding } from '../model/findings.ts'
import type { BundlePlan, Step } from '../model/plan.ts'
import { editedBytes, loadedEnd } from './edited-pieces.ts'
import { checkEdited, checkInjected, type Edited } from './fidelity.ts'
import { grownBy } from './grow.ts'

/** A larger library is edited piece by piece, unless it gets a stub. In bytes. */
const IN_MEMORY_MAX = 64 << 20

/** Whether an object is edited in memory. */
export const isInMemory = (step: Step & { do: 'copy' }): boolean =>
  step.edits.length > 0 && (step.size <= IN_MEMORY_MAX || stubOf(step) !== undefined)

const stubOf = ({ edits }: Step & { do: 'copy' }) => edits.find(e => e.op === 'inject-stub')

/**
 * @param facts of the input
 * @returns all that is written, but for the bootstrap of a program that a sidecar enters
 * @throws BundleError as `editedPieces` and `grownBy`
 */
export function editedObject(
  step: Step & { do: 'copy' },
  facts: ElfFacts,
  plan: BundlePlan,
): { bytes: Buffer; findings: Finding[] } {
  return withFile(step.from, source => {
    const original = source.read(0, source.size)
    const edits = elfEdits(step.edits)
    const { writes, left } = editInPlace(facts, edits)
    const edited = editedBytes(step, original, writes, loadedEnd(facts))
    const bytes = left.length === 0 ? edited : wholeOf(grownBy(bufferSource(edited), step.from, left))
    const how = left.length === 0 ? 'in place' : 'grown'
    const [before, after] = [bufferSource(original), bufferSource(bytes)]
    const findings = edits.length === 0 ? [] : checkEdited(step.from, before, after, facts, edits, how)
    const stub = stubOf(step)
    if (stub === undefined) return { bytes, findings }
    const injected = withStub(bytes, step.from, stub.loader, plan.relocations === null ? null : stub.relocations)
    return { bytes: injected.bytes, findings: [...findings, ...injected.findings] }
  })
}

const wholeOf = (source: ReturnType<typeof grownBy>): Buffer => source.read(0, source.size)

/**
 * Puts the stub into a program.
 * @param path whom to name
 */
export function withStub(
  bytes: Buffer,
  path: string,
  loader: LoaderPlace,
  relocations: ProgramRelocations | null,
): { bytes: Buffer; findings: Finding[] } {
  const facts = parseElf(bufferSource(bytes), path)
  const cpu = entryCpu(facts)
  if (!cpu) throw new Error(`no stub for machine ${facts.machine}`)
  const injected = injectStub(bytes, facts, blobOf(cpu, 'stub'), loader, relocations)
  return { bytes: injected, findings: checkInjected(path, bytes, injected, loader) }
}

/** Compares a staged file with its original. */
export const compareEdited = (
  original: string,
  copy: string,
  facts: ElfFacts,
  edits: readonly ElfEdit[],
  how: Edited,
): Finding[] =>
  withFile(original, before => withFile(copy, after => checkEdited(original, before, after, facts, edits, how)))
