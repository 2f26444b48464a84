/** The table of a staged bundle: what cannot be told apart keeps names that lead nowhere. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { relocationTable } from '../src/apply/relocation-table.ts'
import { decodeRelocations } from '../src/entry/relocations.ts'
import { withFile } from '../src/io/store.ts'
import type { PlannedRelocations } from '../src/model/plan.ts'
import type { BundlePath } from '../src/paths.ts'

const directory = mkdtempSync(join(tmpdir(), 'storefree-'))
afterAll(() => rmSync(directory, { recursive: true }))
beforeAll(() => {
  for (const [name, text] of [
    ['one', 'int one(void) { return 1; }'],
    ['two', 'int two(void) { return 2; } int three(void) { return 3; } char space[5000] = "x";'],
  ]) {
    writeFileSync(join(directory, `${name}.c`), text!)
    execFileSync('gcc', ['-shared', '-fPIC', '-o', join(directory, `${name}.so`), join(directory, `${name}.c`)])
  }
})

const at = (name: string): BundlePath => name as BundlePath
const table = (objects: PlannedRelocations['objects'], paths: Readonly<Record<string, string>>) =>
  relocationTable({ programs: [], objects, rootLimit: 39 }, [], (name, use) =>
    withFile(join(directory, paths[name]!), use),
  )
const sites = (address: number) => [{ address, link: 0 }]

test('two libraries of their own have an entry each', () => {
  const paths = { 'lib/one': 'one.so', 'lib/two': 'two.so' }
  const { bytes, findings } = table(
    [
      { at: at('lib/one'), sites: sites(8) },
      { at: at('lib/two'), sites: sites(16) },
    ],
    paths,
  )
  expect(findings).toEqual([])
  expect(
    decodeRelocations(bytes)
      ?.files.flatMap(f => f.sites.map(s => s.address))
      .sort(),
  ).toEqual([16, 8])
})

test('two of equal headers with the same sites are one', () => {
  const objects = ['lib/a', 'lib/b'].map(name => ({ at: at(name), sites: sites(8) }))
  const { bytes, findings } = table(objects, { 'lib/a': 'one.so', 'lib/b': 'one.so' })
  expect(findings).toEqual([])
  expect(decodeRelocations(bytes)?.files).toHaveLength(1)
})

test('two of equal headers with other sites: neither is touched, and both are told of', () => {
  const objects = [
    { at: at('lib/a'), sites: sites(8) },
    { at: at('lib/b'), sites: sites(16) },
  ]
  const { bytes, refused, findings } = table(objects, { 'lib/a': 'one.so', 'lib/b': 'one.so' })
  expect(findings.map(f => [f.code, f.file, f.severity])).toEqual([
    ['relocation-refused', 'lib/a', 'warning'],
    ['relocation-refused', 'lib/b', 'warning'],
  ])
  expect([...refused]).toEqual(['lib/a', 'lib/b'])
  expect(decodeRelocations(bytes)?.files.flatMap(f => f.sites)).toEqual([])
})

test('a third of equal headers: all are told of, but for one that has no sites', () => {
  const objects = [
    { at: at('lib/a'), sites: sites(8) },
    { at: at('lib/b'), sites: sites(8) },
    { at: at('lib/c'), sites: sites(16) },
    { at: at('lib/d'), sites: [] },
  ]
  const paths = Object.fromEntries(objects.map(o => [o.at, 'one.so']))
  const { bytes, refused, findings } = table(objects, paths)
  expect([...refused]).toEqual(['lib/a', 'lib/b', 'lib/c'])
  expect(findings.map(f => f.file)).toEqual(['lib/a', 'lib/b', 'lib/c'])
  expect(decodeRelocations(bytes)?.files.map(f => f.sites)).toEqual([[]])
})
