/**
 * The tables of a Mach-O file that everything else is found through: the list of slices, and in each of them the
 * header and the list of load commands.
 */
import { type ByteSource, malformed, type View, viewAt } from '../io/bytes.ts'
import { CPU_ARCH_ABI64, FAT_MAGIC, MH_MAGIC } from './constants.ts'
import type { LoadCommand, MachOFacts, MachOSlice } from './facts.ts'

/** Java class files have the magic of universal files, and then their version, which began at 45. */
const SLICES_MAX = 42
/** In bytes; a program that links a thousand libraries has 100 KiB. */
const COMMANDS_MAX = 4 << 20
/** A power of two; lipo takes no more. */
const ALIGN_MAX = 15

const isSliceMagic = (magic: number): boolean =>
  magic === MH_MAGIC.be32 || magic === MH_MAGIC.be64 || magic === MH_MAGIC.le32 || magic === MH_MAGIC.le64

/** So many bytes decide isMachO. */
export const MACHO_HEAD = 28

/**
 * True when these first bytes of a file (MACHO_HEAD of them, or all there are) begin a slice, or a table of slices
 * whose first entry is possible: a Java class, which begins with the same four bytes, has none.
 */
export function isMachO(head: Buffer): boolean {
  if (head.length < 4) return false
  const magic = head.readUInt32BE(0)
  if (isSliceMagic(magic)) return true
  const wide = magic === FAT_MAGIC.fat64
  if ((!wide && magic !== FAT_MAGIC.fat) || head.length < MACHO_HEAD) return false
  const count = head.readUInt32BE(4)
  if (count < 1 || count > SLICES_MAX) return false
  const offset = wide ? Number(head.readBigUInt64BE(16)) : head.readUInt32BE(16)
  return offset >= 8 + count * (wide ? 32 : 20)
}

/**
 * Whether every slice begins as one. A universal file may hold static libraries instead, which no loader reads.
 * Reads four bytes of each slice.
 */
export function holdsMachO(source: ByteSource): boolean {
  const head = source.read(0, MACHO_HEAD)
  if (!isMachO(head)) return false
  if (isSliceMagic(head.readUInt32BE(0))) return true
  const wide = head.readUInt32BE(0) === FAT_MAGIC.fat64
  const count = head.readUInt32BE(4)
  const table = source.read(8, count * (wide ? 32 : 20))
  for (let i = 0; i < count; i++) {
    const at = i * (wide ? 32 : 20) + 8
    if (at + 8 > table.length) return false
    const offset = wide ? Number(table.readBigUInt64BE(at)) : table.readUInt32BE(at)
    const first = offset < source.size ? source.read(offset, 4) : Buffer.alloc(0)
    if (first.length < 4 || !isSliceMagic(first.readUInt32BE(0))) return false
  }
  return true
}

/** A range of the file that holds one architecture. */
export type Extent = Pick<MachOSlice, 'offset' | 'size' | 'entry'>

export function readExtents(
  source: ByteSource,
  path: string,
): { readonly container: MachOFacts['container']; readonly extents: readonly Extent[] } {
  const magic = viewAt(source, 0, 4, false, 'Mach-O magic', path).u32(0)
  if (isSliceMagic(magic)) return { container: 'thin', extents: [{ offset: 0, size: source.size, entry: null }] }
  if (magic !== FAT_MAGIC.fat && magic !== FAT_MAGIC.fat64) throw malformed(path, 'not a Mach-O file')
  const wide = magic === FAT_MAGIC.fat64
  const count = viewAt(source, 0, 8, false, 'universal header', path).u32(4)
  if (count === 0) throw malformed(path, 'a universal file without slices')
  if (count > SLICES_MAX) throw malformed(path, `a universal file of ${count} slices`)
  const step = wide ? 32 : 20
  const view = viewAt(source, 8, count * step, false, 'the table of slices', path)
  const extents = Array.from({ length: count }, (_, i): Extent => {
    const at = i * step
    return {
      offset: wide ? view.u64(at + 8) : view.u32(at + 8),
      size: wide ? view.u64(at + 16) : view.u32(at + 12),
      entry: {
        cputype: view.u32(at),
        cpusubtype: view.u32(at + 4),
        align: view.u32(at + (wide ? 24 : 16)),
      },
    }
  })
  for (const [i, { offset, size, entry }] of extents.entries()) {
    if (!(offset + size <= source.size))
      throw malformed(path, `slice ${i}: ${size} bytes at ${offset}, but the file has ${source.size}`)
    const align = entry?.align ?? 0
    if (align > ALIGN_MAX) throw malformed(path, `slice ${i}: an alignment of 2^${align}`)
    if (offset % 2 ** align !== 0) throw malformed(path, `slice ${i}: at ${offset}, which is no multiple of 2^${align}`)
  }
  let end = 8 + count * step
  let before = 'the table of slices'
  for (const { offset, size } of extents.toSorted((a, b) => a.offset - b.offset || a.size - b.size)) {
    if (offset < end) throw malformed(path, `the slice at ${offset} overlaps ${before}, which ends at ${end}`)
    ;[end, before] = [offset + size, `the slice at ${offset}`]
  }
  return { container: wide ? 'fat64' : 'fat', extents }
}

export interface Header {
  readonly class: 32 | 64
  readonly little: boolean
  readonly cputype: number
  readonly cpusubtype: number
  readonly filetype: number
  readonly ncmds: number
  readonly sizeofcmds: number
  readonly flags: number
}

/** In bytes. */
export const headerSize = (header: { readonly class: 32 | 64 }): number => (header.class === 64 ? 32 : 28)

export function readHeader(source: ByteSource, extent: Extent, path: string): Header {
  const { offset, size, entry } = extent
  if (size < 4) throw malformed(path, `a slice of ${size} bytes`)
  const magic = viewAt(source, offset, 4, false, 'Mach-O magic', path).u32(0)
  if (magic === FAT_MAGIC.fat || magic === FAT_MAGIC.fat64)
    throw malformed(path, `the slice at ${offset} is a universal file itself`)
  if (!isSliceMagic(magic)) throw malformed(path, `the slice at ${offset} is no Mach-O file`)
  const wide = magic === MH_MAGIC.be64 || magic === MH_MAGIC.le64
  const little = magic === MH_MAGIC.le32 || magic === MH_MAGIC.le64
  const length = wide ? 32 : 28
  if (size < length) throw malformed(path, `Mach-O header: ${length} bytes, but the slice has ${size}`)
  const view = viewAt(source, offset, length, little, 'Mach-O header', path)
  const header: Header = {
    class: wide ? 64 : 32,
    little,
    cputype: view.u32(4),
    cpusubtype: view.u32(8),
    filetype: view.u32(12),
    ncmds: view.u32(16),
    sizeofcmds: view.u32(20),
    flags: view.u32(24),
  }
  if (((header.cputype & CPU_ARCH_ABI64) !== 0) !== wide)
    throw malformed(path, `a header of ${header.class} bits for CPU type ${header.cputype}`)
  if (entry && entry.cputype !== header.cputype)
    throw malformed(path, `the table says CPU type ${entry.cputype}, the slice at ${offset} ${header.cputype}`)
  return header
}

/** The load commands of a slice with a view that begins at its header. */
export interface Commands {
  readonly view: View
  readonly commands: readonly LoadCommand[]
}

export function readCommands(source: ByteSource, extent: Extent, header: Header, path: string): Commands {
  const { ncmds, sizeofcmds, little } = header
  const start = headerSize(header)
  if (sizeofcmds > COMMANDS_MAX || start + sizeofcmds > extent.size)
    throw malformed(path, `load commands of ${sizeofcmds} bytes in a slice of ${extent.size}`)
  if (ncmds * 8 > sizeofcmds) throw malformed(path, `${ncmds} load commands in ${sizeofcmds} bytes`)
  const view = viewAt(source, extent.offset, start + sizeofcmds, little, 'load commands', path)
  const commands: LoadCommand[] = []
  let at = start
  for (let i = 0; i < ncmds; i++) {
    const left = view.size - at
    if (left < 8) throw malformed(path, `load command ${i}: 8 bytes at ${at} of ${view.size}`)
    const size = view.u32(at + 4)
    if (size < 8) throw malformed(path, `load command ${i}: a size of ${size} bytes`)
    if (size % 4 !== 0) throw malformed(path, `load command ${i}: a size of ${size} bytes is no multiple of 4`)
    if (size > left) throw malformed(path, `load command ${i}: ${size} bytes, but ${left} are left`)
    commands.push({ cmd: view.u32(at), offset: extent.offset + at, size })
    at += size
  }
  return { view, commands }
}
