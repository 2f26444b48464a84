/**
 * Part of stage 5 (apply.ts): a program or library with all its edits made in memory. It is read once and written once,
 * whole: what is overwritten, strings of the loader that grow, the stub. Each step is compared with what was planned.
 */
import { type ElfEdit, editInPlace, elfEdits } from '../elf/edit.ts'
import type { ElfFacts, LoaderPlace } from '../elf/facts.ts'
import { symbolNames } from '../elf/parse.ts'
import { blobOf, entryCpu } from '../entry/cpus.ts'
import { injectStub, type ProgramRelocations } from '../entry/inject.ts'
import { bufferSource } from '../io/bytes.ts'
import { withRoom } from '../io/room.ts'
import { withFile } from '../io/store.ts'
import type { Finding } from '../model/findings.ts'
import type { BundlePlan, Step } from '../model/plan.ts'
import { editedBytes, loadedEnd } from './edited-pieces.ts'
import { checkEdited, checkInjected, type Edited, type Seen, seen } from './fidelity.ts'
import { grownBy } from './grow.ts'

/** A larger library is edited piece by piece, unless it gets a stub. In bytes. */
const IN_MEMORY_MAX = 64 << 20
/** What is added to most programs is less. In bytes. */
const ADDED = 64 << 10

/** Whether an object is edited in memory. */
export const isInMemory = (step: Step & { do: 'copy' }): boolean =>
  step.edits.length > 0 && (step.size <= IN_MEMORY_MAX || stubOf(step) !== undefined)

const stubOf = ({ edits }: Step & { do: 'copy' }) => edits.find(e => e.op === 'inject-stub')

/**
 * @param facts of the input
 * @param write is given all that is written, but for the bootstrap of a program that a sidecar enters; the bytes are valid
 * until it returns
 * @returns differences from the plan
 * @throws BundleError as `editedPieces` and `grownBy`
 */
export function editedObject(
  step: Step & { do: 'copy' },
  facts: ElfFacts,
  plan: BundlePlan,
  write: (bytes: Buffer) => void,
): Finding[] {
  return withFile(step.from, source =>
    withRoom(source.size + ADDED, room => {
      const original = room.subarray(0, source.readInto?.(room.subarray(0, source.size), 0))
      const edits = elfEdits(step.edits)
      const stub = stubOf(step)
      const was = { facts, names: edits.length === 0 ? [] : symbolNames(bufferSource(original), step.from) }
      const { writes, left } = editInPlace(facts, edits)
      const edited = editedBytes(step, original, writes, loadedEnd(facts))
      const bytes = left.length === 0 ? edited : wholeOf(grownBy(bufferSource(edited), step.from, left))
      const findings: Finding[] = []
      let is: Seen | null = null
      if (edits.length > 0) {
        is = seen(bufferSource(bytes), step.from)
        findings.push(...checkEdited(step.from, was, is, edits, left.length === 0 ? 'in place' : 'grown'))
      }
      if (stub === undefined) write(bytes)
      else {
        is ??= seen(bufferSource(bytes), step.from)
        const relocations = plan.relocations === null ? null : stub.relocations
        const injected = withStub(bytes, step.from, is, stub.loader, relocations, bytes === original ? room : bytes)
        findings.push(...injected.findings)
        write(injected.bytes)
      }
      return findings
    }),
  )
}

const wholeOf = (source: ReturnType<typeof grownBy>): Buffer => source.read(0, source.size)

/**
 * Puts the stub into a program.
 * @param path whom to name
 * @param was what the program is
 * @param room as of `injectStub`
 */
export function withStub(
  bytes: Buffer,
  path: string,
  was: Seen,
  loader: LoaderPlace,
  relocations: ProgramRelocations | null,
  room: Buffer = bytes,
): { bytes: Buffer; findings: Finding[] } {
  const cpu = entryCpu(was.facts)
  if (!cpu) throw new Error(`no stub for machine ${was.facts.machine}`)
  const injected = injectStub(bytes, was.facts, blobOf(cpu, 'stub'), loader, relocations, room)
  return { bytes: injected, findings: checkInjected(path, was, seen(bufferSource(injected), path), loader) }
}

/** Compares a staged file with its original. */
export function compareEdited(
  original: string,
  copy: string,
  facts: ElfFacts,
  edits: readonly ElfEdit[],
  how: Edited,
): Finding[] {
  const names = withFile(original, source => symbolNames(source, original))
  const is = withFile(copy, source => seen(source, original))
  return checkEdited(original, { facts, names }, is, edits, how)
}
