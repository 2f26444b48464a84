/** A small Mach-O library with every load command that is read, written field by field. No linker makes such a file. */

export interface MachOImage {
  readonly bytes: Buffer
  /** File offset and size in bytes of each number, by name. */
  readonly fields: ReadonlyMap<string, { readonly offset: number; readonly size: number }>
  /** A copy in which these fields have these values. */
  with(values: Readonly<Record<string, number | bigint>>): Buffer
}

interface Options {
  readonly bits?: 32 | 64
  readonly little?: boolean
}

export const DYLIBS = [
  ['load', 0xc, '/usr/lib/libSystem.B.dylib'],
  ['weak', 0x80000018, '@rpath/libweak.dylib'],
  ['reexport', 0x8000001f, '@loader_path/libre.dylib'],
  ['upward', 0x80000023, '/nix/store/up.dylib'],
  ['lazy', 0x20, 'lazy.dylib'],
] as const

/** In bytes: more than the load commands of either width take, so that there is room. */
const TEXT = 1536
const LINKEDIT = 1792
const SIZE = 2048

export function buildMachO({ bits = 64, little = true }: Options = {}): MachOImage {
  const wide = bits === 64
  const word = bits / 8
  const bytes = Buffer.alloc(SIZE)
  const fields = new Map<string, { offset: number; size: number }>()
  let end = 0
  const put = (target: Buffer, value: number | bigint, offset: number, size: number): void => {
    const number = BigInt.asUintN(size * 8, BigInt(value))
    for (let i = 0; i < size; i++)
      target[offset + (little ? i : size - 1 - i)] = Number((number >> BigInt(8 * i)) & 0xffn)
  }
  const field = (name: string, value: number | bigint, size = 4): void => {
    fields.set(name, { offset: end, size })
    put(bytes, value, end, size)
    end += size
  }
  const text = (value: string, length: number): void => {
    bytes.write(value, end, 'latin1')
    end += length
  }
  let ncmds = 0
  const command = (name: string, cmd: number, contents: () => void): void => {
    const start = end
    field(`${name}.cmd`, cmd)
    field(`${name}.cmdsize`, 0)
    contents()
    end = start + Math.ceil((end - start) / word) * word
    put(bytes, end - start, start + 4, 4)
    ncmds++
  }
  const words = (name: string, ...values: readonly (readonly [string, number])[]): void => {
    for (const [key, value] of values) field(`${name}.${key}`, value)
  }
  const string = (name: string, cmd: number, value: string, ...before: readonly (readonly [string, number])[]): void =>
    command(name, cmd, () => {
      field(`${name}.string`, 12 + 4 * before.length)
      words(name, ...before)
      text(value, value.length + 1)
    })
  const segment = (name: string, fileoff: number, filesize: number, sections: () => void, nsects: number): void =>
    command(name, wide ? 0x19 : 1, () => {
      text(name, 16)
      field(`${name}.vmaddr`, fileoff, word)
      field(`${name}.vmsize`, 4096, word)
      field(`${name}.fileoff`, fileoff, word)
      field(`${name}.filesize`, filesize, word)
      words(name, ['maxprot', 5], ['initprot', 5], ['nsects', nsects], ['flags', 0])
      sections()
    })
  const section = (segname: string, name: string, offset: number, size: number, flags: number): void => {
    text(name, 16)
    text(segname, 16)
    field(`${name}.addr`, offset, word)
    field(`${name}.size`, size, word)
    words(name, ['offset', offset], ['align', 2], ['reloff', 0], ['nreloc', 0], ['flags', flags], ['r1', 0], ['r2', 0])
    if (wide) words(name, ['r3', 0])
  }

  field('header.magic', wide ? 0xfeedfacf : 0xfeedface)
  // PowerPC is what was big-endian.
  field('header.cputype', (little ? 7 : 18) + (wide ? 0x1000000 : 0))
  words('header', ['cpusubtype', little ? 3 : 0], ['filetype', 6], ['ncmds', 0], ['sizeofcmds', 0], ['flags', 0x85])
  if (wide) field('header.reserved', 0)
  const start = end
  const noSections = () => {}
  segment(
    '__TEXT',
    0,
    LINKEDIT,
    () => {
      section('__TEXT', '__text', TEXT, 64, 0x80000400)
      section('__TEXT', '__bss', 0, 4096, 1)
    },
    2,
  )
  segment('__LINKEDIT', LINKEDIT, SIZE - LINKEDIT, noSections, 0)
  const versions = [
    ['timestamp', 2],
    ['current', 0x05470203],
    ['compatibility', 0x10000],
  ] as const
  string('id', 0xd, '@rpath/libself.dylib', ...versions)
  for (const [name, cmd, value] of DYLIBS) string(name, cmd, value, ...versions)
  string('rpath', 0x8000001c, '/nix/store/lib')
  string('rpath2', 0x8000001c, '@loader_path/../lib')
  string('dylinker', 0xe, '/usr/lib/dyld')
  string('environment', 0x27, 'DYLD_LIBRARY_PATH=/x')
  command('build', 0x32, () => words('build', ['platform', 1], ['minos', 0xb0000], ['sdk', 0xe0201], ['ntools', 0]))
  command('minimum', 0x24, () => words('minimum', ['version', 0xa0e06], ['sdk', 0xa0f00]))
  command('symtab', 2, () => words('symtab', ['symoff', LINKEDIT], ['nsyms', 2], ['stroff', 1840], ['strsize', 16]))
  command('dysymtab', 0xb, () => {
    for (let i = 0; i < 6; i++) field(`dysymtab.index${i}`, 0)
    for (const key of ['toc', 'modtab', 'extrefsym', 'indirectsym', 'extrel', 'locrel'])
      words('dysymtab', [`${key}off`, key === 'indirectsym' ? 1856 : 0], [`n${key}`, key === 'indirectsym' ? 2 : 0])
  })
  command('dyldInfo', 0x80000022, () => {
    for (const [i, key] of ['rebase', 'bind', 'weakBind', 'lazyBind', 'export'].entries())
      words('dyldInfo', [`${key}_off`, 1872 + 8 * i], [`${key}_size`, 8])
  })
  for (const [i, [name, cmd]] of (
    [
      ['functionStarts', 0x26],
      ['dataInCode', 0x29],
      ['chainedFixups', 0x80000034],
      ['exportsTrie', 0x80000033],
      ['signature', 0x1d],
    ] as const
  ).entries())
    command(name, cmd, () => words(name, ['dataoff', 1920 + 8 * i], ['datasize', 8]))
  const set = (name: string, value: number): void => put(bytes, value, fields.get(name)!.offset, 4)
  set('header.ncmds', ncmds)
  set('header.sizeofcmds', end - start)
  if (end > TEXT) throw new Error(`load commands to ${end}`)
  return {
    bytes,
    fields,
    with(values) {
      const changed = Buffer.from(bytes)
      for (const [name, value] of Object.entries(values)) {
        const at = fields.get(name)
        if (!at) throw new Error(`no field ${name}`)
        put(changed, value, at.offset, at.size)
      }
      return changed
    },
  }
}

/** One slice of a universal file, and what its entry says where that is not the truth. */
export interface SliceEntry {
  readonly bytes: Buffer
  readonly cputype?: number
  readonly offset?: number
  readonly size?: number
  readonly align?: number
}

/** A universal file, its slices 4096 bytes apart from 4096 on. */
export function buildFat(slices: readonly SliceEntry[], wide = false): Buffer {
  const step = wide ? 32 : 20
  const file = Buffer.alloc(4096 * (slices.length + 1))
  file.writeUInt32BE(wide ? 0xcafebabf : 0xcafebabe, 0)
  file.writeUInt32BE(slices.length, 4)
  for (const [i, { bytes, cputype, offset, size, align }] of slices.entries()) {
    const place = 4096 * (i + 1)
    bytes.copy(file, place)
    const at = 8 + i * step
    file.writeUInt32BE(cputype ?? 0x01000007, at)
    file.writeUInt32BE(3, at + 4)
    const put = (value: number, to: number) =>
      wide ? file.writeBigUInt64BE(BigInt(value), to) : file.writeUInt32BE(value, to)
    put(offset ?? place, at + 8)
    put(size ?? bytes.length, at + (wide ? 16 : 12))
    file.writeUInt32BE(align ?? 12, at + (wide ? 24 : 16))
  }
  return file
}
