/** Edited shell scripts do what they did, with the bundle's paths. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { spliced } from '../src/script/edit.ts'
import { editShell } from '../src/script/shell-edit.ts'
import {
  ABSENT,
  at,
  BLANK_ABSENT,
  NAMES,
  run,
  ScriptLab,
  SHELL_NAMES,
  shell,
  sitesOf,
  store,
  X,
} from './support/script-lab.ts'

const lab = new ScriptLab()
afterAll(() => lab.close())

const PLACE = 'pkg/script-1/bin/script'
const edit = (text: string) => editShell(text, at(PLACE), sitesOf(text), null)
const ROOT = lab.directory('a \'b\' "c" $d %e & {f} * \n g')

/** What a script prints before and after, with the store paths of the first mapped to the bundle. */
function compare(code: string, command: readonly string[], root = ROOT): { before: string; after: string } {
  const text = `#!/bin/sh\n${code}\n`
  const original = run([...command, lab.write(`${lab.directory()}/script`, text)])
  const edited = run([...command, lab.place(root, PLACE, text, edit(text))])
  const mapped = original.out.replace(/\/nix\/store\/[0-9a-z]{32}-(x-1|twin-1)/g, (_, name) =>
    name === 'twin-1' ? `${root}/pkg/twin-1~2` : `${root}/pkg/${name}`,
  )
  return { before: `${mapped}${original.err}${original.status}`, after: `${edited.out}${edited.err}${edited.status}` }
}

/** Code that prints what becomes of a path, by what it shows. */
const COMMON: Readonly<Record<string, string>> = {
  'a word': `printf '%s|' ${X}/bin/a ${X}`,
  'a word with text before and behind': `printf '%s|' --a=${X}/b,c ${X}.d`,
  'double quotes': `v=1; printf '%s|' "a b $v${X}/b c$v"`,
  'single quotes': `printf '%s|' 'a "$v"${X}/b c' '${X}'`,
  'mixed quotes': `printf '%s|' ${X}/"b c"'d'"${X}"'${X}'${X}`,
  'an escaped character before it': `printf '%s|' a\\ ${X} \\${X} "\\\\${X}" "\\${X}" "\\"${X}\\"" \\"${X}`,
  'a name that has to be quoted': `printf '%s|' ${store('twin-1')}/a "${store('twin-1')}/a" '${store('twin-1')}/a'`,
  'an assignment': `a=${X}/b:${X}/c b="${X}" c='${X}'; export d=${X}/e; printf '%s|' "$a" "$b" "$c" "$d"`,
  'an assignment before a command': `FX=${X}/b sh -c 'printf "%s|" "$FX"'`,
  'a default': `printf '%s|' \${n:-${X}/a} "\${n:-${X}/a b}" \${n:-"${X}/a"} "\${n:-"${X}/a"}" \${n:-'${X}/a'}`,
  'a default that is assigned': `: \${n:=${X}/a} "\${m=${X}/b}"; printf '%s|' "$n" "$m"`,
  'an alternative': `n=1; printf '%s|' \${n:+${X}/a} "\${n+${X}/b}"`,
  'patterns to take off': `f=${X}/a/b; printf '%s|' \${f#${X}/} "\${f#${X}/}" "\${f##"${X}"/*}" "\${f%${X}/a/b}" \${f#'${X}'}`,
  'a case': `for f in ${X}/a b ${X}; do case $f in ${X}) echo bare ;; "${X}"/*) echo in ;; *) echo out ;; esac; done`,
  'the word of a case': `case ${X}/a in */a) echo yes ;; esac`,
  'a substitution': `printf '%s|' "$(echo ${X}/a)" "$(echo "${X}/a  b")" "$(echo '${X}/a  b')"`,
  backquotes: `printf '%s|' "\`echo ${X}/a\`" "\`echo '${X}/a  b'\`"; a=\`echo "${X}/a"\` b=\`echo ${X}/b\`; echo "$a" "$b"`,
  'backquotes in backquotes': `a=\`echo ${X}/a "\\\`echo ${X}/b '${X}/c'\\\`" \\$HOME\`; echo "$a"`,
  'a here-document': `cat << END\n${X}/a "${X}/b" '${X}/c' \${n:-${X}/d} $(echo ${X}/e) \\${X} \\\\${X}\nEND`,
  'a here-document with a quoted delimiter': `v=1\ncat << 'END'\n${X}/a "${X}/b" '$v' $(echo no) \`no\` \\$v \\\\ \\n \\" a\\\n${X}$v\${v} \\${X} $${X}\nEND\ncat << E\\ND; cat <<-"O.2"\n${X}/c\nEND\n\t$v ${X}/d \\\n\tO.2`,
  'here-documents with quoted delimiters in substitutions': `f=$(cat << \\EOF\ng() { echo "$1" \`echo y\` \\$1; } # ${X}/a\nEOF\n); eval "\${f%%#*}"; g x; printf '%s|' "$f"; printf '%s|' "$(cat <<'E'\n$x it"'"s ${X}\nE\n)"`,
  'a here-document with a quoted delimiter and no path': `cat << 'END'\n$v \\\\ ${ABSENT.length}\nEND`,
  'a here-document without tabs': `cat <<- END; echo ${X}\n\t${X}/a\n\tEND`,
  'a redirection': `f=0; { cat < ${X}/none; } 2> /dev/null || f=1; echo "$f"; { echo > ${X}/none; } 2>&1 | tail -c 0`,
  'eval in single quotes': `v=1; eval 'printf "%s|" "${X}/a $v" ${X}/b'`,
  'eval in double quotes': `v=1; eval "printf '%s|' ${X}/a '${X}/b' \\"${X}/c\\" $v"`,
  'eval, the path at the end of the quotes': `eval 'echo '\\''a'\\'' ${X}'; eval "echo ${X}"; eval 'echo '${X}`,
  'eval of words': `eval printf '%s\\|' ${X}/a "'${X}/b'"`,
  'a trap': `trap 'echo "${X}/a" ${X}/b' 0; trap "echo '${X}/c'" 0`,
  'a trap for an exit': `trap 'echo "${X}/a" ${X}/b' EXIT`,
  'a function': `f() { echo "$1" ${X}/a; }\nf ${X}/b`,
  'a loop': `for f in ${X}/a "${X}/b" *no*; do echo "$f"; done; while [ "${X}" != ${X} ]; do :; done`,
  'a path behind a parameter': `v=a; printf '%s|' $v${X} "$v${X}" "$#${X}"`,
  'a comment': `echo a # ${X}\n# ${X}\necho b#${X} # '${X}'`,
  'a comment in a substitution': `echo "$(echo a # ) ${X}\necho ${X})"`,
  'what is not in the bundle': `[ -n "$n" ] && echo ${ABSENT}; echo a`,
}
const BASH: Readonly<Record<string, string>> = {
  'dollar quotes': `printf '%s|' $'${X}/a\\tb' $'a\\\\${X}' $"${X}/b"`,
  'an array': `a=(${X}/a "${X}/b c" [5]=${X}/d); a+=('${X}/e'); printf '%s|' "\${a[@]}"`,
  'a key of an array': `declare -A a=([${X}]=1 ["${X}/b"]=${X}); printf '%s|' "\${a[${X}]}" "\${a["${X}/b"]}"; a[${X}/c]=3; echo "\${#a[@]}" "\${a[${X}/c]}"`,
  'a pattern to replace': `f=${X}/@; printf '%s|' "\${f/"${X}"/new}" "\${f/@/${X}}" "\${f//'${X}'/(${X})}" "\${f/@/"${X}"}"`,
  'a test': `f=${X}/a/b; [[ $f == ${X}/* ]] && echo 1; [[ $f =~ ^${X}/(.*)/b$ ]] && echo "\${BASH_REMATCH[1]}"; [[ ${X} == "${X}" ]] && echo 3`,
  braces: `printf '%s|' ${X}/{a,b} {${X},c}/d "${X}"/{1..3}`,
  'an extended pattern': `case ${X}/a in @(${X}|b)/a) echo yes ;; esac`,
  'a process substitution': `cat <(echo ${X}/a)`,
  'a here-string': `cat <<< ${X}/a; cat <<< "${X}/b"`,
  'arithmetic with a command': `echo $(( $(printf '%s' ${X} | wc -c) - $(printf '%s' ${X} | wc -c) ))`,
  'a declaration': `f() { local a=${X}/a; local -r b="${X}"; printf '%s|' "$a" "$b"; }; f; declare -x c=${X}; echo "$c"`,
}

/** What each piece of code prints, before and after, in one go: a start for each of them would take its time. */
function all(codes: Readonly<Record<string, string>>, command: readonly string[]): [string, string, string][] {
  const keys = Object.keys(codes)
  const { before, after } = compare(keys.map(key => `(${codes[key]}\n)\necho '=== end'`).join('\n'), command)
  const [old, now] = [before.split('=== end'), after.split('=== end')]
  return [...keys, 'the end'].map((key, i) => [key, old[i] ?? '', now[i] ?? ''])
}

describe.each(SHELL_NAMES)('in %s', name => {
  test.each(all(COMMON, shell(name)))('%s', (_, before, after) => {
    expect(after).toBe(before)
  })

  test('an alias', () => {
    const expand = 'if (shopt -s expand_aliases) 2> /dev/null; then shopt -s expand_aliases; fi'
    const { before, after } = compare(`${expand}\nalias p='printf "%s|" ${X}/a' q="echo ${X}/b"\np b; q`, shell(name))
    expect(after).toBe(before)
  })
})

test.each(all(BASH, ['bash', '-O', 'extglob']))('in bash, %s', (_, before, after) => {
  expect(after).toBe(before)
})

test.each(NAMES)('the root may be named %j', name => {
  const code = `printf '%s|' ${X}/a "${X}/b" '${X}/c' "$(echo "${X}/d")"\ncat << E\n${X}/e\nE\n`
  const { before, after } = compare(code, ['bash'], lab.directory(name))
  expect(after).toBe(before)
})

// ---- Words at random ---------------------------------------------------------------------------------------------

const TEXT = fc.string({ unit: fc.constantFrom(...'ab ,*$"\'`\\{}~#!;|&<>()\t\n%=\xe9\xa0'), maxLength: 4 })
const PATH = fc.constantFrom(X, `${X}/bin/a`, `${store('twin-1')}/b`)
/** A piece of a word with a path in it. A text is quoted as it has to be, the path is not. */
const PIECE = fc.tuple(TEXT, PATH, TEXT).chain(([left, path, right]) => {
  const bare = (text: string): string => text.replace(/[^ab,%=\n]/g, '\\$&').replaceAll('\n', '')
  const double = (text: string): string => `"${text.replace(/[$`"\\]/g, '\\$&')}"`
  const single = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`
  const ansi = (text: string): string => `$'${text.replace(/['\\]/g, '\\$&')}'`
  const parameter = (text: string): string => `\${n:-${bare(text)}}`
  const all = left + path + right
  return fc.constantFrom(
    bare(left) + path + bare(right),
    double(all),
    single(all),
    ansi(all),
    `\${n:-${bare(left)}${path}${bare(right)}}`,
    `"\${n:-${path}}"`,
    `"$(printf %s ${single(all)})"`,
    `"$(printf %s ${double(all)} ${parameter(right)})"`,
    `"$(printf %s ${path})"`,
    `"\`printf %s ${path}\`"`,
  )
})
const WORD = fc.array(PIECE, { minLength: 1, maxLength: 3 }).map(pieces => pieces.join(''))

/** A word of code that is read once more. */
const again = (code: string): string => `'${code.replaceAll("'", "'\\''")}'`

test('a word at random has the value that it had, also in code for eval', () => {
  fc.assert(
    fc.property(fc.array(WORD, { minLength: 20, maxLength: 20 }), words => {
      const print = words.map(word => `printf '<%s>\\n' ${word}`)
      const code = `set -f\n${[...print, ...print.map(line => `eval ${again(line)}`)].join('\n')}`
      const { before, after } = compare(code, ['bash'])
      expect(after).toBe(before)
    }),
    { numRuns: Number(process.env.SCRIPT_RUNS ?? 20) },
  )
})

// ---- What is refused ---------------------------------------------------------------------------------------------

test.each([
  ['quoted-here-document', `cat << 'E D'\n${X}/a\nE D`],
  ['quoted-here-document', `cat << "E$"\n${X}/a\nE$`],
  ['arithmetic', `echo $((1 + ${X}))`],
  ['arithmetic', `((a = ${X}))`],
  ['arithmetic', `echo \${a:${X}}`],
  ['pattern', `echo [${X}]`],
  ['name', `${X}/f() { :; }`],
  ['escape', `echo "$${X}"`],
  ['escape', `echo $${X}`],
  ['escape', `echo $'\\${X}'`],
  ['unparsable', `echo ${X}; if then (`],
])('refused: %s, %j', (reason, code) => {
  const text = `#!/bin/sh\n${code}\n`
  const done = edit(text)
  expect(done.outcomes).toEqual(['refused'])
  expect(done.refusals).toEqual([{ offset: text.indexOf(X), reason }])
  expect(done.splices).toEqual([
    { offset: text.indexOf(X), length: X.length, text: `/var/empty/${'e'.repeat(32)}-x-1` },
  ])
})

test('a delimiter is blanked where it begins and where it ends', () => {
  const { before, after } = compare(`cat << ${X}\na\n${X}\necho b`, ['bash'])
  expect(after).toBe(before)
})

test('what is not in the bundle is blanked at equal length, and needs no statement', () => {
  const text = `#!${ABSENT}/bin/bash\necho ${ABSENT}/a # ${X}\n`
  const done = edit(text)
  expect(done.outcomes).toEqual(['blanked', 'blanked', 'blanked'])
  expect(done.splices.map(s => s.text)).toEqual([BLANK_ABSENT, BLANK_ABSENT, `/var/empty/${'e'.repeat(32)}-x-1`])
})

test('of paths within each other the first counts', () => {
  const text = `echo ${X}/nix/store\n`
  expect(edit(text).outcomes).toEqual(['templated', 'blanked'])
  const inside = [...sitesOf(`echo ${X}\n`), { offset: 6, length: 10, to: null }]
  expect(editShell(`echo ${X}\n`, at(PLACE), inside, null).outcomes).toEqual(['templated', 'templated'])
})

// ---- Real scripts ------------------------------------------------------------------------------------------------

test('scripts of this machine can still be read when paths in them are those of the store', () => {
  const scripts = ['/usr/bin', '/usr/sbin', '/usr/lib/git-core']
    .flatMap(directory => readdirSync(directory).map(name => `${directory}/${name}`))
    .filter(path => {
      const stat = statSync(path, { throwIfNoEntry: false })
      return stat?.isFile() && stat.size < 30_000
    })
    .map(path => readFileSync(path, 'latin1'))
    .filter(text => /^#! ?(?:\/usr)?\/bin\/(?:ba|da)?sh/.test(text))
    .slice(0, 50)
  const directory = lab.directory()
  let planted = 0
  for (const [i, script] of scripts.entries()) {
    const text = script.replace(/(?<![\w.~-])\/(?:usr|bin|etc|var|tmp|dev|lib)(?=\/)/g, () => {
      planted++
      return X
    })
    lab.write(`${directory}/${i}.before`, text)
    lab.write(`${directory}/${i}.after`, spliced(text, edit(text).splices))
  }
  expect(planted).toBeGreaterThan(50)
  const read = (kind: string): string =>
    run([
      'bash',
      '-c',
      `cd "$0"; for f in *.${kind}; do bash -n "$f" 2> /dev/null; echo "\${f%.*} $?"; done`,
      directory,
    ]).out
  expect(read('after')).toBe(read('before'))
  expect(run(['grep', '-rlF', '--include=*.after', '/nix/store', directory]).out).toBe('')
})
