/** What `bundle why` found, for people and as JSON (docs/explain.schema.json). */
import type { Chain } from '../explain/chains.ts'
import type { Absent, Answer, Match } from '../explain/why.ts'
import type { Explained, FileRole, Kept, Need, Place, Subject } from '../model/explained.ts'
import { oneLine, toText } from '../paths.ts'
import { RULES } from '../references/follow.ts'
import { toJson } from './json.ts'
import { Labels } from './labels.ts'

const KEPT_SHOWN = 5

/** @param users whether everybody is told who needs it */
export function whyText(explained: Explained, answers: readonly Answer[], users: boolean): string {
  const labels = new Labels(explained)
  return answers.map(answer => answerText(explained, labels, answer, users)).join('\n\n')
}

function answerText(explained: Explained, labels: Labels, answer: Answer, users: boolean): string {
  const { matches, matchCount, absent } = answer
  const name = oneLine(answer.asked)
  const blocks = matches.map(match => matchText(explained, labels, name, match, users))
  if (matchCount > matches.length)
    blocks.push(`${matchCount - matches.length} more are called ${name}: name a path, or ask with --all.`)
  blocks.push(...absent.map(a => absentText(explained, labels, name, a)))
  if (blocks.length === 0) blocks.push(`${name} is ${neither(explained)} of ${title(explained.subject)}.`)
  return blocks.join('\n\n')
}

const neither = ({ closure, packages }: Explained): string =>
  closure
    ? `neither in the bundle nor in the Nix closure (${packages.filter(p => p.nar !== null).length} packages)`
    : 'not in the bundle, and nothing in it names it: it is no file, package or library'

const title = ({ name, version }: Subject): string => (version === null ? name : `${name} ${version}`)

function matchText(explained: Explained, labels: Labels, name: string, match: Match, users: boolean): string {
  const { id, chains, chainCount, more, through } = match
  const lines = [headOf(explained, labels, name, match)]
  for (const [i, chain] of chains.entries()) {
    if (i > 0) lines.push('')
    lines.push(...chainLines(labels, chain))
  }
  if (chainCount > chains.length || chainCount > 1)
    lines.push(
      `  ${more ? 'more than ' : ''}${chainCount} chains${chains.length < chainCount ? `, ${chains.length} shown (--all shows more)` : ''}.`,
    )
  else lines.push('  1 chain.')
  const others = through.filter(other => other !== id).map(other => labels.of(other))
  if (chainCount > 1 && others.length > 0) lines[lines.length - 1] += ` All go through ${others.join(', ')}.`
  lines[lines.length - 1] += ` Without it the bundle is ${match.removable} bytes smaller.`
  const hint = excludeHint(explained, labels, match)
  if (hint !== null) lines.push(`  Leave it out: ${hint}`)
  if (users) lines.push(...userLines(labels, match.users))
  return lines.join('\n')
}

function headOf(explained: Explained, labels: Labels, name: string, { id, package: owner }: Match): string {
  if (owner !== null)
    return `${labels.package(owner.id)} is in: ${owner.files} ${owner.files === 1 ? 'file' : 'files'}, ${owner.bytes} bytes; the nearest is ${labels.of(id)}`
  const file = explained.files[id]
  if (file === undefined) return `${name} is in: the directory ${labels.of(id)}`
  const what = file.type === 'link' ? 'a link' : `${file.size} bytes`
  const from = labels.owner(id)
  const of =
    from === null
      ? (OF_NONE[file.role] ?? 'taken from the machine')
      : `of ${from}${file.part === '' ? '' : ` (${toText(file.part)})`}`
  return `${name} is in: ${toText(file.at)}, ${what}, ${of}`
}

/** What is of no package. */
const OF_NONE: Partial<Record<FileRole, string>> = { made: 'made by storefree', name: 'a further name', link: 'a link' }

/** Where a chain begins, in words. */
export const ASKED: Readonly<Record<Chain['asked']['kind'], (name: string) => string>> = {
  entry: name => `is started by name: ${name}`,
  target: () => 'is a target: its own tree comes along',
  trace: name => `was seen to be opened by --trace: ${name}`,
  include: name => `was asked for: ${name}`,
  closure: name => `was asked for: ${name}`,
  with: name => `was asked for: ${name}`,
  licence: name => `was asked for: ${name}`,
  bundle: () => 'is part of every bundle of this kind',
}

function chainLines(labels: Labels, { asked, needs }: Chain): string[] {
  const rows = needs.map(need => [labels.of(need.from), labels.verb(need), labels.evidence(need)])
  if (asked.kind !== 'entry' || needs.length === 0)
    rows.unshift([labels.of(asked.to), ASKED[asked.kind](toText(asked.name)), ''])
  return table(rows)
}

/** Columns that one long name does not push apart. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = [0, 1].map(i => Math.min(56, Math.max(...rows.map(row => row[i]!.length))))
  return rows.map(
    row =>
      `  ${row
        .map((cell, i) => (i < 2 ? cell.padEnd(widths[i]!) : cell))
        .join('  ')
        .trimEnd()}`,
  )
}

function userLines(labels: Labels, users: readonly Need[]): string[] {
  const shown = users.slice(0, 20)
  const rows = shown.map(need => [labels.of(need.from), labels.verb(need), labels.evidence(need)])
  return [
    `  It is needed by ${users.length}:`,
    ...table(rows).map(row => `  ${row}`),
    ...(users.length > shown.length ? [`    and ${users.length - shown.length} more`] : []),
  ]
}

/** What leaves it out; null for what the loader needs, and for a target's own. */
function excludeHint(
  explained: Explained,
  labels: Labels,
  { id, package: owner, chains, through }: Match,
): string | null {
  const file = explained.files[id]
  // --exclude knows paths of the machine, and no packages of it.
  if (file !== undefined && file.package !== null && explained.packages[file.package]!.machine !== null) return null
  const steps = chains[0]?.needs ?? []
  const last = steps.at(-1)
  if (last === undefined) return null
  const glob = (of: number): string => excluding(`${labels.of(of)}${of < explained.files.length ? '' : '/*'}`)
  if (owner !== null) return last.kind === 'reference' ? excluding(`${labels.package(owner.id)}/*`) : null
  if (last.kind === 'reference' || last.kind === 'condition') return glob(id)
  const before = steps.at(-2)
  const named = before?.kind === 'reference' || before?.kind === 'condition'
  return last.kind === 'member' && named && through.includes(last.from) ? glob(last.from) : null
}

/** To be given to a shell as it stands. */
const excluding = (glob: string): string => `--exclude '${glob.replaceAll("'", "'\\''")}'`

function absentText(explained: Explained, labels: Labels, name: string, absent: Absent): string {
  const { nar } = explained.packages[absent.package]!
  const label = labels.package(absent.package)
  const size = nar === null ? '' : `, ${nar} bytes`
  const files = new Set(absent.kept.map(kept => kept.from)).size
  if (absent.kept.length === 0) {
    const by = absent.keptBy.slice(0, KEPT_SHOWN).map(id => labels.package(id))
    const more = absent.keptBy.length - by.length
    const why = by.length === 0 ? '' : `; what names it is in ${by.join(', ')}${more > 0 ? ` and ${more} more` : ''}`
    return `${name} is not in the bundle. It is in Nix's closure (${label}${size})${why}. No file of the bundle names it.`
  }
  const groups = grouped(absent.kept, kept => `${kept.via ?? ''}\0${kept.rule}`)
  const lines = [...groups.values()].map(group => keptLine(labels, group))
  const where = explained.closure ? "It is in Nix's closure" : 'The files of the bundle name it'
  const isUsed = absent.kept.some(kept => kept.via === null)
  return [
    `${name} is not in the bundle. ${where} (${label}${size}), kept by ${absent.keptCount > absent.kept.length ? 'at least ' : ''}${files} ${files === 1 ? 'file' : 'files'}:`,
    ...lines,
    ...(isUsed
      ? []
      : [
          `  Nothing uses it: \`patchelf --shrink-rpath\` on ${files === 1 ? 'this file' : `these ${files} files`} takes it out of the closure.`,
        ]),
  ].join('\n')
}

function keptLine(labels: Labels, group: readonly Kept[]): string {
  const [first] = group
  const more = new Set(group.map(kept => kept.from)).size - 1
  const { place, rule, via } = first!
  const where = labels.places([place], 1)
  const why =
    via === null
      ? `${where}: stays out, ${RULES.get(rule) ?? rule}`
      : `${via}, ${where.replace(/^R(?:UN)?PATH, /, '')}: finds nothing there`
  return `  ${labels.of(first!.from)}${more > 0 ? ` and ${more} more` : ''}  ${why}`
}

function grouped<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const known = groups.get(keyOf(item))
    if (known) known.push(item)
    else groups.set(keyOf(item), [item])
  }
  return groups
}

// ---- JSON ----------------------------------------------------------------------------------------------------------

export const whyJson = (explained: Explained, answers: readonly Answer[]): string =>
  toJson({ command: 'why', subject: jsonSubject(explained), answers: whyAnswers(explained, answers) })

/** The same as values: nothing in them that JSON has not. */
export function whyAnswers(explained: Explained, answers: readonly Answer[]) {
  const labels = new Labels(explained)
  return answers.map(answer => ({
    asked: oneLine(answer.asked),
    in: answer.matchCount > 0,
    matches: answer.matches.map(match => ({
      ...jsonMatch(explained, labels, match.id),
      whole: match.package && {
        package: labels.package(match.package.id),
        files: match.package.files,
        bytes: match.package.bytes,
      },
      chains: match.chains.map(({ asked, needs }) => ({
        asked: { kind: asked.kind, name: toText(asked.name) },
        steps: needs.map(need => jsonNeed(explained, labels, need)),
      })),
      chainCount: match.chainCount,
      moreChains: match.more,
      through: match.through.map(id => labels.of(id)),
      users: match.users.length,
      removable: match.removable,
    })),
    matchCount: answer.matchCount,
    closure: answer.absent.map(absent => ({
      package: labels.package(absent.package),
      nar: explained.packages[absent.package]!.nar,
      keptBy: absent.kept.map(kept => ({
        file: jsonNode(explained, labels, kept.from),
        ...jsonPlace(labels, kept.place),
        searchPath: kept.via,
        rule: kept.rule,
      })),
      keptCount: absent.keptCount,
      referrers: absent.keptBy.map(id => labels.package(id)),
    })),
  }))
}

export const jsonSubject = ({ subject: { kind, name, version, system }, closure }: Explained): object => ({
  kind,
  name,
  version,
  system,
  closure,
})

function jsonMatch(explained: Explained, labels: Labels, id: number) {
  return { ...jsonNode(explained, labels, id), size: explained.files[id]?.size ?? null }
}

export function jsonNode(explained: Explained, labels: Labels, id: number) {
  const file = explained.files[id]
  const part = file?.part ?? explained.directories[id - explained.files.length]!.part
  return {
    at: labels.at(id),
    package: labels.owner(id),
    part: toText(part),
    type: file?.type ?? 'directory',
  }
}

function jsonNeed(explained: Explained, labels: Labels, need: Need) {
  return {
    from: jsonNode(explained, labels, need.from),
    to: jsonNode(explained, labels, need.to),
    kind: need.kind,
    name: toText(need.name),
    via: need.via,
    reason: need.via === null ? null : (RULES.get(need.via) ?? null),
    at: need.at.map(place => jsonPlace(labels, place)),
    count: need.count,
    message: [labels.verb(need), labels.evidence(need)].filter(text => text !== '').join(': '),
  }
}

const jsonPlace = (labels: Labels, place: Place): object => ({
  file: place.file === null ? null : labels.of(place.file),
  member: place.member === null ? null : toText(place.member),
  offset: place.offset,
  line: place.line,
  part: place.part === null ? null : toText(place.part),
  encoding: place.encoding,
})
