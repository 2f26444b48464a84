/**
 * How long the path may be at which a relocatable bundle lies. Up to what bundle.json says, programs write it where store
 * paths stood; at any longer one the path of a link to it, which they make; a shorter way to it works without.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { mustBundle, type Run, run, temporary } from '../support/bundle.ts'

const place = join(temporary(), 'openssl')
let limit: number
beforeAll(() => {
  mustBundle(['openssl', '-f', 'dir', '-o', place])
  limit = JSON.parse(readFileSync(join(place, 'bundle.json'), 'utf8')).rootLimit
})

/** Runs openssl in a root with the bundle at `at`, and what else bwrap is told to put there. */
const openssl = (at: string, program: string, args: readonly string[], more: readonly string[] = []): Run =>
  run(
    'bwrap',
    [
      ...['--unshare-pid', '--tmpfs', '/', '--proc', '/proc', '--dev', '/dev', '--ro-bind', place, at, ...more],
      ...['--', program, ...args],
    ],
    { env: { PATH: '/usr/bin:/bin' } },
  )
/** Its configuration, by the string that names it, and a request that reads it. */
const REQUEST = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', '/dev/null', '-subj', '/CN=a']
function works(root: string, from: string, program: string, more: readonly string[] = []): void {
  const said = openssl(root, program, ['version', '-d'], more)
  expect(said).toMatchObject({ code: 0, stderr: '' })
  expect(said.stdout).toMatch(new RegExp(`^OPENSSLDIR: "${from}/+p/[0-9a-f]+-openssl-3[^/]*/etc/ssl"\n$`))
  const made = openssl(root, program, REQUEST, more)
  expect(made.code, made.stderr).toBe(0)
  expect(made.stdout).toContain('-----END CERTIFICATE-----')
}
/** An absolute path of so many bytes, of directories of at most 20. */
const path = (length: number): string => {
  const text = Array.from({ length }, (_, i) => (i % 20 === 0 ? '/' : 'r')).join('')
  return text.endsWith('/') ? `${text.slice(0, -2)}/r` : text
}

/** Where nothing can be written, no link can be made. */
const READ_ONLY = ['--remount-ro', '/dev']

describe.each(['bin/openssl', 'pkg/openssl-3.0-bin/bin/openssl'])('%s', program => {
  test('a root of the longest length', () => {
    const root = path(limit)
    expect(root).toHaveLength(limit)
    works(root, root, `${root}/${program}`, READ_ONLY)
  })

  test('longer: by a link', () => {
    for (const length of [limit + 1, 200, 900]) {
      const root = path(length)
      works(root, '/dev/shm/sf-0/[0-9a-f]{12}', `${root}/${program}`)
      works(root, '/run/sf/[0-9a-f]{12}', `${root}/${program}`, ['--perms', '0755', '--dir', '/run'])
    }
  })

  test('longer, and there is no place for a link: one line, exit 127', () => {
    const root = path(limit + 1)
    expect(openssl(root, `${root}/${program}`, ['version', '-d'], READ_ONLY)).toEqual({
      code: 127,
      signal: null,
      stdout: '',
      stderr: `${root}/${program}: unpacked too deep: ${limit + 1} bytes, at most ${limit}: move it, or bundle with --prefix\n`,
    })
  })

  test('by a shorter link of somebody else', () => {
    works(path(400), '/short', `/short/${program}`, [...READ_ONLY, '--symlink', path(400), '/short'])
  })
})

test('a link to the program itself is no shorter way to the root', () => {
  const root = path(limit + 1)
  const more = [...READ_ONLY, '--symlink', `${root}/bin/openssl`, '/openssl']
  const said = openssl(root, '/openssl', ['version'], more)
  expect(said).toMatchObject({ code: 127, stdout: '' })
  expect(said.stderr).toMatch(/^\/openssl: unpacked too deep: .*\n$/)
})
