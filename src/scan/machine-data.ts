/**
 * Programs of a machine without Nix: what they and their libraries name of the machine's files stays behind, and so does
 * what the machine's package manager says belongs to them. It is told once for each program, scripts too: java, python3 or
 * groff do not start without.
 */

import type { LinkMap } from '../elf/search.ts'
import { stat, withFile } from '../io/store.ts'
import type { Finding } from '../model/findings.ts'
import type { PackageRoot } from '../model/target.ts'
import { storePathOf } from '../nix/store-path.ts'
import { directoryOf, fromText, type SourcePath } from '../paths.ts'
import { directoriesOf, dpkgOwned } from './dpkg.ts'
import type { Holdings } from './holdings.ts'

/** What every program has and does without: locales, character sets. */
const C_LIBRARY = /\/(?:ld-[^/]*|libc)\.so[^/]*$/

/** Directories whose files lie in a bundle as they do on the machine, when `--data all` brings them. */
const MACHINE_ROOTS: readonly PackageRoot[] = ['usr', 'etc'].map(name => ({
  root: `/${name}` as SourcePath,
  name: fromText(name),
  tree: false,
}))

/** With these, in which a program lies that was asked for by itself: it may look beside itself (Python, Java). */
export const withMachineRoots = (roots: readonly PackageRoot[]): PackageRoot[] => [
  ...roots.filter(({ root, tree }) => tree || !MACHINE_ROOTS.some(m => root.startsWith(`${m.root}/`))),
  ...MACHINE_ROOTS,
]

/**
 * What programs of this machine need of its files, and name of them; what their libraries name is much, and seldom missed: a note.
 * @param started what is started by name
 * @param held what came along
 */
export function machineData(
  started: ReadonlySet<SourcePath>,
  held: Pick<Holdings, 'files' | 'links'>,
  linkMaps: ReadonlyMap<SourcePath, LinkMap>,
): Finding[] {
  const files = new Set<SourcePath>()
  const owned = dpkgOwned([...started].filter(path => storePathOf(path) === null))
  const came = directoriesHeld(held)
  for (const path of owned.keys()) files.add(path)
  for (const path of started) {
    const facts = held.files.get(path)?.facts
    if (facts?.format !== 'elf' || !facts.interp || storePathOf(facts.interp.value) !== null) continue
    files.add(path)
    for (const object of linkMaps.get(path)?.objects ?? []) if (!C_LIBRARY.test(object.path)) files.add(object.path)
  }
  return [...files].flatMap((file): Finding[] => {
    const { packages, data: all } = owned.get(file) ?? { packages: [], data: [] }
    const data = all.filter(path => !came.has(path))
    const directories = directoriesOf(data)
    const named = machinePaths(file).filter(
      path => !came.has(path) && !directories.some(d => path === d || path.startsWith(`${d}/`)),
    )
    const paths = [...directories, ...named]
    // A program does without plugins, and without what its libraries name.
    const isBrought = all.length > 0 && data.length === 0
    const isNeeded = data.some(path => !/\.so(?:\.|$)/.test(path)) || (named.length > 0 && !isBrought)
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

/** What was brought of a machine, and programs, libraries and scripts look for by its own path: one finding for all. */
export function machineRoot(held: Pick<Holdings, 'files' | 'links'>): Finding[] {
  const came = directoriesHeld(held)
  const paths = new Set<string>()
  const files: SourcePath[] = []
  for (const { path, facts } of held.files.values()) {
    if (facts.format === 'data' || storePathOf(path) !== null || C_LIBRARY.test(path)) continue
    const there = (facts.format === 'script' ? scriptPaths(path) : machinePaths(path)).filter(name => came.has(name))
    if (there.length > 0) files.push(path)
    for (const name of there) paths.add(name)
  }
  const [file] = files.sort()
  return file === undefined
    ? []
    : [{ code: 'machine-root', severity: 'warning', file, files, paths: [...paths].sort() }]
}

/** Files and links that came of this machine, and all directories that they lie in. */
function directoriesHeld({ files, links }: Pick<Holdings, 'files' | 'links'>): ReadonlySet<string> {
  const held = new Set<string>()
  for (const path of [...files.keys(), ...links.keys()])
    if (storePathOf(path) === null)
      for (let at: string = path; at !== '' && !held.has(at); at = directoryOf(at)) held.add(at)
  return held
}

/** Directories of packages that a script names. */
function scriptPaths(path: SourcePath): string[] {
  const text = withFile(path, source => source.read(0, Math.min(source.size, SCRIPT_MAX)).toString('latin1'))
  const names = new Set(
    [...text.matchAll(/\/(?:usr\/(?:lib|share|libexec)|etc)\/[\w+.-]+(?:\/[\w+.-]+)*/g)].map(([name]) => name),
  )
  return [...names].filter(name => !EVERYWHERE.test(name))
}
const SCRIPT_MAX = 1 << 20

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
