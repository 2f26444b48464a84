/** What a mistyped word is taken for, and what is left alone. */
import { expect, test } from 'vitest'
import { nearest } from '../src/cli/nearest.ts'

const COMMANDS = ['verify', 'try', 'why', 'graph', 'inspect', 'size', 'report', 'sbom', 'tree', 'help']

test.each([
  ...[['verfy', 'verify'] as const, ['vreify', 'verify'] as const, ['verifyy', 'verify'] as const],
  ...[['vrfy', 'verify'] as const, ['insepct', 'inspect'] as const, ['reprot', 'report'] as const],
  ...[['sise', 'size'] as const, ['tree', 'tree'] as const, ['verify', 'verify'] as const],
])('%s is %s', (word, name) => expect(nearest(word, COMMANDS)).toBe(name))

test.each(['nginx', 'git', 'vim', 'ripgrep', 'sed', 'bash', 'tar', 'graphviz', 'perf', 'redis', 'zsh', ''])(
  '%s is nothing but itself',
  word => expect(nearest(word, COMMANDS)).toBeNull(),
)

test('the nearest comes first, then the first', () => {
  expect(nearest('tyr', ['tree', 'try', 'tys'])).toBe('try')
  expect(nearest('--jsn', ['--json', '--jobs'])).toBe('--json')
})
