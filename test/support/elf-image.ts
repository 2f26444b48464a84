/** A small ELF shared object, written field by field, that knows where each of its fields lies. */

export interface Image {
  readonly bytes: Buffer
  /** File offset and size in bytes of each number, by name. */
  readonly fields: ReadonlyMap<string, { readonly offset: number; readonly size: number }>
  /** File offset of each table. */
  readonly tables: Readonly<Record<Table, number>>
  /** A copy in which these fields have these values. */
  with(values: Readonly<Record<string, number | bigint>>): Buffer
}

type Table =
  | 'phdr'
  | 'interp'
  | 'note'
  | 'dynamic'
  | 'symtab'
  | 'hash'
  | 'gnuHash'
  | 'verneed'
  | 'verdef'
  | 'rela'
  | 'strtab'

interface Options {
  readonly bits?: 32 | 64
  readonly little?: boolean
  /** Dynamic entries by their name in the field names. */
  readonly without?: readonly string[]
}

export const INTERP = '/lib64/ld-linux-x86-64.so.2'
const NOTE = '[{"soname":["libdl1.so.1"],"feature":"f","description":"d","priority":"suggested"}]'
/** In this order in the string table, after an empty one. */
const STRINGS = [
  'libself.so.1',
  'libc.so.6',
  'libm.so.6',
  '/store/lib',
  '$ORIGIN',
  'puts',
  'local',
  'GLIBC_2.2.5',
  'SELF_1',
] as const

export function buildElf({ bits = 64, little = true, without = [] }: Options = {}): Image {
  const word = bits / 8
  const wide = bits === 64
  const bytes = Buffer.alloc(4096)
  const fields = new Map<string, { offset: number; size: number }>()
  let end = 0

  const put = (target: Buffer, value: number | bigint, offset: number, size: number): void => {
    const number = BigInt.asUintN(size * 8, BigInt(value))
    for (let i = 0; i < size; i++)
      target[offset + (little ? i : size - 1 - i)] = Number((number >> BigInt(8 * i)) & 0xffn)
  }
  /** Appends a number, under a name. */
  const field = (name: string, value: number | bigint, size: number): void => {
    fields.set(name, { offset: end, size })
    put(bytes, value, end, size)
    end += size
  }
  const raw = (text: string): number => {
    const offset = end
    end += bytes.write(text, end, 'latin1')
    return offset
  }
  const align = (to: number): number => (end = Math.ceil(end / to) * to)

  const strings = new Map<string, number>()
  let table = '\0'
  for (const string of STRINGS) {
    strings.set(string, table.length)
    table += `${string}\0`
  }
  const at = (string: (typeof STRINGS)[number]): number => strings.get(string)!

  // The header.
  raw('\x7fELF')
  for (const [name, value] of [
    ['class', wide ? 2 : 1],
    ['data', little ? 1 : 2],
    ['version', 1],
  ] as const)
    field(`ident.${name}`, value, 1)
  end = 16
  field('e_type', 3, 2)
  field('e_machine', 62, 2)
  field('e_version', 1, 4)
  field('e_entry', 0, word)
  field('e_phoff', wide ? 64 : 52, word)
  field('e_shoff', 0, word)
  field('e_flags', 0, 4)
  field('e_ehsize', wide ? 64 : 52, 2)
  field('e_phentsize', wide ? 56 : 32, 2)
  field('e_phnum', 4, 2)
  end = wide ? 64 : 52

  const tables = { phdr: end } as Record<Table, number>
  const segment = (name: string, type: number, flags: number): void => {
    field(`${name}.type`, type, 4)
    if (wide) field(`${name}.flags`, flags, 4)
    for (const key of ['offset', 'vaddr', 'paddr', 'filesz', 'memsz']) field(`${name}.${key}`, 0, word)
    if (!wide) field(`${name}.flags`, flags, 4)
    field(`${name}.align`, 4, word)
  }
  segment('load', 1, 4)
  segment('interp', 3, 4)
  segment('dynamic', 2, 6)
  segment('note', 4, 4)
  const place = (name: string, offset: number, size: number): void => {
    for (const [key, value] of [
      ['offset', offset],
      ['vaddr', offset],
      ['filesz', size],
      ['memsz', size],
    ] as const) {
      const f = fields.get(`${name}.${key}`)!
      put(bytes, value, f.offset, f.size)
    }
  }

  tables.interp = raw(`${INTERP}\0`)
  place('interp', tables.interp, end - tables.interp)

  tables.note = align(4)
  field('note.namesz', 4, 4)
  field('note.descsz', NOTE.length + 1, 4)
  field('note.n_type', 0x407c0c0a, 4)
  raw(`FDO\0${NOTE}\0`)
  align(4)
  place('note', tables.note, end - tables.note)

  tables.symtab = align(8)
  for (const [name, string] of [
    ['null', null],
    ['puts', 'puts'],
    ['local', 'local'],
  ] as const) {
    field(`sym.${name}.name`, string === null ? 0 : at(string), 4)
    end += wide ? 20 : 12
  }
  tables.hash = align(4)
  for (const [name, value] of [
    ['nbucket', 1],
    ['nchain', 3],
    ['bucket', 1],
    ['chain0', 0],
    ['chain1', 2],
    ['chain2', 0],
  ] as const)
    field(`hash.${name}`, value, 4)
  tables.gnuHash = align(8)
  for (const [name, value] of [
    ['nbuckets', 1],
    ['symoffset', 1],
    ['bloomWords', 1],
    ['shift', 0],
  ] as const)
    field(`gnu.${name}`, value, 4)
  field('gnu.bloom', 0, word)
  field('gnu.bucket', 1, 4)
  field('gnu.chain1', 2, 4)
  field('gnu.chain2', 3, 4)
  tables.verneed = align(4)
  for (const [name, value, size] of [
    ['version', 1, 2],
    ['cnt', 1, 2],
    ['file', at('libc.so.6'), 4],
    ['aux', 16, 4],
    ['next', 0, 4],
    ['aux.hash', 0, 4],
    ['aux.flags', 0, 2],
    ['aux.other', 2, 2],
    ['aux.name', at('GLIBC_2.2.5'), 4],
    ['aux.next', 0, 4],
  ] as const)
    field(`verneed.${name}`, value, size)
  tables.verdef = align(4)
  for (const [name, value, size] of [
    ['version', 1, 2],
    ['flags', 0, 2],
    ['ndx', 1, 2],
    ['cnt', 1, 2],
    ['hash', 0, 4],
    ['aux', 20, 4],
    ['next', 0, 4],
    ['aux.name', at('SELF_1'), 4],
    ['aux.next', 0, 4],
  ] as const)
    field(`verdef.${name}`, value, size)
  tables.rela = align(8)
  field('rela.offset', 0, word)
  field('rela.info', wide ? 2n << 32n : 2 << 8, word)
  field('rela.addend', 0, word)
  tables.strtab = raw(table)

  tables.dynamic = align(8)
  for (const [name, tag, value] of [
    ['needed', 1, at('libc.so.6')],
    ['needed2', 1, at('libm.so.6')],
    ['soname', 14, at('libself.so.1')],
    ['rpath', 15, at('/store/lib')],
    ['runpath', 29, at('$ORIGIN')],
    ['strtab', 5, tables.strtab],
    ['strsz', 10, table.length],
    ['symtab', 6, tables.symtab],
    ['hash', 4, tables.hash],
    ['gnuHash', 0x6ffffef5, tables.gnuHash],
    ['verneed', 0x6ffffffe, tables.verneed],
    ['verneednum', 0x6fffffff, 1],
    ['verdef', 0x6ffffffc, tables.verdef],
    ['verdefnum', 0x6ffffffd, 1],
    ['rela', 7, tables.rela],
    ['relasz', 8, 3 * word],
    ['flags1', 0x6ffffffb, 0],
    ['null', 0, 0],
  ] as const) {
    if (without.includes(name)) continue
    field(`dyn.${name}.tag`, tag, word)
    field(`dyn.${name}.val`, value, word)
  }
  place('dynamic', tables.dynamic, end - tables.dynamic)
  place('load', 0, end)

  const whole = bytes.subarray(0, end)
  return {
    bytes: whole,
    fields,
    tables,
    with(values) {
      const changed = Buffer.from(whole)
      for (const [name, value] of Object.entries(values)) {
        const f = fields.get(name)
        if (!f) throw new Error(`no field ${name}`)
        put(changed, value, f.offset, f.size)
      }
      return changed
    },
  }
}
