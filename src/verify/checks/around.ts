/**
 * What is told of a file by looking at it here and there: what kind it is where its end says that, the sections of an ELF
 * file that are packed, what programs say of themselves, data behind their end.
 */
import { singleOf } from '../../archive/single.ts'

import { dataRanges } from '../../elf/data-ranges.ts'
import type { ElfFacts } from '../../elf/facts.ts'
import { type PackedSection, packedSections } from '../../elf/packed-sections.ts'
import { isElf } from '../../elf/parse.ts'
import { hasEntry, hasPayload } from '../../elf/payload.ts'
import { type Section, sectionsOf } from '../../elf/sections.ts'
import type { ByteSource } from '../../io/bytes.ts'
import type { MachOFacts } from '../../macho/facts.ts'
import { holdsMachO } from '../../macho/parse.ts'
import type { Finding } from '../../model/findings.ts'
import { type ContainerKind, containerKindOf, KIND_HEAD, kindByName, LIMITS } from '../../references/containers.ts'
import { type Budget, type Problem, problem } from '../../references/inflate.ts'
import type { OpaqueKind } from '../../references/kind.ts'
import { confirmed, headsInProgram, type PackedHead } from '../../references/packed-heads.ts'
import { type Loading, loadingOf } from './loading.ts'
import { checkImage, machOFactsOf } from './macho.ts'
import { factsOf, partsOf } from './parts.ts'

export type Kind = ContainerKind | OpaqueKind | 'tar' | null

/** Who is told what was met, and whose budget it is. */
export interface Looking {
  readonly findings: Finding[]
  readonly budget: Budget
  problem(names: readonly string[], why: Problem): void
  /** Looks at a part of a file that was unpacked. */
  scan(names: readonly string[], part: string, contents: Buffer): void
}

export interface Sight {
  /** All of a zip or zlib file that has to be unpacked. */
  readonly packed: Buffer | null
  readonly facts: ElfFacts | MachOFacts | null
  /** What loaders read of it, where facts are wanted. */
  readonly loading: Loading | null
  /** The part of the file that an offset lies in; not where nothing asks for it. */
  readonly partOf: ((offset: number) => string | null) | undefined
  /** Whether what is packed at an offset was looked into. */
  told(at: number): boolean
  /** Whether the file as a whole is read as what it is, or named: what is packed in it is told with it. */
  readonly isKnown: boolean
  /** What is packed in it and shows by its head. */
  readonly heads: readonly PackedHead[]
}

/** How a file is seen. */
export interface View {
  /** Of the file, from the outermost that it is packed in. Byte strings. */
  readonly names: readonly string[]
  readonly source: ByteSource
  /** What its first bytes show. */
  readonly kind: Kind
  /** Whether facts are wanted of it. */
  readonly facts: boolean
  /** Whether zstd is unpacked: of layers. */
  readonly zstd: boolean
  readonly holdsReferences: boolean
  /** Those that its bytes showed; of an ELF file whose sections were not known, they are looked for. */
  readonly heads: readonly PackedHead[]
  /** Of an ELF file, where they are known already. */
  readonly sections: readonly Section[] | null
}

export function lookAround(
  { names, source, kind, facts, zstd, holdsReferences, heads, sections: known }: View,
  looking: Looking,
): Sight {
  const file = names.join('!')
  const elf = isElf(source.read(0, 16))
  const all = elf ? (known ?? sectionsOf(source)) : []
  const told = sections(names, source, all, looking)
  const full =
    kind === 'tar' || kind === 'gzip'
      ? kind
      : (containerKindOf(source) ?? kindByName(names.at(-1)!, source.read(0, KIND_HEAD)))
  if (full === null && elf && hasEntry(source)) payload(names, source, looking)
  let packed: Buffer | null = null
  if (full === 'zip' || full === 'zlib') {
    if (source.size <= LIMITS.member) packed = source.read(0, source.size)
    else if (full === 'zip') looking.problem(names, problem('too-large'))
  } else if (full !== null && full !== 'tar' && full !== 'gzip' && !(full === 'zstd' && zstd))
    looking.problem(names, problem('opaque', full))
  const own = facts ? factsIn(source, elf, file, looking) : null
  return {
    packed,
    facts: own,
    loading: facts ? loadingOf(names.at(-1)!, source, own) : null,
    partOf: holdsReferences ? partsOf(source, file) : undefined,
    told: at => told.some(({ offset, size }) => at >= offset && at < offset + size),
    isKnown: full !== null && full !== 'zip' && full !== 'zlib',
    heads: elf && known === null ? headsInProgram(source, dataRanges(source, all)) : confirmed(source, heads),
  }
}

function payload(names: readonly string[], source: ByteSource, looking: Looking): void {
  const facts = factsOf(source, names.join('!'))
  // What `-f exe` makes has one zlib stream behind it, which is looked into as all are.
  if (facts?.program && hasPayload(source, facts) && singleOf(source)?.isWhole !== true)
    looking.problem(names, problem('opaque', 'data behind its end'))
}

function factsIn(source: ByteSource, elf: boolean, file: string, looking: Looking): ElfFacts | MachOFacts | null {
  if (elf) return factsOf(source, file)
  const image = holdsMachO(source) ? machOFactsOf(source, file) : null
  if (image) looking.findings.push(...checkImage(source, image, file))
  return image
}

function sections(
  names: readonly string[],
  source: ByteSource,
  all: readonly Section[],
  looking: Looking,
): PackedSection[] {
  const packed = packedSections(source, all)
  for (const { name, how, offset, size, unpacked } of packed) {
    const path = [...names, name]
    if (how !== 'zlib') looking.problem(path, problem('opaque', how))
    else if (size > LIMITS.member) looking.problem(path, problem('too-large'))
    else {
      const read = looking.budget.inflate(source.read(offset, size), 'zlib', unpacked)
      if ('code' in read) looking.problem(path, read)
      else looking.scan(names, name, read.contents)
    }
  }
  return packed
}
