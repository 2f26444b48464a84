/**
 * The pipeline: a target becomes entries, entries become a graph, the graph becomes a plan, the plan becomes a staged
 * tree, the tree is verified, and only a verified tree is published.
 */

import { availableParallelism } from 'node:os'
import { apply, type WrittenFile } from './apply/apply.ts'
import { fullReport, MANIFEST, makeManifest } from './apply/manifest.ts'
import { manifestPieces } from './apply/manifest-text.ts'
import { rehearse } from './apply/rehearsal.ts'
import { BundleError } from './errors.ts'
import { fromGraph } from './explain/from-graph.ts'
import { judge, judged, judgeSize } from './explain/policy.ts'
import { disallowed } from './explain/why.ts'
import { type Progress, silent } from './io/progress.ts'
import { push, registryRef } from './io/registry.ts'
import { assertFree, Staging, writeFile } from './io/staging.ts'
import type { Explained } from './model/explained.ts'
import type { Finding } from './model/findings.ts'
import type { DependencyGraph } from './model/graph.ts'
import type { BundlePlan } from './model/plan.ts'
import type { Policy } from './model/policy.ts'
import type { Target } from './model/target.ts'
import { type BundleOptions, formatOf, imageOptions, outputPath, planOptions } from './options.ts'
import { imageFacts, withManifest } from './pack/contents.ts'
import { debArchitecture } from './pack/deb.ts'
import { singleFor } from './pack/exe.ts'
import { addition, type ImageOptions } from './pack/image.ts'
import { unwritable } from './pack/unwritable.ts'
import { entryOf, packImage, packTree } from './packing.ts'
import { fromText, type SourcePath } from './paths.ts'
import { withoutRelocation } from './plan/accounts.ts'
import { Spared, type Unmade } from './plan/spare.ts'
import { inputOf, planFiles } from './plan/steps.ts'
import { readPolicy } from './policy.ts'
import { type Prepared, prepare } from './prepared.ts'
import { type BundleReport, plannedFiles, reportOn, type Title } from './report/bundle.ts'
import { addSbom } from './sbom.ts'
import { destinationOf, fullName } from './title.ts'
import { compareChoices } from './verify/checks/choices.ts'
import { checkRehearsed } from './verify/checks/rehearsed.ts'
import { Looks } from './verify/looks.ts'
import { partsIn } from './verify/sections.ts'
import { verify } from './verify/verify.ts'
import { VERSION } from './version.ts'

/**
 * Makes one bundle of one or more targets: paths (with a slash), flake references, Nix attributes; where there is no
 * Nix, programs on PATH.
 * @throws BundleError when it cannot be made at all; what is wrong with the program itself is in the findings
 */
export const bundle = async (
  targets: string | readonly [string, ...string[]],
  options: BundleOptions = {},
): Promise<BundleReport> => (await bundleOf(targets, options)).report

/** The same, and the graph that it was made of. */
export async function bundleOf(
  targets: string | readonly [string, ...string[]],
  options: BundleOptions,
): Promise<{ readonly report: BundleReport; readonly graph: DependencyGraph }> {
  const progress = options.progress ?? silent
  const cwd = options.cwd ?? process.cwd()
  const format = formatOf(options)
  imageOptions(options, format)
  // What cannot be made is said before Nix builds for an hour.
  planOptions(options, format)
  const { output, force = false } = options
  if (output !== undefined && !output.endsWith('/')) assertFree(outputPath(output, cwd), force)

  if (options.trace?.length === 0)
    throw new BundleError('usage', '--trace: no command to run', {
      hint: 'put it behind two dashes: --trace -- nginx -t',
    })

  const policy = options.policy === undefined ? null : readPolicy(options.policy, cwd)
  const jobs = options.jobs ?? availableParallelism()
  // Other threads start while this one plans.
  let looks = null as Looks | null
  const scanned = ({ hashes, files }: DependencyGraph): void => {
    looks?.close()
    const sizes = [...files.values()].map(({ size }) => size)
    looks = options.dryRun ? null : Looks.ofBundle(hashes, sizes, jobs)
  }
  try {
    for (let known = await prepare(targets, options, progress, scanned); ; ) {
      const made = await write(known, options, policy, progress, jobs, looks)
      if (!('unmade' in made)) return { report: made, graph: known.graph }
      known = await known.without(made.unmade)
    }
  } finally {
    looks?.close()
  }
}

/**
 * The second half of the pipeline: from the plan to what is published.
 * @returns the report; or files that cannot be edited as planned, where the bundle does without them, and nothing is written
 */
async function write(
  { target, graph, made, title, how, closure }: Prepared,
  options: BundleOptions,
  policy: Policy | null,
  progress: Progress,
  jobs: number,
  looks: Looks | null,
): Promise<BundleReport | { readonly unmade: ReadonlyMap<SourcePath, Unmade> }> {
  const cwd = options.cwd ?? process.cwd()
  const format = formatOf(options)
  const image = imageOptions(options, format)
  const registry = image?.push === undefined ? null : registryRef(image.push, image.mountFrom)
  const { force = false } = options
  const judgedBy = (findings: readonly Finding[]): readonly Finding[] =>
    policy === null ? findings : judged(policy, findings)
  const unwanted = unwantedIn(title, graph, made, options.disallow ?? [], policy)
  const planned = { ...made, findings: judgedBy([...unwanted, ...made.findings]) }
  // What no image can be made of is said before its files are written.
  const facts = image && imageFacts(title, graph, [], how.prefix!, image)
  if (format === 'deb') debArchitecture(title.system)
  if (format === 'exe') {
    singleFor(title.system)
    entryOf(title, graph, options)
  }
  const reportOf = (plan: BundlePlan) => reportOn(title, target, plan, how, graph, format, policy?.file ?? null)
  if (planned.findings.some(f => f.severity === 'error')) {
    await closure
    return reportOf(planned)(null, planned.findings, [], null)
  }
  if (options.dryRun) {
    const spared = new Spared(graph)
    const rehearsed = await rehearse(planned, graph, how, (file, error) => spared.add(file, error))
    if (rehearsed === null) return { unmade: spared.unmade }
    const files = plannedFiles(rehearsed.files)
    const size = files.reduce((sum, { type, size }) => sum + (type === 'file' ? size : 0), 0)
    const known = await closure
    const plan = { ...planned, accounts: withoutRelocation(planned.accounts, rehearsed.refused, graph) }
    const input = facts && inputOf(plan, facts.program)
    const findings = judgedBy([
      ...planned.findings,
      ...rehearsed.findings,
      ...checkRehearsed(graph, planned, rehearsed, how.prefix),
      ...(await verifyAdded(options.image ?? {}, cwd, progress)),
      ...(image && facts && input !== null ? unwritable(input, facts, image) : []),
    ])
    const made = reportOf(plan)(null, findings, [], null, known?.size)
    return { ...made, sizes: { ...made.sizes, bundle: size }, planned: files }
  }

  const destination = destinationOf(title, options, format, cwd)
  const staging = new Staging(destination, force)
  try {
    const spared = new Spared(graph)
    const unmade = (file: SourcePath, error: BundleError): void => spared.add(file, error)
    // Another thread proves what is written while this one writes on.
    looks?.in(staging.tree)
    const prove =
      looks &&
      ((file: WrittenFile): void => {
        staging.finish(file.at, file.executable)
        looks.askEarly({ name: file.at, size: file.size }, file.sha256)
      })
    const written = await apply(planned, graph, how, jobs, staging, progress, unmade, prove)
    if (written === null) return { unmade: spared.unmade }
    if (prove) for (const file of written.files) if (file.type === 'file') prove(file)
    looks?.flush()
    for (const at of planned.empty) staging.makeDirectory(at)
    // Staging holds exactly what is planned.
    const plan = { ...planned, accounts: withoutRelocation(planned.accounts, written.refused, graph) }
    const report = reportOf(plan)
    const known = await closure
    const { manifestSize, findings: ofSize } = await writeManifest(
      { title, graph, how, files: written.files, sbom: options.sbom ?? false },
      plan,
      policy,
      staging,
    )
    staging.seal([...written.files, { at: MANIFEST, executable: false, type: 'file' }], plan.empty)

    const verified = await verify(staging.tree, progress, { hashes: graph.hashes, jobs }, looks)
    looks?.close()
    const findings = judgedBy([
      ...ofSize,
      ...plan.findings,
      ...written.findings,
      // What no scan can see into was told when it was found, by the name that the user knows.
      ...verified.findings.filter(f => f.code !== 'container-unread'),
      ...compareChoices(graph, plan, verified.linkMaps),
      ...(await verifyAdded(options.image ?? {}, cwd, progress)),
      ...(image && facts ? unwritable(`${staging.tree}/${facts.program}`, facts, image) : []),
    ])
    if (options.report !== undefined) writeReport(outputPath(options.report, cwd), target, graph, plan, findings)
    if (findings.some(f => f.severity === 'error')) return report(null, findings, written.files, null, known?.size)
    // Nothing below runs when a finding is an error: an unverified bundle is never published.
    if (format === 'dir') {
      staging.publish({ tree: true }, force)
      return report(destination, findings, written.files, null, known?.size)
    }
    progress.update('packing')
    const files = withManifest(written.files, manifestSize, plan.empty)
    const input = { staging, files, title, graph, plan, prefix: how.prefix, format, options, cwd }
    const made = image && (await packImage(input, image))
    const packed = made ?? (await packTree(input))
    const pushed =
      made &&
      registry &&
      (await push(registry, made.blobs, made.manifest, made.referrer, text => progress.update(text)))
    staging.publish({ scratch: 'archive', executable: format === 'exe' }, force)
    return { ...report(destination, findings, written.files, packed, known?.size), pushed }
  } finally {
    staging.remove()
    progress.done()
  }
}

/**
 * Writes what the bundle says of itself, and its bill of materials before it.
 * @param files that are written
 * @returns the size of the manifest in bytes, and what a policy says of the size of all
 */
async function writeManifest(
  {
    title,
    graph,
    how,
    files,
    sbom,
  }: Pick<Prepared, 'title' | 'graph' | 'how'> & { files: WrittenFile[]; sbom: boolean },
  plan: BundlePlan,
  policy: Policy | null,
  staging: Staging,
): Promise<{ readonly manifestSize: number; readonly findings: readonly Finding[] }> {
  // What Nix's database says would make bundles of equal inputs differ.
  const explain = (): Explained =>
    fromGraph({ kind: 'bundle', ...title, digest: null }, graph, plan, files, null, partsIn)
  if (sbom) files.push(await addSbom(staging, explain(), fullName(title), files))
  const explained = explain()
  const manifest = makeManifest({ ...title, tool: `storefree ${VERSION}` }, graph, plan, how, files, explained)
  let manifestSize = 0
  function* counted(): Generator<Buffer> {
    for (const piece of manifestPieces(manifest)) {
      manifestSize += piece.length
      yield piece
    }
  }
  await staging.writePieces(MANIFEST, counted())
  const bytes = manifestSize + files.reduce((sum, f) => sum + (f.type === 'file' ? f.size : 0), 0)
  return { manifestSize, findings: policy === null ? [] : judgeSize(policy, bytes, explained) }
}

/** What should not be in it, or should and is not: by --disallow, and by a policy. */
function unwantedIn(
  title: Title,
  graph: DependencyGraph,
  made: BundlePlan,
  names: readonly string[],
  policy: Policy | null,
): Finding[] {
  if (names.length === 0 && policy === null) return []
  const nowhere = (): null => null
  const subject = { kind: 'target' as const, ...title, digest: null }
  const explained = fromGraph(subject, graph, made, planFiles(made), null, () => nowhere)
  const unwanted = disallowed(explained, names.map(fromText))
  if (policy === null) return unwanted
  const asking = [...graph.files.values()].flatMap(({ path, facts }) =>
    facts.format === 'elf' && made.placed.has(path) ? [{ file: path, verneed: facts.verneed }] : [],
  )
  const places = explained.files.map(({ at }) => at)
  // What is larger as it is planned is no smaller when it is written.
  return [...unwanted, ...judge(policy, explained, asking, places)]
}

/** What is wrong with the user's own files of an image, by their places in it. */
async function verifyAdded({ add = [] }: ImageOptions, cwd: string, progress: Progress): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const pair of add) {
    const { source, destination } = addition(pair)
    const { findings: found, kind } = await verify(outputPath(source, cwd), progress)
    for (const finding of found) {
      if (finding.code === 'manifest-missing') continue
      const below = kind === 'directory' ? `/${finding.file}` : ''
      findings.push({ ...finding, file: `/${fromText(destination)}${below}` })
    }
  }
  return findings
}

/** The full account: every reference with its file, offset, target and outcome, in the input's own terms. */
function writeReport(
  path: string,
  target: Target,
  graph: DependencyGraph,
  plan: BundlePlan,
  findings: readonly Finding[],
): void {
  writeFile(path, `${JSON.stringify(fullReport(target, graph, plan, findings), null, 1)}\n`)
}
