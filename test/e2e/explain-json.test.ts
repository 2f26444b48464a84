/** What the commands that ask print with --json fits docs/explain.schema.json; pictures are what dot(1) would read. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import Ajv from 'ajv'
import { beforeAll, describe, expect, test } from 'vitest'
import { graphOf } from '../../src/explain/graph.ts'
import type { Explained } from '../../src/model/explained.ts'
import type { BundlePath } from '../../src/paths.ts'
import { graphDot, graphMermaid } from '../../src/report/graph.ts'
import { bundle, fixture, sharedBundle, temporary } from '../support/bundle.ts'

const ajv = new Ajv({ allErrors: true })
const valid = ajv.compile(JSON.parse(readFileSync('docs/explain.schema.json', 'utf8')))

let made: string
beforeAll(() => {
  made = sharedBundle('nginx', '.tar')
})

test.each<[string, ...string[]]>([
  ['why', 'padlock.so', 'openssl', 'lib*', 'nosuch', '--all'],
  ['size'],
  ['size', '--max', '1', '--by', 'section'],
  ['tree'],
  ['tree', '--reverse', 'libc.so.6'],
  ['tree', '--files', '--depth', '3'],
  ['graph'],
  ['graph', '--by', 'file', '--to', 'padlock.so'],
])('%s %s: of a target and of a bundle', (command, ...args) => {
  for (const subject of [fixture('nginx'), made]) {
    const document = JSON.parse(bundle([command, subject, ...args, '--json']).stdout)
    valid(document)
    expect(valid.errors ?? []).toEqual([])
    expect(document.subject.kind).toBe(subject === made ? 'bundle' : 'target')
  }
})

test('what grew; what a file is; an error', () => {
  for (const args of [
    ['size', made, '--against', fixture('nginx'), '--json'],
    ['inspect', join(fixture('nginx'), 'bin/nginx'), 'package.json', made, '--json'],
    ['why', join(temporary(), 'nowhere'), 'x', '--json'],
  ]) {
    valid(JSON.parse(bundle(args).stdout))
    expect(valid.errors ?? []).toEqual([])
  }
})

test('a word that is misspelt is not what is meant', () => {
  expect(valid({ schema: 1, command: 'why', subject: {}, answers: [] })).toBe(false)
})

describe('pictures', () => {
  test('packages, what leads to one file, and no picture of thousands', () => {
    const dot = bundle(['graph', made]).stdout
    expect(dot).toMatch(/^digraph "nginx 1\.22\.1" \{/)
    expect(dot).toMatch(/n\d+ \[label="openssl-3\.0\\n6\.4 MB"\]/)
    const to = bundle(['graph', made, '--by', 'file', '--to', 'libz.so.1', '--format', 'mermaid']).stdout
    expect(to).toMatch(/^ {2}n\d+\["nginx-1\.22\.1\/bin\/nginx, [\d.]+ MB"\]$/m)
    expect(to.match(/-->/g)).toHaveLength(1)
    expect(bundle(['graph', made, '--to', 'nosuch'])).toMatchObject({ code: 1, stdout: '' })
    const svg = bundle(['graph', made, '--format', 'svg'])
    if (svg.code === 0) expect(svg.stdout).toContain('<svg')
    else expect(svg.stderr).toContain('npm install @hpcc-js/wasm-graphviz')
  })

  test('names that mean something to DOT, to Mermaid, to HTML: they are text there', () => {
    const odd = ['"]; x [label="', '\\', '<b>bold</b>', 'a\nb', '#34;', 'end', '\xff', '--> n0', '%%{init}%%']
    const files = odd.map((name): Explained['files'][number] => ({
      ...{ at: name as BundlePath, type: 'file', size: 1, role: 'data', package: null, part: '' },
    }))
    const explained: Explained = {
      ...{
        subject: { kind: 'bundle', name: '"x', version: null, system: 's', digest: null },
        packages: [],
        directories: [],
        closure: false,
      },
      files,
      needs: odd.slice(1).map((name, i) => ({ from: 0, to: i + 1, kind: 'needed', name, via: null, at: [], count: 0 })),
      asked: [{ kind: 'entry', name: 'x', to: 0 }],
    }
    const graph = graphOf(explained, { by: 'file', to: null, depth: 9, kinds: [] })!
    const dot = graphDot(explained, graph)
    // Every line is one statement, and quotes in it come in pairs but for those behind a backslash.
    for (const line of dot.split('\n')) expect((line.replace(/\\./g, '').match(/"/g) ?? []).length % 2, line).toBe(0)
    expect(dot.split('\n')).toHaveLength(4 + 2 * odd.length)
    const mermaid = graphMermaid(explained, graph)
    expect(mermaid.split('\n')).toHaveLength(2 * odd.length)
    for (const line of mermaid.split('\n').slice(1, 1 + odd.length))
      expect(line).toMatch(/^ {2}n\d+\["[^"<>\\%{}]*"\]$/)
    try {
      execFileSync('dot', ['-Tsvg'], { input: dot })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  })
})
