/**
 * `--closed` of an image judges the root file system that its layers make: whiteouts, opaque directories, links and hard
 * links are applied as image-spec's layer.md has them, and a hostile layer is a finding.
 */
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, describe, expect, test } from 'vitest'
import { applyLayers } from '../src/archive/root.ts'
import { silent } from '../src/io/progress.ts'
import { verify } from '../src/verify/verify.ts'
import { buildElf } from './support/elf-image.ts'
import { type Entry, tar } from './support/raw-tar.ts'

const work = fs.mkdtempSync(join(tmpdir(), 'storefree-closed-'))
afterAll(() => fs.rmSync(work, { recursive: true, force: true }))

const digestOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))
const descriptor = (bytes: Buffer, more: object = {}) => ({
  digest: `sha256:${digestOf(bytes)}`,
  size: bytes.length,
  ...more,
})

/** It needs libc.so.6 and libm.so.6. */
const NEEDS = buildElf({ without: ['rpath', 'runpath'] }).bytes
const FREE = buildElf({ without: ['rpath', 'runpath', 'needed', 'needed2'] }).bytes
const LIBRARY: Entry = ['usr/lib/libself.so.1', 'file', NEEDS]
const C: Entry = ['usr/lib/libc.so.6', 'file', FREE]
const M: Entry = ['usr/lib/libm.so.6', 'file', FREE]

type Layers = readonly (readonly Entry[])[]
type Files = Record<string, Buffer>

const configOf = (tars: readonly Buffer[], config: object = {}): Buffer =>
  json({ config, rootfs: { diff_ids: tars.map(t => `sha256:${digestOf(t)}`) } })

/** Several images, one for each CPU. */
function oci(images: readonly Layers[], environment: readonly string[] = [], more: object = {}): Files {
  const blobs: Buffer[] = []
  const manifests = images.map(layers => {
    const tars = layers.map(tar)
    const packed = tars.map(t => gzipSync(t))
    const config = configOf(tars, { Env: environment })
    const manifest = json({ config: descriptor(config), layers: packed.map(l => descriptor(l, more)) })
    blobs.push(config, manifest, ...packed)
    return descriptor(manifest)
  })
  return {
    'index.json': json({ manifests }),
    ...Object.fromEntries(blobs.map(b => [`blobs/sha256/${digestOf(b)}`, b])),
  }
}

/** With names that say nothing of what they are. */
function saved(layers: Layers, order = layers.map((_, i) => i)): Files {
  const tars = layers.map(tar)
  return {
    'manifest.json': json([{ Config: 'settings', Layers: order.map(i => `part ${i}`) }]),
    settings: configOf(tars),
    ...Object.fromEntries(tars.map((t, i) => [`part ${i}`, t])),
  }
}

function skopeo(layers: Layers): Files {
  const tars = layers.map(tar)
  const config = configOf(tars)
  return {
    version: Buffer.from('Directory Transport Version: 1.1\n'),
    'manifest.json': json({ config: descriptor(config), layers: tars.map(t => descriptor(t)) }),
    ...Object.fromEntries([config, ...tars].map(b => [digestOf(b), b])),
  }
}

let made = 0
/** The errors, of the directory and of its tar; layers by their number are not told apart. */
async function found(files: Files, closed = true): Promise<string[]> {
  const root = join(work, `image${made++}`)
  for (const [name, bytes] of Object.entries(files)) {
    fs.mkdirSync(join(root, name, '..'), { recursive: true })
    fs.writeFileSync(join(root, name), bytes)
  }
  fs.writeFileSync(`${root}.tar`, tar(Object.entries(files).map(([name, bytes]) => [name, 'file', bytes])))
  const forms = []
  for (const form of [root, `${root}.tar`]) {
    const { findings } = await verify(form, silent, { closed })
    forms.push(
      findings
        .filter(f => f.severity === 'error')
        .map(
          f => `${f.code} ${/!(.*)/.exec(f.file)?.[1] ?? ''} ${'name' in f ? f.name : 'reason' in f ? f.reason : ''}`,
        ),
    )
  }
  expect(forms[1]).toEqual(forms[0])
  return forms[0]!
}

const [NO_C, NO_M] = ['libc.so.6', 'libm.so.6'].map(l => `needed-unresolved usr/lib/libself.so.1 ${l}`)

describe.each([
  ['OCI', (layers: Layers) => oci([layers])],
  ['docker save', saved],
  ["skopeo's dir:", skopeo],
])('%s', (_, image) => {
  test.each<[string, Layers, readonly unknown[]]>([
    ['libraries that no layer has', [[LIBRARY]], [NO_C, NO_M]],
    ['libraries that a later layer adds', [[LIBRARY], [C], [M]], []],
    ['one that a later layer whites out', [[LIBRARY, C, M], [['usr/lib/.wh.libm.so.6', 'file']]], [NO_M]],
    [
      'one that is whited out and added again',
      [
        [LIBRARY, C, M],
        [['usr/lib/.wh.libm.so.6', 'file'], M],
      ],
      [],
    ],
    [
      'the lower layers of an opaque directory',
      [
        [C, M, ['usr/lib/x/y', 'file']],
        [LIBRARY, ['usr/lib/.wh..wh..opq', 'file'], C],
      ],
      [NO_M],
    ],
    ['a whole directory', [[LIBRARY, C, M, ['a', 'file']], [['.wh.usr', 'file']]], []],
  ])('%s', async (_name, layers, want) => expect(await found(image(layers))).toEqual(want))
})

test.each<[string, Layers]>([
  [
    'a link for a directory',
    [
      [
        ['lib', 'link', 'usr/lib'],
        ['usr/lib', 'directory'],
      ],
      [LIBRARY],
      [['lib/libc.so.6', 'file', FREE], M],
    ],
  ],
  [
    'a link that is absolute in the root',
    [
      [['lib', 'link', '/usr/lib'], LIBRARY],
      [['lib/libc.so.6', 'file', FREE], M],
    ],
  ],
  ['hard links to a lower layer', [[LIBRARY, C], [['usr/lib/libm.so.6', 'hardlink', './usr/lib/libc.so.6']]]],
  [
    'a hard link whose other name is whited out',
    [[LIBRARY, C, ['x', 'file', FREE]], [['usr/lib/libm.so.6', 'hardlink', 'x']], [['.wh.x', 'file']]],
  ],
  [
    'links to what a runtime mounts',
    [
      [
        ['log', 'link', '/dev/stdout'],
        ['etc/mtab', 'link', '../proc/mounts'],
      ],
    ],
  ],
  ['a layer that changes nothing', [[LIBRARY, C, M], []]],
])('%s', async (_, layers) => expect(await found(oci([layers]))).toEqual([]))

test('a directory of LD_LIBRARY_PATH', async () => {
  const layers: Layers = [[LIBRARY, ['opt/libc.so.6', 'file', FREE], ['opt/libm.so.6', 'file', FREE]]]
  expect(await found(oci([layers]))).toEqual([NO_C, NO_M])
  expect(await found(oci([layers], ['LD_LIBRARY_PATH=/opt:$X']))).toEqual([])
})

test('of several images each has a root of its own', async () => {
  expect(await found(oci([[[LIBRARY, C]], [[M]]]))).toEqual([NO_M])
})

test('what needs nothing of its own is not asked without --closed', async () => {
  expect(await found(oci([[[LIBRARY]]]), false)).toEqual([])
})

describe('hostile layers', () => {
  const long = 'l'.repeat(99)
  test.each<[string, Layers, RegExp]>([
    [
      'links that go round',
      [
        [
          ['a', 'link', 'b'],
          ['b', 'link', 'a'],
          ['a/x', 'file'],
        ],
      ],
      /links that go round/,
    ],
    ['a name out of the root', [[['a/../../x', 'file']]], /a\/\.\.\/\.\.\/x: its name leads out of the root/],
    ['a hard link out of the root', [[['a', 'hardlink', '../../etc/passwd']]], /a hard link out of the root/],
    ['a hard link to nothing', [[['a', 'hardlink', 'b']]], /a hard link to nothing/],
    [
      'a hard link to a directory',
      [
        [
          ['b', 'directory'],
          ['a', 'hardlink', 'b'],
        ],
      ],
      /a hard link to a directory/,
    ],
    [
      'a name twice',
      [
        [
          ['a', 'file', '1'],
          ['./a', 'file', '2'],
        ],
      ],
      /a: it is there twice/,
    ],
    ['a file below a file', [[['a', 'file']], [['a/b', 'file']]], /a\/b: it lies below a file/],
    [
      'a whiteout of ..',
      [
        [['a/.wh...', 'file']],
        [
          ['a/b', 'directory'],
          ['a/.wh...', 'file'],
        ],
      ],
      /removes nothing/,
    ],
    ['a link out of the root', [[['a', 'link', '../../../etc']]], /^link-escapes a/],
    ['a link to nothing', [[['a', 'link', '/b']]], /^link-dangling a/],
    ['a set-id program', [[['a', 'file', '', 0o4755]]], /^entry-unsafe a it is set-uid/],
    [
      'links that double',
      [
        Array.from(
          { length: 60 },
          (_, i): Entry => [`${long.slice(i)}`, 'link', `${long.slice(i + 1)}/${long.slice(i + 1)}`],
        ),
      ],
      /^link-dangling/,
    ],
  ])('%s', async (_, layers, want) => expect((await found(oci([layers]))).join('\n')).toMatch(want))
})

test('a layer that is no archive of files was not looked at, closed or not', async () => {
  const files = saved([[LIBRARY]])
  for (const closed of [false, true])
    expect((await found({ ...files, 'part 0': Buffer.from('x'.repeat(600)) }, closed)).join('\n')).toContain(
      'is named as a layer, and is no archive of files',
    )
  // Charts and attestations are kept as layers too.
  const chart = { mediaType: 'application/vnd.cncf.helm.chart.content.v1' }
  expect(await found(oci([[[LIBRARY]]], [], chart))).toEqual([])
})

test('layers in another order are told where the configuration has a name of its own', async () => {
  const told = await found(saved([[LIBRARY, C], [M]], [1, 0]), false)
  expect(told.filter(t => t.includes('tells of another layer'))).toHaveLength(2)
})

test('a file below more directories than a root may have is told of, though no name is too long', () => {
  const member = (name: string, type: 'file' | 'directory' | 'link', target = '') => ({
    name,
    type,
    mode: 0o644,
    target,
  })
  const deep = 'd/'.repeat(1500)
  const members = [member('l', 'link', deep), member(deep, 'directory'), member(`l/${deep}x`, 'file')]
  const { placed, wrong } = applyLayers([{ name: 'layer', members }], member('', 'directory'))
  expect(wrong).toEqual([
    { layer: 'layer', reason: expect.stringMatching(/^l\/d.*\.\.\.: it lies below more than 2048 directories$/) },
  ])
  expect([...placed.values()].filter(({ member: { type } }) => type === 'file')).toEqual([])
})
