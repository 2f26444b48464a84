/** A bundle's graph as DOT, as Mermaid, and as JSON (docs/explain.schema.json). */
import type { Graph, GraphEdge, GraphNode } from '../explain/graph.ts'
import type { Explained } from '../model/explained.ts'
import { oneLine, toText } from '../paths.ts'
import { bytesText } from './describe.ts'
import { toJson } from './json.ts'
import { Labels } from './labels.ts'
import { jsonNode, jsonSubject } from './why.ts'

/** More nodes than these no picture shows to a person. */
export const NODES_SHOWN = 300

const nameOf = (labels: Labels, { package: owner, id }: GraphNode): string =>
  id === null ? labels.package(owner!) : labels.of(id)
const howOf = ({ kinds, name, count }: GraphEdge): string =>
  count === 1 ? toText(name) : `${kinds.join(', ')} ${count}`

/** For dot(1) of Graphviz. What is only opened or named is dashed. */
export function graphDot(explained: Explained, { nodes, edges }: Graph): string {
  const labels = new Labels(explained)
  const quoted = (text: string): string => `"${text.replace(/[\\"]/g, '\\$&')}"`
  const { name, version } = explained.subject
  return [
    `digraph ${quoted(oneLine(version === null ? name : `${name} ${version}`))} {`,
    '  rankdir=LR',
    '  node [shape=box, fontname="sans-serif", fontsize=11]',
    '  edge [fontname="sans-serif", fontsize=9, color=gray40]',
    ...nodes.map(node => {
      // A backslash and an n: DOT's own line break, behind a name that can hold none.
      const label = `${quoted(nameOf(labels, node)).slice(0, -1)}\\n${bytesText(node.bytes)}"`
      return `  n${node.key} [label=${label}${node.isTarget ? ', style=bold' : ''}]`
    }),
    ...edges.map(
      edge => `  n${edge.from} -> n${edge.to} [tooltip=${quoted(howOf(edge))}${edge.isLoose ? ', style=dashed' : ''}]`,
    ),
    '}',
  ].join('\n')
}

/** For Mermaid, which GitHub and GitLab draw in Markdown. */
export function graphMermaid(explained: Explained, { nodes, edges }: Graph): string {
  const labels = new Labels(explained)
  // Entities by number are all that Mermaid takes in a label without meaning something by it.
  const quoted = (text: string): string => `"${text.replace(/[^A-Za-z0-9 ,._/+~-]/gu, c => `#${c.codePointAt(0)};`)}"`
  return [
    'flowchart LR',
    ...nodes.map(node => `  n${node.key}[${quoted(`${nameOf(labels, node)}, ${bytesText(node.bytes)}`)}]`),
    ...edges.map(edge => `  n${edge.from} ${edge.isLoose ? '-.->' : '-->'} n${edge.to}`),
  ].join('\n')
}

export function graphJson(explained: Explained, { nodes, edges }: Graph): string {
  const labels = new Labels(explained)
  return toJson({
    command: 'graph',
    subject: jsonSubject(explained),
    nodes: nodes.map(node => ({
      key: node.key,
      label: nameOf(labels, node),
      node: node.id === null ? null : jsonNode(explained, labels, node.id),
      files: node.files,
      bytes: node.bytes,
      target: node.isTarget,
    })),
    edges: edges.map(({ from, to, kinds, name, count }) => ({ from, to, kinds, name: toText(name), count })),
  })
}
