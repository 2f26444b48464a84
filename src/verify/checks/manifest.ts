/**
 * The manifest and the files agree.
 */

import { MANIFEST, pathBytes } from '../../apply/manifest.ts'
import { decodeTemplates, rootOf, TEMPLATES } from '../../entry/templates.ts'
import { BundleError } from '../../errors.ts'
import type { Finding } from '../../model/findings.ts'
import type { Manifest } from '../../model/manifest.ts'

/** A member that was read. */
export interface Seen {
  readonly type: 'file' | 'link'
  readonly executable: boolean
  readonly sha256: string | null
  readonly target: string
}

/**
 * None more, none less, none changed, but for what `relocate` writes into data files: where the bundle lies.
 * @param names of all members, directories too
 * @param filled contents of the files that it writes, and of its table
 * @param place where the tree lies; null where it lies nowhere, as in an archive
 */
export function checkManifest(
  manifest: Manifest,
  seen: ReadonlyMap<string, Seen>,
  names: ReadonlySet<string>,
  filled: ReadonlyMap<string, Buffer> = new Map(),
  place: string | null = null,
): Finding[] {
  const findings: Finding[] = []
  const roots = rootsOf(manifest, seen, filled)
  const mismatch = (file: string, reason: string): void => {
    findings.push({ code: 'manifest-mismatch', severity: 'error', file, reason })
  }
  const listed = new Set<string>([MANIFEST])
  for (const file of manifest.files) {
    const name = pathBytes(file)
    listed.add(name)
    const found = seen.get(name)
    if (!found) mismatch(name, 'is listed and not there')
    else if (found.type !== file.type) mismatch(name, `is a ${found.type}, not a ${file.type}`)
    else if (found.sha256 !== file.sha256 && !roots.has(name)) mismatch(name, 'has other contents than listed')
    else if (found.type === 'link' && file.target && found.target !== pathBytes(file.target))
      mismatch(name, 'leads elsewhere than listed')
    else if (found.type === 'file' && found.executable !== file.executable)
      mismatch(name, file.executable ? 'is not executable' : 'is executable')
  }
  for (const name of (manifest.empty ?? []).map(pathBytes)) {
    const found = seen.get(name)
    if (found) mismatch(name, `is a ${found.type}, not a directory`)
    else if (!names.has(name)) mismatch(name, 'is listed and not there')
  }
  for (const [file, root] of roots)
    if (place !== null && root !== place)
      findings.push({ code: 'template-elsewhere', severity: 'warning', file, names: root })
  for (const name of seen.keys()) if (!listed.has(name)) mismatch(name, 'is not listed')
  return findings
}

/** What `relocate` has written: by file, the root that it names. Its table has to be as listed. */
function rootsOf(
  manifest: Manifest,
  seen: ReadonlyMap<string, Seen>,
  filled: ReadonlyMap<string, Buffer>,
): ReadonlyMap<string, string> {
  const roots = new Map<string, string>()
  const table = filled.get(TEMPLATES)
  const listed = manifest.files.find(file => pathBytes(file) === TEMPLATES)
  if (table === undefined || listed === undefined || seen.get(TEMPLATES)?.sha256 !== listed.sha256) return roots
  try {
    for (const template of decodeTemplates(table, TEMPLATES)) {
      const root = rootOf(template, filled.get(template.at)?.toString('latin1') ?? template.pristine)
      if (typeof root === 'string') roots.set(template.at, root)
    }
  } catch (error) {
    // A table that is as listed was made so; whatever it means, its files are not excused.
    if (!(error instanceof BundleError)) throw error
  }
  return roots
}
