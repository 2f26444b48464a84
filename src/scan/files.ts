/**
 * Each file as it comes into the graph (scan.ts): its facts and all that is read of its contents, once.
 */

import type { SonameString } from '../elf/dlopen.ts'
import type { Wrapper } from '../entry/launcher.ts'
import type { Located } from '../io/bytes.ts'
import { stat, withFile } from '../io/store.ts'
import type { Finding } from '../model/findings.ts'
import type { FileNode, Verdict } from '../model/graph.ts'
import { storePathOf } from '../nix/store-path.ts'
import type { SourcePath } from '../paths.ts'
import type { Reference } from '../references/reference.ts'
import { ANY_HASH, type HashSet } from '../references/scan.ts'
import { librariesOf, namesIn } from '../references/typelib.ts'
import { languageOf } from '../script/language.ts'
import { PYC_HEAD } from '../script/pyc.ts'
import { NO_MEMBERS, readBytes, readMembers, readWrapper, splitHashes } from './contents.ts'
import type { Sources } from './sources.ts'
import type { Verdicts } from './verdicts.ts'

/** A larger script is data. In bytes. */
const SCRIPT_MAX = 4 << 20

export class Files {
  readonly #sources: Sources
  readonly #verdicts: Verdicts
  readonly wrappers = new Map<SourcePath, Wrapper>()
  readonly texts = new Map<SourcePath, string>()
  readonly pycs = new Map<SourcePath, Buffer>()
  readonly typelibs = new Map<SourcePath, Located>()
  /** Of ELF files, strings that they may open libraries by. */
  readonly sonames = new Map<SourcePath, readonly SonameString[]>()
  readonly split = new Map<SourcePath, ReadonlySet<string>>()
  readonly findings: Finding[] = []
  /** Files that others name. */
  readonly #named = new Set<SourcePath>()
  /** Files in which something may be a hash that stands alone. */
  readonly #mayHold = new Set<SourcePath>()

  constructor(sources: Sources, verdicts: Verdicts) {
    this.#sources = sources
    this.#verdicts = verdicts
  }

  /**
   * Another file names this one, which is known already, or a directory that it lies in. Returns whether that changes
   * what comes along.
   */
  becomesNamed(node: FileNode): boolean {
    const { path, facts, text } = node
    if (!text || this.#named.has(path)) return false
    this.#named.add(path)
    const namer = { path, facts, isWrapper: this.wrappers.has(path), isBinary: false, isNamed: true }
    const lefts = node.verdicts.flatMap((verdict, i) => (verdict.rule === 'other-tree' ? [i] : []))
    for (const i of lefts) Object.assign(node.verdicts[i]!, this.#verdicts.of(namer, node.references[i]!))
    return lefts.length > 0
  }

  /**
   * Reads a file. Asked once for each.
   * @param isNamed whether another file of the bundle names it, or a directory that it lies in
   */
  read(path: SourcePath, isNamed: boolean): FileNode {
    const facts = this.#sources.facts(path)
    const status = stat(path)
    const size = status?.size ?? 0
    const executable = ((status?.mode ?? 0) & 0o111) !== 0
    const bytes = readBytes(path, facts, ANY_HASH)
    const { references, text, sonames } = bytes
    if (sonames.length > 0) this.sonames.set(path, sonames)
    const wrapper = executable ? readWrapper(path, facts, size) : null
    if (wrapper) this.wrappers.set(path, wrapper)
    // Whatever names the store may turn out to be a part of a script; of shell scripts all that they source is known then.
    if (text && (references.length > 0 || languageOf(path, facts) === 'shell')) this.#keepText(path, size)
    if (path.endsWith('.pyc'))
      this.pycs.set(
        path,
        withFile(path, source => Buffer.from(source.read(0, PYC_HEAD))),
      )
    if (path.endsWith('.typelib') && references.length > 0) {
      const libraries = withFile(path, source => librariesOf(source, path))
      if (libraries !== null && namesIn(libraries).some(name => storePathOf(name) !== null))
        this.typelibs.set(path, libraries)
    }
    if (isNamed) this.#named.add(path)
    const namer = { path, facts, isWrapper: wrapper !== null, isNamed: isNamed && text }
    const judge = (reference: Reference, isBinary: boolean): Verdict =>
      this.#verdicts.of({ ...namer, isBinary }, reference)
    if (bytes.apart >= 0) this.findings.push(apartFinding(path, bytes.apart))
    const { members, anyHash } =
      facts.format === 'macho' ? NO_MEMBERS : readMembers(path, facts, bytes, ANY_HASH, this.findings)
    if (bytes.anyHash || anyHash) this.#mayHold.add(path)
    const own = references.length === 0 ? NONE : { references, verdicts: references.map(r => judge(r, !text)) }
    return {
      path,
      size,
      executable,
      facts,
      text,
      references: own.references,
      verdicts: own.verdicts,
      members:
        members.length === 0
          ? NONE.members
          : members.map(member => ({ ...member, verdicts: member.references.map(r => judge(r, false)) })),
    }
  }

  /**
   * A file with the hashes in it that stand alone, once it is known which there are: where something may be one, it is
   * read again. Until then nothing depends on them, for a hash that is no path leads to nothing.
   */
  withHashes(node: FileNode, hashes: HashSet): FileNode {
    const whole = this.#mayHold.has(node.path) ? this.#readAgain(node, hashes) : node
    const split = whole.facts.format === 'elf' ? splitHashes(whole) : null
    if (split !== null && split.size > 0) this.split.set(whole.path, split)
    return whole
  }

  #readAgain(node: FileNode, hashes: HashSet): FileNode {
    const { path, facts } = node
    const namer = { path, facts, isWrapper: this.wrappers.has(path), isBinary: false, isNamed: false }
    const judge = (reference: Reference): Verdict => this.#verdicts.of(namer, reference)
    const bytes = readBytes(path, facts, hashes)
    const { references, verdicts } = merged(node, bytes.references, judge)
    if (node.text && references.length > 0) this.#keepText(path, node.size)
    const known = [...node.members]
    const again = facts.format === 'macho' ? NO_MEMBERS : readMembers(path, facts, bytes, hashes, [])
    const members = again.members.map(member => {
      const before = member.references.some(r => !r.bare) ? (known.shift() ?? NONE) : NONE
      return { ...member, ...merged(before, member.references, judge) }
    })
    return { ...node, references, verdicts, members }
  }

  #keepText(path: SourcePath, size: number): void {
    if (size <= SCRIPT_MAX && !this.texts.has(path))
      this.texts.set(
        path,
        withFile(path, source => source.read(0, size).toString('latin1')),
      )
  }
}

const apartFinding = (file: SourcePath, offset: number): Finding => ({
  code: 'container-unread',
  severity: 'warning',
  file,
  member: '',
  problem: 'apart',
  detail: `offset ${offset}`,
})

/** What most files name: one list for all of them. */
const NONE: Pick<FileNode, 'references' | 'verdicts' | 'members'> = { references: [], verdicts: [], members: [] }

/** All references with their verdicts: those of paths keep theirs, which may have been settled since. */
function merged(
  known: Pick<FileNode, 'references' | 'verdicts'>,
  found: readonly Reference[],
  judge: (reference: Reference) => Verdict,
): Pick<FileNode, 'references' | 'verdicts'> {
  const verdicts = [...known.verdicts]
  return { references: found, verdicts: found.map(r => (r.bare ? judge(r) : (verdicts.shift() ?? judge(r)))) }
}
