/**
 * `bundle.json`: what a bundle says of itself. Its schema is versioned; names are text, with the bytes beside them in
 * base64 where they are no UTF-8. It names packages and bundle paths only: like every file of the bundle it holds
 * neither `/nix/store` nor a store hash. Of the closure's hashes it has digests, so that whoever verifies the bundle
 * on another machine can still tell that none of them is left.
 */
import * as v from 'valibot'
import type { Explained } from '../model/explained.ts'
import type { Finding } from '../model/findings.ts'
import type { DependencyGraph } from '../model/graph.ts'
import type { Manifest } from '../model/manifest.ts'
import { type BundlePlan, OUTCOMES, type Outcome, type PlanOptions } from '../model/plan.ts'
import type { Target } from '../model/target.ts'
import { digestOfHash } from '../nix/hash-digest.ts'
import { identityOf } from '../nix/store-path.ts'
import { type BundlePath, toText } from '../paths.ts'
import { RULES } from '../references/follow.ts'
import type { WrittenFile } from './apply.ts'
import {
  FILE_NEEDS,
  fileFields,
  NEEDS,
  needsFields,
  PACKAGE_NEEDS,
  packageFields,
  pathText,
  textBytes,
} from './manifest-needs.ts'

export const MANIFEST = 'bundle.json' as BundlePath
/** 1 did not say why a file is there; it is still read. */
const SCHEMA = 2

/** A path: text, and `bytes` (base64) where the text alone would not give it back. */
const Path = v.object({ path: v.string(), bytes: v.optional(v.string()) })

const COUNTS = {
  loader: v.number(),
  fixed: v.number(),
  templated: v.number(),
  relocated: v.number(),
  blanked: v.number(),
  placed: v.optional(v.number(), 0),
  stripped: v.optional(v.number(), 0),
}

export const ManifestSchema = v.object({
  schema: v.picklist([1, SCHEMA]),
  tool: v.string(),
  name: v.string(),
  version: v.nullable(v.string()),
  system: v.string(),
  /** Null: relocatable. */
  prefix: v.nullable(v.string()),
  /** `none` with a prefix: programs start by themselves. */
  launcher: v.picklist(['stub', 'shell', 'none']),
  /** `missing`: libraries that the original does not find either. */
  programs: v.array(
    v.object({ at: Path, elf: Path, loader: v.nullable(Path), missing: v.optional(v.array(v.string()), []) }),
  ),
  /** Those of the files; with schema 2, behind them, those that stayed out (manifest-needs.ts). */
  packages: v.array(v.object({ name: v.string(), tree: v.boolean(), ...PACKAGE_NEEDS })),
  /** Bytes that the path of the bundle's root may have: beyond it strings that relocate themselves do not fit. */
  rootLimit: v.optional(v.nullable(v.number()), null),
  /** Data files that `relocate` fills in, where there are any. */
  templates: v.optional(v.array(Path)),
  /** How many references had which outcome (model/plan.ts, Outcome), and how many paths of the host in loaders were blanked. */
  references: v.object({ ...COUNTS, 'host-path': v.number() }),
  /** The same by file: what it names is a bundle path, or a package's name and path where it is not in the bundle. */
  accounts: v.array(
    v.object({
      /** Its index in `files`; with schema 1 its path. */
      file: v.optional(v.number()),
      path: v.optional(v.string()),
      bytes: v.optional(v.string()),
      outcome: v.picklist(OUTCOMES),
      rule: v.string(),
      target: v.optional(v.nullable(v.string()), null),
      count: v.optional(v.number(), 1),
    }),
  ),
  /** The first 16 hexadecimal digits of the SHA-256 of each hash of the closure. */
  closure: v.array(v.string()),
  findings: v.array(v.looseObject({ code: v.string(), severity: v.string(), file: v.string() })),
  /** Sorted by path, bytewise. */
  files: v.array(
    v.object({
      ...Path.entries,
      type: v.picklist(['file', 'link']),
      executable: v.boolean(),
      size: v.number(),
      sha256: v.nullable(v.string()),
      target: v.nullable(Path),
      ...FILE_NEEDS,
    }),
  ),
  /** Directories that hold nothing, where there are any. */
  empty: v.optional(v.array(Path)),
  ...NEEDS,
})

type Text = v.InferInput<typeof ManifestSchema>

/** A document as it is written: what can be left out is. Its long lists are made row by row, as they are written. */
export type ManifestText = Omit<Text, 'files' | 'needs'> & {
  readonly files: Iterable<Text['files'][number]>
  readonly needs: Iterable<NonNullable<Text['needs']>[number]>
}

/** A path of the manifest as a byte string. */
export const pathBytes = ({ path, bytes }: { path: string; bytes?: string | undefined }): BundlePath =>
  textBytes(path, bytes) as BundlePath

/** What the manifest says that neither plan nor graph know. */
export interface Title {
  readonly tool: string
  readonly name: string
  readonly version: string | null
  readonly system: string
}

export function makeManifest(
  title: Title,
  graph: DependencyGraph,
  plan: BundlePlan,
  options: PlanOptions,
  files: readonly WrittenFile[],
  explained: Explained,
): ManifestText {
  return {
    schema: SCHEMA,
    ...title,
    prefix: options.prefix === null ? null : toText(options.prefix),
    launcher: options.prefix !== null ? 'none' : plan.programs.some(p => p.at !== p.elf) ? 'shell' : 'stub',
    programs: plan.programs.map(p => ({
      at: pathText(p.at),
      elf: pathText(p.elf),
      loader: p.loader === null ? null : pathText(p.loader),
      missing: graph.findings.flatMap(f =>
        f.code === 'library-missing' && f.chain[0] === p.source ? [String(strip(f.name, plan))] : [],
      ),
    })),
    packages: explained.packages.map(({ name, tree }, id) => ({
      name: toText(name),
      ...identityOf(toText(name)),
      tree,
      ...packageFields(explained, id),
    })),
    rootLimit: plan.relocations?.rootLimit ?? null,
    ...(plan.templates.length > 0 && { templates: plan.templates.map(pathText) }),
    references: countOutcomes(plan),
    accounts: accountsByFile(plan, explained),
    closure: [...graph.hashes].map(digestOfHash).sort(),
    findings: plan.findings.map(f => withoutStorePaths(f, plan)),
    files: fileRows(files, explained),
    ...(plan.empty.length > 0 && { empty: plan.empty.map(pathText) }),
    ...needsFields(explained),
  }
}

function* fileRows(files: readonly WrittenFile[], explained: Explained): Generator<Text['files'][number]> {
  // They are the same files, by their places.
  const written = [...files].sort((a, b) => (a.at < b.at ? -1 : 1))
  for (const [i, file] of explained.files.entries()) {
    const { at, type, executable, size, sha256, target } = written[i]!
    const { path, bytes } = pathText(at)
    const { package: owner, part, role } = fileFields(explained, file)
    const goesTo = target === null ? null : pathText(target)
    // Written out, with what is left out as undefined: objects that are put together cost more than all else of a row.
    yield { path, bytes, type, executable, size, sha256, target: goesTo, package: owner, part, role }
  }
}

/** How many references had which outcome, and how many paths of the host in loaders were blanked. */
export function countOutcomes(plan: BundlePlan): Record<Outcome | 'host-path', number> {
  const counts = {
    loader: 0,
    fixed: 0,
    templated: 0,
    relocated: 0,
    blanked: 0,
    placed: 0,
    stripped: 0,
    'host-path': plan.hostPaths,
  }
  for (const { outcome } of plan.accounts) counts[outcome]++
  return counts
}

function accountsByFile(plan: BundlePlan, explained: Explained): Text['accounts'] {
  const told = new Set(plan.accounts.map(({ at }) => at))
  const ids = new Map<BundlePath, number>()
  for (let id = 0; id < explained.files.length; id++) {
    const { at } = explained.files[id]!
    if (told.has(at)) ids.set(at, id)
  }
  const groups = new Map<string, Text['accounts'][number] & { count: number }>()
  for (const { at, outcome, verdict } of plan.accounts) {
    const target = verdict.target === null ? null : String(strip(verdict.target, plan))
    const key = JSON.stringify([at, outcome, verdict.rule, target])
    const known = groups.get(key)
    if (known) known.count++
    else groups.set(key, { file: ids.get(at)!, outcome, rule: verdict.rule, target, count: 1 })
  }
  return [...groups.values()].map(({ target, count, ...account }) => ({
    ...account,
    ...(target !== null && { target }),
    ...(count > 1 && { count }),
  }))
}

/** The account of everything with the inputs' own paths, for `--report`. */
export function fullReport(
  target: Target,
  graph: DependencyGraph,
  plan: BundlePlan,
  findings: readonly Finding[],
): object {
  const text = (value: string | null): string | null => (value === null ? null : toText(value))
  const directories = new Set<string>(plan.empty)
  return {
    schema: SCHEMA,
    target: target.label,
    packages: graph.packages.map(p => ({ root: toText(p.root), hash: p.hash, name: toText(p.name), tree: p.tree })),
    references: plan.accounts.map(({ file, at, inside, reference, verdict, outcome, missed }) => ({
      file: toText(file),
      at: toText(at),
      member: inside === null ? null : inside.map(toText).join('!'),
      offset: reference.offset,
      encoding: reference.encoding,
      text: toText(reference.text),
      target: text(verdict.target),
      rule: verdict.rule,
      reason: RULES.get(verdict.rule) ?? '',
      followed: verdict.followed,
      outcome,
      missed,
    })),
    files: [...plan.placed].flatMap(([file, at]) =>
      directories.has(at) ? [] : [{ file: toText(file), at: toText(at) }],
    ),
    findings: findings.map(f => JSON.parse(JSON.stringify(f))),
  }
}

/** A finding in the bundle's own terms. */
const withoutStorePaths = (finding: Finding, plan: BundlePlan): Manifest['findings'][number] =>
  Object.fromEntries(
    Object.entries(finding).flatMap(([k, value]) =>
      Array.isArray(value) && value.length > EXAMPLES && !WHOLE.has(k)
        ? [
            [k, strip(value.slice(0, EXAMPLES), plan)],
            [`${k}More`, value.length - EXAMPLES],
          ]
        : [[k, strip(value, plan)]],
    ),
  ) as Manifest['findings'][number]

/** Of a long list a bundle has the first ones and a number; `--json` and `--report` have all. */
const EXAMPLES = 3
/** Of these the end says why. */
const WHOLE: ReadonlySet<string> = new Set(['chain'])

/** Bundle paths for inputs that are in the bundle, package names for the others. */
function strip(value: unknown, plan: BundlePlan): unknown {
  if (typeof value === 'string') {
    const at = plan.placed.get(value as never)
    return toText(at ?? value.replace(/\/nix\/store\/?(?:[0-9a-df-np-sv-z]{32}-?)?/g, ''))
  }
  return Array.isArray(value) ? value.map(item => strip(item, plan)) : value
}
