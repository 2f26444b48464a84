/** What a bundle's bytes are spent on, for people and as JSON (docs/explain.schema.json). */
import type { SectionSize } from '../explain/sections.ts'
import { type Change, delta, type PackageSize, type Size } from '../explain/size.ts'
import type { Explained, FileRole, Need, SizeBy } from '../model/explained.ts'
import { baseName, toText } from '../paths.ts'
import { bytesText } from './describe.ts'
import { toJson } from './json.ts'
import { Labels } from './labels.ts'
import { jsonSubject } from './why.ts'

/**
 * @param top rows that are shown
 * @param sections those of `by` section
 */
export function sizeText(
  explained: Explained,
  size: Size,
  by: SizeBy,
  top: number,
  sections: readonly SectionSize[] | null,
): string {
  const labels = new Labels(explained)
  const rows =
    by === 'package'
      ? size.packages.map(row => packageRow(labels, row))
      : by === 'file'
        ? fileRows(explained, labels)
        : by === 'kind'
          ? kindRows(explained)
          : (sections ?? []).map(({ name, files, bytes }) => [toText(name), String(files), bytesText(bytes)])
  const shown = rows.slice(0, top)
  const more = rows.length - shown.length
  const nar = size.nar === null ? '' : bytesText(size.nar)
  const total = ['total', String(size.files), bytesText(size.bytes), ...(by === 'package' ? ['', nar, ''] : [])]
  return [
    ...columns([HEADS[by], ...shown, ...(more > 0 ? [[`and ${more} more`, '', '']] : []), total]),
    ...(by === 'package' ? [FOOTER] : []),
  ].join('\n')
}

const HEADS: Readonly<Record<SizeBy, readonly string[]>> = {
  package: ['PACKAGE', 'FILES', 'BUNDLE', 'ALONE', 'IN NIX', 'WHY'],
  file: ['FILE', '', 'BYTES'],
  kind: ['KIND', 'FILES', 'BYTES'],
  section: ['SECTION', 'FILES', 'BYTES'],
}
const FOOTER =
  'ALONE: what the bundle is smaller by without the package: its files here, and those that nothing else needs.\nIN NIX: all of the package in its store path. Units of 10^6 bytes; --json has bytes.'

const packageRow = (labels: Labels, row: PackageSize): string[] => [
  row.package === null ? '(no package)' : labels.package(row.package),
  String(row.files),
  bytesText(row.bytes),
  row.alone === null ? '-' : bytesText(row.alone),
  row.nar === null ? '-' : bytesText(row.nar),
  reason(labels, row),
]

/** In a few words what a package is there for; `bundle why` says all. */
export function reason(labels: Labels, { package: owner, asked, needs }: PackageSize): string {
  if (owner === null) return ''
  if (asked.some(a => a.kind === 'target' || a.kind === 'entry')) return 'the target'
  const option = asked.find(a => a.kind !== 'bundle')
  const loaded = needs.filter(({ kind }) => LOADED.has(kind))
  const wanted = loaded.length > 0 ? loaded : needs
  const [first] = wanted
  if (first === undefined) return option === undefined ? '' : toText(option.name)
  const prefix = needs.some(({ kind }) => kind === 'interp') ? 'interpreter; ' : ''
  const users = new Set(wanted.map(need => need.from))
  if (users.size === 1) {
    const same = wanted.filter(need => need.kind === first.kind)
    const names = [...new Set(same.map(need => nameIn(labels, need)))]
    const list = `${names.slice(0, NAMES).join(', ')}${names.length > NAMES ? ` and ${names.length - NAMES} more` : ''}`
    return `${prefix}${labels.of(first.from)} ${VERBS[first.kind] ?? 'names'} ${list}`
  }
  const byName = new Map<string, Set<number>>()
  for (const need of wanted)
    byName.set(nameIn(labels, need), (byName.get(nameIn(labels, need)) ?? new Set()).add(need.from))
  const [name, most] = [...byName].sort((a, b) => b[1].size - a[1].size)[0]!
  return `${prefix}${most.size} ${most.size === 1 ? 'file needs' : 'files need'} ${name}`
}

const NAMES = 3
const LOADED: ReadonlySet<Need['kind']> = new Set(['needed', 'install-name', 'loaded'])
const VERBS: Partial<Record<Need['kind'], string>> = {
  needed: 'needs',
  'install-name': 'needs',
  loaded: 'needs',
  dlopen: 'opens',
  interp: 'is run by',
  shebang: 'is run by',
  wrapper: 'starts',
  link: 'leads to',
  condition: 'imports',
}
const nameIn = (labels: Labels, { kind, name, to }: Need): string =>
  LOADED.has(kind) || kind === 'dlopen' || kind === 'condition' ? toText(baseName(name)) : labels.of(to)

const fileRows = ({ files }: Explained, labels: Labels): string[][] =>
  files
    .map((file, id) => ({ ...file, id }))
    .filter(({ type }) => type === 'file')
    .sort((a, b) => b.size - a.size || a.id - b.id)
    .map(({ at, size, id }) => [toText(at), labels.owner(id) ?? '(no package)', bytesText(size)])

function kinds({ files }: Explained): { kind: FileRole; files: number; bytes: number }[] {
  const found = new Map<FileRole, { files: number; bytes: number }>()
  for (const { role, size } of files) {
    const known = found.get(role) ?? { files: 0, bytes: 0 }
    found.set(role, { files: known.files + 1, bytes: known.bytes + size })
  }
  return [...found].map(([kind, sums]) => ({ kind, ...sums })).sort((a, b) => b.bytes - a.bytes)
}

const kindRows = (explained: Explained): string[][] =>
  kinds(explained).map(({ kind, files, bytes }) => [kind, String(files), bytesText(bytes)])

/** Numbers to the right; the last column as it is. */
function columns(rows: readonly (readonly string[])[]): string[] {
  const count = Math.max(...rows.map(row => row.length))
  const widths = Array.from({ length: count }, (_, i) => Math.max(...rows.map(row => row[i]?.length ?? 0)))
  return rows.map(row =>
    row
      .map((cell, i) =>
        i === 0 || i === 5 || !/^[\d(-]|^$|^[A-Z]/.test(cell) ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!),
      )
      .join('  ')
      .trimEnd(),
  )
}

/** What grew, came and went; the largest change first. */
export function changesText(changes: readonly Change[], before: number, after: number, top: number): string {
  const rows = changes.slice(0, top).map(change => {
    const what =
      change.before === null ? 'came' : change.after === null ? 'went' : delta(change) > 0 ? 'grew' : 'shrank'
    const sign = delta(change) > 0 ? '+' : '-'
    return [
      toText(change.name),
      what,
      `${sign}${bytesText(Math.abs(delta(change)))}`,
      change.after === null ? '-' : bytesText(change.after),
    ]
  })
  const total = after - before
  const sign = total < 0 ? '-' : '+'
  const more = changes.length - rows.length
  return columns([
    ['NAME', '', 'CHANGE', 'NOW'],
    ...rows,
    ...(more > 0 ? [[`and ${more} more`, '', '', '']] : []),
    ['total', '', `${sign}${bytesText(Math.abs(total))}`, bytesText(after)],
  ]).join('\n')
}

export function sizeJson(
  explained: Explained,
  size: Size,
  max: number | null,
  against: { readonly bytes: number; readonly changes: readonly Change[] } | null,
  sections: readonly SectionSize[] | null,
): string {
  const labels = new Labels(explained)
  return toJson({
    command: 'size',
    subject: jsonSubject(explained),
    total: { files: size.files, bytes: size.bytes, nar: size.nar },
    max,
    packages: size.packages.map(row => ({
      name: row.package === null ? null : labels.package(row.package),
      files: row.files,
      bytes: row.bytes,
      alone: row.alone,
      nar: row.nar,
      why: reason(labels, row),
    })),
    files: explained.files.map((file, id) => ({
      at: toText(file.at),
      package: labels.owner(id),
      kind: file.role,
      bytes: file.size,
    })),
    ...(sections !== null && { sections: sections.map(row => ({ ...row, name: toText(row.name) })) }),
    against: against && {
      bytes: against.bytes,
      changes: against.changes.map(change => ({ ...change, name: toText(change.name) })),
    },
  })
}
