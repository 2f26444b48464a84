/** What a question is asked of: a target before bundling, a bundle that is there. */
import { rehearse } from './apply/rehearsal.ts'
import { BundleError } from './errors.ts'
import { fromGraph } from './explain/from-graph.ts'
import { explainManifest } from './explain/from-manifest.ts'
import { judge, judged } from './explain/policy.ts'
import { bundlePath, findBundle, readManifest } from './found.ts'
import { silent } from './io/progress.ts'
import { writeFile } from './io/staging.ts'
import { readInput, withFile } from './io/store.ts'
import type { Explained, FileRole } from './model/explained.ts'
import type { Finding } from './model/findings.ts'
import type { DependencyGraph } from './model/graph.ts'
import type { BundlePlan } from './model/plan.ts'
import type { Policy } from './model/policy.ts'
import type { BundleOptions } from './options.ts'
import { fromText } from './paths.ts'
import { Spared } from './plan/spare.ts'
import { planFiles } from './plan/steps.ts'
import { prepare } from './prepared.ts'
import { inTemporary } from './try/unpack.ts'
import { type Part, sectionsOf } from './verify/checks/parts.ts'
import { partsIn, sectionsIn } from './verify/sections.ts'
import type { Verification } from './verify/verify.ts'

/**
 * @param word as it was typed: a directory that `bundle` made, or an archive, by the name of its format; `-` for what
 *   comes in on standard input, a bundle's archive or its `bundle.json`; else a target
 * @throws BundleError as `bundle`, or for a bundle that does not say why its files are there
 */
export async function explained(word: string, options: BundleOptions): Promise<Explained> {
  if (word === '-') return explainInput()
  const path = bundlePath(word, options)
  if (path !== null) return explainManifest(await readManifest(path), path)
  return (await explainTarget(word, options)).explained
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
  if (path === null && word !== '-') return sectionsOfTarget(word, options)
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

/** What a bundle of some targets would consist of, and why. Nothing is written. */
async function explainTarget(
  target: string,
  options: BundleOptions,
): Promise<{ explained: Explained; graph: DependencyGraph; made: BundlePlan }> {
  let prepared = await prepare(target, options, options.progress ?? silent)
  let files: ReturnType<typeof planFiles>
  for (;;) {
    const { made, graph, how } = prepared
    const spared = new Spared(graph)
    const rehearsed = await rehearse(made, graph, how, (file, error) => {
      // Why a file that `bundle` refuses is in there is what one asks next.
      if (spared.isSpare(file)) spared.add(file, error)
    })
    files = rehearsed?.files ?? planFiles(made)
    if (spared.unmade.size === 0) break
    prepared = await prepared.without(spared.unmade)
  }
  const { graph, made, title, closure } = prepared
  const known = await closure
  const subject = { kind: 'target' as const, ...title, digest: null }
  return { explained: fromGraph(subject, graph, made, files, known?.paths ?? null, partsIn), graph, made }
}

/** The same, and the sections of the programs and libraries that it would have, as their inputs have them. */
async function sectionsOfTarget(
  target: string,
  options: BundleOptions,
): Promise<{ explained: Explained; sections: ReadonlyMap<string, readonly Part[]> }> {
  const { explained, graph, made } = await explainTarget(target, options)
  const copied = made.steps.flatMap(step =>
    step.do === 'copy' && graph.files.get(step.from)?.facts.format !== 'data' ? [step] : [],
  )
  const sections = new Map(
    copied.map(({ at, from }) => [at as string, withFile(from, source => sectionsOf(source, from))]),
  )
  return { explained, sections }
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
    const judging = manifest === null ? bytes : explainManifest(await readManifest(fromText(path)), fromText(path))
    const asking = [...elf].map(([file, { verneed }]) => ({ file, verneed }))
    return judged(policy, [...judge(policy, judging, asking, names), ...verification.findings])
  }
