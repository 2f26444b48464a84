/**
 * Every script of Debian's perl, xz-utils, bzip2, gzip, texinfo and groff, plain and behind wrappers of both kinds, and of
 * git, beside the originals. Needs these packages, and the larger set: its perl, bash and git.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { type Beside, besideOriginal, type Jobs } from '../support/beside-original.ts'
import { fixture } from '../support/bundle.ts'
import { type DebianScripts, debianScripts } from '../support/debian-scripts.ts'
import type { WrapperKind } from '../support/store-shape.ts'

interface Campaign extends DebianScripts {
  /** Shell commands; `$T` is the package's root. */
  readonly jobs: Jobs
}

const MAN = `printf '.TH X 1 2020-01-01\\n.SH NAME\\nx \\\\- y\\n.PP\\nhello \\\\fBbold\\\\fP\\n' > x.1`
const TEXI = `printf '@settitle X\\n@node Top\\n@top X\\n@menu\\n* A::\\n@end menu\\n@node A\\n@chapter A\\nHello @code{x} @cindex foo\\n@printindex cp\\n@bye\\n' > x.texi`
const COMPRESSED = (tool: string, end: string): string =>
  `printf 'a\\nb\\n' | ${tool} > a.${end}; printf 'a\\nc\\n' | ${tool} > b.${end}; printf 'a\\nb\\n' > a`
/** Without dates, times, addresses and temporary names. */
const stable = (text = ''): string =>
  text
    .replaceAll(/\/tmp\/[\w.+-]+/g, '/tmp/X')
    .replaceAll(/(?:CreationDate|ModDate|CreationTime|Creator).*/g, '')
    .replaceAll(/\(0x[0-9a-f]+\)/g, '(0x)')
    .replaceAll(/^Files=.* CPU\)$/gm, '')
    // Perl takes what its #! line says from the kernel and from the line, or once.
    .replaceAll(/(\S*\/\S+) \1(?= )/g, '$1')
    .replaceAll(/gzexe\w+|\bgz\d+/g, 'X')

const CAMPAIGNS: readonly Campaign[] = [
  {
    name: 'perl-scripts-5.36.0',
    packages: ['perl'],
    jobs: {
      pod: `printf '=head1 NAME\\n\\nfoo - bar\\n\\n=over\\n\\n=item x\\n\\ny\\n\\n=back\\n' > a.pod; for p in pod2text pod2html pod2usage podchecker; do echo "== $p"; $T/bin/$p a.pod < /dev/null; done; $T/bin/pod2man a.pod | grep -v '^.TH\\|Automatically'`,
      json_pp: `echo '{"b":1,"a":[1,2]}' | $T/bin/json_pp -json_opt canonical,pretty; echo '{' | $T/bin/json_pp`,
      shasum: `echo x > x; $T/bin/shasum -a 256 x; $T/bin/shasum x > sums; $T/bin/shasum -c sums`,
      archives: `echo x > x; touch -d @1 x; $T/bin/ptar -cf x.tar x; $T/bin/ptar -tf x.tar; $T/bin/ptargrep x x.tar; $T/bin/ptardiff x.tar; $T/bin/streamzip -zipfile=x.zip x < /dev/null; $T/bin/zipdetails x.zip | wc -l`,
      streamzip: `echo data | $T/bin/streamzip -zipfile=s.zip -member-name=m; python3 -c 'import zipfile; print(zipfile.ZipFile("s.zip").read("m"))'; echo data | $T/bin/streamzip -method=nope`,
      prove: `mkdir -p t; printf 'print "1..2\\\\nok 1\\\\nnot ok 2\\\\n";' > t/a.t; printf 'use Test::More; ok 1; is $0, "t/b.t"; done_testing' > t/b.t; $T/bin/prove -v t 2>&1 | sed 's/wallclock.*//;s/^Files=.*//'`,
      piconv: `echo é | $T/bin/piconv -f utf8 -t latin1 | od -c; $T/bin/piconv -l | wc -l; echo x > x; $T/bin/encguess x`,
      corelist: `$T/bin/corelist -v 5.36.0 | head -4; $T/bin/corelist Data::Dumper`,
      xsubpp: `printf 'MODULE = A PACKAGE = A\\n\\nint\\nf(a)\\n  int a\\n' > A.xs; touch typemap; $T/bin/xsubpp A.xs | grep -v '^ *#line'`,
      h2xs: `$T/bin/h2xs -A -n Foo -O < /dev/null; cat Foo/Makefile.PL; cd Foo && $FIND . -type f | sort`.replace(
        '$FIND',
        'find',
      ),
      h2ph: `printf '#define A 1\\n#define B(x) ((x)+A)\\n' > h.h; mkdir -p ph; $T/bin/h2ph -d ph h.h; cat ph/h.ph`,
      enc2xs: `$T/bin/enc2xs -M My < /dev/null; ls; printf '<code_set_name> "my"\\n<mb_cur_min> 1\\n<mb_cur_max> 1\\n<subchar> \\\\x3F\\nCHARMAP\\n<U0041> \\\\x41 |0\\nEND CHARMAP\\n' > my.ucm; $T/bin/enc2xs -o my.c my.ucm; wc -l < my.c`,
      pl2pm: `printf 'package foo;\\nsub main'"'"'x { 1 }\\n1;\\n' > foo.pl; $T/bin/pl2pm foo.pl; cat Foo.pm foo.pm`,
      splain: `echo 'syntax error at x line 1, near "}"' | $T/bin/splain 2>&1 | head -5`,
      perldoc: `$T/bin/perldoc -T -f open 2>&1 | head -3; $T/bin/perldoc -l strict`,
      perlivp: `$T/bin/perlivp -p < /dev/null 2>&1 | tail -4`,
      instmodsh: `printf 'l\\nq\\n' | $T/bin/instmodsh`,
      perlbug: `$T/bin/perlbug -d < /dev/null | grep -v 'config_args\\|osvers\\|^ *[A-Z_]*=\\|^Locally\\|^ *uname\\|HOME\\|PATH' | head -20`,
    },
  },
  {
    name: 'xz-5.4.1-scripts',
    packages: ['xz-utils'],
    jobs: {
      grep: `${COMPRESSED('xz', 'xz')}; for p in xzgrep xzegrep xzfgrep; do echo "== $p"; $T/bin/$p -n 'a|b' a.xz; $T/bin/$p -c b a.xz b.xz; done; ln -sf $T/bin/xzgrep ./xzegrep; ./xzegrep 'a|z' a.xz`,
      diff: `${COMPRESSED('xz', 'xz')}; $T/bin/xzdiff a.xz b.xz; $T/bin/xzcmp a.xz b.xz; $T/bin/xzdiff a a.xz`,
      page: `${COMPRESSED('xz', 'xz')}; $T/bin/xzmore a.xz < /dev/null; $T/bin/xzless a.xz < /dev/null | cat`,
    },
  },
  {
    name: 'bzip2-scripts-1.0.8',
    packages: ['bzip2'],
    jobs: {
      grep: `${COMPRESSED('bzip2', 'bz2')}; for p in bzgrep bzegrep bzfgrep; do echo "== $p"; $T/bin/$p -n 'a|b' a.bz2; $T/bin/$p b a.bz2 b.bz2; done`,
      diff: `${COMPRESSED('bzip2', 'bz2')}; $T/bin/bzdiff a.bz2 b.bz2; $T/bin/bzcmp a.bz2 b.bz2; ln -sf $T/bin/bzdiff bzcmp; ./bzcmp a.bz2 b.bz2`,
      page: `${COMPRESSED('bzip2', 'bz2')}; $T/bin/bzmore a.bz2 < /dev/null; $T/bin/bzless a.bz2 < /dev/null`,
      bzexe: `cp /bin/echo e; $T/bin/bzexe e 2>&1; ./e hi; $T/bin/bzexe -d e; ./e hi`,
    },
  },
  {
    name: 'gzip-scripts-1.12',
    packages: ['gzip'],
    jobs: {
      grep: `${COMPRESSED('gzip -n', 'gz')}; for p in zgrep zegrep zfgrep; do echo "== $p"; $T/bin/$p -n 'a|b' a.gz; $T/bin/$p b a.gz b.gz; done`,
      diff: `${COMPRESSED('gzip -n', 'gz')}; $T/bin/zdiff a.gz b.gz; $T/bin/zcmp a.gz b.gz; $T/bin/zdiff a a.gz`,
      page: `${COMPRESSED('gzip -n', 'gz')}; $T/bin/zmore a.gz < /dev/null; $T/bin/zless a.gz < /dev/null | cat; $T/bin/zcat a.gz`,
      gzexe: `cp /bin/echo e; $T/bin/gzexe e; ./e hi; $T/bin/gzexe -d e; ./e hi`,
      others: `${COMPRESSED('gzip -n', 'gz')}; cp a.gz c.gz; $T/bin/gunzip -f c.gz; cat c; cp a.gz f; $T/bin/zforce f; ls f*; $T/bin/znew a.gz; cp a.gz d.gz; $T/bin/uncompress -f d.gz; cat d`,
    },
  },
  {
    name: 'texinfo-6.8',
    packages: ['texinfo'],
    trees: { '/usr/share/texinfo': 'share/texinfo' },
    modules: ['libtext-unidecode-perl'],
    jobs: {
      info: `${TEXI}; $T/bin/makeinfo x.texi; cat x.info`,
      html: `${TEXI}; $T/bin/texi2any --html --no-split x.texi; cat x.html`,
      docbook: `${TEXI}; $T/bin/texi2any --docbook x.texi; cat x.xml`,
      plaintext: `${TEXI}; $T/bin/makeinfo --plaintext x.texi; echo '@nope' | $T/bin/makeinfo --plaintext`,
      pod2texi: `printf '=head1 NAME\\n\\nfoo - bar\\n' > a.pod; $T/bin/pod2texi a.pod`,
      texindex: `printf '\\\\entry{x}{1}{y}\\n' > x.cp; $T/bin/texindex x.cp; cat x.cps`,
      tex: `${TEXI}; $T/bin/texi2dvi x.texi 2>&1 | head -3; $T/bin/texi2pdf --version | head -1; $T/bin/pdftexi2dvi --version | head -1`,
    },
  },
  {
    name: 'groff-scripts-1.22.4',
    packages: ['groff', 'groff-base'],
    trees: { '/usr/lib/groff': 'lib/groff' },
    jobs: {
      nroff: `${MAN}; $T/bin/nroff -man x.1; $T/bin/nroff -man -Tascii x.1 | head -3`,
      grog: `${MAN}; $T/bin/grog x.1; $T/bin/grog --run -Tascii x.1 < /dev/null | head -4`,
      roff: `${MAN}; $T/bin/roff2text x.1 | head -3; $T/bin/roff2ps x.1 | wc -l; $T/bin/roff2html x.1 | head -5; $T/bin/roff2dvi x.1 | head -c 10 | od -c`,
      pdf: `${MAN}; troff -Tpdf x.1 | $T/bin/gropdf | head -c 8; $T/bin/pdfmom x.1 2>&1 | head -c 8; $T/bin/pdfroff x.1 2> /dev/null | head -c 8`,
      chem: `printf '.cstart\\nB: benzene\\n.cend\\n' | $T/bin/chem`,
      gdiffmk: `${MAN}; sed s/hello/bye/ x.1 > y.1; $T/bin/gdiffmk x.1 y.1`,
      gperl: `printf '.Perl start\\nprint 1+1;\\n.Perl stop\\n' | $T/bin/gperl; printf '.pinyin start\\nma3\\n.pinyin stop\\n' | $T/bin/gpinyin; echo 'x' | $T/bin/glilypond`,
      others: `${MAN}; $T/bin/mmroff x.1 | head; printf '.EQ\\nx over y\\n.EN\\n' | $T/bin/neqn; $T/bin/afmtodit 2>&1 | head -3; $T/bin/groffer --text x.1 < /dev/null | head -3`,
    },
  },
]

const FORMS: readonly (readonly [string, WrapperKind | null])[] = [
  ['plain', null],
  ['wrapped', 'make_wrapper'],
  ['wrapped by binaries', 'make_binary_wrapper'],
]

/** Compares each job, and what was said. */
function compared(of: () => Beside, jobs: readonly string[]): void {
  test.each(jobs)('%s', job => {
    const { original, relocatable, prefix } = of()
    // What the shell does not find is in none of the three.
    expect(original[job]).not.toMatch(/exit 12[67]$/)
    expect.soft(stable(relocatable[job])).toBe(stable(original[job]))
    expect.soft(stable(prefix[job])).toBe(stable(original[job]))
  })
  test('nothing is said', () => {
    expect(of().said).toEqual({ relocatable: '', prefix: '' })
  })
}

describe.each(CAMPAIGNS)('$name', ({ jobs, ...scripts }) => {
  // One that is taken down at once says what there is.
  const names = readdirSync(join(debianScripts(scripts, null), 'bin')).filter(name => !name.startsWith('.'))
  const all: Record<string, string> = { ...jobs }
  // Of some, processes of a pipeline race.
  for (const name of names)
    for (const option of /2graph$/.test(name)
      ? ['--help']
      : name === 'cpan'
        ? ['-h']
        : ['--version', '--help', '--no-such-option'])
      all[`${name} ${option}`] =
        `timeout 60 $T/bin/${name} ${option} < /dev/null 2>&1 | head -c 20000${/roff/.test(name) ? ' | sort' : ''}`
  // Some ask again and again, and Perl's hashes have an order of their own.
  for (const [job, command] of Object.entries(all)) all[job] = `export PERL_HASH_SEED=0; set -o pipefail; ${command}`

  describe.each(FORMS)('%s', (_, wrapper) => {
    let beside: Beside
    beforeAll(() => {
      beside = besideOriginal(debianScripts(scripts, wrapper), all)
    }, 1_800_000)
    compared(() => beside, Object.keys(all))
  })
})

const REPOSITORY = `rm -rf r && git() { $T/bin/git "$@"; } && git init -q r && cd r && git config user.name A && git config user.email a@b && export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z' && for i in 1 2 3 4; do echo $i > f$i; git add . && git commit -qm c$i; done`
const GIT: Jobs = {
  version: `for c in bisect submodule filter-branch mergetool difftool request-pull quiltimport send-email instaweb add cvsimport svn archimport cvsserver cvsexportcommit; do echo "== $c"; $T/bin/git $c -h < /dev/null; done`,
  bisect: `${REPOSITORY}; git bisect start HEAD HEAD~3; git bisect run sh -c '! [ -e f3 ]'; git bisect log; git bisect reset`,
  'filter-branch': `${REPOSITORY}; FILTER_BRANCH_SQUELCH_WARNING=1 git filter-branch -f --msg-filter 'sed s/c/d/' --tree-filter 'rm -f f2' HEAD | sed 's/([0-9]* seconds.*)//'; git log --oneline --name-only`,
  submodule: `${REPOSITORY}; git -c protocol.file.allow=always submodule add ./. sub; git commit -qm sub; git submodule status; git submodule foreach 'echo $name'; git submodule summary HEAD~1; git submodule deinit -f sub`,
  merges: `${REPOSITORY}; git checkout -qb x HEAD~2; echo x > x; git add .; git commit -qm x; git checkout -qb y HEAD~1; echo y > y; git add .; git commit -qm y; git checkout -q master; git merge -s octopus -m o x y; git merge -s resolve -m r x; git log --oneline | wc -l; git merge-index git-merge-one-file -a; git checkout -qb c HEAD~1; echo c > f1; git commit -qam c; git checkout -q master; echo d > f1; git commit -qam d; git merge -s resolve -m r c`,
  mergetool: `${REPOSITORY}; git checkout -qb c; echo c > f1; git commit -qam c; git checkout -q master; echo d > f1; git commit -qam d; git merge c; git -c mergetool.t.cmd='cat "$LOCAL" "$REMOTE" > "$MERGED"' -c mergetool.t.trustExitCode=true mergetool -y -t t; cat f1; git mergetool --tool-help | head -5`,
  difftool: `${REPOSITORY}; git -c difftool.t.cmd='diff "$LOCAL" "$REMOTE" | grep -v /tmp' difftool -y -t t HEAD~1; git difftool --dir-diff -x 'ls' HEAD~1 | sed 's/difftool[.].*//'`,
  'request-pull': `${REPOSITORY}; git request-pull HEAD~2 . master`,
  quiltimport: `${REPOSITORY}; mkdir -p patches; git diff HEAD HEAD~1 > patches/p; echo p > patches/series; git quiltimport --author 'A <a@b>'; git log --format=%s%n%b -2 --stat`,
  'add -p': `${REPOSITORY}; echo more >> f1; printf 'y\\n' | git -c add.interactive.useBuiltin=false add -p; git status --short; printf '1\\n7\\n' | git -c add.interactive.useBuiltin=false add -i`,
  'send-email': `${REPOSITORY}; git format-patch -q -1; git send-email --dry-run --to=x@y --from=a@b --suppress-cc=all --confirm=never 0001* | sed 's/^Date:.*//; s/^Message-Id:.*//; s/^X-Mailer.*//'`,
  instaweb: `${REPOSITORY}; git instaweb --httpd=nothing; git web--browse --browser=echo http://x`,
  'rebase, stash, hooks': `${REPOSITORY}; printf '#!/bin/sh\\necho hook\\n' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit; echo z > z; git add z; git commit -qm z; echo q > q; git add q; git stash; git stash pop; GIT_SEQUENCE_EDITOR='sed -i 1s/pick/reword/' GIT_EDITOR='sed -i s/c/w/' git rebase -q -i HEAD~2; git log --format=%s`,
  'clone, bundle, archive': `${REPOSITORY}; cd ..; rm -rf c; git clone -q r c; git -C c log --oneline; git -C r bundle create -q ../b HEAD; git -C r archive HEAD | tar t; git -C c fsck; git -C c gc -q; git daemon --help 2>&1 | head -1`,
}

describe('git', () => {
  let beside: Beside
  beforeAll(() => {
    beside = besideOriginal(fixture('full.git'), GIT)
  }, 600_000)
  compared(() => beside, Object.keys(GIT))
})
