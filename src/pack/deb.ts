/**
 * A bundle as a package of Debian's (deb(5)): an archive of `ar` with what dpkg is told and the files themselves.
 *
 * It depends on nothing, for that is what a bundle is; and it is called `NAME-bundle`, so that it never stands for the
 * distribution's own package. Equal inputs give equal bytes.
 */
import { createHash } from 'node:crypto'
import { BundleError } from '../errors.ts'
import { writeNew } from '../io/staging.ts'
import { filePieces, stat } from '../io/store.ts'
import { baseName, directoryOf } from '../paths.ts'
import { type Packed, type PackedFile, type SourcedEntry, withDirectories, writeTar } from './archive.ts'
import { addedFiles } from './own-files.ts'

export interface DebOptions {
  /** Whether programs get links in /usr/bin and /usr/sbin. */
  link?: boolean
  /** `SOURCE:DESTINATION` each: own files, such as a unit for systemd. */
  add?: readonly string[]
}

/** How the CPUs of Nix's systems are called by Debian (dpkg-architecture(1)). */
const ARCHITECTURES: Readonly<Record<string, string>> = {
  x86_64: 'amd64',
  aarch64: 'arm64',
  armv7l: 'armhf',
  i686: 'i386',
  riscv64: 'riscv64',
  s390x: 's390x',
  powerpc64le: 'ppc64el',
}

/** What a package is called, and what for. Text. */
export interface DebTitle {
  readonly name: string
  readonly version: string | null
  readonly system: string
}

/** A name as deb-control(5) wants it: lower case letters, digits, `+-.`, two characters at least. */
export function packageName(name: string): string {
  const plain = name
    .toLowerCase()
    .replace(/[^a-z0-9+.-]+/g, '-')
    .replace(/^[^a-z0-9]+/, '')
  return `${plain || 'x'}-bundle`
}

/** A version as deb-version(7) wants it: it begins with a digit. */
const packageVersion = (version: string | null): string =>
  (version ?? '0').replace(/[^A-Za-z0-9.+~]+/g, '.').replace(/^(?=[^0-9])/, '0.')

/** Where a bundle lies when nothing else is asked for: `/opt/nginx`. */
export const debPrefix = (name: string): string =>
  `/opt/${name.replace(/[^A-Za-z0-9._+-]+/g, '-').replace(/^[.-]+/, '') || 'bundle'}`

/** @throws BundleError('unsupported') */
export function debArchitecture(system: string): string {
  const found = system.endsWith('-linux') ? ARCHITECTURES[system.slice(0, -'-linux'.length)] : undefined
  if (found !== undefined) return found
  throw new BundleError('unsupported', `no package of Debian's for ${system}`, {
    hint: 'choose another format with -f',
  })
}

/**
 * Writes the package.
 * @param programs their links in the bundle: `bin/nginx`
 * @param scratch gives paths for files that are removed when all is done
 */
export async function writeDeb(
  tree: string,
  files: readonly PackedFile[],
  prefix: string,
  programs: readonly string[],
  title: DebTitle,
  options: DebOptions,
  cwd: string,
  archive: string,
  scratch: (name: string) => string,
): Promise<Packed> {
  const entries = withDirectories(entriesOf(tree, files, prefix, programs, options, cwd))
  const control = [
    `Package: ${packageName(title.name)}`,
    `Version: ${packageVersion(title.version)}`,
    `Architecture: ${debArchitecture(title.system)}`,
    'Maintainer: storefree <nobody@localhost>',
    // In units of 1024 bytes, a directory or link as one (deb-substvars(5)).
    `Installed-Size: ${entries.reduce((sum, e) => sum + (e.type === 'file' ? Math.ceil(e.size / 1024) : 1), 0)}`,
    'Section: misc',
    'Priority: optional',
    `Description: ${title.name} ${title.version ?? ''}`.trimEnd(),
    ` Everything it needs is in ${prefix}. Made by storefree from a program built with Nix.`,
  ]
  const sums: string[] = []
  for (const { name, from } of entries) if (from !== null) sums.push(`${await md5(from)}  ${name.slice('./'.length)}`)
  const text = (name: string, lines: readonly string[]): SourcedEntry => {
    const bytes = Buffer.from(lines.map(line => `${line}\n`).join(''), 'latin1')
    return { name, type: 'file', executable: false, size: bytes.length, target: '', from: bytes }
  }
  const conffiles = entries.filter(e => e.type === 'file' && e.name.startsWith('./etc/')).map(e => e.name.slice(1))
  const about = withDirectories([
    text(
      './control',
      control.map(line => Buffer.from(line).toString('latin1')),
    ),
    text('./md5sums', sums),
    ...(conffiles.length > 0 ? [text('./conffiles', conffiles)] : []),
  ])
  const [controlTar, dataTar] = [scratch('control.tar.gz'), scratch('data.tar.gz')]
  await writeTar(about, controlTar, 'gzip')
  const packed = await writeTar(entries, dataTar, 'gzip')
  const members = [
    ['debian-binary', Buffer.from('2.0\n')],
    ['control.tar.gz', controlTar],
    ['data.tar.gz', dataTar],
  ] as const
  await writeNew(archive, arPieces(members))
  return packed
}

/** @throws BundleError('usage') where two would lie in one place */
function entriesOf(
  tree: string,
  files: readonly PackedFile[],
  prefix: string,
  programs: readonly string[],
  { link = false, add = [] }: DebOptions,
  cwd: string,
): SourcedEntry[] {
  const bundled = files.map(
    (f): SourcedEntry => ({
      name: `.${prefix}/${f.at}`,
      type: f.type,
      executable: f.executable,
      size: f.type === 'file' ? f.size : 0,
      target: f.target ?? '',
      from: f.type === 'file' ? `${tree}/${f.at}` : null,
    }),
  )
  const links = (link ? programs : [])
    .filter(at => /^s?bin\/[^/]+$/.test(at))
    .map(
      (at): SourcedEntry => ({
        name: `./usr/${directoryOf(at)}/${baseName(at)}`,
        type: 'link',
        executable: false,
        size: 0,
        target: `${prefix}/${at}`,
        from: null,
      }),
    )
  const added = addedFiles(add, cwd).map(file => ({ ...file, name: `./${file.name}` }))
  const taken = new Map<string, SourcedEntry>()
  for (const entry of [...bundled, ...links, ...added]) {
    const { name, type } = entry
    const known = taken.get(name)
    if (known !== undefined && (type !== 'directory' || known.type !== 'directory'))
      throw new BundleError('usage', `--add: ${name.slice(1)} is in the package already`, {
        hint: 'choose another place',
      })
    taken.set(name, entry)
  }
  return [...taken.values()]
}

async function md5(from: string | Buffer): Promise<string> {
  const hash = createHash('md5')
  for await (const piece of typeof from === 'string' ? filePieces(from) : [from]) hash.update(piece)
  return hash.digest('hex')
}

/** An archive of `ar` (ar(5)), its members one after another at even places. */
async function* arPieces(members: readonly (readonly [string, string | Buffer])[]): AsyncGenerator<Buffer> {
  yield Buffer.from('!<arch>\n')
  for (const [name, from] of members) {
    const size = typeof from === 'string' ? (stat(from)?.size ?? 0) : from.length
    const fields = [
      name.padEnd(16),
      '1'.padEnd(12),
      '0'.padEnd(6),
      '0'.padEnd(6),
      '100644'.padEnd(8),
      String(size).padEnd(10),
    ]
    yield Buffer.from(`${fields.join('')}\`\n`, 'latin1')
    if (typeof from === 'string') yield* filePieces(from)
    else yield from
    if (size % 2 === 1) yield Buffer.from('\n')
  }
}
