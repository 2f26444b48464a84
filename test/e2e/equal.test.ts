/** Equal inputs make equal bundles: whatever else the machine's store holds, and whether Nix can be asked. */
import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { bundle, command, fixture, fixtureEnv, mustBundle, run, temporary } from '../support/bundle.ts'
import { storePath } from '../support/store-lab.ts'

const directory = temporary()
const sha256 = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex')

/** The tar of a bundle as the machine is now. */
function tarOf(target: string, name: string, ...options: string[]): string {
  const out = join(directory, `${name}.tar`)
  mustBundle([target, '-o', out, '--name', 'app', ...options])
  return sha256(out)
}

/** A package whose documentation alone names another: that stays out, and in Nix's closure both are. */
const DOCUMENTED = `derivation {
  name = "documented-1.0";
  system = builtins.currentSystem;
  builder = "/bin/sh";
  args = [ "-c" "/bin/mkdir -p $out/bin $out/share/doc; /bin/cp $program $out/bin/documented; /bin/chmod 755 $out/bin/documented; echo $manual > $out/share/doc/index" ];
  program = builtins.toFile "program" "#!/bin/sh\\necho hello\\n";
  manual = builtins.toFile "manual" "read me";
}`

test('with Nix, without it, and where the store holds the closure alone: the same bytes', () => {
  const documented = execFileSync('nix-build', ['-E', DOCUMENTED, '--no-out-link'], { env: fixtureEnv })
    .toString()
    .trim()
  const expected = tarOf(documented, 'with')

  const without = join(directory, 'without.tar')
  const made = bundle([documented, '-o', without, '--name', 'app'], { env: { PATH: directory } })
  expect(made.stdout).not.toContain('Nix closure')
  expect(sha256(without)).toBe(expected)

  const closure = run('nix-store', ['-qR', documented], { env: fixtureEnv }).stdout.trim().split('\n')
  const alone = join(directory, 'alone.tar')
  const hidden = ['--dev-bind', '/', '/', '--tmpfs', '/nix', ...closure.flatMap(path => ['--ro-bind', path, path])]
  const sandboxed = run('bwrap', [...hidden, '--', process.execPath, command, documented, '-o', alone, '--name', 'app'])
  expect(sandboxed.code, sandboxed.stderr).toBe(0)
  expect(sha256(alone)).toBe(expected)
})

describe('what else lies in the store', () => {
  const others: string[] = []
  afterAll(() => {
    for (const path of others) rmSync(path, { recursive: true, force: true })
  })
  /** A store path of a hash that is given. */
  const unrelated = (hash: string): void => {
    const path = `/nix/store/${hash}-unrelated-1.0`
    mkdirSync(path, { recursive: true })
    others.push(path)
  }
  const digits = '0123456789abcdfghijklmnpqrsvwxyz'
  const chance = [...randomBytes(32)].map(byte => digits[byte % 32]).join('')
  /** Of a store path that is on no machine. */
  const gone = [...randomBytes(32)].map(byte => digits[byte % 32]).join('')
  const table = Buffer.from(`\0${'m'.repeat(320)}\0${chance}\0${'b'.repeat(32)}\0`)
  const library = storePath('library-1.0', { 'share/data': 'data\n' })
  const [known = ''] = library.slice('/nix/store/'.length).split('-')
  const app = storePath('app-1.0', {
    'bin/app': `#!${fixture('bash')}/bin/bash\ncat ${library}/share/data # /nix/store/${gone}-gone-1.0\n`,
    'share/table': table,
    'share/known': `${known} ${gone}\n`,
  })

  test('is not looked for: tables of a library stay as they are, byte for byte', () => {
    const before = tarOf(app, 'before')
    for (const hash of [chance, 'm'.repeat(32), 'b'.repeat(32)]) unrelated(hash)
    expect(tarOf(app, 'after')).toBe(before)
    const member = (name: string) =>
      execFileSync('tar', ['xOf', join(directory, 'after.tar'), `app/pkg/app-1.0/${name}`])
    expect(member('share/table').equals(table)).toBe(true)
    // The hashes that the files show as store paths are forbidden wherever they stand, on this machine or not.
    expect(member('share/known').toString()).toBe(`${'e'.repeat(32)} ${'e'.repeat(32)}\n`)
  })

  test('--closure names store paths that no file shows', () => {
    const file = join(directory, 'closure.txt')
    writeFileSync(file, `${app}\n/nix/store/${chance}-unrelated-1.0\n`)
    const out = join(directory, 'told')
    mustBundle([app, '--closure', file, '-f', 'dir', '-o', out])
    const told = readFileSync(join(out, 'pkg/app-1.0/share/table'), 'latin1')
    expect(told).toBe(table.toString('latin1').replace(chance, 'e'.repeat(32)))
    // As a derivation has it, with sizes.
    const sized = [
      { path: app, narSize: 3_000_000 },
      { path: `/nix/store/${chance}-unrelated-1.0`, narSize: 1_000_000, references: [] },
    ]
    writeFileSync(file, JSON.stringify({ closure: sized, name: 'x' }))
    const { stdout } = mustBundle([app, '--closure', file, '-f', 'dir', '-o', join(directory, 'sized')])
    expect(stdout).toContain('Nix closure 4.0 MB')
    expect(run('diff', ['-r', out, join(directory, 'sized')]).stdout).toBe('')
  })

  test('--data all brings the whole of it', () => {
    const other = storePath('other-1.0', { 'share/more': 'more\n' })
    const file = join(directory, 'all.txt')
    writeFileSync(file, `${app}\n${other}\n`)
    const out = join(directory, 'all')
    mustBundle([app, '--data', 'all', '--closure', file, '-f', 'dir', '-o', out])
    expect(readFileSync(join(out, 'pkg/other-1.0/share/more'), 'utf8')).toBe('more\n')
  })
})
