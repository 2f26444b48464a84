/** What is overwritten in a tar or a PNG has its checksum; tar(1) and Python's zlib are asked. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { bufferSource } from '../src/io/bytes.ts'
import { checksumsOf, type Write } from '../src/references/checksums.ts'

const directory = mkdtempSync(join(tmpdir(), 'checksums-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const PATH = `/nix/store/${'0'.repeat(32)}-x`
const OTHER = `/var/empty/${'e'.repeat(32)}-x`

/** All that a text names in some bytes, as another of its length; with the checksums that this asks for. */
function overwritten(bytes: Buffer, from = PATH, to = OTHER): { bytes: Buffer; sums: Write[] } {
  const writes: Write[] = []
  for (let at = bytes.indexOf(from); at >= 0; at = bytes.indexOf(from, at + 1))
    writes.push({ offset: at, to: Buffer.from(to) })
  const sums = checksumsOf(bufferSource(bytes), writes)
  const after = Buffer.from(bytes)
  for (const { offset, to } of [...writes, ...sums]) after.set(to, offset)
  return { bytes: after, sums }
}

describe.each(['v7', 'oldgnu', 'gnu', 'ustar', 'pax'])('tar --format=%s', format => {
  const archive = (): Buffer => {
    const root = mkdtempSync(join(directory, 'tar-'))
    symlinkSync(`${PATH}/share/one`, join(root, 'link'))
    // The path in contents, at the beginning of a block: no header.
    writeFileSync(join(root, 'text'), `${PATH}\n`.repeat(100))
    writeFileSync(join(root, 'last'), 'last\n')
    return execFileSync('tar', ['--format', format, '-C', root, '-cf', '-', 'link', 'text', 'last'])
  }

  test('every member is still there, and links name the other path', () => {
    const { bytes, sums } = overwritten(archive())
    expect(sums).toHaveLength(1)
    const place = join(directory, `${format}.tar`)
    writeFileSync(place, bytes)
    const listed = execFileSync('tar', ['-tvf', place], { encoding: 'utf8' })
    expect(listed).toMatch(/link -> \/var\/empty\/e+-x\/share\/one\n.* text\n.* last\n$/)
    expect(execFileSync('tar', ['-xOf', place, 'text'], { encoding: 'utf8' })).toBe(`${OTHER}\n`.repeat(100))
  })
})

test('members of more than 8 GiB have their size in binary', () => {
  const header = execFileSync('tar', [
    '--format=gnu',
    '-C',
    '/',
    '-cf',
    '-',
    '--transform',
    `s,.*,${PATH.slice(1)},`,
    'etc/passwd',
  ]).subarray(0, 512)
  const large = Buffer.from(header)
  large.fill(0, 124, 136)
  large[124] = 0x80
  large.writeBigUInt64BE(9n << 30n, 128)
  const sum = large.reduce((all, byte, i) => all + (i >= 148 && i < 156 ? 0x20 : byte), 0)
  large.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  const { sums } = overwritten(large, PATH.slice(1), OTHER.slice(1))
  expect(sums.map(s => s.offset)).toEqual([148])
})

test.each([
  ['nothing', Buffer.alloc(0)],
  ['less than a block', Buffer.from(PATH)],
  ['a block that is no header', Buffer.alloc(1024, PATH)],
  ['a PNG that ends in a chunk', Buffer.from(`\x89PNG\r\n\x1a\n\0\0\xff\xfftEXt${PATH}`, 'latin1')],
  ['a PNG with a huge chunk', Buffer.from(`\x89PNG\r\n\x1a\n\xff\xff\xff\xfftEXt${PATH}`, 'latin1')],
])('%s has none', (_, bytes) => expect(overwritten(bytes).sums).toEqual([]))

test('chunks of a PNG', () => {
  const place = join(directory, 'a.png')
  const make = `
import struct, sys, zlib
def chunk(t, d): return struct.pack('>I', len(d)) + t + d + struct.pack('>I', zlib.crc32(t + d))
open(sys.argv[1], 'wb').write(b'\\x89PNG\\r\\n\\x1a\\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', 1, 1, 8, 0, 0, 0, 0))
  + chunk(b'tEXt', b'Software\\0${PATH}/bin/x') + chunk(b'IDAT', zlib.compress(b'\\0\\0')) + chunk(b'IEND', b''))`
  execFileSync('python3', ['-c', make, place])
  const { bytes, sums } = overwritten(readFileSync(place))
  expect(sums).toHaveLength(1)
  writeFileSync(place, bytes)
  const read = `
import struct, sys, zlib
b = open(sys.argv[1], 'rb').read(); at = 8
while at < len(b):
  n, = struct.unpack('>I', b[at:at+4]); d = b[at+4:at+8+n]; c, = struct.unpack('>I', b[at+8+n:at+12+n])
  print(d[:4].decode(), c == zlib.crc32(d)); at += 12 + n`
  expect(execFileSync('python3', ['-c', read, place], { encoding: 'utf8' })).toBe(
    'IHDR True\ntEXt True\nIDAT True\nIEND True\n',
  )
})
