/** Warnings are worth reading: few lines for each program of the fixtures, and what the longest say. */
import { describe, expect, test } from 'vitest'
import { fixture } from '../support/bundle.ts'
import { longest, WARNINGS_MAX, warningsOf } from '../support/warnings.ts'

const ATTRIBUTES = [
  ...[
    'coreutils',
    'curl',
    'gawk',
    'git',
    'gnugrep',
    'gnused',
    'hello',
    'less',
    'openssl^bin',
    'perl',
    'plapp',
    'pyapp',
  ],
  ...['python3', 'sqlite', 'scripts', 'xz'],
].map(name => `full.${name}`)
const KINDS = [
  ['relocatable', {}],
  ['with shell launchers', { launcher: 'shell' }],
  ['for one place', { prefix: '/opt/app' }],
] as const

const told = new Map<string, string>()

describe.each(KINDS)('%s', (kind, options) => {
  test.each(ATTRIBUTES)('%s', async attribute => {
    const lines = await warningsOf(fixture(attribute), options)
    expect(lines.length).toBeLessThanOrEqual(WARNINGS_MAX)
    if (lines.length > 0) told.set(`${attribute} ${kind}`, lines.join('\n'))
  })
})

test('the longest five', () => {
  expect(longest(told, 5)).toMatchInlineSnapshot()
})
