/**
 * The stub in a bundle's program, as a fact of the file: where it finds the loader (struct config of entry/stub.c).
 * entry/inject.ts puts it there.
 */
import type { LoaderPlace } from './facts.ts'

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
  return end < 0 ? null : { up: bytes.readUInt32LE(at + 24), path: bytes.toString('latin1', at + CONFIG, end) }
}
