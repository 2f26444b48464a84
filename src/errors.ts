/**
 * The one error for "we cannot go on". What is merely true about an input or a bundle is a Finding (model/findings.ts);
 * anything else that is thrown is a bug and keeps its stack.
 */
import { toText } from './paths.ts'

export type ErrorCode =
  | 'usage'
  | 'not-found'
  | 'not-executable'
  | 'not-a-program'
  | 'no-programs'
  | 'same-program'
  | 'broken-link'
  | 'malformed'
  | 'unreadable'
  | 'unsupported'
  | 'destination-exists'
  | 'destination-unwritable'
  | 'write-failed'
  | 'nix-missing'
  | 'nix-failed'
  | 'patchelf-missing'
  | 'patchelf-old'
  | 'tool-missing'
  | 'tool-failed'
  | 'edit-refused'
  | 'prefix-unusable'
  | 'archive-unreadable'
  | 'registry-failed'
  | 'interrupted'

interface ErrorDetails {
  /** Byte string: the file it is about. */
  path?: string
  /** The next thing to type or to do. */
  hint?: string
  cause?: unknown
}

/** We cannot go on: one is thrown, with a code for machines, the file, the reason and the next thing to do. */
export class BundleError extends Error {
  readonly code: ErrorCode
  /** Without the file that it is about. */
  readonly reason: string
  readonly path: string | undefined
  readonly hint: string | undefined

  constructor(code: ErrorCode, reason: string, details: ErrorDetails = {}) {
    super(details.path === undefined ? reason : `${toText(details.path)}: ${reason}`, { cause: details.cause })
    this.name = 'BundleError'
    this.code = code
    this.reason = reason
    this.path = details.path
    this.hint = details.hint
  }
}

/** What to do about a file that nobody can edit. */
export const LEAVE_OUT = 'leave the file out with --exclude, if the program does without it'

/** The errno of what Node's fs threw, such as ENOENT; undefined for anything else. */
export const errno = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
