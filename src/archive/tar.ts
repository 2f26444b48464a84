/**
 * Writing tar: POSIX ustar (pax(1), "ustar Interchange Format") with pax extended headers only where a name or link does
 * not fit. Names are byte strings and go out as they are, which no tar package on npm allows; and every field is fixed
 * (owner 0, no names, mtime 1, mode 0755 or 0644), so equal trees give equal bytes.
 */

export interface TarEntry {
  /** Byte string without a trailing slash. */
  readonly name: string
  readonly type: 'file' | 'link' | 'directory'
  readonly executable: boolean
  /** Permission bits, where they are others than `type` and `executable` say. */
  readonly mode?: number
  /** In bytes; 0 for links and directories. */
  readonly size: number
  /** Text of a symbolic link. */
  readonly target: string
}

export const BLOCK = 512
const MTIME = 1
/** Sizes of the header's fields. In bytes. */
const NAME_MAX = 100
const PREFIX_MAX = 155
/**
 * The largest size that eleven octal digits hold. A larger one is a binary number with the first bit set, as GNU tar
 * began it: busybox reads names from a pax header, but no size.
 */
const SIZE_MAX = 0o77777777777
/** Archives end with two blocks of zeros and are padded to records of 20 blocks. */
const RECORD = 20 * BLOCK

/** The header blocks of an entry. */
export function tarHeader(entry: TarEntry): Buffer {
  const name = entry.type === 'directory' ? `${entry.name}/` : entry.name
  const split = splitName(name)
  const typeflag = entry.type === 'file' ? '0' : entry.type === 'link' ? '2' : '5'
  const usual = entry.type === 'link' ? 0o777 : entry.executable || entry.type === 'directory' ? 0o755 : 0o644
  const header = block({
    ...(split ?? { prefix: '', name: name.slice(0, NAME_MAX) }),
    mode: entry.mode ?? usual,
    size: entry.size,
    typeflag,
    target: entry.target.slice(0, NAME_MAX),
  })
  const records = [
    ...(split === null ? [paxRecord('path', name)] : []),
    ...(entry.target.length > NAME_MAX ? [paxRecord('linkpath', entry.target)] : []),
  ]
  if (records.length === 0) return header
  const body = Buffer.from(records.join(''), 'latin1')
  const pax = block({ prefix: '', name: '@PaxHeader', mode: 0o644, size: body.length, typeflag: 'x', target: '' })
  return Buffer.concat([pax, body, tarPadding(body.length), header])
}

/** The zeros that fill an entry's contents up to a whole block. */
export const tarPadding = (size: number): Buffer => Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK)

/** The end of an archive of which `written` bytes are out. */
export const tarEnd = (written: number): Buffer =>
  Buffer.alloc(Math.ceil((written + 2 * BLOCK) / RECORD) * RECORD - written)

/** A name in the header's two fields: at most 155 bytes, a slash, at most 100 bytes; null when it does not fit. */
function splitName(name: string): { prefix: string; name: string } | null {
  if (name.length <= NAME_MAX) return { prefix: '', name }
  const slash = name.indexOf('/', name.length - NAME_MAX - 1)
  return slash <= 0 || slash > PREFIX_MAX || slash === name.length - 1
    ? null
    : { prefix: name.slice(0, slash), name: name.slice(slash + 1) }
}

/** `<length> <key>=<value>\n`, where the length counts itself. */
function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`
  let length = rest.length
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length
  return length + rest
}

interface Fields {
  readonly prefix: string
  readonly name: string
  readonly mode: number
  readonly size: number
  readonly typeflag: string
  readonly target: string
}

const octal = (bytes: Buffer, at: number, width: number, value: number): void => {
  bytes.write(value.toString(8).padStart(width - 1, '0'), at, 'latin1')
}

/** What all headers have. The sum is made with blanks in its place. */
const HEADER = Buffer.alloc(BLOCK)
octal(HEADER, 108, 8, 0)
octal(HEADER, 116, 8, 0)
octal(HEADER, 136, 12, MTIME)
HEADER.fill(' ', 148, 156)
HEADER.write('ustar\x0000', 257, 'latin1')
octal(HEADER, 329, 8, 0)
octal(HEADER, 337, 8, 0)

function block({ prefix, name, mode, size, typeflag, target }: Fields): Buffer {
  const bytes = Buffer.from(HEADER)
  bytes.write(name, 0, 'latin1')
  octal(bytes, 100, 8, mode)
  if (size <= SIZE_MAX) octal(bytes, 124, 12, size)
  else {
    bytes[124] = 0x80
    bytes.writeUIntBE(size, 130, 6)
  }
  bytes.write(typeflag, 156, 'latin1')
  if (target !== '') bytes.write(target, 157, 'latin1')
  if (prefix !== '') bytes.write(prefix, 345, 'latin1')
  let sum = 0
  for (let at = 0; at < BLOCK; at++) sum += bytes[at]!
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return bytes
}
