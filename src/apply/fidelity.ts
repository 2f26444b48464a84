/**
 * Fidelity: what was written is what was planned. Whatever did the edit, the file is parsed again and every fact
 * compared; a difference that is not in the plan is an error. This is what makes an imperfect tool safe to use.
 */

import { createHash } from 'node:crypto'
import { DT, EM, PT } from '../elf/constants.ts'
import { type EditableFacts, type ElfEdit, editable, editedFacts } from '../elf/edit.ts'
import type { ElfFacts, LoaderPlace, Segment } from '../elf/facts.ts'
import { parseElf, symbolNames } from '../elf/parse.ts'
import { isDynamicWritable } from '../elf/patchelf.ts'
import { spareRow } from '../elf/room.ts'
import { spareHeader } from '../entry/inject.ts'
import type { SidecarEntry } from '../entry/sidecar.ts'
import type { ByteSource } from '../io/bytes.ts'
import { LC } from '../macho/constants.ts'
import { editedStrings, type MachOEdit } from '../macho/edit.ts'
import type { LoadCommand, MachOFacts, MachOSegment, MachOSlice } from '../macho/facts.ts'
import { headerSize } from '../macho/image.ts'
import { parseMachO } from '../macho/parse.ts'
import { chunks } from '../macho/patch.ts'
import { checkSignature, isIntact } from '../macho/signature.ts'
import type { Finding } from '../model/findings.ts'

/**
 * How a file was edited: `in place` nothing has moved; `grown` strings of the loader have, and nothing else (elf/grow.ts);
 * `by a tool`, who knows what.
 */
export type Edited = 'in place' | 'grown' | 'by a tool'

/** What is compared of an ELF file: all that loaders read, and the names of its symbols and versions. */
export interface Seen {
  readonly facts: ElfFacts
  readonly names: readonly string[]
}

/** @param path whom to name */
export const seen = (source: ByteSource, path: string): Seen => ({
  facts: parseElf(source, path),
  names: symbolNames(source, path),
})

/**
 * Compares an edited copy with its original.
 * @param path of the original
 */
export function checkEdited(
  path: string,
  { facts, names }: Seen,
  { facts: after, names: namesAfter }: Seen,
  edits: readonly ElfEdit[],
  how: Edited,
): Finding[] {
  const differences: [fact: string, expected: string, found: string][] = []
  const expect = (fact: string, expected: unknown, found: unknown): void => {
    const [e, f] = [JSON.stringify(expected), JSON.stringify(found)]
    if (e !== f) differences.push([fact, e, f])
  }

  const wanted = editedFacts(facts, edits)
  const got = editable(after)
  for (const key of Object.keys(wanted) as (keyof EditableFacts)[]) expect(key, wanted[key], got[key])
  for (const key of ['class', 'little', 'machine', 'abi', 'type', 'flags1'] as const)
    expect(key, facts[key], after[key])
  expect(
    'verneed versions',
    facts.verneed.map(v => v.versions),
    after.verneed.map(v => v.versions),
  )
  // patchelf 0.14 gets it wrong, and the loader writes there.
  if (facts.machine === EM.mips) expect('the place of the debug map', rldMap(facts), rldMap(after))
  // Some loaders leave it alone, and it is read-only from the start.
  if (isDynamicWritable(facts)) expect('that the dynamic section can be written to', true, isDynamicWritable(after))
  if (how === 'in place') expect('program headers', facts.segments, after.segments)
  else expect('alignment of segments', alignments(facts), alignments(after))
  if (how === 'grown') {
    const [was, is] = grownSegments(facts, after)
    expect('program headers', was, is)
  }
  if (how !== 'by a tool') expect('the dynamic section', otherEntries(facts), otherEntries(after))

  const renamed = new Map(edits.flatMap(e => (e.op === 'replace-needed' ? [[e.from, e.to] as const] : [])))
  const wantedNames = renamed.size === 0 ? names : names.map(name => renamed.get(name) ?? name)
  const other = otherName(wantedNames, namesAfter)
  if (other) expect(...other)

  return differences.map(([fact, expected, found]) => ({
    code: 'edit-outside-plan',
    severity: 'error',
    file: path,
    fact,
    expected,
    found,
  }))
}

/**
 * Compares a program with the stub in it with what it was before: an interpreter or a spare program header less, a
 * segment more, all else the same.
 */
export function checkInjected(path: string, before: Seen, after: Seen, loader: LoaderPlace): Finding[] {
  const [was, is] = [before.facts, after.facts]
  const spare = spareHeader(was)
  const stub = is.segments.find(s => !was.segments.some(old => old.type === s.type && old.vaddr === s.vaddr))
  const facts: Fact[] = [
    ['the strings of the loader', { ...editable(was), interp: null }, editable(is)],
    [
      'the segments',
      was.segments.filter((s, i) => i !== spare && s.type !== PT.interp),
      is.segments.filter(s => s !== stub),
    ],
    ['the place of the loader', loader, is.stub],
    ...named(otherName(before.names, after.names)),
  ]
  return facts.flatMap(([fact, expected, found]) => difference(path, fact, expected, found))
}

/**
 * Compares a program that is entered by a sidecar with what it was before: no interpreter, and all else the same, in the
 * same place.
 */
export function checkEntered(path: string, before: Seen, after: Seen, { loader, rpath }: SidecarEntry): Finding[] {
  const [was, is] = [before.facts, after.facts]
  const strings = { ...editable(was), interp: null, ...(rpath !== null && { rpath, runpath: null }) }
  const facts: Fact[] = [
    ['the strings of the loader', strings, editable(is)],
    ['the segments', was.segments.map(s => (s.type === PT.interp ? { ...s, type: PT.null } : s)), is.segments],
    ['the dynamic section', was.dynamic, is.dynamic],
    ['the place of the loader', loader, is.stub],
    ...named(otherName(before.names, after.names)),
  ]
  return facts.flatMap(([fact, expected, found]) => difference(path, fact, expected, found))
}

type Fact = [fact: string, expected: unknown, found: unknown]

/** The first symbol or version name that is another than it was, or that there are more or fewer; null for none. */
function otherName(names: readonly string[], after: readonly string[]): Fact | null {
  const changed = names.findIndex((name, i) => name !== after[i])
  if (changed >= 0) return [`symbol or version name ${changed}`, names[changed], after[changed] ?? null]
  return names.length === after.length ? null : ['number of symbol and version names', names.length, after.length]
}
const named = (other: Fact | null): Fact[] => (other === null ? [] : [other])

/**
 * Compares an edited and signed Mach-O file with what it was: of each slice the strings as planned, all segments but the
 * size of the one that holds the signature, all other load commands and all bytes behind, and a signature that is right.
 * @param before what it was before its load commands were edited, as `untouched` gives it
 * @param inPlace as for `untouched`
 */
export function checkMachO(
  original: string,
  was: MachOFacts,
  before: readonly Untouched[],
  edits: readonly MachOEdit[],
  inPlace: boolean,
  source: ByteSource,
): Finding[] {
  const is = parseMachO(source, original)
  const plan = editedStrings(was, edits)
  const found = editedStrings(is, [])
  const facts: Fact[] = [
    ['the kind of container', was.container, is.container],
    ['the number of slices', was.slices.length, is.slices.length],
    ...is.slices.flatMap((slice, i): [string, unknown, unknown][] => {
      const old = was.slices[i]
      if (!old) return []
      const other = untouchedOf(source, slice, old, inPlace)
      return [
        [`the strings of ${slice.arch}`, plan[i], found[i]],
        [`the header of ${slice.arch}`, header(old), header(slice)],
        [`the segments of ${slice.arch}`, old.segments.map(extent), slice.segments.map(extent)],
        [`the versions of ${slice.arch}`, old.versions, slice.versions],
        [`other load commands of ${slice.arch}`, before[i]?.commands, other.commands],
        [`the contents of ${slice.arch}`, before[i]?.contents, other.contents],
        [`the signature of ${slice.arch}`, true, checkSignature(source, slice, original).every(isIntact)],
      ]
    }),
  ]
  return facts.flatMap(([fact, expected, found]) => difference(original, fact, expected, found))
}

/** What of a slice stays as it is when strings of its load commands are edited and it is signed. */
interface Untouched {
  /** Every other load command, in hexadecimal. */
  readonly commands: readonly string[]
  /** SHA-256 of the bytes behind the room for load commands. */
  readonly contents: string
}

/**
 * What no edit may change, by slice. LLVM's install_name_tool writes load commands and code over each other where the
 * former do not fit, and exits 0.
 * @param inPlace true when nothing may have moved; else __LINKEDIT may have been laid out anew
 */
export const untouched = (source: ByteSource, { slices }: MachOFacts, inPlace: boolean): Untouched[] =>
  slices.map(slice => untouchedOf(source, slice, slice, inPlace))

/** @param was the slice before the edit, which says where its contents lie */
function untouchedOf(source: ByteSource, slice: MachOSlice, was: MachOSlice, inPlace: boolean): Untouched {
  const strings = [slice.id, slice.dylinker, ...slice.dylibs.map(d => d.name), ...slice.rpaths, ...slice.environment]
  const linkedit = was.segments.find(s => s.name === '__LINKEDIT')
  const own = slice.segments.find(s => s.name === '__LINKEDIT')?.command
  const isOther = ({ cmd, offset, size }: LoadCommand): boolean =>
    cmd !== LC.codeSignature &&
    offset !== own &&
    (inPlace || !LINKEDIT_DATA.has(cmd)) &&
    !strings.some(s => s !== null && s.offset >= offset && s.offset < offset + size)
  const start = headerSize(was) + was.sizeofcmds + was.room
  // One that is empty, or beyond the slice, has no place.
  const place = was.signature === null ? was.size : was.signature.offset - was.offset
  const signature = was.signature && was.signature.size > 0 ? Math.min(place, was.size) : was.size
  const end = Math.min(inPlace || !linkedit ? signature : linkedit.fileoff, slice.size)
  const hash = createHash('sha256')
  for (const piece of chunks(source, slice.offset + start, slice.offset + end)) hash.update(piece)
  return {
    commands: slice.commands.filter(isOther).map(({ offset, size }) => source.read(offset, size).toString('hex')),
    contents: hash.digest('hex'),
  }
}

/** Load commands that say where something lies in __LINKEDIT. */
const LINKEDIT_DATA: ReadonlySet<number> = new Set([
  ...[LC.symtab, LC.dysymtab, LC.dyldInfo, LC.dyldInfoOnly, LC.segmentSplitInfo, LC.functionStarts, LC.dataInCode],
  ...[LC.dylibCodeSignDrs, LC.linkerOptimizationHint, LC.dyldExportsTrie, LC.dyldChainedFixups],
])

const header = ({ class: bits, little, cputype, cpusubtype, filetype, flags }: MachOSlice) => ({
  bits,
  little,
  cputype,
  cpusubtype,
  filetype,
  flags,
})

const extent = ({ name, vmaddr, vmsize, fileoff, filesize, sections }: MachOSegment) =>
  name === '__LINKEDIT' ? { name, vmaddr, fileoff } : { name, vmaddr, vmsize, fileoff, filesize, sections }

function difference(file: string, fact: string, expected: unknown, found: unknown): Finding[] {
  const [e, f] = [JSON.stringify(expected), JSON.stringify(found)]
  return e === f ? [] : [{ code: 'edit-outside-plan', severity: 'error', file, fact, expected: e, found: f }]
}

/**
 * What of the program headers stays when strings have grown, before and after: all but the places of the interpreter and
 * the dynamic section, how far the last segment goes, and a header to spare that became a segment.
 */
function grownSegments(was: ElfFacts, is: ElfFacts): [unknown, unknown] {
  const isLoad = (s: Segment): boolean => s.type === PT.load
  const spare = is.segments.filter(isLoad).length > was.segments.filter(isLoad).length ? spareRow(was) : -1
  const isOld = (s: Segment): boolean => !isLoad(s) || was.segments.some(old => isLoad(old) && old.vaddr === s.vaddr)
  const last = Math.max(...was.segments.filter(isLoad).map(s => s.vaddr + s.memsz))
  const stays = (s: Segment): unknown => {
    const { type, flags, align, ...place } = s
    if (type === PT.interp || type === PT.dynamic) return { type, flags, align }
    const { offset, vaddr } = place
    return isLoad(s) && vaddr + place.memsz >= last ? { type, flags, align, offset, vaddr } : s
  }
  return [was.segments.filter((_, i) => i !== spare).map(stays), is.segments.filter(isOld).map(stays)]
}

/** Dynamic entries that no edit changes. */
const otherEntries = ({ dynamic }: ElfFacts): unknown =>
  dynamic.filter(e => !EDITED.has(e.tag)).map(({ tag, value }) => [tag, value])
const EDITED: ReadonlySet<number> = new Set([
  ...[DT.audit, DT.depaudit, DT.filter, DT.auxiliary],
  ...[DT.needed, DT.rpath, DT.runpath, DT.strtab, DT.strsz, DT.mipsRldMapRel],
])

/** The distinct alignments of loaded segments: an editor may add a segment, but not change what pages it needs. */
const alignments = (facts: ElfFacts): number[] =>
  [...new Set(facts.segments.filter(s => s.type === PT.load).map(s => s.align))].sort((a, b) => a - b)

/** The address that MIPS' loader puts its debug map's at: told from the dynamic entry that tells it, which may move. */
function rldMap({ dynamic, segments, class: bits }: ElfFacts): number | null {
  const entry = dynamic.find(e => e.tag === DT.mipsRldMapRel)
  const load =
    entry && segments.find(s => s.type === PT.load && s.offset <= entry.offset && entry.offset < s.offset + s.filesz)
  const address = load ? load.vaddr + entry.offset - load.offset + entry.value : null
  // It may lie before the entry: 32 bits wrap around.
  return address === null || bits === 64 ? address : address >>> 0
}
