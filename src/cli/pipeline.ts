/**
 * All that the command line calls, as one file beside it (dist/pipeline.cjs) that is loaded when there is work to do:
 * reading half a megabyte of code would take longer than all of `--version`.
 */

export { bundle } from '../bundle.ts'
export { BundleError } from '../errors.ts'
export { graphOf } from '../explain/graph.ts'
export { changes, sizeOf } from '../explain/size.ts'
export { reverseTreeOf, treeOf } from '../explain/tree.ts'
export { why } from '../explain/why.ts'
export { explained, inspectFile } from '../explained.ts'
export { cleanUp } from '../io/cleanup.ts'
export { silent, terminalProgress } from '../io/progress.ts'
export { bundleSummary, plannedLines } from '../report/bundle.ts'
export { errorText, line } from '../report/describe.ts'
export { annotations } from '../report/github.ts'
export { graphDot, graphJson, graphMermaid, NODES_SHOWN } from '../report/graph.ts'
export { inspectJson, inspectText } from '../report/inspect.ts'
export { jsonError, jsonFinding, toJson } from '../report/json.ts'
export { writeSarif } from '../report/sarif.ts'
export { changesText, sizeJson, sizeText } from '../report/size.ts'
export { svgOf } from '../report/svg.ts'
export { treeJson, treeText } from '../report/tree.ts'
export { isReference, referenceTable, traceText, verifyJson, verifySummary } from '../report/verify.ts'
export { whyJson, whyText } from '../report/why.ts'
export { tryBundle } from '../try/try.ts'
export { audit } from '../verify/audit.ts'
