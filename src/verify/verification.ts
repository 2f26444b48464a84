/** What may be asked of a verification, and what it says. */
import type { ArtefactKind } from '../archive/members.ts'
import type { ElfFacts } from '../elf/facts.ts'
import type { LinkMap } from '../elf/search.ts'
import type { Finding } from '../model/findings.ts'
import type { Manifest } from '../model/manifest.ts'
import type { BundlePath } from '../paths.ts'
import type { HashSet } from '../references/scan.ts'

export interface VerifyOptions {
  /** Hashes that must not appear without a store directory either; without them, those that a bundle's manifest has. */
  readonly hashes?: HashSet | null
  /** Store directories besides /nix/store: byte strings without a slash at the end. */
  readonly storeDirectories?: readonly string[]
  /** Whether store references are allowed in a file of the tree (byte string). */
  readonly allowed?: (file: string) => boolean
  /** Whether everything has to resolve inside, also where there is no bundle.json. */
  readonly closed?: boolean
  /** Whether what cannot be looked into is an error. */
  readonly strict?: boolean
  /** Whether facts of ELF files are wanted, also where not everything has to resolve inside. */
  readonly facts?: boolean
  /** Threads that files of a directory are looked into by; by default as many as there are CPUs. */
  readonly jobs?: number
}

export interface Verification {
  readonly kind: ArtefactKind
  /** Sorted by file. */
  readonly findings: readonly Finding[]
  /** References that are allowed where they are. */
  readonly allowed: number
  /** Regular files and their bytes. */
  readonly files: number
  readonly bytes: number
  readonly manifest: Manifest | null
  /** Whether it was checked that everything resolves inside. */
  readonly closed: boolean
  /** What each program loads, by its ELF file's bundle path. */
  readonly linkMaps: ReadonlyMap<BundlePath, LinkMap>
  /** By their places, where they were wanted or needed. */
  readonly elf: ReadonlyMap<string, ElfFacts>
  /** Places of all files, links and directories. */
  readonly names: ReadonlySet<string>
}

/** The findings with the severity that the options give them, sorted; and how many references are allowed. */
export function judged(
  found: readonly Finding[],
  kind: ArtefactKind,
  { allowed: isAllowed = () => false, strict = false }: VerifyOptions,
): { findings: Finding[]; allowed: number } {
  let allowed = 0
  const findings = found.flatMap((finding): Finding[] => {
    const isReference = finding.code === 'store-reference' || finding.code === 'store-hash'
    // What is packed in a file that is allowed is allowed.
    const isFree = isAllowed(finding.file) || isAllowed(finding.file.split('!')[0]!)
    if ((isReference || finding.code === 'container-unread') && isFree) {
      if (isReference) allowed += finding.count
      return []
    }
    // Of a file that is the artefact itself, nothing was proved when it could not be read.
    const isWhole = kind === 'file'
    return finding.code === 'container-unread' && (strict || (isWhole && finding.member === ''))
      ? [{ ...finding, severity: 'error' }]
      : [finding]
  })
  return { findings: findings.sort((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : 0)), allowed }
}
