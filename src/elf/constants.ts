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
  runpath: 29,
  gnuHash: 0x6ffffef5,
  depaudit: 0x6ffffefb,
  audit: 0x6ffffefc,
  flags1: 0x6ffffffb,
  versym: 0x6ffffff0,
  verdef: 0x6ffffffc,
  verdefnum: 0x6ffffffd,
  verneed: 0x6ffffffe,
  verneednum: 0x6fffffff,
  auxiliary: 0x7ffffffd,
  filter: 0x7fffffff,
} as const

export const DF_1 = { nodeflib: 0x800, pie: 0x08000000 } as const

/** e_machine -> the CPU part of a Nix system string. */
const ARCH: Readonly<Record<number, string>> = {
  3: 'i686',
  8: 'mips',
  20: 'powerpc',
  21: 'powerpc64',
  22: 's390x',
  40: 'armv7l',
  62: 'x86_64',
  183: 'aarch64',
  243: 'riscv64',
  258: 'loongarch64',
}

export const archName = (machine: number, bits: 32 | 64): string =>
  machine === 243 && bits === 32 ? 'riscv32' : (ARCH[machine] ?? `machine-${machine}`)
