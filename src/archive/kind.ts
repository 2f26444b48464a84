/**
 * What a file is as an archive of files: by its bytes, and by its name where that promises one.
 */
import { BLOCK } from './tar.ts'

/** A tar header's checksum is of all its bytes, with spaces in its own place. */
export function isTarHead(head: Buffer): boolean {
  if (head.length < BLOCK || head[0] === 0) return false
  // A blank or a digit, which most files have not there.
  const first = head[148]!
  if (first !== 0x20 && (first < 0x30 || first > 0x37)) return false
  const digits = /^ *([0-7]+)[ \0]/.exec(head.toString('latin1', 148, 156))
  if (digits === null) return false
  let sum = 0
  for (let i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? 0x20 : head[i]!
  return Number.parseInt(digits[1]!, 8) === sum
}

/** Whether a name says tar archive, of whatever compression. */
export const namesTar = (path: string): boolean => /\.(?:tar|tar\.[a-z0-9]+|tgz|tzst|txz|tbz2?)$/i.test(path)

/** Whether a name says zip: the endings of zips that programs and packages are handed on as. */
export const namesZip = (path: string): boolean => /\.(?:zip|jar|war|ear|whl|egg|apk|aar|nupkg|vsix|xpi)$/i.test(path)
