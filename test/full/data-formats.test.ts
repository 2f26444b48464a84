/**
 * Texts that name places, and the real programs that read them: relocatable bundles in an empty root, before and after
 * `relocate` where that is needed; moved, and once more.
 */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { bundle, fixture, grep, mustBundle, run, temporary } from '../support/bundle.ts'
import { install, wrapper } from '../support/debian-store.ts'
import { EmptyRoot } from '../support/root.ts'
import { storePath } from '../support/store-lab.ts'

interface Subject {
  /** Makes the store paths; the target, and the program and arguments that show what it finds. */
  readonly make: () => { target: string; program: string; args: readonly string[] }
  readonly shows: RegExp
  /** What it shows before `relocate`, where the text needs that: a format without places of its own. */
  readonly before?: RegExp
  /** What else the root has: what the programs look for on any machine. */
  readonly mounts?: readonly string[]
}

const dejavu = '/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf'
const fontsConf = (more: string, dir: string): string =>
  `<?xml version="1.0"?>\n<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">\n<fontconfig>\n${dir}\n${more}<cachedir>/tmp/fonts</cachedir>\n</fontconfig>\n`
function fontconfig(dir: (fonts: string) => string, conf: 'etc/fonts/fonts.conf' | 'share/fonts.conf') {
  const fonts = storePath('dejavu-fonts-2.37', { 'share/fonts/truetype/DejaVuSans.ttf': { from: dejavu } })
  const target = storePath('fontconfig-2.14')
  install(target, { 'bin/.fc-match-wrapped': '/usr/bin/fc-match' })
  const file = storePath('fonts-conf-1.0', { [conf]: fontsConf('', dir(fonts)) })
  fs.writeFileSync(
    join(target, 'bin/fc-match'),
    wrapper(`${target}/bin/.fc-match-wrapped`, { FONTCONFIG_FILE: `${file}/${conf}` }),
    { mode: 0o755 },
  )
  return { target, program: 'bin/fc-match', args: ['sans', 'file', 'family'] }
}

const SUBJECTS: Readonly<Record<string, Subject>> = {
  'fc-match, by fonts.conf': {
    make: () => fontconfig(fonts => `<dir>${fonts}/share/fonts</dir>`, 'etc/fonts/fonts.conf'),
    shows: /^:family=DejaVu Sans:file=.*\/DejaVuSans\.ttf\n$|^:file=.*\/DejaVuSans\.ttf.*\n$|DejaVu/,
    before: /^(?!.*DejaVuSans\.ttf)/s,
  },
  'gdk-pixbuf, by loaders.cache': {
    make: () => {
      const target = storePath('gdk-pixbuf-2.42', {
        'share/x.xpm': '/* XPM */\nstatic char *x[] = {\n"2 2 2 1",\n"a c #000000",\n"b c #ffffff",\n"ab",\n"ba"};\n',
      })
      const module = 'lib/gdk-pixbuf-2.0/2.10.0/loaders/libpixbufloader-xpm.so'
      install(target, {
        'bin/.gdk-pixbuf-csource-wrapped': '/usr/bin/gdk-pixbuf-csource',
        [module]: `/usr/lib/x86_64-linux-gnu/gdk-pixbuf-2.0/2.10.0/loaders/libpixbufloader-xpm.so`,
      })
      const cache = storePath('loaders-cache-1', {
        'lib/loaders.cache': `"${target}/${module}"\n"xpm" 4 "gdk-pixbuf" "XPM" "LGPL"\n"image/x-xpixmap" ""\n"xpm" ""\n"/* XPM */" "" 100\n\n`,
      })
      fs.writeFileSync(
        join(target, 'bin/gdk-pixbuf-csource'),
        wrapper(`${target}/bin/.gdk-pixbuf-csource-wrapped`, { GDK_PIXBUF_MODULE_FILE: `${cache}/lib/loaders.cache` }),
        { mode: 0o755 },
      )
      return { target, program: 'bin/gdk-pixbuf-csource', args: ['@/pkg/gdk-pixbuf-2.42/share/x.xpm'] }
    },
    shows: /GdkPixdata|pixel_data|my_pixbuf/,
    before: /failed to load/,
    // It knows files by the types of shared-mime-info.
    mounts: ['--ro-bind', '/usr/share/mime', '/usr/share/mime'],
  },
  'php with an extension, by php.ini': {
    make: () => {
      const target = storePath('php-8.2', {
        'share/show.php': '<?php var_dump(extension_loaded("ctype"), ctype_digit("12"));\n',
      })
      install(target, {
        'bin/.php-wrapped': '/usr/bin/php8.2',
        'lib/php/extensions/ctype.so': '/usr/lib/php/20220829/ctype.so',
      })
      const ini = storePath('php-ini-1', { 'lib/php.ini': `extension=${target}/lib/php/extensions/ctype.so\n` })
      fs.writeFileSync(
        join(target, 'bin/php'),
        wrapper(`${target}/bin/.php-wrapped`, { PHPRC: `${ini}/lib/php.ini`, PHP_INI_SCAN_DIR: '' }),
        { mode: 0o755 },
      )
      return { target, program: 'bin/php', args: ['@/pkg/php-8.2/share/show.php'] }
    },
    shows: /bool\(true\)\nbool\(true\)\n$/,
    before: /Unable to load dynamic library|undefined function ctype_digit|bool\(false\)/,
  },
  'a Lua module with a data path': {
    make: () => {
      const data = storePath('lua-data-1.0', { 'share/data': 'data of a Lua module\n' })
      const module = storePath('lua-greet-1.0', {
        'share/lua/5.4/greet.lua': `local M = {}\nM.file = "${data}/share/data" -- of ${data}\nfunction M.greet() for line in io.lines(M.file) do print(line) end end\nreturn M\n`,
      })
      const target = storePath('lua-5.4', { 'share/main.lua': `require("greet").greet()\n` })
      install(target, { 'bin/.lua-wrapped': '/usr/bin/lua5.4' })
      fs.writeFileSync(
        join(target, 'bin/lua'),
        wrapper(`${target}/bin/.lua-wrapped`, { LUA_PATH: `${module}/share/lua/5.4/?.lua` }),
        { mode: 0o755 },
      )
      return { target, program: 'bin/lua', args: ['@/pkg/lua-5.4/share/main.lua'] }
    },
    shows: /^data of a Lua module\n$/,
  },
  'a Tcl package': {
    make: () => {
      const data = storePath('tcl-data-1.0', { 'share/data': 'data of a Tcl package' })
      const module = storePath('tcl-greet-1.0', {
        'lib/greet/pkgIndex.tcl': `package ifneeded greet 1.0 [list source [file join $dir greet.tcl]]\n`,
        'lib/greet/greet.tcl': `package provide greet 1.0\nnamespace eval greet {\n  variable file {${data}/share/data}\n  proc greet {} { variable file; set f [open $file]; puts [read $f]; close $f }\n}\n`,
      })
      const target = storePath('tcl-8.6')
      install(target, { 'bin/.tclsh-wrapped': '/usr/bin/tclsh8.6' })
      fs.cpSync('/usr/share/tcltk/tcl8.6', join(target, 'lib/tcl8.6'), { recursive: true, dereference: true })
      fs.writeFileSync(join(target, 'lib/main.tcl'), 'package require greet\ngreet::greet\n')
      fs.writeFileSync(
        join(target, 'bin/tclsh'),
        wrapper(`${target}/bin/.tclsh-wrapped`, {
          TCL_LIBRARY: `${target}/lib/tcl8.6`,
          TCLLIBPATH: `${module}/lib/greet`,
        }),
        { mode: 0o755 },
      )
      return { target, program: 'bin/tclsh', args: ['@/pkg/tcl-8.6/lib/main.tcl'] }
    },
    shows: /^data of a Tcl package\n$/,
  },
  'a Perl module with a data path': {
    make: () => {
      const data = storePath('perl-data-1.0', { 'share/data': 'data of a Perl module\n' })
      const module = storePath('perl-greet-1.0', {
        'lib/perl5/Greet.pm': `package Greet;\nuse strict;\nour $file = '${data}/share/data';\nsub greet { open my $in, '<', $file or die "cannot read $file"; print <$in>; print __LINE__, "\\n" }\n1;\n`,
      })
      const perl = fixture('full.perl')
      const target = storePath('greeter-1.0', {
        'bin/greeter': `#!${perl}/bin/perl -I${module}/lib/perl5\nuse Greet;\nGreet::greet();\n`,
      })
      return { target, program: 'bin/greeter', args: [] }
    },
    shows: /^data of a Perl module\n4\n$/,
  },
  'vim with a pack directory, by vimrc': {
    make: () => {
      const pack = storePath('vim-pack-1.0', {
        'pack/my/start/hello/plugin/hello.vim': 'let g:hello = "plugin loaded"\n',
      })
      const rc = storePath('vimrc-1.0', {
        'etc/vimrc': `set nocompatible\nset packpath=${pack}\nset runtimepath=${pack}\n`,
      })
      const target = storePath('vim-9.0')
      install(target, { 'bin/.vim-wrapped': '/usr/bin/vim.basic' })
      fs.writeFileSync(join(target, 'bin/vim'), wrapper(`${target}/bin/.vim-wrapped`, {}, `-u ${rc}/etc/vimrc`), {
        mode: 0o755,
      })
      return { target, program: 'bin/vim', args: ['-es', '-i', 'NONE', '-c', 'verbose echo g:hello', '-c', 'qa!'] }
    },
    shows: /plugin loaded/,
    before: /^(?!.*plugin loaded)/s,
  },
}

/** Where it lies, told in an argument. */
const at = (args: readonly string[], root: string): string[] => args.map(word => word.replace(/^@/, root))

describe.each(Object.keys(SUBJECTS))('%s', title => {
  const { make, shows, before, mounts = [] } = SUBJECTS[title]!
  test('before and after', () => {
    const { target, program, args } = make()
    const originals = args.map(word => word.replace(/^@\/pkg\/[^/]*/, target))
    const original = run(join(target, program), originals, { env: { HOME: '/', PATH: '/nowhere', TERM: 'dumb' } })
    expect(original.stdout + original.stderr).toMatch(shows)
    let out = join(temporary(), 'one')
    const made = mustBundle([target, '-f', 'dir', '-o', out])
    expect(grep('/nix/store', out)).toBe('')
    expect(made.stdout.includes('run ./relocate'), made.stdout).toBe(before !== undefined)
    const said = (): string => {
      // Where `relocate` has been run is where it is started.
      const root = new EmptyRoot(out, out, mounts)
      const { stdout, stderr } = root.run(program, at(args, out), { env: { TERM: 'dumb' } })
      return stdout + stderr
    }
    if (before !== undefined) {
      expect(said()).toMatch(before)
      expect(run(join(out, 'relocate'), []).code).toBe(0)
    }
    expect(said()).toMatch(shows)
    const moved = join(temporary(), 'another')
    fs.renameSync(out, moved)
    out = moved
    if (before !== undefined) {
      expect(said()).not.toMatch(shows)
      expect(run(join(out, 'relocate'), []).code).toBe(0)
    }
    expect(said()).toMatch(shows)
    expect(bundle(['verify', '--strict', out])).toMatchObject({ code: 0 })
  })
})

test('a unit of systemd: what it starts is there, once relocate was run', () => {
  const conf = storePath('serviced-conf-1.0', { 'etc/serviced.conf': 'greeting from its configuration\n' })
  const target = storePath('serviced-1.0')
  fs.mkdirSync(join(target, 'bin'))
  fs.writeFileSync(
    join(target, 'bin/serviced'),
    `#!${fixture('bash')}/bin/bash\nread -r line <"$1" && echo "$line"\n`,
    { mode: 0o755 },
  )
  fs.mkdirSync(join(target, 'lib/systemd/system'), { recursive: true })
  fs.writeFileSync(
    join(target, 'lib/systemd/system/serviced.service'),
    `[Service]\nExecStart=${target}/bin/serviced ${conf}/etc/serviced.conf\n`,
  )
  const out = join(temporary(), 'app')
  expect(mustBundle([target, '-f', 'dir', '-o', out]).stdout).toContain('1 data file names places')
  const unit = join(out, 'pkg/serviced-1.0/lib/systemd/system/serviced.service')
  const command = (): string[] => /^ExecStart=(.*)$/m.exec(fs.readFileSync(unit, 'utf8'))![1]!.split(' ')
  const analyze = (): number | null => run('systemd-analyze', ['verify', '--man=no', unit]).code
  expect(fs.existsSync(command()[0]!)).toBe(false)
  expect(analyze()).not.toBe(0)
  expect(run(join(out, 'relocate'), []).code).toBe(0)
  const [program, ...args] = command()
  expect(new EmptyRoot(out, out).run(program!, args)).toMatchObject({
    code: 0,
    stdout: 'greeting from its configuration\n',
  })
  expect(analyze()).toBe(0)
})

test('fontconfig, by a directory that is relative to its configuration: without relocate', () => {
  const fonts = {
    'share/fonts/DejaVuSans.ttf': { from: dejavu },
    'share/fonts.conf': fontsConf('', '<dir prefix="relative">fonts</dir>'),
  }
  const target = storePath('fontconfig-relative-2.14', fonts)
  install(target, { 'bin/.fc-match-wrapped': '/usr/bin/fc-match' })
  fs.writeFileSync(
    join(target, 'bin/fc-match'),
    wrapper(`${target}/bin/.fc-match-wrapped`, { FONTCONFIG_FILE: `${target}/share/fonts.conf` }),
    { mode: 0o755 },
  )
  const out = join(temporary(), 'app')
  expect(mustBundle([target, '-f', 'dir', '-o', out]).stdout).not.toContain('relocate')
  expect(new EmptyRoot(out, '/srv/x').run('bin/fc-match', ['sans', 'file']).stdout).toContain('/srv/x/pkg/')
})

test('scripts of Lua, Tcl, PHP and Ruby that name a place, in bin/ and where /bin/sh starts them', () => {
  const data = storePath('script-data-1.0', { 'share/data': 'data' })
  const target = storePath('script-tools-1.0')
  install(target, {
    'bin/lua5.4': '/usr/bin/lua5.4',
    'bin/tclsh': '/usr/bin/tclsh8.6',
    'bin/php': '/usr/bin/php8.2',
    'bin/ruby': '/usr/bin/ruby3.1',
  })
  fs.cpSync('/usr/share/tcltk/tcl8.6', join(target, 'lib/tcl8.6'), { recursive: true, dereference: true })
  const texts = {
    lua: `#!${target}/bin/lua5.4\nfor line in io.lines("${data}/share/data") do print("lua", line, arg[1]) end\n`,
    tcl: `#!${target}/bin/tclsh\nputs "tcl [read [open ${data}/share/data]] [lindex $argv 0]"\n`,
    ruby: `#!${target}/bin/ruby --disable-gems\nputs "ruby " + File.read('${data}/share/data') + " #{ARGV[0]}"\n`,
    php: `#!${target}/bin/php -n\n<?php echo "php ", file_get_contents('${data}/share/data'), " $argv[1]\\n";\n`,
  }
  fs.mkdirSync(join(target, 'share'))
  for (const [name, text] of Object.entries(texts))
    for (const place of [`bin/${name}-tool`, `share/${name}-tool`])
      fs.writeFileSync(join(target, place), text, { mode: 0o755 })
  const out = join(temporary(), 'app')
  const made = mustBundle([target, '-f', 'dir', '-o', out])
  expect(made.stdout).not.toContain('relocate')
  const root = new EmptyRoot(out, '/srv/x', ['--ro-bind', '/bin/busybox', '/bin/sh'])
  const said = (program: string): string =>
    root
      .output(program, ['x'], { env: { TCL_LIBRARY: '/srv/x/pkg/script-tools-1.0/lib/tcl8.6' } })
      .replace(/[\t ]+/g, ' ')
  for (const name of Object.keys(texts)) {
    expect(said(`bin/${name}-tool`)).toContain(`${name} data x\n`)
    expect(said(`pkg/script-tools-1.0/share/${name}-tool`)).toContain(`${name} data x\n`)
  }
})
