/**
 * Edited Ruby, Lua, Tcl, PHP, JavaScript and Perl modules do what they did, with the bundle's paths: the languages' own
 * interpreters run each text before and after.
 */
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { afterAll, describe, expect, test } from 'vitest'
import { spliced } from '../src/script/edit.ts'
import { asExpressions } from '../src/script/expressions.ts'
import type { Language } from '../src/script/language.ts'
import { at, bytes, NAMES, run, ScriptLab, sitesOf, store, X } from './support/script-lab.ts'

const lab = new ScriptLab()
afterAll(() => lab.close())
const TWIN = store('twin-1')

interface Subject {
  readonly language: Language
  readonly name: string
  readonly command: readonly string[]
  /** A program that loads the text by its path, and one that does so by the directory of its link. */
  readonly loads: (path: string) => string
  readonly cases: Readonly<Record<string, string>>
  /** What nothing is put into: the text is left to `relocate`. */
  readonly refused: Readonly<Record<string, string>>
  /** Whether any name of the bundle's directory does. */
  readonly anyRoot: boolean
}

const SUBJECTS: readonly Subject[] = [
  {
    language: 'ruby',
    name: 'x.rb',
    command: ['ruby'],
    loads: path => `require '${path}'`,
    anyRoot: true,
    cases: {
      quotes: `puts '${X}/a', "${X}/b", 'it\\'s "${X}" \\\\ #{x} \\n #$0', "\\t${X}\\n#{1 + 1}"`,
      'neighbours and keys': `h = { '${X}': 1, '${X}/k' => '${X}' 'a' "b" }; puts h, :'${X}'.to_s`,
      'here-documents': `puts <<~A + <<-"B", 3\n  a ${X}/a\n  'q' #{1}\n  A\n${X}/b\n  B\nputs <<C\n${X} "\nC\n`,
      methods: `puts '${X}/a'.upcase.length - '${X}'.length, File.join('${X}', 'b'), '${X}/c'[-2..]`,
      'several, and one that is not there': `puts '${X}:${X}/b:${TWIN}', '${store('absent-1')}'.length`,
      'frozen ones': `# frozen_string_literal: true\nputs '${X}'.dup << 'a'`,
      'slashes, marks and percents': `a = 4; b = 2\nputs a / b, a/b, a % b, (a) / b, a ? 1 : 2, '"'.sub(/"'?/, '${X}')\nputs %w[a b].inspect, %q('), ?', '${X}' unless "x" =~ %r{'}`,
      'methods that are operators': `class A\n  def /(o) = '${X}'\n  def ==(o) = true\n  def x=(v); end\n  def \`(c) = c\nend\nputs A.new / 2`,
      comments: `=begin_not = 1\nputs 1\n=begin\n'${X}\n=end\nputs '${X}' # it's ${X}\n`.replace(
        '=begin_not = 1\n',
        '',
      ),
      'a class named File': `module M\n class File; end\n puts "${X}"\nend`,
      'the directory changes': `Dir.chdir('/'); puts '${X}'`,
      'what is behind the end': `puts '${X}', DATA.read\n__END__\n'not this \n`,
    },
    refused: {
      'a list of words': `%w[${X} a]`,
      'a here-document as it is': `puts <<'A'\n${X}\nA\n`,
      'a command': `\`${X}/bin/a\``,
      'a pattern': `x =~ %r{${X}}`,
      'in braces': `puts "#{'${X}'}"`,
      'a slash that may be either': `foo /a/; puts '${X}'`,
      'no end': `puts '${X}`,
    },
  },
  {
    language: 'lua',
    name: 'x.lua',
    command: ['lua5.4'],
    loads: path => `dofile("${path}")`,
    anyRoot: true,
    cases: {
      quotes: `print('${X}/a', "${X}/b", "\\"${X}", [[${X}/c]], [==[\n]]${X}]==], 'a\\\n${X}')`,
      'calls without parentheses': `print '${X}'\nlocal t = { f = function(self, s) return s end }\nprint(t:f"${X}/a", #'${X}' > 9, ('${X}'):sub(-3))`,
      operators: `print('a' .. '${X}' .. 'b', '${X}' == '${X}', not '${X}', #('x${X}') > 3)`,
      'several in one': `print('${X}/a;${X}/b;${TWIN}')`,
      comments: `-- it's ${X}\n--[[ "${X}\n]] print('${X}') --[==[ x ]==] print "${X}"`,
      'names that hide': `local debug, io, string = false, nil, 1\nlocal function f() local _ = {}; return '${X}' end print(f())`,
      'a first line': `#!/usr/bin/lua\nprint('${X}')`,
      escapes: `print("a\\z   \n  ${X}", '\\x41${X}', "\\065${X}", '\\\\${X}')`,
    },
    refused: {
      'an escape': `print('\\${X}')`,
      'a bracket': `print([[a]${X}]])`,
      'no end': `print('${X})`,
      'no string': `${X}`,
    },
  },
  {
    language: 'tcl',
    name: 'x.tcl',
    command: ['tclsh'],
    loads: path => `source {${path}}`,
    anyRoot: false,
    cases: {
      'words of all kinds': `puts ${X}/a; puts "${X}/b [string length a]"; puts {${X}/c}; puts [list ${X} {${TWIN}}]`,
      'a procedure, later': `proc f {} { return ${X}/a }\nputs [f]`,
      'the script and its return': `puts [file tail [info script]]\nproc g {} { return "${X}" }\nputs [g]\nreturn\nputs no`,
      'an error': `puts "${X}"\nif {[catch {error ${X}} m]} { puts "was $m" }`,
      comments: `# ${X} {\nputs ${X} ;# ${X}\n`,
      arguments: `puts "$argc $argv ${X}"`,
    },
    refused: { 'other letters': `puts "\xe4 ${X}"` },
  },
  {
    language: 'php',
    name: 'x.php',
    command: ['php8.2'],
    loads: path => `<?php require '${path}';`,
    anyRoot: true,
    cases: {
      quotes: `<?php $v = ['k' => 'v']; echo '${X}/a', "\\n${X}/b\\n", 'it\\'s ${X}', "$v[k] {$v['k']} ${X} ";`,
      'constant expressions': `<?php const A = '${X}/a'; class B { const C = '${X}/c'; public $d = ["\\"${X}"]; static function f($e = '${X}/e') { static $g = '${X}'; return $e . $g; } }\necho A, B::C, (new B)->d[0], B::f();`,
      'methods of it': `<?php echo strlen('${X}' . 'a') > 3, '${X}'[0], basename('${X}/q'), match(true) { '${X}' === '${X}' => '${X}' };`,
      'here-documents beside it': `<?php echo <<<A\n  it's "$argc" {$argv[0]}\n  A, '${X}', <<<'B'\n"\nB . "${X}";`,
      comments: `<?php # it's ${X}\n// "${X} ?><b><?php /* ' ${X} */ echo '${X}'; #[X('a')]\nfunction f() {}`,
      'between texts': `a ' " <?= '${X}' ?> b ' <?php echo '${X}' ?>`,
      'the directory changes': `<?php chdir('/'); echo '${X}';`,
    },
    refused: {
      'a here-document': `<?php echo <<<A\n${X}\nA;`,
      'outside of PHP': `${X} <?php echo 1;`,
      'a command': `<?php \`${X}\`;`,
      'in braces': `<?php echo "{$a['${X}']}";`,
      'no end': `<?php echo '${X}`,
    },
  },
  {
    language: 'js',
    name: 'x.js',
    command: ['node'],
    loads: path => `require(${JSON.stringify(path)})`,
    anyRoot: true,
    cases: {
      quotes: `'use strict'; const l = require('util').inspect; console.log('${X}/a', "${X}/b", \`\${1}${X}\`, 'it\\'s "${X}', l("\\u{41}${X}"), (function () { return !this })())`,
      'keys and members': `exports.a = { '${X}': 1, "${X}/b": '${X}', ['${X}/c']: 2 }; const { '${X}': z } = exports.a; console.log(exports.a, z)`,
      operators: `module.exports = 1; console.log(typeof '${X}', '${X}' + 'a', -'${X}', '${X}'.length > 2 ? '${X}' : 0, '${X}'[0], \`\${'${X}' + \`${X}\`}\`)`,
      slashes: `require('fs'); const a = 4, b = 2; console.log(a / b / 1, (a) / b, [1] / 1, /'"\`[/']/.test("'"), '${X}'); if (a) /'/.test(''); for (const x of ['${X}']) console.log(x)`,
      'names that hide': `require('fs'); (function (__dirname, require, process) { console.log('${X}') })('/none'); new (class { a = '${X}'; static b = "${X}" })`,
      'switches and arrows': `require('fs'); const f = () => '${X}'; switch (f()) { case '${X}': console.log('yes', f()); break; default: console.log('no') }`,
      comments: `#!/usr/bin/env node\nrequire('fs') // it's ${X}\n/* "${X} */ console.log('${X}') // end`,
      'a return': `require('fs'); console.log('${X}'); if (1) return; console.log(2)`,
      'the directory changes': `require('fs'); process.chdir('/'); console.log('${X}')`,
    },
    refused: {
      'a tagged template': `require('a'); String.raw\`${X}\``,
      'a name of a module': `import '${X}/a.js'; export * from '${X}/b.js'`,
      "somebody else's": `imports.gi.x('${X}')`,
      'a slash that may be either': `require('a'); {} /a/; f('${X}')`,
      'a member': `require('a'); class A { '${X}'() {} }`,
      'a statement that begins': `require('a')\n'${X}'.toString()`,
      'no end': `require('a'); '${X}`,
    },
  },
  {
    language: 'perl-module',
    name: 'X.pm',
    command: ['perl', '-we', 'require shift'],
    loads: path => `require '${path}'; print "after\\n"; eval { X->fails }; print $@`,
    anyRoot: true,
    cases: {
      'quotes of all kinds': `package X; print "${X}/a\\n", '${X}/b', qq{${X}/c}, join(',', qw(${X} d)), <<"E", <<'F';\n${X}/e\nE\n${X}/f\nF\nsub fails { die "here" }\n1;\n`,
      'lines and names': `package X;\nuse strict;\nuse warnings;\nour $VERSION = '1.0';\nprint __FILE__ =~ /X.pm$/, __LINE__, __PACKAGE__, " ${X} ";\nsub fails { warn "w"; die "d" }\nmy $unused = "${TWIN}";\nprint $unused;\n1`,
      'its manual and its end': `package X;\n\n=head1 NAME\n\nX - ${X}\n\n=cut\n\nprint "${X}\\n"; BEGIN { print "${X}/begin" }\n1;\n__END__\n\n=head1 ${X}\n`,
      'a value of its own': `package X; sub fails { (caller(0))[3] } print "${X}"; 'true value'`,
    },
    refused: {
      data: `package X; my $x = "${X}"; print <DATA>;\n__DATA__\na\n`,
      'a program too': `package X; print "${X}"; main() unless caller;\n1;`,
      'a filter': `package X;\nuse Switch;\nprint "${X}";\n1;`,
    },
  },
]

describe.each(SUBJECTS)('$language', ({ language, name, command, loads, cases, refused, anyRoot }) => {
  const PLACE = `pkg/script-1/lib/${name}`
  const edit = (text: string) => asExpressions(language, text, at(PLACE), sitesOf(text), null)
  /** Names directories as they are, whatever stands between. */
  const plain = (text: string): string => {
    let done = text
    for (let before = ''; before !== done; ) {
      before = done
      done = done.replace(/\/(?!\.\.\/)[^/\n:"';]+\/\.\.(?=\/)/, '')
    }
    return done
  }
  const mapped = (out: string, root: string): string =>
    out.replaceAll(X, `${root}/pkg/x-1`).replaceAll(TWIN, `${root}/pkg/twin-1~2`)

  test.each(Object.keys(cases))('%s', key => {
    const code = cases[key]!
    const root = lab.directory('root')
    const original = lab.write(`${lab.directory()}/${name}`, code)
    const before = run([...command, original, 'a', 'b'], { cwd: '/' })
    const done = lab.place(root, PLACE, code, edit(code))
    const after = run([...command, done, 'a', 'b'], { cwd: '/' })
    const own = (text: string): string => text.replaceAll(original, 'OWN').replaceAll(done, 'OWN')
    expect([edit(code).refusals, own(plain(after.out) + after.err), after.status]).toEqual([
      [],
      own(mapped(before.out, root) + before.err),
      before.status,
    ])
    expect(after.out).toContain(root)
    expect(readFileSync(bytes(done), 'latin1')).not.toContain('/nix/store')
  })

  test('loaded by another text, through links, from another directory, moved', () => {
    const code = Object.values(cases)[0]!
    const program = (path: string): string => lab.write(`${lab.directory()}/program${name.slice(1)}`, loads(path))
    const original = lab.write(`${lab.directory()}/${name}`, code)
    const wanted = run([...command, program(original)], { cwd: '/' })
    expect(wanted.out).toContain(X)
    for (const cwd of ['/', '/tmp']) {
      const root = lab.directory('root')
      const done = lab.place(root, PLACE, code, edit(code))
      symlinkSync(bytes('pkg/script-1/lib'), bytes(`${root}/lib`))
      mkdirSync(bytes(`${root}/share`))
      symlinkSync(bytes(`../pkg/script-1/lib/${name}`), bytes(`${root}/share/${name}`))
      const outside = lab.directory()
      symlinkSync(bytes(root), bytes(`${outside}/link`))
      for (const path of [done, `${root}/lib/${name}`, `${root}/share/${name}`, `${outside}/link/lib/${name}`]) {
        const said = run([...command, program(path)], { cwd })
        const real = said.out.replaceAll(`${outside}/link`, root)
        const own = (text: string): string =>
          text
            .replaceAll(original, 'OWN')
            .replaceAll(path.replace(`${outside}/link`, root), 'OWN')
            .replaceAll(path, 'OWN')
            .replace(/program\S*/g, '')
        expect(own(plain(real) + said.err).replace(/\/tmp\/script-\S*\//g, '')).toBe(
          own(mapped(wanted.out, root) + wanted.err).replace(/\/tmp\/script-\S*\//g, ''),
        )
      }
    }
  })

  test.each(Object.keys(refused))('left alone: %s', key => {
    const text = refused[key]!
    const done = edit(text)
    expect(done.refusals.length).toBeGreaterThan(0)
    expect(
      spliced(
        text,
        done.splices.filter(s => s.length > 0),
      ).length,
    ).toBe(text.length)
  })

  test.each(NAMES)('in a root named %j', odd => {
    const code = Object.values(cases)[0]!
    const root = lab.directory(odd)
    const before = run([...command, lab.write(`${lab.directory()}/${name}`, code)])
    const after = run([...command, lab.place(root, PLACE, code, edit(code))])
    if (anyRoot || odd === 'plain') {
      if (language === 'js') return
      expect(after.out.length).toBeGreaterThan(0)
      if (language !== 'perl-module' || odd === 'plain') expect(plain(after.out)).toBe(mapped(before.out, root))
      else expect(after).toMatchObject({ status: 0 })
    } else
      expect([after.status, after.out, after.err]).toEqual([
        1,
        '',
        expect.stringMatching(/whose name it cannot hold|couldn't read file/),
      ])
  })
})
