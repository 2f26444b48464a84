/**
 * What one version of `bundle verify` says of a tree and another does not: false alarms of new rules show on a machine's
 * own files, of which hardly any names a store. Each finding of the list is to be looked at by hand.
 *
 *     node test/bench/alarms.mjs CHECKOUT [directory]     # of another version, built (npm run build:cli)
 */
import { spawnSync } from 'node:child_process'
import { resolve } from 'node:path'

const [other, directory = '/usr'] = process.argv.slice(2)
if (other === undefined) throw new Error('node test/bench/alarms.mjs CHECKOUT [directory]')
const SHOWN = 5

function verified(checkout) {
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [resolve(checkout, 'bin/bundle.js'), 'verify', '--json', directory],
    {
      encoding: 'utf8',
      maxBuffer: 1 << 30,
    },
  )
  if (stdout === '') throw new Error(stderr)
  return JSON.parse(stdout).results[0]
}

const keyOf = ({ code, file, member, problem, detail, text, where }) =>
  JSON.stringify([code, file, member, problem, detail, text, where])
const kindOf = ({ code, severity, problem, detail, member }) =>
  [code, severity, problem, detail, member?.replace(/\d+/g, 'N')].filter(Boolean).join(' ')

function tell(title, findings) {
  const kinds = Map.groupBy
    ? Map.groupBy(findings, kindOf)
    : findings.reduce((map, f) => map.set(kindOf(f), [...(map.get(kindOf(f)) ?? []), f]), new Map())
  console.log(`${title}: ${findings.length}`)
  for (const [kind, all] of [...kinds].sort((a, b) => b[1].length - a[1].length)) {
    console.log(`  ${all.length}  ${kind}`)
    for (const { file, member, text } of all.slice(0, SHOWN))
      console.log(`       ${[file, member].filter(Boolean).join('!')} ${text ?? ''}`)
  }
}

const [before, now] = [verified(other), verified(resolve(import.meta.dirname, '../..'))]
const [known, left] = [new Set(before.findings.map(keyOf)), new Set(now.findings.map(keyOf))]
console.log(
  `${directory}: ${now.files} files, ${(now.bytes / 1e9).toFixed(1)} GB; ${before.findings.length} findings, and now ${now.findings.length}`,
)
tell(
  'new',
  now.findings.filter(f => !known.has(keyOf(f))),
)
tell(
  'gone',
  before.findings.filter(f => !left.has(keyOf(f))),
)
