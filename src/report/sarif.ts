/**
 * Findings as SARIF 2.1.0 (OASIS), for code scanning: GitHub, GitLab, Azure DevOps.
 */

import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import { writeFile } from '../io/staging.ts'
import type { Finding, Severity } from '../model/findings.ts'
import { fromText, toText } from '../paths.ts'
import { WIDTH } from '../references/reference.ts'
import type { Audited } from '../verify/audit.ts'
import { keyOf, knownBy } from '../verify/baseline.ts'
import { VERSION } from '../version.ts'
import { describe } from './describe.ts'

const LEVELS: Readonly<Record<Severity, string>> = { error: 'error', warning: 'warning', note: 'note' }

/** Titles of the findings that `verify` makes; another one goes by its code. */
export const TITLES: Readonly<Record<string, string>> = {
  'store-reference': 'Store reference',
  'store-hash': 'Store hash',
  'container-unread': 'Not looked into',
  'interp-unresolved': 'Interpreter outside',
  'needed-unresolved': 'Library outside',
  'rpath-twice': 'Search path twice',
  'signature-wrong': 'Wrong code signature',
  'link-escapes': 'Link outside',
  'link-dangling': 'Broken link',
  'entry-unsafe': 'Unsafe entry',
  'image-wrong': 'Wrong image',
  'manifest-mismatch': 'Not as listed',
}

/** One run, with a result for each finding that is no note. */
export function sarifText(audited: readonly Audited[]): string {
  const results = audited.flatMap(one =>
    one.findings.filter(f => f.severity !== 'note').map(finding => resultOf(one, finding)),
  )
  const rules = [...new Set(results.map(r => r.ruleId))].sort()
  return `${JSON.stringify(
    {
      $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
      version: '2.1.0',
      runs: [
        {
          tool: {
            driver: {
              name: 'storefree',
              semanticVersion: VERSION,
              rules: rules.map(id => ({ id, shortDescription: { text: TITLES[id] ?? id } })),
            },
          },
          results,
        },
      ],
    },
    null,
    2,
  )}\n`
}

function resultOf({ path, verification: { kind } }: Audited, finding: Finding) {
  const inFile = kind === 'directory' && !finding.file.includes('!')
  const isContents = 'where' in finding && finding.where === 'contents'
  const uri = uriOf(fromText(path) + (kind === 'directory' ? `/${finding.file.split('!')[0]}` : ''))
  return {
    ruleId: finding.code,
    level: LEVELS[finding.severity],
    message: { text: `${toText(finding.file)}: ${describe(finding)}` },
    locations: [
      {
        physicalLocation: {
          artifactLocation: { uri },
          ...((inFile || (kind === 'file' && !finding.file.includes('!'))) &&
            isContents && {
              region: {
                byteOffset: finding.offset,
                byteLength: (finding.raw ?? finding.text).length * WIDTH[finding.encoding],
              },
            }),
        },
        logicalLocations: [
          {
            fullyQualifiedName: toText(finding.file),
            ...('part' in finding && finding.part !== null && { name: toText(finding.part) }),
          },
        ],
      },
    ],
    partialFingerprints: {
      'storefree/v1': createHash('sha256')
        .update(keyOf(knownBy(finding)))
        .digest('hex'),
    },
  }
}

/** A path (byte string) as a relative or absolute URI reference (RFC 3986). */
function uriOf(path: string): string {
  const encoded = path
    .replace(/^(?:\.\/+)+/, '')
    .replace(/\/{2,}/g, '/')
    .replace(/[^A-Za-z0-9\-._~/]/g, c => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`)
  return encoded.startsWith('/') ? `file://${encoded}` : encoded
}

/** Writes it to a file. @throws BundleError when that cannot be written */
export const writeSarif = (path: string, audited: readonly Audited[]): void =>
  writeFile(fromText(resolve(path)), sarifText(audited))
