/** Warnings are worth reading, of the larger set too: few lines for each program, and what the longest say. */
import { describe, expect, test } from 'vitest'
import { fixture } from '../support/bundle.ts'
import { longest, WARNINGS_MAX, warningsOf } from '../support/warnings.ts'

const ATTRIBUTES = [
  ...[
    'coreutils',
    'curl',
    'gawk',
    'git',
    'gnugrep',
    'gnused',
    'hello',
    'less',
    'openssl^bin',
    'perl',
    'plapp',
    'pyapp',
  ],
  ...['python3', 'sqlite', 'scripts', 'xz'],
].map(name => `full.${name}`)
const KINDS = [
  ['relocatable', {}],
  ['with shell launchers', { launcher: 'shell' }],
  ['for one place', { prefix: '/opt/app' }],
] as const

const told = new Map<string, string>()

describe.each(KINDS)('%s', (kind, options) => {
  test.each(ATTRIBUTES)('%s', async attribute => {
    const lines = await warningsOf(fixture(attribute), options)
    expect(lines.length).toBeLessThanOrEqual(WARNINGS_MAX)
    if (lines.length > 0) told.set(`${attribute} ${kind}`, lines.join('\n'))
  })
})

test('the longest five', () => {
  expect(longest(told, 5)).toMatchInlineSnapshot(`
    "full.git with shell launchers:
    warning: glibc-2.36/lib/libc.so.6: finds glibc-2.36/lib/gconv, glibc-2.36/lib/locale, glibc-2.36/share/locale and 1 more by store path, which a relocatable bundle cannot keep: name the place on its command line, or bundle with --prefix
    warning: coreutils-9.1/bin/coreutils: finds coreutils-9.1/libexec/coreutils by store path, which a relocatable bundle cannot keep: name the place on its command line, or bundle with --prefix
    warning: git-2.39.5/bin/git: finds bash-5.2.15/bin/bash, git-2.39.5 by store path, which a relocatable bundle cannot keep (nor do git-2.39.5/bin/git-shell, git-2.39.5/bin/scalar, git-2.39.5/libexec/git-core/git and 8 more): name the place on its command line, or bundle with --prefix
    warning: ncurses-6.4/lib/libncursesw.so.6.4: finds ncurses-6.4/share/terminfo by store path, which a relocatable bundle cannot keep: name the place on its command line, or bundle with --prefix
    warning: openssl-3.0/lib/libcrypto.so.3: finds openssl-3.0/etc/ssl/ct_log_list.cnf, openssl-3.0/lib/engines-3, openssl-3.0/etc/ssl and 1 more by store path, which a relocatable bundle cannot keep: name the place on its command line, or bundle with --prefix
    warning: perl-5.36.0/lib/perl5/5.36.0/x86_64-linux-thread-multi/CORE/libperl.so: finds perl-5.36.0/lib/perl5/5.36.0/x86_64-linux-thread-multi, perl-5.36.0/lib/perl5/5.36.0 by store path, which a relocatable bundle cannot keep: name the place on its command line, or bundle with --prefix
    full.pyapp with shell launchers:
    warning: glibc-2.36/lib/libc.so.6: finds glibc-2.36/lib/gconv, glibc-2.36/lib/locale, glibc-2.36/share/locale and 1 more by store path, which a relocatable bundle cannot keep: name the place on its command line, or bundle with --prefix
    warning: coreutils-9.1/bin/coreutils: finds coreutils-9.1/libexec/coreutils by store path, which a relocatable bundle cannot keep: name the place on its command line, or bundle with --prefix
    warning: ncurses-6.4/lib/libncursesw.so.6.4: finds ncurses-6.4/share/terminfo by store path, which a relocatable bundle cannot keep: name the place on its command line, or bundle with --prefix
    warning: openssl-3.0/lib/libcrypto.so.3: finds openssl-3.0/etc/ssl/ct_log_list.cnf, openssl-3.0/lib/engines-3, openssl-3.0/etc/ssl and 1 more by store path, which a relocatable bundle cannot keep: name the place on its command line, or bundle with --prefix
    full.python3 with shell launchers:
    warning: glibc-2.36/lib/libc.so.6: finds glibc-2.36/lib/gconv, glibc-2.36/lib/locale, glibc-2.36/share/locale and 1 more by store path, which a relocatable bundle cannot keep: name the place on its command line, or bundle with --prefix
    warning: ncurses-6.4/lib/libncursesw.so.6.4: finds ncurses-6.4/share/terminfo by store path, which a relocatable bundle cannot keep: name the place on its command line, or bundle with --prefix
    warning: openssl-3.0/lib/libcrypto.so.3: finds openssl-3.0/etc/ssl/ct_log_list.cnf, openssl-3.0/lib/engines-3, openssl-3.0/etc/ssl and 1 more by store path, which a relocatable bundle cannot keep: name the place on its command line, or bundle with --prefix
    full.scripts with shell launchers:
    warning: scripts-1.0/bin/env-sh: its #! line leaves its interpreter to the machine where it runs (env bash)
    warning: glibc-2.36/lib/libc.so.6: finds glibc-2.36/lib/gconv, glibc-2.36/lib/locale, glibc-2.36/share/locale and 1 more by store path, which a relocatable bundle cannot keep: name the place on its command line, or bundle with --prefix
    warning: ncurses-6.4/lib/libncursesw.so.6.4: finds ncurses-6.4/share/terminfo by store path, which a relocatable bundle cannot keep: name the place on its command line, or bundle with --prefix
    full.perl with shell launchers:
    warning: glibc-2.36/lib/libc.so.6: finds glibc-2.36/lib/locale, glibc-2.36/share/locale by store path, which a relocatable bundle cannot keep: name the place on its command line, or bundle with --prefix
    warning: perl-5.36.0/lib/perl5/5.36.0/x86_64-linux-thread-multi/CORE/libperl.so: finds perl-5.36.0/lib/perl5/5.36.0/x86_64-linux-thread-multi, perl-5.36.0/lib/perl5/5.36.0 by store path, which a relocatable bundle cannot keep: name the place on its command line, or bundle with --prefix"
  `)
})
