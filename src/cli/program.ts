/** All commands with their options: what is parsed, and what help, completions and the man page are made from. */
import { Command } from 'commander'
import { VERSION } from '../version.ts'
import { addCompletions } from './completions.ts'
import { addGraph } from './graph.ts'
import { addHelp } from './help.ts'
import { addInspect } from './inspect.ts'
import { addMake } from './make.ts'
import { addMan } from './man.ts'
import { addReport } from './report.ts'
import { addSbom } from './sbom.ts'
import { addSize } from './size.ts'
import { addTree } from './tree.ts'
import { addTry } from './try.ts'
import { addVerify } from './verify.ts'
import { addWhy } from './why.ts'

/**
 * The commands, each of a file beside this one.
 * @param traced the command to trace, which stands behind `--`
 */
export function programOf(traced: readonly string[]): Command {
  const program = new Command('bundle')
    .description('Turn a program built with Nix into a bundle that runs where there is no Nix.')
    .version(VERSION)
    .exitOverride()
    .usage(
      '<target...> [options]\n       bundle verify <path...>\n       bundle try <bundle> [-- command...]\n       bundle why <target|bundle> <name...>\n       bundle size|tree|graph|report|sbom <target|bundle>\n       bundle inspect <file...>\n       bundle completions bash|zsh|fish\n       bundle man\n       bundle help [topic]',
    )
    .showHelpAfterError('(bundle --help for the options)')
  addMake(program, traced)
  addVerify(program)
  addTry(program, traced)
  addWhy(program)
  addGraph(program)
  addInspect(program)
  addSize(program)
  addReport(program)
  addSbom(program)
  addTree(program)
  addCompletions(program)
  addMan(program)
  addHelp(program)
  return program
}
