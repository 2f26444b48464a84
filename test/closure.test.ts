/** A closure that is told: lists of store paths, and JSON of Nix's. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readClosure } from '../src/nix/closure.ts'
import { temporary } from './support/bundle.ts'

const HASHES = ['0arvck0l4mjdgx5lhvfay9p27mgmilpn', '7lg2c8m3xid9w0lajbhmdm1qfzfymjc7'] as const
const [A, B] = [`/nix/store/${HASHES[1]}-b-2`, `/nix/store/${HASHES[0]}-a-1`]
const directory = temporary()

function read(text: string) {
  const file = join(directory, 'closure')
  writeFileSync(file, text)
  return readClosure(file)
}

test.each([
  ['as nix-store -qR prints it', `${A}\n${B}\n${A}\n`, null],
  ['with the line ends of Windows', `${A}\r\n${B}`, null],
  [
    'as .attrs.json has it',
    JSON.stringify({
      closure: [
        { path: A, narSize: 5 },
        { path: B, narSize: 7 },
      ],
    }),
    12,
  ],
  [
    'as nix path-info --json -r prints it',
    JSON.stringify([
      { path: A, narSize: 5 },
      { path: B, narSize: 7 },
    ]),
    12,
  ],
  ['as a newer one does', JSON.stringify({ [A]: { narSize: 5 }, [B]: { narSize: 7 } }), 12],
  ['where a size is missing', JSON.stringify([{ path: A, narSize: 5 }, { path: B }]), null],
  ['as a list of strings', JSON.stringify([A, B]), null],
])('%s', (_, text, size) => {
  expect(read(text)).toEqual({ paths: [B, A], size })
})

test.each([
  ['an empty file', '', 'no store path in it'],
  ['another list', '/usr/bin/git\n', '"/usr/bin/git" is no store path'],
  ['a path in a store path', `${A}/bin/b\n`, 'is no store path'],
  ['half a JSON document', '[{"path": ', 'neither JSON nor a list of store paths'],
  ['JSON of something else', '[{"name": "x"}, null]', 'is no store path'],
  ['a list of nothing', '[null]', 'is no store path'],
  ['a list that is none', '{"closure": 7}', 'no store path in it'],
])('%s is none', (_, text, message) => {
  expect(() => read(text)).toThrow(message)
})
