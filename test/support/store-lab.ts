/**
 * Closures in Nix's shape, made by hand: store paths with names that nothing else has, removed after the tests of the
 * file. For other CPUs they are compiled by Debian's cross compilers, on the C library that comes with those.
 */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { copyFileSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll } from 'vitest'
import { run, temporary } from './bundle.ts'

const BASE32 = '0123456789abcdfghijklmnpqrsvwxyz'
const made: string[] = []
afterAll(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true })
})

/** What lies in a store path: contents, a copy of another file, or a link. */
type Contents = string | Buffer | { readonly from: string } | { readonly link: string }

/** A new store path with files in it; a name that ends in a slash is a directory without any. */
export function storePath(name: string, files: Readonly<Record<string, Contents>> = {}): string {
  const hash = [...randomBytes(32)].map(byte => BASE32[byte % 32]).join('')
  const root = `/nix/store/${hash}-${name}`
  mkdirSync(root)
  made.push(root)
  for (const [at, contents] of Object.entries(files)) {
    const path = join(root, at)
    mkdirSync(at.endsWith('/') ? path : dirname(path), { recursive: true })
    if (at.endsWith('/')) continue
    if (typeof contents === 'object' && 'from' in contents) copyFileSync(contents.from, path)
    else if (typeof contents === 'object' && 'link' in contents) symlinkSync(contents.link, path)
    else
      writeFileSync(path, contents, { mode: typeof contents === 'object' || contents.startsWith('#!') ? 0o755 : 0o644 })
  }
  return root
}

/** Compiles a C text to `to`; its directory is made. */
export function compile(cc: string, text: string, to: string, flags: readonly string[]): void {
  mkdirSync(dirname(to), { recursive: true })
  execFileSync(cc, ['-x', 'c', '-', '-x', 'none', '-O1', '-o', to, ...flags], { input: text })
}

/** A C compiler with its library, as a closure of the fake store is made of them. */
export interface Toolchain {
  readonly cc: string
  /** Makes of a library one that the loader passes over. */
  readonly spoil: (library: Buffer) => void
  /** The name of the loader, and the C library's store path by its names below lib/. */
  readonly loader: string
  readonly libc: Readonly<Record<string, Contents>>
}

const GREETING = `
  const char *greeting(void) { return "greetings from a library"; }`
const PLUGIN = `
  const char *speak(void) { return "a plugin speaks"; }`
/** Prints what differs between CPUs, and what its libraries, its plugin, its thread and its data file say. */
const PROGRAM = `
  #include <dlfcn.h>
  #include <math.h>
  #include <pthread.h>
  #include <stdio.h>
  #include <string.h>
  const char *greeting(void);
  static void *end(void *text) { pthread_exit(text); }
  int main(int argc, char **argv) {
    const int one = 1;
    printf("%d bits, %s endian\\n", (int)sizeof(void *) * 8, *(const char *)&one ? "little" : "big");
    printf("named %s\\n", strrchr(argv[0], '/') + 1);
    for (int i = 1; i < argc; i++) printf("argument '%s'\\n", argv[i]);
    printf("%s, %.6f\\n", greeting(), sqrt(argc));
    pthread_t thread;
    void *said = "nothing";
    pthread_create(&thread, 0, end, "a thread ends");
    pthread_join(thread, &said);
    puts(said);
    void *plugin = dlopen("libplugin.so.1", RTLD_NOW);
    const char *(*speak)(void) = plugin ? dlsym(plugin, "speak") : 0;
    puts(speak ? speak() : "no plugin");
    FILE *data = fopen(DATA, "r");
    char line[80] = "no data\\n";
    if (data) fgets(line, sizeof line, data);
    fputs(line, stdout);
    return 3;
  }`

/** What a fixture's program prints when its data file is out of reach. */
export const NO_DATA = 'no data'

/** A program, with a script that it interprets and a wrapper of that, on a library with a plugin, on a C library; each in its store path. */
export function greeterClosure({ cc, spoil, loader, libc: files }: Toolchain): {
  libc: string
  library: string
  program: string
} {
  const libc = storePath(
    'libc-1.0',
    Object.fromEntries(Object.entries(files).map(([name, contents]) => [`lib/${name}`, contents])),
  )
  const library = storePath('libgreeting-1.0')
  const shared = ['-shared', '-fPIC', `-Wl,-rpath,${library}/lib`, `-Wl,-rpath,${libc}/lib`]
  compile(cc, GREETING, join(library, 'lib/libgreeting.so.1'), [...shared, '-Wl,-soname,libgreeting.so.1'])
  compile(cc, PLUGIN, join(library, 'lib/libplugin.so.1'), [...shared, '-Wl,-soname,libplugin.so.1'])
  const spoilt = readFileSync(join(library, 'lib/libgreeting.so.1'))
  spoil(spoilt)
  const decoy = storePath('decoy-1.0', { 'lib/libgreeting.so.1': spoilt })
  const program = storePath('greeter-1.0', { 'share/greeter/data': 'a line of data\n' })
  compile(cc, PROGRAM, join(program, 'bin/greeter'), [
    ...['-fPIE', '-pie', `-DDATA="${program}/share/greeter/data"`, join(library, 'lib/libgreeting.so.1')],
    ...[`-Wl,-rpath,${decoy}/lib:${library}/lib:${libc}/lib`, `-Wl,--dynamic-linker,${libc}/lib/${loader}`],
    ...['-Wl,--enable-new-dtags', '-lm', '-pthread', '-ldl'],
  ])
  const script = (name: string, text: string): void => writeFileSync(join(program, 'bin', name), text, { mode: 0o755 })
  script('shown', `#!${program}/bin/greeter shows\n`)
  // As makeWrapper writes it, with the greeter in the shell's place.
  copyFileSync(join(program, 'bin/greeter'), join(program, 'bin/bash'))
  script('wrapped', `#! ${program}/bin/bash -e\nexport WRAPPED='1'\nexec -a "$0" "${program}/bin/shown"  "$@" \n`)
  return { libc, library, program }
}

/** Another CPU: Debian's cross compiler for it, and the emulator that runs its programs. */
export interface Cpu extends Toolchain {
  /** As in a Nix system string. */
  readonly arch: string
  readonly emulator: string
  /** As readelf(1) names its files. */
  readonly machine: RegExp
}

/** A library for SPARC, by its e_machine. */
const ofAnotherMachine = (library: Buffer): void => {
  library[library[5] === 1 ? 18 : 19] = 2
}

const cross = (
  arch: string,
  triplet: string,
  emulator: string,
  loader: string,
  machine: RegExp,
  spoil = ofAnotherMachine,
): Cpu => ({
  arch,
  cc: `${triplet}-gcc`,
  loader,
  libc: Object.fromEntries(
    [loader, 'libc.so.6', 'libm.so.6', 'libgcc_s.so.1'].map(name => [name, { from: `/usr/${triplet}/lib/${name}` }]),
  ),
  emulator: `/usr/bin/qemu-${emulator}-static`,
  machine,
  spoil,
})

/** The C library of this machine. */
export const GLIBC: Toolchain = {
  cc: 'gcc',
  spoil: ofAnotherMachine,
  loader: 'ld-linux-x86-64.so.2',
  libc: {
    'ld-linux-x86-64.so.2': { from: '/lib64/ld-linux-x86-64.so.2' },
    ...Object.fromEntries(
      ['libc.so.6', 'libm.so.6', 'libgcc_s.so.1'].map(name => [name, { from: `/lib/x86_64-linux-gnu/${name}` }]),
    ),
  },
}

/** musl of this machine's CPU, in the shape that it has in nixpkgs: its loader is a link to libc.so. */
export const MUSL: Toolchain = {
  cc: 'musl-gcc',
  spoil: ofAnotherMachine,
  loader: 'ld-musl-x86_64.so.1',
  libc: { 'libc.so': { from: '/usr/lib/x86_64-linux-musl/libc.so' }, 'ld-musl-x86_64.so.1': { link: 'libc.so' } },
}

/** Both widths and both byte orders; instruction sets with and without a stub. */
export const CPUS: readonly Cpu[] = [
  cross('aarch64', 'aarch64-linux-gnu', 'aarch64', 'ld-linux-aarch64.so.1', /ELF64.*little.*AArch64/s),
  cross('armv7l', 'arm-linux-gnueabihf', 'arm', 'ld-linux-armhf.so.3', /ELF32.*little.*ARM/s, library => {
    // EF_ARM_ABI_FLOAT_SOFT for EF_ARM_ABI_FLOAT_HARD.
    library.writeUInt32LE((library.readUInt32LE(36) & ~0x400) | 0x200, 36)
  }),
  cross('i686', 'i686-linux-gnu', 'i386', 'ld-linux.so.2', /ELF32.*little.*Intel 80386/s),
  cross('riscv64', 'riscv64-linux-gnu', 'riscv64', 'ld-linux-riscv64-lp64d.so.1', /ELF64.*little.*RISC-V/s, library => {
    // EF_RISCV_FLOAT_ABI_SOFT for EF_RISCV_FLOAT_ABI_DOUBLE.
    library.writeUInt32LE(library.readUInt32LE(48) & ~6, 48)
  }),
  cross('s390x', 's390x-linux-gnu', 's390x', 'ld64.so.1', /ELF64.*big.*S\/390/s),
]

/** Where a bundle lies in the roots below. */
export const PLACE = '/srv/x'

/**
 * Runs a command where there is nothing but a bundle at PLACE, a static shell as /bin/sh, `more`, /proc and /dev. Nothing
 * but the bundle has libraries there.
 */
export const inBareRoot = (bundle: string, command: readonly string[], more: readonly string[] = []) =>
  run('/usr/bin/bwrap', bareRoot(bundle, command, more), { env: { LANG: 'C' } })

/** The arguments of bwrap for it. */
export const bareRoot = (bundle: string, command: readonly string[], more: readonly string[] = []): string[] => [
  ...['--unshare-pid', '--tmpfs', '/', '--proc', '/proc', '--dev', '/dev', '--dir', '/tmp'],
  ...['--ro-bind', '/bin/busybox', '/bin/sh', '--ro-bind', bundle, PLACE, ...more, '--', ...command],
]

/** Runs a program of a bundle for another CPU that the kernel starts by itself there: without a launcher. */
export const emulated = (cpu: Cpu, bundle: string, program: string, args: readonly string[]) =>
  inBareRoot(bundle, ['/emulator', `${PLACE}/${program}`, ...args], ['--ro-bind', cpu.emulator, '/emulator'])

/**
 * Runs a shell launcher, byte for byte as it is in the bundle. It ends in the execution of the bundle's loader: there
 * lies, in this root only, a script that gives the loader and all arguments to the emulator, which is what
 * binfmt_misc does in the kernel.
 */
export function launched(cpu: Cpu, bundle: string, program: string, args: readonly string[]) {
  const loader = `lib/${cpu.loader}`
  const script = join(temporary(), 'loader')
  writeFileSync(script, '#!/bin/sh\nexec /emulator /loader "$@"\n', { mode: 0o755 })
  const mounts: [from: string, to: string][] = [
    [cpu.emulator, '/emulator'],
    [join(bundle, loader), '/loader'],
    [script, `${PLACE}/${loader}`],
  ]
  return inBareRoot(
    bundle,
    [`${PLACE}/${program}`, ...args],
    mounts.flatMap(([from, to]) => ['--ro-bind', from, to]),
  )
}
