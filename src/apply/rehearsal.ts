/**
 * Stage 5 without a destination: what `apply` would make of a plan's files is made piece by piece and looked at, not
 * written. So what cannot be made is known, and how large the files become: stubs, string tables that grow, signatures,
 * members that are packed anew.
 */

import { editInPlace, elfEdits } from '../elf/edit.ts'
import type { ElfFacts } from '../elf/facts.ts'
import { parseElf } from '../elf/parse.ts'
import { blobOf, entryCpu } from '../entry/cpus.ts'
import { injectStub } from '../entry/inject.ts'
import { BundleError } from '../errors.ts'
import { type ByteSource, bufferSource } from '../io/bytes.ts'
import { withFile } from '../io/store.ts'
import type { MachOFacts } from '../macho/facts.ts'
import { parseMachO } from '../macho/parse.ts'
import { patched } from '../macho/patch.ts'
import { rewriteMachO } from '../macho/rewrite.ts'
import type { Finding } from '../model/findings.ts'
import type { DependencyGraph } from '../model/graph.ts'
import type { BundlePlan, PlanOptions, Step } from '../model/plan.ts'
import type { BundlePath, SourcePath } from '../paths.ts'
import { byPatchelf } from '../plan/patcher.ts'
import { planFiles } from '../plan/steps.ts'
import { editedPieces, loadedEnd, mayBeChanged } from './edited-pieces.ts'
import { enteredAs, isEntered } from './enter.ts'
import { assertFits, grownBy } from './grow.ts'
import { relocatedLibraries } from './relocation-table.ts'

type Copy = Step & { do: 'copy' }

/** What `apply` would answer, without what only written files show: whether they are as they were planned. */
export interface Rehearsed {
  /** As `planFiles`, with the sizes of what is written. What a tool will edit has its planned size. */
  readonly files: ReturnType<typeof planFiles>
  readonly refused: ReadonlySet<BundlePath>
  readonly findings: readonly Finding[]
  /** Programs and libraries as they become; null where a tool will edit them. */
  readonly objects: ReadonlyMap<BundlePath, ElfFacts | MachOFacts> | null
}

/**
 * @param unmade as of `apply`
 * @returns null when some file was told of
 */
export async function rehearse(
  plan: BundlePlan,
  graph: DependencyGraph,
  options: PlanOptions,
  unmade: (file: SourcePath, error: BundleError) => void,
): Promise<Rehearsed | null> {
  const rehearsal = new Rehearsal(plan, graph, options)
  const files = planFiles(plan)
  const objects = new Map<BundlePath, ElfFacts | MachOFacts>()
  let isWhole = true
  for (const [index, step] of plan.steps.entries()) {
    if (step.do !== 'copy') continue
    try {
      const { size, object } = await rehearsal.made(step)
      if (size !== null) files[index] = { ...files[index]!, size }
      if (object !== null) objects.set(step.at, object)
    } catch (error) {
      if (!(error instanceof BundleError) || error.code !== 'edit-refused') throw error
      unmade(step.from, error)
      isWhole = false
    }
  }
  if (!isWhole) return null
  return { files, ...rehearsal.table(), objects: options.patcher === 'auto' ? objects : null }
}

/** What becomes of a file. */
interface Made {
  /** Null: as it is planned. */
  readonly size: number | null
  /** Of a program or library. */
  readonly object: ElfFacts | MachOFacts | null
}

class Rehearsal {
  readonly #plan: BundlePlan
  readonly #graph: DependencyGraph
  readonly #options: PlanOptions

  constructor(plan: BundlePlan, graph: DependencyGraph, options: PlanOptions) {
    this.#plan = plan
    this.#graph = graph
    this.#options = options
  }

  /** @throws BundleError as `apply` */
  async made(step: Copy): Promise<Made> {
    const facts = this.#graph.files.get(step.from)?.facts
    const object = facts?.format === 'elf' || facts?.format === 'macho' ? facts : null
    if (step.edits.length === 0) return { size: null, object }
    mayBeChanged(step)
    const packed = has(step, 'repack') ? (await pieceSize(step, object)) - plainSize(step) : 0
    if (object?.format === 'macho') return has(step, 'sign') ? this.#signed(step, object) : { size: null, object }
    if (object !== null && !this.#isToolMade(step))
      return this.#withElf(step, object, made => {
        const facts = parseElf(made, step.from)
        if (isEntered(step)) enteredAs(made, facts, step, this.#plan)
        return { size: made.size + packed, object: enteredBySidecar(facts, step) }
      })
    return { size: packed === 0 && !has(step, 'strip') ? null : plainSize(step) + packed, object }
  }

  /** What the table of relocations refuses. */
  table(): { refused: ReadonlySet<BundlePath>; findings: readonly Finding[] } {
    const { relocations, programs, steps } = this.#plan
    if (relocations === null) return { refused: new Set(), findings: [] }
    const copies = new Map(steps.flatMap(step => (step.do === 'copy' ? [[step.at, step] as const] : [])))
    return relocatedLibraries(relocations, programs, (at, use) => {
      const step = copies.get(at)!
      const facts = this.#graph.files.get(step.from)?.facts
      return facts?.format === 'elf' && step.edits.length > 0 && !this.#isToolMade(step)
        ? this.#withElf(step, facts, use)
        : withFile(step.from, use)
    })
  }

  #isToolMade = (step: Copy): boolean =>
    byPatchelf(step.from, elfEdits(step.edits), isEntered(step), this.#graph, this.#options)

  /** An ELF file as it becomes. */
  #withElf<T>(step: Copy, facts: ElfFacts, use: (made: ByteSource) => T): T {
    const { writes, left } = editInPlace(facts, elfEdits(step.edits))
    assertFits(step, left, this.#graph)
    const strip = step.edits.find(e => e.op === 'strip')
    const kept = strip === undefined ? step.size : Math.min(strip.keep, step.size)
    return withFile(step.from, source => {
      const tail = strip === undefined ? [] : [{ offset: kept, bytes: Buffer.from(strip.tail) }]
      const over = step.edits.flatMap(e =>
        e.op === 'overwrite' ? [{ offset: e.offset, bytes: Buffer.from(e.to) }] : [],
      )
      const written = patched(source, [...over, ...writes, ...tail], kept + (strip?.tail.length ?? 0))
      return use(this.#entered(left.length === 0 ? written : grownBy(written, step.from, left), step))
    })
  }

  /** With the stub in it, where one comes. */
  #entered(source: ByteSource, step: Copy): ByteSource {
    const edit = step.edits.find(e => e.op === 'inject-stub')
    if (edit === undefined) return source
    const bytes = Buffer.from(source.read(0, source.size))
    const facts = parseElf(bufferSource(bytes), step.from)
    const stub = blobOf(entryCpu(facts)!, 'stub')
    const relocations = this.#plan.relocations === null ? null : edit.relocations
    return bufferSource(injectStub(bytes, facts, stub, edit.loader, relocations))
  }

  #signed(step: Copy, object: MachOFacts): Made {
    if (this.#options.patcher === 'install_name_tool') return { size: null, object }
    const edits = step.edits.find(e => e.op === 'load-commands')?.edits ?? []
    const name = step.edits.find(e => e.op === 'sign')!.name
    try {
      return withFile(step.from, source => {
        const made = rewriteMachO(source, edits, name, step.from)
        return { size: made.size, object: parseMachO(made, step.from) }
      })
    } catch (error) {
      // There a tool is asked.
      if (process.platform === 'darwin' && error instanceof BundleError && error.code === 'edit-refused')
        return { size: null, object }
      throw error
    }
  }
}

/** A program that a bootstrap enters, which is not made here, as a loader finds it. */
function enteredBySidecar(facts: ElfFacts, step: Copy): ElfFacts {
  const edit = step.edits.find(e => e.op === 'enter-by-sidecar')
  if (edit === undefined) return facts
  const { loader, rpath } = edit
  const given = rpath === null ? {} : { rpath: { value: rpath, offset: 0, capacity: 0 }, runpath: null }
  return { ...facts, interp: null, stub: loader, ...given }
}

const has = (step: Copy, op: Copy['edits'][number]['op']): boolean => step.edits.some(e => e.op === op)

/** What a file becomes without what is packed anew, grown or put in. In bytes. */
function plainSize(step: Copy): number {
  const strip = step.edits.find(e => e.op === 'strip')
  return strip === undefined ? step.size : Math.min(strip.keep, step.size) + strip.tail.length
}

async function pieceSize(step: Copy, object: ElfFacts | MachOFacts | null): Promise<number> {
  let size = 0
  const count = (piece: Uint8Array): Uint8Array => {
    size += piece.length
    return piece
  }
  for await (const _ of editedPieces(step, [], loadedEnd(object?.format === 'elf' ? object : null), count));
  return size
}
