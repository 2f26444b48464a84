/**
 * The pipeline: a target becomes entries, entries become a graph, the graph becomes a plan, the plan becomes a staged
 * tree, the tree is verified, and only a verified tree is published.
 */
import { availableParallelism } from 'node:os'
import { withoutRelocation } from './accounts.ts'
import { apply, type WrittenFile } from './apply.ts'
import { compareChoices } from './checks/choices.ts'
import { BundleError } from './errors.ts'
import { disallowed } from './graph.ts'
import { fromText, toText } from './io/bytes.ts'
import { type Progress, silent } from './io/progress.ts'
import { assertFree, Staging, writeFile } from './io/staging.ts'
import { sameContents, stat } from './io/store.ts'
import { isMachOProgram } from './macho/facts.ts'
import { countOutcomes, fullReport, MANIFEST, makeManifest, manifestBytes } from './manifest.ts'
import type { BundlePlan, DependencyGraph, FileFacts, Finding, Outcome, PlanOptions, Target } from './model.ts'
import { closureOf } from './nix/build.ts'
import { storePathOf } from './nix/store-path.ts'
import { type BundleOptions, formatOf, outputPath, planOptions, scanOptions } from './options.ts'
import { type Packed, pack } from './pack/archive.ts'
import type { Compression } from './pack/compress.ts'
import type { Format } from './pack/format.ts'
import { plan as makePlan } from './plan.ts'
import { scan } from './scan.ts'
import { resolveTargets } from './target.ts'
import { trace } from './trace.ts'
import { verify } from './verify.ts'
import { VERSION } from './version.ts'

/** A file or link of a bundle that is planned. */
export interface PlannedFile {
  readonly at: string
  readonly type: 'file' | 'link'
  readonly size: number
  /** The input that it is a copy of; null for what is made. */
  readonly from: string | null
}

/** What was made. Sizes are in bytes. */
export interface BundleReport {
  readonly name: string
  readonly version: string | null
  readonly system: string
  /** What the target was taken for: `nix attribute nginx`. */
  readonly label: string
  readonly prefix: string | null
  /** Absolute path of what was published; null when a finding of severity error stood against it. */
  readonly output: string | null
  readonly format: Format
  readonly counts: { readonly programs: number; readonly libraries: number; readonly data: number }
  readonly references: Readonly<Record<Outcome | 'host-path', number>>
  /** Bytes that the path may have where the bundle is unpacked; null: any. */
  readonly rootLimit: number | null
  readonly sizes: { readonly closure: number | null; readonly bundle: number; readonly output: number }
  /** With `dryRun`: what would be written, sorted by place; sizes before patchelf and the stub. */
  readonly planned: readonly PlannedFile[] | null
  /** SHA-256 of the tar, before compression; null for a directory. */
  readonly tarSha256: string | null
  readonly findings: readonly Finding[]
}

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
  const how = planOptions(options)
  const cwd = options.cwd ?? process.cwd()

  const format = formatOf(options)
  const { output, force = false } = options
  // What cannot be written is said before Nix builds for an hour.
  if (output !== undefined && !output.endsWith('/')) assertFree(outputPath(output, cwd), force)

  if (options.trace?.length === 0)
    throw new BundleError('usage', '--trace: no command to run', {
      hint: 'put it behind two dashes: --trace -- nginx -t',
    })

  const target = await resolveTargets(typeof targets === 'string' ? [targets] : targets, {
    file: options.file ?? null,
    system: options.system ?? null,
    args: options.nixArg ?? [],
    cwd,
    shown: options.showNix ?? false,
    programs: options.program ?? [],
  })
  // Every entry is a program that exists.
  const closure = closureOf(target.roots.filter(r => storePathOf(r.root)?.root === r.root).map(r => toText(r.root)))
  const seen = options.trace ? await trace(options.trace, target.entries, cwd) : { traced: [], findings: [] }
  // All that is run of the target has run.
  const scanned = scan(target.entries, target.roots, scanOptions(options, how, seen.traced), progress)
  const graph = { ...scanned, findings: [...seen.findings, ...scanned.findings] }
  // No input is read for facts after this point.
  const made = makePlan(graph, how, sameContents)
  const unwanted = disallowed(graph, (options.disallow ?? []).map(fromText))
  const planned = { ...made, findings: [...unwanted, ...made.findings] }
  // Every byte that will differ from its input is named in the plan.
  const title = titleOf(target, graph, options.name)
  const reportOf = (plan: BundlePlan) => reportOn(title, target, plan, how, graph, format)
  if (planned.findings.some(f => f.severity === 'error')) {
    await closure
    return reportOf(planned)(null, planned.findings, [], null)
  }
  if (options.dryRun) {
    const files = plannedFiles(planned)
    const size = files.reduce((sum, { type, size }) => sum + (type === 'file' ? size : 0), 0)
    const known = await closure
    const made = reportOf(planned)(null, planned.findings, [], null, known?.size)
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
      makeManifest(
        { ...title, tool: `storefree ${VERSION}` },
        graph,
        plan,
        how,
        known?.hashes ?? new Set(),
        written.files,
      ),
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
    ]
    if (options.report !== undefined) writeReport(outputPath(options.report, cwd), target, graph, plan, findings)
    if (findings.some(f => f.severity === 'error')) return report(null, findings, written.files, null, known?.size)
    // Nothing below runs when a finding is an error: an unverified bundle is never published.
    const packed = await publish(staging, format, title, written.files, manifest, force, progress)
    return report(destination, findings, written.files, packed, known?.size)
  } finally {
    staging.remove()
    progress.done()
  }
}

async function publish(
  staging: Staging,
  format: Format,
  title: Title,
  files: readonly WrittenFile[],
  manifest: Buffer,
  force: boolean,
  progress: Progress,
): Promise<Packed | null> {
  if (format === 'dir') {
    staging.publish({ tree: true }, force)
    return null
  }
  progress.update('packing')
  const all = [
    ...files,
    { at: MANIFEST, type: 'file' as const, executable: false, size: manifest.length, target: null },
  ]
  const packed = await pack(staging.tree, all, fullName(title), staging.scratch('archive'), COMPRESSION[format])
  staging.publish({ scratch: 'archive' }, force)
  return packed
}

const COMPRESSION: Readonly<Record<Exclude<Format, 'dir'>, Compression>> = {
  tar: 'none',
  'tar.gz': 'gzip',
  'tar.zst': 'zstd',
}

interface Title {
  readonly name: string
  readonly version: string | null
  readonly system: string
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
  const name = `${fullName(title)}-${title.system}${format === 'dir' ? '' : `.${format}`}`
  if (output === undefined) return fromText(`${cwd}/${name}`)
  const path = outputPath(output, cwd)
  const inDirectory = output.endsWith('/') && format !== 'dir' && stat(path)?.type === 'directory'
  return inDirectory ? `${path}/${fromText(name)}` : path
}

function plannedFiles(plan: BundlePlan): PlannedFile[] {
  return plan.steps.map((step): PlannedFile => {
    const at = toText(step.at)
    if (step.do === 'symlink') return { at, type: 'link', size: step.to.length, from: null }
    if (step.do === 'write') return { at, type: 'file', size: step.bytes.length, from: null }
    const growth = step.edits.reduce((sum, e) => sum + (e.op === 'splice' ? e.to.length - e.length : 0), 0)
    return { at, type: 'file', size: step.size + growth, from: toText(step.from) }
  })
}

function reportOn(
  title: Title,
  target: Target,
  plan: BundlePlan,
  { prefix }: PlanOptions,
  graph: DependencyGraph,
  format: Format,
) {
  return (
    output: string | null,
    findings: readonly Finding[],
    files: readonly WrittenFile[],
    packed: Packed | null,
    closure: number | null = null,
  ): BundleReport => {
    const size = files.reduce((sum, f) => sum + (f.type === 'file' ? f.size : 0), 0)
    const copies = plan.steps.flatMap(s => (s.do === 'copy' ? [graph.files.get(s.from)?.facts] : []))
    const objects = copies.filter(facts => facts?.format === 'elf' || facts?.format === 'macho')
    // A static program is among no loader's programs, and no library either.
    const libraries = objects.filter(o => !isMachOProgram(o) && !(o.format === 'elf' && o.program)).length
    const programs = new Set(graph.entries.map(e => e.at)).size
    return {
      ...title,
      label: target.label,
      prefix: prefix === null ? null : toText(prefix),
      output: output === null ? null : toText(output),
      format,
      counts: { programs, libraries, data: copies.length - objects.length },
      references: countOutcomes(plan),
      rootLimit: plan.relocations?.rootLimit ?? null,
      sizes: { closure, bundle: size, output: packed === null || output === null ? size : (stat(output)?.size ?? 0) },
      planned: null,
      tarSha256: packed?.tarSha256 ?? null,
      findings,
    }
  }
}
