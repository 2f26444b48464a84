/**
 * The steps of a plan while it is made: each place once, and what lies on the way to it. Pure.
 */
import { posix } from 'node:path'
import type { BundlePlan, Step } from '../model/plan.ts'
import { type BundlePath, directoryOf, type SourcePath } from '../paths.ts'

/** As many as Linux follows in one path (path_resolution(7)). */
const LINKS_MAX = 40

export class Steps {
  readonly #steps = new Map<BundlePath, Step>()
  /** Directories that something lies in. */
  readonly #inUse = new Set<string>()
  /** Directories that are there whatever lies in them. */
  readonly #directories = new Set<BundlePath>()

  /** Whether something lies exactly there. */
  has(at: BundlePath): boolean {
    return this.#steps.has(at)
  }

  /** Of files and links, and of the directories that hold none. */
  places(): Iterable<BundlePath> {
    return [...this.#steps.keys(), ...this.empty()]
  }

  /** By place. */
  sorted(): Step[] {
    return [...this.#steps.values()].sort((a, b) => (a.at < b.at ? -1 : 1))
  }

  add(step: Step): void {
    if (this.#steps.has(step.at)) throw new Error(`two files for ${step.at}`)
    this.#steps.set(step.at, step)
    this.#use(directoryOf(step.at))
  }

  /** A directory, which may stay empty. */
  addDirectory(at: BundlePath): void {
    this.#directories.add(at)
    this.#use(directoryOf(at))
  }

  /** The directories that nothing lies in, by place. */
  empty(): BundlePath[] {
    return [...this.#directories].filter(at => !this.#steps.has(at) && !this.#inUse.has(at)).sort()
  }

  #use(directory: string): void {
    for (let at = directory; at !== '' && !this.#inUse.has(at); at = directoryOf(at)) this.#inUse.add(at)
  }

  /** A link, unless something is there. */
  symlink(at: BundlePath, to: string): void {
    if (!this.#steps.has(at)) this.add({ do: 'symlink', at, to })
  }

  /** Whether something lies at a bundle path, or below it; a directory may be empty. */
  isPlanned(at: BundlePath): boolean {
    return this.#steps.has(at) || this.#inUse.has(at) || this.#directories.has(at)
  }

  /** Whether a program, a launcher, or a link that leads to one lies there. */
  isProgram(at: BundlePath): boolean {
    let step = this.#steps.get(at)
    for (let links = 0; step?.do === 'symlink' && links < LINKS_MAX; links++)
      step = this.#steps.get(posix.join(directoryOf(step.at), step.to) as BundlePath)
    return step !== undefined && (step.do === 'symlink' || step.executable)
  }

  /** A place with the links on its way followed; null where a file is in the way, or links lead in a circle. */
  throughLinks(path: string): BundlePath | null {
    return throughLinks(path, at => {
      const step = this.#steps.get(at)
      return step && (step.do === 'symlink' ? step.to : null)
    })
  }
}

/**
 * A place with the links on its way followed; null where a file is in the way, or links lead in a circle.
 * @param linkAt where the link at a place leads, null for a file there, undefined for nothing
 */
export function throughLinks(path: string, linkAt: (at: BundlePath) => string | null | undefined): BundlePath | null {
  const parts = path.split('/')
  for (let i = 1, links = 0; i < parts.length; i++) {
    const at = parts.slice(0, i).join('/') as BundlePath
    const to = linkAt(at)
    if (to === undefined) continue
    if (to === null || ++links > LINKS_MAX) return null
    parts.splice(0, i, ...posix.join(directoryOf(at), to).split('/'))
    i = 0
  }
  return parts.join('/') as BundlePath
}

/** The input that the file at a place is made of, links followed; null for what is made otherwise. */
export function inputOf({ steps }: BundlePlan, place: BundlePath): SourcePath | null {
  const byPlace = new Map(steps.map(step => [step.at, step]))
  let step = byPlace.get(place)
  for (let links = 0; step?.do === 'symlink' && links < LINKS_MAX; links++)
    step = byPlace.get(posix.join(directoryOf(step.at), step.to) as BundlePath)
  return step?.do === 'copy' ? step.from : null
}

/** What a plan would write, in its order. Sizes lack what editing adds: apply/rehearsal.ts has them whole. */
export function planFiles({
  steps,
}: BundlePlan): { at: BundlePath; type: 'file' | 'link'; size: number; from: SourcePath | null }[] {
  return steps.map(step => {
    const { at } = step
    if (step.do === 'symlink') return { at, type: 'link', size: step.to.length, from: null }
    if (step.do === 'write') return { at, type: 'file', size: step.bytes.length, from: null }
    const growth = step.edits.reduce((sum, e) => sum + (e.op === 'splice' ? e.to.length - e.length : 0), 0)
    return { at, type: 'file', size: step.size + growth, from: step.from }
  })
}
