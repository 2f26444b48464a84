/** Links in a bundle's root to what targets have beside bin/. */
import { expect, test } from 'vitest'
import type { BundlePath } from '../src/paths.ts'
import { profileLinks } from '../src/plan/profile.ts'
import { Steps } from '../src/plan/steps.ts'

const at = (path: string): BundlePath => path as BundlePath

/** The links for trees that hold these places. */
function links(places: readonly string[], ...trees: string[]): Record<string, string> {
  const steps = new Steps()
  for (const place of places) steps.symlink(at(place), 'x')
  return Object.fromEntries(profileLinks(steps, trees.map(at)))
}

test('what one target has beside bin/ is a link; its programs, hidden names and the bundle’s own are not', () => {
  expect(
    links(
      [
        ...['bin/jq', 'p/0', 'bundle.json', '.relocations', 'pkg/jq/bin/jq', 'pkg/jq/sbin/x', 'pkg/jq/.hidden'],
        ...[
          'pkg/jq/share/jq/a',
          'pkg/jq/etc/x.conf',
          'pkg/jq/p/x',
          'pkg/jq/pkg/x',
          'pkg/jq/VERSION',
          'pkg/other/var/x',
        ],
      ],
      'pkg/jq',
    ),
  ).toEqual({ share: 'pkg/jq/share', etc: 'pkg/jq/etc', VERSION: 'pkg/jq/VERSION' })
})

test('beside programs in bin/ lies what is none: data, directories, links to such; nothing hidden', () => {
  const steps = new Steps()
  const file = (place: string, executable: boolean): void =>
    steps.add({ do: 'write', at: at(place), bytes: new Uint8Array(), executable })
  for (const program of ['run', '.run-wrapped', 'plugins/tool']) file(`pkg/x/bin/${program}`, true)
  for (const data of ['activate', 'run.conf', '.hidden', 'plugins/a', '../sbin/x.conf'])
    file(`pkg/x/bin/${data}`.replace('bin/../', ''), false)
  steps.symlink(at('pkg/x/bin/alias'), 'run')
  steps.symlink(at('pkg/x/bin/other.conf'), 'run.conf')
  steps.symlink(at('bin/run'), '../pkg/x/bin/run')
  expect(Object.fromEntries(profileLinks(steps, [at('pkg/x')]))).toEqual({
    'bin/activate': 'pkg/x/bin/activate',
    'bin/other.conf': 'pkg/x/bin/other.conf',
    'bin/plugins': 'pkg/x/bin/plugins',
    'bin/run.conf': 'pkg/x/bin/run.conf',
    'sbin/x.conf': 'pkg/x/sbin/x.conf',
  })
})

test('of lib/ what is no library, beside what is there', () => {
  expect(
    links(
      [
        ...['lib/libc.so.6', 'lib/taken/libx.so.1', 'pkg/x/lib/libx.so.1', 'pkg/x/lib/x/module.so', 'pkg/x/lib/x.conf'],
        ...['pkg/x/lib/libx.dylib', 'pkg/x/lib/taken/libx.so.1', 'pkg/x/lib/taken/data'],
      ],
      'pkg/x',
    ),
  ).toEqual({ 'lib/x': 'pkg/x/lib/x', 'lib/x.conf': 'pkg/x/lib/x.conf', 'lib/taken/data': 'pkg/x/lib/taken/data' })
  expect(links(['pkg/x/lib/x/data', 'pkg/x/lib/libx.so'], 'pkg/x')).toEqual({ 'lib/x': 'pkg/x/lib/x' })
})

test('several targets merge as a profile does; the first has a name that two of them have', () => {
  expect(
    links(
      [
        ...['pkg/a/share/a/x', 'pkg/a/share/man', 'pkg/a/share/both/1', 'pkg/a/share/file'],
        ...['pkg/b/share/b/x', 'pkg/b/share/both/1', 'pkg/b/share/both/2', 'pkg/b/share/file/x', 'pkg/b/etc/x'],
      ],
      ...['pkg/a', 'pkg/b', 'pkg/a'],
    ),
  ).toEqual({
    etc: 'pkg/b/etc',
    'share/a': 'pkg/a/share/a',
    'share/b': 'pkg/b/share/b',
    'share/both/1': 'pkg/a/share/both/1',
    'share/both/2': 'pkg/b/share/both/2',
    'share/file': 'pkg/a/share/file',
    'share/man': 'pkg/a/share/man',
  })
})

test('a file in the way stays, and a directory in the way takes in what is free', () => {
  expect(
    links(['share/licenses/x/COPYING', 'etc', 'pkg/x/share/x/data', 'pkg/x/share/licenses/y', 'pkg/x/etc/x'], 'pkg/x'),
  ).toEqual({ 'share/x': 'pkg/x/share/x', 'share/licenses/y': 'pkg/x/share/licenses/y' })
})
