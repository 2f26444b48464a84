/**
 * Which file dyld takes. No dyld is at hand: what is expected here was read in its source (Loader.cpp and
 * JustInTimeLoader.cpp of dyld-1378), rule by rule.
 */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, posix } from 'node:path'
import { expect, test } from 'vitest'
import { bufferSource } from '../src/io/bytes.ts'
import type { DylibKind, MachOFacts, MachOSlice } from '../src/macho/facts.ts'
import { parseMachO } from '../src/macho/parse.ts'
import { differences, loadImages, type MachODisk, type MachOFile, sliceFor } from '../src/macho/search.ts'
import type { SourcePath } from '../src/paths.ts'
import { MachOLab, STORE } from './support/macho-lab.ts'

interface Described {
  readonly id?: string
  /** Names, with a kind before a colon when it is not `load`. */
  readonly needs?: readonly string[]
  readonly rpaths?: readonly string[]
  readonly filetype?: number
  /** cputype and cpusubtype of each slice; all say the same. */
  readonly cpus?: readonly (readonly [number, number])[]
}

const ARM = [0x0100000c, 0] as const
const INTEL = [0x01000007, 3] as const
const located = (value: string) => ({ value, offset: 0, capacity: value.length + 1 })

function facts({
  id,
  needs = [],
  rpaths = [],
  filetype = id === undefined ? 2 : 6,
  cpus = [ARM],
}: Described): MachOFacts {
  const dylibs = needs.map(text => {
    const [, kind = 'load', name = ''] = /^(?:(weak|reexport|upward|lazy):)?(.*)$/.exec(text)!
    return { name: located(name), kind: kind as DylibKind, current: '1.0.0', compatibility: '1.0.0' }
  })
  const slices = cpus.map(
    ([cputype, cpusubtype]): MachOSlice => ({
      ...{
        offset: 0,
        size: 0,
        entry: null,
        class: 64,
        little: true,
        cputype,
        cpusubtype,
        arch: `${cputype}`,
        filetype,
      },
      ...{ flags: 0, sizeofcmds: 0, commands: [], segments: [], id: id === undefined ? null : located(id), dylibs },
      ...{ rpaths: rpaths.map(located), dylinker: null, environment: [], versions: [], signature: null, room: 0 },
    }),
  )
  return { format: 'macho', container: slices.length === 1 ? 'thin' : 'fat', slices }
}

/** Files by path; a string is a symbolic link. What is asked for is kept. */
class MemoryDisk implements MachODisk {
  readonly asked: string[] = []
  readonly #files: ReadonlyMap<string, MachOFile | string>
  constructor(files: Readonly<Record<string, Described | string>>) {
    this.#files = new Map(
      Object.entries(files).map(([path, file]) => [
        path,
        typeof file === 'string' ? file : { path: path as SourcePath, facts: facts(file) },
      ]),
    )
  }
  open(path: string): MachOFile | null {
    this.asked.push(path)
    const found = this.#files.get(posix.normalize(path))
    return typeof found === 'string' ? this.open(found) : (found ?? null)
  }
}

function load(files: Readonly<Record<string, Described | string>>, program = '/app/bin/main', slice = 0) {
  const disk = new MemoryDisk(files)
  const file = disk.open(program)!
  disk.asked.length = 0
  const map = loadImages(file, file.facts.slices[slice]!, disk)
  return {
    map,
    asked: disk.asked,
    images: map.images.map(image => image.path),
    /** `name -> path via rule`. */
    said: map.resolutions.map(r => `${r.dylib.name.value} -> ${r.to} (${r.via})`),
  }
}

test('an absolute path is that file; @executable_path and @loader_path are directories', () => {
  const { images, said } = load({
    '/app/bin/main': { needs: ['/s/liba.dylib', '@executable_path/../lib/libb.dylib', '@loader_path/libc.dylib'] },
    '/s/liba.dylib': { id: '/s/liba.dylib', needs: ['@loader_path/sub/libd.dylib', '@executable_path/libc.dylib'] },
    '/app/lib/libb.dylib': { id: 'b' },
    '/app/bin/libc.dylib': { id: 'c' },
    '/s/sub/libd.dylib': { id: 'd' },
  })
  expect(said).toEqual([
    '/s/liba.dylib -> /s/liba.dylib (path)',
    '@executable_path/../lib/libb.dylib -> /app/lib/libb.dylib (@executable_path)',
    '@loader_path/libc.dylib -> /app/bin/libc.dylib (@loader_path)',
    '@loader_path/sub/libd.dylib -> /s/sub/libd.dylib (@loader_path)',
    '@executable_path/libc.dylib -> /app/bin/libc.dylib (@executable_path)',
  ])
  expect(images).toHaveLength(5)
})

test('@rpath is every LC_RPATH of the image itself, then of those that led to it', () => {
  const files = {
    '/app/bin/main': { needs: ['@rpath/liba.dylib'], rpaths: ['/nowhere', '@loader_path/../lib'] },
    '/app/lib/liba.dylib': {
      id: '@rpath/liba.dylib',
      needs: ['@rpath/libb.dylib', '@rpath/libc.dylib'],
      rpaths: ['/own'],
    },
    '/own/libb.dylib': { id: 'own b' },
    '/app/lib/libb.dylib': { id: 'other b' },
    '/app/lib/libc.dylib': { id: 'c' },
  }
  const { said, map } = load(files)
  expect(said).toEqual([
    '@rpath/liba.dylib -> /app/lib/liba.dylib (LC_RPATH[1])',
    '@rpath/libb.dylib -> /own/libb.dylib (LC_RPATH[0])',
    '@rpath/libc.dylib -> /app/lib/libc.dylib (LC_RPATH[1])',
  ])
  expect(map.resolutions.map(r => r.owner)).toEqual(['/app/bin/main', '/app/lib/liba.dylib', '/app/bin/main'])
  expect(map.resolutions[0]!.tried).toEqual(['/nowhere/liba.dylib'])
})

test('@loader_path in an LC_RPATH is the directory of the file that has the LC_RPATH', () => {
  const { said } = load({
    '/app/bin/main': { needs: ['/deep/liba.dylib'], rpaths: ['@loader_path/../lib/'] },
    '/deep/liba.dylib': { id: 'a', needs: ['@rpath/libb.dylib', '@rpath/libc.dylib'], rpaths: ['@loader_path/x'] },
    '/app/lib/libb.dylib': { id: 'b' },
    '/lib/libb.dylib': { id: 'wrong' },
    '/deep/x/libc.dylib': { id: 'c' },
    '/app/bin/x/libc.dylib': { id: 'wrong' },
  })
  expect(said.slice(1)).toEqual([
    '@rpath/libb.dylib -> /app/lib/libb.dylib (LC_RPATH[0])',
    '@rpath/libc.dylib -> /deep/x/libc.dylib (LC_RPATH[0])',
  ])
})

test('the LC_RPATHs of a neighbour do not count', () => {
  const { said } = load({
    '/app/bin/main': { needs: ['/s/liba.dylib', '/s/libb.dylib'] },
    '/s/liba.dylib': { id: 'a', rpaths: ['/r'] },
    '/s/libb.dylib': { id: 'b', needs: ['@rpath/libc.dylib'] },
    '/r/libc.dylib': { id: 'c' },
  })
  expect(said[2]).toBe('@rpath/libc.dylib -> null (null)')
})

test('the directory of a library is that of its real path', () => {
  const { said } = load({
    '/app/bin/main': { needs: ['/links/liba.dylib'] },
    '/links/liba.dylib': '/s/liba.dylib',
    '/s/liba.dylib': { id: '/s/liba.dylib', needs: ['@loader_path/libb.dylib'] },
    '/s/libb.dylib': { id: 'b' },
    '/links/libb.dylib': { id: 'wrong' },
  })
  expect(said).toEqual([
    '/links/liba.dylib -> /s/liba.dylib (path)',
    '@loader_path/libb.dylib -> /s/libb.dylib (@loader_path)',
  ])
})

test('a name that a loaded library goes by is that library, whatever the own LC_RPATHs say', () => {
  const { said, images } = load({
    '/app/bin/main': { needs: ['/s/liba.dylib', '/s/libb.dylib'] },
    '/s/liba.dylib': { id: '@rpath/liba.dylib' },
    '/s/libb.dylib': { id: 'b', needs: ['@rpath/liba.dylib'], rpaths: ['/other'] },
    '/other/liba.dylib': { id: '@rpath/liba.dylib' },
  })
  expect(said[2]).toBe('@rpath/liba.dylib -> /s/liba.dylib (loaded)')
  expect(images).not.toContain('/other/liba.dylib')
})

test('all libraries of an image are loaded before those of the first of them', () => {
  const { images } = load({
    '/app/bin/main': { needs: ['/s/a', '/s/b'] },
    '/s/a': { id: '/s/a', needs: ['/s/c'] },
    '/s/b': { id: '/s/b', needs: ['/s/e'] },
    '/s/c': { id: '/s/c', needs: ['/s/a', '/s/d'] },
    '/s/d': { id: '/s/d' },
    '/s/e': { id: '/s/e' },
  })
  // And then all of the first library's before those of the second.
  expect(images).toEqual(['/app/bin/main', '/s/a', '/s/b', '/s/c', '/s/d', '/s/e'])
})

test('libraries of macOS are never looked at; a file on an LC_RPATH wins over them', () => {
  const { said, asked } = load({
    '/app/bin/main': {
      needs: [
        '/usr/lib/libSystem.B.dylib',
        '/System/Library/Frameworks/A.framework/A',
        '@rpath/s.dylib',
        '@rpath/t.dylib',
      ],
      rpaths: ['/usr/lib/swift', '@loader_path'],
    },
    '/app/bin/t.dylib': { id: 't' },
    '/usr/lib/libSystem.B.dylib': { id: 'wrong' },
    '/usr/lib/swift/t.dylib': { id: 'wrong' },
  })
  expect(said).toEqual([
    '/usr/lib/libSystem.B.dylib -> system (path)',
    '/System/Library/Frameworks/A.framework/A -> system (path)',
    '@rpath/s.dylib -> system (LC_RPATH[0])',
    '@rpath/t.dylib -> /app/bin/t.dylib (LC_RPATH[1])',
  ])
  expect(asked).toEqual(['/app/bin/s.dylib', '/app/bin/t.dylib'])
})

test('what is missing says where it was looked for, and whether that is an error', () => {
  const needs = ['/nix/store/gone.dylib', 'weak:@rpath/opt.dylib', 'relative.dylib', '@other/x', '@rpath']
  const { map } = load({ '/app/bin/main': { needs, rpaths: ['/r', 'relative', '/r', '@loader_pathological'] } })
  expect(map.resolutions.map(r => [r.dylib.kind, r.to, r.tried])).toEqual([
    ['load', null, ['/nix/store/gone.dylib']],
    ['weak', null, ['/r/opt.dylib']],
    ['load', null, []],
    ['load', null, []],
    ['load', null, []],
  ])
})

test('every kind of wish is followed', () => {
  const needs = ['weak:/s/a', 'reexport:/s/b', 'upward:/s/c', 'lazy:/s/d']
  const { images } = load({
    '/app/bin/main': { needs },
    ...Object.fromEntries(['a', 'b', 'c', 'd'].map(name => [`/s/${name}`, { id: name }])),
  })
  expect(images).toHaveLength(5)
})

test('a file without a slice for the CPU, or that is no library, is passed over', () => {
  const files = {
    '/app/bin/main': { needs: ['@rpath/a', '@rpath/b'], rpaths: ['/1', '/2'], cpus: [INTEL, ARM] },
    '/1/a': { id: 'a', cpus: [INTEL] },
    '/2/a': { id: 'a', cpus: [INTEL, ARM] },
    '/1/b': { filetype: 8 },
    '/2/b': { id: 'b', cpus: [INTEL, ARM] },
  }
  expect(load(files, '/app/bin/main', 0).images).toEqual(['/app/bin/main', '/1/a', '/2/b'])
  expect(load(files, '/app/bin/main', 1).images).toEqual(['/app/bin/main', '/2/a', '/2/b'])
})

test('slices by CPU and subtype', () => {
  const of = (...cpus: (readonly [number, number])[]) => facts({ id: 'x', cpus })
  const pick = (all: MachOFacts, cputype: number, cpusubtype: number) =>
    sliceFor(all, { cputype, cpusubtype })?.cpusubtype ?? null
  const E = 0x80000002
  expect(pick(of([ARM[0], 0], [ARM[0], E]), ARM[0], E)).toBe(E)
  expect(pick(of([ARM[0], 0], [ARM[0], E]), ARM[0], 0)).toBe(0)
  expect(pick(of([ARM[0], E]), ARM[0], 0)).toBe(null)
  expect(pick(of([ARM[0], 0]), ARM[0], E)).toBe(null)
  expect(pick(of([ARM[0], 1]), ARM[0], 0)).toBe(1)
  expect(pick(of([INTEL[0], 8], [INTEL[0], 3]), INTEL[0], 3)).toBe(3)
  expect(pick(of([INTEL[0], 8]), INTEL[0], 3)).toBe(8)
  expect(pick(of(INTEL), ARM[0], 0)).toBe(null)
})

test('a plugin by itself has no @executable_path', () => {
  const disk = new MemoryDisk({
    '/p/x.node': { filetype: 8, needs: ['@executable_path/a', '@loader_path/b'] },
    '/p/b': { id: 'b' },
    '/bin/a': { id: 'a' },
  })
  const file = disk.open('/p/x.node')!
  const tos = (executable?: SourcePath) =>
    loadImages(file, file.facts.slices[0]!, disk, executable).resolutions.map(r => r.to)
  expect(tos()).toEqual([null, '/p/b'])
  expect(tos('/bin/node' as SourcePath)).toEqual(['/bin/a', '/p/b'])
})

test('a library that finds another one by another chain is told', () => {
  const disk = new MemoryDisk({
    '/red/main': { needs: ['/s/shared'], rpaths: ['/red'] },
    '/blue/main': { needs: ['/s/shared'], rpaths: ['/blue'] },
    '/s/shared': { id: 'shared', needs: ['@rpath/twin', '/s/same'] },
    '/s/same': { id: 'same' },
    '/red/twin': { id: 'twin' },
    '/blue/twin': { id: 'twin' },
  })
  const maps = ['/red/main', '/blue/main'].map(path => {
    const file = disk.open(path)!
    return loadImages(file, file.facts.slices[0]!, disk)
  })
  expect(differences(maps)).toEqual([
    {
      by: '/s/shared',
      name: '@rpath/twin',
      choices: [
        { program: '/red/main', arch: '16777228', to: '/red/twin' },
        { program: '/blue/main', arch: '16777228', to: '/blue/twin' },
      ],
    },
  ])
  expect(differences(maps.slice(0, 1))).toEqual([])
})

/** What it took of a processor, in seconds. */
function seconds(run: () => void): number {
  const start = process.cpuUsage().user
  run()
  return (process.cpuUsage().user - start) / 1e6
}

test('a chain of 5,000 libraries, each with an LC_RPATH', () => {
  const files: Record<string, Described> = { '/s/main': { needs: ['@rpath/0'], rpaths: ['@loader_path'] } }
  for (let i = 0; i < 5000; i++)
    files[`/s/${i}`] = { id: `${i}`, needs: [`@rpath/${i + 1}`, 'weak:@rpath/none'], rpaths: ['@loader_path'] }
  const took = seconds(() => expect(load(files, '/s/main').images).toHaveLength(5001))
  expect(took).toBeLessThan(5)
})

test('1,000 libraries that all need each other', () => {
  const needs = Array.from({ length: 1000 }, (_, i) => `/s/${i}`)
  const files = Object.fromEntries(needs.map(path => [path, { id: path, needs }]))
  const took = seconds(() => expect(load({ '/app/bin/main': { needs }, ...files }).images).toHaveLength(1001))
  expect(took).toBeLessThan(5)
})

test('more LC_RPATHs and names than any linker writes are an error, soon', () => {
  const rpaths = Array.from({ length: 50_000 }, (_, i) => `/r/${i}`)
  const needs = rpaths.map(name => `@rpath${name}`)
  const took = seconds(() =>
    expect(() => load({ '/app/bin/main': { needs, rpaths } })).toThrow(
      '/app/bin/main: LC_RPATHs and names of libraries lead to too many paths',
    ),
  )
  expect(took).toBeLessThan(10)
})

test('real files: through an LC_RPATH into the store and a link, for both CPUs', () => {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'storefree-macho-')))
  try {
    const lab = new MachOLab(root)
    const place = (path: string) => {
      mkdirSync(dirname(join(root, path)), { recursive: true })
      return path
    }
    const lib = `${STORE}-a-1.0/lib`
    for (const arch of ['arm64', 'x86_64'] as const)
      lab.library(arch, `r-${arch}.dylib`, '@rpath/liba.1.dylib', '-rpath', '@loader_path')
    lab.lipo(place(`${lib.slice(1)}/liba.1.0.dylib`), ['r-arm64.dylib', 'r-x86_64.dylib'])
    symlinkSync('liba.1.0.dylib', join(root, `${lib}/liba.1.dylib`))
    for (const arch of ['arm64', 'x86_64'] as const) {
      lab.link(arch, place(`${arch}/bin/main`), '-rpath', lib, `main-${arch}.o`, `r-${arch}.dylib`)
      const disk: MachODisk = {
        open(path) {
          const real = realpathSync(join(root, path))
          const { bytes } = lab.fixture(real.slice(root.length + 1))
          return { path: real.slice(root.length) as SourcePath, facts: parseMachO(bufferSource(bytes), path) }
        },
      }
      const main = disk.open(`/${arch}/bin/main`)!
      const map = loadImages(main, main.facts.slices[0]!, disk)
      expect(map.resolutions.map(r => [r.dylib.name.value, r.to, r.via])).toEqual([
        ['@rpath/liba.1.dylib', `${lib}/liba.1.0.dylib`, 'LC_RPATH[0]'],
        ['/usr/lib/libSystem.B.dylib', 'system', 'path'],
        ['/usr/lib/libSystem.B.dylib', 'system', 'path'],
      ])
      expect(map.images.map(image => image.slice.arch)).toEqual([arch, arch])
    }
  } finally {
    rmSync(root, { recursive: true })
  }
})
