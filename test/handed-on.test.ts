import { describe, expect, test } from 'vitest'
import { handsItselfOn } from '../src/script/handed-on.ts'

const sh = (text: string): string => `#!/nix/store/x/bin/sh\n${text}`

describe('a shell text that is one of another language too', () => {
  test.each([
    ['Tcl', `# the next line restarts using tclsh \\\nexec tclsh "$0" \${1+"$@"}\nputs [info script]\n`],
    ['Python, as pip writes it', "'''exec' \"/a b/python3\" \"$0\" \"$@\"\n' '''\nimport sys\n"],
    ['Python, of one line', "''''exec python3 -- \"$0\" \"$@\" # '''\nimport sys\n"],
    ['Python, of three', "''':'\nexec python3 \"$0\" \"$@\"\n'''\nimport sys\n"],
    ['Perl', `eval 'exec perl -x -wS $0 \${1+"$@"}'\n  if 0;\nprint 1;\n`],
    ['Scheme', `exec \${GUILE-guile} -s "$0" "$@"\n!#\n(display 1)\n`],
    [
      'Scheme, as guild is',
      'prefix="/x"\nexec "/x/guile" $GUILE_FLAGS -e \'(@@ (guild) main)\' -s "$0" "$@"\n!#\n(x)\n',
    ],
    ['JavaScript', '":" //# comment; exec node "$0" "$@"\nlet x\n'],
    ['Java, an archive behind', 'exec java -jar "$0" "$@"\nPK\x03\x04'],
  ])('%s', (_, text) => expect(handsItselfOn(sh(text))).toBe(true))

  test.each([
    ['a wrapper', 'exec -a "$0" "/x/bin/.y-wrapped" "$@"\n'],
    ['its own name as an argument', 'exec "/x/y" "$0" "$@"\n'],
    ['its directory', `exec python3 "\${0%/*}/../share/x.py" "$@"\necho no\n`],
    ['the same language', '[ -n "$BASH" ] || exec bash "$0" "$@"\nexec bash "$0" "$@"\necho\n'],
    ['a usage', 'exec 3>&1\necho "usage: $0 FILE"\n'],
    ['within a condition', 'if x; then\n  exec tclsh "$0"\nfi\necho\n'],
  ])('and not: %s', (_, text) => expect(handsItselfOn(sh(text))).toBe(false))
})
