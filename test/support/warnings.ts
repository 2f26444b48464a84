/** What `bundle` warns of, as lines without the part of a store path that no person reads. */
import { bundle } from '../../src/bundle.ts'
import type { BundleOptions } from '../../src/options.ts'
import { line } from '../../src/report/describe.ts'

/** Warnings that a person reads about one program. */
export const WARNINGS_MAX = 8

export async function warningsOf(path: string, options: BundleOptions = {}): Promise<string[]> {
  const { findings } = await bundle(path, { ...options, dryRun: true })
  return findings
    .filter(({ severity }) => severity !== 'note')
    .map(finding => line(finding).replace(/\/nix\/store\/[^/]{32}-/g, ''))
}

/** The longest of some texts, the longest first; of equal length by name. */
export const longest = (texts: ReadonlyMap<string, string>, count: number): string =>
  [...texts]
    .sort(([a, x], [b, y]) => y.length - x.length || (a < b ? -1 : 1))
    .slice(0, count)
    .map(([name, text]) => `${name}:\n${text}`)
    .join('\n')
