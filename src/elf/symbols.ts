/**
 * The names that an ELF file's symbols and versions have: what an edit must not touch.
 */
import { malformed, type View, viewAt } from '../io/bytes.ts'
import { DT } from './constants.ts'
import { type Image, pointee, value } from './image.ts'

/** Chromium's debug build has 25 MB of dynamic symbols. In bytes. */
const TABLE_MAX = 256 << 20
/** A symbol's version is an index of 15 bits, so there are no more of them, and no more files to need them from. */
const VERSION_RECORDS_MAX = 1 << 16
/** Of the 16 bits the index; the highest bit hides. */
const VERSION_INDEX = 0x7fff

/** Where the fields of a symbol lie, by class (elf(5), Elf32_Sym and Elf64_Sym); its st_name is the first. */
export const SYMBOL = {
  32: { value: 4, bytes: 8, info: 12, section: 14, size: 16 },
  64: { info: 4, section: 6, value: 8, bytes: 16, size: 24 },
} as const

/** The st_name of every dynamic symbol. */
export function symbolNameOffsets(image: Image): Uint32Array {
  const { source, header, path } = image
  const at = pointee(image, DT.symtab, 'the dynamic symbol table')
  if (at === undefined) return new Uint32Array()
  const { size } = SYMBOL[header.class]
  const count = symbolCount(image)
  if (count * size > TABLE_MAX) throw malformed(path, `a dynamic symbol table of ${count} symbols`)
  const view = viewAt(source, at, count * size, header.little, 'the dynamic symbol table', path)
  return view.column(0, size, count)
}

/** The address (st_value) of the dynamic symbol with this name; 0 where the file defines none. */
export function definedSymbol(image: Image, name: string): number {
  const { source, header, path } = image
  const at = pointee(image, DT.symtab, 'the dynamic symbol table')
  const names = pointee(image, DT.strtab, 'the dynamic string table')
  const size = value(image.dynamic, DT.strsz)
  if (at === undefined || names === undefined || size === undefined || size > TABLE_MAX) return 0
  const count = symbolCount(image)
  const symbol = SYMBOL[header.class]
  const length = count * symbol.size
  if (length > TABLE_MAX) throw malformed(path, `a dynamic symbol table of ${count} symbols`)
  const view = viewAt(source, at, length, header.little, 'the dynamic symbol table', path)
  const strings = viewAt(source, names, size, header.little, 'the dynamic string table', path)
  for (let entry = 0; entry < length; entry += symbol.size) {
    // st_shndx is 0 for what the file only needs.
    if (view.u16(entry + symbol.section) === 0) continue
    if (strings.cstring(view.u32(entry)) === name)
      return header.class === 64 ? view.u64(entry + symbol.value) : view.u32(entry + symbol.value)
  }
  return 0
}

/** Machines whose DT_HASH has words of 64 bits where their files do: s390x and Alpha (glibc's Elf_Symndx). */
const WIDE_HASH: ReadonlySet<number> = new Set([22, 0x9026])

/** ELF has no count of dynamic symbols: it is read off the tables that point to them, as by the loader. */
export function symbolCount(image: Image): number {
  const { source, header, path } = image
  const sysv = pointee(image, DT.hash, 'the hash table')
  if (sysv !== undefined) {
    // Two words: the number of buckets, and that of symbols.
    const isWide = header.class === 64 && WIDE_HASH.has(header.machine)
    const head = viewAt(source, sysv, isWide ? 16 : 8, header.little, 'the hash table', path)
    return isWide ? head.u64(8) : head.u32(4)
  }
  const gnu = pointee(image, DT.gnuHash, 'the GNU hash table')
  return gnu === undefined ? relocatedSymbolCount(image) : gnuHashSymbolCount(image, gnu)
}

/** The highest symbol of any bucket's chain, plus one; the unhashed symbols come first in the table. */
function gnuHashSymbolCount(image: Image, at: number): number {
  const { source, header, path } = image
  const what = 'the GNU hash table'
  const head = viewAt(source, at, 16, header.little, what, path)
  const [bucketCount, firstHashed, bloomWords] = [head.u32(0), head.u32(4), head.u32(8)]
  const bucketsAt = at + 16 + bloomWords * (header.class / 8)
  if (bucketCount * 4 > TABLE_MAX) throw malformed(path, `${what}: ${bucketCount} buckets`)
  const buckets = viewAt(source, bucketsAt, bucketCount * 4, header.little, what, path)
  let last = 0
  for (const first of buckets.column(0, 4, bucketCount)) if (first > last) last = first
  // Without exports ld.bfd writes an empty table that knows of no imports either (a program linked with -no-pie):
  // those are named by relocations only.
  if (last < firstHashed || last === 0) return Math.max(firstHashed, relocatedSymbolCount(image))
  const chainsAt = bucketsAt + bucketCount * 4
  const BLOCK = 1024
  for (let index = last - firstHashed; ; ) {
    const from = chainsAt + index * 4
    const length = Math.min(BLOCK * 4, Math.floor((source.size - from) / 4) * 4)
    if (!(length >= 4)) throw malformed(path, `${what}: a chain has no end`)
    const chain = viewAt(source, from, length, header.little, what, path)
    for (let i = 0; i < length; i += 4, index++) if (chain.u32(i) & 1) return firstHashed + index + 1
  }
}

/** The highest symbol of any relocation, plus one; at least the null symbol, which every table begins with. */
function relocatedSymbolCount(image: Image): number {
  const { source, header, dynamic, path } = image
  const what = 'the relocations'
  const wide = header.class === 64
  const plt = value(dynamic, DT.pltrel) ?? DT.rela
  let count = 1
  for (const [table, bytes, kind] of [
    [DT.rela, DT.relasz, DT.rela],
    [DT.rel, DT.relsz, DT.rel],
    [DT.jmprel, DT.pltrelsz, plt],
  ] as const) {
    const length = value(dynamic, bytes) ?? 0
    // An empty table may lie nowhere.
    const at = length === 0 ? undefined : pointee(image, table, what)
    if (at === undefined) continue
    if (length > TABLE_MAX) throw malformed(path, `${what}: ${length} bytes`)
    const view = viewAt(source, at, length, header.little, what, path)
    const size = (wide ? 8 : 4) * (kind === DT.rela ? 3 : 2)
    // r_info: the symbol is its upper half, or its upper 24 of 32 bits.
    for (let i = 0; i + size <= length; i += size)
      count = Math.max(count, 1 + (wide ? view.u32(i + (header.little ? 12 : 8)) : view.u32(i + 4) >>> 8))
  }
  return count
}

/** String table offsets of the names in DT_VERNEED and DT_VERDEF. */
export interface Versions {
  readonly needs: readonly {
    /** Where the record lies in the file. */
    readonly at: number
    readonly file: number
    readonly names: readonly number[]
  }[]
  readonly defined: readonly number[]
  /** By the index that symbols have in DT_VERSYM; without the base definition, which is no symbol's version. */
  readonly byIndex: ReadonlyMap<number, number>
}
export const NO_VERSIONS: Versions = { needs: [], defined: [], byIndex: new Map() }
/** vd_flags: the name is the file's own. */
const VER_FLG_BASE = 1

export function readVersions(image: Image): Versions {
  const { source, header, dynamic, path } = image
  const needs: { at: number; file: number; names: number[] }[] = []
  const defined: number[] = []
  const byIndex = new Map<number, number>()
  // The records are linked lists of relative offsets, which may overlap: a budget ends any walk.
  let budget = VERSION_RECORDS_MAX
  const record = (at: number, size: number, what: string): View => {
    if (budget-- <= 0) throw malformed(path, `${what}: the list does not end`)
    return viewAt(source, at, size, header.little, what, path)
  }
  let at = pointee(image, DT.verneed, 'the needed versions')
  for (let left = value(dynamic, DT.verneednum) ?? 0; at !== undefined && left > 0; left--) {
    const need = record(at, 16, 'the needed versions')
    const names: number[] = []
    let aux = at + need.u32(8)
    for (let n = need.u16(2); n > 0; n--) {
      const entry = record(aux, 16, 'the needed versions')
      names.push(entry.u32(8))
      byIndex.set(entry.u16(6) & VERSION_INDEX, entry.u32(8))
      if (entry.u32(12) === 0) break
      aux += entry.u32(12)
    }
    needs.push({ at, file: need.u32(4), names })
    at = need.u32(12) === 0 ? undefined : at + need.u32(12)
  }
  at = pointee(image, DT.verdef, 'the defined versions')
  for (let left = value(dynamic, DT.verdefnum) ?? 0; at !== undefined && left > 0; left--) {
    const definition = record(at, 20, 'the defined versions')
    let aux = at + definition.u32(12)
    for (let n = definition.u16(6); n > 0; n--) {
      const entry = record(aux, 8, 'the defined versions')
      defined.push(entry.u32(0))
      // The first name is the version's own, the others those of its parents.
      if (n === definition.u16(6) && (definition.u16(2) & VER_FLG_BASE) === 0)
        byIndex.set(definition.u16(4) & VERSION_INDEX, entry.u32(0))
      if (entry.u32(4) === 0) break
      aux += entry.u32(4)
    }
    at = definition.u32(16) === 0 ? undefined : at + definition.u32(16)
  }
  return { needs, defined, byIndex }
}
