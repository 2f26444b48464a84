/**
 * Editing ELF in place.
 *
 * A bundle's strings are nearly always shorter than the store strings they replace, so they go where those stood, with
 * NULs behind: the file keeps its size, its layout and its inode's worth of trust. A string is only written over bytes
 * that are its own (`Located.capacity`); what does not fit grows (elf/grow.ts).
 *
 * DT_RUNPATH becomes DT_RPATH: a library without one inherits RPATH from its loaders, dlopen in such a library
 * included, and RPATH comes before LD_LIBRARY_PATH, so that a host's setting cannot put the host's libc under the
 * bundle's loader. A loader ignores RPATH in an object that has RUNPATH, hence the flip.
 */

import type { Located } from '../io/bytes.ts'
import { DT } from './constants.ts'
import type { ElfFacts } from './facts.ts'

/** Edits of the strings that the loader reads. */
export type ElfEdit =
  | { readonly op: 'set-interp'; readonly to: string }
  | { readonly op: 'set-rpath'; readonly to: string }
  | { readonly op: 'replace-needed'; readonly from: string; readonly to: string }
  /** A list of libraries of DT_AUDIT, DT_DEPAUDIT, DT_FILTER or DT_AUXILIARY, as a whole. */
  | { readonly op: 'replace-companions'; readonly from: string; readonly to: string }

/** The string edits among a step's edits. */
export const elfEdits = <E extends { readonly op: string }>(edits: readonly E[]): Extract<E, ElfEdit>[] =>
  edits.filter(
    (e): e is Extract<E, ElfEdit> =>
      e.op === 'set-interp' || e.op === 'set-rpath' || e.op === 'replace-needed' || e.op === 'replace-companions',
  )

/** Whether patchelf has operations for these edits. */
export const patchelfCan = (edits: readonly ElfEdit[]): boolean => edits.every(e => e.op !== 'replace-companions')

/** Bytes to be put at a file offset. */
export interface Write {
  readonly offset: number
  readonly bytes: Buffer
}

export interface InPlace {
  readonly writes: readonly Write[]
  /** What does not fit. */
  readonly left: readonly ElfEdit[]
}

/** The edits as overwrites of the file's own bytes, as far as they fit. */
export function editInPlace(facts: ElfFacts, edits: readonly ElfEdit[]): InPlace {
  const writes: Write[] = []
  const left: ElfEdit[] = []
  for (const edit of edits) {
    const done = writesFor(facts, edit)
    if (done) writes.push(...done)
    else left.push(edit)
  }
  return { writes, left }
}

/**
 * What patchelf has to find before it sets a RPATH: entries that point to the empty string. It fills the string that
 * it replaces with X's, and a symbol's name may be the tail of that string (patchelf#162). Of a RPATH beside a RUNPATH
 * it changes one, so they are made two of a kind: it sees the last of those only, as the loader does.
 */
export const emptyRpath = (facts: ElfFacts): readonly Write[] =>
  rpathEntries(facts).flatMap(e => [...setTag(facts, e.offset, DT.rpath), ...setValue(facts, e.offset, 0)])

/** What the facts must be after the edits. */
export function editedFacts(facts: ElfFacts, edits: readonly ElfEdit[]): EditableFacts {
  const edited = editable(facts)
  for (const edit of edits) {
    if (edit.op === 'set-interp') edited.interp = edit.to
    else if (edit.op === 'set-rpath') [edited.rpath, edited.runpath] = [edit.to, null]
    else if (edit.op === 'replace-companions')
      edited.companions = edited.companions.map(list => (list === edit.from ? edit.to : list))
    else edited.needed = edited.needed.map(name => (name === edit.from ? edit.to : name))
  }
  return edited
}

/** The strings of an ELF file that edits change. */
export interface EditableFacts {
  interp: string | null
  soname: string | null
  needed: string[]
  companions: string[]
  rpath: string | null
  runpath: string | null
}

export const editable = (facts: ElfFacts): EditableFacts => ({
  interp: facts.interp?.value ?? null,
  soname: facts.soname?.value ?? null,
  needed: facts.needed.map(n => n.value),
  companions: facts.companions.map(n => n.value),
  rpath: facts.rpath?.value ?? null,
  runpath: facts.runpath?.value ?? null,
})

function writesFor(facts: ElfFacts, edit: ElfEdit): Write[] | null {
  switch (edit.op) {
    case 'set-interp':
      return facts.interp && overwrite(facts.interp, edit.to)
    case 'replace-companions':
    case 'replace-needed': {
      const strings = edit.op === 'replace-needed' ? facts.needed : facts.companions
      const writes = strings.filter(n => n.value === edit.from).map(n => overwrite(n, edit.to))
      return writes.length > 0 && writes.every(w => w !== null) ? writes.flat() : null
    }
    case 'set-rpath': {
      const room = [facts.runpath, facts.rpath].find(at => at !== null && edit.to.length < at.capacity)
      if (!room || !facts.dynstr) return null
      const inTable = room.offset - facts.dynstr.offset
      return [
        ...(overwrite(room, edit.to) ?? []),
        ...rpathEntries(facts).flatMap(e => [
          ...setTag(facts, e.offset, DT.rpath),
          ...setValue(facts, e.offset, inTable),
        ]),
      ]
    }
  }
}

/** The string in its place, NULs to the end of what is its own; null when it does not fit. */
function overwrite(at: Located, to: string): Write[] | null {
  if (to.length >= at.capacity) return null
  const bytes = Buffer.alloc(at.capacity)
  bytes.write(to, 'latin1')
  return [{ offset: at.offset, bytes }]
}

const rpathEntries = (facts: ElfFacts) => facts.dynamic.filter(e => e.tag === DT.rpath || e.tag === DT.runpath)

const setTag = (facts: ElfFacts, offset: number, tag: number): Write[] => [{ offset, bytes: word(facts, tag) }]
const setValue = (facts: ElfFacts, offset: number, value: number): Write[] => [
  { offset: offset + facts.class / 8, bytes: word(facts, value) },
]

function word(facts: ElfFacts, value: number): Buffer {
  const bytes = Buffer.alloc(facts.class / 8)
  if (facts.little) bytes.writeUInt32LE(value, 0)
  else bytes.writeUInt32BE(value, bytes.length - 4)
  return bytes
}
