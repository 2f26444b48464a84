/**
 * Globs on paths without store directory and hash: `glibc-2.36/lib/gconv/*`. `*` stays within a name, `**` does not,
 * and a directory stands for all that is below it.
 */
import picomatch from 'picomatch'

/** Whether one of some globs matches a path, which may hold a newline. */
export function globs(patterns: readonly string[]): (path: string) => boolean {
  const all = patterns.map(text => text.replace(/^\/+|\/+$/g, '')).flatMap(text => [text, `${text}/**`])
  return all.length === 0 ? () => false : picomatch(all, { dot: true, nonegate: true, flags: 's' })
}
