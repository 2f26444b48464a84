/** What a dry run says of a target, beside what the run itself says. */
import { join } from 'node:path'
import { expect } from 'vitest'
import { bundle } from '../../src/bundle.ts'
import { BundleError } from '../../src/errors.ts'
import type { BundleOptions } from '../../src/options.ts'
import { temporary } from './bundle.ts'

/** Findings of a run, or the error that it ended in. */
async function said(target: string, options: BundleOptions): Promise<object> {
  try {
    const { findings } = await bundle(target, options)
    return { findings: findings.map(finding => JSON.stringify(finding)).sort() }
  } catch (error) {
    if (!(error instanceof BundleError)) throw error
    return { error: error.message, hint: error.hint }
  }
}

/** Both say the same, which is returned: findings as JSON, or an error. */
export async function dryRunAgrees(target: string, options: BundleOptions = {}): Promise<object> {
  const output = join(temporary(), 'out')
  const dry = await said(target, { ...options, output, format: 'dir', dryRun: true })
  expect(dry).toEqual(await said(target, { ...options, output, format: 'dir' }))
  return dry
}
