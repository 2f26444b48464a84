/**
 * Store paths in the text of a shell script.
 *
 * Each becomes an expression on the variable `_storefree_root`, written as its place asks for:
 *
 *     a word              /nix/store/<hash>-x/bin/y      "$_storefree_root"/pkg/x/bin/y
 *     double quotes       "/nix/store/<hash>-x/bin/y"    "${_storefree_root}/pkg/x/bin/y"
 *     here-document       the same as in double quotes; where its delimiter is quoted, so that nothing is expanded in it,
 *                         it no longer is, and what else would be expanded is escaped
 *     single quotes       '/nix/store/<hash>-x/bin/y'    ''"$_storefree_root"'/pkg/x/bin/y'
 *
 * In a pattern the value has to be quoted even between double quotes: what `${x#...}` holds is a pattern again.
 *
 * **Code in words.** What `eval`, `trap` and `alias` get is read by the shell a second time. There the expression itself
 * is put into the string, so that it is expanded then, by rules that fit the place in that code. Code for another shell
 * (`bash -c '...'`) gets the value: no variable of this shell is there.
 *
 * What is decoded before it is parsed (such code, and backquotes, in which a backslash stands before some characters) is
 * a text of its own: it is edited as such, and what is put into it is encoded for what it stands in.
 */
import { type Command, forEachChild, type HereDoc, type ParsedScript, parse, type SyntaxNode, type Word } from 'unbash'
import type { BundlePath } from '../paths.ts'
import {
  blankedSite,
  howMany,
  indexAround,
  isEscaped,
  isToBeRead,
  linesOf,
  type RefusalReason,
  rangeOf,
  refuseAll,
  type Site,
  type SiteEdit,
  type Splice,
  type TextEdit,
  textEdit,
  withSplices,
} from './edit.ts'
import { type Decoded, decodeBackquotes, decodeWord, outwards } from './shell-decode.ts'
import { mayHoldCommands } from './shell-parsed.ts'
import { type Polyglot, setup, withSetup } from './shell-setup.ts'

export type { Polyglot } from './shell-setup.ts'
export { sourcedNames } from './shell-sourced.ts'

/**
 * @param place where the text will lie
 * @param sites sorted
 * @param polyglot set when the file itself is run and the kernel cannot know its interpreter's place (shell-setup.ts)
 * @param parsed the text, parsed; asked at most once, and not where it does not matter what the text says
 */
export function editShell(
  text: string,
  place: BundlePath,
  sites: readonly Site[],
  polyglot: Polyglot | null,
  parsed: (text: string) => ParsedScript = parse,
): TextEdit {
  let known: ParsedScript | null = null
  const script = (): ParsedScript => (known ??= parsed(text))
  const isRead = isToBeRead(text, sites, polyglot !== null) || (polyglot !== null && MAY_HAND_ON.test(text))
  const survey = surveyOf(text, sites, [])
  const edits = isRead ? placeAll(survey, script()) : null
  const edit = edits
    ? textEdit(text, sites, (site, index) => edits[index] ?? blankedSite(text, site))
    : refuseAll(text, sites, 'unparsable')
  if (polyglot === null && !edit.outcomes.includes('templated')) return edit
  const launcher = launcherOf(place)
  const names = edits && launcher !== null ? survey.named.map(range => ({ ...range, text: launcher })) : []
  const documents = edits ? (survey.verbatim ?? []).flatMap(document => expanded(text, sites, document)) : []
  const whole = withSplices(edit, [...names, ...documents])
  return withSetup(text, sites, whole, setup(place, polyglot), polyglot && script)
}

/** `-a` as a word: of `exec` it may be the option behind which the script's name is handed on. */
const MAY_HAND_ON = /(?<!\S)-a(?=[ \t\\])/

/**
 * The path of the launcher that stands for a text, as a word: the text lies in `.bin-text/`, it in `bin/`. A script that
 * hands its own name on (`exec -a "$0"`) hands on that one, as the script that it was did.
 */
function launcherOf(place: BundlePath): string | null {
  const directory = /^((?:.*\/)?)\.([^/]+)-text\/[^/]+$/.exec(place)
  return directory && `"$_storefree_root"'/${`${directory[1]}${directory[2]}`.replaceAll("'", "'\\''")}/'"\${0##*/}"`
}

/** What may be put where; `verbatim`: in a here-document with a quoted delimiter. */
type Style = 'bare' | 'double' | 'single' | 'ansi' | 'verbatim' | 'blank' | { readonly refused: RefusalReason }

/** A stretch of the text in which one style holds; the innermost one counts. */
interface Leaf {
  readonly pos: number
  readonly end: number
  readonly style: Style
}

interface Survey {
  readonly text: string
  readonly sites: readonly Site[]
  readonly lines: ReturnType<typeof linesOf>
  readonly leaves: Leaf[]
  /** What became of sites in a text of its own, by index. */
  readonly inner: Map<number, SiteEdit>
  /** The words of `exec -a "$0"` that are the script's name. */
  readonly named: { readonly offset: number; readonly length: number }[]
  /** Here-documents in which nothing is expanded; null in a text of its own. */
  readonly verbatim: HereDoc[] | null
}

const surveyOf = (text: string, sites: readonly Site[], verbatim: HereDoc[] | null): Survey => ({
  text,
  sites,
  lines: linesOf(text, sites),
  leaves: [],
  inner: new Map(),
  named: [],
  verbatim,
})

/** How a part is read: the style of literal text in it, and whether it stands between double quotes. */
interface Context {
  readonly literal: Style
  readonly double: boolean
}

const WORD: Context = { literal: 'bare', double: false }
const QUOTED: Context = { literal: 'double', double: true }
const refusing = (refused: RefusalReason): Context => ({ literal: { refused }, double: false })

/** What becomes of each site of a text; null when the text cannot be parsed. */
function placeAll(survey: Survey, script: ParsedScript): readonly SiteEdit[] | null {
  if (!visit(survey, script, WORD)) return null
  // The innermost one comes last; of two of one part the first counts.
  survey.leaves.reverse().sort((a, b) => a.pos - b.pos || b.end - a.end)
  return survey.sites.map((site, index) => survey.inner.get(index) ?? edited(survey, site))
}

/** Finds the leaves below a node; false when a part of it cannot be parsed. */
function visit(survey: Survey, node: SyntaxNode, context: Context): boolean {
  const leaf = (range: { readonly pos: number; readonly end: number }, style: Style): void => {
    survey.leaves.push({ pos: range.pos, end: range.end, style })
  }
  const children = (of: SyntaxNode, inside: Context): boolean => {
    let whole = true
    forEachChild(of, child => {
      whole = visit(survey, child, inside) && whole
    })
    return whole
  }
  switch (node.type) {
    case 'Script':
      return !node.errors?.length && children(node, WORD)
    case 'Word':
    case 'Glob':
    case 'BraceExpansion':
    case 'ExtendedGlob':
      if (node.type === 'Word' && !isOfInterest(survey, node)) return true
      if (node.type === 'Glob' && node.kind === 'bracket') {
        leaf(node, { refused: 'pattern' })
        return children(node, refusing('pattern'))
      }
      // What no part covers is a comment in a substitution.
      if (!node.parts) leaf(node, context.literal)
      return children(node, context)
    case 'Literal':
      leaf(node, context.literal)
      return true
    case 'SingleQuoted':
      leaf(node, 'single')
      return true
    case 'AnsiCQuoted':
      leaf(node, 'ansi')
      return true
    case 'DoubleQuoted':
    case 'LocaleString':
      return children(node, typeof context.literal === 'object' ? context : QUOTED)
    case 'ParameterExpansion': {
      const index = node.index === undefined || visit(survey, node.index, WORD)
      return index && (node.operation === undefined || visit(survey, node.operation, context))
    }
    case 'Remove':
    case 'Replace':
    case 'CaseModification':
      return children(node, { literal: 'bare', double: context.double })
    case 'Slice':
      return children(node, refusing('arithmetic'))
    case 'Transform':
    case 'Unknown':
      leaf(node, { refused: 'name' })
      return children(node, refusing('name'))
    case 'ArithmeticExpansion':
    case 'ArithmeticCommand':
    case 'ArithmeticWord':
      leaf(node, { refused: 'arithmetic' })
      return children(node, refusing('arithmetic'))
    case 'CommandExpansion':
    case 'ProcessSubstitution':
    case 'ArithmeticCommandExpansion': {
      const { script } = node
      if (script === undefined) return true
      if (script.source === undefined || node.type !== 'CommandExpansion') return visit(survey, script, WORD)
      return placeInner(survey, decodeBackquotes(survey.text, node, context.double))
    }
    case 'HereDoc':
      if (node.delimiter) leaf(node.delimiter, 'blank')
      if (node.closing) leaf(node.closing, 'blank')
      if (node.delimiter?.quoted) {
        // Unquoted it has to be one word, and the same.
        const isPlain = survey.verbatim !== null && /^[\w.+-]+$/.test(node.delimiter.value)
        leaf(node.body, isPlain ? 'verbatim' : { refused: 'quoted-here-document' })
        if (isPlain) survey.verbatim?.push(node)
      } else if (!node.body.parts) leaf(node.body, 'double')
      return node.delimiter?.quoted === true || children(node.body, QUOTED)
    case 'Function':
    case 'Coproc':
    case 'For':
    case 'Select':
      if (node.name) leaf(node.name, { refused: 'name' })
      return children(node, WORD)
    case 'Command':
      if (!children(node, WORD)) return false
      for (const code of codeOf(survey.text, node)) placeInner(survey, code)
      if (node.name?.value === 'exec') survey.named.push(...ownNames(survey.text, node))
      return true
    default:
      return children(node, context)
  }
}

/** Whether a word lies in a line with a site, or holds what may be no shell. */
function isOfInterest({ lines }: Survey, word: Word): boolean {
  const line = lines[howMany(lines, ({ end }) => end <= word.pos)]
  return (line !== undefined && line.pos < word.end) || mayHoldCommands(word)
}

/** What has a here-document expanded whose sites have become expressions, and all else in it mean itself. */
function expanded(text: string, sites: readonly Site[], { delimiter, body }: HereDoc): Splice[] {
  const own = sites.slice(...rangeOf(sites, body.pos, body.end))
  if (!delimiter || own.every(({ to }) => to === null)) return []
  const escapes = [...text.slice(body.pos, body.end).matchAll(/[\\$`]/g)].map(
    ({ index }): Splice => ({ offset: body.pos + index, length: 0, text: '\\' }),
  )
  const word: Splice = { offset: delimiter.pos, length: delimiter.end - delimiter.pos, text: delimiter.value }
  return [word, ...escapes]
}

/** The script's own name where `exec -a` hands it on. */
function ownNames(text: string, { args }: Command): { offset: number; length: number }[] {
  const words = args.map(({ pos, end }) => ({ offset: pos, length: end - pos, word: text.slice(pos, end) }))
  const isOwn = (word: string): boolean => /^"?\$(?:0|\{0\})"?$/.test(word)
  return words.flatMap(({ offset, length, word }, i) =>
    isOwn(word) && words[i - 1]?.word === '-a' ? [{ offset, length }] : [],
  )
}

/** Words that the command reads as code of this shell. */
function codeOf(text: string, { name, args }: Command): Decoded[] {
  const words = args.map(arg => (arg.type === 'Assignment' ? arg.value : arg)).filter(word => word.type === 'Word')
  switch (name?.value) {
    case 'eval':
      return words.flatMap(word => decodeWord(text, word, false) ?? [])
    case 'trap':
      return words.slice(0, words[0]?.value === '--' ? 2 : 1).flatMap(word => decodeWord(text, word, false) ?? [])
    case 'alias':
      return words.flatMap(word => decodeWord(text, word, true) ?? [])
    default:
      return []
  }
}

/** Edits the sites in a text of its own; false when it cannot be parsed. */
function placeInner(survey: Survey, decoded: Decoded): boolean {
  const start = decoded.from[0] ?? 0
  const end = decoded.to.at(-1) ?? start
  const [first, behind] = rangeOf(survey.sites, start, end)
  const inside = survey.sites.slice(first, behind).flatMap((site, i) => {
    const offset = howMany(decoded.from, from => from < site.offset)
    if (decoded.from[offset] !== site.offset) return []
    const whole = survey.text.slice(site.offset, site.offset + site.length)
    return decoded.text.startsWith(whole, offset) ? [{ index: first + i, site: { ...site, offset } }] : []
  })
  const own = inside.map(({ site }) => site)
  const text = decoded.text
  const edits = placeAll(surveyOf(text, own, null), parse(text))
  if (edits === null) return false
  for (const [i, { index }] of inside.entries()) {
    const edit = edits[i]
    if (edit === undefined) continue
    survey.inner.set(index, 'splice' in edit ? { ...edit, splice: outwards(decoded, edit.splice) } : edit)
  }
  return true
}

/** What becomes of a site by the leaf it lies in. */
function edited(survey: Survey, site: Site): SiteEdit {
  const { text, leaves } = survey
  if (site.to === null) return blankedSite(text, site)
  const leaf = leaves[indexAround(leaves, site)]
  if (leaf === undefined) return inComment(survey, site) ? blankedSite(text, site) : { refused: 'unparsable' }
  if (leaf.style === 'blank') return blankedSite(text, site)
  if (typeof leaf.style === 'object') return leaf.style
  if (leaf.style === 'verbatim')
    return {
      splice: { offset: site.offset, length: site.length, text: expression('double', site.to) },
      outcome: 'templated',
    }
  const before = text.slice(leaf.pos, site.offset)
  const escaped = leaf.style !== 'single' && isEscaped(text, leaf.pos, site.offset)
  // `$"..."` and `$'...'` are other quotes, and `$${` is a process id.
  const dollar =
    (leaf.style === 'bare' || leaf.style === 'double') &&
    before.endsWith('$') &&
    !isEscaped(text, leaf.pos, site.offset - 1)
  if (dollar || (leaf.style === 'ansi' && (escaped || before.endsWith('\\c')))) return { refused: 'escape' }
  const put = expression(leaf.style, site.to)
  // A backslash before the path: nothing in a word, a backslash between double quotes.
  const splice = escaped
    ? { offset: site.offset - 1, length: site.length + 1, text: leaf.style === 'double' ? `\\\\${put}` : put }
    : { offset: site.offset, length: site.length, text: put }
  return { splice, outcome: 'templated' }
}

function expression(style: 'bare' | 'double' | 'single' | 'ansi', to: BundlePath): string {
  switch (style) {
    case 'bare':
      return /^[0-9A-Za-z+\-._=/]*$/.test(to) ? `"$_storefree_root"/${to}` : `"$_storefree_root/${to}"`
    case 'double':
      return `\${_storefree_root}/${to}`
    case 'single':
      return `'"$_storefree_root"'/${to}`
    case 'ansi':
      return `'"$_storefree_root"$'/${to}`
  }
}

/** Whether a place that no leaf covers is in a comment. */
function inComment({ text, leaves }: Survey, { offset }: Site): boolean {
  const line = text.lastIndexOf('\n', offset) + 1
  for (let at = line; at < offset; at++)
    if (
      text[at] === '#' &&
      (at === line || ' \t;&|()<>`'.includes(text[at - 1] ?? ' ')) &&
      indexAround(leaves, { offset: at, length: 1 }) < 0
    )
      return true
  return false
}
