/** What scripts of a relocatable bundle know of themselves, at a path with blanks and quotes, and moved to another. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { fixture, run } from '../support/bundle.ts'
import { bundles } from '../support/jobs.ts'
import { EmptyRoot, tool } from '../support/root.ts'

const bundle = bundles()
const PLACES = ['/srv/my place', '/opt/it\'s "another" 100%{}']

describe.each(PLACES)('at %s', place => {
  test.each(['hello-sh', 'where-sh', 'probe-sh'])('the shell script %s prints what the original prints', name => {
    const root = new EmptyRoot(bundle('full.scripts'), place)
    const original = run(join(fixture('full.scripts'), 'bin', name), ['a b', 'c'], { env: { PATH: '/nowhere' } })
    const ours = root.run(`bin/${name}`, ['a b', 'c'], { env: { PATH: '/nowhere' } })
    const lines = (text: string): string[] =>
      text
        .replaceAll(/\/nix\/store\/[0-9a-z]{32}-/g, '@/pkg/')
        .replaceAll(`${place}/`, '@/')
        // The probe prints as JSON does.
        .replaceAll(`${JSON.stringify(place).slice(1, -1)}/`, '@/')
        // By a link to it: a shell text may take such a place apart.
        .replaceAll(/\/(?:run|dev\/shm|tmp)\/sf[-\d]*\/[0-9a-f]{12}\//g, '@/')
        .split('\n')
        .filter(line => !/^env "(?:PWD|OLDPWD|SHLVL|_|HOME|TERM|GIT_\w+)=/.test(line))
    expect(ours.code, ours.stderr).toBe(0)
    expect(lines(ours.stdout).filter(l => !l.startsWith('exe'))).toEqual(
      lines(original.stdout).filter(l => !l.startsWith('exe')),
    )
  })

  test('a script that is sourced has its own place and the name of who sources it', () => {
    const root = new EmptyRoot(bundle('full.scripts'), place)
    const script = `. "${place.replaceAll('"', '\\"')}/pkg/scripts-1.0/lib/scripts/common.sh"; say version "$scripts_version"`
    writeFileSync(join(root.home, 'user.sh'), script)
    expect(root.output('pkg/bash-5.2.15/bin/bash', ['user.sh'])).toBe('version: 1.0\n')
  })

  test('a Python program: __file__, sys.argv[0], data, and its module', () => {
    const root = new EmptyRoot(bundle('full.pyapp'), place)
    const text = root.output('bin/pyapp', ['a b'])
    expect(text).toContain(`argv0 ${place}/pkg/pyapp-1.0/bin/pyapp\n`)
    expect(text).toMatch(/^file .*\/pyapp-1\.0\/\.bin-text\/\.pyapp-wrapped$/m)
    expect(text).toContain('data data of pyapp\n')
    expect(text).toContain('greets hello from pyapp_lib\n')
    expect(text).toContain('same True\n')
  })

  test('a Perl program: $0, __FILE__, __LINE__, data and DATA, run again by its own name', () => {
    const root = new EmptyRoot(bundle('full.plapp'), place, ['--ro-bind', tool('busybox'), '/bin/sh'])
    const text = root.output('bin/plapp', ['a', 'b'])
    const own = `${place}/pkg/plapp-1.0/.bin-text/plapp`
    expect(text).toContain(`name ${own}\nfile ${own}\nline 11\nargs a b\n`)
    expect(text).toContain('greets PlApp 1\ndata data of plapp\nsame yes\n')
    // What it runs again goes through a shell, in double quotes.
    if (!place.includes('"')) expect(text).toContain(`again name ${own}\n`)
    expect(text).toMatch(/DATA 1 first, from .*\/pkg\/plapp-1\.0\/bin\/plapp$/m)
    expect(text).toContain('DATA 2 second\n')
  })
})
