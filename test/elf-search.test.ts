/** The model of the dynamic loader against the loader itself (LD_TRACE_LOADED_OBJECTS). */
import { existsSync, readdirSync, realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { ElfFacts } from '../src/elf/facts.ts'
import { isElf, parseElf } from '../src/elf/parse.ts'
import { type Disk, type LoaderSettings, type Opened, Process } from '../src/elf/search.ts'
import { bufferSource, type Located } from '../src/io/bytes.ts'
import { withFile } from '../src/io/store.ts'
import type { SourcePath } from '../src/paths.ts'
import { buildElf } from './support/elf-image.ts'
import { Lab } from './support/elf-lab.ts'
import { RealDisk, traced } from './support/elf-process.ts'
import { eachOf, Random, temporaryDirectory } from './support/elf-tools.ts'

test('the libraries of all programs of this machine', { timeout: 120_000 }, async () => {
  const directory = temporaryDirectory()
  const disk = new RealDisk()
  const programs = new Set(['/usr/bin', '/usr/sbin'].flatMap(dynamicPrograms))
  let [compared, libraries] = [0, 0]
  await eachOf(programs, async program => {
    const oracle = await traced(program, directory)
    expect({ program, ...disk.chosen(program) }).toEqual({ program, ...oracle })
    compared++
    libraries += oracle.loaded.length
  })
  console.log(`compared with the loader: ${compared} programs, ${libraries} libraries`)
  expect(compared).toBeGreaterThan(200)
})

/** Files with an interpreter, which a traced start does not run, by real path; none that changes its user or group. */
const dynamicPrograms = (directory: string): string[] =>
  readdirSync(directory)
    .map(name => join(directory, name))
    .flatMap(path => (existsSync(path) ? [realpathSync(path)] : []))
    .filter(path => {
      const status = statSync(path, { throwIfNoEntry: false })
      if (!status?.isFile() || (status.mode & 0o6000) !== 0 || (status.mode & 0o111) === 0) return false
      return withFile(path, source => isElf(source.read(0, 4)) && parseElf(source, path).interp !== null)
    })

// ---- Rules, one by one -----------------------------------------------------------------------------------------

/** Builds what is described, and compares model and loader. What both say is given back, with the root left out. */
async function choose(describe: (lab: Lab) => string): Promise<{ loaded: string[]; missing: string[] }> {
  const lab = new Lab(realpathSync(temporaryDirectory()))
  const program = describe(lab)
  await lab.build()
  const [ours, theirs] = [new RealDisk().chosen(program), await traced(program, lab.cwd)]
  expect(ours).toEqual(theirs)
  const short = (name: string): string => name.replaceAll(`${lab.root}/`, '')
  return { loaded: theirs.loaded.map(short), missing: theirs.missing.map(short) }
}

describe('the loader and the model agree:', () => {
  test('RPATH is inherited by libraries', async () => {
    const { loaded } = await choose(lab => {
      lab.library('b/libb.so')
      lab.library('a/liba.so', { needed: ['libb.so'] })
      return lab.program('prog', { needed: ['liba.so'], rpath: '$ORIGIN/a:$ORIGIN/b' })
    })
    expect(loaded).toEqual(['liba.so => a/liba.so', 'libb.so => b/libb.so'])
  })

  test('DT_FILTER and DT_AUXILIARY come before their library', async () => {
    const { loaded, missing } = await choose(lab => {
      lab.library('a/libdeep.so')
      lab.library('a/libbehind.so', { needed: ['libdeep.so'] })
      lab.library('a/libaside.so')
      lab.library('a/libfilter.so', { filter: 'libbehind.so' })
      lab.library('a/libfront.so', { auxiliary: 'libaside.so' })
      return lab.program('prog', { needed: ['libfilter.so', 'libfront.so'], rpath: '$ORIGIN/a' })
    })
    expect(missing).toEqual([])
    expect(loaded.map(line => line.split(' ')[0])).toEqual([
      ...['libbehind.so', 'libfilter.so', 'libaside.so', 'libfront.so', 'libdeep.so'],
    ])
  })

  test('DT_FILTER of what DT_FILTER names, and DT_AUXILIARY of what is loaded already', async () => {
    const { loaded } = await choose(lab => {
      lab.library('a/libdeep.so')
      lab.library('a/libinner.so', { needed: ['libdeep.so'] })
      lab.library('a/libouter.so', { filter: 'libinner.so' })
      lab.library('a/libfilter.so', { filter: 'libouter.so' })
      lab.library('a/libfront.so', { auxiliary: 'libfilter.so' })
      return lab.program('prog', { needed: ['libfilter.so', 'libfront.so'], rpath: '$ORIGIN/a' })
    })
    expect(loaded).toHaveLength(5)
  })

  test('RUNPATH is not inherited', async () => {
    const { missing } = await choose(lab => {
      lab.library('b/libb.so')
      lab.library('a/liba.so', { needed: ['libb.so'] })
      return lab.program('prog', { needed: ['liba.so'], runpath: '$ORIGIN/a:$ORIGIN/b' })
    })
    expect(missing).toEqual(['libb.so'])
  })

  test('RUNPATH of the object that asks switches inherited RPATHs off', async () => {
    const { missing } = await choose(lab => {
      lab.library('b/libb.so')
      lab.library('a/liba.so', { needed: ['libb.so'], runpath: '/nonexistent' })
      return lab.program('prog', { needed: ['liba.so'], rpath: '$ORIGIN/a:$ORIGIN/b' })
    })
    expect(missing).toEqual(['libb.so'])
  })

  test('RUNPATH of a loader in between does not switch off RPATHs above it', async () => {
    const { loaded } = await choose(lab => {
      lab.library('c/libc0.so')
      lab.library('b/libb.so', { needed: ['libc0.so'] })
      lab.library('a/liba.so', { needed: ['libb.so'], runpath: '$ORIGIN/../b' })
      return lab.program('prog', { needed: ['liba.so'], rpath: '$ORIGIN/a:$ORIGIN/c' })
    })
    expect(loaded.at(-1)).toBe('libc0.so => c/libc0.so')
  })

  test("an object's own RPATH counts for nothing beside its RUNPATH", async () => {
    const { loaded, missing } = await choose(lab => {
      lab.library('a/liba.so')
      lab.library('b/libb.so')
      return lab.program('prog', { needed: ['liba.so', 'libb.so'], rpath: lab.at('a'), runpath: lab.at('b') })
    })
    // The RUNPATH here holds both directories, for RPATH is its tail.
    expect(loaded).toEqual(['liba.so => a/liba.so', 'libb.so => b/libb.so'])
    expect(missing).toEqual([])
  })

  test('RPATH beside RUNPATH is not inherited either', async () => {
    const { missing } = await choose(lab => {
      lab.library('b/libb.so')
      lab.library('a/liba.so', { needed: ['libb.so'] })
      return lab.program('prog', { needed: ['liba.so'], rpath: lab.at('b'), runpath: lab.at('a') })
    })
    expect(missing).toEqual(['libb.so'])
  })

  test('the nearest RPATH comes first', async () => {
    const { loaded } = await choose(lab => {
      lab.library('b/libb.so')
      lab.library('c/libb.so')
      lab.library('a/liba.so', { needed: ['libb.so'], rpath: '$ORIGIN/../c' })
      return lab.program('prog', { needed: ['liba.so'], rpath: '$ORIGIN/a:$ORIGIN/b' })
    })
    expect(loaded).toEqual(['liba.so => a/liba.so', 'libb.so => c/libb.so'])
  })

  test('the first directory wins', async () => {
    const { loaded } = await choose(lab => {
      lab.library('a/liba.so')
      lab.library('b/liba.so')
      return lab.program('prog', { needed: ['liba.so'], runpath: '$ORIGIN/none:$ORIGIN/b:$ORIGIN/a' })
    })
    expect(loaded).toEqual(['liba.so => b/liba.so'])
  })

  test('breadth first: what the program needs is chosen before what its libraries need', async () => {
    const { loaded } = await choose(lab => {
      lab.library('deep/libx.so', { soname: 'libx.so' })
      lab.library('top/libx.so', { soname: 'libx.so' })
      lab.library('a/liba.so', { needed: ['libx.so', 'libz.so'], runpath: '$ORIGIN/../deep' })
      lab.library('deep/libz.so')
      return lab.program('prog', { needed: ['liba.so', 'libx.so'], runpath: '$ORIGIN/a:$ORIGIN/top' })
    })
    expect(loaded).toEqual(['liba.so => a/liba.so', 'libx.so => top/libx.so', 'libz.so => deep/libz.so'])
  })

  test('an object that is loaded already wins by its soname, whatever the search would find', async () => {
    const { loaded } = await choose(lab => {
      lab.library('a/libfile.so', { soname: 'libreal.so.1' })
      lab.library('b/libreal.so.1', { soname: 'libreal.so.1' })
      lab.library('b/libb.so', { needed: ['libreal.so.1'], runpath: '$ORIGIN' })
      return lab.program('prog', { needed: ['libfile.so', 'libb.so'], runpath: '$ORIGIN/a:$ORIGIN/b' })
    })
    expect(loaded).toEqual(['libfile.so => a/libfile.so', 'libb.so => b/libb.so'])
  })

  test('without a soname a library goes by the names that it was asked for by', async () => {
    const { loaded } = await choose(lab => {
      lab.library('a/libn.so')
      lab.symlink('a/libother.so', 'libn.so')
      lab.library('b/libn.so')
      lab.library('b/libb.so', { needed: ['libn.so', 'libother.so'], runpath: '$ORIGIN:$ORIGIN/../a' })
      return lab.program('prog', { needed: ['libn.so', 'libb.so'], runpath: '$ORIGIN/a:$ORIGIN/b' })
    })
    expect(loaded).toEqual(['libn.so => a/libn.so', 'libb.so => b/libb.so'])
  })

  test('two names of one file are one object', async () => {
    const { loaded } = await choose(lab => {
      lab.library('a/libone.so.1.2')
      lab.symlink('a/libone.so.1', 'libone.so.1.2')
      lab.symlink('b/libtwo.so', '../a/libone.so.1')
      return lab.program('prog', { needed: ['libone.so.1', 'libtwo.so'], runpath: '$ORIGIN/a:$ORIGIN/b' })
    })
    expect(loaded).toEqual(['libone.so.1 => a/libone.so.1.2'])
  })

  test('$ORIGIN is where the link lies by which a library was opened, not the file', async () => {
    const { loaded } = await choose(lab => {
      lab.library('real/liba.so', { needed: ['libb.so'], runpath: '$ORIGIN' })
      lab.library('real/libb.so')
      lab.symlink('links/liba.so', '../real/liba.so')
      lab.library('links/libb.so')
      return lab.program('prog', { needed: ['liba.so'], runpath: '$ORIGIN/links' })
    })
    expect(loaded).toEqual(['liba.so => real/liba.so', 'libb.so => links/libb.so'])
  })

  test('$ORIGIN of the program is free of links', async () => {
    const { loaded } = await choose(lab => {
      lab.library('real/liba.so')
      lab.program('real/prog', { needed: ['liba.so'], runpath: '$ORIGIN' })
      lab.library('links/liba.so')
      lab.symlink('links/prog', '../real/prog')
      return lab.at('links/prog')
    })
    expect(loaded).toEqual(['liba.so => real/liba.so'])
  })

  test('$ORIGIN in braces, and $LIB', async () => {
    const { loaded } = await choose(lab => {
      lab.library('lib/x86_64-linux-gnu/liba.so')
      lab.library('x/libb.so')
      return lab.program('prog', { needed: ['liba.so', 'libb.so'], runpath: `\${ORIGIN}/$LIB:$ORIGIN/x` })
    })
    expect(loaded).toEqual(['liba.so => lib/x86_64-linux-gnu/liba.so', 'libb.so => x/libb.so'])
  })

  test('what only begins like $ORIGIN stands for itself', async () => {
    const { loaded, missing } = await choose(lab => {
      lab.library('x/liba.so')
      lab.library('$ORIGINAL/libb.so')
      return lab.program('prog', {
        needed: ['liba.so', 'libb.so'],
        runpath: `$ORIGIN_/x:\${ORIGIN/x:${lab.at('$ORIGINAL')}`,
      })
    })
    expect(loaded).toEqual(['libb.so => $ORIGINAL/libb.so'])
    expect(missing).toEqual(['liba.so'])
  })

  test('a needed path is opened as it stands', async () => {
    const { loaded, missing } = await choose(lab => {
      lab.library('x/liba.so')
      return lab.program('prog', { needed: [lab.at('x/liba.so'), lab.at('x/libnone.so')] })
    })
    expect(loaded).toEqual(['(a path) => x/liba.so'])
    expect(missing).toEqual(['(a path)'])
  })

  test('the same needed $ORIGIN/name means another file for another library', async () => {
    const { loaded } = await choose(lab => {
      for (const d of ['a', 'b']) {
        lab.library(`${d}/libx.so`)
        lab.library(`${d}/lib${d}.so`, { needed: ['$ORIGIN/libx.so'] })
      }
      return lab.program('prog', { needed: ['liba.so', 'libb.so'], rpath: '$ORIGIN/a:$ORIGIN/b' })
    })
    expect(loaded).toEqual([
      'liba.so => a/liba.so',
      'libb.so => b/libb.so',
      '(a path) => a/libx.so',
      '(a path) => b/libx.so',
    ])
  })

  test('a file of another class or machine is passed over', async () => {
    const { loaded } = await choose(lab => {
      lab.library('narrow/liba.so', { narrow: true })
      lab.library('foreign/liba.so', { foreign: true })
      lab.library('good/liba.so')
      return lab.program('prog', { needed: ['liba.so'], runpath: '$ORIGIN/narrow:$ORIGIN/foreign:$ORIGIN/good' })
    })
    expect(loaded).toEqual(['liba.so => good/liba.so'])
  })

  test('a cycle ends', async () => {
    const { loaded } = await choose(lab => {
      lab.library('liba.so', { needed: ['libb.so', 'liba.so'] })
      lab.library('libb.so', { needed: ['libc0.so', 'liba.so'] })
      lab.library('libc0.so', { needed: ['liba.so'] })
      return lab.program('prog', { needed: ['liba.so'], rpath: '$ORIGIN' })
    })
    expect(loaded).toEqual(['liba.so => liba.so', 'libb.so => libb.so', 'libc0.so => libc0.so'])
  })

  test('a missing library is asked for again by the next', async () => {
    const { loaded, missing } = await choose(lab => {
      lab.library('a/liba.so', { needed: ['libx.so'] })
      lab.library('b/libb.so', { needed: ['libx.so'], runpath: '$ORIGIN' })
      lab.library('b/libx.so')
      return lab.program('prog', { needed: ['liba.so', 'libb.so'], runpath: '$ORIGIN/a:$ORIGIN/b' })
    })
    expect(missing).toEqual(['libx.so'])
    expect(loaded.at(-1)).toBe('libx.so => b/libx.so')
  })

  test('-z nodefaultlib: nothing from the default directories, nor from the cache of them', async () => {
    const { missing } = await choose(lab => lab.program('prog', { needed: ['libc.so.6'], nodefaultlib: true }))
    expect(missing).toEqual(['libc.so.6'])
  })

  test('-z nodefaultlib is not inherited', async () => {
    const { loaded } = await choose(lab => {
      lab.library('liba.so', { needed: ['libc.so.6'] })
      return lab.program('prog', { needed: ['liba.so'], rpath: '$ORIGIN', nodefaultlib: true })
    })
    expect(loaded[1]).toMatch(/^libc\.so\.6 => \/usr\/lib\/x86_64-linux-gnu\/libc/)
  })

  test('empty and relative elements find nothing in an empty directory; slashes and dots do not matter', async () => {
    const { loaded } = await choose(lab => {
      lab.library('a/b/liba.so')
      return lab.program('prog', { needed: ['liba.so'], runpath: `:relative:.::${lab.at('a')}//.///b/./` })
    })
    expect(loaded).toEqual(['liba.so => a/b/liba.so'])
  })

  test('an empty RUNPATH still switches inherited RPATHs off', async () => {
    const { missing } = await choose(lab => {
      lab.library('libb.so')
      lab.library('liba.so', { needed: ['libb.so'], runpath: ':' })
      return lab.program('prog', { needed: ['liba.so'], rpath: '$ORIGIN' })
    })
    expect(missing).toEqual(['libb.so'])
  })

  test('a directory by the name of a library, and a broken link', async () => {
    const { loaded } = await choose(lab => {
      lab.symlink('a/liba.so', 'nothing')
      lab.library('b/liba.so')
      return lab.program('prog', { needed: ['liba.so'], runpath: '$ORIGIN/a:$ORIGIN/b' })
    })
    expect(loaded).toEqual(['liba.so => b/liba.so'])
  })
})

// A bundle runs in any directory: what lies in the current one is never part of it, although the loader looks there.
test('relative elements mean the current directory to the loader, and nothing to the model', async () => {
  const lab = new Lab(realpathSync(temporaryDirectory()))
  lab.library('cwd/here/liba.so')
  const program = lab.program('prog', { needed: ['liba.so'], runpath: 'here' })
  await lab.build()
  expect((await traced(program, lab.cwd)).loaded).toEqual([`liba.so => ${lab.at('cwd/here/liba.so')}`])
  expect(new RealDisk().chosen(program)).toEqual({ loaded: [], missing: ['liba.so'] })
})

// ---- Random graphs ---------------------------------------------------------------------------------------------

const GRAPHS = Number(process.env.GRAPHS ?? 160)

test(`${GRAPHS} random graphs`, { timeout: 600_000 }, async () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1e9)
  const lab = new Lab(realpathSync(temporaryDirectory()))
  const programs = Array.from({ length: GRAPHS }, (_, i) => randomGraph(lab, `g${i}`, new Random(seed + i)))
  await lab.build()
  const disk = new RealDisk()
  let [libraries, missing] = [0, 0]
  await eachOf(programs, async program => {
    const oracle = await traced(program, lab.cwd)
    expect({ program, seed, ...disk.chosen(program) }).toEqual({ program, seed, ...oracle })
    libraries += oracle.loaded.length
    missing += oracle.missing.length
  })
  console.log(`graphs: seed ${seed}, ${libraries} libraries chosen, ${missing} missing`)
  expect(libraries).toBeGreaterThan(GRAPHS)
})

/** A program and some libraries below `top`. */
function randomGraph(lab: Lab, top: string, random: Random): string {
  const directories = ['a', 'b', 'c', 'd', 'lib/x86_64-linux-gnu'].map(d => `${top}/${d}`)
  const names = Array.from({ length: 7 }, (_, i) => `lib${i}.so`)
  const real: string[] = []

  const element = (): string =>
    random.pick([
      ...directories.map(d => lab.at(d)),
      ...['', '/../a', '/../b', '/../c', '/../link', '/none', '/../$LIB', '/../lib/x86_64-linux-gnu', '/.'].flatMap(
        d => [`$ORIGIN${d}`, `\${ORIGIN}${d}`],
      ),
      `${lab.at(directories[0]!)}//./`,
      '',
      'relative',
      '$ORIGINAL',
      '$NONE/x',
      '/nonexistent',
    ])
  const path = (): string => Array.from({ length: 1 + random.below(4) }, element).join(':')
  const linked = () => {
    const kind = random.below(10)
    return {
      ...(random.chance(70) ? {} : { soname: random.pick(['libalias0.so', 'libalias1.so', ...names]) }),
      needed: Array.from({ length: random.below(4) }, () =>
        random.chance(70)
          ? random.pick(names)
          : random.pick([
              'libc.so.6',
              'libmissing.so',
              'libalias0.so',
              'libalias1.so',
              lab.at(`${random.pick(directories)}/${random.pick(names)}`),
              `$ORIGIN/${random.pick(names)}`,
              `\${ORIGIN}/../link/${random.pick(names)}`,
            ]),
      ),
      ...(kind < 4
        ? { rpath: path() }
        : kind < 7
          ? { runpath: path() }
          : kind < 8
            ? { rpath: path(), runpath: path() }
            : {}),
      ...(random.chance(8) && { nodefaultlib: true }),
    }
  }

  for (const name of names)
    for (const directory of directories) {
      if (!random.chance(50)) continue
      const at = `${directory}/${name}`
      const kind = random.below(100)
      if (kind < 12 && real.length > 0) lab.symlink(at, lab.at(random.pick(real)))
      else if (kind < 18) lab.library(at, { narrow: true })
      else if (kind < 24) lab.library(at, { foreign: true })
      else {
        lab.library(at, linked())
        real.push(at)
      }
    }
  lab.symlink(`${top}/link`, random.pick(['a', 'b', 'c']))
  const program = linked()
  const start = [random.pick(names), random.pick(names), random.pick(names)]
  return lab.program(`${top}/bin/prog`, {
    needed: [...start, ...program.needed],
    ...(random.chance(85)
      ? {
          rpath: directories
            .map(d => lab.at(d))
            .slice(random.below(4))
            .join(':'),
        }
      : { runpath: path() }),
  })
}

// ---- In memory: what the disk here has not ---------------------------------------------------------------------

const SETTINGS: LoaderSettings = { directories: ['/lib'], cache: new Map(), lib: 'lib', inheritsRunpath: false }
const BASE = parseElf(bufferSource(buildElf().bytes), 'base')

const located = (value: string): Located => ({ value, offset: 0, capacity: value.length + 1 })
function library(path: string, needed: readonly string[], more: Partial<ElfFacts> = {}): Opened {
  const facts: ElfFacts = {
    ...BASE,
    soname: null,
    rpath: null,
    runpath: null,
    flags1: 0,
    needed: needed.map(located),
    ...more,
  }
  return { path: path as SourcePath, facts }
}
const LD = library('/ld/ld.so', [])

function start(program: Opened, files: readonly Opened[], settings = SETTINGS): Process {
  const byPath = new Map<string, Opened>(files.map(f => [f.path, f]))
  const disk: Disk = { open: path => byPath.get(path) ?? null }
  return new Process(program, LD, settings, disk)
}
const paths = (process: Process): string[] => process.linkMap.objects.map(o => o.path)

test('the directories that an object names, with what stands in for their tokens', () => {
  const value = `$ORIGIN:$${'{ORIGIN}'}/../b:$ORIGINAL/c:/d/$LIB:/$PLATFORM/e::f:$ORIGIN_/g`
  const named = ["/$&/a$'", '/$&/b'].map(directory => {
    const program = library(`${directory}/program`, [], { runpath: located(value), rpath: located('/none') })
    return start(program, [program], { ...SETTINGS, lib: 'lib/x' }).directoriesOf(program.path)
  })
  expect(named).toEqual([
    ["/$&/a$'", "/$&/a$'/../b", '/d/lib/x', '/x86_64/e'],
    ['/$&/b', '/$&/b/../b', '/d/lib/x', '/x86_64/e'],
  ])
  const old = library('/a/old', [], { rpath: located('$ORIGIN/lib') })
  expect([start(old, [old]).directoriesOf(old.path), start(old, [old]).directoriesOf(LD.path)]).toEqual([
    ['/a/lib'],
    [],
  ])
})

test('-z nodefaultlib leaves the directories of ld.so.conf', () => {
  const cache = new Map([
    ['liba.so', ['/lib/liba.so', '/opt/liba.so']],
    ['libb.so', ['/lib/sub/libb.so']],
  ])
  const files = ['/lib/liba.so', '/opt/liba.so', '/lib/sub/libb.so'].map(path => library(path, []))
  const process = start(library('/prog', ['liba.so', 'libb.so'], { flags1: 0x800 }), files, { ...SETTINGS, cache })
  expect(paths(process)).toEqual(['/prog', '/opt/liba.so'])
  expect(process.missing.map(m => m.name)).toEqual(['libb.so'])
})

test('ld.so.cache comes before the default directories', () => {
  const cache = new Map([['liba.so', ['/opt/gone.so', '/opt/liba.so']]])
  const files = ['/lib/liba.so', '/opt/liba.so'].map(path => library(path, []))
  expect(paths(start(library('/prog', ['liba.so']), files, { ...SETTINGS, cache }))).toEqual(['/prog', '/opt/liba.so'])
})

test('the loader joins where it is needed first', () => {
  const process = start(
    library('/prog', ['liba.so', 'libb.so'], { interp: located('/ld/ld.so'), rpath: located('/x') }),
    [library('/x/liba.so', ['/ld/ld.so']), library('/x/libb.so', [])],
  )
  expect(paths(process)).toEqual(['/prog', '/x/liba.so', '/x/libb.so', '/ld/ld.so'])
})

test('a program is no library', () => {
  const files = [library('/x/liba.so', [], { type: 2 }), library('/y/liba.so', [])]
  expect(paths(start(library('/prog', ['liba.so'], { rpath: located('/x:/y') }), files))).toEqual([
    '/prog',
    '/y/liba.so',
  ])
})

test.each<[string, (i: number) => Partial<ElfFacts>]>([
  ['the RPATH of the program', i => (i === 0 ? { rpath: located('/x') } : {})],
  ['a RPATH each', () => ({ rpath: located('/x') })],
  ['a RUNPATH each', () => ({ runpath: located('/nowhere:/x') })],
])('a chain of 5,000 libraries with %s', (_, more) => {
  const names = Array.from({ length: 5000 }, (_, i) => `lib${i}.so`)
  const files = names.map((name, i) => library(`/x/${name}`, names.slice(i + 1, i + 2), more(i + 1)))
  const begin = performance.now()
  const process = start(library('/prog', names.slice(0, 1), more(0)), files, { ...SETTINGS, directories: ['/x'] })
  expect(paths(process)).toEqual(['/prog', ...files.map(f => f.path)])
  expect(process.missing).toEqual([])
  expect(performance.now() - begin).toBeLessThan(2000)
})

test('500 libraries in a chain, each with a RPATH that does not help', () => {
  const names = Array.from({ length: 500 }, (_, i) => `lib${i}.so`)
  const files = names.map((name, i) =>
    library(`/lib/${name}`, names.slice(i + 1, i + 2), { rpath: located(`/none${i}`) }),
  )
  const begin = performance.now()
  expect(paths(start(library('/prog', names.slice(0, 1)), files))).toHaveLength(501)
  expect(performance.now() - begin).toBeLessThan(2000)
})

test('a thousand needed names in each of a thousand libraries', () => {
  const names = Array.from({ length: 1000 }, (_, i) => `lib${i}.so`)
  const files = names.map(name => library(`/x/${name}`, names))
  const begin = performance.now()
  const process = start(library('/prog', names, { rpath: located('/x') }), files)
  expect(process.linkMap.objects).toHaveLength(1001)
  expect(performance.now() - begin).toBeLessThan(2000)
})
