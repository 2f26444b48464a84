/**
 * Store paths in a script's text: what they become, so that the text is right wherever the bundle lies. Pure; a text is
 * a byte string.
 *
 * Nothing is written to disk when the script runs. In most languages a store path turns into an expression that the
 * language works out itself. In Perl, Perl modules and Tcl it is a placeholder of equal length, which the text has filled
 * in when it is run or loaded; in `.pth` files it becomes relative. What has to be known of each language is in its
 * `*-edit.ts` (expressions.ts has the list); here is what they share.
 */
import type { BundlePath } from '../paths.ts'
import { blank } from '../references/rewrite.ts'

/** What stands for the root of a bundle where a text cannot find it when it runs: a place that names nothing. */
export const NOWHERE = `/var/empty/${'e'.repeat(32)}`

/** A store path in a text: where it stands, and what it becomes. */
export interface Site {
  readonly offset: number
  /** Bytes of `/nix/store/<hash>-<name>`, without what follows. */
  readonly length: number
  /** Where the package's tree lies in the bundle, such as `pkg/coreutils-9.1`; null: not in it, so it is blanked. */
  readonly to: BundlePath | null
}

/** Bytes to be put in the place of others: `length` bytes at `offset` go. */
export interface Splice {
  readonly offset: number
  readonly length: number
  readonly text: string
}

/** `refused`: its target is in the bundle, but it stands where nothing can be put, so it is blanked all the same. */
export type SiteOutcome = 'templated' | 'blanked' | 'refused'

/** Why nothing can be put in a place. */
export type RefusalReason =
  | 'unparsable' /* the text is not understood */
  | 'quoted-here-document' /* nothing is expanded in it */
  | 'arithmetic' /* a path is no number */
  | 'interpolation' /* in the braces of an f-string, or in a t-string */
  | 'pattern' /* in a bracket expression of a shell, in a `case` of Python */
  | 'name' /* in the name of a function or variable */
  | 'escape' /* the bytes before it would change what is put there */

export interface Refusal {
  readonly offset: number
  readonly reason: RefusalReason
}

export interface TextEdit {
  /** Sorted, never overlapping. */
  readonly splices: readonly Splice[]
  /** One a site, in order. */
  readonly outcomes: readonly SiteOutcome[]
  readonly refusals: readonly Refusal[]
}

/** What becomes of one site. */
export type SiteEdit =
  | { readonly splice: Splice; readonly outcome: 'templated' | 'blanked' }
  | { readonly refused: RefusalReason }

/**
 * Whether it matters what a text says: a site of it leads into the bundle, and not from a first line that is another in the
 * bundle. Else each is blanked, in every language.
 * @param isStarted whether the text gets another first line
 */
export function isToBeRead(text: string, sites: readonly Site[], isStarted: boolean): boolean {
  const newline = text.indexOf('\n')
  const first = isStarted && text.startsWith('#!') ? (newline < 0 ? text.length : newline) : 0
  return sites.some(({ offset, to }) => to !== null && offset >= first)
}

/** The edit that only blanks: for a text of which nothing else is known. */
export const refuseAll = (text: string, sites: readonly Site[], reason: RefusalReason): TextEdit =>
  textEdit(text, sites, site => (site.to === null ? blankedSite(text, site) : { refused: reason }))

/** A store path that leads nowhere from now on, of equal length. */
export const blankedSite = (text: string, { offset, length }: Site): SiteEdit => ({
  splice: { offset, length, text: blank(text.slice(offset, offset + length)) },
  outcome: 'blanked',
})

/**
 * The edit of all sites; `edit` is asked for each. A site that begins inside the one before (`/nix/store//nix/store`)
 * goes with it.
 */
export function textEdit(
  text: string,
  sites: readonly Site[],
  edit: (site: Site, index: number) => SiteEdit,
): TextEdit {
  const splices: Splice[] = []
  const outcomes: SiteOutcome[] = []
  const refusals: Refusal[] = []
  let end = 0
  for (const [index, site] of sites.entries()) {
    const { offset, length } = site
    const done = offset < end ? null : edit(site, index)
    if (done === null) outcomes.push(outcomes.at(-1) ?? 'blanked')
    else if ('refused' in done) {
      splices.push({ offset, length, text: blank(text.slice(offset, offset + length)) })
      outcomes.push('refused')
      refusals.push({ offset, reason: done.refused })
    } else {
      splices.push(done.splice)
      outcomes.push(done.outcome)
    }
    end = Math.max(end, offset + length)
  }
  return { splices, outcomes, refusals }
}

/** An edit with more splices. */
export const withSplices = (edit: TextEdit, more: readonly Splice[]): TextEdit => ({
  ...edit,
  splices: [...more, ...edit.splices].sort((a, b) => a.offset - b.offset || a.length - b.length),
})

/** An edit with something put in at an offset, before whatever else is put in there. */
export function withInserted(edit: TextEdit, offset: number, text: string): TextEdit {
  const at = edit.splices.findIndex(splice => splice.offset >= offset)
  const before = at < 0 ? edit.splices : edit.splices.slice(0, at)
  return { ...edit, splices: [...before, { offset, length: 0, text }, ...(at < 0 ? [] : edit.splices.slice(at))] }
}

/** An edit with parentheses, or what else is put around the parts of a text whose sites have become expressions. */
export function withAround(
  edit: TextEdit,
  parts: Iterable<{ readonly pos: number; readonly end: number }>,
  open = '(',
  close = ')',
): TextEdit {
  const around = [...parts].flatMap(({ pos, end }) => [
    { offset: pos, length: 0, text: open },
    { offset: end, length: 0, text: close },
  ])
  return withSplices(edit, around)
}

/**
 * The innermost token around a site: its index, or -1.
 * @param tokens by their beginnings; one that stands in another comes behind it
 */
export function indexAround(
  tokens: readonly { readonly pos: number; readonly end: number }[],
  { offset, length }: Pick<Site, 'offset' | 'length'>,
): number {
  for (let at = lastFrom(tokens, offset); at >= 0; at--) if (offset + length <= tokens[at]!.end) return at
  return -1
}

/** The last of some parts, sorted by their beginnings, that begins at an offset or before it: its index, or -1. */
export const lastFrom = (parts: readonly { readonly pos: number }[], offset: number): number =>
  howMany(parts, part => part.pos <= offset) - 1

/** Whether an offset is in one of some parts, which are sorted and do not overlap. */
export const isIn = (parts: readonly { readonly pos: number; readonly end: number }[], offset: number): boolean =>
  offset < (parts[lastFrom(parts, offset)]?.end ?? 0)

/** Which sites begin in a part of a text: the index of the first, and the one behind the last. */
export const rangeOf = (sites: readonly Site[], pos: number, end: number): readonly [number, number] => [
  howMany(sites, ({ offset }) => offset < pos),
  howMany(sites, ({ offset }) => offset < end),
]

/** The lines of a text in which sites begin, each without the newline behind it. */
export function linesOf(
  text: string,
  sites: readonly Site[],
): readonly { readonly pos: number; readonly end: number }[] {
  const lines: { pos: number; end: number }[] = []
  for (const { offset } of sites) {
    if (offset < (lines.at(-1)?.end ?? 0)) continue
    const newline = text.indexOf('\n', offset)
    lines.push({ pos: text.lastIndexOf('\n', offset) + 1, end: newline < 0 ? text.length : newline })
  }
  return lines
}

/** How many of a list something holds for, when it holds for none behind the first that it does not hold for. */
export function howMany<T>(list: readonly T[], holds: (one: T) => boolean): number {
  let low = 0
  for (let high = list.length; low < high; ) {
    const middle = (low + high) >>> 1
    if (holds(list[middle]!)) low = middle + 1
    else high = middle
  }
  return low
}

/** Whether a backslash before `at`, not before `from`, gives what stands there another meaning. */
export function isEscaped(text: string, from: number, at: number): boolean {
  let first = at
  while (first > from && text[first - 1] === '\\') first--
  return (at - first) % 2 === 1
}

/** The lines of a text as one: a person reads lines, a script gets one. */
export const joined = (text: string): string => text.trim().replace(/\s*\n\s*/g, ' ')

/** The text with its splices made. */
export function spliced(text: string, splices: readonly Splice[]): string {
  const pieces: string[] = []
  let at = 0
  for (const { offset, length, text: put } of splices) {
    if (offset < at) throw new Error(`splices overlap at ${offset}`)
    pieces.push(text.slice(at, offset), put)
    at = offset + length
  }
  pieces.push(text.slice(at))
  return pieces.join('')
}
