/** `bundle man`: the manual page, for `man -l` and for packages (dist/bundle.1). */
import type { Command } from 'commander'
import { EXIT } from '../exit.ts'
import { VERSION } from '../version.ts'
import { describedOf } from './described.ts'
import { load } from './output.ts'

export function addMan(program: Command): void {
  program
    .command('man')
    .description('print the manual page: bundle man | man -l -')
    .action(() => {
      process.stdout.write(load().manPage(describedOf(program), VERSION))
      process.exitCode = EXIT.ok
    })
}
