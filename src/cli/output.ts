/** What the commands share: the options that say how much is said, the pipeline behind them, and printing. */
import { type Command, InvalidArgumentError } from 'commander'
import type { Progress } from '../io/progress.ts'
import type { Finding } from '../model/findings.ts'
import type * as Pipeline from './pipeline.ts'

export type { Pipeline }

/** The built pipeline.ts, beside this file. Named by a variable, so that it is not built into it. */
const PIPELINE: string = './pipeline.cjs'
/** Of the CommonJS that this file is built to: `import()` would first look through a megabyte for names of exports. */
declare const require: (path: string) => typeof Pipeline
let pipeline: typeof Pipeline | undefined

/** Everything that does work: --version and --help need none of it. */
export function load(): typeof Pipeline {
  if (pipeline === undefined) {
    pipeline = require(PIPELINE)
    pipeline.forShortRuns()
  }
  return pipeline
}

/** The pipeline if there was work to do. */
export const loaded = (): typeof Pipeline | undefined => pipeline

export interface OutputOptions {
  json?: boolean
  quiet?: boolean
  verbose?: boolean
}

export const withOutput = (command: Command): Command =>
  command
    .option('--json', 'print one JSON document on standard output')
    .option('-q, --quiet', 'print nothing but errors')
    .option('-v, --verbose', 'print notes too')

/** Takes in an option that may stand several times. */
export function collect(glob: string, before: readonly string[] = []): string[] {
  return [...before, glob]
}
/** What describes the option (described.ts) sees by this. */
collect.repeatable = true

/** Takes in a number of things. */
export const wholeNumber =
  (min: number, max?: number) =>
  (text: string): number => {
    const n = Number(text)
    if (Number.isInteger(n) && n >= min && n <= (max ?? n)) return n
    throw new InvalidArgumentError(`a whole number${max === undefined ? '' : ` from ${min} to ${max}`} is wanted`)
  }

/**
 * Whether a line can be written over: a terminal, and not a dumb one (Emacs, some CI). Nothing else that we write is more
 * than text: no colours, whatever NO_COLOR and CLICOLOR_FORCE say.
 */
export const isSmart = (stream: NodeJS.WriteStream): boolean => stream.isTTY && process.env.TERM !== 'dumb'

export const progressFor = ({ json, quiet }: OutputOptions, { silent, terminalProgress }: typeof Pipeline): Progress =>
  isSmart(process.stderr) && !json && !quiet && !process.env.CI ? terminalProgress(process.stderr) : silent

export function printFindings(
  findings: readonly Finding[],
  { json, quiet, verbose }: OutputOptions,
  { line }: typeof Pipeline,
): void {
  if (json) return
  for (const finding of findings)
    if (finding.severity === 'error' || (!quiet && (finding.severity === 'warning' || verbose)))
      process.stderr.write(`${line(finding)}\n`)
}

export const print = (text: string): void => void process.stdout.write(`${text}\n`)
