/**
 * What a bundle is called: its name, version and system, and where it goes.
 */

import { stat } from './io/store.ts'
import { isMachOProgram } from './macho/facts.ts'
import type { DependencyGraph, FileFacts } from './model/graph.ts'
import type { Target } from './model/target.ts'
import { type BundleOptions, outputPath } from './options.ts'
import { ENDINGS, type Format } from './pack/format.ts'
import { fromText, toText } from './paths.ts'
import type { Title } from './report/bundle.ts'

export const fullName = ({ name, version }: Title): string => (version === null ? name : `${name}-${version}`)

export function titleOf(target: Target, graph: DependencyGraph, name: string | undefined): Title {
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

/** The absolute destination: what the options say; in a directory that is there, under the bundle's own name. */
export function destinationOf(title: Title, { output }: BundleOptions, format: Format, cwd: string): string {
  const name =
    format === 'exe' ? title.name : `${fullName(title)}-${title.system}${format === 'dir' ? '' : ENDINGS[format][0]}`
  if (output === undefined) return fromText(`${cwd}/${name}`)
  const path = outputPath(output, cwd)
  const inDirectory = output.endsWith('/') && format !== 'dir' && stat(path)?.type === 'directory'
  return inDirectory ? `${path}/${fromText(name)}` : path
}
