/**
 * A bundle on disk for as long as it is tried: unpacked or copied into a temporary directory, which is removed when it
 * is over, however it ends.
 */
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Artefact, Member } from '../archive/members.ts'
import { onEarlyEnd } from '../io/cleanup.ts'
import { native } from '../io/store.ts'

const live = new Set<string>()
const remove = (directory: string): void => fs.rmSync(directory, { recursive: true, force: true })

onEarlyEnd(() => {
  for (const directory of live) remove(directory)
})

/** Runs `use` on an empty directory, and removes it. */
export async function inTemporary<T>(use: (directory: string) => Promise<T>): Promise<T> {
  const directory = fs.mkdtempSync(join(tmpdir(), 'storefree-try-'))
  live.add(directory)
  // Programs in it may run as another user.
  fs.chmodSync(directory, 0o755)
  try {
    return await use(directory)
  } finally {
    remove(directory)
    live.delete(directory)
  }
}

/**
 * Writes a bundle's members below a directory. They have to be verified: no name and no link leads out.
 * @param to text
 */
export async function unpack(artefact: Artefact, to: string): Promise<void> {
  fs.mkdirSync(to, { recursive: true })
  const at = (name: string): Buffer => Buffer.concat([Buffer.from(`${to}/`), Buffer.from(name, 'latin1')])
  for await (const { inside, type, mode, target, contents } of artefact.members()) {
    if (inside === '') continue
    const slash = inside.lastIndexOf('/')
    fs.mkdirSync(slash < 0 ? to : at(inside.slice(0, slash)), { recursive: true })
    if (type === 'directory') fs.mkdirSync(at(inside), { recursive: true })
    else if (type === 'link') fs.symlinkSync(native(target), at(inside))
    else if (type === 'file') {
      const fd = fs.openSync(at(inside), 'wx', mode & 0o111 ? 0o755 : 0o644)
      try {
        for await (const piece of contents()) writeAll(fd, piece)
        // As in the archive and in the store: compiled Python modules check their source's time.
        fs.futimesSync(fd, 1, 1)
      } finally {
        fs.closeSync(fd)
      }
    }
  }
}

function writeAll(fd: number, piece: Buffer): void {
  for (let done = 0; done < piece.length; ) done += fs.writeSync(fd, piece, done)
}

/**
 * Writes one member's contents; what is at the place is replaced.
 * @param place byte string
 */
export async function writeMember(member: Member, place: string): Promise<void> {
  const fd = fs.openSync(native(place), 'w', 0o600)
  try {
    for await (const piece of member.contents()) writeAll(fd, piece)
  } finally {
    fs.closeSync(fd)
  }
}
