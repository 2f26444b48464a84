/**
 * Stage 6: proof. Reads a finished bundle, a directory or an archive as a stream, and says everything that is wrong
 * with it. It knows nothing of how the bundle was made but what the bundle's own manifest says; the pipeline runs it on
 * the staged tree before anything is published.
 */
import { createHash } from 'node:crypto'
import { type BundleTree, checkClosure } from './checks/closure.ts'
import { checkNames, contentsFinding, contentsScanner } from './checks/references.ts'
import { isElf, parseElf } from './elf/parse.ts'
import { BundleError } from './errors.ts'
import { type ByteSource, bufferSource, fromText } from './io/bytes.ts'
import type { Progress } from './io/progress.ts'
import { withFile } from './io/store.ts'
import { digestOfHash, MANIFEST, type Manifest, pathBytes, readManifest } from './manifest.ts'
import type { BundlePath, ElfFacts, Finding, LinkMap } from './model.ts'
import { type Member, members } from './pack/members.ts'
import { containerKind, containerKindOf, LIMITS, scanContainer } from './references/containers.ts'
import type { HashSet } from './references/scan.ts'

export interface Verification {
  /** Sorted by file. */
  readonly findings: readonly Finding[]
  /** Regular files and their bytes. */
  readonly files: number
  readonly bytes: number
  readonly manifest: Manifest | null
  /** What each program loads, by its ELF file's bundle path. */
  readonly linkMaps: ReadonlyMap<BundlePath, LinkMap>
}

/** An ELF file in an archive is held in memory to be parsed, up to this size. In bytes. */
const ELF_MAX = 1 << 30
/** Any file of an archive is held in memory up to this size, for zips are known by their end only. In bytes. */
const SMALL = 16 << 20
const MANIFEST_MAX = 256 << 20
const MAGIC_LENGTH = 4

/**
 * Verifies the bundle at a path (byte string).
 * @param hashes hashes that must not appear; without them, those whose digests the manifest has
 * @throws BundleError when it cannot be read
 */
export async function verify(path: string, progress: Progress, hashes: HashSet | null = null): Promise<Verification> {
  const findings: Finding[] = []
  const manifest = await findManifest(path, findings)
  const forbidden = hashes ?? (manifest && closureOf(manifest))

  const seen = new Map<string, Seen>()
  const names = new Set<string>()
  const links = new Map<string, string>()
  const elf = new Map<string, ElfFacts>()
  let bytes = 0
  for await (const member of members(path)) {
    progress.update(`verifying ${seen.size} files`)
    findings.push(...checkNames(member, forbidden), ...checkMember(member, names, seen))
    names.add(member.name)
    if (member.type === 'link') links.set(member.name, member.target)
    if (member.type !== 'file' && member.type !== 'link') continue
    const read = member.type === 'file' ? await readContents(member, forbidden, findings) : null
    if (read?.facts) elf.set(member.name, read.facts)
    bytes += member.size
    seen.set(member.name, {
      type: member.type,
      executable: (member.mode & 0o111) !== 0,
      sha256: read?.sha256 ?? null,
      target: member.target,
    })
  }

  findings.push(...checkBelow(names, seen))
  const tree: BundleTree = { names, links, elf }
  const programs = (manifest?.programs ?? []).map(p => ({
    at: pathBytes(p.at),
    elf: pathBytes(p.elf),
    loader: pathBytes(p.loader),
    missing: p.missing.map(fromText),
  }))
  const prefix = manifest?.prefix == null ? null : fromText(manifest.prefix)
  const closure = manifest === null ? null : checkClosure(tree, programs, prefix)
  findings.push(...(closure?.findings ?? []))
  if (manifest) findings.push(...checkManifest(manifest, seen))
  return {
    findings: findings.sort((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : 0)),
    files: [...seen.values()].filter(s => s.type === 'file').length,
    bytes,
    manifest,
    linkMaps: closure?.linkMaps ?? new Map(),
  }
}

interface Seen {
  readonly type: 'file' | 'link'
  readonly executable: boolean
  readonly sha256: string | null
  readonly target: string
}

async function findManifest(path: string, findings: Finding[]): Promise<Manifest | null> {
  for await (const member of members(path)) {
    if (member.name !== MANIFEST || member.type !== 'file' || member.size > MANIFEST_MAX) continue
    const parts: Buffer[] = []
    for await (const piece of member.contents()) parts.push(Buffer.from(piece))
    const read = readManifest(Buffer.concat(parts))
    if ('manifest' in read) return read.manifest
    findings.push({
      code: 'manifest-mismatch',
      severity: 'error',
      file: MANIFEST,
      reason: `cannot be read: ${read.reason}`,
    })
    return null
  }
  findings.push({ code: 'manifest-missing', severity: 'note', file: MANIFEST })
  return null
}

function closureOf(manifest: Manifest): HashSet {
  const digests = new Set(manifest.closure)
  return { has: hash => digests.has(digestOfHash(hash)) }
}

/** Reads a file once: for references, for its digest and, when it is ELF, for its facts. */
async function readContents(
  member: Member,
  hashes: HashSet | null,
  findings: Finding[],
): Promise<{ sha256: string; facts: ElfFacts | null }> {
  const scanner = contentsScanner(member.name, hashes, findings)
  const hash = createHash('sha256')
  const kept: Buffer[] = []
  let head = Buffer.alloc(0)
  for await (const piece of member.contents()) {
    hash.update(piece)
    scanner.push(piece)
    // An archive comes in pieces as decompression goes: the first one may hold less than the four bytes that tell.
    const undecided = head.length < MAGIC_LENGTH
    if (undecided) head = Buffer.concat([head, piece.subarray(0, MAGIC_LENGTH)])
    const isSmall = member.size <= SMALL || (member.size <= ELF_MAX && (undecided || isElf(head) || isPacked(head)))
    if (isSmall && member.path === null) kept.push(Buffer.from(piece))
  }
  scanner.end()
  const elf = isElf(head)
  findings.push(...checkPacked(member, kept, hashes))
  return { sha256: hash.digest('hex'), facts: elf ? elfFacts(member, kept) : null }
}

const isPacked = (head: Buffer): boolean => {
  const kind = containerKind(head, LIMITS.member)
  return kind === 'gzip' || kind === 'zip' || kind === 'zlib'
}

/** What is packed in a file names no store path either. */
function checkPacked(member: Member, kept: readonly Buffer[], hashes: HashSet | null): Finding[] {
  if (member.size > LIMITS.member) return []
  const scan = (source: ByteSource): Finding[] => {
    const kind = containerKindOf(source)
    if (kind !== 'gzip' && kind !== 'zip' && kind !== 'zlib') return []
    return scanContainer(source.read(0, source.size), hashes).members.flatMap(({ names, references }) =>
      references.map(reference => contentsFinding([member.name, ...names].join('!'), reference)),
    )
  }
  return member.path !== null ? withFile(member.path, scan) : scan(bufferSource(Buffer.concat(kept)))
}

function elfFacts(member: Member, kept: readonly Buffer[]): ElfFacts | null {
  try {
    return member.path !== null
      ? withFile(member.path, source => parseElf(source, member.name))
      : parseElf(bufferSource(Buffer.concat(kept)), member.name)
  } catch (error) {
    // Data of a package may look like ELF and be none; what is started is in the manifest, and missed there.
    if (error instanceof BundleError && error.code === 'malformed') return null
    throw error
  }
}

/**
 * @param names of all members before it
 * @param others those among them that are no directories
 */
function checkMember(member: Member, names: ReadonlySet<string>, others: ReadonlyMap<string, unknown>): Finding[] {
  const unsafe = (reason: string): Finding[] => [{ code: 'entry-unsafe', severity: 'error', file: member.name, reason }]
  if (member.name.startsWith('/') || member.name.split('/').includes('..'))
    return unsafe('its name leads out of the bundle')
  // `a/./b` and `a//b` are `a/b` where it is unpacked.
  if (/^$|^\.?\/|\/\.?(?:\/|$)|^\.$/.test(member.name)) return unsafe('its name has an empty part or a dot for one')
  if (names.has(member.name) && (member.type !== 'directory' || others.has(member.name)))
    return unsafe('it is there twice')
  if (member.type === 'special') return unsafe('it is a device, a pipe or a socket')
  if (member.type === 'hardlink') return unsafe('it is a hard link')
  if (member.type === 'file' && (member.mode & 0o6000) !== 0) return unsafe('it is set-uid or set-gid')
  return []
}

/** What lies below a link is unpacked where the link leads: at another place than it was looked at. */
function checkBelow(names: ReadonlySet<string>, others: ReadonlyMap<string, unknown>): Finding[] {
  const findings: Finding[] = []
  for (const file of names)
    for (let d = file.lastIndexOf('/'); d > 0; d = file.lastIndexOf('/', d - 1))
      if (others.has(file.slice(0, d)))
        findings.push({ code: 'entry-unsafe', severity: 'error', file, reason: 'it lies below a link or a file' })
  return findings
}

/** The manifest and the files agree: none more, none less, none changed. */
function checkManifest(manifest: Manifest, seen: ReadonlyMap<string, Seen>): Finding[] {
  const findings: Finding[] = []
  const mismatch = (file: string, reason: string): void => {
    findings.push({ code: 'manifest-mismatch', severity: 'error', file, reason })
  }
  const listed = new Set<string>([MANIFEST])
  for (const file of manifest.files) {
    const name = pathBytes(file)
    listed.add(name)
    const found = seen.get(name)
    if (!found) mismatch(name, 'is listed and not there')
    else if (found.type !== file.type) mismatch(name, `is a ${found.type}, not a ${file.type}`)
    else if (found.sha256 !== file.sha256) mismatch(name, 'has other contents than listed')
    else if (found.type === 'link' && file.target && found.target !== pathBytes(file.target))
      mismatch(name, 'leads elsewhere than listed')
    else if (found.type === 'file' && found.executable !== file.executable)
      mismatch(name, file.executable ? 'is not executable' : 'is executable')
  }
  for (const name of seen.keys()) if (!listed.has(name)) mismatch(name, 'is not listed')
  return findings
}
