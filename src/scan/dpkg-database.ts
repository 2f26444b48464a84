/**
 * dpkg's own database, as it lies there, read once while what is learnt is remembered (dpkg(1), FILES: /var/lib/dpkg/status; deb(5) for its fields;
 * info/*.list has a path a line).
 */
import { asked, list, readText, stat } from '../io/store.ts'
import type { SourcePath } from '../paths.ts'

const ADMIN = '/var/lib/dpkg'

/** An installed package. */
export interface DebianPackage {
  readonly name: string
  readonly version: string
  readonly arch: string | null
  /** That it is built of, where that is called otherwise. */
  readonly source: string | null
  /** What it needs when it runs: of each group one, by names without versions. */
  readonly depends: readonly (readonly string[])[]
  readonly provides: readonly string[]
  /** The name of its list of files. */
  readonly list: string
}

export class DpkgDatabase {
  readonly #info: string
  readonly #files = new Map<string, readonly string[]>()
  /** By name, of several for several CPUs the first. */
  readonly #byName = new Map<string, DebianPackage>()
  readonly packages: readonly DebianPackage[]

  /** The database of this machine, or below another directory (--admindir); null where there is none. */
  static at(admin = ADMIN): DpkgDatabase | null {
    return asked(DpkgDatabase.#read, admin)
  }

  static readonly #read = (admin: string): DpkgDatabase | null => {
    const isThere = stat(`${admin}/info`)?.type === 'directory' && stat(`${admin}/status`)?.type === 'file'
    return isThere ? new DpkgDatabase(admin) : null
  }

  private constructor(admin: string) {
    this.#info = `${admin}/info`
    const lists = new Map(
      list(this.#info)
        .filter(name => name.endsWith('.list'))
        .flatMap(name => [name, name.replace(/(?::[^:]+)?\.list$/, '')].map(key => [key, name] as const)),
    )
    this.packages = readText(`${admin}/status`)
      .split('\n\n')
      .flatMap(paragraph => packageIn(paragraph, lists) ?? [])
    for (const installed of this.packages)
      for (const name of [installed.name, ...installed.provides])
        if (!this.#byName.has(name)) this.#byName.set(name, installed)
  }

  /** The package of a name, or one that stands for it. */
  named(name: string): DebianPackage | null {
    return this.#byName.get(name) ?? null
  }

  /** Files and directories of a package, as it has them: on a merged /usr some in /bin and /lib. */
  filesOf({ list }: DebianPackage): readonly string[] {
    const read = this.#files.get(list) ?? readText(`${this.#info}/${list}`).split('\n')
    this.#files.set(list, read)
    return read
  }

  /** The first package that has each of some files; those that none has are left out. @param paths real paths */
  ownersOf(paths: readonly SourcePath[]): Map<SourcePath, DebianPackage> {
    const wanted = new Map(paths.flatMap(path => spellings(path).map(s => [s, path] as const)))
    const owners = new Map<SourcePath, DebianPackage>()
    if (wanted.size === 0) return owners
    for (const installed of this.packages)
      for (const line of this.filesOf(installed)) {
        const path = wanted.get(line)
        if (path !== undefined && !owners.has(path)) owners.set(path, installed)
      }
    return owners
  }

  /** A package and all that it needs, and what those need. */
  needsOf(first: readonly DebianPackage[]): DebianPackage[] {
    const found = new Set(first)
    // What is added on the way is iterated over too.
    for (const { depends } of found)
      for (const group of depends) {
        const one = group.map(name => this.named(name)).find(other => other !== null)
        if (one) found.add(one)
      }
    return [...found]
  }
}

/**
 * What a paragraph of the database says; null for what is not installed, or is no package.
 * @param lists by their own names, and by those of packages
 */
function packageIn(paragraph: string, lists: ReadonlyMap<string, string>): DebianPackage | null {
  const field = (name: string): string | null => new RegExp(`^${name}: (.*)$`, 'm').exec(paragraph)?.[1] ?? null
  const [name, arch] = [field('Package'), field('Architecture')]
  if (name === null || !/^Status: .* installed$/m.test(paragraph)) return null
  const file = lists.get(`${name}:${arch}.list`) ?? lists.get(name)
  if (file === undefined) return null
  const source = field('Source')?.split(' ')[0] ?? name
  const groups = [field('Pre-Depends'), field('Depends')].flatMap(value => value?.split(',') ?? [])
  return {
    name,
    version: field('Version') ?? '',
    arch,
    source: source === name ? null : source,
    depends: groups.map(group => group.split('|').map(bare)),
    provides: field('Provides')?.split(',').map(bare) ?? [],
    list: file,
  }
}

/** The source that a package is built of. */
export const sourceOf = ({ name, source }: DebianPackage): string => source ?? name

/** `libc6` of `libc6:any (>= 2.36)`. */
const bare = (text: string): string => /^[^\s:(]*/.exec(text.trim())![0]

/** On a merged /usr packages have files in /bin and /lib that lie in /usr. */
export const spellings = (path: SourcePath): string[] => [
  ...new Set([path, path.replace(/^\/usr\/(?=s?bin\/|lib(?:x?32|64)?\/)/, '/')]),
]
