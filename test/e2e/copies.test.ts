/** Store paths in a library's variable that the loader copies into a program: both find what is named. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { fixture, mustBundle, run, temporary } from '../support/bundle.ts'
import { AARCH64, ARMV7L, I686, RISCV64 } from '../support/cross.ts'
import { EmptyRoot } from '../support/root.ts'

const directory = temporary()

const SOURCES = {
  'library.c': `
    #include <stdio.h>
    struct entry { const char *name; int (*call)(const char *); char path[200]; };
    char page_path[300] = "PAGE";
    const struct entry entries[2] = { { "none", puts, "none" }, { "page", puts, "PAGE" } };
    void check(const char *where, const char *path) {
      FILE *file = fopen(path, "r");
      printf("%s: %s\\n", where, file ? "found" : path);
      if (file) fclose(file);
    }
    __attribute__((constructor)) static void start(void) {
      check("library's constructor, data", page_path);
      check("library's constructor, relro", entries[1].path);
    }
    void library(void) { check("library, data", page_path); check("library, relro", entries[1].path); }`,
  'program.c': `
    struct entry { const char *name; int (*call)(const char *); char path[200]; };
    extern char page_path[300];
    extern const struct entry entries[2];
    void check(const char *, const char *), library(void);
    __attribute__((constructor)) static void start(void) { check("constructor, data", page_path); }
    int main(void) {
      check("main, data", page_path);
      check("main, relro", entries[1].path);
      library();
      return 0;
    }`,
}

interface Kind {
  readonly name: string
  readonly cc: string
  readonly flags: readonly string[]
  readonly pie?: readonly string[]
  readonly emulator?: string
}

test.each<Kind>([
  { name: 'GNU ld', cc: 'gcc', flags: [] },
  // gcc takes copies there too.
  { name: 'GNU ld, pie', cc: 'gcc', flags: [], pie: ['-fPIE', '-pie'] },
  { name: 'lld', cc: 'gcc', flags: ['-fuse-ld=lld'] },
  { name: 'now', cc: 'gcc', flags: ['-Wl,-z,now'] },
  ...[AARCH64, RISCV64, I686, ARMV7L].map(({ name, cc, loader, sysroot, emulator }) => ({
    ...{ name, cc, flags: [`-Wl,-dynamic-linker,${loader},-rpath,${sysroot}/lib`], emulator },
  })),
])('$name', ({ name, cc, flags, emulator, pie = ['-fno-pie', '-no-pie'] }: Kind) => {
  const at = (path: string): string => join(directory, name, path)
  const page = `${fixture('nginx')}/html/index.html`
  for (const part of ['bin', 'lib']) mkdirSync(at(part), { recursive: true })
  for (const [file, text] of Object.entries(SOURCES)) writeFileSync(at(file), text.replaceAll('PAGE', page))
  const compile = (...args: string[]): void =>
    expect(run(cc, ['-O1', ...args, ...flags])).toMatchObject({ code: 0, stderr: '' })
  compile('-shared', '-fPIC', at('library.c'), '-o', at('lib/liblibrary.so'), '-Wl,-soname,liblibrary.so')
  compile(...pie, at('program.c'), '-o', at('bin/program'), `-L${at('lib')}`, '-llibrary', '-Wl,-rpath,$ORIGIN/../lib')
  expect(run('readelf', ['-rW', at('bin/program')]).stdout.match(/R_\w+_COPY/g)).toHaveLength(2)
  // The program itself holds no store path.
  expect(readFileSync(at('bin/program')).includes(page)).toBe(false)

  mustBundle([at('bin/program'), '-f', 'dir', '-o', at('bundle')])
  const root = new EmptyRoot(at('bundle'), '/srv/x', emulator ? ['--ro-bind', emulator, '/qemu'] : [])
  const said = emulator ? root.run('/qemu', ['/srv/x/bin/program']) : root.run('bin/program')
  expect(said).toMatchObject({ code: 0, stderr: '' })
  const places = ['constructor, data', 'main, data', 'main, relro', 'library, data', 'library, relro']
  const early = ["library's constructor, data", "library's constructor, relro"]
  expect(said.stdout).toBe([...early, ...places].map(place => `${place}: found\n`).join(''))
})
