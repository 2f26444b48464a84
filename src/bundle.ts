/**
 * The pipeline: a target becomes entries, entries become a graph, the graph becomes a plan, the plan becomes a staged
 * tree, the tree is verified, and only a verified tree is published.
 */

import { availableParallelism } from 'node:os'
import { apply } from './apply/apply.ts'
import { fullReport, MANIFEST, makeManifest, manifestBytes } from './apply/manifest.ts'
import type { Compression } from './archive/compress.ts'
import { BundleError } from './errors.ts'
import { disallowed } from './explain/why.ts'
import { type Progress, silent } from './io/progress.ts'
import { assertFree, Staging, writeFile } from './io/staging.ts'
import { sameContents, stat } from './io/store.ts'
import { isMachOProgram } from './macho/facts.ts'
import type { Finding } from './model/findings.ts'
import type { DependencyGraph, FileFacts } from './model/graph.ts'
import type { BundlePlan } from './model/plan.ts'
import type { Target } from './model/target.ts'
import { closureSize } from './nix/build.ts'
import { readClosure } from './nix/closure.ts'
import { storePathOf } from './nix/store-path.ts'
import { type BundleOptions, formatOf, imageOptions, outputPath, planOptions, scanOptions } from './options.ts'
import { type Packed, type PackedFile, pack } from './pack/archive.ts'
import { groupsOf, imageFacts, ownGroup, programsOf, withManifest } from './pack/contents.ts'
import { debArchitecture, debPrefix, writeDeb } from './pack/deb.ts'
import { singleFor, writeExe } from './pack/exe.ts'
import { ENDINGS, type Format } from './pack/format.ts'
import { addition, entrypointOf, type ImageOptions } from './pack/image.ts'
import { type WrittenImage, writeImage } from './pack/oci.ts'
import { fromText, toText } from './paths.ts'
import { withoutRelocation } from './plan/accounts.ts'
import { plan as makePlan } from './plan/plan.ts'
import { type BundleReport, plannedFiles, reportOn, type Title } from './report/bundle.ts'
import { scan } from './scan/scan.ts'
import { resolveTargets } from './target/target.ts'
import { trace } from './target/trace.ts'
import { compareChoices } from './verify/checks/choices.ts'
import { verify } from './verify/verify.ts'
import { VERSION } from './version.ts'

/**
 * Makes one bundle of one or more targets: paths (with a slash), flake references, Nix attributes; where there is no
 * Nix, programs on PATH.
 * @throws BundleError when it cannot be made at all; what is wrong with the program itself is in the findings
 */
export async function bundle(
  targets: string | readonly [string, ...string[]],
  options: BundleOptions = {},
): Promise<BundleReport> {
  const progress = options.progress ?? silent
  const cwd = options.cwd ?? process.cwd()
  const format = formatOf(options)
  const image = imageOptions(options, format)
  // What cannot be made is said before Nix builds for an hour.
  planOptions(options, format)
  const { output, force = false } = options
  if (output !== undefined && !output.endsWith('/')) assertFree(outputPath(output, cwd), force)

  if (options.trace?.length === 0)
    throw new BundleError('usage', '--trace: no command to run', {
      hint: 'put it behind two dashes: --trace -- nginx -t',
    })

  const told = options.closure === undefined ? null : readClosure(outputPath(options.closure, cwd))
  const target = await resolveTargets(typeof targets === 'string' ? [targets] : targets, {
    file: options.file ?? null,
    system: options.system ?? null,
    args: options.nixArg ?? [],
    cwd,
    shown: options.showNix ?? false,
    programs: options.program ?? [],
  })
  // Every entry is a program that exists.
  const name = options.name ?? toText(target.name)
  const how = planOptions(format === 'deb' ? { prefix: debPrefix(name), ...options } : options, format)
  const roots = target.roots.filter(r => storePathOf(r.root)?.root === r.root)
  const closure = told === null ? closureSize(roots.map(r => toText(r.root))) : Promise.resolve(told.size)
  const seen = options.trace ? await trace(options.trace, target.entries, cwd) : { traced: [], findings: [] }
  // All that is run of the target has run.
  const scanned = scan(target.entries, target.roots, scanOptions(options, how, seen.traced, told?.paths), progress)
  const graph = { ...scanned, findings: [...seen.findings, ...scanned.findings] }
  // No input is read for facts after this point.
  const made = makePlan(graph, how, sameContents)
  const unwanted = disallowed(graph, (options.disallow ?? []).map(fromText))
  const planned = { ...made, findings: [...unwanted, ...made.findings] }
  // Every byte that will differ from its input is named in the plan.
  const title = titleOf(target, graph, options.name)
  // What no image can be made of is said before its files are written.
  if (image !== null) imageFacts(title, graph, [], how.prefix!, image)
  if (format === 'deb') debArchitecture(title.system)
  if (format === 'exe') {
    singleFor(title.system)
    entryOf(title, graph, options)
  }
  const reportOf = (plan: BundlePlan) => reportOn(title, target, plan, how, graph, format)
  if (planned.findings.some(f => f.severity === 'error')) {
    await closure
    return reportOf(planned)(null, planned.findings, [], null)
  }
  if (options.dryRun) {
    const files = plannedFiles(planned)
    const size = files.reduce((sum, { type, size }) => sum + (type === 'file' ? size : 0), 0)
    const known = await closure
    const made = reportOf(planned)(null, planned.findings, [], null, known)
    return { ...made, sizes: { ...made.sizes, bundle: size }, planned: files }
  }

  const destination = destinationOf(title, options, format, cwd)
  const staging = new Staging(destination, force)
  try {
    const written = await apply(planned, graph, how, options.jobs ?? availableParallelism(), staging, progress)
    // Staging holds exactly the plan's steps.
    const plan = { ...planned, accounts: withoutRelocation(planned.accounts, written.refused, graph) }
    const report = reportOf(plan)
    const known = await closure
    const manifest = manifestBytes(
      makeManifest({ ...title, tool: `storefree ${VERSION}` }, graph, plan, how, written.files),
    )
    staging.write(MANIFEST, manifest)
    staging.seal([
      ...written.files.map(f => ({ at: f.at, executable: f.executable, link: f.type === 'link' })),
      { at: MANIFEST, executable: false, link: false },
    ])

    const verified = await verify(staging.tree, progress, { hashes: graph.hashes })
    const findings = [
      ...plan.findings,
      ...written.findings,
      // What no scan can see into was told when it was found, by the name that the user knows.
      ...verified.findings.filter(f => f.code !== 'container-unread'),
      ...compareChoices(graph, plan, verified.linkMaps),
      ...(await verifyAdded(options.image ?? {}, cwd, progress)),
    ]
    if (options.report !== undefined) writeReport(outputPath(options.report, cwd), target, graph, plan, findings)
    if (findings.some(f => f.severity === 'error')) return report(null, findings, written.files, null, known)
    // Nothing below runs when a finding is an error: an unverified bundle is never published.
    if (format === 'dir') {
      staging.publish({ tree: true }, force)
      return report(destination, findings, written.files, null, known)
    }
    progress.update('packing')
    const archive = staging.scratch('archive')
    const files = withManifest(written.files, manifest.length)
    const packed =
      format === 'exe'
        ? await writeExe(staging.tree, files, title.system, entryOf(title, graph, options), archive)
        : format === 'deb'
          ? await packDeb(staging, files, title, graph, how.prefix!, options, cwd)
          : image === null
            ? await pack(staging.tree, files, fullName(title), archive, COMPRESSION[format])
            : await packImage(staging, files, title, graph, plan, how.prefix!, image, cwd)
    staging.publish({ scratch: 'archive', executable: format === 'exe' }, force)
    return report(destination, findings, written.files, packed, known)
  } finally {
    staging.remove()
    progress.done()
  }
}

const COMPRESSION: Readonly<Record<Exclude<Format, 'dir'>, Compression>> = {
  tar: 'none',
  'tar.gz': 'gzip',
  'tar.zst': 'zstd',
  // What is in them is compressed.
  oci: 'none',
  deb: 'none',
  exe: 'none',
}

const fullName = ({ name, version }: Title): string => (version === null ? name : `${name}-${version}`)

function titleOf(target: Target, graph: DependencyGraph, name: string | undefined): Title {
  const systems = [...graph.files.values()].flatMap(({ facts }) => systemOf(facts) ?? [])
  const entry = graph.entries[0]
  const first = entry && graph.files.get(graph.links.get(entry.source)?.target ?? entry.source)?.facts
  const system = (first && systemOf(first)) ?? systems[0] ?? 'any-linux'
  return name === undefined
    ? {
        name: toText(target.name),
        version: target.version === null ? null : toText(target.version),
        system,
      }
    : { name, version: null, system }
}

/** The system of a program as Nix names it; null for what is no program. */
function systemOf(facts: FileFacts): string | null {
  if (facts.format === 'elf') return facts.program ? `${facts.arch}-linux` : null
  if (!isMachOProgram(facts)) return null
  const [only, another] = new Set(facts.slices.map(s => s.arch.replace(/^arm64e?$/, 'aarch64')))
  return `${another === undefined ? only : 'universal'}-darwin`
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

/** What a single file runs, a path in the bundle. @throws BundleError('usage') */
const entryOf = ({ name }: Title, graph: DependencyGraph, { image = {} }: BundleOptions): string =>
  entrypointOf(programsOf(graph), name, image.entrypoint)

function packDeb(
  staging: Staging,
  files: readonly PackedFile[],
  title: Title,
  graph: DependencyGraph,
  prefix: string,
  { image = {}, link = false }: BundleOptions,
  cwd: string,
): Promise<Packed> {
  const programs = graph.entries.map(e => e.at)
  const options = { link, add: image.add ?? [] }
  const archive = staging.scratch('archive')
  return writeDeb(staging.tree, files, prefix, programs, title, options, cwd, archive, name => staging.scratch(name))
}

function packImage(
  staging: Staging,
  files: readonly PackedFile[],
  title: Title,
  graph: DependencyGraph,
  plan: BundlePlan,
  prefix: string,
  options: ImageOptions,
  cwd: string,
): Promise<WrittenImage> {
  const facts = imageFacts(title, graph, files, prefix, options)
  const groupOf = groupsOf(graph, plan)
  const own = ownGroup(graph, groupOf, plan, facts.program)
  const input = { tree: staging.tree, files, prefix, groupOf, own, facts, cwd }
  return writeImage(input, options, staging.scratch('archive'), name => staging.scratch(name))
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

/** The absolute destination: what the options say; in a directory that is there, under the bundle's own name. */
function destinationOf(title: Title, { output }: BundleOptions, format: Format, cwd: string): string {
  const name =
    format === 'exe' ? title.name : `${fullName(title)}-${title.system}${format === 'dir' ? '' : ENDINGS[format][0]}`
  if (output === undefined) return fromText(`${cwd}/${name}`)
  const path = outputPath(output, cwd)
  const inDirectory = output.endsWith('/') && format !== 'dir' && stat(path)?.type === 'directory'
  return inDirectory ? `${path}/${fromText(name)}` : path
}
