/**
 * Typelibs: what GObject introspection (PyGObject, gjs, Vala) knows of a library, compiled, and which file that is. In
 * nixpkgs that is a store path, for no system directory has it; libgmodule gives it to dlopen, which takes a soname as well.
 */
import { type ByteSource, type Located, View } from '../io/bytes.ts'

const MAGIC = 'GOBJ\nMETADATA\r\n\x1a'
/** Where the header says at which offset the names of libraries stand (girepository/gitypelib-internal.h, Header). */
const SHARED_LIBRARY = 52
const HEADER = 112
/** More than all libraries of one would have. In bytes. */
const NAMES_MAX = 64 << 10
/** A header's integers are its machine's; its version, which is 4, says nothing of it, but its offsets lie within the file. */
const ORDERS = [true, false]

/** Paths or names of libraries, with commas between; null where there are none, and for what is no typelib. */
export function librariesOf(source: ByteSource, path: string): Located | null {
  const header = source.read(0, HEADER)
  if (header.length < HEADER || header.toString('latin1', 0, MAGIC.length) !== MAGIC) return null
  for (const little of ORDERS) {
    const offset = new View(header, little, 'the header of a typelib', path).u32(SHARED_LIBRARY)
    if (offset < HEADER || offset >= source.size) continue
    const bytes = source.read(offset, NAMES_MAX)
    const end = bytes.indexOf(0)
    if (end > 0) return { value: bytes.toString('latin1', 0, end), offset, capacity: end + 1 }
  }
  return null
}

/** The names in it. */
export const namesIn = ({ value }: Located): string[] => value.split(',').filter(name => name !== '')

/** By this object they are opened. */
export const OPENER = /^libgmodule-2\.0\.so(?:\.|$)/
