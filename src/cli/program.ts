/** All commands with their options: what is parsed, and what help, completions and the man page are made from. */
import { Command } from 'commander'
import { VERSION } from '../version.ts'
import { COMMANDS, type CommandName } from './commands.ts'
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

/** Each of a file beside this one; those that may take a command to trace are given it. */
const ADD: Readonly<Record<CommandName, (program: Command, traced: readonly string[]) => void>> = {
  make: addMake,
  verify: addVerify,
  try: addTry,
  why: addWhy,
  graph: addGraph,
  inspect: addInspect,
  size: addSize,
  report: addReport,
  sbom: addSbom,
  tree: addTree,
  completions: addCompletions,
  man: addMan,
  help: addHelp,
}

/** Commands that tell of the others. */
const TELLING: ReadonlySet<CommandName> = new Set(['completions', 'man', 'help'])

/**
 * The command line.
 * @param traced the command to trace, which stands behind `--`
 * @param asked the command that is asked for, if it is known: the others, which take a while, are left out if it needs none
 */
export function programOf(traced: readonly string[], asked: CommandName | null = null): Command {
  const program = new Command('bundle')
    .description('Turn a program built with Nix into a bundle that runs where there is no Nix.')
    .version(VERSION)
    .exitOverride()
    .usage(
      '<target...> [options]\n       bundle verify <path...>\n       bundle try <bundle> [-- command...]\n       bundle why <target|bundle> <name...>\n       bundle size|tree|graph|report|sbom <target|bundle>\n       bundle inspect <file...>\n       bundle completions bash|zsh|fish\n       bundle man\n       bundle help [topic]',
    )
    .showHelpAfterError('(bundle --help for the options)')
  program.helpCommand(false)
  for (const name of asked === null || TELLING.has(asked) ? COMMANDS : [asked]) ADD[name](program, traced)
  return program
}
