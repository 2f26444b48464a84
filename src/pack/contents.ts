/** What of a bundle goes into an image: its files by package, the program that is started. Pure. */
import { MANIFEST } from '../apply/manifest.ts'
import type { DependencyGraph } from '../model/graph.ts'
import type { BundlePlan } from '../model/plan.ts'
import { parseName } from '../nix/store-path.ts'
import { type BundlePath, baseName, directoryOf, type SourcePath, toText } from '../paths.ts'
import { finder } from '../plan/layout.ts'
import type { PackedFile } from './archive.ts'
import { architectureOf, entrypointOf, type ImageFacts, type ImageOptions, type ImageProgram } from './image.ts'
import type { Group } from './layers.ts'

/** How an image is called, and which CPU it is for. */
interface Named {
  readonly name: string
  readonly version: string | null
  readonly system: string
}

/** What every program loads. Of the same package are objects that some load (libm is a third of it), and data. */
const CORE = 'C library'
const isCore = (soname: string): boolean => /^(?:ld[-.]|ld64|libc\.)/.test(soname)
const isProgram = (at: string): boolean => /^pkg\/[^/]+\/(?:s?bin|libexec)\//.test(at)

/**
 * The group of each file: its package, outputs of one derivation together; apart from it its programs, and the C library's
 * core and each of its other objects. Null for what is made.
 */
export function groupsOf(graph: DependencyGraph, plan: BundlePlan): (at: string) => Group | null {
  const packageOf = finder(graph.packages)
  const cores = new Set([...graph.loaders.keys()].map(path => packageOf(path).root))
  const groups = new Map<string, Group>()
  for (const [source, at] of plan.placed) {
    const node = graph.files.get(source)
    if (node === undefined) continue
    const { root, name } = packageOf(source)
    const parsed = parseName(name)
    const owner = toText(parsed.version === null ? parsed.name : `${parsed.name}-${parsed.version}`)
    const isLibc = cores.has(root) && node.facts.format === 'elf' && !at.startsWith('pkg/')
    const file = toText(baseName(at))
    const part = isLibc ? (isCore(file) ? CORE : file) : isProgram(at) ? `${owner} (programs)` : owner
    groups.set(at, { name: part, package: owner })
  }
  return at => groups.get(at) ?? null
}

/** The package that the image's program belongs to. */
export function ownPackage(
  graph: DependencyGraph,
  groupOf: (at: string) => Group | null,
  plan: BundlePlan,
  entry: string,
): string | null {
  const source = graph.entries.find(e => e.at === entry)?.source
  const file = source === undefined ? undefined : (graph.links.get(source)?.target ?? source)
  const at = file === undefined ? undefined : plan.placed.get(file as SourcePath)
  return at === undefined ? null : (groupOf(at)?.package ?? null)
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

/** The files of a bundle as they are packed, its manifest and its empty directories too. */
export const withManifest = (
  files: readonly PackedFile[],
  size: number,
  empty: readonly BundlePath[],
): PackedFile[] => [
  ...files,
  ...empty.map((at): PackedFile => ({ at, type: 'directory', executable: true, size: 0, target: null })),
  { at: MANIFEST, type: 'file', executable: false, size, target: null },
]
