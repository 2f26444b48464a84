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
 * From so many files on the part of the heap in which all objects begin grows no more: by itself V8 lets it grow to 48 MB,
 * a thread's too. A run of fewer files is over before that, and smaller it would cost one of git a tenth of its time.
 */
const SEVERAL = 500
/** By how much it grows, and by itself. */
const [NO_GROWTH, DOUBLE] = [1, 2]

/**
 * From so many files on the heap may grow by less over what is in use before V8 looks for what is not: by itself it is
 * several times. To look sooner costs a small bundle a few percent of its time; one of 100,000 files takes no longer (25, 35 and
 * 50 percent were tried side by side). In percent.
 */
const MANY = 20_000
const GROWTH = 25

/** Of one that is set: how many files there are, as far as that matters. Null: V8 runs as it does by itself. */
let files: number | null = null

/** Of all threads. */
export function forShortRuns(): void {
  files ??= 0
  if (hasBudget) setFlagsFromString(`--interrupt-budget=${BUDGET}`)
  // What was called once, at the start, would be thrown away in the midst of a long run, and not be there to be kept.
  setFlagsFromString('--no-flush-bytecode')
  if (files >= SEVERAL) setFlagsFromString(`--semi-space-growth-factor=${NO_GROWTH}`)
  if (files >= MANY) setFlagsFromString(`--heap-growing-percent=${GROWTH}`)
}

/** A run holds so many files by now: from some number on memory counts. Of a program of somebody else's nothing is set. */
export function forFiles(count: number): void {
  if (files === null || (count !== SEVERAL && count !== MANY)) return
  files = Math.max(files, count)
  forShortRuns()
}

/** As they are by themselves. */
export function asUsual(): void {
  if (hasBudget) setFlagsFromString(`--interrupt-budget=${USUAL}`)
  setFlagsFromString('--flush-bytecode')
  setFlagsFromString(`--semi-space-growth-factor=${DOUBLE}`)
  setFlagsFromString('--heap-growing-percent=0')
}

/** How a run goes on when something was loaded. */
export type Run = number | null

/** Before something is loaded. @returns what `goOn` wants when that is done */
export function forLoading(): Run {
  if (files !== null) asUsual()
  return files
}

/** Behind `forLoading`, in the thread that has loaded it. */
export function goOn(run: Run): void {
  if (run === null) return
  files = run
  forShortRuns()
}
