/**
 * Store paths in the text of a Perl script.
 *
 * Only perl can read Perl, so nothing is put into the text when the bundle is made. It lies on disk with placeholders of
 * equal length, which lead nowhere, and is filled in when it is run: the launcher starts perl with a constant program
 * (`-e`), which reads the text, puts the bundle's root in, writes it into memory and starts perl again on that. The
 * second perl runs the script as its own program, so all is as it was: `caller`, `$^S`, BEGIN to END, `__DATA__`, flags,
 * messages, exit codes. No module is loaded, and nothing is written to disk.
 *
 * perl takes a program from a descriptor under a name of our choice: `perl /dev/fd/3//the/name`. That is left of
 * suidperl (perl.c, open_script), is in every perl since 5.6, and needs no /dev/fd. The descriptor is a memfd, which can
 * be read again like a file; where there is none, a pipe that a process of its own fills.
 *
 * A root is put into text whose quotes are not known. Where its characters could mean something there (a quote, a
 * blank in `qw`), the script gets another way to it, an alias (entry/alias.h); where there is none,
 * `/proc/self/fd/<n>`: the root's directory, held open. Without /proc such a root is refused: never half a program.
 */
import { type LaunchTemplate, startedAs, type Template } from '../entry/launcher.ts'
import { HASH_LENGTH, STORE_DIR, STORE_PREFIX_LENGTH } from '../nix/store-path.ts'
import type { BundlePath } from '../paths.ts'
import {
  blankedSite,
  joined,
  refuseAll,
  type Site,
  type SiteEdit,
  type TextEdit,
  textEdit,
  withInserted,
} from './edit.ts'

/**
 * The text as it lies on disk, of equal length. A placeholder is `/var/empty/`, 32 characters and the name, as for what
 * is not in the bundle, but with o's: `oooo-<name>` becomes `<root>/pkg/<name>`. With `oo5~2` in the end the name is 5
 * characters long and its directory's name goes on with `~2`.
 * @param _place where the text will lie
 */
export function editPerl(text: string, _place: BundlePath, sites: readonly Site[]): TextEdit {
  // perl looks for flags in the first line, and a root with a blank in it would be looked at too.
  const end = text.startsWith('#!') ? text.indexOf('\n') : 0
  const line = end < 0 ? text.length : end
  return textEdit(text, sites, site => {
    if (site.to === null || site.offset < line) return blankedSite(text, site)
    return placeholder(text, site, site.to)
  })
}

function placeholder(text: string, { offset, length }: Site, to: BundlePath): SiteEdit {
  const name = text.slice(offset + STORE_PREFIX_LENGTH, offset + length)
  const suffix = to.slice(`pkg/${name}`.length)
  if (to !== `pkg/${name}${suffix}` || !/^(?:~[0-9]+)?$/.test(suffix)) return { refused: 'name' }
  const code = suffix === '' ? '' : `${name.length}${suffix}`
  const put = `/var/empty/${code.padStart(HASH_LENGTH, 'o')}-${name}`
  return { splice: { offset, length, text: put }, outcome: 'templated' }
}

/**
 * The flags that a `#!` line of perl's has where a directory of modules is among them. perl reads the line itself, all of
 * it and word by word, while the kernel hands on one argument of at most 256 bytes; so what names a place in the store
 * has to be given to it word by word. Null for other lines.
 */
export function moduleFlags(text: string): readonly string[] | null {
  const line = /^#!.*/.exec(text)?.[0] ?? ''
  const flags = /perl(?= -).*?[ \t]+(-.*)$|perl[^ \t]*[ \t]+(-.*)$/.exec(line)
  const words = (flags?.[1] ?? flags?.[2])?.split(/[ \t\r]+/).filter(word => word !== '') ?? []
  return words.some(word => word.includes(STORE_DIR)) ? words : null
}

/**
 * A launcher for a Perl script: perl fills in its text and runs it. `$0` is the text's path: a script reads its manual
 * there (Pod::Usage).
 * @param script where the launcher lies; its program is the text
 * @param interpreter perl, which has to be something that can be executed as it lies there
 * @param flags the arguments of the `#!` line
 */
export const throughPerl = (
  script: LaunchTemplate,
  interpreter: Template,
  flags: readonly Template[],
): LaunchTemplate => ({
  ...script,
  program: interpreter,
  argv0: interpreter,
  before: [
    ['-e'],
    [BOOT],
    ['--'],
    [{ root: 'plain' }],
    interpreter,
    script.program,
    script.program,
    [`${flags.length}`],
    ...flags,
    ...script.before,
  ],
  environment: [...script.environment, startedAs(script.program)],
})

/**
 * Puts the root into a text, or the way to it that the text was called by, where that is a plain one and the root is not.
 * Of `$root`, `$text`, `$source` and `$fail`; the directory stays open.
 */
const PUT_ROOT = `my ($at, $dir, $way) = ($root, undef, $text);
if ($root =~ m{[^0-9A-Za-z/_.=~+\\x80-\\xff-]}) {
  1 while $way =~ s{/+[^/]*\\z}{} && join(' ', (stat "$way/")[0, 1]) ne join ' ', (stat "$root/")[0, 1];
  $at = $way if $way =~ m{^/[0-9A-Za-z/_.=~+\\x80-\\xff-]*\\z};
}
if ($at =~ m{[^0-9A-Za-z/_.,:=~+\\x80-\\xff-]}) {
  open $dir, '<', "$root/" and -d '/proc/self/fd/' . fileno $dir
    or $fail->("its bundle lies in a directory whose name it cannot hold, and there is no /proc: $root");
  $at = '/proc/self/fd/' . fileno $dir;
}
$source =~ s{/var/empty/(?=[o0-9~]{32}-)o+(?:([0-9]+)(~[0-9]+))?-([0-9A-Za-z+._?=-]*)}{
  "$at/pkg/" . ($1 ? substr($3, 0, $1) . $2 . substr($3, $1) : $3)
}ge;
`

/** Reads a text, puts the root in, and writes it to a descriptor. Of `$root`, `$text`, `$name` and `$fail`. */
const FILL = `open my $in, '<:raw', $text or $fail->("cannot read $text: $!");
my $source = do { local $/; <$in> };
close $in;

$^F = 1 << 20; # what is opened from here on stays open in the second perl
${PUT_ROOT}
my $fd = -1;
if (open my $exe, '<:raw', '/proc/self/exe') {
  my %memfd_create = (62 => 319, 183 => 279, 243 => 279);
  read $exe, my $head, 20;
  my $call = length $head == 20 ? $memfd_create{unpack 'x18v', $head} : undef;
  my $title = 'perl';
  for my $sealed (8, 0) { $fd = eval { syscall $call, $title, $sealed } if $call && $fd < 0 }
  close $exe;
}
my ($memory, $read, $write);
if ($fd >= 0 && open $memory, '+<&=', $fd) {
  binmode $memory;
  for (my $done = 0; $done < length $source;) {
    $done += syswrite($memory, $source, length($source) - $done, $done) || $fail->("cannot write to memory: $!");
  }
  sysseek $memory, 0, 0;
} else {
  pipe $read, $write or $fail->("cannot make a pipe: $!");
  my $child = fork;
  defined $child or $fail->("cannot fork: $!");
  if (!$child) {
    exit if fork; # no child of the script, which may wait for its own
    close $read;
    binmode $write;
    print $write $source;
    exit;
  }
  waitpid $child, 0;
  close $write;
  $fd = fileno $read;
}
`

/** What the first perl runs. Its arguments: root, perl, text, name, the number of flags, these, the script's own. */
export const BOOT = `
my ($root, $perl, $text, $name, $count) = splice @ARGV, 0, 5;
my @flags = splice @ARGV, 0, $count;
utf8::is_utf8($_) && utf8::encode($_) for $root, $perl, $text, $name, @flags;
my $fail = sub { print STDERR "$name: $_[0]\\n"; exit 127 };
${FILL}exec {$perl} $perl, @flags, "/dev/fd/$fd/$name", @ARGV or $fail->("cannot run $perl: $!");
`

/**
 * A line of Perl that does the same, in a text that no launcher stands for: an interpreter is given it, or `/bin/sh` has
 * started it (polyglot.ts). The arguments of this perl are run again on the filled text; there the line does nothing.
 * Where it cannot (without /proc, with `-T`), it says so: never a program whose paths lead nowhere.
 */
export const fillsItself = (place: BundlePath): string =>
  `BEGIN { if (__FILE__ eq $0 && index('/var/empty/${'o'.repeat(HASH_LENGTH)}-', '/var/empty/o') == 0) { ${uncommented(
    SELF.replaceAll('@PLACE@', () => `/${place}`.replace(/[\\']/g, '\\$&')),
  )} } }`

const SELF = `
my ($name, $text) = ($0, $0);
my $fail = sub { print STDERR "$name: $_[0]\\n"; exit 127 };
\${^TAINT} and $fail->('cannot fill in its text under -T: run it by its name in bin/, or bundle with --prefix');
open my $own, '<', $text or $fail->("cannot read $text: $!");
my $root = readlink '/proc/self/fd/' . fileno $own;
defined $root && substr($root, -length('@PLACE@'), length $root, '') eq '@PLACE@' or $fail->('cannot find its bundle (is /proc mounted?)');
close $own;
open my $given, '<:raw', '/proc/self/cmdline' or $fail->("cannot read its arguments: $!");
my @given = do { local $/; split /\\0/, <$given>, -1 };
close $given;
pop @given;
my ($place) = grep { $given[$_] eq $name } 1 .. $#given;
defined $place or $fail->('cannot find itself among its arguments');
${FILL}
$given[$place] = "/dev/fd/$fd/$name";
exec {$^X} @given or $fail->("cannot run $^X: $!");
`

/** What ends the text of a module in the text that is in its place. */
const END = '_STOREFREE_END_'

/**
 * The text of a Perl module, which has its root put in and is evaluated when it is loaded: the text is a here-document, so
 * that nothing of it has to be understood, and `# line` has it keep its lines. Nothing stands behind it, so that its value is
 * the file's, which may be run as a program too. To be in an eval is what a module can see
 * of it. Refused are modules that would see more: by `__DATA__`, by a source filter, by `caller` as the sign that they run
 * as a program.
 * @param place where it will lie
 */
export function editPerlModule(text: string, place: BundlePath, sites: readonly Site[]): TextEdit {
  const seesMore =
    /^__DATA__\b|^[ \t]*use[ \t]+(?:Switch|Filter|Inline|Acme)\b|\b(?:unless|if|or|and|\|\||&&)[ \t(]*!?[ \t]*(?:defined[ \t(]+)?caller\b(?![ \t]*\()/m
  const readsEnd = /^__END__\b/m.test(text) && /\bDATA\b/.test(text)
  // Prolog's files are called so as well.
  const isPerl = /^[ \t]*(?:package[ \t]+\w|use[ \t]+[\w:]+|sub[ \t]+\w|(?:my|our|local)[ \t]*[$@%(])/m.test(text)
  if (
    !isPerl ||
    /^:-/m.test(text) ||
    text.startsWith('#!') ||
    readsEnd ||
    seesMore.test(text) ||
    text.includes(END) ||
    text.includes('\0')
  )
    return refuseAll(text, sites, 'unparsable')
  const edit = editPerl(text, place, sites)
  if (!edit.outcomes.includes('templated')) return edit
  const loader = uncommented(MODULE.replaceAll('@PLACE@', () => `/${place}`.replace(/[\\']/g, '\\$&')))
  const end = `${text.endsWith('\n') ? '' : '\n'}${END}\n`
  const whole = withInserted(edit, 0, `${loader}\n`)
  return { ...whole, splices: [...whole.splices, { offset: text.length, length: 0, text: end }] }
}

// What the module could see of it: two names that it does not use, and itself in an eval.
const MODULE = `
my $_storefree_text = do {
local ($_, $!, $@);
my ($name, $text, $source) = (__FILE__, __FILE__, <<'${END}');
my $fail = sub { die "$name: $_[0]\\n" };
my $root;
if (open my $own, '<', $text) { $root = readlink '/proc/self/fd/' . fileno $own; close $own; }
$root = do { require Cwd; Cwd::realpath($text) } unless defined $root;
defined $root && substr($root, -length('@PLACE@'), length $root, '') eq '@PLACE@' or $fail->('cannot find its bundle');
local $^F = 1 << 20;
${PUT_ROOT}
@{'storefree::open'} = (@{'storefree::open'}, $dir) if $dir;
$text = $at . '@PLACE@' if $text =~ /["\\n]/;
"# line 1 \\"$text\\"\\n$source";
};
my @_storefree_value = wantarray ? eval $_storefree_text : scalar eval $_storefree_text;
die $@ if ref $@ || $@ ne '';
(sub { wantarray ? @_ : $_[0] })->(@_storefree_value);
`

/** As a text can hold it whose lines have to stay where they are. */
const uncommented = (text: string): string => joined(text.replace(/ # .*$/gm, ''))
