/**
 * A lexer for Python, as far as strings are concerned: where each literal stands, and what surrounds it. It reads 2.7 to
 * 3.14, in bytes: what is no ASCII is part of a name, a string or a comment.
 */

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

/** The tokens of a text; null when it is not understood. */
export function pythonTokens(text: string): Token[] | null {
  const tokens: Token[] = []
  const end = scan(text, text.startsWith('\xef\xbb\xbf') ? 3 : 0, tokens, false)
  return end === text.length ? tokens : null
}

/**
 * Reads tokens from `start`. In a field of an f-string it reads to what ends the expression: its closing brace, or a colon
 * or `!` that belongs to the field.
 * @returns where it ended; -1 when the text is not understood
 */
function scan(text: string, start: number, tokens: Token[], inField: boolean): number {
  const end = text.length
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
    } else if (/[0-9A-Za-z_\x80-\xff]/.test(c)) {
      WORD.lastIndex = at
      const word = WORD.exec(text)?.[0] ?? c
      const next = text[at + word.length]
      if ((next === '"' || next === "'") && PREFIXES.test(word)) at = string(text, at, at + word.length, tokens)
      else push('word', at, at + word.length)
    } else if ('([{'.includes(c)) {
      open.push(c === '(' ? ')' : c === '[' ? ']' : '}')
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
  const quote = text.startsWith((text[at] ?? '').repeat(3), at) ? text.slice(at, at + 3) : (text[at] ?? '')
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
  let at = scan(text, brace + 1, tokens, true)
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
