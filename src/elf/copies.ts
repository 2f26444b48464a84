/**
 * Copy relocations: variables of libraries that live in the program. Code that is not position-independent addresses a
 * library's variable as its own; the linker reserves room for it in the program, and ld.so copies the bytes there at
 * start (R_X86_64_COPY, R_AARCH64_COPY). From then on all use the copy, the library too. Pure.
 *
 * Sources: the psABIs of both CPUs; glibc's elf/dl-lookup.c (check_match) for which library's variable it is.
 */
import { type ByteSource, malformed, type View, viewAt } from '../io/bytes.ts'
import type { SourcePath } from '../paths.ts'
import { DT, PT } from './constants.ts'
import { type Image, pointee, readImage, value } from './image.ts'
import { readVersions, symbolCount } from './symbols.ts'

/** R_*_COPY by e_machine. */
const COPY: Readonly<Record<number, number>> = { 62: 5, 183: 1024 }
const RELA = 24
const SYMBOL = 24
/** In bytes, of one table: 10 million relocations or symbols. */
const TABLE_MAX = 256 << 20
/** Nothing smaller holds a store path, `/nix/store/<32>-x`: most that is copied is a pointer (stdout). In bytes. */
const SIZE_MIN = 45
const STT = { object: 1, common: 5 } as const

/** A variable of a library that the loader copies into a program when it starts (elf/copies.ts). */
export interface CopiedVariable {
  readonly from: SourcePath
  /** Virtual addresses: in the library's file, and in the program's. */
  readonly address: number
  readonly to: number
  /** In bytes. */
  readonly size: number
}

/** What a program has room for. */
export interface Copy {
  readonly name: string
  /** The version that it asks for; null for none. */
  readonly version: string | null
  readonly address: number
  readonly size: number
}

/** What a library defines under a name. */
interface Variable {
  readonly version: string | null
  /** Not to be found by who asks for no version. */
  readonly hidden: boolean
  readonly address: number
  readonly size: number
}
export type Variables = ReadonlyMap<string, readonly Variable[]>

/** The copies that a program makes room for. Throws BundleError('malformed'). */
export function readCopies(source: ByteSource, path: string): Copy[] {
  const image = readImage(source, path)
  const { header, dynamic } = image
  const type = header.class === 64 && header.little ? COPY[header.machine] : undefined
  const size = value(dynamic, DT.relasz) ?? 0
  // Where there are none, their table may lie nowhere.
  const at = size === 0 ? undefined : pointee(image, DT.rela, 'the relocations')
  if (type === undefined || at === undefined) return []
  if (size > TABLE_MAX) throw malformed(path, `the relocations: ${size} bytes`)
  const view = viewAt(source, at, size, true, 'the relocations', path)
  const found: { address: number; symbol: number }[] = []
  for (let entry = 0; entry + RELA <= size; entry += RELA)
    if (view.u32(entry + 8) === type) found.push({ address: view.u64(entry), symbol: view.u32(entry + 12) })
  const symbols = found.length === 0 ? null : readSymbols(image)
  if (symbols === null) return []
  return found.flatMap(({ address, symbol }): Copy[] => {
    const { name, version, size } = symbols.at(symbol)
    const isThere = image.segments.some(
      s => s.type === PT.load && address >= s.vaddr && address + size <= s.vaddr + s.memsz,
    )
    return isThere && size >= SIZE_MIN ? [{ name, version, address, size }] : []
  })
}

/** The variables of a library that may hold a store path. Throws BundleError('malformed'). */
export function readVariables(source: ByteSource, path: string): Variables {
  const variables = new Map<string, Variable[]>()
  const image = readImage(source, path)
  const symbols = image.header.class === 64 && image.header.little ? readSymbols(image) : null
  for (let i = 1; symbols !== null && i < symbols.count; i++) {
    if (!symbols.isVariable(i)) continue
    const { name, ...variable } = symbols.at(i)
    const known = variables.get(name)
    if (known) known.push(variable)
    else variables.set(name, [variable])
  }
  return variables
}

/**
 * Which variables are copied where: of each name the first library's that has it.
 * @param libraries in the order of the link map, without the program; `variables` is called as far as they are needed
 */
export function resolveCopies(
  copies: readonly Copy[],
  libraries: readonly SourcePath[],
  variables: (library: SourcePath) => Variables,
): CopiedVariable[] {
  return copies.flatMap(({ name, version, address, size }): CopiedVariable[] => {
    for (const library of libraries) {
      const found = variables(library)
        .get(name)
        ?.find(v => (version === null ? !v.hidden : v.version === version || (v.version === null && !v.hidden)))
      if (found) return [{ from: library, address: found.address, to: address, size: Math.min(size, found.size) }]
    }
    return []
  })
}

interface Symbols {
  readonly count: number
  at(index: number): Variable & { readonly name: string }
  /** Whether it is defined here, and large enough. */
  isVariable(index: number): boolean
}

/** The dynamic symbols with their versions; null without any. */
function readSymbols(image: Image): Symbols | null {
  const { source, dynamic, path } = image
  const at = pointee(image, DT.symtab, 'the dynamic symbol table')
  const namesAt = pointee(image, DT.strtab, 'the dynamic string table')
  const namesSize = value(dynamic, DT.strsz)
  if (at === undefined || namesAt === undefined || namesSize === undefined || namesSize > TABLE_MAX) return null
  const count = symbolCount(image)
  if (count * SYMBOL > TABLE_MAX) throw malformed(path, `a dynamic symbol table of ${count} symbols`)
  const view = viewAt(source, at, count * SYMBOL, true, 'the dynamic symbol table', path)
  const names = viewAt(source, namesAt, namesSize, true, 'the dynamic string table', path)
  const versionsAt = pointee(image, DT.versym, 'the versions of symbols')
  const versions =
    versionsAt === undefined ? null : viewAt(source, versionsAt, count * 2, true, 'the versions of symbols', path)
  const { byIndex } = readVersions(image)
  return {
    count,
    at: index => ({
      name: names.cstring(view.u32(index * SYMBOL)),
      ...versionOf(versions, index, byIndex, names),
      address: view.u64(index * SYMBOL + 8),
      size: view.u64(index * SYMBOL + 16),
    }),
    isVariable: index => {
      const type = view.u8(index * SYMBOL + 4) & 15
      return (
        (type === STT.object || type === STT.common) &&
        view.u16(index * SYMBOL + 6) !== 0 &&
        view.u64(index * SYMBOL + 16) >= SIZE_MIN
      )
    },
  }
}

const HIDDEN = 0x8000

function versionOf(
  versions: View | null,
  symbol: number,
  byIndex: ReadonlyMap<number, number>,
  names: View,
): { version: string | null; hidden: boolean } {
  const index = versions?.u16(symbol * 2) ?? 0
  const name = byIndex.get(index & ~HIDDEN)
  return { version: name === undefined ? null : names.cstring(name), hidden: (index & HIDDEN) !== 0 }
}
