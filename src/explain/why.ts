/**
 * Why something is in a graph: the chains of edges that lead to it from what was asked for. Pure.
 */
import type { Finding } from '../model/findings.ts'
import type { Asked, Dependency, DependencyGraph } from '../model/graph.ts'
import { parseName, storePathOf } from '../nix/store-path.ts'
import { baseName, type SourcePath } from '../paths.ts'

/** A file or link, and how it came in. */
export interface Arrival {
  readonly file: SourcePath
  /** What the chain begins with. */
  readonly asked: Asked
  /** Each step begins where the one before it ends; empty for what was asked for itself. */
  readonly chain: readonly Dependency[]
}

/**
 * The first file or link that is wanted, with the shortest chain to it. What a program needs comes before what its
 * package's tree brings, and that before what an option does.
 * @param wanted asked of everything in the bundle, nearest to the entries first
 */
export function why(graph: DependencyGraph, wanted: (path: SourcePath) => boolean): Arrival | null {
  const from = new Map<SourcePath, Dependency[]>()
  for (const edge of graph.edges) {
    const known = from.get(edge.from)
    if (known) known.push(edge)
    else from.set(edge.from, [edge])
  }
  const isThere = (path: SourcePath): boolean => graph.files.has(path) || graph.links.has(path)
  const extras = new Set(graph.extras.map(extra => extra.from))
  const trees = new Set(graph.asked.filter(a => a.kind === 'target').map(a => a.to))
  const came = new Map<SourcePath, { readonly asked: Asked } | { readonly edge: Dependency }>()
  const queue: SourcePath[] = []
  let done = 0
  for (const kinds of ORDER) {
    for (const asked of graph.asked) if (kinds.includes(asked.kind)) arrive(asked.to, { asked })
    for (; done < queue.length; done++) {
      const path = queue[done]!
      if ((isThere(path) || extras.has(path)) && wanted(path)) return arrivalAt(path)
      // That a program names its own package is not why the package's tree is there.
      for (const edge of from.get(path) ?? []) if (edge.to !== null && !trees.has(edge.to)) arrive(edge.to, { edge })
    }
  }
  return null

  function arrive(path: SourcePath, how: { readonly asked: Asked } | { readonly edge: Dependency }): void {
    if (came.has(path)) return
    came.set(path, how)
    queue.push(path)
  }

  function arrivalAt(file: SourcePath): Arrival {
    const chain: Dependency[] = []
    for (let path = file; ; ) {
      const how = came.get(path)!
      if ('asked' in how) return { file, asked: how.asked, chain: chain.reverse() }
      chain.push(how.edge)
      path = how.edge.from
    }
  }
}

const ORDER: readonly (readonly Asked['kind'][])[] = [
  ['entry'],
  ['target'],
  ['trace', 'include', 'closure', 'with', 'licence'],
]

/**
 * Findings for what must not be in a bundle and is: a package by its name with or without version, or a file by its own
 * name or one that it is asked for by, such as a library's soname.
 */
export function disallowed(graph: DependencyGraph, names: readonly string[]): Finding[] {
  const byName = graph.edges.filter(({ kind }) => kind !== 'condition')
  const asked = new Set(byName.map(({ to, name }) => `${to}\0${baseName(name)}`))
  return names.flatMap((name): Finding[] => {
    const found = why(graph, path => {
      const store = storePathOf(path)
      const isPackage = store !== null && (store.name === name || parseName(store.name).name === name)
      return isPackage || baseName(path) === name || asked.has(`${path}\0${name}`)
    })
    if (found === null) return []
    const chain = [...found.chain.map(edge => edge.from), found.file]
    const { kind, name: by } = found.asked
    // The directory that holds all of a target's own files says nothing.
    const steps = kind === 'target' ? chain.slice(1) : chain
    const option = kind === 'entry' || kind === 'target' ? null : kind === 'trace' ? '--trace' : by
    return [{ code: 'disallowed', severity: 'error', file: found.file, name, chain: steps, option }]
  })
}
