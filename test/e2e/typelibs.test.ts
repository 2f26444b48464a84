/**
 * Typelibs name their libraries by store path (nixpkgs' absolute_shlib_path.patch), which PyGObject and gjs open: beside
 * the original, with a libgmodule that does no more than that. PyGObject's own were tried by hand.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { type Beside, besideOriginal } from '../support/beside-original.ts'
import { fixture } from '../support/bundle.ts'
import { compile, GLIBC, storePath } from '../support/store-lab.ts'

/** A header, and behind it the names of libraries. */
function typelib(libraries: string, little = true): Buffer {
  const header = Buffer.alloc(112)
  header.write('GOBJ\nMETADATA\r\n\x1a', 'latin1')
  header[16] = 4
  if (little) header.writeUInt32LE(120, 52)
  else header.writeUInt32BE(120, 52)
  return Buffer.concat([header, Buffer.alloc(8), Buffer.from(`${libraries}\0Greet\0`)])
}

const READS = `
  #include <dlfcn.h>
  #include <stdio.h>
  #include <stdlib.h>
  #include <string.h>
  void *g_module_open(const char *name);
  int main(int argc, char **argv) {
    char path[4096], bytes[4096];
    snprintf(path, sizeof path, "%s/%s", getenv("GI_TYPELIB_PATH"), argv[1]);
    FILE *file = fopen(path, "rb");
    size_t size = file ? fread(bytes, 1, sizeof bytes, file) : 0;
    if (size < 120) return puts("no typelib"), 1;
    for (char *name = strtok(bytes + 120, ","); name; name = strtok(0, ",")) {
      void *library = g_module_open(name);
      const char *(*greet)(void) = library ? dlsym(library, "greet") : 0;
      puts(greet ? greet() : dlerror());
    }
  }`

let found: Beside

beforeAll(() => {
  const libc = storePath('libc-1.0', Object.fromEntries(Object.entries(GLIBC.libc).map(([n, f]) => [`lib/${n}`, f])))
  const shared = (soname: string): string[] => ['-shared', '-fPIC', `-Wl,-soname,${soname},-rpath,${libc}/lib`]
  const glib = storePath('glib-2.74', { 'share/glib/data': 'data\n' })
  const opens = '#include <dlfcn.h>\nvoid *g_module_open(const char *name) { return dlopen(name, RTLD_NOW); }'
  compile('gcc', opens, join(glib, 'lib/libgmodule-2.0.so.0'), shared('libgmodule-2.0.so.0'))
  const greeter = (name: string): string => {
    const root = storePath(`${name}-1.0`, { [`share/${name}/words`]: `${name} speaks` })
    const text = `
      #include <stdio.h>
      const char *greet(void) {
        static char words[80];
        FILE *file = fopen("${root}/share/${name}/words", "r");
        return file && fgets(words, sizeof words, file) ? words : "speechless";
      }`
    compile('gcc', text, join(root, `lib/lib${name}.so.0`), shared(`lib${name}.so.0`))
    return `${root}/lib/lib${name}.so.0`
  }
  const names = [greeter('one'), greeter('another'), 'libm.so.6'].join(',')
  const app = storePath('app-1.0', {
    'lib/girepository-1.0/Greet-1.0.typelib': typelib(names),
    'lib/girepository-1.0/Big-1.0.typelib': typelib(names, false),
    // Neither is one.
    'lib/girepository-1.0/Short-1.0.typelib': typelib(names).subarray(0, 100),
    'lib/girepository-1.0/Other-1.0.typelib': Buffer.from('text\n'),
  })
  compile('gcc', READS, join(app, 'bin/.reads-wrapped'), [
    join(glib, 'lib/libgmodule-2.0.so.0'),
    `-Wl,-rpath,${glib}/lib:${libc}/lib,--dynamic-linker,${libc}/lib/${GLIBC.loader}`,
  ])
  const wrapper = `#! ${fixture('bash')}/bin/bash -e\nexport GI_TYPELIB_PATH='${app}/lib/girepository-1.0'\nexec -a "$0" "${app}/bin/.reads-wrapped"  "$@" \n`
  mkdirSync(dirname(join(app, 'bin/reads')), { recursive: true })
  writeFileSync(join(app, 'bin/reads'), wrapper, { mode: 0o755 })
  found = besideOriginal(app, {
    libraries: '"$T"/bin/reads Greet-1.0.typelib | head -2; "$T"/bin/reads Big-1.0.typelib | head -2',
  })
})

test('the original', () =>
  expect(found.original.libraries).toBe('one speaks\nanother speaks\n'.repeat(2).concat('exit 0')))

test.each(['relocatable', 'prefix'] as const)('%s: they are opened, by libgmodule', kind => {
  expect(found.said[kind]).toBe('')
  expect(found[kind].libraries).toBe(found.original.libraries)
})
