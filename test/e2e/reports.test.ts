/**
 * Public reports of programs that did not survive being wrapped, bundled or relocated, each built small, and neighbours of
 * theirs: beside the original, relocatable and for one place, with the store hidden.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { type Beside, besideOriginal } from '../support/beside-original.ts'
import { bundle, fixture, mustBundle, run, temporary } from '../support/bundle.ts'
import { addNeighbours, NEIGHBOURS } from '../support/neighbours.ts'
import { compile, GLIBC, storePath } from '../support/store-lab.ts'

/** What is run of the report's program, by the report. */
const JOBS: Readonly<Record<string, string>> = {
  'nixpkgs#397962 (ukify): python is given a program of another package that is a script': '"$T"/bin/mkosi',
  'nixpkgs#397962: and so it is by a compiled program, as lua is': '"$T"/bin/runs-python; "$T"/bin/runs-lua',
  'nixpkgs#271896, nixpkgs#47751: a script in bin/ is a module of the one beside it':
    '"$T"/bin/exrex; "$T"/bin/exrexmod.py',
  'nixpkgs#15631: a script that acts by its name, wrapped': '"$T"/bin/bluetooth on; "$T"/bin/wifi on',
  'nixpkgs#15631: and by links, beside it and elsewhere':
    '"$T"/libexec/wwan on; "$T"/bin/plain-wifi on; cd "$T"/bin && ./plain-wifi on',
  'nixpkgs#10290 (LilyPond): data by argv[0], which a wrapper hands on; from a profile without them, the compiled place':
    '"$T"/bin/lilypond; mkdir -p profile/bin; ln -s "$T"/bin/lilypond profile/bin; profile/bin/lilypond; cd profile/bin; ./lilypond',
  'nixpkgs#91419, nixpkgs#281094: perl and forty directories in a #! line': '"$T"/bin/pt-direct',
  'nixpkgs#80152: the same through env -S': '"$T"/bin/latexml',
  'nixpkgs#72832: a directory beside a program is a link into another package': '"$T"/bin/java',
  'nixpkgs#117781: it runs itself again': '"$T"/bin/carla',
  'claude-desktop-debian#368: a copied program, with links to what lay beside the original': '"$T"/bin/claude',
  'conda#7039, nixpkgs#11133: python is in the name of the interpreter, which is a script': '"$T"/bin/fancy x',
  'spack#31401: links on the way to an interpreter, within its package and into another':
    '"$T"/bin/by-link; "$T"/bin/by-dir-link',
  'scripts of Lua, Tcl, Ruby: by their own place, by a path, through PATH':
    'for name in lua tcl ruby; do "$T"/bin/$name-beside; "$T"/bin/$name-other; PATH="$T"/bin:$PATH $name-other; done',
  'scripts of sed and awk are run, and read':
    '"$T"/bin/uses-sed; "$T"/bin/uses-awk; "$T"/bin/awk-script; "$T"/bin/awk-other',
  'a wrapper sets PYTHONPATH, env a variable in a #! line': '"$T"/bin/pyapp; "$T"/bin/env-var',
  'a wrapper preloads a library': '"$T"/bin/preloaded',
  'staticx#93, staticx#243 (PyInstaller): the archive lies in a section that is not loaded': '"$T"/bin/frozen',
}

/** As PyInstaller's bootloader: what it unpacks is looked for from its own end on. */
const FROZEN = `
  #include <stdio.h>
  #include <stdlib.h>
  #include <string.h>
  int main(void) {
    FILE *self = fopen("/proc/self/exe", "rb"), *data = fopen(DATA, "r");
    fseek(self, 0, SEEK_END);
    long size = ftell(self);
    char *bytes = malloc(size), line[80];
    rewind(self), fread(bytes, 1, size, self);
    puts(data && fgets(line, sizeof line, data) ? line : "no data");
    for (long i = size - 12; i >= 0; i--)
      if (!memcmp(bytes + i, "MEI\\014\\013\\012\\013\\016", 8)) {
        unsigned length;
        memcpy(&length, bytes + i + 8, 4);
        return printf("%.*s", (int)length, bytes + i - length) < 0;
      }
    return puts("Could not load PyInstaller's embedded PKG archive from the executable"), 1;
  }`

/** As LilyPond's main: its data beside argv[0], links not followed, else where it was configured for. */
const RELOCATING = `
  #include <limits.h>
  #include <stdio.h>
  #include <string.h>
  int main(int argc, char **argv) {
    char path[PATH_MAX], line[80];
    char *slash = strrchr(argv[0], '/');
    snprintf(path, sizeof path, "%.*s/../share/lilypond/2.18.2/scm/lily.scm", slash ? (int)(slash - argv[0]) : 0, argv[0]);
    FILE *file = fopen(path, "r");
    if (!file) puts("not relocating"), file = fopen(PREFIX "/share/lilypond/2.18.2/scm/lily.scm", "r");
    return puts(file && fgets(line, sizeof line, file) ? line : "none") < 0;
  }`

const app = storePath('app-1')
let found: Beside

function programs(): void {
  const bash = `${fixture('bash')}/bin/bash`
  const libc = storePath('libc-1.0', Object.fromEntries(Object.entries(GLIBC.libc).map(([n, f]) => [`lib/${n}`, f])))
  const bound = [`-Wl,-rpath,${libc}/lib`, `-Wl,--dynamic-linker,${libc}/lib/${GLIBC.loader}`]
  const copy = (name: string, program: string, from: string): string =>
    `${storePath(name, { [`bin/${program}`]: { from } })}/bin/${program}`
  const env = copy('coreutils-9', 'env', '/usr/bin/env')
  const python = copy('python3-3', 'python3', '/usr/bin/python3')
  const perl = copy('perl-5', 'perl', '/usr/bin/perl')
  const lua = copy('lua-5', 'lua', '/usr/bin/lua5.4')
  const tcl = copy('tcl-8', 'tclsh', '/usr/bin/tclsh')
  const ruby = copy('ruby-3', 'ruby', '/usr/bin/ruby')
  const sed = copy('sed-4', 'sed', '/usr/bin/sed')
  const awk = copy('mawk-1', 'awk', '/usr/bin/mawk')
  const put = (at: string, text: string): void => {
    const path = join(app, at)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text.replaceAll('@APP@', app), text.startsWith('#!') ? { mode: 0o755 } : {})
  }
  const wrap = (program: string, before = "export WRAPPED='1'\n", flags = ''): string =>
    `#! ${bash} -e\n${before}exec -a "$0" "${program}" ${flags} "$@" \n`
  const systemd = storePath('systemd-257', { 'bin/ukify': `#!${python}\nimport sys; print('ukify', sys.argv[1:])\n` })
  put(
    'bin/mkosi',
    `#!${python}\nimport subprocess, sys; sys.stdout.flush(); subprocess.run([sys.executable, '${systemd}/bin/ukify', '--version'], check=True)\n`,
  )
  put('bin/tool.py', `#!${python}\nimport sys; print('tool', sys.argv[1:])\n`)
  compile(
    'gcc',
    `#include <unistd.h>\nint main(void) { execl("${python}", "python3", "${app}/bin/tool.py", "x", (char *)0); return 1; }`,
    join(app, 'bin/runs-python'),
    bound,
  )
  put('bin/exrex', `#!${python}\nimport sys\nfrom exrexmod import main\nsys.exit(main())\n`)
  put(
    'bin/exrexmod.py',
    `#!${python}\nimport sys\ndef main():\n  print('main of', __name__, __file__.split('/')[-1])\nif __name__ == '__main__': main()\n`,
  )
  put(
    'bin/.bluetooth-wrapped',
    `#!${bash}\ncase "\${0##*/}" in bluetooth|wifi|wwan|plain-wifi) echo "device \${0##*/} $*";; *) echo "Error: unknown device type \\"\${0##*/}\\".";; esac\n`,
  )
  put('bin/bluetooth', wrap(`${app}/bin/.bluetooth-wrapped`))
  put(
    'libexec/bt',
    `#!${bash}\ncase "\${0##*/}" in bluetooth|wifi|wwan|plain-wifi) echo "device \${0##*/} $*";; *) echo "Error: unknown device type \\"\${0##*/}\\".";; esac\n`,
  )
  symlinkSync('bluetooth', join(app, 'bin/wifi'))
  symlinkSync('bt', join(app, 'libexec/wwan'))
  symlinkSync('../libexec/bt', join(app, 'bin/plain-wifi'))
  const dirs = Array.from(
    { length: 40 },
    (_, i) =>
      `-I${storePath(`perl5.36-M${i}-1`, { [`lib/perl5/site_perl/M${i}.pm`]: `package M${i}; 1;\n` })}/lib/perl5/site_perl`,
  )
  const uses = Array.from({ length: 40 }, (_, i) => `use M${i};`).join(' ')
  put('bin/pt-direct', `#!${perl} ${dirs.join(' ')}\n${uses} print "all\\n";\n`)
  put('bin/latexml', `#!${env} -S ${perl} ${dirs.join(' ')}\n${uses} print "all\\n";\n`)
  const cmm = storePath('openjdk-jre-8', { 'lib/openjdk/jre/lib/cmm/sRGB.pf': 'a profile\n' })
  const jdk = storePath('openjdk-8', {
    'lib/openjdk/jre/lib/rt.jar': 'rt\n',
    'lib/openjdk/jre/lib/cmm': { link: `${cmm}/lib/openjdk/jre/lib/cmm` },
  })
  const beside = (parts: string): string => `
    #include <limits.h>
    #include <stdio.h>
    #include <string.h>
    #include <unistd.h>
    int main(void) {
      char path[PATH_MAX + 40] = "", line[80];
      if (readlink("/proc/self/exe", path, PATH_MAX) < 0) return 1;
      const char *const parts[] = { ${parts} };
      char *end = strrchr(path, '/') + 1;
      for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) {
        strcpy(end, parts[i]);
        FILE *file = fopen(path, "r");
        fputs(file && fgets(line, sizeof line, file) ? line : "none\\n", stdout);
      }
    }`
  compile('gcc', beside('"../lib/rt.jar", "../lib/cmm/sRGB.pf"'), join(jdk, 'lib/openjdk/jre/bin/java'), bound)
  put('bin/java', wrap(join(jdk, 'lib/openjdk/jre/bin/java')))
  const lily = storePath('lilypond-2', { 'share/lilypond/2.18.2/scm/lily.scm': 'lily.scm\n' })
  compile('gcc', RELOCATING, join(lily, 'bin/lilypond'), [`-DPREFIX="${lily}"`, ...bound])
  put('bin/lilypond', wrap(join(lily, 'bin/lilypond')))
  put('bin/carla', `#!${bash}\nif [ "$1" = again ]; then echo again; else exec "$0" again; fi\n`)
  const electron = storePath('electron-unwrapped-34', {
    'libexec/electron/resources.pak': 'pak\n',
    'libexec/electron/locales/en.pak': 'en\n',
  })
  const claude = storePath('claude-electron-1', {
    'libexec/electron/resources/app.json': 'app\n',
    'libexec/electron/resources.pak': { link: `${electron}/libexec/electron/resources.pak` },
    'libexec/electron/locales': { link: `${electron}/libexec/electron/locales` },
  })
  compile(
    'gcc',
    beside('"resources.pak", "locales/en.pak", "resources/app.json"'),
    join(claude, 'libexec/electron/electron'),
    bound,
  )
  put('bin/claude', wrap(join(claude, 'libexec/electron/electron')))
  const tools = storePath('python-tools-1', {
    'bin/my_fancy_python_wrapper': `#!${bash}\necho "fancy \${1##*/} \${@:2}"; { read -r l; read -r l; echo "$l"; } < "$1"\n`,
  })
  put('bin/fancy', `#!${tools}/bin/my_fancy_python_wrapper\nits text\n`)
  const linked = storePath('linked-1', { 'bin/interp': { from: '/usr/bin/lua5.4' }, sbin: { link: 'bin' } })
  const third = storePath('env-1', { bin: { link: `${linked}/sbin` } })
  put('bin/by-link', `#!${linked}/sbin/interp\nprint("by link")\n`)
  put('bin/by-dir-link', `#!${third}/bin/interp\nprint("by a link into another")\n`)
  put('share/app/data', 'the data\n')
  put('share/app/x.sed', `#!${sed} -f\ns/a/b/\n`)
  put('share/app/x.awk', `#!${awk} -f\nBEGIN { print "awk", ARGC }\n`)
  put(
    'bin/lua-beside',
    `#!${lua}\nlocal d = arg[0]:match("^(.*)/") for l in io.lines(d .. "/../share/app/data") do print(l) end\n`,
  )
  put(
    'bin/lua-other',
    `#!${lua}\nfor l in io.lines("${app}/share/app/data") do print(l) end print((arg[0]:match("([^/]*)$")))\n`,
  )
  put(
    'bin/tcl-beside',
    `#!${tcl}\nset f [open [file join [file dirname [info script]] .. share app data]]; puts [gets $f]\n`,
  )
  put('bin/tcl-other', `#!${tcl}\nset f [open ${app}/share/app/data]; puts [gets $f]; puts [file tail $argv0]\n`)
  put('bin/ruby-beside', `#!${ruby}\nputs File.read(File.join(__dir__, '../share/app/data')), File.basename($0)\n`)
  put('bin/ruby-other', `#!${ruby}\nputs File.read('${app}/share/app/data')\n`)
  put('bin/uses-sed', `#!${bash}\necho xay | ${sed} -f ${app}/share/app/x.sed; echo xay | ${app}/share/app/x.sed\n`)
  put('bin/uses-awk', `#!${bash}\n${awk} -f ${app}/share/app/x.awk; ${app}/share/app/x.awk a\n`)
  put('bin/awk-script', `#!${awk} -f\nBEGIN { print "awk script", ARGC }\n`)
  put('bin/awk-other', `#!${awk} -f\nBEGIN { while ((getline l < "${app}/share/app/data") > 0) print l }\n`)
  const pylib = storePath('python3.11-dep-1', { 'lib/python3.11/site-packages/dep.py': 'X = "dep"\n' })
  put(
    'bin/env-var',
    `#!${env} -S PYTHONPATH=${pylib}/lib/python3.11/site-packages ${python}\nimport dep; print(dep.X)\n`,
  )
  const shim = storePath('shim-1')
  compile(
    'gcc',
    '#include <unistd.h>\n__attribute__((constructor)) static void hi(void) { write(1, "preloaded\\n", 10); }',
    join(shim, 'lib/libshim.so'),
    ['-shared', '-fPIC', `-Wl,-rpath,${libc}/lib`],
  )
  compile('gcc', '#include <stdio.h>\nint main(void) { puts("main"); }', join(app, 'bin/.preloaded-wrapped'), bound)
  put('bin/preloaded', wrap(`${app}/bin/.preloaded-wrapped`, `export LD_PRELOAD='${shim}/lib/libshim.so'\n`))
  put(
    'lib/python3.11/site-packages/pyapp/__init__.py',
    `import os, dep\ndef main(): print(dep.X, open('${app}/share/app/data').read())\n`,
  )
  put(
    'bin/.pyapp-wrapped',
    `#!${python}\nimport sys; sys.argv[0] = '${app}/bin/pyapp'\nfrom pyapp import main\nmain()\n`,
  )
  put(
    'bin/pyapp',
    wrap(
      `${app}/bin/.pyapp-wrapped`,
      `export PYTHONPATH='${app}/lib/python3.11/site-packages:${pylib}/lib/python3.11/site-packages'\nexport PYTHONNOUSERSITE='true'\n`,
    ),
  )
  put('libexec/x.lua', `#!${lua}\nprint("x.lua", arg[1])\n`)
  compile(
    'gcc',
    `#include <unistd.h>\nint main(void) { execl("${lua}", "lua", "${app}/libexec/x.lua", "x", (char *)0); return 1; }`,
    join(app, 'bin/runs-lua'),
    bound,
  )
  compile('gcc', FROZEN, join(app, 'bin/frozen'), [`-DDATA="${app}/share/app/data"`, ...bound])
  const archive = Buffer.from('the archive of the program\n')
  const length = Buffer.alloc(4)
  length.writeUInt32LE(archive.length)
  const section = join(temporary(), 'pkg')
  writeFileSync(section, Buffer.concat([archive, Buffer.from('MEI\x0c\x0b\x0a\x0b\x0e'), length, Buffer.alloc(70)]))
  execFileSync('objcopy', ['--add-section', `pydata=${section}`, join(app, 'bin/frozen')])
  addNeighbours(app, { libc, bash, python, perl, lua, tcl, ruby })
}

beforeAll(() => {
  programs()
  found = besideOriginal(app, { ...JOBS, ...NEIGHBOURS })
})

describe.each(Object.keys({ ...JOBS, ...NEIGHBOURS }))('%s', job => {
  test('works in the store', () => {
    expect(found.original[job]).toMatch(/exit 0$/)
    expect(found.original[job]).not.toMatch(/\bnone\b|no \.la/)
  })

  test.each(['relocatable', 'prefix'] as const)('%s', kind => {
    expect(found[kind][job]).toBe(found.original[job])
  })
})

test('nothing is said to be lost, for nothing is', () => {
  expect(found.said).toEqual({ relocatable: '', prefix: '' })
})

test.each([[[]], [['--prefix', '/opt/frozen']]])(
  'staticx#93: --strip leaves the archive where it is, though no symbol is needed: %j',
  options => {
    const out = join(temporary(), 'b')
    mustBundle([join(app, 'bin/frozen'), '--strip', '-f', 'dir', '-o', out, ...options])
    const place = options.length === 0 ? out : '/opt/frozen'
    const mounts = ['--bind', '/', '/', '--tmpfs', '/nix', '--tmpfs', '/opt', '--ro-bind', out, '/opt/frozen']
    const done = run('bwrap', [...mounts, '--dev', '/dev', '--proc', '/proc', '--', join(place, 'bin/frozen')])
    expect(done.stdout).toBe('the data\n\nthe archive of the program\n')
  },
)

test('staticx#93: behind a shell launcher it would read the loader: an error', () => {
  const { code, stderr } = bundle([join(app, 'bin/frozen'), '--launcher', 'shell', '-o', join(temporary(), 'x.tar')])
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(/frozen: carries data .* or in a section of its own .*--prefix/),
  ])
})
