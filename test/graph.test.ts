/** Questions to a graph. */
import { expect, test } from 'vitest'
import { disallowed, why } from '../src/explain/why.ts'
import type { Dependency, DependencyGraph } from '../src/model/graph.ts'
import type { SourcePath } from '../src/paths.ts'

const store = (name: string, hash: string): SourcePath => `/nix/store/${hash.repeat(32)}-${name}` as SourcePath
const [APP, LIB, DATA] = [store('app-1.0', 'a'), store('lib-2.1-bin', 'b'), store('data', 'c')]
const edge = (from: string, to: string): Dependency =>
  ({ from, to, kind: 'needed', name: `${to}.9`, via: null }) as unknown as Dependency

/** app -> lib -> data, and app -> data through a detour; a file of the tree that nothing names. */
const graph = {
  entries: [{ at: 'bin/app', source: `${APP}/bin/app` }],
  files: new Map([`${APP}/bin/app`, `${APP}/share/own`, `${LIB}/lib/libx.so.1`, `${DATA}/d`].map(p => [p, {}])),
  links: new Map(),
  edges: [
    edge(`${APP}/bin/app`, `${LIB}/lib/libx.so.1`),
    edge(`${LIB}/lib/libx.so.1`, `${LIB}/lib/liby.so`),
    edge(`${LIB}/lib/liby.so`, `${DATA}/d`),
    edge(`${LIB}/lib/libx.so.1`, `${DATA}/d`),
    edge(`${DATA}/d`, `${APP}/bin/app`),
  ],
} as unknown as DependencyGraph

test('the shortest chain, also where the graph has circles', () => {
  const found = why(graph, path => path.startsWith(DATA))
  expect(found?.file).toBe(`${DATA}/d`)
  expect(found?.chain.map(e => e.from)).toEqual([`${APP}/bin/app`, `${LIB}/lib/libx.so.1`])
  expect(why(graph, path => path.endsWith('/own'))?.chain).toEqual([])
  expect(why(graph, () => false)).toBeNull()
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

test('what is not there, or is only a part of a name, is not disallowed', () => {
  expect(disallowed(graph, ['libx.so', 'dat', 'app-1', 'lib-2'])).toEqual([])
})
