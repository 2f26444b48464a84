/** A bill of materials, types only: what is asked, what is learnt of files for it, and the parts of CycloneDX that it has. */
import type { Provenance } from '../nix/derivation.ts'
import type { Meta } from '../nix/meta.ts'
import type { BundlePath } from '../paths.ts'

/** By the types of package URLs. */
export type Ecosystem = 'golang' | 'cargo' | 'pypi' | 'npm' | 'deb' | 'rpm' | 'apk' | 'alpm'

/** A package that is in a file. */
export interface Inside {
  /** Null for one that no package URL has a type for. */
  readonly ecosystem: Ecosystem | null
  readonly name: string
  readonly version: string | null
  /** Of a distribution's: `debian`, `amd64`. */
  readonly vendor?: string
  readonly arch?: string
}

/** What is learnt of a file by reading it. */
export interface Contents {
  /** In hexadecimal. */
  readonly sha256: string
  readonly sha512: string
  readonly executable: boolean
  /** A file that holds others. */
  readonly archive: boolean
  readonly inside: readonly Inside[]
  /** The version that it says its package has. */
  readonly version: string | null
}

export const SPECS = ['1.6', '1.7'] as const
export const FILES = ['none', 'objects', 'all'] as const
/** What dependencies are: what files need of each other, or what Nix keeps. */
export const EDGES = ['files', 'nix'] as const

export interface SbomOptions {
  readonly spec: (typeof SPECS)[number]
  /** Which files are components: `objects` are programs, libraries and scripts. */
  readonly files: (typeof FILES)[number]
  /** Who makes the document: a URL or a mail address, with a name before it in `NAME <...>`. */
  readonly creator?: string | undefined
  /** Whose dependencies are told; `nix` needs what Nix says. */
  readonly edges: (typeof EDGES)[number]
  /** Whether store paths stand in it. */
  readonly storePaths: boolean
  /** What Nix says of packages, by the digests of these; of a bundle that is there nothing is known. */
  readonly told?: ReadonlyMap<string, Told> | undefined
  /** RFC 3339 */
  readonly timestamp: string
  /** What made the bundle, `storefree 0.1.0`, and what makes the document. */
  readonly maker: string
  readonly tool: string
}

/** What Nix says of a package. */
export interface Told {
  /** Its store path. */
  readonly store: string
  /** By its derivation; null where that is not on this machine. */
  readonly made: Provenance | null
  /** By its expression; null where that was not evaluated. */
  readonly meta: Meta | null
  /** Digests of packages of the closure that it names, itself left out. */
  readonly references: readonly string[]
}

export interface Component {
  readonly type: 'application' | 'library' | 'data' | 'file'
  readonly 'bom-ref': string
  readonly name: string
  readonly version?: string
  readonly hashes?: readonly { readonly alg: string; readonly content: string }[]
  readonly cpe?: string
  readonly purl?: string
  readonly components?: readonly Component[]
  readonly description?: string
  readonly licenses?: readonly object[]
  readonly externalReferences?: readonly object[]
  readonly pedigree?: object
  readonly evidence?: object
  readonly properties?: readonly Property[]
}
interface Property {
  readonly name: string
  readonly value: string
}

export interface Sbom {
  readonly metadata: { readonly component: Component }
  readonly components: readonly Component[]
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[]
}

/** A package whose files say another version than its store path. */
export interface Contradiction {
  readonly package: string
  readonly path: string | null
  readonly files: string
  /** The file that says so. */
  readonly at: BundlePath
}
