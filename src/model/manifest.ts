/**
 * `bundle.json`, as it is read: of schema 2, or 1 with what is left out there. Its schema is that of apply/manifest.ts;
 * this is what the library's users see of it.
 */
import type { Encoding } from '../references/reference.ts'
import type { FileRole, NeedKind } from './explained.ts'
import type { MachinePackage } from './machine.ts'
import type { Outcome } from './plan.ts'

/** A path: text, and `bytes` (base64) where the text alone would not give it back. */
export interface ManifestPath {
  readonly path: string
  readonly bytes?: string | undefined
}

/** A name, or nothing, in the same way. */
interface Named {
  readonly name?: string | undefined
  readonly bytes?: string | undefined
}

/** Where something stands: in the file that needs, or in `file`. */
interface ManifestPlace {
  readonly offset: number
  readonly file?: number | undefined
  readonly member?: string | undefined
  readonly line?: number | undefined
  readonly part?: string | undefined
  readonly encoding?: Encoding | undefined
}

/** A package; numbers are indices of `packages`, and of `files` in `kept`. */
interface ManifestPackage {
  readonly name: string
  readonly tree: boolean
  readonly pname?: string | undefined
  readonly version?: string | null | undefined
  readonly output?: string | null | undefined
  readonly digest?: string | null | undefined
  /** What the package manager says of one that was no store's. */
  readonly machine?: MachinePackage | undefined
  /** Bytes of its archive, as Nix counts them. */
  readonly nar?: number | null | undefined
  readonly references?: readonly number[] | undefined
  /** Of one that has no file here: what names it all the same. */
  readonly kept?:
    | readonly (ManifestPlace & {
        readonly from: number
        readonly rule: string
        readonly via?: string | undefined
      })[]
    | undefined
  readonly keptCount?: number | undefined
}

/** A file or link of the bundle. Sizes in bytes. */
interface ManifestFile extends ManifestPath {
  readonly type: 'file' | 'link'
  readonly executable: boolean
  readonly size: number
  /** In hexadecimal digits; null for a link. */
  readonly sha256: string | null
  readonly target: ManifestPath | null
  readonly package?: number | undefined
  readonly part?: ManifestPath | undefined
  readonly role?: FileRole | undefined
}

/** What a bundle says of itself. */
export interface Manifest {
  readonly schema: 1 | 2
  readonly tool: string
  readonly name: string
  readonly version: string | null
  readonly system: string
  /** Null: relocatable. */
  readonly prefix: string | null
  readonly launcher: 'stub' | 'shell' | 'none'
  readonly programs: readonly {
    readonly at: ManifestPath
    readonly elf: ManifestPath
    readonly loader: ManifestPath | null
    readonly missing: readonly string[]
  }[]
  readonly packages: readonly ManifestPackage[]
  readonly rootLimit: number | null
  readonly templates?: readonly ManifestPath[] | undefined
  readonly references: Readonly<Record<Outcome | 'host-path', number>>
  readonly accounts: readonly {
    readonly file?: number | undefined
    readonly path?: string | undefined
    readonly bytes?: string | undefined
    readonly outcome: Outcome
    readonly rule: string
    readonly target: string | null
    readonly count: number
  }[]
  readonly closure: readonly string[]
  readonly findings: readonly {
    readonly code: string
    readonly severity: string
    readonly file: string
    readonly [key: string]: unknown
  }[]
  readonly files: readonly ManifestFile[]
  /** Directories that hold nothing. */
  readonly empty?: readonly ManifestPath[] | undefined
  readonly directories?:
    | readonly (ManifestPath & {
        readonly package: number
        readonly holds?: readonly (readonly [number, number])[] | undefined
      })[]
    | undefined
  readonly needs?:
    | readonly (Named & {
        readonly from: number
        readonly to: number
        readonly kind: NeedKind
        readonly via?: string | undefined
        readonly at?: readonly ManifestPlace[] | undefined
        readonly count?: number | undefined
      })[]
    | undefined
  readonly asked?:
    | readonly (Named & {
        readonly kind: 'entry' | 'target' | 'trace' | 'include' | 'closure' | 'with' | 'licence' | 'bundle'
        readonly to: number
      })[]
    | undefined
  /** Whether Nix told of its closure. */
  readonly nix?: boolean | undefined
}
