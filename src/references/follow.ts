/**
 * What is worth bundling: which of the files that a reference names come along.
 *
 * Nix's closure is per package; a bundle's is per file. Each file of the bundle is read for store paths, and for each
 * the first row of the table below that matches says whether what it names is followed. A row is data with a reason,
 * which a person reads (`--verbose`, `--report`); `test/follow.test.ts` has a test for each.
 *
 * Pure: what a reference leads to, the caller has looked up.
 */

/** What is asked of the table. */
export interface Question {
  /** Who names it. */
  readonly from: {
    readonly format: 'elf' | 'macho' | 'script' | 'data'
    /** Path below its package's root. */
    readonly path: string
    /** Whether it is a wrapper: all that it names is there to be used. */
    readonly wrapper: boolean
    /** Whether it is a dynamic loader. */
    readonly loader: boolean
    /** Whether it is a text that another file of the bundle names. */
    readonly named: boolean
  }
  readonly bare: boolean
  /** Whether the text is a string of the dynamic section or PT_INTERP. */
  readonly ofLoader: boolean
  /** The text before the reference up to the beginning of its string or line, as far as it was read. */
  readonly before: () => string
  /** The store path that it names, null when there is no such one on this machine. */
  readonly target: {
    /** The package's name, such as `nginx-1.22.1`. */
    readonly name: string
    /** Path below the package's root, as far as it exists; empty for the root itself. */
    readonly path: string
    readonly type: 'file' | 'directory' | 'missing'
    /** Whether it is the package of the file that names it. */
    readonly own: boolean
  } | null
}

/** What a row asks of the bundle before what it names comes along. */
export interface Condition {
  /** Followed when any object of the bundle but the package's own libraries imports one of these functions; none: always. */
  readonly imports: readonly string[]
  /** Which files of the directory come along, by their path below it. */
  readonly only: RegExp
}

interface Row {
  readonly rule: string
  readonly reason: string
  readonly follow: boolean | Condition
  readonly matches: (question: Question) => boolean
}

/** The text ends in an option: `-I`, `-Wl,-rpath,`, `--prefix=`, `CFLAGS=-isystem `. */
const OPTION = /(?:^|[\s"'=])-[-A-Za-z][^\s"']*(?:(?<=isystem|idirafter) )?$/
/** Options of compilers and linkers that are followed by a path, and are no file that a program reads. */
const COMPILER_OPTION = /^-(?:[ILBRF]|W[lap],|f[a-z-]+=|i[a-z]+|specs|-sysroot|-with-)/
/** Options of compilers and of configure scripts, before another one. */
const BUILD_OPTION =
  /(?:^|[\s"'=])-(?:[ILBDOfWgm]\S|-(?:prefix|with|without|enable|disable|host|build|\w*dir)\b)|configure|CFLAGS/
const COMPILER =
  /^(?:gcc|clang|llvm|binutils|cctools|gfortran|rustc|gnumake|cmake|ninja|pkg-config|pkgconf|automake|autoconf|bison|flex)(?:-wrapper)?-(?:wrapper-)?\d[^-]*$|^stdenv-/
/** Of those, what a text that names a program of them runs as a tool of its own: automake autoconf, meson ninja. They are small. */
const TOOL =
  /^(?:gnumake|cmake|ninja|pkg-config|pkgconf|automake|autoconf|bison|flex)(?:-wrapper)?-(?:wrapper-)?\d[^-]*$/
/** What only who builds other packages reads, and so what a build tool reads when it runs: automake, libtool, pkg-config. */
const INSTRUCTIONS = /^(?:share\/aclocal|(?:lib|share)\/(?:pkgconfig|cmake))(?:\/|$)/
const DEVELOPMENT = /-(?:dev|doc|devdoc|man|info|debug|static)$/
/** What programs run and read of an output for development too: glib's and Qt's tools lie in one. */
const USED = /^(?:(?:s?bin|libexec)(?:\/|$)|(?:share|etc)\/.)/
/** Files that know all of a build, in whatever language. */
const BUILD_FACTS = /-config(?:\.\w+)?$|(?:^|\/)(?:libtool|rbconfig\.rb|Makeconf)$/
const MODULE = /\.(?:py|p[lm]|rb|lua|tcl|php|[cm]?js|sh)$/
const CONFIGURATION =
  /(?:^|\/)(?:_sysconfigdata[^/]*\.(?:py|pyc)|config-\d[^/]*\/[^/]+|config-Q\d+\w*\/configure\.xml|Config(?:_heavy|_git)?\.p[lm]|[^/]+\.(?:pc|la|prl|cmake|h|hpp|pri|mk))$|(?:^|\/)Makefile(?:\.[^/]*)?$/
const LOCALES = /(?:^|\/)locale-archive$|^share\/i18n(?:\/|$)|^share\/locale(?:\/|$)/

/** The character sets that people meet; the other 200 modules of glibc come with `--include`. */
const GCONV =
  /^(?:gconv-modules(?:\.cache|\.d(?:\/.*)?)?|(?:UTF-(?:7|16|32)|UNICODE|ISO8859-\d+|CP125\d|KOI8-[RU]|EUC-(?:CN|JP|KR|TW|JP-MS)|SJIS|CP932|EUC-JISX0213|GBK|GB18030|GBGBK|BIG5|BIG5HKSCS|IBM850|IBM437|lib(?:CNS|GB|ISOIR165|JIS|JISX0213|KSC))\.so)$/

/** What running a program never reads: it stays out of a package's tree too. Paths are below the package's root. */
const LEFT_OUT: readonly { readonly pattern: RegExp; readonly reason: string }[] = [
  { pattern: /^nix-support(?:\/|$)/, reason: 'instructions for Nix builds' },
  { pattern: /^(?:share\/)?(?:doc|man|info|gtk-doc|devhelp)(?:\/|$)/, reason: 'documentation' },
  { pattern: /^include(?:\/|$)/, reason: 'headers' },
  { pattern: /^(?:lib|share)\/(?:pkgconfig|cmake)(?:\/|$)/, reason: 'build instructions for other packages' },
  { pattern: /^share\/aclocal(?:\/|$)/, reason: 'build instructions for other packages' },
  { pattern: /(?:^|\/)pkgconfig\/[^/]*\.pc$/, reason: 'build instructions for other packages' },
  { pattern: /^lib\/debug(?:\/|$)/, reason: 'debug information' },
  { pattern: /(?:^|\/)\.packlist$/, reason: 'a list of what a Perl package installed' },
  { pattern: /(?:^|\/)(?:config\.log|mkmf\.log|gem_make\.out|perllocal\.pod)$/, reason: 'a log of how it was built' },
  { pattern: /\.a$/, reason: 'static library' },
  // Those of modules lie further down, and libltdl reads them (ImageMagick, unixODBC, OpenLDAP).
  { pattern: /^lib(?:32|64)?\/[^/]+\.la$/, reason: 'how libtool links a library' },
]

/** Whether a path of a package, relative to its root, is there for who builds others: it comes along with a build tool only. */
export const isInstructions = (path: string): boolean => INSTRUCTIONS.test(path)

/** Why a path of a package, relative to its root, stays out of a bundle; null when it comes along. */
export const leftOut = (path: string): string | null => LEFT_OUT.find(rule => rule.pattern.test(path))?.reason ?? null

/** First match wins. */
const TABLE: readonly Row[] = [
  {
    rule: 'loader',
    reason: 'interpreter, needed names and search paths are set anew; libraries come by their names',
    follow: false,
    // A loader names its own directories to search them, and its prefix for --list-diagnostics.
    matches: q => q.ofLoader || q.from.loader,
  },
  { rule: 'hash', reason: 'a store hash alone, which is no path', follow: false, matches: q => q.bare },
  { rule: 'gone', reason: 'no store path of this machine', follow: false, matches: q => q.target === null },
  {
    rule: 'option',
    reason: 'an option that the program was configured or compiled with, kept to be printed',
    follow: false,
    matches: q => isBinary(q) && !q.from.wrapper && OPTION.test(q.before()) && !isMeantOption(q),
  },
  {
    rule: 'configuration',
    reason: 'what the package was configured with, for building others',
    follow: false,
    matches: q =>
      q.target !== null && CONFIGURATION.test(q.from.path) && !(q.target.own && isInstructions(q.from.path)),
  },
  {
    rule: 'own-instructions',
    reason: 'instructions for building that a program of the same package names: it is a build tool, which reads them',
    follow: true,
    matches: q =>
      q.target?.own === true &&
      q.target.type !== 'missing' &&
      isInstructions(q.target.path) &&
      (isBinary(q) || /^(?:s?bin|libexec)\//.test(q.from.path)),
  },
  {
    rule: 'development',
    reason: 'documentation, headers and other things for building programs',
    follow: false,
    matches: ({ target }) =>
      target !== null &&
      ((!target.own && DEVELOPMENT.test(target.name) && !(target.name.endsWith('-dev') && USED.test(target.path))) ||
        leftOut(target.path) !== null),
  },
  {
    rule: 'build-tool',
    reason: 'a compiler or build tool, which is large, though a program or script may run it',
    follow: false,
    matches: q => isCompiler(q) && q.target?.type === 'file' && mayRun(q),
  },
  {
    rule: 'compiler',
    reason: 'a compiler or build tool',
    follow: false,
    matches: q => isCompiler(q),
  },
  {
    rule: 'absent',
    reason: 'names nothing that is there',
    follow: false,
    matches: q => q.target?.type === 'missing',
  },
  {
    rule: 'c-locale',
    reason: 'the locale C.UTF-8 and the other names of locales, for programs that call setlocale',
    follow: { imports: ['setlocale', 'newlocale'], only: /^(?:C\.utf8(?:\/|$)|locale\.alias$)/ },
    matches: q => !q.from.wrapper && isLibcs(q) && /^(?:lib|share)\/locale$/.test(q.target?.path ?? ''),
  },
  {
    rule: 'locales',
    reason: 'locale sources, the archive of all locales, and translations, which are of no use without it',
    follow: false,
    matches: q => q.target !== null && !q.from.wrapper && !isOwnProgram(q) && LOCALES.test(q.target.path),
  },
  {
    rule: 'gconv',
    reason: "the common character sets of glibc's iconv, for programs that call it",
    follow: { imports: ['iconv_open'], only: GCONV },
    matches: q => /^lib\/gconv(?:\/gconv-modules(?:\.cache)?)?$/.test(q.target?.path ?? '') && !q.from.wrapper,
  },
  {
    rule: 'getconf',
    reason: "programs of getconf(1) for other word sizes, which libc's sysconf only asks after",
    follow: false,
    matches: q => q.target?.path === 'libexec/getconf' && q.from.path.startsWith('lib/'),
  },
  {
    rule: 'own-tree',
    reason: 'its own package: all of it',
    follow: true,
    matches: q => q.target?.own === true && q.target.path === '',
  },
  {
    rule: 'named-tree',
    reason: 'a package that a wrapper names',
    follow: true,
    matches: q => q.target?.path === '' && q.from.wrapper,
  },
  {
    rule: 'text-tree',
    reason: 'a package that a text names which is named itself: a configuration that was asked for',
    follow: true,
    matches: q => q.target?.path === '' && q.from.named && (q.from.format === 'data' || q.from.format === 'script'),
  },
  {
    rule: 'other-tree',
    reason: 'the root of another package, which says nothing of what is wanted of it',
    follow: false,
    matches: q => q.target?.path === '' && q.target.type === 'directory',
  },
  {
    rule: 'own-libraries',
    reason: 'its own lib/, in whose subdirectories it looks for modules, such as those of Tcl',
    follow: { imports: [], only: /^[^/]+\// },
    matches: q =>
      q.target?.own === true &&
      isBinary(q) &&
      /^lib(?:32|64)?$/.test(q.target.path) &&
      !/^lib\/(?:ld|libc)[-.]/.test(q.from.path),
  },
  {
    rule: 'libraries',
    reason: 'a directory of libraries, which come by their names',
    follow: false,
    matches: q => !q.from.wrapper && q.from.format !== 'script' && /^lib(?:32|64)?$/.test(q.target?.path ?? ''),
  },
  {
    rule: 'tabset',
    reason: 'tab stops of terminals that have none of their own, which tput and tset send to these',
    follow: true,
    matches: q => /(?:^|\/)terminfo\//.test(q.from.path) && /^share\/tabset\//.test(q.target?.path ?? ''),
  },
  {
    rule: 'directory',
    reason: 'a directory that is named',
    follow: true,
    matches: q => q.target?.type === 'directory',
  },
  { rule: 'file', reason: 'a file that is named', follow: true, matches: () => true },
]

/** What the table says: the row, and whether what is named comes along. */
export interface Answer {
  readonly rule: string
  readonly follow: boolean | Condition
}

/** The first row that matches. */
export function answer(question: Question): Answer {
  const row = TABLE.find(row => row.matches(question))
  if (!row) throw new Error('the last row matches everything')
  return row
}

/** Rows by name with their reasons, for people. */
export const RULES: ReadonlyMap<string, string> = new Map([
  ...TABLE.map(({ rule, reason }) => [rule, reason] as const),
  ['data-all', 'the whole closure was asked for'],
  ['data-none', 'programs and libraries only were asked for'],
  ['shebang', 'the interpreter of a script'],
  ['beside', 'what a program finds beside itself, and so its package'],
  ['excluded', 'excluded by name'],
])

const isBinary = ({ from }: Question): boolean => from.format === 'elf' || from.format === 'macho'

/** Whether a text names a program of a build tool, by which it runs it. */
const isRunAsTool = (q: Question): boolean =>
  !isBinary(q) && q.target?.type === 'file' && /^bin\//.test(q.target.path) && TOOL.test(q.target.name)

const isCompiler = (q: Question): boolean =>
  q.target?.own === false && !q.from.wrapper && COMPILER.test(q.target.name) && !isRunAsTool(q)

/** Whether a file is named to be used: by a script or module, or by a string of a program that is nothing but its path. */
const mayRun = (q: Question): boolean =>
  !BUILD_FACTS.test(q.from.path) &&
  (isBinary(q) ? q.before() === '' : q.from.format === 'script' || MODULE.test(q.from.path))

/** Whether an option names a file that is meant: no option of a compiler's, nor among those that a program was built with. */
const isMeantOption = (q: Question): boolean => {
  const before = q.before()
  const option = /[^\s"']*$/.exec(before)?.[0] ?? ''
  return (
    q.target?.type === 'file' &&
    !COMPILER_OPTION.test(option) &&
    !BUILD_OPTION.test(before.slice(0, before.length - option.length))
  )
}

/** Whether the C library names a file of its own. */
const isLibcs = ({ from, target }: Question): boolean => target?.own === true && /^lib\/libc[.-]/.test(from.path)

/** A program asks for the catalogues of its own package: it sets the locale it likes. */
const isOwnProgram = ({ from, target }: Question): boolean =>
  target?.own === true && (from.format === 'elf' || from.format === 'macho') && /^s?bin\//.test(from.path)
