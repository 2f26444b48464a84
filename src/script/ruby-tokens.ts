/**
 * A lexer for Ruby, as far as strings are concerned. Ruby's own reader knows which names are variables, and by that what
 * `x /a` or `x %w` is; where a text leaves that open, it is not understood.
 */

export interface RubyToken {
  /** `literal`: in other quotes, a pattern, a command; `here`: a here-document that expressions are put into. */
  readonly type: 'single' | 'double' | 'here' | 'literal' | 'comment'
  readonly pos: number
  readonly end: number
  /** What stands in `#{}`. */
  readonly fields: readonly { readonly pos: number; readonly end: number }[]
}

/** Words behind which an expression begins. */
const BEFORE_EXPRESSION = new Set(
  'and begin case do else elsif ensure if in not or rescue return then unless until when while yield puts print require raise'.split(
    ' ',
  ),
)
const CLOSES: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}', '<': '>' }

/** Nobody writes more fields in fields. */
const NESTING = 50

/** The strings and comments of a text; null when it is not understood. */
export function rubyTokens(text: string): RubyToken[] | null {
  const tokens: RubyToken[] = []
  const start = text.startsWith('\xef\xbb\xbf') ? 3 : 0
  return text.startsWith('=begin', start) || scan(text, start, tokens, 0) < 0 ? null : tokens
}

/** @param nesting in how many `#{}` it is; the brace that closes one ends it @returns where it ended; -1: not understood */
function scan(text: string, start: number, tokens: RubyToken[], nesting: number): number {
  if (nesting > NESTING) return -1
  const inField = nesting > 0
  /** Here-documents whose text begins at the next line. */
  let waiting: { label: string; indented: boolean; raw: boolean }[] = []
  let depth = 0
  /** Whether an expression has ended before here; null: a name has, which may be a method's. */
  let operand: boolean | null = false
  let at = start
  const match = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at
    return pattern.exec(text)
  }
  const isBlank = (c: string | undefined): boolean => c === undefined || /\s/.test(c)
  while (at < text.length) {
    const c = text[at] ?? ''
    if (c === '\n') {
      at++
      for (const { label, indented, raw } of waiting) {
        const close = new RegExp(`^${indented ? '[ \\t]*' : ''}${label}\\r?$`, 'gm')
        close.lastIndex = at
        const end = close.exec(text)
        if (!end) return -1
        const fields: { pos: number; end: number }[] = []
        if (!raw && !quoted(text, at, end.index, fields, nesting)) return -1
        tokens.push({ type: raw ? 'literal' : 'here', pos: at, end: end.index, fields })
        at = close.lastIndex
      }
      waiting = []
      operand = false
      if (/^__END__\r?$/m.exec(text.slice(at, at + 9))?.index === 0) return inField ? -1 : text.length
      const doc = match(/=begin\b[\s\S]*?^=end\b.*$/my)
      if (doc) {
        tokens.push({ type: 'comment', pos: at, end: at + doc[0].length, fields: [] })
        at += doc[0].length
      } else if (text.startsWith('=begin', at)) return -1
    } else if (/\s/.test(c)) at++
    else if (c === '#') {
      const line = match(/[^\n]*/y)![0]
      tokens.push({ type: 'comment', pos: at, end: at + line.length, fields: [] })
      at += line.length
    } else if (c === "'" || c === '"' || c === '`') {
      // A method's name: def `(x).
      if (c === '`' && operand === null) return -1
      const fields: { pos: number; end: number }[] = []
      const end = until(text, at + 1, c, null, c === "'" ? null : fields, nesting)
      if (end < 0) return -1
      tokens.push({ type: c === "'" ? 'single' : c === '"' ? 'double' : 'literal', pos: at, end, fields })
      at = end
      operand = true
    } else if (
      c === '/' ||
      c === '%' ||
      (c === '<' && /^<<[~-]?["'`A-Za-z_]/.test(text.slice(at, at + 4))) ||
      c === '?'
    ) {
      const next = text[at + 1]
      const spaced = isBlank(text[at - 1])
      // `x /a` may be either; `x / a`, `x/a` divide.
      const isOperator: boolean | null =
        operand === true ? true : operand === null ? (spaced && !isBlank(next) && next !== '=' ? null : true) : false
      if (c === '?') {
        const one = match(/\?(?:\\(?:u\{?[\da-f]+\}?|x[\da-f]+|[CM]-\S|\S)|[^\s\\])(?![\w])/iy)
        if (isOperator === false && one) {
          at += one[0].length
          operand = true
        } else if (isOperator === null && one) return -1
        else {
          at++
          operand = false
        }
        continue
      }
      if (c === '<') {
        const here = match(/<<([~-]?)(?:(["'`])([^\n]*?)\2|(\w+))/y)
        const isName = here !== null && /^[A-Z_]/.test(here[4] ?? 'A')
        if (isOperator === true && !(operand === null && here !== null && isName && here[1] !== '')) {
          at += 2
          operand = false
        } else if (here === null || !isName || (isOperator === null && here[1] === '')) return -1
        else {
          const label = here[3] ?? here[4] ?? ''
          waiting.push({
            label: label.replace(/[^\w]/g, '\\$&'),
            indented: here[1] !== '',
            raw: (here[2] ?? '"') !== '"',
          })
          at += here[0].length
          operand = true
        }
        continue
      }
      // `add %w[a b]`: nobody divides so.
      const isList = c === '%' && /^%[wWiIqQ][[({<|!]/.test(text.slice(at, at + 3))
      if (isOperator === null && !isList) return -1
      if (isOperator) {
        at++
        operand = false
        continue
      }
      const open = c === '/' ? '/' : (match(/%[qQwWiIxrs]?([^\w\s])/y)?.[1] ?? null)
      if (open === null) return -1
      const from = c === '/' ? at + 1 : at + match(/%[qQwWiIxrs]?[^\w\s]/y)![0].length
      const isRaw = /^%[qwis]/.test(text.slice(at, at + 2))
      const end = until(text, from, CLOSES[open] ?? open, CLOSES[open] ? open : null, isRaw ? null : [], nesting)
      if (end < 0) return -1
      tokens.push({ type: 'literal', pos: at, end, fields: [] })
      at = end
      operand = true
    } else if (c === '$' || c === '@') {
      at += match(/\$(?:-\w|\w+|[^\w\s])|@@?\w+/y)?.[0].length ?? 1
      operand = true
    } else if (/[\w\x80-\xff]/.test(c)) {
      const word = match(/[\w\x80-\xff]+(?:[?!](?![=~]))?/y)![0]
      const isMethod = text[at - 1] === '.'
      const before = operand
      at += word.length
      // The name of a method may be an operator or a quote.
      if (word === 'def' && !isMethod) {
        at += match(/[ \t]+(?:[\w.\x80-\xff]+[?!=]?|[^\s\w(;]+)/y)?.[0].length ?? 0
        operand = true
      } else if (!isMethod && BEFORE_EXPRESSION.has(word) && text[at] !== ':') operand = false
      else if (/^\d/.test(word) || (/^(?:self|nil|true|false|end|__FILE__|__LINE__|__dir__)$/.test(word) && !isMethod))
        operand = true
      else operand = null
      if (before === true && /^\d/.test(word)) return -1
    } else if (
      c === ':' &&
      text[at - 1] !== ':' &&
      /[\w+\-*/%<>=!~[`^&|]/.test(text[at + 1] ?? '') &&
      text[at + 1] !== ':'
    ) {
      // A symbol, or the second half of `a ? b :c`.
      const symbol = match(
        /:(?:[A-Za-z_\x80-\xff][\w\x80-\xff]*[?!=]?(?![>~])|\[\]=?|\*\*|<=>|===?|=~|![=~]?|<<|>>|<=|>=|[+-]@|[+\-*/%<>~^&|`])/y,
      )
      if (symbol) {
        at += symbol[0].length
        operand = true
      } else {
        at++
        operand = false
      }
    } else {
      if (c === '{') depth++
      if (c === '}') {
        if (inField && depth === 0) return at
        depth--
      }
      operand = /[)\]}]/.test(c)
      at++
    }
  }
  return inField || waiting.length > 0 ? -1 : at
}

/** Whether all fields of a part of a text are understood. */
function quoted(
  text: string,
  start: number,
  end: number,
  fields: { pos: number; end: number }[],
  nesting: number,
): boolean {
  for (let at = start; at < end; at++) {
    if (text[at] === '\\') at++
    else if (text[at] === '#' && text[at + 1] === '{') {
      const close = scan(text, at + 2, [], nesting + 1)
      if (close < 0 || close >= end) return false
      fields.push({ pos: at, end: close + 1 })
      at = close
    }
  }
  return true
}

/** Reads to a closing quote. @param fields null: nothing is put into it @returns behind the quote; -1: not understood */
function until(
  text: string,
  start: number,
  close: string,
  open: string | null,
  fields: { pos: number; end: number }[] | null,
  nesting: number,
): number {
  let depth = 0
  for (let at = start; at < text.length; at++) {
    const c = text[at]
    if (c === '\\') at++
    else if (c === close && depth-- === 0) return at + 1
    else if (c === open) depth++
    else if (c === '#' && text[at + 1] === '{' && fields !== null) {
      const end = scan(text, at + 2, [], nesting + 1)
      if (end < 0) return -1
      fields.push({ pos: at, end: end + 1 })
      at = end
    }
  }
  return -1
}
