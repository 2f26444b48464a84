/**
 * The differential trace: whatever file of the store a program opens, the bundled program opens at its place in the
 * bundle, and nothing else outside the bundle but what the original opens there too.
 */
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { pycSource } from '../../src/script/pyc.ts'
import { fixture, temporary } from '../support/bundle.ts'
import { bundles } from '../support/jobs.ts'
import { PLAIN_ENVIRONMENT, tool } from '../support/root.ts'
import { real, trace } from '../support/trace.ts'
import { JOBS, titleOf } from './programs.ts'

const PREFIX = '/opt/app'
const relocatable = bundles()
const MODES = [
  { mode: 'with --prefix', place: PREFIX, bundle: bundles('--prefix', PREFIX) },
  { mode: 'relocatable', place: PREFIX, bundle: relocatable },
  // By a link: what is opened through it is what lies there.
  { mode: 'relocatable, at 900 bytes', place: `/opt${`/${'r'.repeat(127)}`.repeat(7)}`, bundle: relocatable },
]
const LINK = /^\/run\/sf\/[0-9a-f]{12}(?=\/|$)/

/** The machine with the store hidden and the bundle at its place; /home is a directory of its own in both runs. */
const hidden = (bundle: string, place: string, home: string): string[] => [
  ...[tool('bwrap'), '--bind', '/', '/', '--dev', '/dev', '--proc', '/proc', '--tmpfs', '/nix'],
  ...[
    '--tmpfs',
    '/run',
    '--tmpfs',
    '/opt',
    '--ro-bind',
    bundle,
    place,
    '--bind',
    home,
    '/home',
    '--chdir',
    '/home',
    '--',
  ],
]
const shown = (home: string): string[] => [
  ...[tool('bwrap'), '--bind', '/', '/', '--dev', '/dev', '--proc', '/proc'],
  ...['--bind', home, '/home', '--chdir', '/home', '--'],
]

/** What any program may open outside of its package: the kernel's files, and the machine's own configuration. */
const OUTSIDE =
  /^\/(?:proc|dev|sys|home|tmp)(?:\/|$)|^\/etc\/(?:passwd|group|nsswitch\.conf|localtime|hosts|resolv\.conf|host\.conf|gitconfig|inputrc|os-release|mime\.types|(?:xdg\/pip\/)?pip\.conf|gai\.conf)$|^\/(?:usr\/)?bin\/(?:sh|dash)$/

/** What bash itself opens in the store. */
const shellOpens = (): Set<string> => {
  const log = join(temporary(), 'trace')
  const bash = join(fixture('full.bash'), 'bin/bash')
  return new Set([...trace(shown(temporary()), bash, ['-c', ':'], log, { env: PLAIN_ENVIRONMENT }).opened].map(real))
}

const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() === true

describe.each(MODES)('$mode, the store hidden', ({ mode, place, bundle }) => {
  test.each(JOBS.map(job => [titleOf(job), job] as const))('%s', (_, job) => {
    const made = bundle(job.attribute)
    const directory = temporary()
    const runs = [
      { around: (home: string) => shown(home), program: join(fixture(job.attribute), 'bin', job.program) },
      { around: (home: string) => hidden(made, place, home), program: `${place}/bin/${job.program}` },
    ].map(({ around, program }, i) => {
      const home = temporary()
      for (const [name, text] of Object.entries(job.files ?? {})) writeFileSync(join(home, name), text)
      const options = { env: PLAIN_ENVIRONMENT, input: job.input ?? '' }
      return trace(around(home), program, job.args, join(directory, `${i}`), options)
    })
    const [original, bundled] = [runs[0]!, runs[1]!]
    expect(bundled.code, bundled.output).toBe(original.code)

    // In the bundle's own terms: where each file of the store went, by the full account that was written for it.
    const { files } = JSON.parse(readFileSync(`${made}.json`, 'utf8')) as { files: { file: string; at: string }[] }
    const placed = new Map(files.map(({ file, at }) => [real(file), real(join(made, at))]))
    const inBundle = (path: string): string => real(`${made}${path.slice(place.length)}`)
    const through = [...bundled.opened].map(path => path.replace(LINK, place))
    const opened = new Set(through.filter(p => p.startsWith(`${place}/`)).map(inBundle))

    const wanted = [...original.opened]
      .filter(p => p.startsWith('/nix/store/'))
      .map(real)
      .filter(isFile)
    const spared = mode.startsWith('relocatable') && job.isShellWrapper ? shellOpens() : new Set<string>()
    // A module whose source finds the bundle by itself is compiled anew: Python opens the source.
    const isCompiledAnew = (path: string): boolean =>
      path.endsWith('.pyc') && opened.has(placed.get(pycSource(path)) ?? 'nowhere')
    const missing = wanted.filter(
      path => !opened.has(placed.get(path) ?? 'nowhere') && !spared.has(path) && !isCompiledAnew(path),
    )
    expect(missing, 'opened by the original, and not at its place by the bundled program').toEqual([])
    expect(wanted.length).toBeGreaterThan(1)

    const outside = through.filter(p => !p.startsWith(`${place}/`) && !OUTSIDE.test(p) && p !== '/run/sf')
    expect(outside, 'opened outside the bundle').toEqual([])
    expect(
      [...bundled.tried].filter(p => p.startsWith('/nix')),
      'tried below the store',
    ).toEqual([])
  })
})
