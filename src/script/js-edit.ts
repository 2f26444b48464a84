/**
 * Store paths in the text of a JavaScript file that Node runs, CommonJS or a module.
 *
 *     '/nix/store/<hash>-x/bin/y'      (''+_storefree_root()+'/pkg/x/bin/y')
 *
 * The function stands behind the text's end: functions are there before the first statement runs, so that no line moves, a
 * `'use strict'` stays the first thing, and no name of an inner scope hides what it asks. It asks `__dirname`, or
 * `import.meta.url`, of which Node has resolved the links.
 *
 * JavaScript is run by others too (browsers, GNOME's programs), and they have neither; so a file has to show that it is
 * Node's: by `require(`, `module.exports` or `exports.` where it is no module. Refused are paths that `import` and `export`
 * name, and templates that a function is given in parts.
 */
import type { BundlePath } from '../paths.ts'
import {
  blankedSite,
  indexAround,
  isEscaped,
  isIn,
  NOWHERE,
  refuseAll,
  type Site,
  type TextEdit,
  textEdit,
  withAround,
} from './edit.ts'
import { type JsToken, jsTokens } from './js-tokens.ts'

/** @param place where the text will lie */
export function editJs(text: string, place: BundlePath, sites: readonly Site[]): TextEdit {
  const all = jsTokens(text)
  const kind = all === null ? null : kindOf(text, all)
  if (all === null || kind === null) return refuseAll(text, sites, 'unparsable')
  const tokens = all.filter(token => token.type !== 'comment')
  const split = new Set<JsToken>()
  const keys = new Set<JsToken>()
  const edit = textEdit(text, sites, site => {
    const { offset, length, to } = site
    const around = all[indexAround(all, site)]
    if (to === null || around?.type === 'comment') return blankedSite(text, site)
    const index = indexAround(tokens, site)
    const token = tokens[index]
    if (token?.type !== 'string' && token?.type !== 'template') return { refused: 'unparsable' }
    if (isEscaped(text, token.pos + 1, offset)) return { refused: 'escape' }
    const done = (put: string) => ({ splice: { offset, length, text: put }, outcome: 'templated' as const })
    if (token.type === 'template') {
      const isCode = token.tagged !== false || isIn(token.fields, offset)
      return isCode ? { refused: 'interpolation' } : done(`\${_storefree_root()}/${to}`)
    }
    const [before, after] = [tokens[index - 1], tokens[index + 1]].map(t => (t ? text.slice(t.pos, t.end) : ''))
    // Without the parentheses a statement began there.
    const last = tokens[index - 1]
    const isLine = last !== undefined && /[\r\n]/.test(text.slice(last.end, token.pos))
    if (isLine && (last.type !== 'operator' || /^(?:[)\]}]|\+\+|--)$/.test(before ?? '')))
      return { refused: 'unparsable' }
    if (before === 'from' || before === 'import') return { refused: 'name' }
    const isKey = /^[{,]$/.test(before ?? '') && after === ':'
    // The name of a member, of which an expression would be another statement.
    const isMember = /^(?:[{},;*]|get|set|static|async|)$/.test(before ?? '') && /^[(=]$/.test(after ?? '')
    if (isMember) return { refused: 'name' }
    ;(isKey ? keys : split).add(token)
    const quote = text[token.pos] ?? ''
    return done(`${quote}+_storefree_root()+${quote}/${to}`)
  })
  if (!edit.outcomes.includes('templated')) return edit
  const around = withAround(withAround(edit, split), keys, '[', ']')
  const end = { offset: text.length, length: 0, text: `\n${rootFunction(place, kind)}\n` }
  return { ...around, splices: [...around.splices, end] }
}

/** By what only one of them may have; null: neither is certain. */
function kindOf(text: string, tokens: readonly JsToken[]): 'module' | 'commonjs' | null {
  const code = tokens.filter(token => token.type !== 'comment')
  const at = (i: number): string => (code[i] ? text.slice(code[i].pos, code[i].end) : '')
  let isNodes = false
  for (const [i, { type }] of code.entries()) {
    if (type !== 'word' || at(i - 1) === '.') continue
    const [word, next] = [at(i), at(i + 1)]
    const isStatement = i === 0 || /[;}\n]/.test(text.slice(code[i - 1]!.end - 1, code[i]!.pos))
    if ((word === 'import' || word === 'export') && isStatement && !/^[(.:=,;)]$/.test(next)) return 'module'
    if (word === 'import' && next === '.') return 'module'
    isNodes ||= (word === 'require' && next === '(') || (/^(?:module|exports)$/.test(word) && next === '.')
  }
  return isNodes ? 'commonjs' : null
}

function rootFunction(place: BundlePath, kind: 'module' | 'commonjs'): string {
  const own = JSON.stringify(`/${place}`)
  const up = place.split('/').length
  if (kind === 'commonjs')
    return `function _storefree_root(){return typeof __dirname==="string"?__dirname.split("/").slice(0,${up === 1 ? 'undefined' : 1 - up}).join("/"):"${NOWHERE}"}`
  const file = 'decodeURIComponent(import.meta.url.replace(/^file:\\/\\/|[?#].*$/g,""))'
  return `function _storefree_root(){const f=${file};return f.endsWith(${own})?f.slice(0,-${place.length + 1}):"${NOWHERE}"}`
}
