/**
 * What is compiled into a dynamic loader.
 *
 * glibc's ld.so carries its default directories as one run of NUL-terminated strings that begin and end with a slash
 * (elf/dl-load.c, `system_dirs`), and the names of its cache and preload files. nixpkgs' loader has store paths there,
 * any other has the host's.
 */

import type { ByteSource } from '../io/bytes.ts'
import type { ElfFacts, LoaderFacts } from '../model.ts'
import { PF, PT } from './constants.ts'

/** No loader is larger than this (glibc's has 0.2 MB, musl's libc 0.8 MB). In bytes. */
const LOADER_MAX = 16 << 20

const DIRECTORIES = /\0((?:\/(?:[^\0/]+\/)*lib[^\0/]*\/(?:[^\0/]+\/)*\0)+)/g
const HOST_FILES = /\0(\/etc\/ld\.so\.(?:cache|preload|nohwcap))(?=\0)/g

/** The facts of a loader. */
export function readLoader(source: ByteSource, facts: ElfFacts): LoaderFacts {
  const directories: string[] = []
  const hostPaths: LoaderFacts['hostPaths'][number][] = []
  let argv0 = false
  for (const segment of facts.segments) {
    if (segment.type !== PT.load || segment.flags & PF.w || segment.filesz > LOADER_MAX) continue
    const text = source.read(segment.offset, segment.filesz).toString('latin1')
    argv0 ||= text.includes('argv0')
    for (const match of text.matchAll(DIRECTORIES)) {
      let offset = segment.offset + match.index + 1
      for (const directory of match[1]!.split('\0').slice(0, -1)) {
        directories.push(directory.slice(0, -1))
        if (isHostPath(directory)) hostPaths.push({ offset, from: directory, to: nowhere(directory) })
        offset += directory.length + 1
      }
    }
    for (const match of text.matchAll(HOST_FILES))
      hostPaths.push({ offset: segment.offset + match.index + 1, from: match[1]!, to: nowhere(match[1]!) })
  }
  return { directories, argv0, hostPaths }
}

const isHostPath = (path: string): boolean => !path.startsWith('/nix/store/')

/**
 * A path of the same length that names nothing: below /var/empty where that fits, else a name of e's at the root.
 * A slash at the end stays, because the loader appends a file name to it.
 */
export function nowhere(path: string): string {
  const end = path.endsWith('/') ? '/' : ''
  const length = path.length - end.length
  const base = length > '/var/empty/'.length ? '/var/empty/' : '/'
  return base + 'e'.repeat(length - base.length) + end
}
