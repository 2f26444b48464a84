/**
 * Every noun of the pipeline, types only.
 *
 * Strings that come from files and file systems are byte strings (io/bytes.ts).
 */

import type { DataKind } from './data-kinds.ts'
import type { Strip } from './elf/strip.ts'
import type { Brought } from './extras.ts'
import type { MachOEdit } from './macho/edit.ts'
import type { MachOFacts } from './macho/facts.ts'
import type { MachOLinkMap } from './macho/search.ts'
import type { ProblemCode } from './references/containers.ts'
import type { Wrapper } from './script/wrapper.ts'

declare const brand: unique symbol
/** Absolute path of an input. Inputs are never written to. A byte string. */
export type SourcePath = string & { readonly [brand]: 'source' }
/** Path in a bundle: relative, normal, no leading '/', no '..'. A byte string. */
export type BundlePath = string & { readonly [brand]: 'bundle' }

// ---- Facts: what a file says of itself -------------------------------------------------------------------------

/** A string in a binary with where it lives, so that an edit is judged before it is made. */
export interface Located {
  readonly value: string
  /** File offset of the first byte. */
  readonly offset: number
  /** Bytes from `offset`, with the NUL, that belong to this string alone: a suffix-merged neighbour may end it early. */
  readonly capacity: number
}

/** One program header (elf(5), Elf64_Phdr). */
export interface Segment {
  readonly type: number
  readonly flags: number
  readonly offset: number
  readonly vaddr: number
  readonly filesz: number
  readonly memsz: number
  readonly align: number
}

/** One entry of the dynamic section with the file offsets of its d_tag and d_val. */
export interface DynamicEntry {
  readonly tag: number
  readonly value: number
  readonly offset: number
}

/** One entry of a `.note.dlopen` note (UAPI.12): any one of `sonames` serves the feature. */
export interface DlopenNote {
  readonly sonames: readonly string[]
  readonly priority: 'required' | 'recommended' | 'suggested'
}

/**
 * Where the loader lies: so many directories up from the program's own, then this path. A byte string, empty for a static
 * program.
 */
export interface LoaderPlace {
  readonly up: number
  readonly path: string
}

/** Why a program cannot get the stub. */
export type StubRefusal =
  | 'cpu' /* there is no stub for it */
  | 'no-interpreter' /* nothing that the kernel starts */
  | 'no-slot' /* static, and every program header of it is needed */
  | 'segment-order' /* PT_LOADs not ascending: the kernel would misplace what is added */
  | 'payload' /* bytes behind everything the headers know of, which the program reads from its own end */

export interface ElfFacts {
  readonly format: 'elf'
  readonly class: 32 | 64
  readonly little: boolean
  /** e_machine, and its name as in Nix system strings (`x86_64`) or `machine-<n>`. */
  readonly machine: number
  readonly arch: string
  /** The calling convention, where the machine has several and the file says which. */
  readonly abi: string | null
  /** e_type: 2 is ET_EXEC, 3 is ET_DYN. */
  readonly type: number
  readonly segments: readonly Segment[]
  readonly interp: Located | null
  readonly soname: Located | null
  readonly needed: readonly Located[]
  readonly rpath: Located | null
  readonly runpath: Located | null
  /** DF_1_* bits of DT_FLAGS_1. */
  readonly flags1: number
  /** File names of DT_VERNEED with the versions asked of each. */
  readonly verneed: readonly { readonly file: string; readonly versions: readonly string[] }[]
  readonly dlopenNotes: readonly DlopenNote[]
  readonly dynamic: readonly DynamicEntry[]
  /** Where DT_STRTAB lies in the file; null without a dynamic section. */
  readonly dynstr: { readonly offset: number; readonly size: number } | null
  /** Where the stub in this program finds the loader (entry/stub.c); null without a stub. */
  readonly stub: LoaderPlace | null
  /** True for what the kernel starts: has PT_INTERP and is no library, or is a static program. */
  readonly program: boolean
}

export interface ScriptFacts {
  readonly format: 'script'
  /** The interpreter of the `#!` line and its one argument, as execve(2) splits them. */
  readonly interpreter: Located
  readonly argument: string | null
}

export interface DataFacts {
  readonly format: 'data'
}

export type FileFacts = ElfFacts | MachOFacts | ScriptFacts | DataFacts

export type Encoding = 'utf8' | 'utf16le' | 'utf16be' | 'utf32le' | 'utf32be'

/** A store path or a bare store hash inside a file. */
export interface Reference {
  /** File offset of its first byte: of `/nix/store`, or of the hash when it stands bare. */
  readonly offset: number
  readonly encoding: Encoding
  /** The 32 characters of the hash; null where `/nix/store` is not followed by a store path's name. */
  readonly hash: string | null
  /** True for a hash without `/nix/store/` before it. */
  readonly bare: boolean
  /** The text from `offset` to the first character that ends a path, at most 4096 characters. */
  readonly text: string
}

// ---- Graph: what needs what ------------------------------------------------------------------------------------

export interface FileNode {
  /** Real path: no component of it is a symbolic link. */
  readonly path: SourcePath
  readonly size: number
  readonly executable: boolean
  readonly facts: FileFacts
  /** Whether no byte of it is NUL: then a store path in it may become longer or shorter. */
  readonly text: boolean
  /** By offset. */
  readonly references: readonly Reference[]
  /** One for each reference: where it leads, and which rule of references/follow.ts says whether that comes along. */
  readonly verdicts: readonly Verdict[]
  /** What is packed in it (references/containers.ts), as far as it names the store. */
  readonly members: readonly MemberNode[]
}

/** A file within a compressed one. */
export interface MemberNode {
  /** Its name, from the outermost container's on. Byte strings. */
  readonly names: readonly string[]
  /** By offset in its contents, with a verdict each. */
  readonly references: readonly Reference[]
  readonly verdicts: readonly Verdict[]
}

/** What was decided of a reference. */
export interface Verdict {
  readonly rule: string
  /** The longest part of its text that is there, links resolved but for the last; null for what names nothing. */
  readonly target: SourcePath | null
  readonly followed: boolean
}

/** A symbolic link of a package tree, kept as one. */
export interface LinkNode {
  readonly path: SourcePath
  /** Its final target with every link resolved. */
  readonly target: SourcePath
  /** The link text as it stands. */
  readonly text: string
  readonly directory: boolean
}

export type DependencyKind =
  | 'interp'
  | 'needed'
  | 'variant'
  | 'dlopen'
  | 'shebang'
  | 'wrapper'
  | 'link'
  | 'reference'
  | 'trace'
  | 'install-name'

export interface Dependency {
  readonly from: SourcePath
  readonly kind: DependencyKind
  /** The name that was asked for: soname, interpreter, link text. */
  readonly name: string
  readonly to: SourcePath | null
  /** How it was found, such as `RUNPATH[2]`; null when it was not. */
  readonly via: string | null
}

/** One object in a program's link map, in load order (ld.so(8), "Search order"). */
export interface LoadedObject {
  /** The path by which it was opened, links unresolved. */
  readonly opened: string
  readonly path: SourcePath
  /** The name asked for by the object that first needed it; null for the program. */
  readonly name: string | null
  readonly by: SourcePath | null
  readonly via: string | null
}

/** A variable of a library that the loader copies into a program when it starts (elf/copies.ts). */
export interface CopiedVariable {
  readonly from: SourcePath
  /** Virtual addresses: in the library's file, and in the program's. */
  readonly address: number
  readonly to: number
  /** In bytes. */
  readonly size: number
}

/** What is compiled into a dynamic loader (elf/loader.ts). */
export interface LoaderFacts {
  /** Default directories without a trailing slash. */
  readonly directories: readonly string[]
  /** Whether it knows `--argv0` (glibc 2.33, musl 1.2.0). */
  readonly argv0: boolean
  /** Whether it is musl's. */
  readonly musl: boolean
  /** The host paths in it, each with a string of the same length that names nothing. */
  readonly hostPaths: readonly { readonly offset: number; readonly from: string; readonly to: string }[]
}

/** What the dynamic loader does for one program. */
export interface LinkMap {
  readonly program: SourcePath
  readonly loader: SourcePath
  readonly objects: readonly LoadedObject[]
}

/** Something that is started by name: `bin/nginx`. */
export interface Entry {
  /** Where its link lies in the bundle: `bin/nginx`. */
  readonly at: BundlePath
  /** The file as it lies in its package, links unresolved. */
  readonly source: SourcePath
}

export interface PackageRoot {
  /** Its directory (or file) in the store, or the directory of a target outside a store. */
  readonly root: SourcePath
  /** The name without the hash: `nginx-1.22.1`. */
  readonly name: string
  /** True when its own tree is bundled; else only single files of it are. */
  readonly tree: boolean
}

export interface Package extends PackageRoot {
  /** The store hash; null outside a store. */
  readonly hash: string | null
}

/** What the user typed, resolved. */
export interface Target {
  /** Which rule of cli.md's list it was resolved by, in a person's words: `nix attribute nginx`. */
  readonly label: string
  readonly name: string
  readonly version: string | null
  /** Sorted by `at`, which is unique. */
  readonly entries: readonly Entry[]
  readonly roots: readonly PackageRoot[]
}

/** A file that comes along because it was asked for by kind (extras.ts). */
export interface Extra extends Brought {
  /** Null for a link. */
  readonly node: FileNode | null
}

export interface DependencyGraph {
  readonly extras: readonly Extra[]
  readonly entries: readonly Entry[]
  /** By root, sorted: own trees first. */
  readonly packages: readonly Package[]
  readonly files: ReadonlyMap<SourcePath, FileNode>
  readonly links: ReadonlyMap<SourcePath, LinkNode>
  readonly edges: readonly Dependency[]
  readonly linkMaps: ReadonlyMap<SourcePath, LinkMap>
  /** By program; those alone that are large enough for a store path. */
  readonly copies: ReadonlyMap<SourcePath, readonly CopiedVariable[]>
  readonly loaders: ReadonlyMap<SourcePath, LoaderFacts>
  /** What dyld does for Mach-O programs, and for what no program loads, by CPU. */
  readonly images: readonly MachOLinkMap[]
  /** Programs and scripts that only set up the environment and arguments of another program. */
  readonly wrappers: ReadonlyMap<SourcePath, Wrapper>
  /** Programs that cannot get the stub. */
  readonly refusals: ReadonlyMap<SourcePath, StubRefusal>
  /** The text of files in which store paths may become expressions (script/edit.ts), and of all shell scripts. */
  readonly texts: ReadonlyMap<SourcePath, string>
  /** Hashes that a compiler has taken apart in an object (contents.ts). */
  readonly split: ReadonlyMap<SourcePath, ReadonlySet<string>>
  /** The first bytes of compiled Python modules (script/pyc.ts). */
  readonly pycs: ReadonlyMap<SourcePath, Buffer>
  /** Objects that are stripped, and how. */
  readonly strips: ReadonlyMap<SourcePath, Strip>
  /** Names of the store directory at the time of the scan: hashes that no bundle may hold. */
  readonly hashes: ReadonlySet<string>
  readonly findings: readonly Finding[]
}

// ---- Plan: what will be written --------------------------------------------------------------------------------

/** A change to a file. The same plan is carried out in place or by patchelf, printed, and checked afterwards. */
export type Edit =
  | { readonly op: 'set-interp'; readonly to: string }
  | { readonly op: 'set-rpath'; readonly to: string }
  | { readonly op: 'replace-needed'; readonly from: string; readonly to: string }
  | {
      readonly op: 'inject-stub'
      readonly loader: LoaderPlace
      /** Whether the bundle has a table of strings that relocate themselves, and the program's number in it. */
      readonly relocations: { readonly program: number | null } | null
    }
  | {
      readonly op: 'overwrite'
      readonly offset: number
      readonly from: Uint8Array
      readonly to: Uint8Array
    }
  /** In a text: as many bytes as there are in the place of `length` bytes. Splices never overlap. */
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
  | { readonly op: 'splice'; readonly offset: number; readonly length: number; readonly to: Uint8Array }

export type Overwrite = Edit & { op: 'overwrite' }

/**
 * What became of a reference (docs/references.md):
 * - `loader`: inside a string that the loader reads, which is set anew as a whole
 * - `fixed`: it names its target's place below the prefix
 * - `templated`: an expression, or a launcher, puts the bundle's root there
 * - `relocated`: the stub does, when the program starts
 * - `blanked`: it names nothing any more
 * - `stripped`: it stood in symbols or debug information that were left out
 */
export const OUTCOMES = ['loader', 'fixed', 'templated', 'relocated', 'blanked', 'stripped'] as const
export type Outcome = (typeof OUTCOMES)[number]

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

/** A program of the bundle: what is typed, the ELF file that runs, and the loader that runs it. */
export interface PlannedProgram {
  readonly at: BundlePath
  readonly elf: BundlePath
  /** Null where the system has it (macOS). */
  readonly loader: BundlePath | null
  /** The original, whose choices of libraries the bundle has to repeat. */
  readonly source: SourcePath
}

/** A file that a program was seen to open while it ran. */
export interface Traced {
  /** By the name that was used, made absolute. */
  readonly file: SourcePath
  /** The program that was executed last before; null when its name is not known. */
  readonly program: SourcePath | null
}

/** Which files come along besides programs and libraries. */
export interface ScanOptions {
  readonly traced: readonly Traced[]
  /** What is referenced, nothing, or the whole closure. */
  readonly data: 'auto' | 'none' | 'all'
  /** Globs on paths without store directory and hash: `glibc-2.36/lib/gconv/*`. Byte strings. */
  readonly include: readonly string[]
  readonly exclude: readonly string[]
  /** Whether licence texts are gathered. */
  readonly licenses: boolean
  /** Data that is brought by kind. */
  readonly with: readonly DataKind[]
  /** Whether objects lose their symbols and debug information. */
  readonly strip: boolean
  /** Whether launchers stand in for wrappers, so that their interpreters are not needed. */
  readonly launchers: boolean
}

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

/** Where a store path stands in memory (a virtual address of the file), and the number of what it names. */
export interface RelocationSite {
  readonly address: number
  readonly target: number
}

/** The strings that relocate themselves when a program starts (entry/relocations.ts). */
export interface PlannedRelocations {
  /** By number: bytes of the store path's text, `/nix/store/<hash>-<name>`. */
  readonly targets: readonly { readonly at: BundlePath; readonly length: number }[]
  /** Programs with the stub by their number, then all other objects. */
  readonly programs: readonly { readonly at: BundlePath; readonly sites: readonly RelocationSite[] }[]
  readonly objects: readonly { readonly at: BundlePath; readonly sites: readonly RelocationSite[] }[]
  /** Bytes that the path of the bundle's root may have. */
  readonly rootLimit: number
}

export interface BundlePlan {
  /** Sorted by `at`, which is unique. */
  readonly steps: readonly Step[]
  readonly programs: readonly PlannedProgram[]
  readonly placed: ReadonlyMap<SourcePath, BundlePath>
  /** One for each reference of each file that is copied or stood for, in the order of the steps. */
  readonly accounts: readonly Account[]
  /** Null when there are none. */
  readonly relocations: PlannedRelocations | null
  /** Paths of the host in loaders that were blanked. */
  readonly hostPaths: number
  readonly findings: readonly Finding[]
}

// ---- Findings: what is true about an input or a bundle -----------------------------------------------------------

export type Severity = 'error' | 'warning' | 'note'

interface FindingBase {
  readonly severity: Severity
  /** The file it is about: a byte string, an input's path or a bundle path. */
  readonly file: string
}

/** Words for these live in report.ts only. */
export type Finding = FindingBase &
  (
    | { readonly code: 'library-missing'; readonly name: string; readonly chain: readonly string[] }
    | { readonly code: 'dlopen-missing'; readonly name: string; readonly priority: string }
    | { readonly code: 'elf-unreadable'; readonly reason: string }
    | { readonly code: 'macho-unreadable'; readonly reason: string }
    | {
        readonly code: 'chain-differs'
        readonly name: string
        readonly taken: string
        readonly by: string
        readonly other: string
        readonly otherBy: string
      }
    | { readonly code: 'link-broken'; readonly target: string }
    | { readonly code: 'link-outside'; readonly target: string }
    | { readonly code: 'special-file' }
    | {
        readonly code: 'container-unread'
        readonly member: string
        readonly problem: ProblemCode
        readonly detail: string
      }
    | { readonly code: 'interpreter-unreachable'; readonly interpreter: string }
    | { readonly code: 'interpreter-host'; readonly interpreter: string }
    | { readonly code: 'payload' }
    | { readonly code: 'stub-refused'; readonly refusal: StubRefusal; readonly arch: string }
    /** Of a static program, with the number of store paths in it that would have relocated themselves. */
    | { readonly code: 'static-refused'; readonly refusal: StubRefusal; readonly count: number }
    | {
        readonly code: 'reference-blanked'
        readonly target: string
        readonly offset: number
        /** Files that name the same target, the first of them in `file`. */
        readonly files: readonly string[]
        /** How many times they do. */
        readonly count: number
      }
    | { readonly code: 'reference-left'; readonly rule: string; readonly target: string; readonly count: number }
    | { readonly code: 'include-nothing'; readonly glob: string }
    | { readonly code: 'disallowed'; readonly name: string; readonly chain: readonly string[] }
    | { readonly code: 'machine-data'; readonly paths: readonly string[] }
    | { readonly code: 'set-id-dropped' }
    | { readonly code: 'licence-missing'; readonly packages: readonly string[] }
    | { readonly code: 'with-missing'; readonly looked: readonly string[] }
    | { readonly code: 'with-host'; readonly from: string }
    | { readonly code: 'with-unasked'; readonly at: string; readonly variable: string }
    | { readonly code: 'trace-failed'; readonly exit: number }
    | { readonly code: 'trace-nothing' }
    | { readonly code: 'relocation-refused'; readonly count: number }
    | { readonly code: 'reference-split'; readonly count: number }
    | { readonly code: 'no-debug-hook' }
    | { readonly code: 'argv0-unsupported'; readonly loader: string }
    | { readonly code: 'same-soname'; readonly soname: string; readonly at: string }
    | {
        readonly code: 'choice-changed'
        readonly program: string
        readonly name: string
        readonly expected: string
        readonly found: string
      }
    | { readonly code: 'edit-outside-plan'; readonly fact: string; readonly expected: string; readonly found: string }
    | {
        readonly code: 'store-reference' | 'store-hash'
        readonly where: 'contents' | 'name' | 'link' | 'header'
        /** The part of a binary: `interp`, `runpath`, `needed`, or the section's name; null where none is known. */
        readonly part: string | null
        readonly text: string
        /** Of the first one, in the contents, the name, the link's text or the header. */
        readonly offset: number
        readonly encoding: Encoding
        /** How many times this text is there, in this part. */
        readonly count: number
      }
    | { readonly code: 'rpath-twice'; readonly arch: string; readonly rpath: string }
    | { readonly code: 'signature-wrong'; readonly arch: string; readonly reason: string }
    | { readonly code: 'macos-needed'; readonly version: string }
    | { readonly code: 'interp-unresolved'; readonly interp: string }
    | {
        readonly code: 'needed-unresolved'
        readonly name: string
        /** Symbol versions that are asked of it: `GLIBC_2.38`. */
        readonly versions: readonly string[]
        readonly program: string | null
      }
    | { readonly code: 'link-escapes'; readonly target: string }
    | { readonly code: 'link-dangling'; readonly target: string }
    | { readonly code: 'entry-unsafe'; readonly reason: string }
    | { readonly code: 'manifest-missing' }
    | { readonly code: 'manifest-mismatch'; readonly reason: string }
  )

export type FindingCode = Finding['code']
