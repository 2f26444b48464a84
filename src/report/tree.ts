/** The tree of a bundle, for people and as JSON (docs/explain.schema.json). */
import type { TreeNode } from '../explain/tree.ts'
import type { Explained, Need } from '../model/explained.ts'
import { baseName, toText } from '../paths.ts'
import { bytesText } from './describe.ts'
import { toJson } from './json.ts'
import { Labels } from './labels.ts'
import { jsonNode, jsonSubject } from './why.ts'

interface Line {
  readonly name: string
  readonly package: string
  readonly size: string
  readonly how: string
}

export function treeText(explained: Explained, roots: readonly TreeNode[], isReverse: boolean): string {
  const labels = new Labels(explained)
  const lines: Line[] = []
  for (const root of roots) walk(explained, labels, root, '', '', isReverse, lines)
  const width = (of: (line: Line) => string, most: number): number =>
    Math.min(most, Math.max(...lines.map(line => of(line).length)))
  const [names, packages, sizes] = [width(l => l.name, 64), width(l => l.package, 28), width(l => l.size, 10)]
  const own = isReverse ? [] : ownFiles(explained)
  const drawn = lines.map(({ name, package: owner, size, how }) =>
    `${name.padEnd(names)}  ${owner.padEnd(packages)}  ${size.padStart(sizes)}  ${how}`.trimEnd(),
  )
  return [...drawn, ...own].join('\n')
}

function walk(
  explained: Explained,
  labels: Labels,
  node: TreeNode,
  indent: string,
  branch: string,
  isReverse: boolean,
  lines: Line[],
): void {
  const { id, need, isShown, holds, children, left } = node
  const file = explained.files[id]
  const full = labels.of(id)
  const owner = labels.owner(id) ?? ''
  const isPlain = need !== null && !isReverse && file !== undefined && LIBRARY.has(need.kind)
  const name = isPlain ? toText(baseName(need.name)) : need === null || isReverse ? full : below(full, owner)
  lines.push({
    name: `${indent}${branch}${name}${holds === null ? '' : '/'}${isShown ? ' ^' : ''}`,
    package: need === null || isReverse ? '' : owner,
    size: holds !== null ? `${bytesText(holds.bytes)}` : file?.type === 'file' ? bytesText(file.size) : '',
    how: [
      holds === null ? '' : `${holds.files} ${holds.files === 1 ? 'file' : 'files'}`,
      need === null ? '' : howOf(labels, need, isReverse),
    ]
      .filter(text => text !== '')
      .join('; '),
  })
  const inner = branch === '' ? '' : `${indent}${branch.startsWith('├') ? '│  ' : '   '}`
  for (const [i, child] of children.entries()) {
    const isLast = i === children.length - 1 && left === 0
    // What is only opened, or only named, need not be there.
    const line = child.need !== null && FIRM.has(child.need.kind) ? '─' : '┄'
    walk(explained, labels, child, inner, `${isLast ? '└' : '├'}${line} `, isReverse, lines)
  }
  if (left > 0) lines.push({ name: `${inner}└┄ and ${left} more`, package: '', size: '', how: '' })
}

const LIBRARY: ReadonlySet<Need['kind']> = new Set(['interp', 'needed', 'install-name', 'loaded', 'dlopen'])
const FIRM: ReadonlySet<Need['kind']> = new Set([
  'interp',
  'needed',
  'install-name',
  'loaded',
  'shebang',
  'wrapper',
  'link',
])

const below = (full: string, owner: string): string =>
  owner !== '' && full.startsWith(`${owner}/`) ? full.slice(owner.length + 1) : full

function howOf(labels: Labels, need: Need, isReverse: boolean): string {
  if (isReverse) return labels.verb(need)
  switch (need.kind) {
    case 'interp':
      return 'interpreter'
    case 'needed':
    case 'install-name':
    case 'loaded':
      return need.via === 'default' ? "the loader's own directory" : (need.via ?? '')
    case 'dlopen':
      return need.name.includes('/') ? 'opened by its path' : 'opened (string)'
    case 'shebang':
      return 'interpreter (#!)'
    case 'condition':
      return `imports ${toText(need.name)}`
    case 'reference':
      return `named (${labels.places(need.at.slice(0, 1), need.count)})`
    default:
      return labels.verb(need).replace(/ .*/s, '')
  }
}

/** What a target's own tree brings, by its directories. */
function ownFiles(explained: Explained): string[] {
  const labels = new Labels(explained)
  return explained.asked
    .filter(a => a.kind === 'target')
    .flatMap(({ to }) => {
      const owner = explained.files[to]?.package ?? explained.directories[to - explained.files.length]?.package
      if (owner === undefined || owner === null) return []
      const counts = new Map<string, number>()
      let bytes = 0
      for (const file of explained.files) {
        if (file.package !== owner || file.role === 'program' || file.type === 'link') continue
        const top = file.part.includes('/') ? `${file.part.split('/')[0]}/` : file.part
        counts.set(top, (counts.get(top) ?? 0) + 1)
        bytes += file.size
      }
      if (counts.size === 0) return []
      const list = [...counts].map(([name, n]) => `${toText(name)} ${n}`).join(', ')
      return [`own files of ${labels.package(owner)}: ${list}  ${bytesText(bytes)}`]
    })
}

export function treeJson(explained: Explained, roots: readonly TreeNode[]): string {
  const labels = new Labels(explained)
  const json = ({ id, need, isShown, holds, children, left }: TreeNode): object => ({
    ...jsonNode(explained, labels, id),
    kind: need?.kind ?? null,
    name: need === null ? null : toText(need.name),
    via: need?.via ?? null,
    size: explained.files[id]?.size ?? null,
    holds,
    shownAbove: isShown,
    left,
    children: children.map(json),
  })
  return toJson({ command: 'tree', subject: jsonSubject(explained), roots: roots.map(json) })
}
