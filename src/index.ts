/**
 * storefree as a library: `bundle` makes a bundle, `verify` proves one, `why` and `sbom` say what is in one. Examples that are
 * tests: docs/api.md.
 *
 *     import { bundle, describe, verify } from 'storefree'
 *     const report = await bundle('./result', { output: 'app.tar.gz' })
 *     for (const finding of report.findings) console.log(finding.severity, describe(finding))
 */

import { why as answered } from './explain/why.ts'
import { explained } from './explained.ts'
import { type Progress, silent } from './io/progress.ts'
import type { BundleOptions } from './options.ts'
import { fromText } from './paths.ts'
import { whyAnswers } from './report/why.ts'
import type { AskedOfSbom, WrittenSbom } from './sbom.ts'
import { sbomFor } from './sbom-asked.ts'
import { type Verification, type VerifyOptions, verify as verifyBytes } from './verify/verify.ts'

export { bundle } from './bundle.ts'
export { BundleError, type ErrorCode } from './errors.ts'
export { EXIT } from './exit.ts'
export type { Progress } from './io/progress.ts'
export type { Finding, FindingCode, Severity } from './model/findings.ts'
export type { Manifest } from './model/manifest.ts'
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

/** What `why` says of one name: its chains in full are told in docs/explain.schema.json. */
export interface WhyAnswer {
  readonly asked: string
  /** Whether it is in the bundle. */
  readonly in: boolean
  /** Those that are told, the nearest to the programs first. */
  readonly matches: readonly {
    /** Place in the bundle; null for a directory. */
    readonly at: string | null
    readonly package: string | null
    /** In bytes; null for a directory. */
    readonly size: number | null
    readonly chains: readonly { readonly steps: readonly Readonly<Record<string, unknown>>[] }[]
    readonly chainCount: number
    /** By how many bytes the bundle is smaller without it. */
    readonly removable: number
  }[]
  readonly matchCount: number
}

/**
 * Why files, libraries or packages are in what `bundle` makes of a target, or in a bundle that is there. Nothing is written.
 * @param names a package, a soname, a file, a path or a glob, each
 * @param options of `bundle`; how many chains and matches are told
 * @throws BundleError as `bundle`
 */
export async function why(
  target: string,
  names: readonly string[],
  { chains = 1, matches = 3, ...options }: BundleOptions & { chains?: number; matches?: number } = {},
): Promise<readonly WhyAnswer[]> {
  const found = await explained(target, options)
  return whyAnswers(found, answered(found, names, { chains, matches, kinds: [] }))
}

/**
 * The bill of materials (CycloneDX) of a target's bundle, or of a bundle that is there.
 * @param options of `bundle`, and of the document
 * @throws BundleError as `bundle`, and for a bundle whose files are not those that it lists
 */
export const sbom = (
  target: string,
  {
    spec = '1.6',
    files = 'all',
    edges = 'files',
    storePaths = false,
    creator,
    ...options
  }: BundleOptions & Partial<AskedOfSbom> = {},
): Promise<WrittenSbom> =>
  sbomFor(target, { spec, files, edges, storePaths, ...(creator !== undefined && { creator }) }, options)
