/**
 * The manifest and the files agree.
 */
import { MANIFEST, type Manifest, pathBytes } from '../../apply/manifest.ts'
import type { Finding } from '../../model/findings.ts'

/** A member that was read. */
export interface Seen {
  readonly type: 'file' | 'link'
  readonly executable: boolean
  readonly sha256: string | null
  readonly target: string
}

/** None more, none less, none changed. */
export function checkManifest(manifest: Manifest, seen: ReadonlyMap<string, Seen>): Finding[] {
  const findings: Finding[] = []
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
    else if (found.sha256 !== file.sha256) mismatch(name, 'has other contents than listed')
    else if (found.type === 'link' && file.target && found.target !== pathBytes(file.target))
      mismatch(name, 'leads elsewhere than listed')
    else if (found.type === 'file' && found.executable !== file.executable)
      mismatch(name, file.executable ? 'is not executable' : 'is executable')
  }
  for (const name of seen.keys()) if (!listed.has(name)) mismatch(name, 'is not listed')
  return findings
}
