/** What of a bundle goes into an image: its files by package, the program that is started. Pure. */
import { MANIFEST } from '../apply/manifest.ts'
import type { DependencyGraph } from '../model/graph.ts'
import type { BundlePlan } from '../model/plan.ts'
import { parseName } from '../nix/store-path.ts'
import { type BundlePath, baseName, directoryOf, type SourcePath, toText } from '../paths.ts'
import { finder } from '../plan/layout.ts'
import type { PackedFile } from './archive.ts'
import { architectureOf, entrypointOf, type ImageFacts, type ImageOptions, type ImageProgram } from './image.ts'

/** How an image is called, and which CPU it is for. */
interface Named {
  readonly name: string
  readonly version: string | null
  readonly system: string
}

/** glibc's objects are loaded by everything, its data by little: they change together and are shared by all. */
const CORE = 'C library'

/**
 * The group of each file: its package, outputs of one derivation together, and apart from them the objects of the C
 * library; null for what is made.
 */
export function groupsOf(graph: DependencyGraph, plan: BundlePlan): (at: string) => string | null {
  const packageOf = finder(graph.packages)
  const cores = new Set([...graph.loaders.keys()].map(path => packageOf(path).root))
  const groups = new Map<string, string>()
  for (const [source, at] of plan.placed) {
    const node = graph.files.get(source)
    if (node === undefined) continue
    const { root, name } = packageOf(source)
    const parsed = parseName(name)
    const group = parsed.version === null ? parsed.name : `${parsed.name}-${parsed.version}`
    groups.set(at, cores.has(root) && node.facts.format === 'elf' && !at.startsWith('pkg/') ? CORE : toText(group))
  }
  return at => groups.get(at) ?? null
}

/** The group that the image's program belongs to. */
export function ownGroup(
  graph: DependencyGraph,
  groupOf: (at: string) => string | null,
  plan: BundlePlan,
  entry: string,
) {
  const source = graph.entries.find(e => e.at === entry)?.source
  const file = source === undefined ? undefined : (graph.links.get(source)?.target ?? source)
  const at = file === undefined ? undefined : plan.placed.get(file as SourcePath)
  return at === undefined ? null : groupOf(at)
}

/** What can be started by name. */
export const programsOf = (graph: DependencyGraph): ImageProgram[] =>
  graph.entries.map(({ at }) => ({ name: toText(baseName(at)), at }))

/** @throws BundleError when no program can be chosen, or there is no image for its CPU */
export function imageFacts(
  { name, version, system }: Named,
  graph: DependencyGraph,
  files: readonly PackedFile[],
  prefix: string,
  options: ImageOptions,
): ImageFacts & { readonly program: BundlePath } {
  const cpus = new Set(
    [...graph.files.values()].flatMap(({ facts }) =>
      facts.format === 'elf' && facts.program ? [`${facts.arch}-linux`] : [],
    ),
  )
  architectureOf(cpus.size === 0 ? new Set([system]) : cpus)
  const programs = programsOf(graph)
  const program = entrypointOf(programs, name, options.entrypoint) as BundlePath
  const directories = new Set(programs.map(p => directoryOf(p.at)))
  const path = ['bin', 'sbin'].filter(d => directories.has(d)).map(d => `${prefix}/${d}`)
  const certificates = files.some(f => /(?:^|\/)etc\/ssl\/(?:cert\.pem|certs\/ca-bundle\.crt)$/.test(f.at))
  const zone = files.find(f => /\/?share\/zoneinfo\/UTC$/.test(f.at))
  return {
    name,
    version,
    system,
    program,
    entrypoint: toText(`${prefix}/${program}`),
    path: path.length === 0 ? [`${prefix}/bin`] : path,
    env: [
      ...(certificates ? ['SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt'] : []),
      ...(zone ? [`TZDIR=${toText(`${prefix}/${directoryOf(zone.at)}`)}`] : []),
    ],
  }
}

/** The files of a bundle as they are packed, its manifest too. */
export const withManifest = (files: readonly PackedFile[], size: number): PackedFile[] => [
  ...files,
  { at: MANIFEST, type: 'file', executable: false, size, target: null },
]
