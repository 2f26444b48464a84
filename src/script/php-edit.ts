/**
 * Store paths in the text of a PHP script.
 *
 * A literal with a store path is split there:
 *
 *     '/nix/store/<hash>-x/bin/y'      (''.__DIR__.'/../../pkg/x/bin/y')
 *
 * `__DIR__` is the directory of the file, with links resolved (php.net, "Magic constants"). What stands here is a constant
 * expression, so that it may also be the value of a constant, a property, a parameter or in an attribute; a function such
 * as `dirname` may not.
 *
 * PHP's grammar of strings and comments can be read without knowing more of a program (zend_language_scanner.l). Refused
 * are paths in heredocs, in backticks, in the braces of a string, and outside of `<?php`.
 */
import type { BundlePath } from '../paths.ts'
import {
  blankedSite,
  indexAround,
  isEscaped,
  isIn,
  refuseAll,
  type Site,
  type TextEdit,
  textEdit,
  withAround,
} from './edit.ts'

interface Token {
  readonly type: 'comment' | 'string' | 'other'
  readonly pos: number
  readonly end: number
  /** Parts of a string that are code. */
  readonly fields: readonly { readonly pos: number; readonly end: number }[]
}

/** @param place where the text will lie */
export function editPhp(text: string, place: BundlePath, sites: readonly Site[]): TextEdit {
  const tokens: Token[] = []
  if (inHtml(text, 0, tokens) < 0) return refuseAll(text, sites, 'unparsable')
  // What stands in a string's braces was read before its end.
  tokens.sort((a, b) => a.pos - b.pos || b.end - a.end)
  const up = '/..'.repeat(place.split('/').length - 1)
  const split = new Set<Token>()
  const edit = textEdit(text, sites, site => {
    const { offset, length, to } = site
    const token = tokens[indexAround(tokens, site)]
    if (to === null || token?.type === 'comment') return blankedSite(text, site)
    if (token?.type !== 'string') return { refused: 'unparsable' }
    if (isIn(token.fields, offset)) return { refused: 'interpolation' }
    const quote = text[token.pos] ?? ''
    // A backslash before a slash is one; before the quote it would be none.
    if (isEscaped(text, token.pos + 1, offset)) return { refused: 'escape' }
    split.add(token)
    return {
      splice: { offset, length, text: `${quote}.__DIR__.${quote}${up}/${to}` },
      outcome: 'templated',
    }
  })
  return split.size === 0 ? edit : withAround(edit, split)
}

/** Reads what is no PHP. @returns the text's end; -1: it is not understood */
function inHtml(text: string, start: number, tokens: Token[]): number {
  for (let at = start; ; ) {
    const open = /<\?(?:php(?=\s|$)|=)/gi
    open.lastIndex = at
    const match = open.exec(text)
    if (!match) return text.length
    at = inPhp(text, open.lastIndex, tokens)
    if (at < 0) return -1
  }
}

/** Nobody writes more fields in fields. */
const NESTING = 50

/** Where PHP begins a string or comment, or ends. */
const NEXT = /\?>|#(?!\[)|\/\/|\/\*|<<<[ \t]*(?:"\w+"|'\w+'|\w+)\r?\n|["'`]|[{}]|\b__halt_compiler\b/gi

/**
 * Reads PHP. @param nesting in how many fields of strings it is; a brace ends one
 * @returns behind what ends it; -1: it is not understood
 */
function inPhp(text: string, start: number, tokens: Token[], nesting = 0): number {
  if (nesting > NESTING) return -1
  const inField = nesting > 0
  const next = new RegExp(NEXT)
  next.lastIndex = start
  let depth = 0
  for (let match = next.exec(text); match; match = next.exec(text)) {
    const pos = match.index
    const opens = match[0]
    const push = (type: Token['type'], end: number, fields: Token['fields'] = []): void => {
      tokens.push({ type, pos, end, fields })
      next.lastIndex = end
    }
    if (opens === '{') depth++
    else if (opens === '}') {
      if (inField && depth === 0) return pos
      depth--
    } else if (opens === '?>') return inField ? -1 : pos + 2
    // What follows is data.
    else if (/^__/.test(opens)) return text.length
    else if (opens === '#' || opens === '//') {
      const line = /\?>|[\r\n]|$/g
      line.lastIndex = pos
      push('comment', line.exec(text)?.index ?? text.length)
    } else if (opens === '/*') {
      const close = text.indexOf('*/', pos + 2)
      if (close < 0) return -1
      push('comment', close + 2)
    } else if (opens === "'") {
      const close = /(?:[^'\\]|\\[\s\S])*'/y
      close.lastIndex = pos + 1
      if (!close.test(text)) return -1
      push('string', close.lastIndex)
    } else if (opens.startsWith('<<<')) {
      const label = /\w+/.exec(opens)?.[0] ?? ''
      const close = new RegExp(`^[ \\t]*${label}\\b`, 'gm')
      close.lastIndex = next.lastIndex
      if (!close.test(text)) return -1
      push('other', close.lastIndex)
    } else {
      const fields: { pos: number; end: number }[] = []
      const end = inQuotes(text, pos + 1, opens, fields, tokens, nesting)
      if (end < 0) return -1
      push(opens === '"' ? 'string' : 'other', end, fields)
    }
  }
  return inField ? -1 : text.length
}

/** Reads a string that variables are put into. @returns behind its quote; -1: it is not understood */
function inQuotes(
  text: string,
  start: number,
  quote: string,
  fields: { pos: number; end: number }[],
  tokens: Token[],
  nesting: number,
): number {
  for (let at = start; at < text.length; at++) {
    const c = text[at]
    if (c === '\\') at++
    else if (c === quote) return at + 1
    else if (/^(?:\{\$|\$\{)/.test(text.slice(at, at + 2))) {
      // Its strings are no values of their own that could be put together.
      const inner: Token[] = []
      const end = inPhp(text, at + (c === '{' ? 1 : 2), inner, nesting + 1)
      if (end < 0) return -1
      fields.push({ pos: at, end })
      tokens.push(...inner.map(token => ({ ...token, type: 'other' as const })))
      at = end
    } else if (c === '$') {
      const index = /\$\w+\[[^\]\n]*\]/y
      index.lastIndex = at
      if (index.test(text)) {
        fields.push({ pos: at, end: index.lastIndex })
        at = index.lastIndex - 1
      }
    }
  }
  return -1
}
