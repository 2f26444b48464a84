/**
 * An image's root file system and what it starts, from an archive or a directory: as OCI lays images out
 * (image-spec, image-layout.md, layer.md), or as `docker save` does. Layers are applied in their order, whiteouts too, and
 * whatever a layer says, nothing is written outside of the root.
 */
import * as fs from 'node:fs'
import { join, posix } from 'node:path'
import type { Artefact, Member } from '../archive/members.ts'
import { open } from '../archive/members.ts'
import { BundleError } from '../errors.ts'
import { native } from '../io/store.ts'
import { fromText } from '../paths.ts'

/** What an image says of how it is started (image-spec, config.md). */
export interface ImageConfig {
  readonly entrypoint: readonly string[]
  readonly cmd: readonly string[]
  /** `NAME=VALUE` each. */
  readonly env: readonly string[]
  /** Absolute. */
  readonly workdir: string
  readonly user: ImageUser | null
}

export interface ImageUser {
  readonly uid: number
  readonly gid: number
}

/** Larger documents are none. In bytes. */
const JSON_MAX = 4 << 20
/** How deep indexes are followed. */
const DEPTH = 4
const CPUS: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64', ia32: '386' }

/** Whether names are those of an image's files. */
export const isImage = (names: ReadonlySet<string>): boolean =>
  names.has('oci-layout') || (names.has('manifest.json') && !names.has('bundle.json'))

/**
 * Writes an image's root file system.
 * @param scratch a directory to make (text), for what lies in an archive
 * @param root a directory to make (text)
 * @throws BundleError('malformed') for what is no image, or lacks a part
 */
export async function unpackImage(
  artefact: Artefact,
  path: string,
  scratch: string,
  root: string,
): Promise<ImageConfig> {
  for (const directory of [scratch, root]) fs.mkdirSync(directory)
  const parts = new Parts(path, await partsOf(artefact, scratch))
  const { config, layers } = parts.image()
  for (const layer of layers) await apply(await open(fromText(parts.place(layer))), root)
  return config
}

/** Where each file of an image lies on disk. */
async function partsOf(artefact: Artefact, scratch: string): Promise<Map<string, string>> {
  const places = new Map<string, string>()
  const links: Member[] = []
  for await (const member of artefact.members()) {
    if (member.type === 'link' || member.type === 'hardlink') links.push(member)
    if (member.type !== 'file') continue
    const place =
      member.path === null ? join(scratch, String(places.size)) : Buffer.from(member.path, 'latin1').toString()
    if (member.path === null) await writeFile(member, Buffer.from(place), 0o600)
    places.set(member.name, place)
  }
  // `docker save` has links for layers that occur twice.
  for (const { name, type, target } of links) {
    const place = places.get(type === 'link' ? posix.join(posix.dirname(name), target) : target)
    if (place !== undefined) places.set(name, place)
  }
  return places
}

type Json = { readonly [key: string]: unknown }

class Parts {
  readonly #path: string
  readonly #places: ReadonlyMap<string, string>

  constructor(path: string, places: ReadonlyMap<string, string>) {
    this.#path = path
    this.#places = places
  }

  image(): { config: ImageConfig; layers: readonly string[] } {
    const saved = this.#places.has('manifest.json') ? this.#json('manifest.json') : null
    if (Array.isArray(saved)) {
      const [image, another] = saved as readonly unknown[]
      if (another !== undefined) throw this.#wrong('holds several images')
      if (!isObject(image) || typeof image.Config !== 'string') throw this.#wrong('its manifest.json names no image')
      return { config: this.#config(image.Config), layers: strings(image.Layers) }
    }
    const manifest = this.#manifest(this.#json('index.json'), 0)
    const names = [manifest.config, ...(Array.isArray(manifest.layers) ? manifest.layers : [])].map(d => this.#blob(d))
    return { config: this.#config(names[0]!), layers: names.slice(1) }
  }

  /** @throws BundleError when there is no such part */
  place(name: string): string {
    const place = this.#places.get(Buffer.from(name, 'utf8').toString('latin1'))
    if (place === undefined) throw this.#wrong(`names ${name}, which is not there`)
    return place
  }

  /** The manifest for this machine's CPU, or the only one. */
  #manifest(index: unknown, depth: number): Json {
    if (!isObject(index)) throw this.#wrong('is no image')
    if (!Array.isArray(index.manifests)) return index
    const all = index.manifests.filter(isObject)
    const here = all.filter(m => isObject(m.platform) && m.platform.architecture === CPUS[process.arch])
    const [found, another] = all.length === 1 ? all : here
    if (found === undefined || another !== undefined || depth === DEPTH)
      throw this.#wrong(`holds ${all.length} images, and ${here.length} of them are for this machine's CPU`)
    return this.#manifest(this.#json(this.#blob(found)), depth + 1)
  }

  #blob(descriptor: unknown): string {
    const digest = isObject(descriptor) ? descriptor.digest : null
    if (typeof digest !== 'string' || !/^[a-z0-9]+:[0-9a-f]+$/.test(digest))
      throw this.#wrong('names a part without digest')
    return `blobs/${digest.replace(':', '/')}`
  }

  #config(name: string): ImageConfig {
    const document = this.#json(name)
    const config = isObject(document) && isObject(document.config) ? document.config : {}
    const { Entrypoint, Cmd, Env, WorkingDir, User } = config
    return {
      entrypoint: strings(Entrypoint),
      cmd: strings(Cmd),
      env: strings(Env).filter(pair => pair.indexOf('=') > 0),
      workdir: typeof WorkingDir === 'string' && WorkingDir.startsWith('/') ? WorkingDir : '/',
      user: typeof User === 'string' && User !== '' ? this.#user(User) : null,
    }
  }

  #user(text: string): ImageUser {
    const [, uid, gid = '0'] = /^(\d{1,10})(?::(\d{1,10}))?$/.exec(text) ?? []
    if (uid === undefined) throw this.#wrong(`starts as ${text}, and a user by name is not looked up`)
    return { uid: Number(uid), gid: Number(gid) }
  }

  #json(name: string): unknown {
    const place = this.place(name)
    try {
      return fs.statSync(place).size > JSON_MAX ? null : JSON.parse(fs.readFileSync(place, 'utf8'))
    } catch {
      throw this.#wrong(`${name} is no JSON`)
    }
  }

  #wrong(reason: string): BundleError {
    return new BundleError('malformed', `an image that cannot be tried: ${reason}`, {
      path: this.#path,
      hint: 'bundle verify says what else is wrong with it',
    })
  }
}

const isObject = (value: unknown): value is Json => value instanceof Object && !Array.isArray(value)
const strings = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string' && !item.includes('\0')) : []

/** Applies one layer (layer.md). */
async function apply(layer: Artefact, root: string): Promise<void> {
  /** What this layer has written, which its own whiteouts of whole directories leave alone. */
  const own = new Set<string>()
  for await (const member of layer.members()) {
    const parts = member.name.split('/').filter(part => part !== '' && part !== '.')
    const base = parts.pop()
    if (base === undefined) continue
    const directory = directoryIn(root, parts, true)
    const at = `${directory}/${base}`
    if (base === '..' || base.includes('\0')) continue
    if (base === OPAQUE) {
      for (const name of fs.readdirSync(native(directory), { encoding: 'latin1' }))
        if (!own.has(`${directory}/${name}`)) remove(`${directory}/${name}`)
      continue
    }
    if (base.startsWith(WHITEOUT)) {
      // One of `..` would remove what lies around.
      const name = base.slice(WHITEOUT.length)
      if (!['', '.', '..'].includes(name)) remove(`${directory}/${name}`)
      continue
    }
    own.add(at)
    await write(member, at, root)
  }
}

const WHITEOUT = '.wh.'
const OPAQUE = '.wh..wh..opq'
const remove = (path: string): void => fs.rmSync(native(path), { recursive: true, force: true })

/** @param at byte string */
async function write(member: Member, at: string, root: string): Promise<void> {
  const there = fs.lstatSync(native(at), { throwIfNoEntry: false })
  if (there !== undefined && !(there.isDirectory() && member.type === 'directory')) remove(at)
  if (member.type === 'directory') {
    fs.mkdirSync(native(at), { recursive: true })
    fs.chmodSync(native(at), member.mode & 0o7777)
  } else if (member.type === 'link') fs.symlinkSync(native(member.target), native(at))
  else if (member.type === 'hardlink') {
    const parts = member.target.split('/').filter(part => part !== '' && part !== '.')
    const base = parts.pop() ?? ''
    const other = `${directoryIn(root, parts, false)}/${base}`
    if (base === '' || base === '..' || !fs.lstatSync(native(other), { throwIfNoEntry: false })) return
    fs.linkSync(native(other), native(at))
  } else if (member.type === 'file') await writeFile(member, native(at), member.mode)
  else return
  own(at, member)
}

async function writeFile(member: Member, at: Buffer, mode: number): Promise<void> {
  const fd = fs.openSync(at, 'wx', 0o600)
  try {
    for await (const piece of member.contents())
      for (let done = 0; done < piece.length; ) done += fs.writeSync(fd, piece, done)
    fs.fchmodSync(fd, mode & 0o7777)
    // Compiled Python modules check their source's time.
    const time = octal(member.header, 136, 12) ?? 1
    fs.futimesSync(fd, time, time)
  } finally {
    fs.closeSync(fd)
  }
}

/** Gives a file the owner that its header has, where we may. */
function own(at: string, { header, type, mode }: Member): void {
  const [uid, gid] = [octal(header, 108, 8), octal(header, 116, 8)]
  if (process.geteuid?.() !== 0 || uid === null || gid === null || (uid === 0 && gid === 0)) return
  fs.lchownSync(native(at), uid, gid)
  // A set-uid bit goes when the owner changes.
  if (type === 'file') fs.chmodSync(native(at), mode & 0o7777)
}

/** A number of a member's last header block, which is the one that describes it. */
function octal(header: Buffer, at: number, length: number): number | null {
  const text = header.subarray(header.length - 512).toString('latin1', at, at + length)
  const digits = /^ *([0-7]+)[ \0]/.exec(text)?.[1]
  return digits === undefined ? null : Number.parseInt(digits, 8)
}

/** Links are followed as often as the kernel does. */
const LINKS_MAX = 40

/**
 * A directory of the root, made where it is not there: links in it are followed as a process in that root would, so that
 * none leads out.
 * @returns byte string; null when it is not there and is not to be made
 */
function directoryIn(root: string, wanted: readonly string[], makes: true): string
function directoryIn(root: string, wanted: readonly string[], makes: boolean): string | null
function directoryIn(root: string, wanted: readonly string[], makes: boolean): string | null {
  const top = fromText(root)
  const rest = [...wanted]
  let at: string[] = []
  let links = 0
  for (let part = rest.shift(); part !== undefined; part = rest.shift()) {
    if (part === '' || part === '.') continue
    if (part === '..') {
      at.pop()
      continue
    }
    const path = [top, ...at, part].join('/')
    const status = fs.lstatSync(native(path), { throwIfNoEntry: false })
    if (status?.isSymbolicLink()) {
      if (++links > LINKS_MAX) throw new BundleError('malformed', 'an image whose links go round', { path: part })
      const target = fs.readlinkSync(native(path), { encoding: 'latin1' })
      if (target.startsWith('/')) at = []
      rest.unshift(...target.split('/'))
      continue
    }
    if (!makes && !status?.isDirectory()) return null
    if (status === undefined) fs.mkdirSync(native(path), 0o755)
    else if (!status.isDirectory()) {
      remove(path)
      fs.mkdirSync(native(path), 0o755)
    }
    at.push(part)
  }
  return [top, ...at].join('/')
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
      const directory = directoryIn(root, parts.map(fromText), false)
      // Where it leads is the kernel's to say, in that root.
      return (
        directory !== null &&
        fs.lstatSync(native(`${directory}/${fromText(base)}`), { throwIfNoEntry: false }) !== undefined
      )
    }) ?? null
  )
}
