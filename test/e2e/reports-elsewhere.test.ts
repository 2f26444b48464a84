/**
 * Public reports of programs of Nix that other bundlers, images and packages put elsewhere and that missed something there,
 * each built small: beside the original, relocatable and for one place, with the store hidden.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { type Beside, besideOriginal } from '../support/beside-original.ts'
import { bundle, fixture, mustBundle, run, temporary, withoutNix } from '../support/bundle.ts'
import { compile, GLIBC, storePath } from '../support/store-lab.ts'

const JOBS: Readonly<Record<string, string>> = {
  'nixpkgs#23655, nixpkgs#82732 (PostgreSQL): shared files by where the program lies, links followed':
    '"$T"/bin/initdb; mkdir -p profile/bin; ln -s "$T"/bin/initdb profile/bin; profile/bin/initdb; PATH=$PWD/profile/bin:$PATH initdb',
  'nix-bundle#58: from another directory, by a path from there':
    'cd "$T"/bin/..; bin/initdb; cd bin; ./initdb; cd /; "$T"/bin/initdb',
  'nix-bundle#24: no variable is lost': 'env -i HOSTNAME=here LC_ALL=C PWD=/ "A B=c d" "$T"/bin/variables',
  'nix-portable#75: the way there goes through links':
    'mkdir -p real; ln -s "$(dirname "$T")" home; ln -s home elsewhere; home/"$(basename "$T")"/bin/initdb; elsewhere/"$(basename "$T")"/bin/initdb',
  'nix#9193: a program with several names runs itself by one of them':
    '"$T"/bin/nix-channel --update; "$T"/bin/nix-channel x y',
  'KiaraGrouwstra/nix-config#20 (dpkg): programs that have to be there by their full names': '"$T"/bin/dpkg',
  'a file beside a program in bin/, by argv[0], and one that is sourced (activate of a venv)':
    '"$T"/bin/beside; PATH="$T"/bin beside; . "$T"/bin/activate; cd "$T"/bin; ./beside',
  'rules_nixpkgs#449: a search path leads to links into another package': '"$T"/bin/linked',
}

/** As PostgreSQL's find_my_exec and make_relative_path (src/port/path.c). */
const INITDB = `
  #include <limits.h>
  #include <stdio.h>
  #include <stdlib.h>
  #include <string.h>
  #include <unistd.h>
  static int found(char *path) { return access(path, X_OK) == 0; }
  int main(int argc, char **argv) {
    static char at[PATH_MAX], real[PATH_MAX], line[80];
    if (strchr(argv[0], '/')) strcpy(at, argv[0]);
    else
      for (char *part = strtok(strdup(getenv("PATH")), ":"); part; part = strtok(0, ":"))
        if (snprintf(at, sizeof at, "%s/%s", part, argv[0]), found(at)) break;
    if (!realpath(at, real)) return puts("no executable"), 1;
    const char *share = SHARE, *bin = BIN;
    size_t common = 0;
    for (size_t i = 0; share[i] && share[i] == bin[i]; i++) if (share[i] == '/') common = i + 1;
    *strrchr(real, '/') = 0;
    size_t tail = strlen(bin + common), all = strlen(real);
    snprintf(at, sizeof at, "%s/postgres.bki", share);
    if (all > tail && !strcmp(real + all - tail, bin + common))
      snprintf(at, sizeof at, "%.*s%s/postgres.bki", (int)(all - tail), real, share + common);
    else puts("as compiled");
    FILE *file = fopen(at, "r");
    return printf("%s\\n", file && fgets(line, sizeof line, file) ? line : "does not exist") < 0;
  }`

const app = storePath('elsewhere-1')
const home = temporary()
let found: Beside

beforeAll(() => {
  const libc = storePath('libc-1.0', Object.fromEntries(Object.entries(GLIBC.libc).map(([n, f]) => [`lib/${n}`, f])))
  const bound = [`-Wl,-rpath,${libc}/lib`, `-Wl,--dynamic-linker,${libc}/lib/${GLIBC.loader}`]
  const program = (name: string, text: string, ...flags: string[]): void =>
    compile('gcc', text, join(app, 'bin', name), [...bound, ...flags])
  const data = storePath('ignored-1', { 'share/postgresql/postgres.bki': 'a catalogue\n' })
  run('cp', ['-r', `${data}/share`, app])
  program('initdb', INITDB, `-DSHARE="${app}/share/postgresql"`, `-DBIN="${app}/bin"`)
  program('variables', '#include <stdio.h>\nint main(int c, char **v, char **e) { while (*e) puts(*e++); }')
  program(
    'nix',
    `#include <stdio.h>\n#include <string.h>\n#include <unistd.h>
    int main(int c, char **v) {
      char *slash = strrchr(v[0], '/'), *name = slash ? slash + 1 : v[0];
      printf("%s %d\\n", name, c), fflush(stdout);
      if (!strcmp(name, "nix-channel")) execl(BIN "/nix-env", BIN "/nix-env", "--install", (char *)0), puts("error: executing nix-env");
      return 0;
    }`,
    `-DBIN="${app}/bin"`,
    '-static',
  )
  program(
    'beside',
    `#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>
    int main(int c, char **v) {
      char at[4096], line[80], *slash = strrchr(v[0], '/');
      snprintf(at, sizeof at, "%.*s/beside.conf", slash ? (int)(slash - v[0]) : 4000, slash ? v[0] : getenv("PATH"));
      FILE *file = fopen(at, "r");
      return printf("%s\\n", file && fgets(line, sizeof line, file) ? line : "does not exist") < 0;
    }`,
  )
  writeFileSync(join(app, 'bin/beside.conf'), 'a configuration')
  writeFileSync(join(app, 'bin/activate'), 'echo active\n')
  for (const name of ['nix-env', 'nix-channel']) symlinkSync('nix', join(app, 'bin', name))
  const bash = `${fixture('bash')}/bin/bash`
  const tools = storePath('coreutils-9', {
    'bin/coreutils': `#!${bash}\necho "\${0##*/}"\n`,
    'bin/rm': { link: 'coreutils' },
  })
  const diff = storePath('diffutils-3', { 'bin/diff': `#!${bash}\necho diff\n` })
  program(
    'dpkg',
    `#include <stdio.h>\n#include <sys/stat.h>
    int main(void) {
      const char *names[] = {"${tools}/bin/rm", "${diff}/bin/diff", "${app}/bin/dpkg-deb"};
      for (int i = 0; i < 3; i++) {
        struct stat s;
        puts(stat(names[i], &s) || !S_ISREG(s.st_mode) || !(s.st_mode & 0111) ? "not found in PATH or not executable" : "found");
      }
    }`,
  )
  symlinkSync('dpkg', join(app, 'bin/dpkg-deb'))
  const crypt = storePath('cryptsetup-2')
  compile('gcc', 'const char *crypt_version(void) { return "2.6"; }', `${crypt}/lib/libcryptsetup.so.12`, [
    '-shared',
    '-fPIC',
    '-Wl,-soname,libcryptsetup.so.12',
  ])
  mkdirSync(join(app, '_solib_k8/_U'), { recursive: true })
  symlinkSync(`${crypt}/lib/libcryptsetup.so.12`, join(app, '_solib_k8/_U/libcryptsetup.so.12'))
  program(
    'linked',
    '#include <stdio.h>\nconst char *crypt_version(void);\nint main(void) { return puts(crypt_version()) < 0; }',
    `${crypt}/lib/libcryptsetup.so.12`,
    '-Wl,-rpath,$ORIGIN/../_solib_k8/_U',
  )
  found = besideOriginal(app, JOBS)
})

describe.each(Object.keys(JOBS))('%s', job => {
  test('the original, relocatable and for one place', () => {
    expect(found.original[job]).toMatch(/^(?!.*(?:does not exist|error|not found)).*exit 0$/s)
    expect(found.relocatable[job]).toBe(found.original[job])
    expect(found.prefix[job]).toBe(found.original[job])
  })
})

test('nix-portable#75: one file unpacks itself into a home behind a link', () => {
  const file = join(home, 'one')
  mustBundle([app, '-q', '-f', 'exe', '--entrypoint', 'initdb', '-o', file])
  // Short, for strings of a relocatable bundle are as long as they were.
  const real = mkdtempSync('/tmp/h')
  chmodSync(real, 0o700)
  symlinkSync(real, `${real}-link`)
  try {
    expect(withoutNix(file, [], { env: { HOME: `${real}-link` } }).stdout).toMatch(/^a catalogue$/m)
  } finally {
    for (const path of [real, `${real}-link`]) rmSync(path, { recursive: true })
  }
})

test('nixpkgs#257172, nixery#148, nix2container#234: an image has a /tmp that everybody may write to', () => {
  const file = join(home, 'image.tar')
  mustBundle([app, '-q', '-f', 'oci', '--entrypoint', 'initdb', '-o', file])
  run('skopeo', ['copy', '-q', `oci-archive:${file}`, `oci:${home}/layout:latest`])
  run('umoci', ['unpack', '--rootless', '--image', `${home}/layout:latest`, `${home}/root`])
  expect(run('stat', ['-c', '%a', `${home}/root/rootfs/tmp`]).stdout).toBe('1777\n')
})

test('fedimint#3766: each program of a package is on PATH', () => {
  const file = join(home, 'a.deb')
  mustBundle([app, '-q', '-f', 'deb', '--prefix', '/opt/elsewhere', '--link', '-o', file])
  const listed = run('dpkg-deb', ['-c', file]).stdout
  for (const name of ['initdb', 'nix', 'nix-env', 'nix-channel', 'dpkg', 'linked'])
    expect(listed).toContain(` ./usr/bin/${name} -> /opt/elsewhere/bin/${name}\n`)
  expect(bundle(['verify', '-q', file]).code).toBe(0)
})
