/**
 * Ten programs that embed their prefix, each in its own way, compiled by clang -Os, gcc -Os, with lld, and by gcc -O2 for
 * aarch64, whose linkers keep a constant that is the end of another one only once: `"2.1"` lies in `"/nix/store/...-tool-2.1"`.
 * Beside the originals (conda-build#3986, spack#32253).
 */
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { type Beside, besideOriginal } from '../support/beside-original.ts'
import { compile, storePath } from '../support/store-lab.ts'

/** `PREFIX` is the program's own store path, `DEP` another one's; `say` prints what a file holds. */
const HEAD = `
  #define _GNU_SOURCE
  #include <dirent.h>
  #include <stdio.h>
  #include <stdlib.h>
  #include <string.h>
  #include <uchar.h>
  #include <wchar.h>
  static __attribute__((noinline)) void say(const char *path) {
    char line[200] = "";
    FILE *file = fopen(path, "r");
    printf("%s: %s\\n", path, file && fgets(line, sizeof line, file) ? line : "NO");
    if (file) fclose(file);
  }`
const PROGRAMS: Readonly<Record<string, string>> = {
  'a version that ends the prefix': `
    int main(void) { puts("2.1"); puts("tool-2.1"); puts("ol-2.1"); printf("%s %s\\n", "1", ".1"); say(PREFIX "/share/data"); return 0; }`,
  'a table of directories': `
    static const char *const dirs[] = { PREFIX, PREFIX "/share", PREFIX "/etc", "/share", "/etc", "share", "etc", DEP "/share", DEP };
    int main(int argc, char **argv) {
      char path[400];
      for (unsigned i = 0; i < sizeof dirs / sizeof *dirs; i++) { snprintf(path, sizeof path, "%s/data", dirs[i]); say(path); puts(dirs[i]); }
      return 0; }`,
  'environment variables': `
    int main(void) {
      setenv("A", "1", 1); setenv("B", "2.1", 1); setenv("VERSION", "-2.1", 1); setenv("PREFIX", PREFIX, 0); setenv("D", "data", 1);
      for (const char *const *n = (const char *const[]){"A", "B", "VERSION", "PREFIX", "D", 0}; *n; n++) puts(getenv(*n));
      say(PREFIX "/share/data"); return 0; }`,
  formats: `
    int main(int argc, char **argv) {
      char path[400];
      snprintf(path, sizeof path, PREFIX "/share/%s", argc > 5 ? "none" : "data"); say(path);
      snprintf(path, sizeof path, "%s" "/share/data", DEP); say(path);
      printf("%s%s\\n", PREFIX "/share/%s" + strlen(PREFIX), "share/%s"); return 0; }`,
  comparisons: `
    int main(int argc, char **argv) {
      const char *volatile own = PREFIX, *volatile tail = "tool-2.1";
      printf("%d %d %d %d\\n", strcmp(own + strlen(own) - 8, tail), strncmp(own, "/nix/", 5) == 0 || own[0] == '/', strcmp(strrchr(own, '-') + 1, "2.1"), (int)strlen(own));
      say(PREFIX "/share/data"); return strcmp(strrchr(own, '-'), "-2.1"); }`,
  sizes: `
    static const char path[] = PREFIX "/share/data"; static char copy[sizeof path]; static const struct { char name[sizeof DEP]; int n; } dep = { DEP, 42 };
    int main(void) { memcpy(copy, path, sizeof path); say(copy); printf("%zu %zu %d %zu\\n", sizeof path, strlen(copy), dep.n, strlen(dep.name)); puts(dep.name); return 0; }`,
  'a search path': `
    int main(void) {
      char *all = strdup(PREFIX "/none:" DEP "/share:" PREFIX "/share"), path[400];
      for (char *d = strtok(all, ":"); d; d = strtok(0, ":")) { snprintf(path, sizeof path, "%s/data", d); say(path); }
      puts("share"); puts("/share"); puts("2.1/share"); return 0; }`,
  'a directory that is listed': `
    int main(void) {
      DIR *d = opendir(PREFIX "/share"); int n = 0; for (struct dirent *e; d && (e = readdir(d)); ) n += e->d_name[0] != '.';
      printf("%d files, %s\\n", n, "share"); say(DEP "/share/data"); puts(DEP + strlen(DEP) - 3); return 0; }`,
  'a default that an option changes': `
    static const char *conf = PREFIX "/etc/tool.conf"; static const char *const names[] = { "tool.conf", "conf", "etc/tool.conf" };
    int main(int argc, char **argv) { if (argc > 1) conf = argv[1]; say(conf); for (int i = 0; i < 3; i++) puts(names[i]); return 0; }`,
  'constants of several lengths in one function': `
    static __attribute__((noinline)) int len(const char *a) { return (int)strlen(a); }
    int main(void) {
      printf("%d %d %d %d %d\\n", len("a"), len("ta"), len("data"), len("/data"), len("share/data"));
      say(PREFIX "/share/data"); say(DEP "/share/data"); say(PREFIX "//share/../share/data"); printf("%s|%s|%s\\n", "dep-2.1", "tool-2.1", "l-2.1"); return 0; }`,
}
const CROSS = '/usr/aarch64-linux-gnu/lib'
const COMPILERS = [
  { name: 'clang -Os', cc: 'clang-19', flags: ['-Os'], run: '' },
  { name: 'clang -Os, lld', cc: 'clang-19', flags: ['-Os', '-fuse-ld=lld', '-Wl,-O2'], run: '' },
  { name: 'gcc -Os', cc: 'gcc', flags: ['-Os'], run: '' },
  {
    name: 'gcc -O2 for aarch64',
    cc: 'aarch64-linux-gnu-gcc',
    flags: ['-O2', `-Wl,-dynamic-linker,${CROSS}/ld-linux-aarch64.so.1,-rpath,${CROSS}`],
    run: '/usr/bin/qemu-aarch64-static ',
  },
  {
    name: 'gcc -O2 for aarch64, static',
    cc: 'aarch64-linux-gnu-gcc',
    flags: ['-O2', '-static'],
    run: '/usr/bin/qemu-aarch64-static ',
  },
]
const NAMES = Object.keys(PROGRAMS)

describe.each(COMPILERS)('$name', ({ cc, flags, run }) => {
  let beside: Beside
  beforeAll(() => {
    const dep = storePath('dep-2.1', { 'share/data': 'data of dep' })
    const tool = storePath('tool-2.1', {
      'share/data': 'data of tool',
      'share/more': '',
      'etc/tool.conf': 'a = 1',
      'etc/data': 'e',
    })
    for (const [i, name] of NAMES.entries())
      compile(cc, HEAD + PROGRAMS[name]!, join(tool, `bin/p${i}`), [
        ...flags,
        '-w',
        `-DPREFIX="${tool}"`,
        `-DDEP="${dep}"`,
      ])
    beside = besideOriginal(tool, Object.fromEntries(NAMES.map((name, i) => [name, `${run}$T/bin/p${i}`])))
  }, 600_000)

  test.each(NAMES)('%s', name => {
    expect(beside.original[name]).toMatch(/data of|a = 1/)
    expect.soft(beside.relocatable[name]).toBe(beside.original[name])
    expect.soft(beside.prefix[name]).toBe(beside.original[name])
  })
})
