/** What users get wrong: a clear error that names the file, the reason and the next thing to do, and nothing left behind. */
import { execFileSync, spawn } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { bundle, command, fixture, fixtureEnv, mustBundle, run, temporary, withoutNix } from '../support/bundle.ts'

const inputs = temporary()
let cwd: string

beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'storefree-mistakes-'))
  return () => rmSync(cwd, { recursive: true, force: true })
})

/** A program linked against the fixtures' libc and nothing in its search path. */
function compile(name: string, source: string, ...flags: string[]): string {
  const path = join(inputs, name)
  writeFileSync(`${path}.c`, source)
  const libc = fixture('glibc')
  execFileSync('gcc', ['-o', path, `${path}.c`, `-Wl,--dynamic-linker=${libc}/lib/ld-linux-x86-64.so.2`, ...flags])
  return path
}

/** Expects exit 2, these words on standard error, no stack trace, and an empty directory. */
function expectRefusal(result: ReturnType<typeof bundle>, ...words: (string | RegExp)[]): void {
  expect(result.stdout).toBe('')
  for (const word of words) expect(result.stderr).toMatch(word)
  expect(result.stderr).not.toMatch(/^ {4}at /m)
  expect(result.code).toBe(2)
  expect(readdirSync(cwd)).toEqual([])
}

describe('targets that are none', () => {
  const file = (name: string, contents: string | Buffer, mode: number): string => {
    writeFileSync(join(inputs, name), contents)
    chmodSync(join(inputs, name), mode)
    return join(inputs, name)
  }

  test('a path that is not there', () => {
    expectRefusal(bundle(['./no-such-file'], { cwd }), 'no-such-file: no such file or directory')
  })

  test('a file that is not executable', () => {
    const path = file('plain.sh', '#!/bin/sh\n', 0o644)
    expectRefusal(bundle([path], { cwd }), `${path}: not executable`, 'chmod')
  })

  test('a text file', () => {
    const path = file('text', 'Hello\n', 0o755)
    expectRefusal(bundle([path], { cwd }), `${path}: neither an ELF or Mach-O program nor a script`)
  })

  test('an empty file', () => {
    expectRefusal(bundle([file('empty', '', 0o755)], { cwd }), 'neither an ELF or Mach-O program nor a script')
  })

  test('a directory without programs', () => {
    mkdirSync(join(inputs, 'nothing/share'), { recursive: true })
    expectRefusal(bundle([join(inputs, 'nothing')], { cwd }), 'nothing: holds no programs', 'bin/, sbin/ or libexec/')
  })

  test('a link that leads nowhere, and one that leads to itself', () => {
    symlinkSync('nowhere', join(inputs, 'broken'))
    symlinkSync('cycle', join(inputs, 'cycle'))
    expectRefusal(bundle([join(inputs, 'broken')], { cwd }), /broken: a link that leads nowhere \(to nowhere\)/)
    expectRefusal(bundle([join(inputs, 'cycle')], { cwd }), 'cycle: a link that leads nowhere')
  })

  test('a FIFO is not waited for', () => {
    execFileSync('mkfifo', [join(inputs, 'fifo')])
    expectRefusal(bundle([join(inputs, 'fifo')], { cwd }), 'fifo: neither a file nor a directory')
  })

  test('a shared library', () => {
    expectRefusal(
      bundle([`${fixture('zlib')}/lib/libz.so.1`], { cwd }),
      'a shared library or object file, not a program',
    )
  })

  test.each([1, 3, 4, 15, 16, 63, 64, 200, 4096, 20_000])('a program of which only %i bytes are there', length => {
    const path = join(inputs, `truncated-${length}`)
    copyFileSync(`${fixture('bash')}/bin/bash`, path)
    truncateSync(path, length)
    chmodSync(path, 0o755)
    expectRefusal(bundle([path], { cwd }), new RegExp(`truncated-${length}: `))
  })

  test('a file that may not be read', () => {
    const path = file('secret', '#!/bin/sh\n', 0o711)
    chmodSync(inputs, 0o755)
    chmodSync(cwd, 0o777)
    const nobody = ['--reuid', '65534', '--regid', '65534', '--clear-groups', process.execPath, command, path]
    expectRefusal(run('setpriv', nobody, { cwd, env: fixtureEnv }), `${path}: permission denied`)
  })

  test('a word that is neither path nor attribute', () => {
    expectRefusal(bundle(['what?'], { cwd }), 'neither a path')
  })
})

describe('Nix', () => {
  test('is missing', () => {
    expectRefusal(
      bundle(['nginx'], { cwd, env: { PATH: '/nowhere' } }),
      'nginx: not a path',
      'there is no Nix on PATH',
      './nginx',
    )
  })

  test('knows no such attribute: its own error is shown, and a program of that name on PATH is not taken', () => {
    expectRefusal(bundle(['ls'], { cwd }), /ls: Nix failed/, /attribute ['"‘]ls/)
  })

  test('fails to build', () => {
    const nixpkgs = join(inputs, 'failing')
    mkdirSync(nixpkgs)
    writeFileSync(
      join(nixpkgs, 'default.nix'),
      '{ }: { broken = derivation { name = "broken"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo it went wrong; exit 3" ]; }; }',
    )
    const env = { ...fixtureEnv, NIX_PATH: `nixpkgs=${nixpkgs}` }
    expectRefusal(bundle(['broken'], { cwd, env }), 'broken: Nix failed', 'it went wrong')
  })
})

describe('libraries', () => {
  test('one that is missing is a finding with the chain that needs it, and nothing is written', () => {
    writeFileSync(join(inputs, 'gone.c'), 'int gone(void) { return 1; }')
    writeFileSync(join(inputs, 'middle.c'), 'int gone(void); int middle(void) { return gone(); }')
    const gcc = (...args: string[]): void => void execFileSync('gcc', args, { cwd: inputs })
    gcc('-shared', '-o', 'libgone.so', '-Wl,-soname,libgone.so.1', 'gone.c')
    gcc('-shared', '-o', 'libmiddle.so', '-Wl,-soname,libmiddle.so', 'middle.c', './libgone.so')
    const program = compile(
      'needs',
      'int middle(void); int main(void) { return middle(); }',
      join(inputs, 'libmiddle.so'),
      `-Wl,-rpath,${inputs},--allow-shlib-undefined`,
    )
    const result = bundle([program, '-f', 'dir', '-o', 'out'], { cwd })
    expect(result.code).toBe(1)
    expect(result.stdout).toBe('')
    expect(result.stderr).toContain(
      `libgone.so.1 is not found; it is needed by ${inputs}/libmiddle.so, needed by ${program}`,
    )
    expect(readdirSync(cwd)).toEqual([])
  })
})

test('a helper of a package that never could start does not stand in the way of its programs', () => {
  const tree = join(inputs, 'package')
  mkdirSync(join(tree, 'bin'), { recursive: true })
  mkdirSync(join(tree, 'lib/helpers'), { recursive: true })
  writeFileSync(join(inputs, 'absent.c'), 'int absent(void) { return 1; }')
  execFileSync('gcc', ['-shared', '-o', 'libabsent.so', '-Wl,-soname,libabsent.so.9', 'absent.c'], { cwd: inputs })
  const broken = compile(
    'broken',
    'int absent(void); int main(void) { return absent(); }',
    join(inputs, 'libabsent.so'),
  )
  copyFileSync(broken, join(tree, 'lib/helpers/broken'))
  copyFileSync(`${fixture('cxx')}/bin/cxx`, join(tree, 'bin/cxx'))
  const made = mustBundle([tree, '-f', 'dir', '-o', 'out'], { cwd })
  expect(made.stderr).toMatch(/warning: .*lib\/helpers\/broken: libabsent\.so\.9 is not found/)
  expect(withoutNix(join(cwd, 'out/bin/cxx')).code).toBe(0)
  expect(bundle(['verify', 'out'], { cwd })).toMatchObject({ code: 0 })
  // The helper itself, asked for by name, is an error.
  expect(bundle([join(tree, 'lib/helpers/broken'), '-f', 'dir', '-o', 'broken'], { cwd }).code).toBe(1)
})

describe('a string has to grow', () => {
  const needsGrowth = (): string => compile('grows', '#include <stdio.h>\nint main(void) { return puts("grown") < 0; }')

  test('it does, without any tool, and the program runs', () => {
    const path = temporary()
    symlinkSync(process.execPath, join(path, 'node'))
    mustBundle([needsGrowth(), '-f', 'dir', '-o', 'out'], { cwd, env: { PATH: path } })
    expect(withoutNix(join(cwd, 'out/bin/grows'))).toMatchObject({ code: 0, stdout: 'grown\n' })
  })

  const byPatchelf = ['--patcher', 'patchelf', '-f', 'dir', '-o', 'out']

  test('patchelf is asked for, and missing', () => {
    const path = temporary()
    symlinkSync(process.execPath, join(path, 'node'))
    expectRefusal(
      bundle([needsGrowth(), ...byPatchelf], { cwd, env: { PATH: path } }),
      /: patchelf is to .* \(--patcher patchelf\), and it is not on PATH/,
      'leave --patcher out, or install patchelf',
    )
  })

  test('patchelf is too old', () => {
    const path = temporary()
    writeFileSync(join(path, 'patchelf'), '#!/bin/sh\necho patchelf 0.9\n', { mode: 0o755 })
    expectRefusal(
      bundle([needsGrowth(), ...byPatchelf], {
        cwd,
        env: { ...fixtureEnv, PATH: `${path}:${fixtureEnv.PATH}` },
      }),
      /found patchelf 0\.9, wanted 0\.14 or newer/,
    )
  })

  test('patchelf does something else than it was told: found out', () => {
    const path = temporary()
    const real = run('sh', ['-c', 'command -v patchelf']).stdout.trim()
    writeFileSync(
      join(path, 'patchelf'),
      `#!/bin/sh\ncase $1 in --version) exec ${real} --version ;; esac\n${real} "$@"\nfor last; do :; done\nexec ${real} --force-rpath --set-rpath /somewhere "$last"\n`,
      { mode: 0o755 },
    )
    const result = bundle([needsGrowth(), ...byPatchelf], {
      cwd,
      env: { ...fixtureEnv, PATH: `${path}:${fixtureEnv.PATH}` },
    })
    expect(result.code).toBe(1)
    expect(result.stderr).toMatch(/editing it changed rpath: expected ".*", found "\/somewhere"/)
    expect(readdirSync(cwd)).toEqual([])
  })
})

describe('destinations', () => {
  const probe = (): string => fixture('probe')

  test.each(['dir', 'tar'])('one that exists is refused (%s), and replaced with --force', format => {
    writeFileSync(join(cwd, 'out'), 'precious')
    const refused = bundle([probe(), '-f', format, '-o', 'out'], { cwd })
    expect(refused).toMatchObject({ code: 2, stdout: '' })
    expect(refused.stderr).toContain('out: exists already')
    expect(readFileSync(join(cwd, 'out'), 'utf8')).toBe('precious')
    expect(readdirSync(cwd)).toEqual(['out'])
    mustBundle([probe(), '-f', format, '-o', 'out', '--force'], { cwd })
    expect(readdirSync(cwd)).toEqual(['out'])
    expect(bundle(['verify', 'out'], { cwd }).code).toBe(0)
  })

  test('in a directory that is not there', () => {
    expectRefusal(bundle([probe(), '-o', 'no/such/out.tar'], { cwd }), 'no such directory')
  })

  test('below a file', () => {
    const file = join(inputs, 'a-file')
    writeFileSync(file, '')
    expectRefusal(bundle([probe(), '-o', `${file}/out.tar`], { cwd }), 'not a directory')
  })

  test('that is there is refused before Nix is asked', () => {
    const there = join(inputs, 'there.tar')
    writeFileSync(there, '')
    expectRefusal(bundle(['no-such-attribute', '-o', there], { cwd }), 'there.tar: exists already')
  })

  test('in a directory that may not be written to', () => {
    chmodSync(cwd, 0o755)
    const nobody = ['--reuid', '65534', '--regid', '65534', '--clear-groups', process.execPath, command, probe()]
    expectRefusal(run('setpriv', nobody, { cwd, env: { ...fixtureEnv, HOME: '/' } }), 'cannot be written to')
  })

  test('with an ending that names no format', () => {
    expectRefusal(bundle([probe(), '-o', 'out.rar'], { cwd }), 'out.rar: its ending names none of the formats')
  })
})

describe('options', () => {
  const probe = (): string => fixture('probe')

  test.each([
    ['relative', 'opt/app', 'is not absolute'],
    ['the root', '/', 'is no plain directory name'],
    ['with ..', '/opt/../etc', 'is no plain directory name'],
    ['with a colon', '/opt/a:b', 'a search path'],
    ['with a space', '/opt/a b', 'a search path'],
    ['in the store', '/nix/store/x', 'lies in the store'],
    ['too long', `/opt/${'x'.repeat(60)}`, 'is the most that fits'],
  ])('a --prefix that is %s', (_, prefix, words) => {
    expectRefusal(bundle([probe(), '--prefix', prefix], { cwd }), words)
  })

  test('an option that is none, a format that is none, no target', () => {
    expectRefusal(bundle(['--no-such-option', 'x'], { cwd }), 'unknown option')
    expectRefusal(bundle([probe(), '-f', 'rar'], { cwd }), 'rar', 'dir, tar, tar.gz, tar.zst')
    expectRefusal(bundle([], { cwd }), 'missing required argument')
  })

  test('with --json the error is a document too', () => {
    const result = bundle(['./nowhere', '--json'], { cwd })
    expect(result.code).toBe(2)
    expect(JSON.parse(result.stdout)).toMatchObject({
      schema: 1,
      error: { code: 'not-found', path: `${cwd}/nowhere` },
    })
  })
})

describe('verify', () => {
  const text = join(temporary(), 'text.tar')
  writeFileSync(text, 'a text\n'.repeat(200))
  test.each([
    ['nothing there', 'nowhere', 'no such file'],
    ['no archive', text, 'not a readable tar archive'],
    ['a device', '/dev/null', 'neither a directory nor a file'],
  ])('%s', (_, path, words) => {
    expectRefusal(bundle(['verify', path], { cwd }), words)
  })
})

describe('an end before the end', () => {
  const staged = (): string[] => readdirSync(cwd)
  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s leaves nothing, at any time', async signal => {
    for (const delay of [0, 30, 80, 150, 250, 400, 600, 900]) {
      const child = spawn(process.execPath, [command, `${fixture('nginx')}`, '-o', 'out.tar.gz'], {
        cwd,
        env: fixtureEnv,
        stdio: 'ignore',
      })
      // It may be done before the signal comes.
      const exit = new Promise(done => child.once('exit', (c, s) => done(c ?? s)))
      await new Promise(done => setTimeout(done, delay))
      child.kill(signal)
      const code = await exit
      const expected = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 }[signal]
      // Before our own code runs the signal ends Node itself; late, the bundle may be complete.
      expect([expected, signal, 0]).toContain(code)
      if (code === 0) {
        expect(staged()).toEqual(['out.tar.gz'])
        expect(bundle(['verify', 'out.tar.gz'], { cwd }).code).toBe(0)
        rmSync(join(cwd, 'out.tar.gz'))
      }
      expect(staged(), `after ${delay} ms`).toEqual([])
    }
  })
})
