/** What a package is called and by what that is known: evidence, as CycloneDX has it. Pure. */
import type { BundlePath } from '../../paths.ts'
import type { Shipped } from './shipped.ts'

/** How sure it is: what stands in a store path's name, what a file says itself, what a package manager says. From 0 to 1. */
const CONFIDENCE: Readonly<Record<Method['technique'], number>> = {
  filename: 0.6,
  'binary-analysis': 0.8,
  'manifest-analysis': 1,
}

export interface Method {
  readonly technique: 'filename' | 'binary-analysis' | 'manifest-analysis'
  readonly confidence: number
  readonly value: string
}

export const by = (technique: Method['technique'], value: string): Method => ({
  technique,
  confidence: CONFIDENCE[technique],
  value,
})

export const identity = (
  field: 'name' | 'version' | 'purl',
  concludedValue: string,
  methods: readonly Method[],
): object => ({
  field,
  confidence: Math.max(...methods.map(method => method.confidence)),
  concludedValue,
  methods,
})

/** A version, and the first file that says it. */
export interface Said {
  readonly version: string
  readonly at: BundlePath
}

/** The one version that all files of a package say that say any. */
export function saidVersion({ explained, contents }: Shipped, own: readonly number[]): Said | null {
  let found: Said | null = null
  for (const id of own) {
    const { at } = explained.files[id]!
    const version = contents.get(at)?.version ?? null
    if (version === null) continue
    if (found !== null && found.version !== version) return null
    found ??= { version, at }
  }
  return found
}

/** Whether a package's version says what its files say, and perhaps more: `2.40-66` of 2.40, `1.3.1-p1` of 1.3.1. */
export const covers = (named: string, said: string): boolean =>
  named === said || (/^[-+.]/.test(named.slice(said.length)) && named.startsWith(said))
