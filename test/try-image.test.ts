/** An image's layers are applied as image-spec's layer.md has it, and none of them writes outside of its root. */
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { open } from '../src/archive/members.ts'
import { fromText } from '../src/paths.ts'
import { unpackImage } from '../src/try/image.ts'
import { programIn } from '../src/try/image-root.ts'
import { type Entry, tar } from './support/raw-tar.ts'

const work = fs.mkdtempSync(join(tmpdir(), 'storefree-image-'))
afterAll(() => fs.rmSync(work, { recursive: true }))
let place: string
beforeEach(() => {
  place = fs.mkdtempSync(join(work, 't'))
})

/** As `docker save` writes it, unpacked. */
async function unpacked(layers: readonly (readonly Entry[])[], config: object = {}): Promise<string> {
  const image = join(place, 'image')
  fs.mkdirSync(image)
  for (const [i, entries] of layers.entries()) fs.writeFileSync(join(image, `${i}.tar`), tar(entries))
  fs.writeFileSync(join(image, 'c.json'), JSON.stringify({ config }))
  const manifest = [{ Config: 'c.json', Layers: layers.map((_, i) => `${i}.tar`) }]
  fs.writeFileSync(join(image, 'manifest.json'), JSON.stringify(manifest))
  const root = join(place, 'root')
  await unpackImage(await open(fromText(image)), fromText(image), join(place, 'parts'), root)
  return root
}

const tree = (directory: string): string[] =>
  execFileSync('find', ['.', '-mindepth', '1', '-printf', '%P\n'], { cwd: directory, encoding: 'utf8' })
    .trim()
    .split('\n')
    .sort()

test('later layers win; whiteouts take away a name, or all that lower layers have in a directory', async () => {
  const root = await unpacked([
    [
      ['a/x', 'file', 'lower'],
      ['a/gone', 'file'],
      ['b/one', 'file'],
      ['b/two/three', 'file'],
      ['c', 'file', 'a file'],
      ['d/x', 'file'],
    ],
    [
      ['a/x', 'file', 'upper'],
      ['a/.wh.gone', 'file'],
      ['b/four', 'file'],
      ['b/.wh..wh..opq', 'file'],
      ['c', 'directory'],
      ['c/now', 'file', 'a directory'],
      ['d', 'link', 'a'],
      ['e', 'hardlink', 'a/x'],
    ],
  ])
  expect(tree(root)).toEqual(['a', 'a/x', 'b', 'b/four', 'c', 'c/now', 'd', 'e'])
  expect(fs.readFileSync(join(root, 'e'), 'utf8')).toBe('upper')
})

test('links are followed inside the root: as directories of names, as what a hard link is of', async () => {
  fs.writeFileSync(join(place, 'secret'), 'outside')
  const root = await unpacked([
    [
      ['usr/lib', 'directory'],
      ['lib', 'link', 'usr/lib'],
      ['out', 'link', '../..'],
      ['top', 'link', '/'],
    ],
    [
      ['lib/x', 'file', '1'],
      ['out/y', 'file', '2'],
      ['top/etc/z', 'file', '3'],
    ],
  ])
  expect(tree(root)).toEqual(['etc', 'etc/z', 'lib', 'out', 'top', 'usr', 'usr/lib', 'usr/lib/x', 'y'])
  expect(fs.readdirSync(place).sort()).toEqual(['image', 'parts', 'root', 'secret'])
})

test('a file with several names is one, whichever layer gives it another; its link is another than its text', async () => {
  const root = await unpacked([
    [
      ['a', 'file', 'x'],
      ['b', 'hardlink', 'a'],
      ['s', 'link', 'a'],
      ['t', 'hardlink', 's'],
    ],
    [
      ['c', 'hardlink', 'b'],
      ['.wh.a', 'file'],
    ],
  ])
  expect(tree(root)).toEqual(['b', 'c', 's', 't'])
  expect(fs.statSync(join(root, 'b')).ino).toBe(fs.statSync(join(root, 'c')).ino)
  expect(fs.readlinkSync(join(root, 't'))).toBe('a')
})

test.each<[string, Entry[]]>([
  ['a name that leads out of the root', [['../../up', 'file', '4']]],
  ['the root that lies around', [['..', 'directory']]],
  [
    'a hard link to what lies outside',
    [
      ['out', 'link', '../..'],
      ['stolen', 'hardlink', 'out/../secret'],
    ],
  ],
])('%s is refused, and nothing is written', async (_, layer) => {
  fs.writeFileSync(join(place, 'secret'), 'outside')
  await expect(unpacked([[['x', 'file']], layer])).rejects.toThrow('an image that cannot be tried: 1.tar: ')
  expect(fs.readdirSync(join(place, 'root'))).toEqual([])
})

test('links that go round are said', async () => {
  const round: Entry[] = [
    ['a', 'link', 'b'],
    ['b', 'link', 'a'],
    ['a/x', 'file'],
  ]
  await expect(unpacked([round])).rejects.toThrow('0.tar: a: links that go round')
})

test('a program is found by the PATH of the image, through its links', async () => {
  const root = await unpacked([
    [
      ['app/bin/x', 'file'],
      ['bin', 'link', '/app/bin'],
    ],
  ])
  expect(programIn(root, 'x', ['PATH=/nowhere:/bin'])).toBe('/bin/x')
  expect(programIn(root, 'y', ['PATH=/bin'])).toBeNull()
  expect(programIn(root, '/app/bin/x', [])).toBe('/app/bin/x')
})

test('a user by name, and what is no image, is said', async () => {
  await expect(unpacked([], { User: 'nginx' })).rejects.toThrow('a user by name is not looked up')
})

test("a whiteout of `..` removes nothing: it took the directory around the root's with it", async () => {
  const root = await unpacked([[['a/b', 'file', 'x']], [['.wh..wh.plnk', 'file']]])
  expect(fs.readFileSync(join(root, 'a/b'), 'utf8')).toBe('x')
  for (const name of ['.wh...', '.wh..', '.wh.', 'a/.wh...']) {
    for (const part of ['image', 'parts', 'root']) fs.rmSync(join(place, part), { recursive: true, force: true })
    await expect(unpacked([[['a/b', 'file', 'x']], [[name, 'file']]])).rejects.toThrow('it removes nothing by name')
    expect(fs.existsSync(join(place, 'image/manifest.json'))).toBe(true)
  }
})
