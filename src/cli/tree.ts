/** `bundle tree TARGET|BUNDLE`: what needs what. */
import type { Command } from 'commander'
import { EXIT } from '../exit.ts'
import type { NeedKind } from '../model/explained.ts'
import { type AskedOptions, askedOf, parseNeedKinds, SUBJECT, withAsked } from './asked.ts'
import { print, wholeNumber } from './output.ts'

type TreeOptions = AskedOptions & { depth: number; files?: boolean; reverse?: string; kind?: readonly NeedKind[] }

export function addTree(program: Command): void {
  withAsked(program.command('tree'))
    .description('show what needs what: what loaders do, then data; ^ is shown above, a dotted line need not be there')
    .argument('<target>', SUBJECT)
    .option('--depth <n>', 'levels that are shown', wholeNumber(0), 60)
    .option('--files', 'each file of a directory')
    .option('--reverse <name>', 'who needs this')
    .option('--kind <kinds>', 'only steps of these kinds', parseNeedKinds)
    .action(async (word: string, options: TreeOptions) => {
      const { explained, pipeline } = await askedOf(word, options)
      const { depth, files = false, reverse, kind = [] } = options
      const how = { depth, files, kinds: kind }
      const roots =
        reverse === undefined ? pipeline.treeOf(explained, how) : pipeline.reverseTreeOf(explained, reverse, how)
      if (options.json) print(pipeline.treeJson(explained, roots ?? []))
      else if (roots === null) process.stderr.write(`${reverse} is not in the bundle\n`)
      else if (!options.quiet) print(pipeline.treeText(explained, roots, reverse !== undefined))
      process.exitCode = roots === null ? EXIT.findings : EXIT.ok
    })
}
