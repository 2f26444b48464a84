/**
 * What a file says itself that it is made of, or is: Go's build information (Go's debug/buildinfo), cargo-auditable's
 * list (section .dep-v0), the package note of a distribution, a Python distribution's and an npm package's own account, and versions that libraries of C
 * have in their read-only data. Files may be anybody's: what does not parse says nothing. Pure.
 */
import { inflateSync } from 'node:zlib'
import { sectionsOf as elfSections, type Section } from '../../elf/sections.ts'
import { bufferSource } from '../../io/bytes.ts'
import type { Ecosystem, Inside } from '../../model/sbom.ts'

/** Whether a file of this name says by its text what lies around it. */
export const isAccount = (at: string): boolean => DIST_INFO.test(at) || NODE_MODULE.test(at)

const DIST_INFO = /(?:^|\/)[^/]+\.(?:dist-info\/METADATA|egg-info\/PKG-INFO)$/
const NODE_MODULE = /(?:^|\/)node_modules\/((?:@[^/]+\/)?[^/]+)\/package\.json$/

/** @param at the file's path, of which the name counts */
export function insideOf(at: string, bytes: Buffer): Inside[] {
  if (DIST_INFO.test(at)) return pythonDistribution(bytes)
  if (NODE_MODULE.test(at)) return nodeModule(bytes)
  const sections = sectionsOf(bytes)
  return [...goModules(bytes), ...crates(bytes, sections), ...packageNote(bytes, sections)]
}

// ---- Go --------------------------------------------------------------------------------------------------------

const GO_MAGIC = Buffer.from('\xff Go buildinf:', 'latin1')
const GO_HEADER = 32
/** In the flags: strings follow the header (since Go 1.18). */
const GO_INLINE = 2
/** Marks around the modules. */
const GO_MARK = 16
const GO_MAX = 4 << 20

function goModules(bytes: Buffer): Inside[] {
  for (let at = bytes.indexOf(GO_MAGIC); at >= 0; at = bytes.indexOf(GO_MAGIC, at + 1)) {
    if (at % 16 !== 0 || (bytes[at + 15]! & GO_INLINE) === 0) continue
    const version = goString(bytes, at + GO_HEADER)
    const modules = version && goString(bytes, version.end)
    if (version && modules && /^(?:devel )?go/.test(version.text)) return goList(version.text, modules.text)
  }
  return []
}

function goString(bytes: Buffer, start: number): { text: string; end: number } | null {
  let length = 0
  for (let at = start, shift = 0; shift < 28; at++, shift += 7) {
    const byte = bytes[at]
    if (byte === undefined) return null
    length |= (byte & 0x7f) << shift
    if (byte & 0x80) continue
    const end = at + 1 + length
    if (length > GO_MAX || end > bytes.length) return null
    return { text: bytes.toString('latin1', at + 1, end), end }
  }
  return null
}

function goList(version: string, marked: string): Inside[] {
  const isMarked = marked.length > 2 * GO_MARK && marked.at(-GO_MARK - 1) === '\n'
  const text = Buffer.from(isMarked ? marked.slice(GO_MARK, -GO_MARK) : '', 'latin1').toString('utf8')
  const release = /^go(\d[\w.]*)/.exec(version)?.[1]
  const found: Inside[] = []
  for (const line of text.split('\n')) {
    const [what, name, of] = line.split('\t')
    if (what !== 'mod' && what !== 'dep' && what !== '=>') continue
    // What replaces a module stands below it: another, or a directory, whose version nobody knows.
    const replaced = what === '=>' ? found.pop() : undefined
    if (replaced && /^\.{0,2}\//.test(name ?? '')) found.push({ ...replaced, version: null })
    else if (name) found.push({ ecosystem: 'golang', name, version: of && of !== '(devel)' ? of : null })
  }
  return release === undefined ? found : [...found, { ecosystem: 'golang', name: 'stdlib', version: release }]
}

// ---- Rust ------------------------------------------------------------------------------------------------------

const CRATES_MAX = 8 << 20

function crates(bytes: Buffer, sections: readonly Section[]): Inside[] {
  const section = sections.find(s => s.name === '.dep-v0')
  if (section === undefined) return []
  try {
    const packed = contentsOf(bytes, section)
    const list: unknown = JSON.parse(inflateSync(packed, { maxOutputLength: CRATES_MAX }).toString('utf8'))
    const packages = field(list, 'packages')
    return (Array.isArray(packages) ? packages : []).flatMap((crate): Inside[] => {
      const [name, version] = [field(crate, 'name'), field(crate, 'version')]
      // What only built it is not in it.
      return typeof name === 'string' && typeof version === 'string' && field(crate, 'kind') !== 'build'
        ? [{ ecosystem: 'cargo', name, version }]
        : []
    })
  } catch {
    return []
  }
}

/** The sections of an ELF file; none of another. */
function sectionsOf(bytes: Buffer): readonly Section[] {
  const [wide, order] = [bytes[4], bytes[5]]
  const isElf =
    bytes.toString('latin1', 0, 4) === '\x7fELF' && (wide === 1 || wide === 2) && (order === 1 || order === 2)
  return isElf ? elfSections(bufferSource(bytes)) : []
}

const contentsOf = (bytes: Buffer, { offset, size }: Section): Buffer => bytes.subarray(offset, offset + size)

// ---- Package notes of distributions ----------------------------------------------------------------------------

/** Of a note (systemd.io, ELF_PACKAGE_METADATA); in a file the size of its owner's name and of its text come before. */
const PACKAGE_NOTE = { owner: 'FDO\0', type: 0xcafe1a7e, head: 12 } as const
/** What a note calls types otherwise. */
const NOTE_TYPES: Readonly<Record<string, Ecosystem>> = {
  deb: 'deb',
  rpm: 'rpm',
  apk: 'apk',
  alpm: 'alpm',
  arch: 'alpm',
}

/** The package of a distribution that a program or library was built for, by the note that its linker was given. */
function packageNote(bytes: Buffer, sections: readonly Section[]): Inside[] {
  const section = sections.find(s => s.name === '.note.package')
  if (section === undefined) return []
  const { owner, type, head } = PACKAGE_NOTE
  const note = contentsOf(bytes, section)
  if (note.length < head + owner.length) return []
  const word = (at: number): number => (bytes[5] === 1 ? note.readUInt32LE(at) : note.readUInt32BE(at))
  if (word(0) !== owner.length || word(8) !== type || note.toString('latin1', head, head + owner.length) !== owner)
    return []
  const start = head + owner.length
  try {
    const told: unknown = JSON.parse(note.toString('utf8', start, start + word(4)).replace(/\0+$/, ''))
    const said = (name: string): string | null => {
      const value = field(told, name)
      return typeof value === 'string' && /^\S{1,200}$/.test(value) ? value : null
    }
    const name = said('name')
    if (name === null) return []
    const [kind, vendor, arch] = [said('type'), said('os'), said('architecture')]
    const ecosystem = kind !== null && Object.hasOwn(NOTE_TYPES, kind) ? NOTE_TYPES[kind]! : null
    return [
      { ecosystem, name, version: said('version'), ...(vendor !== null && { vendor }), ...(arch !== null && { arch }) },
    ]
  } catch {
    return []
  }
}

// ---- Python and Node -------------------------------------------------------------------------------------------

function pythonDistribution(bytes: Buffer): Inside[] {
  const head = bytes.toString('utf8').split(/\r?\n\r?\n/, 1)[0]!
  const name = /^Name: *(\S+)/m.exec(head)?.[1]
  const version = /^Version: *(\S+)/m.exec(head)?.[1]
  return name === undefined ? [] : [{ ecosystem: 'pypi', name, version: version ?? null }]
}

function nodeModule(bytes: Buffer): Inside[] {
  try {
    const json: unknown = JSON.parse(bytes.toString('utf8'))
    const [name, version] = [field(json, 'name'), field(json, 'version')]
    return typeof name === 'string' && /^(?:@[^/\s]+\/)?[^@/\s]+$/.test(name) && typeof version === 'string'
      ? [{ ecosystem: 'npm', name, version }]
      : []
  } catch {
    return []
  }
}

const field = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined

// ---- Versions of C libraries -----------------------------------------------------------------------------------

/** How files of a package tell their own version, where nothing else can be meant, by nixpkgs' name (pname). */
const VERSIONS: Readonly<Record<string, RegExp>> = {
  curl: /(?<=\0)libcurl\/(\d+\.\d+\.\d+)(?=\0)/g,
  expat: /(?<=\0)expat_(\d+\.\d+\.\d+)(?=\0)/g,
  glibc: /GNU C Library \([^)\0]*\) (?:stable|development) release version (\d+\.\d+(?:\.\d+)*)/g,
  libpng: /libpng version (\d+\.\d+\.\d+)/g,
  nginx: /(?<=\0)nginx\/(\d+\.\d+\.\d+)(?=\0)/g,
  openssl: /(?<=\0)OpenSSL (\d+\.\d+\.\d+[a-z]*) \d{1,2} [A-Z][a-z]{2} \d{4}(?=\0)/g,
  pcre2: /(?<=\0)(\d+\.\d+) \d{4}-\d{2}-\d{2}(?=\0)/g,
  zlib: / (?:de|in)flate (\d+\.\d+(?:\.\d+)*) Copyright /g,
}

export const saysVersion = (pname: string): boolean => Object.hasOwn(VERSIONS, pname)

/** The version that a program or library of a package says it is; null where it says none, or several. */
export function versionIn(pname: string, bytes: Buffer): string | null {
  const pattern = Object.hasOwn(VERSIONS, pname) ? VERSIONS[pname] : undefined
  if (pattern === undefined) return null
  const found = new Set([...bytes.toString('latin1').matchAll(pattern)].map(match => match[1]!))
  return found.size === 1 ? [...found][0]! : null
}
