/** Where a bundle lies that a word names, and its `bundle.json`, whatever it is packed in. */

import { MANIFEST } from './apply/manifest.ts'
import { readManifest as parseManifest } from './apply/manifest-text.ts'
import { type Artefact, type Member, open } from './archive/members.ts'
import { singleOf } from './archive/single.ts'
import { gathered } from './archive/stream.ts'
import { BundleError } from './errors.ts'
import { stat, withFile } from './io/store.ts'
import type { BundleOptions } from './options.ts'
import { fromText } from './paths.ts'
import { isImage } from './try/image.ts'
import { inTemporary, writeMember } from './try/unpack.ts'

/** Of an image. In bytes. */
const LAYER_MAX = 16 * 2 ** 30
/** A `bundle.json` of a hundred thousand files has 40 MB. In bytes. */
const MANIFEST_MAX = 256 << 20

/** Where the bundle lies that a word names; null for one that names a target. */
export function bundlePath(word: string, options: BundleOptions): string | null {
  const path = fromText(word.startsWith('/') ? word : `${options.cwd ?? process.cwd()}/${word}`)
  const type = stat(path)?.type
  const isBundle =
    type === 'directory'
      ? stat(`${path}/${MANIFEST}`)?.type === 'file' || stat(`${path}/oci-layout`)?.type === 'file'
      : type === 'file' && (ARCHIVE.test(word) || (word.includes('/') && isSingle(path)))
  return isBundle ? path : null
}

const isSingle = (path: string): boolean => withFile(path, singleOf) !== null
const ARCHIVE = /\.(?:tar(?:\.\w+)?|tgz|tzst|deb)$/

/** A bundle that was found. */
export interface Found {
  /** The bytes of its `bundle.json`. */
  readonly manifest: Buffer
  /** What it lies in, where its own files are not the members of its directory or archive. */
  readonly packing: 'deb' | 'image' | null
  /** The directory of a package or an image that it lies in, with a slash at the end; else empty. */
  readonly below: string
}

/** The bytes of a bundle's `bundle.json`: of a directory, an archive, a package, an image, a file that unpacks itself. */
export const readManifest = async (path: string, name = path): Promise<Buffer> =>
  (await findBundle(path, name)).manifest

/**
 * @param name of it in messages
 * @throws BundleError('unsupported') when there is no bundle in it
 */
export async function findBundle(path: string, name = path): Promise<Found> {
  const found = await inArtefact(await open(path), path)
  if (found !== null) return found
  throw new BundleError('unsupported', `there is no ${MANIFEST} in it: it is no bundle`, { path: name })
}

async function inArtefact(artefact: Artefact, path: string): Promise<Found | null> {
  const names = new Set<string>()
  for await (const member of artefact.members()) {
    names.add(member.name)
    // In a package it lies where that is installed.
    const isDeb = artefact.kind === 'deb'
    const isIt = member.inside === MANIFEST || (isDeb && member.inside.endsWith(`/${MANIFEST}`))
    if (!isIt || member.type !== 'file') continue
    const manifest = await bytesOf(member, path)
    if (!isDeb) return { manifest, packing: null, below: '' }
    if (isManifest(manifest)) return { manifest, packing: 'deb', below: member.inside.slice(0, -MANIFEST.length) }
  }
  return isImage(names) ? inImage(artefact, path) : null
}

/** Of an image the one in the last of its layers that has one: layers are what an image has that are archives. */
async function inImage(artefact: Artefact, path: string): Promise<Found | null> {
  let found: Found | null = null
  await inTemporary(async directory => {
    for await (const member of artefact.members()) {
      if (member.type !== 'file' || member.size > LAYER_MAX) continue
      const place = member.path ?? fromText(`${directory}/layer`)
      if (member.path === null) await writeMember(member, place)
      const layer = await open(place)
      if (layer.kind !== 'tar') continue
      for await (const { name, type, ...inside } of layer.members()) {
        if (!name.endsWith(`/${MANIFEST}`) || type !== 'file') continue
        const manifest = await bytesOf(inside, path)
        if (isManifest(manifest)) found = { manifest, packing: 'image', below: name.slice(0, -MANIFEST.length) }
      }
    }
  })
  return found
}

const isManifest = (bytes: Buffer): boolean => 'manifest' in parseManifest(bytes)

/** @throws BundleError('unsupported') for one that is too large */
async function bytesOf(member: Pick<Member, 'size' | 'contents'>, path: string): Promise<Buffer> {
  if (member.size > MANIFEST_MAX)
    throw new BundleError('unsupported', `a ${MANIFEST} of ${member.size} bytes is not read`, { path })
  return gathered(member.contents())
}
