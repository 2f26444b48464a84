/**
 * What dyld does for the Mach-O programs of a bundle, on each of their CPUs. Part of stage 2 (scan.ts), which is told of
 * every file that is found. The counterpart of ld-so.ts.
 */
import { MH } from '../macho/constants.ts'
import type { MachOFacts, MachOSlice } from '../macho/facts.ts'
import { differences, loadImages, type MachODisk, type MachOLinkMap } from '../macho/search.ts'
import type { Finding } from '../model/findings.ts'
import type { FileNode } from '../model/graph.ts'
import type { SourcePath } from '../paths.ts'
import { here } from './edges.ts'
import type { Listener } from './ld-so.ts'

export class Images {
  readonly #disk: MachODisk
  readonly #listener: Listener
  readonly #programs: MachOLinkMap[] = []
  /** Of libraries and plugins that no program loads, each as if it were opened by itself. */
  readonly #others: MachOLinkMap[] = []
  readonly #known = new Set<SourcePath>()

  constructor(disk: MachODisk, listener: Listener) {
    this.#disk = disk
    this.#listener = listener
  }

  /** Of programs first, then of what none of them loads. */
  get linkMaps(): readonly MachOLinkMap[] {
    return [...this.#programs, ...this.#others]
  }

  /** Starts a program on each of its CPUs. */
  start(path: SourcePath, facts: MachOFacts): void {
    for (const slice of facts.slices)
      if (slice.filetype === MH.execute) this.#programs.push(this.#load(path, facts, slice, path))
  }

  /** Looks at a library or plugin that no program has loaded by now, as if a program of the bundle opened it. */
  examine({ path, facts }: FileNode): void {
    if (facts.format !== 'macho' || this.#known.has(path)) return
    for (const slice of facts.slices)
      if (slice.filetype === MH.dylib || slice.filetype === MH.bundle) {
        const host = this.#programs.find(p => p.arch === slice.arch)?.program ?? null
        this.#others.push(this.#load(path, facts, slice, host))
      }
  }

  #load(path: SourcePath, facts: MachOFacts, slice: MachOSlice, executable: SourcePath | null): MachOLinkMap {
    const map = loadImages({ path, facts }, slice, this.#disk, executable)
    for (const image of map.images) {
      this.#known.add(image.path)
      this.#listener.file(image.path)
    }
    for (const { by, dylib, to, via } of map.resolutions)
      if (to !== null && to !== 'system')
        this.#listener.edge({
          from: by,
          kind: 'install-name',
          name: dylib.name.value,
          to,
          via,
          at: here(dylib.name.offset),
        })
    return map
  }

  /**
   * The findings: a library that is missing is an error only for what is started, as in ld-so.ts; one that may be
   * missing (LC_LOAD_WEAK_DYLIB) never is.
   */
  findings(started: ReadonlySet<SourcePath>): Finding[] {
    const missing = new Map<string, Finding>()
    for (const map of this.linkMaps)
      for (const { by, dylib, to } of map.resolutions) {
        const name = dylib.name.value
        if (to !== null || missing.has(`${by}\0${name}`)) continue
        const severity = dylib.kind === 'weak' ? 'note' : started.has(map.program) ? 'error' : 'warning'
        missing.set(`${by}\0${name}`, {
          code: 'library-missing',
          severity,
          file: by,
          name,
          chain: chainTo(map, by),
        })
      }
    const chosen = differences(this.linkMaps).map(({ by, name, choices }): Finding => {
      const [first, ...rest] = choices
      const other = rest.find(c => c.to !== first!.to)!
      return {
        code: 'chain-differs',
        severity: 'warning',
        file: by,
        name,
        taken: `${first!.to}`,
        by: first!.program,
        other: `${other.to}`,
        otherBy: other.program,
      }
    })
    return [...missing.values(), ...chosen]
  }
}

/** The images from the program down to the one at `path`, each loaded by the one before it. */
function chainTo(map: MachOLinkMap, path: SourcePath): SourcePath[] {
  const chain: SourcePath[] = []
  for (let at: SourcePath | null = path; at !== null && !chain.includes(at); ) {
    chain.unshift(at)
    at = map.images.find(image => image.path === at)?.by ?? null
  }
  return chain
}
