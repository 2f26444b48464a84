/** A program with the stub is the program: its name, path, arguments, environment and end are those of the original. */
import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { fixture, mustBundle, run, temporary, withoutNix } from '../support/bundle.ts'

const env = { PATH: '/usr/bin:/bin', LANG: 'C' }
const directory = temporary()
const place = join(directory, 'bundle')
const probe = join(place, 'bin/probe')
const lines = (output: string, key: string): string[] =>
  output
    .split('\n')
    .filter(line => line.startsWith(`${key} `))
    .map(line => line.slice(key.length + 1))

beforeAll(() => void mustBundle(['probe', '-f', 'dir', '-o', place]))

/** Nothing but the bundle, /proc and /dev. */
const inEmptyRoot = (bundle: string, program: string, ...args: string[]) =>
  run(
    'bwrap',
    [
      '--unshare-pid',
      '--tmpfs',
      '/',
      '--proc',
      '/proc',
      '--dev',
      '/dev',
      '--ro-bind',
      bundle,
      '/srv/x',
      '--',
      `/srv/x/${program}`,
      ...args,
    ],
    { env },
  )

describe('in an empty root', () => {
  test.each([
    { attribute: 'bash', program: 'bash', args: ['--norc', '-c', 'echo "$0 $BASH_VERSION"; exit 7', 'name'] },
    { attribute: 'cxx', program: 'cxx', args: [] },
    { attribute: 'twins', program: 'both', args: [] },
    { attribute: 'multicall', program: 'gamma', args: ['x'] },
  ])('$attribute: $program prints what the original prints', ({ attribute, program, args }) => {
    const bundle = join(directory, `empty-${attribute}`)
    mustBundle([attribute, '-f', 'dir', '-o', bundle])
    const original = run(join(fixture(attribute), 'bin', program), args, { env })
    expect(original.stdout).not.toBe('')
    expect(inEmptyRoot(bundle, `bin/${program}`, ...args)).toEqual(original)
  })

  test("threads end and start (libgcc_s is the bundle's own)", () => {
    const result = inEmptyRoot(place, 'bin/probe', '--thread-exit', '--maps', '--no-env')
    expect(result.stdout).toContain('thread exited')
    expect(lines(result.stdout, 'map')).toContain('"/srv/x/lib/libgcc_s.so.1"')
  })
})

describe('the process', () => {
  const original = () => join(fixture('probe'), 'bin/probe')

  test("/proc/self/exe is the program in the bundle, its name is the program's", () => {
    const { stdout } = withoutNix(probe, [], { env })
    expect(lines(stdout, 'exe')).toEqual([JSON.stringify(join(place, 'pkg/probe-1.0/bin/probe'))])
    expect(lines(stdout, 'comm')).toEqual(['"probe"'])
    expect(lines(stdout, 'argv')).toEqual([`0 ${JSON.stringify(probe)}`])
  })

  test('argv[0] is whatever the caller gives', () => {
    const { stdout } = withoutNix('bash', ['-c', 'exec -a "any thing" "$0"', probe], { env })
    expect(lines(stdout, 'argv')).toEqual(['0 "any thing"'])
  })

  test('it executes itself again', () => {
    const { stdout, code } = withoutNix(probe, ['--reexec', 'x'], { env })
    expect(code).toBe(0)
    expect(lines(stdout, 'exe')).toEqual([JSON.stringify(join(place, 'pkg/probe-1.0/bin/probe'))])
    expect(lines(stdout, 'argv')).toContain('1 "--reexeced"')
  })

  test("the environment is the caller's, to the byte and in its order", () => {
    const wild = {
      Z: '',
      A: 'a=b=c',
      'B.C': 'quote \' and " and \n newline',
      LD_LIBRARY_PATH: '/usr/lib/x86_64-linux-gnu',
      PATH: '/bin',
    }
    const [ours, theirs] = [probe, original()].map(program =>
      run('env', ['-i', ...Object.entries(wild).map(([k, v]) => `${k}=${v}`), program]),
    )
    expect(lines(ours!.stdout, 'env')).toHaveLength(5)
    expect(lines(ours!.stdout, 'env')).toEqual(lines(theirs!.stdout, 'env'))
  })

  test('100 random argument vectors arrive as they are', () => {
    const argument = fc.oneof(
      fc.constant(''),
      fc.string({ unit: 'binary', maxLength: 40 }).map(s => s.replaceAll('\0', '')),
      fc.integer({ min: 1, max: 100 }).map(n => 'x'.repeat(n * 1024)),
    )
    fc.assert(
      fc.property(fc.array(argument, { maxLength: 12 }), args => {
        const [ours, theirs] = [probe, original()].map(program => run(program, ['--no-env', '--', ...args], { env }))
        expect(lines(ours!.stdout, 'argv').slice(1)).toEqual(lines(theirs!.stdout, 'argv').slice(1))
        expect(lines(ours!.stdout, 'argc')).toEqual([String(args.length + 3)])
      }),
      { numRuns: 100 },
    )
  })

  test('arguments and names that are no UTF-8', () => {
    const script =
      'cp -r "$1" "$2/$(printf "\\377\\376")" && "$2/$(printf "\\377\\376")/bin/probe" --no-env "$(printf "\\200")" | od -An -c'
    const { stdout, code, stderr } = withoutNix('bash', ['-c', script, 'sh', place, directory], { env })
    expect(code, stderr).toBe(0)
    expect(stdout.replaceAll(/\s+/g, ' ')).toContain('v 2 " 200 "')
  })

  test('exit codes and signals', () => {
    expect(withoutNix(probe, ['--exit', '42'], { env }).code).toBe(42)
    expect(run(probe, ['--signal', '9'], { env }).signal).toBe('SIGKILL')
    expect(run(probe, ['--signal', '11'], { env }).signal).toBe('SIGSEGV')
  })
})

describe('anywhere', () => {
  test.each([
    'with space',
    'with:colon',
    "with'quote",
    'with"double',
    'with$dollar',
    'new\nline',
    'ünïcode',
    'd'.repeat(250),
  ])('at %j', name => {
    const moved = join(directory, name)
    cpSync(place, moved, { recursive: true, verbatimSymlinks: true })
    expect(withoutNix(join(moved, 'bin/probe'), ['--exit', '3'], { env })).toMatchObject({ code: 3 })
  })

  test('through PATH, a relative path, a link from outside, a link to a directory on the way', () => {
    expect(
      withoutNix('sh', ['-c', 'exec probe --exit 3'], { cwd: '/', env: { ...env, PATH: `${place}/bin:/bin` } }).code,
    ).toBe(3)
    expect(withoutNix('sh', ['-c', 'exec bundle/bin/probe --exit 4'], { cwd: directory, env }).code).toBe(4)
    symlinkSync(probe, join(directory, 'linked'))
    expect(withoutNix(join(directory, 'linked'), ['--exit', '5'], { env }).code).toBe(5)
    symlinkSync(place, join(directory, 'linked-directory'))
    expect(withoutNix(join(directory, 'linked-directory/bin/probe'), ['--exit', '6'], { env }).code).toBe(6)
  })

  test('after a move, from a read-only mount, from a directory of 3,500 bytes', () => {
    const from = join(directory, 'before')
    cpSync(place, from, { recursive: true, verbatimSymlinks: true })
    expect(withoutNix(join(from, 'bin/probe'), ['--exit', '3'], { env }).code).toBe(3)
    renameSync(from, join(directory, 'after'))
    expect(withoutNix(join(directory, 'after/bin/probe'), ['--exit', '4'], { env }).code).toBe(4)
    const deep = join(directory, ...Array.from({ length: 14 }, () => 'x'.repeat(240)))
    mkdirSync(deep, { recursive: true })
    cpSync(place, join(deep, 'b'), { recursive: true, verbatimSymlinks: true })
    expect(join(deep, 'b').length).toBeGreaterThan(3300)
    expect(withoutNix(join(deep, 'b/bin/probe'), ['--exit', '5'], { env }).code).toBe(5)
    expect(
      run('bwrap', ['--ro-bind', '/', '/', '--proc', '/proc', '--dev', '/dev', '--', probe, '--exit', '6'], { env })
        .code,
    ).toBe(6)
  })
})

describe('the host', () => {
  test('none of its libraries is opened, whatever LD_LIBRARY_PATH says', () => {
    const trace = join(directory, 'trace')
    const hostile = { ...env, LD_LIBRARY_PATH: '/usr/lib/x86_64-linux-gnu:/lib/x86_64-linux-gnu' }
    expect(
      run('strace', ['-f', '-e', 'trace=execve,open,openat', '-o', trace, probe, '--thread-exit'], { env: hostile })
        .code,
    ).toBe(0)
    const opened = run('cat', [trace]).stdout
    expect(opened).toMatch(/\/lib\/libc\.so\.6", O_RDONLY\|O_CLOEXEC\) = \d/)
    expect(opened).toMatch(/\/lib\/libgcc_s\.so\.1", O_RDONLY\|O_CLOEXEC\) = \d/)
    expect(opened).not.toMatch(/"\/(?:usr\/)?lib/)
    expect(opened).not.toContain('/etc/ld.so')
    expect(opened).not.toContain('/nix/')
    expect(opened.match(/execve\(/g)).toHaveLength(1)
  })
})

describe('refusals, each one line and exit 127', () => {
  test('set-uid', () => {
    const copy = join(directory, 'setuid')
    cpSync(place, copy, { recursive: true, verbatimSymlinks: true })
    chmodSync(directory, 0o755)
    chmodSync(join(copy, 'pkg/probe-1.0/bin/probe'), 0o4755)
    const result = run('setpriv', ['--reuid', '65534', '--regid', '65534', '--clear-groups', join(copy, 'bin/probe')], {
      env,
    })
    expect(result).toMatchObject({ code: 127, stdout: '' })
    expect(result.stderr).toMatch(/^.*bin\/probe: a relocatable program cannot be set-uid.*--prefix\n$/)
  })

  test('file capabilities', () => {
    const copy = join(directory, 'capable')
    cpSync(place, copy, { recursive: true, verbatimSymlinks: true })
    execFileSync('setcap', ['cap_net_raw+ep', join(copy, 'pkg/probe-1.0/bin/probe')])
    const nobody = ['--reuid', '65534', '--regid', '65534', '--clear-groups', join(copy, 'bin/probe')]
    const result = run('setpriv', nobody, { env })
    expect(result).toMatchObject({ code: 127, stdout: '' })
    expect(result.stderr).toMatch(/^.*bin\/probe: a relocatable program cannot be set-uid.*--prefix\n$/)
  })

  test('but with --prefix a set-uid program works', () => {
    const fixed = '/tmp/storefree-test-setuid'
    rmSync(fixed, { recursive: true, force: true })
    try {
      mustBundle(['probe', '--prefix', fixed, '-f', 'dir', '-o', fixed])
      chmodSync(join(fixed, 'pkg/probe-1.0/bin/probe'), 0o4755)
      const nobody = ['--reuid', '65534', '--regid', '65534', '--clear-groups', join(fixed, 'bin/probe')]
      const result = run('setpriv', [...nobody, '--auxv', '--no-env', '--maps'], {
        env: { ...env, LD_LIBRARY_PATH: '/lib/x86_64-linux-gnu' },
      })
      expect(result).toMatchObject({ code: 0, stderr: '' })
      expect(lines(result.stdout, 'auxv')).toContain('secure 1')
      expect(lines(result.stdout, 'map')).toContain(JSON.stringify(`${fixed}/lib/libc.so.6`))
    } finally {
      rmSync(fixed, { recursive: true, force: true })
    }
  })

  test('a copy in memory, which lies in no bundle', () => {
    const script =
      'import os, sys; fd = os.memfd_create("x"); os.write(fd, open(sys.argv[1], "rb").read()); os.execve(fd, ["x"], {})'
    const result = run('python3', ['-c', script, probe], { env })
    expect(result).toMatchObject({ code: 127, stdout: '', stderr: 'x: it does not lie in its bundle\n' })
  })

  test('the loader is gone', () => {
    const copy = join(directory, 'incomplete')
    cpSync(place, copy, { recursive: true, verbatimSymlinks: true })
    renameSync(join(copy, 'lib'), join(copy, 'elsewhere'))
    const result = run(join(copy, 'bin/probe'), [], { env })
    expect(result).toMatchObject({ code: 127, stdout: '' })
    expect(result.stderr).toMatch(
      /bin\/probe: the bundle is not complete: there is no .*\/lib\/ld-linux-x86-64\.so\.2\n$/,
    )
  })

  test("its bundle's links were copied as files (scp -r, cp -L)", () => {
    const copy = join(directory, 'followed')
    execFileSync('cp', ['-rL', place, copy])
    const said = 'this bundle was copied without its symbolic links; copy it with cp -a, tar or rsync -a\n'
    expect(run(join(copy, 'bin/probe'), [], { env })).toEqual({
      code: 127,
      signal: null,
      stdout: '',
      stderr: `${join(copy, 'bin/probe')}: ${said}`,
    })
    // Too near to the root for three directories up.
    const shallow = ['--tmpfs', '/', '--proc', '/proc', '--ro-bind', copy, '/x', '--', '/x/bin/probe']
    expect(run('bwrap', shallow, { env }).stderr).toBe(`/x/bin/probe: ${said}`)
    expect(run(join(copy, 'pkg/probe-1.0/bin/probe'), ['--no-env'], { env }).code).toBe(0)
  })

  test('without /proc it finds itself by the name it was started by', () => {
    const result = run(
      'bwrap',
      [
        '--tmpfs',
        '/',
        '--dev',
        '/dev',
        '--ro-bind',
        place,
        '/srv/x',
        '--',
        '/srv/x/pkg/probe-1.0/bin/probe',
        '--exit',
        '9',
      ],
      { env },
    )
    // glibc cannot tell the program's own $ORIGIN without /proc, so the libraries are not found; the loader is.
    expect(result.stderr).not.toContain('there is no')
    expect(existsSync(place)).toBe(true)
  })
})

describe('tools of the trade on a program with the stub', () => {
  const elf = () => join(place, 'pkg/probe-1.0/bin/probe')
  const copyOf = (name: string): string => {
    const copy = join(directory, name)
    cpSync(place, copy, { recursive: true, verbatimSymlinks: true })
    return copy
  }

  test('readelf has nothing to complain about', () => {
    const result = run('readelf', ['-aW', elf()])
    expect(result).toMatchObject({ code: 0, stderr: '' })
    expect(result.stdout).toContain('.ldstub')
  })

  test('ldd and `ld.so program` run it', () => {
    const listed = run('ldd', [elf()], { env })
    expect(listed.stdout).toContain(`libc.so.6 => ${place}/pkg/probe-1.0/bin/../../../lib/libc.so.6`)
    expect(withoutNix(join(place, 'lib/ld-linux-x86-64.so.2'), [elf(), '--exit', '8'], { env }).code).toBe(8)
  })

  test.each([
    ['strip', ['strip']],
    ['strip --strip-debug', ['strip', '--strip-debug']],
    [
      'patchelf --set-rpath, longer',
      ['patchelf', '--force-rpath', '--set-rpath', `$ORIGIN/../../../lib:/${'long/'.repeat(40)}`],
    ],
    ['patchelf, then strip', ['sh', '-c', 'patchelf --add-needed libc.so.6 "$1" && strip "$1"', 'sh']],
  ])('it runs after %s', (name, argv) => {
    const copy = copyOf(`after ${name.replaceAll(/\W/g, ' ')}`)
    const target = join(copy, 'pkg/probe-1.0/bin/probe')
    execFileSync(argv[0]!, [...argv.slice(1), target], { stdio: 'pipe' })
    expect(withoutNix(join(copy, 'bin/probe'), ['--exit', '3'], { env })).toMatchObject({ code: 3, stderr: '' })
  })
})

test('a program with data behind its end is refused behind a shell launcher, and works with --prefix', () => {
  const made = join(directory, 'self-extractor')
  copyFileSync(join(fixture('probe'), 'bin/probe'), made)
  chmodSync(made, 0o755)
  execFileSync('sh', ['-c', 'echo payload >> "$1"', 'sh', made])
  const out = join(directory, 'payload')
  const refused = run(
    process.execPath,
    [join(import.meta.dirname, '../../bin/bundle.js'), made, '--launcher', 'shell', '-f', 'dir', '-o', out],
    { env },
  )
  expect(refused).toMatchObject({ code: 1, stdout: '' })
  expect(refused.stderr).toMatch(/self-extractor: carries data behind its end.*--prefix/)
  expect(existsSync(out)).toBe(false)
  mustBundle([made, '-f', 'dir', '-o', out, '--prefix', out.slice(0, 39)], {})
  expect(run('tail', ['-c', '8', join(out, 'bin/self-extractor')]).stdout).toBe('payload\n')
})
