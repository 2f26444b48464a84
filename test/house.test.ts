/** The house stays as docs/architecture.md has it: no circles, rooms in order, the world behind one door. */
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { circles, importGraph, picture, roomGraph, roomOf } from './support/imports.ts'

const root = resolve(import.meta.dirname, '..')
const graph = importGraph(join(root, 'src'))

/** From the ground up: each room imports only rooms before it. */
const ROOMS = [
  // the ground
  ...['paths.ts', 'errors.ts', 'exit.ts', 'version.ts', 'io', 'nix'],
  // formats
  ...['references', 'elf', 'macho', 'entry', 'script', 'archive'],
  // stages, and the nouns that they hand on
  ...['model', 'target', 'scan', 'plan', 'apply', 'verify', 'pack', 'explain', 'try', 'report', 'page'],
  // what is called from outside
  ...[
    'size.ts',
    'policy.ts',
    'options.ts',
    'title.ts',
    'packing.ts',
    'sbom.ts',
    'prepared.ts',
    'bundle.ts',
    'found.ts',
    'sbom-asked.ts',
    'inspected.ts',
    'explained.ts',
    'index.ts',
    'cli',
  ],
]

/** Rooms in which decisions are made: they read no file and start no process, but for the adapters of tools. */
const PURE = ['references', 'elf', 'macho', 'entry', 'script', 'archive', 'model', 'plan', 'explain', 'page']
const ADAPTERS = [
  'elf/patchelf.ts',
  'macho/codesign.ts',
  'macho/install-name-tool.ts',
  // Archives are streams of files, and zstd, xz and bzip2 are programs.
  'archive/members.ts',
  'archive/contents.ts',
  'archive/stream.ts',
  'archive/compress.ts',
]
/** Who else touches files and processes than io/: what runs a bundle in an empty root has to make one. */
const OUTDOORS = ['archive/compress.ts', 'try/empty-root.ts', 'try/image-root.ts', 'try/image.ts', 'try/unpack.ts']
const WORLD = /^(?:node:)?(?:fs|child_process|process|net|http|https)(?:\/|$)/

test('no circle of files, and none of rooms', () => {
  expect(circles(new Map([...graph].map(([file, { files }]) => [file, files])))).toEqual([])
  expect(circles(roomGraph(graph))).toEqual([])
})

test('a circle would be found', () => {
  const edges = new Map([
    ['a', ['b']],
    ['b', ['c', 'd']],
    ['c', ['a']],
    ['d', []],
  ])
  expect(circles(edges)).toEqual([['a', 'b', 'c']])
})

test('every room has its place, and stands on those before it only', () => {
  const wrong = [...graph].flatMap(([file, { files }]) =>
    files.filter(other => place(other) > place(file)).map(other => `${file} imports ${other}`),
  )
  expect(wrong).toEqual([])
})

describe('decisions are made in pure code', () => {
  test.each([...graph].filter(([file]) => PURE.includes(roomOf(file)) && !ADAPTERS.includes(file)))(
    '%s',
    (_, imports) => {
      expect(imports.files.filter(f => roomOf(f) === 'io' && f !== 'io/bytes.ts')).toEqual([])
      expect(imports.packages.filter(name => WORLD.test(name))).toEqual([])
    },
  )
})

test('only io/ touches files and processes', () => {
  const outdoors = [...graph]
    .filter(([, { packages }]) => packages.some(name => WORLD.test(name)))
    .map(([file]) => file)
  expect(outdoors.filter(file => roomOf(file) !== 'io')).toEqual(OUTDOORS)
})

test('docs/architecture.md shows the rooms as they are (npm run picture)', () => {
  expect(readFileSync(join(root, 'docs/architecture.md'), 'utf8')).toContain(picture(graph))
})

function place(file: string): number {
  const found = ROOMS.indexOf(roomOf(file))
  expect(found, `${file}: no place among the rooms`).toBeGreaterThanOrEqual(0)
  return found
}
