/**
 * A closure that is told (`--closure FILE`), where Nix's database cannot be asked, as in a derivation: store paths, one a
 * line, as `nix-store -qR` prints them; or Nix's JSON, which has sizes too: `.attrs.json` of a derivation with
 * `exportReferencesGraph.closure` (its `closure`), or what `nix path-info --json -r` prints.
 */
import { BundleError } from '../errors.ts'
import { readText } from '../io/store.ts'
import { fromText, type SourcePath } from '../paths.ts'
import { storePathOf } from './store-path.ts'

export interface Closure {
  /** Sorted. */
  readonly paths: readonly SourcePath[]
  /** The sum of what the paths hold (`narSize`), in bytes; null where that is not told. */
  readonly size: number | null
}

/**
 * The closure in a file.
 * @param path a byte string
 * @throws BundleError('usage') when it is none, or something in it is no store path
 */
export function readClosure(path: string): Closure {
  const text = readText(path)
  const listed: readonly Listed[] = /^\s*[[{]/.test(text)
    ? fromJson(text, path)
    : text.split('\n').map(line => ({ path: line.trim() }))
  const sizes = new Map<SourcePath, number | null>()
  for (const { path: item, narSize } of listed) {
    if (item === '') continue
    const root = fromText(item)
    if (storePathOf(root)?.root !== root) throw unusable(path, `${JSON.stringify(item)} is no store path`)
    sizes.set(root as SourcePath, narSize !== undefined && Number.isSafeInteger(narSize) ? narSize : null)
  }
  if (sizes.size === 0) throw unusable(path, 'no store path in it')
  const known = [...sizes.values()].filter(size => size !== null)
  const size = known.length < sizes.size ? null : known.reduce((sum, n) => sum + n, 0)
  return { paths: [...sizes.keys()].sort(), size }
}

interface Listed {
  readonly path: string
  readonly narSize?: number
}

function fromJson(text: string, path: string): Listed[] {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw unusable(path, 'it is neither JSON nor a list of store paths')
  }
  const closure: object = (json as { closure?: object }).closure ?? (json as object)
  const items: unknown[] = Array.isArray(closure)
    ? closure
    : Object.entries(closure).map(([key, value]) => ({ ...(value as object), path: key }))
  return items.map((item: unknown): Listed => {
    if (typeof item === 'string') return { path: item }
    const { path: name, narSize } = (item ?? {}) as Record<string, unknown>
    if (typeof name !== 'string') throw unusable(path, `${JSON.stringify(item)} is no store path`)
    return typeof narSize === 'number' ? { path: name, narSize } : { path: name }
  })
}

const unusable = (path: string, message: string): BundleError =>
  new BundleError('usage', message, { path, hint: 'nix-store -qR ./result > closure.txt' })
