/** The graph of a program, and whether what it tells of how files came in is true. */
import { readFileSync } from 'node:fs'
import { silent } from '../../src/io/progress.ts'
import type { DependencyGraph } from '../../src/model/graph.ts'
import { type BundleOptions, planOptions, scanOptions } from '../../src/options.ts'
import { scan } from '../../src/scan/scan.ts'
import { resolveTargets } from '../../src/target/target.ts'

export async function graphOf(path: string, options: BundleOptions = {}): Promise<DependencyGraph> {
  const nix = { file: null, system: null, args: [], cwd: '/', shown: false, programs: [] }
  const target = await resolveTargets([path], nix)
  return scan(target.entries, target.roots, scanOptions(options, planOptions(options), []), silent)
}

/** Files, links and what was brought by kind that no chain of edges leads to from what was asked for. */
export function unreached({ files, links, extras, edges, asked }: DependencyGraph): string[] {
  const reached = new Set<string>(asked.map(({ to }) => to))
  const from = new Map<string, string[]>()
  for (const edge of edges) if (edge.to !== null) from.set(edge.from, [...(from.get(edge.from) ?? []), edge.to])
  // A set is walked in the order in which it grows.
  for (const path of reached) for (const to of from.get(path) ?? []) reached.add(to)
  return [...files.keys(), ...links.keys(), ...extras.map(extra => extra.from)].filter(path => !reached.has(path))
}

/** Places where something else stands than an edge says. A variant of a library is asked for by the library's name. */
export function wrongEvidence({ edges }: DependencyGraph): string[] {
  return edges.flatMap(edge =>
    edge.at
      .filter(({ member, encoding }) => member === null && encoding === 'utf8')
      .filter(({ file, offset }) => {
        const name = edge.kind === 'variant' ? edge.name.slice(edge.name.lastIndexOf('/') + 1) : edge.name
        const wanted = file === null ? name : '/nix/store/'
        return readFileSync(file ?? edge.from).toString('latin1', offset, offset + wanted.length) !== wanted
      })
      .map(({ file, offset }) => `${file ?? edge.from}: ${offset}: no ${edge.name}`),
  )
}
