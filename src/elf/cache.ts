/**
 * ld.so.cache: which file the host's loader has on record for a name (glibc's sysdeps/generic/dl-cache.h, the format
 * "glibc-ld.so.cache1.1"; an older table may stand before it).
 */
import { BundleError } from '../errors.ts'
import { type ByteSource, View, viewAt } from '../io/bytes.ts'

const MAGIC = 'glibc-ld.so.cache1.1'
const HEADER = 48
const ENTRY = 24
/** In bytes. */
const PATH_MAX = 4096

/**
 * Paths by name, in the cache's order; entries for special CPUs left out. A cache that cannot be read holds nothing,
 * as for the loader.
 */
export function parseCache(source: ByteSource): Map<string, string[]> {
  const cache = new Map<string, string[]>()
  const bytes = source.read(0, source.size)
  const start = bytes.indexOf(MAGIC, 0, 'latin1')
  if (start < 0) return cache
  try {
    const view = viewAt(source, start, source.size - start, true, 'ld.so.cache', '/etc/ld.so.cache')
    const count = view.u32(20)
    for (let i = 0; i < count; i++) {
      const at = HEADER + i * ENTRY
      if (view.u64(at + 16) !== 0) continue
      const name = string(view, view.u32(at + 4))
      const path = string(view, view.u32(at + 8))
      const paths = cache.get(name)
      if (paths) paths.push(path)
      else cache.set(name, [path])
    }
  } catch (error) {
    if (error instanceof BundleError) return new Map()
    throw error
  }
  return cache
}

/** Many entries may point into one string without an end: no more of it is read than a path can have. */
const string = (view: View, at: number): string =>
  new View(view.buffer.subarray(at, at + PATH_MAX), true, 'ld.so.cache', '/etc/ld.so.cache').cstring(0)
