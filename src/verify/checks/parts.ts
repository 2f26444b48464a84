/**
 * Which part of a binary a reference lies in: what the loader reads (`interp`, `runpath`, `needed`), else the section.
 * A new binary format is one more line in FORMATS.
 */

import type { ElfFacts } from '../../elf/facts.ts'
import { isElf, parseElf } from '../../elf/parse.ts'
import { SHT, sectionsOf as sectionsOfElf } from '../../elf/sections.ts'
import { BundleError } from '../../errors.ts'
import type { ByteSource, Located } from '../../io/bytes.ts'
import type { MachOFacts } from '../../macho/facts.ts'
import { isMachO } from '../../macho/image.ts'
import { machOFactsOf } from './macho.ts'

/** A named range of a file. */
export interface Part {
  readonly name: string
  readonly offset: number
  readonly size: number
}

/** Each format: whether a file's first bytes are its, and its parts, of which the first that fits is told. */
const FORMATS: readonly (readonly [(head: Buffer) => boolean, (source: ByteSource, path: string) => Part[]])[] = [
  [isElf, elfParts],
  [isMachO, machOParts],
]

/** Bytes that tell a format. */
const HEAD = 32

/** Names the part at each file offset; null for one that lies in none. */
export function partsOf(source: ByteSource, path: string): (offset: number) => string | null {
  const head = source.read(0, HEAD)
  return nameAt(FORMATS.find(([is]) => is(head))?.[1](source, path) ?? [])
}

/** Names the first of some parts that an offset lies in; null for one that lies in none. */
export const nameAt =
  (parts: readonly Part[]) =>
  (offset: number): string | null =>
    parts.find(p => offset >= p.offset && offset < p.offset + p.size)?.name ?? null

/** The sections that a binary has bytes in, as it lists them; none of what is no binary, and of one that has no list. */
export function sectionsOf(source: ByteSource, path: string): readonly Part[] {
  const head = source.read(0, HEAD)
  if (isElf(head)) return elfSections(source)
  return isMachO(head) ? machOSections(source, path) : []
}

function elfParts(source: ByteSource, path: string): Part[] {
  const facts = factsOf(source, path)
  return [...(facts ? loaderParts(facts) : []), ...elfSections(source)]
}

/** What the loader reads of an ELF file. */
export function loaderParts({ interp, runpath, rpath, needed, soname }: ElfFacts): Part[] {
  const located = (name: string, all: readonly (Located | null)[]): Part[] =>
    all.flatMap(at => (at === null ? [] : [{ name, offset: at.offset, size: at.value.length + 1 }]))
  return [
    ...located('interp', [interp]),
    ...located('runpath', [runpath]),
    ...located('rpath', [rpath]),
    ...located('needed', needed),
    ...located('soname', [soname]),
  ]
}

function elfSections(source: ByteSource): Part[] {
  return sectionsOfElf(source).filter(s => s.type !== SHT.nobits && s.name !== '')
}

function machOParts(source: ByteSource, path: string): Part[] {
  return (machOFactsOf(source, path)?.slices ?? []).flatMap(slice => {
    const located = (name: string, all: readonly (Located | null)[]): Part[] =>
      all.flatMap(at => (at === null ? [] : [{ name, offset: at.offset, size: at.capacity }]))
    return [
      ...located('id', [slice.id]),
      ...located(
        'install name',
        slice.dylibs.map(d => d.name),
      ),
      ...located('rpath', slice.rpaths),
      ...located('dyld', [slice.dylinker, ...slice.environment]),
      ...sliceSections(slice),
    ]
  })
}

const machOSections = (source: ByteSource, path: string): Part[] =>
  (machOFactsOf(source, path)?.slices ?? []).flatMap(sliceSections)

const sliceSections = (slice: MachOFacts['slices'][number]): Part[] => [
  ...(slice.signature ? [{ name: 'signature', ...slice.signature }] : []),
  ...slice.segments
    .flatMap(s => s.sections)
    .filter(s => !s.zerofill)
    .map(s => ({ name: `${s.segment},${s.name}`, offset: slice.offset + s.offset, size: s.size })),
]

/** The facts of what looks like ELF; null when it is none. */
export function factsOf(source: ByteSource, path: string): ElfFacts | null {
  try {
    return parseElf(source, path)
  } catch (error) {
    // Data of a package may look like ELF and be none; what is started is in the manifest, and missed there.
    if (error instanceof BundleError && error.code === 'malformed') return null
    throw error
  }
}
