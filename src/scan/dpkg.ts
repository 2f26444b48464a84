/**
 * What Debian's package manager says belongs to programs of this machine: dpkg's own database, read as it lies there
 * (dpkg(1), FILES: /var/lib/dpkg/status; deb(5) for its fields; info/*.list has a path a line).
 */
import { list, readText, stat } from '../io/store.ts'
import type { MachinePackage } from '../model/machine.ts'
import { baseName, type SourcePath } from '../paths.ts'

const ADMIN = '/var/lib/dpkg'

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

/**
 * What belongs to each of some programs; those that no package has are left out.
 * @param paths real paths
 * @param admin dpkg's directory (--admindir)
 */
export function dpkgOwned(paths: readonly SourcePath[], admin = ADMIN): Map<SourcePath, Owned> {
  const owned = new Map<SourcePath, Owned>()
  const info = `${admin}/info`
  const wanted = new Map(
    paths.filter(path => IN_PACKAGES.test(path)).flatMap(path => spellings(path).map(n => [n, path])),
  )
  if (wanted.size === 0 || stat(info)?.type !== 'directory' || stat(`${admin}/status`)?.type !== 'file') return owned
  const lists = list(info).filter(name => name.endsWith('.list'))
  const filesOf = (name: string): string[] => readText(`${info}/${name}`).split('\n')
  const sources = sourcesOf(readText(`${admin}/status`))
  for (const own of lists) {
    for (const file of filesOf(own)) {
      const path = wanted.get(file)
      if (path === undefined || owned.has(path)) continue
      const source = sources.get(packageOf(own)) ?? packageOf(own)
      const isSibling = (name: string): boolean =>
        name !== own && sources.get(packageOf(name)) === source && !FOR_PEOPLE.test(packageOf(name))
      const all = [own, ...lists.filter(isSibling)]
      const data = all.flatMap(filesOf).filter(f => READ.test(f) && !NOT_READ.test(f) && wanted.get(f) !== path)
      owned.set(path, {
        packages: [...new Set(all.map(packageOf))],
        data: [...new Set(data)].filter(f => stat(f)?.type === 'file').sort(),
      })
    }
  }
  return owned
}

/**
 * The installed package that each of some files is of; those that none has are left out.
 * @param paths real paths
 * @param admin dpkg's directory (--admindir)
 */
export function dpkgOwners(
  paths: readonly SourcePath[],
  admin = ADMIN,
): Map<SourcePath, Omit<MachinePackage, 'distro'>> {
  const owners = new Map<SourcePath, Omit<MachinePackage, 'distro'>>()
  const info = `${admin}/info`
  if (stat(info)?.type !== 'directory' || stat(`${admin}/status`)?.type !== 'file') return owners
  const installed = new Map<string, Omit<MachinePackage, 'distro'>>()
  for (const paragraph of readText(`${admin}/status`).split('\n\n')) {
    const field = (name: string): string | null => new RegExp(`^${name}: (.*)$`, 'm').exec(paragraph)?.[1] ?? null
    const [name, version, arch] = [field('Package'), field('Version'), field('Architecture')]
    if (name === null || version === null || !/^Status: .* installed$/m.test(paragraph)) continue
    const owner = { manager: 'deb', name, version, arch, source: field('Source')?.split(' ')[0] ?? null } as const
    installed.set(name, owner)
    installed.set(`${name}:${arch}`, owner)
  }
  const wanted = new Map(paths.flatMap(path => spellings(path).map(s => [s, path] as const)))
  for (const file of list(info)) {
    const owner = file.endsWith('.list') ? installed.get(file.slice(0, -'.list'.length)) : undefined
    if (owner === undefined) continue
    for (const line of readText(`${info}/${file}`).split('\n')) {
      const path = wanted.get(line)
      if (path !== undefined && !owners.has(path)) owners.set(path, owner)
    }
  }
  return owners
}

/** Where packages have their programs. */
const IN_PACKAGES = /^\/(?:usr\/(?!local\/)|s?bin\/|opt\/)/
/** What is made for developing with a package, or for reading of it. */
const FOR_PEOPLE = /-(?:dev|doc|man|dbg|dbgsym|common-dev|jdk|jdk-headless)$/

/** On a merged /usr packages have files in /bin and /lib that lie in /usr. */
export const spellings = (path: SourcePath): string[] => [
  ...new Set([path, path.replace(/^\/usr\/(?=s?bin\/|lib(?:x?32|64)?\/)/, '/')]),
]

const packageOf = (name: string): string => name.replace(/(?::[^:]+)?\.list$/, '')

/** The source of each package: its own name where the database names none. */
function sourcesOf(status: string): Map<string, string> {
  const sources = new Map<string, string>()
  for (const paragraph of status.split('\n\n')) {
    const name = /^Package: (\S+)/m.exec(paragraph)?.[1]
    if (name !== undefined && /^Status: .* installed$/m.test(paragraph))
      sources.set(name, /^Source: (\S+)/m.exec(paragraph)?.[1] ?? name)
  }
  return sources
}

/** Directories that hold the files, few and telling: `/usr/lib/python3.11`, `/usr/lib/x86_64-linux-gnu/perl-base`. */
export function directoriesOf(files: readonly string[]): string[] {
  const cut = files.map(file => {
    const parts = file.split('/')
    const depth = /-linux-/.test(parts[3] ?? '') ? 5 : 4
    return parts.length > depth ? parts.slice(0, depth).join('/') : file
  })
  return [...new Set(cut)].filter(path => baseName(path) !== '')
}
