/** What a question is asked of: a target before bundling, a bundle that is there, a file. */
import { explainTarget, sectionsOfTarget } from './bundle.ts'
import { BundleError } from './errors.ts'
import { explainManifest } from './explain/from-manifest.ts'
import { judge, judged, judgeSize, judgeSymbols } from './explain/policy.ts'
import { bundlePath, findBundle, readManifest } from './found.ts'
import { writeFile } from './io/staging.ts'
import { readInput } from './io/store.ts'
import type { Explained, FileRole } from './model/explained.ts'
import type { Finding } from './model/findings.ts'
import type { Policy } from './model/policy.ts'
import type { BundleOptions } from './options.ts'
import { baseName, fromText } from './paths.ts'
import { inTemporary } from './try/unpack.ts'
import type { Part } from './verify/checks/parts.ts'
import { sectionsIn } from './verify/sections.ts'
import type { Verification } from './verify/verify.ts'

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
  const found = path === null ? null : await findBundle(path)
  if (path === null || found === null || found.packing !== null)
    throw new BundleError('unsupported', 'sections are looked for in a target, a directory or an archive', {
      path: path ?? fromText(word),
      hint: 'ask the bundle or the target that it was made of',
    })
  const explained = explainManifest(found.manifest, path)
  const objects = new Set(explained.files.flatMap(({ at, role }) => (OBJECTS.has(role) ? [at as string] : [])))
  return { explained, sections: await sectionsIn(path, at => objects.has(at)) }
}

const OBJECTS: ReadonlySet<FileRole> = new Set(['program', 'library', 'loader', 'made'])

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
