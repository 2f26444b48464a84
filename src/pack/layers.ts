/**
 * Which files of an image go into one layer. Pure.
 *
 * Layers are what registries and machines share, so a layer holds what changes together and nothing else: files of one
 * package. With one prefix for all images a package's files are the same bytes in each. The rule needs nothing from outside,
 * so it never varies: glibc's core, then the largest packages by themselves, the small ones together, the entry's own
 * package, and last what is made for this image alone.
 */

/** A file of a layer, and the package that it belongs to; null for what is made for the image. */
export interface LayerFile {
  readonly at: string
  readonly group: string | null
  /** In bytes. */
  readonly size: number
}

export interface Layer<F extends LayerFile> {
  /** What it holds, in words: `openssl-3.0`. */
  readonly contents: string
  readonly files: readonly F[]
}

/**
 * @param own the group of what the image starts
 * @param most how many layers there may be, at least four
 */
export function layersOf<F extends LayerFile>(files: readonly F[], own: string | null, most: number): Layer<F>[] {
  const groups = new Map<string, F[]>()
  const made: F[] = []
  for (const file of files) {
    if (file.group === null) made.push(file)
    else groups.set(file.group, [...(groups.get(file.group) ?? []), file])
  }
  const entry = own === null ? undefined : groups.get(own)
  if (own !== null) groups.delete(own)
  const size = (group: readonly F[]): number => group.reduce((sum, f) => sum + f.size, 0)
  const bySize = [...groups].sort(([a, x], [b, y]) => size(y) - size(x) || (a < b ? -1 : 1))
  const alone = bySize.length <= most - 2 ? bySize : bySize.slice(0, most - 3)
  const rest = bySize.slice(alone.length)
  return [
    ...alone.map(([contents, files]) => ({ contents, files })),
    ...(rest.length === 0
      ? []
      : [
          {
            contents: rest
              .map(([name]) => name)
              .sort()
              .join(', '),
            files: rest.flatMap(([, files]) => files),
          },
        ]),
    ...(entry === undefined ? [] : [{ contents: own!, files: entry }]),
    { contents: 'programs, bundle.json, /etc', files: made },
  ]
}
