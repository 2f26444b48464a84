/**
 * Shell texts that are texts of another language too: a shell reads as far as a command that never comes back, which gives
 * the same file to the interpreter that it is written for.
 *
 *     exec tclsh "$0" ${1+"$@"}              Tcl, which takes the lines before for a comment
 *     '''exec' python3 "$0" "$@"             Python (pip, where an interpreter's path is too long for a `#!` line)
 *     eval 'exec perl -x -wS $0 ${1+"$@"}'   Perl
 *     exec guile -s "$0" "$@"                Scheme
 *     ":" //; exec node "$0" "$@"            JavaScript
 *
 * Nothing may be put into such a text that is not at home in both.
 */

/** `exec` at the beginning of a line, or behind a command that the other language takes for something else. */
const EXEC = /^(?:(?:["']{2,4}|":?"|:)[^\n;|&]*;\s*|["']{0,4}(?:eval[ \t]+["'])?)exec["']?[ \t]+([^\n]*)/gm
/** The script's own name among the words of a command, but for the name that `-a` gives the program. */
const ITSELF = /(?<!(?:^|\s)-a[ \t]*)(?<=[\s"'=])"?\$(?:0|\{0\})(?![\w{}/%#*@])/
const SHELLS = /^(?:ba|da|k|mk|a|z)?sh$/

/** Whether a shell text gives itself to an interpreter of another language, for which something follows. */
export function handsItselfOn(text: string): boolean {
  if (!text.includes('exec') || !/\$(?:0|\{0\})/.test(text)) return false
  for (const match of text.matchAll(EXEC)) {
    const command = match[1]!
    const program = /^(?:"[^"\n]*"|'[^'\n]*'|\S)+/.exec(command)?.[0].replace(/["']/g, '') ?? ''
    if (program.startsWith('-') || SHELLS.test(program.slice(program.lastIndexOf('/') + 1))) continue
    if (ITSELF.test(command) && text.slice(match.index + match[0].length).trim() !== '') return true
  }
  return false
}
