/** `--strip`: which objects lose their symbols and debug information, and how. */
import { type Strip, strip } from '../elf/strip.ts'
import { withFile } from '../io/store.ts'
import type { Finding } from '../model/findings.ts'
import type { FileNode } from '../model/graph.ts'
import { directoryOf, type SourcePath } from '../paths.ts'

/** The C library and its loader keep what debuggers and valgrind know them by. */
export function strips(files: Iterable<FileNode>, loaders: Iterable<SourcePath>): Map<SourcePath, Strip> {
  const libcs = new Set([...loaders].map(directoryOf))
  const found = new Map<SourcePath, Strip>()
  for (const { path, facts } of files) {
    if (facts.format !== 'elf' || libcs.has(directoryOf(path))) continue
    const how = withFile(path, source => strip(source, facts))
    if (how !== null) found.set(path, how)
  }
  return found
}

/** What is not stripped, though it was asked for. */
export function notStripped(files: Iterable<FileNode>): Finding[] {
  const count = [...files].filter(({ facts }) => facts.format === 'macho').length
  return count === 0 ? [] : [{ code: 'strip-nothing', severity: 'warning', file: '--strip', count }]
}
