/**
 * `--data all` of programs of a machine without Nix: what its package manager says belongs to them comes along. Debian's
 * interpreters in an empty root: where the bundle lies anywhere, and where it is the root directory.
 */
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { bundle, mustBundle, temporary } from '../support/bundle.ts'
import { EmptyRoot } from '../support/root.ts'

const directory = temporary()
const env = { PATH: '/usr/bin:/bin', LC_ALL: 'C' }
const TCL = 'puts [clock format 0 -gmt 1]; puts [package require http]\n'
const MAN = '.TH X 1\n.SH NAME\nx \\- y\n'

const made = (name: string): string => {
  const out = join(directory, name)
  return mustBundle([`/usr/bin/${name}`, '--data', 'all', '-f', 'dir', '-o', out], { env }).stderr
}
/** The bundle at a place, and as the root directory by its own links. */
const anywhere = (name: string): EmptyRoot => new EmptyRoot(join(directory, name), '/srv/any')
const asRoot = (name: string): EmptyRoot => {
  const links = ['usr', 'etc', 'bin', 'lib', 'pkg'].flatMap(at => ['--symlink', `b/${at}`, `/${at}`])
  return new EmptyRoot(join(directory, name), '/b', links)
}

test('Python finds its modules by its own place', () => {
  expect(made('python3')).not.toContain('stay here')
  const code = 'import sys, json, decimal, ctypes; print(sys.prefix, json.dumps([1]), decimal.Decimal(1) / 8)'
  const out = anywhere('python3').output('bin/python3', ['-c', code])
  expect(out).toBe('/srv/any/pkg/usr [1] 0.125\n')
})

describe('Tcl names its directory in full', () => {
  let said: string
  beforeAll(() => {
    said = made('tclsh')
  })

  test('that it is found where the bundle is the root directory is said, once', () => {
    expect(said).toMatch(
      /^warning: .*\/libtcl8.6.so: looks for \/usr\/share\/tcltk\/tcl8.6: the bundle has these below its own root, .*chroot, bundle try.*\n$/,
    )
  })

  test('and it is true', () => {
    const out = { code: 0, stdout: 'Thu Jan 01 00:00:00 GMT 1970\n2.9.8\n', stderr: '' }
    expect(asRoot('tclsh').run('/bin/tclsh', [], { input: TCL })).toMatchObject(out)
    expect(bundle(['try', join(directory, 'tclsh')], { env, input: TCL })).toMatchObject(out)
    expect(anywhere('tclsh').run('bin/tclsh', [], { input: TCL }).stdout).not.toContain('2.9.8')
  })
})

test('groff runs programs of its package, which name its fonts and macros', () => {
  expect(made('groff')).toMatch(/^warning: .*looks for \/.*, as do \/usr\/bin\/.* and \d+ more: .*chroot/)
  const args = ['-man', '-Tascii', '-P-c']
  const options = { input: MAN, env: { PATH: '/usr/bin' } }
  expect(asRoot('groff').run('/bin/groff', args, options)).toMatchObject({
    ...{ code: 0, stderr: '', stdout: expect.stringMatching(/X\(1\) .*\n+.*N.*A.*M.*E.*\n +x - y/) },
  })
})

test('without the option what belongs to a program stays, and what to type is said', () => {
  const { stderr } = mustBundle(['/usr/bin/tclsh', '--dry-run'], { env })
  expect(stderr).toMatch(
    /needs files of this machine, which stay here .*\/usr\/share\/tcltk.*; bring .* with --data all; /,
  )
})
