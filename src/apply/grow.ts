/** Part of stage 5 (apply.ts): a staged ELF file whose strings for the loader do not fit where the old ones stood. */

import type { ElfEdit } from '../elf/edit.ts'
import { type Growth, type GrowthRefusal, grow } from '../elf/grow.ts'
import { BundleError } from '../errors.ts'
import { type ByteSource, bufferSource } from '../io/bytes.ts'
import type { Staging } from '../io/staging.ts'
import { withFile } from '../io/store.ts'
import { chunks, laidOut, patched, windowOf } from '../macho/patch.ts'
import type { DependencyGraph } from '../model/graph.ts'
import type { Step } from '../model/plan.ts'

/**
 * Carries out what `editInPlace` has left.
 * @param path of the staged file, with all other edits made
 * @param about whom to name: the input's path
 * @throws BundleError('edit-refused')
 */
export function growStaged(path: string, about: string, edits: readonly ElfEdit[], staging: Staging): void {
  withFile(path, source => staging.rewrite(path, chunks(grownBy(source, about, edits))))
}

/**
 * A file with what `editInPlace` has left carried out.
 * @param source the file with all other edits made
 * @param about whom to name: the input's path
 * @throws BundleError('edit-refused')
 */
export function grownBy(source: ByteSource, about: string, edits: readonly ElfEdit[]): ByteSource {
  const growth = grow(source, about, edits)
  if (typeof growth === 'string') throw cannotGrow(growth, about)
  return grown(source, growth)
}

const cannotGrow = (refusal: GrowthRefusal, path: string): BundleError =>
  new BundleError('edit-refused', `its strings for the loader have to grow, and cannot: ${REASONS[refusal]}`, {
    path,
    hint: HINTS[refusal],
  })

/**
 * Whoever moves a payload from the end of its file hides it from its program.
 * @param left of the edits that do not fit in place
 * @throws BundleError('edit-refused')
 */
export function assertFits(
  { from }: Step & { do: 'copy' },
  left: readonly ElfEdit[],
  { refusals, sidecars }: DependencyGraph,
): void {
  if (left.length > 0 && (refusals.get(from) ?? sidecars.get(from)) === 'payload')
    throw new BundleError('edit-refused', 'its strings for the loader do not fit, and its payload must not move', {
      path: from,
      hint: 'choose a shorter --prefix',
    })
}

const REASONS: Readonly<Record<GrowthRefusal, string>> = {
  'no-table': 'it has no place for them',
  'has-stub': 'it is of a bundle already',
  'no-room': 'neither can its last segment grow, nor is a program header to spare',
}
const HINTS: Readonly<Record<GrowthRefusal, string>> = {
  'no-table': 'bundle with a shorter --prefix',
  'has-stub': 'bundle the original',
  'no-room': 'bundle with --patcher patchelf',
}

/** The file as it becomes. */
export function grown(source: ByteSource, { writes, at, inserted }: Growth): ByteSource {
  const old = patched(source, writes)
  return laidOut(
    [
      { offset: 0, source: windowOf(old, 0, at) },
      { offset: at, source: bufferSource(inserted) },
      { offset: at + inserted.length, source: windowOf(old, at, source.size - at) },
    ],
    source.size + inserted.length,
  )
}
