/**
 * The table of the strings that relocate themselves, made of a bundle's finished files: the stub knows a library
 * by what its headers say in the end.
 */
import { PT } from '../elf/constants.ts'
import { parseElf } from '../elf/parse.ts'
import { debugStateOf } from '../entry/hook.ts'
import { encodeRelocations, hasLibraryKey, libraryKey, type RelocatedFile } from '../entry/relocations.ts'
import type { ByteSource } from '../io/bytes.ts'
import type { Finding } from '../model/findings.ts'
import type { PlannedProgram, PlannedRelocations, RelocationSite } from '../model/plan.ts'
import type { BundlePath } from '../paths.ts'

/** Program headers lie in the first page, or the stub does not find them in memory. In bytes. */
const PAGE = 4096

interface Library extends RelocatedFile {
  readonly at: BundlePath
  readonly key: bigint
}

/** Opens a file of the bundle as it is in the end. */
export type Open = <T>(at: BundlePath, use: (source: ByteSource) => T) => T

/** The table's bytes, the objects whose strings have to stay blanked, and findings about these. */
export function relocationTable(
  relocations: PlannedRelocations,
  planned: readonly PlannedProgram[],
  open: Open,
): { bytes: Buffer; refused: ReadonlySet<BundlePath>; findings: Finding[] } {
  const { libraries, refused, findings } = relocatedLibraries(relocations, planned, open)
  const own = relocations.programs.map(
    ({ at, sites }, program): RelocatedFile =>
      open(at, source => ({ key: { program }, dynamic: dynamicOf(parseElf(source, at).segments), sites })),
  )
  return { bytes: encodeRelocations([...own, ...libraries]), refused, findings }
}

/** What of the table is told of: libraries that cannot be told from each other, and loaders that nobody can wait for. */
export function relocatedLibraries(
  { objects }: PlannedRelocations,
  planned: readonly PlannedProgram[],
  open: Open,
): { libraries: readonly RelocatedFile[]; refused: ReadonlySet<BundlePath>; findings: Finding[] } {
  const findings: Finding[] = []
  const refused = new Set<BundlePath>()
  const loaders = [...new Set(planned.flatMap(p => p.loader ?? []))].filter(at => !objects.some(o => o.at === at))
  const byKey = new Map<bigint, Library[]>()
  const refuse = ({ at, sites }: { at: BundlePath; sites: readonly RelocationSite[] }): void => {
    if (sites.length === 0) return
    refused.add(at)
    findings.push({ code: 'relocation-refused', severity: 'warning', file: at, count: sites.length })
  }
  for (const { at, sites } of [...objects, ...loaders.map(at => ({ at, sites: [] }))]) {
    const isLoader = planned.some(p => p.loader === at)
    const file = open(at, source => {
      const header = source.read(0, PAGE)
      if (!hasLibraryKey(header)) return null
      const dynamic = dynamicOf(parseElf(source, at).segments)
      return { at, key: libraryKey(header), dynamic, sites, ...(isLoader && { hook: debugStateOf(source, at) }) }
    })
    if (file === null) refuse({ at, sites })
    else byKey.set(file.key, [...(byKey.get(file.key) ?? []), file])
  }
  const libraries = [...byKey.values()].map((same): Library => {
    const first = same[0]!
    const hook = same.find(library => library.hook !== undefined)?.hook
    const file = hook === undefined ? first : { ...first, hook }
    if (same.every(({ sites }) => JSON.stringify(sites) === JSON.stringify(first.sites))) return file
    // None is told from the others: all keep names that lead nowhere, never to another's tree.
    for (const library of same) refuse(library)
    return { ...file, sites: [] }
  })
  // Without it a library's constructors and plugins run before, or after, anything can be written.
  for (const { at, hook } of libraries)
    if (hook === null && objects.length > 0) findings.push({ code: 'no-debug-hook', severity: 'note', file: at })
  return { libraries, refused, findings }
}

const dynamicOf = (segments: readonly { readonly type: number; readonly vaddr: number }[]): number =>
  segments.find(s => s.type === PT.dynamic)?.vaddr ?? 0
