/** `-f deb`: dpkg installs it, it runs where there is no store, and nothing is left when it is removed. */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { bundle, fixtureEnv, mustBundle, run, temporary } from '../support/bundle.ts'

const work = temporary()
const deb = join(work, 'nginx.deb')
const root = join(work, 'root')
const dpkg = (...args: string[]) =>
  run('dpkg', ['--root', root, '--force-not-root', '--force-script-chrootless', ...args])

beforeAll(() => {
  fs.writeFileSync(join(work, 'nginx.service'), '[Service]\nExecStart=/opt/nginx/bin/nginx\n')
  const added = ['--add', `${work}/nginx.service:/etc/systemd/system/nginx.service`]
  mustBundle(['nginx', '-o', deb, '--link', ...added])
  for (const directory of ['var/lib/dpkg/info', 'var/lib/dpkg/updates', 'usr/bin', 'var/log'])
    fs.mkdirSync(join(root, directory), { recursive: true })
  fs.writeFileSync(join(root, 'var/lib/dpkg/status'), '')
})

const left = (): string =>
  run('find', [root, '-not', '-type', 'd', '-not', '-path', '*/var/lib/dpkg/*', '-not', '-path', '*/var/log/*']).stdout

test('dpkg knows what it is', () => {
  const field = (name: string): string => run('dpkg-deb', ['-f', deb, name]).stdout.trim()
  expect(['Package', 'Version', 'Architecture', 'Depends'].map(field)).toEqual(['nginx-bundle', '1.22.1', 'amd64', ''])
  expect(Number(field('Installed-Size'))).toBeGreaterThan(10_000)
})

test('it is installed, whole by its sums, runs in that root alone, and goes without a trace', () => {
  expect(left()).toBe('')
  const installed = dpkg('-i', deb)
  expect(installed.code, installed.stderr).toBe(0)
  expect(dpkg('-V', 'nginx-bundle')).toMatchObject({ code: 0, stdout: '' })
  expect(fs.readlinkSync(join(root, 'usr/bin/nginx'))).toBe('/opt/nginx/bin/nginx')
  const inRoot = run('bwrap', ['--bind', root, '/', '--dev', '/dev', '--proc', '/proc', '--', '/usr/bin/nginx', '-v'])
  expect([inRoot.code, inRoot.stderr]).toEqual([0, expect.stringContaining('nginx/1.22.1')])
  fs.appendFileSync(join(root, 'opt/nginx/bundle.json'), ' ')
  expect(dpkg('-V', 'nginx-bundle').stdout).toContain('/opt/nginx/bundle.json')
  expect(dpkg('-P', 'nginx-bundle').code).toBe(0)
  expect(left()).toBe('')
})

test('what lies in /etc is configuration, which dpkg asks about', () => {
  expect(run('dpkg-deb', ['--info', deb, 'conffiles']).stdout).toBe('/etc/systemd/system/nginx.service\n')
})

test('equal inputs give equal bytes', () => {
  const [one, two] = ['one.deb', 'two.deb'].map(name => join(work, name))
  mustBundle(['multicall', '-o', one!])
  mustBundle(['multicall', '-o', two!, '--jobs', '1'], { env: { ...fixtureEnv, TZ: 'Asia/Tokyo' } })
  expect(fs.readFileSync(one!).equals(fs.readFileSync(two!))).toBe(true)
  expect(run('dpkg-deb', ['-c', one!]).stdout).toContain('./opt/multicall/bin/')
})

test('bundle verify reads it, and packages of others: xz and zstd, what dpkg is told, a store path in either', () => {
  expect(bundle(['verify', '--strict', deb])).toMatchObject({ code: 0, stderr: '' })
  const tree = join(work, 'other')
  fs.mkdirSync(join(tree, 'DEBIAN'), { recursive: true })
  fs.mkdirSync(join(tree, 'usr/share'), { recursive: true })
  const control = 'Package: other\nVersion: 1\nArchitecture: all\nMaintainer: x <x@x>\nDescription: x\n'
  const store = `/nix/store/${'0123456789abcdfghijklmnpqrsvwxyz'}-hello-2.12`
  const found = (compression: string): string[] => {
    const path = join(work, `other-${compression}.deb`)
    run('dpkg-deb', [`-Z${compression}`, '-b', tree, path])
    return [...bundle(['verify', path]).stdout.matchAll(/^ {2}(\S+) +\d+ +utf8/gm)].map(([, file]) => file!)
  }
  fs.writeFileSync(join(tree, 'DEBIAN/control'), control)
  fs.writeFileSync(join(tree, 'usr/share/data'), `see ${store}/share`)
  for (const compression of ['xz', 'zstd', 'gzip', 'none']) expect(found(compression)).toEqual(['usr/share/data'])
  fs.rmSync(join(tree, 'usr/share/data'))
  fs.writeFileSync(join(tree, 'DEBIAN/postinst'), `#!/bin/sh\n${store}/bin/hello\n`, { mode: 0o755 })
  expect(found('xz')).toEqual(['DEBIAN/postinst'])
})

test('a package that is cut anywhere is an error, and never clean', () => {
  const bytes = fs.readFileSync(deb)
  const cut = join(work, 'cut.deb')
  for (const size of [30, 68, 100, 200, 500, bytes.length >> 1, bytes.length - 2]) {
    fs.writeFileSync(cut, bytes.subarray(0, size))
    expect(bundle(['verify', cut]), `${size} bytes`).toMatchObject({ code: 2 })
  }
})

test('what is no package is refused before anything is written', () => {
  const out = join(work, 'refused.deb')
  const clash = bundle(['nginx', '-o', out, '--add', `${work}/nginx.service:/opt/nginx/bundle.json`])
  expect([clash.code, clash.stderr]).toEqual([
    2,
    expect.stringContaining('/opt/nginx/bundle.json is in the package already'),
  ])
  expect(bundle(['nginx', '-o', out, '--user', '1'])).toMatchObject({ code: 2 })
  expect(bundle(['nginx', '-o', join(work, 'x.tar'), '--link'])).toMatchObject({ code: 2 })
  expect(fs.existsSync(out)).toBe(false)
})
