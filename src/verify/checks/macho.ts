/**
 * Mach-O files of what is verified: every library that is asked for lies inside or belongs to macOS, and dyld and the
 * kernel take the files as they are.
 */
import { BundleError } from '../../errors.ts'
import type { ByteSource } from '../../io/bytes.ts'
import { CPU, MH } from '../../macho/constants.ts'
import type { MachOFacts, MachOSlice } from '../../macho/facts.ts'
import { parseMachO } from '../../macho/parse.ts'
import { loadImages, type MachODisk } from '../../macho/search.ts'
import { checkSignature, isIntact } from '../../macho/signature.ts'
import type { Finding } from '../../model/findings.ts'
import { compareVersions } from '../../model/versions.ts'
import type { BundlePath, SourcePath } from '../../paths.ts'

/** The facts of what looks like Mach-O; null when it is none. */
export function machOFactsOf(source: ByteSource, file: string): MachOFacts | null {
  try {
    return parseMachO(source, file)
  } catch (error) {
    if (error instanceof BundleError && error.code === 'malformed') return null
    throw error
  }
}

/** What is wrong with one file by itself: signatures, search paths that stand twice. */
export function checkImage(source: ByteSource, facts: MachOFacts, file: string): Finding[] {
  return facts.slices.flatMap((slice): Finding[] => {
    const rpaths = slice.rpaths.map(r => r.value)
    const twice = rpaths.find((rpath, i) => rpaths.indexOf(rpath) !== i)
    const duplicate: Finding[] =
      twice === undefined ? [] : [{ code: 'rpath-twice', severity: 'error', file, arch: slice.arch, rpath: twice }]
    return [...duplicate, ...signatureFindings(source, slice, file)]
  })
}

function signatureFindings(source: ByteSource, slice: MachOSlice, file: string): Finding[] {
  const wrong = (reason: string | null): Finding[] => [
    { code: 'signature-wrong', severity: 'error', file, arch: slice.arch, reason },
  ]
  if (slice.signature === null) {
    const isLoaded = ([MH.execute, MH.dylib, MH.bundle, MH.dylinker] as number[]).includes(slice.filetype)
    return slice.cputype === CPU.arm64 && isLoaded ? wrong(null) : []
  }
  try {
    const [check] = checkSignature(source, slice, file).filter(c => !isIntact(c))
    if (check === undefined) return []
    const { wrongPages, wrongSlots, uncovered } = check
    if (wrongPages.length > 0) return wrong(`is of other contents: ${numbers('page', wrongPages)}`)
    if (wrongSlots.length > 0) return wrong(`is of other contents: ${numbers('slot', wrongSlots)}`)
    return wrong(uncovered < 0 ? 'covers itself' : `does not cover ${uncovered} bytes before it`)
  } catch (error) {
    if (error instanceof BundleError && error.code === 'malformed') return wrong(`cannot be read: ${error.message}`)
    throw error
  }
}

function numbers(what: string, all: readonly number[]): string {
  const [first] = all
  return all.length === 1 ? `${what} ${first}` : `${what} ${first} and ${all.length - 1} more`
}

/**
 * What does not resolve inside, for every program on each of its CPUs and for what no program loads; and the macOS that
 * the whole set needs.
 * @param root where the tree lies for the disk
 */
export function checkImages(images: ReadonlyMap<string, MachOFacts>, disk: MachODisk, root: string): Finding[] {
  const findings = new Map<string, Finding>()
  const loaded = new Set<SourcePath>()
  const at = (file: string): SourcePath => `${root}/${file}` as SourcePath
  const load = (file: string, facts: MachOFacts, slice: MachOSlice, executable: SourcePath | null): void => {
    const map = loadImages({ path: at(file), facts }, slice, disk, executable)
    for (const { path } of map.images) loaded.add(path)
    for (const { by, dylib, to } of map.resolutions) {
      if (to !== null || dylib.kind === 'weak') continue
      const [asks, name] = [by.slice(root.length + 1) as BundlePath, dylib.name.value]
      const program = slice.filetype === MH.execute ? file : null
      const severity = program === null ? 'warning' : 'error'
      const key = `${asks}\0${name}`
      if (!findings.has(key) || severity === 'error')
        findings.set(key, { code: 'needed-unresolved', severity, file: asks, name, versions: [], program })
    }
  }
  const programs: { file: string; slice: MachOSlice }[] = []
  for (const [file, facts] of images)
    for (const slice of facts.slices)
      if (slice.filetype === MH.execute) {
        programs.push({ file, slice })
        load(file, facts, slice, at(file))
      }
  for (const [file, facts] of images) {
    if (loaded.has(at(file))) continue
    for (const slice of facts.slices) {
      if (slice.filetype !== MH.dylib && slice.filetype !== MH.bundle) continue
      const host = programs.find(p => p.slice.arch === slice.arch)
      load(file, facts, slice, host ? at(host.file) : null)
    }
  }
  return [...findings.values(), ...oldestSystem(images)]
}

/** Which macOS the set needs, and the file that says so. */
function oldestSystem(images: ReadonlyMap<string, MachOFacts>): Finding[] {
  const asked = [...images].flatMap(([file, { slices }]) =>
    slices.flatMap(({ versions }) =>
      versions.filter(v => v.platform === 'macos').map(({ minos }) => ({ file, version: minos })),
    ),
  )
  const [most] = asked.sort((a, b) => compareVersions(b.version, a.version))
  return most === undefined ? [] : [{ code: 'macos-needed', severity: 'note', ...most }]
}
