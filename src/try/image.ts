/**
 * An image's root file system and what it starts, from an archive or a directory: as OCI lays images out
 * (image-spec, image-layout.md), or as `docker save` does.
 */
import * as fs from 'node:fs'
import { join, posix } from 'node:path'
import type { Artefact, Member } from '../archive/members.ts'
import { BundleError } from '../errors.ts'
import { fromText, toText } from '../paths.ts'
import { writeFile, writeRoot } from './image-root.ts'

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
  const wrong = await writeRoot(
    layers.map(layer => [fromText(layer), fromText(parts.place(layer))] as const),
    root,
  )
  if (wrong !== null) throw parts.wrong(toText(wrong))
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
    if (member.path === null) await writeFile(member, Buffer.from(place), 1)
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
      if (another !== undefined) throw this.wrong('holds several images')
      if (!isObject(image) || typeof image.Config !== 'string') throw this.wrong('its manifest.json names no image')
      return { config: this.#config(image.Config), layers: strings(image.Layers) }
    }
    const manifest = this.#manifest(this.#json('index.json'), 0)
    const names = [manifest.config, ...(Array.isArray(manifest.layers) ? manifest.layers : [])].map(d => this.#blob(d))
    return { config: this.#config(names[0]!), layers: names.slice(1) }
  }

  /** @throws BundleError when there is no such part */
  place(name: string): string {
    const place = this.#places.get(Buffer.from(name, 'utf8').toString('latin1'))
    if (place === undefined) throw this.wrong(`names ${name}, which is not there`)
    return place
  }

  /** The manifest for this machine's CPU, or the only one. */
  #manifest(index: unknown, depth: number): Json {
    if (!isObject(index)) throw this.wrong('is no image')
    if (!Array.isArray(index.manifests)) return index
    const all = index.manifests.filter(isObject)
    const here = all.filter(m => isObject(m.platform) && m.platform.architecture === CPUS[process.arch])
    const [found, another] = all.length === 1 ? all : here
    if (found === undefined || another !== undefined || depth === DEPTH)
      throw this.wrong(`holds ${all.length} images, and ${here.length} of them are for this machine's CPU`)
    return this.#manifest(this.#json(this.#blob(found)), depth + 1)
  }

  #blob(descriptor: unknown): string {
    const digest = isObject(descriptor) ? descriptor.digest : null
    if (typeof digest !== 'string' || !/^[a-z0-9]+:[0-9a-f]+$/.test(digest))
      throw this.wrong('names a part without digest')
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
    if (uid === undefined) throw this.wrong(`starts as ${text}, and a user by name is not looked up`)
    return { uid: Number(uid), gid: Number(gid) }
  }

  #json(name: string): unknown {
    const place = this.place(name)
    try {
      return fs.statSync(place).size > JSON_MAX ? null : JSON.parse(fs.readFileSync(place, 'utf8'))
    } catch {
      throw this.wrong(`${name} is no JSON`)
    }
  }

  wrong(reason: string): BundleError {
    return new BundleError('malformed', `an image that cannot be tried: ${reason}`, {
      path: this.#path,
      hint: 'bundle verify says what else is wrong with it',
    })
  }
}

const isObject = (value: unknown): value is Json => value instanceof Object && !Array.isArray(value)
const strings = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string' && !item.includes('\0')) : []
