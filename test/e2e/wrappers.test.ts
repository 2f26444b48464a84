/** nixpkgs' wrappers in a relocatable bundle: a native launcher does what they did, with paths of the bundle. */
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { fixture, grep, mustBundle, run, temporary } from '../support/bundle.ts'

const ENVIRONMENT = { FX_UNSET: '1', FX_PREFIX: 'old', FX_SUFFIX: 'old', PATH: '/usr/bin', KEPT: 'a \'b\' "c"\nd' }
const directory = temporary()

/** Store paths and paths below the bundle in one form; what bash and bwrap themselves add to an environment left out. */
const normalized = (output: string, place: string): string[] =>
  output
    .replaceAll(/\/nix\/store\/[0-9a-z]{32}-/g, '@/pkg/')
    .replaceAll(`${place}/`, '@/')
    .split('\n')
    .filter(line => !/^env "(PWD|OLDPWD|SHLVL|_)=/.test(line))

/** Nothing but the bundle, /proc and /dev. */
const inEmptyRoot = (bundle: string, program: string, args: readonly string[]) =>
  run(
    'bwrap',
    [
      ...['--unshare-pid', '--tmpfs', '/', '--proc', '/proc', '--dev', '/dev', '--ro-bind', bundle, '/srv/my place'],
      ...['--', `/srv/my place/${program}`, ...args],
    ],
    { env: ENVIRONMENT },
  )

describe.each([
  { attribute: 'wrapped', program: 'wrapped', kind: 'shell wrapper' },
  { attribute: 'wrapped', program: 'wrapped-name', kind: 'shell wrapper with a name of its own' },
  { attribute: 'binwrapped', program: 'binwrapped', kind: 'binary wrapper' },
  { attribute: 'binwrapped', program: 'binwrapped-old', kind: 'binary wrapper of an older nixpkgs' },
])('$program: a $kind', ({ attribute, program }) => {
  const place = join(directory, `${attribute}-${program}`)

  test.each([[['a b', '', '--sorted', '--cwd']], [['--sorted', '--exit', '7']]])(
    'with %j: arguments, environment, directory and exit code of the original',
    args => {
      mustBundle([attribute, '--force', '-f', 'dir', '-o', place])
      expect(grep('/nix/store', place)).toBe('')
      const original = run(join(fixture(attribute), 'bin', program), args, { env: ENVIRONMENT, cwd: '/' })
      const bundled = inEmptyRoot(place, `bin/${program}`, args)
      expect(bundled.code, bundled.stderr).toBe(original.code)
      const [ours, theirs] = [normalized(bundled.stdout, '/srv/my place'), normalized(original.stdout, '/nowhere')]
      const named = theirs.map(line => line.replace(`@/pkg/${attribute}-1.0/bin/${program}"`, `@/bin/${program}"`))
      expect(named.length).toBeGreaterThan(8)
      expect(ours).toEqual(named)
    },
  )
})

test('what a wrapper puts on PATH is there and runs', () => {
  const place = join(directory, 'path')
  mustBundle(['wrapped', '-f', 'dir', '-o', place])
  const { stdout } = inEmptyRoot(place, 'bin/wrapped', [])
  const path = /^env "PATH=(.*)"$/m.exec(stdout)?.[1]?.split(':') ?? []
  expect(path[0]).toBe('/srv/my place/pkg/probe-1.0/bin')
  const gamma = inEmptyRoot(place, 'pkg/multicall-1.0/bin/gamma', ['x'])
  expect(gamma.stdout).toBe('applet gamma\nargument 1 x\n')
})

test('a wrapped program moves with its bundle', () => {
  const place = join(directory, 'moves')
  mustBundle(['wrapped', '-f', 'dir', '-o', place])
  cpSync(place, join(directory, 'moved on'), { recursive: true, verbatimSymlinks: true })
  const { stdout, code } = run(join(directory, 'moved on/bin/wrapped'), [], { env: ENVIRONMENT })
  expect(code).toBe(0)
  expect(stdout).toContain(`env "FX_DATA=${join(directory, 'moved on')}/pkg/wrapped-1.0/share/wrapped/data.txt"`)
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
