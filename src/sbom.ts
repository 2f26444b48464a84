/**
 * The bill of materials of a bundle that is there: each of its files is read, for its digests and for what it says of
 * itself. It names places in the bundle only.
 */
import { createHash } from 'node:crypto'
import type { WrittenFile } from './apply/apply.ts'
import { MANIFEST, pathBytes } from './apply/manifest.ts'
import { readManifest } from './apply/manifest-text.ts'
import { open } from './archive/members.ts'
import { BundleError } from './errors.ts'
import { sbomOf, sbomText } from './explain/sbom/document.ts'
import { insideOf, isAccount, saysVersion, versionIn } from './explain/sbom/inside.ts'
import type { Staging } from './io/staging.ts'
import type { Explained } from './model/explained.ts'
import type { Contents, Contradiction, Sbom, SbomOptions } from './model/sbom.ts'
import { identityOf } from './nix/store-path.ts'
import { fromText, oneLine, toText } from './paths.ts'
import { throughLinks } from './plan/steps.ts'
import { containerKind, KIND_HEAD } from './references/containers.ts'
import { VERSION } from './version.ts'

/** Larger files are not looked into. In bytes. */
const LOOK_MAX = 512 << 20

export type AskedOfSbom = Pick<SbomOptions, 'spec' | 'files' | 'creator' | 'edges' | 'storePaths'>

export interface WrittenSbom {
  readonly sbom: Sbom
  readonly text: string
  readonly contradictions: readonly Contradiction[]
  /** Places of files that lay in no store: of which package they are is not known. */
  readonly unknown: readonly string[]
}

/** All files and the newest format but one, which most can read. */
const IN_BUNDLE: AskedOfSbom = { spec: '1.6', files: 'all', edges: 'files', storePaths: false }

/**
 * Writes a bundle's bill of materials into it. It cannot list itself, nor `bundle.json`, which lists it.
 * @param name of the bundle with its version
 * @param files that are written
 * @throws BundleError('usage') when its place is taken
 */
export async function addSbom(
  staging: Staging,
  explained: Explained,
  name: string,
  files: readonly WrittenFile[],
): Promise<WrittenFile> {
  const there = new Map(files.map(file => [file.at, file.target]))
  // The bundle's share may be a link to that of its program.
  const place = `share/sbom/${fromText(name)}.cdx.json`
  const at = throughLinks(place, part => there.get(part))
  if (at === null || there.has(at))
    throw new BundleError('usage', `--sbom: something else is at ${toText(at ?? place)}`, {
      hint: 'give the bundle another --name',
    })
  const tool = `storefree ${VERSION}`
  const options = { ...IN_BUNDLE, maker: tool, tool, timestamp: timestamp() }
  const { sbom } = sbomOf(explained, (await contentsOf(staging.tree, '', explained)).contents, options)
  const bytes = Buffer.from(sbomText(sbom, options), 'utf8')
  staging.makeParents(at)
  staging.write(at, bytes)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  return { at, type: 'file', executable: false, size: bytes.length, sha256, target: null }
}

/**
 * That of a bundle that anybody made: its files have to be those that it lists.
 * @param below the directory of its artefact that it lies in, with a slash at the end; else empty
 * @param manifest bytes of its `bundle.json`
 * @param told what Nix says of its packages
 * @throws BundleError('unsupported')
 */
export async function sbomOfBundle(
  path: string,
  below: string,
  explained: Explained,
  manifest: Buffer,
  asked: AskedOfSbom,
  told?: SbomOptions['told'],
): Promise<WrittenSbom> {
  const read = readManifest(manifest)
  if ('reason' in read) throw new BundleError('unsupported', read.reason, { path })
  const options = {
    ...asked,
    told,
    maker: oneLine(read.manifest.tool),
    tool: `storefree ${VERSION}`,
    timestamp: timestamp(),
  }
  const { contents, links } = await contentsOf(path, below, explained)
  for (const file of read.manifest.files) {
    const at = pathBytes(file)
    const isSame =
      file.type === 'file'
        ? contents.get(at)?.sha256 === file.sha256
        : file.target !== null && links.get(at) === pathBytes(file.target)
    if (!isSame) throw differs(path, `${toText(at)} is not as ${MANIFEST} lists it`)
  }
  const { sbom, contradictions } = sbomOf(explained, contents, options)
  const isUnknown = (id: number | null): boolean => {
    if (id === null) return false
    const { digest, machine } = explained.packages[id]!
    return digest === null && machine === null
  }
  const unknown = explained.files.flatMap(f => (f.type === 'file' && isUnknown(f.package) ? [toText(f.at)] : []))
  return { sbom, text: sbomText(sbom, options), contradictions, unknown }
}

const differs = (path: string, reason: string): BundleError =>
  new BundleError('unsupported', `${reason}: what it says of its files is true no more`, {
    path,
    hint: 'bundle verify tells all that differs',
  })

/** What is in every file of a bundle, and where each link leads, by their places. */
async function contentsOf(
  path: string,
  below: string,
  { files, packages }: Explained,
): Promise<{ contents: Map<string, Contents>; links: Map<string, string> }> {
  const owners = new Map(files.map(file => [file.at as string, file]))
  const contents = new Map<string, Contents>()
  const links = new Map<string, string>()
  for await (const member of (await open(path)).members()) {
    if (!member.inside.startsWith(below)) continue
    const at = member.inside.slice(below.length)
    if (member.type === 'link') links.set(at, member.target)
    if (member.type === 'directory') continue
    const file = owners.get(at)
    if (file === undefined) throw differs(path, `${toText(at)} is not in ${MANIFEST}`)
    if (member.type !== 'file') continue
    if (member.problem !== null)
      throw new BundleError('unreadable', `${toText(member.inside)} cannot be read`, { path })
    const owner = file.package === null ? null : identityOf(toText(packages[file.package]!.name)).pname
    const isObject = file.role === 'program' || file.role === 'library' || file.role === 'loader'
    const isRead = (isObject || isAccount(file.at)) && member.size <= LOOK_MAX
    const [sha256, sha512] = [createHash('sha256'), createHash('sha512')]
    const kept: Buffer[] = []
    let size = 0
    for await (const piece of member.contents()) {
      sha256.update(piece)
      sha512.update(piece)
      if (isRead) kept.push(Buffer.from(piece))
      else if (size < KIND_HEAD) kept.push(Buffer.from(piece.subarray(0, KIND_HEAD - size)))
      size += piece.length
    }
    const bytes = Buffer.concat(kept)
    contents.set(file.at, {
      sha256: sha256.digest('hex'),
      sha512: sha512.digest('hex'),
      executable: isObject || (member.mode & 0o111) !== 0,
      archive: !isObject && containerKind(bytes, size) !== null,
      inside: isRead ? insideOf(file.at, bytes) : [],
      version: isRead && isObject && owner !== null && saysVersion(owner) ? versionIn(owner, bytes) : null,
    })
  }
  return { contents, links }
}

/** SOURCE_DATE_EPOCH, else the time that all files of a bundle have: the clock would make two documents differ. */
function timestamp(epoch = process.env.SOURCE_DATE_EPOCH): string {
  const seconds = epoch !== undefined && /^\d{1,11}$/.test(epoch) ? Number(epoch) : 1
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z')
}
