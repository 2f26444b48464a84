/** `--with` and `--licenses`: data at the places where the bundle's own libraries look for it. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { bundle, mustBundle, temporary } from '../support/bundle.ts'
import { EmptyRoot } from '../support/root.ts'

const KINDS = 'ca-certificates,locales,tzdata'
const ASKS = `
import locale, os, ssl, time
os.environ['TZ'] = 'Europe/Berlin'
time.tzset()
print(time.tzname[0])
print(ssl.create_default_context().cert_store_stats()['x509'])
`
const certificates = readFileSync('/etc/ssl/certs/ca-certificates.crt', 'utf8').match(/BEGIN CERTIFICATE/g)!.length

describe.each([
  ['relocatable', '/srv/x', []],
  ['for one place', '/opt/app', ['--prefix', '/opt/app']],
])('%s', (_, place, options) => {
  const out = join(temporary(), 'out')
  const made = mustBundle([
    'full.python3',
    '--program',
    'python3',
    '-f',
    'dir',
    '-o',
    out,
    '--with',
    KINDS,
    '--licenses',
    ...options,
  ])
  const root = new EmptyRoot(out, place)

  test('python knows time zones and certificate authorities in an empty root', () => {
    expect(root.output('bin/python3', ['-c', ASKS])).toBe(`CET\n${certificates}\n`)
  })

  test('what came from this machine is said', () => {
    for (const kind of KINDS.split(','))
      expect(made.stderr).toMatch(new RegExp(`warning: --with ${kind}: taken from this machine, /`))
  })

  test('licence texts lie together; packages without one are named', () => {
    expect(readFileSync(join(out, 'share/licenses/python3-3.11.2/lib/python3.11/LICENSE.txt'), 'utf8')).toContain(
      'PYTHON SOFTWARE FOUNDATION LICENSE',
    )
    expect(made.stderr).toMatch(/warning: share\/licenses: no licence text is found in .*glibc-2\.36/)
    expect(readdirSync(join(out, 'share/licenses'))).toEqual(['python3-3.11.2'])
  })

  test('verify finds nothing', () => {
    expect(bundle(['verify', out]).code).toBe(0)
  })
})

test('without --with none of it is there, and python says so', () => {
  const out = join(temporary(), 'out')
  mustBundle(['full.python3', '--program', 'python3', '-f', 'dir', '-o', out])
  expect(new EmptyRoot(out, '/srv/x').output('bin/python3', ['-c', ASKS])).toBe('Europe\n0\n')
  // Its package has one, with nothing in it.
  expect(readdirSync(join(out, 'share'))).toEqual([])
})
