/**
 * What lies beside bin/ in a profile lies beside it in the bundle, and so does what lies beside programs in bin/ and is
 * none: links in the root to what the targets' own trees hold.
 * A program that goes on from the path it was started by (`${0%/*}/../share`, dirname(argv[0])) finds its files there, and
 * people find units, completions and .desktop files. Several targets merge as in a profile (buildEnv): a directory that
 * one of them has is a link, one that several have a directory of links. Pure.
 */
import type { BundlePath } from '../paths.ts'
import { baseName, directoryOf } from '../paths.ts'

/** Programs have links of their own, which `--program` chooses; the rest of the names is the bundle's. */
const TAKEN = /^(?:s?bin|pkg|p|bundle\.json|\..*)$/
const PROGRAMS = /^s?bin$/
/** In lib/ the loader would find what it has not found before. */
const LIBRARY = /^lib\/[^/]+\.(?:so(?:\..*)?|dylib|a)$/

/** What is in a bundle so far (steps.ts). */
interface Places {
  /** Whether something lies exactly there. */
  has(at: BundlePath): boolean
  /** Whether something lies there or below it. */
  isPlanned(at: BundlePath): boolean
  /** Whether something can be started there. */
  isProgram(at: BundlePath): boolean
  places(): Iterable<BundlePath>
}

/**
 * The links that a bundle's root needs, with what they lead to.
 * @param trees of the targets, the first one first
 */
export function profileLinks(steps: Places, trees: readonly BundlePath[]): [at: BundlePath, to: BundlePath][] {
  const names = childNames(steps.places())
  const links: [BundlePath, BundlePath][] = []
  const merge = (at: BundlePath, all: readonly BundlePath[]): void => {
    if (LIBRARY.test(at)) return
    // Of several an empty directory has nothing to give.
    const full = all.filter(place => steps.has(place) || names.has(place))
    const sources = full.length > 0 ? full : all
    const isDirectory = (place: BundlePath): boolean => names.has(place)
    const [first] = sources
    const free = !steps.isPlanned(at)
    if (free && first !== undefined && at !== 'lib' && (sources.length === 1 || !isDirectory(first))) {
      links.push([at, first])
      return
    }
    // A file in the way stays.
    if (!steps.has(at)) mergeInto(at, sources.filter(isDirectory))
  }
  const mergeInto = (at: BundlePath | '', sources: readonly BundlePath[]): void => {
    for (const name of [...new Set(sources.flatMap(source => [...(names.get(source) ?? [])]))].sort()) {
      const place = (at === '' ? name : `${at}/${name}`) as BundlePath
      const those = sources.filter(s => names.get(s)?.has(name)).map(source => `${source}/${name}` as BundlePath)
      if (at === '' && PROGRAMS.test(name)) mergeInto(place, those)
      else if (PROGRAMS.test(at) ? isForPrograms(name, those) : at !== '' || !TAKEN.test(name)) merge(place, those)
    }
  }
  // What a launcher stands for is hidden.
  const isForPrograms = (name: string, those: readonly BundlePath[]): boolean =>
    !name.startsWith('.') && !those.some(place => steps.isProgram(place))
  mergeInto('', [...new Set(trees)])
  return links
}

/** The names in each directory. */
function childNames(places: Iterable<BundlePath>): ReadonlyMap<string, ReadonlySet<string>> {
  const names = new Map<string, Set<string>>()
  for (const place of places)
    for (let at: string = place; at !== ''; at = directoryOf(at)) {
      const known = names.get(directoryOf(at))
      if (known?.has(baseName(at))) break
      if (known) known.add(baseName(at))
      else names.set(directoryOf(at), new Set([baseName(at)]))
    }
  return names
}
