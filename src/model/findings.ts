/**
 * What is true about an input or a bundle, types only: a code for machines with what belongs to it. Words for these live
 * in report/describe.ts only. (Why something could not be done at all is a BundleError.)
 */

import type { StubRefusal } from '../entry/inject.ts'
import type { ProblemCode } from '../references/containers.ts'
import type { Encoding } from '../references/reference.ts'

export type Severity = 'error' | 'warning' | 'note'

interface FindingBase {
  readonly severity: Severity
  /** The file it is about: a byte string, an input's path or a bundle path. */
  readonly file: string
}

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
    | {
        readonly code: 'interpreter-host'
        readonly interpreter: string
        /** All scripts that leave this one to the machine, the first of them in `file`. */
        readonly files: readonly string[]
      }
    | { readonly code: 'payload' }
    | {
        /** Files that cannot be made as the bundle needs them, and that it does without. */
        readonly code: 'left-out'
        readonly files: readonly string[]
        /** Null: they carry a payload. */
        readonly reason: string | null
        readonly hint: string | null
        /** Files that name them. */
        readonly users: readonly string[]
      }
    | { readonly code: 'stub-refused'; readonly refusal: StubRefusal; readonly arch: string }
    /** Of a static program, with the number of store paths in it that would have relocated themselves. */
    | { readonly code: 'static-refused'; readonly refusal: StubRefusal; readonly count: number }
    | {
        readonly code: 'reference-blanked'
        /** What is not found. */
        readonly targets: readonly string[]
        /** Files that name some of these, the first of them in `file`. */
        readonly files: readonly string[]
        /** How many times they do. */
        readonly count: number
        readonly relocatable: boolean
        /** Whether all of them are spelled with escaped slashes, which is why they could not be kept. */
        readonly escaped: boolean
      }
    | {
        readonly code: 'reference-left'
        readonly rule: string
        readonly targets: readonly string[]
        readonly count: number
      }
    | { readonly code: 'include-nothing'; readonly glob: string }
    | {
        readonly code: 'disallowed'
        readonly name: string
        readonly chain: readonly string[]
        /** The option that the chain begins with; null for a target. */
        readonly option: string | null
        /** The file that says so; null for --disallow. */
        readonly policy: string | null
      }
    /** Of a policy, which is `file`, or `policy` where another file is meant (docs/policy.md). */
    | {
        readonly code: 'policy-size'
        readonly bytes: number
        readonly max: number
        readonly largest: readonly { readonly name: string; readonly bytes: number }[]
      }
    /** `named`: files of the bundle or Nix's closure name such a package, and no file of it came. */
    | { readonly code: 'policy-missing'; readonly name: string; readonly named: boolean }
    | {
        readonly code: 'policy-files'
        readonly policy: string
        readonly glob: string
        readonly count: number
        /** Places of the first ones. */
        readonly examples: readonly string[]
        /** Of the first one, as above. */
        readonly chain: readonly string[]
        readonly option: string | null
      }
    | {
        readonly code: 'policy-symbols'
        readonly policy: string
        /** Outside of what was looked at. */
        readonly library: string
        readonly version: string
        readonly max: string
        /** Files that ask for it, the first of them in `file`. */
        readonly files: readonly string[]
      }
    | { readonly code: 'strip-nothing'; readonly count: number }
    | { readonly code: 'set-id-dropped' }
    | {
        readonly code: 'machine-data'
        readonly paths: readonly string[]
        /** The packages of this machine that the program is of, and how many files they have in `paths`. */
        readonly packages: readonly string[]
        readonly count: number
      }
    /** Programs of this machine name in full what came along: they look there, and not in the bundle. */
    | { readonly code: 'machine-root'; readonly files: readonly string[]; readonly paths: readonly string[] }
    | { readonly code: 'licence-missing'; readonly packages: readonly string[] }
    | { readonly code: 'with-missing'; readonly looked: readonly string[] }
    | { readonly code: 'with-host'; readonly from: string }
    | { readonly code: 'with-unasked'; readonly at: string; readonly variable: string }
    /** Directories that an image's program names as its own, and the image has none of. */
    | { readonly code: 'image-unwritable'; readonly directories: readonly string[] }
    | { readonly code: 'trace-failed'; readonly exit: number }
    | { readonly code: 'trace-nothing' }
    | { readonly code: 'relocation-refused'; readonly count: number }
    | { readonly code: 'reference-split'; readonly count: number }
    | {
        readonly code: 'reference-nowhere'
        /** All files that name one of the paths, the first of them in `file`. */
        readonly files: readonly string[]
        /** Names of the packages that the paths lead into. */
        readonly packages: readonly string[]
        /** As they stand in the files. */
        readonly paths: readonly string[]
      }
    | {
        readonly code: 'hash-blanked'
        readonly files: readonly string[]
        /** Of the first one, in `file`, and the name behind it. */
        readonly offset: number
        readonly name: string
        readonly count: number
      }
    | { readonly code: 'store-directory'; readonly files: readonly string[]; readonly count: number }
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
        /** Where its slashes are escaped: how (such as `\\/`), and the text as it stands in the file. */
        readonly slash?: string
        readonly raw?: string
        /** How many times this text is there, in this part. */
        readonly count: number
      }
    | { readonly code: 'rpath-twice'; readonly arch: string; readonly rpath: string }
    | { readonly code: 'signature-wrong'; readonly arch: string; readonly reason: string | null }
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
    | { readonly code: 'image-wrong'; readonly reason: string }
    /** `relocate` was run where the bundle lay before. */
    | { readonly code: 'template-elsewhere'; readonly names: string }
    | { readonly code: 'manifest-missing' }
    | { readonly code: 'manifest-mismatch'; readonly reason: string }
  )

export type FindingCode = Finding['code']
