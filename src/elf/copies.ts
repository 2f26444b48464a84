/**
 * Copy relocations: variables of libraries that live in the program. Code that is not position-independent addresses a
 * library's variable as its own; the linker reserves room for it in the program, and ld.so copies the bytes there at
 * start (R_*_COPY). From then on all use the copy, the library too. Pure.
 *
 * Sources: the psABIs of the CPUs; glibc's elf/dl-lookup.c (check_match) for which library's variable it is.
 */
import { type ByteSource, malformed, type View, viewAt } from '../io/bytes.ts'
import type { SourcePath } from '../paths.ts'
import { DT, EM, PT } from './constants.ts'
import { type Image, pointee, readImage, value } from './image.ts'
import { readVersions, SYMBOL, symbolCount } from './symbols.ts'

/** R_*_COPY by e_machine. */
const COPY: Readonly<Record<number, number>> = {
  [EM.i386]: 5,
  [EM.arm]: 20,
  [EM.x8664]: 5,
  [EM.aarch64]: 1024,
  [EM.riscv]: 4,
}
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
  const type = header.little ? COPY[header.machine] : undefined
  if (type === undefined) return []
  const wide = header.class === 64
  const found: { address: number; symbol: number }[] = []
  for (const [table, bytes, words] of [
    [DT.rela, DT.relasz, 3],
    [DT.rel, DT.relsz, 2],
  ] as const) {
    const size = value(dynamic, bytes) ?? 0
    // Where there are none, their table may lie nowhere.
    const at = size === 0 ? undefined : pointee(image, table, 'the relocations')
    if (at === undefined) continue
    if (size > TABLE_MAX) throw malformed(path, `the relocations: ${size} bytes`)
    const view = viewAt(source, at, size, true, 'the relocations', path)
    const step = (words * header.class) / 8
    for (let entry = 0; entry + step <= size; entry += step) {
      // r_info: halves of 64 bits, or 24 and 8 of 32.
      const [symbol, kind] = wide
        ? [view.u32(entry + 12), view.u32(entry + 8)]
        : [view.u32(entry + 4) >>> 8, view.u32(entry + 4) & 0xff]
      if (kind === type) found.push({ address: wide ? view.u64(entry) : view.u32(entry), symbol })
    }
  }
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
  const symbols = image.header.little ? readSymbols(image) : null
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
  const wide = image.header.class === 64
  const symbol = SYMBOL[image.header.class]
  if (count * symbol.size > TABLE_MAX) throw malformed(path, `a dynamic symbol table of ${count} symbols`)
  const view = viewAt(source, at, count * symbol.size, true, 'the dynamic symbol table', path)
  const names = viewAt(source, namesAt, namesSize, true, 'the dynamic string table', path)
  const versionsAt = pointee(image, DT.versym, 'the versions of symbols')
  const versions =
    versionsAt === undefined ? null : viewAt(source, versionsAt, count * 2, true, 'the versions of symbols', path)
  const { byIndex } = readVersions(image)
  const word = (at: number): number => (wide ? view.u64(at) : view.u32(at))
  const bytesOf = (index: number): number => word(index * symbol.size + symbol.bytes)
  return {
    count,
    at: index => ({
      name: names.cstring(view.u32(index * symbol.size)),
      ...versionOf(versions, index, byIndex, names),
      address: word(index * symbol.size + symbol.value),
      size: bytesOf(index),
    }),
    isVariable: index => {
      const type = view.u8(index * symbol.size + symbol.info) & 15
      return (
        (type === STT.object || type === STT.common) &&
        view.u16(index * symbol.size + symbol.section) !== 0 &&
        bytesOf(index) >= SIZE_MIN
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
