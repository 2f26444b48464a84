/**
 * Programs of a machine without Nix: what they and their libraries name of the machine's files stays behind, and so does
 * what the machine's package manager says belongs to them. It is told once for each program, scripts too: java, python3 or
 * groff do not start without.
 */

import type { LinkMap } from '../elf/search.ts'
import { stat, withFile } from '../io/store.ts'
import type { Finding } from '../model/findings.ts'
import type { FileNode } from '../model/graph.ts'
import { storePathOf } from '../nix/store-path.ts'
import type { SourcePath } from '../paths.ts'
import { directoriesOf, dpkgOwned } from './dpkg.ts'

/** What every program has and does without: locales, character sets. */
const C_LIBRARY = /\/(?:ld-[^/]*|libc)\.so[^/]*$/

/**
 * What programs of this machine need of its files, and name of them; what their libraries name is much, and seldom missed: a note.
 * @param started what is started by name
 */
export function machineData(
  started: ReadonlySet<SourcePath>,
  all: ReadonlyMap<SourcePath, FileNode>,
  linkMaps: ReadonlyMap<SourcePath, LinkMap>,
): Finding[] {
  const files = new Set<SourcePath>()
  const owned = dpkgOwned([...started].filter(path => storePathOf(path) === null))
  for (const path of owned.keys()) files.add(path)
  for (const path of started) {
    const facts = all.get(path)?.facts
    if (facts?.format !== 'elf' || !facts.interp || storePathOf(facts.interp.value) !== null) continue
    files.add(path)
    for (const object of linkMaps.get(path)?.objects ?? []) if (!C_LIBRARY.test(object.path)) files.add(object.path)
  }
  return [...files].flatMap((file): Finding[] => {
    const { packages, data } = owned.get(file) ?? { packages: [], data: [] }
    const directories = directoriesOf(data)
    const named = machinePaths(file).filter(path => !directories.some(d => path === d || path.startsWith(`${d}/`)))
    const paths = [...directories, ...named]
    // A program does without plugins, and without what its libraries name.
    const isNeeded = data.some(path => !/\.so(?:\.|$)/.test(path)) || named.length > 0
    const severity = started.has(file) && isNeeded ? 'warning' : 'note'
    return paths.length === 0
      ? []
      : [
          {
            code: 'machine-data',
            severity,
            file,
            paths,
            packages: data.length === 0 ? [] : packages,
            count: data.length,
          },
        ]
  })
}

/** A larger program is not looked into for paths. In bytes. */
const PATHS_MAX = 64 << 20

/** Files and directories of this machine that a program names in full, sorted; what every machine has is left out. */
function machinePaths(path: SourcePath): string[] {
  const text = withFile(path, source => (source.size > PATHS_MAX ? '' : source.read(0, source.size).toString('latin1')))
  const names = new Set([...text.matchAll(/(?<=\0)\/(?:usr|etc|opt|var)\/[!-~]{2,200}(?=\0)/g)].map(([name]) => name))
  return [...names].filter(name => !EVERYWHERE.test(name) && stat(name) !== null).sort()
}
const EVERYWHERE =
  /^\/(?:etc\/(?:passwd|group|hosts|resolv\.conf|localtime|nsswitch\.conf|services|protocols|shells|mtab|ld\.so\..*)|usr\/(?:bin|sbin|lib|share|local|(?:share|lib)\/locale|lib\/[^/]+-linux-[^/]+)|var\/(?:tmp|run|log|lib|cache))\/?$|^\/usr\/s?bin\//
