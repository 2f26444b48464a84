/**
 * What BSI TR-03183-2 (v2.1.0, section 5) asks of a bill of materials for the EU's Cyber Resilience Act and is missing
 * in one. Pure.
 */
import type { Component, Sbom } from '../../model/sbom.ts'

export interface Missing {
  readonly what: string
  /** Of how many components, and the names of the first ones. */
  readonly count: number
  readonly of: number
  readonly examples: readonly string[]
}

const EXAMPLES = 3

export function missingIn({ metadata, components }: Sbom): Missing[] {
  const all = components.flatMap(withNested)
  const packages = all.filter(c => c.type !== 'file')
  const files = all.filter(c => c.type === 'file')
  const within = (what: string, asked: readonly Component[], has: (c: Component) => boolean): Missing[] => {
    const missing = asked.filter(c => !has(c))
    const examples = missing.slice(0, EXAMPLES).map(c => c.name)
    return missing.length === 0 ? [] : [{ what, count: missing.length, of: asked.length, examples }]
  }
  const whole = { what: 'creator of the document', count: 1, of: 1, examples: [] }
  return [
    ...('manufacturer' in metadata ? [] : [whole]),
    ...within('creator', packages, c => 'manufacturer' in c || 'supplier' in c),
    ...within('version', packages, c => c.version !== undefined),
    ...within('licences', packages, c => 'licenses' in c),
    ...(files.length === 0 ? [{ what: 'file names and SHA-512 (--files all)', count: 1, of: 1, examples: [] }] : []),
    ...within('SHA-512', files, c => c.hashes?.some(h => h.alg === 'SHA-512') ?? false),
  ]
}

const withNested = (component: Component): Component[] => [
  component,
  ...(component.components ?? []).flatMap(withNested),
]

export const missingText = (missing: readonly Missing[]): string =>
  missing.length === 0
    ? 'BSI TR-03183-2: nothing that it asks for is missing'
    : [
        'BSI TR-03183-2 asks for these, which are missing:',
        ...missing.map(({ what, count, of, examples }) => {
          const names = examples.length === 0 ? '' : `: ${examples.join(', ')}${count > examples.length ? ', ...' : ''}`
          return of === 1 && examples.length === 0 ? `  ${what}` : `  ${what}, of ${count} of ${of}${names}`
        }),
      ].join('\n')
