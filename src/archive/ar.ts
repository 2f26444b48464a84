/**
 * Reading `ar` (ar(5)), as far as packages of Debian's are made of it (deb(5)): a list of members with their places.
 */
import type { ByteSource } from '../io/bytes.ts'

export interface ArMember {
  /** Byte string without padding and without the slash that GNU puts behind it. */
  readonly name: string
  readonly offset: number
  /** In bytes. */
  readonly size: number
}

const MAGIC = '!<arch>\n'
const HEADER = 60
/** A package has three members, some with signatures a few more. */
const MEMBERS_MAX = 1000

/** Whether a file begins as a package of Debian's: its first member is called so. */
export const isDebHead = (head: Buffer): boolean => head.toString('latin1', 0, 21) === `${MAGIC}debian-binary`

/** The members; a sentence about what is wrong for what is no archive. */
export function readAr(source: ByteSource): readonly ArMember[] | string {
  const members: ArMember[] = []
  for (let at = MAGIC.length; at < source.size; ) {
    const header = source.read(at, HEADER).toString('latin1')
    const size = /^(\d+) *$/.exec(header.slice(48, 58))?.[1]
    if (header.length < HEADER || !header.endsWith('`\n') || size === undefined) return `no header of ar at ${at}`
    const member = { name: header.slice(0, 16).replace(/\/? *$/, ''), offset: at + HEADER, size: Number(size) }
    if (member.offset + member.size > source.size) return `${member.name} is cut off`
    if (members.push(member) > MEMBERS_MAX) return `more than ${MEMBERS_MAX} members`
    at = member.offset + member.size + (member.size % 2)
  }
  return members
}
