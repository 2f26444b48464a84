/**
 * A lexer for JavaScript, as far as strings are concerned: what each literal is, and what stands beside it. It reads what
 * Node runs, in bytes. Whether a slash begins a pattern or divides, the grammar says and not the letters (ECMA-262, "Lexical
 * Grammar"); where the tokens before it leave that open, the text is not understood.
 */

export interface JsToken {
  /** `field` is what stands between `${` and `}` of a template, with these; `word`: a name, a keyword or a number. */
  readonly type: 'string' | 'template' | 'comment' | 'regex' | 'word' | 'operator'
  readonly pos: number
  readonly end: number
  /** Of a template: its fields. */
  readonly fields: readonly { readonly pos: number; readonly end: number }[]
  /** Of a template: whether a function is given it in parts. Null: not known. */
  readonly tagged: boolean | null
}

/** Words behind which an expression begins. */
const BEFORE_EXPRESSION = new Set(
  'return typeof instanceof in of new delete void throw case do else default extends'.split(' '),
)
/** Words that are names in some texts. */
const UNSURE = new Set(['await', 'yield', 'let', 'of'])
const WORD = /(?:[$\w\x80-\xff]|\\u\{?[\da-f]+\}?)+/iy
const STRING = { "'": /'(?:[^'\\\r\n]|\\(?:\r\n|[\s\S]))*'/y, '"': /"(?:[^"\\\r\n]|\\(?:\r\n|[\s\S]))*"/y }
const REGEX = /\/(?:[^/\\[\r\n]|\\[^\r\n]|\[(?:[^\]\\\r\n]|\\[^\r\n])*\])+\/[a-z]*/iy

/** Nobody writes more fields in fields. */
const DEPTH = 50

/** The tokens of a text; null when it is not understood. */
export function jsTokens(text: string): JsToken[] | null {
  const tokens: JsToken[] = []
  const start = /^(?:\xef\xbb\xbf)?(?:#![^\n\r]*)?/.exec(text)?.[0].length ?? 0
  return scan(text, start, tokens, 0) === text.length ? tokens : null
}

/** @param depth in how many fields it is; the brace that closes one ends it @returns where it ended; -1: not understood */
function scan(text: string, start: number, tokens: JsToken[], depth: number): number {
  if (depth > DEPTH) return -1
  const inField = depth > 0
  /** The brackets that are open; whether what stands before one of them makes its end the head of a statement. */
  const open: { readonly bracket: string; readonly isHead: boolean }[] = []
  /** The last token that is no comment. */
  let last: JsToken | null = null
  /** Whether the bracket that was closed last was such a head's. */
  let closedHead = false
  const word = (token: JsToken | null): string => (token?.type === 'word' ? text.slice(token.pos, token.end) : '')
  let beforeLast: JsToken | null = null
  const push = (type: JsToken['type'], pos: number, end: number, more: Partial<JsToken> = {}): void => {
    const token: JsToken = { type, pos, end, fields: [], tagged: null, ...more }
    tokens.push(token)
    if (type !== 'comment') [beforeLast, last] = [last, token]
  }
  const sticky = (pattern: RegExp, at: number): number => {
    pattern.lastIndex = at
    return pattern.test(text) ? pattern.lastIndex : -1
  }
  /** Whether an expression has ended before here; null where that is open. */
  const isOperand = (): boolean | null => {
    if (last === null) return false
    if (last.type === 'word') {
      const name = word(last)
      const isProperty = beforeLast !== null && text[beforeLast.end - 1] === '.' && beforeLast.type === 'operator'
      if (isProperty || !/^[a-z]+$/.test(name)) return true
      return UNSURE.has(name) ? null : !BEFORE_EXPRESSION.has(name)
    }
    if (last.type !== 'operator') return true
    const c = text[last.pos]
    if (c === ')') return !closedHead
    // A block, or an object.
    if (c === '}') return null
    return c === ']' || /^(?:\+\+|--)$/.test(text.slice(last.pos, last.end))
  }

  let at = start
  while (at < text.length) {
    const c = text[at] ?? ''
    const two = text.slice(at, at + 2)
    if (/\s/.test(c)) at++
    else if (two === '//' || two === '/*') {
      const close = two === '//' ? /[\r\n]|\xe2\x80[\xa8\xa9]|$/g : /\*\//g
      close.lastIndex = at + 2
      const end = close.exec(text)
      if (!end) return -1
      push('comment', at, end.index + (two === '//' ? 0 : 2))
      at = end.index + (two === '//' ? 0 : 2)
    } else if (text.startsWith('<!--', at) || (two === '--' && text[at + 2] === '>')) return -1
    else if (c === "'" || c === '"') {
      const end = sticky(STRING[c], at)
      if (end < 0) return -1
      push('string', at, end)
      at = end
    } else if (c === '`') {
      const fields: { pos: number; end: number }[] = []
      const tagged = isOperand()
      const inner: JsToken[] = []
      const end = template(text, at + 1, fields, inner, depth)
      if (end < 0) return -1
      push('template', at, end, { fields, tagged })
      tokens.push(...inner)
      at = end
    } else if (c === '/') {
      const operand = isOperand()
      if (operand === null) return -1
      const end = operand ? at + 1 : sticky(REGEX, at)
      if (end < 0) return -1
      push(operand ? 'operator' : 'regex', at, end)
      at = end
    } else if (/[$\w\x80-\xff\\]/.test(c)) {
      const end = sticky(WORD, at)
      if (end < 0) return -1
      push('word', at, end)
      at = end
    } else {
      const end = /^(?:\+\+|--|=>|\?\.)/.test(text.slice(at, at + 2)) ? at + 2 : at + 1
      if ('([{'.includes(c)) open.push({ bracket: c, isHead: c === '(' && /^(?:if|while|for|with)$/.test(word(last)) })
      if (c === '}' && inField && open.length === 0) return at
      if (')]}'.includes(c)) {
        const closed = open.pop()
        if (closed === undefined || closed.bracket !== '([{'[')]}'.indexOf(c)]) return -1
        closedHead = closed.isHead
      }
      push('operator', at, end)
      at = end
    }
  }
  return inField || open.length > 0 ? -1 : at
}

/** Reads a template. @returns behind its end; -1: not understood */
function template(
  text: string,
  start: number,
  fields: { pos: number; end: number }[],
  tokens: JsToken[],
  depth: number,
): number {
  for (let at = start; at < text.length; at++) {
    if (text[at] === '\\') at++
    else if (text[at] === '`') return at + 1
    else if (text[at] === '$' && text[at + 1] === '{') {
      const end = scan(text, at + 2, tokens, depth + 1)
      if (end < 0) return -1
      fields.push({ pos: at, end: end + 1 })
      at = end
    }
  }
  return -1
}
