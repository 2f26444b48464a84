/** `--with` and `--licenses` on packages that have little to do with them. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { bundle, mustBundle, temporary } from '../support/bundle.ts'

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
