/** A project's policy: where it lies, and what it says. A mistake in it is an error that names what was meant. */
import * as v from 'valibot'
import { BundleError } from './errors.ts'
import { readText, stat } from './io/store.ts'
import { FINDING_CODES } from './model/finding-codes.ts'
import type { FindingCode } from './model/findings.ts'
import type { Policy } from './model/policy.ts'
import { fromText, toText } from './paths.ts'
import { parseSize } from './size.ts'

export const POLICY_FILE = 'storefree.json'

const Name = v.pipe(v.string('a name is wanted, in quotes'), v.nonEmpty('an empty name names nothing'))
const Names = v.optional(v.array(Name, 'a list is wanted, in [ ]'), [])

/** docs/policy.schema.json says the same for editors; a test compares. */
const ENTRIES = {
  $schema: v.optional(v.string('a text is wanted')),
  maxSize: v.optional(v.union([v.number(), v.string()], 'a size is wanted: "90MB", or a number of bytes')),
  disallow: Names,
  require: Names,
  disallowFiles: Names,
  errors: v.optional(
    v.union([v.literal('all'), v.array(v.string())], '"all" or a list of codes is wanted, such as ["machine-data"]'),
    [],
  ),
  newestSymbols: v.optional(
    v.record(
      v.string(),
      v.string('a version is wanted, in quotes: "2.31"'),
      'versions are wanted: { "GLIBC": "2.31" }',
    ),
    {},
  ),
}

/**
 * Where the policy of some targets lies: beside the flake that they are of, else in the working directory.
 * @param words as they were typed
 * @returns null where there is none
 * @throws BundleError('usage') when flakes of several directories have one
 */
export function findPolicy(words: readonly string[], cwd: string): string | null {
  const directories = words.flatMap(word => {
    const [, path] = /^(?:path:)?([./][^#?]*)[^#]*#/.exec(word) ?? []
    return path === undefined ? [] : [path.startsWith('/') ? path : `${cwd}/${path}`]
  })
  const candidates = directories.map(d => `${d.replace(/\/+$/, '')}/${POLICY_FILE}`)
  const beside = [...new Set(candidates)].filter(path => stat(fromText(path))?.type === 'file')
  if (beside.length > 1)
    throw new BundleError('usage', `${beside.length} of the targets' flakes have a ${POLICY_FILE}`, {
      hint: 'say which one with --policy FILE',
    })
  const [found = `${cwd}/${POLICY_FILE}`] = beside
  return stat(fromText(found))?.type === 'file' ? found : null
}

/**
 * @param path text, absolute or below `cwd`
 * @throws BundleError('usage') for what is no policy, and when it cannot be read
 */
export function readPolicy(path: string, cwd: string): Policy {
  const bytes = fromText(path.startsWith('/') ? path : `${cwd}/${path}`)
  let json: unknown
  try {
    json = JSON.parse(readText(bytes))
  } catch (error) {
    if (error instanceof BundleError) throw error
    throw wrong(bytes, `it is not JSON: ${(error as Error).message}`)
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw wrong(bytes, 'it is no object: { "maxSize": "90MB" }')
  for (const key of Object.keys(json))
    if (!Object.hasOwn(ENTRIES, key)) throw wrong(bytes, `there is no "${key}"${meant(key, Object.keys(ENTRIES))}`)
  const parsed = v.safeParse(v.strictObject(ENTRIES), json)
  if (!parsed.success) {
    const [issue] = parsed.issues
    throw wrong(bytes, `"${v.getDotPath(issue) ?? ''}": ${issue.message}`)
  }
  const { maxSize, disallow, require, disallowFiles, errors, newestSymbols } = parsed.output
  const bytesMax = maxSize === undefined ? null : typeof maxSize === 'number' ? maxSize : parseSize(maxSize)
  if (maxSize !== undefined && (bytesMax === null || !Number.isSafeInteger(bytesMax) || bytesMax < 0))
    throw wrong(bytes, `"maxSize": ${JSON.stringify(maxSize)} is no size: "90MB", or a number of bytes`)
  for (const code of errors === 'all' ? [] : errors)
    if (!FINDING_CODES.includes(code as FindingCode))
      throw wrong(bytes, `"errors": no finding has the code "${code}"${meant(code, FINDING_CODES)}`)
  if (Array.isArray((json as { newestSymbols?: unknown }).newestSymbols))
    throw wrong(bytes, '"newestSymbols": versions are wanted: { "GLIBC": "2.31" }')
  for (const [prefix, version] of Object.entries(newestSymbols)) {
    if (!/^\d+(?:\.\d+)*$/.test(version))
      throw wrong(bytes, `"newestSymbols.${prefix}": ${JSON.stringify(version)} is no version: "2.31"`)
    if (!/^\w+$/.test(prefix) || /_\d/.test(prefix))
      throw wrong(bytes, `"newestSymbols": ${JSON.stringify(prefix)} begins no version of symbols: "GLIBC", "GLIBCXX"`)
  }
  return {
    file: path.startsWith(`${cwd}/`) ? path.slice(cwd.length + 1) : path,
    maxSize: bytesMax,
    disallow: disallow.map(fromText),
    require: require.map(fromText),
    disallowFiles: disallowFiles.map(fromText),
    errors: errors as Policy['errors'],
    newestSymbols: new Map(Object.entries(newestSymbols)),
  }
}

const wrong = (path: string, reason: string): BundleError =>
  new BundleError('usage', reason, { path, hint: 'docs/policy.md says what may be in it' })

/** `: is "maxSize" meant?` for what is nearly that. */
function meant(word: string, known: readonly string[]): string {
  const [nearest] = known
    .map(other => ({ other, distance: distance(word.toLowerCase(), other.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)
  const isNear = nearest !== undefined && nearest.distance <= Math.max(2, Math.floor(toText(word).length / 2))
  return isNear ? `: is "${nearest.other}" meant?` : `: there is ${known.filter(k => k !== '$schema').join(', ')}`
}

/** Letters to be put in, left out or changed to make one word of another (Levenshtein's). Long words are no slips. */
function distance(a: string, b: string): number {
  if (a.length > 100) return Number.POSITIVE_INFINITY
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++)
      next.push(Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)))
    row = next
  }
  return row[b.length]!
}
