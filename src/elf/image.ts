/**
 * The tables of an ELF file that everything else is found through: header, program headers, dynamic section.
 */
import { type ByteSource, malformed, viewAt } from '../io/bytes.ts'
import { DT, PT } from './constants.ts'
import type { DynamicEntry, Segment } from './facts.ts'

/** True when these first bytes of a file are ELF's magic. */
export const isElf = (head: Uint8Array): boolean =>
  head.length >= 4 && head[0] === 0x7f && head[1] === 0x45 && head[2] === 0x4c && head[3] === 0x46
/** A thousand needed libraries take 16 KiB. In bytes. */
const DYNAMIC_MAX = 4 << 20

/** The file offset of a virtual address, through the PT_LOAD that has it; undefined when none has it in the file. */
function fileOffset(segments: readonly Segment[], vaddr: number): number | undefined {
  const load = segments.find(s => s.type === PT.load && vaddr >= s.vaddr && vaddr < s.vaddr + s.filesz)
  return load && vaddr - load.vaddr + load.offset
}

/** A file with the tables that everything else is found through. */
export interface Image {
  readonly source: ByteSource
  readonly path: string
  readonly header: Header
  readonly segments: readonly Segment[]
  readonly dynamic: readonly DynamicEntry[]
}

export function readImage(source: ByteSource, path: string): Image {
  const header = readHeader(source, path)
  const segments = readSegments(source, header, path)
  return { source, path, header, segments, dynamic: readDynamic(source, header, segments, path) }
}

export interface Header {
  readonly class: 32 | 64
  readonly little: boolean
  readonly type: number
  readonly machine: number
  readonly entry: number
  readonly flags: number
  readonly phoff: number
  readonly phentsize: number
  readonly phnum: number
}

function readHeader(source: ByteSource, path: string): Header {
  const ident = viewAt(source, 0, Math.min(16, source.size), true, 'ELF identification', path)
  if (!isElf(ident.buffer)) throw malformed(path, 'not an ELF file')
  const bits = ident.u8(4)
  const data = ident.u8(5)
  if (bits !== 1 && bits !== 2) throw malformed(path, `ELF class ${bits} is neither 32 nor 64 bit`)
  if (data !== 1 && data !== 2) throw malformed(path, `ELF byte order ${data} is neither little nor big endian`)
  if (ident.u8(6) !== 1) throw malformed(path, `ELF version ${ident.u8(6)} is not 1`)
  const wide = bits === 2
  const view = viewAt(source, 0, wide ? 64 : 52, data === 1, 'ELF header', path)
  const header: Header = {
    class: wide ? 64 : 32,
    little: data === 1,
    type: view.u16(16),
    machine: view.u16(18),
    entry: wide ? view.u64(24) : view.u32(24),
    flags: view.u32(wide ? 48 : 36),
    phoff: wide ? view.u64(32) : view.u32(28),
    phentsize: view.u16(wide ? 54 : 42),
    phnum: view.u16(wide ? 56 : 44),
  }
  const expected = wide ? 56 : 32
  if (header.phnum > 0 && header.phentsize !== expected)
    throw malformed(path, `program headers of ${header.phentsize} bytes, where the format has ${expected}`)
  if (header.phnum === 0xffff) throw malformed(path, 'more than 65534 program headers')
  return header
}

function readSegments(source: ByteSource, header: Header, path: string): Segment[] {
  if (header.phnum === 0) return []
  const size = header.phentsize
  const view = viewAt(source, header.phoff, header.phnum * size, header.little, 'program headers', path)
  return Array.from({ length: header.phnum }, (_, i) => {
    const at = i * size
    return header.class === 64
      ? {
          type: view.u32(at),
          flags: view.u32(at + 4),
          offset: view.u64(at + 8),
          vaddr: view.u64(at + 16),
          filesz: view.u64(at + 32),
          memsz: view.u64(at + 40),
          align: view.u64(at + 48),
        }
      : {
          type: view.u32(at),
          flags: view.u32(at + 24),
          offset: view.u32(at + 4),
          vaddr: view.u32(at + 8),
          filesz: view.u32(at + 16),
          memsz: view.u32(at + 20),
          align: view.u32(at + 28),
        }
  }).map(segment => {
    if (segment.type === PT.load && !(segment.offset + segment.filesz <= source.size))
      throw malformed(
        path,
        `truncated: a segment ends at ${segment.offset + segment.filesz}, the file at ${source.size}`,
      )
    return segment
  })
}

function readDynamic(
  source: ByteSource,
  header: Header,
  segments: readonly Segment[],
  path: string,
): readonly DynamicEntry[] {
  const segment = segments.find(s => s.type === PT.dynamic)
  if (!segment || segment.filesz === 0) return []
  if (segment.filesz > DYNAMIC_MAX) throw malformed(path, `a dynamic section of ${segment.filesz} bytes`)
  const view = viewAt(source, segment.offset, segment.filesz, header.little, 'PT_DYNAMIC', path)
  const word = header.class / 8
  const entries: DynamicEntry[] = []
  for (let at = 0; at + 2 * word <= view.size; at += 2 * word) {
    const tag = word === 8 ? view.u64(at) : view.u32(at)
    if (tag === DT.null) break
    const value = word === 8 ? view.u64(at + 8) : view.u32(at + 4)
    entries.push({ tag, value, offset: segment.offset + at })
  }
  return entries
}

/** Of a tag that stands twice, the loader takes the last. */
export const value = (dynamic: readonly DynamicEntry[], tag: number): number | undefined =>
  dynamic.findLast(e => e.tag === tag)?.value

/** The file offset of what a dynamic entry points to; undefined without that entry. */
export function pointee(image: Image, tag: number, what: string): number | undefined {
  const vaddr = value(image.dynamic, tag)
  if (vaddr === undefined) return undefined
  const offset = fileOffset(image.segments, vaddr)
  if (offset === undefined) throw malformed(image.path, `${what} at address ${vaddr} lies in no segment of the file`)
  return offset
}
