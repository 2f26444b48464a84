/** Questions to what a bundle consists of: chains, names, what would be without; and that any document is answered in time. */
import { describe, expect, test } from 'vitest'
import { manifestPieces } from '../src/apply/manifest-text.ts'
import { Chains } from '../src/explain/chains.ts'
import { explainManifest } from '../src/explain/from-manifest.ts'
import { graphOf } from '../src/explain/graph.ts'
import { sectionSizes } from '../src/explain/sections.ts'
import { changes, sizeOf } from '../src/explain/size.ts'
import { treeOf } from '../src/explain/tree.ts'
import { disallowed, why } from '../src/explain/why.ts'
import type { Explained, Need } from '../src/model/explained.ts'
import { parseDump } from '../src/nix/database.ts'
import { identityOf } from '../src/nix/store-path.ts'
import type { BundlePath, SourcePath } from '../src/paths.ts'
import { pageHtml } from '../src/report/page.ts'
import { treeText } from '../src/report/tree.ts'
import { whyAnswers, whyJson, whyText } from '../src/report/why.ts'

const store = (name: string, hash: string): SourcePath => `/nix/store/${hash.repeat(32)}-${name}` as SourcePath
const NAMES = ['app-1.0', 'lib-2.1-bin', 'data', 'extra-1', 'lib-2.1-bin']
const PACKAGES = NAMES.map((name, i) => store(name, 'abcdf'[i]!))
const [APP, LIB, DATA, EXTRA] = PACKAGES as [SourcePath, SourcePath, SourcePath, SourcePath]

const file = (owner: number, part: string, size: number): Explained['files'][number] => ({
  at: `pkg/${NAMES[owner]}${owner === 4 ? '~2' : ''}/${part}` as BundlePath,
  type: 'file',
  size,
  role: 'data',
  package: owner,
  part,
})
const need = (from: number, to: number, name: string, kind: Need['kind'] = 'needed'): Need => {
  const at =
    kind === 'member'
      ? []
      : [{ file: null, member: null, offset: 10, line: null, part: 'needed', encoding: 'utf8' as const }]
  return { from, to, kind, name, via: null, at, count: at.length }
}
/** By their places, as in a bundle. */
const [BIN, OWN, ONE, TWO, LIBX, LIBY, LIBZ, TREE] = [0, 1, 2, 3, 4, 5, 6, 7]

/** app -> lib -> data, and by a detour; a file of the tree that nothing names; one that an option brings. */
const explained: Explained = {
  subject: { kind: 'target', name: 'app', version: '1.0', system: 'x86_64-linux', digest: null },
  packages: NAMES.map((name, i) => ({
    name,
    digest: `${i}`.repeat(16),
    store: PACKAGES[i]!,
    machine: null,
    tree: i === 0,
    nar: 100,
    references: [],
    kept: [],
    keptCount: 0,
  })),
  files: [
    file(0, 'bin/app', 1),
    file(0, 'share/own', 2),
    file(2, 'd', 4),
    file(3, 'e', 8),
    file(1, 'lib/libx.so.1', 16),
    file(1, 'lib/liby.so', 32),
    file(4, 'lib/libx.so.1', 64),
  ],
  directories: [{ package: 0, part: '' }],
  needs: [
    need(BIN, LIBX, 'libx.so.1.9'),
    need(BIN, TREE, 'app-1.0', 'reference'),
    need(ONE, BIN, 'bin/app', 'reference'),
    need(LIBX, ONE, 'data/d', 'reference'),
    need(LIBX, LIBY, 'liby.so'),
    need(LIBY, ONE, 'data/d', 'reference'),
    need(LIBY, LIBZ, 'libx.so.1', 'dlopen'),
    need(TREE, BIN, 'bin/app', 'member'),
    need(TREE, OWN, 'share/own', 'member'),
  ],
  asked: [
    { kind: 'entry', name: 'bin/app', to: BIN },
    { kind: 'target', name: 'app-1.0', to: TREE },
    { kind: 'include', name: '--include extra-1/*', to: TWO },
  ],
  closure: true,
}
const HOW = { chains: 20, matches: 5, kinds: [] }

test('the shortest chain, how many there are, what all go through, and what would be without it', () => {
  const [answer] = why(explained, ['d'], HOW)
  const [match] = answer!.matches
  expect(match!.chains.map(({ needs }) => needs.map(n => n.from))).toEqual([
    [BIN, LIBX],
    [BIN, LIBX, LIBY],
  ])
  expect(match).toMatchObject({ id: ONE, chainCount: 2, more: false, through: [BIN, LIBX], removable: 4 })
  expect(why(explained, ['liby.so'], HOW)[0]!.matches[0]).toMatchObject({ chainCount: 1, removable: 32 + 64 })
})

test('what only its package brings came with the target, whoever names the package; what an option brings, by that', () => {
  const chains = new Chains(explained)
  expect(chains.chainTo(OWN)).toMatchObject({ asked: { kind: 'target' }, needs: [{ from: TREE }] })
  expect(chains.chainTo(TWO)).toMatchObject({ asked: { name: '--include extra-1/*' }, needs: [] })
})

describe('names', () => {
  test.each([
    ['lib-2.1-bin', [LIBX, LIBZ]],
    ['lib', [LIBX, LIBZ]],
    ['libx.so.1', [LIBX, LIBZ]],
    ['libx.so.1.9', [LIBX]],
    ['data', [ONE]],
    ['pkg/lib-2.1-bin~2/lib/libx.so.1', [LIBZ]],
    ['lib-2.1-bin/lib/liby.so', [LIBY]],
    ['share/own', [OWN]],
    ['*/lib/lib*', [LIBX, LIBY, LIBZ]],
    [' ', []],
    ['', []],
    ['/', []],
    ['libx.so', []],
    ['dat', []],
    ['app-1', []],
  ])('%s', (name, ids) => {
    expect(why(explained, [name], HOW)[0]!.matches.map(m => m.id)).toEqual(ids)
  })

  test('two packages of one name are told apart, and only then by their digests', () => {
    const text = whyText(explained, why(explained, ['libx.so.1', 'd'], HOW), false)
    expect(text).toContain('lib-2.1-bin#1111/lib/libx.so.1')
    expect(text).toContain('lib-2.1-bin#4444')
    expect(text).not.toContain('#0000')
  })
})

describe('--disallow', () => {
  const of = (name: string) => disallowed(explained, [name]).map(f => f.code === 'disallowed' && [f.chain, f.option])
  test('what is disallowed is told with what brings it: files, or an option', () => {
    expect(of('own')).toEqual([[[`${APP}/share/own`], null]])
    expect(of('e')).toEqual([[[`${EXTRA}/e`], '--include extra-1/*']])
    expect(of('data')).toEqual([[[`${APP}/bin/app`, `${LIB}/lib/libx.so.1`, `${DATA}/d`], null]])
  })
  test('what is not there, or is only a part of a name, is not disallowed', () => {
    expect(disallowed(explained, ['libx.so', 'dat', 'app-1', 'lib-2'])).toEqual([])
  })
})

test('nix-tree#14: what a package costs alone is what nothing else needs', () => {
  const names = ['A', 'B', 'C', 'D', 'E', 'F', 'root']
  const edges = ['A D', 'B D', 'C A', 'C E', 'E D', 'F A', 'F C', 'root F', 'root B'].map(edge => edge.split(' '))
  const id = (name: string | undefined) => names.indexOf(name!)
  const all: Explained = {
    ...explained,
    packages: names.map(name => ({ ...explained.packages[1]!, name })),
    files: names.map((name, i) => ({ ...file(0, name, 2 ** i), at: name as BundlePath, package: i, part: 'x' })),
    directories: [],
    needs: edges.map(([from, to]) => need(id(from), id(to), to!)),
    asked: [{ kind: 'entry', name: 'root', to: id('root') }],
  }
  const alone = Object.fromEntries(sizeOf(all).packages.map(row => [names[row.package!], row.alone]))
  const sum = (of: string) => [...of].reduce((bytes, name) => bytes + 2 ** id(name), 0)
  expect(alone).toEqual({
    A: sum('A'),
    B: sum('B'),
    C: sum('CE'),
    D: sum('D'),
    E: sum('E'),
    F: sum('ACEF'),
    root: null,
  })
})

test('dix#56: what grew, came and went, the largest first; versions are the same package', () => {
  const grown = explained.packages.map(p => ({ ...p, name: p.name.replace('lib-2.1', 'lib-2.2') }))
  const after = { ...explained, packages: grown, files: [...explained.files.slice(0, 6), file(3, 'f', 100)] }
  expect(changes(explained, after, 'package')).toEqual([
    { name: 'extra', before: 8, after: 108 },
    { name: 'lib', before: 112, after: 48 },
  ])
  expect(changes(explained, explained, 'file')).toEqual([])
})

// ---- Bundles -------------------------------------------------------------------------------------------------------

const manifest = (more: object): Buffer =>
  Buffer.from(
    JSON.stringify({
      ...{
        schema: 2,
        tool: 'x',
        name: 'app',
        version: null,
        system: 's',
        prefix: null,
        launcher: 'stub',
        programs: [],
      },
      references: Object.fromEntries(
        ['loader', 'fixed', 'templated', 'relocated', 'placed', 'blanked', 'host-path'].map(k => [k, 0]),
      ),
      ...{ packages: [], accounts: [], closure: [], findings: [], files: [], directories: [], needs: [], asked: [] },
      ...more,
    }),
  )
const files = (count: number) =>
  Array.from({ length: count }, (_, i) => ({
    path: `${i}`,
    type: 'file',
    executable: false,
    size: 1,
    sha256: '',
    target: null,
  }))

test.each<[string, object, RegExp]>([
  [
    'needs of files that are not there',
    { needs: [{ from: 0, to: 1, kind: 'needed' }] },
    /neither file nor directory 0/,
  ],
  ['files of packages that are not there', { files: [{ ...files(1)[0], package: 3 }] }, /no package 3/],
  ['negative numbers', { asked: [{ kind: 'entry', to: -1 }] }, /asked\.0\.to/],
  ['numbers that are none', { asked: [{ kind: 'entry', to: 0.5 }] }, /asked\.0\.to/],
  [
    'directories that hold what is not there',
    { packages: [{ name: 'a', tree: true }], directories: [{ package: 0, path: '', holds: [[0, 9]] }] },
    /files 0 to 9 are not there/,
  ],
  [
    'directories that hold everything a thousand times',
    {
      packages: [{ name: 'a', tree: true }],
      files: files(10_000),
      directories: Array.from({ length: 1000 }, () => ({ package: 0, path: '', holds: [[0, 9999]] })),
    },
    /hold too much/,
  ],
  ['a schema that is not known', { schema: 3 }, /schema/],
  ['a bundle without reasons', { schema: 1 }, /does not say why/],
])('%s: an error that says so', (_, more, reason) => {
  expect(() => explainManifest(manifest(more), '/b')).toThrow(reason)
})

test('circles, a chain of twenty thousand, two hundred thousand needs: an answer in seconds', () => {
  const count = 20_000
  const chain = Array.from({ length: count - 1 }, (_, i) => ({ from: i, to: i + 1, kind: 'needed', name: 'x' }))
  const back = Array.from({ length: count - 1 }, (_, i) => ({ from: i + 1, to: i, kind: 'needed', name: 'x' }))
  const wide = Array.from({ length: 160_000 }, (_, i) => ({ from: i % 1000, to: (i * 7919) % count, kind: 'dlopen' }))
  const bytes = manifest({
    files: files(count),
    needs: [...chain, ...back, ...wide],
    asked: [{ kind: 'entry', name: 'x', to: 0 }],
  })
  const began = performance.now()
  const read = explainManifest(bytes, '/b')
  const [answer] = why(read, ['19999'], HOW)
  expect(answer!.matches[0]).toMatchObject({ id: 19_999, more: true })
  expect(whyJson(read, [answer!]).length).toBeLessThan(1e6)
  expect(sizeOf(read).files).toBe(count + 1)
  expect(treeText(read, treeOf(read, { depth: 1e9, files: false, kinds: [] }), false).length).toBeLessThan(1e7)
  expect(graphOf(read, { by: 'file', to: '5', depth: 3, kinds: [] })!.nodes.length).toBeGreaterThan(1)
  expect(pageHtml(read, [], 'x', { script: '', style: '' }).length).toBeLessThan(50e6)
  expect(performance.now() - began).toBeLessThan(30_000)
})

test('a chain of twenty thousand and nothing beside it: what all go through is all of it; a tree has an end', () => {
  const count = 20_000
  const read = explainManifest(
    manifest({
      packages: Array.from({ length: 1000 }, () => ({ name: 'same-1', tree: false })),
      files: files(count).map((f, i) => ({ ...f, package: i % 1000 })),
      needs: Array.from({ length: count - 1 }, (_, i) => ({ from: i, to: i + 1, kind: 'needed', name: 'x' })),
      asked: [{ kind: 'entry', name: 'x', to: 0 }],
    }),
    '/b',
  )
  const began = performance.now()
  const [last, same] = why(read, ['19999', 'same'], HOW)
  expect(last!.matches[0]!.through).toHaveLength(count - 1)
  expect(same).toMatchObject({ matchCount: 1000, matches: { length: HOW.matches } })
  expect(treeText(read, treeOf(read, { depth: 1e9, files: false, kinds: [] }), false).split('\n').length).toBeLessThan(
    100,
  )
  expect(sizeOf(read).bytes).toBe(count + read.files.at(-1)!.size)
  expect(performance.now() - began).toBeLessThan(10_000)
})

test('names with control characters, quotes, and bytes that are no UTF-8 are one line of text, and JSON', () => {
  const odd = ['a\nb', '\x1b[31mred', '"\'`$(x)', '<img src=x onerror=alert(1)>', '\xff\xfe', '\u00e2\u0080\u00ae']
  const all: Explained = {
    ...explained,
    files: odd.map(name => ({ ...file(0, name, 1), at: name as BundlePath })),
    needs: odd.map((name, i) => need(0, i, name)),
    asked: [{ kind: 'entry', name: odd[0]!, to: 0 }],
  }
  const answers = why(all, ['*'], { ...HOW, matches: 10 })
  expect(answers[0]!.matches).toHaveLength(odd.length)
  const text = whyText(all, answers, true)
  expect(text).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f]/)
  expect(text).toContain('a\\x0ab')
  expect(text).toContain('\\xff\\xfe')
  const written = JSON.parse(whyJson(all, answers)).answers
  expect(written[0].matches).toHaveLength(odd.length)
  // What the library hands out is not written and read back.
  expect(whyAnswers(all, answers)).toStrictEqual(written)
})

test('a document is text a line for each element', () => {
  const bytes = Buffer.concat([...manifestPieces(JSON.parse(manifest({ files: files(3) }).toString()))])
  expect(JSON.parse(bytes.toString()).files).toHaveLength(3)
  expect(
    bytes
      .toString()
      .split('\n')
      .filter(line => line.includes('"sha256"')),
  ).toHaveLength(3)
})

// ---- Nix -----------------------------------------------------------------------------------------------------------

test("what nix-store --dump-db prints; anything else is nothing, never half of it (nix's path-info has four shapes)", () => {
  const a = `${APP}\n${'0'.repeat(64)}\n120\n\n2\n${APP}\n${LIB}\n`
  const b = `${LIB}\n${'0'.repeat(64)}\n30\n/nix/store/x.drv\n0\n`
  expect(parseDump(a + b)).toMatchObject({ size: 150 })
  expect(parseDump(a + b)?.paths.get(APP)).toEqual({ nar: 120, references: [LIB] })
  for (const text of ['', '[]', '{"/nix/store/x":{}}', a.slice(0, -40), `${a}junk`, a.replace('120', '-1')])
    expect(parseDump(text)).toBeNull()
})

test.each([
  ['openssl-3.0.22-bin', { pname: 'openssl', version: '3.0.22', output: 'bin' }],
  ['glibc-2.40-66', { pname: 'glibc', version: '2.40', output: null }],
  ['glibc-2.40-66-getent', { pname: 'glibc', version: '2.40', output: 'getent' }],
  ['gcc-13.3.0-libgcc', { pname: 'gcc', version: '13.3.0', output: 'libgcc' }],
  ['gtk+3-3.24.43-devdoc', { pname: 'gtk+3', version: '3.24.43', output: 'devdoc' }],
  ['hello-unstable-2024-01-02', { pname: 'hello-unstable', version: '2024-01-02', output: null }],
  ['bind-9.18-dnsutils', { pname: 'bind', version: '9.18', output: 'dnsutils' }],
  ['python3', { pname: 'python3', version: null, output: null }],
])('%s by its name', (name, identity) => {
  expect(identityOf(name)).toEqual(identity)
})

test('sections: each byte once, whatever a file says of them', () => {
  const files = [file(0, 'bin/a', 100), file(1, 'lib/b', 50), file(2, 'data', 7)]
  const explained: Explained = {
    subject: { kind: 'bundle', name: 'app', version: null, system: 'any', digest: null },
    ...{ packages: [], files, directories: [], needs: [], asked: [], closure: false },
  }
  const rows = sectionSizes(
    explained,
    new Map([
      [
        files[0]!.at as string,
        [
          { name: '.text', offset: 10, size: 40 },
          { name: '.inside', offset: 20, size: 5 },
          { name: '.over', offset: 45, size: 10 },
          { name: '.beyond', offset: 90, size: 2 ** 40 },
        ],
      ],
      [files[1]!.at as string, [{ name: '.text', offset: 0, size: 50 }]],
    ]),
  )
  expect(rows.map(({ name, files, bytes }) => [name, files, bytes])).toEqual([
    ['.text', 2, 90],
    ['(headers and gaps)', 1, 45],
    ['.beyond', 1, 10],
    ['(data)', 1, 7],
    ['.over', 1, 5],
  ])
})
