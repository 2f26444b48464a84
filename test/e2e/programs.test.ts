/** Bundled programs print what their originals print, with the store hidden. */
import { cpSync, mkdirSync, readlinkSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { bundle, fixture, fixtureEnv, grep, mustBundle, run, temporary, withoutNix } from '../support/bundle.ts'

const env = { PATH: '/usr/bin:/bin', HOME: '/', LANG: 'C' }

describe.each([
  {
    attribute: 'bash',
    program: 'bash',
    args: ['-c', 'echo "$BASH_VERSION"; printf "%s\\n" "$@"; exit 7', 'x', 'a b', ''],
  },
  { attribute: 'cxx', program: 'cxx', args: [] },
  { attribute: 'tools', program: 'tool', args: [], prefix: '/tmp/storefree-test-tools' },
  { attribute: 'twins', program: 'red', args: [] },
  { attribute: 'twins', program: 'blue', args: [] },
  { attribute: 'twins', program: 'both', args: [] },
  { attribute: 'plugin-host', program: 'plugin-host', args: [], prefix: '/tmp/storefree-test-plugins' },
  { attribute: 'scripts', program: 'hello-sh', args: ['one', 'two words'], prefix: '/tmp/storefree-test-scripts' },
  { attribute: 'scripts', program: 'plain-sh', args: [], prefix: '/tmp/storefree-test-scripts' },
])('$attribute: bin/$program', ({ attribute, program, args, prefix }) => {
  const directory = temporary()

  test('same output and exit code as the original', () => {
    const place = prefix ?? join(directory, 'bundle')
    rmSync(place, { recursive: true, force: true })
    try {
      mustBundle([attribute, '-f', 'dir', '-o', place, ...(prefix ? ['--prefix', prefix] : [])])
      const original = run(join(packageWith(attribute, program), 'bin', program), args, { env })
      const bundled = withoutNix(join(place, 'bin', program), args, { env })
      expect(original.stdout).not.toBe('')
      expect(bundled).toEqual(original)
      expect(grep('/nix/store', place)).toBe('')
      expect(bundle(['verify', place]).code).toBe(0)
    } finally {
      if (prefix) rmSync(prefix, { recursive: true, force: true })
    }
  })
})

/** `tools` has its program in another output. */
const packageWith = (attribute: string, program: string): string =>
  fixture(program === 'tool' ? 'tools.bin' : attribute)

describe.each(['stub', 'shell'])('multicall: one program under many names (%s launcher)', launcher => {
  const place = join(temporary(), 'bundle')
  const names = ['bin/multicall', 'bin/alpha', 'bin/beta', 'bin/gamma', 'sbin/delta']
  beforeAll(() => void mustBundle(['multicall', '--launcher', launcher, '-f', 'dir', '-o', place]))

  test.each(names)('%s', name => {
    const original = run(join(fixture('multicall'), name), ['a', 'b c'], { env })
    expect(original.code).toBe(0)
    expect(withoutNix(join(place, name), ['a', 'b c'], { env })).toEqual(original)
  })

  test('a link below libexec is kept', () => {
    const name = 'libexec/multicall/epsilon'
    const original = run(join(fixture('multicall'), name), [], { env })
    expect(withoutNix(join(place, 'pkg/multicall-1.0', name), [], { env })).toEqual(original)
  })

  test('an absolute link into the store has become relative', () => {
    expect(readlinkSync(join(fixture('multicall'), 'bin/gamma'))).toMatch(/^\/nix\/store\//)
    expect(readlinkSync(join(place, 'pkg/multicall-1.0/bin/gamma'))).toBe('multicall')
  })
})

describe('the shell launcher', () => {
  const directory = temporary()
  const place = join(directory, 'bundle')
  const argv0 = (result: { stdout: string }): string | undefined => /^argv 0 (.*)$/m.exec(result.stdout)?.[1]
  beforeAll(() => void mustBundle(['probe', '--launcher', 'shell', '-f', 'dir', '-o', place]))

  test('argv[0] is the path that was run', () => {
    expect(argv0(withoutNix(join(place, 'bin/probe'), [], { env }))).toBe(JSON.stringify(join(place, 'bin/probe')))
  })

  test('works through PATH, from any directory', () => {
    const result = withoutNix('sh', ['-c', 'cd / && exec probe'], {
      env: { ...env, PATH: `${place}/bin:/usr/bin:/bin` },
    })
    expect(argv0(result)).toBe(JSON.stringify(join(place, 'bin/probe')))
  })

  test('works by a relative path and by a link from outside, whose name argv[0] keeps', () => {
    symlinkSync(join(place, 'bin/probe'), join(directory, 'other-name'))
    const result = withoutNix('sh', ['-c', './other-name'], { cwd: directory, env })
    expect(argv0(result)).toBe('"./other-name"')
  })

  test.each(['with space', 'with:colon', "with'quote", 'with"double', 'with$dollar', 'new\nline', 'ünïcode'])(
    'works at %j',
    name => {
      const moved = join(directory, name, 'x')
      mkdirSync(join(directory, name))
      cpSync(place, moved, { recursive: true, verbatimSymlinks: true })
      const result = withoutNix(join(moved, 'bin/probe'), ['--exit', '3'], { env })
      expect(result.code, result.stderr).toBe(3)
    },
  )

  test('works after a move', () => {
    const from = join(directory, 'first')
    cpSync(place, from, { recursive: true, verbatimSymlinks: true })
    expect(withoutNix(join(from, 'bin/probe'), ['--exit', '4'], { env }).code).toBe(4)
    renameSync(from, join(directory, 'second'))
    expect(withoutNix(join(directory, 'second/bin/probe'), ['--exit', '5'], { env }).code).toBe(5)
  })

  test('keeps exit codes', () => {
    expect(withoutNix(join(place, 'bin/probe'), ['--exit', '42'], { env }).code).toBe(42)
  })

  test('the host and a hostile LD_LIBRARY_PATH are never asked for a library', () => {
    const host = '/usr/lib/x86_64-linux-gnu'
    const trace = join(directory, 'trace')
    const result = run('strace', ['-f', '-e', 'trace=execve,open,openat', '-o', trace, join(place, 'bin/probe')], {
      env: { ...env, LD_LIBRARY_PATH: `${host}:/lib/x86_64-linux-gnu` },
    })
    expect(result.code).toBe(0)
    const program = run('sed', ['-n', '/execve.*ld-linux/,$p', trace]).stdout
    expect(program).toMatch(/\/lib\/libc\.so\.6", O_RDONLY\|O_CLOEXEC\) = \d/)
    expect(program).not.toMatch(/"\/(?:usr\/)?lib/)
    expect(program).not.toContain('/etc/ld.so')
    expect(program).not.toContain('/nix/store')
  })
})

describe('targets', () => {
  const directory = temporary()

  test('a store path, a program in it, and a link to it are the same program', () => {
    const store = fixture('cxx')
    symlinkSync(store, join(directory, 'result'))
    const outputs = [store, join(store, 'bin/cxx'), './result'].map((target, i) => {
      mustBundle([target, '-f', 'tar', '-o', `${i}.tar`], { cwd: directory })
      return run('sha256sum', [join(directory, `${i}.tar`)]).stdout.slice(0, 64)
    })
    expect(new Set(outputs).size).toBe(1)
  })

  test('a store directory that no Nix database knows works the same', () => {
    const adhoc = `/nix/store/${'0123456789abcdfghijklmnpqrsvwxyz'}-adhoc-1.0`
    rmSync(adhoc, { recursive: true, force: true })
    try {
      mkdirSync(join(adhoc, 'bin'), { recursive: true })
      cpSync(join(fixture('cxx'), 'bin/cxx'), join(adhoc, 'bin/adhoc'))
      writeFileSync(join(adhoc, 'data'), `${adhoc}/data and 0123456789abcdfghijklmnpqrsvwxyz`)
      const place = join(directory, 'adhoc')
      const made = mustBundle([adhoc, '-f', 'dir', '-o', place], { env: { ...fixtureEnv, NIX_PATH: '' } })
      expect(made.stdout).toMatch(/^adhoc 1\.0 /)
      expect(grep('0123456789abcdfghijklmnpqrsvwxyz', place)).toBe('')
      expect(withoutNix(join(place, 'bin/adhoc'), [], { env })).toEqual(
        run(join(fixture('cxx'), 'bin/cxx'), [], { env }),
      )
    } finally {
      rmSync(adhoc, { recursive: true, force: true })
    }
  })

  test('a program outside of any store that was linked against one', () => {
    cpSync(join(fixture('cxx'), 'bin/cxx'), join(directory, 'built-here'))
    const place = join(directory, 'outside')
    mustBundle(['./built-here', '-f', 'dir', '-o', place], { cwd: directory })
    expect(withoutNix(join(place, 'bin/built-here'), [], { env }).stdout).toBe(
      run(join(fixture('cxx'), 'bin/cxx'), [], { env }).stdout,
    )
  })

  test('an output of an attribute', () => {
    const made = mustBundle(['tools^bin', '-f', 'dir', '-o', join(directory, 'tools')])
    expect(made.stdout).toMatch(/^tools 1\.0 {2}x86_64-linux {2}\(nix attribute tools\^bin\)/)
  })
})
