/** Verification: every planted defect is found by its code, in a directory and in every kind of archive. */
import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { manifestPieces } from '../src/apply/manifest-text.ts'
import { open } from '../src/archive/members.ts'
import { silent } from '../src/io/progress.ts'
import type { Manifest } from '../src/model/manifest.ts'
import { digestOfHash } from '../src/nix/hash-digest.ts'
import { type Verification, verify as verifyBundle } from '../src/verify/verify.ts'
import { asNobody } from './support/privilege.ts'

const work = fs.mkdtempSync(`${tmpdir()}/storefree-verify-`)
fs.chmodSync(work, 0o755)
afterAll(() => fs.rmSync(work, { recursive: true, force: true }))

const HASH = '0c8b4gz5vd6h1jr9xk2mnqfwl3yaips7'
const STORE = `/nix/store/${'x'.repeat(32)}-glibc-2.36`
const PREFIX = '/opt/app'

const run = (file: string, args: readonly string[], cwd = work): Buffer =>
  execFileSync(file, args, { cwd, maxBuffer: 1 << 30, stdio: ['ignore', 'pipe', 'pipe'] })
const verify = (path: string): Promise<Verification> => verifyBundle(path, silent)
const told = ({ findings }: Verification): string[] =>
  findings.map(f => `${f.severity} ${f.code} ${f.file}${'where' in f ? ` (${f.where})` : ''}`).sort()

/** Objects that need nothing but each other, and the host's loader. */
const objects = `${work}/objects`
const gcc = (...args: string[]): Buffer => run('gcc', ['-nostdlib', '-O1', ...args], objects)
beforeAll(() => {
  fs.mkdirSync(objects)
  fs.writeFileSync(`${objects}/empty.c`, 'int value;\n')
  fs.writeFileSync(`${objects}/main.c`, 'extern int value; void _start(void) { value = 1; for (;;); }\n')
  gcc('-shared', '-o', 'libdeep.so', '-Wl,-soname,libdeep.so', 'empty.c')
  gcc(
    '-shared',
    '-o',
    'liba.so',
    '-Wl,-soname,liba.so',
    '-Wl,-rpath,$ORIGIN',
    '-Wl,--no-as-needed',
    'empty.c',
    'libdeep.so',
  )
  gcc('-shared', '-o', 'plugin.so', '-Wl,--no-as-needed', 'empty.c', 'libdeep.so')
  const program = ['-pie', '-fPIE', 'main.c', 'liba.so', '-Wl,--no-as-needed', '-Wl,--allow-shlib-undefined']
  gcc('-o', 'program', ...program, '-Wl,-rpath,$ORIGIN/../lib', '-Wl,-dynamic-linker,/var/empty/ld.so')
  gcc('-o', 'dotdot', ...program, '-Wl,-rpath,$ORIGIN/../none/../lib', '-Wl,-dynamic-linker,/var/empty/ld.so')
  gcc('-o', 'fixed', ...program, `-Wl,-rpath,${PREFIX}/lib`, `-Wl,-dynamic-linker,${PREFIX}/lib/ld.so`)
  gcc('-o', 'elsewhere', ...program, `-Wl,-rpath,${PREFIX}/lib`, '-Wl,-dynamic-linker,/lib64/ld-linux-x86-64.so.2')
  fs.copyFileSync('/lib64/ld-linux-x86-64.so.2', `${objects}/ld.so`)
})

type Change = (root: string) => void

/** A bundle that is right, but for what `before` does to it ahead of its manifest, and `after` behind. */
function make(root: string, before: Change, after: Change, prefix: string | null): void {
  for (const directory of ['bin', 'lib', 'pkg/app/share']) fs.mkdirSync(`${root}/${directory}`, { recursive: true })
  const put = (at: string, from: string, mode: number): void => {
    fs.copyFileSync(`${objects}/${from}`, `${root}/${at}`)
    fs.chmodSync(`${root}/${at}`, mode)
  }
  fs.mkdirSync(`${root}/pkg/app/bin`)
  put('pkg/app/bin/program', prefix === null ? 'program' : 'fixed', 0o755)
  put('lib/ld.so', 'ld.so', 0o755)
  for (const name of ['liba.so', 'libdeep.so']) put(`lib/${name}`, name, 0o644)
  fs.mkdirSync(`${root}/pkg/app/lib`)
  fs.symlinkSync('../../../lib/liba.so', `${root}/pkg/app/lib/liba.so`)
  if (prefix === null) {
    // The RUNPATH is meant for a program in bin/.
    fs.renameSync(`${root}/pkg/app/bin/program`, `${root}/bin/.program`)
    fs.symlinkSync('../../../bin/.program', `${root}/pkg/app/bin/program`)
  } else fs.symlinkSync('../pkg/app/bin/program', `${root}/bin/.program`)
  fs.writeFileSync(`${root}/pkg/app/share/data`, 'nothing of note\n', { mode: 0o644 })
  before(root)
  fs.writeFileSync(`${root}/bundle.json`, Buffer.concat([...manifestPieces(manifestOf(root, prefix))]))
  after(root)
}

function manifestOf(root: string, prefix: string | null): Manifest {
  const files: Manifest['files'][number][] = []
  const walk = (at: string): void => {
    for (const name of fs.readdirSync(Buffer.from(`${root}/${at}`, 'latin1'), 'latin1').sort()) {
      const file = `${at}${name}`
      const path = Buffer.from(`${root}/${file}`, 'latin1')
      const s = fs.lstatSync(path)
      if (s.isDirectory()) walk(`${file}/`)
      else if (s.isFile() || s.isSymbolicLink())
        files.push({
          // What is planted in a name is not to be found in the manifest as well.
          path: 'see bytes',
          bytes: Buffer.from(file, 'latin1').toString('base64'),
          type: s.isFile() ? 'file' : 'link',
          executable: s.isFile() && (s.mode & 0o111) !== 0,
          size: s.size,
          sha256: s.isFile() ? createHash('sha256').update(fs.readFileSync(path)).digest('hex') : null,
          target: s.isFile() ? null : { path: 'link', bytes: fs.readlinkSync(path, 'buffer').toString('base64') },
        })
    }
  }
  walk('')
  const elf = prefix === null ? 'bin/.program' : 'pkg/app/bin/program'
  return {
    schema: 1,
    tool: 'storefree 0',
    name: 'app',
    version: '1.0',
    system: 'x86_64-linux',
    prefix,
    rootLimit: null,
    launcher: prefix === null ? 'shell' : 'none',
    programs: [{ at: { path: elf }, elf: { path: elf }, loader: { path: 'lib/ld.so' }, missing: [] }],
    packages: [{ name: 'app', tree: true }],
    references: { loader: 0, fixed: 0, templated: 0, relocated: 0, placed: 0, blanked: 0, stripped: 0, 'host-path': 0 },
    accounts: [],
    closure: [digestOfHash(HASH)],
    findings: [],
    files,
  }
}

const FORMS = ['directory', 'tar', 'tar.gz', 'tar.zst'] as const
type Form = (typeof FORMS)[number]

let count = 0
/** The bundle in each form. Packed by GNU tar, which shares nothing with what reads it. */
function inForms(before: Change, after: Change, prefix: string | null): Record<Form, string> {
  const parent = `${work}/${count++}`
  const root = `${parent}/app-1.0`
  fs.mkdirSync(root, { recursive: true })
  make(root, before, after, prefix)
  const tar = `${parent}.tar`
  run('tar', ['--sort=name', '-cf', tar, '-C', parent, 'app-1.0'])
  run('gzip', ['-k', '-1', tar])
  run('zstd', ['-q', '-1', '-k', tar])
  return { directory: root, tar, 'tar.gz': `${tar}.gz`, 'tar.zst': `${tar}.zst` }
}

interface Defect {
  readonly what: string
  /** Before the manifest is written, so that it agrees with what is there. */
  readonly before?: Change
  /** Behind its back. */
  readonly after?: Change
  readonly prefix?: boolean
  readonly want: readonly string[]
  /** Where a directory shows something else than an archive. */
  readonly inDirectory?: readonly string[]
}

const DATA = 'pkg/app/share/data'
const write =
  (at: string, contents: string | Buffer): Change =>
  root => {
    fs.mkdirSync(`${root}/${at}`.slice(0, `${root}/${at}`.lastIndexOf('/')), { recursive: true })
    fs.writeFileSync(`${root}/${at}`, contents)
  }
const link =
  (at: string, to: string): Change =>
  root =>
    fs.symlinkSync(to, `${root}/${at}`)
const wide = (text: string, width: number, bigEndian: boolean): Buffer => {
  const bytes = Buffer.alloc(text.length * width)
  for (let i = 0; i < text.length; i++) bytes[i * width + (bigEndian ? width - 1 : 0)] = text.charCodeAt(i)
  return bytes
}
const all =
  (...changes: Change[]): Change =>
  root => {
    for (const change of changes) change(root)
  }
const LONG = `${'l'.repeat(120)}/${'m'.repeat(120)}`

const DEFECTS: readonly Defect[] = [
  { what: 'nothing', want: [] },
  { what: 'nothing, with a prefix', prefix: true, want: [] },
  {
    what: 'a store path in a file',
    before: write(DATA, `x ${STORE}/lib y`),
    want: [`error store-reference ${DATA} (contents)`],
  },
  {
    what: 'a bare /nix/store in a file',
    before: write(DATA, '/nix/store'),
    want: [`error store-reference ${DATA} (contents)`],
  },
  {
    what: 'a nuked store path in a file',
    before: write(DATA, `/nix/store/${'e'.repeat(32)}-x`),
    want: [`error store-reference ${DATA} (contents)`],
  },
  ...(
    [
      ['UTF-16LE', 2, false],
      ['UTF-16BE', 2, true],
      ['UTF-32LE', 4, false],
      ['UTF-32BE', 4, true],
    ] as const
  ).map(
    ([name, width, big]): Defect => ({
      what: `a store path in ${name}`,
      before: write(DATA, wide(STORE, width, big)),
      want: [`error store-reference ${DATA} (contents)`],
    }),
  ),
  {
    what: 'a store path at the end of a large file',
    before: write(DATA, Buffer.concat([Buffer.alloc(700_001), Buffer.from(STORE)])),
    want: [`error store-reference ${DATA} (contents)`],
  },
  {
    what: 'a store path in a file that has no mode to be read by others',
    before: all(write(DATA, STORE), root => fs.chmodSync(`${root}/${DATA}`, 0o600)),
    want: [`error store-reference ${DATA} (contents)`],
  },
  {
    what: 'a store path in a library',
    before: root => fs.appendFileSync(`${root}/lib/liba.so`, STORE),
    want: ['error store-reference lib/liba.so (contents)'],
  },
  {
    what: 'a store path in the manifest',
    after: root =>
      fs.writeFileSync(
        `${root}/bundle.json`,
        fs.readFileSync(`${root}/bundle.json`, 'utf8').replace('"storefree 0"', `"${STORE}"`),
      ),
    want: ['error store-reference bundle.json (contents)'],
  },
  {
    what: 'a hash of the closure in a file',
    before: write(DATA, `x-${HASH}-y`),
    want: [`error store-hash ${DATA} (contents)`],
  },
  {
    what: 'a hash of the closure in UTF-16',
    before: write(DATA, wide(HASH, 2, false)),
    want: [`error store-hash ${DATA} (contents)`],
  },
  {
    what: 'a hash of the closure in a file name',
    before: write(`pkg/${HASH}-app`, ''),
    want: [`error store-hash pkg/${HASH}-app (name)`],
  },
  {
    what: 'a hash of the closure in a link text',
    before: link('pkg/l', `${HASH}-app`),
    want: ['error link-dangling pkg/l', 'error store-hash pkg/l (link)'],
  },
  {
    what: 'a store path in a name',
    before: write('pkg/nix/store/x', ''),
    want: ['error store-reference pkg/nix/store (name)', 'error store-reference pkg/nix/store/x (name)'],
  },
  {
    what: 'a store path in a name at the top',
    before: write('nix/store/x', ''),
    want: ['error store-reference nix/store (name)', 'error store-reference nix/store/x (name)'],
  },
  {
    what: 'a store path in a long name',
    before: write(`pkg/${LONG}/nix/store/${LONG}`, ''),
    want: ['', `/${LONG.slice(0, 120)}`, `/${LONG}`].map(
      end => `error store-reference pkg/${LONG}/nix/store${end} (name)`,
    ),
  },
  {
    what: 'a store path in a link text',
    before: link('pkg/l', `${STORE}/lib`),
    want: ['error link-escapes pkg/l', 'error store-reference pkg/l (link)'],
  },
  {
    what: 'a store path in a long link text',
    before: link('pkg/l', `${'../'.repeat(60)}nix/store/x`),
    want: ['error link-escapes pkg/l', 'error store-reference pkg/l (link)'],
  },
  { what: 'an absolute link', before: link('pkg/l', '/etc/passwd'), want: ['error link-escapes pkg/l'] },
  {
    what: 'an absolute link in a bundle with a prefix',
    prefix: true,
    before: link('pkg/l', '/etc/passwd'),
    want: ['error link-escapes pkg/l'],
  },
  { what: 'an absolute link into the prefix', prefix: true, before: link('pkg/l', `${PREFIX}/lib`), want: [] },
  { what: 'a relative link out of the bundle', before: link('pkg/l', '../../x'), want: ['error link-escapes pkg/l'] },
  {
    what: 'a link out of the bundle and in again',
    before: link('pkg/l', '../../app-1.0/lib'),
    want: ['error link-escapes pkg/l'],
  },
  { what: 'a link to the bundle itself', before: link('pkg/l', '..'), want: [] },
  { what: 'a dangling link', before: link('pkg/l', 'nothing'), want: ['error link-dangling pkg/l'] },
  {
    what: 'a link by way of a directory that is not there',
    before: link('pkg/l', 'none/../app'),
    want: ['error link-dangling pkg/l'],
  },
  {
    what: 'links in a circle',
    before: all(link('pkg/a', 'b'), link('pkg/b', 'a')),
    want: ['error link-dangling pkg/a', 'error link-dangling pkg/b'],
  },
  { what: 'a link to itself', before: link('pkg/a', 'a/b'), want: ['error link-dangling pkg/a'] },
  {
    what: 'a hard link',
    before: root => fs.linkSync(`${root}/${DATA}`, `${root}/pkg/hard`),
    want: ['error entry-unsafe pkg/hard', 'error manifest-mismatch pkg/hard'],
    inDirectory: [],
  },
  {
    what: 'a device',
    before: root => run('mknod', [`${root}/pkg/null`, 'c', '1', '3']),
    want: ['error entry-unsafe pkg/null'],
  },
  { what: 'a pipe', before: root => run('mkfifo', [`${root}/pkg/pipe`]), want: ['error entry-unsafe pkg/pipe'] },
  {
    what: 'a set-uid file',
    before: root => fs.chmodSync(`${root}/${DATA}`, 0o4755),
    want: [`error entry-unsafe ${DATA}`],
  },
  {
    what: 'a set-gid file',
    before: root => fs.chmodSync(`${root}/${DATA}`, 0o2755),
    want: [`error entry-unsafe ${DATA}`],
  },
  { what: 'a file that was changed', after: write(DATA, 'changed'), want: [`error manifest-mismatch ${DATA}`] },
  {
    what: 'a file that is gone',
    after: root => fs.rmSync(`${root}/${DATA}`),
    want: [`error manifest-mismatch ${DATA}`],
  },
  { what: 'a file too many', after: write('pkg/extra', ''), want: ['error manifest-mismatch pkg/extra'] },
  { what: 'a link too many', after: link('pkg/extra', 'app'), want: ['error manifest-mismatch pkg/extra'] },
  {
    what: 'an executable bit too many',
    after: root => fs.chmodSync(`${root}/${DATA}`, 0o755),
    want: [`error manifest-mismatch ${DATA}`],
  },
  {
    what: 'an executable bit that is gone',
    after: root => fs.chmodSync(`${root}/lib/ld.so`, 0o644),
    want: ['error manifest-mismatch lib/ld.so'],
  },
  {
    what: 'a link that leads elsewhere',
    after: all(
      root => fs.rmSync(`${root}/pkg/app/lib/liba.so`),
      link('pkg/app/lib/liba.so', '../../../lib/libdeep.so'),
    ),
    want: ['error manifest-mismatch pkg/app/lib/liba.so'],
  },
  {
    what: 'a link in the place of a file',
    after: all(root => fs.rmSync(`${root}/${DATA}`), link(DATA, '../lib')),
    want: [`error manifest-mismatch ${DATA}`],
  },
  {
    what: 'a manifest that is no JSON',
    after: write('bundle.json', '{'),
    want: ['error manifest-mismatch bundle.json'],
  },
  {
    what: 'a manifest of another schema',
    after: write('bundle.json', '{"tool": "storefree 9", "schema": 99}'),
    want: ['error manifest-mismatch bundle.json'],
  },
  {
    what: 'a bundle.json of another program',
    after: write('bundle.json', '{"schema": 1}'),
    want: ['note manifest-missing bundle.json'],
  },
  {
    what: 'a manifest that is a link',
    after: all(root => fs.renameSync(`${root}/bundle.json`, `${root}/pkg/m`), link('bundle.json', 'pkg/m')),
    want: ['note manifest-missing bundle.json'],
  },
  { what: 'no manifest', after: root => fs.rmSync(`${root}/bundle.json`), want: ['note manifest-missing bundle.json'] },
  {
    what: 'a loader that is missing',
    before: root => fs.rmSync(`${root}/lib/ld.so`),
    want: ['error interp-unresolved bin/.program'],
  },
  {
    what: 'a program that is missing',
    before: all(
      root => fs.rmSync(`${root}/bin/.program`),
      root => fs.rmSync(`${root}/pkg/app/bin/program`),
    ),
    want: ['error interp-unresolved bin/.program'],
  },
  {
    what: 'a loader that is no ELF file',
    before: write('lib/ld.so', '#!/bin/sh\n'),
    want: ['error interp-unresolved bin/.program'],
  },
  {
    what: 'a loader for another machine',
    before: root => {
      const ld = fs.readFileSync(`${root}/lib/ld.so`)
      ld.writeUInt16LE(183, 18)
      fs.writeFileSync(`${root}/lib/ld.so`, ld)
    },
    want: ['error interp-unresolved bin/.program'],
  },
  {
    what: 'a library that is missing',
    before: root => fs.rmSync(`${root}/lib/libdeep.so`),
    want: ['error needed-unresolved lib/liba.so'],
  },
  {
    what: 'a library that is empty',
    before: write('lib/libdeep.so', ''),
    want: ['error needed-unresolved lib/liba.so'],
  },
  {
    what: 'a library that is a cut-off ELF file',
    before: root => fs.truncateSync(`${root}/lib/libdeep.so`, 40),
    want: ['error needed-unresolved lib/liba.so'],
  },
  {
    what: 'a search path by way of a directory that is not there',
    before: root => fs.copyFileSync(`${objects}/dotdot`, `${root}/bin/.program`),
    want: ['error needed-unresolved bin/.program'],
  },
  {
    what: 'an interpreter of a bundle with a prefix that leads elsewhere',
    prefix: true,
    before: root => fs.copyFileSync(`${objects}/elsewhere`, `${root}/pkg/app/bin/program`),
    want: ['error interp-unresolved pkg/app/bin/program'],
  },
  {
    what: 'a second program that nothing starts',
    before: root => fs.copyFileSync(`${objects}/program`, `${root}/pkg/app/other`),
    want: ['warning interp-unresolved pkg/app/other'],
  },
  {
    what: 'a plugin that finds what it needs',
    before: root => fs.copyFileSync(`${objects}/plugin.so`, `${root}/pkg/app/lib/plugin.so`),
    want: [],
  },
]

describe('in all forms', () => {
  test.each(DEFECTS)('$what', async ({ before = () => {}, after = () => {}, prefix = false, want, inDirectory }) => {
    const forms = inForms(before, after, prefix ? PREFIX : null)
    for (const form of FORMS) {
      const result = await verify(forms[form])
      const expected = form === 'directory' && inDirectory ? inDirectory : want
      expect(told(result), form).toEqual([...expected].sort())
    }
  })
})

test('a plugin whose library no program has loaded is a warning', async () => {
  const gone = (root: string): void => {
    gcc('-shared', '-o', 'libonly.so', '-Wl,-soname,libonly.so', 'empty.c')
    gcc('-shared', '-o', 'lonely.so', '-Wl,--no-as-needed', 'empty.c', 'libonly.so')
    fs.copyFileSync(`${objects}/lonely.so`, `${root}/pkg/app/lib/lonely.so`)
  }
  const forms = inForms(gone, () => {}, null)
  for (const form of FORMS)
    expect(told(await verify(forms[form])), form).toEqual(['warning needed-unresolved pkg/app/lib/lonely.so'])
})

test('a library that several plugins need and that lacks another is told once', async () => {
  const gone = (root: string): void => {
    gcc('-shared', '-o', 'libonly.so', '-Wl,-soname,libonly.so', 'empty.c')
    gcc('-shared', '-o', 'libshared.so', '-Wl,-soname,libshared.so', '-Wl,--no-as-needed', 'empty.c', 'libonly.so')
    gcc('-shared', '-o', 'one.so', '-Wl,--no-as-needed,-rpath,$ORIGIN', 'empty.c', 'libshared.so')
    for (const [from, to] of [
      ['libshared.so', 'libshared.so'],
      ['one.so', 'one.so'],
      ['one.so', 'two.so'],
    ])
      fs.copyFileSync(`${objects}/${from}`, `${root}/pkg/app/lib/${to}`)
  }
  const { directory } = inForms(gone, () => {}, null)
  expect(told(await verify(directory))).toEqual(['warning needed-unresolved pkg/app/lib/libshared.so'])
})

describe('archives only', () => {
  /** Packs a good bundle, then appends what no directory can hold. */
  function tampered(name: string, change: (directory: string, tar: string) => void): string {
    const forms = inForms(
      () => {},
      () => {},
      null,
    )
    const directory = fs.mkdtempSync(`${work}/t-`)
    change(directory, forms.tar)
    return forms.tar || name
  }
  const append = (tar: string, directory: string, ...args: string[]): void =>
    void run('tar', ['-P', '-rf', tar, '-C', directory, ...args])

  const cases: [string, (directory: string, tar: string) => void, string[]][] = [
    [
      'a file twice',
      (d, tar) => {
        write('app-1.0/pkg/app/share/data', 'nothing of note\n')(d)
        append(tar, d, `app-1.0/${DATA}`)
      },
      [`error entry-unsafe ${DATA}`],
    ],
    [
      'a file twice, by a name with a dot',
      (d, tar) => {
        write('app-1.0/pkg/app/share/data', 'x')(d)
        append(tar, d, '--transform=s,share/,share/./,', `app-1.0/${DATA}`)
      },
      ['error entry-unsafe pkg/app/share/./data', 'error manifest-mismatch pkg/app/share/./data'],
    ],
    [
      'a name with ..',
      (d, tar) => {
        write('x', 'x')(d)
        append(tar, d, '--transform=s,^x,app-1.0/pkg/../../x,', 'x')
      },
      ['error entry-unsafe pkg/../../x', 'error manifest-mismatch pkg/../../x'],
    ],
    [
      'an absolute name',
      (d, tar) => {
        write('x', 'x')(d)
        append(tar, d, '--transform=s,^x,/etc/x,', 'x')
      },
      ['error entry-unsafe ..//etc/x', 'error manifest-mismatch ..//etc/x'],
    ],
    [
      'a second directory beside the first',
      (d, tar) => {
        write('other/x', 'x')(d)
        append(tar, d, 'other/x')
      },
      ['error entry-unsafe ../other/x', 'error manifest-mismatch ../other/x'],
    ],
    [
      'a file below a link',
      (d, tar) => {
        write('x', 'x')(d)
        append(tar, d, '--transform=s,^x,app-1.0/pkg/app/lib/liba.so/x,', 'x')
      },
      ['error entry-unsafe pkg/app/lib/liba.so/x', 'error manifest-mismatch pkg/app/lib/liba.so/x'],
    ],
    [
      'a directory in the place of a file',
      (d, tar) => {
        fs.mkdirSync(`${d}/x`)
        append(tar, d, `--transform=s,^x,app-1.0/${DATA},`, 'x')
      },
      [`error entry-unsafe ${DATA}`],
    ],
    [
      'a store path in a pax header',
      (d, tar) => {
        write('x', 'x')(d)
        const add = `${d}/add.tar`
        run('tar', [
          '--format=pax',
          '--pax-option=comment=/nix/store/x',
          '--transform=s,^x,app-1.0/pkg/x,',
          '-cf',
          add,
          '-C',
          d,
          'x',
        ])
        run('tar', ['-Af', tar, add])
      },
      ['error manifest-mismatch pkg/x', 'error store-reference pkg/x (header)'],
    ],
    [
      'a store path in the name of the owner',
      (d, tar) => {
        write('x', 'x')(d)
        append(tar, d, '--owner=/nix/store/x:0', '--transform=s,^x,app-1.0/pkg/x,', 'x')
      },
      ['error manifest-mismatch pkg/x', 'error store-reference pkg/x (header)'],
    ],
  ]
  test.each(cases)('%s', async (name, change, want) => {
    const tar = tampered(name, change)
    expect(told(await verify(tar))).toEqual([...want].sort())
  })

  test('a bundle that was packed again from inside is the same bundle', async () => {
    const { directory } = inForms(
      () => {},
      () => {},
      null,
    )
    const tar = `${directory}-inside.tar`
    run('tar', ['-cf', tar, '-C', directory, '.'])
    const result = await verify(tar)
    expect(told(result)).toEqual([])
    expect(result.manifest?.name).toBe('app')
  })

  test.each([
    ['absolute', '/x'],
    ['above', '../x'],
  ])('all of it %s', async (_, name) => {
    const directory = fs.mkdtempSync(`${work}/t-`)
    fs.writeFileSync(`${directory}/x`, 'x')
    const tar = `${directory}.tar`
    run('tar', ['-P', `--transform=s,^x,${name},`, '-cf', tar, '-C', directory, 'x'])
    expect(told(await verify(tar)).some(t => t.startsWith('error entry-unsafe'))).toBe(true)
  })

  test('a link in the place of the one directory', async () => {
    const directory = fs.mkdtempSync(`${work}/t-`)
    fs.symlinkSync('/etc', `${directory}/app`)
    const tar = `${directory}.tar`
    run('tar', ['-cf', tar, '-C', directory, 'app'])
    expect(told(await verifyBundle(tar, silent, { closed: true }))).toContain('error link-dangling app')
  })
})

test('a program is known by its first bytes, however the archive falls into pieces', async () => {
  // A gzip of many small members comes out in many small pieces.
  const { tar } = inForms(
    () => {},
    () => {},
    null,
  )
  const data = fs.readFileSync(tar)
  const parts: Buffer[] = []
  const elf = data.indexOf('\x7fELF', 0, 'latin1')
  for (const end of [elf + 1, elf + 2, elf + 3, data.length]) {
    const part = `${work}/part`
    fs.writeFileSync(part, data.subarray(parts.length === 0 ? 0 : elf + parts.length, end))
    parts.push(run('gzip', ['-c', part]))
  }
  fs.writeFileSync(`${work}/pieces.tar.gz`, Buffer.concat(parts))
  expect(told(await verify(`${work}/pieces.tar.gz`))).toEqual([])
})

test('whoever stops reading a zstd archive leaves no program behind', async () => {
  const forms = inForms(write(DATA, randomBytes(1 << 20)), () => {}, null)
  // Where in its work the program is then is chance.
  for (let stop = 1; stop <= 40; stop++) {
    let seen = 0
    for await (const _ of (await open(forms['tar.zst'])).members()) if (++seen > stop % 12) break
  }
  const children = (): string[] =>
    fs
      .readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8')
      .split(' ')
      .filter(pid => pid !== '')
      .map(pid => fs.readFileSync(`/proc/${pid}/comm`, 'utf8').trim())
  for (let i = 0; i < 100 && children().includes('zstd'); i++) await new Promise(done => setTimeout(done, 20))
  expect(children()).not.toContain('zstd')
})

describe('what cannot be read', () => {
  let forms: Record<Form, string>
  beforeAll(() => {
    forms = inForms(
      () => {},
      () => {},
      null,
    )
  })
  const cut = (form: 'tar' | 'tar.gz' | 'tar.zst', behind: number): string => {
    const data = fs.readFileSync(forms[form])
    const path = `${work}/cut-${behind}.${form}`
    fs.writeFileSync(path, data.subarray(0, data.length - behind))
    return path
  }
  test.each([1, 4, 8, 9, 100, 5000])('a gzip that lacks its last %i bytes', async behind => {
    await expect(verify(cut('tar.gz', behind))).rejects.toMatchObject({ code: 'archive-unreadable' })
  })
  test.each([1, 4, 8, 100, 5000])('a zstd that lacks its last %i bytes', async behind => {
    await expect(verify(cut('tar.zst', behind))).rejects.toMatchObject({ code: 'archive-unreadable' })
  })
  test('a tar that lacks its end', async () => {
    await expect(verify(cut('tar', 20_000))).rejects.toMatchObject({ code: 'archive-unreadable' })
  })
  test('a gzip with a damaged checksum', async () => {
    const data = fs.readFileSync(forms['tar.gz'])
    data[data.length - 8]! ^= 1
    fs.writeFileSync(`${work}/crc.tar.gz`, data)
    await expect(verify(`${work}/crc.tar.gz`)).rejects.toMatchObject({ code: 'archive-unreadable' })
  })
  test('an empty file that is named as an archive', async () => {
    fs.writeFileSync(`${work}/nothing.tar.gz`, '')
    await expect(verify(`${work}/nothing.tar.gz`)).rejects.toMatchObject({ code: 'archive-unreadable' })
  })
  test('nothing there, and a device', async () => {
    await expect((async () => verify(`${work}/none`))()).rejects.toMatchObject({ code: 'not-found' })
    await expect((async () => verify('/dev/null'))()).rejects.toMatchObject({ code: 'unsupported' })
  })
  test.each(['pkg', 'pkg/app/share/data'])('%s, which its reader may not read', async at => {
    const path = `${forms.directory}/${at}`
    const { mode } = fs.statSync(path)
    fs.chmodSync(path, 0)
    try {
      await asNobody(() => expect(verify(forms.directory)).rejects.toMatchObject({ code: 'unreadable' }))
    } finally {
      fs.chmodSync(path, mode & 0o777)
    }
    expect(told(await asNobody(() => verify(forms.directory)))).toEqual([])
  })
})

test('1 GB of zeros in a tiny gzip: memory stays flat', async () => {
  // One gzip member stands for 64 MiB; a file of several members is one stream.
  fs.writeFileSync(`${work}/zeros`, '')
  fs.truncateSync(`${work}/zeros`, 64 << 20)
  const zeros = run('gzip', ['-9', '-c', `${work}/zeros`])
  const size = 1 << 30
  fs.writeFileSync(`${work}/sparse`, '')
  fs.truncateSync(`${work}/sparse`, size)
  const head = execFileSync('bash', ['-c', 'tar -cf - --transform=s,^,app/, sparse | head -c 512'], { cwd: work })
  fs.writeFileSync(`${work}/head`, head)
  fs.writeFileSync(`${work}/end`, Buffer.alloc(10_240))
  const bomb = `${work}/bomb.tar.gz`
  fs.writeFileSync(
    bomb,
    Buffer.concat([
      run('gzip', ['-c', `${work}/head`]),
      ...Array.from({ length: 16 }, () => zeros),
      run('gzip', ['-c', `${work}/end`]),
    ]),
  )
  expect(fs.statSync(bomb).size).toBeLessThan(2 << 20)
  const before = process.memoryUsage().rss
  let most = 0
  const watch = setInterval(() => {
    most = Math.max(most, process.memoryUsage().rss)
  }, 20)
  const result = await verify(bomb)
  clearInterval(watch)
  expect(told(result)).toEqual(['note manifest-missing bundle.json'])
  expect(result.bytes).toBe(size)
  expect(most - before).toBeLessThan(200 << 20)
})

test('a file with several names is told by each, as each name says what it is', async () => {
  const root = `${work}/linked`
  fs.mkdirSync(root)
  fs.writeFileSync(`${root}/a`, `x ${STORE}\0`)
  fs.writeFileSync(`${root}/pages`, Buffer.from([0x1b, 0x03, 0, 0xf8, 0xff]))
  for (const name of ['b', `${'c'.repeat(64)}`]) fs.linkSync(`${root}/a`, `${root}/${name}`)
  fs.linkSync(`${root}/pages`, `${root}/pages.br`)
  const verification = await verify(root)
  expect(told(verification)).toEqual([
    'error store-reference a (contents)',
    'error store-reference b (contents)',
    `error store-reference ${'c'.repeat(64)} (contents)`,
    'note manifest-missing bundle.json',
    'warning container-unread pages.br',
  ])
  expect(verification.files).toBe(5)
})

test('headers of no file are read: of the directory that all lies in, a label or a comment alone', async () => {
  const root = `${work}/headed`
  fs.mkdirSync(root)
  const comment = `--pax-option=comment:=${STORE}`
  for (const [name, args] of [
    ['own.tar', ['--format=pax', comment, '-C', root, '-cf', `${work}/own.tar`, '.']],
    ['label.tar', ['--format=gnu', '-V', STORE, '-cf', `${work}/label.tar`, '-T', '/dev/null']],
  ] as const) {
    run('tar', args)
    expect(told(await verify(`${work}/${name}`)), name).toContain('error store-reference . (header)')
  }
  run('tar', ['-V', 'release', '-cf', `${work}/plain.tar`, '-T', '/dev/null'])
  expect(told(await verify(`${work}/plain.tar`))).toEqual(['note manifest-missing bundle.json'])
})

test('the first volume of several is no whole archive, and is told so', async () => {
  fs.writeFileSync(`${work}/long`, randomBytes(30_000))
  run('sh', ['-c', "printf 'n\\nn\\n' | tar -M -L 20 -cf first.tar -f second.tar long"])
  await expect(verify(`${work}/first.tar`)).rejects.toThrow('or the first of several volumes')
})
