/**
 * A closure as Nix's database has it. `nix-store --dump-db` is the same in every Nix and in Lix, and asks for no
 * experimental feature; what `nix path-info --json` prints has four shapes.
 */
import { BundleError } from '../errors.ts'
import { runTool } from '../io/tool.ts'
import { storePathOf } from './store-path.ts'

export interface ClosureFacts {
  /** By store path. */
  readonly paths: ReadonlyMap<string, { readonly nar: number; readonly references: readonly string[] }>
  /** The sum of the packages' sizes in Nix's archive format, in bytes. */
  readonly size: number
}

/** In one process, beside whatever we do. Without paths --dump-db would tell of all of the store. */
const SCRIPT = `all=$(nix-store --query --requisites "$@") && test -n "$all" && printf '%s\\n' "$all" | xargs nix-store --dump-db`

/**
 * The closure of store paths.
 * @returns null without Nix, or for paths that it does not know
 */
export async function closureOf(paths: readonly string[]): Promise<ClosureFacts | null> {
  if (paths.length === 0) return null
  try {
    const dumped = await runTool('sh', ['-c', SCRIPT, 'sh', ...paths])
    return dumped.code === 0 ? parseDump(dumped.stdout) : null
  } catch (error) {
    // Without Nix the closure is not known; that takes a line off the summary and nothing else.
    if (error instanceof BundleError && error.code === 'tool-missing') return null
    throw error
  }
}

/**
 * Reads what `nix-store --dump-db` prints. For each path, a line each: the path, its archive's hash, that archive's size,
 * the derivation that made it (or nothing), the number of references, and these.
 * @returns null for anything else
 */
export function parseDump(text: string): ClosureFacts | null {
  const lines = text.split('\n')
  const paths = new Map<string, { nar: number; references: string[] }>()
  let at = 0
  for (; at < lines.length && lines[at] !== ''; ) {
    const path = lines[at]!
    const nar = Number(lines[at + 2])
    const count = Number(lines[at + 4])
    const references = lines.slice(at + 5, at + 5 + count)
    if (storePathOf(path)?.root !== path || !Number.isSafeInteger(nar) || nar < 0) return null
    if (!Number.isSafeInteger(count) || count < 0 || references.length !== count) return null
    if (references.some(other => storePathOf(other)?.root !== other)) return null
    paths.set(path, { nar, references: references.filter(other => other !== path) })
    at += 5 + count
  }
  if (lines.slice(at).some(line => line !== '') || paths.size === 0) return null
  return {
    paths,
    size: [...paths.values()].reduce((sum, { nar }) => sum + nar, 0),
  }
}
