/**
 * Where each file goes, and what happens when names collide. Pure.
 *
 *     pkg/<package>/...      a bundled package's tree, as in the store without the hash; single files of others
 *     lib/<soname>           every other shared library, and the loader; a link to one that stays in its package
 *     lib/<package>/<soname> a library whose name in lib/ is taken by one of other contents
 *     bin/ sbin/ libexec/    a relative link for each entry
 *     share, lib/<name> ...  links to what targets have beside bin/ (profile.ts)
 *
 * A library stays in its package as soon as anything else of that comes along, for it may look beside itself for it
 * (dladdr(3), $ORIGIN): a Java VM, plugins, the modules of an interpreter.
 *
 * Two packages of one name: the second is `pkg/<name>~2`. The order is that of the graph, so it never varies.
 */

import type { Finding } from '../model/findings.ts'
import type { Dependency, DependencyGraph, Package } from '../model/graph.ts'
import { type BundlePath, baseName, directoryOf, type SourcePath } from '../paths.ts'

export interface Layout {
  /** Where each file, link and empty directory of the graph goes. */
  readonly placed: ReadonlyMap<SourcePath, BundlePath>
  /** Further names of files: bundle path of the link -> bundle path of the file. */
  readonly aliases: ReadonlyMap<BundlePath, BundlePath>
  /** Directory (or file) of each package under `pkg/`, by its root. */
  readonly directories: ReadonlyMap<SourcePath, BundlePath>
  /** Directories that hold libraries of a name that is in `lib/` too. */
  readonly findings: readonly Finding[]
}

/** @param same whether two files have the same contents; asked only where names collide */
export function layOut(graph: DependencyGraph, same: (a: SourcePath, b: SourcePath) => boolean): Layout {
  const placed = new Map<SourcePath, BundlePath>()
  const aliases = new Map<BundlePath, BundlePath>()
  const findings: Finding[] = []
  const directories = packageDirectories(graph.packages)
  const packageOf = finder(graph.packages)
  const inPackage = (path: SourcePath): BundlePath => {
    const { root } = packageOf(path)
    return (directories.get(root)! + withoutHashes(path.slice(root.length), graph.hashes)) as BundlePath
  }

  const libraries = libraryNames(graph.edges)
  const stays = stayers(graph, packageOf, libraries)
  /** Names in lib/ -> whose they are. */
  const holders = new Map<string, SourcePath>()
  for (const [path, names] of libraries) {
    if (stays(path)) continue
    const owner = packageOf(path)
    const soname = sonameOf(graph, path)
    const primary = soname !== null && names.has(soname) ? soname : [...names][0]!
    const twin = holders.get(`lib/${primary}`)
    if (twin !== undefined && same(twin, path)) {
      placed.set(path, placed.get(twin)!)
      continue
    }
    const taken = [...names].some(name => holders.has(`lib/${name}`))
    const directory = taken ? `lib/${directories.get(owner.root)!.slice('pkg/'.length)}` : 'lib'
    if (taken) findings.push({ code: 'same-soname', severity: 'note', file: path, soname: primary, at: directory })
    const at = `${directory}/${primary}` as BundlePath
    placed.set(path, at)
    for (const name of names) {
      holders.set(`${directory}/${name}`, path)
      if (name !== primary) aliases.set(`${directory}/${name}` as BundlePath, at)
    }
  }

  for (const path of [...graph.files.keys(), ...graph.links.keys(), ...graph.empty])
    if (!placed.has(path)) placed.set(path, inPackage(path))

  // A library that stays is found beside itself by every name it is asked for, and unless it is the target's own in lib/.
  const occupied = new Set(placed.values())
  for (const [path, names] of libraries) {
    if (!stays(path)) continue
    const at = placed.get(path)!
    for (const name of names) {
      // A variant for newer CPUs lies in a directory that its name tells.
      const alias = `${directoryOf(at)}/${baseName(name)}` as BundlePath
      if (!occupied.has(alias)) aliases.set(alias, at)
      const inLib = `lib/${name}` as BundlePath
      if (packageOf(path).tree || name.includes('/') || occupied.has(inLib) || aliases.has(inLib)) continue
      aliases.set(inLib, at)
    }
  }
  // A library in lib/ that is also opened by its store path has a link at that path's place.
  for (const edge of graph.edges) {
    if (edge.kind !== 'dlopen' || edge.to === null || !edge.name.includes('/')) continue
    const at = placed.get(edge.to)!
    if (at.startsWith('lib/')) aliases.set(inPackage(edge.to), at)
  }
  return { placed, aliases, directories, findings }
}

/** The text of a relative link at `from` to `to`. */
export function relativeLink(from: BundlePath, to: BundlePath): string {
  return relativePath(from.slice(0, Math.max(0, from.lastIndexOf('/'))), to)
}

/** The path from a directory of the bundle to a file or directory of it; empty for the directory itself. */
export function relativePath(fromDirectory: string, to: string): string {
  const from = fromDirectory === '' ? [] : fromDirectory.split('/')
  const target = to === '' ? [] : to.split('/')
  let common = 0
  while (common < from.length && common < target.length && from[common] === target[common]) common++
  return [...from.slice(common).map(() => '..'), ...target.slice(common)].join('/')
}

/** Finds the package that a path of the graph belongs to. */
export function finder(packages: readonly Package[]): (path: string) => Package {
  const byRoot = new Map<string, Package>(packages.map(p => [p.root, p]))
  // What a directory is in is known when it is asked for its second file.
  const byDirectory = new Map<string, Package | undefined>()
  const above = (directory: string): Package | undefined => {
    for (let at = directory; at !== ''; at = directoryOf(at)) {
      const found = byRoot.get(at)
      if (found) return found
    }
    return undefined
  }
  return path => {
    const own = byRoot.get(path)
    if (own) return own
    const directory = directoryOf(path)
    if (!byDirectory.has(directory)) byDirectory.set(directory, above(directory))
    const found = byDirectory.get(directory)
    if (!found) throw new Error(`no package holds ${path}`)
    return found
  }
}

/** A file's name may hold a store hash; it is blanked there as it is in every file that names it. */
export const withoutHashes = (path: string, hashes: ReadonlySet<string>): string =>
  path.replace(/[0-9a-df-np-sv-z]{32}/g, hash => (hashes.has(hash) ? 'e'.repeat(hash.length) : hash))

function packageDirectories(packages: readonly Package[]): Map<SourcePath, BundlePath> {
  const directories = new Map<SourcePath, BundlePath>()
  const count = new Map<string, number>()
  for (const { root, name } of packages) {
    const n = (count.get(name) ?? 0) + 1
    count.set(name, n)
    directories.set(root, `pkg/${n === 1 ? name : `${name}~${n}`}` as BundlePath)
  }
  return directories
}

/** glibc's own libraries and the one it opens: they find their files by names that are compiled into them. */
const C_LIBRARY =
  /^(?:ld[-.6]|lib(?:c|m|mvec|dl|pthread|rt|util|anl|nsl|resolv|nss_[a-z]+|BrokenLocale|thread_db|c_malloc_debug|gcc_s)[-.])/

/**
 * Whether a library stays in its package: where the package's tree comes along, or anything of it that is no such
 * library. Outside a store no package is known, and the file's directory stands for it.
 */
function stayers(
  graph: DependencyGraph,
  packageOf: (path: string) => Package,
  libraries: ReadonlyMap<SourcePath, ReadonlySet<string>>,
): (path: SourcePath) => boolean {
  const homeOf = (path: SourcePath): string => {
    const { root, hash } = packageOf(path)
    return hash === null ? directoryOf(path) : root
  }
  const shared = new Set([...graph.files.keys()].filter(path => !libraries.has(path)).map(homeOf))
  const withLoader = new Set([...graph.loaders.keys()].map(homeOf))
  return path => {
    if (packageOf(path).tree) return true
    const home = homeOf(path)
    return shared.has(home) && !(withLoader.has(home) && C_LIBRARY.test(baseName(path)))
  }
}

/** The names by which each library is asked for, in the order in which the graph first mentions it. */
function libraryNames(edges: readonly Dependency[]): Map<SourcePath, Set<string>> {
  const names = new Map<SourcePath, Set<string>>()
  for (const edge of edges) {
    if (edge.to === null || (edge.kind === 'dlopen' && edge.name.includes('/'))) continue
    // A framework is a tree, in which its library finds what belongs to it.
    if (edge.kind === 'install-name' && edge.to.includes('.framework/')) continue
    if (
      edge.kind !== 'interp' &&
      edge.kind !== 'needed' &&
      edge.kind !== 'dlopen' &&
      edge.kind !== 'variant' &&
      edge.kind !== 'install-name'
    )
      continue
    const name = edge.kind === 'variant' ? edge.name : edge.name.slice(edge.name.lastIndexOf('/') + 1)
    const known = names.get(edge.to)
    if (known) known.add(name)
    else names.set(edge.to, new Set([name]))
  }
  return names
}

function sonameOf(graph: DependencyGraph, path: SourcePath): string | null {
  const facts = graph.files.get(path)?.facts
  if (facts?.format === 'elf') return facts.soname?.value ?? null
  const id = facts?.format === 'macho' ? facts.slices[0]?.id?.value : undefined
  return id === undefined ? null : id.slice(id.lastIndexOf('/') + 1)
}
