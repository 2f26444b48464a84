/** Questions to a graph. */
import { expect, test } from 'vitest'
import { disallowed, why } from '../src/explain/why.ts'
import type { Dependency, DependencyGraph } from '../src/model/graph.ts'
import type { SourcePath } from '../src/paths.ts'

const store = (name: string, hash: string): SourcePath => `/nix/store/${hash.repeat(32)}-${name}` as SourcePath
const [APP, LIB, DATA] = [store('app-1.0', 'a'), store('lib-2.1-bin', 'b'), store('data', 'c')]
const EXTRA = store('extra-1', 'd')
const edge = (from: string, to: string): Dependency =>
  ({ from, to, kind: 'needed', name: `${to}.9`, via: null }) as unknown as Dependency

/** app -> lib -> data, and app -> data through a detour; a file of the tree that nothing names. */
const graph = {
  entries: [{ at: 'bin/app', source: `${APP}/bin/app` }],
  files: new Map(
    [`${APP}/bin/app`, `${APP}/share/own`, `${LIB}/lib/libx.so.1`, `${DATA}/d`, `${EXTRA}/e`].map(p => [p, {}]),
  ),
  links: new Map(),
  extras: [],
  asked: [
    { kind: 'target', name: 'app-1.0', to: APP },
    { kind: 'entry', name: 'bin/app', to: `${APP}/bin/app` },
    { kind: 'include', name: '--include extra-1/*', to: `${EXTRA}/e` },
  ],
  edges: [
    edge(`${APP}/bin/app`, `${LIB}/lib/libx.so.1`),
    edge(`${LIB}/lib/libx.so.1`, `${LIB}/lib/liby.so`),
    edge(`${LIB}/lib/liby.so`, `${DATA}/d`),
    edge(`${LIB}/lib/libx.so.1`, `${DATA}/d`),
    edge(`${DATA}/d`, `${APP}/bin/app`),
    edge(`${LIB}/lib/libx.so.1`, APP),
    edge(APP, `${APP}/bin/app`),
    edge(APP, `${APP}/share/own`),
  ],
} as unknown as DependencyGraph

test('the shortest chain, also where the graph has circles', () => {
  const found = why(graph, path => path.startsWith(DATA))
  expect(found?.file).toBe(`${DATA}/d`)
  expect(found?.chain.map(e => e.from)).toEqual([`${APP}/bin/app`, `${LIB}/lib/libx.so.1`])
  expect(found?.asked.kind).toBe('entry')
  expect(why(graph, () => false)).toBeNull()
})

test('what only its package brings came with the target, whoever names the package; what an option brings, by that', () => {
  const own = why(graph, path => path.endsWith('/own'))
  expect([own?.asked.kind, own?.chain.map(e => e.from)]).toEqual(['target', [APP]])
  const extra = why(graph, path => path.startsWith(EXTRA))
  expect([extra?.asked.name, extra?.chain]).toEqual(['--include extra-1/*', []])
})

test('a chain without end is an answer in no time, and so is a file with very many edges', () => {
  const all = Array.from({ length: 200_000 }, (_, i) => `${DATA}/${i}` as SourcePath)
  const long = {
    ...graph,
    files: new Map(all.map(path => [path, {}])),
    asked: [{ kind: 'entry', name: 'bin/app', to: all[0] }],
    edges: [...all.slice(1).map((to, i) => edge(all[i]!, to)), ...all.map(to => edge(all[0]!, to))],
  } as unknown as DependencyGraph
  const began = performance.now()
  expect(why(long, path => path === all[150_000])?.chain).toHaveLength(1)
  expect(performance.now() - began).toBeLessThan(2000)
})

test.each([
  ['lib-2.1-bin', `${LIB}/lib/libx.so.1`],
  ['lib', `${LIB}/lib/libx.so.1`],
  ['libx.so.1', `${LIB}/lib/libx.so.1`],
  ['libx.so.1.9', `${LIB}/lib/libx.so.1`],
  ['data', `${DATA}/d`],
])('%s is named by package, package without version, or file', (name, file) => {
  expect(disallowed(graph, [name])).toMatchObject([{ code: 'disallowed', severity: 'error', file, name }])
})

test('what is disallowed is told with what brings it: files, or an option', () => {
  const of = (name: string) => disallowed(graph, [name]).map(f => f.code === 'disallowed' && [f.chain, f.option])
  expect(of('own')).toEqual([[[`${APP}/share/own`], null]])
  expect(of('e')).toEqual([[[`${EXTRA}/e`], '--include extra-1/*']])
  expect(of('libx.so.1')).toEqual([[[`${APP}/bin/app`, `${LIB}/lib/libx.so.1`], null]])
})

test('what is not there, or is only a part of a name, is not disallowed', () => {
  expect(disallowed(graph, ['libx.so', 'dat', 'app-1', 'lib-2'])).toEqual([])
})
