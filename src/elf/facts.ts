/** What an ELF file says of itself. Types only. Offsets are from the start of the file, strings are byte strings. */
import type { Located } from '../io/bytes.ts'

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
  /** Lists with colons: libraries that the loader opens beside the needed ones. */
  readonly companions: readonly Companion[]
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
  /** The sidecar that puts this program's own code back when it starts (entry/sidecar.c); null for others. */
  readonly bootstrap: Bootstrap | null
  /** True for what the kernel starts: has PT_INTERP and is no library, or is a static program. */
  readonly program: boolean
}

/**
 * DT_AUDIT and DT_DEPAUDIT: of a program, libraries that watch the loader (rtld-audit(7)). DT_FILTER and DT_AUXILIARY: of a
 * library, others that are asked for its symbols before it is; an auxiliary one may be missing.
 */
export interface Companion extends Located {
  readonly kind: 'audit' | 'filter' | 'auxiliary'
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
  /** Where each stands; null for one that JSON spells otherwise. */
  readonly offsets: readonly (number | null)[]
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

/** What a program that is entered by a sidecar says of that. */
export interface Bootstrap {
  /** A hash over the sidecar's code and list, in hexadecimal, how long these are, and the whole file. In bytes. */
  readonly digest: string
  readonly hashed: number
  readonly length: number
  /** The program's in the sidecar's list. */
  readonly number: number
  /** The search path that it gets in memory, and where it stands behind the entry point; null when its file has one. */
  readonly rpath: { readonly at: number; readonly value: string } | null
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
