/**
 * gzip (RFC 1952) on all cores: blocks are compressed side by side by zlib's threads, as pigz does it. Each block is a
 * row of deflate blocks that ends at a byte (Z_SYNC_FLUSH) and may refer to the 32 KiB before it, which it is given as
 * its dictionary; so in a row they are one deflate stream, of one gzip member, that every program reads, and hardly
 * larger. The bytes depend on the contents, on zlib and on the size of a block, and not on how many are under way.
 */
import * as zlib from 'node:zlib'

/** Contents of a block, in bytes. Another size makes other compressed bytes. */
export const GZIP_BLOCK = 512 * 1024
/** How far back a deflate stream refers. In bytes. */
const WINDOW = 32 * 1024
/** As many as libuv has threads. */
const UNDER_WAY = 4
/** Blocks that are in use while the next one is made: those under way, and the one before them. */
export const HELD = UNDER_WAY
const LEVEL = 6
/** Deflate, no flags, no time, of Unix: as Node's own. */
const HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3])
const EMPTY = Buffer.alloc(0)

/**
 * One gzip member.
 * @param blocks each of GZIP_BLOCK bytes, but for the last one; nobody may write into one before HELD more are asked for
 */
export async function* gzipped(blocks: Iterable<Buffer>): AsyncGenerator<Buffer> {
  yield HEADER
  const underWay: Promise<Buffer>[] = []
  let crc = 0
  let size = 0
  let before: Buffer = EMPTY
  try {
    for (const block of blocks) {
      underWay.push(deflated(block, before, false))
      crc = zlib.crc32(block, crc)
      size += block.length
      before = block
      if (underWay.length >= UNDER_WAY) yield await underWay.shift()!
    }
    // The end is a block of its own: which one is the last is known when there is no other.
    underWay.push(deflated(EMPTY, EMPTY, true))
    while (underWay.length > 0) yield await underWay.shift()!
  } finally {
    await Promise.allSettled(underWay)
  }
  const trailer = Buffer.alloc(8)
  trailer.writeUInt32LE(crc, 0)
  trailer.writeUInt32LE(size % 2 ** 32, 4)
  yield trailer
}

const deflated = (block: Buffer, before: Buffer, isLast: boolean): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    zlib.deflateRaw(
      block,
      {
        level: LEVEL,
        chunkSize: GZIP_BLOCK + (GZIP_BLOCK >> 3),
        finishFlush: isLast ? zlib.constants.Z_FINISH : zlib.constants.Z_SYNC_FLUSH,
        ...(before.length > 0 && { dictionary: before.subarray(-WINDOW) }),
      },
      (error, bytes) => (error ? reject(error) : resolve(bytes)),
    )
  })
