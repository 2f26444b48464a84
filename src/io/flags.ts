/**
 * How V8 is asked to run the command: most runs last a second or two. V8 takes no compiled code that was made under other
 * flags, neither ours nor what Node has of its own modules: so they are set when files are loaded, and set back for what is
 * loaded then (a thread took twice the time to start), and for what is kept.
 */
import { setFlagsFromString } from 'node:v8'

/**
 * How much of its bytecode a function runs before V8 compiles it for speed, and what that is by itself. To compile what is
 * called a few thousand times took more than it saved. Later Nodes have a compiler in between, and other budgets. In bytes.
 */
const [BUDGET, USUAL] = [250_000, 67_584]
const hasBudget = process.version.startsWith('v20.')

let isShort = false

/** Of all threads. */
export function forShortRuns(): void {
  isShort = true
  if (hasBudget) setFlagsFromString(`--interrupt-budget=${BUDGET}`)
  // What was called once, at the start, would be thrown away in the midst of a long run, and not be there to be kept.
  setFlagsFromString('--no-flush-bytecode')
}

/** As they are by themselves. */
export function asUsual(): void {
  if (hasBudget) setFlagsFromString(`--interrupt-budget=${USUAL}`)
  setFlagsFromString('--flush-bytecode')
}

/** Before something is loaded. @returns whether forShortRuns() is due when that is done */
export function forLoading(): boolean {
  if (isShort) asUsual()
  return isShort
}
