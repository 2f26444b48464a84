/** One file that cannot be made does not end the run: what a bundle does without stays out, and is told of. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { deflateRawSync, deflateSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { crc32 } from '../../src/references/inflate.ts'
import { bundle, run, temporary } from '../support/bundle.ts'
import { DarwinClosure } from '../support/darwin-closure.ts'
import { compile, GLIBC, storePath } from '../support/store-lab.ts'

/** A zip of files with their contents. */
function zip(files: Readonly<Record<string, string>>): Buffer {
  const records: Buffer[] = []
  const parts: Buffer[] = []
  let offset = 0
  for (const [name, contents] of Object.entries(files)) {
    const packed = deflateRawSync(contents)
    const fields = Buffer.alloc(26)
    fields.writeUInt16LE(20, 0)
    fields.writeUInt16LE(8, 4)
    fields.writeUInt32LE(crc32(Buffer.from(contents)), 10)
    fields.writeUInt32LE(packed.length, 14)
    fields.writeUInt32LE(contents.length, 18)
    fields.writeUInt16LE(name.length, 22)
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), fields, Buffer.from(name), packed])
    const record = Buffer.alloc(14)
    record.writeUInt32LE(offset, 10)
    records.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x00'), fields, record, Buffer.from(name)]))
    parts.push(local)
    offset += local.length
  }
  const directory = Buffer.concat(records)
  const end = Buffer.alloc(22)
  end.write('PK\x05\x06')
  end.writeUInt16LE(parts.length, 8)
  end.writeUInt16LE(parts.length, 10)
  end.writeUInt32LE(directory.length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...parts, directory, end])
}

const signedJar = (text: string): Buffer =>
  zip({ 'META-INF/MANIFEST.MF': 'Manifest-Version: 1.0\n', 'META-INF/A.SF': 'x', 'META-INF/A.RSA': 'x', 'a.txt': text })

const libc = (): string =>
  storePath('libc-1.0', Object.fromEntries(Object.entries(GLIBC.libc).map(([name, file]) => [`lib/${name}`, file])))

/** A program on a C library of the store that prints whether a file is there. */
function program(to: string, from: string, file: string): void {
  const text = `#include <stdio.h>\n#include <unistd.h>
int main(void) { puts(access("${file}", R_OK) == 0 ? "there" : "gone"); return 0; }`
  compile('gcc', text, to, [`-Wl,-rpath,${from}/lib`, `-Wl,--dynamic-linker,${from}/lib/${GLIBC.loader}`])
}

function made(target: string, ...options: string[]) {
  const out = join(temporary(), 'out')
  const { code, stderr } = bundle([target, '-f', 'dir', '-o', out, ...options])
  const dry = bundle([target, '-f', 'dir', '--dry-run', ...options])
  expect([dry.code, dry.stderr.replace(/^nothing was written.*\n/m, '')]).toEqual([
    code,
    stderr.replace(/^nothing was written.*\n/m, ''),
  ])
  return { out, code, stderr, at: (path: string): boolean => existsSync(join(out, path)) }
}

test.each([
  ['relocatable', []],
  ['for one place', ['--prefix', '/opt/app']],
] as const)('archives whose checksums or signatures a change would break, %s', (_, options) => {
  const glibc = libc()
  const app = storePath('app-1.0', { 'share/app/data': 'x' })
  const names = `${app}/share/app/data`
  writeFileSync(join(app, 'share/app/plugin.jar'), signedJar(names))
  // A pack of git's: its checksums are of what is packed.
  writeFileSync(
    join(app, 'share/app/pack'),
    Buffer.concat([Buffer.from('PACK\0\0\0\x02'), deflateSync(names.repeat(9))]),
  )
  program(join(app, 'bin/app'), glibc, `${app}/share/app/plugin.jar`)
  const { out, code, stderr, at } = made(app, ...options)
  expect(stderr.split('\n').filter(line => line.includes('left out'))).toEqual([
    expect.stringMatching(
      /share\/app\/pack: is left out: .*git's, with checksums.*; no file of the bundle is seen to name it$/,
    ),
    expect.stringMatching(/share\/app\/plugin.jar: is left out: .* signed.*; app-1.0\/bin\/app will not find it$/),
  ])
  expect(code).toBe(0)
  expect(bundle(['verify', out]).code).toBe(0)
  const tree = join(out, 'pkg/app-1.0/share/app')
  expect([
    at('pkg/app-1.0/share/app/data'),
    existsSync(join(tree, 'pack')),
    existsSync(join(tree, 'plugin.jar')),
  ]).toEqual([...[true, false, false]])
  if (options.length === 0) expect(run(join(out, 'bin/app'), []).stdout).toBe('gone\n')
})

test('what a wrapper starts is not left out: an error says so, and nothing is written', () => {
  const glibc = libc()
  const tool = storePath('tool-1.0')
  program(join(tool, 'bin/tool'), glibc, '/')
  const app = storePath('app-1.0', { 'bin/bash': { from: '/bin/bash' } })
  writeFileSync(join(app, 'app.jar'), signedJar(`${tool}/bin/tool`))
  const text = `#! ${app}/bin/bash -e\nexec "${tool}/bin/tool"  -jar ${app}/app.jar "$@" \n`
  writeFileSync(join(app, 'bin/app'), text, { mode: 0o755 })
  const { code, stderr, at } = made(join(app, 'bin/app'))
  expect(stderr).toMatch(
    /app.jar: a store path in it cannot be overwritten: it is signed.*\n {2}try: leave the file out/,
  )
  expect([code, at('.')]).toEqual([2, false])
  // Which is when one asks why it is in there.
  const why = bundle(['why', join(app, 'bin/app'), 'app.jar'])
  expect([why.code, why.stdout]).toEqual([0, expect.stringMatching(/^app.jar is in: /)])
})

test('a helper in libexec/ with a payload where no stub is wanted; the program itself is an error', () => {
  const glibc = libc()
  const app = storePath('app-1.0')
  program(join(app, 'libexec/helper'), glibc, '/')
  writeFileSync(
    join(app, 'libexec/helper'),
    Buffer.concat([readFileSync(join(app, 'libexec/helper')), Buffer.from('payload')]),
  )
  program(join(app, 'bin/app'), glibc, `${app}/libexec/helper`)
  const { code, stderr, at } = made(app, '--launcher', 'shell')
  expect(stderr).toMatch(
    /libexec\/helper: is left out: it reads data behind its own end, .*; app-1.0\/bin\/app will not find it \(to have it: bundle with --prefix\)\n/,
  )
  expect([code, at('bin/app'), at('libexec/helper'), at('pkg/app-1.0/libexec/helper')]).toEqual([0, true, false, false])
  const alone = made(join(app, 'libexec/helper'), '--launcher', 'shell')
  expect([alone.code, alone.stderr]).toEqual([1, expect.stringMatching(/helper: carries data behind its end/)])
})

test.each([['auto'], ['patchelf']])(
  'a payload, and a search path that has to come: nobody edits the file, which a dry run says too (--patcher %s)',
  patcher => {
    const app = storePath('app-1.0')
    const glibc = libc()
    const file = join(app, 'bin/app')
    compile('gcc', 'int main(void) { return 0; }', file, [`-Wl,--dynamic-linker,${glibc}/lib/${GLIBC.loader}`])
    writeFileSync(file, Buffer.concat([readFileSync(file), Buffer.from('payload')]))
    const { code, stderr } = made(app, '--prefix', '/opt/app', '--patcher', patcher)
    expect([code, stderr]).toEqual([2, expect.stringMatching(/bin\/app: .*its payload must not move/)])
  },
)

test('load commands of Mach-O plugins that cannot grow; of a library that a program needs they are an error', () => {
  const closure = new DarwinClosure('arm64')
  const app = closure.package('a-1')
  const library = closure.build(`${app}/l/l`, 'int l(void) { return 1; }', { id: '@rpath/l' })
  const tight = { libraries: [library], flags: ['-rpath', '@loader_path/../../l', '-headerpad', '0'] }
  closure.build(`${app}/lib/x/plugin.so`, 'int l(void); int p(void) { return l(); }', { bundle: true, ...tight })
  closure.build(`${app}/bin/app`, 'int main(void) { return 0; }')
  const prefix = ['--prefix', `/opt/${'x'.repeat(20)}`]
  const { out, code, stderr, at } = made(app, ...prefix)
  expect(stderr).toMatch(
    /plugin.so: is left out: its load commands would need .*; no file of the bundle is seen to name it \(to have it: a shorter --prefix/,
  )
  expect([code, at('pkg/a-1/bin/app'), at('pkg/a-1/lib/x/plugin.so')]).toEqual([0, true, false])
  expect(bundle(['verify', out]).code).toBe(0)
})
