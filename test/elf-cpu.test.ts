/** CPUs by the numbers of an ELF header: their names, and what one process can hold together. */
import { describe, expect, test } from 'vitest'
import { abiName, archName, platformName } from '../src/elf/constants.ts'
import { parseElf } from '../src/elf/parse.ts'
import { sameMachine } from '../src/elf/search.ts'
import { bufferSource } from '../src/io/bytes.ts'
import { buildElf } from './support/elf-image.ts'

// e_machine and e_flags as readelf -h shows them for files of each; names as in lib.systems.doubles of nixpkgs.
test.each([
  [3, 32, true, 0, 'i686'],
  [62, 64, true, 0, 'x86_64'],
  [183, 64, true, 0, 'aarch64'],
  [183, 64, false, 0, 'aarch64_be'],
  [40, 32, true, 0x5000400, 'armv7l'],
  [40, 32, true, 0x5000200, 'armv5tel'],
  [243, 64, true, 5, 'riscv64'],
  [243, 32, true, 5, 'riscv32'],
  [258, 64, true, 0x43, 'loongarch64'],
  [22, 64, false, 0, 's390x'],
  [20, 32, false, 0x8000, 'powerpc'],
  [21, 64, false, 1, 'powerpc64'],
  [21, 64, true, 2, 'powerpc64le'],
  [8, 32, false, 0x70001005, 'mips'],
  [8, 32, true, 0x70001005, 'mipsel'],
  [8, 64, true, 0x80000007, 'mips64el'],
  [1234, 64, true, 0, 'machine-1234'],
] as const)('machine %i, %i bits, little-endian %s, flags %i: %s', (machine, bits, little, flags, name) => {
  expect(archName(machine, bits, little, flags)).toBe(name)
})

describe('one process holds two files', () => {
  const file = (machine: number, bits: 32 | 64, flags: number) =>
    parseElf(bufferSource(buildElf({ bits }).with({ e_machine: machine, e_flags: flags })), 'file')

  test.each([
    ['hard-float ARM and hard-float ARM', 40, 32, 0x5000400, 0x5000400, true],
    ['hard-float ARM and soft-float ARM', 40, 32, 0x5000400, 0x5000200, false],
    ['hard-float ARM and ARM that says nothing', 40, 32, 0x5000400, 0x5000000, true],
    ['hard-float ARM and ARM before EABI 5, where the bits mean something else', 40, 32, 0x5000400, 0x4000200, true],
    ['RISC-V for double and for soft', 243, 64, 5, 1, false],
    ['RISC-V for double with and without compressed instructions', 243, 64, 5, 4, true],
    ['POWER ELFv2 and ELFv1', 21, 64, 2, 1, false],
    ['POWER ELFv2 and one that says nothing', 21, 64, 2, 0, true],
    ['x86-64 whatever the flags', 62, 64, 0, 6, true],
  ] as const)('%s', (_, machine, bits, a, b, together) => {
    expect(sameMachine(file(machine, bits, a), file(machine, bits, b))).toBe(together)
  })

  test('$PLATFORM is the name that the kernel has', () => {
    // AT_PLATFORM, as LD_SHOW_AUXV=1 shows it.
    expect(['armv7l', 'i686', 'x86_64', 'aarch64'].map(platformName)).toEqual(['v7l', 'i686', 'x86_64', 'aarch64'])
  })

  test('that say nothing of floats have no convention to compare', () => {
    expect(abiName(62, 7)).toBeNull()
    expect(abiName(40, 0x5000000)).toBeNull()
  })
})
