/**
 * Which files of an image go into one layer. Pure.
 *
 * Layers are what registries and machines share, so a layer holds what comes together in every image and nothing else. With
 * one prefix for all images a package's files are the same bytes in each; what differs is which of them come. Programs are
 * what is chosen (git brings `perl`, an image of Perl brings `perldoc` too), a library or its data is what that needs: so a
 * package's programs are one layer and the rest of it another. The C library's objects come as they are needed (contents.ts).
 *
 * The rule needs nothing from outside, so it never varies: the largest groups by themselves, the small ones together, what is
 * left of the entry's own package, and last what is made for this image alone.
 */

/** Files that come together in every image that has them. */
export interface Group {
  /** In words: `openssl-3.0`, `git-2.39.5 (programs)`. */
  readonly name: string
  /** Whose they are: the outputs of one derivation, together. */
  readonly package: string
}

/** A file of a layer, and the group that it belongs to; null for what is made for the image. */
export interface LayerFile {
  readonly at: string
  readonly group: Group | null
  /** In bytes. */
  readonly size: number
}

export interface Layer<F extends LayerFile> {
  /** What it holds, in words. */
  readonly contents: string
  readonly files: readonly F[]
}

/**
 * @param own the package of what the image starts
 * @param most how many layers there may be, at least four
 */
export function layersOf<F extends LayerFile>(files: readonly F[], own: string | null, most: number): Layer<F>[] {
  const groups = new Map<string, { readonly package: string; readonly files: F[]; size: number }>()
  const made: F[] = []
  for (const file of files) {
    if (file.group === null) {
      made.push(file)
      continue
    }
    const group = groups.get(file.group.name) ?? { package: file.group.package, files: [], size: 0 }
    group.files.push(file)
    group.size += file.size
    groups.set(file.group.name, group)
  }
  const bySize = [...groups].sort(([a, x], [b, y]) => y.size - x.size || (a < b ? -1 : 1))
  // The small ones, the own ones and what is made have a layer each.
  const isOwn = ([, group]: (typeof bySize)[number]): boolean => group.package === own
  const alone = bySize.length < most ? bySize : bySize.slice(0, most - 3)
  const rest = bySize.slice(alone.length)
  return [
    ...alone.filter(g => !isOwn(g)).map(g => together([g])),
    ...layerOf(rest.filter(g => !isOwn(g))),
    ...alone.filter(isOwn).map(g => together([g])),
    ...layerOf(rest.filter(isOwn)),
    { contents: 'programs, bundle.json, /etc', files: made },
  ]
}

type Grouped<F> = readonly [string, { readonly files: readonly F[] }]

const layerOf = <F extends LayerFile>(groups: readonly Grouped<F>[]): Layer<F>[] =>
  groups.length === 0 ? [] : [together(groups)]

const together = <F extends LayerFile>(groups: readonly Grouped<F>[]): Layer<F> => ({
  contents: groups
    .map(([name]) => name)
    .sort()
    .join(', '),
  files: groups.flatMap(([, { files }]) => files),
})
