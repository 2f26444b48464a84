/**
 * No store string is left: not in contents, names, link texts or archive headers, in any encoding that the scanner
 * knows; and no hash of the closure.
 */
import type { Finding, Reference } from '../model.ts'
import type { Member } from '../pack/members.ts'
import { type HashSet, ReferenceScanner, scanReferences } from '../references/scan.ts'

type Where = 'contents' | 'name' | 'link' | 'header'

/** A file with thousands of references is told by its first ones. */
const PER_FILE = 20

/** References outside a member's contents. */
export function checkNames(member: Member, hashes: HashSet | null): Finding[] {
  // The name follows a slash wherever the bundle lies: `nix/store` at its top is `/nix/store` in every path to it.
  const parts: [Where, Buffer, number][] = [
    ['name', Buffer.from(`/${member.name}`, 'latin1'), 1],
    ['link', Buffer.from(member.target, 'latin1'), 0],
  ]
  const found = parts.flatMap(([where, bytes, before]) =>
    scanReferences([bytes], hashes).map(r =>
      toFinding(member.name, where, { ...r, offset: Math.max(0, r.offset - before) }),
    ),
  )
  // A header repeats the name and the link's text: it counts when they do not show it.
  if (found.length > 0) return found
  return scanReferences([member.header], hashes).map(r => toFinding(member.name, 'header', r))
}

/** A scanner of a member's contents that adds what it finds to `findings`. */
export function contentsScanner(name: string, hashes: HashSet | null, findings: Finding[]): ReferenceScanner {
  let count = 0
  return new ReferenceScanner(hashes, reference => {
    if (count++ < PER_FILE) findings.push(toFinding(name, 'contents', reference))
  })
}

/** The finding for a reference in a file's contents. */
export const contentsFinding = (name: string, reference: Reference): Finding => toFinding(name, 'contents', reference)

function toFinding(file: string, where: Where, { offset, encoding, bare, text }: Reference): Finding {
  return bare
    ? { code: 'store-hash', severity: 'error', file, where, text, offset }
    : { code: 'store-reference', severity: 'error', file, where, text, offset, encoding }
}
