/**
 * Stage 6: proof. Reads any tree or artefact, ours or not, and says which store references are in it; of a bundle, and
 * with `closed` of anything, also what does not resolve inside. It knows nothing of how the bundle was made but what
 * the bundle's own manifest says; the pipeline runs it on the staged tree before anything is published.
 */
import { MANIFEST } from '../apply/manifest.ts'
import { readManifest } from '../apply/manifest-text.ts'
import { open } from '../archive/members.ts'
import type { Progress } from '../io/progress.ts'
import { lstat, withFile } from '../io/store.ts'
import type { Manifest } from '../model/manifest.ts'
import type { Parts } from './image-files.ts'
import type { Looks } from './looks.ts'
import { MANIFEST_MAX, Reading } from './reading.ts'
import type { Verification, VerifyOptions } from './verification.ts'

export type { Verification, VerifyOptions } from './verification.ts'

/**
 * Verifies what lies at a path (byte string).
 * @param early files of a bundle's directory that others look into already
 * @throws BundleError when it cannot be read
 */
export async function verify(
  path: string,
  progress: Progress,
  options: VerifyOptions = {},
  early: Looks | null = null,
): Promise<Verification> {
  const artefact = await open(path)
  const pass = async (known: Manifest | null, parts: Parts | null = null): Promise<Reading> => {
    const reading = new Reading(path, artefact, known, options, progress, parts, early)
    try {
      return await reading.read()
    } finally {
      reading.close()
    }
  }
  // Of a directory it is known at once whether it is a bundle.
  const known = artefact.kind === 'directory' ? manifestIn(path, early) : null
  if (known !== null) return (await pass(known)).verification()
  const before = await pass(null)
  // An archive shows late that it is a bundle: then it is read again, as one.
  if (before.manifest !== null) return (await pass(before.manifest)).verification()
  // And so of an image whose parts have names of their own.
  const parts = before.partsMissed()
  return parts === null ? before.verification() : (await pass(null, parts)).verification()
}

/** What a directory says of itself as a bundle; null where it does not, or not so that it can be read. */
function manifestIn(path: string, early: Looks | null): Manifest | null {
  const file = `${path}/${MANIFEST}`
  const status = lstat(file)
  if (status?.type !== 'file' || status.size > MANIFEST_MAX) return null
  const bytes = withFile(file, source => source.read(0, source.size))
  const read = readManifest(bytes, name => early?.known(name))
  return 'manifest' in read ? read.manifest : null
}
