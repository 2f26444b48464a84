/**
 * Which file dyld takes for each name: a model of dyld's Loader.cpp and JustInTimeLoader.cpp (read in dyld-1378) over a
 * disk that is handed in. Nothing is executed.
 *
 * In short: an image's libraries are all loaded, in order, before those that the first of them needs. A name that a
 * loaded image goes by, which is its path and its LC_ID_DYLIB, is that image; so is another path of the same file. Else
 * `@executable_path` is the program's directory, `@loader_path` that of the image whose load command it stands in
 * (LC_RPATH included), and `@rpath` is each LC_RPATH of that image, then of the image that loaded that one, and so on up
 * to the program: **what a library finds depends on the chain that led to it**, and the first chain decides for the
 * process. dyld knows images by their real paths: a symbolic link's directory is never `@loader_path`. What is not
 * there, or has no slice for this CPU, is passed over.
 *
 * The libraries of macOS lie in the shared cache and mostly on no disk. So `/usr/lib` and `/System` are never looked
 * at: such a name is `system`. Where `@rpath` may mean a system directory or another one (`/usr/lib/swift` first, as
 * Swift's compiler writes), a file that is there wins.
 *
 * Left out: DYLD_* of the environment and of LC_DYLD_ENVIRONMENT, the fallback directories that programs built before
 * 2022 have (`/usr/local/lib`), and frameworks whose install name lacks `/Versions/A`. A relative name means the current
 * directory: nothing that a file can promise. dyld no longer loads LC_LAZY_LOAD_DYLIB at launch; here it counts.
 */
import { malformed } from '../io/bytes.ts'
import type { SourcePath } from '../paths.ts'
import { CPU, MH, SUBTYPE_MASK } from './constants.ts'
import type { Dylib, MachOFacts, MachOSlice } from './facts.ts'

/** A file as dyld sees it. */
export interface MachOFile {
  /** With all symbolic links resolved. */
  readonly path: SourcePath
  readonly facts: MachOFacts
}

/** What the model asks of a file system. */
export interface MachODisk {
  /** The Mach-O file at an absolute path, which may hold `..` and links; null when there is none. */
  open(path: string): MachOFile | null
}

/** One image of a process. */
export interface LoadedImage {
  readonly path: SourcePath
  readonly slice: MachOSlice
  /** The name that it was first asked for by, and by whom; null for the program. */
  readonly name: string | null
  readonly by: SourcePath | null
}

/** What became of one wish for a library. */
export interface Resolution {
  readonly by: SourcePath
  readonly dylib: Dylib
  /** A file; `system` for what macOS brings along; null for what is missing, an error unless the wish is weak. */
  readonly to: SourcePath | 'system' | null
  /** `path`, `@loader_path`, `@executable_path`, `LC_RPATH[1]`, `loaded` (it goes by that name); null when missing. */
  readonly via: string | null
  /** The image whose LC_RPATH it was; null for other rules. */
  readonly owner: SourcePath | null
  /** The paths that were looked at in vain, at most TRIED_MAX. */
  readonly tried: readonly string[]
}

/** What dyld does for one program on one CPU. */
export interface MachOLinkMap {
  readonly program: SourcePath
  readonly arch: string
  /** In load order. */
  readonly images: readonly LoadedImage[]
  /** By image in the order in which they are visited, then by load command. */
  readonly resolutions: readonly Resolution[]
}

const TRIED_MAX = 32

/** LC_RPATHs that one process may be searched by, and paths tried; hundreds of libraries take a thousandth of it. */
const STEPS_MAX = 50_000_000
/** What a path that is tried counts for. */
const TRY = 50

/** What dyld never looks for on the disk. */
export const isSystem = (path: string): boolean => /^\/(?:usr\/lib|System)\//.test(path)

/** The slice that a process of this CPU maps; null when there is none. */
export function sliceFor(
  facts: MachOFacts,
  { cputype, cpusubtype }: Pick<MachOSlice, 'cputype' | 'cpusubtype'>,
): MachOSlice | null {
  const wanted = cpusubtype & SUBTYPE_MASK
  const same = facts.slices.filter(s => s.cputype === cputype)
  const exact = same.find(s => (s.cpusubtype & SUBTYPE_MASK) === wanted)
  // x86_64 and x86_64h, arm64 for all and for v8, run beside each other; arm64e and arm64 do not.
  const compatible = (subtype: number): boolean =>
    (cputype === CPU.x86_64 && subtype !== wanted) || (cputype === CPU.arm64 && subtype < 2 && wanted < 2)
  return exact ?? same.find(s => compatible(s.cpusubtype & SUBTYPE_MASK)) ?? null
}

/**
 * Loads a program, or a library or bundle as if by itself, and all that it needs.
 * @param slice of `program`
 * @throws BundleError('malformed') when LC_RPATHs and names are more than any linker's doing
 * @param executable whose directory is `@executable_path`, and whose LC_RPATHs are asked last; null when no program is
 * known: names that need one are then missing
 */
export function loadImages(
  program: MachOFile,
  slice: MachOSlice,
  disk: MachODisk,
  executable: SourcePath | null = slice.filetype === MH.execute ? program.path : null,
): MachOLinkMap {
  const process = new MachOProcess(program, slice, disk, executable)
  return { program: program.path, arch: slice.arch, images: process.images, resolutions: process.resolutions }
}

/** A wish that is answered differently in different processes. */
export interface Difference {
  readonly by: SourcePath
  readonly name: string
  readonly choices: readonly { readonly program: SourcePath; readonly arch: string; readonly to: Resolution['to'] }[]
}

/** The wishes of one image of one CPU for which the chain, so the program, makes a difference; by image and name. */
export function differences(maps: readonly MachOLinkMap[]): Difference[] {
  const wishes = new Map<string, { by: SourcePath; name: string; choices: Difference['choices'][number][] }>()
  for (const { program, arch, resolutions } of maps)
    for (const { by, dylib, to } of resolutions) {
      const name = dylib.name.value
      const key = `${by}\0${name}\0${arch}`
      const wish = wishes.get(key) ?? { by, name, choices: [] }
      wish.choices.push({ program, arch, to })
      wishes.set(key, wish)
    }
  return [...wishes]
    .filter(([, { choices }]) => choices.some(c => c.to !== choices[0]!.to))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, wish]) => wish)
}

/** The images that led to one, this one first. */
interface Chain {
  readonly image: Image
  readonly previous: Chain | null
}

interface Image extends LoadedImage {
  /** Its LC_RPATHs with their directories, filled in; null for a relative one. */
  readonly rpaths: readonly (string | null)[]
}

/** A path to be tried. */
interface Candidate {
  readonly path: string
  readonly via: string
  readonly owner: SourcePath | null
}

type Found = Pick<Resolution, 'to' | 'via' | 'owner' | 'tried'> & { readonly image: Image | null }

class MachOProcess {
  readonly images: Image[] = []
  readonly resolutions: Resolution[] = []
  readonly #disk: MachODisk
  readonly #cpu: MachOSlice
  readonly #executable: SourcePath | null
  readonly #byName = new Map<string, Image>()
  readonly #byPath = new Map<SourcePath, Image>()
  #steps = 0

  constructor(program: MachOFile, slice: MachOSlice, disk: MachODisk, executable: SourcePath | null) {
    this.#disk = disk
    this.#cpu = slice
    this.#executable = executable
    this.#loadAll({ image: this.#add(program.path, slice, null, null), previous: this.#opener(program) })
  }

  /** The program that opens what is loaded by itself: its LC_RPATHs are asked too, as in dlopen. */
  #opener(opened: MachOFile): Chain | null {
    if (this.#executable === null || this.#executable === opened.path) return null
    const program = this.#disk.open(this.#executable)
    const slice = program && sliceFor(program.facts, this.#cpu)
    if (!program || !slice) return null
    const rpaths = slice.rpaths.map(rpath => this.#directory(rpath.value, program.path))
    return { image: { path: program.path, slice, name: null, by: null, rpaths }, previous: null }
  }

  /** dyld recurses; a stack of our own has no end. */
  #loadAll(first: Chain): void {
    const visited = new Set<Image>()
    const stack = [first]
    for (let chain = stack.pop(); chain; chain = stack.pop()) {
      const { image } = chain
      if (visited.has(image)) continue
      visited.add(image)
      const loaded: Chain[] = []
      for (const dylib of image.slice.dylibs) {
        const { image: found, to, via, owner, tried } = this.#find(dylib.name.value, chain)
        this.resolutions.push({ by: image.path, dylib, to, via, owner, tried })
        if (found) loaded.push({ image: found, previous: chain })
      }
      stack.push(...loaded.reverse())
    }
  }

  #add(path: SourcePath, slice: MachOSlice, name: string | null, by: SourcePath | null): Image {
    const rpaths = slice.rpaths.map(rpath => this.#directory(rpath.value, path))
    const image: Image = { path, slice, name, by, rpaths }
    this.images.push(image)
    this.#byPath.set(path, image)
    for (const known of [path, slice.filetype === MH.dylib ? slice.id?.value : undefined])
      if (known !== undefined && !this.#byName.has(known)) this.#byName.set(known, image)
    return image
  }

  #find(name: string, chain: Chain): Found {
    const by = chain.image.path
    const known = name.startsWith('@rpath/') || name.startsWith('/') ? this.#byName.get(name) : undefined
    if (known) return { image: known, to: known.path, via: 'loaded', owner: null, tried: [] }
    const tried: string[] = []
    this.#spend(TRY, by)
    let system: Candidate | null = null
    for (const candidate of this.#candidates(name, chain)) {
      const { path, via, owner } = candidate
      if (isSystem(path)) {
        system ??= candidate
        continue
      }
      const image = this.#byName.get(path) ?? this.#open(path, name, by)
      if (image) return { image, to: image.path, via, owner, tried }
      if (tried.length < TRIED_MAX) tried.push(path)
    }
    return system
      ? { image: null, to: 'system', via: system.via, owner: system.owner, tried }
      : { image: null, to: null, via: null, owner: null, tried }
  }

  #open(path: string, name: string, by: SourcePath): Image | null {
    const file = this.#disk.open(path)
    if (!file) return null
    const loaded = this.#byPath.get(file.path)
    if (loaded) return loaded
    const slice = sliceFor(file.facts, this.#cpu)
    return slice?.filetype === MH.dylib ? this.#add(file.path, slice, name, by) : null
  }

  *#candidates(name: string, chain: Chain): Generator<Candidate> {
    if (!name.startsWith('@rpath/')) {
      const path = this.#directory(name, chain.image.path)
      const via = name.startsWith('@') ? name.slice(0, name.indexOf('/')) : 'path'
      if (path !== null) yield { path, via, owner: null }
      return
    }
    const seen = new Set<string>()
    for (let link: Chain | null = chain; link !== null; link = link.previous)
      for (const [i, directory] of link.image.rpaths.entries()) {
        this.#spend(1, chain.image.path)
        if (directory === null || seen.has(directory)) continue
        seen.add(directory)
        this.#spend(TRY, chain.image.path)
        yield { path: `${directory}${name.slice(6)}`, via: `LC_RPATH[${i}]`, owner: link.image.path }
      }
  }

  #spend(steps: number, path: SourcePath): void {
    this.#steps += steps
    if (this.#steps > STEPS_MAX) throw malformed(path, 'LC_RPATHs and names of libraries lead to too many paths')
  }

  /** A path with `@loader_path` or `@executable_path` filled in, without a slash at its end; null unless absolute. */
  #directory(text: string, loader: SourcePath): string | null {
    const [, token, rest = ''] = /^(@loader_path|@executable_path)((?:\/.*)?)$/s.exec(text) ?? []
    const base = token === '@loader_path' ? loader : token ? this.#executable : null
    if (token && base === null) return null
    const path = base === null ? text : `${base.slice(0, base.lastIndexOf('/'))}${rest}`
    return path.startsWith('/') ? path.replace(/\/+$/, '') : null
  }
}
