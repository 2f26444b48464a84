/**
 * The fate of every reference: what is written in its place, and an account of it. Nothing is passed over: a file that
 * is copied or stood for has an account for each reference that the scan found in it. Pure.
 */
import { PT } from '../elf/constants.ts'
import type { ElfFacts } from '../elf/facts.ts'
import { ADDRESS_END } from '../entry/relocations.ts'
import type { Template } from '../entry/templates.ts'
import type { Finding } from '../model/findings.ts'
import type { DependencyGraph, FileNode } from '../model/graph.ts'
import type { Account, Edit, Outcome } from '../model/plan.ts'
import type { BundlePath, SourcePath } from '../paths.ts'
import { plainSlashes } from '../references/plain-slashes.ts'
import type { Reference } from '../references/reference.ts'
import { blanked, fixed, inText, names, type Overwrite, rootLength, type Target } from '../references/rewrite.ts'
import { type Site, spliced } from '../script/edit.ts'
import { asExpressions, type Start } from '../script/expressions.ts'
import type { Language } from '../script/language.ts'
import { withStart } from '../script/polyglot.ts'
import type { ParsedShell } from '../script/shell-parsed.ts'
import { Losses } from './losses.ts'
import { missedReferences } from './missed.ts'
import { nowhere } from './nowhere.ts'
import { asSplice, inBytes, type Splice, withoutOverlaps } from './splices.ts'

/** What is written, and what became of each reference. */
export interface Rewritten {
  readonly edits: readonly Edit[]
  readonly accounts: readonly Account[]
}

/** A store path in an object that the stub relocates, by the hash of what it names. */
export interface RelocatedSite {
  readonly address: number
  readonly target: Target
}

/** A part of a file that is replaced as a whole, in bytes. */
interface Range {
  readonly offset: number
  readonly length: number
}

const NOTHING = { edits: [], accounts: [] }

export class Accounts {
  readonly #graph: DependencyGraph
  readonly #targets: ReadonlyMap<string, Target>
  readonly #prefix: string | null
  readonly #shell: ParsedShell
  readonly #losses: Losses
  readonly #linked = new Set<Target>()

  /** @param targets where store paths go, by hash */
  constructor(graph: DependencyGraph, targets: ReadonlyMap<string, Target>, prefix: string | null, shell: ParsedShell) {
    this.#graph = graph
    this.#targets = targets
    this.#prefix = prefix
    this.#shell = shell
    this.#losses = new Losses(graph)
  }

  /** What binaries name by its link, so far. */
  get linked(): ReadonlySet<Target> {
    return this.#linked
  }

  /** At equal length, so that nothing moves. `replaced`: strings that are set anew as a whole. */
  inPlace(node: FileNode, at: BundlePath, replaced: readonly Range[] = []): Rewritten {
    const own = this.#overwrites(node, at, node, null, replaced)
    if (node.members.length === 0) return own
    const members = node.members.map(member => ({
      names: member.names,
      ...this.#overwrites(node, at, member, member.names, []),
    }))
    return {
      edits: [...own.edits, { op: 'repack', members }],
      accounts: [...own.accounts, ...members.flatMap(m => m.accounts)],
    }
  }

  /**
   * An object whose strings the stub relocates when a program starts: on disk they name nothing, at the same length.
   * `replaced` as in `inPlace`.
   */
  relocated(
    node: FileNode,
    facts: ElfFacts,
    at: BundlePath,
    replaced: readonly Range[],
  ): Rewritten & { readonly sites: readonly RelocatedSite[]; readonly findings: readonly Finding[] } {
    const { edits, accounts } = this.inPlace(node, at, replaced)
    const sites: RelocatedSite[] = []
    let split = 0
    const relocated = accounts.map((account): Account => {
      const { reference, verdict, outcome, inside } = account
      // What is packed is no part of the image.
      if (inside !== null) return account
      const target = this.#targetOf(reference)
      // A loader finds nothing in its own directories on purpose: libraries come by search paths.
      if (outcome !== 'blanked' || verdict.rule === 'loader' || target === null || !names(reference, target))
        return account
      if (reference.encoding !== 'utf8' || reference.escaped) return account
      const address = addressOf(facts, reference.offset, target.root.length)
      if (address !== null && address >= ADDRESS_END) return account
      // What is not loaded (debug information) the program does not look at.
      if (address === null) return { ...account, missed: false }
      if (this.#graph.split.get(node.path)?.has(reference.hash ?? '')) {
        split++
        return account
      }
      sites.push({ address, target })
      this.#linked.add(target)
      return { ...account, outcome: 'relocated', missed: false }
    })
    const findings: Finding[] =
      split === 0 ? [] : [{ code: 'reference-split', severity: 'warning', file: node.path, count: split }]
    return { edits, accounts: relocated, sites, findings }
  }

  #overwrites(
    node: FileNode,
    at: BundlePath,
    { references, verdicts }: Pick<FileNode, 'references' | 'verdicts'>,
    inside: readonly string[] | null,
    replaced: readonly Range[],
  ): { edits: Overwrite[]; accounts: Account[] } {
    // Most files name nothing.
    if (references.length === 0) return NOTHING
    const edits: Overwrite[] = []
    let end = 0
    let last: Outcome = 'blanked'
    const accounts = references.map((reference, i): Account => {
      const { offset } = reference
      const account = (outcome: Outcome, missed: boolean): Account => ({
        file: node.path,
        at,
        reference,
        inside,
        verdict: verdicts[i]!,
        outcome,
        missed,
      })
      if (replaced.some(r => offset >= r.offset && offset < r.offset + r.length)) return account('loader', false)
      // Inside the hash or the name of the one before: `/nix/store//nix/store`, overlapping encodings.
      if (offset < end) return account(last, false)
      const target = this.#targetOf(reference)
      const to = this.#prefix === null || target === null ? null : fixed(reference, target)
      const edit = to ?? blanked(reference)
      if (to !== null) this.#linked.add(target!)
      end = offset + edit.from.length
      last = to ? 'fixed' : 'blanked'
      edits.push(edit)
      return account(last, to === null && this.#losses.of(node, verdicts[i]!))
    })
    return { edits, accounts }
  }

  /** In a text for one place: as long as it takes. */
  atAnyLength(node: FileNode, at: BundlePath): Rewritten {
    const edits: Splice[] = []
    const accounts = node.references.map((reference, i): Account => {
      const target = this.#targetOf(reference)
      if (this.#prefix !== null && target !== null && names(reference, target)) {
        const to = Buffer.from(inText(reference, target), 'latin1')
        edits.push({ op: 'splice', offset: reference.offset, length: rootLength(reference, target), to })
        return this.#account(node, at, i, 'fixed', false)
      }
      edits.push(asSplice(blanked(reference)))
      return this.#account(node, at, i, 'blanked', this.#losses.of(node, node.verdicts[i]!))
    })
    return { edits: withoutOverlaps(edits), accounts }
  }

  /**
   * In a script or module that finds the bundle's root by itself: expressions.
   * @param language null where none can be put into the text: only its start may be set
   * @param start what makes `/bin/sh` able to start it
   */
  asExpressions(node: FileNode, at: BundlePath, language: Language | null, start: Start | null = null): Rewritten {
    const text = this.#graph.texts.get(node.path)!
    const indices = [...node.references.keys()].filter(i => !node.references[i]!.bare && !node.references[i]!.escaped)
    const sites = indices.map((i): Site => {
      const reference = node.references[i]!
      const target = this.#targetOf(reference)
      const to = target !== null && names(reference, target) ? target.at : null
      return { offset: reference.offset, length: rootLength(reference, target), to }
    })
    const { splices, outcomes } = asExpressions(language, text, at, sites, start, this.#shell)
    const edits = splices.map(inBytes)
    const bySite = new Map(indices.map((i, site) => [i, outcomes[site]!]))
    const accounts = node.references.map((reference, i): Account => {
      const outcome = bySite.get(i)
      if (outcome === undefined) edits.push(asSplice(blanked(reference)))
      if (outcome === 'templated') return this.#account(node, at, i, 'templated', false)
      // What is escaped was put together for a pattern or another language: no expression stands there.
      const isUnhandled = outcome === 'refused' || (outcome === undefined && !reference.bare)
      const missed = isUnhandled || (outcome === 'blanked' && this.#isMissing(reference))
      return this.#account(node, at, i, 'blanked', missed && this.#losses.of(node, node.verdicts[i]!))
    })
    return { edits: withoutOverlaps(edits), accounts }
  }

  /**
   * A text whose places `relocate` fills in (entry/templates.ts): blanked at equal length, with the places; null where
   * no program would miss any of them.
   * @param start what makes `/bin/sh` able to start it
   */
  asTemplate(
    node: FileNode,
    at: BundlePath,
    start: Start | null = null,
  ): (Rewritten & { readonly template: Template }) | null {
    const text = this.#graph.texts.get(node.path)
    if (text === undefined) return null
    const { edits, accounts } = this.inPlace(node, at)
    const sites: Template['sites'][number][] = []
    // The first line of what sh starts is another.
    const behind = start !== null && node.facts.format === 'script' ? node.facts.lineEnd : 0
    let isMissed = false
    const readsPlain = plainSlashes(text)
    const placed = accounts.map((account): Account => {
      const { reference, outcome, missed } = account
      const target = this.#targetOf(reference)
      const end = sites.at(-1)
      const isFree = reference.offset >= (end === undefined ? behind : end.offset + end.length)
      if (outcome !== 'blanked' || target === null || !names(reference, target) || !isFree) return account
      // `relocate` puts plain slashes there.
      if (reference.escaped && !readsPlain(reference.escaped.slash)) return account
      isMissed ||= missed
      sites.push({ offset: reference.offset, length: rootLength(reference, target), to: target.at })
      return { ...account, outcome: 'placed', missed: false }
    })
    if (!isMissed) return null
    const bytes = Buffer.from(text, 'latin1')
    for (const edit of edits) if (edit.op === 'overwrite') bytes.set(edit.to, edit.offset)
    const pristine = bytes.toString('latin1')
    if (start === null) return { edits, accounts: placed, template: { at, pristine, sites } }
    const { splices } = withStart(pristine, at, [], { splices: [], outcomes: [], refusals: [] }, start.name, start)
    const growth = splices.reduce((sum, s) => sum + s.text.length - s.length, 0)
    const moved = sites.map(site => ({ ...site, offset: site.offset + growth }))
    const blanks = edits.flatMap(edit => (edit.op === 'overwrite' && edit.offset >= behind ? [asSplice(edit)] : []))
    const all = [...blanks, ...splices.map(inBytes)].sort((a, b) => a.offset - b.offset)
    return { edits: all, accounts: placed, template: { at, pristine: spliced(pristine, splices), sites: moved } }
  }

  /** For a file that something else stands in for, such as a launcher for a wrapper. */
  standIn(node: FileNode, at: BundlePath): readonly Account[] {
    return node.references.map((reference, i) => {
      const target = this.#targetOf(reference)
      const kept = target !== null && names(reference, target)
      const loader = node.verdicts[i]!.rule === 'loader'
      return this.#account(node, at, i, loader ? 'loader' : kept ? 'templated' : 'blanked', false)
    })
  }

  /** What a person is told of references (missed.ts, nowhere.ts). */
  findings(accounts: readonly Account[]): Finding[] {
    const isBinary = (path: SourcePath): boolean =>
      /^(?:elf|macho)$/.test(this.#graph.files.get(path)?.facts.format ?? '')
    const isBundled = (path: SourcePath): boolean => this.#losses.isBundled(path)
    return [
      ...missedReferences(accounts, this.#prefix === null, isBundled, isBinary),
      ...nowhere(this.#graph, accounts, isBundled),
    ]
  }

  #account(node: FileNode, at: BundlePath, i: number, outcome: Outcome, missed: boolean): Account {
    const [reference, verdict] = [node.references[i]!, node.verdicts[i]!]
    return { file: node.path, at, reference, inside: null, verdict, outcome, missed }
  }

  #targetOf({ hash }: Reference): Target | null {
    return hash === null ? null : (this.#targets.get(hash) ?? null)
  }

  #isMissing(reference: Reference): boolean {
    return this.#targetOf(reference) === null
  }
}

/** The accounts when strings of some objects turned out to stay blanked (apply/relocation-table.ts). */
export function withoutRelocation(
  accounts: readonly Account[],
  refused: ReadonlySet<BundlePath>,
  graph: DependencyGraph,
): readonly Account[] {
  if (refused.size === 0) return accounts
  const losses = new Losses(graph)
  return accounts.map(account =>
    account.outcome === 'relocated' && refused.has(account.at)
      ? { ...account, outcome: 'blanked', missed: losses.of(graph.files.get(account.file)!, account.verdict) }
      : account,
  )
}

/** The virtual address of some bytes of a file; null when no segment loads them all. */
function addressOf({ segments }: ElfFacts, offset: number, length: number): number | null {
  const segment = segments.find(s => s.type === PT.load && offset >= s.offset && offset + length <= s.offset + s.filesz)
  return segment ? segment.vaddr + offset - segment.offset : null
}
