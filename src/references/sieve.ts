/**
 * One pass over bytes for all that is looked for in them, by a module of WebAssembly with vectors (sieve/sieve.c says how):
 * where a store path, a hash, a zlib stream or a packed file may begin. What it lets through is little, and who looks for it
 * judges it; what it does not let through is none.
 *
 * Where there is no WebAssembly (`node --jitless`), no vectors (CPUs before SSE4.1) or no memory for it, there is no sieve:
 * each search has a loop of its own, that finds the same.
 */
import { SIEVE } from './sieve/prebuilt.ts'

/** What was let through, by place: each has a kind, and its place in the bytes. */
export type Sifted = Uint32Array

/** Where a thing begins; but of an escaped store path, and of any in UTF-8, where its `nix` does. */
export const SIFTED = {
  nix: 0,
  wide: 1,
  zlib: 2,
  gzip: 3,
  xz: 4,
  bzip2: 5,
  zstd: 6,
  lz4: 7,
  '7z': 8,
  squashfs: 9,
  zip: 10,
  lzma: 11,
  /** The first 16 characters of a row of a hash's in UTF-8, and the last 16 of it. Rows begin at any character. */
  hashes: 12,
  hashesEnd: 13,
  /** 16 bytes of a hash's characters in a wide encoding, or one whose first of a few bytes. */
  wideHashes: 14,
} as const

export const kindOf = (entry: number): number => entry & 0xf
export const placeOf = (entry: number): number => entry >>> 4

/** What was let through from a place on, as of bytes that begin there. */
export const siftedFrom = (sifted: Sifted, from: number): Sifted =>
  from === 0 || sifted.length === 0
    ? sifted
    : sifted.filter(entry => placeOf(entry) >= from).map(entry => entry - (from << 4))

const OF_REFERENCES: ReadonlySet<number> = new Set([
  SIFTED.nix,
  SIFTED.wide,
  SIFTED.hashes,
  SIFTED.hashesEnd,
  SIFTED.wideHashes,
])

/** Whether nothing of a reference was let through from a place on. */
export function isQuiet(sifted: Sifted, from: number): boolean {
  for (const entry of sifted) if (placeOf(entry) >= from && OF_REFERENCES.has(kindOf(entry))) return false
  return true
}

/** Longer bytes have places that fit no entry. */
const PLACES = 2 ** 28
/** Of bytes in which more is let through the searches' own loops are as good, and need no memory. */
const ENTRIES_MAX = 1 << 20

/** Bytes that are searched at a time: they stay in a CPU's cache. */
const STEP = 128 << 10
/** Bytes before and behind a step that tell what lies across its borders. */
const AROUND = 64

const PAGE = 64 << 10
/**
 * In the module's memory: its own data; entries, as many as a step can have; a step's bytes; buffers that are lent; what is
 * read beyond the last one.
 */
const ENTRIES = PAGE
const BYTES = ENTRIES + 4 * (STEP + STEP / 8)
const LENT = BYTES + STEP + PAGE
const [LENT_SIZE, LENT_COUNT] = [512 << 10, 4]
const SIZE = LENT + LENT_SIZE * LENT_COUNT + PAGE

type Search = (bytes: number, length: number, from: number, to: number, entries: number) => number

interface Searches {
  readonly references: Search
  readonly hashes: Search
}

interface Module extends Searches {
  readonly memory: ArrayBuffer
  readonly entries: Uint32Array
  readonly bytes: Buffer
}

/** What TypeScript says of it belongs to browsers. */
interface Web {
  readonly validate: (bytes: Buffer) => boolean
  readonly Memory: new (pages: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer }
  readonly Module: new (bytes: Buffer) => object
  readonly Instance: new (module: object, imports: object) => { readonly exports: Searches }
}

let made: Module | null | undefined

function make(): Module | null {
  const { WebAssembly: web } = globalThis as unknown as { WebAssembly?: Web }
  const code = Buffer.from(SIEVE, 'base64')
  if (!web?.validate(code)) return null
  try {
    const pages = Math.ceil(SIZE / PAGE)
    const memory = new web.Memory({ initial: pages, maximum: pages })
    const { exports } = new web.Instance(new web.Module(code), { env: { memory } })
    return {
      memory: memory.buffer,
      references: exports.references,
      hashes: exports.hashes,
      entries: new Uint32Array(memory.buffer, ENTRIES, (BYTES - ENTRIES) / 4),
      bytes: Buffer.from(memory.buffer, BYTES, AROUND + STEP + AROUND),
    }
  } catch {
    return null
  }
}

function module(): Module | null {
  if (made === undefined) made = make()
  return made
}

/** Which of the buffers are lent: until nobody can reach them any more. */
const isOut: boolean[] = Array(LENT_COUNT).fill(false)
const returned = new FinalizationRegistry<number>(at => void (isOut[at] = false))

/**
 * A buffer for bytes that are searched: the sieve reads them where they are, where it copies those of others. Where none is
 * left it is like any other. It has to be held as long as a part of it is in use.
 * @param size in bytes
 */
export function borrow(size: number): Buffer {
  const free = isOut.indexOf(false)
  const memory = size <= LENT_SIZE && free >= 0 ? module()?.memory : undefined
  if (memory === undefined) return Buffer.allocUnsafeSlow(size)
  const buffer = Buffer.from(memory, LENT + free * LENT_SIZE, size)
  isOut[free] = true
  returned.register(buffer, free)
  return buffer
}

const NOTHING: Sifted = new Uint32Array(0)

/** Says what may be in bytes, until it is asked again; null where the searches have to see for themselves. */
export type Sift = (bytes: Buffer) => Sifted | null

/** A sieve of one's own. @param hashes whether those that stand alone are looked for */
export function sieve(hashes: boolean): Sift {
  let kept: Sifted = NOTHING
  return bytes => {
    const made = module()
    if (made === null || bytes.length > PLACES) return null
    const search = hashes ? made.hashes : made.references
    const isLent = bytes.buffer === made.memory
    let total = 0
    for (let from = 0; from < bytes.length; from += STEP) {
      const to = Math.min(bytes.length, from + STEP)
      const start = isLent ? 0 : Math.max(0, from - AROUND)
      const length = isLent ? bytes.length : bytes.copy(made.bytes, 0, start, to + AROUND)
      const count = search(isLent ? bytes.byteOffset : BYTES, length, from - start, to - start, ENTRIES)
      if (count === 0) continue
      if (total + count > ENTRIES_MAX) return null
      if (total + count > kept.length) kept = larger(kept, total, total + count)
      for (let i = 0; i < count; i++) kept[total + i] = made.entries[i]! + (start << 4)
      total += count
    }
    return total === 0 ? NOTHING : kept.subarray(0, total)
  }
}

/** With room for so many, and more; those that there are stay. */
function larger(entries: Sifted, total: number, least: number): Sifted {
  const grown = new Uint32Array(Math.max(least, 2 * entries.length, 16))
  grown.set(entries.subarray(0, total))
  return grown
}
