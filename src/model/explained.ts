/**
 * What a bundle consists of and why, types and their order: what the questions of explain/ are asked of. It is made of a graph before
 * bundling, or of a bundle's `bundle.json`, and answers the same. It names packages and places, never the store: strings
 * are byte strings (paths.ts) in which store paths have neither directory nor hash.
 */
import type { BundlePath, SourcePath } from '../paths.ts'
import type { Encoding } from '../references/reference.ts'
import type { Asked, DependencyKind } from './graph.ts'
import type { MachinePackage } from './machine.ts'

export interface Explained {
  readonly subject: Subject
  /** Those with files in the bundle, in the graph's order, then those that only Nix's closure has, by name. */
  readonly packages: readonly ExplainedPackage[]
  /** Sorted by `at`. Their ids are their indices. */
  readonly files: readonly ExplainedFile[]
  /** Directories that come along with what they hold. Their ids follow those of the files. */
  readonly directories: readonly { readonly package: number; readonly part: string }[]
  readonly needs: readonly Need[]
  /** Where every chain begins. */
  readonly asked: readonly { readonly kind: Asked['kind'] | 'bundle'; readonly name: string; readonly to: number }[]
  /** Whether Nix told of its closure. */
  readonly closure: boolean
}

export interface Subject {
  readonly kind: 'target' | 'bundle'
  readonly name: string
  readonly version: string | null
  readonly system: string
  /** SHA-256 of a bundle's `bundle.json`, in hexadecimal; null for a target. */
  readonly digest: string | null
}

export interface ExplainedPackage {
  /** `openssl-3.0.22-bin` */
  readonly name: string
  /** Of its hash, as in `bundle.json`; null outside a store. */
  readonly digest: string | null
  /** Its store path; null in a bundle. */
  readonly store: SourcePath | null
  /** What the machine's package manager says of it; null in a store, and where none knows it. */
  readonly machine: MachinePackage | null
  /** Whether its own tree comes along. */
  readonly tree: boolean
  /** Size of all of it as Nix has it, in bytes of its archive format; null where Nix was not asked. */
  readonly nar: number | null
  /** Packages that it names, as Nix has it. */
  readonly references: readonly number[]
  /** Of one without files: where files of the bundle name it all the same, at most KEPT_MAX of them. */
  readonly kept: readonly Kept[]
  readonly keptCount: number
}

/** Places that are kept of a package that stayed out. */
export const KEPT_MAX = 20

export interface Kept {
  readonly from: number
  readonly place: Place
  /** The row of references/follow.ts that said that it stays. */
  readonly rule: string
  /** The entry of a search path that it is: `RUNPATH[2]`, in which nothing was found. */
  readonly via: string | null
}

export interface ExplainedFile {
  readonly at: BundlePath
  readonly type: 'file' | 'link'
  /** In bytes, of the file as it is in the bundle, before bundling too; 0 for a link. */
  readonly size: number
  readonly role: FileRole
  /** Null for what is made. */
  readonly package: number | null
  /** Its path in its package; empty for what is made, and for a package that is one file. */
  readonly part: string
}

/**
 * `name`: a further name of a file, a link. `made`: neither a copy nor a link of the inputs: launchers, tables,
 * `bundle.json`.
 */
export const FILE_ROLES = ['program', 'library', 'loader', 'script', 'data', 'link', 'name', 'made'] as const
export type FileRole = (typeof FILE_ROLES)[number]

/** What rows of sizes are of. */
export const SIZES_BY = ['package', 'file', 'kind', 'section'] as const
export type SizeBy = (typeof SIZES_BY)[number]

/** Why `to` is there. `made`: it is made for `from`, as a launcher's program, a script's text, a further name. */
export interface Need {
  readonly from: number
  readonly to: number
  readonly kind: NeedKind
  readonly name: string
  readonly via: string | null
  readonly at: readonly Place[]
  readonly count: number
}

export const NEED_KINDS = [
  'interp',
  'needed',
  'variant',
  'dlopen',
  'shebang',
  'wrapper',
  'link',
  'reference',
  'trace',
  'install-name',
  'member',
  'condition',
  'image',
  'loaded',
  'made',
] as const satisfies readonly (DependencyKind | 'made')[]
export type NeedKind = (typeof NEED_KINDS)[number]

/** The order of needs: by their ends, then by kind and name. */
export const byEnds = (a: Need, b: Need): number =>
  a.from - b.from ||
  a.to - b.to ||
  (a.kind === b.kind ? (a.name < b.name ? -1 : a.name > b.name ? 1 : 0) : a.kind < b.kind ? -1 : 1)

/** Of what a process maps or starts: what a tree of libraries goes along. */
export const LOADING: ReadonlySet<NeedKind> = new Set([
  'interp',
  'needed',
  'install-name',
  'loaded',
  'variant',
  'dlopen',
  'wrapper',
  'shebang',
])

export interface Place {
  /** Null: in `from` itself. */
  readonly file: number | null
  readonly member: string | null
  /** In the contents of the input's file or member, in bytes. */
  readonly offset: number
  /** Of a text, counted from 1. */
  readonly line: number | null
  /** The part of a binary: `needed`, `.rodata` (verify/checks/parts.ts). */
  readonly part: string | null
  readonly encoding: Encoding
}
