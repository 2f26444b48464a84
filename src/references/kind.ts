/**
 * Which files hold others in a form that a plain scan cannot see through.
 *
 * gzip, zlib and zip are looked into (containers.ts). The others are told by their magic numbers and are named to the
 * user, so that nothing is passed over in silence. Pictures, sounds and documents, which are packed too, are no
 * containers of files and are not named.
 */
import type { ByteSource } from '../io/bytes.ts'
import { isZlibHead } from './gzip.ts'
import { crc32 } from './inflate.ts'
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
  ['lrzip', 'LRZI'],
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
  // Disk images whose clusters may be packed.
  ['qcow2', 'QFI\xfb'],
  ['vmdk', 'KDMV'],
  ['vmdk', 'COWD'],
  // Kernels for U-Boot.
  ['uimage', '\x27\x05\x19\x56'],
  // Flash memory: nodes that are packed each by itself.
  ['ubi', 'UBI#\x01'],
  ['ubifs', '\x31\x18\x10\x06'],
  ['jffs2', '\x85\x19\x03\x20'],
  ['jffs2', '\x85\x19\x01\xe0'],
  ['jffs2', '\x85\x19\x02\xe0'],
  ['zpaq', '7kSt\xa0\x31\x83\xd3\x8c\xb2\x28\xb0\xd3'],
  ['zpaq', 'zPQ'],
  ['rzip', 'RZIP'],
  ['chm', 'ITSF\x03\0\0\0'],
  // Mozilla's settings and bookmarks.
  ['mozlz4', 'mozLz40\0'],
  ['journal', 'LPKSHHRH'],
  ['flatpak', 'flatpak\0'],
  ['parquet', 'PAR1'],
  ['orc', 'ORC\x0a'],
  // Chez Scheme packs objects with LZ4, and shifts the characters of strings by a bit.
  ['chez', '\0\0\0\0chez'],
] as const satisfies readonly (readonly [string, string])[]

export type OpaqueKind =
  | Exclude<(typeof MAGIC)[number][0], ContainerKind>
  | 'appimage'
  | 'arj'
  | 'asar'
  | 'brotli'
  | 'btrfs'
  | 'bzimage'
  | 'dmg'
  | 'erofs'
  | 'iso9660'
  | 'lha'
  | 'lzma'
  | 'ostree'
  | 'rcc'
  | 'rdb'
  | 'self-extractor'
  | 'uki'
  | 'upx'

/** So many bytes tell a kind. */
export const KIND_HEAD = 1028

/** The kind that a file's first bytes show (KIND_HEAD of them, or all there are); a zip may begin with anything. */
export function containerKind(head: Buffer, size: number): ContainerKind | OpaqueKind | null {
  return strongKind(head) ?? weakKind(head, size)
}

/** The kind of a file, zips with something before them too. */
export function containerKindOf(source: ByteSource): ContainerKind | OpaqueKind | null {
  const head = source.read(0, KIND_HEAD)
  return strongKind(head) ?? (endsAsZip(source) ? 'zip' : (kindFarIn(source, head) ?? weakKind(head, source.size)))
}

/** Where a volume of ISO 9660 says what it is: in its 17th sector (ECMA-119, 6.7.1). */
const ISO = 16 * 2048 + 1
/** In btrfs's first superblock. */
const BTRFS = 0x10040
/** The last block of a disk image of macOS. */
const KOLY = 512
const [HASH, BANG] = [0x23, 0x21]
/** A script that ends in an archive is no longer. In bytes. */
const SCRIPT_MAX = 256 << 10

/** What shows behind the first bytes. */
function kindFarIn(source: ByteSource, head: Buffer): OpaqueKind | null {
  const has = (offset: number, text: string): boolean => {
    const bytes = source.read(offset, text.length)
    return bytes[0] === text.charCodeAt(0) && bytes.toString('latin1') === text
  }
  if (source.size > ISO + 2048 && has(ISO, 'CD001')) return 'iso9660'
  if (source.size >= KOLY && has(source.size - KOLY, 'koly')) return 'dmg'
  if (source.size > BTRFS + 8 && has(BTRFS, '_BHRfS_M')) return 'btrfs'
  if (head[0] !== HASH || head[1] !== BANG) return null
  return isSelfExtractor(source.read(0, SCRIPT_MAX).toString('latin1')) ? 'self-extractor' : null
}

/** A script behind whose last line something packed begins; makeself may write that as text too. */
function isSelfExtractor(text: string): boolean {
  if (/^# This script was generated using Makeself/m.test(text)) return true
  if (!text.includes('\0')) return false
  for (let line = text.indexOf('\n'); line >= 0; line = text.indexOf('\n', line + 1))
    if (strongKind(Buffer.from(text.slice(line + 1, line + 1 + KIND_HEAD), 'latin1')) !== null) return true
  return false
}

/** Formats without a magic number, which only a name shows (a byte string): what it promises is no text. */
export function kindByName(name: string, head: Buffer): OpaqueKind | null {
  // Objects of OSTree's archives: a header, then deflate (ostree-repo-file.c).
  if (/\.filez$/.test(name) && !isText(head)) return 'ostree'
  if (/\.br$/i.test(name)) return isText(head) ? null : 'brotli'
  // R's database: a length, then the way of packing where it is not zlib (serialize.c, R_decompress2 and 3).
  return /\.rdb$/.test(name) && (head[4] === 0x32 || head[4] === 0x5a) ? 'rdb' : null
}

const isText = (head: Buffer): boolean => !/[\0-\x08\x0e-\x1f\ufffd]/.test(head.subarray(0, -3).toString('utf8'))

/** Of Linux's boot protocol: `HdrS`. */
const HDRS = 0x53726448
/** MAGIC by its first byte. */
const BY_FIRST = new Map<number | undefined, (typeof MAGIC)[number][]>()
for (const entry of MAGIC) {
  const first = entry[1].charCodeAt(0)
  BY_FIRST.set(first, [...(BY_FIRST.get(first) ?? []), entry])
}

const isErofs = (head: Buffer): boolean => head.length >= KIND_HEAD && head.readUInt32LE(1024) === 0xe0f5e1e2
const isLinux = (head: Buffer): boolean => head.length >= 0x206 && head.readUInt32LE(0x202) === HDRS
/** Of `-lh5-`, the third byte. */
const DASH = 0x2d
/** What else a kind below may begin with. */
const OTHER_FIRST = [0x7f, 0x04, 0x60, ...Array.from({ length: 16 }, (_, i) => 0x50 + i), 0x4d, 0x71]
/** By a file's first byte, whether a kind may begin with it. */
const MAY_BEGIN = new Uint8Array(256)
for (const first of [...OTHER_FIRST, ...MAGIC.map(([, magic]) => magic.charCodeAt(0))]) MAY_BEGIN[first] = 1

function strongKind(head: Buffer): ContainerKind | OpaqueKind | null {
  // Most files are shown to be none by a byte or two.
  if (MAY_BEGIN[head[0]!] !== 1 && head[2] !== DASH) return isErofs(head) ? 'erofs' : isLinux(head) ? 'bzimage' : null
  const text = head.toString('latin1', 0, 24)
  // The level, then the magic of a block (pi) or of the end (its root).
  if (text.startsWith('BZh')) return /^BZh[1-9](?:1AY&SY|\x17rE8P\x90)/.test(text) ? 'bzip2' : null
  if (/^\x7fELF.{4}AI[\x01\x02]/s.test(text)) return 'appimage'
  if (isErofs(head)) return 'erofs'
  // Electron's: four sizes, then the index as JSON.
  if (text.startsWith('\x04\0\0\0') && text.startsWith('{"files"', 16)) return 'asar'
  if (/^..-l[hz][0-9s]-/s.test(text)) return 'lha'
  if (text.startsWith('\x60\xea') && isArj(head)) return 'arj'
  if (/^[\x50-\x5f]\x2a\x4d\x18/.test(text)) return behindSkipped(head)
  if (isLinux(head) || /^MZ..zimg/s.test(text)) return 'bzimage'
  // A kernel with what it starts from in sections of one program (systemd-stub).
  if (text.startsWith('MZ') && head.includes('.linux\0\0') && head.includes('.osrel\0\0')) return 'uki'
  // Its header stands behind the program headers, or behind the sections' of a program for Windows.
  if (/^(?:\x7fELF|MZ)/.test(text) && head.includes('UPX!')) return 'upx'
  // Of Qt: whether any of its files is packed with zstd; what is packed with zlib is found (zlib-streams.ts).
  if (/^qres\0\0\0[\x03-\xff]/.test(text)) return (head[23]! & 4) !== 0 ? 'rcc' : null
  return BY_FIRST.get(head[0])?.find(([, magic]) => text.startsWith(magic))?.[0] ?? null
}

/** Its header: a size, and a checksum of so many bytes behind them. */
function isArj(head: Buffer): boolean {
  const size = head.length < 4 ? 0 : head.readUInt16LE(2)
  return size >= 30 && 8 + size <= head.length && head.readUInt32LE(4 + size) === crc32(head.subarray(4, 4 + size))
}

/** zstd and lz4 have frames in common that hold nothing of theirs (RFC 8878, 3.1.2): pzstd begins with one. */
function behindSkipped(head: Buffer): OpaqueKind {
  let at = 0
  while (at + 8 <= head.length && head.readUInt32LE(at) >>> 4 === 0x184d2a5) at += 8 + head.readUInt32LE(at + 4)
  return head.toString('latin1', at, at + 4) === '\x04\x22\x4d\x18' ? 'lz4' : 'zstd'
}

/** Kinds whose headers are no magic numbers: two bytes, of which one text in a thousand has some. */
function weakKind(head: Buffer, size: number): 'zlib' | 'lzma' | null {
  if (size >= 8 && isZlibHead(head)) return 'zlib'
  return head.length >= 13 && size > 13 && isLzmaHead(head) ? 'lzma' : null
}

/** As xz(1) tells .lzma: the usual properties, a dictionary of 2^n or 2^n + 2^(n-1) bytes, a size that may be. */
function isLzmaHead(head: Buffer): boolean {
  if (head[0] !== 0x5d) return false
  const dictionary = head.readUInt32LE(1)
  const high = 2 ** Math.floor(Math.log2(Math.max(1, dictionary)))
  const size = head.readBigUInt64LE(5)
  return (
    dictionary >= 0x1000 &&
    (dictionary === high || dictionary === high + high / 2) &&
    (size === 0xffffffffffffffffn || size < 1n << 38n)
  )
}
