/** What the derivations of store paths say of them, as far as they are on this machine. */
import { BundleError } from '../errors.ts'
import { readText, stat } from '../io/store.ts'
import { runTool } from '../io/tool.ts'
import { fromText, toText } from '../paths.ts'
import { type Derivation, type Provenance, parseDerivation, provenanceOf } from './derivation.ts'
import { storePathOf } from './store-path.ts'

/** @param roots store paths, byte strings; those that Nix's database does not know are left out */
export async function provenancesOf(roots: readonly string[]): Promise<Map<string, Provenance>> {
  const found = new Map<string, Provenance>()
  const known = new Map<string, Derivation | null>()
  const read = (path: string): Derivation | null => {
    const place = fromText(path)
    // A path that came with its closure has a deriver that did not.
    if (!known.has(path))
      known.set(
        path,
        storePathOf(place) !== null && stat(place)?.type === 'file' ? parseDerivation(readText(place)) : null,
      )
    return known.get(path)!
  }
  try {
    for (const root of roots) {
      const { code, stdout } = await runTool('nix-store', ['--query', '--deriver', toText(root)])
      const derivation = code === 0 ? read(stdout.trim()) : null
      // Of several that could have made it any is named: it has to be one that did.
      if (derivation?.outputs.some(output => output.path === toText(root)))
        found.set(root, provenanceOf(stdout.trim(), derivation, read))
    }
  } catch (error) {
    if (!(error instanceof BundleError) || error.code !== 'tool-missing') throw error
  }
  return found
}
