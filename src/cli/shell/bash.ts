/** Completions for bash, 3.2 (macOS) and later. */
import type { Described, DescribedCommand, DescribedValue } from '../described.ts'

/** The text of a completion for bash. */
export function bashCompletion({ name, commands }: Described): string {
  const names = commands.map(command => command.name)
  return `# ${name}: completion for bash, made by \`${name} completions bash\`.
_${name}() {
  local word=\${COMP_WORDS[COMP_CWORD]} before= command=make at
  COMPREPLY=()
  (( COMP_CWORD > 0 )) && before=\${COMP_WORDS[COMP_CWORD-1]}
  # bash takes --format=oci for three words.
  if [[ $word == = ]]; then word=
  elif [[ $before == = ]] && (( COMP_CWORD > 1 )); then before=\${COMP_WORDS[COMP_CWORD-2]}
  fi
  # What stands behind -- is a command of the user's own: files.
  for (( at = 1; at < COMP_CWORD; at++ )); do
    [[ \${COMP_WORDS[at]} == -- ]] && return
  done
  if (( COMP_CWORD > 1 )); then
    case \${COMP_WORDS[1]} in
      ${names.join('|')}) command=\${COMP_WORDS[1]} ;;
    esac
  elif [[ $word != -* ]]; then
    COMPREPLY=( $(compgen -W '${names.join(' ')}' -- "$word") )
    return
  fi
  case $command in
${commands.map(command => commandCase(name, command)).join('\n')}
  esac
}
# Words of a list with commas between them: those before the last stay.
_${name}_list() {
  local prefix=
  [[ $2 == *,* ]] && prefix=\${2%,*},
  COMPREPLY=( $(compgen -P "$prefix" -W "$1" -- "\${2##*,}") )
}
complete -o default -F _${name} bundle storefree
`
}

function commandCase(program: string, command: DescribedCommand): string {
  const flags = command.options.flatMap(({ short, long }) => [short, long]).filter(flag => flag !== null)
  const values = command.options.flatMap(({ short, long, value }) =>
    value === null
      ? []
      : [`        ${short === null ? '' : `${short}|`}${long}) ${valueCommand(program, value)}return ;;`],
  )
  const words = command.arguments.find(argument => argument.kind === 'word')?.words
  return [
    `    ${command.name})`,
    ...(values.length === 0 ? [] : ['      case $before in', ...values, '      esac']),
    ...(flags.length === 0
      ? []
      : [`      [[ $word == -* ]] && COMPREPLY=( $(compgen -W '${flags.join(' ')}' -- "$word") )`]),
    ...(words === undefined
      ? []
      : [`      [[ $word != -* ]] && COMPREPLY=( $(compgen -W '${words.join(' ')}' -- "$word") )`]),
    '      ;;',
  ].join('\n')
}

/** Files are what readline completes when we have nothing. */
function valueCommand(program: string, { kind, words }: DescribedValue): string {
  if (kind === 'word') return `COMPREPLY=( $(compgen -W '${words.join(' ')}' -- "$word") ); `
  if (kind === 'list') return `_${program}_list '${words.join(' ')}' "$word"; `
  if (kind === 'file') return ''
  // bash 3.2 has no compopt.
  return kind === 'directory' ? 'compopt +o default -o dirnames 2> /dev/null; ' : 'compopt +o default 2> /dev/null; '
}
