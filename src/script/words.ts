/**
 * The words of a wrapper (shell-wrapper.ts, binary-wrapper.ts) in the quotings that makeWrapper and makeBinaryWrapper write.
 * It is no shell: what neither of them writes is refused. All text is byte strings.
 */

/** Thrown, and caught by `unlessOther`, when the text is not what a wrapper has. */
export class Other extends Error {}

/** What `parse` gives; null when it meets what a wrapper does not have. */
export function unlessOther<T>(parse: () => T): T | null {
  try {
    return parse()
  } catch (error) {
    if (error instanceof Other) return null
    throw error
  }
}

/** A piece of a word that the shell fills in. */
export interface Expansion {
  /** `$name`, `${name:+word}`, `${name-word}`, `"$@"` or `"$0"`, `"${name[@]}"`. */
  readonly kind: 'value' | 'alternative' | 'default' | 'special' | 'array'
  readonly name: string
  readonly word: Word
}
/** Literal text has its quoting removed; two literals never stand side by side. */
export type Word = readonly (string | Expansion)[]

/** Reads shell words one after another. */
export class Reader {
  readonly #text: string
  #at: number

  constructor(text: string, at = 0) {
    this.#text = text
    this.#at = at
  }

  get ended(): boolean {
    return this.#at >= this.#text.length
  }

  /** Whether `literal` comes next; it is then passed. */
  skips(literal: string): boolean {
    if (!this.#text.startsWith(literal, this.#at)) return false
    this.#at += literal.length
    return true
  }

  expect(literal: string): void {
    if (!this.skips(literal)) throw new Other()
  }

  /** What a sticky pattern matches here. */
  match(pattern: RegExp): string | null {
    pattern.lastIndex = this.#at
    const match = pattern.exec(this.#text)?.[0] ?? null
    if (match !== null) this.#at += match.length
    return match
  }

  take(pattern: RegExp): string {
    const match = this.match(pattern)
    if (match === null) throw new Other()
    return match
  }

  name(): string {
    return this.take(/[A-Za-z_][A-Za-z0-9_]*/y)
  }

  /** Blanks and continued lines. */
  blanks(): boolean {
    return this.match(/(?:[ \t]|\\\n)+/y) !== null
  }

  /** Text that is quoted throughout, as bash's `@Q` does: '...', $'...' and \' side by side. */
  quoted(): string {
    let text: string | null = null
    for (let piece: string | null; (piece = this.#quotedPiece()) !== null; ) text = (text ?? '') + piece
    if (text === null) throw new Other()
    return text
  }

  #quotedPiece(): string | null {
    if (this.skips("$'")) return decodeAnsi(this.take(/(?:[^'\\]|\\[\s\S])*'/y).slice(0, -1))
    if (this.skips("'")) return this.take(/[^']*'/y).slice(0, -1)
    if (this.skips("\\'")) return "'"
    return null
  }

  /** One word, which may be empty; ends before what cannot be in one. */
  word(): Word {
    const pieces: (string | Expansion)[] = []
    for (;;) {
      const piece = this.#quotedPiece() ?? this.match(pieces.length === 0 ? WORD_START : WORD)
      if (piece !== null) add(pieces, piece)
      else if (this.skips('\\\n')) continue
      else if (this.skips('\\')) add(pieces, this.take(/[\s\S]/y))
      else if (this.skips('"')) for (const inner of this.#doubleQuoted('"')) add(pieces, inner)
      else if (this.skips('$')) add(pieces, this.#expansion(false))
      else return pieces
    }
  }

  /** The rest of a text in double quotes, with what ends it. */
  #doubleQuoted(end: '"' | '}'): Word {
    const pieces: (string | Expansion)[] = ['']
    while (!this.skips(end)) {
      if (this.skips('\\\n')) continue
      if (this.skips('$')) add(pieces, this.#expansion(true))
      else add(pieces, this.match(/\\[$`"\\]/y)?.slice(1) ?? this.take(end === '"' ? /[^"$`]/y : /[^"$`'\\}]/y))
    }
    return pieces
  }

  /** What follows a `$`. */
  #expansion(quoted: boolean): Expansion {
    if (quoted && this.skips('@')) return { kind: 'special', name: '@', word: [] }
    if (quoted && this.skips('0')) return { kind: 'special', name: '0', word: [] }
    if (!this.skips('{')) return { kind: 'value', name: this.name(), word: [] }
    const name = this.name()
    if (this.skips('}')) return { kind: 'value', name, word: [] }
    if (quoted && this.skips('[@]}')) return { kind: 'array', name, word: [] }
    const kind = this.skips(':+') ? 'alternative' : this.skips('-') ? 'default' : null
    if (kind === null) throw new Other()
    if (quoted) return { kind, name, word: this.#doubleQuoted('}') }
    const word = this.word()
    this.expect('}')
    return { kind, name, word }
  }
}

/** Characters that stand for themselves outside quotes, wherever they are: no glob, brace, tilde, comment, operator. */
const WORD_START = /[A-Za-z0-9_\-./:=,+@%^\]!\x80-\xff]+/y
const WORD = /[A-Za-z0-9_\-./:=,+@%^\]!#\x80-\xff]+/y

function add(pieces: (string | Expansion)[], piece: string | Expansion): void {
  const last = pieces.at(-1)
  if (typeof last === 'string' && typeof piece === 'string') pieces[pieces.length - 1] = last + piece
  else pieces.push(piece)
}

/** A word without expansions. */
export function literal(word: Word): string {
  const text = word[0] ?? ''
  if (word.length > 1 || typeof text !== 'string') throw new Other()
  return text
}

/** The inside of $'...' (bash(1), QUOTING), but for \u, \U and \c, which `@Q` does not write. */
function decodeAnsi(text: string): string {
  return text.replace(/\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|([\s\S]))/g, (_, octal, hex, one) => {
    if (one !== undefined) return ANSI.get(one) ?? other()
    const code = Number.parseInt(octal ?? hex, octal === undefined ? 16 : 8) & 0xff
    return code === 0 ? other() : String.fromCharCode(code)
  })
}
const ANSI = new Map([...'abeEfnrtv\\\'"?'].map((c, i) => [c, '\x07\b\x1b\x1b\f\n\r\t\v\\\'"?'[i]!]))
/** Says that the text is no wrapper's. */
export const other = (): never => {
  throw new Other()
}
