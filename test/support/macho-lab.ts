/**
 * Mach-O files made on Linux, by clang and lld without an SDK, and those of npm packages that other tools have made.
 * A missing tool or package is a failed test: native-fixtures/setup.sh brings them.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { basename, join } from 'node:path'

export interface Fixture {
  readonly name: string
  readonly path: string
  readonly bytes: Buffer
}

export const STORE = '/nix/store/4x5ks0dq9ky1i2q3w4v5g6h7j8k9l0mn'

/** A stub of the system's library, for the linker, in the place of an SDK. */
export const systemLibrary = (symbols: readonly string[]): string => `--- !tapi-tbd
tbd-version:     4
targets:         [ x86_64-macos, arm64-macos ]
install-name:    '/usr/lib/libSystem.B.dylib'
current-version: 1351
compatibility-version: 1
exports:
  - targets: [ x86_64-macos, arm64-macos ]
    symbols: [ ${[...symbols, 'dyld_stub_binder'].join(', ')} ]
...
`
const SOURCES = {
  a: `extern int puts(const char *);
int (*table[])(const char *) = {puts};
int a(void) { return puts("a") + table[0]("b"); }`,
  main: 'extern int a(void);\nint main(void) { return a(); }',
  big: 'extern int puts(const char *);\nconst char big[123457] = "big";\nint a(void) { return puts(big); }',
  tiny: 'int tiny(void) { return 7; }',
}

export const ARCHS = ['arm64', 'x86_64'] as const
export type Arch = (typeof ARCHS)[number]

export class MachOLab {
  readonly directory: string

  constructor(directory: string) {
    this.directory = directory
    writeFileSync(this.at('libSystem.tbd'), systemLibrary(['_puts', '_exit']))
    for (const [name, text] of Object.entries(SOURCES)) {
      writeFileSync(this.at(`${name}.c`), text)
      for (const arch of ARCHS)
        this.run(
          'clang-19',
          ...['-target', `${arch}-apple-macos11`, '-ffreestanding', '-O1', '-c'],
          ...[`${name}.c`, '-o', `${name}-${arch}.o`],
        )
    }
    for (const arch of ARCHS) this.library(arch, `liba-${arch}.dylib`, `${STORE}-a-1.0/lib/liba.1.dylib`)
  }

  at(path: string): string {
    return join(this.directory, path)
  }

  run(file: string, ...args: readonly string[]): string {
    return execFileSync(file, args, { cwd: this.directory, encoding: 'latin1', stdio: 'pipe', maxBuffer: 1 << 28 })
  }

  link(arch: Arch, output: string, ...args: readonly string[]): Fixture {
    const versions = args.includes('-platform_version') ? [] : ['-platform_version', 'macos', '11.0', '14.0']
    this.run('ld64.lld-19', '-arch', arch, ...versions, ...args, 'libSystem.tbd', '-o', output)
    return this.fixture(output)
  }

  library(arch: Arch, output: string, id: string, ...args: readonly string[]): Fixture {
    return this.link(arch, output, '-adhoc_codesign', '-dylib', '-install_name', id, ...args, `a-${arch}.o`)
  }

  lipo(output: string, inputs: readonly string[], ...flags: readonly string[]): Fixture {
    this.run('llvm-lipo-19', '-create', ...flags, ...inputs, '-output', output)
    return this.fixture(output)
  }

  fixture(path: string): Fixture {
    return { name: basename(path), path: this.at(path), bytes: readFileSync(this.at(path)) }
  }

  write(path: string, bytes: Buffer): Fixture {
    writeFileSync(this.at(path), bytes)
    return this.fixture(path)
  }

  /** Over thirty files that lld has signed: kinds, fixups, paddings, lengths. */
  signed(): Fixture[] {
    return ARCHS.flatMap(arch =>
      ['-fixup_chains', '-no_fixup_chains'].flatMap(fixups => {
        const directory = `${arch}${fixups}`
        mkdirSync(this.at(directory), { recursive: true })
        const liba = `liba-${arch}.dylib`
        const link = (name: string, ...args: readonly string[]) =>
          this.link(arch, `${directory}/${name}`, '-adhoc_codesign', fixups, ...args)
        const dylib = (name: string, ...args: readonly string[]) => link(name, '-dylib', ...args, `a-${arch}.o`)
        return [
          dylib('liba.1.dylib', '-install_name', `${STORE}-a-1.0/lib/liba.1.dylib`),
          dylib(
            'libr.dylib',
            '-install_name',
            '@rpath/libr.dylib',
            '-rpath',
            `${STORE}-r/lib`,
            '-rpath',
            '@loader_path',
          ),
          dylib('padded.dylib', '-install_name', `${STORE}-p/lib/padded.dylib`, '-headerpad', '1000'),
          dylib('tight.dylib', '-install_name', `${STORE}-t/lib/tight.dylib`, '-headerpad', '0'),
          dylib('weak.dylib', '-install_name', '@rpath/weak.dylib', '-weak_library', liba),
          dylib('reexport.dylib', '-install_name', '@rpath/reexport.dylib', '-reexport_library', liba),
          dylib(
            'versions.dylib',
            '-install_name',
            'v.dylib',
            '-current_version',
            '1.2.3',
            '-compatibility_version',
            '1.2',
          ),
          link('big.dylib', '-dylib', '-install_name', `/${'long/'.repeat(50)}big.dylib`, `big-${arch}.o`),
          link('plugin.bundle', '-bundle', `a-${arch}.o`),
          link('program', '-rpath', `${STORE}-a-1.0/lib`, '-rpath', '@executable_path/../lib', `main-${arch}.o`, liba),
          link('environment', '-dyld_env', `DYLD_LIBRARY_PATH=${STORE}-e/lib`, `main-${arch}.o`, liba),
        ]
      }),
    )
  }

  /** Files of other kinds, some of which no linker at hand makes: they are made of others by hand. */
  others(): Fixture[] {
    const [arm, intel] = ['liba-arm64.dylib', 'liba-x86_64.dylib']
    const unsigned = ARCHS.map(arch =>
      this.link(arch, `unsigned-${arch}.dylib`, '-no_adhoc_codesign', '-dylib', '-install_name', 'u', `big-${arch}.o`),
    )
    const old = ['-platform_version', 'macos', '10.9', '10.13.4', '-no_fixup_chains', '-adhoc_codesign']
    const weak = this.library('arm64', 'weak-arm64.dylib', '@rpath/weak.dylib', '-weak_library', arm)
    return [
      ...unsigned,
      ...ARCHS.map(arch => this.fixture(`tiny-${arch}.o`)),
      this.link('x86_64', 'old-x86_64', ...old, 'main-x86_64.o', intel),
      this.write('upward.dylib', withCommand(weak.bytes, 0x80000018, 0x80000023)),
      this.write('lazy.dylib', withCommand(weak.bytes, 0x80000018, 0x20)),
      this.arm64e(),
      this.lipo('fat', [intel, arm]),
      this.lipo('fat64', [intel, arm], '-fat64'),
      this.lipo('fat-unsigned', ['unsigned-x86_64.dylib', 'unsigned-arm64.dylib']),
      this.lipo('fat-arm64e', [intel, arm, 'arm64e.dylib']),
    ]
  }

  /** lld does not link for arm64e: the subtype is set. */
  arm64e(): Fixture {
    const bytes = Buffer.from(this.fixture('liba-arm64.dylib').bytes)
    bytes.writeUInt32LE(0x80000002, 8)
    return this.write('arm64e.dylib', bytes)
  }
}

/** A thin little-endian 64-bit file in which load commands of one kind are of another. */
function withCommand(original: Buffer, from: number, to: number): Buffer {
  const bytes = Buffer.from(original)
  for (let i = 0, at = 32; i < bytes.readUInt32LE(16); i++, at += bytes.readUInt32LE(at + 4))
    if (bytes.readUInt32LE(at) === from) bytes.writeUInt32LE(to, at)
  return bytes
}

const NPM = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'storefree', 'macho')

/** The files that native-fixtures/macho.sh has fetched: signed by Go's linker, ld64, lld and codesign. */
export const npmFixtures = (): Fixture[] =>
  [
    'esbuild-darwin-arm64-0.28.2/bin/esbuild',
    'img-sharp-libvips-darwin-arm64-1.3.4/lib/libvips-cpp.8.18.7.dylib',
    'rolldown-binding-darwin-arm64-1.3.3/rolldown-binding.darwin-arm64.node',
    'biomejs-cli-darwin-arm64-2.5.15/biome',
    'fsevents-2.3.3/fsevents.node',
  ].map(file => ({ name: basename(file), path: join(NPM, file), bytes: readFileSync(join(NPM, file)) }))
