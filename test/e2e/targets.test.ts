/** Every kind of target that a person types, made into a bundle whose programs run. */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { bundle, fixtureEnv, mustBundle, run, temporary, withoutNix } from '../support/bundle.ts'
import { EmptyRoot, tool } from '../support/root.ts'
import { trace } from '../support/trace.ts'

let cwd: string

beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'storefree-targets-'))
  return () => rmSync(cwd, { recursive: true, force: true })
})

/** A derivation of shell programs, one in each of two outputs. */
const DERIVATION = `{ name, greeting ? "hello", system ? builtins.currentSystem }: derivation {
  inherit name greeting system;
  builder = "/bin/sh";
  PATH = "/usr/bin:/bin";
  outputs = [ "out" "tools" "dev" ];
  args = [ "-c" ''
    for output in $out $tools $dev; do mkdir -p $output/bin; done
    printf '#!/bin/sh\\necho %s\\n' "$greeting" > $out/bin/$name
    printf '#!/bin/sh\\necho tool\\n' > $tools/bin/tool
    printf '#!/bin/sh\\n' > $dev/bin/config
    chmod +x $out/bin/* $tools/bin/* $dev/bin/*
  '' ];
}`

const programs = (name: string): string[] => readdirSync(join(cwd, name, 'bin'))

describe('flake references', () => {
  beforeEach(() => {
    writeFileSync(join(cwd, 'derivation.nix'), DERIVATION)
    writeFileSync(
      join(cwd, 'flake.nix'),
      `{ outputs = { self }: let make = args: import ./derivation.nix (args // { system = "x86_64-linux"; }); in {
        packages.x86_64-linux = { default = make { name = "first"; }; app = make { name = "app"; }; };
      }; }`,
    )
  })
  // Without the fixtures' experimental features: who types a flake reference wants flakes.
  const env = { ...fixtureEnv, NIX_CONFIG: fixtureEnv.NIX_CONFIG!.replace(/^extra-experimental.*$/m, '') }

  test.each([
    ['.#app', ['app', 'tool']],
    ['.#app^out', ['app']],
    ['.#app^tools,dev', ['config', 'tool']],
    ['.#app^*', ['app', 'config', 'tool']],
    ['path:.', ['first', 'tool']],
    ['./.#app^tools', ['tool']],
  ])('%s', (word, expected) => {
    const made = mustBundle([word, '-f', 'dir', '-o', 'out'], { cwd, env })
    expect(made.stdout).toContain(`(flake ${word})`)
    expect(programs('out')).toEqual(expected)
    expect(readdirSync(cwd).sort()).toEqual(['derivation.nix', 'flake.nix', 'out'])
  })

  test('an absolute path, from elsewhere', () => {
    mustBundle([`${cwd}#app`, '-f', 'dir', '-o', join(cwd, 'out')], { env, cwd: '/' })
    expect(run(join(cwd, 'out/bin/app'), []).stdout).toBe('hello\n')
  })

  test('a file with # in its name is a path', () => {
    writeFileSync(join(cwd, 'a#b'), '#!/bin/sh\necho sharp\n', { mode: 0o755 })
    expect(mustBundle(['./a#b', '-f', 'dir', '-o', 'out'], { cwd, env }).stdout).toContain('(path ./a#b)')
    expect(programs('out')).toEqual(['a#b'])
  })

  test('what the flake does not have: its own error', () => {
    const result = bundle(['.#nothing'], { cwd, env })
    expect(result).toMatchObject({ code: 2, stdout: '' })
    expect(result.stderr).toMatch(/\.#nothing: Nix failed/)
    expect(result.stderr).toMatch(/does not provide attribute/)
    expect(result.stderr).toContain("try: check with: nix build '.#nothing'")
  })
})

describe('a Nix file', () => {
  beforeEach(() => {
    writeFileSync(join(cwd, 'derivation.nix'), DERIVATION)
    writeFileSync(
      join(cwd, 'set.nix'),
      '{ greeting ? "hello", system ? builtins.currentSystem }: { app = import ./derivation.nix { name = "app"; inherit greeting; }; inherit system; }',
    )
  })

  test('--file takes the attribute from there, --nix-arg goes to Nix', () => {
    const made = mustBundle(
      [
        'app^out',
        '--file',
        'set.nix',
        '--nix-arg=--argstr',
        '--nix-arg',
        'greeting',
        '--nix-arg',
        'bonjour',
        '-f',
        'dir',
        '-o',
        'out',
      ],
      { cwd },
    )
    expect(made.stdout).toContain('(nix attribute app^out of set.nix)')
    expect(run(join(cwd, 'out/bin/app'), []).stdout).toBe('bonjour\n')
  })

  test('--system is what Nix builds for', () => {
    writeFileSync(
      join(cwd, 'system.nix'),
      '{ app = import ./derivation.nix { name = "app"; greeting = builtins.currentSystem; }; }',
    )
    mustBundle(['app', '--file', './system.nix', '--system', 'riscv64-linux', '-f', 'dir', '-o', 'out'], { cwd })
    expect(run(join(cwd, 'out/bin/app'), []).stdout).toBe('riscv64-linux\n')
  })

  test('the root of the file system, by any name, is no package', () => {
    symlinkSync('/', join(cwd, 'root'))
    for (const word of ['/', './root', '/usr/..'])
      expect(bundle([word, '--dry-run'], { cwd })).toMatchObject({
        code: 2,
        stderr: /: the root of the file system is/,
      })
  })

  test('a file that is not there: Nix says so', () => {
    expect(bundle(['app', '--file', './no.nix'], { cwd })).toMatchObject({ code: 2, stderr: /no\.nix/ })
  })
})

describe('several targets', () => {
  const program = (directory: string, name: string, says: string): string => {
    mkdirSync(join(cwd, directory, 'bin'), { recursive: true })
    writeFileSync(join(cwd, directory, 'bin', name), `#!/bin/sh\necho ${says}\n`, { mode: 0o755 })
    return `./${directory}`
  }

  test('make one bundle, named after them or as --name says', () => {
    mustBundle(['bash^out', 'cxx', '-f', 'dir'], { cwd })
    const [name] = readdirSync(cwd)
    expect(name).toMatch(/^bash\+cxx-x86_64-linux$/)
    expect(programs(name!)).toEqual(expect.arrayContaining(['bash', 'cxx']))
    expect(withoutNix(join(cwd, name!, 'bin/cxx')).code).toBe(0)
    mustBundle(['bash^out', 'cxx', '-f', 'dir', '--name', 'both'], { cwd })
    expect(readdirSync(cwd)).toContain('both-x86_64-linux')
  })

  test('with a program of one name each are an error that names both', () => {
    const result = bundle([program('one', 'app', '1'), program('two', 'app', '2')], { cwd })
    expect(result).toMatchObject({ code: 2, stdout: '' })
    expect(result.stderr).toContain(`two programs for bin/app: ${cwd}/one/bin/app and ${cwd}/two/bin/app`)
  })

  test('the same program twice is one', () => {
    const one = program('one', 'app', '1')
    mustBundle([one, `${one}/bin/app`, '-f', 'dir', '-o', 'out'], { cwd })
    expect(programs('out')).toEqual(['app'])
  })

  test('--program takes only what it names', () => {
    program('one', 'app', '1')
    program('one', 'other', '2')
    mustBundle(['./one', '--program', 'other', '-f', 'dir', '-o', 'out'], { cwd })
    expect(programs('out')).toEqual(['other'])
    const result = bundle(['./one', '--program', 'third', '-f', 'dir', '-o', 'out2'], { cwd })
    expect(result.code).toBe(2)
    expect(result.stderr).toMatch(
      /third: no program of path \.\/one is called so\n {2}try: --program with one of: bin\/app, bin\/other/,
    )
  })
})

describe('where there is no Nix', () => {
  const path = temporary()
  for (const name of ['git', 'patchelf', 'node'])
    symlinkSync(name === 'node' ? process.execPath : tool(name), join(path, name))
  const env = { PATH: path }

  test("a program on PATH: the machine's git clones in a root without libraries, and beside them opens none", () => {
    const made = mustBundle(['git', '-f', 'dir', '-o', 'out'], { cwd, env })
    expect(made.stdout).toContain(`(program on PATH ${path}/git)`)
    expect(made.stderr).toMatch(/needs files of this machine, which stay here .*\d+ of git.* in \/usr\/lib\/git-core/)
    execFileSync(
      'sh',
      [
        '-ec',
        `git init -q w; cd w; echo hi > a; git add a; git commit -qm first; git bundle create -q ../work.bundle HEAD`,
      ],
      {
        cwd,
        env: {
          ...process.env,
          GIT_AUTHOR_NAME: 'a',
          GIT_AUTHOR_EMAIL: 'a@b',
          GIT_COMMITTER_NAME: 'a',
          GIT_COMMITTER_EMAIL: 'a@b',
        },
      },
    )
    const args = ['clone', '-q', '/work.bundle', 'clone']
    const repository = ['--ro-bind', join(cwd, 'work.bundle'), '/work.bundle']
    const empty = new EmptyRoot(join(cwd, 'out'), '/srv/git', repository)
    empty.output('bin/git', args, { env: { PATH: '/srv/git/bin' } })
    expect(readFileSync(join(empty.home, 'clone/a'), 'utf8')).toBe('hi\n')

    const libraries = ['/lib', '/lib64', '/usr/lib/x86_64-linux-gnu', '/etc/ld.so.cache', '/usr/bin']
    const log = temporary()
    const mounts = [...repository, ...libraries.flatMap(p => ['--ro-bind', p, p]), '--bind', log, log]
    const beside = new EmptyRoot(join(cwd, 'out'), '/srv/git', mounts)
    const { code, opened } = trace(
      [tool('bwrap'), ...beside.arguments('/usr/bin/env', ['-C', '/home'])],
      '/srv/git/bin/git',
      args,
      join(log, 'trace'),
      { env: { PATH: '/srv/git/bin', HOME: '/home' } },
    )
    expect(code).toBe(0)
    const own = [...opened].filter(name => name.startsWith('/srv/git/'))
    expect(own.map(name => name.replace(/.*\//, ''))).toEqual(expect.arrayContaining(['git', 'libc.so.6', 'libz.so.1']))
    expect([...opened].filter(name => /^\/(?:usr\/)?lib|ld\.so/.test(name))).toEqual([])
  })

  test.each([
    [
      'perl',
      /^warning: .*\/perl: needs files of this machine, which stay here .*\d+ of perl-base, .* in \/usr\/.*: bundle try/m,
    ],
    ['grep', null],
  ])("what the machine's package manager has of a program's data stays here, which is told once: %s", (name, said) => {
    const { stderr } = mustBundle([`/usr/bin/${name}`, '--dry-run'], { cwd, env })
    const lines = stderr.split('\n').filter(line => line.includes('files of this machine'))
    if (said === null) expect(lines).toEqual([])
    else {
      expect(lines).toHaveLength(1)
      expect(stderr).toMatch(said)
    }
  })

  test("files of the machine that a program's library names are a note", () => {
    writeFileSync(join(cwd, 'data.c'), 'const char *data(void) { return "/usr/include"; }\n')
    writeFileSync(join(cwd, 'main.c'), 'const char *data(void); int main(void) { return *data() != 47; }\n')
    execFileSync('gcc', ['-shared', '-fPIC', 'data.c', '-o', 'libdata.so'], { cwd })
    execFileSync('gcc', ['main.c', '-L.', '-ldata', '-Wl,-rpath,$ORIGIN', '-o', 'tool'], { cwd })
    const told = (...more: string[]): string => mustBundle(['./tool', '--dry-run', ...more], { cwd, env }).stderr
    expect(told('-v')).toMatch(
      /^note: .*\/libdata\.so: names files of this machine, which stay here .*: \/usr\/include$/m,
    )
    expect(told()).not.toContain('names files of this machine')
  })

  test('a set-uid program: the bit stays behind, and that is said', () => {
    const program = join(cwd, 'tool')
    copyFileSync('/bin/true', program)
    for (const [mode, said] of [
      [0o755, 0],
      [0o4755, 1],
      [0o2755, 1],
    ] as const) {
      chmodSync(program, mode)
      const made = mustBundle([program, '-f', 'dir', '-o', `out-${mode}`], { cwd, env })
      expect(made.stderr.match(/set-uid or set-gid here, and its copy is not/g)?.length ?? 0).toBe(said)
      expect(statSync(join(cwd, `out-${mode}/bin/tool`)).mode & 0o7777).toBe(0o755)
    }
  })

  test('a static program is counted as a program, not as a library', () => {
    writeFileSync(join(cwd, 'main.c'), 'int main(void) { return 0; }\n')
    execFileSync('gcc', ['-static', 'main.c', '-o', 'tool'], { cwd })
    const made = mustBundle(['./tool', '-f', 'dir', '-o', 'out'], { cwd, env })
    expect(made.stdout).toContain('programs 1   libraries 0   data files 0\n')
  })
})
