/**
 * Questions to a dependency graph. Pure.
 */

import type { Finding } from '../model/findings.ts'
import type { Dependency, DependencyGraph } from '../model/graph.ts'
import { parseName, storePathOf } from '../nix/store-path.ts'
import { baseName, type SourcePath } from '../paths.ts'

/**
 * The shortest chain from an entry to a file that is wanted: each step with its evidence.
 * @param wanted asked of every file and link of the graph, nearest to the entries first
 * @returns null when no such file is reached; an empty chain when it is an entry, or came with a tree
 */
export function why(
  graph: DependencyGraph,
  wanted: (path: SourcePath) => boolean,
): { readonly file: SourcePath; readonly chain: readonly Dependency[] } | null {
  const from = new Map<SourcePath, Dependency[]>()
  for (const edge of graph.edges) from.set(edge.from, [...(from.get(edge.from) ?? []), edge])
  const seen = new Set<SourcePath>()
  const queue: { file: SourcePath; chain: readonly Dependency[] }[] = []
  const add = (file: SourcePath, chain: readonly Dependency[]): void => {
    if (seen.has(file)) return
    seen.add(file)
    queue.push({ file, chain })
  }
  for (const { source } of graph.entries) add(source, [])
  const all = (): void => {
    // What no edge leads to came with a package's own tree.
    for (const path of [...graph.files.keys(), ...graph.links.keys()]) add(path, [])
  }
  for (let i = 0; ; i++) {
    if (i === queue.length) all()
    const at = queue[i]
    if (at === undefined) return null
    if (wanted(at.file)) return at
    for (const edge of from.get(at.file) ?? []) if (edge.to !== null) add(edge.to, [...at.chain, edge])
  }
}

/**
 * Findings for what must not be in a bundle and is: a package by its name with or without version, or a file by its own
 * name or one that it is asked for by, such as a library's soname.
 */
export function disallowed(graph: DependencyGraph, names: readonly string[]): Finding[] {
  const asked = new Set(graph.edges.map(({ to, name }) => `${to}\0${baseName(name)}`))
  return names.flatMap((name): Finding[] => {
    const found = why(graph, path => {
      const store = storePathOf(path)
      const isPackage = store !== null && (store.name === name || parseName(store.name).name === name)
      return isPackage || baseName(path) === name || asked.has(`${path}\0${name}`)
    })
    if (found === null) return []
    const chain = [...found.chain.map(edge => edge.from), found.file]
    return [{ code: 'disallowed', severity: 'error', file: found.file, name, chain }]
  })
}
