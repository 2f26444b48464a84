/**
 * The stub in a bundle's program, as a fact of the file: where it finds the loader (struct config of entry/stub.c).
 * entry/inject.ts puts it there. Or the bootstrap, which entry/sidecar.ts puts over the program's own code.
 */
import type { Bootstrap, LoaderPlace } from './facts.ts'

/** What struct config begins with. */
export const MAGIC = 'SFSTUB1\0'
/** Bytes of struct config before the loader's path. */
export const CONFIG = 32
/** The largest stub segment that anybody looks for a stub in. In bytes. */
export const STUB_MAX = 64 * 1024

/** What the stub in a segment says of its loader; null for a segment without one. */
export function readStub(bytes: Buffer): LoaderPlace | null {
  const at = bytes.indexOf(MAGIC, 0, 'latin1')
  if (at < 0 || at + CONFIG >= bytes.length) return null
  const end = bytes.indexOf(0, at + CONFIG)
  return end < 0 ? null : { up: bytes.readUInt16LE(at + 24), path: bytes.toString('latin1', at + CONFIG, end) }
}

/** Bytes of struct boot before struct config. */
export const BOOT = 24
/** What struct config begins with in a bootstrap. */
export const BOOT_MAGIC = 'SFBOOT1\0'
/** A bootstrap with all that is behind it is never longer (entry/sidecar.c). In bytes. */
export const BOOT_MAX = 8192

/** What the bootstrap that these bytes begin with says; null for what begins with none. */
export function readBootstrap(bytes: Buffer): { stub: LoaderPlace; bootstrap: Bootstrap } | null {
  const at = bytes.indexOf(BOOT_MAGIC, 0, 'latin1')
  if (at < BOOT || at + CONFIG >= bytes.length) return null
  const end = bytes.indexOf(0, at + CONFIG)
  const last = end < 0 ? -1 : bytes.indexOf(0, end + 1)
  if (last < 0) return null
  return {
    stub: { up: bytes.readUInt16LE(at + 24), path: bytes.toString('latin1', at + CONFIG, end) },
    bootstrap: {
      digest: bytes
        .readBigUInt64LE(at - BOOT)
        .toString(16)
        .padStart(16, '0'),
      hashed: bytes.readUInt32LE(at - BOOT + 8),
      length: bytes.readUInt32LE(at - BOOT + 12),
      number: bytes.readUInt32LE(at - BOOT + 16),
      rpath: last === end + 1 ? null : { at: end + 1, value: bytes.toString('latin1', end + 1, last) },
    },
  }
}
