/** `storefree.json`: what a project does not want in its bundles is told with the chain, and no bundle is made. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { bundle, fixture, mustBundle, type Run, run, sharedBundle, temporary } from '../support/bundle.ts'
import { compile, storePath } from '../support/store-lab.ts'

let bundled: string
beforeAll(() => {
  bundled = sharedBundle('nginx', '.tar')
})

/** nginx with a policy in the working directory, as a dry run and as a bundle: the same is said. */
function nginx(policy: object, ...args: string[]): Run {
  const cwd = temporary()
  writeFileSync(join(cwd, 'storefree.json'), JSON.stringify(policy))
  const made = bundle([fixture('nginx'), '--dry-run', ...args], { cwd })
  expect(existsSync(join(cwd, 'nginx-1.22.1-x86_64-linux.tar.gz'))).toBe(false)
  return made
}

function verified(policy: object, path = bundled, ...args: string[]): Run {
  const cwd = temporary()
  writeFileSync(join(cwd, 'mine.json'), JSON.stringify(policy))
  return bundle(['verify', path, '--policy', 'mine.json', ...args], { cwd })
}

describe('of a target, and of a bundle that is there', () => {
  const CHAIN =
    'nginx-1.22.1/bin/nginx -> openssl-3.0/lib/libcrypto.so.3 -> openssl-3.0/lib/engines-3 -> openssl-3.0/lib/engines-3/padlock.so'
  test('a file, a package, files by a glob, a place, what is wanted and not there, the size: all at once', () => {
    const policy = {
      maxSize: '5MB',
      disallow: ['padlock.so', 'pcre2'],
      disallowFiles: ['openssl-3.0/lib/engines-3/*', 'lib/libz.so*'],
      require: ['openssl', 'perl'],
    }
    const made = nginx(policy)
    expect(made.code).toBe(1)
    for (const said of [
      `padlock.so, which storefree.json keeps out; it comes by ${CHAIN}`,
      'it comes by nginx-1.22.1/bin/nginx -> pcre2-10.42/',
      'keeps out (4 files: pkg/openssl-3.0/lib/engines-3/',
      'is lib/libz.so*, which storefree.json keeps out',
      'asks for perl, which is not in the bundle',
      'a bundle may have 5.0 MB, and this one has 10.8 MB (',
    ])
      expect(made.stderr).toContain(said)
    const found = verified(policy)
    expect(found.code).toBe(1)
    for (const said of [
      'keeps out; it comes by ',
      'is pcre2, which mine.json keeps out',
      'keeps out (4 files: ',
      'lib/libz.so*',
      'asks for perl',
      'a bundle may have 5.0 MB, and this one has 10.',
    ])
      expect(found.stderr).toContain(said)
    for (const { stderr } of [made, found])
      expect(stderr.split('\n').filter(line => line.startsWith('error: '))).toHaveLength(6)
    expect(found.stderr).not.toMatch(/\/nix\/store/)
  })

  test('what is as it is wanted is said to be so', () => {
    const policy = {
      maxSize: '12MB',
      disallow: ['perl', 'gcc'],
      require: ['openssl', 'libz.so.1', 'bin/nginx'],
      disallowFiles: ['**/*.a'],
    }
    const made = nginx(policy)
    expect(made.code).toBe(0)
    expect(made.stdout).toContain('as storefree.json wants it')
    expect(JSON.parse(nginx(policy, '--json').stdout).policy).toBe('storefree.json')
    expect(verified(policy).code).toBe(0)
  })

  test('the size is that of what is written: exactly so many bytes, and one less', () => {
    const { bytes } = JSON.parse(bundle(['size', bundled, '--json']).stdout).total
    const cwd = temporary()
    run('tar', ['xf', bundled, '-C', cwd])
    expect(
      Number(run('sh', ['-c', `find ${cwd} -type f -printf '%s\\n' | awk '{ s += $1 } END { print s }'`]).stdout),
    ).toBe(bytes)
    expect(verified({ maxSize: bytes }).code).toBe(0)
    expect(verified({ maxSize: bytes - 1 }).stderr).toContain('(1 bytes more)')
    writeFileSync(join(cwd, 'storefree.json'), JSON.stringify({ maxSize: bytes - 1 }))
    const made = bundle([fixture('nginx'), '-o', 'again.tar'], { cwd })
    expect([made.code, existsSync(join(cwd, 'again.tar'))]).toEqual([1, false])
    expect(made.stderr).toContain('(1 bytes more): openssl-3.0 6.4 MB, glibc-2.36 2.3 MB, nginx-1.22.1 1.2 MB')
    writeFileSync(join(cwd, 'storefree.json'), JSON.stringify({ maxSize: bytes }))
    expect(
      readFileSync(join(mustBundle([fixture('nginx'), '-o', 'again.tar'], { cwd }) && cwd, 'again.tar')).equals(
        readFileSync(bundled),
      ),
    ).toBe(true)
  })
})

test('a warning that is an error; another file; none', () => {
  const odd = storePath('odd-1', { 'bin/odd': '#!/no/such/interpreter\n' })
  const cwd = temporary()
  writeFileSync(join(cwd, 'storefree.json'), '{ "errors": ["interpreter-host"] }')
  writeFileSync(join(cwd, 'other.json'), '{ "errors": ["machine-data"] }')
  const code = (...args: string[]): number | null => bundle([odd, '--dry-run', '-q', ...args], { cwd }).code
  expect(bundle([odd, '--dry-run', '-q', '--no-policy'], { cwd }).stderr).toBe('')
  expect([code(), code('--no-policy'), code('--policy', 'other.json')]).toEqual([1, 0, 0])
  writeFileSync(join(cwd, 'storefree.json'), '{ "errors": "all" }')
  expect(bundle([odd, '--dry-run', '-q'], { cwd }).stderr).toMatch(/^error: .*odd: its #! line leaves/)
})

test('a program for older machines: what it asks its C library for, by readelf and by us', () => {
  const directory = temporary()
  const program = join(directory, 'program')
  // Since 2.34 of a new version, on every CPU.
  compile('gcc', '#include <pthread.h>\nint main(void) { return pthread_join(pthread_self(), 0) == 0; }', program, [])
  const versions = run('readelf', ['-V', program]).stdout.match(/GLIBC_2\.34/)
  expect(versions).not.toBe(null)
  const old = verified({ newestSymbols: { GLIBC: '2.17' } }, program)
  expect(old.code).toBe(1)
  expect(old.stderr).toContain(
    'asks libc.so.6 for GLIBC_2.34, newer than the 2.17 of mine.json; the library is not in the bundle',
  )
  expect(verified({ newestSymbols: { GLIBC: '2.34' } }, program).code).toBe(0)
  // Its own C library is in a bundle.
  expect(verified({ newestSymbols: { GLIBC: '2.17' } }).code).toBe(0)
})

test('what is no bundle says nothing of packages', () => {
  const { code, stderr } = verified({ require: ['openssl'] }, join(fixture('zlib'), 'lib'))
  expect([code, stderr]).toEqual([2, expect.stringContaining('no bundle: what mine.json asks of packages')])
})
