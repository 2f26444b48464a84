/** What stands in a wrapper's or a script's place where launchers are shell scripts. */
import { describe, expect, test } from 'vitest'
import {
  inRoot,
  type LaunchTemplate,
  launch,
  type Template,
  throughInterpreter,
  throughLoader,
  type Wrapper,
  wrapping,
} from '../src/entry/launcher.ts'
import { shellLauncher } from '../src/entry/shell.ts'
import type { DependencyGraph } from '../src/model/graph.ts'
import type { PlanOptions } from '../src/model/plan.ts'
import type { BundlePath, SourcePath } from '../src/paths.ts'
import { Launchers } from '../src/plan/launch.ts'
import type { Layout } from '../src/plan/layout.ts'
import type { Script, Scripts } from '../src/plan/scripts.ts'

const source = (name: string): SourcePath => `/in/${name}` as SourcePath
const at = (path: string): BundlePath => path as BundlePath
const LOADER = inRoot(at('lib/ld.so'))
const verbatim = (text: string): Template => [text]
const wrapper = (program: string, more: Partial<Wrapper> = {}): Wrapper => ({
  ...{ program: source(program), argv0: 'keep', environment: [], before: [program], after: [], directory: null },
  ...more,
})

/** Launchers for wrappers by name, of which each lies in `bin/`, and for the program `app`. */
function launchers(wrappers: Record<string, Wrapper>, options: Partial<PlanOptions> = {}): Launchers {
  const names = [...Object.keys(wrappers), 'app', 'script']
  const graph: Partial<DependencyGraph> = {
    linkMaps: new Map([[source('app'), { program: source('app'), loader: source('ld.so') }]]) as never,
    files: new Map(),
    loaders: new Map([[source('ld.so'), { argv0: true }]]) as never,
    wrappers: new Map(Object.entries(wrappers).map(([name, w]) => [source(name), w])),
    refusals: new Map(),
    sidecars: new Map(),
    edges: Object.entries(wrappers).map(([name, { program }]) => ({
      ...{ from: source(name), kind: 'wrapper', name: program, to: program as SourcePath, via: 'wrapper' },
      ...{ at: [], count: 0 },
    })),
  }
  const placed = new Map(names.map(name => [source(name), at(`bin/${name}`)])).set(source('ld.so'), at('lib/ld.so'))
  return new Launchers(
    graph as DependencyGraph,
    { placed } as Partial<Layout> as Layout,
    { prefix: null, patcher: 'auto', signer: 'auto', launcher: 'shell', ...options },
    new Map(),
    { interpreterOf: () => null, launched: () => null } as Partial<Scripts> as Scripts,
  )
}

const text = (template: LaunchTemplate): string => shellLauncher(template).toString('latin1')
const of = (all: Launchers, name: string): string | undefined =>
  all.forWrapper(source(name), at(`bin/${name}`))?.bytes.toString('latin1')

const APP = (place: string): LaunchTemplate => throughLoader(launch(at(place), at('bin/.app-program')), LOADER, true)

describe('a wrapper', () => {
  test('of a program: one script starts it by its loader', () => {
    expect(of(launchers({ w: wrapper('app') }), 'w')).toBe(text(wrapping(APP('bin/w'), wrapper('app'), verbatim)))
  })

  test('of a wrapper: one script does what both do, so the program gets its argv[0]', () => {
    const inner = wrapper('app', { environment: [{ op: 'set', name: 'A', value: '1' }], before: ['in'] })
    const outer = wrapper('w', { argv0: { value: 'name' }, before: ['out'], directory: '/d' })
    const both = wrapping(wrapping(APP('bin/o'), inner, verbatim), outer, verbatim)
    expect(of(launchers({ w: inner, o: outer }), 'o')).toBe(text(both))
    expect(both.before.map(t => t.join(''))).toContain('name')
  })

  test('of a script, of a wrapper when both change the directory: what stands in its place is started', () => {
    const inner = wrapper('app', { directory: 'b' })
    const outer = wrapper('w', { directory: 'a' })
    const all = launchers({ w: inner, o: outer, s: wrapper('script') })
    expect(of(all, 'o')).toBe(text(wrapping(launch(at('bin/o'), at('bin/w')), outer, verbatim)))
    expect(of(all, 's')).toBe(text(wrapping(launch(at('bin/s'), at('bin/script')), wrapper('script'), verbatim)))
  })

  test('that wraps itself, by way of another, ends', () => {
    const all = launchers({ a: wrapper('b'), b: wrapper('a') })
    expect(of(all, 'a')).toContain('/bin/a')
  })

  test('that sets what no shell can, and any in a bundle for one place, stays', () => {
    const odd = wrapper('app', { environment: [{ op: 'set', name: '1A', value: '' }] })
    expect(of(launchers({ w: odd }), 'w')).toBeUndefined()
    expect(of(launchers({ w: wrapper('app') }, { prefix: '/opt' }), 'w')).toBeUndefined()
    expect(of(launchers({}), 'app')).toBeUndefined()
  })
})

describe('a script', () => {
  const script = (all: Launchers, interpreter: string, names: readonly string[] = []): string => {
    const program = source(interpreter)
    const given = { path: source('script'), language: null, program, flags: ['-x'], interpreter: program }
    return all.forScript(given as Partial<Script> as Script, at('bin/script'), names).bytes.toString('latin1')
  }
  const through = (interpreter: string): LaunchTemplate =>
    throughInterpreter(launch(at('bin/script'), at('.bin-text/script')), inRoot(at(`bin/${interpreter}`)), [['-x']])

  test('of a program: its loader runs the file, under the name that the #! line gives it', () => {
    const template = { ...through('app'), program: inRoot(at('bin/.app-program')) }
    expect(script(launchers({}), 'app')).toBe(text(throughLoader(template, LOADER, true)))
  })

  test('of a wrapper: what stands in its place is started', () => {
    const all = launchers({ w: wrapper('app') })
    expect([all.runs(source('w')), all.runs(source('app')), all.runs(source('script'))]).toEqual([true, true, false])
    expect(script(all, 'w')).toBe(text(through('w')))
  })
})
