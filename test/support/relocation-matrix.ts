/** Bundles around relocation-matrix.c: a program, a library and a plugin with a store path in every place there is. */
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { temporary } from './bundle.ts'
import { AARCH64, ARMV7L, I686, RISCV64 } from './cross.ts'
import { output } from './elf-tools.ts'
import { PLACEHOLDER, relocate } from './relocation-lab.ts'
import { layOut, ROOT, SUPPORT } from './stub-lab.ts'

/** A C library, and the compiler for it. */
export interface MatrixLibc {
  readonly name: string
  readonly cc: string
  readonly loader: string
  readonly libraries: readonly string[]
  /** Constructors run when the program itself starts, so AT_ENTRY comes before; dlclose does nothing; no dlmopen. */
  readonly isMusl: boolean
  /** Of another CPU; an absolute path. */
  readonly emulator?: string
}

export const GLIBC: MatrixLibc = {
  name: 'glibc',
  cc: 'gcc',
  loader: '/lib64/ld-linux-x86-64.so.2',
  libraries: ['/lib/x86_64-linux-gnu/libc.so.6'],
  isMusl: false,
}
export const MUSL: MatrixLibc = {
  name: 'musl',
  cc: 'musl-gcc',
  loader: '/lib/ld-musl-x86_64.so.1',
  libraries: [],
  isMusl: true,
}

/** Of the other CPUs' C libraries; this machine's kernel runs i686. */
export const OTHERS: readonly MatrixLibc[] = [AARCH64, RISCV64, I686, ARMV7L].map(
  ({ name, cc, loader, libc, emulator }) => ({
    ...{ name, cc, loader, libraries: [libc], isMusl: false },
    ...(name === 'i686' ? {} : { emulator }),
  }),
)

const LLD = ['-fuse-ld=lld']
export const LAYOUTS: readonly (readonly string[])[] = [
  [],
  ['-Wl,-z,noseparate-code'],
  ['-Wl,-z,now'],
  ['-Wl,-z,norelro'],
  LLD,
  [...LLD, '-Wl,--no-rosegment'],
  [...LLD, '-Wl,-z,now'],
  [...LLD, '-Wl,-z,norelro'],
]
export const KINDS = ['pie', 'no-pie'] as const

const scratch = temporary()
let made = 0
symlinkSync('/usr/bin/ld.lld', join(scratch, 'ld.lld'))

/** Compiles and makes a bundle: bin/prog, lib/libreloc.so, lib/plugin.so. */
export async function buildMatrix(
  libc: MatrixLibc,
  kind: (typeof KINDS)[number],
  link: readonly string[],
  { hooked = true } = {},
): Promise<string> {
  const bundle = join(scratch, `${++made}`)
  const loader = layOut(bundle, libc.loader, libc.libraries)
  const at = (path: string): string => join(bundle, path)
  const flags = [
    ...['-O1', '-D_GNU_SOURCE', `-DSTORE="${PLACEHOLDER}"`, `-B${scratch}`, '-pthread', ...link],
    join(SUPPORT, 'relocation-matrix.c'),
  ]
  const shared = ['-shared', '-fPIC', ...flags]
  await Promise.all([
    output(libc.cc, [...shared, '-DLIBRARY', '-o', at('lib/libreloc.so'), '-Wl,-soname,libreloc.so']),
    output(libc.cc, [...shared, '-DPLUGIN', '-o', at('lib/plugin.so')]),
  ])
  await output(libc.cc, [
    ...[`-${kind}`, kind === 'pie' ? '-fPIE' : '-fno-pie', ...flags, '-o', at('bin/prog'), `-L${at('lib')}`],
    ...['-lreloc', '-Wl,--disable-new-dtags,-rpath,$ORIGIN/../lib'],
  ])
  relocate(bundle, loader, ['lib/libreloc.so', 'lib/plugin.so'], { hooked })
  return bundle
}

/** How to run it in an empty root. */
export const COMMAND = [`${ROOT}/bin/prog`, `${ROOT}/lib/plugin.so`]

/** A string of the program: whose, who reads it, and where it lies. */
export interface MatrixString {
  readonly object: 'program' | 'library' | 'plugin'
  readonly reader: string
  readonly place: string
}

/** What each place holds behind the store path. */
const PLACES: Readonly<Record<string, (store: string) => string>> = {
  rodata: s => `${s}/rodata ${PLACEHOLDER.length + '/rodata'.length + 1}`,
  code: s => `${s}/code`,
  data: s => `${s}/data ${PLACEHOLDER.length + '/data'.length + 1}`,
  'thread-local': s => `${s}/thread`,
  pointer: s => `${s}/pointer/joined`,
  counted: s => `${s}/counted`,
  relro: s => `${s}/in-relro 60`,
  'relro name': s => `${s}/relro`,
  'rodata border': s => `${s}/border`,
  'relro border': s => `${s}/border`,
  'data border': s => `${s}/border`,
}

/**
 * What the program says.
 * @param store what a string's store path is for whom
 * @param watched what the threads see that go on while the program starts
 */
export function matrixLines(libc: MatrixLibc, store: (string: MatrixString) => string, watched = 'no changes'): string {
  const all = (object: MatrixString['object'], reader: string): string[] =>
    Object.entries(PLACES).map(([place, text]) => {
      // Of a library that is linked (with musl of a plugin too) the threads that are there get their copies before ld.so
      // tells that it has mapped anything.
      const isEarly = object === 'library' || (object === 'plugin' && libc.isMusl)
      const isCopied = place === 'thread-local' && isEarly && reader !== 'thread'
      return `${object} ${reader} ${place}: ${text(isCopied ? PLACEHOLDER : store({ object, reader, place }))}`
    })
  const started = (object: 'library' | 'plugin') => [...all(object, 'constructor'), ...all(object, 'thread')]
  const opened = (reader: string, isNew = true) => [
    ...(isNew ? [...started('plugin'), 'plugin watcher: no changes'] : []),
    ...all('plugin', reader),
  ]
  const once = [
    ...started('library'),
    ...all('program', 'constructor'),
    ...all('program', 'main'),
    `library watcher: ${watched}`,
    ...all('library', 'main'),
    ...opened('dlopen'),
    ...opened('again', !libc.isMusl),
    ...(libc.isMusl ? [] : opened('dlmopen')),
  ]
  return [...once, ...once, ''].join('\n')
}
