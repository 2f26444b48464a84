/**
 * All that the command line calls, as one file beside it (dist/pipeline.cjs) that is loaded when there is work to do:
 * reading half a megabyte of code would take longer than all of `--version`.
 */
export { audit } from './audit.ts'
export { bundle } from './bundle.ts'
export { BundleError } from './errors.ts'
export { cleanUp } from './io/cleanup.ts'
export { silent, terminalProgress } from './io/progress.ts'
export { annotations } from './report/github.ts'
export { isReference, referenceTable, traceText, verifyJson, verifySummary } from './report/verify.ts'
export { bundleSummary, errorText, jsonError, jsonFinding, line, plannedLines, toJson } from './report.ts'
export { tryBundle } from './try.ts'
