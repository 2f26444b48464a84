/** docs/mistakes.md, row by row: what is done there is done here, and said and ended with as it stands there. */
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
import { bundle, command, fixture, fixtureEnv, mustBundle, type Run, run, temporary } from '../support/bundle.ts'

interface Row {
  readonly done: string
  readonly said: RegExp
  readonly code: number
}

/** The rows of the document: code stands in backquotes, `...` for what differs from case to case. */
function documented(): Row[] {
  const text = readFileSync('docs/mistakes.md', 'utf8')
  return [...text.matchAll(/^\| (?!What was done|---)(.+?) \| (.+?) \| (\d+) \|$/gm)].map(([, done, said, code]) => ({
    done: done!,
    said: new RegExp(
      said!
        .replaceAll('`', '')
        .replaceAll('\\|', '|')
        .replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
        .replaceAll('\\.\\.\\.', '[^]*')
        .replaceAll('<br>', '\\s+'),
    ),
    code: Number(code),
  }))
}

/** What is in a directory of its own, and what is left there at the end. */
let cwd: string
let inputs: string

beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'storefree-table-'))
  inputs = mkdtempSync(join(tmpdir(), 'storefree-table-inputs-'))
  for (const directory of [cwd, inputs]) chmodSync(directory, 0o755)
  return () => {
    for (const directory of [cwd, inputs]) rmSync(directory, { recursive: true, force: true })
  }
})

const file = (name: string, contents: string | Buffer, mode = 0o755): string => {
  const path = join(inputs, name)
  mkdirSync(join(path, '..'), { recursive: true })
  writeFileSync(path, contents)
  chmodSync(path, mode)
  return path
}
const link = (to: string, name: string): string => {
  symlinkSync(to, join(inputs, name))
  return join(inputs, name)
}
const here = (args: readonly string[], env: NodeJS.ProcessEnv = fixtureEnv): Run => bundle(args, { cwd, env })
const asNobody = (args: readonly string[]): Run =>
  run('setpriv', ['--reuid', '65534', '--regid', '65534', '--clear-groups', process.execPath, command, ...args], {
    cwd,
    env: { ...fixtureEnv, HOME: '/' },
  })
const withPolicy = (text: string): Run => here([probe(), '--policy', file('storefree.json', text)])
const SCRIPT = '#!/bin/sh\necho hello\n'
const probe = (): string => fixture('probe')
/** Only these programs on PATH. */
const onlyOnPath = (...names: string[]): NodeJS.ProcessEnv => {
  const path = temporary()
  symlinkSync(process.execPath, join(path, 'node'))
  for (const name of names) symlinkSync(run('sh', ['-c', `command -v ${name}`]).stdout.trim(), join(path, name))
  return { PATH: path }
}
/** A program that needs a library nobody has. */
function needing(library: string): string {
  const source = file('needing.c', 'int gone(void); int main(void) { return gone(); }')
  writeFileSync(join(inputs, 'gone.c'), 'int gone(void) { return 1; }')
  execFileSync('gcc', ['-shared', '-o', join(inputs, 'gone.so'), `-Wl,-soname,${library}`, join(inputs, 'gone.c')])
  const loader = `-Wl,--dynamic-linker=${fixture('glibc')}/lib/ld-linux-x86-64.so.2`
  execFileSync('gcc', ['-o', join(inputs, 'needing'), source, join(inputs, 'gone.so'), loader])
  return join(inputs, 'needing')
}

/** By the row's first column. */
const CASES: Readonly<Record<string, () => Run | Promise<Run>>> = {
  // Targets
  'A path that is not there': () => here(['./no-such-file']),
  'A link that leads nowhere, or to itself': () => here([link('nowhere', 'broken')]),
  'A file that is not executable': () => here([file('plain.sh', SCRIPT, 0o644)]),
  'A text file': () => here([file('text', 'Hello\n')]),
  'An empty file': () => here([file('empty', '')]),
  'A shared library': () => here([`${fixture('zlib')}/lib/libz.so.1`]),
  'A FIFO, a device, a socket': () => {
    execFileSync('mkfifo', [join(inputs, 'fifo')])
    return here([join(inputs, 'fifo')])
  },
  'A program that was cut off': () => {
    const path = join(inputs, 'truncated')
    copyFileSync(`${fixture('bash')}/bin/bash`, path)
    truncateSync(path, 20_000)
    chmodSync(path, 0o755)
    return here([path])
  },
  'A file that may not be read': () => asNobody([file('secret', SCRIPT, 0o711)]),
  'A directory without programs': () => {
    file('nothing/share/file', '')
    return here([join(inputs, 'nothing')])
  },
  'A word that is neither path nor attribute': () => here(['what?']),
  'A single dot': () => here(['.']),
  'No target': () => here([]),
  'An attribute that Nix does not know': () => here(['no-such-attribute']),
  'A command that is mistyped': () => here(['verfy', 'x']),
  'A command behind an option': () => here(['--force', 'verify', 'x']),
  'A mistyped command that Nix does not know either': () => here(['sise', './result']),
  'A package that Nix fails to build': () => {
    const set = file(
      'set.nix',
      '{ broken = derivation { name = "broken"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo it went wrong; exit 3" ]; }; }',
    )
    return here(['broken', '--file', set])
  },
  'An output without programs': () => here(['zlib^out']),
  'What a flake does not have': () => {
    file('flake.nix', '{ outputs = { self }: { }; }')
    return here([`${inputs}#nothing`])
  },
  'A flake reference, and no Nix': () => here(['nixpkgs#nginx'], onlyOnPath()),
  'A name that is no program, and no Nix': () => here(['nginx'], onlyOnPath()),
  'Two targets with a program of one name': () =>
    here([file('a/bin/app', SCRIPT), file('b/bin/app', SCRIPT)].map(path => path.slice(0, -'/bin/app'.length))),
  '`--program` with a name that no target has': () => here([probe(), '--program', 'nobody']),

  // Inputs
  'A library that is not there': () => here([needing('libgone.so.1'), '-o', 'out.tar']),
  'Names with blanks, newlines, quotes, colons, bytes that are no UTF-8': () => {
    for (const name of ['a b', "a'b", 'a"b', 'a:b', 'a\nb', '-a', '$a', '{a}', '%a']) file(`odd/bin/${name}`, SCRIPT)
    const directory = Buffer.concat([Buffer.from(join(inputs, 'odd/bin/')), Buffer.from([0x61, 0xff])])
    writeFileSync(directory, SCRIPT, { mode: 0o755 })
    const made = here([join(inputs, 'odd'), '-f', 'dir', '-o', 'out'])
    expect(readdirSync(join(cwd, 'out/bin'), 'latin1').length).toBe(10)
    expect(here(['verify', 'out']).code).toBe(0)
    return made
  },
  'A name that begins with a dash': () => {
    writeFileSync(join(cwd, '-program'), SCRIPT, { mode: 0o755 })
    const made = here(['-f', 'dir', '-o', 'out', '--', './-program'])
    rmSync(join(cwd, '-program'))
    return made
  },
  'Links in a circle within a package': () => {
    file('tree/bin/app', SCRIPT)
    link('loop', 'tree/loop')
    link('..', 'tree/bin/up')
    return here([join(inputs, 'tree'), '-f', 'dir', '-o', 'out'])
  },
  'A file of a package that may not be read': () => {
    file('tree/bin/app', SCRIPT)
    file('tree/share/secret', 'x', 0o600)
    return asNobody([join(inputs, 'tree')])
  },
  'A FIFO in a package': () => {
    file('tree/bin/app', SCRIPT)
    execFileSync('mkfifo', [join(inputs, 'tree/fifo')])
    return here([join(inputs, 'tree'), '-f', 'dir', '-o', 'out'])
  },
  'A signed archive of a package that would change': () => {
    file('tree/bin/app', SCRIPT)
    file('tree/share/x.phar', `${fixture('bash')}/bin/bash __HALT_COMPILER(); ?>${'x'.repeat(40)}GBMB`)
    return here([join(inputs, 'tree'), '-f', 'dir', '-o', 'out'])
  },
  'A program with data behind its end, behind a shell launcher': () => {
    const program = readFileSync(`${fixture('bash')}/bin/bash`)
    return here([
      file('payload', Buffer.concat([program, Buffer.from('PK\x03\x04 an archive')])),
      '--launcher',
      'shell',
      '-o',
      'out.tar',
    ])
  },

  // Options
  'An option that is none': () => here(['--no-such-option', 'nginx']),
  'A format that is none': () => here([probe(), '-f', 'rar']),
  'A destination whose ending names no format': () => here([probe(), '-o', 'out.rar']),
  'An image whose program names a log directory of its own': () => here([fixture('nginx'), '-f', 'oci', '-o', 'out']),
  'A prefix that is not absolute': () => here([probe(), '--prefix', 'opt/app']),
  'A prefix with `..` in it': () => here([probe(), '--prefix', '/opt/../etc']),
  'A prefix with a colon, a blank or a quote': () => here([probe(), '--prefix', '/opt/a:b']),
  'A prefix in the store': () => here([probe(), '--prefix', '/nix/store/x']),
  'A prefix that is too long': () => here([probe(), '--prefix', `/opt/${'x'.repeat(60)}`]),
  '`--jobs` with no number': () => here([probe(), '--jobs', 'many']),
  '`--with` something unknown': () => here([probe(), '--with', 'fonts']),
  '`--include` that matches nothing': () => here([probe(), '-f', 'dir', '-o', 'out', '--include', 'no/such/*']),
  '`--disallow` with what the bundle would hold': () => here([fixture('nginx'), '--disallow', 'openssl']),
  'A `storefree.json` with a word that is none': () => withPolicy('{ "maxsize": 1 }'),
  'A bundle larger than `storefree.json` wants it': () => withPolicy('{ "maxSize": 1 }'),
  '`--trace` without a command': () => here([probe(), '--trace']),
  '`--trace` with a command that is not there': () => here([probe(), '--trace', '--', 'no-such-program']),
  '`--trace`, and no strace': () => here([probe(), '--trace', '--', 'probe'], onlyOnPath()),
  '`--patcher patchelf`, and no patchelf': () =>
    here([probe(), '--patcher', 'patchelf', '-o', 'out.tar'], onlyOnPath()),

  // Destinations
  'A destination that exists': () => {
    writeFileSync(join(cwd, 'out.tar'), 'precious')
    const refused = here([probe(), '-o', 'out.tar'])
    expect(readFileSync(join(cwd, 'out.tar'), 'utf8')).toBe('precious')
    rmSync(join(cwd, 'out.tar'))
    return refused
  },
  'A directory that is no bundle, with `--force`': () => {
    mkdirSync(join(cwd, 'out'))
    writeFileSync(join(cwd, 'out/precious'), '')
    const refused = here([probe(), '-f', 'dir', '-o', 'out', '--force'])
    expect(readdirSync(join(cwd, 'out'))).toEqual(['precious'])
    rmSync(join(cwd, 'out'), { recursive: true })
    return refused
  },
  'A directory where an archive should go, with `--force`': () => {
    mkdirSync(join(cwd, 'out.tar'))
    writeFileSync(join(cwd, 'out.tar/precious'), '')
    const refused = here([probe(), '-o', 'out.tar', '--force'])
    expect(readdirSync(join(cwd, 'out.tar'))).toEqual(['precious'])
    rmSync(join(cwd, 'out.tar'), { recursive: true })
    return refused
  },
  'A destination in a directory that is not there': () => here([probe(), '-o', 'no/such/out.tar']),
  'A destination below a file': () => here([probe(), '-o', `${file('file', '')}/out.tar`]),
  'A destination that may not be written to': () => asNobody([probe()]),
  'A read-only file system': () => onTmpfs('1m', 'mount -o remount,ro /mnt'),
  'A full disk': () => onTmpfs('1m', ':'),
  'A report in a directory that is not there': () => here([probe(), '-o', 'out.tar', '--report', 'no/such/report']),

  // Verify
  '`why` of a bundle that an older storefree made': () => {
    mustBundle([probe(), '-f', 'dir', '-o', join(inputs, 'older')])
    const text = readFileSync(join(inputs, 'older/bundle.json'), 'utf8').replace('"schema": 2', '"schema": 1')
    file('older/bundle.json', text)
    return here(['why', join(inputs, 'older'), 'x'])
  },
  '`size --max` with less than there is': () => here(['size', probe(), '--max', '1kB', '-q']),
  '`graph` of more files than a picture shows': () => {
    for (let i = 0; i < 300; i++) file(`many/share/${i}`, 'x')
    file('many/bin/app', SCRIPT)
    return here(['graph', join(inputs, 'many'), '--by', 'file'])
  },
  '`inspect` of a directory': () => here(['inspect', `${inputs}/`]),
  '`sbom` of a bundle with a file that it does not list': () => {
    mustBundle([probe(), '-f', 'dir', '-o', join(inputs, 'added')])
    file('added/more', 'more\n')
    return here(['sbom', join(inputs, 'added')])
  },

  '`verify` of a path that is not there': () => here(['verify', 'nowhere']),
  '`verify` of an archive that was cut off': () => {
    mustBundle([probe(), '-o', join(inputs, 'whole.tar.gz')])
    truncateSync(join(inputs, 'whole.tar.gz'), 20_000)
    return here(['verify', join(inputs, 'whole.tar.gz')])
  },
  '`verify -q` of a tree with a store path in it (without `-q`: a table)': () => {
    file('tree/file', `path=${fixture('nginx')}\n`)
    return here(['verify', '-q', join(inputs, 'tree')])
  },
  '`verify` of a bundle that was changed': () => {
    mustBundle([probe(), '-f', 'dir', '-o', join(inputs, 'changed')])
    file(
      'changed/bundle.json',
      readFileSync(join(inputs, 'changed/bundle.json'), 'utf8').replace(/"schema": ?\d+/, '"schema": 9'),
    )
    return here(['verify', join(inputs, 'changed')])
  },

  // Interruptions
  'Ctrl-C': async () => {
    // Between the start of our own code and the end of the work, wherever these lie on this machine.
    for (let [early, late, delay] = [0, 2000, 300]; ; delay = (early + late) / 2) {
      const child = spawn(process.execPath, [command, fixture('nginx'), '-o', 'out.tar.gz'], { cwd, env: fixtureEnv })
      let stderr = ''
      child.stderr.on('data', piece => (stderr += piece))
      const ended = new Promise<number | null>(done => child.once('close', done))
      await new Promise(done => setTimeout(done, delay))
      child.kill('SIGINT')
      const code = await ended
      if (code !== 0 && code !== null) return { code, signal: null, stdout: '', stderr }
      if (code === null) early = delay
      else {
        late = delay
        rmSync(join(cwd, 'out.tar.gz'))
      }
    }
  },
}

/** Into a small file system of its own. */
function onTmpfs(size: string, then: string): Run {
  const script = `set -e; mount -t tmpfs -o size=${size} tmpfs /mnt; ${then}; cd /mnt; code=0; "$0" "$@" || code=$?; ls -A /mnt >&2; exit $code`
  return run('unshare', ['-m', 'sh', '-c', script, process.execPath, command, fixture('nginx'), '-o', 'out.tar'], {
    cwd,
    env: fixtureEnv,
  })
}

const rows = documented()

test('the document and this test have the same rows', () => {
  expect(rows.map(row => row.done).sort()).toEqual(Object.keys(CASES).sort())
})

describe('what was done', () => {
  test.each(rows)('$done', async ({ done, said, code }) => {
    const result = await CASES[done]!()
    expect(result.stderr).toMatch(said)
    expect(result.stderr).not.toMatch(/^ {4}at /m)
    expect(result.code).toBe(code)
    // Nothing half-made is left, nor anything that was not asked for.
    const left = readdirSync(cwd)
    expect(left).toEqual(code === 0 ? ['out'] : [])
  })
})
