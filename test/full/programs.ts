/**
 * What real programs do: one list, shown in a bundle for one place, in a relocatable one, and traced beside the original.
 * `root` is where the package's own tree lies: a store path, or `/opt/app/pkg/NAME`.
 */

export interface Job {
  /** Attribute of the larger set. */
  readonly attribute: string
  /** What is run, below the package's bin/. */
  readonly program: string
  readonly args: readonly string[]
  readonly input?: string
  /** What must be in its output. */
  readonly shows: string | RegExp
  /** Files that must be in the home directory: name and contents. */
  readonly files?: Readonly<Record<string, string>>
  readonly code?: number
  /** A shell script that only sets up another program: in a relocatable bundle no shell runs. */
  readonly isShellWrapper?: true
}

const PYTHON_SPAWN = `import multiprocessing as m
def square(n): return n * n
if __name__ == '__main__':
    with m.get_context('spawn').Pool(2) as pool: print('spawned', pool.map(square, [1, 2, 3]))
`

export const JOBS: readonly Job[] = [
  { attribute: 'full.nginx', program: 'nginx', args: ['-v'], shows: '' },
  {
    attribute: 'full.openssl',
    program: 'openssl',
    args: ['version', '-d'],
    shows: /^OPENSSLDIR: "\/.*\/p(?:kg\/openssl-3\.0|\/0-openssl-3\.0)\/etc\/ssl"$/m,
  },
  {
    attribute: 'full.openssl',
    program: 'openssl',
    args: ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', '/dev/null', '-subj', '/CN=example.org'],
    shows: '-----END CERTIFICATE-----',
  },
  {
    attribute: 'full.openssl',
    program: 'openssl',
    args: ['list', '-providers', '-provider', 'legacy'],
    shows: 'OpenSSL Legacy Provider',
  },
  {
    attribute: 'full.perl',
    program: 'perl',
    args: ['-MPOSIX=floor', '-MEncode', '-MList::Util=sum', '-e', 'print floor(2.5) + sum(1, 2), "\\n"'],
    shows: '5\n',
  },
  {
    attribute: 'full.perl',
    program: 'perl',
    args: ['script.pl', 'x'],
    files: {
      'script.pl':
        'use strict; use POSIX; use File::Basename; print basename($0), " @ARGV\\n"; print <DATA>;\n__DATA__\nmore\n',
    },
    shows: 'script.pl x\nmore\n',
  },
  {
    attribute: 'full.python3',
    program: 'python3',
    args: [
      '-c',
      'import ssl, sqlite3, encodings.idna, curses, ctypes, zlib, lzma, bz2; print(ssl.OPENSSL_VERSION, sqlite3.sqlite_version)',
    ],
    shows: /^OpenSSL 3\.0\.\d+ .* 3\.40\.1\n$/,
  },
  {
    attribute: 'full.python3',
    program: 'python3',
    args: [
      '-c',
      'import subprocess, sys; print(subprocess.run([sys.executable, "-c", "print(6 * 7)"], capture_output=True).stdout)',
    ],
    shows: "b'42\\n'",
  },
  {
    attribute: 'full.python3',
    program: 'python3',
    args: ['spawn.py'],
    files: { 'spawn.py': PYTHON_SPAWN },
    shows: 'spawned [1, 4, 9]',
  },
  {
    attribute: 'full.python3',
    program: 'python3',
    args: [
      '-c',
      'import venv, subprocess; venv.create("v", symlinks=True, with_pip=True); print(subprocess.run(["v/bin/python", "-m", "pip", "--version"], capture_output=True, text=True).stdout)',
    ],
    shows: /^pip [\d.]+ from \/home\/v\//,
  },
  {
    attribute: 'full.git',
    program: 'git',
    args: ['submodule', '-h'],
    shows: 'usage: git submodule',
  },
  {
    attribute: 'full.git',
    program: 'git',
    args: ['ls-remote', 'http://127.0.0.1:1/x'],
    code: 128,
    shows: 'Failed to connect to 127.0.0.1 port 1',
  },
  {
    attribute: 'full.curl',
    program: 'curl',
    args: ['-s', 'file:///home/page'],
    files: { page: 'a page' },
    shows: 'a page',
  },
  {
    attribute: 'full.ncurses',
    program: 'tput',
    args: ['-T', 'xterm', 'bold'],
    shows: '\x1b[1m',
  },
  {
    attribute: 'full.ncurses',
    program: 'infocmp',
    args: ['xterm'],
    shows: 'xterm terminal emulator',
  },
  {
    attribute: 'full.glibc^bin',
    program: 'iconv',
    args: ['-f', 'UTF-8', '-t', 'EUC-JP', 'text'],
    files: { text: 'ら' },
    shows: /^..$/s,
  },
  { attribute: 'full.glibc^bin', program: 'locale', args: ['-a'], shows: 'C.utf8' },
  { attribute: 'full.coreutils', program: 'ls', args: ['/home'], files: { 'a file': '' }, shows: 'a file' },
  { attribute: 'full.coreutils', program: 'sort', args: [], input: 'b\na\n', shows: 'a\nb\n' },
  { attribute: 'full.gnused', program: 'sed', args: ['s/a/b/'], input: 'abc\n', shows: 'bbc\n' },
  { attribute: 'full.gnugrep', program: 'grep', args: ['-oP', '\\d+(?=b)'], input: 'a42b\n', shows: '42\n' },
  { attribute: 'full.gawk', program: 'gawk', args: ['{ print $1 + $2 }'], input: '1 2\n', shows: '3\n' },
  { attribute: 'full.less', program: 'less', args: ['--version'], shows: 'less 590' },
  { attribute: 'full.hello', program: 'hello', args: [], shows: 'Hello, world!' },
  { attribute: 'full.sqlite', program: 'sqlite3', args: [':memory:', 'select 6 * 7'], shows: '42\n' },
  {
    attribute: 'full.bash',
    program: 'bash',
    args: ['-c', 'echo "bash $((6 * 7))"'],
    shows: 'bash 42\n',
  },
  { attribute: 'full.probe', program: 'probe', args: ['--thread-exit', '--maps'], shows: 'libgcc_s.so.1' },
  {
    attribute: 'full.plugin-host',
    program: 'plugin-host',
    args: [],
    shows: 'extra from another package',
  },
  { attribute: 'full.cxx', program: 'cxx', args: [], shows: '' },
  { attribute: 'full.wrapped', program: 'wrapped', args: ['x'], shows: 'FX_DATA', isShellWrapper: true },
  { attribute: 'full.binwrapped', program: 'binwrapped', args: ['x'], shows: 'FX_DATA' },
  { attribute: 'full.wrapped', program: 'wrapped-run', args: ['x'], shows: 'FX_RUN' },
  { attribute: 'full.scripts', program: 'hello-sh', args: ['x'], shows: 'one line of data' },
  { attribute: 'full.pyapp', program: 'pyapp', args: ['a b', '--spawn'], shows: 'spawned [1, 4, 9]' },
  {
    attribute: 'full.pyapp',
    program: 'pyapp-sh',
    args: ['a b', '--spawn'],
    shows: 'spawned [1, 4, 9]',
    isShellWrapper: true,
  },
]

/** A job's name in a test's title. */
export const titleOf = ({ attribute, program, args }: Job): string =>
  `${attribute} ${program} ${args.map(a => (a.length > 30 ? `${a.slice(0, 30)}...` : a)).join(' ')}`
