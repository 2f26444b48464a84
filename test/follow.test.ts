/** The table of what is worth bundling: a test for each row. */
import { describe, expect, test } from 'vitest'
import { answer, type Condition, leftOut, type Question, RULES } from '../src/references/follow.ts'

interface Case {
  readonly rule: string
  readonly follow: boolean | 'if imported'
  readonly from?: Partial<Question['from']>
  /** Path below the package's root. */
  readonly path?: string
  readonly type?: 'file' | 'directory' | 'missing'
  readonly own?: boolean
  readonly name?: string
  readonly before?: string
  readonly bare?: true
  readonly ofLoader?: true
  readonly gone?: true
}

const ask = (c: Case) =>
  answer({
    from: { format: 'elf', path: 'bin/app', wrapper: false, loader: false, named: false, ...c.from },
    bare: c.bare ?? false,
    ofLoader: c.ofLoader ?? false,
    before: () => c.before ?? '',
    target: c.gone
      ? null
      : { name: c.name ?? 'lib-1.0', path: c.path ?? '', type: c.type ?? 'directory', own: c.own ?? false },
  })

const loader = { format: 'elf', path: 'lib/ld-linux-x86-64.so.2', loader: true } as const
const libc = { format: 'elf', path: 'lib/libc.so.6' } as const
const script = { format: 'script', path: 'bin/tool' } as const
const data = { format: 'data', path: 'share/app/app.conf' } as const
const wrapper = { format: 'script', path: 'bin/app', wrapper: true } as const

const CASES: readonly [string, Case][] = [
  ['a search path', { rule: 'loader', follow: false, ofLoader: true, path: 'lib' }],
  ["a loader's own prefix", { rule: 'loader', follow: false, from: loader, own: true }],
  ['a bare hash', { rule: 'hash', follow: false, bare: true, gone: true }],
  ['a store path of another machine', { rule: 'gone', follow: false, gone: true }],
  ['-I', { rule: 'option', follow: false, before: 'gcc -O2 -I', path: 'share', own: true }],
  ['-isystem', { rule: 'option', follow: false, before: 'gcc -isystem ', path: 'share' }],
  ['--prefix=', { rule: 'option', follow: false, before: "configure arguments: '--prefix=", own: true }],
  ['-Wl,-rpath,', { rule: 'option', follow: false, before: '-Wl,-rpath,', path: 'lib' }],
  [
    'an option in a script is meant',
    { rule: 'file', follow: true, from: script, before: '--data=', path: 'share/x', type: 'file' },
  ],
  [
    'an option in a wrapper is meant',
    {
      rule: 'file',
      follow: true,
      from: { ...wrapper, format: 'elf' },
      before: '--data=',
      path: 'share/x',
      type: 'file',
    },
  ],
  ['a dash in a text is no option', { rule: 'file', follow: true, before: 'see - ', path: 'share/x', type: 'file' }],
  [
    "Python's build configuration",
    {
      rule: 'configuration',
      follow: false,
      from: { format: 'data', path: 'lib/python3.11/_sysconfigdata__linux_.py' },
      path: 'share',
    },
  ],
  [
    "Perl's build configuration",
    {
      rule: 'configuration',
      follow: false,
      from: { format: 'data', path: 'lib/perl5/5.36.0/x/Config_heavy.pl' },
      path: 'lib',
    },
  ],
  [
    'what ImageMagick prints of its build',
    {
      rule: 'configuration',
      follow: false,
      from: { format: 'data', path: 'lib/ImageMagick-7.1.1/config-Q16HDRI/configure.xml' },
      path: 'share',
    },
  ],
  [
    'a configuration in a directory of another name',
    {
      rule: 'directory',
      follow: true,
      from: { format: 'data', path: 'share/app/config-default/a.conf' },
      path: 'share/x',
    },
  ],
  [
    'a pkg-config file',
    { rule: 'configuration', follow: false, from: { format: 'data', path: 'lib/x/x.pc' }, path: 'share' },
  ],
  ['a development output', { rule: 'development', follow: false, name: 'zlib-1.2.13-dev', path: 'share' }],
  [
    'a program in one, which nixpkgs has many of',
    { rule: 'file', follow: true, name: 'glib-2.74-dev', path: 'bin/gdbus-codegen', type: 'file' },
  ],
  [
    'its programs, on the PATH of a wrapper',
    { rule: 'directory', follow: true, from: wrapper, name: 'qt-6-dev', path: 'bin' },
  ],
  ['a data file in one', { rule: 'file', follow: true, name: 'x-1-dev', path: 'share/x/y', type: 'file' }],
  ['an option with a directory', { rule: 'option', follow: false, before: '--data=', path: 'share/x' }],
  [
    'one option with a file, which is given to another program',
    { rule: 'file', follow: true, before: '--config=', path: 'etc/x.conf', type: 'file' },
  ],
  [
    'one in a command line',
    { rule: 'file', follow: true, before: 'cmd = {{.X}} --data=', path: 'share/x', type: 'file' },
  ],
  [
    'one among those that a program was built with',
    { rule: 'option', follow: false, before: '--prefix=/usr --conf-path=', path: 'etc/x.conf', type: 'file' },
  ],
  [
    'the first of them',
    { rule: 'option', follow: false, before: "configure arguments: '--conf-path=", path: 'etc/x.conf', type: 'file' },
  ],
  [
    "a compiler's option with a file",
    { rule: 'option', follow: false, before: '-Wl,--dynamic-linker=', path: 'lib/ld.so', type: 'file' },
  ],
  ['documentation', { rule: 'development', follow: false, path: 'share/doc/x', own: true }],
  ['headers', { rule: 'development', follow: false, path: 'include' }],
  ['a static library', { rule: 'development', follow: false, path: 'lib/libx.a', type: 'file' }],
  [
    'what a build tool reads of its own: aclocal its macros',
    { rule: 'own-instructions', follow: true, from: script, path: 'share/aclocal', own: true },
  ],
  [
    'libpkgconf its own packages',
    { rule: 'own-instructions', follow: true, from: { path: 'lib/libpkgconf.so.3' }, path: 'lib/pkgconfig', own: true },
  ],
  ['the same in data', { rule: 'development', follow: false, from: data, path: 'share/aclocal', own: true }],
  ["another package's", { rule: 'development', follow: false, from: script, path: 'share/aclocal' }],
  [
    'a build tool that a script runs',
    { rule: 'file', follow: true, from: script, name: 'autoconf-2.71', path: 'bin/autoconf', type: 'file' },
  ],
  [
    'a build tool that a program was built with',
    {
      rule: 'compiler',
      follow: false,
      name: 'pkg-config-0.29.2',
      path: 'bin/pkg-config',
      type: 'file',
      before: 'PKG_CONFIG=',
    },
  ],
  [
    'a compiler in a script',
    { rule: 'build-tool', follow: false, from: script, name: 'gcc-12.2.0', path: 'bin/gcc', type: 'file' },
  ],
  [
    'a compiler in a longer string',
    { rule: 'compiler', follow: false, name: 'gcc-wrapper-12.2.0', path: 'bin/gcc', type: 'file', before: 'CC=' },
  ],
  ["a compiler's root", { rule: 'compiler', follow: false, name: 'gcc-12.2.0' }],
  [
    'a linker that a program may run',
    { rule: 'build-tool', follow: false, name: 'binutils-2.40', path: 'bin/ld', type: 'file' },
  ],
  [
    'one that a module may run',
    {
      rule: 'build-tool',
      follow: false,
      from: { format: 'data', path: 'lib/python3.11/site-packages/x.py' },
      before: "CC = '",
      name: 'clang-14.0.6',
      path: 'bin/clang',
      type: 'file',
    },
  ],
  [
    'one in what a script knows of its build',
    {
      rule: 'compiler',
      follow: false,
      from: { format: 'script', path: 'bin/apr-1-config' },
      name: 'gcc-12.2.0',
      path: 'bin/gcc',
      type: 'file',
    },
  ],
  [
    "a compiler's library output is none",
    { rule: 'file', follow: true, name: 'gcc-12.2.0-lib', path: 'lib/libgcc_s.so.1', type: 'file' },
  ],
  [
    'a compiler that a wrapper names',
    { rule: 'file', follow: true, from: wrapper, name: 'gcc-12.2.0', path: 'bin/gcc', type: 'file' },
  ],
  [
    'a package in a configuration that is named',
    { rule: 'text-tree', follow: true, from: { ...data, named: true }, name: 'dejavu-fonts-2.37' },
  ],
  ['a package in a configuration that nothing names', { rule: 'other-tree', follow: false, from: data }],
  ['what is not there', { rule: 'absent', follow: false, path: 'etc', type: 'missing', own: true }],
  [
    'the locale archive',
    { rule: 'locales', follow: false, from: libc, path: 'lib/locale/locale-archive', type: 'file', own: true },
  ],
  ['locale sources', { rule: 'locales', follow: false, from: libc, path: 'share/i18n', own: true }],
  [
    "a library's translations",
    { rule: 'locales', follow: false, from: { path: 'lib/libx.so' }, path: 'share/locale', own: true },
  ],
  ["a program's own translations", { rule: 'directory', follow: true, path: 'share/locale', own: true }],
  ['C.UTF-8', { rule: 'c-locale', follow: 'if imported', from: libc, path: 'lib/locale', own: true }],
  [
    "libc's aliases of locales",
    { rule: 'c-locale', follow: 'if imported', from: libc, path: 'share/locale', own: true },
  ],
  ['gconv', { rule: 'gconv', follow: 'if imported', from: libc, path: 'lib/gconv', own: true }],
  [
    "gconv's cache",
    {
      rule: 'gconv',
      follow: 'if imported',
      from: libc,
      path: 'lib/gconv/gconv-modules.cache',
      type: 'file',
      own: true,
    },
  ],
  ['getconf in libc', { rule: 'getconf', follow: false, from: libc, path: 'libexec/getconf', own: true }],
  ['getconf in getconf', { rule: 'directory', follow: true, path: 'libexec/getconf', own: true }],
  ['its own root', { rule: 'own-tree', follow: true, own: true }],
  ['a root that a wrapper names', { rule: 'named-tree', follow: true, from: wrapper }],
  ["another package's root", { rule: 'other-tree', follow: false }],
  ['a package that is a file', { rule: 'file', follow: true, type: 'file' }],
  ['the own lib/, which has modules', { rule: 'own-libraries', follow: 'if imported', path: 'lib', own: true }],
  ["the C library's own lib/", { rule: 'libraries', follow: false, from: libc, path: 'lib', own: true }],
  ['a directory of libraries', { rule: 'libraries', follow: false, path: 'lib' }],
  ['the same in data', { rule: 'libraries', follow: false, from: data, path: 'lib64' }],
  ['the same in a script', { rule: 'directory', follow: true, from: script, path: 'lib' }],
  ['the same in a wrapper', { rule: 'directory', follow: true, from: wrapper, path: 'lib' }],
  ['plugins below it', { rule: 'directory', follow: true, path: 'lib/qt-6/plugins' }],
  ['a program', { rule: 'file', follow: true, path: 'bin/gpg', type: 'file' }],
  [
    'tab stops in terminfo',
    {
      rule: 'tabset',
      follow: true,
      from: { format: 'data', path: 'share/terminfo/v/vt100' },
      path: 'share/tabset/vt100',
      type: 'file',
      own: true,
    },
  ],
  ['a data file', { rule: 'file', follow: true, from: data, path: 'share/x/y', type: 'file' }],
]

describe('the table', () => {
  test.each(CASES)('%s', (_, c) => {
    const { rule, follow } = ask(c)
    expect(rule).toBe(c.rule)
    expect(typeof follow === 'boolean' ? follow : 'if imported').toBe(c.follow)
  })

  test('each row has a case and a reason', () => {
    const tested = new Set(CASES.map(([, c]) => c.rule))
    const decidedElsewhere = ['data-all', 'data-none', 'shebang', 'beside', 'excluded']
    for (const [rule, reason] of RULES) {
      expect([...tested, ...decidedElsewhere]).toContain(rule)
      expect(reason.length).toBeGreaterThan(10)
    }
  })
})

const only = (path: string): RegExp =>
  (ask({ rule: '', follow: true, from: libc, path, own: true }).follow as Condition).only

test.each([
  ['UTF-16.so', true],
  ['ISO8859-15.so', true],
  ['EUC-JP.so', true],
  ['libJIS.so', true],
  ['gconv-modules.d/gconv-modules-extra.conf', true],
  ['EBCDIC-US.so', false],
  ['IBM1047.so', false],
])('of gconv: %s %s', (name, wanted) => expect(only('lib/gconv').test(name)).toBe(wanted))

test.each([
  ['C.utf8/LC_CTYPE', true],
  ['de_DE.utf8/LC_CTYPE', false],
  ['locale.alias', true],
])('of locales: %s %s', (name, wanted) => expect(only('lib/locale').test(name)).toBe(wanted))

test.each([
  ['tcl8/8.6/http-2.9.8.tm', true],
  ['libtcl8.6.so', false],
])('of its own lib/: %s %s', (name, wanted) => {
  const { follow } = ask({ rule: 'own-libraries', follow: true, path: 'lib', own: true })
  expect((follow as Condition).only.test(name)).toBe(wanted)
})

test.each([
  ['share/man/man1/x.1', true],
  ['nix-support/setup-hook', true],
  ['lib/pkgconfig/x.pc', true],
  ['lib/libx.la', true],
  ['lib/ImageMagick-7/modules/png.la', false],
  ['lib/x/libx.a', true],
  ['share/manual', false],
  ['lib/libx.so', false],
  ['doc', true],
  ['lib/perl5/site_perl/5.36.0/x86_64-linux/auto/JSON/XS/.packlist', true],
  ['lib/perl5/5.36.0/x86_64-linux/perllocal.pod', true],
  ['lib/x/pkgconfig/x.pc', true],
  ['lib/ruby/gems/3.1.0/extensions/x86_64-linux/3.1.0/ox-2.14/gem_make.out', true],
  ['lib/ruby/gems/3.1.0/extensions/x86_64-linux/3.1.0/ox-2.14/gem.build_complete', false],
  ['share/x/access.log', false],
])('a tree leaves %s out: %s', (path, out) => expect(leftOut(path) !== null).toBe(out))
