/**
 * The sections of an ELF file (gABI, "Sections"): what people call the parts of a file. Nothing that runs depends on
 * them, so what is wrong with the table only means that there are none.
 */
import { BundleError } from '../errors.ts'
import { type ByteSource, viewAt } from '../io/bytes.ts'

export interface Section {
  /** Byte string such as `.rodata`. */
  readonly name: string
  readonly offset: number
  /** In bytes, in the file. */
  readonly size: number
  /** SHF_COMPRESSED: it begins with a header that says how (elf(5), Elf64_Chdr). */
  readonly compressed: boolean
}

/** A section whose contents are packed. */
export interface PackedSection {
  readonly name: string
  readonly how: 'zlib' | 'zstd' | 'xz' | 'unknown'
  /** Of the packed bytes. */
  readonly offset: number
  readonly size: number
  /** Of the contents, in bytes, by the section's own word. */
  readonly unpacked: number
}

const SHT_NOBITS = 8
const SHF_COMPRESSED = 0x800
/** All tables of real files are smaller. In bytes. */
const TABLE_MAX = 64 << 20

/** The sections that have bytes in the file, in the table's order; none where the table cannot be read. */
export function readSections(source: ByteSource, path: string): Section[] {
  try {
    return sections(source, path)
  } catch (error) {
    if (error instanceof BundleError && error.code === 'malformed') return []
    throw error
  }
}

function sections(source: ByteSource, path: string): Section[] {
  const ident = viewAt(source, 0, 6, true, 'ELF identification', path)
  const wide = ident.u8(4) === 2
  const little = ident.u8(5) === 1
  const header = viewAt(source, 0, wide ? 64 : 52, little, 'ELF header', path)
  const table = wide ? header.u64(40) : header.u32(32)
  const size = wide ? 64 : 40
  const count = header.u16(wide ? 60 : 48)
  if (table === 0 || count === 0 || header.u16(wide ? 58 : 46) !== size) return []
  const view = viewAt(source, table, count * size, little, 'section headers', path)
  const all = Array.from({ length: count }, (_, i) => {
    const at = i * size
    return {
      nameAt: view.u32(at),
      type: view.u32(at + 4),
      flags: wide ? view.u64(at + 8) : view.u32(at + 8),
      offset: wide ? view.u64(at + 24) : view.u32(at + 16),
      size: wide ? view.u64(at + 32) : view.u32(at + 20),
    }
  })
  const strings = all[header.u16(wide ? 62 : 50)]
  if (strings === undefined || strings.size > TABLE_MAX) return []
  const names = viewAt(source, strings.offset, strings.size, little, 'section names', path)
  return all
    .filter(s => s.type !== SHT_NOBITS && s.size > 0 && s.offset + s.size <= source.size)
    .map(s => ({
      name: names.cstring(s.nameAt),
      offset: s.offset,
      size: s.size,
      compressed: Math.floor(s.flags / SHF_COMPRESSED) % 2 === 1,
    }))
}

const ELFCOMPRESS: Readonly<Record<number, 'zlib' | 'zstd'>> = { 1: 'zlib', 2: 'zstd' }
/** Before there was SHF_COMPRESSED: `ZLIB` and the size, in sections named `.zdebug_*`. */
const OLD_HEADER = 12

/** The sections in which a plain search sees nothing: compressed debug information, Fedora's symbols in xz. */
export function packedSections(source: ByteSource, path: string): PackedSection[] {
  return readSections(source, path).flatMap(({ name, offset, size, compressed }): PackedSection[] => {
    if (name === '.gnu_debugdata') return [{ name, how: 'xz', offset, size, unpacked: 0 }]
    const [ident, head] = [source.read(0, 6), source.read(offset, 24)]
    if (name.startsWith('.zdebug') && size >= OLD_HEADER && head.toString('latin1', 0, 4) === 'ZLIB')
      return [
        {
          name,
          how: 'zlib',
          offset: offset + OLD_HEADER,
          size: size - OLD_HEADER,
          unpacked: Number(head.readBigUInt64BE(4)),
        },
      ]
    const [wide, little] = [ident[4] === 2, ident[5] === 1]
    const header = wide ? 24 : 12
    if (!compressed || size < header) return []
    const type = little ? head.readUInt32LE(0) : head.readUInt32BE(0)
    const unpacked = wide
      ? Number(little ? head.readBigUInt64LE(8) : head.readBigUInt64BE(8))
      : little
        ? head.readUInt32LE(4)
        : head.readUInt32BE(4)
    return [{ name, how: ELFCOMPRESS[type] ?? 'unknown', offset: offset + header, size: size - header, unpacked }]
  })
}
