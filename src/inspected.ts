/** What `bundle inspect` is asked of: one file by itself, or what holds files: a bundle, an archive, an image. */
import { resolve } from 'node:path'
import { MANIFEST, pathBytes } from './apply/manifest.ts'
import { readManifest as parseManifest } from './apply/manifest-text.ts'
import { open } from './archive/members.ts'
import { BundleError } from './errors.ts'
import { findBundle } from './found.ts'
import { stat, withFile } from './io/store.ts'
import { fromText, oneLine } from './paths.ts'
import type { Held, InspectedBundle } from './report/inspect-held.ts'
import { type Inspection, inspect } from './scan/inspect.ts'
import { isImage } from './try/image.ts'
import { partsOf } from './verify/checks/parts.ts'

export type Inspected =
  | { readonly inspection: Inspection; readonly partAt: (offset: number) => string | null }
  | { readonly held: Held }

/**
 * Runs nothing of it.
 * @param word as it was typed
 * @throws BundleError when it is neither, or cannot be read
 */
export async function inspectWord(word: string): Promise<Inspected> {
  const path = fromText(resolve(word))
  const held = await heldIn(path, fromText(word))
  if (held !== null) return { held }
  const inspection = inspect(path)
  const partAt = withFile(inspection.path, source => partsOf(source, inspection.path))
  return { inspection: { ...inspection, asked: fromText(word) }, partAt }
}

/** Null for what is one file. A zip's members are looked into where that file is. */
async function heldIn(path: string, asked: string): Promise<Held | null> {
  const status = stat(path)
  if (status === null) return null
  const isDirectory = status.type === 'directory'
  if (isDirectory && [MANIFEST, 'oci-layout'].every(name => stat(`${path}/${name}`)?.type !== 'file')) return null
  if (!isDirectory && status.type !== 'file') return null
  const artefact = await open(path)
  if (artefact.kind === 'file' || artefact.kind === 'zip') return null
  const names = new Set<string>()
  let [members, bytes] = [0, 0]
  try {
    for await (const member of artefact.members()) {
      names.add(member.name)
      if (member.type === 'directory') continue
      members++
      bytes += member.type === 'file' ? member.size : 0
    }
  } catch (error) {
    // Named as an archive, and none: a file.
    if (error instanceof BundleError && !isDirectory) return null
    throw error
  }
  const packing = isImage(names) ? 'image' : artefact.kind
  return { asked, path, packing, size: isDirectory ? null : status.size, members, bytes, bundle: await bundleIn(path) }
}

async function bundleIn(path: string): Promise<InspectedBundle | null> {
  try {
    const read = parseManifest((await findBundle(path)).manifest)
    if ('reason' in read) return null
    const { name, version, system, tool, prefix, launcher, programs, files, packages, closure } = read.manifest
    const owned = new Set(files.flatMap(file => file.package ?? []))
    return {
      ...{ name: oneLine(name), version: version === null ? null : oneLine(version), system: oneLine(system) },
      ...{ tool: oneLine(tool), prefix: prefix === null ? null : oneLine(prefix), launcher },
      programs: programs.map(program => pathBytes(program.at)),
      files: files.length,
      bytes: files.reduce((sum, { size, type }) => sum + (type === 'file' ? size : 0), 0),
      packages: packages.filter((_, id) => owned.has(id)).length,
      closure: closure.length,
    }
  } catch (error) {
    if (error instanceof BundleError && error.code === 'unsupported') return null
    throw error
  }
}
