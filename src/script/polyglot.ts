/**
 * Scripts that `/bin/sh` starts and another interpreter reads: Python, Perl, Ruby, Tcl, Lua, JavaScript, sed, awk.
 *
 * A script that an interpreter is given as an argument (`perl /a/tool.pl`, the flags of a wrapper) has to be a text in
 * that language, and one that is executed needs a `#!` line, which cannot name a place in a relocatable bundle. So its
 * first line is `#!/bin/sh`, and its second is a command of the shell that the language takes for a comment: it finds the
 * bundle (shell-setup.ts) and executes the interpreter on the same file, under the same name.
 *
 * **The comment.** What begins one in the language has to be a word of the shell, here one that names no program:
 *
 *     Python, Perl, Ruby, Tcl   \f#/      a form feed is a blank for them and a letter for shells
 *     JavaScript                /*\/../   directories: the comment ends behind the command, in one of the shell's
 *     Lua                       --/
 *     sed                       \v#/      a vertical tab is a blank for GNU's and for busybox's
 *     awk                       \r#/      so is a carriage return for gawk and mawk; busybox's has no such blank
 *
 * A second line that is empty, or a comment for both (`# -*- coding: ... -*-`, which Python wants within the first two),
 * gets it put in front, and so does any of JavaScript; else the lines behind it move down by one, which only perl can be
 * told (`# line`).
 *
 * **The first line.** perl and ruby look into it: where it names neither, perl executes what it names, and ruby skips
 * lines. So `perl`, and its flags, are in it, but behind the 256 bytes that the kernel reads (BINPRM_BUF_SIZE; 128 before
 * Linux 5.1), which therefore are blanks: the kernel drops blanks at the end, and what it does not see is no argument.
 */
import type { Template } from '../entry/launcher.ts'
import type { BundlePath } from '../paths.ts'
import type { Site, Splice, TextEdit } from './edit.ts'
import { SHEBANG_MAX } from './parse.ts'
import { fillsItself } from './perl-edit.ts'
import { find, nameInPackage, type Polyglot, withFirstLine, word } from './shell-setup.ts'

interface Style {
  /** The word that begins the comment. */
  readonly opens: string
  /** What ends it before the line does. */
  readonly closes?: string
  /** Whether the interpreter looks for its name in the first line. */
  readonly named: boolean
}

const HASH = { opens: '\f#/' }
const STYLES: readonly (readonly [RegExp, Style])[] = [
  [/^(?:python|pypy|tclsh|wish)$/, { ...HASH, named: false }],
  [/^(?:perl|ruby)$/, { ...HASH, named: true }],
  [/^(?:node|nodejs|bun|deno)$/, { opens: '/*/../', closes: '*/', named: false }],
  [/^(?:lua|luajit|texlua)$/, { opens: '--/', named: false }],
  [/^g?sed$/, { opens: '\v#/', named: false }],
  [/^[gm]?awk$/, { opens: '\r#/', named: false }],
]

const styleOf = (name: string): Style | null => STYLES.find(([pattern]) => pattern.test(name))?.[1] ?? null

/**
 * Whether a script of this interpreter (`interpreterName`) can be one.
 * @param program the name of the interpreter's file: `busybox` may be its awk
 * @param place a Python text is UTF-8, and what ends a comment of JavaScript is in none
 */
export const canBePolyglot = (name: string, program: string, place: BundlePath): boolean =>
  styleOf(name) !== null &&
  !(name === 'awk' && program === 'busybox') &&
  /^[\x20-\x7e]*$/.test(place) &&
  !place.includes('*/')

/**
 * An edit with the two lines put in.
 * @param name of the interpreter, for which `canBePolyglot` holds
 * @param polyglot the interpreter, which has to be something that can be executed as it lies there
 */
export function withStart(
  text: string,
  place: BundlePath,
  sites: readonly Site[],
  edit: TextEdit,
  name: string,
  { interpreter, flags }: Polyglot,
): TextEdit {
  const style = styleOf(name)
  if (style === null) throw new Error(`no script of ${name} is started by sh`)
  const isFilled = name === 'perl' && edit.outcomes.includes('templated')
  const program = word([{ root: true }, `/${interpreter}`] satisfies Template)
  const words = flags.map(word)
  const command = [program, ...words, '"$_storefree_self" "$@"'].join(' ')
  const found = `${find(place)} ${nameInPackage(place)}`
  const said =
    style.closes === undefined
      ? `${found} exec ${command}`
      : // The same patterns and quoted words without what ends the comment.
        `${found.replaceAll('*/', '*[/]')} exec ${command.replaceAll('*/', "*''/")}`
  const statement = `${style.opens} 2>/dev/null; ${said}`

  const newline = text.indexOf('\n')
  const first = newline < 0 ? text.length : newline
  const offset = Math.min(first + 1, text.length)
  const second = /^.*/.exec(text.slice(offset, offset + 4096))?.[0] ?? ''
  // What stands behind the command the shell reads too: a comment of its own, or nothing.
  // What the edit puts at this line's beginning is no comment.
  const isFree = !edit.splices.some(splice => splice.offset === offset && splice.length === 0)
  const merges = (isFree && second.trim() === '') || (/#\/$/.test(style.opens) && second.trimStart().startsWith('#'))
  const filling = isFilled ? `\n${fillsItself(place)}` : ''
  const closed = style.closes === undefined ? null : ` # ${style.closes}`
  const behind = closed ?? (name === 'perl' ? `${filling}\n# line 2\n` : merges ? '; ' : '\n')
  const put: Splice = { offset, length: 0, text: `${newline < 0 ? '\n' : ''}${statement}${behind}` }
  // perl's `-I` and the like are on the command line.
  const kept = /[ \t](-[A-Za-z]+)[ \t]*$/.exec(text.slice(0, first))?.[1]
  const pad = ' '.repeat(SHEBANG_MAX)
  const line = style.named ? `#!/bin/sh${pad}${name}${kept === undefined ? '' : ` ${kept}`}` : '#!/bin/sh'
  return withFirstLine(sites, edit, first, line, put)
}
