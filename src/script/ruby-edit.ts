/**
 * Store paths in the text of a Ruby script.
 *
 *     '/nix/store/<hash>-x/bin/y'      "#{::File.expand_path('../..',__dir__)}/pkg/x/bin/y"
 *
 * The literal stays one literal, so that it may stand wherever it stood: beside another one, as a key, as a symbol.
 * `__dir__` is the directory of the file, with links resolved. One in single quotes gets double ones, and its contents are
 * written as these ask for. Refused are paths in `%w()` and its kin, in patterns and commands, in here-documents in which
 * nothing is put, and in `#{}`; and in a text that speaks of BasicObject, whose objects do not know `__dir__`.
 */
import type { BundlePath } from '../paths.ts'
import {
  blankedSite,
  indexAround,
  isEscaped,
  isIn,
  refuseAll,
  type Site,
  type Splice,
  type TextEdit,
  textEdit,
  withSplices,
} from './edit.ts'
import { type RubyToken, rubyTokens } from './ruby-tokens.ts'

/** @param place where the text will lie */
export function editRuby(text: string, place: BundlePath, sites: readonly Site[]): TextEdit {
  const tokens = /\bBasicObject\b/.test(text) ? null : rubyTokens(text)
  if (tokens === null) return refuseAll(text, sites, 'unparsable')
  const up = place.split('/').length - 1
  const root = up === 0 ? '#{__dir__}' : `#{::File.expand_path('${Array(up).fill('..').join('/')}',__dir__)}`
  const single = new Set<RubyToken>()
  const edit = textEdit(text, sites, site => {
    const { offset, length, to } = site
    const token = tokens[indexAround(tokens, site)]
    if (to === null || token?.type === 'comment') return blankedSite(text, site)
    if (token === undefined) return { refused: 'unparsable' }
    if (token.type === 'literal' || isIn(token.fields, offset)) return { refused: 'interpolation' }
    if (isEscaped(text, token.pos + 1, offset)) return { refused: 'escape' }
    if (token.type === 'single') single.add(token)
    return { splice: { offset, length, text: `${root}/${to}` }, outcome: 'templated' }
  })
  // A site that is blanked in a literal whose quotes change stays as it is written.
  const byOffset = new Map(sites.map(site => [site.offset, site]))
  const quotes = [...single].flatMap(({ pos, end }) => inDoubleQuotes(text, pos, end, byOffset))
  return withSplices(edit, quotes)
}

/** What has to change of a literal in single quotes that gets double ones, but for its sites. */
function inDoubleQuotes(text: string, pos: number, end: number, sites: ReadonlyMap<number, Site>): Splice[] {
  const splices: Splice[] = [{ offset: pos, length: 1, text: '"' }]
  for (let at = pos + 1; at < end - 1; at++) {
    const site = sites.get(at)
    if (site) {
      at += site.length - 1
      continue
    }
    const escaped = text[at] === '\\' && /[\\']/.test(text[at + 1] ?? '')
    if (escaped) {
      if (text[at + 1] === "'") splices.push({ offset: at, length: 2, text: "'" })
      at++
    } else if (/["#\\]/.test(text[at] ?? '')) splices.push({ offset: at, length: 0, text: '\\' })
  }
  return [...splices, { offset: end - 1, length: 1, text: '"' }]
}
