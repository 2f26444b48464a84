/** `bundle report TARGET|BUNDLE --html FILE`: a page that shows what a bundle consists of, and why. */
import type { Command } from 'commander'
import { EXIT } from '../exit.ts'
import type { Explained } from '../model/explained.ts'
import { VERSION } from '../version.ts'
import { type AskedOptions, askedOf, SUBJECT, withAsked } from './asked.ts'
import type { Pipeline } from './output.ts'

export function addReport(program: Command): void {
  withAsked(program.command('report'))
    .description('write a page for browsers: what a bundle consists of and why; one file, without a network')
    .argument('<target>', SUBJECT)
    .requiredOption('--html <file>', 'where it goes')
    .action(async (word: string, options: AskedOptions & { html: string }) => {
      const { explained, pipeline } = await askedOf(word, options)
      writePage(pipeline, explained, [], options.html)
      process.exitCode = EXIT.ok
    })
}

/** @param shown ids of what the page shows first */
export function writePage(
  pipeline: typeof Pipeline,
  explained: Explained,
  shown: readonly number[],
  file: string,
): void {
  // Built beside this file, from page/.
  const [script, style] = ['page.js', 'page.css'].map(name => pipeline.readText(`${__dirname}/${name}`))
  const page = pipeline.pageHtml(explained, shown, `storefree ${VERSION}`, { script: script!, style: style! })
  pipeline.writeFile(pipeline.outputPath(file, process.cwd()), page)
}
