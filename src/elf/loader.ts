/**
 * What is compiled into a dynamic loader.
 *
 * glibc's ld.so carries its default directories as one run of NUL-terminated strings that begin and end with a slash
 * (elf/dl-load.c, `system_dirs`), and the names of its cache and preload files. nixpkgs' loader has store paths there,
 * any other has the host's. musl's loader has them as one list with colons, and finds `/etc/ld-musl-<cpu>.path` from its
 * own place (ldso/dynlink.c).
 */

import type { ByteSource } from '../io/bytes.ts'
import { PF, PT } from './constants.ts'
import type { ElfFacts, LoaderFacts } from './facts.ts'
import type { LoaderSettings } from './search.ts'

/** No loader is larger than this (glibc's has 0.2 MB, musl's libc 0.8 MB). In bytes. */
const LOADER_MAX = 16 << 20

/** In bytes. */
const PATH_MAX = 4096
const DIRECTORY = /^\/(?:[^/]+\/)+$/
const DIRECTORY_LIST = /\0((?:\/[^/:\0]+)*\/lib[^/:\0]*(?::(?:\/[^/:\0]+)*\/lib[^/:\0]*)+)(?=\0)/g
const MUSL_PATH_FILE = '/etc/ld-musl-'
const HOST_FILES = /\0(\/etc\/ld\.so\.(?:cache|preload|nohwcap))(?=\0)/g

/** The facts of a loader. */
export function readLoader(source: ByteSource, facts: ElfFacts): LoaderFacts {
  const directories = new Set<string>()
  const hostPaths: LoaderFacts['hostPaths'][number][] = []
  let argv0 = false
  let musl = false
  let budget = LOADER_MAX
  for (const segment of facts.segments) {
    if (segment.type !== PT.load || segment.flags & PF.w || segment.filesz > budget) continue
    budget -= segment.filesz
    const text = source.read(segment.offset, segment.filesz).toString('latin1')
    argv0 ||= text.includes('argv0')
    for (const { offset, directory } of libraryDirectories(text)) {
      directories.add(directory.slice(0, -1))
      if (isHostPath(directory))
        hostPaths.push({ offset: segment.offset + offset, from: directory, to: nowhere(directory) })
    }
    const hostStrings = [...text.matchAll(HOST_FILES)]
    if (text.includes(MUSL_PATH_FILE)) {
      musl = true
      const lists = [...text.matchAll(DIRECTORY_LIST)]
      for (const match of lists) for (const d of match[1]!.split(':')) directories.add(d)
      hostStrings.push(...lists.filter(match => match[1]!.split(':').some(isHostPath)))
    }
    for (const match of hostStrings)
      hostPaths.push({ offset: segment.offset + match.index + 1, from: match[1]!, to: nowhere(match[1]!) })
  }
  return { directories: [...directories], argv0, musl, hostPaths }
}

/**
 * What a loader goes by that looks in these directories, besides what is compiled into it.
 * @param cache ld.so.cache: candidates by name
 */
export function settingsOf(
  compiled: LoaderFacts,
  directories: readonly string[],
  cache: ReadonlyMap<string, readonly string[]>,
): LoaderSettings {
  const multiarch = compiled.directories.find(d => /^\/lib\/[^/]+-linux-[^/]+$/.test(d))
  const lib = multiarch?.slice(1) ?? (compiled.directories.includes('/lib64') ? 'lib64' : 'lib')
  return { directories, cache, lib, inheritsRunpath: compiled.musl }
}

/**
 * The strings that are a directory with a slash at both ends and a component `lib...`. What stands before such a string
 * is a NUL, or the end of some table: a byte that no path has, or by chance one that a path may have. The latter is cut
 * off where another such string follows at once, for the default directories are one run of strings.
 */
function* libraryDirectories(text: string): Generator<{ offset: number; directory: string }> {
  for (let end = text.indexOf('/\0'); end >= 0; end = text.indexOf('/\0', end + 1)) {
    let start = end
    while (start > 0 && end - start < PATH_MAX && text[start - 1]! >= ' ' && text[start - 1]! <= '~') start--
    if (start === 0) continue
    if (text[start] !== '/' && /^\/[ -.0-~]+\/[ -~]*\0/.test(text.slice(end + 2, end + 2 + PATH_MAX)))
      start = text.indexOf('/', start)
    const directory = text.slice(start, end + 1)
    if (DIRECTORY.test(directory) && directory.includes('/lib')) yield { offset: start, directory }
  }
}

const isHostPath = (path: string): boolean => !path.startsWith('/nix/store/')

/**
 * A path of the same length that names nothing: below /var/empty where that fits, else a name of e's at the root.
 * A slash at the end stays, because the loader appends a file name to it.
 */
function nowhere(path: string): string {
  const end = path.endsWith('/') ? '/' : ''
  const length = path.length - end.length
  const base = length > '/var/empty/'.length ? '/var/empty/' : '/'
  return base + 'e'.repeat(length - base.length) + end
}
