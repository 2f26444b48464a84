/**
 * Programs that are neighbours of those in public reports: the same mechanism in another place. reports.test.ts runs them.
 */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Jobs } from './beside-original.ts'
import { compile, GLIBC, storePath } from './store-lab.ts'

/** What is run of each. */
export const NEIGHBOURS: Jobs = {
  'a configuration names a path that goes through links of other packages': '"$T"/bin/reads-conf',
  'a search path of the loader goes through a link': '"$T"/bin/through-lib64',
  'links within a package lead to others by way of the store, and up and down again': '"$T"/bin/relative',
  "a module of libltdl's is found by its .la file": '"$T"/bin/ltdl',
  'a text that is named has a list of packages': '"$T"/bin/lists',
  'scripts of Lua, Tcl, Ruby see the name of a link': 'for name in lua tcl ruby; do "$T"/bin/$name-alias; done',
  'a script in the middle of another, which perl finds': '"$T"/bin/minus-x',
  'a program that is found by PATH reads beside argv[0]': 'cd "$T"/bin && ./argv0; "$T"/bin/argv0-link',
  'a wrapper of a wrapper of a link, each with flags': '"$T"/bin/outer last',
  'a script sources what lies beside the target of a link': '"$T"/bin/linked-script',
  'functions of a shell in a directory that a variable names': '"$T"/bin/fpath',
  'a program of another package reads a directory beside its own': '"$T"/bin/runs-dotnet',
  'here-documents, arrays and eval': '"$T"/bin/shelly',
  'Python reads a file by importlib.resources and pkgutil': '"$T"/bin/resources',
  'pyinstaller#8758 (libcudnn): a library opens others beside itself, by the path that it was opened by':
    '"$T"/bin/needs-cudnn; "$T"/bin/opens-cudnn; "$T"/bin/needs-cublas',
  'nix-bundle-exe#14 (NSS): a library opens others by a pattern of names': '"$T"/bin/by-pattern',
  'a module names its package in a byte string, an f-string, a raw string': '"$T"/bin/strings',
  "a text is the shell's up to an exec, and then Tcl, Python, Perl or Lua":
    'for name in tcl python perl lua; do "$T"/bin/$name-in-sh a "b c"; done',
  'a program gives another options with files in them': '"$T"/bin/gives-option',
  'a tool and its data lie in an output for development': '"$T"/bin/uses-dev; PATH= "$T"/bin/path-dev',
}

/** In store paths of their own; `libc` is the package. */
export interface Interpreters {
  readonly libc: string
  readonly bash: string
  readonly python: string
  readonly perl: string
  readonly lua: string
  readonly tcl: string
  readonly ruby: string
}

/** Puts the programs into a package. */
export function addNeighbours(app: string, { libc, bash, python, perl, lua, tcl, ruby }: Interpreters): void {
  const bound = [`-Wl,-rpath,${libc}/lib`, `-Wl,--dynamic-linker,${libc}/lib/${GLIBC.loader}`, '-ldl']
  const put = (at: string, text: string): void => {
    const path = join(app, at)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text, text.startsWith('#!') ? { mode: 0o755 } : {})
  }
  const link = (at: string, to: string): void => {
    mkdirSync(dirname(join(app, at)), { recursive: true })
    symlinkSync(to, join(app, at))
  }
  const c = (at: string, text: string, flags: readonly string[] = bound): void => {
    const head =
      '#include <dlfcn.h>\n#include <libgen.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n#include <limits.h>\n'
    const show =
      'static void show(const char *p) { char l[200]; FILE *f = fopen(p, "r"); fputs(f && fgets(l, 200, f) ? l : "none\\n", stdout); }\n'
    compile('gcc', head + show + text, join(app, at), flags)
  }
  const third = storePath('third-1.0', { 'share/third/data': 'third\n', 'etc/t.conf': 't.conf\n' })
  const env = storePath('env-1', { share: { link: `${third}/share` } })
  put('etc/own.conf', `data = ${env}/share/third/data\n`)
  c(
    'bin/reads-conf',
    `int main(void) { char l[300]; FILE *f = fopen("${app}/etc/own.conf", "r"); if (!f || !fgets(l, 300, f)) return 1; l[strcspn(l, "\\n")] = 0; show(strchr(l, '/')); }`,
  )
  const lib = storePath('libx-1', { lib64: { link: 'lib' } })
  compile('gcc', 'int x(void) { return 7; }', join(lib, 'lib/libx.so.1'), [
    '-shared',
    '-fPIC',
    `-Wl,-soname,libx.so.1,-rpath,${libc}/lib`,
  ])
  c('bin/through-lib64', 'int x(void); int main(void) { printf("%d\\n", x()); }', [
    join(lib, 'lib/libx.so.1'),
    `-Wl,-rpath,${lib}/lib64`,
    ...bound,
  ])
  link('share/rel', `../../${basename(third)}/share/third`)
  link('share/updown', `../bin/../share/rel`)
  c('bin/relative', `int main(void) { show("${app}/share/rel/data"); show("${app}/bin/../share/updown/data"); }`)
  const mods = join(app, 'lib/mods')
  compile('gcc', 'const char *m(void) { return "a module"; }', join(mods, 'm.so'), [
    '-shared',
    '-fPIC',
    `-Wl,-rpath,${libc}/lib`,
  ])
  put('lib/mods/m.la', `dlname='m.so'\nlibdir='${mods}'\ninstalled=yes\n`)
  c(
    'bin/ltdl',
    `int main(void) {
    char l[300], path[700], name[100] = "", dir[300] = ""; FILE *f = fopen("${app}/lib/mods/m.la", "r"); if (!f) return puts("no .la"), 1;
    while (fgets(l, 300, f)) { sscanf(l, "dlname='%99[^']", name); sscanf(l, "libdir='%299[^']", dir); }
    snprintf(path, 700, "%s/%s", dir, name);
    void *h = dlopen(path, RTLD_NOW); if (!h) { snprintf(path, 700, "${app}/lib/mods/%s", name); h = dlopen(path, RTLD_NOW); }
    const char *(*m)(void) = h ? dlsym(h, "m") : 0; puts(m ? m() : dlerror()); }`,
  )
  const host = storePath('libhost-1')
  const shared = ['-shared', '-fPIC', `-Wl,-rpath,${libc}/lib:${host}/lib`]
  for (const name of ['one', 'two'])
    compile(
      'gcc',
      `const char *m(void) { return "pattern ${name}"; }`,
      join(host, `lib/libhostmod_${name}.so.2`),
      shared,
    )
  const opens = `#include <dlfcn.h>
    #include <stdio.h>
    void host(const char *name) {
      char file[99];
      snprintf(file, sizeof file, "libhostmod_%s.so.%d", name, 2);
      void *h = dlopen(file, RTLD_NOW);
      const char *(*m)(void) = h ? dlsym(h, "m") : 0;
      puts(m ? m() : "none");
    }`
  compile('gcc', opens, join(host, 'lib/libhost.so.1'), [...shared, '-Wl,-soname,libhost.so.1', '-ldl'])
  c('bin/by-pattern', 'void host(const char *); int main(void) { host("one"); host("two"); }', [
    ...[join(host, 'lib/libhost.so.1'), `-Wl,-rpath,${host}/lib`, ...bound],
  ])
  // The one has nothing but libraries, the other a file more, for which it stays in its package.
  const beside = (name: string, files: Readonly<Record<string, string>>): string => {
    const root = storePath(`${name}-9`, files)
    const flags = ['-shared', '-fPIC', `-Wl,-rpath,$ORIGIN:${libc}/lib`]
    compile('gcc', `const char *ops(void) { return "${name} ops"; }`, join(root, `lib/lib${name}_ops.so.9`), flags)
    const text = `#define _GNU_SOURCE
      #include <dlfcn.h>
      #include <libgen.h>
      #include <stdio.h>
      #include <string.h>
      void ${name}(void) {
        Dl_info info;
        char path[5000];
        dladdr(${name}, &info);
        snprintf(path, sizeof path, "%s/%s", dirname(strdup(info.dli_fname)), "lib${name}_ops.so.9");
        void *h = dlopen(path, RTLD_NOW);
        const char *(*f)(void) = h ? dlsym(h, "ops") : 0;
        puts(f ? f() : "none");
      }`
    const library = join(root, `lib/lib${name}.so.9`)
    compile('gcc', text, library, [...flags, `-Wl,-soname,lib${name}.so.9`, '-ldl'])
    return library
  }
  const cudnn = beside('cudnn', {})
  const cublas = beside('cublas', { 'share/cublas.txt': 'x\n' })
  c('bin/needs-cudnn', 'void cudnn(void); int main(void) { cudnn(); }', [
    ...[cudnn, `-Wl,-rpath,${dirname(cudnn)}`, ...bound],
  ])
  c(
    'bin/needs-cublas',
    `void cublas(void); int main(void) { cublas(); show("${dirname(cublas)}/../share/cublas.txt"); }`,
    [...[cublas, `-Wl,-rpath,${dirname(cublas)}`, ...bound]],
  )
  c(
    'bin/opens-cudnn',
    'int main(void) { void *h = dlopen("libcudnn.so.9", RTLD_NOW); void (*f)(void) = h ? dlsym(h, "cudnn") : 0; if (f) f(); else puts("none"); }',
    [`-Wl,-rpath,${dirname(cudnn)}`, ...bound],
  )
  const [p1, p2] = ['one', 'two'].map(n => storePath(`plugin-${n}-1`, { [`plugins/${n}.txt`]: `plugin ${n}\n` }))
  put('etc/plugins.env', `PLUGINS=${p1}:${p2}\n`)
  put(
    'bin/lists',
    `#!${bash}\n. ${app}/etc/plugins.env\nIFS=:\nfor d in $PLUGINS; do for f in $d/plugins/*; do read -r l < "$f"; echo "$l"; done; done\n`,
  )
  put('bin/lua-name', `#!${lua}\nprint((arg[0]:match("([^/]*)$")))\n`)
  put('bin/tcl-name', `#!${tcl}\nputs [file tail $argv0]\n`)
  put('bin/ruby-name', `#!${ruby}\nputs File.basename($0)\n`)
  for (const name of ['lua', 'tcl', 'ruby']) link(`bin/${name}-alias`, `${name}-name`)
  put(
    'bin/minus-x',
    `#!${bash}\necho "$-" | { read -r f; echo "\${f//[!e]}"; }\nset -e\nexec ${perl} -x "$0" a\n#!perl -l\nprint "minus x @ARGV";\n__END__\n`,
  )
  c(
    'bin/argv0',
    `int main(int n, char **v) { char p[PATH_MAX]; snprintf(p, sizeof p, "%s/../share/rel/data", dirname(v[0])); show(p); }`,
  )
  link('bin/argv0-link', 'argv0')
  put('bin/.inner', `#!${bash}\necho "inner $A $B \${0##*/} $*"\n`)
  link('bin/.inner-link', '.inner')
  put('bin/.middle', `#! ${bash} -e\nexport A='a'\nexec -a "$0" "${app}/bin/.inner-link" --middle "$@" \n`)
  put('bin/outer', `#! ${bash} -e\nexport B='b'\nexec -a "$0" "${app}/bin/.middle" --outer "$@" \n`)
  put('libexec/real/script', `#!${bash}\nself=$(readlink -f "$0"); . "\${self%/*}/part"\n`)
  put('libexec/real/part', 'echo a part\n')
  link('bin/linked-script', '../libexec/real/script')
  put('share/functions/greet', `echo "greet $(< ${third}/share/third/data)"\n`)
  put('bin/fpath', `#!${bash}\nfor f in ${app}/share/functions/*; do . "$f"; done\n`)
  const dotnet = storePath('dotnet-8', { 'share/dotnet/host/fxr/8.0/hostfxr.txt': 'fxr\n' })
  compile(
    'gcc',
    '#include <limits.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\nint main(void) { char p[PATH_MAX + 99] = ""; if (readlink("/proc/self/exe", p, PATH_MAX) < 0) return 1; strcpy(strrchr(p, 47), "/host/fxr/8.0/hostfxr.txt"); char l[99]; FILE *f = fopen(p, "r"); fputs(f && fgets(l, 99, f) ? l : "none\\n", stdout); }',
    join(dotnet, 'share/dotnet/dotnet'),
    bound,
  )
  put(
    'bin/runs-dotnet',
    `#! ${bash} -e\nexport DOTNET_ROOT='${dotnet}/share/dotnet'\nexec "${dotnet}/share/dotnet/dotnet"  "$@" \n`,
  )
  put(
    'bin/shelly',
    `#!${bash}\nd=(${third}/share/third "${third}/etc")\nread -r a < "\${d[0]}/data"; eval "read -r b < ${third}/etc/t.conf"\ncat() { while read -r l; do echo "$l"; done; }\ncat <<E\n$a $b \${d[1]##*/}\nE\n`,
  )
  put('lib/python3.11/site-packages/respkg/__init__.py', '')
  put('lib/python3.11/site-packages/respkg/d.txt', 'resource\n')
  put(
    'bin/resources',
    `#!${python}\nimport sys; sys.path.insert(0, '${app}/lib/python3.11/site-packages')\nimport pkgutil, importlib.resources as r; print(pkgutil.get_data('respkg', 'd.txt').decode(), r.files('respkg').joinpath('d.txt').read_text())\n`,
  )
  put(
    'bin/strings',
    `#!${python}\nn = 'data'\nprint(open(b'${third}/share/third/data').read(), open(f'${third}/share/third/{n}').read(), open(r'${third}/share/third/data').read())\n`,
  )
  const data = `${third}/share/third/data`
  const sh = `#!${bash}\n`
  put(
    'bin/tcl-in-sh',
    `${sh}# the next line restarts using tclsh \\\nexec ${tcl} "$0" \${1+"$@"}\nset f [open ${data}]\nputs "[gets $f] $argv"\n`,
  )
  put(
    'bin/python-in-sh',
    `${sh}'''exec' ${python} "$0" "$@"\n' '''\nimport sys\nprint(open('${data}').read(), sys.argv[1:])\n`,
  )
  put(
    'bin/perl-in-sh',
    `${sh}eval 'exec ${perl} -x -wS $0 \${1+"$@"}'\n  if 0;\n#!perl\nopen my $f, '<', '${data}' or die; print <$f>, "@ARGV\\n";\n`,
  )
  put('bin/lua-in-sh', `${sh}_=[[\nexec ${lua} "$0" "$@"\n]]\nfor l in io.lines("${data}") do print(l, arg[1]) end\n`)
  const opened = storePath('opened-1', { 'etc/o.conf': 'o.conf\n', 'share/o': 'o\n' })
  c(
    'bin/gives-option',
    `int main(void) { const char *o = "--config=${opened}/etc/o.conf", *t = "cmd {} --data=${opened}/share/o"; show(strchr(o, '/')); show(strchr(t, '/')); }`,
  )
  const dev = storePath('tools-1-dev', {
    'bin/dev-tool': `${sh}echo a tool for development\n`,
    'share/tools/rules': 'rules\n',
    'include/tools.h': '#define TOOLS\n',
  })
  c(
    'bin/uses-dev',
    `int main(void) { show("${dev}/share/tools/rules"); fflush(stdout); execl("${dev}/bin/dev-tool", "x", (char *)0); }`,
  )
  put('bin/path-dev', `#! ${bash} -e\nexport PATH='${dev}/bin'\nexec "${app}/bin/.path-dev"  "$@" \n`)
  put('bin/.path-dev', `${sh}dev-tool\n`)
}
