/**
 * The members of a zip (jar, wheel ...) in memory, with what is around them.
 */
import { Budget, LIMITS, type Problem, problem } from '../references/inflate.ts'
import { LAST, RECORD, readMember, readZip, type ZipMember } from '../references/zip.ts'

export interface Unzipped {
  /** Byte string as the directory has it, without slashes at its end. */
  readonly name: string
  readonly type: 'file' | 'link' | 'directory'
  readonly mode: number
  /** In bytes. */
  readonly size: number
  /** Of a link. */
  readonly target: string
  /** Both headers with what is in them: name, extra fields, comment. */
  readonly header: Buffer
  /** The contents, or why there are none. */
  read(): Buffer | Problem
}

export interface Contents {
  readonly members: readonly Unzipped[]
  /** What stands before the first member (a script, a program), and the comment. */
  readonly around: Buffer
  /** Where the first member begins. */
  readonly start: number
  /** What is wrong with the zip as a whole. */
  readonly problem: Problem | null
}

/** "Version made by" of Unix, and the type of a link in the mode (APPNOTE 4.4.2, 4.4.15; stat(2)). */
const UNIX = 3
const [TYPE_MASK, LINK_TYPE] = [0o170000, 0o120000]
const TARGET_MAX = 4096

/** What a zip holds; null when it cannot be read. */
export function unzip(bytes: Buffer, budget: Budget = new Budget(UNBOUNDED)): Contents | null {
  const zip = readZip(bytes)
  if (zip === null) return null
  const first = Math.min(zip.directory, ...zip.members.map(m => m.local))
  return {
    members: zip.members.map(member => unzipped(bytes, member, budget)),
    start: first,
    around: Buffer.concat([bytes.subarray(0, first), bytes.subarray(zip.last + LAST)]),
    problem: zip.unlisted ? problem('damaged', 'its directory does not list all members') : null,
  }
}

/** Of a zip that is read for itself: members one by one, so only what is held at a time counts. */
const UNBOUNDED = { ...LIMITS, total: Number.POSITIVE_INFINITY, members: Number.POSITIVE_INFINITY }

function unzipped(bytes: Buffer, member: ZipMember, budget: Budget): Unzipped {
  const { record, size } = member
  const recordEnd =
    record +
    RECORD +
    bytes.readUInt16LE(record + 28) +
    bytes.readUInt16LE(record + 30) +
    bytes.readUInt16LE(record + 32)
  const mode = bytes[record + 5] === UNIX ? bytes.readUInt16LE(record + 40) : 0
  const isLink = (mode & TYPE_MASK) === LINK_TYPE && size <= TARGET_MAX
  const read = (): Buffer | Problem => {
    const got = readMember(bytes, member, budget)
    return 'code' in got ? got : got.contents
  }
  const target = isLink ? read() : Buffer.alloc(0)
  return {
    name: member.name.replace(/\/+$/, ''),
    type: isLink ? 'link' : member.name.endsWith('/') ? 'directory' : 'file',
    mode: mode & 0o7777,
    size,
    target: Buffer.isBuffer(target) ? target.toString('latin1') : '',
    header: Buffer.concat([bytes.subarray(member.local, member.data), bytes.subarray(record, recordEnd)]),
    read,
  }
}
