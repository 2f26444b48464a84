/** The links of a bundle: those of its packages, the names of its programs, and what a profile has beside them. Pure. */
import type { DependencyGraph, LinkNode, Package } from '../model/graph.ts'
import { type BundlePath, baseName, directoryOf, type SourcePath } from '../paths.ts'
import { finder, type Layout, relativeLink } from './layout.ts'
import { profileLinks } from './profile.ts'
import type { Steps } from './steps.ts'
import type { Texts } from './texts.ts'

export class Links {
  readonly #graph: DependencyGraph
  readonly #layout: Layout
  readonly #steps: Steps
  readonly #texts: Texts
  readonly #packageOf: (path: string) => Package

  constructor(graph: DependencyGraph, layout: Layout, steps: Steps, texts: Texts) {
    this.#graph = graph
    this.#layout = layout
    this.#steps = steps
    this.#texts = texts
    this.#packageOf = finder(graph.packages)
  }

  /** Those of packages. What one leads to may be a directory of links alone: so it goes on until no more lead somewhere. */
  ofPackages(): void {
    let left = [...this.#graph.links.values()]
    for (let before = left.length + 1; left.length < before; ) {
      before = left.length
      left = left.filter(link => !this.#planLink(link))
    }
  }

  /** Returns whether it is done. What a link led to may stay out (documentation, headers): so does the link. */
  #planLink(link: LinkNode): boolean {
    const at = this.#layout.placed.get(link.path)!
    if (this.#steps.has(at)) return true
    const to = link.directory ? this.#directoryAt(link.target) : this.#layout.placed.get(link.target)
    if (to === undefined || !this.#steps.isPlanned(to)) return false
    if (this.#texts.link(link, at)) return true
    this.#steps.symlink(at, this.#keptText(link, at, to) ?? relativeLink(at, to))
    return true
  }

  /** A relative link to a neighbour in the same tree is kept as it stands, so that chains of names stay chains. */
  #keptText(link: LinkNode, at: BundlePath, to: BundlePath): string | null {
    if (link.text.includes('/')) return null
    const neighbour = `${directoryOf(link.path)}/${link.text}` as SourcePath
    const beside = `${directoryOf(at)}/${link.text}`
    return this.#layout.placed.get(neighbour) === beside && (this.#graph.links.has(neighbour) || to === beside)
      ? link.text
      : null
  }

  #directoryAt(path: SourcePath): BundlePath {
    const { root } = this.#packageOf(path)
    return (this.#layout.directories.get(root)! + path.slice(root.length)) as BundlePath
  }

  /** Beside a script's text the names of its neighbours lead to these. */
  #linkSiblings(): void {
    for (const [directory, texts] of this.#texts.shadows) {
      if (directory === 'pkg') continue
      const names = new Set<string>()
      for (const at of this.#steps.places())
        if (at.startsWith(`${directory}/`)) names.add(at.slice(directory.length + 1).split('/')[0]!)
      for (const name of names) {
        const at = `${texts}/${name}` as BundlePath
        if (!this.#steps.isPlanned(at)) this.#steps.symlink(at, relativeLink(at, `${directory}/${name}` as BundlePath))
      }
    }
  }

  /** Other names of what is planned: aliases, programs in bin/, neighbours of scripts' texts. */
  ofPrograms(): void {
    for (const [at, to] of this.#layout.aliases) this.#steps.symlink(at, relativeLink(at, to))
    for (const { at, source } of this.#graph.entries) {
      const to = this.#layout.placed.get(source)
      if (to !== undefined && this.#steps.has(to) && to !== at) this.#steps.symlink(at, relativeLink(at, to))
    }
    this.#linkSiblings()
  }

  /** In the bundle's root, where names are free: so this comes last. */
  ofProfile(): void {
    const own = this.#graph.asked.flatMap(({ kind, to }) => (kind === 'target' ? [this.#directoryAt(to)] : []))
    for (const [at, to] of profileLinks(this.#steps, own)) this.#steps.symlink(at, relativeLink(at, to))
    // With `--data all`: what names the machine's directories finds them where the bundle is the root directory.
    for (const { root, hash } of this.#graph.packages)
      if (hash === null && /^\/(?:usr|etc)$/.test(root) && this.#steps.isPlanned(this.#directoryAt(root)))
        this.#steps.symlink(baseName(root) as BundlePath, this.#directoryAt(root))
  }
}
