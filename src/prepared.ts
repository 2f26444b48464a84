/** What is known of a target before anything is written: what `bundle` goes on from, and what questions are asked of. */
import type { Progress } from './io/progress.ts'
import { realPath, remembering, sameContents } from './io/store.ts'
import type { DependencyGraph } from './model/graph.ts'
import type { BundlePlan, PlanOptions } from './model/plan.ts'
import type { Target } from './model/target.ts'
import { readClosure } from './nix/closure.ts'
import { type ClosureFacts, closureOf } from './nix/database.ts'
import { storePathOf } from './nix/store-path.ts'
import { type BundleOptions, formatOf, outputPath, planOptions, scanOptions } from './options.ts'
import { debPrefix } from './pack/deb.ts'
import { type SourcePath, toText } from './paths.ts'
import { plan as makePlan } from './plan/plan.ts'
import { leftOut, spareOf, type Unmade } from './plan/spare.ts'
import type { Title } from './report/bundle.ts'
import { ownersOf } from './scan/owners.ts'
import { scan } from './scan/scan.ts'
import { resolveTargets } from './target/target.ts'
import { trace } from './target/trace.ts'
import { titleOf } from './title.ts'

export interface Prepared {
  readonly target: Target
  readonly graph: DependencyGraph
  readonly made: BundlePlan
  readonly title: Title
  readonly how: PlanOptions
  /** What is known of Nix's closure: its size, and what Nix's database says of its paths. */
  readonly closure: Promise<{ readonly size: number; readonly paths: ClosureFacts['paths'] | null } | null>
  /** The same of a bundle that does without these files too. */
  without(unmade: ReadonlyMap<SourcePath, Unmade>): Promise<Prepared>
}

/**
 * The first half of the pipeline: from what was typed to the plan.
 * @param scanned is told of each graph, before it is planned
 * @throws as `bundle`
 */
export async function prepare(
  targets: string | readonly [string, ...string[]],
  options: BundleOptions,
  progress: Progress,
  scanned: (graph: DependencyGraph) => void = () => {},
): Promise<Prepared> {
  const cwd = options.cwd ?? process.cwd()
  const format = formatOf(options)
  const told = options.closure === undefined ? null : readClosure(outputPath(options.closure, cwd))
  const target = await resolveTargets(typeof targets === 'string' ? [targets] : targets, {
    file: options.file ?? null,
    system: options.system ?? null,
    args: options.nixArg ?? [],
    cwd,
    shown: options.showNix ?? false,
    programs: options.program ?? [],
  })
  // Every entry is a program that exists.
  const name = options.name ?? toText(target.name)
  const how = planOptions(format === 'deb' ? { prefix: debPrefix(name), ...options } : options, format)
  const roots = target.roots.filter(r => storePathOf(r.root)?.root === r.root)
  const closure =
    told === null
      ? closureOf(roots.map(r => toText(r.root)))
      : Promise.resolve(told.size === null ? null : { size: told.size, paths: null })
  const seen = options.trace ? await trace(options.trace, target.entries, cwd) : { traced: [], findings: [] }
  // All that is run of the target has run.
  const wanted = scanOptions(options, how, seen.traced, told?.paths)
  const without = async (unmade: ReadonlyMap<SourcePath, Unmade>): Promise<Prepared> => {
    const entries = target.entries.filter(({ source }) => !unmade.has(realPath(source)))
    // The database of packages that lies there is read for both: before `ownersOf` waits for the first time.
    const { found, owners } = remembering(() => {
      const found = scan(entries, target.roots, { ...wanted, without: new Set(unmade.keys()) }, progress)
      return { found, owners: ownersOf([...found.files.keys(), ...found.links.keys()]) }
    })
    const graph = {
      ...found,
      owners: await owners,
      findings: [...seen.findings, ...leftOut(unmade), ...found.findings],
    }
    scanned(graph)
    // No input is read for facts after this point.
    const made = makePlan(graph, how, sameContents)
    const payloads = spareOf(graph, made.findings)
    if (payloads.size > 0) return without(new Map([...unmade, ...payloads]))
    const title = titleOf(target, graph, options.name)
    return { target, graph, made, title, how, closure, without: more => without(new Map([...unmade, ...more])) }
  }
  return without(new Map())
}
