/** Completions for zsh, by its _arguments. */
import type { Described, DescribedCommand, DescribedOption, DescribedValue } from '../described.ts'

/** The text of a completion for zsh: a file `_bundle` in a directory of $fpath, or sourced. */
export function zshCompletion({ name, commands }: Described): string {
  return `#compdef bundle storefree
# ${name}: completion for zsh, made by \`${name} completions zsh\`.
_${name}() {
  local command=make
  local -a commands
  commands=(
${commands.map(c => `    ${quoted(`${c.name}:${c.text}`)}`).join('\n')}
  )
  if (( CURRENT > 2 )) && (( \${commands[(I)\${(b)words[2]}:*]} )); then
    command=$words[2]
    shift words
    (( CURRENT-- ))
  elif (( CURRENT == 2 )) && [[ $PREFIX != -* ]]; then
    _describe command commands
    _files
    return
  fi
  case $command in
${commands.map(commandCase).join('\n')}
  esac
}
if [[ \${funcstack[1]-} == _${name} ]]; then
  _${name} "$@"
else
  compdef _${name} bundle storefree
fi
`
}

function commandCase(command: DescribedCommand): string {
  const specs = [
    ...command.options.flatMap(optionSpecs),
    ...command.arguments.map((argument, i) =>
      quoted(`${argument.variadic ? '*' : i + 1}:${plain(argument.name)}:${action(argument)}`),
    ),
  ]
  return `    ${command.name})\n      _arguments -s ${specs.map(spec => `\\\n        ${spec}`).join(' ')}\n      ;;`
}

function optionSpecs({ short, long, text, value, repeatable }: DescribedOption): string[] {
  const flags = short === null ? [long] : [short, long]
  const excluded = repeatable ? '*' : flags.length > 1 ? `(${flags.join(' ')})` : ''
  const argument = value === null ? '' : `:${plain(value.name)}:${action(value)}`
  return flags.map(flag => {
    // -oFILE and -o FILE, --output=FILE and --output FILE.
    const joined = value === null ? '' : flag.startsWith('--') ? '=' : '+'
    return quoted(`${excluded}${flag}${joined}[${plain(text)}]${argument}`)
  })
}

function action({ kind, name, words }: DescribedValue): string {
  if (kind === 'word') return `(${words.join(' ')})`
  if (kind === 'list') return `{_values -s , ${plain(name)} ${words.join(' ')}}`
  if (kind === 'file') return '_files'
  return kind === 'directory' ? '_files -/' : ' '
}

/** Without what _arguments takes for its own. */
const plain = (text: string): string => text.replace(/[\\:[\]]/g, '\\$&')
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`
