/**
 * Wrappers of nixpkgs: programs that only set up environment and arguments and execute another one. They come as bash
 * scripts (makeWrapper) and as small C programs (makeBinaryWrapper), which carry the command they were made by as text.
 *
 * Only what those two write is read here (pkgs/build-support/setup-hooks/make-wrapper.sh and
 * pkgs/by-name/ma/makeBinaryWrapper/make-binary-wrapper.sh in nixpkgs, from 2013 on): a script with one line more is not
 * a wrapper, because what that line does would be lost. In particular flags with variables in them
 * (`${NIXOS_OZONE_WL:+...}`) are expanded by the shell at each start, so such a script stays a script.
 *
 * What the launcher does not repeat of bash: its own variables (`PWD`, `OLDPWD`, `SHLVL`, `_`), and the values bash
 * gives to `PATH`, `TERM` and the like when they are not set, which a `--prefix` then finds.
 *
 * All text is byte strings.
 */
import { isElf } from '../elf/image.ts'
import type { EnvironmentOperation, ListRule } from '../entry/launcher.ts'
import { isMachO } from '../macho/image.ts'

/** What a wrapper does before it executes its program. */
export interface Wrapper {
  /** The absolute path of what it executes. */
  readonly program: string
  /**
   * `keep`: the caller's argv[0]. `started`: the path the wrapper was started by, which is what `$0` is in a script.
   */
  readonly argv0: 'keep' | 'started' | { readonly value: string }
  /** In order. */
  readonly environment: readonly EnvironmentOperation[]
  /** Arguments before and after the caller's. */
  readonly before: readonly string[]
  readonly after: readonly string[]
  /** Where it goes first; null when it stays. */
  readonly directory: string | null
}

/** The wrapper a script is; null for one that does anything else, or in any other way. */
export function parseShellWrapper(text: string): Wrapper | null {
  const shebang = /^#![ \t]*\/[^ \t\n]*\/(?:ba)?sh(?:[ \t]+-e)?[ \t]*\n/.exec(text)
  if (!shebang) return null
  return unlessOther(() => new ShellWrapper(text, shebang[0].length).parse())
}

/**
 * The command that a program of makeBinaryWrapper was made by: `makeCWrapper '/nix/store/...' \` and so on; null in a
 * file that has none.
 */
export function findBinaryWrapper(bytes: Buffer): string | null {
  const head = 'has been generated using the following command:\n\n\n'
  const at = bytes.indexOf(`${head}makeCWrapper `, 0, 'latin1')
  if (at < 0) return null
  const end = bytes.indexOf(0, at)
  if (end < 0) return null
  const text = bytes.toString('latin1', at + head.length, end)
  const behind = text.indexOf('\n\n\n# (Use ')
  return behind < 0 ? text : text.slice(0, behind)
}

/**
 * The wrapper that a makeCWrapper command makes; null for one with options that are not known.
 * @param rule what the program does with lists, which the text does not say (`readBinaryWrapper` does)
 */
export function parseBinaryWrapper(text: string, rule: 'set' | 'set-unique' = 'set'): Wrapper | null {
  return unlessOther(() => binaryWrapper(new Reader(text), rule))
}

/**
 * The wrapper a program of makeBinaryWrapper is; null for any other file. What its text leaves out shows in the
 * functions it imports: the lists of today's search for the element (strstr); one that searches PATH for argv[0]
 * (`--resolve-argv0`: strtok) does what no launcher does; and one without imports does not say what it does.
 */
export function readBinaryWrapper(bytes: Buffer): Wrapper | null {
  if (!isElf(bytes) && !isMachO(bytes)) return null
  const text = findBinaryWrapper(bytes)
  // Mach-O puts an underscore before the names of C.
  const imports = (name: string): boolean =>
    bytes.includes(`\0${name}\0`, 0, 'latin1') || bytes.includes(`_${name}\0`, 0, 'latin1')
  if (text === null || !imports('execv') || imports('strtok')) return null
  return parseBinaryWrapper(text, imports('strstr') ? 'set-unique' : 'set')
}

// ---- Reading -----------------------------------------------------------------------------------------------------

/** Thrown, and caught here, when the text is not what a wrapper has. */
class Other extends Error {}

function unlessOther<T>(parse: () => T): T | null {
  try {
    return parse()
  } catch (error) {
    if (error instanceof Other) return null
    throw error
  }
}

/** A piece of a word that the shell fills in. */
interface Expansion {
  /** `$name`, `${name:+word}`, `${name-word}`, `"$@"` or `"$0"`, `"${name[@]}"`. */
  readonly kind: 'value' | 'alternative' | 'default' | 'special' | 'array'
  readonly name: string
  readonly word: Word
}
/** Literal text has its quoting removed; two literals never stand side by side. */
type Word = readonly (string | Expansion)[]

class Reader {
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
function literal(word: Word): string {
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
const other = (): never => {
  throw new Other()
}

// ---- Shell -------------------------------------------------------------------------------------------------------

/**
 * Variables that are bash's own: it changes them, computes them or will not have them changed. And what a `--run` gives
 * its flags by.
 */
const OWN =
  /^(?:BASH.*|COMP_.*|UID|EUID|PPID|SHELLOPTS|S?RANDOM|SECONDS|LINENO|HISTCMD|EPOCH(?:SECONDS|REALTIME)|DIRSTACK|FUNCNAME|GROUPS|PIPESTATUS|OPTIND|SHLVL|PWD|OLDPWD|_|extraFlagsArray)$/

class ShellWrapper {
  readonly #reader: Reader
  readonly #environment: EnvironmentOperation[] = []
  #directory: string | null = null

  constructor(text: string, at: number) {
    this.#reader = new Reader(text, at)
  }

  parse(): Wrapper {
    const reader = this.#reader
    for (;;) {
      if (reader.skips('\n')) continue
      if (reader.match(/exec(?=[ \t])/y)) return this.#exec()
      if (reader.skips('export ')) this.#export()
      else if (reader.skips('unset ')) this.#environment.push({ op: 'unset', name: this.#name() })
      else if (reader.skips('cd ')) this.#directory = this.#absolute(literal(reader.word()))
      else this.#list()
      reader.expect('\n')
    }
  }

  #name(): string {
    const name = this.#reader.name()
    return OWN.test(name) ? other() : name
  }

  /** bash's cd looks for a relative directory in CDPATH, and takes `..` back in the text. */
  #absolute(directory: string): string {
    return directory.startsWith('/') && !directory.split('/').includes('..') ? directory : other()
  }

  /** `export NAME=...` */
  #export(): void {
    const name = this.#name()
    this.#reader.expect('=')
    const word = this.#reader.word().filter(piece => piece !== '')
    const [first, second, third] = word
    const isValue = (piece: Word[number] | undefined): boolean =>
      typeof piece === 'object' && piece.kind === 'value' && piece.name === name
    const alternative = typeof second === 'object' && second.kind === 'alternative' && second.name === name
    const join = { name, rule: 'nonempty' } as const

    if (typeof first === 'object' && first.kind === 'default' && first.name === name && word.length === 1)
      this.#environment.push({ op: 'set-default', name, value: literal(first.word) })
    else if (word.length < 2) this.#environment.push({ op: 'set', name, value: literal(word) })
    else if (alternative && typeof first === 'string' && isValue(third) && word.length === 3)
      this.#environment.push({ op: 'prefix', ...join, separator: literal(second.word), value: first })
    else if (
      alternative &&
      typeof first === 'string' &&
      isValue(second.word[1]) &&
      second.word.length === 2 &&
      word.length === 2
    )
      this.#environment.push({ op: 'prefix', ...join, separator: literal(second.word.slice(0, 1)), value: first })
    else if (alternative && isValue(first) && typeof third === 'string' && word.length === 3)
      this.#environment.push({ op: 'suffix', ...join, separator: literal(second.word), value: third })
    else throw new Other()
  }

  /** The six lines of `--prefix`, the eight of `--suffix`. */
  #list(): void {
    const reader = this.#reader
    const name = this.#name()
    reader.expect(`=\${${name}:+`)
    const separator = reader.quoted()
    const again = (): void => {
      if (reader.quoted() !== separator) throw new Other()
    }
    reader.expect(`$${name}`)
    again()
    reader.expect('}\n')

    const prefix = reader.skips(`${name}=\${${name}/`)
    if (!prefix) reader.expect(`if [[ $${name} != *`)
    const surrounded = reader.quoted()
    const value = surrounded.slice(separator.length, surrounded.length - separator.length)
    if (surrounded !== separator + value + separator) throw new Other()
    if (prefix) {
      reader.expect('/')
      again()
      reader.expect(`}\n${name}=`)
    } else reader.expect(`* ]]; then\n    ${name}=$${name}`)
    if (reader.quoted() !== value) throw new Other()
    reader.expect(prefix ? `$${name}\n` : '\nfi\n')

    for (const end of ['#', '%']) {
      reader.expect(`${name}=\${${name}${end}`)
      again()
      reader.expect('}\n')
    }
    reader.expect(`export ${name}`)
    this.#environment.push({ op: prefix ? 'prefix' : 'suffix', name, separator, value, rule: 'unique' })
  }

  /** `exec -a "$0" "program" flags "$@" flags`, and nothing behind it. */
  #exec(): Wrapper {
    const reader = this.#reader
    reader.blanks()
    const named = reader.match(/-a(?=[ \t])/y) !== null
    reader.blanks()
    const name = named ? reader.word() : null
    if (named && (name!.length === 0 || !reader.blanks())) throw new Other()
    const program = literal(reader.word())
    if (!program.startsWith('/')) throw new Other()

    const before: string[] = []
    const after: string[] = []
    let flags: string[] | null = before
    while (reader.blanks()) {
      const word = reader.word()
      if (word.length === 0) break
      const only = onlyExpansion(word)
      if (only?.kind === 'special' && only.name === '@' && flags === before) flags = after
      // Empty without a --run to fill it.
      else if (!(only?.kind === 'array' && only.name === 'extraFlagsArray')) flags.push(literal(word))
    }
    if (flags === before || (reader.match(/\s+/y) === null && !reader.ended) || !reader.ended) throw new Other()

    const only = name && onlyExpansion(name)
    const argv0 =
      name === null
        ? { value: program }
        : only?.kind === 'special' && only.name === '0'
          ? 'started'
          : { value: literal(name) }
    return { program, argv0, environment: this.#environment, before, after, directory: this.#directory }
  }
}

/** The expansion that a word in double quotes is, with nothing around it. */
function onlyExpansion(word: Word): Expansion | null {
  const pieces = word.filter(piece => piece !== '')
  return pieces.length === 1 && typeof pieces[0] === 'object' ? pieces[0] : null
}

// ---- makeCWrapper ------------------------------------------------------------------------------------------------

function binaryWrapper(reader: Reader, rule: ListRule): Wrapper {
  const environment: EnvironmentOperation[] = []
  const before: string[] = []
  const after: string[] = []
  let directory: string | null = null
  let inherited = false
  let argv0 = ''

  reader.expect('makeCWrapper ')
  // At first the program's path stood there as it is.
  const bare = reader.match(/\/[^'\\\n]*?(?= \\\n|\n|$)/y)
  const program = bare ?? reader.quoted()
  if (!program.startsWith('/')) throw new Other()

  const value = (): string => {
    reader.expect(' ')
    return reader.quoted()
  }
  const name = (): string => {
    const text = value()
    return text === '' || text.includes('=') ? other() : text
  }
  while (reader.skips(' \\\n    ')) {
    const option = reader.take(/--[a-z0-9-]+/y)
    if (option === '--set') environment.push({ op: 'set', name: name(), value: value() })
    else if (option === '--set-default') environment.push({ op: 'set-default', name: name(), value: value() })
    else if (option === '--unset') environment.push({ op: 'unset', name: name() })
    else if (option === '--prefix' || option === '--suffix')
      environment.push({
        op: option === '--prefix' ? 'prefix' : 'suffix',
        name: name(),
        separator: value(),
        value: value(),
        rule,
      })
    else if (option === '--chdir') directory = fromDirectory(directory, value())
    else if (option === '--add-flag') before.push(value())
    else if (option === '--append-flag') after.push(value())
    else if (option === '--add-flags') before.push(...words(value()))
    else if (option === '--append-flags') after.push(...words(value()))
    else if (option === '--inherit-argv0') inherited = true
    else if (option === '--argv0') {
      argv0 = value()
      inherited = false
    } else throw new Other()
  }
  reader.match(/\n*/y)
  if (!reader.ended) throw new Other()
  return {
    program,
    argv0: inherited ? 'keep' : { value: argv0 === '' ? program : argv0 },
    environment,
    before,
    after,
    directory,
  }
}

/** Two --chdir: the second from where the first led. */
const fromDirectory = (first: string | null, second: string): string =>
  first === null || second.startsWith('/') ? second : `${first}/${second}`

/** Split at blanks, without quoting. Of several lines one version of nixpkgs takes all, the other the first. */
function words(flags: string): string[] {
  if (flags.includes('\n')) throw new Other()
  return flags.split(/[ \t]+/).filter(flag => flag !== '')
}
