/** Literals in the text around them: which are joined, which are docstrings, which are formats. */
import type { RefusalReason } from './edit.ts'
import type { OtherToken, StringToken, Token } from './python-tokens.ts'

/** Neighbouring literals, which Python joins. */
export interface Run {
  readonly pos: number
  readonly end: number
  readonly strings: readonly StringToken[]
  readonly refused: RefusalReason | null
  /** A statement of its own, such as a docstring. */
  readonly statement: boolean
  /** Characters that the format it is used as gives a meaning to. */
  readonly doubled: string
}

/** Words that begin a statement with a block. */
const COMPOUND = new Set('def class if elif else for while try except finally with async'.split(' '))
/** Words that may stand before an expression: a parenthesis behind one is no call. */
const KEYWORDS = new Set(
  'and as assert await case del elif else except exec for from if in is lambda not or print raise return while with yield'.split(
    ' ',
  ),
)

/** The runs of a text, in order. */
export function stringRuns(text: string, all: readonly Token[]): Run[] {
  const tokens = all.filter(token => token.type !== 'comment')
  const closing = matches(text, tokens)
  const is = (index: number, characters: string): boolean => {
    const token = tokens[index]
    return token?.type === 'operator' && characters.includes(text[token.pos] ?? '\n') && token.end === token.pos + 1
  }
  const word = (index: number): string => {
    const token = tokens[index]
    return token?.type === 'word' ? text.slice(token.pos, token.end) : ''
  }
  /** What an expression is a format for, by what follows it. */
  const formats = (next: number): string => {
    if (is(next, '%') && text[tokens[next]?.end ?? 0] !== '=') return '%'
    return is(next, '.') && /^format(?:_map)?$/.test(word(next + 1)) && is(next + 2, '(') ? '{}' : ''
  }

  const runs: Run[] = []
  const open: number[] = []
  let line = 0
  let lambdas = 0
  let hasBlock = false
  /** A statement may begin at the next token. */
  let fresh = true
  let pattern = false
  const begin = (index: number): void => {
    line = index
    lambdas = 0
    hasBlock = false
    fresh = true
    pattern = word(index) === 'case' && isPattern(index)
  }
  /** Whether the line that begins with `case` is a case of a `match`. */
  const isPattern = (index: number): boolean => {
    if (is(index + 1, ':=.,);')) return false
    for (let i = index, waiting = 0; i < tokens.length && tokens[i]?.type !== 'newline'; i++) {
      if (is(i, '([{')) i = closing.get(i) ?? i
      else if (word(i) === 'lambda') waiting++
      else if (is(i, ':') && waiting-- === 0) return true
    }
    return false
  }

  begin(0)
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i] as Token
    if (token.type === 'newline' || (open.length === 0 && is(i, ';'))) {
      begin(i + 1)
      continue
    }
    if (token.type === 'string') {
      const strings = [token]
      for (let next = tokens[i + strings.length]; next?.type === 'string'; next = tokens[i + strings.length])
        strings.push(next)
      const next = i + strings.length
      // It may stand in parentheses.
      const behind = next + open.length
      const ends = behind >= tokens.length || tokens[behind]?.type === 'newline' || is(behind, ';')
      const closes = open.every((_, depth) => is(next + depth, ')'))
      let doubled = formats(next)
      // In parentheses that are no call's, what is formatted is what is in them.
      for (let depth = open.length - 1; doubled === '' && depth >= 0; depth--) {
        const bracket = open[depth] ?? 0
        if (!is(bracket, '(') || isCall(bracket)) break
        doubled = formats((closing.get(bracket) ?? 0) + 1)
      }
      runs.push({
        pos: token.pos,
        end: (strings.at(-1) ?? token).end,
        strings,
        refused: pattern ? 'pattern' : strings.some(s => /t/i.test(s.prefix)) ? 'interpolation' : null,
        statement: fresh && closes && ends,
        doubled,
      })
      fresh = false
      i = next - 1
      continue
    }
    fresh = fresh && is(i, '(')
    if (is(i, '([{')) open.push(i)
    else if (is(i, ')]}')) open.pop()
    else if (open.length === 0 && word(i) === 'lambda') lambdas++
    else if (open.length === 0 && word(i) === 'if') pattern = false
    else if (open.length === 0 && is(i, ':')) {
      if (lambdas > 0) lambdas--
      else {
        pattern = false
        fresh = !hasBlock && COMPOUND.has(word(line))
        hasBlock = true
      }
    }
  }
  return runs

  function isCall(bracket: number): boolean {
    const before = tokens[bracket - 1]
    if (before?.type === 'word') return !KEYWORDS.has(word(bracket - 1))
    return before?.type === 'string' || is(bracket - 1, ')]}')
  }
}

/** Index of an opening bracket -> index of the one that closes it. */
function matches(text: string, tokens: readonly (StringToken | OtherToken)[]): Map<number, number> {
  const closing = new Map<number, number>()
  const open: number[] = []
  for (const [i, token] of tokens.entries()) {
    if (token.type !== 'operator') continue
    const c = text[token.pos] ?? ''
    if ('([{'.includes(c)) open.push(i)
    else if (')]}'.includes(c)) closing.set(open.pop() ?? -1, i)
  }
  return closing
}
