/** Signatures as Apple's codesign makes them with a certificate, put together by code that shares none with src/. */
import { createHash } from 'node:crypto'

interface Options {
  readonly identifier?: string
  readonly flags?: number
  /** Version of the hardened runtime. */
  readonly runtime?: number
  /** hashType of the directories: the first, then the alternates. */
  readonly hashes?: readonly (1 | 2 | 3 | 4)[]
  readonly requirements?: Buffer
  readonly entitlements?: string
  readonly der?: Buffer
  /** Hash of an Info.plist that lies elsewhere. */
  readonly info?: Buffer
}

const HASH = { 1: ['sha1', 20], 2: ['sha256', 32], 3: ['sha256', 20], 4: ['sha384', 48] } as const

export const hash = (type: 1 | 2 | 3 | 4, bytes: Buffer): Buffer =>
  createHash(HASH[type][0]).update(bytes).digest().subarray(0, HASH[type][1])

export function blob(magic: number, contents: Buffer): Buffer {
  const head = Buffer.alloc(8)
  head.writeUInt32BE(magic, 0)
  head.writeUInt32BE(8 + contents.length, 4)
  return Buffer.concat([head, contents])
}

/** A signature of `code`, which is all that lies before it. */
export function superBlob(code: Buffer, options: Options): Buffer {
  const { hashes = [2], requirements, entitlements, der } = options
  const blobs: [number, Buffer][] = []
  if (requirements) blobs.push([2, blob(0xfade0c01, requirements)])
  if (entitlements) blobs.push([5, blob(0xfade7171, Buffer.from(entitlements))])
  if (der) blobs.push([7, blob(0xfade7172, der)])
  const directories = hashes.map((type, i): [number, Buffer] => [
    i === 0 ? 0 : 0x1000 + i - 1,
    directory(code, type, blobs, options),
  ])
  const all = [
    directories[0]!,
    ...blobs,
    ...directories.slice(1),
    [0x10000, blob(0xfade0b01, Buffer.from('CMS'))] as const,
  ]
  const index = Buffer.alloc(4 + 8 * all.length)
  index.writeUInt32BE(all.length, 0)
  let at = 8 + index.length
  for (const [i, [slot, bytes]] of all.entries()) {
    index.writeUInt32BE(slot, 4 + 8 * i)
    index.writeUInt32BE(at, 8 + 8 * i)
    at += bytes.length
  }
  return blob(0xfade0cc0, Buffer.concat([index, ...all.map(([, bytes]) => bytes)]))
}

function directory(
  code: Buffer,
  type: 1 | 2 | 3 | 4,
  blobs: readonly (readonly [number, Buffer])[],
  { identifier = 'org.example.tool', flags = 0x10000, runtime = 0x000e0000, info }: Options,
): Buffer {
  const size = HASH[type][1]
  const special = Array.from({ length: 7 }, (_, i) => {
    const found = blobs.find(([slot]) => slot === i + 1)
    return found ? hash(type, found[1]) : i === 0 && info ? info.subarray(0, size) : Buffer.alloc(size)
  }).reverse()
  const pages = Array.from({ length: Math.ceil(code.length / 4096) }, (_, i) =>
    hash(type, code.subarray(i * 4096, i * 4096 + 4096)),
  )
  const head = Buffer.alloc(88)
  const names = Buffer.from(`${identifier}\0TEAM123456\0`)
  const words = [0x20500, flags, 96 + names.length + 7 * size, 96, 7, pages.length, code.length]
  for (const [i, word] of words.entries()) head.writeUInt32BE(word, 4 * i)
  head.set([size, type, 0, 12], 28)
  head.writeUInt32BE(96 + identifier.length + 1, 40)
  head.writeBigUInt64BE(1n, 72)
  head.writeUInt32BE(runtime, 80)
  return blob(0xfade0c02, Buffer.concat([head, names, ...special, ...pages]))
}
