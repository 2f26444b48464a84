/**
 * How large a plan's files become when they are written: stubs, string tables that grow, signatures and members that are
 * packed anew are made, and measured. Nothing is written.
 */

import { editInPlace, elfEdits } from '../elf/edit.ts'
import type { ElfFacts } from '../elf/facts.ts'
import { grow } from '../elf/grow.ts'
import { parseElf } from '../elf/parse.ts'
import { injectStub, STUB_ARCH } from '../entry/inject.ts'
import { PREBUILT } from '../entry/prebuilt.ts'
import { BundleError } from '../errors.ts'
import { type ByteSource, bufferSource } from '../io/bytes.ts'
import { withFile } from '../io/store.ts'
import { patched } from '../macho/patch.ts'
import { rewriteMachO } from '../macho/rewrite.ts'
import type { DependencyGraph } from '../model/graph.ts'
import type { BundlePlan, PlanOptions, Step } from '../model/plan.ts'
import { planFiles } from '../plan/steps.ts'
import { editedPieces, loadedEnd } from './edited-pieces.ts'
import { grown } from './grow.ts'

type Copy = Step & { do: 'copy' }

/** As `planFiles`, with the sizes of what is written. What a tool will edit, or cannot be edited, has its planned size. */
export async function writtenFiles(
  graph: DependencyGraph,
  plan: BundlePlan,
  options: PlanOptions,
): Promise<ReturnType<typeof planFiles>> {
  const files = planFiles(plan)
  for (const [index, step] of plan.steps.entries()) {
    const size = step.do === 'copy' && step.edits.length > 0 ? await sizeOf(step, graph, plan, options) : null
    if (size !== null) files[index] = { ...files[index]!, size }
  }
  return files
}

async function sizeOf(
  step: Copy,
  graph: DependencyGraph,
  plan: BundlePlan,
  { patcher }: PlanOptions,
): Promise<number | null> {
  const facts = graph.files.get(step.from)?.facts
  const has = (op: Copy['edits'][number]['op']): boolean => step.edits.some(e => e.op === op)
  try {
    if (has('repack')) return await pieceSize(step, facts?.format === 'elf' ? facts : null)
    if (has('sign')) return patcher === 'install_name_tool' ? null : signedSize(step)
    const strip = step.edits.find(e => e.op === 'strip')
    const kept = strip === undefined ? step.size : Math.min(strip.keep, step.size)
    const cut = kept + (strip?.tail.length ?? 0)
    if (facts?.format !== 'elf') return strip === undefined ? null : cut
    const edits = elfEdits(step.edits)
    if (patcher === 'patchelf' && edits.length > 0) return null
    const { writes, left } = editInPlace(facts, edits)
    if (left.length === 0 && !has('inject-stub')) return cut
    return withFile(step.from, source => {
      const tail = strip === undefined ? [] : [{ offset: kept, bytes: Buffer.from(strip.tail) }]
      const over = step.edits.flatMap(e =>
        e.op === 'overwrite' ? [{ offset: e.offset, bytes: Buffer.from(e.to) }] : [],
      )
      const written = patched(source, [...over, ...writes, ...tail], cut)
      const growth = left.length === 0 ? null : grow(written, step.from, left)
      if (typeof growth === 'string') return null
      return entered(growth === null ? written : grown(written, growth), step, plan)
    })
  } catch (error) {
    // What cannot be edited is told when it is.
    if (error instanceof BundleError) return null
    throw error
  }
}

/** With the stub in it, where one comes. */
function entered(source: ByteSource, step: Copy, { relocations }: BundlePlan): number {
  const edit = step.edits.find(e => e.op === 'inject-stub')
  if (edit === undefined) return source.size
  const bytes = Buffer.from(source.read(0, source.size))
  const facts = parseElf(bufferSource(bytes), step.from)
  const stub = Buffer.from(PREBUILT[STUB_ARCH[facts.machine]!]!.stub, 'base64')
  return injectStub(bytes, facts, stub, edit.loader, relocations === null ? null : edit.relocations).length
}

async function pieceSize(step: Copy, facts: ElfFacts | null): Promise<number> {
  let size = 0
  const count = (piece: Uint8Array): Uint8Array => {
    size += piece.length
    return piece
  }
  for await (const _ of editedPieces(step, [], loadedEnd(facts), count));
  return size
}

function signedSize(step: Copy): number {
  const edits = step.edits.find(e => e.op === 'load-commands')?.edits ?? []
  const name = step.edits.find(e => e.op === 'sign')!.name
  return withFile(step.from, source => rewriteMachO(source, edits, name, step.from).size)
}
