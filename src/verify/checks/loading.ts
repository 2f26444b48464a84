/**
 * What dynamic loaders go by in a root file system, besides libraries: the directories that are compiled into them,
 * glibc's `/etc/ld.so.cache`, musl's `/etc/ld-musl-<cpu>.path`. `/etc/ld.so.conf` is ldconfig's, which makes the cache of
 * it: no loader reads it, so that a directory which only stands there is not searched.
 */
import { parseCache } from '../../elf/cache.ts'
import type { ElfFacts, LoaderFacts } from '../../elf/facts.ts'
import { readLoader, settingsOf } from '../../elf/loader.ts'
import type { LoaderSettings } from '../../elf/search.ts'
import type { ByteSource } from '../../io/bytes.ts'
import type { MachOFacts } from '../../macho/facts.ts'

export type Loading =
  | { readonly kind: 'loader'; readonly compiled: LoaderFacts }
  | { readonly kind: 'cache'; readonly paths: ReadonlyMap<string, readonly string[]> }
  | { readonly kind: 'path'; readonly directories: readonly string[] }

/** By its place in the root, a byte string without a slash at the start. */
export type LoadingFiles = ReadonlyMap<string, Loading>

const CACHE = 'etc/ld.so.cache'
const MUSL_PATH = /^etc\/ld-musl-[^/]+\.path$/
const LOADER = /(?:^|\/)(?:ld[-\d.][^/]*\.so|ld(?:64)?\.so|libc\.so$)/
/** Such files are no larger. In bytes. */
const CACHE_MAX = 64 << 20
const PATH_FILE_MAX = 1 << 20

/** @param place in its root, a byte string */
export function loadingOf(place: string, source: ByteSource, facts: ElfFacts | MachOFacts | null): Loading | null {
  if (facts === null && !place.startsWith('etc/ld')) return null
  if (facts?.format === 'elf' && LOADER.test(place)) return { kind: 'loader', compiled: readLoader(source, facts) }
  if (place === CACHE && source.size <= CACHE_MAX) return { kind: 'cache', paths: parseCache(source) }
  if (!MUSL_PATH.test(place) || source.size > PATH_FILE_MAX) return null
  const directories = source.read(0, source.size).toString('latin1').split(/[:\n]/)
  return { kind: 'path', directories: directories.filter(d => d.startsWith('/')).map(d => d.replace(/(?<=.)\/+$/, '')) }
}

/**
 * Where a loader of the root looks; null for a file that is not known as one.
 * @param place of the loader, links followed
 * @param named the path that programs name it by
 * @param follow where a path of the root leads
 */
export function settingsIn(
  files: LoadingFiles,
  place: string,
  named: string,
  follow: (path: string) => string | null,
): LoaderSettings | null {
  const loader = files.get(place)
  if (loader?.kind !== 'loader') return null
  const at = (path: string): Loading | undefined => files.get(follow(path) ?? '')
  const { compiled } = loader
  if (!compiled.musl) {
    const cache = at(`/${CACHE}`)
    return settingsOf(compiled, compiled.directories, cache?.kind === 'cache' ? cache.paths : new Map())
  }
  // dynlink.c: from the loader's own place, `/lib/ld-musl-x86_64.so.1`.
  const [, prefix, cpu] = /^(.*)\/[^/]+\/ld-musl-([^/]+)\.so\.1$/.exec(named) ?? []
  const path = cpu === undefined ? undefined : at(`${prefix}/etc/ld-musl-${cpu}.path`)
  return settingsOf(compiled, path?.kind === 'path' ? path.directories : compiled.directories, new Map())
}
