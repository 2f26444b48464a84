/** `--with` and `--licenses` on packages that have little to do with them. */
import { existsSync, mkdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { bundle, mustBundle, temporary } from '../support/bundle.ts'
import { storePath } from '../support/store-lab.ts'

test('data that nothing looks for lies at a place of its own, and the variable that names it is said', () => {
  const package_ = join(temporary(), 'package')
  mkdirSync(join(package_, 'bin'), { recursive: true })
  writeFileSync(join(package_, 'bin/app'), '#!/bin/sh\n', { mode: 0o755 })
  const out = join(temporary(), 'out')
  const made = mustBundle([package_, '-f', 'dir', '-o', out, '--with', 'tzdata', '--with', 'ca-certificates'])
  expect(existsSync(join(out, 'share/zoneinfo/Europe/Berlin'))).toBe(true)
  expect(existsSync(join(out, 'etc/ssl/certs/ca-bundle.crt'))).toBe(true)
  expect(made.stderr).toContain('set TZDIR to <bundle>/share/zoneinfo')
  expect(made.stderr).toContain('set SSL_CERT_FILE to <bundle>/etc/ssl/certs/ca-bundle.crt')
  expect(bundle(['verify', out]).code).toBe(0)
})

test('a kind that is none', () => {
  const result = bundle(['nginx', '--with', 'fonts'])
  expect(result).toMatchObject({ code: 2, stdout: '' })
  expect(result.stderr).toContain('one or more of ca-certificates, locales, tzdata is wanted')
})

test('two licence texts that would share a name keep their directories; none is lost', () => {
  const texts = {
    COPYING: 'one',
    'share/doc/a/COPYING': 'two',
    'share/doc/b/COPYING/LICENSE': 'three',
    'share/licenses/c/GPL': 'four',
  }
  const package_ = storePath('many-1', { 'bin/app': '#!/bin/sh\n', ...texts })
  const plain = storePath('plain-1', { 'bin/plain': '#!/bin/sh\n', 'share/licenses/plain/GPL': 'five' })
  const out = join(temporary(), 'out')
  mustBundle([package_, plain, '-f', 'dir', '-o', out, '--licenses'])
  for (const [path, text] of Object.entries(texts))
    expect(readFileSync(join(out, 'share/licenses/many-1', path), 'utf8')).toBe(text)
  expect(readFileSync(join(out, 'share/licenses/plain-1/GPL'), 'utf8')).toBe('five')
})

test('data for a directory that is a link lies where the link leads; a file in the way stays', () => {
  const package_ = storePath('linked-1', {
    'share/ssl/openssl.cnf': 'x',
    'etc/ssl': { link: '../share/ssl' },
    'share/zoneinfo': 'a file',
  })
  mkdirSync(join(package_, 'bin'))
  const names = `cat ${package_}/etc/ssl/cert.pem ${package_}/share/zoneinfo`
  writeFileSync(join(package_, 'bin/app'), `#!/bin/sh\n${names}\n`, { mode: 0o755 })
  const out = join(temporary(), 'out')
  mustBundle([package_, '-f', 'dir', '-o', out, '--with', 'ca-certificates,tzdata'])
  expect(readlinkSync(join(out, 'pkg/linked-1/etc/ssl'))).toBe('../share/ssl')
  expect(readFileSync(join(out, 'pkg/linked-1/share/ssl/cert.pem'), 'latin1')).toContain('BEGIN CERTIFICATE')
  expect(readFileSync(join(out, 'pkg/linked-1/share/zoneinfo'), 'utf8')).toBe('a file')
  expect(bundle(['verify', out]).code).toBe(0)
})
