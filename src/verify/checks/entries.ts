/**
 * What lies in a tree is what is unpacked from it, and nothing of it gives away more than a program needs: no name twice
 * or out of the tree, no device, no set-id bit, nothing that everybody may write to.
 */
import type { Member } from '../../archive/members.ts'
import type { Finding } from '../../model/findings.ts'

const WORLD_WRITABLE = 0o002
const STICKY = 0o1000
const SET_ID = 0o6000

const unsafe = (file: string, reason: string): Finding => ({ code: 'entry-unsafe', severity: 'error', file, reason })

/** A name that leads elsewhere when it is unpacked. */
export function checkPlace(name: string): Finding[] {
  return name.startsWith('/') || (name.includes('..') && name.split('/').includes('..'))
    ? [unsafe(name, 'its name leads out of the bundle')]
    : []
}

/**
 * What no bundle has.
 * @param names of all members before it
 * @param others those among them that are no directories
 */
export function checkEntry(
  name: string,
  { type, mode }: Pick<Member, 'type' | 'mode'>,
  names: ReadonlySet<string>,
  others: ReadonlyMap<string, unknown>,
): Finding[] {
  // `a/./b` and `a//b` are `a/b` where it is unpacked.
  if (/^$|^\.?\/|\/\.?(?:\/|$)|^\.$/.test(name)) return [unsafe(name, 'its name has an empty part or a dot for one')]
  if (names.has(name) && (type !== 'directory' || others.has(name))) return [unsafe(name, 'it is there twice')]
  if (type === 'special') return [unsafe(name, 'it is a device, a pipe or a socket')]
  if (type === 'hardlink') return [unsafe(name, 'it is a hard link')]
  if (type === 'file' && (mode & SET_ID) !== 0) return [unsafe(name, 'it is set-uid or set-gid')]
  if (type !== 'link' && (mode & WORLD_WRITABLE) !== 0 && (mode & STICKY) === 0)
    return [unsafe(name, 'everybody may write to it')]
  return []
}

/** What lies below a link is unpacked where the link leads: at another place than it was looked at. */
export function checkBelow(names: ReadonlySet<string>, others: ReadonlyMap<string, unknown>): Finding[] {
  const findings: Finding[] = []
  // Neighbours come one after another.
  let [last, below] = ['', 0]
  for (const file of names) {
    const end = file.lastIndexOf('/')
    const directory = end < 0 ? '' : file.slice(0, end)
    if (directory !== last) {
      ;[last, below] = [directory, 0]
      for (let d = end; d > 0; d = file.lastIndexOf('/', d - 1)) if (others.has(file.slice(0, d))) below++
    }
    for (let i = 0; i < below; i++) findings.push(unsafe(file, 'it lies below a link or a file'))
  }
  return findings
}
