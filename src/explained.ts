/** What a question is asked of: a target before bundling, a bundle that is there, a file. */
import { resolve } from 'node:path'
import { digestOfHash, MANIFEST, readManifest as parseManifest } from './apply/manifest.ts'
import { type Artefact, type Member, open } from './archive/members.ts'
import { singleOf } from './archive/single.ts'
import { bundle, explainTarget, sectionsOfTarget } from './bundle.ts'
import { BundleError } from './errors.ts'
import { explainManifest } from './explain/from-manifest.ts'
import { judge, judged, judgeSize, judgeSymbols } from './explain/policy.ts'
import { writeFile } from './io/staging.ts'
import { readInput, readText, stat, withFile } from './io/store.ts'
import type { Explained, FileRole } from './model/explained.ts'
import type { Finding } from './model/findings.ts'
import type { Policy } from './model/policy.ts'
import type { SbomOptions } from './model/sbom.ts'
import { metaOf } from './nix/meta.ts'
import { provenancesOf } from './nix/provenance.ts'
import type { BundleOptions } from './options.ts'
import { baseName, fromText } from './paths.ts'
import { type AskedOfSbom, sbomOfBundle, type WrittenSbom } from './sbom.ts'
import { type Inspection, inspect } from './scan/inspect.ts'
import { isImage } from './try/image.ts'
import { inTemporary, writeMember } from './try/unpack.ts'
import { type Part, partsOf } from './verify/checks/parts.ts'
import { sectionsIn } from './verify/sections.ts'
import type { Verification } from './verify/verify.ts'

/** Of an image. In bytes. */
const LAYER_MAX = 16 * 2 ** 30
/** A `bundle.json` of a hundred thousand files has 40 MB. In bytes. */
const MANIFEST_MAX = 256 << 20

/**
 * @param word as it was typed: a directory that `bundle` made, or an archive, by the name of its format; `-` for what
 *   comes in on standard input, a bundle's archive or its `bundle.json`; else a target
 * @throws BundleError as `bundle`, or for a bundle that does not say why its files are there
 */
export async function explained(word: string, options: BundleOptions): Promise<Explained> {
  if (word === '-') return explainInput()
  const path = bundlePath(word, options)
  return path === null ? explainTarget([word], options) : explainManifest(await readManifest(path), path)
}

/**
 * The same, and the sections of programs and libraries.
 * @throws as `explained`, and for what is neither a target nor a bundle's directory or archive
 */
export async function sectioned(
  word: string,
  options: BundleOptions,
): Promise<{ explained: Explained; sections: ReadonlyMap<string, readonly Part[]> }> {
  const path = word === '-' ? null : bundlePath(word, options)
  if (path === null && word !== '-') return sectionsOfTarget([word], options)
  if (path === null || isPacked(path))
    throw new BundleError('unsupported', 'sections are looked for in a target, a directory or an archive', {
      path: path ?? fromText(word),
      hint: 'ask the bundle or the target that it was made of',
    })
  const explained = explainManifest(await readManifest(path), path)
  const objects = new Set(explained.files.flatMap(({ at, role }) => (OBJECTS.has(role) ? [at as string] : [])))
  return { explained, sections: await sectionsIn(path, at => objects.has(at)) }
}

const OBJECTS: ReadonlySet<FileRole> = new Set(['program', 'library', 'loader', 'made'])

/** Whether a bundle lies in a package or an image: its own files are not that file's members. */
const isPacked = (path: string): boolean =>
  stat(path)?.type === 'file' ? path.endsWith('.deb') : stat(`${path}/${MANIFEST}`) === null

async function explainInput(): Promise<Explained> {
  const bytes = readInput()
  const name = 'standard input'
  if (bytes[0] === 0x7b /* { */) return explainManifest(bytes, name)
  return inTemporary(async directory => {
    const place = `${directory}/input`
    writeFile(fromText(place), bytes)
    return explainManifest(await readManifest(fromText(place), name), name)
  })
}

const isSingle = (path: string): boolean => withFile(path, singleOf) !== null

/** Where the bundle lies that a word names; null for one that names a target. */
function bundlePath(word: string, options: BundleOptions): string | null {
  const path = fromText(word.startsWith('/') ? word : `${options.cwd ?? process.cwd()}/${word}`)
  const type = stat(path)?.type
  const isBundle =
    type === 'directory'
      ? stat(`${path}/${MANIFEST}`)?.type === 'file' || stat(`${path}/oci-layout`)?.type === 'file'
      : type === 'file' && (ARCHIVE.test(word) || (word.includes('/') && isSingle(path)))
  return isBundle ? path : null
}

const ARCHIVE = /\.(?:tar(?:\.\w+)?|tgz|tzst|deb)$/

/** The bytes of a bundle's `bundle.json`: of a directory, an archive, a package, an image, a file that unpacks itself. */
async function readManifest(path: string, name = path): Promise<Buffer> {
  const found = await manifestIn(await open(path), path)
  if (found !== null) return found
  throw new BundleError('unsupported', `there is no ${MANIFEST} in it: it is no bundle`, { path: name })
}

async function manifestIn(artefact: Artefact, path: string): Promise<Buffer | null> {
  const names = new Set<string>()
  for await (const member of artefact.members()) {
    names.add(member.name)
    // In a package it lies where that is installed.
    const isIt = member.inside === MANIFEST || (artefact.kind === 'deb' && member.inside.endsWith(`/${MANIFEST}`))
    if (!isIt || member.type !== 'file') continue
    const bytes = await bytesOf(member, path)
    if (artefact.kind !== 'deb' || isManifest(bytes)) return bytes
  }
  return isImage(names) ? manifestInImage(artefact, path) : null
}

/** Of an image the one in the last of its layers that has one: layers are what an image has that are archives. */
async function manifestInImage(artefact: Artefact, path: string): Promise<Buffer | null> {
  let found: Buffer | null = null
  await inTemporary(async directory => {
    for await (const member of artefact.members()) {
      if (member.type !== 'file' || member.size > LAYER_MAX) continue
      const place = member.path ?? fromText(`${directory}/layer`)
      if (member.path === null) await writeMember(member, place)
      const layer = await open(place)
      if (layer.kind !== 'tar') continue
      for await (const inside of layer.members()) {
        if (!inside.name.endsWith(`/${MANIFEST}`) || inside.type !== 'file') continue
        const bytes = await bytesOf(inside, path)
        if (isManifest(bytes)) found = bytes
      }
    }
  })
  return found
}

const isManifest = (bytes: Buffer): boolean => 'manifest' in parseManifest(bytes)

/** @throws BundleError('unsupported') for one that is too large */
async function bytesOf(member: Member, path: string): Promise<Buffer> {
  if (member.size > MANIFEST_MAX)
    throw new BundleError('unsupported', `a ${MANIFEST} of ${member.size} bytes is not read`, { path })
  const pieces: Buffer[] = []
  for await (const piece of member.contents()) pieces.push(Buffer.from(piece))
  return Buffer.concat(pieces)
}

/**
 * One file, and the names of its parts.
 * @param word as it was typed
 * @throws BundleError when it is no file, or cannot be read
 */
export function inspectFile(word: string): { inspection: Inspection; partAt: (offset: number) => string | null } {
  const inspection = inspect(fromText(resolve(word)))
  const partAt = withFile(inspection.path, source => partsOf(source, inspection.path))
  return { inspection: { ...inspection, asked: fromText(word) }, partAt }
}

/**
 * The bill of materials of a bundle; of a target that of the bundle that is made of it, for as long as that takes: no
 * file's digest is known before it is written.
 * @throws BundleError as `explained`, and for a bundle whose files are not those that it lists
 */
export async function sbomFor(word: string, asked: AskedOfSbom, options: BundleOptions): Promise<WrittenSbom> {
  const path = bundlePath(word, options)
  const of = async (at: string, told?: Pick<SbomOptions, 'provenance' | 'meta'>): Promise<WrittenSbom> => {
    const manifest = await readManifest(at)
    return sbomOfBundle(at, explainManifest(manifest, at), manifest, asked, told)
  }
  if (path !== null) {
    if (isPacked(path))
      throw new BundleError('unsupported', 'of a package, an image or a single file there is no bill of materials', {
        path,
        hint: 'ask the bundle or the target that it was made of, or make it with --sbom and look into it',
      })
    return of(path)
  }
  return inTemporary(async directory => {
    const output = `${directory}/bundle`
    const account = `${directory}/account.json`
    const report = await bundle([word], { ...options, output, report: account, format: 'dir' })
    if (report.output === null)
      throw new BundleError('unsupported', `no bundle can be made of ${word}`, {
        hint: `bundle ${word} --dry-run says why`,
      })
    const { packages } = JSON.parse(readText(fromText(account))) as {
      packages: { root: string; hash: string | null }[]
    }
    const stored = packages.filter(p => p.hash !== null)
    const made = await provenancesOf(stored.map(p => fromText(p.root)))
    const digests = new Map(stored.map(p => [fromText(p.root), digestOfHash(p.hash!)]))
    const { file = null, system = null, nixArg: args = [], cwd = process.cwd() } = options
    const meta = await metaOf(word, { file, system, args, cwd, shown: false })
    return of(fromText(output), {
      provenance: new Map([...made].map(([root, told]) => [digests.get(root)!, told])),
      meta,
    })
  })
}

/**
 * Judges what `bundle verify` looks at by a policy.
 * @throws BundleError('unsupported') when it asks for packages or files of what is no bundle
 */
export const judgeBy =
  (policy: Policy) =>
  async (path: string, verification: Verification): Promise<readonly Finding[]> => {
    const { manifest, elf, names, bytes } = verification
    const asks = policy.disallow.length + policy.require.length + policy.disallowFiles.length > 0
    if (manifest === null && asks)
      throw new BundleError('unsupported', `no bundle: what ${policy.file} asks of packages and files is not known`, {
        path: fromText(path),
      })
    const explained = manifest === null ? null : explainManifest(await readManifest(fromText(path)), fromText(path))
    const inside = new Set([...names].map(baseName))
    const asking = [...elf].map(([file, { verneed }]) => ({ file, verneed }))
    return judged(policy, [
      ...judgeSize(policy, explained?.files.reduce((sum, { size }) => sum + size, 0) ?? bytes, explained),
      ...(explained === null ? [] : judge(policy, explained)),
      ...judgeSymbols(policy, asking, name => inside.has(name)),
      ...verification.findings,
    ])
  }
