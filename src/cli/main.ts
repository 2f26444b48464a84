/**
 * The command line: argv -> options -> one call -> report -> exit code. Standard output is the result, standard error
 * is progress and messages.
 */
import { CommanderError } from 'commander'
import type { BundleError } from '../errors.ts'
import { EXIT } from '../exit.ts'
import { commandOf } from './commands.ts'
import { isSmart, load, loaded, print } from './output.ts'
import { programOf } from './program.ts'

/** The command line as Node has it, and the command to trace that stands behind `--` with `--trace`. */
const [words, traced] = splitTraced(process.argv)

function splitTraced(argv: readonly string[]): [string[], string[]] {
  const dashes = argv.indexOf('--')
  const isTraced = dashes >= 0 && argv.slice(0, dashes).includes('--trace')
  return isTraced ? [argv.slice(0, dashes), argv.slice(dashes + 1)] : [[...argv], []]
}

const program = programOf(traced, commandOf(words[2]))

/** Whether all work is done, and its exit code set. */
let finished = false

/** The last act on a signal: nothing half-made is left, no tool runs on. */
function onSignal(signal: NodeJS.Signals, code: number): void {
  process.once(signal, () => {
    // What is published stays, whatever comes between that and our end.
    if (finished) process.exit()
    loaded()?.cleanUp()
    if (isSmart(process.stderr)) process.stderr.write('\r\x1b[2K')
    process.stderr.write('interrupted: nothing was written\n')
    process.exit(code)
  })
}

async function main(): Promise<void> {
  onSignal('SIGINT', EXIT.interrupted)
  onSignal('SIGTERM', 143)
  onSignal('SIGHUP', 129)
  // Whoever reads our output may have enough of it (`| head`).
  process.stdout.on('error', error => {
    if ('code' in error && error.code === 'EPIPE') process.exit()
    throw error
  })
  try {
    await program.parseAsync(words)
    finished = true
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.failed
      // What was said of it stands on standard error.
      const message = error.message.replace(/^error: /, '')
      if (error.exitCode !== 0 && words.includes('--json'))
        print(load().jsonError({ code: 'usage', message, hint: 'bundle --help for the options' }))
    } else if (isBundleError(error)) {
      const { errorText, jsonError } = load()
      if (words.includes('--json')) print(jsonError(error))
      process.stderr.write(`${errorText(error)}\n`)
      process.exitCode = error.code === 'interrupted' ? EXIT.interrupted : EXIT.failed
    } else throw error
  }
}

function isBundleError(error: unknown): error is BundleError {
  const pipeline = loaded()
  return pipeline !== undefined && error instanceof pipeline.BundleError
}

void main()
