/** What Debian's package manager says belongs to programs of this machine. */
import { lstat, stat } from '../io/store.ts'
import type { MachinePackage } from '../model/machine.ts'
import { baseName, type SourcePath } from '../paths.ts'
import { type DebianPackage, DpkgDatabase, sourceOf, spellings } from './dpkg-database.ts'
import { inRealDirectory } from './holdings.ts'

/** A program's package, and those that are built with it: `python3.11-minimal` and `libpython3.11-stdlib`. */
export interface Owned {
  /** With the program's own first. */
  readonly packages: readonly string[]
  /** Files below /usr/lib, /usr/share and /usr/libexec that a program may read when it runs. */
  readonly data: readonly string[]
}

/** What people and other programs read of a package; libraries come along by their names. */
const NOT_READ =
  /^\/usr\/share\/(?:doc|doc-base|man|info|locale|lintian|bug|bash-completion|zsh|fish|applications|icons|pixmaps|menu|metainfo|apport|gdb|reportbug|gtk-doc|debianutils|binfmts|systemtap|application-registry|mime-info)\/|^\/usr\/lib\/(?:mime|debug|systemd|sysusers\.d|tmpfiles\.d|binfmt\.d|udev)\/|^\/usr\/lib\/(?:[^/]+\/)?(?:pkgconfig|cmake)\/|^\/usr\/lib\/(?:[^/]+\/)?[^/]+\.(?:so(?:\.[^/]*)?|a|la)$/
const READ = /^\/usr\/(?:lib|share|libexec)\//
const isRead = (file: string): boolean => READ.test(file) && !NOT_READ.test(file)

/** Programs of a package, and its configuration. */
const ITS_OWN = /^(?:\/usr)?\/(?:s?bin|games)\/|^\/etc\//
/** What every program has and does without, and what packages are installed by. */
const EVERYWHERE = /^(?:glibc|gcc-\d+|dpkg|debconf|base-files)$/

/**
 * What belongs to each of some programs; those that no package has are left out.
 * @param paths real paths
 * @param admin dpkg's directory (--admindir)
 */
export function dpkgOwned(paths: readonly SourcePath[], admin?: string): Map<SourcePath, Owned> {
  const wanted = paths.filter(path => IN_PACKAGES.test(path))
  const database = wanted.length === 0 ? null : DpkgDatabase.at(admin)
  const owned = new Map<SourcePath, Owned>()
  for (const [path, owner] of database?.ownersOf(wanted) ?? []) {
    const all = builtWith(database!, owner)
    const own = spellings(path)
    const data = all.flatMap(one => database!.filesOf(one)).filter(file => isRead(file) && !own.includes(file))
    owned.set(path, {
      packages: [...new Set(all.map(({ name }) => name))],
      data: [...new Set(data)].filter(f => stat(f)?.type === 'file').sort(),
    })
  }
  return owned
}

/**
 * All that a program's package, those that are built with it, and those that they need have for a program that runs: data,
 * and of the former programs and configuration too. Sorted; files, and links that lead somewhere, in real directories.
 * @param path a real path
 */
export function dpkgBrings(path: SourcePath, admin?: string): SourcePath[] {
  const database = IN_PACKAGES.test(path) ? DpkgDatabase.at(admin) : null
  const own = database?.ownersOf([path]).get(path)
  if (!database || !own) return []
  const first = builtWith(database, own)
  const needed = database.needsOf(first).filter(one => !EVERYWHERE.test(sourceOf(one)) || first.includes(one))
  const files = needed.flatMap(one => {
    const isFirst = first.includes(one)
    return database.filesOf(one).filter(file => isRead(file) || (isFirst && ITS_OWN.test(file)))
  })
  const there = files.filter(file => stat(file) !== null).map(inRealDirectory)
  // Directories are there by what lies in them; a link may lead to one.
  return [...new Set(there)].filter(file => lstat(file)?.type !== 'directory' && stat(file)?.type !== 'special').sort()
}

/** A package with those of the same source, its own first. */
const builtWith = ({ packages }: DpkgDatabase, own: DebianPackage): DebianPackage[] => [
  own,
  ...packages.filter(one => one !== own && sourceOf(one) === sourceOf(own) && !FOR_PEOPLE.test(one.name)),
]

/**
 * The installed package that each of some files is of; those that none has are left out.
 * @param paths real paths
 * @param admin dpkg's directory (--admindir)
 */
export function dpkgOwners(
  paths: readonly SourcePath[],
  admin?: string,
): Map<SourcePath, Omit<MachinePackage, 'distro'>> {
  const owners = DpkgDatabase.at(admin)?.ownersOf(paths) ?? new Map<SourcePath, DebianPackage>()
  return new Map(
    [...owners].map(([path, { name, version, arch, source }]) => [
      path,
      { manager: 'deb', name, version, arch, source },
    ]),
  )
}

/** Where packages have their programs. */
const IN_PACKAGES = /^\/(?:usr\/(?!local\/)|s?bin\/|opt\/)/
/** What is made for developing with a package, or for reading of it. */
const FOR_PEOPLE = /-(?:dev|doc|man|dbg|dbgsym|common-dev|jdk|jdk-headless)$/

/** Directories that hold the files, few and telling: `/usr/lib/python3.11`, `/usr/lib/x86_64-linux-gnu/perl-base`. */
export function directoriesOf(files: readonly string[]): string[] {
  const cut = files.map(file => {
    const parts = file.split('/')
    const depth = /-linux-/.test(parts[3] ?? '') ? 5 : 4
    return parts.length > depth ? parts.slice(0, depth).join('/') : file
  })
  return [...new Set(cut)].filter(path => baseName(path) !== '')
}
