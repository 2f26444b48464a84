/**
 * What the user asked for: targets, entries, a closure, what a program was seen to open, `--include`, `--with` and
 * `--licenses`. Each comes in with a note of who asked.
 */

import { isElf, parseElf } from '../elf/parse.ts'
import { realPath, stat, withFile } from '../io/store.ts'
import { holdsMachO, parseMachO } from '../macho/parse.ts'
import type { Finding } from '../model/findings.ts'
import type { Asked, Brought, Extra, Package, ScanOptions } from '../model/graph.ts'
import type { Entry, PackageRoot, Traced } from '../model/target.ts'
import { directoryOf, type SourcePath } from '../paths.ts'
import type { Edges } from './edges.ts'
import { licences, provide } from './extras.ts'
import type { Files } from './files.ts'
import { type Holdings, inRealDirectory } from './holdings.ts'
import { included } from './included.ts'
import { linksOnTheWay } from './lookup.ts'
import { packagesOf } from './packages.ts'
import { type Sources, storePaths } from './sources.ts'
import type { Verdicts } from './verdicts.ts'

/** The bits of a file's mode by which a program runs with the rights of its owner or group. */
const SET_ID = 0o6000

/** What the scan has, for those who ask. */
export interface Scanned {
  readonly sources: Sources
  readonly reader: Files
  readonly held: Holdings
  readonly edges: Edges
  readonly verdicts: Verdicts
  /** Whether `--exclude` names a path. */
  readonly excluded: (path: string) => boolean
}

export class Asking {
  readonly #roots: readonly PackageRoot[]
  readonly #options: ScanOptions
  readonly #sources: Sources
  readonly #reader: Files
  readonly #held: Holdings
  readonly #edges: Edges
  readonly #verdicts: Verdicts
  readonly #excluded: (path: string) => boolean
  readonly extras: Extra[] = []
  readonly findings: Finding[] = []
  #included = false

  constructor(roots: readonly PackageRoot[], options: ScanOptions, scanned: Scanned) {
    this.#roots = roots
    this.#options = options
    this.#sources = scanned.sources
    this.#reader = scanned.reader
    this.#held = scanned.held
    this.#edges = scanned.edges
    this.#verdicts = scanned.verdicts
    this.#excluded = scanned.excluded
  }

  /** Adds a target's own package, all of it. */
  addTarget({ root, name }: PackageRoot): void {
    this.#edges.ask({ kind: 'target', name, to: root })
    this.#held.addTree(root)
  }

  addEntry(entry: Entry): void {
    const path = realPath(entry.source)
    this.#addAsked('entry', entry.at, entry.source)
    const node = this.#held.addFile(path)
    // A store has none of these, a machine has.
    if (((stat(path)?.mode ?? 0) & SET_ID) !== 0)
      this.findings.push({ code: 'set-id-dropped', severity: 'warning', file: path })
    // What is typed has to run: here a damaged file is an error, in a tree it is data with a finding.
    if (node.facts.format === 'data')
      withFile(path, source => {
        if (isElf(source.read(0, 4))) parseElf(source, path)
        else if (holdsMachO(source)) parseMachO(source, path)
      })
  }

  /** Adds a store path of the closure, if it is on this machine. */
  addPackage(root: SourcePath): void {
    if (stat(root) === null) return
    this.#edges.ask({ kind: 'closure', name: '--closure', to: root })
    this.#held.bring(root)
  }

  /** Adds what the machine's package manager says belongs to its programs. @param files of dpkg.ts, `dpkgBrings` */
  addMachine(files: readonly SourcePath[]): void {
    for (const file of files) {
      if (this.#excluded(file) || this.#excluded(realPath(file))) continue
      this.#edges.ask({ kind: 'closure', name: '--data all', to: file })
      this.#held.add(file)
    }
  }

  /** Adds what a program was seen to open. */
  addTraced({ file, program }: Traced): void {
    if (this.#excluded(file)) return
    const to = realPath(file)
    // A program that is no part of the bundle opens things too.
    this.#held.addWay(file)
    for (const link of linksOnTheWay(file)) this.#edges.ask({ kind: 'trace', name: file, to: link })
    this.#addAsked('trace', file, inRealDirectory(file))
    const facts = this.#sources.facts(to)
    // A program that is gone by now, such as one that a test has made, opened what it opened.
    const from = program === null || stat(program) === null ? to : realPath(program)
    // What a loader finds by its soname lies in lib/; all else where its path says.
    const bySoname =
      facts.format === 'elf' && !facts.program && facts.soname !== null && /\/lib(?:64|32)?$/.test(directoryOf(file))
    if (bySoname) this.#edges.add({ from, kind: 'dlopen', name: facts.soname!.value, to, via: 'trace' })
    else this.#edges.add({ from, kind: 'trace', name: file, to, via: 'trace' })
  }

  /** Adds what was asked for by kind, once it is known what the bundle holds. */
  addExtras(): void {
    const add = (
      kind: 'licence' | 'with',
      option: string,
      { brought, findings }: { brought: readonly Brought[]; findings: readonly Finding[] },
    ): void => {
      this.findings.push(...findings)
      for (const b of brought) {
        this.extras.push({ ...b, node: b.link === null ? this.#reader.read(b.from, false) : null })
        this.#edges.ask({ kind, name: option, to: b.from })
      }
    }
    if (this.#options.licenses) add('licence', '--licenses', licences(this.packages()))
    for (const kind of this.#options.with)
      add(
        'with',
        `--with ${kind}`,
        provide(
          kind,
          [...this.packages().map(p => p.root), ...storePaths()],
          [...this.#held.files.values()].flatMap(({ references }) => references),
        ),
      )
  }

  /** Brings what `--include` names of the packages that the bundle's files refer to; false when nothing came of it. */
  addIncluded(): boolean {
    if (this.#included) return false
    this.#included = true
    const before = this.#held.size
    const roots = new Set<SourcePath>(this.#roots.map(({ root }) => root))
    for (const { references } of this.#held.files.values())
      for (const reference of references) {
        const root = this.#verdicts.packageOf(reference)
        if (root !== null) roots.add(root as SourcePath)
      }
    for (const glob of this.#options.include) {
      const paths = included(glob, roots)
      for (const path of paths) this.#addAsked('include', `--include ${glob}`, path)
      if (paths.length === 0) this.findings.push({ code: 'include-nothing', severity: 'warning', file: glob, glob })
    }
    return this.#held.size > before
  }

  /** The packages that files, links and empty directories of the bundle lie in. */
  packages(): Package[] {
    const places = this.extras.flatMap(e => (e.package === null ? [] : [e.package]))
    return packagesOf(
      this.#roots,
      [...this.#held.files.keys(), ...this.#held.links.keys(), ...this.#held.empty, ...places],
      this.#held.trees,
    )
  }

  /** Adds what was asked for by name: the file, and the link that is its name. */
  #addAsked(kind: Asked['kind'], name: string, path: SourcePath): void {
    this.#held.add(path)
    for (const to of new Set([path, realPath(path)])) this.#edges.ask({ kind, name, to })
  }
}
