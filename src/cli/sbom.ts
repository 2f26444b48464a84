/** `bundle sbom TARGET|BUNDLE`: what exactly is shipped, as CycloneDX. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { EXIT } from '../exit.ts'
import { EDGES, FILES, type SbomOptions, SPECS } from '../model/sbom.ts'
import { type AskedOptions, SUBJECT, withAsked, withProgress } from './asked.ts'
import { load, print } from './output.ts'

type Options = AskedOptions &
  Pick<SbomOptions, 'spec' | 'files' | 'creator' | 'edges'> & { output?: string; check?: boolean; storePaths?: boolean }

export function addSbom(program: Command): void {
  withAsked(program.command('sbom'))
    .description('write a bill of materials: packages, files, digests, what needs what (CycloneDX)')
    .argument('<target>', SUBJECT)
    .option('-o, --output <file>', 'where it goes (default: standard output)')
    .addOption(new Option('--spec <version>', "CycloneDX's version").choices(SPECS).default('1.6'))
    .addOption(
      new Option('--files <which>', 'files in it: none, programs and libraries, all').choices(FILES).default('all'),
    )
    .addOption(
      new Option('--edges <whose>', 'dependencies: what files need of each other, what Nix keeps')
        .choices(EDGES)
        .default('files'),
    )
    .option('--store-paths', 'put store paths and derivations in it, of a target')
    .option('--creator <who>', 'who makes the document: a URL, a mail address, or NAME <URL or address>', parseCreator)
    .option('--check', 'say what BSI TR-03183-2 asks for and is missing; exit code 1 when something is')
    .action(async (word: string, options: Options) => {
      const pipeline = load()
      const { output, spec, files, creator, edges, storePaths = false, check = false, ...how } = options
      const { text, sbom, contradictions, unknown } = await withProgress(how, pipeline, how =>
        pipeline.sbomFor(word, { spec, files, creator, edges, storePaths }, how),
      )
      if (options.verbose)
        for (const { package: name, path, files: said, at } of contradictions)
          process.stderr.write(`note: ${name}: its path says ${path ?? 'no version'}, ${at} says ${said}\n`)
      if (!options.quiet && unknown.length > 0) process.stderr.write(`warning: ${unknownText(unknown)}\n`)
      const missing = check ? pipeline.missingIn(sbom) : []
      if (output !== undefined) pipeline.writeFile(pipeline.outputPath(output, process.cwd()), text)
      else if (!check) process.stdout.write(text)
      if (check && !options.quiet) print(pipeline.missingText(missing))
      process.exitCode = missing.length > 0 ? EXIT.findings : EXIT.ok
    })
}

/** Names of files that a message has. */
const EXAMPLES = 3

const unknownText = (places: readonly string[]): string =>
  `of ${places.length} files of a machine it does not say what package they are of: ${places.slice(0, EXAMPLES).join(', ')}${places.length > EXAMPLES ? ', ...' : ''}`

function parseCreator(text: string): string {
  const [, address = text] = /^[^<>\s][^<>\x00-\x1f]* <([^<>]+)>$/.exec(text) ?? []
  if (!/^(?:https?:\/\/[^\s/]+(?:\/\S*)?|[^\s@]+@[^\s@]+)$/.test(address))
    throw new InvalidArgumentError('a URL (https://...), a mail address, or NAME <one of these> is wanted')
  return text
}
