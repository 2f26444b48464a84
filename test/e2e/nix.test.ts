/** default.nix: what a Nix user types, and what Nix itself says of the result. nixpkgs is a fake of thirty lines. */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { fixture, fixtureEnv, mustBundle, repository, run, temporary } from '../support/bundle.ts'

const work = temporary()
const env = {
  ...fixtureEnv,
  NIX_PATH: `nixpkgs=${repository}/test/support/fake-nixpkgs`,
  STOREFREE_TEST_NODE: process.execPath,
}
const SANDBOX = ['--option', 'sandbox', 'true', '--option', 'extra-sandbox-paths', '/bin /usr /lib /lib64']
const build = (target: string, given = '', ...args: string[]) => {
  const expression = `with import <nixpkgs> { }; callPackage ${repository} { ${given} } (${target})`
  const { code, stdout, stderr } = run('nix-build', ['-E', expression, '--no-out-link', ...args], { env })
  return { code, stderr, out: stdout.trim() }
}

test.each([
  'nginx',
  '{ type = "app"; program = nginx + "/bin/nginx"; }',
  'nginx + "/bin/nginx"',
  `builtins.storePath "${fixture('nginx')}"`,
])('a target: %s', target => {
  const { code, out, stderr } = build(target)
  expect(code, stderr).toBe(0)
  expect(run(join(out, 'bin/nginx'), ['-v'])).toMatchObject({ code: 0, stderr: 'nginx version: nginx/1.22.1\n' })
  expect(run('nix-store', ['-q', '--references', out], { env })).toMatchObject({ code: 0, stdout: '' })
})

test('built again in the sandbox it is the same', () => {
  expect(build('nginx').code).toBe(0)
  const { code, stderr } = build('nginx', '', '--check', ...SANDBOX)
  expect(code, stderr).toBe(0)
})

test("in Nix's sandbox, with nix-store on PATH, and without: the same bytes, as a tree and as a tar", () => {
  const without = join(work, 'bin')
  fs.mkdirSync(without)
  for (const [format, given] of [
    ['dir', ''],
    ['tar', 'format = "tar";'],
  ] as const) {
    const { code, out, stderr } = build('nginx', given, ...SANDBOX)
    expect(code, stderr).toBe(0)
    for (const PATH of [process.env.PATH, without]) {
      const made = join(work, `${format}-${PATH === without ? 'without' : 'with'}`)
      mustBundle([fixture('nginx'), '-f', format, '-o', made, '-q'], { env: { PATH } })
      expect(run('diff', ['-r', '--no-dereference', out, made])).toMatchObject({ code: 0, stdout: '' })
    }
  }
})

test('a store path that were left is refused by Nix', () => {
  const liar = join(work, 'liar')
  fs.mkdirSync(join(liar, 'bin'), { recursive: true })
  fs.writeFileSync(
    join(liar, 'bin/bundle'),
    '#!/bin/sh\nt=$1\nwhile [ "$1" != -o ]; do shift; done; /bin/mkdir -p $2; echo $t > $2/x\n',
    { mode: 0o755 },
  )
  const { code, stderr } = build('nginx', `storefree = ${liar};`)
  expect([code, stderr]).toEqual([1, expect.stringContaining('is not allowed to refer to the following paths')])
})

test('what is no store path is said', () => {
  expect(build('"hello"')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('storefree: no store path: hello'),
  })
})

test('the built command can be bundled: it names no store directory as others do', () => {
  for (const name of ['start.cjs', 'cli.cjs', 'pipeline.cjs', 'look.cjs'])
    expect(fs.readFileSync(join(repository, 'dist', name), 'latin1')).not.toMatch(/\\?\/nix\\?\/store/)
})
