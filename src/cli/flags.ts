/**
 * How V8 is asked to run the pipeline. Set when its files are loaded and not before: V8 takes no compiled code that was made
 * under other flags, neither ours nor what Node has of its own modules.
 */
import { setFlagsFromString } from 'node:v8'

/**
 * How much of its bytecode a function runs before V8 compiles it for speed, and what that is by itself. Most runs last a
 * second or two, of which compiling what is called a few thousand times took more than it saved. Later Nodes have a
 * compiler in between, and other budgets. In bytes.
 */
const [BUDGET, USUAL] = [250_000, 67_584]
const hasBudget = process.version.startsWith('v20.')

export function forShortRuns(): void {
  if (hasBudget) setFlagsFromString(`--interrupt-budget=${BUDGET}`)
  // What was called once, at the start, would be thrown away in the midst of a long run, and not be there to be kept.
  setFlagsFromString('--no-flush-bytecode')
}

export function asUsual(): void {
  if (hasBudget) setFlagsFromString(`--interrupt-budget=${USUAL}`)
  setFlagsFromString('--flush-bytecode')
}
