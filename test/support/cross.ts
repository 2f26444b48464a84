/** Debian's cross compilers with the C library of each, and the emulator that runs their programs. */

export interface Cross {
  readonly name: string
  readonly cc: string
  /** What binutils' commands begin with. */
  readonly prefix: string
  /** Where the emulator finds a program's loader. */
  readonly sysroot: string
  readonly loader: string
  readonly libc: string
  readonly libraries: readonly string[]
  /** An absolute path. */
  readonly emulator: string
}

const cross = (name: string, triplet: string, loader: string, emulator = name): Cross => {
  const sysroot = `/usr/${triplet}`
  return {
    name,
    cc: `${triplet}-gcc`,
    prefix: `${triplet}-`,
    sysroot,
    loader: `${sysroot}/lib/${loader}`,
    libc: `${sysroot}/lib/libc.so.6`,
    libraries: ['libc.so.6', 'libm.so.6', 'libgcc_s.so.1'].map(library => `${sysroot}/lib/${library}`),
    emulator: `/usr/bin/qemu-${emulator}-static`,
  }
}

export const AARCH64 = cross('aarch64', 'aarch64-linux-gnu', 'ld-linux-aarch64.so.1')
/** gold does not know it, and Debian's lld not what its start files need. */
export const RISCV64 = cross('riscv64', 'riscv64-linux-gnu', 'ld-linux-riscv64-lp64d.so.1')
export const I686 = cross('i686', 'i686-linux-gnu', 'ld-linux.so.2', 'i386')
export const ARMV7L = cross('armv7l', 'arm-linux-gnueabihf', 'ld-linux-armhf.so.3', 'arm')
