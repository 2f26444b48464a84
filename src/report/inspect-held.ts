/** What `bundle inspect` says of what holds files, for people and as JSON (docs/explain.schema.json). */
import type { ArtefactKind } from '../archive/members.ts'
import { toText } from '../paths.ts'
import { bytesText } from './describe.ts'

/** A bundle, an archive, an image. Byte strings but for texts of the bundle. */
export interface Held {
  readonly asked: string
  readonly path: string
  readonly packing: ArtefactKind | 'image'
  /** Of the file; null for a directory. */
  readonly size: number | null
  /** Files and links in it, and their bytes; of an image its blobs. */
  readonly members: number
  readonly bytes: number
  readonly bundle: InspectedBundle | null
}

/** What its `bundle.json` says. */
export interface InspectedBundle {
  readonly name: string
  readonly version: string | null
  readonly system: string
  readonly tool: string
  /** Null for one that may lie anywhere. */
  readonly prefix: string | null
  readonly launcher: string
  readonly programs: readonly string[]
  readonly files: number
  readonly bytes: number
  readonly packages: number
  /** Store paths whose hashes may stand nowhere in it. */
  readonly closure: number
}

const PACKINGS: Readonly<Record<Held['packing'], string>> = {
  directory: 'a directory',
  tar: 'a tar archive',
  zip: 'a zip archive',
  deb: 'a Debian package',
  exe: 'one file that unpacks itself',
  image: 'an image',
  file: 'a file',
}
const LAUNCHERS: Readonly<Record<string, string>> = {
  stub: 'its programs find their loader by themselves',
  shell: 'its programs start through /bin/sh',
  none: 'its programs are started by the system',
}
/** Programs that are named. */
const PROGRAMS = 8

export function heldText({ asked, packing, size, members, bytes, bundle }: Held): string {
  const what = `${PACKINGS[packing]}${size === null ? '' : `, ${size} bytes`}`
  if (bundle === null)
    return [
      `${toText(asked)}: ${what}: ${members} files and links, ${bytesText(bytes)}; no bundle`,
      '  store paths  not looked for: bundle verify does',
    ].join('\n')
  const { name, version, system, tool, prefix, launcher, programs, files, packages, closure } = bundle
  const named = programs.slice(0, PROGRAMS).map(toText)
  const more = programs.length - named.length
  return [
    `${toText(asked)}: ${version === null ? name : `${name} ${version}`} for ${system}, a bundle in ${what}`,
    `  holds        ${files} files and links, ${bytesText(bundle.bytes)}, of ${packages} packages`,
    `  programs     ${named.length === 0 ? 'none' : named.join(', ')}${more > 0 ? ` and ${more} more` : ''}`,
    `  lies         ${prefix === null ? `anywhere; ${LAUNCHERS[launcher] ?? launcher}` : `at ${prefix} and nowhere else`}`,
    `  made by      ${tool}, of ${closure} store paths`,
    '  store paths  not looked for: bundle verify does',
  ].join('\n')
}

export const heldJson = ({ asked, path, bundle, ...held }: Held): object => ({
  file: toText(asked),
  path: toText(path),
  artefact: { ...held, bundle: bundle && { ...bundle, programs: bundle.programs.map(toText) } },
})
