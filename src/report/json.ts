/** Findings, errors and reports as JSON for machines (docs/report.schema.json, docs/verify.schema.json). */
import type { BundleError } from '../errors.ts'
import type { Finding } from '../model/findings.ts'
import { toText } from '../paths.ts'
import { describe } from './describe.ts'

/** Version of the JSON that `--json` prints. */
const JSON_SCHEMA = 1

/** A value as a JSON document; byte strings in findings become text. */
export const toJson = (value: object): string =>
  JSON.stringify({ schema: JSON_SCHEMA, ...value }, (_, v: unknown) => (v instanceof Map ? undefined : v), 2)

/** An error as a JSON document. */
export const jsonError = ({
  code,
  path,
  message,
  hint,
}: Pick<BundleError, 'code' | 'message'> & Partial<BundleError>) =>
  toJson({ error: { code, path: path === undefined ? null : toText(path), message, hint: hint ?? null } })

/** A finding with its words, for JSON. */
export const jsonFinding = (finding: Finding): object => ({
  ...Object.fromEntries(
    Object.entries(finding).map(([k, v]) => [
      k,
      typeof v === 'string' ? toText(v) : Array.isArray(v) ? v.map(x => (typeof x === 'string' ? toText(x) : x)) : v,
    ]),
  ),
  message: describe(finding),
})
