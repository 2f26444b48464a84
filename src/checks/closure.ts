/**
 * Everything resolves inside: each program's loader and each needed library, by the loader's own search over the
 * bundle's files alone; and each link.
 */

import { ET } from '../elf/constants.ts'
import { type Disk, type LoaderSettings, type Opened, Process, sameMachine } from '../elf/search.ts'
import type { BundlePath, ElfFacts, Finding, LinkMap, SourcePath } from '../model.ts'
import { storePathOf } from '../nix/store-path.ts'

/** A bundle's files as the checks see them. Names are bundle paths. */
export interface BundleTree {
  readonly names: ReadonlySet<string>
  readonly links: ReadonlyMap<string, string>
  readonly elf: ReadonlyMap<string, ElfFacts>
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

/**
 * What does not resolve inside, and what each program loads, by its ELF file's bundle path.
 * @param prefix the place that the bundle is made for; null when it is relocatable
 */
export function checkClosure(
  tree: BundleTree,
  programs: readonly BundledProgram[],
  prefix: string | null,
): { findings: Finding[]; linkMaps: Map<BundlePath, LinkMap> } {
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
    const process = new Process(program, ld, NOTHING, disk)
    processes.push(process)
    linkMaps.set(elf, relative(process.linkMap, disk.root))
    for (const { name, by } of process.missing) {
      const severity = missing.includes(name) ? 'warning' : 'error'
      findings.push({ code: 'needed-unresolved', severity, file: inBundle(by, disk.root), name, program: elf })
    }
  }
  findings.push(
    ...unlistedPrograms(tree, programs),
    ...plugins(tree, programs, disk, processes),
    ...checkLinks(tree, disk),
  )
  return { findings, linkMaps }
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
  const findings: Finding[] = []
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
    for (const { name, by } of missing)
      findings.push({
        code: 'needed-unresolved',
        severity: 'warning',
        file: inBundle(by, disk.root),
        name,
        program: null,
      })
  }
  return findings
}

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
