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

/**
 * How much the heap may grow over what is in use before V8 looks for what is not: by itself several times. To look sooner
 * costs a small bundle a few percent of its time; of one of 100,000 files it saved a third of 860 MB and took no longer.
 * In percent.
 */
const GROWTH = 50

let isShort = false
let isLarge = false

/** Of all threads. */
export function forShortRuns(): void {
  isShort = true
  if (hasBudget) setFlagsFromString(`--interrupt-budget=${BUDGET}`)
  // What was called once, at the start, would be thrown away in the midst of a long run, and not be there to be kept.
  setFlagsFromString('--no-flush-bytecode')
  if (isLarge) setFlagsFromString(`--heap-growing-percent=${GROWTH}`)
}

/** A run that holds so much that memory counts. Of a program of somebody else's nothing is set. */
export function forLargeRuns(): void {
  if (isLarge || !isShort) return
  isLarge = true
  setFlagsFromString(`--heap-growing-percent=${GROWTH}`)
}

/** As they are by themselves. */
export function asUsual(): void {
  if (hasBudget) setFlagsFromString(`--interrupt-budget=${USUAL}`)
  setFlagsFromString('--flush-bytecode')
  if (isLarge) setFlagsFromString('--heap-growing-percent=0')
}

/** How a run goes on when something was loaded. */
export type Run = 'usual' | 'short' | 'large'

/** Before something is loaded. @returns what `goOn` wants when that is done */
export function forLoading(): Run {
  if (isShort) asUsual()
  return isLarge ? 'large' : isShort ? 'short' : 'usual'
}

/** Behind `forLoading`, in the thread that has loaded it. */
export function goOn(run: Run): void {
  if (run === 'usual') return
  forShortRuns()
  if (run === 'large') forLargeRuns()
}
