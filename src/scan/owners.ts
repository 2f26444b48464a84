/**
 * Of which package of a machine a file is, by the database of its package manager: dpkg's (deb(5)) and apk's (apk(5)) are
 * read as they lie there, rpm is asked.
 */
import { BundleError } from '../errors.ts'
import { readText, stat } from '../io/store.ts'
import { runTool } from '../io/tool.ts'
import type { MachinePackage } from '../model/machine.ts'
import { storePathOf } from '../nix/store-path.ts'
import { fromText, type SourcePath } from '../paths.ts'
import { dpkgOwners } from './dpkg.ts'
import { spellings } from './dpkg-database.ts'

/** @param root of the machine's files, for tests: its databases lie below it */
export async function ownersOf(all: readonly SourcePath[], root = ''): Promise<Map<SourcePath, MachinePackage>> {
  const paths = all.filter(path => storePathOf(path) === null)
  if (paths.length === 0) return new Map()
  const distro = distroIn(textOf(`${root}/etc/os-release`) ?? textOf(`${root}/usr/lib/os-release`) ?? '')
  const found = new Map<SourcePath, Omit<MachinePackage, 'distro'>>([
    ...dpkgOwners(paths, `${root}/var/lib/dpkg`),
    ...apkOwners(paths, textOf(`${root}/lib/apk/db/installed`) ?? textOf(`${root}/usr/lib/apk/db/installed`) ?? ''),
  ])
  const left = paths.filter(path => !found.has(path))
  for (const [path, owner] of await rpmOwners(left, root)) found.set(path, owner)
  return new Map([...found].map(([path, owner]) => [path, { ...owner, distro }]))
}

const textOf = (path: string): string | null => (stat(path)?.type === 'file' ? readText(path) : null)

/** `debian-12` of what os-release(5) says. */
function distroIn(text: string): string | null {
  const field = (name: string): string | null => new RegExp(`^${name}=["']?([\\w.+~-]*)`, 'm').exec(text)?.[1] || null
  const [id, version] = [field('ID'), field('VERSION_ID')]
  return id === null ? null : version === null ? id : `${id}-${version}`
}

/** In apk's database a paragraph is a package: letters with a colon; F: names a directory, R: a file in it. */
function apkOwners(paths: readonly SourcePath[], installed: string): Map<SourcePath, Omit<MachinePackage, 'distro'>> {
  const wanted = new Map(paths.flatMap(path => spellings(path).map(s => [s, path] as const)))
  const owners = new Map<SourcePath, Omit<MachinePackage, 'distro'>>()
  if (installed === '') return owners
  for (const paragraph of installed.split('\n\n')) {
    const fields = new Map<string, string>()
    const files: SourcePath[] = []
    let directory = ''
    for (const line of paragraph.split('\n')) {
      const [key, value] = [line.slice(0, 2), fromText(line.slice(2))]
      if (key === 'F:') directory = value
      else if (key === 'R:') {
        const path = wanted.get(`/${directory === '' ? '' : `${directory}/`}${value}`)
        if (path !== undefined) files.push(path)
      } else if (!fields.has(key)) fields.set(key, line.slice(2))
    }
    const [name, version] = [fields.get('P:'), fields.get('V:')]
    if (name === undefined || version === undefined) continue
    const origin = fields.get('o:') ?? name
    const owner = { manager: 'apk', name, version, arch: fields.get('A:') ?? null } as const
    for (const path of files) owners.set(path, { ...owner, source: origin === name ? null : origin })
  }
  return owners
}

/** Where rpm has its database, if there is one. */
const RPM_DATABASES = ['/var/lib/rpm', '/usr/lib/sysimage/rpm']
const RPM_FORMAT = '%{NAME}\\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\\t%{ARCH}\\t%{SOURCERPM}\\n'
/** Files that rpm is asked of; each takes some 20 ms. */
const RPM_MAX = 2000

async function rpmOwners(
  paths: readonly SourcePath[],
  root: string,
): Promise<Map<SourcePath, Omit<MachinePackage, 'distro'>>> {
  const owners = new Map<SourcePath, Omit<MachinePackage, 'distro'>>()
  const database = RPM_DATABASES.map(path => `${root}${path}`).find(path =>
    ['rpmdb.sqlite', 'Packages', 'Packages.db'].some(name => stat(`${path}/${name}`) !== null),
  )
  if (database === undefined) return owners
  try {
    for (const path of paths.slice(0, RPM_MAX)) {
      const text = Buffer.from(path, 'latin1').toString('utf8')
      // The first that has it, of several of one name for several CPUs.
      const asked = ['-q', '--dbpath', database, '--qf', RPM_FORMAT, '-f', text]
      const { code, stdout } = await runTool('rpm', asked)
      const [name, version, arch, source] = code === 0 ? stdout.split('\n')[0]!.split('\t') : []
      if (!name || !version || arch === undefined) continue
      const built = /^(.+)-[^-]+-[^-]+\.(?:no)?src\.rpm$/.exec(source ?? '')?.[1] ?? name
      owners.set(path, { manager: 'rpm', name, version, arch, source: built === name ? null : built })
    }
  } catch (error) {
    // A database of a machine that was, and no rpm to read it.
    if (!(error instanceof BundleError) || error.code !== 'tool-missing') throw error
  }
  return owners
}
