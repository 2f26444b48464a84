/**
 * patchelf, where it is asked for (`--patcher patchelf`).
 *
 * One operation a call (patchelf#359: two in one call mix up their strings before 0.14.5), several files with the same
 * operation together. It writes through the inode it is given, so it only ever sees private copies. Its result is
 * parsed and compared afterwards (apply/fidelity.ts), because it has been wrong with exit code 0 before.
 */
import { BundleError } from '../errors.ts'
import { withFile } from '../io/store.ts'
import { runTool } from '../io/tool.ts'
import { PT } from './constants.ts'
import type { ElfEdit } from './edit.ts'
import type { ElfFacts } from './facts.ts'
import { parseElf } from './parse.ts'

/** 0.13 and before misplace segments (patchelf#244, patchelf#319). */
const MINIMUM = [0, 14] as const
const HINT =
  'leave --patcher out, or install patchelf (nix-env -iA nixpkgs.patchelf, apt-get install patchelf) so that it is on PATH'

export interface PatchelfJob {
  /** Path of the private copy, plain ASCII. */
  readonly file: string
  readonly edits: readonly ElfEdit[]
  /** Whom to name when patchelf is not there: an input's path. */
  readonly about: string
}

/**
 * Carries out the jobs.
 * @throws BundleError('patchelf-missing' | 'patchelf-old' | 'tool-failed')
 */
export async function patchelf(jobs: readonly PatchelfJob[]): Promise<void> {
  const first = jobs[0]
  if (!first) return
  await checkVersion(first)
  const about = new Map(jobs.map(job => [job.file, job.about]))
  const pages = new Map(jobs.map(({ file, about }) => [file, pageOf(readFacts(file, about))]))
  const calls = new Map<string, { args: string[]; files: string[] }>()
  for (const { file, edits } of jobs)
    for (const edit of edits) {
      // Its segments are aligned as the file's own are.
      const args = ['--page-size', String(pages.get(file)!), ...operation(edit)]
      const call = calls.get(args.join('\0'))
      if (call) call.files.push(file)
      else calls.set(args.join('\0'), { args, files: [file] })
    }
  const call = async (args: readonly string[], files: readonly string[]): Promise<void> => {
    const result = await runTool('patchelf', [...args, ...files])
    if (result.code !== 0) {
      const path = about.get(files[0]!)!
      const said = files.reduce((text, file) => text.replaceAll(file, about.get(file)!), result.stderr.trim())
      throw new BundleError('tool-failed', `patchelf ${args.join(' ')} failed: ${said}`, { path })
    }
  }
  for (const { args, files } of calls.values()) await call(args, files)
  for (const { file, edits, about } of jobs) {
    const rpath = edits.find(e => e.op === 'set-rpath')
    if (rpath === undefined || isDynamicWritable(readFacts(file, about))) continue
    const page = ['--page-size', String(pages.get(file)!)]
    await call([...page, ...operation({ op: 'set-rpath', to: 'X'.repeat(pages.get(file)!) })], [file])
    await call([...page, ...operation(rpath)], [file])
  }
}

/** What it has broken is named as the input is. */
const readFacts = (file: string, about: string): ElfFacts => withFile(file, source => parseElf(source, about))

/**
 * Whether the loader can write to the dynamic section, as it does to DT_DEBUG. Of a program at a fixed address patchelf
 * moves the section to the start, as far as there is room: for Go's linker that is the segment of the code, and the
 * program dies of SIGSEGV. A RPATH longer than a page does not fit there, so that it makes a segment of its own, which
 * is writable, and which stays when the RPATH becomes shorter again.
 */
export function isDynamicWritable({ dynamic, segments }: ElfFacts): boolean {
  const at = dynamic[0]?.offset
  if (at === undefined) return true
  const load = segments.find(s => s.type === PT.load && s.offset <= at && at < s.offset + s.filesz)
  return load !== undefined && (load.flags & PF_W) !== 0
}
const PF_W = 2

/** The largest page that the file is laid out for, in bytes; an argument holds no more than 128 KiB. */
const pageOf = ({ segments }: ElfFacts): number =>
  Math.min(Math.max(PAGE, ...segments.map(s => (s.type === PT.load ? s.align : 0))), LARGEST_PAGE)
const PAGE = 4096
const LARGEST_PAGE = 65_536

/** An edit in a person's words. */
const describeEdit = (edit: ElfEdit): string =>
  edit.op === 'set-interp'
    ? `set its interpreter to ${edit.to}`
    : edit.op === 'set-rpath'
      ? `set its RPATH to ${edit.to}`
      : `replace its needed ${edit.from} by ${edit.to}`

function operation(edit: ElfEdit): string[] {
  switch (edit.op) {
    case 'set-interp':
      return ['--set-interpreter', text(edit.to)]
    case 'set-rpath':
      return ['--force-rpath', '--set-rpath', text(edit.to)]
    case 'replace-companions':
      throw new Error('patchelf cannot edit these')
    case 'replace-needed':
      return ['--replace-needed', text(edit.from), text(edit.to)]
  }
}

const text = (bytes: string): string => Buffer.from(bytes, 'latin1').toString('utf8')

async function checkVersion({ about, edits }: PatchelfJob): Promise<void> {
  const why = `patchelf is to ${describeEdit(edits[0]!)} (--patcher patchelf)`
  let printed: string
  try {
    printed = (await runTool('patchelf', ['--version'])).stdout.trim()
  } catch (error) {
    if (!(error instanceof BundleError) || error.code !== 'tool-missing') throw error
    throw new BundleError('patchelf-missing', `${why}, and it is not on PATH`, {
      path: about,
      hint: HINT,
      cause: error,
    })
  }
  const version = /(\d+)\.(\d+)/.exec(printed)
  const [major, minor] = [Number(version?.[1] ?? 0), Number(version?.[2] ?? 0)]
  if (major < MINIMUM[0] || (major === MINIMUM[0] && minor < MINIMUM[1]))
    throw new BundleError(
      'patchelf-old',
      `${why}; found ${printed || 'an unknown version'}, wanted ${MINIMUM.join('.')} or newer`,
      {
        path: about,
        hint: HINT,
      },
    )
}
