/**
 * Stage 5: carries out the plan in the staging directory. Each file is copied once with its edits made on the way: small
 * ones, programs and libraries in memory (edited-object.ts), others piece by piece. Strings that do not fit in place
 * grow (grow.ts), and every edited ELF file is parsed again and compared with what was planned.
 */
import { createHash, hash as digest } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import { editInPlace, elfEdits, emptyRpath } from '../elf/edit.ts'
import type { ElfFacts } from '../elf/facts.ts'
import { type PatchelfJob, patchelf } from '../elf/patchelf.ts'
import { RELOCATIONS_PATH } from '../entry/relocations.ts'
import { BundleError } from '../errors.ts'
import { bufferSource } from '../io/bytes.ts'
import type { Progress } from '../io/progress.ts'
import type { Staging } from '../io/staging.ts'
import { pieces, readSmall, withFile } from '../io/store.ts'
import type { MachOFacts } from '../macho/facts.ts'
import type { Finding } from '../model/findings.ts'
import type { DependencyGraph } from '../model/graph.ts'
import type { BundlePlan, PlanOptions, Step } from '../model/plan.ts'
import type { BundlePath, SourcePath } from '../paths.ts'
import { byPatchelf } from '../plan/patcher.ts'
import { compareEdited, editedObject, isInMemory, withStub } from './edited-object.ts'
import { editedPieces, loadedEnd } from './edited-pieces.ts'
import { enterBySidecars, isEntered } from './enter.ts'
import { seen } from './fidelity.ts'
import { assertFits, growStaged } from './grow.ts'
import { relocationTable } from './relocation-table.ts'
import { editAndSign } from './sign.ts'

/** The table of strings that relocate themselves, where the stub looks for it. */
const RELOCATIONS = RELOCATIONS_PATH as BundlePath

/** Edits that are made when all files are written. */
const LATER: ReadonlySet<string> = new Set(['sign', 'enter-by-sidecar'])

/** A file of the bundle as it was written. */
export interface WrittenFile {
  readonly at: BundlePath
  readonly type: 'file' | 'link'
  readonly executable: boolean
  /** In bytes; of a link, the length of its text. */
  readonly size: number
  /** SHA-256 in hexadecimal of a file's contents, null for a link. */
  readonly sha256: string | null
  readonly target: string | null
}

/**
 * Writes the planned tree into staging.
 * @param unmade is told of files that cannot be edited as planned, and throws where the bundle is nothing without them
 * @param finished is told of files that are as they will be, most of them; the rest is when all is back
 * @returns what was written, in the plan's order, the objects whose strings cannot relocate themselves after all, and
 * the differences from the plan; null when some file was told of: then all of it is of no use
 */
export async function apply(
  plan: BundlePlan,
  graph: DependencyGraph,
  options: PlanOptions,
  jobs: number,
  staging: Staging,
  progress: Progress,
  unmade: (file: SourcePath, error: BundleError) => void,
  finished: ((file: WrittenFile) => void) | null = null,
): Promise<{ files: WrittenFile[]; refused: ReadonlySet<BundlePath>; findings: Finding[] } | null> {
  const files: WrittenFile[] = new Array(plan.steps.length)
  const patches: PatchelfJob[] = []
  const patched: { index: number; at: BundlePath; scratch: string }[] = []
  const grown = new Set<number>()
  const findings: Finding[] = []

  let isWhole = true
  const unlessUnmade = async (step: Step, edit: () => Promise<void>): Promise<void> => {
    try {
      await edit()
    } catch (error) {
      if (step.do !== 'copy' || !(error instanceof BundleError) || error.code !== 'edit-refused') throw error
      unmade(step.from, error)
      isWhole = false
    }
  }

  const write = async (step: Step, index: number): Promise<void> => {
    progress.update(`writing ${index + 1} of ${plan.steps.length} files`)
    staging.makeParents(step.at)
    if (step.do === 'symlink') {
      staging.symlink(step.at, step.to)
      files[index] = {
        at: step.at,
        type: 'link',
        executable: false,
        size: step.to.length,
        sha256: null,
        target: step.to,
      }
      return
    }
    // Most files are small and stay as they are: they are written without waiting.
    const bytes = step.do === 'write' ? step.bytes : step.edits.length === 0 ? readSmall(step.from, step.size) : null
    if (bytes !== null) {
      staging.writeFinished(step.at, bytes, step.executable)
      files[index] = written(step.at, bytes, step.executable)
      finished?.(files[index])
      return
    }
    if (step.do === 'write') return
    const facts = elfFacts(graph, step)
    const edits = elfEdits(step.edits)
    const isPatchelfs = byPatchelf(step.from, edits, isEntered(step), graph, options)
    const { writes, left } = facts === null || isPatchelfs ? { writes: [], left: edits } : editInPlace(facts, edits)
    assertFits(step, left, graph)
    const isLater = isPatchelfs || step.edits.some(e => LATER.has(e.op))
    if (facts !== null && !isPatchelfs && isInMemory(step)) {
      const differences = editedObject(step, facts, plan, bytes => {
        staging.write(step.at, bytes)
        files[index] = written(step.at, bytes, step.executable)
      })
      findings.push(...differences)
      if (!isLater) finished?.(files[index]!)
      return
    }
    const hash = createHash('sha256')
    let size = 0
    const count = (piece: Uint8Array): Uint8Array => {
      hash.update(piece)
      size += piece.length
      return piece
    }
    const emptied = facts !== null && isPatchelfs && edits.some(e => e.op === 'set-rpath') ? emptyRpath(facts) : []
    await staging.writePieces(step.at, editedPieces(step, [...writes, ...emptied], loadedEnd(facts), count))
    if (isPatchelfs) {
      // patchelf gets a name that any argument vector can carry.
      const scratch = staging.scratch(`patchelf-${index}`)
      patches.push({ file: scratch, edits, about: step.from })
      patched.push({ index, at: step.at, scratch })
    } else if (facts !== null && edits.length > 0) {
      const path = staging.path(step.at)
      if (left.length > 0) {
        growStaged(path, step.from, left, staging)
        grown.add(index)
      }
      findings.push(...compareEdited(step.from, path, facts, edits, left.length > 0 ? 'grown' : 'in place'))
    }
    files[index] = {
      at: step.at,
      type: 'file',
      executable: step.executable,
      size,
      sha256: hash.digest('hex'),
      target: null,
      ...(grown.has(index) && digestOf(staging.path(step.at))),
    }
    if (!isLater) finished?.(files[index])
  }
  await eachWithJobs(plan.steps, jobs, (step, index) => unlessUnmade(step, () => write(step, index)))
  if (!isWhole) return null

  for (const { at, scratch } of patched) staging.move(staging.path(at), scratch)
  await patchelf(patches)
  for (const { index, at, scratch } of patched) {
    staging.move(scratch, staging.path(at))
    files[index] = { ...files[index]!, ...digestOf(staging.path(at)) }
    const step = plan.steps[index]!
    if (step.do !== 'copy') continue
    const path = staging.path(at)
    findings.push(...compareEdited(step.from, path, elfFacts(graph, step)!, elfEdits(step.edits), 'by a tool'))
    // Last: patchelf moves what the stub has to know.
    const edit = step.edits.find(e => e.op === 'inject-stub')
    if (edit === undefined) continue
    const relocations = plan.relocations === null ? null : edit.relocations
    const bytes = withFile(path, source => source.read(0, source.size))
    const injected = withStub(bytes, step.from, seen(bufferSource(bytes), step.from), edit.loader, relocations)
    staging.replace(path, injected.bytes)
    findings.push(...injected.findings)
    files[index] = { ...files[index]!, ...digestOf(path) }
  }

  for (const [index, step] of plan.steps.entries()) {
    if (step.do !== 'copy' || !step.edits.some(e => e.op === 'sign')) continue
    const facts = graph.files.get(step.from)!.facts as MachOFacts
    await unlessUnmade(step, async () => {
      findings.push(...(await editAndSign(step, facts, options, staging)))
      files[index] = { ...files[index]!, ...digestOf(staging.path(step.at)) }
    })
  }
  if (!isWhole) return null

  const entered = await enterBySidecars(plan, staging, unlessUnmade)
  if (!isWhole) return null
  for (const index of entered.programs) files[index] = { ...files[index]!, ...digestOf(staging.path(files[index]!.at)) }
  for (const { at, bytes } of entered.sidecars) files.push(written(at, bytes))
  findings.push(...entered.findings)
  let refused: ReadonlySet<BundlePath> = new Set()
  if (plan.relocations !== null) {
    const table = relocationTable(plan.relocations, plan.programs, (at, use) => withFile(staging.path(at), use))
    staging.write(RELOCATIONS, table.bytes)
    files.push(written(RELOCATIONS, table.bytes))
    refused = table.refused
    findings.push(...table.findings)
  }
  return { files, refused, findings }
}

/** A file whose bytes are at hand. */
const written = (at: BundlePath, bytes: Uint8Array, executable = false): WrittenFile => ({
  at,
  type: 'file',
  executable,
  size: bytes.length,
  sha256: digest('sha256', bytes),
  target: null,
})

/** Size and SHA-256 of a file. */
function digestOf(path: string): { size: number; sha256: string } {
  return withFile(path, source => {
    const hash = createHash('sha256')
    for (const piece of pieces(source)) hash.update(piece)
    return { size: source.size, sha256: hash.digest('hex') }
  })
}

function elfFacts(graph: DependencyGraph, step: Step): ElfFacts | null {
  const facts = step.do === 'copy' ? graph.files.get(step.from)?.facts : undefined
  return facts?.format === 'elf' ? facts : null
}

/** The event loop gets its turn that often. In milliseconds. */
const TURN = 50

/** Runs `jobs` at a time; after a failure none is started, and it is thrown when the others have come to an end. */
async function eachWithJobs<T>(
  items: readonly T[],
  jobs: number,
  run: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0
  let turned = process.uptime() * 1000
  const worker = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++
      // Small files are written without waiting: signals want to be heard all the same.
      if (process.uptime() * 1000 - turned > TURN) {
        await turn()
        turned = process.uptime() * 1000
      }
      try {
        await run(items[index]!, index)
      } catch (error) {
        next = items.length
        throw error
      }
    }
  }
  const workers = Array.from({ length: Math.max(1, Math.min(jobs, items.length)) }, worker)
  for (const result of await Promise.allSettled(workers)) if (result.status === 'rejected') throw result.reason
}
