/** What the dynamic loader of this machine does for a program, and what the model of it says. */
import { realpathSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { readLoader } from '../../src/elf/loader.ts'
import { parseElf } from '../../src/elf/parse.ts'
import { type Disk, type LoaderSettings, type Opened, Process } from '../../src/elf/search.ts'
import { realPath, withFile } from '../../src/io/store.ts'
import { loaderSettings } from '../../src/scan/sources.ts'
import { output } from './elf-tools.ts'

export interface Choice {
  /** Objects in load order: the name each was asked for by, and its real path. */
  readonly loaded: readonly string[]
  /** Names that are not found, sorted. */
  readonly missing: readonly string[]
}

/** The files of this machine. */
export class RealDisk implements Disk {
  readonly #opened = new Map<string, Opened | null>()
  readonly #loaders = new Map<string, LoaderSettings>()

  open(path: string): Opened | null {
    const known = this.#opened.get(path)
    if (known !== undefined) return known
    const opened = statSync(path, { throwIfNoEntry: false })?.isFile()
      ? { path: realPath(path), facts: withFile(path, source => parseElf(source, path)) }
      : null
    this.#opened.set(path, opened)
    return opened
  }

  /** The model's process of a program. */
  start(path: string): Process {
    const program = this.open(path)!
    const loader = this.open(program.facts.interp!.value)!
    let settings = this.#loaders.get(loader.path)
    if (!settings) {
      settings = loaderSettings(
        loader.path,
        withFile(loader.path, source => readLoader(source, loader.facts)),
      )
      this.#loaders.set(loader.path, settings)
    }
    return new Process(program, loader, settings, this)
  }

  chosen(path: string): Choice {
    const process = this.start(path)
    const interp = this.open(path)!.facts.interp!.value
    return {
      loaded: process.linkMap.objects
        .slice(1)
        .map(o => entry(o.path === process.linkMap.loader ? interp : (o.name ?? ''), o.path)),
      missing: distinct(process.missing.map(m => m.name)),
    }
  }
}

/** What the loader itself chooses. Nothing of the program is run, as long as it has an interpreter. */
export async function traced(program: string, cwd: string): Promise<Choice> {
  const printed = await output(program, [], { cwd, env: { LD_TRACE_LOADED_OBJECTS: '1' } })
  const loaded: string[] = []
  const missing: string[] = []
  for (const line of printed.split('\n')) {
    const found = /^\t(.*?)(?: => (.*))? \(0x[0-9a-f]+\)$/.exec(line)
    const lost = /^\t(.*) => not found$/.exec(line)
    if (lost) missing.push(lost[1]!)
    else if (found && !found[1]!.startsWith('linux-vdso'))
      loaded.push(entry(found[1]!, realpathSync(resolve(cwd, found[2] ?? found[1]!))))
  }
  return { loaded, missing: distinct(missing) }
}

/** A name that is a path is printed with $ORIGIN filled in: only where it leads is compared. */
const entry = (name: string, path: string): string => `${shown(name)} => ${path}`
const distinct = (names: readonly string[]): string[] => [...new Set(names.map(shown))].sort()
const shown = (name: string): string => (name.includes('/') ? '(a path)' : name)
