/**
 * None is called clean: files of every kind that is known to hide a store path from a plain search, made by their own
 * tools, are found or named as not read; alone, in a directory, a tar, a zip and an image's layer.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { BundleError } from '../../src/errors.ts'
import { silent } from '../../src/io/progress.ts'
import { verify } from '../../src/verify/verify.ts'
import { PACKED_KINDS, TEXT } from '../support/packed-kinds.ts'

const work = fs.mkdtempSync(join(tmpdir(), 'storefree-kinds-'))
afterAll(() => fs.rmSync(work, { recursive: true, force: true }))

const shell = (script: string, cwd: string, ...args: string[]): void =>
  void execFileSync('bash', ['-euc', script, 'bash', ...args], { cwd, stdio: ['ignore', 'pipe', 'pipe'] })

/** What is told of it that a user would not take for clean: references, and what was not read. */
async function told(path: string): Promise<string[]> {
  const verified = await verify(path, silent).catch((error: unknown) => error)
  // Not read at all: exit code 2.
  if (verified instanceof BundleError) return [`refused: ${verified.code}`]
  const { findings } = verified as Awaited<ReturnType<typeof verify>>
  const all = findings.flatMap(f =>
    f.code === 'store-reference' ? ['found'] : f.code === 'container-unread' ? [`${f.problem} ${f.detail}`] : [],
  )
  return [...new Set(all)].sort()
}

function imageOf(tar: string, at: string): void {
  const layer = fs.readFileSync(tar)
  const digest = createHash('sha256').update(layer).digest('hex')
  fs.mkdirSync(at)
  fs.writeFileSync(join(at, 'l.tar'), layer)
  fs.writeFileSync(join(at, 'c.json'), JSON.stringify({ rootfs: { type: 'layers', diff_ids: [`sha256:${digest}`] } }))
  fs.writeFileSync(join(at, 'manifest.json'), JSON.stringify([{ Config: 'c.json', Layers: ['l.tar'] }]))
}

describe.each(PACKED_KINDS)('$what', ({ what, make }) => {
  const place = join(work, what.replace(/\W+/g, '-'))
  const tree = join(place, 'tree')
  test('is not called clean in any form', async () => {
    fs.mkdirSync(tree, { recursive: true })
    fs.writeFileSync(join(place, 'x'), TEXT)
    shell(make, place, tree)
    shell('tar -C tree -cf all.tar .; (cd tree; zip -qry ../all.zip .)', place)
    imageOf(join(place, 'all.tar'), join(place, 'image'))
    const of: Record<string, string[]> = {}
    const names = fs.readdirSync(tree)
    if (names.length === 0) throw new Error('nothing was made')
    for (const name of names) if (fs.statSync(join(tree, name)).isFile()) of[name] = await told(join(tree, name))
    for (const form of ['tree', 'all.tar', 'all.zip', 'image']) of[form] = await told(join(place, form))
    if (process.env.TOLD) fs.appendFileSync(process.env.TOLD, `${what}: ${JSON.stringify(of)}\n`)
    expect(Object.entries(of).filter(([, all]) => all.length === 0)).toEqual([])
  })
})
