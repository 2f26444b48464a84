/** Where in files a need is seen: by line in texts, by part in all else. Pure, but for what names the parts. */
import type { Place } from '../model/explained.ts'
import type { DependencyGraph, Evidence, FileFacts } from '../model/graph.ts'
import type { SourcePath } from '../paths.ts'

/** Names the part of a file, whose facts may be known, at each offset; null for one that lies in none. */
export type Parts = (path: SourcePath, facts: FileFacts | undefined) => (offset: number) => string | null

export class Places {
  readonly #graph: DependencyGraph
  readonly #parts: Parts
  readonly #partsByFile = new Map<SourcePath, (offset: number) => string | null>()
  readonly #linesByFile = new Map<SourcePath, (offset: number) => number>()

  constructor(graph: DependencyGraph, parts: Parts) {
    this.#graph = graph
    this.#parts = parts
  }

  /** @param file its id; null where it is the file that has the need */
  of(path: SourcePath, file: number | null, { member, offset, encoding }: Evidence): Place {
    const whole = member === null
    const isText = whole && this.#graph.files.get(path)?.text === true
    return {
      file,
      member: member === null ? null : member.join('!'),
      offset,
      line: isText ? this.#lineAt(path, offset) : null,
      part: whole && !isText ? this.#partAt(path, offset) : null,
      encoding,
    }
  }

  #partAt(path: SourcePath, offset: number): string | null {
    const known = this.#partsByFile.get(path) ?? this.#parts(path, this.#graph.files.get(path)?.facts)
    this.#partsByFile.set(path, known)
    return known(offset)
  }

  #lineAt(path: SourcePath, offset: number): number | null {
    const text = this.#graph.texts.get(path)
    if (text === undefined) return null
    const known = this.#linesByFile.get(path) ?? lineCounter(text)
    this.#linesByFile.set(path, known)
    return known(offset)
  }
}

function lineCounter(text: string): (offset: number) => number {
  const ends: number[] = []
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) ends.push(at)
  return offset => {
    let [low, high] = [0, ends.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (ends[middle]! < offset) low = middle + 1
      else high = middle
    }
    return low + 1
  }
}
