/**
 * Python's library knows a prefix by its store path, and asks it last: first comes the directory above the program's own
 * that holds `lib/python3.11/os.py` (CPython's Modules/getpath.py, "landmark"). A program of another tree, which embeds
 * Python, finds none above itself and needs the prefix. Pure.
 */
import type { DependencyGraph } from '../model/graph.ts'
import { directoryOf, type SourcePath } from '../paths.ts'

/** Whether nobody who loads Python's library has to ask for a prefix: all lie in `bin/` of the tree that it names. */
export function isFoundByLandmark(graph: DependencyGraph, library: SourcePath, prefix: SourcePath): boolean {
  const version = /\/libpython(\d\.\d+)[^/]*\.(?:so|dylib)[\d.]*$/.exec(library)?.[1]
  if (version === undefined || !graph.files.has(`${prefix}/lib/python${version}/os.py` as SourcePath)) return false
  const loaders = [...graph.linkMaps.values()].filter(({ objects }) => objects.some(o => o.path === library))
  const images = graph.images.filter(map => map.images.some(i => i.path === library))
  const isOpened = graph.edges.some(e => e.to === library && e.kind === 'dlopen')
  return !isOpened && [...loaders, ...images].every(({ program }) => directoryOf(program) === `${prefix}/bin`)
}
