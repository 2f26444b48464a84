/** The import graph of src/: which file imports which, what is a circle, and which room stands on which. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'

/** Every file below src/, with what it imports: paths below src/, and the names of packages. */
export type ImportGraph = ReadonlyMap<
  string,
  { readonly files: readonly string[]; readonly packages: readonly string[] }
>

/** @param src the directory src/ */
export function importGraph(src: string): ImportGraph {
  const graph = new Map<string, { files: string[]; packages: string[] }>()
  const names = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.ts'))
  for (const name of names.sort()) {
    const text = readFileSync(join(src, name), 'utf8')
    const specifiers = [...text.matchAll(/^(?:import|export|\}) [^'\n]*from '([^']+)'/gm)].map(match => match[1]!)
    graph.set(name, {
      files: specifiers.filter(s => s.startsWith('.')).map(s => normalize(join(dirname(name), s))),
      packages: specifiers.filter(s => !s.startsWith('.')),
    })
  }
  return graph
}

/** Circles of nodes that need one another, each sorted; none is what a tree of rooms has (Tarjan's components). */
export function circles(edges: ReadonlyMap<string, Iterable<string>>): string[][] {
  const index = new Map<string, number>()
  const low = new Map<string, number>()
  const stack: string[] = []
  const found: string[][] = []
  const visit = (node: string): void => {
    index.set(node, index.size)
    low.set(node, index.get(node)!)
    stack.push(node)
    for (const next of edges.get(node) ?? []) {
      if (!index.has(next)) visit(next)
      if (stack.includes(next)) low.set(node, Math.min(low.get(node)!, low.get(next)!))
    }
    if (low.get(node) !== index.get(node)) return
    const circle = stack.splice(stack.indexOf(node))
    if (circle.length > 1) found.push(circle.sort())
  }
  for (const node of edges.keys()) if (!index.has(node)) visit(node)
  return found
}

/** The room a file stands in; a file of the hall is a room of its own. */
export const roomOf = (file: string): string => (file.includes('/') ? file.slice(0, file.indexOf('/')) : file)

/** Which room imports which others. */
export function roomGraph(graph: ImportGraph): ReadonlyMap<string, ReadonlySet<string>> {
  const rooms = new Map<string, Set<string>>()
  for (const [file, { files }] of graph) {
    const room = roomOf(file)
    const others = rooms.get(room) ?? new Set()
    for (const other of files.map(roomOf)) if (other !== room) others.add(other)
    rooms.set(room, others)
  }
  return rooms
}

/** What every room stands on, and so no arrow is drawn to. */
const GROUND = ['paths.ts', 'errors.ts', 'exit.ts', 'version.ts', 'io', 'nix']

/**
 * The rooms as a Mermaid graph: an arrow from each room to those it imports, but for what another arrow leads to already
 * (the transitive reduction), and for the ground.
 */
export function picture(graph: ImportGraph): string {
  const rooms = roomGraph(graph)
  const drawn = [...rooms.keys()].filter(room => !GROUND.includes(room)).sort()
  const next = (room: string): string[] => [...(rooms.get(room) ?? [])].filter(other => drawn.includes(other)).sort()
  const reaches = (from: string, to: string): boolean => next(from).some(room => room === to || reaches(room, to))
  const lines = drawn.flatMap(room =>
    next(room)
      .filter(to => !next(room).some(other => other !== to && reaches(other, to)))
      .map(to => `  ${node(room)} --> ${node(to)}`),
  )
  return ['```mermaid', 'flowchart LR', ...lines, '```'].join('\n')
}

const node = (room: string): string =>
  room.endsWith('.ts') ? `${room.replace('.', '_')}[${room}]` : `${room}[${room}/]`
