/**
 * Every reference is accounted for: a scan that shares no code with the bundler's finds in the originals what the full
 * account lists, no more and no less; and what is blanked although its target exists stands in a row that says why.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, lstatSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { bundles } from '../support/jobs.ts'

interface Account {
  readonly file: string
  readonly offset: number
  readonly text: string
  readonly member: string | null
  readonly target: string | null
  readonly rule: string
  readonly outcome: string
  readonly missed: boolean
}
interface Report {
  readonly references: readonly Account[]
  readonly files: readonly { readonly file: string; readonly at: string }[]
}

const ATTRIBUTES = ['full.nginx', 'full.git', 'full.python3', 'full.perl', 'full.openssl', 'full.pyapp', 'full.wrapped']

/** Offsets of the store's name in each of some files, by grep. */
function offsets(files: readonly string[]): Map<string, number[]> {
  const found = execFileSync('sh', ['-c', 'xargs -0 grep -obaHZF /nix/store -- || :'], {
    input: files.join('\0'),
    encoding: 'latin1',
    maxBuffer: 1 << 28,
  })
  const byFile = new Map<string, number[]>()
  for (const [, file = '', offset] of found.matchAll(/^([^\0\n]+)\0(\d+):/gm))
    byFile.set(file, [...(byFile.get(file) ?? []), Number(offset)])
  return byFile
}

describe.each([
  { mode: 'relocatable', options: [] },
  { mode: 'with --prefix', options: ['--prefix', '/opt/app'] },
])('$mode', ({ mode, options }) => {
  const bundle = bundles(...options)

  test.each(ATTRIBUTES)('%s: the account has what grep finds', attribute => {
    const { references, files } = JSON.parse(readFileSync(`${bundle(attribute)}.json`, 'utf8')) as Report
    const byFile = new Map<string, number[]>()
    for (const { file, offset, text, member } of references)
      if (member === null && text.startsWith('/nix/store')) byFile.set(file, [...(byFile.get(file) ?? []), offset])
    const place = bundle(attribute)
    let total = 0
    const found = offsets(files.map(({ file }) => file).filter(file => !lstatSync(file).isSymbolicLink()))
    for (const { file, at } of files) {
      // Files of one content lie in one place, under the name of the first; what Python compiles anew stays out.
      if (!existsSync(`${place}/${at}`) || (!byFile.has(file) && isShared(files, file, at))) continue
      if (lstatSync(file).isSymbolicLink()) continue
      const expected = found.get(file) ?? []
      expect(
        [...(byFile.get(file) ?? [])].sort((a, b) => a - b),
        file,
      ).toEqual(expected)
      total += expected.length
      const bytes = readFileSync(file)
      expect(bytes.indexOf(Buffer.from('/nix/store', 'utf16le')), file).toBe(-1)
      if (bytes[0] === 0x1f && bytes[1] === 0x8b) expect(gunzipSync(bytes).includes('/nix/store'), file).toBe(false)
    }
    expect(total).toBeGreaterThan(10)
  })

  test.each(ATTRIBUTES)('%s: nothing is blanked whose target exists, but in rows that say why', attribute => {
    const { references } = JSON.parse(readFileSync(`${bundle(attribute)}.json`, 'utf8')) as Report
    const blanked = references.filter(r => r.outcome === 'blanked' && r.target !== null && existsSync(r.target))
    const rows = new Set(blanked.filter(r => !r.missed).map(r => r.rule))
    const named = ['configuration', 'option', 'development', 'locales', 'loader', 'libraries', 'other-tree', 'getconf']
    for (const row of rows)
      expect([...named, ...ASKED_FOR, 'shebang', ...(mode === 'relocatable' ? MIRRORED : [])]).toContain(row)
    if (mode === 'with --prefix') expect(blanked.filter(r => r.missed)).toEqual([])
  })
})

/** What comes where a program calls for it, by an import: what others name they do not look for. */
const ASKED_FOR = ['gconv', 'c-locale']

/** Comments and docstrings, and compiled modules, whose sources answer for what they name. */
const MIRRORED = ['own-tree', 'directory', 'file']

const isShared = (files: Report['files'], file: string, at: string): boolean =>
  files.some(other => other.at === at && other.file !== file)
