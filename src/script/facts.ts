/** What a script says of itself. Types only. */
import type { Located } from '../io/bytes.ts'

export interface ScriptFacts {
  readonly format: 'script'
  /** The interpreter of the `#!` line and its one argument, as execve(2) splits them. */
  readonly interpreter: Located
  readonly argument: string | null
  /** Where the line ends, as far as it was read. */
  readonly lineEnd: number
}
