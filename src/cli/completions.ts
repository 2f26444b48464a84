/** `bundle completions SHELL`: what has a shell complete our commands, options and their values. */
import { Argument, type Command } from 'commander'
import { EXIT } from '../exit.ts'
import { describedOf } from './described.ts'
import { load } from './output.ts'

export function addCompletions(program: Command): void {
  program
    .command('completions')
    .description('print completions for a shell')
    .addArgument(new Argument('<shell>', 'which one').choices(['bash', 'zsh', 'fish']))
    .action((shell: 'bash' | 'zsh' | 'fish') => {
      const { bashCompletion, zshCompletion, fishCompletion } = load()
      const completion = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion }[shell]
      process.stdout.write(completion(describedOf(program)))
      process.exitCode = EXIT.ok
    })
}
