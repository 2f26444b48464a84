/**
 * The sections of an ELF file in which a plain search sees nothing: compressed debug information, and the symbols that
 * Fedora keeps in xz.
 */
import type { ByteSource } from '../io/bytes.ts'
import { type Section, SHT } from './sections.ts'

export interface PackedSection {
  readonly name: string
  readonly how: 'zlib' | 'zstd' | 'xz' | 'unknown'
  /** Of the packed bytes. */
  readonly offset: number
  readonly size: number
  /** Of the contents, in bytes, by the section's own word. */
  readonly unpacked: number
}

const SHF_COMPRESSED = 0x800
/** ch_type of the header that such a section begins with (elf(5), Elf64_Chdr). */
const ELFCOMPRESS: Readonly<Record<number, 'zlib' | 'zstd'>> = { 1: 'zlib', 2: 'zstd' }
/** Before there was SHF_COMPRESSED: `ZLIB` and the size, in sections named `.zdebug_*`. */
const OLD_HEADER = 12

/** @param sections all of the file's */
export function packedSections(source: ByteSource, sections: readonly Section[]): PackedSection[] {
  const ident = source.read(0, 6)
  const [wide, little] = [ident[4] === 2, ident[5] === 1]
  const header = wide ? 24 : 12
  return sections.flatMap((section): PackedSection[] => {
    const { name, type, flags, offset, size } = section
    if (type === SHT.nobits || !(offset + size <= source.size)) return []
    if (name === '.gnu_debugdata') return [{ name, how: 'xz', offset, size, unpacked: 0 }]
    const isCompressed = Math.floor(flags / SHF_COMPRESSED) % 2 === 1
    if (!isCompressed && !name.startsWith('.zdebug')) return []
    const head = source.read(offset, Math.min(size, 24))
    if (!isCompressed) {
      if (size < OLD_HEADER || head.toString('latin1', 0, 4) !== 'ZLIB') return []
      const unpacked = Number(head.readBigUInt64BE(4))
      return [{ name, how: 'zlib', offset: offset + OLD_HEADER, size: size - OLD_HEADER, unpacked }]
    }
    if (size < header) return [{ name, how: 'unknown', offset, size, unpacked: 0 }]
    const how = ELFCOMPRESS[little ? head.readUInt32LE(0) : head.readUInt32BE(0)] ?? 'unknown'
    const unpacked = wide
      ? Number(little ? head.readBigUInt64LE(8) : head.readBigUInt64BE(8))
      : little
        ? head.readUInt32LE(4)
        : head.readUInt32BE(4)
    return [{ name, how, offset: offset + header, size: size - header, unpacked }]
  })
}
