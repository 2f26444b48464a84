/**
 * Images hold all that they name: layouts of OCI, of `docker save` and of skopeo's `dir:`, whole and with one thing wrong,
 * as a directory and as a tar.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, describe, expect, test } from 'vitest'
import { silent } from '../src/io/progress.ts'
import { verify } from '../src/verify/verify.ts'

const work = fs.mkdtempSync(join(tmpdir(), 'storefree-images-'))
afterAll(() => fs.rmSync(work, { recursive: true, force: true }))

const digestOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))

/** Two layers of a file each. */
const TARS = ['first', 'second'].map(name => {
  fs.writeFileSync(join(work, name), `${name}\n`)
  return execFileSync('tar', ['-C', work, '-cf', '-', name])
})
const LAYERS = TARS.map(tar => gzipSync(tar))
const CONFIG = json({
  architecture: 'amd64',
  os: 'linux',
  rootfs: { diff_ids: TARS.map(t => `sha256:${digestOf(t)}`) },
})

interface Files {
  [name: string]: Buffer
}

const descriptor = (bytes: Buffer, more: object = {}) => ({
  digest: `sha256:${digestOf(bytes)}`,
  size: bytes.length,
  ...more,
})

function oci(layers: readonly object[] = LAYERS.map(l => descriptor(l))): Files {
  const manifest = json({ schemaVersion: 2, config: descriptor(CONFIG), layers })
  const inner = json({ schemaVersion: 2, manifests: [descriptor(manifest)] })
  const blobs = [CONFIG, manifest, inner, ...LAYERS].map(b => [`blobs/sha256/${digestOf(b)}`, b] as const)
  return { 'index.json': json({ schemaVersion: 2, manifests: [descriptor(inner)] }), ...Object.fromEntries(blobs) }
}

function skopeoDirectory(): Files {
  const blobs = [CONFIG, ...LAYERS].map(b => [digestOf(b), b] as const)
  const manifest = json({ config: descriptor(CONFIG), layers: LAYERS.map(l => descriptor(l)) })
  return {
    version: Buffer.from('Directory Transport Version: 1.1\n'),
    'manifest.json': manifest,
    ...Object.fromEntries(blobs),
  }
}

const saved = (order: readonly number[] = [0, 1]): Files => ({
  'manifest.json': json([{ Config: 'c.json', Layers: order.map(i => `${i}/layer.tar`) }]),
  'c.json': CONFIG,
  [`${digestOf(CONFIG)}.json`]: CONFIG,
  '0/layer.tar': TARS[0]!,
  '1/layer.tar': TARS[1]!,
})

const without = (files: Files, name: string): Files =>
  Object.fromEntries(Object.entries(files).filter(([n]) => n !== name))

let made = 0
/** What is found, in the directory and in its tar. */
async function found(files: Files): Promise<string[]> {
  const root = join(work, `image${made++}`)
  for (const [name, bytes] of Object.entries(files)) {
    fs.mkdirSync(join(root, name, '..'), { recursive: true })
    fs.writeFileSync(join(root, name), bytes)
  }
  execFileSync('tar', ['-C', root, '-cf', `${root}.tar`, '.'])
  const forms = []
  for (const form of [root, `${root}.tar`]) {
    const { findings } = await verify(form, silent, { strict: true })
    forms.push(
      findings.filter(f => f.severity === 'error').map(f => `${f.code} ${'reason' in f ? f.reason : ''}`.trim()),
    )
  }
  expect(forms[1]).toEqual(forms[0])
  return forms[0]!
}

const [LAYER, OTHER] = LAYERS.map(digestOf) as [string, string]

test.each([
  ['OCI', oci()],
  ["skopeo's dir:", skopeoDirectory()],
  ['docker save', saved()],
])('%s: whole, nothing is wrong', async (_, files) => expect(await found(files)).toEqual([]))

describe('one thing wrong', () => {
  test.each<[string, Files, RegExp]>([
    [
      'a layer is missing',
      without(oci(), `blobs/sha256/${LAYER}`),
      /^image-wrong names the layer .* which is not there$/,
    ],
    ['of a dir:', without(skopeoDirectory(), OTHER), /^image-wrong names the layer .* which is not there$/],
    [
      'of docker save',
      without(saved(), '1/layer.tar'),
      /^image-wrong names the layer 1\/layer\.tar, which is not there$/,
    ],
    ['the configuration is missing', without(oci(), `blobs/sha256/${digestOf(CONFIG)}`), /names the configuration/],
    [
      'another size',
      oci([descriptor(LAYERS[0]!), descriptor(LAYERS[1]!, { size: 7 })]),
      /^image-wrong has \d+ bytes, and 7 in what names it$/,
    ],
    ['a layer that lies elsewhere', oci([descriptor(LAYERS[0]!), foreign()]), /^container-unread$/],
    ['another blob under its name', { ...skopeoDirectory(), [OTHER]: LAYERS[0]! }, /another digest/],
  ])('%s', async (_, files, want) => {
    const errors = await found(files)
    expect(errors.length).toBeGreaterThan(0)
    expect(
      errors.some(e => want.test(e)),
      errors.join('\n'),
    ).toBe(true)
  })

  test.each<[string, Files]>([
    ['layers in another order', oci([...LAYERS].reverse().map(l => descriptor(l)))],
    ['of docker save', saved([1, 0])],
  ])('%s', async (_, files) => {
    // The configuration of docker save has a name of its own here, so that it is found by what names it.
    const named = 'c.json' in files ? renamed(files) : files
    expect((await found(named)).filter(e => e.startsWith('image-wrong tells of another layer'))).toHaveLength(2)
  })
})

function foreign(): object {
  return {
    digest: `sha256:${'0'.repeat(64)}`,
    size: 9,
    mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
  }
}

function renamed(files: Files): Files {
  const images = JSON.parse(files['manifest.json']!.toString('utf8')) as { Config: string }[]
  return { ...files, 'manifest.json': json(images.map(i => ({ ...i, Config: `${digestOf(CONFIG)}.json` }))) }
}

test('documents that are none are a value', async () => {
  for (const bytes of ['', '[', 'null', '[1,{"Layers":7}]', '{"manifests":[7,{"digest":"x"}]}', '{"layers":[null]}'])
    await found({ 'index.json': Buffer.from(bytes), 'manifest.json': Buffer.from(bytes), version: Buffer.alloc(0) })
})
