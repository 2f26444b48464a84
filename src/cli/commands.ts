/** The names of the commands; program.ts has what they are. */
export const COMMANDS = [
  ...(['make', 'verify', 'try', 'why', 'graph', 'inspect', 'size', 'report', 'sbom', 'tree'] as const),
  ...(['completions', 'man', 'help'] as const),
]
export type CommandName = (typeof COMMANDS)[number]

/** The command that a command line is of by its first word; a target is of `make`, and null is of an option. */
export function commandOf(word = ''): CommandName | null {
  if (word === '' || word.startsWith('-')) return null
  return COMMANDS.find(name => name === word) ?? 'make'
}
