/** The same input gives the same bytes, in every format; and inputs stay as they are. */
import { createHash } from 'node:crypto'
import { cpSync, lstatSync, mkdirSync, readdirSync, readFileSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { bundle, command, fixture, fixtureEnv, grep, mustBundle, run, temporary } from '../support/bundle.ts'

const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex')

test('umask, time zone, working directory, locale, user and jobs leave no trace in the tar', () => {
  const digests = new Set<string>()
  const variations = [
    { umask: '022', env: { TZ: 'UTC' }, jobs: '1' },
    { umask: '077', env: { TZ: 'Asia/Kathmandu', LANG: 'tr_TR.UTF-8' }, jobs: '2' },
    { umask: '000', env: { TZ: 'America/St_Johns', LC_ALL: 'C', SOURCE_DATE_EPOCH: '5' }, jobs: '13' },
  ]
  for (const { umask, env, jobs } of variations) {
    const cwd = temporary()
    const made = run(
      'sh',
      ['-c', `umask ${umask}; exec "$0" "$1" nginx -o out.tar --jobs ${jobs}`, process.execPath, command],
      {
        cwd,
        env: { ...fixtureEnv, ...env },
      },
    )
    expect(made.code, made.stderr).toBe(0)
    const digest = sha256(join(cwd, 'out.tar'))
    expect(made.stdout).toContain(digest)
    digests.add(digest)
  }
  expect(digests.size).toBe(1)
})

test('inputs keep their bytes, times, modes and inodes', () => {
  const closure = run('nix-store', ['-qR', fixture('nginx')])
    .stdout.trim()
    .split('\n')
  const state = (): string[] =>
    closure.flatMap(root =>
      readdirSync(root, { recursive: true, encoding: 'utf8' }).map(name => {
        const path = join(root, name)
        const s = lstatSync(path)
        return [path, s.ino, s.mode, s.mtimeMs, s.ctimeMs, s.nlink, s.size, s.isFile() ? sha256(path) : ''].join(' ')
      }),
    )
  const before = state()
  expect(before.length).toBeGreaterThan(50)
  for (const patcher of ['auto', 'patchelf'])
    mustBundle(['nginx', '--patcher', patcher, '-f', 'dir', '-o', patcher], { cwd: temporary() })
  expect(state()).toEqual(before)
})

describe('formats', () => {
  const cwd = temporary()

  test('dir, tar, tar.gz and tar.zst hold the same tree, chosen by ending or by -f', () => {
    mustBundle(['probe', '-f', 'dir', '-o', 'tree'], { cwd })
    mustBundle(['probe', '-o', 'a.tar'], { cwd })
    mustBundle(['probe', '-o', 'a.tar.gz'], { cwd })
    mustBundle(['probe', '-o', 'a.tar.zst'], { cwd })
    mustBundle(['probe', '-f', 'tar.gz', '-o', 'unusual-name'], { cwd })
    for (const archive of ['a.tar', 'a.tar.gz', 'a.tar.zst', 'unusual-name']) {
      const to = join(cwd, `from-${archive}`)
      mkdirSync(to)
      expect(run('tar', ['xf', join(cwd, archive), '-C', to])).toMatchObject({ code: 0, stderr: '' })
      expect(run('diff', ['-r', '--no-dereference', join(cwd, 'tree'), join(to, 'probe-1.0')])).toMatchObject({
        code: 0,
        stdout: '',
      })
      const verdict = bundle(['verify', archive], { cwd })
      expect(verdict, verdict.stderr).toMatchObject({ code: 0, stderr: '' })
    }
  })

  test('the default names', () => {
    const here = temporary()
    mustBundle(['probe'], { cwd: here })
    mustBundle(['probe', '-f', 'tar.zst'], { cwd: here })
    mustBundle(['probe', '-f', 'dir'], { cwd: here })
    mustBundle(['probe', '--name', 'mine'], { cwd: here })
    expect(readdirSync(here).sort()).toEqual([
      'mine-x86_64-linux.tar.gz',
      'probe-1.0-x86_64-linux',
      'probe-1.0-x86_64-linux.tar.gz',
      'probe-1.0-x86_64-linux.tar.zst',
    ])
  })

  test('a directory has the modes and times of the archive', () => {
    const tree = join(cwd, 'modes')
    mustBundle(['probe', '-f', 'dir', '-o', tree])
    for (const name of readdirSync(tree, { recursive: true, encoding: 'utf8' })) {
      const s = lstatSync(join(tree, name))
      expect(s.mtimeMs).toBe(1000)
      if (s.isDirectory()) expect(s.mode & 0o7777).toBe(0o755)
      else if (s.isFile()) expect([0o755, 0o644]).toContain(s.mode & 0o7777)
    }
  })

  test('--json says what was made', () => {
    const { stdout } = mustBundle(['probe', '--json', '-o', 'json.tar'], { cwd })
    expect(JSON.parse(stdout)).toMatchObject({
      schema: 1,
      name: 'probe',
      version: '1.0',
      system: 'x86_64-linux',
      output: join(realpathSync(cwd), 'json.tar'),
      format: 'tar',
      tarSha256: sha256(join(cwd, 'json.tar')),
      counts: { programs: 1 },
    })
  })

  test('--quiet prints nothing', () => {
    expect(mustBundle(['nginx', '--quiet', '-o', 'quiet.tar'], { cwd })).toMatchObject({ stdout: '', stderr: '' })
  })
})

describe('--patcher patchelf', () => {
  test.each(['nginx', 'bash', 'cxx', 'twins', 'plugin-host'])(
    '%s: clean, and the same facts as in place',
    attribute => {
      const cwd = temporary()
      mustBundle([attribute, '-f', 'dir', '-o', 'in-place'], { cwd })
      mustBundle([attribute, '-f', 'dir', '-o', 'patched', '--patcher', 'patchelf'], { cwd })
      expect(bundle(['verify', 'patched'], { cwd }).code).toBe(0)
      expect(grep('/nix/store', join(cwd, 'patched'))).toBe('')
      const dynamic = (tree: string): string =>
        run(
          'sh',
          [
            '-c',
            `cd '${tree}' && find . -type f -exec sh -c 'echo "$1"; readelf -dW "$1" 2>/dev/null | grep -oE "\\((NEEDED|SONAME|RPATH|RUNPATH)\\).*"' - {} \\; | sort`,
          ],
          { cwd },
        ).stdout
      expect(dynamic('in-place')).toContain('(RPATH)')
      expect(dynamic('in-place')).not.toContain('(RUNPATH)')
      expect(dynamic('patched')).toBe(dynamic('in-place'))
    },
  )
})

test('a tree that was changed after it was made is told from the original', () => {
  const cwd = temporary()
  mustBundle(['probe', '-f', 'dir', '-o', 'tree'], { cwd })
  cpSync(join(cwd, 'tree'), join(cwd, 'copy'), { recursive: true, verbatimSymlinks: true })
  const changed = run('sh', ['-c', 'echo /nix/store/eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee-x >> copy/lib/libc.so.6'], { cwd })
  expect(changed.code).toBe(0)
  const verdict = bundle(['verify', 'copy'], { cwd })
  expect(verdict.code).toBe(1)
  expect(verdict.stdout).toMatch(/lib\/libc\.so\.6 .* \/nix\/store\/e{32}-x\n/)
  expect(verdict.stderr).toContain('lib/libc.so.6: has other contents than listed')
})
