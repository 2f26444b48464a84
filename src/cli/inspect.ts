/** `bundle inspect FILE...`: what a file is, what it needs, which store paths it names. Runs nothing. */
import type { Command } from 'commander'
import { EXIT } from '../exit.ts'
import { load, type OutputOptions, print, withOutput } from './output.ts'

export function addInspect(program: Command): void {
  withOutput(program.command('inspect'))
    .description('say what a program, library, script, wrapper or archive is and needs, and which store paths it names')
    .argument('<file...>', 'files, or bundles, archives and images; nothing of them is run')
    .action(async (words: string[], options: OutputOptions) => {
      const pipeline = load()
      const all = await Promise.all(words.map(word => pipeline.inspectWord(word)))
      if (options.json) print(pipeline.inspectJson(all))
      else if (!options.quiet)
        print(
          all
            .map(seen =>
              'held' in seen ? pipeline.heldText(seen.held) : pipeline.inspectText(seen.inspection, seen.partAt),
            )
            .join('\n\n'),
        )
      process.exitCode = EXIT.ok
    })
}
