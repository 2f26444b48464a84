/**
 * The CPUs that programs start on by themselves in a bundle: for each there are the programs of this room, as build.sh made
 * them (prebuilt.ts). docs/new-cpu.md says what it takes to add one. Pure.
 */
import { EM } from '../elf/constants.ts'
import type { ElfFacts } from '../elf/facts.ts'
import { type Blob, type CpuName, PREBUILT } from './prebuilt.ts'

export interface EntryCpu {
  /** As in prebuilt.ts and in the sidecar's name. */
  readonly name: CpuName
  readonly class: 32 | 64
  /** The page size that a segment's place has to suit: the largest that the CPU's kernels use. In bytes. */
  readonly page: number
  /** Its names in Nix system strings; ARM has one for each generation, and all execute the oldest one's code. */
  readonly systems: readonly string[]
}

const CPUS: Readonly<Record<number, EntryCpu>> = {
  [EM.x8664]: { name: 'x86_64', class: 64, page: 0x1000, systems: ['x86_64'] },
  [EM.aarch64]: { name: 'aarch64', class: 64, page: 0x10000, systems: ['aarch64'] },
  [EM.riscv]: { name: 'riscv64', class: 64, page: 0x1000, systems: ['riscv64'] },
  [EM.i386]: { name: 'i686', class: 32, page: 0x1000, systems: ['i686'] },
  [EM.arm]: { name: 'arm', class: 32, page: 0x1000, systems: ['armv7l', 'armv6l', 'armv5tel'] },
}

/** The CPU that an ELF file is for; null for one that there are no programs for. */
export function entryCpu({
  machine,
  class: bits,
  little,
}: Pick<ElfFacts, 'machine' | 'class' | 'little'>): EntryCpu | null {
  const cpu = CPUS[machine]
  // x86_64 and AArch64 have ABIs with addresses of 32 bits, RISC-V is two CPUs.
  return cpu !== undefined && cpu.class === bits && little ? cpu : null
}

/** The same by the CPU's part of a Nix system string. */
export const entryCpuOf = (arch: string): EntryCpu | null =>
  Object.values(CPUS).find(({ systems }) => systems.includes(arch)) ?? null

/** All names in Nix system strings. */
export const entrySystems = (): string[] => Object.values(CPUS).flatMap(({ systems }) => systems)

/** What build.sh made for it; a copy. */
export const blobOf = ({ name }: EntryCpu, blob: Blob): Buffer => Buffer.from(PREBUILT[name][blob], 'base64')
