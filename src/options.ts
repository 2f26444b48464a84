/**
 * What may be asked of a bundle, and what it comes to for each stage.
 */

import { BundleError } from './errors.ts'
import type { Progress } from './io/progress.ts'
import type { DataKind, ScanOptions } from './model/graph.ts'
import type { PlanOptions } from './model/plan.ts'
import type { Traced } from './model/target.ts'
import { ENDINGS, FORMATS, type Format } from './pack/format.ts'
import { checkImageOptions, IMAGE_PREFIX, type ImageOptions } from './pack/image.ts'
import { fromText, type SourcePath } from './paths.ts'

export interface BundleOptions {
  /** Where the bundle goes; by default `./<name>-<version>-<system>` with the format's ending. */
  output?: string
  /** By default what `output` ends in, else `tar.gz`. */
  format?: Format
  /** What an image (`oci`) is to be; of a package (`deb`) the files that are added. */
  image?: ImageOptions
  /** Of a package: whether programs get links in /usr/bin. */
  link?: boolean
  /**
   * Make a bundle for one fixed absolute place instead of a relocatable one; in an image by default
   * `/app`, in a package `/opt/<name>`.
   */
  prefix?: string
  /** How programs find their loader; `auto` is the best there is for the CPU. */
  launcher?: 'auto' | 'stub' | 'shell'
  /**
   * Who edits ELF and Mach-O files: `auto` does it itself, and asks install_name_tool on macOS only for what does not fit.
   * A tool that is named edits all files of its kind.
   */
  patcher?: 'auto' | 'patchelf' | 'install_name_tool'
  /** Who signs Mach-O files: `auto` is codesign on macOS, and elsewhere our own signer. */
  signer?: 'auto' | 'builtin'
  /** A file with the store paths of the closure, where Nix's database cannot be asked (nix/closure.ts). */
  closure?: string
  /** Which files come along besides programs and libraries: what is referenced, nothing, or the whole closure. */
  data?: 'auto' | 'none' | 'all'
  /** Globs on paths without store directory and hash, such as `glibc-2.36/lib/gconv/*`: brought, or left out. */
  include?: readonly string[]
  exclude?: readonly string[]
  /** Gather licence texts of what is shipped in `share/licenses/`. */
  licenses?: boolean
  /** Put a bill of materials into the bundle: `share/sbom/<name>-<version>.cdx.json`. */
  sbom?: boolean
  /** Data to bring by kind, from the store or, with a warning, from this machine. */
  with?: readonly DataKind[]
  /** Leave out symbols and debug information that only debuggers read. */
  strip?: boolean
  /** A command to run under strace, the targets' programs first on its PATH: what it opens in a store comes along. */
  trace?: readonly string[]
  /** Packages and libraries, by name, that must not be in the bundle. */
  disallow?: readonly string[]
  /** A file that says what the bundle may and must hold (docs/policy.md). */
  policy?: string
  /** Where the full account of all references goes, with store paths. Never inside the bundle. */
  report?: string
  /** The Nix file that attributes are taken from, instead of nixpkgs. */
  file?: string
  /** The Nix system that Nix builds for, such as `aarch64-linux`. */
  system?: string
  /** Further arguments for Nix. */
  nixArg?: readonly string[]
  /** Only these programs of the targets, by name. */
  program?: readonly string[]
  /** Replaces the target's own name. */
  name?: string
  /** Replace what is at `output`. */
  force?: boolean
  /** Plan only: nothing is written. */
  dryRun?: boolean
  /** Files that are written at a time. */
  jobs?: number
  /** Directory that relative paths start from. */
  cwd?: string
  progress?: Progress
  /** Show what Nix prints while it builds. */
  showNix?: boolean
}

/**
 * What is asked of an image; null where none is made.
 * @throws BundleError('usage')
 */
export function imageOptions({ image = {}, link }: BundleOptions, format: Format): ImageOptions | null {
  const misplaced = Object.keys(image).find(
    name => format !== 'oci' && !(format === 'deb' && name === 'add') && !(format === 'exe' && name === 'entrypoint'),
  )
  if (misplaced !== undefined)
    throw new BundleError('usage', `--${misplaced.replace(/[A-Z]/g, c => `-${c.toLowerCase()}`)} is for images`, {
      hint: 'make one with -f oci',
    })
  if (link && format !== 'deb')
    throw new BundleError('usage', '--link is for packages', { hint: 'make one with -f deb' })
  checkImageOptions(image)
  return format === 'oci' ? image : null
}

/**
 * How the bundle is made.
 * @throws BundleError('prefix-unusable')
 */
export function planOptions(options: BundleOptions, format: Format = formatOf(options)): PlanOptions {
  if (format === 'exe' && options.prefix !== undefined)
    throw new BundleError('usage', '--prefix: one file unpacks itself wherever it is started', {
      hint: 'leave --prefix out',
    })
  const {
    prefix = format === 'oci' ? IMAGE_PREFIX : undefined,
    patcher = 'auto',
    launcher = 'auto',
    signer = 'auto',
  } = options
  if (prefix === undefined) return { prefix: null, patcher, launcher, signer }
  const bytes = fromText(prefix.replace(/(?<=.)\/+$/, ''))
  const wrong = !bytes.startsWith('/')
    ? 'is not absolute'
    : bytes === '/' || bytes.split('/').some((part, i) => part === '.' || part === '..' || (part === '' && i > 0))
      ? 'is no plain directory name'
      : /[\s:$"'\\\x00-\x1f]/.test(bytes)
        ? 'holds a character that a search path or a #! line cannot hold'
        : bytes.startsWith('/nix/store')
          ? 'lies in the store'
          : null
  if (wrong !== null)
    throw new BundleError('prefix-unusable', wrong, {
      path: bytes,
      hint: 'give a plain absolute directory, such as --prefix /opt/app',
    })
  return { prefix: bytes, patcher, launcher, signer }
}

/** Which files come along. */
export const scanOptions = (
  { data = 'auto', include = [], exclude = [], strip = false, licenses = false, with: kinds = [] }: BundleOptions,
  { prefix }: PlanOptions,
  traced: readonly Traced[],
  closure: readonly SourcePath[] = [],
): ScanOptions => ({
  traced,
  closure,
  strip,
  licenses,
  with: kinds,
  data,
  include: include.map(fromText),
  exclude: exclude.map(fromText),
  without: new Set(),
  launchers: prefix === null,
})

/**
 * The format that the options ask for.
 * @throws BundleError('usage')
 */
export function formatOf({ output, format }: BundleOptions): Format {
  if (format !== undefined) return format
  if (output === undefined) return 'tar.gz'
  const named = Object.entries(ENDINGS).flatMap(([format, endings]) => endings.map(ending => ({ format, ending })))
  const [longest] = named
    .filter(({ ending }) => output.endsWith(ending))
    .sort((a, b) => b.ending.length - a.ending.length)
  if (longest !== undefined) return longest.format as Format
  // What looks like the ending of some other format is a mistake; a version is none.
  if (/\.[a-z0-9]{1,4}$/i.test(output) && !/\.\d+$/.test(output))
    throw new BundleError('usage', `${output}: its ending names none of the formats ${FORMATS.join(', ')}`, {
      hint: 'give the format with -f',
    })
  return 'dir'
}

/** The absolute path of an output, a byte string. */
export const outputPath = (output: string, cwd: string): string =>
  fromText(output.startsWith('/') ? output : `${cwd}/${output}`).replace(/(?<=.)\/+$/, '')
