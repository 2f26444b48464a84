/**
 * A bundle is anybody's: what it calls its files, packages and itself is text in whatever is printed of it. Each output is
 * asked: terminal, JSON, DOT, Mermaid, the page, the bill of materials.
 */
import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { explainManifest } from '../src/explain/from-manifest.ts'
import { graphOf } from '../src/explain/graph.ts'
import { sbomOf, sbomText } from '../src/explain/sbom/document.ts'
import { sectionSizes } from '../src/explain/sections.ts'
import { changes, sizeOf } from '../src/explain/size.ts'
import { reverseTreeOf, treeOf } from '../src/explain/tree.ts'
import { why } from '../src/explain/why.ts'
import type { Contents, SbomOptions } from '../src/model/sbom.ts'
import { oneLine, toText } from '../src/paths.ts'
import { graphDot, graphJson, graphMermaid } from '../src/report/graph.ts'
import { pageHtml } from '../src/report/page.ts'
import { changesText, sizeJson, sizeText } from '../src/report/size.ts'
import { treeJson, treeText } from '../src/report/tree.ts'
import { whyJson, whyText } from '../src/report/why.ts'

const ODD = [
  'line\nbreak\r\ttab',
  '\x1b]0;title\x07\x1b[31mred',
  '\u009b31mred by one character',
  '\u202egpj.exe\u2066 turned',
  'para\u2029graph',
  '"quoted" \'twice\' `$(touch x)` \\',
  '</script><img src=x onerror=alert(1)>&lt;',
  '"]; x [label="',
  '--> n0 %%{init}%% end #34;',
  '__proto__',
  'größe',
] as const

/** A `bundle.json` in which each text that may be is each of these, and one name is no UTF-8. */
const document = (odd: string): Buffer =>
  Buffer.from(
    JSON.stringify({
      ...{ schema: 2, tool: odd, name: odd, version: odd, system: odd, prefix: null, launcher: 'stub', programs: [] },
      references: Object.fromEntries(
        ['loader', 'fixed', 'templated', 'relocated', 'placed', 'blanked', 'host-path'].map(k => [k, 0]),
      ),
      ...{ accounts: [], closure: [], findings: [] },
      packages: [
        { name: odd, pname: odd, version: odd, output: odd, digest: odd, tree: true },
        {
          ...{ name: `${odd}-2`, tree: false, nar: 5 },
          machine: { manager: 'deb', name: odd, version: odd, arch: odd, source: odd, distro: odd },
        },
        {
          ...{ name: `${odd}-3`, tree: false },
          kept: [{ from: 0, rule: odd, via: odd, offset: 1, part: odd, member: odd }],
        },
      ],
      files: [
        { path: `bin/${odd}`, role: 'program', package: 0 },
        { path: `lib/${odd}`, role: 'library', package: 1 },
        { path: 'no text', bytes: Buffer.from([0xff, 0xfe, 0x0a]).toString('base64'), package: 0 },
      ].map(file => ({ ...file, type: 'file', executable: true, size: 7, sha256: odd, target: null })),
      directories: [{ package: 0, path: odd, holds: [[2, 2]] }],
      needs: [
        {
          ...{ from: 0, to: 1, kind: 'needed', name: odd, via: odd },
          at: [{ offset: 3, part: odd, member: odd, line: 1 }],
        },
        { from: 1, to: 0, kind: 'dlopen', name: odd },
        { from: 0, to: 3, kind: 'reference', name: odd, via: odd },
      ],
      asked: [
        { kind: 'entry', name: odd, to: 0 },
        { kind: 'include', name: odd, to: 2 },
      ],
    }),
  )

// C0, C1, what separates lines, what turns text.
const OBEYED = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/

test.each(ODD)('%j is text in each output', odd => {
  const explained = explainManifest(document(odd), '/b')
  const lines = (text: string): string[] => {
    expect(text).not.toMatch(OBEYED)
    return text.split('\n')
  }
  const answers = why(explained, ['*', odd, `${odd}-3`], { chains: 9, matches: 99, kinds: [] })
  const size = sizeOf(explained)
  const tree = treeOf(explained, { depth: 9, files: true, kinds: [] })
  const reverse = reverseTreeOf(explained, `lib/${odd}`, { depth: 9, files: true, kinds: [] })
  const grown = changes({ ...explained, files: [] }, explained, 'file')
  const sections = sectionSizes(explained, new Map([[explained.files[0]!.at as string, []]]))

  // Terminal: no line that a name has made, none that begins as a message does.
  for (const text of [
    whyText(explained, answers, true),
    treeText(explained, tree, true),
    ...(reverse === null ? [] : [treeText(explained, reverse, true)]),
    ...(['package', 'file', 'kind', 'section'] as const).map(by => sizeText(explained, size, by, 99, sections)),
    changesText(grown, 0, size.bytes, 99),
  ])
    for (const line of lines(text)) expect(line).not.toMatch(/^(?:break|error|warning)/)

  // JSON.
  for (const text of [
    whyJson(explained, answers),
    treeJson(explained, tree),
    sizeJson(explained, size, null, { bytes: 0, changes: grown }, sections),
  ]) {
    lines(text)
    JSON.parse(text)
  }

  // Pictures.
  for (const by of ['package', 'file'] as const) {
    const graph = graphOf(explained, { by, to: null, depth: 9, kinds: [] })!
    for (const line of lines(graphDot(explained, graph)))
      expect((line.replace(/\\./g, '').match(/"/g) ?? []).length % 2, line).toBe(0)
    for (const line of lines(graphMermaid(explained, graph)))
      expect(line).toMatch(/^flowchart LR$|^ {2}n\d+\["[A-Za-z0-9 ,._/+~#;-]*"\]$|^ {2}n\d+ (?:-->|-\.->) n\d+$/)
    JSON.parse(lines(graphJson(explained, graph)).join('\n'))
  }

  // The page: what is said of the bundle is in one element that ends where we end it.
  const html = pageHtml(explained, [0], 'storefree', { script: 'SCRIPT', style: 'STYLE' })
  lines(html)
  expect(html.match(/<(?:script|img)\b/g)).toEqual(['<script', '<script'])
  const [, data] = /<script type="application\/json" id="data">(.*)<\/script>\n/.exec(html)!
  expect(data).not.toContain('<')
  expect(JSON.parse(data!).name).toBe(oneLine(odd))

  // The bill of materials, which is for machines: the bundle's own name is what it says.
  const read: Contents = {
    ...{ sha256: 'a', sha512: 'b', executable: false, archive: false, version: null },
    inside: [{ ecosystem: 'npm', name: odd, version: odd }],
  }
  const options: SbomOptions = {
    ...{ timestamp: '1970-01-01T00:00:01Z', maker: 'x 1', tool: 'x 1', storePaths: false },
    spec: '1.6',
    files: 'all',
    edges: 'files',
  }
  const { sbom } = sbomOf(explained, new Map(explained.files.map(({ at }) => [at as string, read])), options)
  const parsed = JSON.parse(sbomText(sbom, options))
  expect(parsed.metadata.component.name).toBe(oneLine(odd))
  expect(JSON.stringify(parsed)).toContain('\\\\xff\\\\xfe\\\\x0a')
  for (const { purl } of [
    ...parsed.components,
    ...parsed.components.flatMap((c: { components: object[] }) => c.components),
  ])
    if (purl !== undefined) expect(purl).toMatch(/^pkg:[\w.~:%/@?=&+-]+$/)
})

test('the hint to leave something out is one word of the shell', () => {
  const quoted = oneLine(ODD[5])
  const explained = explainManifest(document(ODD[5]), '/b')
  const packages = explained.packages.map(p => ({ ...p, machine: null }))
  const named = {
    ...explained,
    packages,
    needs: explained.needs.map(need => ({ ...need, kind: 'reference' as const })),
  }
  const text = whyText(named, why(named, [`lib/${ODD[5]}`], { chains: 1, matches: 1, kinds: [] }), false)
  const [, hint] = /Leave it out: --exclude (.*)$/m.exec(text)!
  const shown = execFileSync('sh', ['-c', `printf '%s|' ${hint}`], { encoding: 'utf8' })
  expect(shown).toContain(quoted)
  expect(shown.match(/\|/g)).toHaveLength(1)
})

test('what a terminal obeys, and what misleads a reader, is shown by its bytes', () => {
  expect(oneLine('a\u009bb\u202ec\u2028')).toBe('a\\xc2\\x9bb\\xe2\\x80\\xaec\\xe2\\x80\\xa8')
  expect(toText('\xc2\x9b')).toBe('\\xc2\\x9b')
  expect(toText('gr\xc3\xb6\xc3\x9fe')).toBe('größe')
  expect(toText('\xff\x9b')).toBe('\\xff\\x9b')
})
