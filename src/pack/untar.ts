/**
 * Reading tar as a stream: ustar, pax extended headers, GNU long names and base-256 sizes. Nothing is unpacked. What
 * is no well-formed archive is `BundleError('archive-unreadable')`.
 */
import { BundleError } from '../errors.ts'
import { BLOCK } from './tar.ts'

export interface ArchiveMember {
  /** Byte string as the archive has it, without `./` at its start and slashes at its end. */
  readonly name: string
  readonly type: 'file' | 'link' | 'hardlink' | 'directory' | 'special'
  readonly mode: number
  /** In bytes. */
  readonly size: number
  readonly target: string
  /** All header blocks that belong to the member. */
  readonly header: Buffer
  /** The contents; to be read, or not, before the next member is asked for. */
  contents(): AsyncGenerator<Buffer>
}

/** No extended header is larger. In bytes. */
const HEADER_MAX = 1 << 20

/** The members of an archive in its order. */
export async function* readTar(pieces: AsyncIterable<Buffer>, path: string): AsyncGenerator<ArchiveMember> {
  const input = new Input(pieces, path)
  let extended: { path?: string; linkpath?: string; size?: string } = {}
  let headers: Buffer[] = []
  for (;;) {
    const block = await input.block()
    if (block === null) throw unreadable(path, 'it ends without the mark of an end')
    if (block.every(b => b === 0)) return
    const fields = parseBlock(block, path)
    headers.push(block)
    if (fields.typeflag === 'x' || fields.typeflag === 'L' || fields.typeflag === 'K' || fields.typeflag === 'g') {
      if (fields.size > HEADER_MAX) throw unreadable(path, `an extended header of ${fields.size} bytes`)
      const body = await input.all(fields.size)
      headers.push(body)
      if (fields.typeflag === 'x') extended = { ...extended, ...paxRecords(body, path) }
      else if (fields.typeflag === 'L') extended.path = cstring(body)
      else if (fields.typeflag === 'K') extended.linkpath = cstring(body)
      continue
    }
    const size = extended.size === undefined ? fields.size : Number(extended.size)
    if (!Number.isSafeInteger(size) || size < 0) throw unreadable(path, 'a member of no valid size')
    const type = TYPES[fields.typeflag] ?? 'special'
    input.expect(type === 'file' ? size : 0)
    yield {
      name: (extended.path ?? fields.name).replace(/^(?:\.\/)+/, '').replace(/\/+$/, ''),
      type,
      mode: fields.mode,
      size: type === 'file' ? size : 0,
      target: extended.linkpath ?? fields.target,
      header: Buffer.concat(headers),
      contents: () => input.contents(),
    }
    await input.skip()
    extended = {}
    headers = []
  }
}

const TYPES: Readonly<Record<string, ArchiveMember['type']>> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file',
  '1': 'hardlink',
  '2': 'link',
  '5': 'directory',
}

function parseBlock(block: Buffer, path: string) {
  const text = (at: number, length: number): string => cstring(block.subarray(at, at + length))
  const number = (at: number, length: number): number => {
    // GNU's base 256: the first bit is set, the rest is the number.
    if (block[at]! & 0x80) return Number(block.subarray(at + length - 6, at + length).readUIntBE(0, 6))
    const digits = text(at, length).trim()
    if (!/^[0-7]*$/.test(digits)) throw unreadable(path, 'a header with a number that is none')
    return digits === '' ? 0 : Number.parseInt(digits, 8)
  }
  let sum = 0
  for (let i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? 0x20 : block[i]!
  if (sum !== number(148, 8)) throw unreadable(path, 'a header with a wrong checksum')
  const prefix = block.toString('latin1', 257, 263) === 'ustar\0' ? text(345, 155) : ''
  const name = text(0, 100)
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    mode: number(100, 8),
    size: number(124, 12),
    typeflag: String.fromCharCode(block[156]!),
    target: text(157, 100),
  }
}

function paxRecords(body: Buffer, path: string): Record<string, string> {
  const records: Record<string, string> = {}
  for (let at = 0; at < body.length; ) {
    const space = body.indexOf(0x20, at)
    const length = Number(body.toString('latin1', at, space))
    if (space < 0 || !Number.isInteger(length) || length < 5 || at + length > body.length)
      throw unreadable(path, 'an extended header that is none')
    const record = body.toString('latin1', space + 1, at + length - 1)
    const equals = record.indexOf('=')
    const key = record.slice(0, equals)
    if (key === 'path' || key === 'linkpath' || key === 'size') records[key] = record.slice(equals + 1)
    at += length
  }
  return records
}

const cstring = (bytes: Buffer): string => {
  const end = bytes.indexOf(0)
  return bytes.toString('latin1', 0, end < 0 ? bytes.length : end)
}

const unreadable = (path: string, reason: string): BundleError =>
  new BundleError('archive-unreadable', `not a readable tar archive: ${reason}`, { path })

/** The stream with a cursor. */
class Input {
  readonly #pieces: AsyncIterator<Buffer>
  readonly #path: string
  #piece: Buffer = Buffer.alloc(0)
  /** Bytes of the current member's contents, and of its padding, that were not read yet. */
  #left = 0
  #padding = 0

  constructor(pieces: AsyncIterable<Buffer>, path: string) {
    this.#pieces = pieces[Symbol.asyncIterator]()
    this.#path = path
  }

  expect(size: number): void {
    this.#left = size
    this.#padding = (BLOCK - (size % BLOCK)) % BLOCK
  }

  /** The next block; null at the end of the stream. */
  async block(): Promise<Buffer | null> {
    if (!(await this.#fill())) return null
    return this.#exactly(BLOCK)
  }

  /** The next `size` bytes, and past the padding behind them. */
  async all(size: number): Promise<Buffer> {
    const body = await this.#exactly(size)
    await this.#exactly((BLOCK - (size % BLOCK)) % BLOCK)
    return body
  }

  async *contents(): AsyncGenerator<Buffer> {
    while (this.#left > 0) yield await this.#some()
  }

  async skip(): Promise<void> {
    while (this.#left > 0) await this.#some()
    await this.#exactly(this.#padding)
  }

  async #some(): Promise<Buffer> {
    if (!(await this.#fill())) throw unreadable(this.#path, 'it ends inside a member')
    const piece = this.#piece.subarray(0, this.#left)
    this.#piece = this.#piece.subarray(piece.length)
    this.#left -= piece.length
    return piece
  }

  async #exactly(size: number): Promise<Buffer> {
    const parts: Buffer[] = []
    for (let need = size; need > 0; ) {
      if (!(await this.#fill())) throw unreadable(this.#path, 'it ends inside a member')
      const part = this.#piece.subarray(0, need)
      this.#piece = this.#piece.subarray(part.length)
      need -= part.length
      parts.push(part)
    }
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
  }

  /** Makes sure that a byte is there; false at the end. */
  async #fill(): Promise<boolean> {
    while (this.#piece.length === 0) {
      const next = await this.#pieces.next()
      if (next.done) return false
      this.#piece = next.value
    }
    return true
  }
}
