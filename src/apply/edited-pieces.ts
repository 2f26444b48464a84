/**
 * A file's bytes with its edits made, piece by piece or at once: overwrites at equal length, splices, members of a
 * container packed again. Each is checked against the bytes that the scan saw.
 */
import type { Write } from '../elf/edit.ts'
import type { ElfFacts } from '../elf/facts.ts'
import { BundleError, LEAVE_OUT } from '../errors.ts'
import { bufferSource } from '../io/bytes.ts'
import { filePieces, withFile } from '../io/store.ts'
import type { Edit, Step } from '../model/plan.ts'
import { checksumsOf } from '../references/checksums.ts'
import { containerKindOf, rewriteContainer } from '../references/containers.ts'
import { isSignedPhar } from '../references/phar.ts'

/**
 * The input piece by piece with the overwrites made.
 * @param writes what an ELF file is given in addition
 * @param loaded `loadedEnd` of it
 * @param count is given each piece
 * @throws BundleError `edit-refused`: a signature covers it; `unreadable`: it has changed since it was read
 */
export async function* editedPieces(
  step: Step & { do: 'copy' },
  writes: readonly Write[],
  loaded: number,
  count: (piece: Uint8Array) => Uint8Array,
): AsyncGenerator<Uint8Array> {
  mayBeChanged(step)
  const repack = step.edits.find(e => e.op === 'repack')
  if (repack) {
    const bytes = withFile(step.from, source => Buffer.from(source.read(0, source.size)))
    yield count(repacked(step, bytes, repack, writes, loaded))
    return
  }
  const splices = step.edits.filter((e): e is Splice => e.op === 'splice')
  if (splices.length > 0) {
    yield* splicedPieces(step.from, step.size, splices, count)
    return
  }
  const edits = overlays(step, writes, loaded)
  const strip = step.edits.find(e => e.op === 'strip')
  let first = 0
  let base = 0
  for await (const piece of filePieces(step.from)) {
    const end = base + piece.length
    for (let i = first; i < edits.length && edits[i]!.offset < end; i++) {
      const edit = edits[i]!
      if (edit.offset + edit.to.length <= base) first = i + 1
      else overlay(piece, base, edit.offset, edit.to, edit.from, step.from)
    }
    yield count(strip ? piece.subarray(0, Math.max(0, strip.keep - base)) : piece)
    base = end
  }
  if (strip) yield count(strip.tail)
}

/**
 * A program or library with its overwrites made, in memory.
 * @param bytes all of it, as the scan saw it: they are changed, and are what is returned where none come or go
 * @param writes as of `editedPieces`
 * @throws as `editedPieces`
 */
export function editedBytes(
  step: Step & { do: 'copy' },
  bytes: Buffer,
  writes: readonly Write[],
  loaded: number,
): Buffer {
  mayBeChanged(step)
  const repack = step.edits.find(e => e.op === 'repack')
  if (repack) return repacked(step, bytes, repack, writes, loaded)
  for (const { offset, from, to } of overlays(step, writes, loaded)) overlay(bytes, 0, offset, to, from, step.from)
  const strip = step.edits.find(e => e.op === 'strip')
  return strip ? Buffer.concat([bytes.subarray(0, strip.keep), strip.tail]) : bytes
}

/** What is put over bytes of the file, by offset; and what has to stand there, unless that is null. */
function overlays(
  step: Step & { do: 'copy' },
  writes: readonly Write[],
  loaded: number,
): { offset: number; from: Uint8Array | null; to: Uint8Array }[] {
  const overwrites = step.edits.filter((e): e is Edit & { op: 'overwrite' } => e.op === 'overwrite')
  const sums = loaded > 0 || overwrites.length === 0 ? [] : withFile(step.from, s => checksumsOf(s, overwrites))
  return [
    ...overwrites,
    ...sums.map(sum => ({ ...sum, from: null })),
    ...writes.map(w => ({ offset: w.offset, from: null, to: w.bytes })),
  ].sort((a, b) => a.offset - b.offset)
}

/** @throws BundleError('edit-refused') when a signature covers all of it */
export function mayBeChanged(step: Step & { do: 'copy' }): void {
  if (step.edits.length > 0 && withFile(step.from, isSignedPhar))
    throw new BundleError('edit-refused', 'a store path in it cannot be changed: a change would break its signature', {
      path: step.from,
      hint: LEAVE_OUT,
    })
}

/** Bytes of a file that a loader maps: a container behind them does not move them. */
export const loadedEnd = (facts: ElfFacts | null): number =>
  Math.max(0, ...(facts?.segments ?? []).map(s => s.offset + s.filesz))

/**
 * A container with its members overwritten, and then what stands around them: offsets there may have changed, but for
 * those of a program that it is appended to.
 */
function repacked(
  step: Step & { do: 'copy' },
  bytes: Buffer,
  { members }: Edit & { op: 'repack' },
  writes: readonly Write[],
  loaded: number,
): Buffer {
  const edits = new Map(members.map(m => [m.names.join('\0'), m.edits]))
  const after = rewriteContainer(
    bytes,
    (names, contents) => {
      const own = edits.get(names.join('\0'))
      if (!own) return contents
      const changed = Buffer.from(contents)
      for (const { offset, from, to } of own) overlay(changed, 0, offset, to, from, step.from)
      for (const { offset, to } of checksumsOf(bufferSource(contents), own))
        overlay(changed, 0, offset, to, null, step.from)
      return changed
    },
    { path: step.from },
  )
  const result = after === bytes ? bytes : Buffer.from(after)
  // In what is no container nothing has moved.
  const still = containerKindOf(bufferSource(bytes)) === null ? bytes.length : loaded
  for (const edit of step.edits)
    if (edit.op === 'overwrite' && edit.offset < still) overlay(result, 0, edit.offset, edit.to, edit.from, step.from)
    else if (edit.op === 'overwrite')
      for (let at = result.indexOf(edit.from); at >= 0; at = result.indexOf(edit.from, at + edit.to.length))
        result.set(edit.to, at)
  for (const { offset, bytes } of writes) overlay(result, 0, offset, bytes, null, step.from)
  const strip = step.edits.find(e => e.op === 'strip')
  return strip ? Buffer.concat([result.subarray(0, strip.keep), strip.tail]) : result
}

type Splice = Edit & { op: 'splice' }

/** A text piece by piece with bytes in the place of others, as many as there are. */
async function* splicedPieces(
  path: string,
  size: number,
  splices: readonly Splice[],
  count: (piece: Uint8Array) => Uint8Array,
): AsyncGenerator<Uint8Array> {
  let next = 0
  /** Input bytes up to here are written or left out. */
  let done = 0
  let base = 0
  for await (const piece of filePieces(path)) {
    const end = base + piece.length
    const rest = (to: number): Uint8Array => piece.subarray(Math.max(done, base) - base, to - base)
    for (let splice = splices[next]; splice && splice.offset < end; splice = splices[++next]) {
      yield count(rest(splice.offset))
      yield count(splice.to)
      done = splice.offset + splice.length
      if (done > end) break
    }
    if (done > end) next++
    else {
      yield count(rest(end))
      done = end
    }
    base = end
  }
  // Its text was read by the scan.
  if (base !== size) throw changed(path)
  for (const splice of splices.slice(next)) yield count(splice.to)
}

const changed = (path: string): BundleError =>
  new BundleError('unreadable', 'changed while it was being bundled', { path, hint: 'run it again' })

/** Puts the part of `to` that falls into the piece there. */
function overlay(
  piece: Buffer,
  base: number,
  offset: number,
  to: Uint8Array,
  from: Uint8Array | null,
  path: string,
): void {
  const start = Math.max(offset, base)
  const end = Math.min(offset + to.length, base + piece.length)
  if (from !== null && !piece.subarray(start - base, end - base).equals(from.subarray(start - offset, end - offset)))
    throw changed(path)
  piece.set(to.subarray(start - offset, end - offset), start - base)
}
