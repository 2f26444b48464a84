/**
 * All that the command line calls, as one file beside it (dist/pipeline.cjs) that is loaded when there is work to do:
 * reading half a megabyte of code would take longer than all of `--version`.
 */
export { bundle } from './bundle.ts'
export { BundleError } from './errors.ts'
export { fromText } from './io/bytes.ts'
export { cleanUp } from './io/cleanup.ts'
export { silent, terminalProgress } from './io/progress.ts'
export { bundleSummary, errorText, jsonFinding, line, plannedLines, toJson, verifySummary } from './report.ts'
export { verify } from './verify.ts'
