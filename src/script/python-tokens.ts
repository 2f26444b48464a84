/**
 * A lexer for Python, as far as strings are concerned: where each literal stands, and what surrounds it. It reads 2.7 to
 * 3.14, in bytes: what is no ASCII is part of a name, a string or a comment.
 *
 * Most lines have nothing of interest in them. They are gone through from bracket to quote, to know where they end and that
 * they are understood, and only the others are taken apart.
 */
import type { Site } from './edit.ts'

/** A string literal. */
export interface StringToken {
  readonly type: 'string'
  readonly pos: number
  readonly end: number
  /** Letters before the quotes, as written. */
  readonly prefix: string
  /** One quote or three. */
  readonly quote: string
  /** The braces of an f-string, outermost, with what is between them. */
  readonly fields: readonly Field[]
}

/** `{expression!r:format}` */
export interface Field {
  readonly pos: number
  readonly end: number
  /** The tokens of its expression. */
  readonly tokens: readonly Token[]
}

export interface OtherToken {
  /** `newline` ends a logical line; `word` is a name, a keyword or a number; `operator` is one character, or `:=`. */
  readonly type: 'word' | 'operator' | 'newline' | 'comment'
  readonly pos: number
  readonly end: number
}

export type Token = StringToken | OtherToken

const PREFIXES = /^(?:[rbuft]|br|rb|fr|rf|tr|rt|ur)$/i
const WORD = /[0-9A-Za-z_\x80-\xff]+/y
const WORD_CHARACTER = /[0-9A-Za-z_\x80-\xff]/

/**
 * The tokens of the logical lines of a text in which sites begin, each with the newline behind it; null when the text is
 * not understood, whatever line that is.
 * @param sites sorted
 */
export function pythonTokens(text: string, sites: readonly Pick<Site, 'offset'>[]): Token[] | null {
  const tokens: Token[] = []
  let next = 0
  for (let at = text.startsWith('\xef\xbb\xbf') ? 3 : 0; at < text.length; ) {
    const end = lineEnd(text, at)
    if (end < 0) return null
    const first = next
    while (next < sites.length && sites[next]!.offset < end) next++
    if (next > first) scan(text, at, end, tokens, false)
    at = end
  }
  return tokens
}

/** What a line may end at, or not end at. */
const MARK = /["'#\\\n()[\]{}]/g

/** Where the logical line ends that begins at `start`, behind its newline; -1 when it is not understood. */
function lineEnd(text: string, start: number): number {
  const open: string[] = []
  // What stands before has ended: no letter of it is a string's prefix.
  let from = start
  for (let at = start; ; ) {
    MARK.lastIndex = at
    if (!MARK.test(text)) return open.length === 0 ? text.length : -1
    at = MARK.lastIndex - 1
    const c = text[at]!
    if (c === '\n') {
      at++
      if (open.length === 0) return at
    } else if (c === '#') {
      const newline = text.indexOf('\n', at)
      at = newline < 0 ? text.length : newline
    } else if (c === '\\') {
      at += text.startsWith('\r\n', at + 1) ? 3 : 2
      from = at
    } else if (c === '"' || c === "'") {
      at = stringEnd(text, from, at)
      if (at < 0) return -1
      from = at
    } else {
      if (CLOSES[c] !== undefined) open.push(CLOSES[c])
      else if (open.pop() !== c) return -1
      at++
    }
  }
}

const CLOSES: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' }

/** What ends a literal without fields, or hides what does, by its quotes. */
const ENDS: Readonly<Record<string, RegExp>> = {
  "'": /[\\\n']/g,
  '"': /[\\\n"]/g,
  "'''": /\\|'''/g,
  '"""': /\\|"""/g,
}

/** Where the literal ends whose quotes begin at `at`, and its prefix not before `from`; -1 when it is not understood. */
function stringEnd(text: string, from: number, at: number): number {
  let pos = at
  while (pos > from && pos > at - 3 && WORD_CHARACTER.test(text[pos - 1]!)) pos--
  const prefix = text.slice(pos, at)
  if (/[ft]/i.test(prefix) && PREFIXES.test(prefix)) return string(text, pos, at, [])
  const quote = quotesAt(text, at)
  const ends = ENDS[quote]!
  for (let i = at + quote.length; ; ) {
    ends.lastIndex = i
    if (!ends.test(text)) return -1
    const c = text[ends.lastIndex - 1]
    if (c === '\n') return -1
    if (c !== '\\') return ends.lastIndex
    i = ends.lastIndex + (text.startsWith('\r\n', ends.lastIndex) ? 2 : 1)
  }
}

/** One quote or three. */
const quotesAt = (text: string, at: number): string =>
  text.startsWith(text[at]!.repeat(3), at) ? text.slice(at, at + 3) : text[at]!

/**
 * Reads tokens from `start` to `end`. In a field of an f-string it reads to what ends the expression: its closing brace, or
 * a colon or `!` that belongs to the field.
 * @returns where it ended; -1 when the text is not understood
 */
function scan(text: string, start: number, end: number, tokens: Token[], inField: boolean): number {
  const open: string[] = []
  let at = start
  const push = (type: OtherToken['type'], pos: number, to: number): void => {
    tokens.push({ type, pos, end: to })
    at = to
  }
  while (at < end) {
    const c = text[at] ?? ''
    if (c === '#') {
      const newline = text.indexOf('\n', at)
      push('comment', at, newline < 0 ? end : newline)
    } else if (c === '\n') {
      if (open.length === 0 && !inField) push('newline', at, at + 1)
      else at++
    } else if (c === '\\') {
      // It joins lines; anything else is an error that Python reports.
      at += text.startsWith('\r\n', at + 1) ? 3 : 2
    } else if (c === '"' || c === "'") {
      at = string(text, at, at, tokens)
    } else if (WORD_CHARACTER.test(c)) {
      WORD.lastIndex = at
      const word = WORD.exec(text)?.[0] ?? c
      const next = text[at + word.length]
      if ((next === '"' || next === "'") && PREFIXES.test(word)) at = string(text, at, at + word.length, tokens)
      else push('word', at, at + word.length)
    } else if ('([{'.includes(c)) {
      open.push(CLOSES[c]!)
      push('operator', at, at + 1)
    } else if (')]}'.includes(c)) {
      if (inField && open.length === 0) return c === '}' ? at : -1
      if (open.pop() !== c) return -1
      push('operator', at, at + 1)
    } else if (inField && open.length === 0 && (c === ':' || (c === '!' && text[at + 1] !== '='))) {
      return at
    } else if (/[ \t\r\f]/.test(c)) {
      at++
    } else {
      push('operator', at, at + (c === ':' && text[at + 1] === '=' ? 2 : 1))
    }
    if (at < 0) return -1
  }
  return open.length === 0 && !inField ? end : -1
}

/** Reads a literal whose prefix begins at `pos`; returns where it ends, or -1. */
function string(text: string, pos: number, at: number, tokens: Token[]): number {
  const prefix = text.slice(pos, at)
  const quote = quotesAt(text, at)
  const raw = /r/i.test(prefix)
  const formatted = /[ft]/i.test(prefix)
  const fields: Field[] = []
  let i = at + quote.length
  for (;;) {
    const c = text[i]
    if (c === undefined || (c === '\n' && quote.length === 1)) return -1
    if (text.startsWith(quote, i)) break
    if (c === '\\') {
      // \N{NAME} is no field; in a raw string a brace behind a backslash is one.
      if (formatted && !raw && text.startsWith('\\N{', i)) i = text.indexOf('}', i) + 1 || text.length
      else if (formatted && (text[i + 1] === '{' || text[i + 1] === '}')) i++
      else i += text.startsWith('\r\n', i + 1) ? 3 : 2
    } else if (formatted && (c === '{' || c === '}') && text[i + 1] === c) {
      i += 2
    } else if (formatted && c === '{') {
      const inner: Token[] = []
      const end = field(text, i, quote, inner)
      if (end < 0) return -1
      fields.push({ pos: i, end, tokens: inner })
      i = end
    } else {
      i++
    }
  }
  const end = i + quote.length
  tokens.push({ type: 'string', pos, end, prefix, quote, fields })
  return end
}

/** Reads a field from its brace on; returns where it ends, or -1. */
function field(text: string, brace: number, quote: string, tokens: Token[]): number {
  let at = scan(text, brace + 1, text.length, tokens, true)
  if (at < 0) return -1
  if (text[at] === '!') {
    // The conversion: `!r`.
    at++
    while (at < text.length && text[at] !== ':' && text[at] !== '}') at++
  }
  if (text[at] === '}') return at + 1
  // The format, in which there may be fields.
  for (at++; at < text.length && !text.startsWith(quote, at); ) {
    if (text[at] === '}') return at + 1
    if (text[at] === '{') {
      at = field(text, at, quote, [])
      if (at < 0) return -1
    } else at++
  }
  return -1
}
