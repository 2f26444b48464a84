/** flake.nix, from the npm archive: what `nix bundle`, `nix flake check` and other flakes make of it. nixpkgs is a fake. */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { command, fixture, fixtureEnv, type Run, repository, run, temporary } from '../support/bundle.ts'

const work = temporary()
const home = temporary()
const NIXPKGS = `path:${work}/nixpkgs`
let url: string

const nix = (args: readonly string[], cwd = work): Run =>
  run('nix', ['--option', 'flake-registry', join(work, 'registry.json'), ...args], {
    cwd,
    env: { ...fixtureEnv, HOME: home },
  })
const must = (args: readonly string[], cwd = work): string => {
  const { code, stdout, stderr } = nix(args, cwd)
  expect(code, stderr).toBe(0)
  return stdout.trim()
}
/** What `nix bundle` made. */
function bundled(bundler: string, ...target: string[]): string {
  const out = join(work, `out-${bundler}-${fs.readdirSync(work).length}`)
  must(['bundle', '--bundler', `${url}#${bundler}`, ...target, '-o', out])
  return fs.realpathSync(out)
}
const references = (path: string): string => run('nix-store', ['-q', '--references', path], { env: fixtureEnv }).stdout

beforeAll(() => {
  const to = join(work, 'nixpkgs')
  fs.cpSync(join(repository, 'native-fixtures'), join(to, 'native-fixtures'), { recursive: true })
  fs.cpSync(join(repository, 'test/support/fake-nixpkgs'), join(to, 'test/support/fake-nixpkgs'), { recursive: true })
  // As nixpkgs' own, with an app; those of other systems can be evaluated.
  fs.writeFileSync(
    join(to, 'flake.nix'),
    `{ outputs = { self }: rec {
      legacyPackages = builtins.listToAttrs (map (system: {
        name = system;
        value = import ./test/support/fake-nixpkgs { inherit system; node = "${process.execPath}"; };
      }) [ "x86_64-linux" "aarch64-linux" ]);
      apps.x86_64-linux.app = { type = "app"; program = "\${legacyPackages.x86_64-linux.nginx}/bin/nginx"; };
    }; }`,
  )
  const registry = {
    version: 2,
    flakes: [{ from: { type: 'indirect', id: 'nixpkgs' }, to: { type: 'path', path: to } }],
  }
  fs.writeFileSync(join(work, 'registry.json'), JSON.stringify(registry))
  const packed = run('npm', ['pack', '-s', '--ignore-scripts', '--pack-destination', work], { cwd: repository })
  url = `file://${work}/${packed.stdout.trim()}`
})

describe('nix bundle', () => {
  test.each([
    ['a derivation', `nixpkgs#nginx`],
    ['an app', `${'nixpkgs'}#app`],
    ['a path', '--impure', '--expr', `builtins.storePath "${fixture('nginx')}"`],
    [
      'a string',
      '--impure',
      '--expr',
      `"\${(builtins.getFlake "${NIXPKGS}").legacyPackages.x86_64-linux.nginx}/bin/nginx"`,
    ],
  ])('of %s', (_, ...target) => {
    const out = bundled('dir', ...target)
    expect(run(join(out, 'bin/nginx'), ['-v'])).toMatchObject({ code: 0, stderr: 'nginx version: nginx/1.22.1\n' })
    expect(references(out)).toBe('')
  })

  test.each([
    ['default', 'nginx-1.22.1.tar.gz'],
    ['tarball', 'nginx-1.22.1.tar.gz'],
    ['tar', 'nginx-1.22.1.tar'],
    ['oci', 'nginx-1.22.1.oci.tar'],
    ['deb', 'nginx-1.22.1.deb'],
    ['exe', 'nginx-1.22.1'],
  ])('#%s', (bundler, name) => {
    const out = bundled(bundler, 'nixpkgs#nginx')
    expect(out.slice('/nix/store/'.length + 33)).toBe(name)
    expect(references(out)).toBe('')
    expect(run(process.execPath, [command, 'verify', out]).code).toBe(0)
  })
})

test('nix flake check builds a bundle, and runs it', () => {
  const flake = join(work, 'checked')
  fs.mkdirSync(flake)
  run('tar', ['xzf', url.slice('file://'.length), '--strip-components=1', '-C', flake])
  must(['flake', 'check', `path:${flake}`])
  // Of a run before the check may be there: it is made once more, and says what it has verified.
  const check = `path:${flake}#checks.x86_64-linux.bundle`
  must(['build', '--no-link', '--rebuild', check])
  expect(fs.readFileSync(must(['eval', '--raw', check]), 'utf8')).toContain('clean: 0 store references')
})

test('another flake makes a bundle with lib.bundle, and with the overlay', () => {
  const flake = join(work, 'project')
  fs.mkdirSync(flake)
  fs.writeFileSync(
    join(flake, 'flake.nix'),
    `{
      inputs.storefree.url = "${url}";
      inputs.storefree.inputs.nixpkgs.follows = "nixpkgs";
      outputs = { nixpkgs, storefree, ... }:
        let
          pkgs = nixpkgs.legacyPackages.x86_64-linux;
          overlaid = pkgs // storefree.overlays.default (overlaid // { callPackage = pkgs.callPackage; }) pkgs;
        in
        { packages.x86_64-linux = {
            image = storefree.lib.bundle pkgs { format = "oci"; options = [ "--user" "1001:0" ]; } pkgs.nginx;
            package = overlaid.storefreeBundle { format = "deb"; } pkgs.nginx;
          }; };
    }`,
  )
  for (const name of ['image', 'package'])
    expect(must(['build', `path:${flake}#${name}`, '--no-link', '--json'])).toContain(
      name === 'image' ? '.oci.tar' : '.deb',
    )
})
