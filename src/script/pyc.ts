/**
 * Compiled Python modules: what ties a .pyc file to its source, so that it is still used when the source was edited.
 *
 * A .pyc begins with a magic number of four bytes, of which the last two are `\r\n` and the first two tell Python's
 * version. Then, by version:
 *
 *     before 3.3   the source's mtime
 *     3.3          the mtime, and the source's size modulo 2^32
 *     3.7          a word of flags (PEP 552): 0 means mtime and size follow; bit 0, a hash of the source instead;
 *                  bit 1, the hash is compared with the source at each import
 *
 * Python compares these with the source that lies beside and compiles it anew when they differ: slow at each start
 * where the bundle is read-only. The mtime of every file of a bundle is 1 as in a Nix store, so only the size needs
 * mending. A hash is not computed: the file is turned into one that is not checked, as nothing but the bundle's own
 * update would change the source.
 */

/** The bytes of a .pyc that `mendPyc` needs. */
export const PYC_HEAD = 16

/** The first magic numbers with a size and with flags (Lib/importlib/_bootstrap_external.py lists all). */
const MAGIC_SIZE = 3210
const MAGIC_FLAGS = 3392
/** Python 3 counts up from 3000; Python 1 and 2 have larger ones. PyPy has ones below, with headers of its own. */
const MAGIC_MIN = 3000
const MAGIC_MAX = 20_000

const TIMESTAMP = 0
const UNCHECKED_HASH = 1
const CHECKED_HASH = 3

/**
 * The path of the source that belongs to a .pyc (PEP 3147, PEP 488): `__pycache__/x.cpython-311.opt-1.pyc` and `x.pyc`
 * are of `x.py`. Byte strings.
 */
export function pycSource(path: string): string {
  const slash = path.lastIndexOf('/') + 1
  const directory = path.slice(0, slash)
  const name = path.slice(slash).replace(/\.pyc$/, '')
  const cached = /(?:^|\/)__pycache__\/$/.exec(directory)
  if (!cached) return `${directory}${name}.py`
  const parent = directory.slice(0, -'__pycache__/'.length)
  return `${parent}${name.replace(/\.opt-[^./]*$/, '').replace(/\.[^.]*$/, '')}.py`
}

/**
 * What to overwrite in a .pyc so that it is used beside its edited source; null where nothing needs to be.
 * @param head its first PYC_HEAD bytes
 * @param sourceSize of the edited source, in bytes
 */
export function mendPyc(
  head: Buffer,
  sourceSize: number,
): { readonly offset: number; readonly from: Buffer; readonly to: Buffer } | null {
  const header = parse(head)
  if (header === null) return null
  const { flags, size } = header
  if (flags === CHECKED_HASH) return overwrite(head, 4, UNCHECKED_HASH)
  return flags === TIMESTAMP && size !== null ? overwrite(head, size, sourceSize % 2 ** 32) : null
}

/** The flags, TIMESTAMP where there are none, and the place of the size, if there is one; null for any other file. */
function parse(head: Buffer): { flags: number; size: number | null } | null {
  if (head.length < 8 || head[2] !== 0x0d || head[3] !== 0x0a) return null
  const magic = head.readUInt16LE(0)
  if (magic < MAGIC_MIN) return null
  if (magic < MAGIC_SIZE || magic >= MAGIC_MAX) return { flags: TIMESTAMP, size: null }
  const flagged = magic >= MAGIC_FLAGS
  const length = flagged ? 16 : 12
  if (head.length < length) return null
  return { flags: flagged ? head.readUInt32LE(4) : TIMESTAMP, size: length - 4 }
}

function overwrite(head: Buffer, offset: number, value: number) {
  const from = Buffer.from(head.subarray(offset, offset + 4))
  const to = Buffer.alloc(4)
  to.writeUInt32LE(value)
  return from.equals(to) ? null : { offset, from, to }
}
