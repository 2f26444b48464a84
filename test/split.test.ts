/** Store paths that a compiler has taken apart: what looks whole beside such pieces is not changed in memory. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import type { SourcePath } from '../src/paths.ts'
import { scanReferences } from '../src/references/scan.ts'
import { splitHashes } from '../src/scan/contents.ts'

const HASH = '0c8b4gz5vd6h1jr9xk2mnqfwl3yaips7'
const WHOLE = `/nix/store/${HASH}-nginx-1.22.1/html`
const directory = mkdtempSync(join(tmpdir(), 'storefree-'))
afterAll(() => rmSync(directory, { recursive: true }))

function split(text: string, rule = 'file'): string[] {
  const path = join(directory, 'file') as SourcePath
  writeFileSync(path, text, 'latin1')
  const references = scanReferences([Buffer.from(text, 'latin1')], new Set([HASH]))
  const verdicts = references.map(() => ({ rule, followed: false, target: null }))
  return [...splitHashes({ path, references, verdicts })]
}

describe('a hash is taken apart', () => {
  test.each([
    ['its first sixteen bytes stand alone', `${WHOLE}\0\0${WHOLE.slice(0, 16)}other constants`],
    ['its second sixteen bytes stand alone', `${WHOLE.slice(16, 32)}\0\0${WHOLE}\0`],
    ['two whole ones, and a piece', `${WHOLE}\0${WHOLE}\0${WHOLE.slice(16, 32)}`],
  ])('%s', (_, text) => expect(split(text)).toEqual([HASH]))
})

describe('a hash is whole', () => {
  test.each([
    ['wherever it stands', `${WHOLE}\0${WHOLE}:${WHOLE}`],
    ['as a hash alone', `${WHOLE}\0-frandom-seed=${HASH}\0`],
    ['beside fewer bytes than a piece', `${WHOLE}\0${WHOLE.slice(0, 15)}\0${WHOLE.slice(20, 30)}`],
  ])('%s', (_, text) => expect(split(text)).toEqual([]))
  test('where only the loader reads it: that is not changed in memory', () =>
    expect(split(`${WHOLE}\0${WHOLE.slice(0, 16)}`, 'loader')).toEqual([]))
})
