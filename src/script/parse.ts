/**
 * Scripts: the `#!` line as the kernel reads it (execve(2), "Interpreter scripts"; fs/binfmt_script.c): the
 * interpreter up to the first blank, then all the rest of the line as one argument.
 */
import type { ScriptFacts } from './facts.ts'

/** Scripts that the kernel goes through to the program that interprets them (fs/exec.c, exec_binprm). */
export const SCRIPTS_MAX = 5

/** The kernel reads this many bytes of a script (BINPRM_BUF_SIZE). */
export const SHEBANG_MAX = 256

/** What is read of a file for its `#!` line, in bytes: perl reads on where the kernel has stopped. */
export const LINE_MAX = 4096

/** The facts of a script from the first bytes of a file; null for a file that has no `#!` line. */
export function parseScript(head: Buffer): ScriptFacts | null {
  if (head[0] !== 0x23 || head[1] !== 0x21) return null
  const text = head.toString('latin1', 0, Math.min(head.length, SHEBANG_MAX))
  const match = /^#![ \t]*([^ \t\n\0]+)(?:[ \t]+([^\n]*))?/.exec(text)
  if (!match) return null
  const interpreter = match[1]!
  const newline = head.indexOf(0x0a)
  const argument = match[2]?.replace(/[ \t]+$/, '') ?? ''
  return {
    format: 'script',
    interpreter: { value: interpreter, offset: text.indexOf(interpreter, 2), capacity: interpreter.length },
    argument: argument === '' ? null : argument,
    lineEnd: newline < 0 ? head.length : newline,
  }
}
