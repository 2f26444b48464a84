/**
 * A verified tree as the one file that was asked for: which packer makes it, and what that has to know.
 */

import type { Compression } from './archive/compress.ts'
import type { Staging } from './io/staging.ts'
import type { DependencyGraph } from './model/graph.ts'
import type { BundlePlan } from './model/plan.ts'
import type { BundleOptions } from './options.ts'
import { type Packed, type PackedFile, pack } from './pack/archive.ts'
import { groupsOf, imageFacts, ownPackage, programsOf } from './pack/contents.ts'
import { writeDeb } from './pack/deb.ts'
import { writeExe } from './pack/exe.ts'
import type { Format } from './pack/format.ts'
import { entrypointOf, type ImageOptions } from './pack/image.ts'
import { type WrittenImage, writeImage } from './pack/oci.ts'
import type { Title } from './report/bundle.ts'
import { fullName } from './title.ts'

const COMPRESSION: Readonly<Record<Exclude<Format, 'dir'>, Compression>> = {
  tar: 'none',
  'tar.gz': 'gzip',
  'tar.zst': 'zstd',
  // What is in them is compressed.
  oci: 'none',
  deb: 'none',
  exe: 'none',
}

/** What a single file runs, a path in the bundle. @throws BundleError('usage') */
export const entryOf = ({ name }: Title, graph: DependencyGraph, { image = {} }: BundleOptions): string =>
  entrypointOf(programsOf(graph), name, image.entrypoint)

/** What is packed, and how. */
export interface ToPack {
  readonly staging: Staging
  readonly files: readonly PackedFile[]
  readonly title: Title
  readonly graph: DependencyGraph
  readonly plan: BundlePlan
  readonly prefix: string | null
  readonly format: Exclude<Format, 'dir'>
  readonly options: BundleOptions
  readonly cwd: string
}

/** Packs a tree into the staging directory's `archive`; not an image, which is more than one file of it. */
export function packTree(input: ToPack): Promise<Packed> {
  const { staging, files, title, graph, format, options } = input
  const archive = staging.scratch('archive')
  if (format === 'exe') return writeExe(staging.tree, files, title.system, entryOf(title, graph, options), archive)
  if (format === 'deb') return packDeb(input)
  return pack(staging.tree, files, fullName(title), archive, COMPRESSION[format])
}

function packDeb({ staging, files, title, graph, prefix, options, cwd }: ToPack): Promise<Packed> {
  const { image = {}, link = false } = options
  const programs = graph.entries.map(e => e.at)
  const asked = { link, add: image.add ?? [] }
  const archive = staging.scratch('archive')
  return writeDeb(staging.tree, files, prefix!, programs, title, asked, cwd, archive, name => staging.scratch(name))
}

export function packImage(
  { staging, files, title, graph, plan, prefix, cwd }: ToPack,
  options: ImageOptions,
): Promise<WrittenImage> {
  const facts = imageFacts(title, graph, files, prefix!, options)
  const groupOf = groupsOf(graph, plan)
  const own = ownPackage(graph, groupOf, plan, facts.program)
  const input = { tree: staging.tree, files, prefix: prefix!, groupOf, own, facts, cwd }
  return writeImage(input, options, staging.scratch('archive'), name => staging.scratch(name))
}
