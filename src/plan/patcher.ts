/** Who edits an ELF file's strings for the loader. Pure. */
import { type ElfEdit, patchelfCan } from '../elf/edit.ts'
import type { DependencyGraph } from '../model/graph.ts'
import type { PlanOptions } from '../model/plan.ts'
import type { SourcePath } from '../paths.ts'

/**
 * Whether patchelf does, as was asked for. It moves what lies behind the segments, and knows no bootstraps.
 * @param isEntered whether the file is entered by a sidecar
 */
export const byPatchelf = (
  path: SourcePath,
  edits: readonly ElfEdit[],
  isEntered: boolean,
  { refusals, sidecars }: DependencyGraph,
  { patcher }: PlanOptions,
): boolean =>
  patcher === 'patchelf' &&
  !isEntered &&
  (refusals.get(path) ?? sidecars.get(path)) !== 'payload' &&
  edits.length > 0 &&
  patchelfCan(edits)
