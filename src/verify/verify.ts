/**
 * Stage 6: proof. Reads any tree or artefact, ours or not, and says which store references are in it; of a bundle, and
 * with `closed` of anything, also what does not resolve inside. It knows nothing of how the bundle was made but what
 * the bundle's own manifest says; the pipeline runs it on the staged tree before anything is published.
 */

import { setImmediate as turn } from 'node:timers/promises'
import { digestOfHash, MANIFEST, pathBytes, readManifest } from '../apply/manifest.ts'
import { type Artefact, type ArtefactKind, type Member, open, TURN_MEMBERS } from '../archive/members.ts'
import { gathered, pieceOf } from '../archive/stream.ts'
import type { ElfFacts } from '../elf/facts.ts'
import type { LinkMap } from '../elf/search.ts'
import { TEMPLATES } from '../entry/templates.ts'
import type { Progress } from '../io/progress.ts'
import { realPath } from '../io/store.ts'
import { run, type Task, wait } from '../io/task.ts'
import type { MachOFacts } from '../macho/facts.ts'
import type { Finding } from '../model/findings.ts'
import type { Manifest } from '../model/manifest.ts'
import { type BundlePath, fromText } from '../paths.ts'
import type { HashSet } from '../references/scan.ts'
import { type BundledProgram, type Closure, checkClosure, checkTree, type RootTree } from './checks/closure.ts'
import { checkBelow, checkEntry, checkPlace } from './checks/entries.ts'
import type { Loading } from './checks/loading.ts'
import { checkManifest, type Seen } from './checks/manifest.ts'
import { checkBlob } from './checks/oci.ts'
import { type Looked, lookInto, type Wanted } from './checks/packed.ts'
import { checkNames, type Forbidden } from './checks/references.ts'
import { ImageFiles, type Parts } from './image-files.ts'

export interface VerifyOptions {
  /** Hashes that must not appear without a store directory either; without them, those that a bundle's manifest has. */
  readonly hashes?: HashSet | null
  /** Store directories besides /nix/store: byte strings without a slash at the end. */
  readonly storeDirectories?: readonly string[]
  /** Whether store references are allowed in a file of the tree (byte string). */
  readonly allowed?: (file: string) => boolean
  /** Whether everything has to resolve inside, also where there is no bundle.json. */
  readonly closed?: boolean
  /** Whether what cannot be looked into is an error. */
  readonly strict?: boolean
  /** Whether facts of ELF files are wanted, also where not everything has to resolve inside. */
  readonly facts?: boolean
}

export interface Verification {
  readonly kind: ArtefactKind
  /** Sorted by file. */
  readonly findings: readonly Finding[]
  /** References that are allowed where they are. */
  readonly allowed: number
  /** Regular files and their bytes. */
  readonly files: number
  readonly bytes: number
  readonly manifest: Manifest | null
  /** Whether it was checked that everything resolves inside. */
  readonly closed: boolean
  /** What each program loads, by its ELF file's bundle path. */
  readonly linkMaps: ReadonlyMap<BundlePath, LinkMap>
  /** By their places, where they were wanted or needed. */
  readonly elf: ReadonlyMap<string, ElfFacts>
  /** Places of all files, links and directories. */
  readonly names: ReadonlySet<string>
}

const MANIFEST_MAX = 256 << 20
/** A larger file is no text that `relocate` fills in. In bytes. */
const TEMPLATE_MAX = 256 << 20

/**
 * Verifies what lies at a path (byte string).
 * @throws BundleError when it cannot be read
 */
export async function verify(path: string, progress: Progress, options: VerifyOptions = {}): Promise<Verification> {
  const artefact = await open(path)
  const before = await new Reading(path, artefact, null, options, progress).read()
  // An archive shows late that it is a bundle: then it is read again, as one.
  if (before.manifest !== null)
    return (await new Reading(path, artefact, before.manifest, options, progress).read()).verification()
  // And so of an image whose parts have names of their own.
  const parts = before.partsMissed()
  if (parts === null) return before.verification()
  return (await new Reading(path, artefact, null, options, progress, parts).read()).verification()
}

/** One pass over an artefact: as a bundle, when its manifest is known. */
class Reading {
  readonly #path: string
  readonly #artefact: Artefact
  readonly #known: Manifest | null
  readonly #options: VerifyOptions
  readonly #progress: Progress
  readonly #forbidden: Forbidden
  readonly #findings: Finding[] = []
  readonly #seen = new Map<string, Seen>()
  readonly #names = new Set<string>()
  readonly #links = new Map<string, string>()
  readonly #elf = new Map<string, ElfFacts>()
  readonly #images = new Map<string, MachOFacts>()
  readonly #loading = new Map<string, Loading>()
  /** Contents of the files that `relocate` changes, and of its table. */
  readonly #filled = new Map<string, Buffer>()
  readonly #keeps: ReadonlySet<string>
  readonly #ofImages: ImageFiles
  readonly #hardLinks = new Map<string, string>()
  /** Files with several names, by what tells them apart. */
  readonly #linked = new Map<string, { readonly name: string; readonly looked: Looked }>()
  #bytes = 0
  #isBundle = false
  /** That was met on the way. */
  manifest: Manifest | null = null

  constructor(
    path: string,
    artefact: Artefact,
    known: Manifest | null,
    options: VerifyOptions,
    progress: Progress,
    parts: Parts | null = null,
  ) {
    this.#path = path
    this.#artefact = artefact
    this.#known = known
    this.#options = options
    this.#progress = progress
    this.#forbidden = {
      hashes: options.hashes ?? (known && closureOf(known)),
      directories: options.storeDirectories ?? [],
    }
    const isFile = (name: string): boolean => this.#seen.get(name)?.type === 'file'
    this.#ofImages = new ImageFiles({ all: this.#names, links: this.#links, hardLinks: this.#hardLinks, isFile }, parts)
    this.#keeps = new Set(known?.templates === undefined ? [] : [TEMPLATES, ...known.templates.map(pathBytes)])
  }

  get #closed(): boolean {
    return this.#known !== null || this.#options.closed === true
  }

  /** Reads all members; only to the manifest, when it was not known that there is one. */
  async read(): Promise<this> {
    this.#isBundle = this.#known !== null
    if (this.#artefact.walk) {
      let count = 0
      for (const member of this.#artefact.walk()) {
        if (++count % TURN_MEMBERS === 0) await turn()
        const taken = run(this.#take(member))
        if (!(taken instanceof Promise ? await taken : taken)) return this
      }
    } else for await (const member of this.#artefact.members()) if (!(await run(this.#take(member)))) return this
    if (!this.#isBundle) this.#findings.push({ code: 'manifest-missing', severity: 'note', file: MANIFEST })
    return this
  }

  /** Reads a member; false when it shows that all has to be read anew. */
  *#take(found: Member): Task<boolean> {
    this.#progress.update(`verifying ${this.#seen.size} files`)
    let member = found
    if (found.inside === MANIFEST && found.type === 'file' && found.size <= MANIFEST_MAX && !this.#isBundle) {
      const bytes = yield* bytesOf(found)
      const read = readManifest(bytes)
      if ('manifest' in read) {
        this.manifest = read.manifest
        return false
      }
      this.#isBundle = !isForeign(bytes)
      const reason = `cannot be read: ${read.reason}`
      if (this.#isBundle) this.#findings.push({ code: 'manifest-mismatch', severity: 'error', file: MANIFEST, reason })
      member = held(found, bytes)
    }
    const name = this.#known === null ? member.name : member.inside
    if (name !== '' || member.type !== 'directory') yield* this.#member(member, name)
    // Of the directory that all lies in, an archive may have headers.
    else this.#findings.push(...checkNames('.', { ...member, name }, this.#forbidden))
    return true
  }

  *#member(member: Member, name: string): Task<void> {
    const named = name === member.name ? member : { ...member, name }
    const misplaced = checkPlace(name)
    this.#findings.push(...checkNames(name, named, this.#forbidden), ...misplaced)
    if (this.#closed && misplaced.length === 0)
      this.#findings.push(...checkEntry(name, member, this.#names, this.#seen))
    this.#names.add(name)
    if (member.type === 'link') this.#links.set(name, member.target)
    if (member.type === 'hardlink') this.#hardLinks.set(name, member.target)
    if (member.type !== 'file' && member.type !== 'link') return
    let sha256: string | null = null
    if (member.type === 'file') {
      const blob = checkBlob(name)
      const layer = this.#known === null && this.#ofImages.isLayer(name)
      const isDocument = this.#known === null && this.#ofImages.isDocument(name, member.size)
      const isOfImage = layer || isDocument
      const facts = this.#closed || this.#options.facts === true
      const wanted = { digest: this.#known !== null || isOfImage, facts, layer }
      const read = yield* this.#kept(member, name)
      const json = isDocument ? yield* bytesOf(read) : null
      const looked = yield* this.#lookOnce(json === null ? read : held(read, json), name, wanted)
      if (isOfImage) this.#ofImages.add(name, member.size, json, looked)
      this.#findings.push(...looked.findings, ...(blob?.(looked.sha256) ?? []))
      sha256 = looked.sha256
      if (looked.loading) this.#loading.set(name, looked.loading)
      if (looked.facts?.format === 'elf') this.#elf.set(name, looked.facts)
      else if (looked.facts) this.#images.set(name, looked.facts)
    }
    this.#bytes += member.size
    this.#seen.set(name, {
      type: member.type,
      executable: (member.mode & 0o111) !== 0,
      sha256,
      target: member.target,
    })
  }

  /** A file with several names (hard links) is read once, unless a name itself says what is in it. */
  *#lookOnce(member: Member, name: string, wanted: Wanted): Task<Looked> {
    const key = member.inode && `${member.inode} ${wanted.layer} ${/\.\w*$/.exec(name)?.[0]}`
    const known = key === null ? undefined : this.#linked.get(key)
    if (known !== undefined) return { ...known.looked, findings: known.looked.findings.map(renamed(known.name, name)) }
    const looked = yield* lookInto(member, name, this.#forbidden, wanted)
    if (key !== null) this.#linked.set(key, { name, looked })
    return looked
  }

  /** A member that `relocate` may change is kept: what is in it then has to be what its template says. */
  *#kept(member: Member, name: string): Task<Member> {
    if (!this.#keeps.has(name) || member.size > TEMPLATE_MAX) return member
    const bytes = yield* bytesOf(member)
    this.#filled.set(name, bytes)
    return held(member, bytes)
  }

  /** Parts of images that were read as something else; null when there are none. */
  partsMissed(): Parts | null {
    return this.#ofImages.missed()
  }

  verification(): Verification {
    const manifest = this.#known
    const closure = this.#closed ? this.#checkClosed() : null
    if (this.#closed) this.#findings.push(...checkBelow(this.#names, this.#seen))
    if (manifest) this.#findings.push(...checkManifest(manifest, this.#seen, this.#filled, this.#place))
    else this.#findings.push(...this.#ofImages.check(this.#closed))
    const { findings, allowed } = this.#judged()
    return {
      kind: this.#artefact.kind,
      findings,
      allowed,
      files: [...this.#seen.values()].filter(s => s.type === 'file').length,
      bytes: this.#bytes,
      manifest,
      closed: this.#closed,
      linkMaps: closure?.linkMaps ?? new Map(),
      elf: this.#elf,
      names: this.#names,
    }
  }

  /** Where a directory lies: what `relocate` has written into its files. */
  get #place(): string | null {
    return this.#artefact.kind === 'directory' ? realPath(this.#path).replace(/^\/$/, '') : null
  }

  #checkClosed(): Closure {
    const tree: RootTree = {
      names: this.#names,
      links: this.#links,
      elf: this.#elf,
      images: this.#images,
      loading: this.#loading,
    }
    const prefix = this.#known?.prefix == null ? null : fromText(this.#known.prefix)
    const closure = this.#known === null ? checkTree(tree) : checkClosure(tree, programsOf(this.#known), prefix)
    this.#findings.push(...closure.findings)
    return closure
  }

  /** The findings with the severity that the options give them, sorted. */
  #judged(): { findings: Finding[]; allowed: number } {
    const { allowed: isAllowed = () => false, strict = false } = this.#options
    let allowed = 0
    const findings = this.#findings.flatMap((finding): Finding[] => {
      const isReference = finding.code === 'store-reference' || finding.code === 'store-hash'
      // What is packed in a file that is allowed is allowed.
      const isFree = isAllowed(finding.file) || isAllowed(finding.file.split('!')[0]!)
      if ((isReference || finding.code === 'container-unread') && isFree) {
        if (isReference) allowed += finding.count
        return []
      }
      // Of a file that is the artefact itself, nothing was proved when it could not be read.
      const isWhole = this.#artefact.kind === 'file'
      return finding.code === 'container-unread' && (strict || (isWhole && finding.member === ''))
        ? [{ ...finding, severity: 'error' }]
        : [finding]
    })
    return { findings: findings.sort((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : 0)), allowed }
  }
}

/** A finding in a file, told of another name of it. */
const renamed =
  (from: string, to: string) =>
  (finding: Finding): Finding => ({ ...finding, file: to + finding.file.slice(from.length) })

const programsOf = (manifest: Manifest): BundledProgram[] =>
  manifest.programs.flatMap(p =>
    p.loader === null
      ? []
      : [
          {
            at: pathBytes(p.at),
            elf: pathBytes(p.elf),
            loader: pathBytes(p.loader),
            missing: p.missing.map(fromText),
          },
        ],
  )

function* bytesOf(member: Member): Task<Buffer> {
  const whole = member.whole()
  return whole === null ? yield* wait(gathered(member.contents())) : Buffer.from(whole)
}

/** A member with its bytes. */
const held = (member: Member, bytes: Buffer): Member => ({
  ...member,
  contents: () => pieceOf(bytes),
  whole: () => bytes,
})

/** Others have files of this name too. */
function isForeign(bytes: Buffer): boolean {
  try {
    const json: unknown = JSON.parse(bytes.toString('utf8'))
    return !(json instanceof Object && 'tool' in json && String(json.tool).startsWith('storefree '))
  } catch {
    return false
  }
}

function closureOf(manifest: Manifest): HashSet {
  const digests = new Set(manifest.closure)
  return { has: hash => digests.has(digestOfHash(hash)) }
}
