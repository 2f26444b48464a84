/**
 * Everything resolves inside: each program's loader and each needed library, by the loader's own search over the
 * bundle's files alone; and each link.
 */

import { ET } from '../../elf/constants.ts'
import type { ElfFacts } from '../../elf/facts.ts'
import {
  type Disk,
  type LinkMap,
  type LoaderSettings,
  type Missing,
  type Opened,
  Process,
  sameMachine,
} from '../../elf/search.ts'
import { entryCpu } from '../../entry/cpus.ts'
import { sidecarPath } from '../../entry/sidecar.ts'
import type { MachOFacts } from '../../macho/facts.ts'
import type { MachODisk } from '../../macho/search.ts'
import type { Finding } from '../../model/findings.ts'
import { storePathOf } from '../../nix/store-path.ts'
import { type BundlePath, baseName, type SourcePath } from '../../paths.ts'
import { type LoadingFiles, settingsIn } from './loading.ts'
import { checkImages } from './macho.ts'

/** A bundle's files as the checks see them. Names are bundle paths. */
export interface BundleTree {
  readonly names: ReadonlySet<string>
  readonly links: ReadonlyMap<string, string>
  readonly elf: ReadonlyMap<string, ElfFacts>
  readonly images: ReadonlyMap<string, MachOFacts>
}

/** A tree that is taken for a root directory. */
export interface RootTree extends BundleTree {
  readonly loading: LoadingFiles
}

export interface BundledProgram {
  readonly at: BundlePath
  readonly elf: BundlePath
  readonly loader: BundlePath
  /** Libraries that the original does not find either. */
  readonly missing: readonly string[]
}

/** No default directory and no cache: nothing of the host is looked at. A bundle's own files have RPATH. */
const NOTHING: LoaderSettings = { directories: [], cache: new Map(), lib: 'lib', inheritsRunpath: false }
/** Of a tree that is no bundle: it is taken for a root directory, in which loaders look where distributions have them. */
const AS_ROOT = ['/lib64', '/usr/lib64', '/lib', '/usr/lib', '/usr/local/lib']
const MULTIARCH: Readonly<Record<string, string>> = { i686: 'i386-linux-gnu', armv7l: 'arm-linux-gnueabihf' }
/** Where a relocatable bundle is mounted for the checks: no path in any file leads there, for none holds a NUL. */
const ANYWHERE = '/\0'
/** As the kernel: a path of more links than this is a cycle. */
const LINKS_MAX = 40

/** The bundle as a disk, mounted at `root`. */
class BundleDisk implements Disk {
  readonly #tree: BundleTree
  readonly #directories = new Set<string>([''])
  readonly root: string

  constructor(tree: BundleTree, root: string) {
    this.#tree = tree
    this.root = root
    for (const name of tree.names)
      for (let d = name.lastIndexOf('/'); d > 0; d = name.lastIndexOf('/', d - 1))
        this.#directories.add(name.slice(0, d))
  }

  open(path: string): Opened | null {
    const name = this.resolve(path)
    const facts = name === null ? undefined : this.#tree.elf.get(name)
    return facts ? { path: `${this.root}/${name}` as SourcePath, facts } : null
  }

  /** As dyld sees it. */
  readonly images: MachODisk = {
    open: path => {
      const name = this.resolve(path)
      const facts = name === null ? undefined : this.#tree.images.get(name)
      return facts ? { path: `${this.root}/${name}` as SourcePath, facts } : null
    },
  }

  /** The bundle path that an absolute path leads to, links followed; null when it leads out or to nothing. */
  resolve(path: string): string | null {
    if (!path.startsWith(`${this.root}/`)) return null
    const pending = path
      .slice(this.root.length + 1)
      .split('/')
      .reverse()
    let at: string[] = []
    let links = 0
    for (let part = pending.pop(); part !== undefined; part = pending.pop()) {
      if (part === '' || part === '.') continue
      if (part === '..') {
        // As the kernel: `..` of what is not there leads nowhere.
        const here = at.join('/')
        if (at.length === 0 || !(this.#directories.has(here) || this.#tree.names.has(here))) return null
        at.pop()
        continue
      }
      at.push(part)
      const target = this.#tree.links.get(at.join('/'))
      if (target === undefined) continue
      if (++links > LINKS_MAX) return null
      if (target.startsWith('/')) {
        if (!target.startsWith(`${this.root}/`)) return null
        at = []
        pending.push(
          ...target
            .slice(this.root.length + 1)
            .split('/')
            .reverse(),
        )
      } else {
        at.pop()
        pending.push(...target.split('/').reverse())
      }
    }
    const name = at.join('/')
    return this.#tree.names.has(name) || this.#directories.has(name) ? name : null
  }
}

export interface Closure {
  readonly findings: readonly Finding[]
  /** What each program loads, by its ELF file's bundle path. */
  readonly linkMaps: ReadonlyMap<BundlePath, LinkMap>
}

/**
 * What does not resolve inside a bundle.
 * @param prefix the place that the bundle is made for; null when it is relocatable
 */
export function checkClosure(tree: BundleTree, programs: readonly BundledProgram[], prefix: string | null): Closure {
  const disk = new BundleDisk(tree, prefix ?? ANYWHERE)
  const findings: Finding[] = []
  const linkMaps = new Map<BundlePath, LinkMap>()
  const processes: Process[] = []
  for (const { elf, loader, missing } of programs) {
    const program = disk.open(`${disk.root}/${elf}`)
    const ld = disk.open(`${disk.root}/${loader}`)
    if (!program || !ld || !sameMachine(program.facts, ld.facts)) {
      findings.push({ code: 'interp-unresolved', severity: 'error', file: elf, interp: loader })
      continue
    }
    const interp = program.facts.interp?.value ?? ''
    if (prefix !== null && disk.open(interp)?.path !== ld.path)
      findings.push({ code: 'interp-unresolved', severity: 'error', file: elf, interp })
    const { stub } = program.facts
    if (stub !== null && disk.open(`${disk.root}/${elf}${'/..'.repeat(stub.up + 1)}/${stub.path}`)?.path !== ld.path)
      findings.push({ code: 'interp-unresolved', severity: 'error', file: elf, interp: stub.path })
    const sidecar = sidecarPath(entryCpu(program.facts)?.name ?? program.facts.arch)
    if (program.facts.bootstrap !== null && !tree.names.has(sidecar))
      findings.push({ code: 'interp-unresolved', severity: 'error', file: elf, interp: sidecar })
    const process = new Process(program, ld, NOTHING, disk)
    processes.push(process)
    linkMaps.set(elf, relative(process.linkMap, disk.root))
    for (const { name, by } of process.missing) {
      const severity = missing.includes(name) ? 'warning' : 'error'
      findings.push(unresolved(disk, { name, by }, severity, elf))
    }
  }
  findings.push(
    ...unlistedPrograms(tree, programs),
    ...plugins(tree, programs, disk, processes),
    ...checkImages(tree.images, disk.images, disk.root),
    ...checkLinks(tree, disk),
  )
  return { findings, linkMaps }
}

/**
 * What does not resolve inside a tree that is no bundle, taken for a root directory: the interpreter and the libraries
 * of each program, the libraries of each library, each link.
 * @param directories where loaders look first, besides their own
 */
export function checkTree(tree: RootTree, directories: readonly string[] = []): Closure {
  const disk = new BundleDisk(tree, '')
  const findings: Finding[] = []
  const processes: Process[] = []
  const libraries: Opened[] = []
  const loaders = [...tree.loading].flatMap(([file, { kind }]) =>
    kind === 'loader' ? (disk.open(`/${file}`) ?? []) : [],
  )
  /** Of a program with its loader; of a library with one of the tree that could load it. */
  const settings = (facts: ElfFacts, ld: Opened | null): LoaderSettings => {
    const own = ld ?? loaders.find(loader => sameMachine(loader.facts, facts)) ?? null
    const named = facts.interp?.value ?? own?.path ?? ''
    const known = own && settingsIn(tree.loading, own.path.slice(1), named, path => disk.resolve(path))
    return known ? { ...known, directories: [...directories, ...known.directories] } : asRoot(facts, directories)
  }
  for (const [file, facts] of tree.elf) {
    const object = { path: `/${file}` as SourcePath, facts }
    if (facts.interp === null || !facts.program) {
      if (facts.type === ET.dyn && facts.needed.length > 0) libraries.push(object)
      continue
    }
    const ld = disk.open(facts.interp.value)
    if (ld === null || !sameMachine(facts, ld.facts))
      findings.push({
        code: 'interp-unresolved',
        severity: 'error',
        file: file as BundlePath,
        interp: facts.interp.value,
      })
    const process = new Process(object, ld ?? noLoader(facts), settings(facts, ld), disk)
    processes.push(process)
    for (const missing of process.missing) findings.push(unresolved(disk, missing, 'error', file))
  }
  // A library that a program loads was looked at with it.
  for (const library of libraries.filter(({ path }) => !processes.some(p => p.has(path))))
    for (const missing of new Process(library, noLoader(library.facts), settings(library.facts, null), disk).missing)
      if (!processes.some(p => p.loaded(missing.name) !== undefined))
        findings.push(unresolved(disk, missing, 'error', null))
  const told = new Set<string>()
  const once = [...findings, ...checkImages(tree.images, disk.images, ''), ...checkLinks(tree, disk)].filter(
    finding => {
      const key = JSON.stringify([finding.code, finding.file, 'name' in finding ? finding.name : ''])
      return !told.has(key) && told.add(key)
    },
  )
  return { findings: once, linkMaps: new Map() }
}

/** Stands where there is no loader in the tree: it serves nothing. */
const noLoader = (facts: ElfFacts): Opened => ({
  path: ANYWHERE as SourcePath,
  facts: { ...facts, soname: null, needed: [] },
})

function asRoot({ arch }: ElfFacts, first: readonly string[]): LoaderSettings {
  const triple = MULTIARCH[arch] ?? `${arch}-linux-gnu`
  return { ...NOTHING, directories: [...first, `/lib/${triple}`, `/usr/lib/${triple}`, ...AS_ROOT] }
}

/** A library that is not found, with the versions that are asked of it: they say which host it would take. */
function unresolved(
  disk: BundleDisk,
  { name, by }: Missing,
  severity: 'error' | 'warning' | 'note',
  program: string | null,
): Finding {
  const versions = disk.open(by)?.facts.verneed.find(v => v.file === name)?.versions ?? []
  return { code: 'needed-unresolved', severity, file: inBundle(by, disk.root), name, versions, program }
}

/** Programs that nothing starts: their interpreter is not in the bundle. */
function unlistedPrograms(tree: BundleTree, programs: readonly BundledProgram[]): Finding[] {
  const listed = new Set<string>(programs.map(p => p.elf))
  return [...tree.elf].flatMap(([file, facts]): Finding[] =>
    facts.program && facts.interp && !listed.has(file)
      ? [{ code: 'interp-unresolved', severity: 'warning', file, interp: facts.interp.value }]
      : [],
  )
}

/**
 * Objects that no program loads by itself, such as plugins: each is looked at alone, and where that is not enough as
 * opened by a program, whose RPATH it inherits. It may rely on whatever a program has loaded.
 */
function plugins(
  tree: BundleTree,
  programs: readonly BundledProgram[],
  disk: BundleDisk,
  processes: readonly Process[],
): Finding[] {
  // One library may lack another for several plugins; it is told once.
  const findings = new Map<string, Finding>()
  const inPackage = new Set([...tree.elf.keys()].map(file => `${packageOf(file)}\0${baseName(file)}`))
  const starts = programs.flatMap(({ elf, loader }) => {
    const [program, ld] = [disk.open(`${disk.root}/${elf}`), disk.open(`${disk.root}/${loader}`)]
    return program && ld ? [{ program, ld }] : []
  })
  for (const [file, facts] of tree.elf) {
    const path = `${disk.root}/${file}` as SourcePath
    const hosts = starts.filter(({ ld }) => ld.path !== path && sameMachine(ld.facts, facts))
    if (facts.type !== ET.dyn || facts.program || processes.some(p => p.has(path))) continue
    const ld = hosts[0]?.ld
    if (!ld) continue
    const missing = new Process({ path, facts }, ld, NOTHING, disk).missing.filter(
      ({ name }) => !processes.some(p => p.loaded(name) !== undefined),
    )
    if (missing.length === 0 || hosts.some(host => opens(host.program, host.ld, path, disk))) continue
    for (const one of missing) {
      // Whoever opens a plugin has opened the library of its package that it needs: a Java VM libjvm.so, by its path.
      const severity = inPackage.has(`${packageOf(inBundle(one.by, disk.root))}\0${one.name}`) ? 'note' : 'warning'
      findings.set(`${one.by}\0${one.name}`, unresolved(disk, one, severity, null))
    }
  }
  return [...findings.values()]
}

/** The directory of the package that a file of a bundle belongs to; of what lies in lib/ that. */
const packageOf = (file: string): string => /^pkg\/[^/]+|^[^/]*/.exec(file)![0]

/** Whether a program can open an object with all that it needs. */
function opens(program: Opened, ld: Opened, path: string, disk: Disk): boolean {
  const process = new Process(program, ld, NOTHING, disk)
  const before = process.missing.length
  return process.dlopen(path, program.path) !== null && process.missing.length === before
}

function checkLinks(tree: BundleTree, disk: BundleDisk): Finding[] {
  return [...tree.links].flatMap(([file, target]): Finding[] => {
    if (disk.resolve(`${disk.root}/${file}`) !== null) return []
    return [{ code: leadsOut(file, target, disk) ? 'link-escapes' : 'link-dangling', severity: 'error', file, target }]
  })
}

/** Whether a link's own text climbs out of the bundle or is absolute to another place. */
function leadsOut(file: string, target: string, disk: BundleDisk): boolean {
  if (target.startsWith('/')) return storePathOf(target) !== null || !target.startsWith(`${disk.root}/`)
  let depth = file.split('/').length - 1
  for (const part of target.split('/')) {
    if (part === '..') depth--
    else if (part !== '' && part !== '.') depth++
    if (depth < 0) return true
  }
  return false
}

const inBundle = (path: string, root: string): BundlePath => path.slice(root.length + 1) as BundlePath

const relative = (map: LinkMap, root: string): LinkMap => ({
  program: map.program.slice(root.length + 1) as SourcePath,
  loader: map.loader.slice(root.length + 1) as SourcePath,
  objects: map.objects.map(o => ({
    ...o,
    path: o.path.slice(root.length + 1) as SourcePath,
    by: o.by && (o.by.slice(root.length + 1) as SourcePath),
  })),
})
