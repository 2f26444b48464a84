/**
 * Findings that are known and accepted. A build moves offsets and changes hashes, so neither is part of what a finding
 * is known by: a store path counts by its name (`glibc-2.36/lib`), in its file.
 */
import * as v from 'valibot'
import type { Finding } from '../model/findings.ts'
import { toText } from '../paths.ts'

/** What a finding is known by from one build to the next. Text. */
export type Known = Readonly<Record<string, string>>

const BaselineSchema = v.object({
  schema: v.literal(1),
  accepted: v.array(v.record(v.string(), v.string())),
})

const STORE_HASH = /[0-9a-df-np-sv-z]{32}(?=-|$)/g
/** Of other findings: what tells one from another in the same file. */
const TELLING = ['member', 'problem', 'name', 'interp', 'target', 'reason'] as const

export function knownBy(finding: Finding): Known {
  const known: Record<string, string> = { code: finding.code, file: withoutHashes(finding.file) }
  if (finding.code === 'store-reference' || finding.code === 'store-hash') {
    known.where = finding.where
    known.text = withoutHashes(finding.text)
  } else
    for (const key of TELLING) {
      const value = (finding as unknown as Record<string, unknown>)[key]
      if (typeof value === 'string') known[key] = withoutHashes(value)
    }
  return known
}

const withoutHashes = (text: string): string => toText(text.replace(STORE_HASH, '*'))

/** The text of a baseline file: sorted, each once. Notes are not in it. */
export function baselineText(findings: readonly Finding[]): string {
  const keys = new Map(findings.filter(f => f.severity !== 'note').map(f => [keyOf(knownBy(f)), knownBy(f)] as const))
  const accepted = [...keys].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, known]) => known)
  return `${JSON.stringify({ schema: 1, accepted }, null, 2)}\n`
}

export const keyOf = (known: Known): string =>
  JSON.stringify(Object.entries(known).sort(([a], [b]) => (a < b ? -1 : 1)))

/** The keys that a baseline file accepts, or why it is none. */
export function readBaseline(text: string): { accepted: ReadonlySet<string> } | { reason: string } {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return { reason: 'it is not JSON' }
  }
  const parsed = v.safeParse(BaselineSchema, json)
  if (!parsed.success)
    return { reason: `${v.getDotPath(parsed.issues[0]) ?? 'the document'}: ${parsed.issues[0].message}` }
  return { accepted: new Set(parsed.output.accepted.map(keyOf)) }
}
