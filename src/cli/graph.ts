/** `bundle graph TARGET|BUNDLE`: a picture of what needs what. */
import { type Command, Option } from 'commander'
import { EXIT } from '../exit.ts'
import type { NeedKind } from '../model/explained.ts'
import { type AskedOptions, askedOf, parseNeedKinds, SUBJECT, withAsked } from './asked.ts'
import { print, wholeNumber } from './output.ts'

type GraphOptions = AskedOptions & {
  format?: 'dot' | 'mermaid' | 'svg' | 'json'
  by: 'package' | 'file'
  to?: string
  depth: number
  kind?: readonly NeedKind[]
}

export function addGraph(program: Command): void {
  withAsked(program.command('graph'))
    .description('draw what needs what; a dashed line need not be there')
    .argument('<target>', SUBJECT)
    .addOption(
      new Option('--format <format>', 'what is printed (default: dot)').choices(['dot', 'mermaid', 'svg', 'json']),
    )
    .addOption(new Option('--by <what>', 'nodes').choices(['package', 'file']).default('package'))
    .option('--to <name>', 'only what leads there')
    .option('--depth <n>', 'steps from the programs, or up from --to', wholeNumber(0), 1000)
    .option('--kind <kinds>', 'only needs of these kinds', parseNeedKinds)
    .action(async (word: string, options: GraphOptions) => {
      const { explained, pipeline } = await askedOf(word, options)
      const { by, to = null, depth, kind = [] } = options
      const format = options.format ?? (options.json ? 'json' : 'dot')
      const graph = pipeline.graphOf(explained, { by, to, depth, kinds: kind })
      if (graph === null) {
        process.stderr.write(`${to} is not in the bundle\n`)
        process.exitCode = EXIT.findings
        return
      }
      const { length } = graph.nodes
      if (format === 'json') print(pipeline.graphJson(explained, graph))
      else if (length > pipeline.NODES_SHOWN)
        throw new pipeline.BundleError('usage', `${length} nodes are more than a picture shows`, {
          hint: 'ask for a part of it with --to NAME or --depth N, for --by package, or for --format json',
        })
      else if (format === 'mermaid') print(pipeline.graphMermaid(explained, graph))
      else {
        const dot = pipeline.graphDot(explained, graph)
        print(format === 'svg' ? await pipeline.svgOf(dot) : dot)
      }
      process.exitCode = EXIT.ok
    })
}
