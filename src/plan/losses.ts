/** What programs miss when nothing is put in the place of a reference. Pure. */
import type { DependencyGraph, FileNode, Verdict } from '../model/graph.ts'
import { storePathOf } from '../nix/store-path.ts'
import { directoryOf, type SourcePath } from '../paths.ts'
import { isInstructions, leftOut } from '../references/follow.ts'
import { pycSource } from '../script/pyc.ts'
import { isFoundByLandmark } from './landmark.ts'

export class Losses {
  readonly #graph: DependencyGraph
  /** Directories of the inputs that something was taken from, and those that hold nothing there either. */
  readonly #directories = new Set<string>()

  constructor(graph: DependencyGraph) {
    this.#graph = graph
    for (const path of graph.empty) this.#directories.add(path)
    for (const path of [...graph.files.keys(), ...graph.links.keys(), ...graph.empty])
      for (let d = directoryOf(path); d !== '' && !this.#directories.has(d); d = directoryOf(d))
        this.#directories.add(d)
  }

  /**
   * Whether a program looks for something where nothing is any more: what is named was worth bringing, or is in the
   * bundle for some other reason.
   */
  of(node: FileNode, { rule, target, followed }: Verdict): boolean {
    if (NEVER_MISSED.has(rule) || isUnread(node.path)) return false
    // What a compiled module names, its source names too, and answers for.
    if (node.path.endsWith('.pyc') && this.#graph.files.has(pycSource(node.path) as SourcePath)) return false
    if (rule === 'own-tree' && target !== null && isFoundByLandmark(this.#graph, node.path, target)) return false
    return followed || (target !== null && this.isBundled(target))
  }

  /** Whether something lies in the bundle, or in a directory of which something does. */
  isBundled(path: SourcePath): boolean {
    return this.#graph.files.has(path) || this.#graph.links.has(path) || this.#directories.has(path)
  }
}

/** Whether no run reads a file: it is in the bundle because all of a package is wanted. */
function isUnread(path: SourcePath): boolean {
  const root = storePathOf(path)?.root
  if (root === undefined) return false
  const inside = path.slice(root.length + 1)
  return leftOut(inside) !== null && !isInstructions(inside)
}

/** Rules for what a program does not look for when it runs, or for what something else answers for. */
const NEVER_MISSED: ReadonlySet<string> = new Set([
  'shebang',
  'option',
  'configuration',
  'loader',
  'libraries',
  'absent',
  'other-tree',
])
