/**
 * Why something is in a bundle, or why it is in Nix's closure and not in the bundle. Pure.
 */
import type { Explained, Kept, Need, NeedKind } from '../model/explained.ts'
import type { Finding } from '../model/findings.ts'
import { fromText } from '../paths.ts'
import { type Chain, Chains } from './chains.ts'
import { namesOf } from './names.ts'

export interface WhyOptions {
  /** Chains of each match that are told. */
  readonly chains: number
  /** Files of one name that are told. */
  readonly matches: number
  /** Only steps of these kinds count; empty: all. */
  readonly kinds: readonly NeedKind[]
}

/** What is said of one name. */
export interface Answer {
  /** As it was typed. */
  readonly asked: string
  /** What is in the bundle, nearest to the programs first. */
  readonly matches: readonly Match[]
  /** How many there are in all. */
  readonly matchCount: number
  /** Packages of that name that have no file in the bundle. */
  readonly absent: readonly Absent[]
}

/** A file or directory, or a package by the file of it that is nearest to the programs. */
export interface Match {
  readonly id: number
  /** Null: it was asked for by itself. */
  readonly package: { readonly id: number; readonly files: number; readonly bytes: number } | null
  readonly chains: readonly Chain[]
  readonly chainCount: number
  /** Whether there may be more than were counted. */
  readonly more: boolean
  /** Ids that all chains go through, from the beginning on. */
  readonly through: readonly number[]
  /** By how many bytes the bundle is smaller without it. */
  readonly removable: number
  /** Who needs it. */
  readonly users: readonly Need[]
}

/** A package of Nix's closure. */
export interface Absent {
  readonly package: number
  readonly kept: readonly Kept[]
  readonly keptCount: number
  /** Packages whose files name it, as Nix has it. */
  readonly keptBy: readonly number[]
}

/** Answers for some names, as they were typed. */
export function why(explained: Explained, names: readonly string[], options: WhyOptions): Answer[] {
  const { kinds } = options
  const chosen =
    kinds.length === 0
      ? explained
      : { ...explained, needs: explained.needs.filter(({ kind }) => kind === 'made' || kinds.includes(kind)) }
  const chains = new Chains(chosen)
  return names.map(name => answer(chosen, chains, name, options))
}

function answer(explained: Explained, chains: Chains, asked: string, options: WhyOptions): Answer {
  const { packages, ids } = namesOf(explained, fromText(asked))
  const owners = new Set(explained.files.map(file => file.package))
  const present = packages.filter(id => owners.has(id))
  const wanted = new Set(ids)
  // A further name of a file that is meant is not another answer.
  const isName = (id: number): boolean =>
    explained.files[id]?.role === 'name' &&
    [...chains.needsTo(id)].some(index => wanted.has(explained.needs[index]!.from))
  const found = chains.order.filter(id => wanted.has(id) && !isName(id))
  return {
    asked,
    matches: [
      ...present.slice(0, options.matches).flatMap(id => packageMatch(explained, chains, id, options) ?? []),
      ...found.slice(0, options.matches).map(id => match(explained, chains, id, options, null)),
    ],
    matchCount: present.length + found.length,
    absent: packages
      .filter(id => !owners.has(id))
      .slice(0, options.matches)
      .map(id => ({
        package: id,
        kept: explained.packages[id]!.kept,
        keptCount: explained.packages[id]!.keptCount,
        keptBy: explained.packages.flatMap(({ references }, other) => (references.includes(id) ? [other] : [])),
      })),
  }
}

function packageMatch(explained: Explained, chains: Chains, owner: number, options: WhyOptions): Match | null {
  const { files } = explained
  const nearest = chains.order.find(id => files[id]?.package === owner)
  if (nearest === undefined) return null
  const own = files.filter(file => file.package === owner)
  const bytes = own.reduce((sum, file) => sum + file.size, 0)
  return match(explained, chains, nearest, options, { id: owner, files: own.length, bytes })
}

function match(explained: Explained, chains: Chains, id: number, options: WhyOptions, owner: Match['package']): Match {
  const { chains: all, count, more } = chains.allTo(id, options.chains)
  const shortest = chains.chainTo(id)!
  const isOwn = (other: number): boolean => owner !== null && ownerOf(explained, other) === owner.id
  return {
    id,
    package: owner,
    // The shortest is the one that people are told first, whatever order others come in.
    chains: [shortest, ...all.filter(chain => !sameChain(chain, shortest))].slice(0, options.chains),
    chainCount: Math.max(count, 1),
    more,
    through: chains.throughAll(shortest),
    removable: chains.bytesWithout(other => other === id || isOwn(other)),
    users: [...chains.needsTo(id)].map(index => explained.needs[index]!).filter(need => chains.isReached(need.from)),
  }
}

const sameChain = (a: Chain, b: Chain): boolean =>
  a.asked === b.asked && a.needs.length === b.needs.length && a.needs.every((need, i) => need === b.needs[i])

/** The package of a file or directory. */
export const ownerOf = ({ files, directories }: Explained, id: number): number | null =>
  id < files.length ? files[id]!.package : directories[id - files.length]!.package

/**
 * Findings for what must not be in a bundle and is, by the names that `bundle why` takes.
 * @param policy the file that says so; null for --disallow
 */
export function disallowed(explained: Explained, names: readonly string[], policy: string | null = null): Finding[] {
  if (names.length === 0) return []
  const chains = new Chains(explained)
  return names.flatMap((name): Finding[] => {
    const { packages, ids } = namesOf(explained, name)
    const wanted = new Set(ids)
    const owners = new Set(packages)
    const found = chains.order.find(id => wanted.has(id) || owners.has(explained.files[id]?.package ?? -1))
    if (found === undefined) return []
    const { chain, option } = chainOf(explained, chains, found)
    return [{ code: 'disallowed', severity: 'error', file: chain.at(-1)!, name, chain, option, policy }]
  })
}

/** The shortest chain to what is there: the inputs that its steps are, and the option that it begins with. */
export function chainOf(explained: Explained, chains: Chains, id: number): { chain: string[]; option: string | null } {
  const { asked, needs } = chains.chainTo(id)!
  const ofTarget = asked.kind === 'entry' || asked.kind === 'target'
  // The directory that holds all of a target's own files says nothing.
  const steps = asked.kind === 'target' ? needs.slice(1) : needs
  const chain = [...steps.map(need => need.from), id].map(other => sourceOf(explained, other))
  return { chain, option: ofTarget || asked.kind === 'bundle' ? null : asked.kind === 'trace' ? '--trace' : asked.name }
}

/** The input that a file or directory is; its place for what is made. */
function sourceOf(explained: Explained, id: number): string {
  const file = explained.files[id]
  const { package: owner, part } = file ?? explained.directories[id - explained.files.length]!
  const store = owner === null ? null : explained.packages[owner]!.store
  if (store === null) return file?.at ?? part
  return part === '' ? store : `${store}/${part}`
}
