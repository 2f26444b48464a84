/**
 * The statement that tells an edited shell script where its bundle lies. It stands on the script's second line, before
 * what was there, so that line numbers stay; in a file without `#!` on the first.
 *
 * It sets `_storefree_root` by walking up from the file it stands in until the file's own place in the bundle is below.
 * Where the root has characters that a command line takes apart, and the file was called by a way to it that has none
 * (an alias, which launchers and programs make: entry/alias.h), that way is the root.
 *
 * bash and zsh know that file, also when it is sourced (BASH_SOURCE, %x); other shells only know the script that was run ($0), but
 * that one lies in the same bundle as what it sources. A link from outside has to be read, which needs `readlink`; all
 * else is built in. When nothing is found, the script says so and ends (when sourced: returns) with status 127.
 *
 * It is right in bash, also as `sh`, dash, busybox' shell and mksh, under `set -eu`. What a script could see of it is
 * put back: `$?` and `$_` are as before. Two variables stay, `_storefree_root` and `_storefree_state`; they are not
 * exported, unless the script that sources the file has set `-a`.
 *
 * **Polyglot.** A file that is run by its path, and may be sourced too, cannot have its interpreter in its first line: a
 * `#!` cannot be relative. It gets `#!/bin/sh`, and the statement runs the file again with the bundle's interpreter. It
 * does nothing when the file is sourced, or runs with that interpreter already. The sign for that is a first argument,
 * which is taken off again: no environment changes, and no shell can fall into a loop.
 */
import { forEachChild, type ParsedScript, type SyntaxNode } from 'unbash'
import type { Template } from '../entry/launcher.ts'
import { type BundlePath, baseName } from '../paths.ts'
import { joined, type Site, type SiteOutcome, type Splice, type TextEdit } from './edit.ts'

/** What runs a script in place of its `#!` line. */
export interface Polyglot {
  readonly interpreter: BundlePath
  /** The arguments of the `#!` line. */
  readonly flags: readonly Template[]
}

/** A template as a word of the shell, once the root is known. */
export const word = (template: Template): string =>
  template.map(part => (typeof part === 'string' ? quote(part) : '"$_storefree_root"')).join('') || "''"

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

/** The statement, with a separator behind it. */
export function setup(place: BundlePath, polyglot: Polyglot | null): string {
  const up = `"$_storefree_up"${quote(`/${place}`)}`
  const again = polyglot === null ? '' : runAgain(place, polyglot)
  return joined(`${FIND}${REST}`).replace(/@(AGAIN|PLACE)@/g, (_, name) => (name === 'AGAIN' ? again : up))
}

/** The part of the statement after which the root is known; `$0` is the file. */
export const find = (place: BundlePath): string =>
  joined(FIND).replaceAll('@PLACE@', () => `"$_storefree_up"${quote(`/${place}`)}`)

// $(...) drops newlines at the end of a directory's name, so an x is put behind it and taken off again.
// `$_` is kept for scripts that ask with it whether they are sourced.
const FIND = `
_storefree_state=$?:\${_-};
_storefree_root=$(
  unset -f cd command printf readlink 2>/dev/null || :;
  _storefree_self=\${BASH_SOURCE:-$0};
  [ -z "\${ZSH_VERSION-}" ] || eval '_storefree_self=\${(%):-%x}';
  case $_storefree_self in
    */*) ;;
    *) if [ -e "./$_storefree_self" ]; then _storefree_self=./$_storefree_self;
      else _storefree_self=$(command -v -- "$_storefree_self") || :; fi ;;
  esac;
  _storefree_way=$_storefree_self;
  while :; do
    if CDPATH= \\cd -P -- "\${_storefree_self%/*}/" >/dev/null 2>&1; then
      _storefree_self=$PWD/\${_storefree_self##*/};
      _storefree_up=\${PWD%/};
      while ! [ -e @PLACE@ ] && [ -n "$_storefree_up" ]; do _storefree_up=\${_storefree_up%/*}; done;
      [ -e @PLACE@ ] && break;
      if [ -h "$_storefree_self" ] && _storefree_link=$(readlink -- "$_storefree_self" 2>/dev/null && echo x); then
        _storefree_link=\${_storefree_link%??};
        case $_storefree_link in
          /*) _storefree_self=$_storefree_link ;;
          *) _storefree_self=\${_storefree_self%/*}/$_storefree_link ;;
        esac;
        continue;
      fi;
    fi;
    _storefree_up=\${_storefree_root-};
    [ -n "$_storefree_up" ] && [ -e @PLACE@ ] && break;
    echo "$0: cannot find its bundle: run it from inside the unpacked bundle, or by a link to it (needs readlink)" >&2;
    exit 127;
  done;
  case $_storefree_way:$_storefree_up in /*:*[!A-Za-z0-9/._+=@~-]*)
    while [ -n "$_storefree_way" ] && ! [ "$_storefree_way/" -ef "$_storefree_up/" ] 2>/dev/null; do
      _storefree_way=\${_storefree_way%/*};
    done;
    _storefree_way=\${_storefree_way%"\${_storefree_way##*[!/]}"};
    case $_storefree_way in '' | *[!A-Za-z0-9/._+=@~-]*) ;; *) _storefree_up=$_storefree_way ;; esac ;;
  esac;
  printf %sx "$_storefree_up"
) || return 127 2>/dev/null || exit 127;
_storefree_root=\${_storefree_root%x};
`
const REST = `
@AGAIN@
: "\${_storefree_state#*:}";
case $_storefree_state in 0:*) ;; *) (exit "\${_storefree_state%%:*}") && : ;; esac;
`

/** A file's own path, its directory and the path under the name that it was called by; words of the shell. */
function paths(place: BundlePath): { own: string; directory: string; called: string } {
  const slash = place.lastIndexOf('/')
  const directory = `"$_storefree_root"${slash < 0 ? '' : quote(`/${place.slice(0, slash)}`)}`
  return { own: `"$_storefree_root"${quote(`/${place}`)}`, directory, called: `${directory}"/\${0##*/}"` }
}

/**
 * The part behind `find` that sets `_storefree_self` to the path that a file is told: the one it was called by; where
 * that is a link elsewhere, the one in its package, if it goes by that name there.
 */
export function nameInPackage(place: BundlePath): string {
  const { own, directory, called } = paths(place)
  return joined(`
    _storefree_self=$0;
    [ "\${0%/*}/" -ef ${directory} ] 2>/dev/null ||
      if [ ${called} -ef ${own} ] 2>/dev/null; then _storefree_self=${called}; fi;
  `)
}

function runAgain(place: BundlePath, { interpreter, flags }: Polyglot): string {
  // What it looks for beside itself is there.
  const { own, called } = paths(place)
  const program = `"$_storefree_root"${quote(`/${interpreter}`)}`
  const exec = `exec ${program} ${flags.map(flag => `${word(flag)} `).join('')}`
  return joined(`
    if [ "\${1-}" = ${AGAIN} ]; then shift;
    elif [ "\${BASH-}" != ${program} ] && if [ -n "\${BASH_SOURCE-}" ]; then [ "$BASH_SOURCE" = "$0" ];
      elif [ / -ef / ] 2>/dev/null; then [ "$0" -ef ${own} ];
      else [ "\${0##*/}" = ${quote(baseName(place))} ]; fi;
    then
      if [ ${called} -ef ${own} ] 2>/dev/null; then ${exec}${called} ${AGAIN} "$@";
      else ${exec}"$0" ${AGAIN} "$@"; fi;
    fi;
  `)
}

/** The first argument of the second start. */
const AGAIN = '_storefree_again'

/**
 * An edit with the statement put in, and for a polyglot the first line.
 * @param polyglot parses the text of one; null for others
 */
export function withSetup(
  text: string,
  sites: readonly Site[],
  edit: TextEdit,
  statement: string,
  polyglot: (() => ParsedScript) | null,
): TextEdit {
  // zsh looks for what completes what in the first line.
  const shebang = text.startsWith('#!') || /^#(?:compdef|autoload)\b/.test(text)
  const end = text.indexOf('\n')
  const first = !shebang ? 0 : end < 0 ? text.length : end
  // Where the statement goes, and what has to stand around it.
  const offset = shebang ? Math.min(first + 1, text.length) : 0
  const before = shebang && end < 0 ? '\n' : ''
  const after = polyglot && !readBySh(text, polyglot, offset) ? '\n' : ' '
  const put: Splice = { offset, length: 0, text: `${before}${statement}${after}` }
  if (!polyglot) return { ...edit, splices: inserted(edit.splices, put) }

  return withFirstLine(sites, edit, first, shebang ? '#!/bin/sh' : '#!/bin/sh\n', put)
}

/** An edit with another first line, of which `first` bytes go, and something put in. */
export function withFirstLine(
  sites: readonly Site[],
  edit: TextEdit,
  first: number,
  text: string,
  put: Splice,
): TextEdit {
  const line: Splice = { offset: 0, length: first, text }
  const kept = edit.splices.filter(splice => splice.offset >= first)
  const outcomes = edit.outcomes.map((outcome, i): SiteOutcome => {
    const site = sites[i]
    return site !== undefined && site.offset < first && site.to !== null ? 'templated' : outcome
  })
  return { splices: [line, ...inserted(kept, put)], outcomes, refusals: edit.refusals.filter(r => r.offset >= first) }
}

function inserted(splices: readonly Splice[], put: Splice): Splice[] {
  const at = splices.findIndex(splice => splice.offset >= put.offset)
  return at < 0 ? [...splices, put] : [...splices.slice(0, at), put, ...splices.slice(at)]
}

/**
 * Whether any `/bin/sh` can read what else is on the line at `offset`: a shell reads a whole line before it runs the
 * first command of it. Else the rest moves to a line of its own.
 */
function readBySh(text: string, parsed: () => ParsedScript, offset: number): boolean {
  const newline = text.indexOf('\n', offset)
  const end = newline < 0 ? text.length : newline
  if (/^[ \t]*(?:#|$)/.test(text.slice(offset, end))) return true
  const onLine = parsed().commands.filter(statement => statement.pos >= offset && statement.pos <= end)
  return onLine.every(statement => statement.end <= end && plain(statement))
}

/** Nodes of which every shell knows every form. */
const PLAIN: ReadonlySet<SyntaxNode['type']> = new Set<SyntaxNode['type']>([
  'Script',
  'Statement',
  'AndOr',
  'Pipeline',
  'Negation',
  'Command',
  'Word',
  'Literal',
  'Glob',
  'SingleQuoted',
  'DoubleQuoted',
  'SimpleExpansion',
  'ParameterExpansion',
  'Default',
  'Remove',
  'CommandExpansion',
  'Assignment',
  'Redirect',
  'FileDescriptor',
])

function plain(node: SyntaxNode): boolean {
  if (!PLAIN.has(node.type)) return false
  if (node.type === 'Assignment' && (node.append || node.index)) return false
  if (node.type === 'ParameterExpansion' && (node.index || node.prefix === '!')) return false
  if (node.type === 'Redirect' && node.operator.startsWith('&')) return false
  let whole = true
  forEachChild(node, child => {
    whole = plain(child) && whole
  })
  return whole
}
