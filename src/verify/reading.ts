/** One pass over what is verified: each member with what is in it, and then what is true of the whole. */

import { availableParallelism } from 'node:os'
import { setImmediate as turn } from 'node:timers/promises'
import { MANIFEST, pathBytes } from '../apply/manifest.ts'
import { readManifest } from '../apply/manifest-text.ts'
import { type Artefact, type Member, TURN_MEMBERS } from '../archive/members.ts'
import { gathered, pieceOf } from '../archive/stream.ts'
import type { ElfFacts } from '../elf/facts.ts'
import { TEMPLATES } from '../entry/templates.ts'
import type { Progress } from '../io/progress.ts'
import { realPath } from '../io/store.ts'
import { run, type Task, wait } from '../io/task.ts'
import type { MachOFacts } from '../macho/facts.ts'
import type { Finding } from '../model/findings.ts'
import type { Manifest } from '../model/manifest.ts'
import { fromText } from '../paths.ts'
import { type BundledProgram, type Closure, checkClosure, checkTree, type RootTree } from './checks/closure.ts'
import { checkBelow, checkEntry, checkPlace } from './checks/entries.ts'
import type { Loading } from './checks/loading.ts'
import { checkManifest, type Seen } from './checks/manifest.ts'
import { checkBlob } from './checks/oci.ts'
import { type Looked, lookInto, type Wanted } from './checks/packed.ts'
import { checkNames, type Forbidden } from './checks/references.ts'
import { ImageFiles, type Parts } from './image-files.ts'
import { type ForbiddenList, forbiddenOf, type Look, Looks } from './looks.ts'
import { judged, type Verification, type VerifyOptions } from './verification.ts'

export const MANIFEST_MAX = 256 << 20
/** A larger file is no text that `relocate` fills in. In bytes. */
const TEMPLATE_MAX = 256 << 20

/** A member that was met, and who looks into it; null where that is for this thread alone, or nothing is to be seen. */
interface Met {
  readonly member: Member
  readonly look: Look | null
}

/** Members that are taken before other threads are heard again. */
const TURN_TAKEN = 64

/** One pass over an artefact: as a bundle, when its manifest is known. */
export class Reading {
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
  readonly #askedFor = new Map<string, Look>()
  /** Several threads, where files are looked into by them. */
  readonly #looks: Looks | null
  readonly #isEarly: boolean
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
    parts: Parts | null,
    early: Looks | null,
  ) {
    this.#path = path
    this.#artefact = artefact
    this.#known = known
    this.#options = options
    this.#progress = progress
    const hashes = options.hashes ?? null
    const list = {
      hashes:
        hashes === null
          ? known && { digests: new Set(known.closure) }
          : hashes instanceof Set
            ? { bare: hashes }
            : null,
      directories: options.storeDirectories ?? [],
    }
    // A set that cannot be listed is asked here.
    this.#forbidden = hashes === null || hashes instanceof Set ? forbiddenOf(list) : { ...list, hashes }
    const isListed = this.#forbidden.hashes === null || list.hashes !== null
    this.#isEarly = known !== null && early !== null
    this.#looks = this.#isEarly ? early : artefact.walk && isListed ? this.#threads(list) : null
    const isFile = (name: string): boolean => this.#seen.get(name)?.type === 'file'
    this.#ofImages = new ImageFiles({ all: this.#names, links: this.#links, hardLinks: this.#hardLinks, isFile }, parts)
    this.#keeps = new Set(known?.templates === undefined ? [] : [TEMPLATES, ...known.templates.map(pathBytes)])
  }

  get #closed(): boolean {
    return this.#known !== null || this.#options.closed === true
  }

  get #facts(): boolean {
    return this.#closed || this.#options.facts === true
  }

  #threads(forbidden: ForbiddenList): Looks | null {
    const wanted = { digest: this.#known !== null, facts: this.#facts, layer: false }
    const jobs = this.#options.jobs ?? availableParallelism()
    const looks = Looks.of({ forbidden, wanted, early: false }, jobs)?.in(this.#path) ?? null
    if (this.#known !== null) looks?.expectSizes(this.#known.files.map(file => file.size))
    return looks
  }

  /** Ends its threads; those of whoever has asked for files early are that one's. */
  close(): void {
    if (!this.#isEarly) this.#looks?.close()
  }

  /** Reads all members; only to the manifest, when it was not known that there is one. */
  async read(): Promise<this> {
    this.#isBundle = this.#known !== null
    if (this.#artefact.walk) {
      if (!(await this.#walk(this.#artefact.walk()))) return this
    } else for await (const member of this.#artefact.members()) if (!(await run(this.#take(member)))) return this
    if (!this.#isBundle) this.#findings.push({ code: 'manifest-missing', severity: 'note', file: MANIFEST })
    return this
  }

  /** Members are taken in their order, whoever looks into them, and when. False when all has to be read anew. */
  async #walk(members: Generator<Member>): Promise<boolean> {
    const met: Met[] = []
    const take = async (count: number): Promise<boolean> => {
      for (const [i, one] of met.splice(0, count).entries()) {
        if (i % TURN_TAKEN === TURN_TAKEN - 1) await turn()
        const taken = run(this.#take(one.member, one.look))
        if (!(taken instanceof Promise ? await taken : taken)) return false
      }
      return true
    }
    for (let count = 1; ; count++) {
      if (count % TURN_MEMBERS === 0) await turn()
      let next: IteratorResult<Member>
      try {
        next = members.next()
      } catch (error) {
        // What was met before comes first.
        if (!(await take(met.length))) return false
        throw error
      }
      if (next.done) return take(met.length)
      const one: Met = { member: next.value, look: this.#ask(next.value) }
      if (this.#isEarly) {
        // Others have been asked already. A member that is held for no longer than this costs no memory.
        const taken = run(this.#take(one.member, one.look))
        if (!(taken instanceof Promise ? await taken : taken)) return false
        continue
      }
      met.push(one)
      const window = this.#looks?.window ?? 1
      if (met.length >= window && !(await take(Math.ceil(met.length / 2)))) return false
    }
  }

  /** Has others look into a file, where this thread need not hold its bytes. */
  #ask({ type, path, inside: name, size, inode }: Member): Look | null {
    if (this.#looks === null || type !== 'file' || path === null || this.#isHeld(name, size)) return null
    if (this.#known === null && (this.#ofImages.isLayer(name) || this.#ofImages.isDocument(name, size))) return null
    const key = keyOf(inode, false, name)
    const look = (key === null ? undefined : this.#askedFor.get(key)) ?? this.#looks.asked({ name, size })
    if (key !== null) this.#askedFor.set(key, look)
    return look
  }

  /**
   * Reads a member.
   * @param asked who looks into it besides this thread
   * @returns false when it shows that all has to be read anew
   */
  *#take(found: Member, asked: Look | null = null): Task<boolean> {
    this.#progress.update(`verifying ${this.#seen.size} files`)
    let [member, look] = [found, asked]
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
      look = null
    }
    const own = this.#known === null ? member.name : member.inside
    // Whoever asked for it early has the same name in memory.
    const name = look?.name === own ? look.name : own
    if (name !== '' || member.type !== 'directory') yield* this.#member(member, name, look)
    // Of the directory that all lies in, an archive may have headers.
    else this.#findings.push(...checkNames('.', { ...member, name }, this.#forbidden))
    return true
  }

  *#member(member: Member, name: string, look: Look | null): Task<void> {
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
      const wanted = { digest: this.#known !== null || isOfImage, facts: this.#facts, layer }
      const read = yield* this.#kept(member, name)
      const json = isDocument ? yield* bytesOf(read) : null
      const looked = yield* this.#lookOnce(json === null ? read : held(read, json), name, wanted, look)
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
  *#lookOnce(member: Member, name: string, wanted: Wanted, look: Look | null): Task<Looked> {
    const key = keyOf(member.inode, wanted.layer, name)
    const known = key === null ? undefined : this.#linked.get(key)
    if (known !== undefined) return { ...known.looked, findings: known.looked.findings.map(renamed(known.name, name)) }
    const looked =
      look === null
        ? yield* lookInto(member, name, this.#forbidden, wanted)
        : yield* this.#looks!.seen(look, member.changed ?? null)
    if (key !== null) this.#linked.set(key, { name, looked })
    return looked
  }

  #isHeld(name: string, size: number): boolean {
    return this.#keeps.has(name) && size <= TEMPLATE_MAX
  }

  /** A member that `relocate` may change is kept: what is in it then has to be what its template says. */
  *#kept(member: Member, name: string): Task<Member> {
    if (!this.#isHeld(name, member.size)) return member
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
    if (manifest) this.#findings.push(...checkManifest(manifest, this.#seen, this.#names, this.#filled, this.#place))
    else this.#findings.push(...this.#ofImages.check(this.#closed))
    const { findings, allowed } = judged(this.#findings, this.#artefact.kind, this.#options)
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
}

/** What files are equal by; null for one that has no other name. */
const keyOf = (inode: string | null, layer: boolean, name: string): string | null =>
  inode && `${inode} ${layer} ${/\.\w*$/.exec(name)?.[0]}`

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
