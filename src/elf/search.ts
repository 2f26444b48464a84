/**
 * Which file the dynamic loader takes for each name: a model of glibc's elf/dl-load.c and elf/dl-deps.c, and of
 * ld.so(8), over a disk that is handed in. Nothing is executed.
 *
 * In short: a program's NEEDED names are loaded breadth first. A name that an already loaded object goes by (the
 * name it was asked for by, its path, its soname) is that object. Else, in this order: RPATH of the object that asks,
 * then of the object that loaded that one, and so on up to the program (all of it only if the object that asks has no
 * RUNPATH; an object's RPATH counts for nothing when it has a RUNPATH too); RUNPATH of the object that asks;
 * ld.so.cache; the loader's own directories (with DF_1_NODEFLIB neither these nor what the cache has from them).
 * LD_LIBRARY_PATH and LD_PRELOAD belong to a run, not to a program, and are not looked at. A file of another class,
 * machine or calling convention is passed over. DT_FILTER and DT_AUXILIARY are as NEEDED, but that they come before
 * the object that names them, and that an auxiliary one may be missing. Two names of one file are one object.
 *
 * `glibc-hwcaps` subdirectories hold variants of the same library for newer CPUs; the model takes the baseline and
 * scan/ld-so.ts adds the variants beside it.
 */

import type { SourcePath } from '../paths.ts'
import { DF_1, ET, platformName } from './constants.ts'
import type { ElfFacts } from './facts.ts'

/** A file as the loader sees it. */
export interface Opened {
  /** With all symbolic links resolved: what makes two names one object. */
  readonly path: SourcePath
  readonly facts: ElfFacts
}

/** What the model asks of a file system. */
export interface Disk {
  /** The ELF file at an absolute path; null when there is none. */
  open(path: string): Opened | null
}

/** What is compiled into a dynamic loader or configured beside it (elf/loader.ts, elf/cache.ts). */
export interface LoaderSettings {
  /** Default directories, in order, without a trailing slash. */
  readonly directories: readonly string[]
  /** ld.so.cache: candidates by name. */
  readonly cache: ReadonlyMap<string, readonly string[]>
  /** What `$LIB` stands for. */
  readonly lib: string
  /** musl: RUNPATH is searched for the libraries of libraries too, as RPATH is. */
  readonly inheritsRunpath: boolean
}

/** What the dynamic loader does for one program. */
export interface LinkMap {
  readonly program: SourcePath
  readonly loader: SourcePath
  readonly objects: readonly LoadedObject[]
}

/** One object in a program's link map, in load order (ld.so(8), "Search order"). */
export interface LoadedObject {
  /** The path by which it was opened, links unresolved. */
  readonly opened: string
  readonly path: SourcePath
  /** The name asked for by the object that first needed it; null for the program. */
  readonly name: string | null
  readonly by: SourcePath | null
  readonly via: string | null
}

/** A search that found something: where, and by which rule (`RUNPATH[0]`). */
interface Found {
  readonly opened: string
  readonly via: string
  readonly file: Opened
}

/** An object of the process. */
interface Loaded {
  readonly opened: string
  readonly file: Opened
  readonly name: string | null
  readonly by: Loaded | null
  readonly via: string | null
}

/** A name that no search found, with who asked for it. */
export interface Missing {
  readonly name: string
  readonly by: SourcePath
}

/** The dynamic loader of one process. */
export class Process {
  readonly #disk: Disk
  readonly #settings: LoaderSettings
  readonly #program: Loaded
  readonly #loader: Opened
  readonly #objects: Loaded[] = []
  readonly #byName = new Map<string, Loaded>()
  readonly #byPath = new Map<SourcePath, Loaded>()
  readonly missing: Missing[] = []

  /** Loads the program and all that it needs, as execve(2) of it would. */
  constructor(program: Opened, loader: Opened, settings: LoaderSettings, disk: Disk) {
    this.#disk = disk
    this.#settings = settings
    this.#loader = loader
    // The kernel maps the program: its $ORIGIN comes from /proc/self/exe, which is free of links.
    this.#program = { opened: program.path, file: program, name: null, by: null, via: null }
    const rtld: Loaded = { opened: loader.path, file: loader, name: null, by: this.#program, via: 'PT_INTERP' }
    this.#register(rtld, program.facts.interp?.value ?? null)
    this.#objects.push(this.#program)
    this.#register(this.#program, null)
    this.#loadFrom(0)
  }

  get linkMap(): LinkMap {
    return {
      program: this.#program.file.path,
      loader: this.#loader.path,
      objects: this.#objects.map(
        (o): LoadedObject => ({
          opened: o.opened,
          path: o.file.path,
          name: o.name,
          by: o.by?.file.path ?? null,
          via: o.via,
        }),
      ),
    }
  }

  /** The object that a name stands for in this process; undefined when none goes by it. */
  loaded(name: string): SourcePath | undefined {
    return this.#byName.get(name)?.file.path
  }

  /** Whether this file is mapped. */
  has(path: SourcePath): boolean {
    return this.#byPath.has(path)
  }

  /**
   * dlopen(3) of `name` by the object at `by` (or by the program), with all that it needs.
   * @returns where it was found; null when it was not
   */
  dlopen(name: string, by: SourcePath): { path: SourcePath; via: string } | null {
    const caller = this.#byPath.get(by) ?? this.#program
    const before = this.#objects.length
    const object = this.#load(name, caller)
    if (!object) return null
    this.#loadFrom(before)
    return { path: object.file.path, via: object.via ?? 'already loaded' }
  }

  /** What the object at `by` finds for `name` by its own search, whatever is loaded already. */
  ownChoice(name: string, by: SourcePath): { path: SourcePath; opened: string; via: string } | null {
    const caller = this.#byPath.get(by)
    const found = caller && this.#search(name, caller)
    return found ? { path: found.file.path, opened: found.opened, via: found.via } : null
  }

  /** The directories that the object at `by` names itself, by its RUNPATH or else its RPATH. */
  directoriesOf(by: SourcePath): readonly string[] {
    const object = this.#byPath.get(by)
    return object ? ownDirectories(object.file.facts, object.opened, this.#settings.lib) : []
  }

  #loadFrom(start: number): void {
    for (let i = start; i < this.#objects.length; i++) {
      const object = this.#objects[i]!
      const unread = [object]
      for (let next = unread.pop(); next !== undefined; next = unread.pop()) {
        for (const needed of next.file.facts.needed)
          if (!this.#load(needed.value, next)) this.missing.push({ name: needed.value, by: next.file.path })
        unread.push(...this.#loadCompanions(next).reverse())
      }
      if (this.#objects[i] !== object) i = this.#objects.indexOf(object, i)
    }
  }

  /** Those of them that are new, which come before the object that asks for them. musl knows none. */
  #loadCompanions(object: Loaded): Loaded[] {
    const loaded: Loaded[] = []
    for (const { kind, value } of this.#settings.inheritsRunpath ? [] : object.file.facts.companions) {
      // What watches is in a namespace of its own.
      if (kind === 'audit') continue
      const before = this.#objects.length
      const companion = this.#load(value, object)
      if (companion === null && kind === 'filter') this.missing.push({ name: value, by: object.file.path })
      if (companion === null || this.#objects.length === before) continue
      this.#objects.pop()
      this.#objects.splice(this.#objects.indexOf(object), 0, companion)
      loaded.push(companion)
    }
    return loaded
  }

  #load(asked: string, by: Loaded): Loaded | null {
    // Names are compared with $ORIGIN filled in: the same text means another file in another directory.
    const name = this.#expand(asked, by)
    const known = this.#isLoader(name) ? this.#byPath.get(this.#loader.path) : this.#byName.get(name)
    if (known) return this.#appear(known)
    const found = this.#search(name, by)
    if (!found) return null
    const same = this.#byPath.get(found.file.path)
    if (same) {
      this.#byName.set(name, same)
      return this.#appear(same)
    }
    const object: Loaded = { opened: found.opened, file: found.file, name: asked, by, via: found.via }
    this.#objects.push(object)
    this.#register(object, name)
    return object
  }

  /** musl's loader is its C library, by whatever name of that it is asked for (dynlink.c, load_library). */
  #isLoader(name: string): boolean {
    return this.#settings.inheritsRunpath && /^lib(?:c|pthread|rt|m|dl|util|xnet)\./.test(name)
  }

  /** The loader is mapped from the start, but joins the list of dependencies where it is first needed. */
  #appear(object: Loaded): Loaded {
    if (object.file === this.#loader && !this.#objects.includes(object)) this.#objects.push(object)
    return object
  }

  #register(object: Loaded, name: string | null): void {
    this.#byPath.set(object.file.path, object)
    const names = [
      name,
      object.name === null && object.by === null ? null : object.opened,
      object.file.facts.soname?.value,
    ]
    for (const n of names) if (n !== null && n !== undefined && !this.#byName.has(n)) this.#byName.set(n, object)
  }

  #search(name: string, by: Loaded): Found | null {
    if (name.includes('/')) return this.#try(this.#expand(name, by), 'path')
    const facts = by.file.facts
    if (this.#settings.inheritsRunpath) {
      for (let from: Loaded | null = by; from !== null; from = from.by) {
        const path = from.file.facts.runpath ?? from.file.facts.rpath
        const found = path && this.#tryAll(path.value, name, from, path === from.file.facts.rpath ? 'RPATH' : 'RUNPATH')
        if (found) return found
      }
    } else if (facts.runpath === null) {
      for (let from: Loaded | null = by; from !== null; from = from.by) {
        const found = this.#tryRpath(from, name)
        if (found) return found
      }
      // An object that was not loaded on behalf of the program (dlopen from outside the chain) still gets its RPATH.
      const found = this.#tryRpath(this.#program, name)
      if (found) return found
    } else {
      const found = this.#tryAll(facts.runpath.value, name, by, 'RUNPATH')
      if (found) return found
    }
    const { directories, cache } = this.#settings
    const noDefault = (facts.flags1 & DF_1.nodeflib) !== 0
    for (const path of cache.get(name) ?? []) {
      // The cache holds other directories too (ld.so.conf), and those still count.
      if (noDefault && directories.some(directory => path.startsWith(`${directory}/`))) continue
      const found = this.#try(path, 'ld.so.cache')
      if (found) return found
    }
    if (noDefault) return null
    for (const directory of directories) {
      const found = this.#try(`${directory}/${name}`, 'default')
      if (found) return found
    }
    return null
  }

  #tryRpath(from: Loaded, name: string): Found | null {
    const { rpath, runpath } = from.file.facts
    return rpath && !runpath ? this.#tryAll(rpath.value, name, from, 'RPATH') : null
  }

  #tryAll(path: string, name: string, owner: Loaded, rule: string): Found | null {
    // An empty element and a relative one mean the current directory: nothing that a file can promise.
    for (const [i, element] of path.split(':').entries()) {
      const directory = this.#expand(element, owner)
      const found = directory.startsWith('/') ? this.#try(`${directory}/${name}`, `${rule}[${i}]`) : null
      if (found) return found
    }
    return null
  }

  #try(path: string, via: string): Found | null {
    if (!path.startsWith('/')) return null
    const opened = normalizePath(path)
    const file = this.#disk.open(opened)
    if (!file || !sameMachine(file.facts, this.#program.file.facts) || file.facts.type !== ET.dyn) return null
    return { opened, via, file }
  }

  #expand(text: string, owner: Loaded): string {
    return expand(text, owner.file.facts, owner.opened, this.#settings.lib)
  }
}

/**
 * The directories that an object names itself, by its RUNPATH or else its RPATH, as the loader reads them.
 * @param opened the path by which it was opened
 * @param lib what `$LIB` stands for
 */
export const ownDirectories = (facts: ElfFacts, opened: string, lib: string): string[] =>
  ((facts.runpath ?? facts.rpath)?.value.split(':') ?? [])
    .map(element => expand(element, facts, opened, lib))
    .filter(directory => directory.startsWith('/'))

/** A text with what `$ORIGIN`, `$LIB` and `$PLATFORM` stand for (ld.so(8), "Dynamic string tokens"). */
function expand(text: string, { arch }: ElfFacts, opened: string, lib: string): string {
  if (!text.includes('$')) return text
  const origin = opened.slice(0, opened.lastIndexOf('/')) || '/'
  return text.replace(/\$(?:\{(ORIGIN|LIB|PLATFORM)\}|(ORIGIN|LIB|PLATFORM)(?![A-Za-z0-9_]))/g, (_, a, b) => {
    const token = a ?? b
    return token === 'ORIGIN' ? origin : token === 'LIB' ? lib : platformName(arch)
  })
}

/** Whether one process can hold both files: class, byte order, machine and, where both tell it, calling convention agree. */
export const sameMachine = (a: ElfFacts, b: ElfFacts): boolean =>
  a.class === b.class &&
  a.little === b.little &&
  a.machine === b.machine &&
  (a.abi === b.abi || a.abi === null || b.abi === null)

/** Without empty and `.` components. `..` stays: behind a symbolic link it is not what it looks like. */
const normalizePath = (path: string): string => path.replace(/\/(?:\.?(?:\/|$))+/g, '/')
