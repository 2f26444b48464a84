/**
 * Reading tar as a stream: ustar, pax extended headers, GNU long names and base-256 sizes. Nothing is unpacked. What
 * is no well-formed archive is `BundleError('archive-unreadable')`.
 *
 * A proof is worth as much as its reading: were there a header that this reader understands in one way and a tar
 * program in another, something would be unpacked that was never looked at. So whatever programs are known to disagree
 * about is refused: contents of what has none, numbers that do not fit, members behind the end, sparse files.
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
  /** All of the contents where they are at hand, else null: to be taken, or not, as `contents`. */
  whole(): Buffer | null
}

/** A step of reading that needs the next piece of the stream. */
const MORE = Symbol('more')
type Reading<T> = Generator<typeof MORE, T>

/** The headers of one member are no larger. In bytes. */
const HEADER_MAX = 1 << 20

interface Extended {
  path?: string
  linkpath?: string
  size?: string
}

/** The members of an archive in its order. */
export async function* readTar(pieces: AsyncIterable<Buffer>, path: string): AsyncGenerator<ArchiveMember> {
  const iterator = pieces[Symbol.asyncIterator]()
  const input = new Input(path)
  const more = async (): Promise<void> => {
    const next = await iterator.next()
    input.give(next.done ? null : next.value)
  }
  async function* contents(): AsyncGenerator<Buffer> {
    for (const step of input.contents())
      if (step === MORE) await more()
      else yield step
  }
  for (const step of members(input, path))
    if (step === MORE) await more()
    else yield { ...step, contents, whole: () => input.whole() }
}

/** The members of an archive that is in memory. */
export function* tarMembersOf(bytes: Buffer, path: string): Generator<ArchiveMember> {
  const input = new Input(path)
  input.give(bytes)
  async function* contents(): AsyncGenerator<Buffer> {
    for (const step of input.contents())
      if (step === MORE) input.give(null)
      else yield step
  }
  for (const step of members(input, path))
    if (step === MORE) input.give(null)
    else yield { ...step, contents, whole: () => input.whole() }
}

function* members(
  input: Input,
  path: string,
): Generator<typeof MORE | Omit<ArchiveMember, 'contents' | 'whole'>, void> {
  /** Of a global header: holds for each member that says nothing else. */
  let common: Extended = {}
  let extended: Extended = {}
  let headers: Buffer[] = []
  let headersSize = 0
  for (;;) {
    const block = yield* input.block()
    if (block === null) throw unreadable(path, 'it ends without the mark of an end')
    if (isZero(block)) {
      // Some programs read on behind a lone block of zeros; and only the last byte tells that a compressed archive
      // is whole.
      while (!(yield* input.atEnd()))
        if (!isZero(yield* input.some())) throw unreadable(path, 'something follows behind its end')
      // A label alone, git's comment on a tree without files: headers of no member are looked at all the same.
      if (headers.length > 0) yield ofNothing(Buffer.concat(headers))
      return
    }
    const fields = parseBlock(block, path)
    // Until the member comes, what a piece was read into may be read into again.
    headers.push(EXTENDS.includes(fields.typeflag) ? Buffer.from(block) : block)
    headersSize += BLOCK + (EXTENDS.includes(fields.typeflag) ? fields.size : 0)
    if (headersSize > HEADER_MAX) throw unreadable(path, `extended headers of ${headersSize} bytes`)
    if (EXTENDS.includes(fields.typeflag)) {
      const body = Buffer.from(yield* input.all(fields.size))
      headers.push(body)
      if (fields.typeflag === 'x') extended = { ...extended, ...paxRecords(body, path) }
      else if (fields.typeflag === 'g') common = { ...common, ...paxRecords(body, path) }
      else if (fields.typeflag === 'L') extended.path = cstring(body)
      else extended.linkpath = cstring(body)
      continue
    }
    const name = extended.path || common.path || fields.name
    const digits = extended.size || common.size
    const size = digits === undefined ? fields.size : Number(digits)
    if (!Number.isSafeInteger(size)) throw unreadable(path, 'a member of no valid size')
    const refused = REFUSED[fields.typeflag]
    if (refused !== undefined) throw unreadable(path, refused)
    if (VOLUME_LABEL === fields.typeflag) {
      if (size > 0) throw unreadable(path, 'a label with contents')
      // What is unpacked has none of it: it is a header of what follows.
      extended = {}
      continue
    }
    const given = TYPES[fields.typeflag]
    if (given === undefined) throw unreadable(path, `a member of the unknown type '${fields.typeflag}'`)
    // As the first tar wrote directories, and as all programs still read them.
    const type = given === 'file' && name.endsWith('/') ? 'directory' : given
    if (fields.typeflag === DUMP_DIRECTORY) {
      // GNU tar's incremental archives list what is in a directory: names, which are looked at as a header is.
      if (headersSize + size > HEADER_MAX) throw unreadable(path, `a directory's list of ${size} bytes`)
      headers[headers.length - 1] = Buffer.from(block)
      headers.push(yield* input.all(size))
    } else if (type !== 'file' && size > 0) throw unreadable(path, `a ${type} with contents`)
    input.expect(type === 'file' ? size : 0)
    yield {
      name: name.replace(/^(?:\.\/+)+/, '').replace(/\/+$/, ''),
      type,
      mode: fields.mode,
      size: type === 'file' ? size : 0,
      target: extended.linkpath || common.linkpath || fields.target,
      header: headers.length === 1 ? headers[0]! : Buffer.concat(headers),
    }
    yield* input.skip()
    extended = {}
    headers = []
    headersSize = 0
  }
}

/** Stands for the directory that all is unpacked in. */
const ofNothing = (header: Buffer): Omit<ArchiveMember, 'contents' | 'whole'> => ({
  name: '',
  type: 'directory',
  mode: 0o755,
  size: 0,
  target: '',
  header,
})

/** Types of headers that say more of the next member, or of all that follow. */
const EXTENDS = 'xgLK'

/** GNU tar's own (tar(5), "GNU Tar Archives"). */
const VOLUME_LABEL = 'V'
const DUMP_DIRECTORY = 'D'
/** What is unpacked of these is not what lies in the archive. */
const SPARSE = 'a sparse file: pack it without --sparse'
const REFUSED: Readonly<Record<string, string>> = {
  S: SPARSE,
  M: 'the rest of a file that begins in another volume: pack it without --multi-volume',
}

const TYPES: Readonly<Record<string, ArchiveMember['type']>> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file',
  '1': 'hardlink',
  '2': 'link',
  '5': 'directory',
  [DUMP_DIRECTORY]: 'directory',
  '3': 'special',
  '4': 'special',
  '6': 'special',
}

function parseBlock(block: Buffer, path: string) {
  const text = (at: number, length: number): string => cstring(block.subarray(at, at + length))
  const number = (at: number, length: number): number => {
    // GNU's base 256: the first bit is set, the rest is the number.
    if (block[at]! & 0x80) {
      const low = at + length - 6
      if (block[at] !== 0x80 || !isZero(block.subarray(at + 1, low)))
        throw unreadable(path, 'a header with a number out of range')
      return block.readUIntBE(low, 6)
    }
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

function paxRecords(body: Buffer, path: string): Extended {
  const records: Extended = {}
  for (let at = 0; at < body.length; ) {
    const space = body.indexOf(0x20, at)
    const digits = body.toString('latin1', at, Math.max(at, space))
    const end = at + Number(digits)
    if (!/^[1-9][0-9]{0,7}$/.test(digits) || end > body.length || end < space + 3 || body[end - 1] !== 0x0a)
      throw unreadable(path, 'an extended header that is none')
    const record = body.toString('latin1', space + 1, end - 1)
    const equals = record.indexOf('=')
    if (equals < 1) throw unreadable(path, 'an extended header that is none')
    const key = record.slice(0, equals)
    const value = record.slice(equals + 1)
    if (key.startsWith('GNU.sparse.')) throw unreadable(path, SPARSE)
    if (key === 'path' || key === 'linkpath' || key === 'size') {
      // Programs end a name at its first NUL, or do not.
      if (value.includes('\0') || (key === 'size' && !/^[0-9]*$/.test(value)))
        throw unreadable(path, `an extended header whose ${key} is none`)
      records[key] = value
    }
    at = end
  }
  return records
}

const isZero = (bytes: Buffer): boolean => bytes.every(b => b === 0)

const cstring = (bytes: Buffer): string => {
  const end = bytes.indexOf(0)
  return bytes.toString('latin1', 0, end < 0 ? bytes.length : end)
}

const unreadable = (path: string, reason: string): BundleError =>
  new BundleError('archive-unreadable', `not a readable tar archive: ${reason}`, { path })

/** Nothing in a first volume says that others follow. */
const CUT = 'it ends inside a member: it is cut short, or the first of several volumes'

/** The stream with a cursor. */
class Input {
  readonly #path: string
  #piece: Buffer = Buffer.alloc(0)
  #isOver = false
  /** Bytes of the current member's contents, and of its padding, that were not read yet. */
  #left = 0
  #padding = 0

  constructor(path: string) {
    this.#path = path
  }

  /** The next piece, when MORE was asked for; null at the end of the stream. */
  give(piece: Buffer | null): void {
    if (piece === null) this.#isOver = true
    else this.#piece = piece
  }

  expect(size: number): void {
    this.#left = size
    this.#padding = (BLOCK - (size % BLOCK)) % BLOCK
  }

  /** The next block; null at the end of the stream. */
  *block(): Reading<Buffer | null> {
    if (!(yield* this.#fill())) return null
    return yield* this.#exactly(BLOCK)
  }

  /** The next `size` bytes, and past the padding behind them. */
  *all(size: number): Reading<Buffer> {
    const body = yield* this.#exactly(size)
    yield* this.#exactly((BLOCK - (size % BLOCK)) % BLOCK)
    return body
  }

  *atEnd(): Reading<boolean> {
    return !(yield* this.#fill())
  }

  /** The bytes at hand, of no member. */
  *some(): Reading<Buffer> {
    this.#left = Number.POSITIVE_INFINITY
    return yield* this.#some()
  }

  *contents(): Generator<typeof MORE | Buffer, void> {
    while (this.#left > 0) yield yield* this.#some()
  }

  /** The contents of the current member, where all of them are at hand. */
  whole(): Buffer | null {
    if (this.#left > this.#piece.length) return null
    const whole = this.#piece.subarray(0, this.#left)
    this.#piece = this.#piece.subarray(this.#left)
    this.#left = 0
    return whole
  }

  *skip(): Reading<void> {
    while (this.#left > 0) yield* this.#some()
    yield* this.#exactly(this.#padding)
  }

  *#some(): Reading<Buffer> {
    if (!(yield* this.#fill())) throw unreadable(this.#path, CUT)
    const piece = this.#piece.subarray(0, this.#left)
    this.#piece = this.#piece.subarray(piece.length)
    this.#left -= piece.length
    return piece
  }

  *#exactly(size: number): Reading<Buffer> {
    const parts: Buffer[] = []
    for (let need = size; need > 0; ) {
      if (!(yield* this.#fill())) throw unreadable(this.#path, CUT)
      const part = this.#piece.subarray(0, need)
      this.#piece = this.#piece.subarray(part.length)
      need -= part.length
      parts.push(need === 0 ? part : Buffer.from(part))
    }
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
  }

  /** Makes sure that a byte is there; false at the end. */
  *#fill(): Reading<boolean> {
    while (this.#piece.length === 0) {
      if (this.#isOver) return false
      yield MORE
    }
    return true
  }
}
