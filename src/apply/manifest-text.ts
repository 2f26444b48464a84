/**
 * The text of `bundle.json`: a line for each field, and for each row of a list. So it is written and read some lines at a
 * time, and of a bundle of many files neither all of the text nor all of its rows are in memory twice.
 */
import * as v from 'valibot'
import type { Manifest } from '../model/manifest.ts'
import { ManifestSchema, type ManifestText } from './manifest.ts'

// ---- Writing ---------------------------------------------------------------------------------------------------------

/** Characters of a piece. */
const PIECE = 1 << 16

/** As text, piece by piece. */
export function* manifestPieces(manifest: ManifestText | Manifest): Generator<Buffer> {
  let text = ''
  for (const line of lines(manifest)) {
    text += line
    if (text.length < PIECE) continue
    yield Buffer.from(text, 'utf8')
    text = ''
  }
  yield Buffer.from(text, 'utf8')
}

function* lines(manifest: ManifestText | Manifest): Generator<string> {
  let before = '{'
  for (const [field, value] of Object.entries(manifest)) {
    yield `${before}\n${JSON.stringify(field)}: `
    before = ','
    if (typeof value === 'object' && value !== null && Symbol.iterator in value) yield* listed(value)
    else yield JSON.stringify(value)
  }
  yield '\n}\n'
}

/** Of rows each has a line; a list of words is one line. */
function* listed(items: Iterable<unknown>): Generator<string> {
  let before = '['
  for (const item of items) {
    if (before === '[' && typeof item !== 'object') {
      yield JSON.stringify(items)
      return
    }
    yield `${before}\n${JSON.stringify(item)}`
    before = ','
  }
  yield before === '[' ? '[]' : '\n]'
}

// ---- Reading ---------------------------------------------------------------------------------------------------------

/** A file that is in memory already: its strings are the manifest's too, where they are equal. */
export interface KnownFile {
  readonly name: string
  readonly sha256: string | null
}

/**
 * The manifest in these bytes, or why there is none.
 * @param known a file by its path, where it may be in memory
 */
export function readManifest(
  bytes: Buffer,
  known: (path: string) => KnownFile | undefined = () => undefined,
): { manifest: Manifest } | { reason: string } {
  // Somebody may have formatted it anew; and what is wrong is told of the whole.
  const manifest = readLines(bytes, known)
  if (manifest !== null) return { manifest }
  let json: unknown
  try {
    json = JSON.parse(bytes.toString('utf8'))
  } catch {
    return { reason: 'it is not JSON' }
  }
  const parsed = v.safeParse(ManifestSchema, json)
  if (parsed.success) return { manifest: parsed.output }
  const issue = parsed.issues[0]
  return { reason: `${v.getDotPath(issue) ?? 'the document'}: ${issue.message}` }
}

/** Long lists, of which each row is checked as it is read; all else is checked when it is there. */
const LISTS = {
  accounts: ManifestSchema.entries.accounts,
  files: ManifestSchema.entries.files,
  needs: ManifestSchema.entries.needs.wrapped,
}
const OtherFields = v.omit(ManifestSchema, ['accounts', 'files', 'needs'])

/** The manifest in a text of such lines, as JSON and the schema have it; null for any other, and for what is wrong. */
function readLines(bytes: Buffer, known: (path: string) => KnownFile | undefined): Manifest | null {
  const fields = new Map<string, unknown>()
  let at = 0
  const line = (): string => {
    const end = bytes.indexOf('\n', at)
    if (end < 0) throw NO_LINES
    const text = bytes.toString('utf8', at, end)
    at = end + 1
    return text
  }
  const rowsOf = (field: string): unknown[] => {
    const schema = Object.hasOwn(LISTS, field) ? LISTS[field as keyof typeof LISTS].item : v.unknown()
    const rows: unknown[] = []
    for (let isLast = false; !isLast; ) {
      const text = line()
      isLast = !text.endsWith(',')
      const row = v.parse(schema, JSON.parse(isLast ? text : text.slice(0, -1)))
      rows.push(field === 'files' ? sharing(row as object, known) : row)
    }
    return rows
  }
  try {
    if (line() !== '{') return null
    for (let isLast = false; !isLast; ) {
      const text = line()
      const [start, field] = FIELD.exec(text) ?? []
      if (start === undefined || field === undefined || fields.has(field)) return null
      if (text === `${start}[`) {
        fields.set(field, rowsOf(field))
        const end = line()
        isLast = end === ']'
        if (!isLast && end !== '],') return null
      } else {
        isLast = !text.endsWith(',')
        const value: unknown = JSON.parse(text.slice(start.length, isLast ? undefined : -1))
        fields.set(field, Object.hasOwn(LISTS, field) ? v.parse(LISTS[field as keyof typeof LISTS], value) : value)
      }
    }
    if (line() !== '}' || at !== bytes.length) return null
    const others = v.parse(OtherFields, Object.fromEntries(fields))
    const { accounts, files, needs } = Object.fromEntries(fields) as Partial<Manifest>
    if (accounts === undefined || files === undefined) return null
    return { ...others, accounts, files, ...(needs !== undefined && { needs }) }
  } catch {
    return null
  }
}

/** The same row, which shares its strings with a file that is in memory. */
function sharing(row: object, known: (path: string) => KnownFile | undefined): object {
  const { path, sha256 } = row as Pick<Manifest['files'][number], 'path' | 'sha256'>
  const same = known(path)
  return same === undefined
    ? row
    : Object.assign(row, { path: same.name, ...(same.sha256 === sha256 && { sha256: same.sha256 }) })
}

/** How a field's line begins. */
const FIELD = /^"([a-zA-Z-]+)": /
const NO_LINES = new Error('no line')
