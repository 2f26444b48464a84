/**
 * `bundle verify`: several paths, judged by what the user allows and knows, with the baseline that is written of it.
 */
import { resolve } from 'node:path'
import { BundleError } from '../errors.ts'
import type { Progress } from '../io/progress.ts'
import { writeFile } from '../io/staging.ts'
import { readText } from '../io/store.ts'
import type { Finding } from '../model/findings.ts'
import { HASH_ALPHABET, HASH_LENGTH } from '../nix/store-path.ts'
import { fromText } from '../paths.ts'
import { globs } from '../references/glob.ts'
import { baselineText, keyOf, knownBy, readBaseline } from './baseline.ts'
import { type Verification, verify } from './verify.ts'

export interface AuditOptions {
  /** Globs of paths in the tree where references are allowed. */
  allow?: readonly string[]
  /** Store directories besides /nix/store. */
  storeDir?: readonly string[]
  /** A file of store paths whose hashes must not appear bare, as `nix-store -qR` prints it. */
  hashes?: string
  baseline?: string
  writeBaseline?: string
  closed?: boolean
  strict?: boolean
  /** Threads that look into files. */
  jobs?: number
  /** What else is asked of each path: its findings with those of a policy. */
  judge?: (path: string, verification: Verification) => Promise<readonly Finding[]>
}

/** One path, with what is left of its findings. */
export interface Audited {
  /** Text as the user typed it. */
  readonly path: string
  readonly verification: Verification
  /** Those that the baseline does not accept. */
  readonly findings: readonly Finding[]
  /** How many it accepts. */
  readonly accepted: number
}

export interface Audit {
  readonly audited: readonly Audited[]
  readonly clean: boolean
  /** Entries of the baseline that nothing was found for. */
  readonly stale: number
}

/** @throws BundleError when something cannot be read or written */
export async function audit(paths: readonly string[], options: AuditOptions, progress: Progress): Promise<Audit> {
  const known = options.baseline === undefined ? new Set<string>() : baselineOf(options.baseline)
  const allowed = globs((options.allow ?? []).map(fromText))
  const verifyOptions = {
    ...(options.hashes !== undefined && { hashes: hashesOf(options.hashes) }),
    storeDirectories: (options.storeDir ?? []).map(directoryOf),
    allowed,
    closed: options.closed ?? false,
    strict: options.strict ?? false,
    facts: options.judge !== undefined,
    ...(options.jobs !== undefined && { jobs: options.jobs }),
  }
  const audited: Audited[] = []
  const met = new Set<string>()
  for (const path of paths) {
    const verified = await verify(fromText(path), progress, verifyOptions)
    const { judge } = options
    const verification = judge === undefined ? verified : { ...verified, findings: await judge(path, verified) }
    const findings = verification.findings.filter(f => {
      const key = keyOf(knownBy(f))
      if (known.has(key)) met.add(key)
      return !known.has(key)
    })
    audited.push({ path, verification, findings, accepted: verification.findings.length - findings.length })
  }
  const all = audited.flatMap(a => a.verification.findings)
  if (options.writeBaseline !== undefined) writeFile(fromText(resolve(options.writeBaseline)), baselineText(all))
  return {
    audited,
    // What has just been accepted is no reason to fail.
    clean: options.writeBaseline !== undefined || audited.every(a => !a.findings.some(f => f.severity === 'error')),
    stale: known.size - met.size,
  }
}

function directoryOf(text: string): string {
  const directory = text.replace(/\/+$/, '')
  if (!/^\/[^\0]+$/.test(directory))
    throw new BundleError('usage', `--store-dir ${text}: an absolute path is wanted`, {
      hint: '--store-dir /gnu/store',
    })
  return fromText(directory)
}

function baselineOf(path: string): ReadonlySet<string> {
  const read = readBaseline(readText(fromText(path)))
  if ('accepted' in read) return read.accepted
  throw new BundleError('usage', `no baseline: ${read.reason}`, {
    path: fromText(path),
    hint: 'bundle verify PATH --write-baseline FILE makes one',
  })
}

/** The hashes in a list of store paths. */
function hashesOf(path: string): ReadonlySet<string> {
  const hash = new RegExp(`(?:^|/)([${HASH_ALPHABET}]{${HASH_LENGTH}})(?=-|$)`)
  const hashes = readText(fromText(path))
    .split('\n')
    .flatMap(line => hash.exec(line.trim())?.[1] ?? [])
  if (hashes.length > 0) return new Set(hashes)
  throw new BundleError('usage', 'no store path in it', {
    path: fromText(path),
    hint: 'nix-store -qR ./result > hashes.txt',
  })
}
