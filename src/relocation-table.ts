/**
 * The table of the strings that relocate themselves, made of a staged bundle's finished files: the stub knows a library
 * by what its headers say in the end.
 */
import { PT } from './elf/constants.ts'
import { parseElf } from './elf/parse.ts'
import { debugStateOf, encodeRelocations, hasLibraryKey, libraryKey, type RelocatedFile } from './entry/relocations.ts'
import { withFile } from './io/store.ts'
import type { BundlePath, Finding, PlannedProgram, PlannedRelocations, RelocationSite } from './model.ts'

/** Program headers lie in the first page, or the stub does not find them in memory. In bytes. */
const PAGE = 4096

/**
 * The table's bytes, and findings about objects whose strings have to stay blanked.
 * @param path of a file of the bundle
 */
export function relocationTable(
  { targets, programs, objects }: PlannedRelocations,
  planned: readonly PlannedProgram[],
  path: (at: BundlePath) => string,
): { bytes: Buffer; findings: Finding[] } {
  const findings: Finding[] = []
  const loaders = [...new Set(planned.map(p => p.loader))].filter(at => !objects.some(o => o.at === at))
  const libraries = new Map<bigint, RelocatedFile & { readonly at: BundlePath }>()
  const lost = (at: BundlePath, sites: readonly RelocationSite[]): void => {
    if (sites.length > 0)
      findings.push({ code: 'relocation-refused', severity: 'warning', file: at, count: sites.length })
  }
  for (const { at, sites } of [...objects, ...loaders.map(at => ({ at, sites: [] }))]) {
    const isLoader = planned.some(p => p.loader === at)
    const file = withFile(path(at), source => {
      const header = source.read(0, PAGE)
      if (!hasLibraryKey(header)) return null
      const dynamic = dynamicOf(parseElf(source, at).segments)
      return { at, key: libraryKey(header), dynamic, sites, ...(isLoader && { hook: debugStateOf(source, at) }) }
    })
    const same = file && libraries.get(file.key)
    if (file === null) lost(at, sites)
    else if (!same) libraries.set(file.key, file)
    else if (JSON.stringify(same.sites) !== JSON.stringify(sites)) {
      // Neither is told from the other: both keep names that lead nowhere, never to another's tree.
      lost(at, sites)
      lost(same.at, same.sites)
      libraries.set(file.key, { ...same, sites: [] })
    }
  }
  // Without it a library's constructors and plugins run before, or after, anything can be written.
  for (const { at, hook } of libraries.values())
    if (hook === null && objects.length > 0) findings.push({ code: 'no-debug-hook', severity: 'note', file: at })
  const own = programs.map(
    ({ at, sites }, program): RelocatedFile =>
      withFile(path(at), source => ({ key: { program }, dynamic: dynamicOf(parseElf(source, at).segments), sites })),
  )
  return { bytes: encodeRelocations(targets, [...own, ...libraries.values()]), findings }
}

const dynamicOf = (segments: readonly { readonly type: number; readonly vaddr: number }[]): number =>
  segments.find(s => s.type === PT.dynamic)?.vaddr ?? 0
