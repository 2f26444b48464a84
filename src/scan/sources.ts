/**
 * The inputs as facts: each file is read and classified once, each loader once. What the scan (scan.ts) asks of the
 * file system, it asks here.
 */
import { parseCache } from '../elf/cache.ts'
import type { LoaderFacts } from '../elf/facts.ts'
import { readLoader, settingsOf } from '../elf/loader.ts'
import { isElf, parseElf } from '../elf/parse.ts'
import { type Disk, type LoaderSettings, type Opened, sameMachine } from '../elf/search.ts'
import { isDebugFile } from '../elf/sections.ts'
import { BundleError } from '../errors.ts'
import { list, realPath, stat, withFile } from '../io/store.ts'
import { MH } from '../macho/constants.ts'
import { holdsMachO, parseMachO } from '../macho/parse.ts'
import type { MachOFile } from '../macho/search.ts'
import type { Finding } from '../model/findings.ts'
import type { DataFacts, FileFacts } from '../model/graph.ts'
import { STORE_DIR, storePathOf } from '../nix/store-path.ts'
import type { SourcePath } from '../paths.ts'
import { LINE_MAX, parseScript } from '../script/parse.ts'

/** The loader cache of a machine whose own programs are bundled. */
const LD_SO_CACHE = '/etc/ld.so.cache'

/** All that is said of most files: one object for all of them. */
const DATA: DataFacts = { format: 'data' }

/** A dynamic loader with what is compiled into it and where it looks. */
export interface Loader {
  readonly file: Opened
  readonly compiled: LoaderFacts
  readonly settings: LoaderSettings
}

export class Sources implements Disk {
  readonly #opened = new Map<string, Opened | null>()
  readonly #facts = new Map<SourcePath, FileFacts>()
  readonly #loaders = new Map<SourcePath, Loader>()
  /** What was found while reading. */
  readonly findings: Finding[] = []

  /** Every loader that was asked for, by its real path. */
  get loaders(): ReadonlyMap<SourcePath, Loader> {
    return this.#loaders
  }

  /** Facts of a file. What looks like ELF and is not well-formed is data, with a finding. */
  facts(path: SourcePath): FileFacts {
    const known = this.#facts.get(path)
    if (known) return known
    const facts = withFile(path, (source): FileFacts => {
      const head = source.read(0, LINE_MAX)
      const elf = isElf(head)
      if (!elf && !holdsMachO(source)) return parseScript(head) ?? DATA
      if (elf && isDebugFile(source)) return DATA
      try {
        return elf ? parseElf(source, path) : parseMachO(source, path)
      } catch (error) {
        if (!(error instanceof BundleError) || error.code !== 'malformed') throw error
        const code = elf ? 'elf-unreadable' : 'macho-unreadable'
        this.findings.push({ code, severity: 'warning', file: path, reason: error.message })
        return DATA
      }
    })
    this.#facts.set(path, facts)
    return facts
  }

  /** A file as the loader sees it (elf/search.ts). */
  open(path: string): Opened | null {
    const known = this.#opened.get(path)
    if (known !== undefined) return known
    let opened: Opened | null = null
    if (stat(path)?.type === 'file') {
      const real = realPath(path)
      const facts = this.facts(real)
      if (facts.format === 'elf') opened = { path: real, facts }
    }
    this.#opened.set(path, opened)
    return opened
  }

  /** The Mach-O file at a path, as dyld sees it (macho/search.ts). */
  openMachO(path: string): MachOFile | null {
    if (stat(path)?.type !== 'file') return null
    const real = realPath(path)
    const facts = this.facts(real)
    return facts.format === 'macho' ? { path: real, facts } : null
  }

  /** Whether a path names a shared object that a file of these facts can open. */
  isObject(path: string, facts: FileFacts): boolean {
    const library = this.openMachO(path)
    if (library) return library.facts.slices.every(s => s.filetype !== MH.execute)
    const object = this.open(path)
    return object !== null && !object.facts.program && (facts.format !== 'elf' || sameMachine(object.facts, facts))
  }

  /** The loader that a program names; null when there is none at that path. */
  loader(interp: string): Loader | null {
    const file = this.open(interp)
    if (!file) return null
    const known = this.#loaders.get(file.path)
    if (known) return known
    const compiled = withFile(file.path, source => readLoader(source, file.facts))
    const loader = { file, compiled, settings: loaderSettings(file.path, compiled) }
    this.#loaders.set(file.path, loader)
    return loader
  }
}

/** Everything in this machine's store: for what is asked for by its kind. What a bundle refers to, its inputs show. */
export function storePaths(): SourcePath[] {
  if (stat(STORE_DIR)?.type !== 'directory') return []
  return list(STORE_DIR).flatMap(name => (storePathOf(`${STORE_DIR}/${name}`)?.root ?? []) as SourcePath | [])
}

/**
 * Where a loader looks by default. One that lies in a store looks beside itself, whatever host it was built on: the
 * host's directories and cache are what a bundle must not depend on.
 */
export function loaderSettings(path: SourcePath, compiled: LoaderFacts): LoaderSettings {
  const inStore = storePathOf(path) !== null
  const own = path.slice(0, path.lastIndexOf('/'))
  const directories = inStore
    ? [own, ...compiled.directories.filter(d => storePathOf(d) !== null && d !== own)]
    : compiled.directories
  const cache =
    !inStore && !compiled.musl && stat(LD_SO_CACHE)?.type === 'file'
      ? withFile(LD_SO_CACHE, parseCache)
      : new Map<string, string[]>()
  return settingsOf(compiled, directories, cache)
}
