/**
 * storefree as a library: `bundle` makes a bundle, `verify` proves one.
 *
 *     import { bundle, describe, verify } from 'storefree'
 *     const report = await bundle('./result', { output: 'app.tar.gz' })
 *     for (const finding of report.findings) console.log(finding.severity, describe(finding))
 */
import { fromText } from './io/bytes.ts'
import { type Progress, silent } from './io/progress.ts'
import { type Verification, type VerifyOptions, verify as verifyBytes } from './verify.ts'

export { type BundleReport, bundle } from './bundle.ts'
export { BundleError, type ErrorCode } from './errors.ts'
export { EXIT } from './exit.ts'
export type { Progress } from './io/progress.ts'
export type { Manifest } from './manifest.ts'
export type { Finding, FindingCode, Outcome, Severity } from './model.ts'
export type { BundleOptions } from './options.ts'
export { FORMATS, type Format } from './pack/format.ts'
export { describe } from './report.ts'
export type { Verification, VerifyOptions } from './verify.ts'
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
