/** Scripts of one package with interpreters of all kinds and of several closures. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { bundle, fixture, grep, mustBundle, run, temporary } from '../support/bundle.ts'
import { GLIBC, greeterClosure, inBareRoot, NO_DATA, PLACE, storePath } from '../support/store-lab.ts'

const directory = temporary()
let tools: string
let originals: Map<string, ReturnType<typeof run>>

/** By name of the script, what stands behind `#!` and what it says of itself. */
const scripts = (): Record<string, string> => {
  const bash = fixture('bash')
  const greeter = greeterClosure(GLIBC)
  const busybox = storePath('busybox-1.0', { 'bin/busybox': { from: '/bin/busybox' }, 'bin/sh': { link: 'busybox' } })
  const report = 'echo "$KIND $0" "$@"\n'
  const nested = storePath('nested-1.0', {
    'bin/once': `#!${bash}/bin/bash -e\nKIND=once; ${report}`,
    'bin/twice': `#!${busybox}/bin/sh\nKIND=twice; ${report}`,
  })
  writeFileSync(join(nested, 'bin/thrice'), `#!${nested}/bin/twice thrice\n`, { mode: 0o755 })
  return {
    bash: `${bash}/bin/bash\nKIND=bash; ${report}`,
    'another-libc': `${greeter.program}/bin/greeter an-argument\n`,
    'bash-as-sh': `${bash}/bin/sh\nKIND=$BASHOPTS$SHELLOPTS; ${report}`,
    static: `${busybox}/bin/sh\nKIND=static; ${report}`,
    'by-a-script': `${nested}/bin/once\n`,
    'by-a-script-of-a-static-one': `${nested}/bin/twice\n`,
    'by-a-script-by-a-script': `${nested}/bin/thrice\n`,
  }
}

beforeAll(() => {
  const texts = Object.entries(scripts()).map(([name, text]) => [`bin/${name}`, `#!${text}`])
  tools = storePath('tools-1.0', Object.fromEntries(texts))
  originals = new Map(texts.map(([name]) => [name!, run(join(tools, name!), ['a b', ''], { env: {} })]))
})

/** Paths of scripts, wherever they lie. */
const normal = (text: string): string =>
  text.replaceAll(/\/(?:nix\/store|srv\/x)\S*\/(\S+)/g, '$1').replaceAll('.bin-text/', '')

describe.each([
  { kind: 'native launchers', options: [], keepsData: true },
  { kind: 'shell launchers', options: ['--launcher', 'shell'], keepsData: false },
  { kind: 'one place', options: ['--prefix', PLACE], keepsData: true },
])('$kind', ({ kind, options, keepsData }) => {
  const place = join(directory, kind)
  let said: string
  beforeAll(() => {
    said = mustBundle([tools, ...options, '-v', '-f', 'dir', '-o', place]).stderr
  })

  test('each script says what its original says', () => {
    expect(originals.size).toBe(7)
    for (const [name, original] of originals) {
      const bundled = inBareRoot(place, [`${PLACE}/${name}`, 'a b', ''])
      expect({ name, ...bundled, stdout: normal(bundled.stdout) }).toEqual({
        name,
        ...original,
        stdout: normal(keepsData ? original.stdout : original.stdout.replace('a line of data', NO_DATA)),
      })
    }
  })

  test('no interpreter is said to be lost', () => {
    expect(said).not.toContain('its #! line')
    expect(grep('/nix/store', place)).toBe('')
    expect(bundle(['verify', place]).code).toBe(0)
  })
})

describe('what a bundle cannot bring is said', () => {
  const lines = (name: string, text: string): { code: number | null; said: string[] } => {
    const target = storePath('one-1.0', { [`bin/${name}`]: text })
    const { code, stderr } = bundle([target, '-v', '--force', '-f', 'dir', '-o', join(directory, 'one')])
    return { code, said: stderr.split('\n').filter(line => line.includes(`bin/${name}: `)) }
  }

  test.each([
    ['env', '#!/usr/bin/env python3\n', 'env python3'],
    ['env-S', '#!/usr/bin/env -S perl -w\n', 'env -S perl -w'],
    ['perl', '#!/usr/bin/perl\n', '/usr/bin/perl'],
  ])("an interpreter of the machine's: %s", (name, text, interpreter) => {
    const { code, said } = lines(name, text)
    expect(code).toBe(0)
    expect(said).toEqual([
      expect.stringMatching(/^warning: .*its #! line leaves its interpreter to the machine where it runs \(/),
    ])
    expect(said[0]).toContain(`(${interpreter})`)
  })

  test('of many scripts: one line for each interpreter', () => {
    const names = ['a', 'b', 'c', 'd', 'e']
    const scripts = Object.fromEntries(names.map(name => [`bin/${name}`, '#!/usr/bin/perl\n']))
    const target = storePath('many-1.0', { ...scripts, 'bin/f': '#!/usr/bin/env ruby\n' })
    const { stderr } = bundle([target, '--force', '-f', 'dir', '-o', join(directory, 'one')])
    expect(stderr.split('\n').filter(line => line.startsWith('warning: '))).toEqual([
      expect.stringMatching(/bin\/a: .*\(\/usr\/bin\/perl\), also in many-1.0\/bin\/b, .*\/c, .*\/d and 1 more$/),
      expect.stringMatching(/bin\/f: .*\(env ruby\)$/),
    ])
  })

  test('/bin/sh is everywhere: a note', () => {
    const { code, said } = lines('sh', '#!/bin/sh\n')
    expect(code).toBe(0)
    expect(said).toEqual([expect.stringMatching(/^note: .*\(\/bin\/sh\)/)])
  })

  test('env of the store asks PATH as well', () => {
    const busybox = storePath('busybox-1.0', {
      'bin/busybox': { from: '/bin/busybox' },
      'bin/env': { link: 'busybox' },
    })
    expect(lines('store-env', `#!${busybox}/bin/env python3\n`).said).toEqual([
      expect.stringMatching(/^warning: .*\(env python3\)/),
    ])
  })

  test('an interpreter that is gone: nothing is made', () => {
    const { code, said } = lines('gone', `#!/nix/store/${'1'.repeat(32)}-gone-1.0/bin/gone\n`)
    expect(code).toBe(1)
    expect(said).toEqual([expect.stringMatching(/^error: .*gone-1\.0\/bin\/gone is not found/)])
  })
})
