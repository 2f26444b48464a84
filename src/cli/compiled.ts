/** Runs the command line: cli.cjs beside this file, of whose code V8 need not compile again what an earlier run compiled. */
import { join } from 'node:path'
import { EXIT } from '../exit.ts'
import { codeCache } from '../io/code-cache.ts'
import { asUsual } from '../io/flags.ts'
import { commandOf } from './commands.ts'

/** Of the CommonJS that this file is built to. */
declare const require: (name: string) => unknown
declare const __dirname: string

/** The built main.ts. Named by a variable, so that it is not built into this file. */
const CLI: string = 'cli.cjs'

/** The command that imports what is installed beside us (report/svg.ts), which code out of the cache cannot. */
const IMPORTING = 'graph'

/** @param word the first word of the command line: the command, or a target */
export function runCompiled(word: string): void {
  const command = commandOf(word) ?? 'help'
  const cache = command === IMPORTING ? null : codeCache(command)
  const file = join(__dirname, CLI)
  if (cache === null) return void require(file)
  process.once('exit', code => {
    if (code !== EXIT.ok && code !== EXIT.findings) return
    asUsual()
    cache.save()
  })
  cache.load(file, require)
}
