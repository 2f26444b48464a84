/** An image's layers are applied as image-spec's layer.md has it, and none of them writes outside of its root. */
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { open } from '../src/archive/members.ts'
import { fromText } from '../src/paths.ts'
import { programIn, unpackImage } from '../src/try/image.ts'
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
      ['../../up', 'file', '4'],
      ['..', 'directory'],
      ['stolen', 'hardlink', 'out/../secret'],
    ],
  ])
  expect(tree(root)).toEqual(['etc', 'etc/z', 'lib', 'out', 'top', 'up', 'usr', 'usr/lib', 'usr/lib/x', 'y'])
  expect(fs.readdirSync(place).sort()).toEqual(['image', 'parts', 'root', 'secret'])
})

test('links that go round are said', async () => {
  const round: Entry[] = [
    ['a', 'link', 'b'],
    ['b', 'link', 'a'],
    ['a/x', 'file'],
  ]
  await expect(unpacked([round])).rejects.toThrow('links go round')
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
  const layers = ['.wh...', '.wh..', '.wh.', 'a/.wh...', '.wh..wh.plnk'].map(name => [[name, 'file']] as const)
  const root = await unpacked([[['a/b', 'file', 'x']], ...layers])
  expect(fs.readFileSync(join(root, 'a/b'), 'utf8')).toBe('x')
  expect(fs.existsSync(join(place, 'image/manifest.json'))).toBe(true)
})
