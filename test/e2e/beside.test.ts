/**
 * What programs and libraries find beside themselves: a Java VM its lib/jvm.cfg by /proc/self/exe and its other libraries
 * by dladdr(3) (nixpkgs#11939 and many like it), Electron its resources.pak, scripts what lies beside `$0`.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { fixture, mustBundle, run, temporary, withoutNix } from '../support/bundle.ts'
import { compile, GLIBC, storePath } from '../support/store-lab.ts'

/** As libjli.so: from the program's own place to the VM's configuration, and to the library that it names. */
const LAUNCHER = `
  #define _GNU_SOURCE
  #include <dlfcn.h>
  #include <libgen.h>
  #include <limits.h>
  #include <stdio.h>
  #include <stdlib.h>
  #include <string.h>
  #include <unistd.h>
  int launch(int argc, char **argv) {
    char home[PATH_MAX] = "", path[2 * PATH_MAX], kind[80] = "";
    if (readlink("/proc/self/exe", home, sizeof home - 1) < 0) return 1;
    dirname(home), dirname(home);
    snprintf(path, sizeof path, "%s/lib/jvm.cfg", home);
    FILE *file = fopen(path, "r");
    if (!file || fscanf(file, "-%79s", kind) != 1) return fprintf(stderr, "Error: could not open \`%s'\\n", path), 2;
    snprintf(path, sizeof path, "%s/lib/%s/libjvm.so", home, kind);
    void *vm = dlopen(path, RTLD_NOW);
    int (*start)(int, char **) = vm ? dlsym(vm, "start") : 0;
    return start ? start(argc, argv) : (fprintf(stderr, "%s\\n", dlerror()), 3);
  }`
/** As libjvm.so: from the library's own place to the classes. */
const VM = `
  #define _GNU_SOURCE
  #include <dlfcn.h>
  #include <libgen.h>
  #include <limits.h>
  #include <stdio.h>
  #include <stdlib.h>
  int start(int argc, char **argv) {
    Dl_info info;
    char path[PATH_MAX], modules[PATH_MAX + 20], line[80];
    if (!dladdr(start, &info) || !realpath(info.dli_fname, path)) return 4;
    snprintf(modules, sizeof modules, "%s/modules", dirname(dirname(path)));
    FILE *file = fopen(modules, "r");
    if (!file || !fgets(line, sizeof line, file)) return fprintf(stderr, "no modules at %s\\n", modules), 5;
    printf("%s", line);
    for (int i = 1; i < argc; i++) {
      FILE *jar = fopen(argv[i], "r");
      printf("argument %s\\n", jar && fgets(line, sizeof line, jar) ? line : argv[i]);
    }
    printf("mode %s\\n", getenv("MODE"));
    return 0;
  }`

/** A program that reads a file beside itself, or only asks where it lies. */
const ELECTRON = `
  #include <limits.h>
  #include <stdio.h>
  #include <string.h>
  #include <unistd.h>
  int main(void) {
    char path[PATH_MAX + 20] = "", line[80];
    if (readlink("/proc/self/exe", path, PATH_MAX) < 0) return 1;
    strcpy(strrchr(path, '/') + 1, RESOURCE);
    FILE *file = *RESOURCE ? fopen(path, "r") : 0;
    return puts(file && fgets(line, sizeof line, file) ? line : "nothing beside it") < 0;
  }`

let libc: string
const bound = () => [`-Wl,--dynamic-linker,${libc}/lib/${GLIBC.loader}`, `-Wl,-rpath,${libc}/lib`, '-ldl']

/** A Java VM in nixpkgs' shape: home is lib/openjdk, bin leads there. Or as jlink makes it: home is the package. */
function javaVm(name: string, home: string): string {
  const vm = storePath(name, {
    [`${home}lib/jvm.cfg`]: '-server KNOWN\n',
    [`${home}lib/modules`]: 'modules are there\n',
    ...(home === '' ? {} : { bin: { link: `${home}bin` } }),
  })
  const lib = join(vm, home, 'lib')
  const shared = ['-shared', '-fPIC', `-Wl,-rpath,${libc}/lib`]
  compile('gcc', VM, join(lib, 'server/libjvm.so'), [...shared, '-Wl,-soname,libjvm.so'])
  // Opened by the VM, which it needs and does not find by itself.
  compile('gcc', 'int start(); int java(void) { return start(); }', join(lib, 'libjava.so'), [
    ...[...shared, join(lib, 'server/libjvm.so')],
  ])
  compile('gcc', LAUNCHER, join(lib, 'libjli.so'), [...shared, '-ldl'])
  const main = 'int launch(int, char **); int main(int argc, char **argv) { return launch(argc, argv); }'
  compile('gcc', main, join(vm, home, 'bin/java'), [join(lib, 'libjli.so'), '-Wl,-rpath,$ORIGIN/../lib', ...bound()])
  return vm
}

/** An application in one of the forms of nixpkgs. */
function application(form: string, java: string, jar: string, bash: string): string {
  const app = storePath(`app-${form.replaceAll(' ', '-')}`, { 'share/java/app.jar': 'its own jar' })
  mkdirSync(join(app, 'bin'))
  const own = `${app}/share/java/app.jar`
  if (form === 'binary wrapper') {
    const command = `makeCWrapper '${java}' \\\\\\n    --set 'MODE' 'wrapped' \\\\\\n    --add-flags '${own} ${jar}'\\n`
    const c = `
      #include <stdlib.h>
      #include <unistd.h>
      int main(int argc, char **argv) {
        char *args[argc + 3];
        args[1] = "${own}", args[2] = "${jar}";
        for (int i = 1; i <= argc; i++) args[i + 2] = argv[i];
        setenv("MODE", "wrapped", 1);
        args[0] = argv[0] = "${java}";
        return execv("${java}", args);
      }
      __attribute__((used)) const char *DOCSTRING = "# ------\\n# The C-code for this binary wrapper has been generated using the following command:\\n\\n\\n${command}\\n\\n\\n# (Use \`nix-shell -p makeBinaryWrapper\` to get access to makeCWrapper in your shell)\\n";`
    compile('gcc', c, join(app, 'bin/app'), bound())
  } else {
    const text =
      form === 'class path'
        ? `#!${bash}/bin/bash\nMODE=wrapped\nexport MODE CLASSPATH="${own}:${jar}\${CLASSPATH:+:$CLASSPATH}"\nexec ${java} \${CLASSPATH//:/ } "$@"\n`
        : `#! ${bash}/bin/bash -e\nexport MODE='wrapped'\nexec "${java}"  ${own} ${jar} "$@" \n`
    writeFileSync(join(app, 'bin/app'), text, { mode: 0o755 })
  }
  return app
}

beforeAll(() => {
  libc = storePath('libc-1.0', Object.fromEntries(Object.entries(GLIBC.libc).map(([n, from]) => [`lib/${n}`, from])))
})

/** A program prints in the store and from its bundles, with the store hidden, the same; returns the relocatable bundle. */
function same(target: string, name: string, args: readonly string[] = []): string {
  let relocatable = ''
  const original = run(join(target, 'bin', name), args)
  expect(original).toMatchObject({ code: 0, stderr: '' })
  for (const more of [[], ['--prefix', '/opt/beside']]) {
    const place = join(temporary(), 'b')
    expect(mustBundle([target, '-f', 'dir', '-o', place, ...more]).stderr).not.toContain('is not found')
    relocatable ||= place
    const bundled =
      more.length === 0
        ? withoutNix(join(place, 'bin', name), args)
        : run('bwrap', [
            ...['--bind', '/', '/', '--tmpfs', '/nix', '--tmpfs', '/opt', '--ro-bind', place, '/opt/beside'],
            ...['--dev', '/dev', '--proc', '/proc', '--', `/opt/beside/bin/${name}`, ...args],
          ])
    expect({ more, ...bundled }).toEqual({ more, ...original })
  }
  return relocatable
}

describe('a Java program finds its VM without an option', () => {
  test.each(['shell wrapper', 'binary wrapper', 'class path'])('%s', form => {
    const jar = join(storePath('library-1.0', { 'share/java/x.jar': 'a jar of another package' }), 'share/java/x.jar')
    same(application(form, join(javaVm('openjdk-17', 'lib/openjdk/'), 'bin/java'), jar, fixture('bash')), 'app', ['x'])
  })

  test('made by jlink', () => {
    const java = join(javaVm('jre-minimal-17', ''), 'bin/java')
    same(application('jlinked', java, java, fixture('bash')), 'app', ['x', 'y'])
  })
})

describe('a program of another package', () => {
  const wrapped = (program: string): string => {
    const app = storePath('app-1.0')
    mkdirSync(join(app, 'bin'))
    const text = `#! ${fixture('bash')}/bin/bash -e\nexport A='1'\nexec "${program}"  "$@" \n`
    writeFileSync(join(app, 'bin/app'), text, { mode: 0o755 })
    return app
  }

  test('brings what lies beside it, by the way of its own wrapper too (nixpkgs: electron)', () => {
    const electron = storePath('electron-1.0', { 'libexec/electron/resources.pak': 'resources\n' })
    const program = join(electron, 'libexec/electron/electron')
    compile('gcc', ELECTRON, program, ['-DRESOURCE="resources.pak"', ...bound()])
    const bash = fixture('bash')
    mkdirSync(join(electron, 'bin'))
    const text = `#! ${bash}/bin/bash -e\nexport B='1'\nexec "${program}"  "$@" \n`
    writeFileSync(join(electron, 'bin/electron'), text, { mode: 0o755 })
    same(wrapped(join(electron, 'bin/electron')), 'app')
  })

  test('that only asks where it lies comes alone', () => {
    const tool = storePath('tool-1.0', { 'share/tool/large.dat': 'not asked for\n', 'share/doc/x.txt': '' })
    compile('gcc', ELECTRON, join(tool, 'bin/tool'), ['-DRESOURCE=""', ...bound()])
    const place = join(temporary(), 'b')
    mustBundle([wrapped(join(tool, 'bin/tool')), '-f', 'dir', '-o', place])
    expect(withoutNix(join(place, 'bin/app')).stdout).toBe('nothing beside it\n')
    expect(existsSync(join(place, 'pkg/tool-1.0/share'))).toBe(false)
  })

  test.each([
    ['sh', '. "$(dirname "$0")/../lib/part.sh"'],
    ['bash', `source "$(cd "$(dirname "\${BASH_SOURCE[0]}")/.." && pwd)/lib/part.sh"`],
  ])('a script that goes on from its own place: %s %s', (shell, line) => {
    const bash = fixture('bash')
    const tool = storePath('tool-1.0', {
      'bin/tool': `#!${bash}/bin/${shell}\n${line}\n`,
      'lib/part.sh': 'echo part\n',
    })
    same(wrapped(join(tool, 'bin/tool')), 'app')
  })
})

describe('a library stays in its package when more of that comes along', () => {
  test('it is found there, by name and by those who need it, and in lib/ by its soname', () => {
    const library = storePath('libdata-1.0', { 'share/data.txt': 'beside the library\n' })
    const c = `
      #define _GNU_SOURCE
      #include <dlfcn.h>
      #include <libgen.h>
      #include <limits.h>
      #include <stdio.h>
      #include <string.h>
      const char *said(void) {
        static char line[80], path[PATH_MAX];
        Dl_info info;
        dladdr(said, &info);
        snprintf(path, sizeof path, "%s/../share/data.txt", dirname(strdup(info.dli_fname)));
        FILE *file = fopen(path, "r");
        return file ? fgets(line, sizeof line, file) : path;
      }`
    const shared = ['-shared', '-fPIC', `-Wl,-rpath,${libc}/lib`]
    compile('gcc', c, join(library, 'lib/libdata.so.1'), [...shared, '-Wl,-soname,libdata.so.1'])
    const program = storePath('program-1.0')
    const main = `
      #include <dlfcn.h>
      #include <stdio.h>
      const char *said(void);
      const char *unused = "${library}/share/data.txt";
      int main(void) { return printf("%s%d\\n", said(), dlopen("libdata.so.1", RTLD_NOLOAD | RTLD_NOW) != 0) < 0; }`
    compile('gcc', main, join(program, 'bin/program'), [
      join(library, 'lib/libdata.so.1'),
      `-Wl,-rpath,${library}/lib`,
      ...bound(),
    ])
    const place = same(program, 'program')
    expect(run('readlink', [join(place, 'lib/libdata.so.1')]).stdout).toBe('../pkg/libdata-1.0/lib/libdata.so.1\n')
  })

  test('two packages with one soname: each program has its own', () => {
    const data = storePath('data-1.0', { 'share/data.txt': 'data\n' })
    const plain = storePath('plain-1.0')
    const make = (root: string, letter: string): string => {
      const text = `const char *${letter}(void) { return "${letter} of ${root.slice(44)}"; }`
      const library = join(root, `lib/lib${letter}.so.1`)
      compile('gcc', text, library, ['-shared', '-fPIC', `-Wl,-rpath,${libc}/lib,-soname,lib${letter}.so.1`])
      return library
    }
    const [a, b, other] = [make(data, 'a'), make(data, 'b'), make(plain, 'a')]
    const main = `
      #include <stdio.h>
      const char *a(void), *b(void), *unused = "${data}/share/data.txt";
      int main(void) { return printf("%s, %s\\n", a(), b()) < 0; }`
    const program = storePath('programs-1.0')
    compile('gcc', main, join(program, 'bin/one'), [a, b, `-Wl,-rpath,${data}/lib`, ...bound()])
    compile('gcc', main, join(program, 'bin/mixed'), [b, other, `-Wl,-rpath,${plain}/lib:${data}/lib`, ...bound()])
    for (const name of ['one', 'mixed']) same(program, name)
  })
})

test('modules beside the library directory of an interpreter: Tcl finds http 2.9.8, and not the 1.0 that comes with it', () => {
  const tcl = storePath('tcl-8.6', {
    'lib/tcl8.6/http.tcl': 'http 1.0\n',
    'lib/tcl8/8.6/http.tm': 'http 2.9.8\n',
    'lib/tclConfig.sh': 'for building others\n',
  })
  // Its own library directory, and the one that packages lie below.
  const c = `
    #include <dirent.h>
    #include <stdio.h>
    const char *tcl_library = "${tcl}/lib/tcl8.6", *package_path = "${tcl}/lib";
    void http(void) {
      char path[5000], line[80] = "none\\n";
      snprintf(path, sizeof path, "%s/tcl8/8.6/http.tm", package_path);
      FILE *file = fopen(path, "r");
      if (!file) snprintf(path, sizeof path, "%s/http.tcl", tcl_library), file = fopen(path, "r");
      if (file) fgets(line, sizeof line, file);
      printf("%s", line);
    }`
  const library = join(tcl, 'lib/libtcl8.6.so')
  compile('gcc', c, library, ['-shared', '-fPIC', `-Wl,-rpath,${libc}/lib,-soname,libtcl8.6.so`])
  const app = storePath('app-1.0')
  const main = 'void http(void); int main(void) { http(); return 0; }'
  compile('gcc', main, join(app, 'bin/app'), [library, `-Wl,-rpath,${tcl}/lib`, ...bound()])
  expect(run(join(app, 'bin/app'), []).stdout).toBe('http 2.9.8\n')
  const place = same(app, 'app')
  expect(existsSync(join(place, 'pkg/tcl-8.6/lib/tclConfig.sh'))).toBe(false)
})

test('what a program finds by the path it was started by, links not resolved (jq: its modules)', () => {
  const data = {
    'share/app/data': 'by the path it was started by\n',
    'lib/app/part.sh': 'cat "$here/../share/app/data"\n',
  }
  const app = storePath('app-1.0', data)
  const c = `
    #include <libgen.h>
    #include <stdio.h>
    int main(int argc, char **argv) {
      char path[5000], line[80];
      snprintf(path, sizeof path, "%s/../share/app/data", dirname(argv[0]));
      FILE *file = fopen(path, "r");
      return printf("%s", file && fgets(line, sizeof line, file) ? line : path) < 0;
    }`
  compile('gcc', c, join(app, 'bin/compiled'), bound())
  const script = `#!${fixture('bash')}/bin/bash\nhere=\${0%/*}\ncat() { while read -r l; do echo "$l"; done < "$1"; }\n. "$here/../lib/app/part.sh"\n`
  writeFileSync(join(app, 'bin/script'), script, { mode: 0o755 })
  same(app, 'compiled')
  const place = same(app, 'script')
  expect(run('readlink', [join(place, 'share'), join(place, 'lib/app')]).stdout).toBe(
    'pkg/app-1.0/share\n../pkg/app-1.0/lib/app\n',
  )
})
