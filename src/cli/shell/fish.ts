/** Completions for fish, 3.0 and later. */
import type { Described, DescribedCommand, DescribedOption, DescribedValue } from '../described.ts'

/** The text of a completion for fish: a file in ~/.config/fish/completions, or sourced. */
export function fishCompletion({ name, commands }: Described): string {
  const lines = commands.flatMap(command => [
    `complete -c ${name} -n __${name}_first -a ${command.name} -d ${quoted(command.text)}`,
    ...command.options.map(option => optionLine(name, command, option)),
    ...command.arguments.flatMap(({ kind, words }) =>
      kind === 'word' ? [`complete -c ${name} -n '__${name}_on ${command.name}' -f -a ${quoted(words.join(' '))}`] : [],
    ),
  ])
  return `# ${name}: completion for fish, made by \`${name} completions fish\`.
function __${name}_on
    set -l words (commandline -opc)
    set -l command make
    if set -q words[2]; and contains -- $words[2] ${commands.map(command => command.name).join(' ')}
        set command $words[2]
    end
    # What stands behind -- is a command of the user's own.
    test $command = $argv[1]; and not contains -- -- $words
end
function __${name}_first
    test (count (commandline -opc)) -eq 1
end
${lines.join('\n')}
complete -c storefree -w ${name}
`
}

const optionLine = (
  program: string,
  command: DescribedCommand,
  { short, long, text, value }: DescribedOption,
): string =>
  [
    `complete -c ${program} -n '__${program}_on ${command.name}'`,
    ...(short === null ? [] : [`-s ${short.slice(1)}`]),
    `-l ${long.slice(2)}`,
    ...(value === null ? [] : [valueFlags(value)]),
    `-d ${quoted(text)}`,
  ].join(' ')

function valueFlags({ kind, words }: DescribedValue): string {
  if (kind === 'word') return `-x -a ${quoted(words.join(' '))}`
  if (kind === 'list') return `-x -a ${quoted(`(__fish_append , ${words.join(' ')})`)}`
  if (kind === 'file') return '-r -F'
  return kind === 'directory' ? `-x -a '(__fish_complete_directories)'` : '-x'
}

const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
