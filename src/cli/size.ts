/** `bundle size TARGET|BUNDLE`: what a bundle's bytes are spent on, and whether they are too many. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { EXIT } from '../exit.ts'
import { SIZES_BY, type SizeBy } from '../model/explained.ts'
import { parseSize } from '../size.ts'
import { type AskedOptions, askedOf, SUBJECT, sectionedOf, withAsked } from './asked.ts'
import { load, print, wholeNumber } from './output.ts'
import { writePage } from './report.ts'

type SizeOptions = AskedOptions & { by: SizeBy; top: number; max?: number; against?: string; html?: string }

export function addSize(program: Command): void {
  withAsked(program.command('size'))
    .description('say what the bytes of a bundle are spent on')
    .argument('<target>', SUBJECT)
    .addOption(new Option('--by <what>', 'rows').choices(SIZES_BY).default('package'))
    .option('--top <n>', 'rows that are shown', wholeNumber(1), 40)
    .option('--max <size>', 'exit code 1 when it is larger: 90MB, 512kB, bytes', sizeOf)
    .option('--against <bundle>', 'what grew, came and went since that bundle (or target)')
    .option('--html <file>', 'write a page for browsers too (bundle report)')
    .action(async (word: string, options: SizeOptions) => {
      const { by, top, max, against, html } = options
      const pipeline = load()
      const asked =
        by === 'section' ? await sectionedOf(word, options) : { ...(await askedOf(word, options)), sections: null }
      const { explained } = asked
      const sections = asked.sections && pipeline.sectionSizes(explained, asked.sections)
      if (html !== undefined) writePage(pipeline, explained, [], html)
      const size = pipeline.sizeOf(explained)
      const other = against === undefined ? null : (await askedOf(against, options)).explained
      const changes = other === null ? [] : pipeline.changes(other, explained, by === 'file' ? 'file' : 'package')
      const before = other === null ? 0 : pipeline.sizeOf(other).bytes
      if (options.json)
        print(pipeline.sizeJson(explained, size, max ?? null, other && { bytes: before, changes }, sections))
      else if (!options.quiet)
        print(
          other === null
            ? pipeline.sizeText(explained, size, by, top, sections)
            : pipeline.changesText(changes, before, size.bytes, top),
        )
      const isTooLarge = max !== undefined && size.bytes > max
      if (isTooLarge) process.stderr.write(`error: ${size.bytes} bytes are more than ${max} (--max)\n`)
      process.exitCode = isTooLarge ? EXIT.findings : EXIT.ok
    })
}

function sizeOf(text: string): number {
  const size = parseSize(text)
  if (size === null) throw new InvalidArgumentError('a size is wanted, such as 90MB, 512kB, 10MiB or bytes')
  return size
}
