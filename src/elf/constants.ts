/** The numbers of elf(5), glibc's elf.h and the System V gABI that this tool reads or writes. */

export const ET = { exec: 2, dyn: 3 } as const

export const PT = {
  null: 0,
  load: 1,
  dynamic: 2,
  interp: 3,
  note: 4,
  phdr: 6,
  gnuRelro: 0x6474e552,
  gnuProperty: 0x6474e553,
} as const

export const PF = { x: 1, w: 2, r: 4 } as const

export const DT = {
  null: 0,
  needed: 1,
  pltrelsz: 2,
  hash: 4,
  strtab: 5,
  symtab: 6,
  rela: 7,
  relasz: 8,
  strsz: 10,
  soname: 14,
  rpath: 15,
  rel: 17,
  relsz: 18,
  pltrel: 20,
  debug: 21,
  jmprel: 23,
  bindNow: 24,
  runpath: 29,
  flags: 30,
  gnuHash: 0x6ffffef5,
  depaudit: 0x6ffffefb,
  audit: 0x6ffffefc,
  flags1: 0x6ffffffb,
  versym: 0x6ffffff0,
  verdef: 0x6ffffffc,
  verdefnum: 0x6ffffffd,
  verneed: 0x6ffffffe,
  verneednum: 0x6fffffff,
  mipsRldMapRel: 0x70000035,
  auxiliary: 0x7ffffffd,
  filter: 0x7fffffff,
} as const

export const DF = { bindNow: 8 } as const
export const DF_1 = { now: 1, nodeflib: 0x800, pie: 0x08000000 } as const

export const EM = { i386: 3, mips: 8, ppc64: 21, s390: 22, arm: 40, x8664: 62, aarch64: 183, riscv: 243 } as const

/** e_machine -> the CPU part of a Nix system string, as far as nothing else tells more. */
const ARCH: Readonly<Record<number, string>> = {
  [EM.i386]: 'i686',
  20: 'powerpc',
  [EM.s390]: 's390x',
  [EM.x8664]: 'x86_64',
  258: 'loongarch64',
}

/** The CPU part of a Nix system string, or `machine-<e_machine>`. */
export function archName(machine: number, bits: 32 | 64, little: boolean, flags: number): string {
  switch (machine) {
    case EM.mips:
      return `mips${bits === 64 ? '64' : ''}${little ? 'el' : ''}`
    case EM.ppc64:
      return little ? 'powerpc64le' : 'powerpc64'
    case EM.arm:
      // Of those that Nix knows, only this one has no floating point registers.
      return abiName(machine, flags) === 'soft' ? 'armv5tel' : 'armv7l'
    case EM.riscv:
      return `riscv${bits}`
    case EM.aarch64:
      return little ? 'aarch64' : 'aarch64_be'
    default:
      return ARCH[machine] ?? `machine-${machine}`
  }
}

/**
 * The calling convention that a file is for, where a CPU has several and ld.so passes over a library with another one
 * (`elf_machine_matches_host` of sysdeps/{arm,riscv,powerpc/powerpc64}/dl-machine.h); null where e_flags do not say.
 */
export function abiName(machine: number, flags: number): string | null {
  switch (machine) {
    case EM.arm: {
      // EF_ARM_EABI_VER5 only; EF_ARM_ABI_FLOAT_SOFT, EF_ARM_ABI_FLOAT_HARD.
      if (flags >>> 24 !== 5) return null
      return flags & 0x200 ? 'soft' : flags & 0x400 ? 'hard' : null
    }
    case EM.riscv:
      return FLOATS[(flags & 6) >> 1]!
    case EM.ppc64:
      return (flags & 3) === 0 ? null : `ELFv${flags & 3}`
    default:
      return null
  }
}
/** EF_RISCV_FLOAT_ABI: the widest numbers that are passed in registers. */
const FLOATS = ['soft', 'single', 'double', 'quad'] as const

/** What `$PLATFORM` stands for (AT_PLATFORM), where it is not the CPU's name; it varies with the CPU on s390x and POWER. */
export const platformName = (arch: string): string => (arch === 'armv7l' ? 'v7l' : arch)
