/**
 * Fidelity: what was written is what was planned. Whatever did the edit, the file is parsed again and every fact
 * compared; a difference that is not in the plan is an error. This is what makes an imperfect tool safe to use.
 */

import { DT, EM, PT } from '../elf/constants.ts'
import { type EditableFacts, type ElfEdit, editable, editedFacts } from '../elf/edit.ts'
import { parseElf, symbolNames } from '../elf/parse.ts'
import { isDynamicWritable } from '../elf/patchelf.ts'
import { spareHeader } from '../entry/inject.ts'
import { type ByteSource, bufferSource } from '../io/bytes.ts'
import { withFile } from '../io/store.ts'
import { editedStrings, type MachOEdit } from '../macho/edit.ts'
import type { MachOFacts, MachOSegment, MachOSlice } from '../macho/facts.ts'
import { parseMachO } from '../macho/parse.ts'
import { checkSignature, isIntact } from '../macho/signature.ts'
import type { ElfFacts, Finding, LoaderPlace } from '../model.ts'

/**
 * Compares an edited copy with its original.
 * @param inPlace true when nothing may have moved
 */
export function checkEdited(
  original: string,
  copy: string,
  facts: ElfFacts,
  edits: readonly ElfEdit[],
  inPlace: boolean,
): Finding[] {
  const after = withFile(copy, source => parseElf(source, copy))
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
  if (inPlace) expect('program headers', facts.segments, after.segments)
  else expect('alignment of segments', alignments(facts), alignments(after))

  const renamed = new Map(edits.flatMap(e => (e.op === 'replace-needed' ? [[e.from, e.to] as const] : [])))
  const names = withFile(original, source => symbolNames(source, original)).map(name => renamed.get(name) ?? name)
  const namesAfter = withFile(copy, source => symbolNames(source, copy))
  const changed = names.findIndex((name, i) => name !== namesAfter[i])
  if (changed >= 0) expect(`symbol or version name ${changed}`, names[changed], namesAfter[changed] ?? null)
  else expect('number of symbol and version names', names.length, namesAfter.length)

  return differences.map(([fact, expected, found]) => ({
    code: 'edit-outside-plan',
    severity: 'error',
    file: original,
    fact,
    expected,
    found,
  }))
}

/**
 * Compares a program with the stub in it with what it was before: an interpreter or a spare program header less, a
 * segment more, all else the same.
 */
export function checkInjected(path: string, before: Buffer, after: Buffer, loader: LoaderPlace): Finding[] {
  const [was, is] = [parseElf(bufferSource(before), path), parseElf(bufferSource(after), path)]
  const spare = spareHeader(was)
  const stub = is.segments.find(s => !was.segments.some(old => old.type === s.type && old.vaddr === s.vaddr))
  const facts: [fact: string, expected: unknown, found: unknown][] = [
    ['the strings of the loader', { ...editable(was), interp: null }, editable(is)],
    [
      'the segments',
      was.segments.filter((s, i) => i !== spare && s.type !== PT.interp),
      is.segments.filter(s => s !== stub),
    ],
    ['the place of the loader', loader, is.stub],
    ['the names', symbolNames(bufferSource(before), path), symbolNames(bufferSource(after), path)],
  ]
  return facts.flatMap(([fact, expected, found]) => difference(path, fact, expected, found))
}

/**
 * Compares an edited and signed Mach-O file with what it was: of each slice the strings as planned, all segments but the
 * size of the one that holds the signature, and a signature that is right.
 */
export function checkMachO(
  original: string,
  was: MachOFacts,
  edits: readonly MachOEdit[],
  source: ByteSource,
): Finding[] {
  const is = parseMachO(source, original)
  const plan = editedStrings(was, edits)
  const found = editedStrings(is, [])
  const facts: [fact: string, expected: unknown, found: unknown][] = [
    ['the kind of container', was.container, is.container],
    ['the number of slices', was.slices.length, is.slices.length],
    ...is.slices.flatMap((slice, i): [string, unknown, unknown][] => {
      const before = was.slices[i]
      if (!before) return []
      return [
        [`the strings of ${slice.arch}`, plan[i], found[i]],
        [`the header of ${slice.arch}`, header(before), header(slice)],
        [`the segments of ${slice.arch}`, before.segments.map(extent), slice.segments.map(extent)],
        [`the versions of ${slice.arch}`, before.versions, slice.versions],
        [`the signature of ${slice.arch}`, true, checkSignature(source, slice, original).every(isIntact)],
      ]
    }),
  ]
  return facts.flatMap(([fact, expected, found]) => difference(original, fact, expected, found))
}

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
