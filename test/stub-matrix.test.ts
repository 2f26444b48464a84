/**
 * Programs from every linker, layout and libc with the stub in them: in an empty root they say what they said before,
 * to the byte, and end as they ended.
 */
import { spawn } from 'node:child_process'
import { cpSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { temporary } from './support/bundle.ts'
import { eachOf, output } from './support/elf-tools.ts'
import { dropSections, inject, layOut, ROOT, SUPPORT, say, sayInEmptyRoot } from './support/stub-lab.ts'

const root = temporary()
// A cross compiler looks for lld among its own tools only, or where -B says.
symlinkSync('/usr/bin/ld.lld', join(root, 'ld.lld'))
const at = (...path: string[]): string => join(root, ...path)
const LINKERS: readonly string[] = ['bfd', 'gold', 'lld']
const KINDS: readonly string[] = ['pie', 'no-pie']
const env = { LC_ALL: 'C', WILD: ' a=b "c" ' }
/** What PT_INTERP of the program in an empty root has to be. */
const EXPECTED = (loader: string): Record<string, string> => ({ ...env, EXPECT_INTERP: `${ROOT}/lib/${loader}` })

/** How a program is linked, or what is done to it before or after the stub is put in. */
interface Layout {
  readonly name: string
  readonly link?: readonly string[]
  readonly before?: (file: string) => Promise<unknown>
  readonly after?: (file: string) => Promise<unknown>
}

/** Longer than what is there, so that patchelf has to move the string table. */
const LONGER = `$ORIGIN/../lib:${'/not/there'.repeat(30)}`
const patchelf = (file: string) => output('patchelf', ['--force-rpath', '--set-rpath', LONGER, file])
const layouts = (strip: string, linker: string): readonly Layout[] => [
  { name: 'plain' },
  { name: 'stripped', before: file => output(strip, [file]) },
  { name: 'max-page-size=65536', link: ['-Wl,-z,max-page-size=65536'] },
  { name: 'no section headers', before: async file => dropSections(file) },
  { name: 'norelro', link: ['-Wl,-z,norelro'] },
  { name: 'relro, now', link: ['-Wl,-z,relro,-z,now'] },
  // gold has no other layout.
  ...(linker === 'gold' ? [] : [{ name: 'noseparate-code', link: ['-Wl,-z,noseparate-code'] }]),
  { name: 'hash-style=sysv', link: ['-Wl,--hash-style=sysv'] },
  { name: 'patchelf before', before: patchelf },
  {
    name: 'patchelf and strip after',
    after: async file => {
      await patchelf(file)
      await output(strip, [file])
    },
  },
  // The dynamic section moves: what the stub knew of it at first is no longer so.
  { name: 'one more library after', after: file => output('patchelf', ['--add-needed', 'libmore.so', file]) },
]

/** All layouts for the libc of this machine; of the others each with a third of the linkers, or all when asked for. */
function share(libc: Libc, linker: string, kind: string): readonly Layout[] {
  const all = layouts(libc.strip, linker)
  const combination = LINKERS.indexOf(linker) + KINDS.indexOf(kind)
  return libc.cxx || process.env.STUB_MATRIX === 'full' ? all : all.filter((_, i) => (i + combination) % 3 === 0)
}

/** What patchelf and strip together make unfit to run, stub or not: the first page loses its end. */
const TOOLS_BREAK = ['glibc x86_64, lld, no-pie, patchelf and strip after']

const LIBRARIES = {
  'first.c': `
    static __thread int counter = 100;
    int library_counter(void) { return ++counter; }`,
  'plugin.c': `
    #include <stdio.h>
    static __thread int calls = 1000;
    static __thread char zeros[9000];
    static int ready;
    __attribute__((constructor)) static void start(void) { ready = 1; }
    __attribute__((destructor)) static void end(void) { puts("plugin ends"); }
    int plugged(int by) { zeros[8999] += by; return (calls += by) + zeros[8999] + ready; }`,
  'thrower.cc': `
    #include <stdexcept>
    #include <string>
    struct Guard { int *count; ~Guard() { ++*count; } };
    void thrower(int depth, int *count) {
      Guard guard{count};
      if (depth == 0) throw std::runtime_error(std::string("thrown"));
      thrower(depth - 1, count);
    }`,
  'throwing.cc': `
    #include <cstdio>
    #include <iostream>
    #include <stdexcept>
    void thrower(int depth, int *count);
    struct Global { Global() { std::cout << "global made" << std::endl; } ~Global() { std::puts("global gone"); } } global;
    extern "C" int throwing() {
      int count = 0;
      try { thrower(9, &count); } catch (const std::logic_error &) { return -1; }
      catch (const std::exception &e) { std::cout << e.what() << std::endl; }
      try { throw 5; } catch (int five) { count += five; }
      return count;
    }`,
}

/** A compiler, and what a bundle of its programs holds. */
interface Libc {
  readonly name: string
  readonly cc: string
  readonly loader: string
  readonly libraries: readonly string[]
  readonly linkers: readonly string[]
  readonly cxx: boolean
  /** Runs a program at its place, before it has the stub. */
  readonly emulator?: { readonly original: readonly string[]; readonly binary: string }
  readonly defines: readonly string[]
  readonly strip: string
}

const HOST = '/lib/x86_64-linux-gnu'
const CROSS = '/usr/aarch64-linux-gnu'
const RISCV = '/usr/riscv64-linux-gnu'
const I686 = '/usr/i686-linux-gnu'
const ARM = '/usr/arm-linux-gnueabihf'
const LIBCS: readonly Libc[] = [
  {
    name: 'glibc x86_64',
    cc: 'gcc',
    loader: '/lib64/ld-linux-x86-64.so.2',
    libraries: [
      ...['libc.so.6', 'libm.so.6', 'libgcc_s.so.1'].map(name => `${HOST}/${name}`),
      '/usr/lib/x86_64-linux-gnu/libstdc++.so.6',
    ],
    linkers: LINKERS,
    cxx: true,
    defines: ['-DCXX', '-DIFUNC'],
    strip: 'strip',
  },
  {
    name: 'musl x86_64',
    cc: 'musl-gcc',
    loader: '/lib/ld-musl-x86_64.so.1',
    libraries: [],
    linkers: LINKERS,
    cxx: false,
    defines: [],
    strip: 'strip',
  },
  {
    name: 'glibc aarch64',
    cc: 'aarch64-linux-gnu-gcc',
    loader: `${CROSS}/lib/ld-linux-aarch64.so.1`,
    libraries: ['libc.so.6', 'libm.so.6', 'libgcc_s.so.1'].map(name => `${CROSS}/lib/${name}`),
    linkers: LINKERS,
    cxx: false,
    emulator: {
      original: ['qemu-aarch64-static', '-L', CROSS],
      binary: '/usr/bin/qemu-aarch64-static',
    },
    defines: ['-DIFUNC'],
    strip: 'aarch64-linux-gnu-strip',
  },
  {
    name: 'glibc riscv64',
    cc: 'riscv64-linux-gnu-gcc',
    loader: `${RISCV}/lib/ld-linux-riscv64-lp64d.so.1`,
    libraries: ['libc.so.6', 'libm.so.6', 'libgcc_s.so.1'].map(name => `${RISCV}/lib/${name}`),
    // gold does not know it, and Debian's lld not what its start files need.
    linkers: ['bfd'],
    cxx: false,
    emulator: {
      original: ['qemu-riscv64-static', '-L', RISCV],
      binary: '/usr/bin/qemu-riscv64-static',
    },
    defines: ['-DIFUNC'],
    strip: 'riscv64-linux-gnu-strip',
  },
  {
    name: 'glibc i686',
    cc: 'i686-linux-gnu-gcc',
    loader: `${I686}/lib/ld-linux.so.2`,
    libraries: ['libc.so.6', 'libm.so.6', 'libgcc_s.so.1'].map(name => `${I686}/lib/${name}`),
    linkers: LINKERS,
    cxx: false,
    emulator: {
      original: ['qemu-i386-static', '-L', I686],
      binary: '/usr/bin/qemu-i386-static',
    },
    defines: ['-DIFUNC'],
    strip: 'i686-linux-gnu-strip',
  },
  {
    name: 'glibc armv7l',
    cc: 'arm-linux-gnueabihf-gcc',
    loader: `${ARM}/lib/ld-linux-armhf.so.3`,
    libraries: ['libc.so.6', 'libm.so.6', 'libgcc_s.so.1'].map(name => `${ARM}/lib/${name}`),
    // A program of it that gold has linked comes to no end, before it has the stub.
    linkers: ['bfd', 'lld'],
    cxx: false,
    emulator: {
      original: ['qemu-arm-static', '-L', ARM],
      binary: '/usr/bin/qemu-arm-static',
    },
    defines: ['-DIFUNC'],
    strip: 'arm-linux-gnueabihf-strip',
  },
]

describe.each(LIBCS)('$name', libc => {
  const here = at(libc.name)
  const base = join(here, 'base')
  const file = (name: string): string => join(here, name)
  const loader = libc.loader.slice(libc.loader.lastIndexOf('/') + 1)
  let place: ReturnType<typeof layOut>

  beforeAll(async () => {
    place = layOut(base, libc.loader, libc.libraries)
    const { cc } = libc
    for (const [name, text] of Object.entries(LIBRARIES)) writeFileSync(file(name), text)
    const shared = ['-shared', '-fPIC', '-O1', '-o']
    const objects = KINDS.flatMap(kind => {
      const flags = kind === 'pie' ? ['-fPIE'] : ['-fno-pie']
      const program = ['-O1', '-c', ...flags, ...libc.defines, join(SUPPORT, 'stub-program.c'), '-o', file(`${kind}.o`)]
      const cxx = ['-O1', '-c', ...flags, file('throwing.cc'), '-o', file(`${kind}-cxx.o`)]
      return [[cc, ...program], ...(libc.cxx ? [['g++', ...cxx]] : [])]
    })
    await eachOf(
      [
        [cc, ...shared, join(base, 'lib/libfirst.so'), file('first.c'), '-Wl,-soname,libfirst.so'],
        [cc, ...shared, join(base, 'lib/libplugin.so'), file('plugin.c')],
        [cc, ...shared, join(base, 'lib/libmore.so'), '-x', 'c', '/dev/null'],
        ...(libc.cxx ? [['g++', ...shared, join(base, 'lib/libthrower.so'), file('thrower.cc')]] : []),
        ...objects,
      ],
      async ([command, ...args]) => void (await output(command!, args)),
    )
  })

  /** Links bin/prog of a new copy of the bundle. */
  async function link(linker: string, kind: string, layout: Layout): Promise<string> {
    const copy = file(`${linker} ${kind} ${layout.name}`)
    cpSync(base, copy, { recursive: true })
    const program = join(copy, 'bin/prog')
    await output(libc.cxx ? 'g++' : libc.cc, [
      ...[`-fuse-ld=${linker}`, `-${kind}`, '-pthread', '-o', program, file(`${kind}.o`)],
      ...[`-B${root}`, `-L${join(copy, 'lib')}`],
      ...(libc.cxx ? [file(`${kind}-cxx.o`), '-lthrower'] : []),
      ...['-lfirst', '-Wl,--disable-new-dtags,-rpath,$ORIGIN/../lib', '-ldl', '-lm'],
      ...(layout.link ?? []),
    ])
    await layout.before?.(program)
    return copy
  }

  const original = (copy: string, program = join(copy, 'bin/prog')) => {
    const [command = program, ...args] = libc.emulator ? [...libc.emulator.original, program] : []
    const interp = libc.emulator ? `/lib/${loader}` : libc.loader
    return say(command, [...args, 'x', ''], { ...env, EXPECT_INTERP: interp })
  }
  const injected = (copy: string) => {
    const program = `${ROOT}/bin/prog`
    const { binary } = libc.emulator ?? {}
    const more = binary ? ['--ro-bind', binary, '/qemu'] : []
    return sayInEmptyRoot(copy, [...(binary ? ['/qemu'] : []), program, 'x', ''], EXPECTED(loader), more)
  }

  test.each(libc.linkers.flatMap(linker => KINDS.map(kind => ({ linker, kind }))))(
    '$linker, $kind, in its layouts',
    async ({ linker, kind }) => {
      await eachOf(share(libc, linker, kind), async layout => {
        const copy = await link(linker, kind, layout)
        const what = `${libc.name}, ${linker}, ${kind}, ${layout.name}`
        const before = await original(copy)
        expect(before, what).toMatchObject({ end: 23, stderr: '' })
        const program = join(copy, 'bin/prog')
        if (layout.after && TOOLS_BREAK.includes(what)) {
          const broken = join(copy, 'lib/prog')
          cpSync(program, broken)
          await layout.after(broken)
          expect(await original(copy, broken), what).toMatchObject({ end: 127, stdout: '' })
          return
        }
        inject(program, place)
        await layout.after?.(program)
        expect(await injected(copy), what).toEqual(before)
      })
    },
  )

  test('ld.so runs it, by the second way in', async () => {
    const copy = await link('bfd', 'pie', { name: 'second arrival' })
    inject(join(copy, 'bin/prog'), place)
    const once = await injected(copy)
    const { binary } = libc.emulator ?? {}
    const again = await sayInEmptyRoot(
      copy,
      [...(binary ? ['/qemu'] : []), `${ROOT}/lib/${loader}`, `${ROOT}/bin/prog`, 'x', ''],
      { ...EXPECTED(loader) },
      binary ? ['--ro-bind', binary, '/qemu'] : [],
    )
    // Started so there is no PT_INTERP for the program to see, and AT_BASE is 0: as for any other program.
    const lines = (said: { stdout: string }) =>
      said.stdout.split('\n').filter(l => /^(started|threads|plugin|ifunc|exc|atexit|destr)/.test(l))
    expect(lines(again), again.stderr).toEqual(lines(once))
    expect(lines(again).length).toBeGreaterThan(4)
  })
})

test('gdb attaches, and names main and libc', async () => {
  const copy = at('glibc x86_64', 'bfd pie plain')
  const child = spawn(join(copy, 'bin/prog'), ['--wait'], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    await new Promise(ready => child.stdout.once('data', ready))
    const said = await say('gdb', ['-nx', '-batch', '-p', `${child.pid}`, '-ex', 'bt', '-ex', 'info sharedlibrary'])
    expect(said.stdout).toMatch(/^#\d+ .* in main \(/m)
    expect(said.stdout).toMatch(/^#\d+ .* in (__libc_)?pause \(/m)
    expect(said.stdout).toContain(`${copy}/bin/../lib/libc.so.6`)
    expect(said.stdout).toContain(join(copy, 'lib/ld-linux-x86-64.so.2'))
  } finally {
    child.kill('SIGKILL')
  }
})
