/** What a Mach-O file says of itself. Types only. Offsets are from the start of the file, strings are byte strings. */

import type { Located } from '../io/bytes.ts'
import { MH } from './constants.ts'

export interface MachOFacts {
  readonly format: 'macho'
  /** One slice without a table before it, or a table with 32-bit or 64-bit offsets. */
  readonly container: 'thin' | 'fat' | 'fat64'
  /** At least one, in the order of the table. */
  readonly slices: readonly MachOSlice[]
}

/** One architecture: what would be a whole file were it alone. */
export interface MachOSlice {
  readonly offset: number
  /** In bytes; the rest of the file in a thin one. */
  readonly size: number
  /** Its entry in the table of a universal file, where `align` is a power of two; null in a thin one. */
  readonly entry: { readonly cputype: number; readonly cpusubtype: number; readonly align: number } | null
  readonly class: 32 | 64
  readonly little: boolean
  readonly cputype: number
  /** With the capability bits. */
  readonly cpusubtype: number
  /** `arm64`, `x86_64` ... */
  readonly arch: string
  /** MH_* (constants.ts). */
  readonly filetype: number
  readonly flags: number
  readonly sizeofcmds: number
  readonly commands: readonly LoadCommand[]
  readonly segments: readonly MachOSegment[]
  /** LC_ID_DYLIB: the name by which others ask for this library. */
  readonly id: Located | null
  readonly dylibs: readonly Dylib[]
  /** LC_RPATH, in order. */
  readonly rpaths: readonly Located[]
  /** LC_LOAD_DYLINKER of a program, LC_ID_DYLINKER of dyld itself. */
  readonly dylinker: Located | null
  /** LC_DYLD_ENVIRONMENT: `DYLD_NAME=value`. */
  readonly environment: readonly Located[]
  /** LC_BUILD_VERSION and LC_VERSION_MIN_*; versions as `11.0` or `10.14.6`. */
  readonly versions: readonly { readonly platform: string; readonly minos: string; readonly sdk: string }[]
  /** Where LC_CODE_SIGNATURE says that the signature lies; null without one. */
  readonly signature: { readonly offset: number; readonly size: number } | null
  /** Bytes between the load commands and the first thing behind them. */
  readonly room: number
}

export interface LoadCommand {
  readonly cmd: number
  readonly offset: number
  readonly size: number
}

export type DylibKind = 'load' | 'weak' | 'reexport' | 'upward' | 'lazy'

/** One wish for a library. */
export interface Dylib {
  readonly name: Located
  readonly kind: DylibKind
  /** Versions as Apple's tools print them: `1351.0.0`. */
  readonly current: string
  readonly compatibility: string
}

export interface MachOSegment {
  readonly name: string
  /** Of its load command. */
  readonly command: number
  readonly vmaddr: number
  readonly vmsize: number
  /** Relative to the slice, as in the file. */
  readonly fileoff: number
  readonly filesize: number
  readonly sections: readonly MachOSection[]
}

export interface MachOSection {
  readonly segment: string
  readonly name: string
  readonly size: number
  /** Relative to the slice, as in the file. */
  readonly offset: number
  readonly zerofill: boolean
}

/** Whether an offset of the file lies in the load commands of a slice. */
export const inLoadCommands = ({ slices }: MachOFacts, offset: number): boolean =>
  slices.some(s => s.commands.some(c => offset >= c.offset && offset < c.offset + c.size))

/** Whether a file is what dyld starts. */
export const isMachOProgram = <F extends { readonly format: string }>(facts: F | MachOFacts): facts is MachOFacts =>
  isMachOFacts(facts) && facts.slices.some(s => s.filetype === MH.execute)

const isMachOFacts = (facts: { readonly format: string }): facts is MachOFacts => facts.format === 'macho'
