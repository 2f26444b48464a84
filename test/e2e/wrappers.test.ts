/** nixpkgs' wrappers in a relocatable bundle: a launcher does what they did, with paths of the bundle. */
import { cpSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { fixture, grep, mustBundle, run, temporary } from '../support/bundle.ts'

const ENVIRONMENT = { FX_UNSET: '1', FX_PREFIX: 'old', FX_SUFFIX: 'old', PATH: '/usr/bin', KEPT: 'a \'b\' "c"\nd' }
const directory = temporary()

/** Of a root with a blank: what a native launcher hands to its program goes by a link to it. */
const ALIAS = '/(?:dev/shm/sf-0|run/sf)/[0-9a-f]{12}'

/** Store paths and paths below the bundle in one form; what bash and bwrap themselves add to an environment left out. */
const normalized = (output: string, place: string): string[] =>
  output
    .replaceAll(/\/nix\/store\/[0-9a-z]{32}-/g, '@/pkg/')
    .replaceAll(`${place}/`, '@/')
    .replaceAll(new RegExp(`${ALIAS}/`, 'g'), '@/')
    .split('\n')
    .filter(line => !/^env "(PWD|OLDPWD|SHLVL|_)=/.test(line))

/** Nothing but the bundle, /proc and /dev, and what is given. */
const inEmptyRoot = (bundle: string, program: string, args: readonly string[], given: readonly string[] = []) =>
  run(
    'bwrap',
    [
      ...['--unshare-pid', '--tmpfs', '/', '--proc', '/proc', '--dev', '/dev', '--ro-bind', bundle, '/srv/my place'],
      ...given,
      ...['--', `/srv/my place/${program}`, ...args],
    ],
    { env: ENVIRONMENT },
  )

const BUSYBOX = ['--ro-bind', run('sh', ['-c', 'command -v busybox']).stdout.trim(), '/bin/sh']
const LAUNCHERS = [
  { launcher: 'auto', given: [], others: /^$/ },
  // Its loader is what the kernel sees of a program.
  { launcher: 'shell', given: BUSYBOX, others: /^(?:exe|comm) / },
]
const WRAPPERS = [
  { attribute: 'wrapped', program: 'wrapped', kind: 'shell wrapper' },
  { attribute: 'wrapped', program: 'wrapped-name', kind: 'shell wrapper with a name of its own' },
  { attribute: 'binwrapped', program: 'binwrapped', kind: 'binary wrapper' },
  { attribute: 'binwrapped', program: 'binwrapped-old', kind: 'binary wrapper of an older nixpkgs' },
]

describe.each(WRAPPERS.flatMap(wrapper => LAUNCHERS.map(how => ({ ...wrapper, ...how }))))(
  '$program with --launcher $launcher: a $kind',
  ({ attribute, program, launcher, given, others }) => {
    const place = join(directory, `${attribute}-${program}-${launcher}`)

    test.each([[['a b', '', '--sorted', '--cwd']], [['--sorted', '--exit', '7']]])(
      'with %j: arguments, environment, directory and exit code of the original',
      args => {
        mustBundle([attribute, '--launcher', launcher, '--force', '-f', 'dir', '-o', place])
        expect(grep('/nix/store', place)).toBe('')
        const original = run(join(fixture(attribute), 'bin', program), args, { env: ENVIRONMENT, cwd: '/' })
        const bundled = inEmptyRoot(place, `bin/${program}`, args, given)
        expect(bundled.code, bundled.stderr).toBe(original.code)
        const [ours, theirs] = [normalized(bundled.stdout, '/srv/my place'), normalized(original.stdout, '/nowhere')]
        const named = theirs.map(line => line.replace(`@/pkg/${attribute}-1.0/bin/${program}"`, `@/bin/${program}"`))
        expect(named.length).toBeGreaterThan(8)
        const seen = (lines: readonly string[]): string[] => lines.filter(line => !others.test(line))
        expect(seen(ours)).toEqual(seen(named))
      },
    )
  },
)

test('a script and what it starts, with a shell launcher, where there is nothing but a /bin/sh', () => {
  const place = join(directory, 'shell-scripts')
  mustBundle(['scripts', '--launcher', 'shell', '-f', 'dir', '-o', place])
  const { stdout, stderr } = inEmptyRoot(place, 'bin/where-sh', [], BUSYBOX)
  expect(stdout, stderr).toMatch(/^name: where-sh\ndata: one line of data\n/)
})

test('what a wrapper puts on PATH is there and runs', () => {
  const place = join(directory, 'path')
  mustBundle(['wrapped', '-f', 'dir', '-o', place])
  const { stdout } = inEmptyRoot(place, 'bin/wrapped', [])
  const path = /^env "PATH=(.*)"$/m.exec(stdout)?.[1]?.split(':') ?? []
  expect(path[0]).toMatch(new RegExp(`^${ALIAS}/pkg/probe-1.0/bin$`))
  const gamma = inEmptyRoot(place, 'pkg/multicall-1.0/bin/gamma', ['x'])
  expect(gamma.stdout).toBe('applet gamma\nargument 1 x\n')
})

test('a wrapped program moves with its bundle', () => {
  const place = join(directory, 'moves')
  mustBundle(['wrapped', '-f', 'dir', '-o', place])
  cpSync(place, join(directory, 'moved on'), { recursive: true, verbatimSymlinks: true })
  const { stdout, code } = run(join(directory, 'moved on/bin/wrapped'), [], { env: ENVIRONMENT })
  expect(code).toBe(0)
  const data = new RegExp(`^env "FX_DATA=(${ALIAS})/pkg/wrapped-1.0/share/wrapped/data.txt"$`, 'm').exec(stdout)
  expect(readlinkSync(data![1]!)).toBe(join(directory, 'moved on'))
})

test("a script runs through the bundle's interpreter where there is no shell", () => {
  const place = join(directory, 'scripts')
  mustBundle(['scripts', '-f', 'dir', '-o', place])
  const { stdout, stderr } = inEmptyRoot(place, 'bin/where-sh', [])
  expect(stdout, stderr).toMatch(/^name: /)
})

test('set-uid is refused', () => {
  const place = join(directory, 'set-uid')
  mustBundle(['wrapped', '-f', 'dir', '-o', place])
  run('chmod', ['-R', 'a+rX', directory])
  run('chmod', ['4755', join(place, 'pkg/wrapped-1.0/bin/wrapped')])
  const nobody = ['--reuid', '65534', '--regid', '65534', '--clear-groups', join(place, 'bin/wrapped')]
  const result = run('setpriv', nobody, { env: ENVIRONMENT })
  expect(result).toMatchObject({ code: 127, stdout: '' })
  expect(result.stderr.trim().split('\n')).toHaveLength(1)
})
