/** What LLVM's reader says of a Mach-O file. It shares no code with src/. */
import { output } from './elf-tools.ts'

/** Values of one block of lines by their first word, as they are printed. */
export type Block = ReadonlyMap<string, string>

export interface PrintedCommand {
  readonly fields: Block
  readonly sections: readonly Block[]
}

export interface PrintedSlice {
  /** magic, cputype, cpusubtype, caps, filetype, ncmds, sizeofcmds, flags. */
  readonly header: readonly number[]
  readonly commands: readonly PrintedCommand[]
}

/** The load commands of every slice, by llvm-objdump (llvm-otool prints one slice only). */
export async function printedSlices(file: string): Promise<PrintedSlice[]> {
  const options = ['--macho', '--arch=all', '--private-headers', '--non-verbose']
  const text = await output('llvm-objdump-19', [...options, file])
  return text
    .split(/^Mach header\n/m)
    .slice(1)
    .map(slice => {
      const [head, ...commands] = slice.split(/^Load command \d+\n/m)
      return {
        header: head!.split('\n')[1]!.trim().split(/ +/).map(Number),
        commands: commands.map(command => {
          const [first, ...sections] = command.split(/^Section\n/m)
          return { fields: block(first!), sections: sections.map(block) }
        }),
      }
    })
}

/** Entries of the table of a universal file: cputype, cpusubtype with capabilities, offset, size, align. */
export async function printedTable(file: string): Promise<number[][]> {
  const text = await output('llvm-objdump-19', ['--macho', '--universal-headers', '--non-verbose', file])
  return text
    .split(/^architecture /m)
    .slice(1)
    .map(entry => {
      const fields = block(entry)
      const number = (key: string) => Number(fields.get(key)!.split(' ')[0]!.replace(/^2\^/, ''))
      const subtype = number('capabilities') * 2 ** 24 + number('cpusubtype')
      return [number('cputype'), subtype, number('offset'), number('size'), number('align')]
    })
}

/** `   key value of any words`, the first of two lines with one key; what is not indented is the next slice's name. */
function block(text: string): Block {
  const fields = new Map<string, string>()
  for (const line of text.split('\n')) {
    const [, key, value] = /^(compatibility version| +(?:current version|time stamp|\S+)) (.*)$/.exec(line) ?? []
    if (key !== undefined && !fields.has(key.trim())) fields.set(key.trim(), value!.trim())
  }
  return fields
}
