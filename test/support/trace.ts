/** What a program opens and executes, by strace: the original in the store, and the bundled one without a store. */
import { readFileSync, realpathSync } from 'node:fs'
import { type RunOptions, run } from './bundle.ts'
import { tool } from './root.ts'

/** What was tried, in absolute paths. */
export interface Trace {
  readonly code: number | null
  readonly output: string
  /** Files that were opened or executed. */
  readonly opened: ReadonlySet<string>
  /** Everything that was asked for by name, there or not. */
  readonly tried: ReadonlySet<string>
}

const STRACE = tool('strace')
const CALLS = 'open,openat,execve,stat,lstat,newfstatat,access,faccessat,faccessat2,readlink,readlinkat,statx,chdir'
const CALL = /^(?:\d+ +)?(?:\[pid +\d+\] )?(\w+)\((?:AT_FDCWD, |\d+<[^>]*>, )?"((?:[^"\\]|\\.)*)"(.*)$/

/**
 * Runs a program under strace.
 * @param around the command that makes the program's surroundings; it runs outside of the trace
 */
export function trace(
  around: readonly string[],
  file: string,
  args: readonly string[],
  log: string,
  options: RunOptions,
): Trace {
  const [command = 'env', ...rest] = around
  const strace = [STRACE, '-f', '-qq', '-s', '4096', '-o', log, '-e', `trace=${CALLS}`]
  const result = run(command, [...rest, ...strace, file, ...args], options)
  const opened = new Set<string>()
  const tried = new Set<string>()
  for (const line of unfinished(readFileSync(log, 'latin1').split('\n'))) {
    const [, call, name = '', after = ''] = CALL.exec(line) ?? []
    if (call === undefined || !name.startsWith('/')) continue
    tried.add(name)
    if (
      /^(?:open|openat|execve)$/.test(call) &&
      / = \d+/.test(after) &&
      !/O_DIRECTORY|O_PATH|O_CREAT|O_WRONLY/.test(after)
    )
      opened.add(name)
  }
  return { code: result.code, output: result.stdout + result.stderr, opened, tried }
}

/** Lines of calls that another process interrupted, put together again. */
function unfinished(lines: readonly string[]): string[] {
  const open = new Map<string, string>()
  return lines.flatMap(line => {
    const pid = /^\d+/.exec(line)?.[0] ?? ''
    const begin = line.indexOf(' <unfinished ...>')
    if (begin >= 0) {
      open.set(pid, line.slice(0, begin))
      return []
    }
    const resumed = /^\d+ +<\.\.\. \w+ resumed>/.exec(line)
    if (!resumed) return [line]
    const whole = (open.get(pid) ?? '') + line.slice(resumed[0].length)
    open.delete(pid)
    return [whole]
  })
}

/** The file that a path leads to; itself where it leads nowhere. */
export function real(path: string): string {
  try {
    // The kernel takes `..` of where a link leads, Node of the text.
    return realpathSync.native(path)
  } catch {
    return path
  }
}
