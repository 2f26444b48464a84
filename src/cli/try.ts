/** `bundle try BUNDLE`: runs a program of a bundle in an empty root. */
import type { Command } from 'commander'
import type { TryOptions } from '../try/run.ts'
import { load, progressFor } from './output.ts'

/**
 * Adds the command.
 * @param traced the command to run where `--trace` stands before `--`
 */
export function addTry(program: Command, traced: readonly string[]): void {
  program
    .command('try')
    .description('run a program of a bundle in an empty root: no /nix, no libraries, no shell of this machine')
    .argument('<bundle>', 'a directory, an archive, an image or one file that bundle made')
    .argument(
      '[command...]',
      'a program of it with arguments, behind -- (default: its only program, what an image starts)',
    )
    .option('--trace', 'say which paths outside the bundle were opened (strace)')
    .option('--shell <file>', 'a static shell for /bin/sh, such as /bin/busybox')
    .action(async (path: string, command: string[], options: TryOptions) => {
      const pipeline = load()
      const { code, method, outside } = await pipeline.tryBundle(
        path,
        [...command, ...traced],
        options,
        progressFor({}, pipeline),
      )
      if (outside !== null) process.stderr.write(`${pipeline.traceText(method, outside)}\n`)
      process.exitCode = code
    })
}
