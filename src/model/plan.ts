/** What stage 4 hands on, types only: what will be written. Strings are byte strings (paths.ts). */
import type { ElfEdit } from '../elf/edit.ts'
import type { LoaderPlace } from '../elf/facts.ts'
import type { MachOEdit } from '../macho/edit.ts'
import type { BundlePath, SourcePath } from '../paths.ts'
import type { Reference } from '../references/reference.ts'
import type { Overwrite } from '../references/rewrite.ts'
import type { Finding } from './findings.ts'
import type { Verdict } from './graph.ts'

export interface BundlePlan {
  /** Sorted by `at`, which is unique. */
  readonly steps: readonly Step[]
  /** Directories that nothing lies in. Sorted. */
  readonly empty: readonly BundlePath[]
  readonly programs: readonly PlannedProgram[]
  readonly placed: ReadonlyMap<SourcePath, BundlePath>
  /** One for each reference of each file that is copied or stood for, in the order of the steps. */
  readonly accounts: readonly Account[]
  /** Null when there are none. */
  readonly relocations: PlannedRelocations | null
  /** Data files that name places: `relocate` fills them in. Sorted. */
  readonly templates: readonly BundlePath[]
  /** Paths of the host in loaders that were blanked. */
  readonly hostPaths: number
  readonly findings: readonly Finding[]
}

export type Step =
  | {
      readonly do: 'copy'
      readonly at: BundlePath
      readonly from: SourcePath
      readonly executable: boolean
      /** Of the input, in bytes. */
      readonly size: number
      readonly edits: readonly Edit[]
    }
  | { readonly do: 'symlink'; readonly at: BundlePath; readonly to: string }
  | { readonly do: 'write'; readonly at: BundlePath; readonly bytes: Uint8Array; readonly executable: boolean }

/** A change to a file. The same plan is carried out in place or by patchelf, printed, and checked afterwards. */
export type Edit =
  | ElfEdit
  | Overwrite
  | {
      readonly op: 'inject-stub'
      readonly loader: LoaderPlace
      /** Whether the bundle has a table of strings that relocate themselves, and the program's number in it. */
      readonly relocations: { readonly program: number | null } | null
    }
  /** The program's own code gives way to a bootstrap (entry/sidecar.ts). */
  | {
      readonly op: 'enter-by-sidecar'
      readonly loader: LoaderPlace
      readonly relocations: { readonly program: number | null } | null
      /** The search path that it gets in memory, for there is no room in the file; null when it has one there. */
      readonly rpath: string | null
    }
  /** In what is packed in the file, at equal length; and in the file around it. */
  | {
      readonly op: 'repack'
      readonly members: readonly { readonly names: readonly string[]; readonly edits: readonly Overwrite[] }[]
    }
  /** Strings of load commands of a Mach-O file. */
  | { readonly op: 'load-commands'; readonly edits: readonly MachOEdit[] }
  /** Last: a Mach-O file gets a new signature; `name` is for one that had none. */
  | { readonly op: 'sign'; readonly name: string }
  /** The file ends behind `keep` bytes, and `tail` follows (elf/strip.ts). */
  | { readonly op: 'strip'; readonly keep: number; readonly tail: Uint8Array }
  /** In a text: as many bytes as there are in the place of `length` bytes. Splices never overlap. */
  | { readonly op: 'splice'; readonly offset: number; readonly length: number; readonly to: Uint8Array }

/** A program of the bundle: what is typed, the ELF file that runs, and the loader that runs it. */
export interface PlannedProgram {
  readonly at: BundlePath
  readonly elf: BundlePath
  /** Null where the system has it (macOS). */
  readonly loader: BundlePath | null
  /** The original, whose choices of libraries the bundle has to repeat. */
  readonly source: SourcePath
}

// ---- References ----------------------------------------------------------------------------------------------------

/** What became of one reference of one file. */
export interface Account {
  readonly file: SourcePath
  /** Where the file lies in the bundle. */
  readonly at: BundlePath
  readonly reference: Reference
  /** The member of a container that it stands in; null for the file itself. */
  readonly inside: readonly string[] | null
  readonly verdict: Verdict
  readonly outcome: Outcome
  /** Whether the program looked for its target there, and no longer finds it. */
  readonly missed: boolean
}

/**
 * What became of a reference (docs/references.md):
 * - `loader`: inside a string that the loader reads, which is set anew as a whole
 * - `fixed`: it names its target's place below the prefix
 * - `templated`: an expression, or a launcher, puts the bundle's root there
 * - `relocated`: the stub does, when the program starts
 * - `blanked`: it names nothing any more
 * - `placed`: `relocate` puts the bundle's root there, once it is unpacked
 * - `stripped`: it stood in symbols or debug information that were left out
 */
export const OUTCOMES = ['loader', 'fixed', 'templated', 'relocated', 'placed', 'blanked', 'stripped'] as const
export type Outcome = (typeof OUTCOMES)[number]

/** The strings that relocate themselves when a program starts (entry/relocations.ts). */
export interface PlannedRelocations {
  /** Programs with the stub by their number, then all other objects. */
  readonly programs: readonly { readonly at: BundlePath; readonly sites: readonly RelocationSite[] }[]
  readonly objects: readonly { readonly at: BundlePath; readonly sites: readonly RelocationSite[] }[]
  /** Bytes of the root's path beyond which programs go by a link to it (stub.c, "alias"). */
  readonly rootLimit: number
}

/** Where a store path stands in memory (a virtual address of the file), and the number of the link to what it names. */
export interface RelocationSite {
  readonly address: number
  readonly link: number
}

// ---- What was asked for --------------------------------------------------------------------------------------------

/** How a bundle is made. */
export interface PlanOptions {
  /** The fixed place a bundle is made for, a byte string without a trailing slash; null for a relocatable one. */
  readonly prefix: string | null
  readonly patcher: 'auto' | 'patchelf' | 'install_name_tool'
  /** Who signs Mach-O files: on macOS `auto` is codesign. */
  readonly signer: 'auto' | 'builtin'
  /** How programs of a relocatable bundle find their loader; `auto` is the stub where there is one, else the shell. */
  readonly launcher: 'auto' | 'stub' | 'shell'
}
