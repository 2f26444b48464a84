/** What an image is made of: which files make a layer, what is typed, what is refused. */
import { describe, expect, test } from 'vitest'
import { checkImageOptions, createdAt, entrypointOf, imageConfig, refOf, surroundings } from '../src/pack/image.ts'
import { type LayerFile, layersOf } from '../src/pack/layers.ts'

const file = (at: string, name: string | null, size: number): LayerFile => ({
  at,
  group: name === null ? null : { name, package: name.replace(' (programs)', '') },
  size,
})

describe('layers', () => {
  const files = [
    file('lib/libc.so.6', 'C library', 50),
    ...['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((group, i) => file(`lib/${group}`, group, 10 * (i + 1))),
    file('pkg/app/bin/app', 'app', 1),
    file('bin/app', null, 0),
  ]
  const names = (most: number): string[] => layersOf(files, 'app', most).map(l => l.contents)

  test('the largest packages by themselves, the small ones together, then the own one, then what is made', () => {
    expect(names(8)).toEqual(['g', 'f', 'C library', 'e', 'd', 'a, b, c', 'app', 'programs, bundle.json, /etc'])
    expect(names(4)).toEqual(['g', 'C library, a, b, c, d, e, f', 'app', 'programs, bundle.json, /etc'])
  })

  test('with room for all, each by itself', () => {
    expect(names(10)).toHaveLength(10)
    expect(names(100)).toHaveLength(10)
  })

  test('a package is one layer and its programs another: an image of it shares what others need of it', () => {
    const perl = [file('lib/strict.pm', 'perl', 80), file('lib/libc.so.6', 'C library', 50)]
    const [own, other] = [
      layersOf([...perl, file('bin/perl', 'perl (programs)', 2), file('bin/cpan', 'perl (programs)', 1)], 'perl', 12),
      layersOf([...perl, file('bin/perl', 'perl (programs)', 2), file('bin/git', 'git (programs)', 90)], 'git', 12),
    ]
    expect(own.map(l => l.contents).slice(0, 3)).toEqual(['C library', 'perl', 'perl (programs)'])
    expect(other.find(l => l.contents === 'perl')).toEqual(own.find(l => l.contents === 'perl'))
  })

  test('what is small of the own package is with the rest of it, not with others', () => {
    const small = [...files, file('pkg/app/share/x', 'app (programs)', 2)]
    expect(layersOf(small, 'app', 8).map(l => l.contents)).toContain('app, app (programs)')
  })

  test('every file is in one layer, whatever the number', () => {
    for (let most = 4; most < 14; most++) {
      const all = layersOf(files, 'app', most).flatMap(l => l.files.map(f => f.at))
      expect(all.sort()).toEqual(files.map(f => f.at).sort())
      expect(layersOf(files, 'app', most).length).toBeLessThanOrEqual(most)
    }
  })

  test('a bundle of nothing but links, and one whose program belongs to no package', () => {
    expect(layersOf([file('bin/x', null, 0)], null, 8)).toHaveLength(1)
    expect(layersOf(files, 'elsewhere', 8).at(-1)?.contents).toBe('programs, bundle.json, /etc')
  })
})

describe('what is typed', () => {
  test.each([
    [{ user: 'nginx' }, 'numbers only'],
    [{ user: '1001:web' }, 'numbers only'],
    [{ ref: 'Nginx' }, 'no name'],
    [{ ref: 'a b' }, 'no name'],
    [{ env: ['TZ'] }, 'NAME=VALUE'],
    [{ label: ['=x'] }, 'NAME=VALUE'],
    [{ expose: ['http'] }, 'no port'],
    [{ expose: ['70000'] }, 'no port'],
    [{ writable: ['var/log'] }, 'absolute path'],
    [{ writable: ['/var/../etc'] }, 'absolute path'],
    [{ writable: ['/'] }, 'absolute path'],
    [{ add: ['./nginx.conf'] }, 'SOURCE:DESTINATION'],
    [{ add: ['./nginx.conf:etc/x'] }, 'absolute path'],
    [{ layers: 3 }, 'from 4'],
    [{ created: 'yesterday' }, 'no time'],
    [{ workdir: 'srv' }, 'absolute path'],
  ])('%j is refused: %s', (options, reason) => {
    expect(() => checkImageOptions(options)).toThrow(reason)
  })

  test.each(['nginx', 'nginx:1.22.1', 'registry.example:5000/team/nginx:1.22.1', 'ghcr.io/a_b/c-d'])(
    'a name: %s',
    ref => {
      checkImageOptions({ ref })
    },
  )

  test('the program: the only one, the one that is called as the bundle, or the one that is named', () => {
    const [one, two] = [
      { name: 'git', at: 'bin/git' },
      { name: 'scalar', at: 'bin/scalar' },
    ]
    expect(entrypointOf([two], 'git', undefined)).toBe('bin/scalar')
    expect(entrypointOf([one, two], 'git', undefined)).toBe('bin/git')
    expect(entrypointOf([one, two], 'tools', 'scalar')).toBe('bin/scalar')
    expect(() => entrypointOf([one, two], 'tools', undefined)).toThrow('There are git, scalar')
    expect(() => entrypointOf([one, two], 'tools', 'gti')).toThrow('no program gti')
  })

  test('the time is that of SOURCE_DATE_EPOCH, or what is typed', () => {
    expect(createdAt({}, undefined)).toBe('1970-01-01T00:00:01Z')
    expect(createdAt({}, '1700000000')).toBe('2023-11-14T22:13:20Z')
    expect(createdAt({}, 'soon')).toBe('1970-01-01T00:00:01Z')
    expect(createdAt({ created: '2026-01-31T12:00:00+01:00' }, '1')).toBe('2026-01-31T11:00:00Z')
  })

  test('a name for the image is made of what the bundle is called', () => {
    const facts = { system: 'x86_64-linux', entrypoint: '/app/bin/x', path: [], env: [] }
    expect(refOf({ ...facts, name: 'Foo Bar+', version: '1.0+git~x' }, undefined)).toBe('foo-bar:1.0-git-x')
    expect(refOf({ ...facts, name: '++', version: null }, undefined)).toBe('bundle:latest')
    expect(refOf({ ...facts, name: 'x', version: '1' }, 'localhost:5000/x')).toBe('localhost:5000/x:latest')
  })
})

test('a user has a name, for programs that ask for it', () => {
  const passwd = (user?: string): string =>
    surroundings(user === undefined ? {} : { user }).find(f => f.at === 'etc/passwd')!.contents!
  expect(passwd()).toContain('nobody:x:65534:65534:')
  expect(passwd('1001:0')).toContain('app:x:1001:0:')
  expect(passwd('0')).not.toContain('app:')
  expect(surroundings({ writable: ['/var/lib/x/'] }).at(-1)).toEqual({ at: 'var/lib/x', contents: null, mode: 0o775 })
})

test("the user's variables stand for the image's own", () => {
  const facts = {
    system: 'x86_64-linux',
    name: 'x',
    version: null,
    entrypoint: '/app/bin/x',
    path: ['/app/bin'],
    env: [],
  }
  const { config } = imageConfig(facts, { env: ['PATH=/x', 'A=b=c'] }, [], 'now') as { config: { Env: string[] } }
  expect(config.Env).toEqual(['PATH=/x', 'A=b=c'])
})
