/** Directories that hold nothing: servers change to them, read whatever lies in them, and fail where they are not. */
import { existsSync, readdirSync, rmdirSync, statSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { besideOriginal } from '../support/beside-original.ts'
import { bundle, fixture, mustBundle, run, temporary } from '../support/bundle.ts'
import { storePath } from '../support/store-lab.ts'

const bash = `${fixture('bash')}/bin/bash`
const work = temporary()

const dep = storePath('spooler-2.0', { 'share/spooler/queue/': '', 'share/spooler/other': 'of no interest\n' })
const program = `#!${bash}
cd "$ROOT" 2>/dev/null
for d in SERVER/logs SERVER/etc/server.d ${dep}/share/spooler/queue SERVER/var; do
  cd "$d" && echo "$d: $(echo * .*)" || exit 1
done
`
const server = storePath('server-1.0', {
  'bin/other': `#!${bash}\necho other\n`,
  'logs/': '',
  'etc/server.d/': '',
  'run/lock/deep/': '',
  'share/doc/none/': '',
  var: { link: 'run/lock' },
})
writeFileSync(join(server, 'bin/server'), program.replaceAll('SERVER', server), { mode: 0o755 })
const name = basename(server).slice(33)
const empty = ['etc/server.d', 'logs', 'run/lock/deep'].map(at => `pkg/${name}/${at}`)

const tree = join(work, 'tree')
beforeAll(() => {
  mustBundle([server, '-q', '-o', tree])
})

test('those of the package come, and those that something names; not those of documentation', () => {
  const document = JSON.parse(run('cat', [join(tree, 'bundle.json')]).stdout)
  expect(document.empty.map(({ path }: { path: string }) => path)).toEqual([
    ...empty,
    `pkg/${basename(dep).slice(33)}/share/spooler/queue`,
  ])
  expect(empty.map(at => readdirSync(join(tree, at)))).toEqual([[], [], []])
  expect(statSync(join(tree, empty[1]!)).mtimeMs).toBe(1000)
  expect(existsSync(join(tree, 'pkg', name, 'share'))).toBe(false)
  // Beside bin/, as in the package.
  expect(readdirSync(join(tree, 'logs'))).toEqual([])
  expect(bundle([server, '-q', '--data', 'none', '-o', join(work, 'none')]).code).toBe(0)
  expect(existsSync(join(work, 'none/pkg', name, 'logs'))).toBe(false)
  expect(bundle([server, '-q', '--exclude', 'server-1.0/logs', '-o', join(work, 'without')]).code).toBe(0)
  expect(readdirSync(join(work, 'without/pkg', name))).not.toContain('logs')
})

test('a dry run knows that a link to one leads somewhere', () => {
  const { code, stderr } = bundle([server, '--dry-run'])
  expect({ code, stderr: stderr.split('\n').filter(line => line.startsWith('error')) }).toEqual({ code: 0, stderr: [] })
})

test('a program changes to them, and finds nothing in them', () => {
  const { original, relocatable, prefix } = besideOriginal(server, { runs: '"$T"/bin/server' })
  expect(original.runs).toContain('exit 0')
  expect(relocatable).toEqual(original)
  expect(prefix).toEqual(original)
})

describe('in', () => {
  test.each([
    ['an archive', ['-f', 'tar.gz']],
    ['one file', ['-f', 'exe', '--entrypoint', 'server']],
  ])('%s, which verify reads', (what, options) => {
    const file = join(work, what.replaceAll(' ', '-'))
    mustBundle([server, '-q', ...options, '-o', file])
    expect(bundle(['verify', '--strict', file])).toMatchObject({ code: 0 })
    const out = `${file}.d`
    run('mkdir', [out])
    if (what === 'an archive') run('tar', ['xzf', file, '-C', out, '--strip-components=1'])
    else run(file, [], { env: { STOREFREE_EXTRACT: `${out}/x` } })
    const found = run('find', [out, '-type', 'd', '-empty']).stdout.split('\n')
    for (const at of empty) expect(found.filter(path => path.endsWith(at))).toHaveLength(1)
  })
})

test('in an image and a package, where what the user gives stands for one of them', () => {
  const own = join(work, 'own')
  run('mkdir', [own])
  writeFileSync(join(own, 'first.log'), 'a line\n')
  const image = join(work, 'writable.tar')
  const at = (name: string): string => `/app/pkg/${name}`
  const options = [
    '--entrypoint',
    'server',
    '--writable',
    at(`${name}/logs`),
    '--add',
    `${own}:${at(`${name}/etc/server.d`)}`,
  ]
  mustBundle([server, '-q', '-f', 'oci', ...options, '-o', image])
  expect(bundle(['verify', '-q', image]).code).toBe(0)
  run('skopeo', ['copy', '-q', `oci-archive:${image}`, `oci:${work}/layout:latest`])
  run('umoci', ['unpack', '--rootless', '--image', `${work}/layout:latest`, `${work}/root`])
  expect(run('stat', ['-c', '%a', `${work}/root/rootfs${at(`${name}/logs`)}`]).stdout).toBe('775\n')
  expect(readdirSync(`${work}/root/rootfs${at(`${name}/etc/server.d`)}`)).toEqual(['first.log'])
  expect(readdirSync(`${work}/root/rootfs${at(empty[2]!.slice('pkg/'.length))}`)).toEqual([])
  const deb = join(work, 'added.deb')
  mustBundle([server, '-q', '-f', 'deb', '--prefix', '/app', '--add', `${own}:${at(`${name}/logs`)}`, '-o', deb])
  const listed = run('dpkg-deb', ['-c', deb])
    .stdout.split('\n')
    .filter(line => /\/logs|lock\/deep/.test(line))
  expect(listed.map(line => line.slice(line.indexOf('./')))).toEqual([
    `./app/logs -> pkg/${name}/logs`,
    `./app/pkg/${name}/logs/`,
    `./app/pkg/${name}/logs/first.log`,
    `./app/pkg/${name}/run/lock/deep/`,
  ])
  expect(bundle(['verify', '-q', deb]).code).toBe(0)
})

test('one that is listed and gone is found by verify, and one that is a file', () => {
  rmdirSync(join(tree, empty[1]!))
  expect(bundle(['verify', tree])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining(`pkg/${name}/logs: is listed and not there`),
  })
  writeFileSync(join(tree, empty[1]!), '')
  const { code, stderr } = bundle(['verify', tree])
  expect(code).toBe(1)
  expect(stderr).toContain(`pkg/${name}/logs: is a file, not a directory`)
})
