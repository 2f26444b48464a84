/** `bundle help [TOPIC]`: a command's options, or what goes for several commands. */
import type { Command } from 'commander'
import { EXIT } from '../exit.ts'
import { nearest } from './nearest.ts'
import { load, print } from './output.ts'
import { helpNames, TOPICS } from './topics.ts'

export function addHelp(program: Command): void {
  program
    .command('help')
    .description('tell of a command or a topic; without one, which there are')
    .argument('[topic]', `a command, or one of ${TOPICS.map(topic => topic.name).join(', ')}`)
    .action((name?: string) => {
      print(name === undefined ? contents(program) : about(program, name))
      process.exitCode = EXIT.ok
    })
}

function about(program: Command, name: string): string {
  const command = program.commands.find(c => c.name() === name)
  if (command !== undefined) return command.helpInformation().trimEnd()
  const topic = TOPICS.find(t => t.name === name)
  if (topic !== undefined) return `${topic.name}: ${topic.about}\n\n${topic.text}`
  const meant = nearest(name, helpNames(program))
  throw new (load().BundleError)('usage', `${name}: neither a command nor a topic`, {
    hint: meant === null ? 'bundle help says which there are' : `bundle help ${meant}`,
  })
}

function contents(program: Command): string {
  const rows = (all: readonly { name: string; about: string }[]): string[] =>
    all.map(({ name, about: text }) => `  ${name.padEnd(13)}${text}`)
  return [
    'Commands:',
    ...rows(program.commands.map(command => ({ name: command.name(), about: command.description() }))),
    '',
    'Topics:',
    ...rows(TOPICS),
    '',
    'bundle help NAME tells of one; man bundle, or bundle man, of all options.',
  ].join('\n')
}
