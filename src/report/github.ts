/**
 * Findings as workflow commands of GitHub Actions, which show them beside the files.
 */

import type { Finding } from '../model/findings.ts'
import { toText } from '../paths.ts'
import type { Audited } from '../verify/audit.ts'
import { describe } from './describe.ts'
import { TITLES } from './sarif.ts'

const COMMANDS = { error: 'error', warning: 'warning', note: 'notice' } as const

/** `::error file=...,title=...::message` for each finding that is no note. */
export const annotations = ({ path, verification: { kind }, findings }: Audited): string[] =>
  findings.filter(f => f.severity !== 'note').map(finding => annotation(path, kind === 'directory', finding))

function annotation(path: string, isDirectory: boolean, finding: Finding): string {
  const file = isDirectory ? `${path.replace(/\/+$/, '')}/${decoded(finding.file.split('!')[0]!)}` : path
  const title = TITLES[finding.code] ?? finding.code
  const message = `${toText(finding.file)}: ${describe(finding)}`
  return `::${COMMANDS[finding.severity]} file=${property(file)},title=${property(title)}::${data(message)}`
}

/** A name as it is, with its line breaks. */
const decoded = (bytes: string): string => Buffer.from(bytes, 'latin1').toString('utf8')

/** As the runner unescapes it (actions/toolkit, command.ts). */
const data = (text: string): string => text.replace(/%/g, '%25').replace(/\r/g, '%0D').replace(/\n/g, '%0A')
const property = (text: string): string => data(text).replace(/:/g, '%3A').replace(/,/g, '%2C')
