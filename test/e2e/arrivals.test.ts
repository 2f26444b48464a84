/** Why each file is there: a chain of edges from what was asked for, with places in files where their names stand. */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { BundleOptions } from '../../src/options.ts'
import { graphOf, unreached, wrongEvidence } from '../support/arrivals.ts'
import { bundle, fixture, mustBundle, temporary } from '../support/bundle.ts'
import { application } from '../support/darwin-closure.ts'
import { storePath } from '../support/store-lab.ts'

const ALL: BundleOptions = { include: ['glibc-*/lib/gconv/CP1250.so'], licenses: true, with: ['tzdata'] }

test.each([
  { program: 'nginx', options: {} },
  { program: 'nginx', options: ALL },
  { program: 'nginx', options: { data: 'all' as const } },
  { program: 'nginx', options: { data: 'none' as const } },
  { program: 'openssl^bin', options: {} },
])('$program $options: every file is reached, and what is said of it is true', async ({ program, options }) => {
  const graph = await graphOf(fixture(program), options)
  expect(unreached(graph)).toEqual([])
  expect(wrongEvidence(graph)).toEqual([])
})

test('links on the way, directories by links, scripts, archives', async () => {
  const other = storePath('other-1', {
    'share/real/a': 'a',
    'share/real/b': 'b',
    'share/link': { link: 'real' },
    'share/file': 'c',
    'share/name': { link: 'file' },
    'bin/sh-1': '#!/bin/sh\n',
    'bin/sh': { link: 'sh-1' },
  })
  const app = storePath('app-1', {
    'bin/app': `#!${other}/bin/sh\ncat ${other}/share/link ${other}/share/name ${other}/share/name\n`,
    'share/linked': { link: `${other}/share/real` },
  })
  const graph = await graphOf(app)
  expect(unreached(graph)).toEqual([])
  expect(wrongEvidence(graph)).toEqual([])
  expect([...graph.links.keys()]).toContain(`${other}/share/name`)
  const twice = graph.edges.filter(e => e.name === `${other}/share/name`)
  expect(twice.map(e => [e.to, e.count])).toEqual([
    [`${other}/share/file`, 2],
    [`${other}/share/name`, 2],
  ])
})

test("--disallow: what a named directory holds is no own file of the target's", () => {
  const { code, stderr } = bundle([fixture('nginx'), '--dry-run', '--disallow', 'padlock.so'])
  expect(code).toBe(1)
  expect(stderr).toContain(
    'is padlock.so, which --disallow keeps out; it comes by nginx-1.22.1/bin/nginx -> openssl-3.0/lib/libcrypto.so.3 -> openssl-3.0/lib/engines-3 -> openssl-3.0/lib/engines-3/padlock.so',
  )
})

test('--disallow: what was asked for by kind is in the bundle too', () => {
  const { code, stderr } = bundle([fixture('nginx'), '--dry-run', '--with', 'tzdata', '--disallow', 'UTC'])
  expect(code).toBe(1)
  expect(stderr).toContain('is UTC, which --disallow keeps out; it comes by --with tzdata -> ')
})

test('macOS: libraries by their install names, a framework with all of it, wrappers; before bundling and after', async () => {
  const { app } = application('arm64')
  const graph = await graphOf(app)
  expect(unreached(graph)).toEqual([])
  expect(wrongEvidence(graph)).toEqual([])
  const names = ['Info.plist', 'libfoo.1.dylib', 'table', 'libdup.dylib', 'bash']
  const place = join(temporary(), 'app')
  mustBundle([app, '-f', 'dir', '-o', place, '-q'])
  const [before, after] = [app, place].map(subject => bundle(['why', subject, ...names]))
  expect(before!.code).toBe(0)
  expect(before!.stdout).toMatch(
    /app-1\.0\/bin\/app +needs libfoo-1\.2\/lib\/libfoo\.1\.dylib +LC_LOAD_DYLIB, offset \d+/,
  )
  expect(before!.stdout).toMatch(/Kit +lies in Kit\.framework, which comes whole/)
  expect(before!.stdout).toMatch(/libbar\.dylib +names data-1\/share\/table +__TEXT,__cstring, offset \d+; rule file/)
  // Its signatures are in the sizes.
  expect(after!.stdout).toBe(before!.stdout)
})
