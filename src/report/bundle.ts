/** What was made: as a report, and in words for people. */
import type { WrittenFile } from '../apply/apply.ts'
import { countOutcomes } from '../apply/manifest.ts'
import type { Pushed } from '../io/registry.ts'
import { stat } from '../io/store.ts'
import { isMachOProgram } from '../macho/facts.ts'
import type { Finding } from '../model/findings.ts'
import type { DependencyGraph } from '../model/graph.ts'
import type { BundlePlan, Outcome, PlanOptions } from '../model/plan.ts'
import type { Target } from '../model/target.ts'
import type { Packed } from '../pack/archive.ts'
import type { Format } from '../pack/format.ts'
import type { WrittenImage } from '../pack/oci.ts'
import { toText } from '../paths.ts'
import type { planFiles } from '../plan/steps.ts'
import { megabytes } from './describe.ts'
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
  /** Bytes of the path where the bundle is unpacked, beyond which its programs go by a link to it; null: none do. */
  readonly rootLimit: number | null
  /** Data files that name places, which `./relocate` writes into them after unpacking. */
  readonly templates: number
  readonly sizes: { readonly closure: number | null; readonly bundle: number; readonly output: number }
  /** With `dryRun`: what would be written, sorted by place; sizes as they would be. */
  readonly planned: readonly PlannedFile[] | null
  /** SHA-256 of the tar, before compression; null for a directory. */
  readonly tarSha256: string | null
  /** Where an image was pushed to: blobs that were sent, and those that were there; null where it was not asked for. */
  readonly pushed: Pushed | null
  /** What was written of an image; null for anything else. */
  readonly image: ImageReport | null
  /** The file that said what it may and must hold; null for none. */
  readonly policy: string | null
  readonly findings: readonly Finding[]
}

/** An image: digests as `sha256:...`, sizes in bytes as they lie in a registry. */
export interface ImageReport {
  readonly ref: string
  /** What docker and podman call it by. */
  readonly id: string
  /** What registries call it by. */
  readonly digest: string
  readonly layers: readonly { readonly contents: string; readonly digest: string; readonly size: number }[]
}

/** What a bundle is called. */
export interface Title {
  readonly name: string
  readonly version: string | null
  readonly system: string
}

/** What a plan would write, sorted by place. */
export const plannedFiles = (files: ReturnType<typeof planFiles>): PlannedFile[] =>
  files.map(({ from, ...file }) => ({
    ...file,
    at: toText(file.at),
    from: from === null ? null : toText(from),
  }))

/** Reports on a plan: what was published of it, with which findings, and how large that is. */
export function reportOn(
  title: Title,
  target: Target,
  plan: BundlePlan,
  { prefix }: PlanOptions,
  graph: DependencyGraph,
  format: Format,
  policy: string | null,
) {
  return (
    output: string | null,
    findings: readonly Finding[],
    files: readonly WrittenFile[],
    packed: Packed | WrittenImage | null,
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
      templates: plan.templates.length,
      sizes: { closure, bundle: size, output: packed === null || output === null ? size : (stat(output)?.size ?? 0) },
      planned: null,
      tarSha256: packed?.tarSha256 ?? null,
      pushed: null,
      image: packed !== null && 'layers' in packed ? imageReport(packed) : null,
      policy,
      findings,
    }
  }
}

const imageReport = ({ ref, id, digest, layers }: WrittenImage): ImageReport => ({
  ref,
  id,
  digest,
  layers: layers.map(({ contents, digest, size }) => ({ contents, digest, size })),
})

// ---- Words ---------------------------------------------------------------------------------------------------------

/** The summary of a bundle that was published. */
export function bundleSummary(report: BundleReport): string {
  const { counts, references, sizes } = report
  const { planned } = report
  const output = report.output ?? '(dry run: nothing is written)'
  const shown = output.slice(output.lastIndexOf('/') + 1)
  const rewritten = Object.values(references).reduce((sum, n) => sum + n, 0)
  const outcomes = [
    references.fixed > 0 && `${references.fixed} fixed to ${report.prefix}`,
    references.relocated > 0 && `${references.relocated} self-relocating`,
    references.templated > 0 && `${references.templated} made relative`,
    references.blanked > 0 && `${references.blanked} blanked`,
    references.placed > 0 && `${references.placed} for relocate`,
    references.stripped > 0 && `${references.stripped} stripped`,
    references.loader > 0 && `${references.loader} in strings of the loader`,
    references['host-path'] > 0 && `${references['host-path']} host paths of the loader blanked`,
  ].filter(part => part !== false)
  const list = outcomes.length === 0 ? '' : `: ${outcomes.join(', ')}`
  const warnings = report.findings.filter(f => f.severity === 'warning').length
  const archive = report.format === 'dir' || planned !== null ? shown : `${shown} ${megabytes(sizes.output)}`
  return [
    `${report.name}${report.version === null ? '' : ` ${report.version}`}  ${report.system}  (${report.label})`,
    `  programs ${counts.programs}   libraries ${counts.libraries}   data files ${counts.data}`,
    `  ${sizes.closure === null ? '' : `Nix closure ${megabytes(sizes.closure)}  ->  `}bundle ${megabytes(sizes.bundle)}  ->  ${archive}`,
    planned === null
      ? `  0 store references (${rewritten} rewritten${list})`
      : `  ${rewritten} store references to be rewritten${list}`,
    ...(report.image === null ? [] : imageLines(report.image)),
    ...(report.pushed === null
      ? []
      : [`  pushed: ${counted(report.pushed.uploaded, 'blob', 'blobs')} sent, ${report.pushed.skipped} were there`]),
    ...(report.tarSha256 === null || report.image !== null ? [] : [`  sha256 of the tar ${report.tarSha256}`]),
    ...(report.prefix === null || report.image !== null ? [] : [`  made for ${report.prefix}: unpack it there`]),
    ...(report.templates === 0
      ? []
      : [
          `  ${counted(report.templates, 'data file names', 'data files name')} places: run ./relocate in it after unpacking`,
        ]),
    ...(report.policy === null ? [] : [`  as ${report.policy} wants it`]),
    ...(warnings === 0 ? [] : [`  warnings: ${warnings}`]),
  ].join('\n')
}

/** What a dry run would write, a file a line: size in bytes, place, and what it is a copy of. */
export const plannedLines = (report: BundleReport): string =>
  (report.planned ?? [])
    .map(({ at, type, size, from }) =>
      type === 'link'
        ? `        link  ${at}`
        : `${String(size).padStart(12)}  ${at}${from === null ? '' : `  <- ${from}`}`,
    )
    .join('\n')

const counted = (n: number, one: string, many: string): string => `${n} ${n === 1 ? one : many}`

const imageLines = ({ ref, id, layers }: ImageReport): string[] => [
  `  image ${ref}   ${id}`,
  ...layers.map(({ contents, size }) => `  layer ${megabytes(size).padStart(9)}  ${contents}`),
]
