/** What the commands share that ask of a target or a bundle. */
import { type Command, InvalidArgumentError } from 'commander'
import { type Explained, NEED_KINDS, type NeedKind } from '../model/explained.ts'
import type { DataKind } from '../model/graph.ts'
import type { BundleOptions } from '../options.ts'
import { parseKinds } from './make.ts'
import { collect, load, type OutputOptions, type Pipeline, progressFor, withOutput } from './output.ts'

export const SUBJECT =
  'what bundle makes a bundle of, or a bundle: a directory, an archive, a package, an image, a single file, also where there is no Nix; - for one (or its bundle.json) on standard input'

export type AskedOptions = OutputOptions &
  Pick<
    BundleOptions,
    'file' | 'system' | 'nixArg' | 'program' | 'data' | 'include' | 'exclude' | 'licenses' | 'with' | 'prefix'
  > & { with?: readonly DataKind[] }

/** The options of `bundle` that change what a bundle holds. */
export const withAsked = (command: Command): Command =>
  withOutput(command)
    .option('--data <which>', 'as for bundle, of a target: auto, none, all')
    .option('--include <glob>', 'as for bundle (repeatable)', collect)
    .option('--exclude <glob>', 'as for bundle (repeatable)', collect)
    .option('--prefix <directory>', 'as for bundle')
    .option('--program <name>', 'as for bundle (repeatable)', collect)
    .option('--with <kinds>', 'as for bundle', parseKinds)
    .option('--licenses', 'as for bundle')
    .option('--file <file>', 'as for bundle')
    .option('--system <system>', 'as for bundle')
    .option('--nix-arg <argument>', 'as for bundle (repeatable)', collect)

/** Reads the bundle, or looks at the target as `bundle --dry-run` does. */
export async function askedOf(
  word: string,
  options: AskedOptions,
): Promise<{ explained: Explained; pipeline: typeof Pipeline }> {
  const pipeline = load()
  const explained = await withProgress(options, pipeline, how => pipeline.explained(word, how))
  return { explained, pipeline }
}

/** The same, and the sections of programs and libraries. */
export const sectionedOf = async (
  word: string,
  options: AskedOptions,
): Promise<Awaited<ReturnType<typeof Pipeline.sectioned>>> => {
  const pipeline = load()
  return withProgress(options, pipeline, how => pipeline.sectioned(word, how))
}

/** Asks, and shows meanwhile how far that is. */
export async function withProgress<T>(
  options: AskedOptions,
  pipeline: typeof Pipeline,
  ask: (how: BundleOptions) => Promise<T>,
): Promise<T> {
  const progress = progressFor(options, pipeline)
  const showNix = !options.quiet && !options.json && process.stderr.isTTY
  const answer = await ask({ ...options, progress, showNix })
  progress.done()
  return answer
}

/** Kinds of needs, with commas between them. */
export function parseNeedKinds(text: string): NeedKind[] {
  return text.split(',').map(word => {
    const kind = NEED_KINDS.find(k => k === word)
    if (kind === undefined) throw new InvalidArgumentError(`one or more of ${NEED_KINDS.join(', ')} is wanted`)
    return kind
  })
}
parseNeedKinds.words = NEED_KINDS
