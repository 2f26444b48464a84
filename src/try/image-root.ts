/**
 * The root file system that an image's layers make, on disk. Which of their files are in it, and where, is worked out in
 * memory (archive/root.ts), as `verify --closed` does; only these are written.
 */
import * as fs from 'node:fs'
import { type Artefact, type Member, open } from '../archive/members.ts'
import { applyLayers, type LayerMember, type Placed } from '../archive/root.ts'
import { native } from '../io/store.ts'
import { fromText } from '../paths.ts'

/** A member of a layer, with what a program on disk may ask for. */
interface OnDisk extends LayerMember {
  readonly uid: number
  readonly gid: number
  /** In seconds. */
  readonly time: number
}

const DIRECTORY: OnDisk = { name: '', type: 'directory', mode: 0o755, target: '', uid: 0, gid: 0, time: 1 }

async function membersOf(layer: Artefact): Promise<OnDisk[]> {
  const members: OnDisk[] = []
  for await (const { name, type, mode, target, header } of layer.members())
    members.push({
      ...{ name, type, mode, target },
      uid: octal(header, 108, 8) ?? 0,
      gid: octal(header, 116, 8) ?? 0,
      // Compiled Python modules check their source's time.
      time: octal(header, 136, 12) ?? 1,
    })
  return members
}

/** A number of a member's last header block, which is the one that describes it. */
function octal(header: Buffer, at: number, length: number): number | null {
  const text = header.subarray(header.length - 512).toString('latin1', at, at + length)
  const digits = /^ *([0-7]+)[ \0]/.exec(text)?.[1]
  return digits === undefined ? null : Number.parseInt(digits, 8)
}

/**
 * Writes what layers make together.
 * @param layers where each lies, by its name, from the lowest; byte strings
 * @param root an empty directory (text)
 * @returns what is wrong with a layer, byte string: then nothing is written
 */
export async function writeRoot(layers: readonly (readonly [string, string])[], root: string): Promise<string | null> {
  const opened = await Promise.all(layers.map(([, at]) => open(at)))
  const read = await Promise.all(opened.map(membersOf))
  const { placed, wrong } = applyLayers(
    layers.map(([name], i) => ({ name, members: read[i]! })),
    DIRECTORY,
  )
  if (wrong.length > 0) return `${wrong[0]!.layer}: ${wrong[0]!.reason}`
  // Directories come first and links last, so that nothing is written through a link.
  const { directories, files, links } = byType(placed, fromText(root))
  for (const [at] of directories) fs.mkdirSync(native(at), 0o700)
  for (const [i, layer] of opened.entries()) await writeFiles(layer, read[i]!, files)
  for (const [at, member] of links) {
    fs.symlinkSync(native(member.target), native(at))
    own(at, member)
  }
  for (const [at, member] of directories.reverse()) own(at, member)
  return null
}

function byType(placed: ReadonlyMap<string, Placed<OnDisk>>, root: string) {
  const files = new Map<OnDisk, string[]>()
  const directories: [string, OnDisk][] = []
  const links: [string, OnDisk][] = []
  for (const [place, { member }] of placed) {
    const at = `${root}/${place}`
    if (member.type === 'directory') directories.push([at, member])
    else if (member.type === 'link') links.push([at, member])
    else if (member.type === 'file') files.set(member, [...(files.get(member) ?? []), at])
  }
  return { directories, files, links }
}

/** @param members of the layer, in its order */
async function writeFiles(
  layer: Artefact,
  members: readonly OnDisk[],
  places: ReadonlyMap<OnDisk, readonly string[]>,
): Promise<void> {
  let number = 0
  for await (const file of layer.members()) {
    const member = members[number++]!
    const [at, ...others] = places.get(member) ?? []
    if (at === undefined) continue
    await writeFile(file, native(at), member.time)
    for (const other of others) fs.linkSync(native(at), native(other))
    own(at, member)
  }
}

/** @param time in seconds */
export async function writeFile(file: Member, at: string | Buffer, time: number): Promise<void> {
  const fd = fs.openSync(at, 'wx', 0o600)
  try {
    for await (const piece of file.contents())
      for (let done = 0; done < piece.length; ) done += fs.writeSync(fd, piece, done)
    fs.futimesSync(fd, time, time)
  } finally {
    fs.closeSync(fd)
  }
}

/** Gives a file the owner that its header has, where we may, and its mode. */
function own(at: string, { type, mode, uid, gid }: OnDisk): void {
  if (process.geteuid?.() === 0 && (uid !== 0 || gid !== 0)) fs.lchownSync(native(at), uid, gid)
  // A set-uid bit goes when the owner changes.
  if (type !== 'link') fs.chmodSync(native(at), mode & 0o7777)
}

/** Links are followed as often as the kernel does. */
const LINKS_MAX = 40

/**
 * A directory of the root, byte string; null when it is not there. Links are followed as a process in that root would, so
 * that none leads out.
 */
function directoryIn(root: string, wanted: readonly string[]): string | null {
  const rest = [...wanted]
  let at: string[] = []
  let links = 0
  for (let part = rest.shift(); part !== undefined; part = rest.shift()) {
    if (part === '' || part === '.') continue
    if (part === '..') {
      at.pop()
      continue
    }
    const path = [fromText(root), ...at, part].join('/')
    const status = fs.lstatSync(native(path), { throwIfNoEntry: false })
    if (status?.isSymbolicLink()) {
      if (++links > LINKS_MAX) return null
      const target = fs.readlinkSync(native(path), { encoding: 'latin1' })
      if (target.startsWith('/')) at = []
      rest.unshift(...target.split('/'))
    } else if (status?.isDirectory()) at.push(part)
    else return null
  }
  return [fromText(root), ...at].join('/')
}

/**
 * The program that a word means in an image, by its PATH; a path is what it says.
 * @returns absolute, in the image; null when there is none
 */
export function programIn(root: string, word: string, env: readonly string[]): string | null {
  const path = env.find(pair => pair.startsWith('PATH='))?.slice('PATH='.length) ?? '/bin:/usr/bin'
  const candidates = word.includes('/') ? [word] : path.split(':').map(directory => `${directory}/${word}`)
  return (
    candidates.find(candidate => {
      if (!candidate.startsWith('/')) return false
      const parts = candidate.split('/').slice(1)
      const base = parts.pop()
      if (base === undefined || base === '') return false
      const directory = directoryIn(root, parts.map(fromText))
      // Where it leads is the kernel's to say, in that root.
      return (
        directory !== null &&
        fs.lstatSync(native(`${directory}/${fromText(base)}`), { throwIfNoEntry: false }) !== undefined
      )
    }) ?? null
  )
}
