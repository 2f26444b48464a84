/**
 * Editing the strings of load commands.
 *
 * A bundle's names are nearly always shorter than the store paths they replace, so a string goes where the old one
 * stood, with NULs to the end of its command: nothing moves. One that is longer makes its command grow and the
 * commands behind it move, as far as there are unused bytes between the last command and the first section; those of
 * clang and Rust leave 48 to 80. What does not fit is refused: LLVM's install_name_tool writes over the code instead,
 * and exits 0.
 *
 * LC_RPATH commands that say the same are made one, since dyld of macOS 26 refuses a program with two
 * (validSemanticsRPath; dune3d#307). Whatever is edited needs a new signature (sign.ts).
 */
import type { ByteSource, Located } from '../io/bytes.ts'
import { roundUp } from './constants.ts'
import type { DylibKind, LoadCommand, MachOFacts, MachOSlice } from './facts.ts'
import { headerSize } from './image.ts'
import type { Write } from './patch.ts'

/** A change of a string that dyld reads; in all slices, or in the one with this index. Byte strings. */
export type MachOEdit = (
  | { readonly op: 'change-install-name'; readonly from: string; readonly to: string }
  | { readonly op: 'set-id'; readonly to: string }
  | { readonly op: 'change-rpath'; readonly from: string; readonly to: string }
  | { readonly op: 'delete-rpath'; readonly from: string }
  | { readonly op: 'set-dylinker'; readonly to: string }
  | { readonly op: 'change-environment'; readonly from: string; readonly to: string }
) & { readonly slice?: number }

/** Why an edit is not made. */
export type Refusal =
  /** No slice has what it changes. */
  | { readonly reason: 'absent'; readonly edit: MachOEdit }
  /** A NUL would end the string. */
  | { readonly reason: 'unwritable'; readonly edit: MachOEdit }
  /** Two libraries of a slice would get one name, which dyld of macOS 26 refuses (validSemanticsLinkedDylibs). */
  | { readonly reason: 'duplicate'; readonly arch: string; readonly name: string }
  /** The load commands of a slice would take more bytes than there are, or bytes that are in use. */
  | {
      readonly reason: 'no-room' | 'occupied'
      readonly arch: string
      readonly edits: readonly MachOEdit[]
      /** Bytes wanted behind the present load commands, and bytes before the first section. */
      readonly need: number
      readonly room: number
    }

/** All of the edits as overwrites; or none, with the reasons. The file keeps its size. */
export interface Edited {
  readonly writes: readonly Write[]
  readonly refusals: readonly Refusal[]
}

export function editMachO(source: ByteSource, facts: MachOFacts, edits: readonly MachOEdit[]): Edited {
  const refusals: Refusal[] = []
  for (const edit of edits) {
    if ('to' in edit && edit.to.includes('\0')) refusals.push({ reason: 'unwritable', edit })
    else if (!facts.slices.some((slice, i) => concerns(edit, i) && strings(slice).some(s => matches(edit, s))))
      refusals.push({ reason: 'absent', edit })
  }
  const writes: Write[] = []
  for (const [i, slice] of facts.slices.entries()) {
    const mine = edits.filter(edit => concerns(edit, i))
    const made = duplicate(slice, mine) ?? editSlice(source, slice, mine)
    if ('reason' in made) refusals.push(made)
    else writes.push(...made.writes)
  }
  return refusals.length > 0 ? { writes: [], refusals } : { writes, refusals }
}

/** The strings of a slice that edits change. */
export interface EditableMachO {
  readonly id: string | null
  readonly dylibs: readonly { readonly name: string; readonly kind: DylibKind }[]
  readonly rpaths: readonly string[]
  readonly dylinker: string | null
  readonly environment: readonly string[]
}

/** What the strings of each slice must be after the edits; with none, what they are, equal LC_RPATHs made one. */
export function editedStrings(facts: MachOFacts, edits: readonly MachOEdit[]): EditableMachO[] {
  return facts.slices.map((slice, i) => {
    const mine = edits.filter(edit => concerns(edit, i))
    const after = (owner: Owner, at: Located): string[] => {
      const value = edited(mine, { owner, at })
      return value === null ? [] : [value]
    }
    return {
      id: slice.id && after('id', slice.id)[0]!,
      dylibs: slice.dylibs.map(({ name, kind }) => ({ name: after('dylib', name)[0]!, kind })),
      rpaths: [...new Set(slice.rpaths.flatMap(at => after('rpath', at)))],
      dylinker: slice.dylinker && after('dylinker', slice.dylinker)[0]!,
      environment: slice.environment.flatMap(at => after('environment', at)),
    }
  })
}

/** The load commands of a file whose strings the edits set. */
export const editedCommands = ({ slices }: MachOFacts, edits: readonly MachOEdit[]): LoadCommand[] =>
  slices.flatMap((slice, i) => {
    const set = strings(slice).filter(string => edits.some(edit => concerns(edit, i) && matches(edit, string)))
    return slice.commands.filter(c => set.some(({ at }) => at.offset >= c.offset && at.offset < c.offset + c.size))
  })

const concerns = (edit: MachOEdit, slice: number): boolean => edit.slice === undefined || edit.slice === slice

// ---- Strings ---------------------------------------------------------------------------------------------------

type Owner = 'id' | 'dylib' | 'rpath' | 'dylinker' | 'environment'

interface OwnedString {
  readonly owner: Owner
  readonly at: Located
}

function strings(slice: MachOSlice): OwnedString[] {
  const owned = (owner: Owner, all: readonly (Located | null)[]): OwnedString[] =>
    all.flatMap(at => (at ? [{ owner, at }] : []))
  return [
    ...owned('id', [slice.id]),
    ...owned(
      'dylib',
      slice.dylibs.map(d => d.name),
    ),
    ...owned('rpath', slice.rpaths),
    ...owned('dylinker', [slice.dylinker]),
    ...owned('environment', slice.environment),
  ]
}

const OWNER: Readonly<Record<MachOEdit['op'], Owner>> = {
  'change-install-name': 'dylib',
  'set-id': 'id',
  'change-rpath': 'rpath',
  'delete-rpath': 'rpath',
  'set-dylinker': 'dylinker',
  'change-environment': 'environment',
}

const matches = (edit: MachOEdit, { owner, at }: OwnedString): boolean =>
  OWNER[edit.op] === owner && (!('from' in edit) || edit.from === at.value)

/** The string after the edits, the first that matches; null for one that goes. */
function edited(edits: readonly MachOEdit[], string: OwnedString): string | null {
  const edit = edits.find(e => matches(e, string))
  if (!edit) return string.at.value
  return edit.op === 'delete-rpath' ? null : edit.to
}

/** A name that the edits give to libraries which had different ones. */
function duplicate(slice: MachOSlice, edits: readonly MachOEdit[]): Refusal | null {
  const before = new Map<string, string>()
  for (const { name: at } of slice.dylibs) {
    const name = edited(edits, { owner: 'dylib', at })!
    const other = before.get(name) ?? at.value
    if (other !== at.value) return { reason: 'duplicate', arch: slice.arch, name }
    before.set(name, at.value)
  }
  return null
}

// ---- Load commands ---------------------------------------------------------------------------------------------

function editSlice(source: ByteSource, slice: MachOSlice, edits: readonly MachOEdit[]): { writes: Write[] } | Refusal {
  const start = headerSize(slice)
  const end = start + slice.sizeofcmds
  const old = source.read(slice.offset, end)
  // What sizeofcmds counts behind the last command stays behind it.
  const rest = old.subarray(start + lengthOf(slice.commands))
  const size = (commands: readonly Buffer[]) => commands.reduce((sum, { length }) => sum + length, rest.length)
  let commands = rebuilt(old, slice, edits, false)
  // Commands whose strings became shorter give their slack to those that grow.
  if (size(commands) > slice.sizeofcmds + slice.room) commands = rebuilt(old, slice, edits, true)
  const sizeofcmds = size(commands)
  const need = Math.max(0, sizeofcmds - slice.sizeofcmds)
  const refused = { arch: slice.arch, edits, need, room: slice.room }
  if (need > slice.room) return { reason: 'no-room', ...refused }
  const before = source.read(slice.offset, end + need)
  if (before.subarray(end).some(byte => byte !== 0)) return { reason: 'occupied', ...refused }

  const after = Buffer.alloc(before.length)
  old.copy(after, 0, 0, start)
  Buffer.concat([...commands, rest]).copy(after, start)
  const put = (value: number, at: number) =>
    slice.little ? after.writeUInt32LE(value, at) : after.writeUInt32BE(value, at)
  put(commands.length, 16)
  put(sizeofcmds, 20)
  return { writes: changed(before, after, slice.offset) }
}

const lengthOf = (commands: readonly LoadCommand[]): number => commands.reduce((sum, { size }) => sum + size, 0)

/**
 * The load commands after the edits.
 * @param tight whether commands with edited strings get no more bytes than they need
 */
function rebuilt(old: Buffer, slice: MachOSlice, edits: readonly MachOEdit[], tight: boolean): Buffer[] {
  const ordered = strings(slice).sort((a, b) => a.at.offset - b.at.offset)
  const rpaths = new Set<string>()
  let next = 0
  return slice.commands.flatMap(command => {
    const bytes = old.subarray(command.offset - slice.offset, command.offset - slice.offset + command.size)
    const string = ordered[next]
    if (!string || string.at.offset >= command.offset + command.size) return [bytes]
    next++
    const value = edited(edits, string)
    if (value === null || (string.owner === 'rpath' && rpaths.has(value))) return []
    if (string.owner === 'rpath') rpaths.add(value)
    return [value === string.at.value ? bytes : withString(bytes, slice, command, string.at, value, tight)]
  })
}

function withString(
  bytes: Buffer,
  slice: MachOSlice,
  command: LoadCommand,
  at: Located,
  value: string,
  tight: boolean,
): Buffer {
  const start = at.offset - command.offset
  const least = roundUp(start + value.length + 1, slice.class / 8)
  const size = tight ? least : Math.max(command.size, least)
  const made = Buffer.alloc(size)
  bytes.copy(made, 0, 0, start)
  if (slice.little) made.writeUInt32LE(size, 4)
  else made.writeUInt32BE(size, 4)
  made.write(value, start, 'latin1')
  return made
}

/** From the first byte that differs to the last one. */
function changed(old: Buffer, bytes: Buffer, offset: number): Write[] {
  let [first, end] = [0, bytes.length]
  while (first < end && old[first] === bytes[first]) first++
  while (end > first && old[end - 1] === bytes[end - 1]) end--
  return first === end ? [] : [{ offset: offset + first, bytes: Buffer.from(bytes.subarray(first, end)) }]
}
