/**
 * What a bundle holds so far, and the ways in: a file with what it is, a link with what it leads to, a tree, a package.
 * Everything comes in once, and waits in the queue until the scan follows what it names.
 */

import { forFiles } from '../io/flags.ts'
import { lstat, readLink, realPath, stat } from '../io/store.ts'
import type { Finding } from '../model/findings.ts'
import type { FileNode, LinkNode } from '../model/graph.ts'
import { storePathOf } from '../nix/store-path.ts'
import type { SourcePath } from '../paths.ts'
import { leftOut } from '../references/follow.ts'
import type { Edges, Found } from './edges.ts'
import type { Files } from './files.ts'
import { linksOnTheWay } from './lookup.ts'
import type { Sources } from './sources.ts'
import { walkTree } from './tree.ts'

/** What decides how much of a tree comes along. */
export interface Bounds {
  data: 'auto' | 'none' | 'all'
  /** Whether `--exclude` names a path. */
  excluded(path: string): boolean
}

export class Holdings {
  readonly files = new Map<SourcePath, FileNode>()
  readonly links = new Map<SourcePath, LinkNode>()
  /** Directories that hold nothing, and come as they are. */
  readonly empty = new Set<SourcePath>()
  /** Packages whose own tree comes along. */
  readonly trees: Set<SourcePath>
  readonly findings: Finding[] = []
  readonly #queue: FileNode[] = []
  #taken = 0
  /** Directories that were brought because they are named. */
  readonly #brought = new Set<SourcePath>()
  /** What is run, or named as a whole, of packages whose tree does not come along. */
  readonly #alone = new Set<SourcePath>()
  /** Links of which all that they lead to was added, and those that lead nowhere. */
  readonly #linked = new Set<SourcePath>()
  readonly #leftLinks = new Set<SourcePath>()
  readonly #sources: Sources
  readonly #reader: Files
  readonly #edges: Edges
  readonly #bounds: Bounds

  /** @param trees packages of which it is known beforehand that all of them comes along */
  constructor(sources: Sources, reader: Files, edges: Edges, bounds: Bounds, trees: Iterable<SourcePath>) {
    this.#sources = sources
    this.#reader = reader
    this.#edges = edges
    this.#bounds = bounds
    this.trees = new Set(trees)
  }

  /** All that came. It only grows, so an equal size means that nothing did. */
  get size(): number {
    return this.files.size + this.links.size + this.empty.size
  }

  /** The next file of which nobody has looked yet what it names. */
  next(): FileNode | undefined {
    return this.#taken < this.#queue.length ? this.#queue[this.#taken++] : undefined
  }

  /** Notes that a file is started, or named as a whole, and may look for things beside itself. */
  standsAlone(path: SourcePath): void {
    this.#alone.add(path)
  }

  /** What came to stand alone since this was asked last. */
  takeAlone(): SourcePath[] {
    const alone = [...this.#alone]
    this.#alone.clear()
    return alone
  }

  /** Adds what a path names: a link with what is at its end, or a file. */
  add(path: SourcePath, isNamed = false): void {
    if (lstat(path)?.type === 'link') this.addLink(path, isNamed)
    else this.addFile(realPath(path), isNamed)
  }

  /** Adds what a path names, and the links that it goes through: they are names that the program uses. */
  addNamed(path: string, isNamed = true): void {
    this.addWay(path)
    this.add(inRealDirectory(path), isNamed)
  }

  /** Adds the links that a path goes through before its last component, without what else lies behind them. */
  addWay(path: string): void {
    for (const link of linksOnTheWay(path)) if (storePathOf(link) !== null) this.#addLinkAlone(link)
  }

  /** Adds a file; one that is in already may come to be named, which lets it name more (references/follow.ts). */
  addFile(path: SourcePath, isNamed = false): FileNode {
    const known = this.files.get(path)
    if (known) {
      if (isNamed && this.#reader.becomesNamed(known)) this.#queue.push(known)
      return known
    }
    const node = this.#reader.read(path, isNamed)
    this.files.set(path, node)
    forFiles(this.files.size)
    this.#queue.push(node)
    return node
  }

  /** Adds a link with what it leads to. */
  addLink(path: SourcePath, isNamed = false): void {
    const link = this.#addLinkAlone(path)
    if (link === null || this.#linked.has(path)) return
    this.#linked.add(path)
    const { target, directory } = link
    const owner = storePathOf(target)?.root as SourcePath | undefined
    if (owner !== undefined && owner !== target && this.trees.has(owner)) return // the tree brings it
    if (directory) this.addTree(target, undefined, isNamed)
    else if (stat(target)?.type === 'file' && !this.#bounds.excluded(target)) this.addFile(target, isNamed)
  }

  /** Adds a link, and nothing of what it leads to; null for one that leads nowhere that a bundle has. */
  #addLinkAlone(path: SourcePath): LinkNode | null {
    const known = this.links.get(path)
    if (known || this.#leftLinks.has(path)) return known ?? null
    const text = readLink(path)
    const status = stat(path)
    const target = status === null ? null : realPath(path)
    if (target === null || (storePathOf(path) !== null && storePathOf(target) === null)) {
      const code = target === null ? 'link-broken' : 'link-outside'
      this.findings.push({ code, severity: 'warning', file: path, target: target ?? text })
      this.#leftLinks.add(path)
      return null
    }
    const link: LinkNode = { path, target, text, directory: status?.type === 'directory' }
    this.links.set(path, link)
    this.#edges.add({ from: path, kind: 'link', name: text, to: target, via: null })
    return link
  }

  /** Adds what lies below a directory of a package. */
  addTree(root: SourcePath, only?: RegExp, isNamed = false): void {
    const { data } = this.#bounds
    const packageRoot = storePathOf(root)?.root ?? root
    // What stays out of a package's tree comes along where it is asked for by its own name.
    const all = data === 'all' || leftOut(root.slice(packageRoot.length + 1)) !== null
    const wanted = (path: string): boolean =>
      !this.#bounds.excluded(path) && (all || leftOut(path.slice(packageRoot.length + 1)) === null)
    for (const { path, type } of walkTree(root, wanted)) {
      if (only && !only.test(path.slice(root.length + 1))) continue
      if (type === 'special') this.findings.push({ code: 'special-file', severity: 'warning', file: path })
      else if (type === 'link') this.addLink(path, isNamed)
      else if (type === 'directory') this.#addEmpty(path)
      else if (data !== 'none' || this.#sources.facts(path).format !== 'data') this.addFile(path, isNamed)
      else continue
      if (type === 'file' || this.links.has(path)) this.#edges.addMember(root, path)
    }
  }

  #addEmpty(path: SourcePath): void {
    if (this.#bounds.data !== 'none') this.empty.add(path)
  }

  /** Adds a file, a directory with all below it, or a whole package. */
  bring(target: SourcePath): void {
    if (stat(target)?.type !== 'directory') {
      this.addNamed(target)
      this.standsAlone(realPath(target))
      return
    }
    if (this.#brought.has(target) || this.trees.has(target)) return
    this.#brought.add(target)
    const isRoot = storePathOf(target)?.root === target
    if (isRoot) this.trees.add(target)
    this.addWay(target)
    const path = inRealDirectory(target)
    if (lstat(path)?.type === 'link') this.addLink(path, !isRoot)
    this.addTree(realPath(target), undefined, !isRoot)
  }

  /** The links that came because a path goes through them, or names one. What it leads to has an edge of its own. */
  throughLinks(path: string, edge: Omit<Found, 'kind' | 'to'>): void {
    for (const link of [...linksOnTheWay(path), inRealDirectory(path)])
      if (this.links.has(link)) this.#edges.add({ ...edge, kind: 'reference', to: link })
  }
}

/** A path whose directory is free of links; its last component may be one. */
export const inRealDirectory = (path: string): SourcePath =>
  (realPath(path.slice(0, path.lastIndexOf('/'))) + path.slice(path.lastIndexOf('/'))) as SourcePath
