/**
 * The table `.relocations` in the root of a bundle: which strings of which file name a store path, for the stub to write
 * the package's place over when the program starts (stub.c, "Strings that move with the bundle").
 *
 * On disk each is `/var/empty/eeee(32)-NAME` and what lies below it (references/rewrite.ts). At start the first 43 bytes
 * become the bundle's root, slashes to fill the length, and `/p/<hex>`: with `-NAME` behind, the name of the target's link.
 *
 * **Format.** Little-endian, every part at a multiple of 8 bytes:
 *
 *     header    8 bytes  "SFRELOC2"
 *               u64      checksum over all that follows, as 64-bit words
 *               u32      F, number of files
 *               u32      S, number of sites
 *               u32      the longest root that works, in bytes; 0xffffffff without sites
 *               u32      0
 *     files     F times, ascending by key:
 *               u64      key: of a program its number, of anything else `libraryKey`, which has bit 63 set
 *               u64      address of PT_DYNAMIC, 0 without one
 *               u64      of a loader the address of its `_dl_debug_state`, 0 where there is none to use
 *               u32      its first site
 *               u32      how many sites it has
 *     sites     S times u64: the address in the low 40 bits, the link's number above; ascending by address within a file
 *
 * Addresses are virtual addresses of the file. Checksum and key are the same function of 64-bit words, starting from
 * SEED: `hash = (hash ^ word) * PRIME; hash ^= hash >> 32`.
 */
import { PT } from '../elf/constants.ts'
import { PHDR, PROGRAM_TABLE } from '../elf/program-headers.ts'
import { SECTION_TABLE } from '../elf/sections.ts'
import { readExact, readHalf, readInt, readWord } from '../elf/words.ts'
import { linkRoom } from '../references/rewrite.ts'

/** Where the table lies in the bundle. */
export const RELOCATIONS_PATH = '.relocations'

/** The sites of one ELF file of a bundle. */
export interface RelocatedFile {
  readonly key: bigint | { readonly program: number }
  /** The address of PT_DYNAMIC, 0 without one. */
  readonly dynamic: number
  readonly sites: readonly RelocatedSite[]
  /** Of a loader: `debugStateOf`. */
  readonly hook?: number | null
}

export interface RelocatedSite {
  /** The virtual address of the string's first byte. */
  readonly address: number
  /** The number of the link to what it names. */
  readonly link: number
}

export interface Relocations {
  readonly limit: number
  /** By key. */
  readonly files: readonly RelocatedFile[]
}

const MAGIC = 'SFRELOC2'
const HEADER = 32
const FILE = 32
const NO_LIMIT = 0xffffffff
const ADDRESS_BITS = 40
/** Above it no string relocates itself: the kernel puts programs below, where they may choose. */
export const ADDRESS_END = 2 ** ADDRESS_BITS - 2 ** 16
/** With more digits there would be no room for the alias of a long root (ALIAS_MAX in alias.h). */
const LINK_END = 2 ** 16
const KEY_BIT = 1n << 63n

/** Where the stub looks for program headers: in the first page of a file, whatever the page size. In bytes. */
const FIRST_PAGE = 4096
const PHDRS_MAX = 64

/** The length of the longest root for which the places of all sites fit; Infinity without sites. */
export const rootLimit = (sites: readonly { readonly link: number }[]): number =>
  sites.reduce((limit, { link }) => Math.min(limit, linkRoom(link)), Number.POSITIVE_INFINITY)

/** The table. Throws for what cannot be told apart when a program runs, or does not fit the format. */
export function encodeRelocations(files: readonly RelocatedFile[]): Buffer {
  const sorted = distinct(files)
  const sites = sorted.flatMap(file => file.sites)
  const sitesAt = HEADER + sorted.length * FILE
  const bytes = Buffer.alloc(sitesAt + sites.length * 8)
  bytes.write(MAGIC, 0, 'latin1')
  bytes.writeUInt32LE(sorted.length, 16)
  bytes.writeUInt32LE(sites.length, 20)
  bytes.writeUInt32LE(sites.length > 0 ? rootLimit(sites) : NO_LIMIT, 24)
  let first = 0
  for (const [i, file] of sorted.entries()) {
    const at = HEADER + i * FILE
    bytes.writeBigUInt64LE(file.key, at)
    bytes.writeBigUInt64LE(BigInt(file.dynamic), at + 8)
    bytes.writeBigUInt64LE(BigInt(file.hook), at + 16)
    bytes.writeUInt32LE(first, at + 24)
    bytes.writeUInt32LE(file.sites.length, at + 28)
    first += file.sites.length
  }
  for (const [i, { address, link }] of sites.entries()) {
    if (!(link >= 0 && link < LINK_END)) throw new Error(`a relocation to link ${link}`)
    if (!(address >= 0 && address < 2 ** ADDRESS_BITS)) throw new Error(`a relocation at address ${address}`)
    bytes.writeBigUInt64LE(BigInt(address) | (BigInt(link) << BigInt(ADDRESS_BITS)), sitesAt + i * 8)
  }
  bytes.writeBigUInt64LE(hashWords(bytes.subarray(16)), 8)
  return bytes
}

interface Keyed {
  readonly key: bigint
  readonly dynamic: number
  readonly hook: number
  readonly sites: readonly RelocatedSite[]
}

/** The files by ascending key, each key once: copies of one library have all in common. */
function distinct(files: readonly RelocatedFile[]): Keyed[] {
  const byKey = new Map<bigint, Keyed>()
  for (const { key, dynamic, sites, hook } of files) {
    const number = typeof key === 'bigint' ? key : BigInt(key.program)
    if (typeof key === 'bigint' ? key < KEY_BIT : number >= 1n << 32n)
      throw new Error(`a relocated file's key ${number}`)
    const file = {
      key: number,
      dynamic,
      hook: hook ?? 0,
      sites: [...sites].sort((a, b) => a.address - b.address),
    }
    const other = byKey.get(number)
    const text = (of: Keyed): string =>
      JSON.stringify([of.dynamic, of.hook, of.sites.map(({ address, link }) => [address, link])])
    if (other !== undefined && text(other) !== text(file))
      throw new Error(`two files that cannot be told apart need different relocations: key ${number.toString(16)}`)
    byKey.set(number, file)
  }
  return [...byKey.values()].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
}

/** What a table says; null for what is none. */
export function decodeRelocations(bytes: Buffer): Relocations | null {
  if (bytes.length < HEADER || bytes.toString('latin1', 0, 8) !== MAGIC) return null
  const [fileCount, siteCount, limit] = [16, 20, 24].map(at => bytes.readUInt32LE(at)) as [number, number, number]
  const sitesAt = HEADER + fileCount * FILE
  const end = sitesAt + siteCount * 8
  if (end !== bytes.length || hashWords(bytes.subarray(16)) !== bytes.readBigUInt64LE(8)) return null
  const sites = Array.from({ length: siteCount }, (_, i) => {
    const word = bytes.readBigUInt64LE(sitesAt + i * 8)
    return {
      address: Number(word & ((1n << BigInt(ADDRESS_BITS)) - 1n)),
      link: Number(word >> BigInt(ADDRESS_BITS)),
    }
  })
  const files = Array.from({ length: fileCount }, (_, i): RelocatedFile => {
    const at = HEADER + i * FILE
    const key = bytes.readBigUInt64LE(at)
    const first = bytes.readUInt32LE(at + 24)
    const hook = Number(bytes.readBigUInt64LE(at + 16))
    return {
      key: key < KEY_BIT ? { program: Number(key) } : key,
      dynamic: Number(bytes.readBigUInt64LE(at + 8)),
      sites: sites.slice(first, first + bytes.readUInt32LE(at + 28)),
      ...(hook === 0 ? {} : { hook }),
    }
  })
  return { limit: limit === NO_LIMIT ? Number.POSITIVE_INFINITY : limit, files }
}

const SEED = 0xcbf29ce484222325n
const PRIME = 0x100000001b3n

/** As stub.c has it, of bytes that are whole words. */
export function hashWords(bytes: Buffer): bigint {
  let value = SEED
  for (let at = 0; at < bytes.length; at += 8) {
    value = BigInt.asUintN(64, (value ^ bytes.readBigUInt64LE(at)) * PRIME)
    value ^= value >> 32n
  }
  return value
}

/**
 * What the stub knows a mapped library by: a hash of what its ELF header and program headers say. Throws where they do
 * not lie in the file's first page at address 0, and so cannot be found in memory (`hasLibraryKey`).
 * @param header the first bytes of the final file, with the program header table
 */
export function libraryKey(header: Buffer): bigint {
  if (!hasLibraryKey(header)) throw new Error('program headers that the stub would not find')
  const { shape, at, count, size } = programTable(header)
  const words = Buffer.alloc(16 + count * size)
  words.writeBigUInt64LE(readExact(header, 24, shape), 0)
  header.copy(words, 8, 16, 20) // e_type, e_machine
  words.writeUInt32LE(count, 12)
  header.copy(words, 16, at, at + count * size)
  return hashWords(words) | KEY_BIT
}

/** Whether the stub finds this library's program headers where it is mapped. */
export function hasLibraryKey(header: Buffer): boolean {
  if (header.length < SECTION_TABLE[64].header) return false
  const { shape, at, count, size, entry } = programTable(header)
  const end = at + count * size
  if (entry !== size || at % (shape.class / 8) !== 0) return false
  if (count > PHDRS_MAX || end > FIRST_PAGE || end > header.length) return false
  const fields = PHDR[shape.class]
  for (let row = at; row < end; row += size)
    if (readInt(header, row, shape) === PT.load)
      // The first PT_LOAD: the file from its start on, mapped at 0.
      return (
        readWord(header, row + fields.offset, shape) === 0 &&
        readWord(header, row + fields.vaddr, shape) === 0 &&
        readWord(header, row + fields.filesz, shape) >= end
      )
  return false
}

/** Where a file's program headers are, as its ELF header says. */
function programTable(header: Buffer) {
  const shape = { class: header[4] === 1 ? 32 : 64, little: header[5] !== 2 } as const
  const place = PROGRAM_TABLE[shape.class]
  return {
    shape,
    at: readWord(header, place.offset, shape),
    count: readHalf(header, place.count, shape),
    entry: readHalf(header, place.entry, shape),
    size: PHDR[shape.class].size,
  }
}
