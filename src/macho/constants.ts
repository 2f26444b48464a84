/** The numbers of Apple's mach-o/loader.h, mach-o/fat.h and mach/machine.h that this tool reads or writes. */

/** First word of a slice, as a big-endian reader sees it. */
export const MH_MAGIC = { be32: 0xfeedface, be64: 0xfeedfacf, le32: 0xcefaedfe, le64: 0xcffaedfe } as const

/** First word of a universal file, always big-endian; fat64 has 64-bit offsets. */
export const FAT_MAGIC = { fat: 0xcafebabe, fat64: 0xcafebabf } as const

export const MH = { object: 1, execute: 2, dylib: 6, dylinker: 7, bundle: 8, dylibStub: 9, dsym: 10 } as const

const LC_REQ_DYLD = 0x80000000

export const LC = {
  segment: 1,
  symtab: 2,
  dysymtab: 0xb,
  loadDylib: 0xc,
  idDylib: 0xd,
  loadDylinker: 0xe,
  idDylinker: 0xf,
  loadWeakDylib: 0x18 + LC_REQ_DYLD,
  segment64: 0x19,
  rpath: 0x1c + LC_REQ_DYLD,
  codeSignature: 0x1d,
  segmentSplitInfo: 0x1e,
  reexportDylib: 0x1f + LC_REQ_DYLD,
  lazyLoadDylib: 0x20,
  dyldInfo: 0x22,
  dyldInfoOnly: 0x22 + LC_REQ_DYLD,
  loadUpwardDylib: 0x23 + LC_REQ_DYLD,
  versionMinMacosx: 0x24,
  versionMinIphoneos: 0x25,
  functionStarts: 0x26,
  dyldEnvironment: 0x27,
  dataInCode: 0x29,
  dylibCodeSignDrs: 0x2b,
  linkerOptimizationHint: 0x2e,
  versionMinTvos: 0x2f,
  versionMinWatchos: 0x30,
  buildVersion: 0x32,
  dyldExportsTrie: 0x33 + LC_REQ_DYLD,
  dyldChainedFixups: 0x34 + LC_REQ_DYLD,
  atomInfo: 0x36,
} as const

/** dylib_use_command: a dylib command whose timestamp is this mark has flags behind its versions (dyld since 2023). */
export const DYLIB_USE = { marker: 0x1a741800, size: 28, weak: 1, reexport: 2, upward: 4, delayed: 8 } as const

/** Low byte of a section's flags: sections that take no bytes of the file. */
export const ZEROFILL: ReadonlySet<number> = new Set([0x1, 0xc, 0x12])

export const CPU_ARCH_ABI64 = 0x01000000
/** The high byte of a subtype holds capabilities, such as the version of arm64e's ABI. */
export const SUBTYPE_MASK = 0x00ffffff
export const CPU = { x86: 7, x86_64: 0x01000007, arm: 12, arm64: 0x0100000c, arm64_32: 0x0200000c, ppc: 18 } as const
export const ARM64E = 2

/** As Apple's tools name it: `arm64`, `arm64e`, `x86_64`; else `cpu-<type>`. */
export function archName(cputype: number, cpusubtype: number): string {
  const subtype = cpusubtype & SUBTYPE_MASK
  switch (cputype) {
    case CPU.x86:
      return 'i386'
    case CPU.x86_64:
      return subtype === 8 ? 'x86_64h' : 'x86_64'
    case CPU.arm:
      return subtype === 9 ? 'armv7' : 'arm'
    case CPU.arm64:
      return subtype === ARM64E ? 'arm64e' : 'arm64'
    case CPU.arm64_32:
      return 'arm64_32'
    case CPU.ppc:
      return 'ppc'
    case CPU.ppc + CPU_ARCH_ABI64:
      return 'ppc64'
    default:
      return `cpu-${cputype}`
  }
}

/** Bytes of memory that one page has: a segment's size in memory is a multiple. */
export const pageSize = (cputype: number): number =>
  cputype === CPU.arm64 || cputype === CPU.arm64_32 ? 0x4000 : 0x1000

/** Up to the next multiple of a power of two, or of any other number. */
export const roundUp = (value: number, unit: number): number => Math.ceil(value / unit) * unit
