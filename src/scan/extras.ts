/**
 * What is brought because it was asked for by kind, not because the program names it: licence texts (`--licenses`), and
 * data that programs look for in places of their packages where Nix has put nothing (`--with`). Part of stage 2.
 */

import { lstat, readLink, realPath, stat } from '../io/store.ts'
import type { Finding } from '../model/findings.ts'
import type { Brought, DataKind, Package } from '../model/graph.ts'
import { storePathOf } from '../nix/store-path.ts'
import type { SourcePath } from '../paths.ts'
import type { Reference } from '../references/reference.ts'
import { walkTree } from './tree.ts'

// ---- Licences ----------------------------------------------------------------------------------------------------

const LICENCE = /^(?:licen[cs]es?|copying|copyrights?|notice|patents|authors)(?:[._-].*)?$/i

/** The licence texts of packages, and a finding that names those without one. */
export function licences(packages: readonly Package[]): { brought: Brought[]; findings: Finding[] } {
  const brought: Brought[] = []
  const without: string[] = []
  for (const { root, name, hash } of packages) {
    const texts =
      hash === null ? [] : [...walkTree(root, () => true)].filter(m => m.type === 'file' && isLicence(m.path))
    if (texts.length === 0) without.push(name)
    const places = placesOf(texts.map(({ path }) => path.slice(root.length + 1)))
    for (const [i, { path }] of texts.entries())
      brought.push({ from: path, link: null, under: 'share/licenses', package: root, path: places[i]! })
  }
  const findings: Finding[] =
    without.length === 0
      ? []
      : [{ code: 'licence-missing', severity: 'warning', file: 'share/licenses', packages: without }]
  return { brought, findings }
}

/** Where the texts of a package go, by their paths in it: without the directories of licences, where that is unambiguous. */
function placesOf(paths: readonly string[]): readonly string[] {
  const short = paths.map(path => path.replace(/^share\/(?:licen[cs]es|doc)\/(?:[^/]+\/(?=.))?/, ''))
  const taken = new Set(short)
  const isDirectory = (path: string): boolean => short.some(other => other.startsWith(`${path}/`))
  return taken.size < short.length || short.some(isDirectory) ? paths : short
}

/** Whether a file is a licence text by its name, or by the directory of licences that it lies in. */
const isLicence = (path: string): boolean =>
  LICENCE.test(path.slice(path.lastIndexOf('/') + 1)) || /\/share\/licen[cs]es\//.test(path)

// ---- Data --------------------------------------------------------------------------------------------------------

interface Provision {
  /** Packages that have it, with the path in them. */
  readonly package: RegExp
  readonly path: string
  /** Where distributions have it. */
  readonly host: readonly string[]
  /** Paths in a package, as programs name them, and where below that path it is put. */
  readonly asked: RegExp
  readonly place: (asked: string) => string
  /** Its place where no package is asked for it, and the variable that names that place. */
  readonly own: string
  readonly variable: string
}

const PROVISIONS: Readonly<Record<DataKind, Provision>> = {
  // OPENSSLDIR: openssl/include/internal/cryptlib.h, X509_CERT_FILE.
  'ca-certificates': {
    package: /^nss-cacert-/,
    path: 'etc/ssl/certs/ca-bundle.crt',
    host: ['/etc/ssl/certs/ca-certificates.crt', '/etc/pki/tls/certs/ca-bundle.crt', '/etc/ssl/ca-bundle.pem'],
    asked: /^etc\/ssl(?:\/cert\.pem)?$/,
    place: () => 'etc/ssl/cert.pem',
    own: 'etc/ssl/certs/ca-bundle.crt',
    variable: 'SSL_CERT_FILE',
  },
  // glibc's locale/loadarchive.c and locale/findlocale.c: COMPLOCALEDIR.
  locales: {
    package: /^glibc-locales-/,
    path: 'lib/locale',
    host: ['/usr/lib/locale'],
    asked: /^(?:lib|share)\/locale(?:\/locale-archive)?$/,
    place: asked => asked.replace(/\/locale-archive$/, ''),
    own: 'lib/locale',
    variable: 'LOCPATH',
  },
  // glibc's time/tzfile.c: TZDEFDIR.
  tzdata: {
    package: /^tzdata-/,
    path: 'share/zoneinfo',
    host: ['/usr/share/zoneinfo'],
    asked: /^share\/zoneinfo$/,
    place: asked => asked,
    own: 'share/zoneinfo',
    variable: 'TZDIR',
  },
}

/**
 * Data of a kind, at every place where the bundle's objects look for it.
 * @param store store paths to take it from, the closure's first
 * @param references of all objects
 */
export function provide(
  kind: DataKind,
  store: Iterable<SourcePath>,
  references: Iterable<Reference>,
): { brought: Brought[]; findings: Finding[] } {
  const { package: named, path, host, asked, place, own, variable } = PROVISIONS[kind]
  const packages = [...store].filter(root => named.test(storePathOf(root)?.name ?? '')).map(root => `${root}/${path}`)
  const found = [...packages, ...host].find(candidate => stat(candidate) !== null)
  const file = `--with ${kind}`
  if (found === undefined)
    return { brought: [], findings: [{ code: 'with-missing', severity: 'error', file, looked: host }] }
  const findings: Finding[] = []
  if (storePathOf(found) === null) findings.push({ code: 'with-host', severity: 'warning', file, from: found })
  const places = new Map<string, { package: SourcePath; path: string }>()
  for (const { text } of references) {
    const store = storePathOf(text)
    const wanted = store && text.slice(store.root.length + 1).replace(/\/+$/, '')
    if (store && wanted !== null && asked.test(wanted)) {
      const at = { package: store.root as SourcePath, path: place(wanted) }
      places.set(`${at.package}/${at.path}`, at)
    }
  }
  if (places.size === 0) findings.push({ code: 'with-unasked', severity: 'warning', file, at: own, variable })
  const to = places.size === 0 ? [{ package: null, path: own }] : [...places.values()]
  const members = [...contents(realPath(found) as SourcePath)]
  const brought = to.flatMap(at =>
    members.map(({ from, link, below }) => ({
      from,
      link,
      under: at.package === null ? ('' as const) : ('pkg' as const),
      package: at.package,
      path: at.path + below,
    })),
  )
  return { brought, findings }
}

/** What lies below a path: files, and links that stay within it; others as what they lead to. */
function* contents(root: SourcePath): Generator<{ from: SourcePath; link: string | null; below: string }> {
  for (const { path, type } of walkTree(root, () => true)) {
    const below = path.slice(root.length)
    if (type === 'file') yield { from: path, link: null, below }
    if (type !== 'link' || stat(path)?.type !== 'file') continue
    const text = readLink(path)
    const inside =
      !text.startsWith('/') &&
      realPath(path).startsWith(`${root}/`) &&
      lstat(`${path.slice(0, path.lastIndexOf('/'))}/${text}`) !== null
    yield { from: realPath(path) as SourcePath, link: inside ? text : null, below }
  }
}
