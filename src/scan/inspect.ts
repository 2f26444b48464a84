/** One file by itself: what it is, what its loader finds, which store paths it names, and what bundle would do with it. */
import { DF, DF_1, DT, ET, PT } from '../elf/constants.ts'
import { sonameStrings } from '../elf/dlopen.ts'
import type { ElfFacts } from '../elf/facts.ts'
import { readBuildId } from '../elf/notes.ts'
import { hasPayload } from '../elf/payload.ts'
import { ownDirectories, Process } from '../elf/search.ts'
import { readSections, SHT } from '../elf/sections.ts'
import { isStatic, type StubRefusal, stubRefusal } from '../entry/inject.ts'
import type { Wrapper } from '../entry/launcher.ts'
import { takesSidecar } from '../entry/sidecar.ts'
import { BundleError } from '../errors.ts'
import type { ByteSource } from '../io/bytes.ts'
import { list, lstat, readLink, realPath, stat, withFile } from '../io/store.ts'
import type { Finding } from '../model/findings.ts'
import type { FileNode } from '../model/graph.ts'
import { compareVersions } from '../model/versions.ts'
import { directoryOf, type SourcePath } from '../paths.ts'
import { containerKindOf } from '../references/containers.ts'
import { type Language, languageOf } from '../script/language.ts'
import { Files } from './files.ts'
import { type Loader, Sources } from './sources.ts'
import { Verdicts } from './verdicts.ts'

export interface Inspection {
  /** As it was asked for, and with all links resolved. */
  readonly asked: string
  readonly path: SourcePath
  readonly node: FileNode
  readonly elf: ElfInspection | null
  readonly language: Language | null
  readonly wrapper: Wrapper | null
  /** What kind of container it is, whether that is looked into or not. */
  readonly container: string | null
  readonly findings: readonly Finding[]
}

export interface ElfInspection {
  readonly isStatic: boolean
  readonly isStripped: boolean
  readonly isBoundNow: boolean
  readonly hasRelro: boolean
  /** In hexadecimal. */
  readonly buildId: string | null
  /** Whether its interpreter is there; null without one. */
  readonly isLoaderThere: boolean | null
  /** By whose rules names were looked up; null where no loader is known. */
  readonly loader: SourcePath | null
  readonly needed: readonly Wish[]
  /** What it opens by itself: sonames in its data that are found, and its `.note.dlopen`. */
  readonly opens: readonly Wish[]
  /** The newest symbol version that is asked for, by its family: `GLIBC_2.34`. */
  readonly newest: readonly string[]
  readonly payload: boolean
  /** Why it cannot take the stub; null for one that can, and for what is no program. */
  readonly refusal: StubRefusal | null
  /** Whether it is entered by a sidecar then. */
  readonly bySidecar: boolean
}

/** A name and what is found for it. */
export interface Wish {
  readonly name: string
  readonly offset: number | null
  readonly found: SourcePath | null
  readonly via: string | null
}

/**
 * Looks at a file, at nothing else than files, and runs nothing.
 * @param asked byte string
 * @throws BundleError when it is no file, or cannot be read
 */
export function inspect(asked: string): Inspection {
  const status = stat(asked)
  if (status === null) {
    if (lstat(asked)?.type === 'link')
      throw new BundleError('broken-link', `a link that leads nowhere (to ${readLink(asked)})`, { path: asked })
    throw new BundleError('not-found', 'no such file', { path: asked })
  }
  if (status.type !== 'file')
    throw new BundleError(
      'unsupported',
      status.type === 'directory' ? 'a directory' : 'neither a file nor a link to one',
      {
        path: asked,
        hint: 'give a file: bundle inspect ./result/bin/*',
      },
    )
  const path = realPath(asked)
  const sources = new Sources()
  const files = new Files(sources, new Verdicts(sources, 'auto', () => false))
  const node = files.read(path, false)
  const { facts } = node
  return {
    asked,
    path,
    node,
    elf: facts.format === 'elf' ? inspectElf(path, facts, sources) : null,
    language: languageOf(path, facts),
    wrapper: files.wrappers.get(path) ?? null,
    container: withFile(path, containerKindOf),
    findings: [...sources.findings, ...files.findings],
  }
}

function inspectElf(path: SourcePath, facts: ElfFacts, sources: Sources): ElfInspection {
  const loader = loaderOf(path, facts, sources)
  const canLoad = facts.type === ET.dyn || facts.interp !== null
  const process = loader && canLoad ? new Process({ path, facts }, loader.file, loader.settings, sources) : null
  const wish = (name: string, offset: number | null): Wish => {
    const own = process?.ownChoice(name, path) ?? null
    const found = own?.path ?? process?.loaded(name) ?? null
    return { name, offset, found, via: own?.via ?? (found === null ? null : 'already loaded') }
  }
  const opened = [
    ...facts.dlopenNotes.flatMap(note => note.sonames.map((name, i) => wish(name, note.offsets[i] ?? null))),
    ...withFile(path, source => sonameStrings(source, facts))
      .map(({ name, offset }) => wish(name, offset))
      .filter(({ found, name }) => found !== null && name !== facts.soname?.value),
  ]
  const sections = withFile(path, source => readSections(source, facts))
  // Go's linker has a section for the build id that no segment covers.
  const notes = [
    ...facts.segments.filter(s => s.type === PT.note).map(s => ({ offset: s.offset, size: s.filesz, align: s.align })),
    ...sections.filter(s => s.name.startsWith('.note')).map(s => ({ offset: s.offset, size: s.size, align: s.align })),
  ]
  const flag = (tag: number): number => facts.dynamic.find(entry => entry.tag === tag)?.value ?? 0
  return {
    isStatic: isStatic(facts),
    isStripped: !sections.some(s => s.type === SHT.symtab),
    isBoundNow:
      (flag(DT.flags) & DF.bindNow) !== 0 ||
      (facts.flags1 & DF_1.now) !== 0 ||
      facts.dynamic.some(entry => entry.tag === DT.bindNow),
    hasRelro: facts.segments.some(s => s.type === PT.gnuRelro),
    buildId: withFile(path, source => readBuildId(source, notes, facts.little)),
    isLoaderThere: facts.interp === null ? null : sources.loader(facts.interp.value) !== null,
    loader: loader?.file.path ?? null,
    needed: facts.needed.map(({ value, offset }) => wish(value, offset)),
    opens: opened.filter(({ name }, i) => opened.findIndex(other => other.name === name) === i),
    newest: newestVersions(facts.verneed.flatMap(({ versions }) => versions)),
    payload: facts.program && withFile(path, source => hasPayload(source, facts)),
    ...(facts.program ? withFile(path, source => entryOf(source, facts)) : { refusal: null, bySidecar: false }),
  }
}

/** How a relocatable bundle's program would find its loader. */
function entryOf(source: ByteSource, facts: ElfFacts): { refusal: StubRefusal | null; bySidecar: boolean } {
  const refusal = stubRefusal(source, facts)
  return { refusal, bySidecar: refusal !== null && takesSidecar(source, facts, refusal) }
}

/** Its own interpreter; of a library the one that lies where it looks for its C library. */
function loaderOf(path: SourcePath, facts: ElfFacts, sources: Sources): Loader | null {
  if (facts.interp) return sources.loader(facts.interp.value)
  // What `$LIB` is, a loader would say.
  const named = ownDirectories(facts, path, 'lib')
  for (const directory of [...named, directoryOf(path), '/lib64', '/lib'])
    if (stat(directory)?.type === 'directory')
      for (const name of list(directory).filter(n => LOADER.test(n))) {
        const loader = sources.loader(`${directory}/${name}`)
        if (loader && loader.file.facts.machine === facts.machine && loader.file.facts.class === facts.class)
          return loader
      }
  return null
}
const LOADER = /^ld(?:-linux|-musl|64)?[^/]*\.so(?:\.\d+)*$/

/** The newest of each family, `GLIBC_2.34` of `GLIBC_2.2.5` and `GLIBC_2.34`; sorted. */
export function newestVersions(versions: readonly string[]): string[] {
  const newest = new Map<string, string>()
  for (const version of versions) {
    const [, family, number] = /^(.*?)_?(\d+(?:\.\d+)*)$/.exec(version) ?? []
    if (family === undefined || number === undefined) continue
    const known = newest.get(family)
    if (known === undefined || compareVersions(number, known) > 0) newest.set(family, number)
  }
  return [...newest].map(([family, number]) => `${family}_${number}`).sort()
}
