/**
 * storefree as a library: `bundle` makes a bundle, `verify` proves one.
 *
 *     import { bundle, describe, verify } from 'storefree'
 *     const report = await bundle('./result', { output: 'app.tar.gz' })
 *     for (const finding of report.findings) console.log(finding.severity, describe(finding))
 */

import { type Progress, silent } from './io/progress.ts'
import { fromText } from './paths.ts'
import { type Verification, type VerifyOptions, verify as verifyBytes } from './verify/verify.ts'

export type { Manifest } from './apply/manifest.ts'
export { bundle } from './bundle.ts'
export { BundleError, type ErrorCode } from './errors.ts'
export { EXIT } from './exit.ts'
export type { Progress } from './io/progress.ts'
export type { Finding, FindingCode, Severity } from './model/findings.ts'
export type { Outcome } from './model/plan.ts'
export type { BundleOptions } from './options.ts'
export { FORMATS, type Format } from './pack/format.ts'
export type { BundleReport } from './report/bundle.ts'
export { describe } from './report/describe.ts'
export type { Verification, VerifyOptions } from './verify/verify.ts'
export { VERSION } from './version.ts'

/**
 * Verifies any tree or artefact, a bundle or not: a directory, a tar archive, a zip, an image, a file.
 * @returns what is wrong with it, and how much was read
 * @throws BundleError when it cannot be read
 */
export const verify = (
  path: string,
  { progress, ...options }: VerifyOptions & { progress?: Progress } = {},
): Promise<Verification> => verifyBytes(fromText(path), progress ?? silent, options)
