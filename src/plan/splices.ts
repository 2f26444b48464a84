/** Edits of texts, which may become longer, in the terms of a plan: in bytes of the file. Pure. */
import type { Edit } from '../model/plan.ts'
import type { Overwrite } from '../references/rewrite.ts'
import type { Splice as TextSplice } from '../script/edit.ts'

export type Splice = Edit & { op: 'splice' }

export const inBytes = ({ offset, length, text }: TextSplice): Splice => ({
  op: 'splice',
  offset,
  length,
  to: Buffer.from(text, 'latin1'),
})

export const asSplice = ({ offset, from, to }: Overwrite): Splice => ({
  op: 'splice',
  offset,
  length: from.length,
  to,
})

/** Of splices over the same bytes the first one counts: `/nix/store//nix/store`. */
export function withoutOverlaps(edits: readonly Splice[]): Splice[] {
  const kept: Splice[] = []
  let end = 0
  for (const edit of [...edits].sort((a, b) => a.offset - b.offset)) {
    if (edit.offset < end) continue
    kept.push(edit)
    end = edit.offset + edit.length
  }
  return kept
}
