/**
 * Wrappers of nixpkgs: programs that only set up environment and arguments and execute another one. They come as bash
 * scripts (makeWrapper) and as small C programs (makeBinaryWrapper), which carry the command they were made by as text.
 *
 * Only what those two write is read, here and in binary-wrapper.ts (pkgs/build-support/setup-hooks/make-wrapper.sh and
 * pkgs/by-name/ma/makeBinaryWrapper/make-binary-wrapper.sh in nixpkgs, from 2013 on): a script with one line more is not
 * a wrapper, because what that line does would be lost. In particular flags with variables in them
 * (`${NIXOS_OZONE_WL:+...}`) are expanded by the shell at each start, so such a script stays a script.
 *
 * What the launcher does not repeat of bash: its own variables (`PWD`, `OLDPWD`, `SHLVL`, `_`), and the values bash
 * gives to `PATH`, `TERM` and the like when they are not set, which a `--prefix` then finds.
 *
 * All text is byte strings.
 */
import type { EnvironmentOperation, Wrapper } from '../entry/launcher.ts'
import { type Expansion, literal, Other, other, Reader, unlessOther, type Word } from './words.ts'

/** The wrapper a script is; null for one that does anything else, or in any other way. */
export function parseShellWrapper(text: string): Wrapper | null {
  const shebang = /^#![ \t]*\/[^ \t\n]*\/(?:ba)?sh(?:[ \t]+-e)?[ \t]*\n/.exec(text)
  if (!shebang) return null
  return unlessOther(() => new ShellWrapper(text, shebang[0].length).parse())
}

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
