/** `bundle why TARGET|BUNDLE NAME...`: why something is in a bundle. */
import type { Command } from 'commander'
import { EXIT } from '../exit.ts'
import { NEED_KINDS, type NeedKind } from '../model/explained.ts'
import { type AskedOptions, askedOf, parseNeedKinds, SUBJECT, withAsked } from './asked.ts'
import { print } from './output.ts'
import { writePage } from './report.ts'

type WhyOptions = AskedOptions & { all?: boolean; users?: boolean; kind?: readonly NeedKind[]; html?: string }

/** Chains and files of one name that `--all` tells. */
const ALL = 20

export function addWhy(program: Command): void {
  withAsked(program.command('why'))
    .description('say why files, libraries or packages are in a bundle, and what would be without them')
    .argument('<target>', SUBJECT)
    .argument('<name...>', 'a package, soname, file, path or glob; exit code 1 when one of them is not in it')
    .option('-a, --all', `every chain, at most ${ALL}`)
    .option('--users', 'who else needs it')
    .option('--kind <kinds>', `only steps of these kinds: ${NEED_KINDS.join(',')}`, parseNeedKinds)
    .option('--html <file>', 'write a page for browsers too, which shows the first of them')
    .action(async (word: string, names: string[], options: WhyOptions) => {
      const { explained, pipeline } = await askedOf(word, options)
      const { all = false, users = false, kind = [] } = options
      const how = { chains: all ? ALL : 1, matches: all ? ALL : 3, kinds: kind }
      const answers = pipeline.why(explained, names, how)
      const first = answers.flatMap(answer => answer.matches.slice(0, 1).map(match => match.id))
      if (options.html !== undefined) writePage(pipeline, explained, first, options.html)
      if (options.json) print(pipeline.whyJson(explained, answers))
      else if (!options.quiet) print(pipeline.whyText(explained, answers, users))
      process.exitCode = answers.every(answer => answer.matchCount > 0) ? EXIT.ok : EXIT.findings
    })
}
