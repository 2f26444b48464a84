/**
 * Images in the layout of OCI: each blob is named by its digest (image-layout.md, "Blobs").
 */
import type { Finding } from '../../model/findings.ts'

const BLOB = /(?:^|\/)blobs\/sha256\/([0-9a-f]{64})$/

/** For a blob, the check of its digest; null for any other file. */
export function checkBlob(name: string): ((sha256: string | null) => Finding[]) | null {
  const expected = BLOB.exec(name)?.[1]
  if (expected === undefined) return null
  return sha256 =>
    sha256 === expected
      ? []
      : [
          {
            code: 'entry-unsafe',
            severity: 'error',
            file: name,
            reason: `its contents have another digest (${sha256})`,
          },
        ]
}
