/**
 * Store paths in the text of a Python script or module.
 *
 * A literal with a store path is split there, with the bundle's root put in:
 *
 *     '/nix/store/<hash>-x/bin/y'      (''+<root>+'/pkg/x/bin/y')
 *
 * The root is an expression that works anywhere, needs no line of its own, and is kept in the module's globals once it
 * is known. It is a value and no text, so no name of a directory can break it. Lines stay where they are, and so do
 * docstrings: a string that is a statement of its own must stay a literal, so its paths are blanked.
 *
 * `+` binds weaker than what joins neighbouring literals, so a run of them gets one pair of parentheses around it all.
 * Where the run is a format (`%`, `.format`), what the format gives a meaning to is doubled in the root.
 *
 * In the braces of an f-string, whose quotes cannot be used there before Python 3.12, stands the name of the global, and
 * the literal is evaluated once the root is known: `(f"{(''+_storefree_root+'/pkg/x')}/y" if (<root>,) else 0)`.
 *
 * Refused are paths in the patterns of `match`, which takes literals only, in t-strings, and what is rare in braces.
 */
import type { BundlePath } from '../paths.ts'
import {
  blankedSite,
  isEscaped,
  isIn,
  lastFrom,
  refuseAll,
  type Site,
  type SiteEdit,
  type Splice,
  type TextEdit,
  textEdit,
  withSplices,
} from './edit.ts'
import { type Run, stringRuns } from './python-runs.ts'
import { pythonTokens, type StringToken, type Token } from './python-tokens.ts'

/**
 * @param place where the text will lie; the root is found as many directories up from there
 * @param sites sorted
 */
export function editPython(text: string, place: BundlePath, sites: readonly Site[]): TextEdit {
  const tokens = pythonTokens(text, sites)
  if (tokens === null) return refuseAll(text, sites, 'unparsable')
  const runs = stringRuns(text, tokens)
  const root = rootExpression(place)

  // What becomes of each site, but for the parentheses.
  const edits: SiteEdit[] = []
  const templated = new Set<Run>()
  const inRuns = new Map<Run, Site[]>()
  let at = 0
  for (const site of sites) {
    while (at < runs.length && (runs[at]?.end ?? 0) <= site.offset) at++
    const run = runs[at]
    const inside = run !== undefined && run.pos <= site.offset ? run : null
    const edit = siteEdit(text, tokens, site, inside, root)
    if (inside && 'splice' in edit && edit.outcome === 'templated') templated.add(inside)
    if (inside) {
      const others = inRuns.get(inside)
      if (others) others.push(site)
      else inRuns.set(inside, [site])
    }
    edits.push(edit)
  }
  const edit = textEdit(text, sites, (_, index) => edits[index] ?? { refused: 'unparsable' })
  const parentheses = [...templated].flatMap(run => {
    const braced = new Set(inRuns.get(run)?.flatMap(site => inBraces(text, literalAt(run.strings, site), site) ?? []))
    const inner = [...braced].flatMap(({ pos, end }) => around(pos, end, ')'))
    return [...around(run.pos, run.end, braced.size > 0 ? ` if (${root},) else 0)` : ')'), ...inner]
  })
  return withSplices(edit, parentheses)
}

/**
 * Nothing in it can be hidden by a name of the script: a lambda knows the module's globals. It has no names in it, which
 * Python 2 would refuse beside an `exec`. `__file__` is the module's own path, absolute but for a script of Python before
 * 3.9; where there is none (`exec`), the code knows its file.
 */
function rootExpression(place: BundlePath): string {
  const globals = '(lambda:0).__globals__'
  const path = `__import__('os').path.realpath(${globals}.get('__file__')or(lambda:0).__code__.co_filename)`
  const find = `${path}.rsplit('/',${place.split('/').length})[0]`
  return `(${globals}.get('_storefree_root')or ${globals}.setdefault('_storefree_root',${find}))`
}

function siteEdit(text: string, tokens: readonly Token[], site: Site, run: Run | null, root: string): SiteEdit {
  if (site.to === null || run?.statement) return blankedSite(text, site)
  const end = site.offset + site.length
  const literal = run && literalAt(run.strings, site)
  // Between the literals of a run there may be comments.
  if (!run || !literal) {
    const around = tokens[lastFrom(tokens, site.offset)]
    return around?.type === 'comment' && end <= around.end ? blankedSite(text, site) : { refused: 'unparsable' }
  }
  if (run.refused) return { refused: run.refused }
  if (isIn(literal.fields, site.offset)) return bracedEdit(text, site, literal)
  const { prefix, quote } = literal
  const bytes = /b/i.test(prefix)
  let value = bytes ? `getattr(__import__('os'),'fsencode',str)(${root})` : root
  for (const c of run.doubled) {
    const b = bytes ? 'b' : ''
    value += `.replace(${b}'${c}',${b}'${c.repeat(2)}')`
  }
  // What cannot stand before the closing quotes gets a literal of its own.
  const start = literal.pos + prefix.length + quote.length
  const before = text.slice(start, site.offset)
  const tail = loose(before, quote)
  const other = quote[0] === '"' ? "'" : '"'
  const kept = tail === '' ? '' : `+${bytes ? 'b' : ''}${tail === '\\' ? "'\\\\'" : `${other}${tail}${other}`}`
  return {
    splice: {
      offset: site.offset - tail.length,
      length: site.length + tail.length,
      text: `${quote}${kept}+${value}+${prefix}${quote}/${site.to}`,
    },
    outcome: 'templated',
  }
}

const around = (pos: number, end: number, close: string): Splice[] => [
  { offset: pos, length: 0, text: '(' },
  { offset: end, length: 0, text: close },
]

/** The literal that a site stands in. */
function literalAt(strings: readonly StringToken[], { offset, length }: Site): StringToken | null {
  const literal = strings[lastFrom(strings, offset)]
  return literal !== undefined && offset + length <= literal.end ? literal : null
}

/** The literal in the braces of an f-string that a site stands in; null where it stands in none, or in a rare one. */
function inBraces(text: string, literal: StringToken | null, { offset, length, to }: Site): StringToken | null {
  const fields = literal?.fields ?? []
  const field = isIn(fields, offset) ? fields[lastFrom(fields, offset)] : undefined
  const at = field?.tokens.findIndex(t => t.type === 'string' && t.pos <= offset && offset + length <= t.end) ?? -1
  const inner = field?.tokens[at]
  if (to === null || inner?.type !== 'string' || inner.fields.length > 0 || /[bt]/i.test(inner.prefix)) return null
  const [before, after] = [field?.tokens[at - 1], field?.tokens[at + 1]]
  // Joined literals and formats would need more than parentheses.
  const isFormat = after?.type === 'operator' && '%.'.includes(text[after.pos] ?? '')
  return before?.type === 'string' || after?.type === 'string' || isFormat ? null : inner
}

function bracedEdit(text: string, site: Site, literal: StringToken): SiteEdit {
  const inner = inBraces(text, literal, site)
  if (inner === null) return { refused: 'interpolation' }
  const { prefix, quote } = inner
  const before = text.slice(inner.pos + prefix.length + quote.length, site.offset)
  if (loose(before, quote) !== '') return { refused: 'interpolation' }
  return {
    splice: {
      offset: site.offset,
      length: site.length,
      text: `${quote}+_storefree_root+${prefix}${quote}/${site.to}`,
    },
    outcome: 'templated',
  }
}

/** The end of a literal's text that would spoil the quotes behind it: a lone backslash, or quotes of the same kind. */
function loose(before: string, quote: string): string {
  if (isEscaped(before, 0, before.length)) return '\\'
  const character = quote[0] ?? ''
  let start = before.length
  while (before[start - 1] === character) start--
  if (isEscaped(before, 0, start)) start++
  return before.slice(start)
}
