/**
 * Which files hold others in a form that a plain scan cannot see through.
 *
 * gzip, zlib and zip are looked into (containers.ts). The others are told by their magic numbers and are named to the
 * user, so that nothing is passed over in silence. Pictures, sounds and documents, which are packed too, are no
 * containers of files and are not named.
 */
import type { ByteSource } from '../io/bytes.ts'
import { isZlibHead } from './gzip.ts'
import { endsAsZip } from './zip.ts'

export type ContainerKind = 'gzip' | 'zip' | 'zlib'

/** Magic numbers at the start of a file, as byte strings. */
const MAGIC = [
  ['gzip', '\x1f\x8b\x08'],
  ['zip', 'PK\x03\x04'],
  // A zip without members, and one that was cut for several disks.
  ['zip', 'PK\x05\x06'],
  ['zip', 'PK\x07\x08PK\x03\x04'],
  ['xz', '\xfd7zXZ\0'],
  ['bzip2', 'BZh'],
  ['zstd', '\x28\xb5\x2f\xfd'],
  ['lz4', '\x04\x22\x4d\x18'],
  ['lz4', '\x02\x21\x4c\x18'],
  ['lzip', 'LZIP\x01'],
  ['lzop', '\x89LZO\0\r\n\x1a\n'],
  ['compress', '\x1f\x9d'],
  ['snappy', '\xff\x06\0\0sNaPpY'],
  ['7z', '7z\xbc\xaf\x27\x1c'],
  ['rar', 'Rar!\x1a\x07'],
  ['cab', 'MSCF\0\0\0\0'],
  ['xar', 'xar!\0\x1c'],
  ['rpm', '\xed\xab\xee\xdb'],
  ['deb', '!<arch>\ndebian-binary'],
  ['squashfs', 'hsqs'],
  ['squashfs', 'sqsh'],
  ['cramfs', '\x45\x3d\xcd\x28'],
  ['cpio', '070701'],
  ['cpio', '070702'],
  ['cpio', '070707'],
  ['wim', 'MSWIM\0\0\0'],
] as const satisfies readonly (readonly [string, string])[]

export type OpaqueKind = Exclude<(typeof MAGIC)[number][0], ContainerKind> | 'appimage' | 'asar' | 'erofs' | 'lzma'

/** So many bytes tell a kind. */
export const KIND_HEAD = 1028

/** The kind that a file's first bytes show (KIND_HEAD of them, or all there are); a zip may begin with anything. */
export function containerKind(head: Buffer, size: number): ContainerKind | OpaqueKind | null {
  return strongKind(head) ?? weakKind(head, size)
}

/** The kind of a file, zips with something before them too. */
export function containerKindOf(source: ByteSource): ContainerKind | OpaqueKind | null {
  const head = source.read(0, KIND_HEAD)
  return strongKind(head) ?? (endsAsZip(source) ? 'zip' : weakKind(head, source.size))
}

function strongKind(head: Buffer): ContainerKind | OpaqueKind | null {
  const text = head.toString('latin1', 0, 24)
  // The level, then the magic of a block (pi) or of the end (its root).
  if (text.startsWith('BZh')) return /^BZh[1-9](?:1AY&SY|\x17rE8P\x90)/.test(text) ? 'bzip2' : null
  if (/^\x7fELF.{4}AI[\x01\x02]/s.test(text)) return 'appimage'
  if (head.length >= KIND_HEAD && head.readUInt32LE(1024) === 0xe0f5e1e2) return 'erofs'
  // Electron's: four sizes, then the index as JSON.
  if (text.startsWith('\x04\0\0\0') && text.startsWith('{"files"', 16)) return 'asar'
  return MAGIC.find(([, magic]) => text.startsWith(magic))?.[0] ?? null
}

/** Kinds whose headers are no magic numbers: two bytes, of which one text in a thousand has some. */
function weakKind(head: Buffer, size: number): 'zlib' | 'lzma' | null {
  if (size >= 8 && isZlibHead(head)) return 'zlib'
  return head.length >= 13 && size > 13 && isLzmaHead(head) ? 'lzma' : null
}

/** As xz(1) tells .lzma: the usual properties, a dictionary of 2^n or 2^n + 2^(n-1) bytes, a size that may be. */
function isLzmaHead(head: Buffer): boolean {
  const dictionary = head.readUInt32LE(1)
  const high = 2 ** Math.floor(Math.log2(Math.max(1, dictionary)))
  const size = head.readBigUInt64LE(5)
  return (
    head[0] === 0x5d &&
    dictionary >= 0x1000 &&
    (dictionary === high || dictionary === high + high / 2) &&
    (size === 0xffffffffffffffffn || size < 1n << 38n)
  )
}
