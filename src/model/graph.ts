/** What stage 2 hands on, types only: what needs what, and how that is found out. Strings are byte strings (paths.ts). */
import type { CopiedVariable } from '../elf/copies.ts'
import type { ElfFacts, LoaderFacts } from '../elf/facts.ts'
import type { LinkMap } from '../elf/search.ts'
import type { Strip } from '../elf/strip.ts'
import type { StubRefusal } from '../entry/inject.ts'
import type { Wrapper } from '../entry/launcher.ts'
import type { Located } from '../io/bytes.ts'
import type { MachOFacts } from '../macho/facts.ts'
import type { MachOLinkMap } from '../macho/search.ts'
import type { SourcePath } from '../paths.ts'
import type { Encoding, Reference } from '../references/reference.ts'
import type { ScriptFacts } from '../script/facts.ts'
import type { Finding } from './findings.ts'
import type { MachinePackage } from './machine.ts'
import type { Entry, PackageRoot, Traced } from './target.ts'

export interface DependencyGraph {
  readonly extras: readonly Extra[]
  readonly entries: readonly Entry[]
  /** By root, sorted: own trees first. */
  readonly packages: readonly Package[]
  readonly files: ReadonlyMap<SourcePath, FileNode>
  readonly links: ReadonlyMap<SourcePath, LinkNode>
  /** Directories that hold nothing. Sorted. */
  readonly empty: readonly SourcePath[]
  readonly edges: readonly Dependency[]
  /** What came in because it was asked for: where every chain of edges begins. */
  readonly asked: readonly Asked[]
  readonly linkMaps: ReadonlyMap<SourcePath, LinkMap>
  /** By program; those alone that are large enough for a store path. */
  readonly copies: ReadonlyMap<SourcePath, readonly CopiedVariable[]>
  readonly loaders: ReadonlyMap<SourcePath, LoaderFacts>
  /** What dyld does for Mach-O programs, and for what no program loads, by CPU. */
  readonly images: readonly MachOLinkMap[]
  /** Programs and scripts that only set up the environment and arguments of another program. */
  readonly wrappers: ReadonlyMap<SourcePath, Wrapper>
  /** Programs that cannot get the stub, nor be entered by a sidecar. */
  readonly refusals: ReadonlyMap<SourcePath, StubRefusal>
  /** Programs that are entered by a sidecar, for this is why they cannot get the stub (entry/sidecar.ts). */
  readonly sidecars: ReadonlyMap<SourcePath, StubRefusal>
  /** The text of files in which store paths may become expressions (script/edit.ts), and of all shell scripts. */
  readonly texts: ReadonlyMap<SourcePath, string>
  /** Hashes that a compiler has taken apart in an object (scan/contents.ts). */
  readonly split: ReadonlyMap<SourcePath, ReadonlySet<string>>
  /** The first bytes of compiled Python modules (script/pyc.ts). */
  readonly pycs: ReadonlyMap<SourcePath, Buffer>
  /** The libraries that typelibs have opened, where a store path is among them (references/typelib.ts). */
  readonly typelibs: ReadonlyMap<SourcePath, Located>
  /** Objects that are stripped, and how. */
  readonly strips: ReadonlyMap<SourcePath, Strip>
  /** Hashes of the closure, as far as its files show it (scan/hashes.ts) or was told: no bundle may hold them. */
  readonly hashes: ReadonlySet<string>
  /** Packages of the machine's own files, by its package manager (scan/owners.ts). */
  readonly owners: ReadonlyMap<SourcePath, MachinePackage>
  readonly findings: readonly Finding[]
}

// ---- Files ---------------------------------------------------------------------------------------------------------

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

export type FileFacts = ElfFacts | MachOFacts | ScriptFacts | DataFacts

export interface DataFacts {
  readonly format: 'data'
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
  /** What it names besides: `lib/ext` is the beginning of `lib/ext.so` and of `lib/ext.conf`. */
  readonly others?: readonly SourcePath[]
  /** Of what names nothing in a package that is there. */
  readonly missing?: {
    readonly root: SourcePath
    /** Whether a program may find something all the same: the text ends where another string begins, or is a beginning. */
    readonly doubtful: boolean
  }
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

export interface Package extends PackageRoot {
  /** The store hash; null outside a store. */
  readonly hash: string | null
}

/** A file that comes along because it was asked for by kind (scan/extras.ts). */
export interface Extra extends Brought {
  /** Null for a link. */
  readonly node: FileNode | null
}

/** A file or link with its place, which is below a package's tree, below its directory of licences, or in the root. */
export interface Brought {
  readonly from: SourcePath
  readonly link: string | null
  readonly under: 'pkg' | 'share/licenses' | ''
  readonly package: SourcePath | null
  readonly path: string
}

// ---- What needs what -----------------------------------------------------------------------------------------------

/** Why a file, a link or a directory comes in: every one in a graph is reached by these from what was asked for. */
export interface Dependency {
  /** A file or a link; a directory, of what it holds. */
  readonly from: SourcePath
  readonly kind: DependencyKind
  /** The name that was asked for: soname, interpreter, link text, store path, function; of a member its path below. */
  readonly name: string
  readonly to: SourcePath | null
  /** How it was found, such as `RUNPATH[2]`, or the rule of references/follow.ts; null when it was not. */
  readonly via: string | null
  /** Where the name stands, at most EVIDENCE_MAX of them; none where no file holds it: a directory's members. */
  readonly at: readonly Evidence[]
  /** In how many places it stands. */
  readonly count: number
}

/** Places that are kept of one edge. */
export const EVIDENCE_MAX = 8

/** A place where a name stands. */
export interface Evidence {
  /** Null: in `from` itself. */
  readonly file: SourcePath | null
  /** The member of a container, from the outermost container's on; null for the file itself. */
  readonly member: readonly string[] | null
  /** In the contents of the file or member, in bytes. */
  readonly offset: number
  readonly encoding: Encoding
}

/**
 * `member`: a directory that comes along holds it. `condition`: an object imports a function, and so a directory comes
 * that another file names (the evidence says where). `image`: a framework comes with all of it. `loaded`: a process loads
 * it by the search of another object than the one that it stands for in other processes.
 */
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
  | 'member'
  | 'condition'
  | 'image'
  | 'loaded'

/**
 * What was asked for, and by what. `entry`: a program that is started by name; `target`: the tree of its package; else an
 * option.
 */
export interface Asked {
  readonly kind: 'entry' | 'target' | 'trace' | 'include' | 'closure' | 'with' | 'licence'
  /** `bin/nginx`, the package's name, what was traced, or the option as it was typed. */
  readonly name: string
  readonly to: SourcePath
}

// ---- What was asked for --------------------------------------------------------------------------------------------

/** Data that programs want and no store path of theirs holds (scan/extras.ts), as `--with` names it. */
export const DATA_KINDS = ['ca-certificates', 'locales', 'tzdata'] as const
export type DataKind = (typeof DATA_KINDS)[number]

/** Which files come along besides programs and libraries. */
export interface ScanOptions {
  readonly traced: readonly Traced[]
  /** Store paths of the closure, as far as they were told (nix/closure.ts). */
  readonly closure: readonly SourcePath[]
  /** What is referenced, nothing, or the whole closure. */
  readonly data: 'auto' | 'none' | 'all'
  /** Globs on paths without store directory and hash: `glibc-2.36/lib/gconv/*`. Byte strings. */
  readonly include: readonly string[]
  readonly exclude: readonly string[]
  /** Files that cannot be made as the bundle needs them (plan/spare.ts): they stay out as what is excluded does. */
  readonly without: ReadonlySet<SourcePath>
  /** Whether licence texts are gathered. */
  readonly licenses: boolean
  /** Data that is brought by kind. */
  readonly with: readonly DataKind[]
  /** Whether objects lose their symbols and debug information. */
  readonly strip: boolean
  /** Whether launchers stand in for wrappers, so that their interpreters are not needed. */
  readonly launchers: boolean
}
