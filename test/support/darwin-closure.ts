/**
 * A closure for macOS in this machine's store, as nixpkgs builds them, made on Linux by clang and lld. Its store paths are
 * known to no Nix database, and are removed at the end of the test file.
 */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll } from 'vitest'
import { temporary } from './bundle.ts'
import { systemLibrary } from './macho-lab.ts'

export type Target = 'arm64' | 'x86_64' | 'universal'

const SYMBOLS = ['_puts', '_fopen', '_execv', '_setenv', '_strstr']
const ALPHABET = '0123456789abcdfghijklmnpqrsvwxyz'
const hash = (): string => [...randomBytes(32)].map(byte => ALPHABET[byte % 32]).join('')

const made: string[] = []
afterAll(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true })
})

interface Options {
  /** Install name; a dylib when it is given. */
  readonly id?: string
  readonly bundle?: boolean
  /** Flags of the linker. */
  readonly flags?: readonly string[]
  /** Libraries that were built before. */
  readonly libraries?: readonly string[]
}

export class DarwinClosure {
  readonly #target: Target
  readonly #work = temporary()

  constructor(target: Target) {
    this.#target = target
    mkdirSync('/nix/store', { recursive: true })
    writeFileSync(join(this.#work, 'libSystem.tbd'), systemLibrary(SYMBOLS))
  }

  /** A new store path. */
  package(name: string): string {
    const path = `/nix/store/${hash()}-${name}`
    mkdirSync(path)
    made.push(path)
    return path
  }

  text(path: string, contents: string, mode = 0o644): string {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, contents)
    chmodSync(path, mode)
    return path
  }

  link(path: string, to: string): string {
    mkdirSync(dirname(path), { recursive: true })
    symlinkSync(to, path)
    return path
  }

  /** Compiles and links for every CPU of the target. */
  build(path: string, source: string, { id, bundle, flags = [], libraries = [] }: Options = {}): string {
    mkdirSync(dirname(path), { recursive: true })
    const archs = this.#target === 'universal' ? (['x86_64', 'arm64'] as const) : [this.#target]
    const kind = id !== undefined ? ['-dylib', '-install_name', id] : bundle ? ['-bundle'] : []
    const slices = archs.map(arch => {
      const output = join(this.#work, `output-${arch}`)
      writeFileSync(join(this.#work, 'source.c'), source)
      this.#run('clang-19', '-target', `${arch}-apple-macos11`, '-ffreestanding', '-c', 'source.c', '-o', 'source.o')
      this.#run(
        ...['ld64.lld-19', '-arch', arch, '-platform_version', 'macos', '11.0', '14.0', '-adhoc_codesign'],
        ...[...kind, ...flags, 'source.o', 'libSystem.tbd', ...libraries, '-o', output],
      )
      return output
    })
    if (slices.length === 1) this.#run('cp', slices[0]!, path)
    else this.#run('llvm-lipo-19', '-create', ...slices, '-output', path)
    chmodSync(path, 0o755)
    return path
  }

  #run(file: string, ...args: readonly string[]): void {
    execFileSync(file, args, { cwd: this.#work, stdio: 'pipe' })
  }
}

/** An application with about everything that is seen in the wild. */
export function application(target: Target) {
  const closure = new DarwinClosure(target)
  const foo = closure.package('libfoo-1.2')
  const libfoo = closure.build(`${foo}/lib/libfoo.1.dylib`, 'int foo(void) { return 1; }', {
    id: `${foo}/lib/libfoo.1.dylib`,
  })
  closure.link(`${foo}/lib/libfoo.dylib`, 'libfoo.1.dylib')
  const sub = closure.package('libsub-3')
  const libsub = closure.build(`${sub}/lib/libsub.dylib`, 'int sub(void) { return 2; }', {
    id: `${sub}/lib/libsub.dylib`,
  })
  const data = closure.package('data-1')
  closure.text(`${data}/share/table`, 'table\n')
  const bar = closure.package('libbar-2.0')
  const libbar = closure.build(
    `${bar}/lib/libbar.dylib`,
    `int foo(void); const char *table = "${data}/share/table"; int bar(void) { return foo() + table[0]; }`,
    { id: '@rpath/libbar.dylib', libraries: [libfoo], flags: ['-reexport_library', libsub] },
  )
  // Two libraries of one name and other contents.
  const [one, two] = [closure.package('dup-1'), closure.package('dup-2')]
  const dup1 = closure.build(`${one}/lib/libdup.dylib`, 'int dup_one(void) { return 1; }', {
    id: `${one}/lib/libdup.dylib`,
  })
  const dup2 = closure.build(`${two}/lib/libdup.dylib`, 'int dup_two(void) { return 2; }', {
    id: `${two}/lib/libdup.dylib`,
  })
  const kit = closure.package('Kit-5')
  const framework = `${kit}/Library/Frameworks/Kit.framework`
  const libkit = closure.build(`${framework}/Versions/A/Kit`, 'int kit(void) { return 5; }', {
    id: `${framework}/Versions/A/Kit`,
  })
  closure.text(`${framework}/Versions/A/Resources/Info.plist`, '<plist/>\n')
  closure.link(`${framework}/Versions/Current`, 'A')
  closure.link(`${framework}/Kit`, 'Versions/Current/Kit')
  const gone = closure.package('gone-0')
  const libgone = closure.build(`${gone}/lib/libgone.dylib`, 'int gone(void) { return 0; }', {
    id: `${gone}/lib/libgone.dylib`,
  })

  const app = closure.package('app-1.0')
  const main = `
    extern int puts(const char *);
    int foo(void), bar(void), sub(void), dup_one(void), dup_two(void), kit(void);
    extern int gone(void) __attribute__((weak_import));
    int main(void) { return foo() + bar() + sub() + dup_one() + dup_two() + kit() + (gone ? gone() : 0) + puts("${app}/share/greeting"); }`
  const program = closure.build(`${app}/bin/app`, main, {
    libraries: [libfoo, libbar, dup1, dup2, libkit, libsub],
    flags: ['-rpath', `${bar}/lib`, '-rpath', `${foo}/lib`, '-weak_library', libgone],
  })
  rmSync(gone, { recursive: true })
  closure.text(`${app}/share/greeting`, 'hello\n')
  closure.build(`${app}/lib/app/plugin.so`, 'int bar(void); int plugin(void) { return bar(); }', {
    bundle: true,
    libraries: [libbar],
    flags: ['-rpath', `${bar}/lib`],
  })
  const bash = closure.package('bash-5.2')
  closure.build(`${bash}/bin/bash`, 'int main(void) { return 0; }')
  closure.text(`${app}/bin/script`, `#!${bash}/bin/bash\nexec ${app}/bin/app "$@"\n`, 0o755)
  closure.text(
    `${app}/bin/greet`,
    `#!${bash}/bin/bash\n[ -s ${app}/share/greeting ] || exit 3\nexec ${app}/bin/app "$@"\n`,
    0o755,
  )
  closure.text(
    `${app}/bin/wrapped`,
    `#! ${bash}/bin/bash -e\nexport GREETING='${app}/share/greeting'\nexec -a "$0" "${app}/bin/app"  --quiet "$@" \n`,
    0o755,
  )
  closure.build(
    `${app}/bin/compiled`,
    `extern int execv(const char *, char *const *), setenv(const char *, const char *, int);
     extern char *strstr(const char *, const char *);
     const char *docs = "# This binary wrapper has been generated using the following command:\\n\\n\\n"
       "makeCWrapper '${app}/bin/app' \\\\\\n    --inherit-argv0 \\\\\\n    --set 'GREETING' '${app}/share/greeting' \\\\\\n"
       "    --prefix 'PATH' ':' '${bash}/bin' \\\\\\n    --add-flag '--from' \\\\\\n    --add-flag 'a b'\\n\\n\\n# (Use \`nix-shell -p makeBinaryWrapper\` to get access to makeCWrapper)\\n";
     int main(int argc, char **argv) { return setenv("A", docs, 1) + (strstr(docs, argv[0]) != 0) + execv("${app}/bin/app", argv); }`,
  )
  if (!existsSync(program)) throw new Error('nothing was built')
  return { app, foo, bar, sub, data, one, two, kit, bash }
}
