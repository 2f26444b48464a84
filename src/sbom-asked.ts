/** The bill of materials of what was asked for: a target, or a bundle, whatever that is packed in. */

import { open } from './archive/members.ts'
import { bundleOf } from './bundle.ts'
import { BundleError } from './errors.ts'
import { explainManifest } from './explain/from-manifest.ts'
import { bundlePath, findBundle } from './found.ts'
import { writeFile } from './io/staging.ts'
import { lstat, readInput } from './io/store.ts'
import type { Told } from './model/sbom.ts'
import { closureOf } from './nix/database.ts'
import { digestOfHash } from './nix/hash-digest.ts'
import { metasOf } from './nix/metas.ts'
import { provenancesOf } from './nix/provenance.ts'
import { storePathOf } from './nix/store-path.ts'
import type { BundleOptions } from './options.ts'
import { fromText, toText } from './paths.ts'
import { type AskedOfSbom, sbomOfBundle, type WrittenSbom } from './sbom.ts'
import { unpackImage } from './try/image.ts'
import { inTemporary } from './try/unpack.ts'

/**
 * The bill of materials of a bundle; of a target that of the bundle that is made of it, for as long as that takes: no
 * file's digest is known before it is written.
 * @throws BundleError as `explained`, and for a bundle whose files are not those that it lists
 */
export async function sbomFor(word: string, asked: AskedOfSbom, options: BundleOptions): Promise<WrittenSbom> {
  if (word === '-') return ofInput(asked)
  const path = bundlePath(word, options)
  return path === null ? ofTarget(word, asked, options) : ofBundle(path, path, asked)
}

const ofInput = (asked: AskedOfSbom): Promise<WrittenSbom> =>
  inTemporary(async directory => {
    const place = fromText(`${directory}/input`)
    const bytes = readInput()
    if (bytes[0] === 0x7b /* { */)
      throw new BundleError('unsupported', 'a bill of materials is made of files, and this is bundle.json alone', {
        path: 'standard input',
        hint: 'give the bundle',
      })
    writeFile(place, bytes)
    return ofBundle(place, 'standard input', asked)
  })

/** @param name of it in messages */
async function ofBundle(path: string, name: string, asked: AskedOfSbom): Promise<WrittenSbom> {
  const wanted = [...(asked.edges === 'nix' ? ['--edges nix'] : []), ...(asked.storePaths ? ['--store-paths'] : [])]
  if (wanted.length > 0)
    throw new BundleError('unsupported', `${wanted.join(', ')}: a bundle does not have what Nix says of its packages`, {
      path: name,
      hint: 'ask the target that it was made of',
    })
  const { manifest, packing, below } = await findBundle(path, name)
  const explained = explainManifest(manifest, name)
  if (packing !== 'image') return sbomOfBundle(path, below, explained, manifest, asked)
  return inTemporary(async directory => {
    const root = `${directory}/root`
    await unpackImage(await open(path), path, `${directory}/parts`, root)
    // A link on the way would lead out of the image.
    const parts = below.split('/').filter(part => part !== '' && part !== '.')
    const places = parts.map((_, i) => [fromText(root), ...parts.slice(0, i + 1)].join('/'))
    if (places.some(place => lstat(place)?.type !== 'directory'))
      throw new BundleError('unsupported', `its layers make no directory of ${toText(below)}`, { path: name })
    return sbomOfBundle(places.at(-1) ?? fromText(root), '', explained, manifest, asked)
  })
}

/** No account is written (`report`): the bundle that it would be of is gone afterwards. */
const ofTarget = (word: string, asked: AskedOfSbom, { report: _, ...options }: BundleOptions): Promise<WrittenSbom> =>
  inTemporary(async directory => {
    const output = `${directory}/bundle`
    const { report, graph } = await bundleOf([word], { ...options, output, format: 'dir' })
    if (report.output === null)
      throw new BundleError('unsupported', `no bundle can be made of ${word}`, {
        hint: `bundle ${word} --dry-run says why`,
      })
    const at = fromText(output)
    const { manifest } = await findBundle(at)
    const roots = graph.packages.filter(p => p.hash !== null).map(p => toText(p.root))
    const told = await toldOf(word, roots, options)
    return sbomOfBundle(at, '', explainManifest(manifest, at), manifest, asked, told)
  })

/** What Nix says of store paths (texts), and of those that it keeps for them, by the digests that a bundle has. */
async function toldOf(
  word: string,
  roots: readonly string[],
  options: BundleOptions,
): Promise<ReadonlyMap<string, Told>> {
  const { file = null, system = null, nixArg: args = [], cwd = process.cwd() } = options
  const closure = await closureOf(roots)
  const all = [...new Set([...roots, ...(closure?.paths.keys() ?? [])])]
  const [made, metas] = await Promise.all([
    provenancesOf(roots.map(fromText)),
    metasOf(word, all, { file, system, args, cwd, shown: false }),
  ])
  const digest = (root: string): string => digestOfHash(storePathOf(root)!.hash)
  return new Map(
    all.map(root => {
      const references = (closure?.paths.get(root)?.references ?? []).map(digest)
      const told = { store: fromText(root), made: made.get(fromText(root)) ?? null, meta: metas.get(root) ?? null }
      return [digest(root), { ...told, references }]
    }),
  )
}
