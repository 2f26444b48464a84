/**
 * What the page shows (page/), types only: made where the command runs, read in a browser. Texts are for people: what
 * is no UTF-8 stands as `\xNN` (paths.ts). Rows are tuples, for a bundle has thousands of files.
 */
import type { Explained, FileRole, NeedKind } from './explained.ts'

type Asked = Explained['asked'][number]['kind']

export interface PageData {
  readonly name: string
  readonly version: string | null
  readonly system: string
  readonly kind: 'target' | 'bundle'
  /** What made the page. */
  readonly tool: string
  /** SHA-256 of `bundle.json`, in hexadecimal; null for a target. */
  readonly digest: string | null
  readonly bytes: number
  /** Of Nix's closure; null where Nix was not asked. */
  readonly nar: number | null
  readonly packages: readonly PagePackage[]
  readonly roles: readonly FileRole[]
  readonly kinds: readonly NeedKind[]
  readonly files: readonly PageFile[]
  /** Directories that come along with what they hold; their ids follow those of the files. */
  readonly directories: readonly (readonly [owner: number, part: string, came: number | null])[]
  readonly needs: readonly PageNeed[]
  /** Needs that are not told, for there are too many. */
  readonly left: number
  /** Where chains begin: of which kind that is, and in words. */
  readonly asked: readonly (readonly [kind: Asked, what: string, to: number])[]
  /** What the page shows first: ids of files or directories. */
  readonly shown: readonly number[]
}

export interface PagePackage {
  readonly label: string
  readonly version: string | null
  readonly purl: string | null
  readonly cpe: string | null
  /** What says so. */
  readonly by: string
  /** Files and links of it in the bundle, and their bytes. */
  readonly files: number
  readonly bytes: number
  readonly alone: number | null
  readonly nar: number | null
  /** In a few words why it is there. */
  readonly why: string
  /** Of one that stayed out: what names it all the same, and where. */
  readonly kept: readonly (readonly [from: number, where: string])[]
  readonly keptCount: number
}

/**
 * `part` is null where `at` says it: `pkg/LABEL/part`. `came`: the index of the need by which it comes first, or
 * `-1 - index` of what was asked for; null when nothing leads to it.
 */
export type PageFile = readonly [
  at: string,
  part: string | null,
  owner: number | null,
  size: number,
  role: number,
  isLink: 0 | 1,
  came: number | null,
]

/** What it does and where that stands, in words; of what a directory holds neither is told. */
export type PageNeed =
  | readonly [from: number, to: number, kind: number]
  | readonly [from: number, to: number, kind: number, verb: string, evidence: string]
