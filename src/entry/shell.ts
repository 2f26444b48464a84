/**
 * The shell launcher: a `/bin/sh` script that does what the native launcher does (launcher.c), for any CPU and system.
 * POSIX only, and less: dash, busybox' sh, mksh and bash from 3.2 on run it. It starts no other program.
 *
 * It finds the bundle's root by walking up from where it was started until its own place is below. So links inside the
 * bundle cost no tool, and only a link from outside needs `readlink`. That is done in a subshell, which is free to unset
 * functions that bash took over from its caller (`export -f cd`): they reach the program.
 *
 * How it differs from the native launcher, because a shell stands between the caller and the program:
 * - The caller's argv[0] cannot be known. It is `$0`, the path that was run, with the name of the link it was run by.
 * - The program's argv[0] is its own path, unless the shell can say otherwise (`exec -a`: bash, busybox), or its loader.
 *   These two are known by `FUNCNAME`, which costs no process and is no variable of anybody's environment.
 * - Shells set variables of their own: `PWD`, `OLDPWD`, `SHLVL`, `_`, and by the shell `IFS`, `OPTIND`, `PS1` to `PS4`.
 *   `PWD` is where the program starts, also after a change of directory.
 * - `PATH` and some more have a value in a shell where the caller has none, and a list then goes before or behind that.
 * - Of an environment that has a name twice, one is left. Strings whose name is no identifier are lost in some shells.
 * - `/proc/self/exe` and the process name of a program that its loader runs are the loader's.
 */
import type { EnvironmentOperation, LaunchTemplate, Part, Template } from './launcher.ts'

/**
 * Whether every shell can set a variable of that name: an identifier, and none that bash or mksh lets nobody write.
 */
export const isShellVariable = (name: string): boolean =>
  /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) &&
  !/^(?:BASHOPTS|BASH_VERSINFO|EUID|LINENO|OPTIND|PPID|SHELLOPTS|UID|_|_storefree_.*)$/.test(name)

/** By which a launcher is told from other scripts. */
export const SHELL_LAUNCHER_LINE = '# Starts a program of this bundle, wherever the bundle lies.'

/**
 * A launcher: the text of a script.
 * @throws Error when a string holds NUL, or a name is not what `isShellVariable` lets through
 */
export function shellLauncher(template: LaunchTemplate): Buffer {
  const { program, argv0, before, after, directory } = template
  const environment = template.environment.filter(change => change.op !== 'set-started')
  const name = word(argv0)
  const called = [program, ...before, ...after].flat().find(isCalled)
  const lines = [
    '#!/bin/sh',
    SHELL_LAUNCHER_LINE,
    FIND.replaceAll('@AT@', () => quote(`/${template.at}`)),
    ...(environment.some(isSearching) ? [PUT] : []),
    ROOT,
    ...(called === undefined ? [] : [nameOf(called.called)]),
    ...environment.flatMap(operation),
    ...(directory === null ? [] : [`CDPATH= command cd -P -- ${word(directory, './')} || exit 127`]),
    `set -- ${[program, ...before].map(t => word(t)).join(' ')} "$@"${after.map(t => ` ${word(t)}`).join('')}`,
    ...(name === word(program) ? [CLEAR, 'exec "$@"'] : start(name)),
  ]
  return Buffer.from(`${lines.join('\n')}\n`, 'latin1')
}

/** The lines that execute `"$@"` under another name, a word, where the shell can do that. */
const start = (name: string): string[] => [
  ...(name.includes(ROOT_VALUE) ? [`_storefree_name=${name}`] : []),
  CLEAR,
  START.replace('@NAME@', () => (name.includes(ROOT_VALUE) ? '"$_storefree_name"' : name)),
]

// ---- Words -------------------------------------------------------------------------------------------------------

const ROOT_VALUE = '"$_storefree_root"'

/** A template as one word of the script. @param relative what is put before a text that is no absolute path */
function word(template: Template, relative = ''): string {
  const [first] = template.filter(p => p !== '')
  const isRelative = typeof first !== 'object' && !first?.startsWith('/')
  const words = [...(isRelative ? [relative] : []), ...template].filter(p => p !== '').map(part)
  return words.join('') || "''"
}

// `$0` is the caller's argv[0] as well, as far as a script can know it.
function part(value: Part): string {
  if (typeof value === 'string') return quote(value)
  if (isCalled(value)) return '"$_storefree_called"'
  return 'root' in value ? ROOT_VALUE : '"$0"'
}

type Called = Extract<Part, { called: readonly string[] }>
const isCalled = (value: Part): value is Called => typeof value === 'object' && 'called' in value

/** The line that finds the name a script goes by. */
function nameOf([first = '', ...others]: readonly string[]): string {
  const patterns = others.map(quote).join(' | ')
  return `case \${0##*/} in ${patterns}) _storefree_called=\${0##*/} ;; *) _storefree_called=${quote(first)} ;; esac`
}

function quote(text: string): string {
  if (/[^\x01-\xff]/.test(text)) throw new Error('a string of a launcher is a byte string without NUL')
  return `'${text.replaceAll("'", "'\\''")}'`
}

// ---- The environment ---------------------------------------------------------------------------------------------

type ListOperation = Extract<EnvironmentOperation<Template>, { op: 'prefix' | 'suffix' }>

const isSearching = (change: EnvironmentOperation<Template>): boolean =>
  (change.op === 'prefix' || change.op === 'suffix') && change.rule.endsWith('unique')

function operation(change: EnvironmentOperation<Template>): string[] {
  const { name } = change
  if (!isShellVariable(name)) throw new Error(`not a variable's name in a shell: '${name}'`)
  switch (change.op) {
    case 'set':
      return [`export ${name}=${word(change.value)}`]
    case 'set-default':
      return [`case \${${name}+x} in '') export ${name}=${word(change.value)} ;; esac`]
    case 'unset':
      return [`unset -v ${name}`] // else bash unsets a function where there is no variable
    default:
      return list(change)
  }
}

function list(change: ListOperation): string[] {
  const { op, name, separator, rule, value } = change
  if (isSearching(change)) {
    const place = op === 'prefix' ? 'first' : 'last'
    const given = `"\${${name}-}" "\${${name}+x}" ${quote(separator)} ${word(value)}`
    return [`_storefree_put ${rule.replace('-', '_')} ${place} ${given}`, `export ${name}="$_storefree_list"`]
  }
  const when = rule === 'set' ? '+' : ':+'
  const sum =
    op === 'prefix'
      ? `${word(value)}"\${${name}${when}$_storefree_separator$${name}}"`
      : `"\${${name}${when}$${name}$_storefree_separator}"${word(value)}`
  return [`_storefree_separator=${quote(separator)}`, `export ${name}=${sum}`]
}

// ---- The script's parts ------------------------------------------------------------------------------------------

// $(...) drops newlines at the end of a directory's name, so an x is put behind it and taken off again. It is a function
// because bash 3.2 cannot read a `case` inside of $(...).
const FIND = `_storefree_find() {
  unset -f cd pwd test echo command readlink
  _storefree_self=$0
  case $_storefree_self in */*) ;; *) _storefree_self=./$_storefree_self ;; esac
  while :; do
    _storefree_root=$(CDPATH= cd -P -- "\${_storefree_self%/*}/" && pwd -P && echo x) || return 127
    _storefree_root=\${_storefree_root%??}
    while ! test -f "$_storefree_root"@AT@ && test -n "$_storefree_root"; do
      _storefree_root=\${_storefree_root%/*}
    done
    if test -f "$_storefree_root"@AT@; then
      CDPATH= cd -P -- "$_storefree_root/" && pwd -P && echo x
      return
    fi
    if ! test -h "$_storefree_self" || ! command -v readlink >/dev/null; then
      echo "$0: cannot find its bundle: run it from inside the unpacked bundle, or by a link to it (needs readlink)" >&2
      return 127
    fi
    _storefree_link=$(readlink -- "$_storefree_self" && echo x) || return 127
    _storefree_link=\${_storefree_link%??}
    case $_storefree_link in
      /*) _storefree_self=$_storefree_link ;;
      *) _storefree_self=\${_storefree_self%/*}/$_storefree_link ;;
    esac
  done
}`

const VARIABLES =
  '_storefree_root _storefree_called _storefree_separator _storefree_list _storefree_head _storefree_tail _storefree_locale'

// What the caller has exported under these names would be exported again.
const ROOT = `unset -v ${VARIABLES} _storefree_name
_storefree_root=$(_storefree_find) || exit 127
_storefree_root=\${_storefree_root%??}
_storefree_root=\${_storefree_root%/}`

/**
 * put_into_list of launcher.c, by bytes: in other locales than C, shells compare characters. Arguments: the rule,
 * `first` or `last`, the list, x if it is set, separator, element. The new list is in a variable. What comes behind a
 * text is found block by block: shells try a prefix of every length, which takes seconds in a list of 100 KiB.
 */
const PUT = `_storefree_behind() {
  while :; do
    case $2 in @BLOCK@*) set -- "\${1#@BLOCK@}" "\${2#@BLOCK@}" ;; *) break ;; esac
  done
  _storefree_tail=\${1#"$2"}
}
_storefree_put() {
  _storefree_locale=\${LC_ALL+x$LC_ALL}
  LC_ALL=C
  _storefree_list=$3
  "_storefree_$1" "$@"
  case $_storefree_locale in
    '') unset -v LC_ALL ;;
    *) LC_ALL=\${_storefree_locale#x} ;;
  esac
}
_storefree_unique() {
  case $3 in ?*) _storefree_list=$5$3$5 ;; esac
  case $_storefree_list in
    *"$5$6$5"*)
      case $2 in first)
        _storefree_head=\${_storefree_list%%"$5$6$5"*}
        _storefree_behind "$_storefree_list" "$_storefree_head$5$6"
        _storefree_list=$6$_storefree_head$_storefree_tail ;;
      esac ;;
    *)
      case $2 in
        first) _storefree_list=$6$_storefree_list ;;
        last) _storefree_list=$_storefree_list$6 ;;
      esac ;;
  esac
  _storefree_list=\${_storefree_list#"$5"}
  _storefree_list=\${_storefree_list%"$5"}
}
_storefree_set_unique() {
  case $4$3 in x*"$6"*)
    _storefree_head=\${3%%"$6"*}
    _storefree_behind "$3" "$_storefree_head$6"
    case $_storefree_head in '' | *"$5") case $_storefree_tail in '' | "$5"*)
      case $2$_storefree_head in first) return ;; esac
      case $2$_storefree_tail in last) return ;; esac
      case $2 in
        first) _storefree_list=\${_storefree_head%"$5"}$_storefree_tail ;;
        last) _storefree_list=$_storefree_head\${_storefree_tail#"$5"} ;;
      esac ;;
    esac ;; esac ;;
  esac
  case $2 in
    first) _storefree_list=$6\${4:+$5}$_storefree_list ;;
    last) _storefree_list=$_storefree_list\${4:+$5}$6 ;;
  esac
}`.replaceAll('@BLOCK@', '?'.repeat(64))

// A shell that exports all (`set -a`) exports functions too.
const CLEAR = `unset -v ${VARIABLES}
unset -f _storefree_find _storefree_behind _storefree_put _storefree_unique _storefree_set_unique`

const START = `_storefree_start() {
  case \${FUNCNAME-} in
    _storefree_start) unset -f _storefree_start && exec -a @NAME@ "$@" ;;
    *) exec "$@" ;;
  esac
}
_storefree_start "$@"`
