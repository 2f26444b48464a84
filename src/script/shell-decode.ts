/**
 * Shell text that is decoded before it is parsed: what stands between backquotes, and the words that a command reads as
 * code. It is a text of its own, with a map back.
 */
import type { CommandExpansionPart, Word, WordPart } from 'unbash'
import type { Splice } from './edit.ts'

/** A text that was made from a part of another one. */
export interface Decoded {
  readonly text: string
  /** Where each character comes from: its first byte, and the byte behind its last. */
  readonly from: readonly number[]
  readonly to: readonly number[]
  /** What stands for a text in the place of the decoded character at an offset. */
  readonly encode: (text: string, offset: number) => string
}

type Quoting = 'bare' | 'double' | 'single'

/** A splice of the decoded text as one of the text it comes from. */
export function outwards(decoded: Decoded, { offset, length, text }: Splice): Splice {
  const start = decoded.from[offset] ?? 0
  const end = decoded.to[offset + length - 1] ?? start
  return { offset: start, length: end - start, text: decoded.encode(text, offset) }
}

/**
 * What stands between backquotes: a backslash goes before `$`, a backquote and a backslash, between double quotes before
 * a double quote too (POSIX, "Command Substitution").
 */
export function decodeBackquotes(text: string, part: CommandExpansionPart, double: boolean): Decoded {
  const from: number[] = []
  const to: number[] = []
  let decoded = ''
  for (let at = part.pos + 1; at < part.end - 1; at++) {
    from.push(at)
    const next = text[at + 1] ?? ''
    if (text[at] === '\\' && at + 1 < part.end - 1 && (double ? '$`\\"' : '$`\\').includes(next)) at++
    decoded += text[at]
    to.push(at + 1)
  }
  return { text: decoded, from, to, encode: put => put.replace(double ? /[`\\"]/g : /[`\\]/g, '\\$&') }
}

/**
 * A word as the command gets it, with a letter for each expansion, whose value is not known; null for what is not
 * understood.
 * @param assignment whether it is code only behind `name=`
 */
export function decodeWord(text: string, word: Word, assignment: boolean): Decoded | null {
  const from: number[] = []
  const to: number[] = []
  const quoting: Quoting[] = []
  let decoded = ''
  const push = (start: number, end: number, character: string, how: Quoting): void => {
    from.push(start)
    to.push(end)
    quoting.push(how)
    decoded += character
  }
  const literal = (pos: number, end: number, how: Quoting): void => {
    for (let at = pos; at < end; at++) {
      const start = at
      const next = text[at + 1]
      const escapes = how === 'bare' ? true : how === 'double' && next !== undefined && '$`"\\\n'.includes(next)
      if (text[at] === '\\' && escapes && at + 1 < end) {
        at++
        if (next === '\n') continue
      }
      push(start, at + 1, text[at] ?? '', how)
    }
  }
  const take = (parts: readonly WordPart[], how: Quoting): boolean =>
    parts.every(part => {
      switch (part.type) {
        case 'Literal':
        case 'Glob':
        case 'BraceExpansion':
        case 'ExtendedGlob':
          literal(part.pos, part.end, how)
          return true
        case 'SingleQuoted':
          literal(part.pos + 1, part.end - 1, 'single')
          return true
        case 'DoubleQuoted':
          return take(part.parts, 'double')
        case 'AnsiCQuoted':
        case 'LocaleString':
          return false
        default:
          push(part.pos, part.end, 'x', how)
          return true
      }
    })
  if (word.parts === undefined) literal(word.pos, word.end, 'bare')
  else if (!take(word.parts, 'bare')) return null
  const skip = assignment ? (/^[^=/]*=/.exec(decoded)?.[0].length ?? 0) : 0
  return {
    text: decoded.slice(skip),
    from: from.slice(skip),
    to: to.slice(skip),
    encode: (put, offset) => {
      switch (quoting[skip + offset]) {
        case 'single':
          return put.replaceAll("'", "'\\''")
        case 'double':
          return put.replace(/[$`"\\]/g, '\\$&')
        default:
          return put.replace(/[^0-9A-Za-z+\-./_]/g, '\\$&')
      }
    },
  }
}
