/** What typelibs have opened by a store path: the object that opens it finds it by its soname in a bundle. */

import type { Located } from '../io/bytes.ts'
import { realPath, stat } from '../io/store.ts'
import type { FileNode } from '../model/graph.ts'
import { storePathOf } from '../nix/store-path.ts'
import { baseName, type SourcePath } from '../paths.ts'
import { namesIn, OPENER } from '../references/typelib.ts'
import type { Edges } from './edges.ts'

/** Adds the edges from who opens the libraries to those that are there. */
export function addTypelibs(
  typelibs: ReadonlyMap<SourcePath, Located>,
  files: ReadonlyMap<SourcePath, FileNode>,
  edges: Edges,
): void {
  if (typelibs.size === 0) return
  const openers = [...files.keys()].filter(path => OPENER.test(baseName(path))).sort()
  for (const [file, libraries] of typelibs)
    for (const name of namesIn(libraries)) {
      if (storePathOf(name) === null || stat(name)?.type !== 'file') continue
      const to = realPath(name)
      const facts = files.get(to)?.facts
      if (facts?.format !== 'elf' || facts.soname === null) continue
      const at = [{ file, member: null, offset: libraries.offset, encoding: 'utf8' as const }]
      for (const from of openers) edges.add({ from, kind: 'dlopen', name: facts.soname.value, to, via: null, at })
    }
}
