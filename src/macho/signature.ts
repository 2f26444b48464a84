/**
 * Code signatures: what is in one, and whether it is right.
 *
 * LC_CODE_SIGNATURE points to a SuperBlob at the end of the slice: a list of blobs with a slot number each, big-endian
 * whatever the CPU is. The CodeDirectory (slot 0; further ones with other hashes at 0x1000 and up) holds the hash of each
 * page of what lies before the signature, and before these, counted backwards, those of the other blobs: the
 * requirements (slot 2), the entitlements as XML (5) and as DER (7). Slots 1 and 3 are Info.plist and the list of
 * resources, files of their own. The kernel of arm64 kills a program when a page that it reads has another hash.
 *
 * Source: xnu's osfmk/kern/cs_blobs.h. The certificate's own signature (slot 0x10000)
 * is not looked at: nothing that is edited can keep it.
 */
import { createHash, hash as digest } from 'node:crypto'
import { type ByteSource, malformed, View, viewAt } from '../io/bytes.ts'
import type { MachOSlice } from './facts.ts'
import { chunks, windowOf } from './patch.ts'

export const MAGIC = {
  superBlob: 0xfade0cc0,
  codeDirectory: 0xfade0c02,
  requirements: 0xfade0c01,
  entitlements: 0xfade7171,
  derEntitlements: 0xfade7172,
} as const

export const SLOT = {
  codeDirectory: 0,
  requirements: 2,
  entitlements: 5,
  derEntitlements: 7,
  alternates: 0x1000,
  alternatesEnd: 0x1005,
} as const

/** Bits of CodeDirectory.flags: signed by nobody; by a linker, which codesign replaces without asking. */
export const CS = { adhoc: 0x2, linkerSigned: 0x20000 } as const

/** By hashType: the algorithm, and how many bytes of its result are kept. */
export const HASHES: ReadonlyMap<number, { readonly name: string; readonly size: number }> = new Map([
  [1, { name: 'sha1', size: 20 }],
  [2, { name: 'sha256', size: 32 }],
  [3, { name: 'sha256', size: 20 }],
  [4, { name: 'sha384', size: 48 }],
])

/** A 2 GB slice has 16 MB. In bytes. */
const SIGNATURE_MAX = 256 << 20

export interface Signature {
  readonly blobs: readonly Blob[]
  /** At least one. Of one slice; offsets are from the start of the SuperBlob. */
  readonly directories: readonly CodeDirectory[]
}

export interface Blob {
  readonly slot: number
  readonly magic: number
  readonly offset: number
  readonly bytes: Buffer
}

export interface CodeDirectory {
  readonly slot: number
  readonly offset: number
  readonly version: number
  readonly flags: number
  readonly hashType: number
  /** From the start of the directory to the first page's hash. */
  readonly hashOffset: number
  /** Hashes of pages, and of the slots 1, 2, 3 ... */
  readonly pages: readonly Buffer[]
  readonly special: readonly Buffer[]
  /** So many bytes of the slice are hashed, in pages of so many bytes; 0 is one page of all. */
  readonly codeLimit: number
  readonly pageSize: number
  readonly identifier: string
  readonly team: string | null
  readonly execSegBase: number
  readonly execSegLimit: number
  readonly execSegFlags: number
  /** The version of the hardened runtime that the program was built for; 0 for none. */
  readonly runtime: number
}

/**
 * The code signature of a slice; null when it has none.
 * @throws BundleError('malformed')
 */
export function readSignature(source: ByteSource, slice: MachOSlice, path: string): Signature | null {
  if (!slice.signature) return null
  const { offset, size } = slice.signature
  const what = 'code signature'
  if (offset + size > slice.offset + slice.size)
    throw malformed(path, `${what}: ${size} bytes at ${offset - slice.offset}, but the slice has ${slice.size}`)
  const magic = viewAt(source, offset, Math.min(size, 12), false, what, path)
  if (magic.u32(0) !== MAGIC.superBlob) throw malformed(path, `${what}: magic ${magic.u32(0).toString(16)}`)
  const [length, count] = [magic.u32(4), magic.u32(8)]
  if (length > size || length > SIGNATURE_MAX) throw malformed(path, `${what}: ${length} bytes, but there are ${size}`)
  if (12 + count * 8 > length) throw malformed(path, `${what}: ${count} blobs in ${length} bytes`)
  const view = viewAt(source, offset, length, false, what, path)
  const blobs = Array.from({ length: count }, (_, i): Blob => {
    const [slot, at] = [view.u32(12 + i * 8), view.u32(16 + i * 8)]
    const blobSize = view.u32(at + 4)
    if (blobSize < 8 || at + blobSize > length)
      throw malformed(path, `${what}: a blob of ${blobSize} bytes at ${at} of ${length}`)
    return { slot, magic: view.u32(at), offset: at, bytes: view.buffer.subarray(at, at + blobSize) }
  })
  if (new Set(blobs.map(blob => blob.slot)).size < count) throw malformed(path, `${what}: a slot stands twice`)
  const directories = blobs
    .filter(({ slot }) => slot === SLOT.codeDirectory || (slot >= SLOT.alternates && slot < SLOT.alternatesEnd))
    .map(blob => readDirectory(blob, path))
  if (directories[0]?.slot !== SLOT.codeDirectory) throw malformed(path, `${what}: no code directory comes first`)
  return { blobs, directories }
}

function readDirectory({ slot, magic, offset, bytes }: Blob, path: string): CodeDirectory {
  const what = 'code directory'
  const view = new View(bytes, false, what, path)
  if (magic !== MAGIC.codeDirectory) throw malformed(path, `${what}: magic ${magic.toString(16)}`)
  const version = view.u32(8)
  const since = (first: number, field: number): number => (version >= first ? view.u32(field) : 0)
  const since64 = (first: number, field: number): number => (version >= first ? view.u64(field) : 0)
  const hashType = view.u8(37)
  const hash = HASHES.get(hashType)
  if (!hash || view.u8(36) !== hash.size)
    throw malformed(path, `${what}: hashes of type ${hashType} and ${view.u8(36)} bytes`)
  if (since(0x20100, 44) !== 0) throw malformed(path, `${what}: scattered pages`)
  const pageBits = view.u8(39)
  if (pageBits !== 0 && (pageBits < 12 || pageBits > 16)) throw malformed(path, `${what}: pages of 2^${pageBits} bytes`)
  const pageSize = pageBits && 2 ** pageBits
  const codeLimit = since64(0x20300, 56) || view.u32(32)
  const [hashOffset, specialCount, pageCount] = [view.u32(16), view.u32(24), view.u32(28)]
  const wanted = pageSize ? Math.ceil(codeLimit / pageSize) : 1
  if (pageCount !== wanted) throw malformed(path, `${what}: ${pageCount} hashes of ${wanted} pages`)
  const first = hashOffset - specialCount * hash.size
  if (first < 44 || hashOffset + pageCount * hash.size > view.size)
    throw malformed(path, `${what}: ${specialCount} + ${pageCount} hashes around ${hashOffset} of ${view.size}`)
  const hashes = (count: number, at: (i: number) => number): Buffer[] =>
    Array.from({ length: count }, (_, i) => bytes.subarray(at(i), at(i) + hash.size))
  const team = since(0x20200, 48)
  const execSegFlags = since64(0x20400, 80)
  if (!Number.isFinite(execSegFlags)) throw malformed(path, `${what}: flags of the executable segment beyond 2^53`)
  return {
    slot,
    offset,
    version,
    flags: view.u32(12),
    hashType,
    hashOffset,
    pages: hashes(pageCount, i => hashOffset + i * hash.size),
    special: hashes(specialCount, i => hashOffset - (i + 1) * hash.size),
    codeLimit,
    pageSize,
    identifier: view.cstring(view.u32(20)),
    team: team === 0 ? null : view.cstring(team),
    execSegBase: since64(0x20400, 64),
    execSegLimit: since64(0x20400, 72),
    execSegFlags,
    runtime: since(0x20500, 88),
  }
}

// ---- Hashes ----------------------------------------------------------------------------------------------------

/** The hash of some bytes, cut to what the type keeps. */
export function hashOf(hashType: number, bytes: Buffer): Buffer {
  const { name, size } = HASHES.get(hashType)!
  return digest(name, bytes, 'buffer').subarray(0, size)
}

/** The hashes of the first `codeLimit` bytes of a slice by page. Reads 1 MiB at a time. */
export function* pageHashes(
  slice: ByteSource,
  { hashType, codeLimit, pageSize }: Pick<CodeDirectory, 'hashType' | 'codeLimit' | 'pageSize'>,
): Generator<Buffer> {
  if (pageSize === 0) {
    const { name, size } = HASHES.get(hashType)!
    const all = createHash(name)
    for (const chunk of chunks(slice, 0, codeLimit)) all.update(chunk)
    yield all.digest().subarray(0, size)
    return
  }
  for (const chunk of chunks(slice, 0, codeLimit))
    for (let at = 0; at < chunk.length; at += pageSize) yield hashOf(hashType, chunk.subarray(at, at + pageSize))
}

/** What is wrong with one CodeDirectory. */
export interface SignatureCheck {
  readonly directory: CodeDirectory
  /** Numbers of pages whose hash is another. */
  readonly wrongPages: readonly number[]
  /** Numbers of slots whose blob has another hash, or is not there. */
  readonly wrongSlots: readonly number[]
  /** Slots whose hash is of a file of its own: Info.plist (1), resources (3) and the like. */
  readonly unchecked: readonly number[]
  /** Bytes before the signature that no hash covers; below 0 it covers bytes of its own. */
  readonly uncovered: number
}

/** Slots whose blob has to be in the signature. */
const WITHIN: readonly number[] = [SLOT.requirements, SLOT.entitlements, SLOT.derEntitlements]

/**
 * Recomputes every hash of a slice's signature; one check for each CodeDirectory, none without a signature.
 * @throws BundleError('malformed')
 */
export function checkSignature(source: ByteSource, slice: MachOSlice, path: string): SignatureCheck[] {
  const signature = readSignature(source, slice, path)
  if (!signature) return []
  const code = windowOf(source, slice.offset, slice.size)
  return signature.directories.map(directory => {
    const { special, hashType, codeLimit, pages } = directory
    const wrongPages: number[] = []
    let page = 0
    for (const hash of pageHashes(code, directory)) {
      if (!hash.equals(pages[page]!)) wrongPages.push(page)
      page++
    }
    const wrongSlots: number[] = []
    const unchecked: number[] = []
    for (let slot = 1; slot <= Math.max(special.length, ...WITHIN); slot++) {
      const hash = special[slot - 1]
      const blob = signature.blobs.find(b => b.slot === slot)
      const present = hash?.some(byte => byte !== 0) ?? false
      if (blob ? !hash?.equals(hashOf(hashType, blob.bytes)) : present && WITHIN.includes(slot)) wrongSlots.push(slot)
      else if (!blob && present) unchecked.push(slot)
    }
    return {
      directory,
      wrongPages,
      wrongSlots,
      unchecked,
      uncovered: slice.signature!.offset - slice.offset - codeLimit,
    }
  })
}

/** Whether a check found nothing wrong. */
export const isIntact = ({ wrongPages, wrongSlots, uncovered }: SignatureCheck): boolean =>
  wrongPages.length === 0 && wrongSlots.length === 0 && uncovered === 0
