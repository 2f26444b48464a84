/**
 * What a person is told of references whose place is empty in a bundle: those that something will miss, and those that
 * stayed out on purpose. One finding for each file and cause; files that miss the same are told together, and so are many
 * files of one package: a person reads five lines, and not a thousand. `--report` has each reference by itself. Pure.
 */
import type { Finding } from '../model/findings.ts'
import type { Account } from '../model/plan.ts'
import { storePathOf } from '../nix/store-path.ts'
import { directoryOf, type SourcePath } from '../paths.ts'

/** Findings about files of one package that are told by themselves; more become one. */
const PER_PACKAGE = 3

/** References for which no run is known to notice that nothing is there: worth a note. */
const UNNOTICED: ReadonlySet<string> = new Set(['tabset'])
/** What stays out though something may look for it. */
const MAY_BE_MISSED: ReadonlySet<string> = new Set(['build-tool'])

/**
 * @param isBundled whether something lies in the bundle, or in a directory of which something does
 * @param isBinary whether a file is a program or library
 */
export function missedReferences(
  accounts: readonly Account[],
  relocatable: boolean,
  isBundled: (path: SourcePath) => boolean,
  isBinary: (path: SourcePath) => boolean,
): Finding[] {
  const missed = new Map<string, Account[]>()
  const left = new Map<string, Account[]>()
  for (const account of accounts) {
    const { outcome, verdict, file } = account
    if (outcome !== 'blanked' || verdict.target === null) continue
    if (account.missed) put(missed, `${file}\0${UNNOTICED.has(verdict.rule)}`, account)
    // What is in the bundle was not left: a comment names it, a compiled module, an option.
    else if (!verdict.followed && !isBundled(verdict.target)) put(left, verdict.rule, account)
  }
  return [
    ...together([...missed.values()], isBinary).map((group): Finding => {
      const files = distinct(group.map(a => a.file))
      const severity = UNNOTICED.has(group[0]!.verdict.rule) ? 'note' : 'warning'
      const targets = distinct(group.map(a => a.verdict.target!))
      return {
        code: 'reference-blanked',
        severity,
        file: files[0]!,
        targets,
        files,
        count: group.length,
        relocatable,
        escaped: group.every(a => a.reference.escaped !== undefined),
      }
    }),
    ...[...left].map(([rule, group]): Finding => {
      const targets = distinct(group.map(a => a.verdict.target!))
      const severity = MAY_BE_MISSED.has(rule) ? 'warning' : 'note'
      return { code: 'reference-left', severity, file: group[0]!.file, rule, targets, count: group.length }
    }),
  ]
}

/** Groups of one file each, joined where their files miss the same, or are many of one package. */
function together(groups: readonly Account[][], isBinary: (path: SourcePath) => boolean): Account[][] {
  const bySubject = new Map<string, Account[][]>()
  for (const group of groups)
    put(bySubject, [subject(group, isBinary), ...distinct(group.map(targetOf)).sort()].join('\0'), group)
  const byPackage = new Map<string, Account[][]>()
  for (const same of bySubject.values()) put(byPackage, subject(same[0]!, isBinary), same.flat())
  return [...byPackage.values()].flatMap(all => (all.length > PER_PACKAGE ? [all.flat()] : all))
}

/** The package of a group's file, and what else makes findings different. */
function subject([first]: readonly Account[], isBinary: (path: SourcePath) => boolean): string {
  const { file, verdict } = first!
  return [storePathOf(file)?.root ?? directoryOf(file), isBinary(file), UNNOTICED.has(verdict.rule)].join('\0')
}

const targetOf = ({ verdict }: Account): SourcePath => verdict.target!

const distinct = <T>(items: readonly T[]): T[] => [...new Set(items)]

function put<T>(map: Map<string, T[]>, key: string, item: T): void {
  const known = map.get(key)
  if (known) known.push(item)
  else map.set(key, [item])
}
