/** Which files come along, what becomes of what names them, and what a person is told. */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { deflateSync, gzipSync, inflateSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { bundle, fixture, grep, mustBundle, run, temporary } from '../support/bundle.ts'

const files = (place: string): string[] =>
  run('find', ['.', '!', '-type', 'd'], { cwd: place }).stdout.trim().split('\n').sort()

/** A package outside a store: a tree with a shell program, and data. */
function tree(contents: Readonly<Record<string, string | Buffer>>): string {
  const directory = join(temporary(), 'app')
  for (const [name, text] of Object.entries(contents)) {
    const path = join(directory, name)
    mkdirSync(join(path, '..'), { recursive: true })
    writeFileSync(path, text, { mode: name.startsWith('bin/') ? 0o755 : 0o644 })
  }
  return directory
}
const nginx = fixture('nginx')
const program = `#!${fixture('bash')}/bin/bash\necho hello\n`

describe('--data', () => {
  const directory = temporary()

  test('auto: what is referenced', () => {
    mustBundle(['openssl', '-f', 'dir', '-o', join(directory, 'auto')])
    const names = files(join(directory, 'auto'))
    expect(names).toContain('./pkg/openssl-3.0/etc/ssl/openssl.cnf')
    expect(names).toContain('./pkg/openssl-3.0/lib/ossl-modules/legacy.so')
  })

  test('none: programs and libraries only', () => {
    mustBundle(['nginx', '--data', 'none', '-f', 'dir', '-o', join(directory, 'none')])
    const names = files(join(directory, 'none'))
    expect(names).toContain('./pkg/nginx-1.22.1/bin/nginx')
    expect(names.filter(name => /html|conf|cnf/.test(name))).toEqual([])
  })

  test('all: the whole closure, documentation too', () => {
    mustBundle(['tools', '--data', 'all', '-f', 'dir', '-o', join(directory, 'all')])
    const closure = run('nix-store', ['-qR', fixture('tools')])
      .stdout.trim()
      .split('\n')
    const packages = new Set(files(join(directory, 'all')).flatMap(name => /^\.\/pkg\/([^/]+)/.exec(name)?.[1] ?? []))
    for (const path of closure) expect([...packages, 'glibc-2.36']).toContain(path.replace(/^.{44}/, ''))
    expect(
      run('find', [fixture('tools'), '-type', 'f'])
        .stdout.trim()
        .split('\n').length,
    ).toBeGreaterThan(0)
  })
})

describe('--include and --exclude', () => {
  const directory = temporary()

  test('what a glob names comes along, and what it excludes stays out', () => {
    const options = ['--include', 'openssl-3.0/lib/engines-3/padlock.so', '--exclude', 'nginx-1.22.1/html']
    mustBundle(['nginx', '-f', 'dir', '-o', join(directory, 'some'), '--exclude', 'openssl-3.0/lib', ...options])
    const names = files(join(directory, 'some'))
    expect(names.filter(name => name.includes('/html/'))).toEqual([])
    expect(names.filter(name => /engines-3|ossl-modules/.test(name))).toEqual([
      './pkg/openssl-3.0/lib/engines-3/padlock.so',
    ])
  })

  test('a glob that names nothing is a warning', () => {
    const result = mustBundle(['probe', '-f', 'dir', '-o', join(directory, 'nothing'), '--include', 'nowhere-1.0/x'])
    expect(result.stderr).toContain('warning: nowhere-1.0/x: no file of the packages')
  })
})

test('--report has each reference with file, offset, target, rule and outcome; the bundle has none of it', () => {
  const directory = temporary()
  mustBundle(['nginx', '-f', 'dir', '-o', join(directory, 'b'), '--report', join(directory, 'report.json')])
  const report = JSON.parse(readFileSync(join(directory, 'report.json'), 'utf8'))
  const root = report.references.find((r: { rule: string }) => r.rule === 'own-tree')
  expect(root).toMatchObject({ file: `${nginx}/bin/nginx`, target: nginx, outcome: 'relocated', missed: false })
  expect(
    readFileSync(root.file)
      .subarray(root.offset, root.offset + 10)
      .toString(),
  ).toBe('/nix/store')
  expect(grep('/nix/store', join(directory, 'b'))).toBe('')
  const manifest = JSON.parse(readFileSync(join(directory, 'b/bundle.json'), 'utf8'))
  expect(manifest.accounts).toContainEqual({
    file: manifest.files.findIndex((f: { path: string }) => f.path === 'pkg/nginx-1.22.1/bin/nginx'),
    outcome: 'relocated',
    rule: 'own-tree',
    target: 'nginx-1.22.1',
    count: 2,
  })
})

test('a report that cannot be written is an error, and nothing is published', () => {
  const directory = temporary()
  const result = bundle(['probe', '-f', 'dir', '-o', join(directory, 'b'), '--report', join(directory, 'no/r.json')])
  expect(result.code).toBe(2)
  expect(result.stderr).toContain('r.json: no such directory')
  expect(files(directory)).toEqual([''])
})

test('texts grow and shrink with --prefix; binaries keep their length', () => {
  const app = tree({
    'bin/app': program,
    'share/text': `root ${nginx}/html twice ${nginx}.\n`,
    'share/binary': Buffer.concat([Buffer.from(`${nginx}/html`), Buffer.alloc(3)]),
  })
  const place = join(app, '../b')
  mustBundle([app, '--prefix', '/p', '-f', 'dir', '-o', place])
  const [text, binary] = ['text', 'binary'].map(name => readFileSync(join(place, 'pkg/app/share', name), 'latin1'))
  expect(text).toBe('root /p/pkg/nginx-1.22.1/html twice /p/pkg/nginx-1.22.1.\n')
  expect(binary).toHaveLength(`${nginx}/html`.length + 3)
  expect(binary).toMatch(/^\/p\/+\/p\/0-nginx-1\.22\.1\/html\0\0\0$/)
  expect(readFileSync(join(place, 'bin/app'), 'utf8')).toBe('#!/p/pkg/bash-5.2.15/bin/bash\necho hello\n')
})

test('what is packed is looked into, brought, and packed again', () => {
  const app = tree({ 'bin/app': program, 'share/page.gz': gzipSync(`see ${nginx}/html/index.html`, { level: 9 }) })
  const place = join(app, '../b')
  mustBundle([app, '--prefix', '/p', '-f', 'dir', '-o', place])
  expect(run('zcat', [join(place, 'pkg/app/share/page.gz')]).stdout).toMatch(
    /^see \/p\/+\/p\/0-nginx-1\.22\.1\/html\/index\.html$/,
  )
  expect(files(place)).toContain('./pkg/nginx-1.22.1/html/index.html')
  expect(run(process.execPath, ['bin/bundle.js', 'verify', place]).code).toBe(0)
})

test('a zlib stream inside of a file is looked into, brought, and written again in its place', () => {
  const text = `see ${nginx}/html/index.html`
  const before = Buffer.concat([Buffer.from('head\0'), deflateSync(text), Buffer.from('tail')])
  const app = tree({ 'bin/app': program, 'lib/page.beam': before })
  for (const [options, want] of [
    [['--prefix', '/p'], /^see \/p\/+\/p\/0-nginx-1\.22\.1\/html\/index\.html$/],
    [[], /^see \/var\/empty\/e{32}-nginx-1\.22\.1\/html\/index\.html$/],
  ] as const) {
    const place = join(app, `../b${options.length}`)
    mustBundle([app, ...options, '-f', 'dir', '-o', place])
    const after = readFileSync(join(place, 'pkg/app/lib/page.beam'))
    expect(after.length).toBe(before.length)
    expect(after.subarray(-4).toString()).toBe('tail')
    expect(inflateSync(after.subarray(5, -4)).toString()).toMatch(want)
    expect(files(place)).toContain('./pkg/nginx-1.22.1/html/index.html')
    expect(run(process.execPath, ['bin/bundle.js', 'verify', '--strict', place]).code).toBe(0)
  }
})

test('headers of tar have their checksums, and strings that are counted their length', () => {
  const page = `${nginx}/html/index.html`
  const place = temporary()
  symlinkSync(page, join(place, 'link'))
  run('tar', ['-C', place, '-cf', join(place, 'a.tar'), 'link'])
  const tar = readFileSync(join(place, 'a.tar'))
  const cache = `a:1:{i:0;s:${page.length}:"${page}";}`
  const app = tree({ 'bin/app': program, 'share/a.tar': tar, 'share/a.tar.gz': gzipSync(tar), 'share/a.ser': cache })
  for (const [options, to] of [
    [['--prefix', '/p'], '/p/+/p/0'],
    [[], '/var/empty/e{32}'],
  ] as const) {
    const out = join(app, `../b${options.length}`)
    const { stdout } = mustBundle([app, ...options, '-f', 'dir', '-o', out])
    for (const archive of ['a.tar', 'a.tar.gz'])
      expect(run('tar', ['-tvf', join(out, 'pkg/app/share', archive)])).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(new RegExp(` link -> ${to}-nginx-1\\.22\\.1/html/index\\.html\n$`)),
      })
    const after = readFileSync(join(out, 'pkg/app/share/a.ser'), 'latin1')
    expect(after).toMatch(new RegExp(`^a:1:{i:0;s:\\d+:"${to}-nginx-1\\.22\\.1/html/index\\.html";}$`))
    expect(after.length).toBe(cache.length)
    expect(stdout).not.toContain('relocate')
  }
})

test('verify finds a store path in what is packed, in a directory and in its archive', () => {
  const dirty = tree({ 'share/page.gz': gzipSync('/nix/store/x') })
  for (const target of [dirty, join(dirty, '../dirty.tar')]) {
    if (target.endsWith('.tar')) run('tar', ['cf', target, '-C', dirty, '.'])
    const result = run(process.execPath, ['bin/bundle.js', 'verify', target])
    expect(result.code).toBe(1)
    expect(result.stdout).toMatch(/share\/page\.gz!gzip +0 +utf8 +- +\/nix\/store\/x\n/)
  }
})

test('what is packed in a format that is not looked into is said', () => {
  const app = tree({ 'bin/app': program, 'share/page.xz': Buffer.from('\xfd7zXZ\0rest', 'latin1') })
  const result = mustBundle([app, '-f', 'dir', '-o', join(app, '../b')])
  expect(result.stderr).toMatch(/warning: .*page\.xz: packed in a format that is not looked into \(xz\)/)
})

test('warnings are grouped by what is missed, and name the remedy', () => {
  const app = tree({ 'bin/app': program, 'etc/a.conf': `\0${nginx}/html\0`, 'etc/b.conf': `\0${nginx}/html\0` })
  const { stderr } = mustBundle([app, '-f', 'dir', '-o', join(app, '../b')])
  const lines = stderr.split('\n').filter(line => line.includes('nginx-1.22.1/html'))
  expect(lines).toHaveLength(1)
  expect(lines[0]).toMatch(/a\.conf: finds nginx-1\.22\.1\/html by store path.*\(nor does .*b\.conf\).*--prefix$/)
})

test('cycles of links in what is named end', () => {
  const app = tree({ 'bin/app': program, 'share/a/text': 'x' })
  symlinkSync('../share', join(app, 'share/a/up'))
  symlinkSync('b', join(app, 'share/c'))
  symlinkSync('c', join(app, 'share/b'))
  const result = mustBundle([app, '-f', 'dir', '-o', join(app, '../b')])
  expect(result.stderr).toContain('a link that leads nowhere')
})

test('a packed file without a NUL in it is packed all the same', () => {
  const text = `${nginx}/html/index.html\n`
  // Of many zlib streams of nearly one text, one has no NUL.
  const bytes = Array.from({ length: 2000 }, (_, i) => deflateSync(text + i)).find(b => !b.includes(0))!
  const app = tree({ 'bin/app': program, 'share/page.z': bytes })
  const place = join(app, '../b')
  mustBundle([app, '--prefix', '/p', '-f', 'dir', '-o', place])
  expect(inflateSync(readFileSync(join(place, 'pkg/app/share/page.z'))).toString()).toMatch(
    /^\/p\/+\/p\/0-nginx-1\.22\.1\//,
  )
})

test("a script's interpreter is not said to stay out", () => {
  const { stderr } = mustBundle(['scripts', '-v', '-f', 'dir', '-o', join(temporary(), 'b')])
  expect(stderr).not.toMatch(/bin\/bash, which stays out/)
})
