/**
 * What `verify` found, as a table and a verdict for people, and as JSON (docs/verify.schema.json).
 */

import type { Finding } from '../model/findings.ts'
import { toText } from '../paths.ts'
import type { Outside } from '../try/run.ts'
import type { Audit, Audited } from '../verify/audit.ts'
import { megabytes } from './describe.ts'
import { jsonFinding, toJson } from './json.ts'

/** Rows of one file that are shown; JSON has all. */
const ROWS_PER_FILE = 20
const WHERE = { contents: '', name: 'name', link: 'link', header: 'header' } as const
const HEAD = ['FILE', 'OFFSET', 'ENCODING', 'PART', 'STORE PATH'] as const

type StoreReference = Extract<Finding, { code: 'store-reference' | 'store-hash' }>
export const isReference = (f: Finding): f is StoreReference => f.code === 'store-reference' || f.code === 'store-hash'

/** The references as a table; '' when there are none. */
export function referenceTable(findings: readonly Finding[]): string {
  const byFile = new Map<string, StoreReference[]>()
  for (const f of findings.filter(isReference)) byFile.set(f.file, [...(byFile.get(f.file) ?? []), f])
  if (byFile.size === 0) return ''
  const rows: (readonly string[])[] = [HEAD]
  for (const [file, all] of byFile) {
    for (const { offset, encoding, slash, where, part, text, count } of all.slice(0, ROWS_PER_FILE))
      rows.push([
        toText(file),
        String(offset),
        slash === undefined ? encoding : `${encoding} ${slash}`,
        (part === null ? WHERE[where] : toText(part)) || '-',
        `${toText(text)}${count > 1 ? `  (${count} times)` : ''}`,
      ])
    if (all.length > ROWS_PER_FILE)
      rows.push([toText(file), '', '', '', `and ${all.length - ROWS_PER_FILE} more (--json has all)`])
  }
  // One long name must not push all others to the right.
  const widths = HEAD.map((_, i) => Math.min(60, Math.max(...rows.map(row => row[i]!.length))))
  return rows.map(row => `  ${row.map((cell, i) => (i === 4 ? cell : cell.padEnd(widths[i]!))).join('  ')}`).join('\n')
}

/** The verdict in a line or two. */
export function verifySummary({ path, verification, findings, accepted }: Audited): string {
  const { kind, files, bytes, manifest, closed, allowed } = verification
  const errors = findings.filter(f => f.severity === 'error')
  const references = errors.filter(isReference)
  const others = errors.length - references.length
  const title =
    manifest === null
      ? kind
      : `${manifest.name}${manifest.version === null ? '' : ` ${manifest.version}`} ${manifest.system}`
  const unread = findings.filter(f => f.code === 'container-unread')
  const count = references.reduce((sum, f) => sum + f.count, 0)
  const verdict =
    errors.length > 0
      ? [
          references.length > 0 &&
            `${counted(count, 'store reference')} in ${counted(new Set(references.map(f => f.file)).size, 'file')}`,
          others > 0 && (references.length > 0 ? counted(others, 'other error') : counted(others, 'error')),
        ]
      : [
          unread.length > 0 ? '0 store references in what could be read' : 'clean: 0 store references',
          closed && 'everything resolves inside',
        ]
  const told = [
    ...verdict,
    accepted > 0 && `${accepted} accepted by the baseline`,
    allowed > 0 && `${allowed} allowed`,
    unread.length > 0 && `not looked into: ${unread.length} (${kinds(unread)})`,
  ].filter(part => part !== false)
  return `${path}:  ${title}  ${counted(files, 'file')}, ${megabytes(bytes)}: ${told.join(', ')}`
}

const counted = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`

/** `squashfs 1, zstd 3` */
function kinds(unread: readonly Finding[]): string {
  const counts = new Map<string, number>()
  for (const f of unread) {
    if (f.code !== 'container-unread') continue
    const kind = f.problem === 'opaque' ? toText(f.detail) : f.problem
    counts.set(kind, (counts.get(kind) ?? 0) + 1)
  }
  return [...counts].map(([kind, n]) => `${kind} ${n}`).join(', ')
}

/** The document that `--json` prints. */
export const verifyJson = ({ audited }: Audit): string =>
  toJson({
    results: audited.map(
      ({ path, verification: { kind, files, bytes, manifest, closed, allowed }, findings, accepted }) => ({
        path,
        kind,
        files,
        bytes,
        name: manifest?.name ?? null,
        closed,
        clean: !findings.some(f => f.severity === 'error'),
        allowed,
        accepted,
        findings: findings.map(jsonFinding),
      }),
    ),
  })

/** What `try --trace` saw. */
export const traceText = (method: string, outside: readonly Outside[]): string =>
  [
    `trace (${method}): ${outside.length === 0 ? 'nothing' : counted(outside.length, 'path')} outside the bundle`,
    ...outside.map(({ path, opened }) => `  ${opened ? 'opened   ' : 'not there'}  ${toText(path)}`),
  ].join('\n')
