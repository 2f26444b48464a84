/**
 * What a program may look for and nobody is told of otherwise: paths into packages that are there, which lead to nothing
 * that the bundle has, texts that change because a store hash stands in them alone, and the store's own directory. Pure.
 */
import { PT } from '../elf/constants.ts'
import type { Finding } from '../model/findings.ts'
import type { DependencyGraph, FileNode } from '../model/graph.ts'
import type { Account } from '../model/plan.ts'
import { storePathOf } from '../nix/store-path.ts'
import { directoryOf, type SourcePath } from '../paths.ts'
import { languageOf } from '../script/language.ts'
import { pycSource } from '../script/pyc.ts'

/** One finding for all paths that lead nowhere, for all hashes that stand alone in a text, for the store's directory. */
export function nowhere(
  graph: DependencyGraph,
  accounts: readonly Account[],
  isBundled: (path: SourcePath) => boolean,
): Finding[] {
  const trees = new Set<string>(graph.packages.filter(p => p.tree).map(p => p.root))
  const directories = new Set([...graph.files.keys(), ...graph.links.keys()].map(directoryOf))
  const lost = accounts.filter(account => {
    const { rule, target } = account.verdict
    // Libraries of a directory come by their names, and then they do.
    if (rule === 'libraries' && target !== null && directories.has(target)) return false
    const root = rootOf(account) ?? climbedFrom(account, isBundled)
    return root !== null && !trees.has(root) && isLookedAt(graph, account)
  })
  const bare = accounts.filter(account => namesPackage(graph, account))
  const store = accounts.filter(account => namesStore(graph, account))
  return [...pathsFinding(lost), ...hashFinding(graph, bare), ...storeFinding(store)]
}

function pathsFinding(lost: readonly Account[]): Finding[] {
  const [first] = lost
  if (!first) return []
  return [
    {
      code: 'reference-nowhere',
      severity: 'warning',
      file: first.file,
      files: unique(lost.map(a => a.file)),
      packages: unique(lost.map(a => nameOf(rootOf(a) ?? a.verdict.target!))),
      paths: unique(lost.map(a => a.reference.text.slice(0, PATH_SHOWN))),
    },
  ]
}

function hashFinding(graph: DependencyGraph, bare: readonly Account[]): Finding[] {
  const [first] = bare
  if (!first) return []
  const { offset } = first.reference
  const name = /^-([\w+.?=-]+)/.exec(behind(graph, first))?.[1] ?? ''
  return [
    {
      code: 'hash-blanked',
      severity: 'warning',
      file: first.file,
      files: unique(bare.map(a => a.file)),
      offset,
      name,
      count: bare.length,
    },
  ]
}

function storeFinding(accounts: readonly Account[]): Finding[] {
  const [first] = accounts
  if (!first) return []
  const files = unique(accounts.map(a => a.file))
  return [{ code: 'store-directory', severity: 'warning', file: first.file, files, count: accounts.length }]
}

/**
 * The package that a reference names in vain; null for one that leads somewhere, and for one that leads nowhere in the
 * store either, so that no run misses what it names.
 */
function rootOf({ verdict: { rule, target, missing } }: Account): SourcePath | null {
  if (rule === 'absent') return missing?.doubtful ? missing.root : null
  if (rule === 'libraries') return target && (storePathOf(target)?.root as SourcePath)
  return rule === 'other-tree' ? target : null
}

/**
 * The package of a path that goes up again from a directory of which nothing comes: `bin` of `bin/../share/x`, without
 * which the kernel finds no share/x either.
 */
function climbedFrom({ reference: { text }, verdict: { target } }: Account, isBundled: (path: SourcePath) => boolean) {
  const up = text.indexOf('/../')
  const root = target !== null && up > 0 ? storePathOf(target)?.root : undefined
  return root === undefined || !text.startsWith(`${root}/`) || isBundled(text.slice(0, up) as SourcePath)
    ? null
    : (root as SourcePath)
}

/** Whether a program may read the reference and go on from it: it is in memory, in a script, in a text, or packed. */
function isLookedAt(graph: DependencyGraph, { file, reference, inside, outcome }: Account): boolean {
  const node = graph.files.get(file)
  if (!node || outcome === 'stripped' || outcome === 'loader') return false
  const { facts } = node
  // What is packed in programs and libraries is debug information.
  if (inside !== null) return facts.format === 'data' || facts.format === 'script'
  if (facts.format === 'macho') return true
  if (facts.format !== 'elf') return node.text && !isCompiled(graph, node)
  // What looks like a path may be pieces of several (scan/contents.ts).
  if (graph.split.get(file)?.has(reference.hash ?? '')) return false
  const { offset } = reference
  return facts.segments.some(s => s.type === PT.load && offset >= s.offset && offset < s.offset + s.filesz)
}

const isCompiled = (graph: DependencyGraph, { path }: FileNode): boolean =>
  path.endsWith('.pyc') && graph.files.has(pycSource(path) as SourcePath)

/** Whether a bare hash of a text is the beginning of a store path's name, which something puts behind a directory. */
const namesPackage = (graph: DependencyGraph, account: Account): boolean =>
  account.reference.bare &&
  account.inside === null &&
  account.outcome === 'blanked' &&
  /^-[A-Za-z0-9]/.test(behind(graph, account))

/** Whether a program compares paths with the store's directory, or puts paths in it together: Nix's own tools do. */
function namesStore(graph: DependencyGraph, account: Account): boolean {
  const { file, reference, inside, outcome } = account
  if (reference.hash !== null || inside !== null || outcome !== 'blanked') return false
  // What goes on like a name is an example, or a reference that nuke-refs has taken away.
  if (!/^\/nix\/store\/?(?![\w/-])/.test(reference.text)) return false
  const facts = graph.files.get(file)?.facts
  if (facts === undefined || !isLookedAt(graph, account)) return false
  if (facts.format === 'elf' || facts.format === 'macho') return true
  if (languageOf(file, facts) === null) return false
  const text = graph.texts.get(file) ?? ''
  const line = text.slice(text.lastIndexOf('\n', reference.offset) + 1, reference.offset)
  return !/^\s*(?:#|\/\/|--|\*|\/\*)/.test(line)
}

/** What a text goes on with behind a hash. */
function behind(graph: DependencyGraph, { file, reference: { offset, text } }: Account): string {
  const end = offset + text.length
  return graph.texts.get(file)?.slice(end, end + NAME_MAX) ?? ''
}
/** A store path's name is not longer (libstore/store-api.cc). In bytes. */
const NAME_MAX = 211

/** Of a path behind which other strings may follow. In bytes. */
const PATH_SHOWN = 255

const nameOf = (path: SourcePath): string => storePathOf(path)?.name ?? path

const unique = <T extends string>(texts: readonly T[]): T[] => [...new Set(texts)]
