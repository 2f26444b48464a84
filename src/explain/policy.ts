/** Whether a bundle is as its project wants it (`storefree.json`): with the chain by which comes what should not. Pure. */
import type { Explained } from '../model/explained.ts'
import type { Finding } from '../model/findings.ts'
import type { Asking, Policy } from '../model/policy.ts'
import { compareVersions } from '../model/versions.ts'
import { baseName } from '../paths.ts'
import { globs } from '../references/glob.ts'
import { Chains } from './chains.ts'
import { namesOf } from './names.ts'
import { chainOf, disallowed } from './why.ts'

/** Names and places that a finding has of many. */
const EXAMPLES = 3

/**
 * Findings for all that a policy asks of a bundle; of what is none for its size and symbols.
 * @param bundle or how many bytes there are of what is none
 * @param names of its files and links: byte strings, with or without directories
 */
export function judge(
  policy: Policy,
  bundle: Explained | number,
  asking: Iterable<Asking>,
  names: Iterable<string>,
): Finding[] {
  const inside = new Set(Array.from(names, baseName))
  const explained = typeof bundle === 'number' ? null : bundle
  const bytes = typeof bundle === 'number' ? bundle : bundle.files.reduce((sum, { size }) => sum + size, 0)
  return [
    ...judgeSize(policy, bytes, explained),
    ...(explained === null ? [] : judgeContents(policy, explained)),
    ...judgeSymbols(policy, asking, name => inside.has(name)),
  ]
}

/** Findings for packages, libraries and files that should or should not be there. */
function judgeContents(policy: Policy, explained: Explained): Finding[] {
  return [
    ...disallowed(explained, policy.disallow, policy.file),
    ...policy.require.flatMap(name => missing(policy, explained, name)),
    ...disallowedFiles(policy, explained),
  ]
}

/** @param bytes of all files of the bundle */
export function judgeSize({ file, maxSize: max }: Policy, bytes: number, explained: Explained | null): Finding[] {
  if (max === null || bytes <= max) return []
  const sums = new Map<string, number>()
  for (const { size, package: owner } of explained?.files ?? [])
    if (owner !== null) {
      const { name } = explained!.packages[owner]!
      sums.set(name, (sums.get(name) ?? 0) + size)
    }
  const largest = [...sums].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, EXAMPLES)
  const named = largest.map(([name, size]) => ({ name, bytes: size }))
  return [{ code: 'policy-size', severity: 'error', file, bytes, max, largest: named }]
}

function missing({ file }: Policy, explained: Explained, name: string): Finding[] {
  const { packages, ids } = namesOf(explained, name)
  const isThere = ids.length > 0 || explained.files.some(f => f.package !== null && packages.includes(f.package))
  // Of a package of Nix's closure nothing came, for nothing names a file of it.
  return isThere ? [] : [{ code: 'policy-missing', severity: 'error', file, name, named: packages.length > 0 }]
}

function disallowedFiles({ file: policy, disallowFiles }: Policy, explained: Explained): Finding[] {
  if (disallowFiles.length === 0) return []
  const { files, packages } = explained
  const chains = new Chains(explained)
  return disallowFiles.flatMap((glob): Finding[] => {
    const matches = globs([glob])
    const found = chains.order.filter(id => {
      const file = files[id]
      if (file === undefined) return false
      const { at, part, package: owner } = file
      return matches(at) || (owner !== null && matches(`${packages[owner]!.name}/${part}`))
    })
    const [first] = found
    if (first === undefined) return []
    const { chain, option } = chainOf(explained, chains, first)
    const examples = found.slice(0, EXAMPLES).map(id => files[id]!.at)
    const { length: count } = found
    return [
      { code: 'policy-files', severity: 'error', file: chain.at(-1)!, policy, glob, count, examples, chain, option },
    ]
  })
}

/**
 * Findings for symbols that libraries outside are asked for and only newer ones have.
 * @param inside names of the files and links of the bundle
 */
export function judgeSymbols(
  { file: policy, newestSymbols }: Policy,
  asking: Iterable<Asking>,
  inside: (library: string) => boolean,
): Finding[] {
  if (newestSymbols.size === 0) return []
  const found = new Map<string, { library: string; version: string; max: string; files: string[] }>()
  for (const { file, verneed } of asking)
    for (const { file: library, versions } of verneed) {
      if (inside(baseName(library))) continue
      for (const version of versions) {
        const max = tooNew(newestSymbols, version)
        if (max === null) continue
        const key = `${library}\0${version}`
        const known = found.get(key) ?? { library, version, max, files: [] }
        if (known.files.at(-1) !== file) known.files.push(file)
        found.set(key, known)
      }
    }
  return [...found]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { library, version, max, files }]) => {
      const [file] = files
      return { code: 'policy-symbols', severity: 'error', file: file!, policy, library, version, max, files }
    })
}

/** What glibc's versions that are no numbers came with. */
const UNNUMBERED: Readonly<Record<string, string>> = { GLIBC_ABI_DT_RELR: '2.36', GLIBC_ABI_GNU_TLS: '2.42' }

/** The newest version that may be asked for, where one is newer: `GLIBC_2.38` with 2.31; null where it is not. */
function tooNew(newest: ReadonlyMap<string, string>, version: string): string | null {
  const prefixes = [...newest.keys()].filter(p => version.startsWith(`${p}_`)).sort((a, b) => b.length - a.length)
  const [prefix] = prefixes
  if (prefix === undefined) return null
  const max = newest.get(prefix)!
  const number = UNNUMBERED[version] ?? version.slice(prefix.length + 1)
  // Of others, as GLIBC_PRIVATE, no two releases have the same.
  return /^\d/.test(number) && compareVersions(number, max) <= 0 ? null : max
}

/** Warnings as errors, where the policy says so. */
export const judged = ({ errors }: Policy, findings: readonly Finding[]): Finding[] =>
  findings.map(f =>
    f.severity === 'warning' && (errors === 'all' || errors.includes(f.code)) ? { ...f, severity: 'error' } : f,
  )
