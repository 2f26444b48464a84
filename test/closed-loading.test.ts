/**
 * `--closed` looks for libraries where the loader of a root looks: in the directories that are compiled into it, by glibc's
 * ld.so.cache as ldconfig writes it, by musl's ld-musl-<cpu>.path. What a program does in that root is the judge.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { silent } from '../src/io/progress.ts'
import { verify } from '../src/verify/verify.ts'

const work = fs.mkdtempSync(join(tmpdir(), 'storefree-loading-'))
afterAll(() => fs.rmSync(work, { recursive: true, force: true }))

const shell = (script: string, cwd: string): void =>
  void execFileSync('bash', ['-euc', script], { cwd, stdio: ['ignore', 'pipe', 'pipe'] })

interface Libc {
  /** Compiles. */
  readonly cc: string
  /** Files of this machine that a root has, by their places. */
  readonly files: Readonly<Record<string, string>>
}

const real = (path: string): string => fs.realpathSync(path)
const GLIBC: Libc = {
  cc: 'gcc',
  files: {
    'lib64/ld-linux-x86-64.so.2': real('/lib64/ld-linux-x86-64.so.2'),
    'lib/x86_64-linux-gnu/libc.so.6': real('/lib/x86_64-linux-gnu/libc.so.6'),
  },
}
const MUSL: Libc = { cc: 'musl-gcc', files: { 'lib/ld-musl-x86_64.so.1': real('/lib/ld-musl-x86_64.so.1') } }

/** A root with a program that needs a library, which lies at `library`. */
function rootOf(name: string, { cc, files }: Libc, library: string): string {
  const root = join(work, name.replace(/\W+/g, '-'))
  for (const [place, file] of Object.entries(files)) {
    fs.mkdirSync(dirname(join(root, place)), { recursive: true })
    fs.copyFileSync(file, join(root, place))
  }
  for (const directory of ['bin', 'etc/ld.so.conf.d', dirname(library)])
    fs.mkdirSync(join(root, directory), { recursive: true })
  fs.writeFileSync(`${root}.l.c`, 'int l(void) { return 0; }\n')
  fs.writeFileSync(`${root}.p.c`, 'int l(void); int main(void) { return l(); }\n')
  shell(
    `${cc} -shared -fPIC -Wl,-soname,libx.so.1 -o ${root}/${library} ${root}.l.c
    ${cc} -o ${root}/bin/p ${root}.p.c ${root}/${library}`,
    work,
  )
  return root
}

const runs = (root: string): boolean =>
  spawnSync('bwrap', ['--ro-bind', root, '/', '--', '/bin/p'], { env: { PATH: process.env.PATH } }).status === 0

/** What is not found, of the directory, its tar, and an image whose layer it is. */
async function unresolved(root: string): Promise<unknown[]> {
  shell(`tar -C ${root} -cf ${root}.tar .`, work)
  const image = `${root}.image`
  fs.mkdirSync(image, { recursive: true })
  const layer = fs.readFileSync(`${root}.tar`)
  const digest = createHash('sha256').update(layer).digest('hex')
  fs.writeFileSync(join(image, 'l.tar'), layer)
  fs.writeFileSync(join(image, 'c.json'), JSON.stringify({ rootfs: { diff_ids: [`sha256:${digest}`] } }))
  fs.writeFileSync(join(image, 'manifest.json'), JSON.stringify([{ Config: 'c.json', Layers: ['l.tar'] }]))
  const forms: unknown[] = []
  for (const form of [root, `${root}.tar`, image]) {
    const { findings } = await verify(form, silent, { closed: true })
    forms.push(findings.filter(f => f.severity === 'error').map(f => [f.code, 'name' in f ? f.name : '']))
  }
  expect(forms[1]).toEqual(forms[0])
  expect(forms[2]).toEqual(forms[0])
  return forms[0] as unknown[]
}

type Case = readonly [what: string, works: boolean, libc: Libc, library: string, more: (root: string) => void]

const conf =
  (text: string, place = 'etc/ld.so.conf') =>
  (root: string): void =>
    fs.writeFileSync(join(root, place), text)
const ldconfig = (root: string): void => shell(`PATH=$PATH:/usr/sbin:/sbin ldconfig -r ${root}`, work)
const all =
  (...steps: ((root: string) => void)[]) =>
  (root: string): void => {
    for (const step of steps) step(root)
  }
const nothing = (): void => {}

describe.each<Case>([
  ['glibc: its own directory', true, GLIBC, 'usr/lib/x86_64-linux-gnu/libx.so.1', nothing],
  ['glibc: /usr/lib', true, GLIBC, 'usr/lib/libx.so.1', nothing],
  ["glibc: another distribution's /usr/lib64", false, GLIBC, 'usr/lib64/libx.so.1', nothing],
  ['glibc: /usr/local/lib without a cache', false, GLIBC, 'usr/local/lib/libx.so.1', nothing],
  ['glibc: ld.so.conf alone, which no loader reads', false, GLIBC, 'opt/x/libx.so.1', conf('/opt/x\n')],
  ['glibc: a cache made of ld.so.conf', true, GLIBC, 'opt/x/libx.so.1', all(conf('/opt/x\n'), ldconfig)],
  [
    'glibc: a cache made of ld.so.conf.d',
    true,
    GLIBC,
    'opt/x/libx.so.1',
    all(conf('include /etc/ld.so.conf.d/*.conf\n'), conf('/opt/x\n', 'etc/ld.so.conf.d/x.conf'), ldconfig),
  ],
  [
    'glibc: a cache of what is gone',
    false,
    GLIBC,
    'opt/x/libx.so.1',
    all(conf('/opt/x\n'), ldconfig, root => fs.rmSync(join(root, 'opt/x/libx.so.1'))),
  ],
  [
    'glibc: a cache that is damaged',
    false,
    GLIBC,
    'opt/x/libx.so.1',
    all(conf('/opt/x\n'), ldconfig, root => fs.truncateSync(join(root, 'etc/ld.so.cache'), 20)),
  ],
  ['musl: /lib', true, MUSL, 'lib/libx.so.1', nothing],
  ['musl: /usr/local/lib', true, MUSL, 'usr/local/lib/libx.so.1', nothing],
  ['musl: elsewhere', false, MUSL, 'opt/x/libx.so.1', nothing],
  ['musl: ld.so.conf', false, MUSL, 'opt/x/libx.so.1', conf('/opt/x\n')],
  ['musl: a path file', true, MUSL, 'opt/x/libx.so.1', conf('/lib:/usr/lib\n/opt/x\n', 'etc/ld-musl-x86_64.path')],
  [
    'musl: a path file stands for its own',
    false,
    MUSL,
    'usr/lib/libx.so.1',
    conf('/opt/x\n', 'etc/ld-musl-x86_64.path'),
  ],
  ["musl: another CPU's path file", false, MUSL, 'opt/x/libx.so.1', conf('/opt/x\n', 'etc/ld-musl-aarch64.path')],
])('%s', (what, works, libc, library, more) => {
  test('as the loader has it', async () => {
    const root = rootOf(what, libc, library)
    more(root)
    expect(runs(root)).toBe(works)
    expect(await unresolved(root)).toEqual(works ? [] : [['needed-unresolved', 'libx.so.1']])
  })
})
