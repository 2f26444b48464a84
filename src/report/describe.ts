/**
 * Stage 7: words. Findings and reports become text for people, or JSON for machines; nothing else in this code base
 * makes sentences about them.
 */
import type { BundleError } from '../errors.ts'
import type { Finding, Severity } from '../model/findings.ts'
import { toText } from '../paths.ts'
import { RULES } from '../references/follow.ts'

/** A finding in one sentence. */
export function describe(finding: Finding): string {
  switch (finding.code) {
    case 'library-missing':
      return `${finding.name === '' ? 'an interpreter without a name (PT_INTERP is all zeros)' : t(finding.name)} is not found; it is needed by ${finding.chain.map(t).reverse().join(', needed by ')}`
    case 'dlopen-missing':
      return `would open ${t(finding.name)} when it runs (${finding.priority}), which is not found`
    case 'elf-unreadable':
      return `looks like ELF and is none, so it is copied as data: ${finding.reason}`
    case 'macho-unreadable':
      return `looks like Mach-O and is none, so it is copied as data: ${finding.reason}`
    case 'chain-differs':
      return `means ${shortPath(finding.taken)} by ${t(finding.name)} in ${shortPath(finding.by)}, and ${shortPath(finding.other)} in ${shortPath(finding.otherBy)}: in the bundle it is the former`
    case 'link-broken':
      return `a link that leads nowhere (to ${t(finding.target)}); left out`
    case 'link-outside':
      return `a link out of the store (to ${t(finding.target)}); left out`
    case 'special-file':
      return 'a device, pipe or socket; left out'
    case 'container-unread':
      return `${finding.member === '' ? '' : `${t(finding.member)}: `}${PROBLEMS[finding.problem]}${finding.detail === '' ? '' : ` (${t(finding.detail)})`}: store paths in it are not seen`
    case 'interpreter-unreachable':
      return `its #! line names ${t(finding.interpreter)}, which a relocatable bundle cannot; run it through that interpreter, or bundle with --prefix`
    case 'interpreter-host':
      return `its #! line leaves its interpreter to the machine where it runs (${t(finding.interpreter)})${alsoIn(finding.files)}`
    case 'payload':
      return 'carries data behind its end or in a section of its own that it reads from its own file (a self-extractor, PyInstaller, Bun, .NET single file): behind a launcher it would not find it; bundle it with --prefix'
    case 'left-out':
      return `is left out${finding.files.length === 1 ? '' : ` (and ${some(finding.files.slice(1).map(unhashed))})`}: ${finding.reason ?? 'it reads data behind its own end, or in a section of its own, which a relocatable bundle cannot give it'}; ${finding.users.length === 0 ? 'no file of the bundle is seen to name it' : `${some(finding.users.map(unhashed))} will not find it`}${finding.hint === null ? '' : ` (to have it: ${finding.hint})`}`
    case 'stub-refused':
      return finding.refusal === 'cpu'
        ? `there is no stub for ${finding.arch}: it starts through a /bin/sh launcher`
        : `cannot take the stub (${finding.refusal}): it starts through a launcher, and /proc/self/exe is the loader's`
    case 'static-refused':
      return `a static program that cannot take the stub (${finding.refusal}), so ${finding.count} store paths in it stay blanked: name the places on the command line, or bundle with --prefix`
    case 'reference-blanked':
      return `finds ${somePaths(finding.targets)} by store path${finding.escaped ? ' with escaped slashes' : ''}, which ${finding.relocatable ? 'a relocatable bundle' : 'a bundle'} cannot keep${others(finding.files)}: name the place on its command line${finding.relocatable ? ', or bundle with --prefix' : ''}`
    case 'reference-left':
      return `names ${somePaths(finding.targets)}, which stay${finding.targets.length === 1 ? 's' : ''} out: ${RULES.get(finding.rule) ?? finding.rule} (rule ${finding.rule}; --include brings what is wanted)`
    case 'relocation-refused':
      return `the stub cannot tell it from another library, so ${finding.count} store paths in it stay blanked: name the places on the command line, or bundle with --prefix`
    case 'reference-split':
      return `a compiler has taken a store path in it apart, so ${finding.count} that look whole stay blanked: name the places on the command line, or bundle with --prefix`
    case 'reference-nowhere':
      return `names ${counted(finding.paths.length, 'path')} into ${counted(finding.packages.length, 'package')} that ${finding.paths.length === 1 ? 'leads' : 'lead'} to nothing in the bundle: ${some(finding.packages)} (${some(finding.paths.map(shortened))})${alsoIn(finding.files)}: bring what it needs with --include`
    case 'hash-blanked':
      return `names the store path of ${t(finding.name)} without its directory (offset ${finding.offset}${finding.count > 1 ? `, the first of ${finding.count}` : ''})${alsoIn(finding.files)}: its hash is overwritten, and what puts it behind /nix/store finds nothing`
    case 'store-directory':
      return `asks whether paths are in the store, or puts some together (${counted(finding.count, 'place')} name${finding.count === 1 ? 's' : ''} its directory and no path in it)${alsoIn(finding.files)}: it takes /var/empty for the store, and finds nothing of the one of a machine that has one`
    case 'no-debug-hook':
      return 'the stub cannot hook into this loader: paths in libraries relocate after their constructors have run, and those in plugins do not'
    case 'include-nothing':
      return 'no file of the packages that the program refers to matches --include'
    case 'disallowed':
      return `is ${t(finding.name)}, which ${finding.policy ?? '--disallow'} keeps out; ${comesBy(finding)}`
    case 'policy-size':
      return `a bundle may have ${bytesText(finding.max)}, and this one has ${bytesText(finding.bytes)} (${finding.bytes - finding.max} bytes more)${finding.largest.length === 0 ? '' : `: ${finding.largest.map(({ name, bytes }) => `${t(name)} ${bytesText(bytes)}`).join(', ')}`}; bundle size says what they are spent on`
    case 'policy-missing':
      return `asks for ${t(finding.name)}, which is not in the bundle${finding.named ? '; it is named there, or in its closure, and no file of it came: --include brings some' : ''}`
    case 'policy-files':
      return `is ${t(finding.glob)}, which ${finding.policy} keeps out${finding.count > 1 ? ` (${finding.count} files: ${some(finding.examples)})` : ''}; ${comesBy(finding)}`
    case 'policy-symbols':
      return `asks ${t(finding.library)} for ${t(finding.version)}, newer than the ${finding.max} of ${finding.policy}; the library is not in the bundle${alsoIn(finding.files)}`
    case 'strip-nothing':
      return `not done for Mach-O (${finding.count} files): symbols and debug information stay`
    case 'machine-data':
      return `${finding.count === 0 ? 'names' : 'needs'} files of this machine, which stay here (only programs and libraries come along): ${finding.count === 0 ? '' : `${finding.count} of ${some(finding.packages)} in `}${some(finding.paths)}${finding.severity === 'note' ? '' : `; ${finding.count === 0 ? '' : 'bring what its package manager says belongs to it with --data all; '}where there is Nix, bundle its attribute instead, and see what a bundle misses with: bundle try BUNDLE --trace`}`
    case 'machine-root': {
      const others = finding.files.length === 1 ? '' : `, as do ${some(finding.files.slice(1))}`
      return `looks for ${some(finding.paths)}${others}: the bundle has these below its own root, where they are found if it is the root directory (chroot, bundle try), or if options or variables of the program say so`
    }
    case 'set-id-dropped':
      return 'is set-uid or set-gid here, and its copy is not: it runs with the rights of its caller (bundle it with --prefix, and set the bit where it is unpacked)'
    case 'licence-missing':
      return `no licence text is found in ${finding.packages.map(t).join(', ')}`
    case 'with-missing':
      return `found neither in this machine's store nor at ${finding.looked.join(', ')}`
    case 'with-host':
      return `taken from this machine, ${t(finding.from)}: the store has none`
    case 'with-unasked':
      return `nothing in the bundle looks for it in a place that moves with the bundle: set ${finding.variable} to <bundle>/${finding.at}`
    case 'image-unwritable':
      return `names ${finding.directories.join(', ')} as its own, which the image has not: ${finding.directories.map(d => `--writable ${d}`).join(' ')} if it writes there`
    case 'trace-failed':
      return `what was traced ended with exit code ${finding.exit}: what it would have opened later is not known`
    case 'trace-nothing':
      return 'what was traced opened no file of a store'
    case 'argv0-unsupported':
      return `its loader ${t(finding.loader)} is older than glibc 2.33: the program sees its own path as argv[0]`
    case 'same-soname':
      return `${t(finding.soname)} is the name of another library too; kept apart in ${t(finding.at)}/`
    case 'choice-changed':
      return `would load ${t(finding.found)} for ${t(finding.name)}, where the original loads ${t(finding.expected)}`
    case 'edit-outside-plan':
      return `editing it changed ${finding.fact}: expected ${t(finding.expected)}, found ${t(finding.found)}`
    case 'store-reference':
    case 'store-hash':
      return `holds ${finding.code === 'store-hash' ? 'the store hash ' : ''}${t(finding.text)} (${finding.part === null ? PLACES[finding.where] : `in ${t(finding.part)}`}, offset ${finding.offset}, ${finding.encoding}${finding.slash === undefined ? '' : ` with ${finding.slash} for /`}${finding.count > 1 ? `, ${finding.count} times` : ''})`
    case 'rpath-twice':
      return `has ${t(finding.rpath)} twice among its LC_RPATH (${finding.arch}), which dyld of macOS 26 refuses`
    case 'signature-wrong':
      return finding.reason === null
        ? `it has no code signature (${finding.arch}), and no arm64 kernel runs it without one`
        : `its code signature (${finding.arch}) ${finding.reason}`
    case 'macos-needed':
      return `needs macOS ${finding.version} or later`
    case 'interp-unresolved':
      return `its interpreter ${t(finding.interp)} is not in it`
    case 'needed-unresolved':
      return `needs ${t(finding.name)}${finding.versions.length === 0 ? '' : ` (${finding.versions.map(t).join(', ')})`}, which is not found inside${finding.program === null ? '' : ` (run as ${t(finding.program)})`}`
    case 'link-escapes':
      return `a link out of the tree (to ${t(finding.target)})`
    case 'link-dangling':
      return `a link that leads nowhere (to ${t(finding.target)})`
    case 'entry-unsafe':
    case 'image-wrong':
      return finding.reason
    case 'template-elsewhere':
      return `names places in ${finding.names === '' ? '/' : t(finding.names)}, where the bundle lay before: run ./relocate in it again`
    case 'manifest-missing':
      return 'there is no bundle.json: it is no bundle'
    case 'manifest-mismatch':
      return finding.reason
  }
}

const t = toText
/** By which chain something came that should not. */
const comesBy = ({ chain, option }: { chain: readonly string[]; option: string | null }): string =>
  option === null && chain.length === 1
    ? 'it is an own file of the target'
    : `it comes by ${[...(option === null ? [] : [option]), ...chain].map(shortPath).join(' -> ')}`
/** `a, b, c and 4 more`. */
function somePaths(paths: readonly string[]): string {
  const shown = paths.slice(0, OTHERS_SHOWN).map(shortPath).join(', ')
  return paths.length > OTHERS_SHOWN ? `${shown} and ${paths.length - OTHERS_SHOWN} more` : shown
}

/** `; so do a, b and 3 more` for the files behind the first. */
function others([, ...rest]: readonly string[]): string {
  if (rest.length === 0) return ''
  return ` (nor ${rest.length === 1 ? 'does' : 'do'} ${somePaths(rest)})`
}
const OTHERS_SHOWN = 3
/** The first of several names. */
const some = (names: readonly string[]): string =>
  names.slice(0, OTHERS_SHOWN).map(t).join(', ') +
  (names.length > OTHERS_SHOWN ? ` and ${names.length - OTHERS_SHOWN} more` : '')
const alsoIn = ([, ...rest]: readonly string[]): string =>
  rest.length === 0 ? '' : `, also in ${some(rest.map(unhashed))}`
const unhashed = (path: string): string => path.replace(HASHED, '')
const counted = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`
const HASHED = /^\/nix\/store\/[^/]{32}-/
/** A path in a binary may go on with strings that are none of it. */
const shortened = (path: string): string => {
  const text = path.replace(HASHED, '')
  return text.length > PATH_SHOWN ? `${text.slice(0, PATH_SHOWN)}...` : text
}
const PATH_SHOWN = 60
/** A store path without the part that no person reads. */
const shortPath = (path: string): string => t(path.replace(/^\/nix\/store\/[^/]{32}-/, ''))
const PROBLEMS = {
  encrypted: 'encrypted',
  method: 'compressed in a way that is not read',
  damaged: 'damaged',
  'too-large': 'too large to be unpacked',
  'too-deep': 'packed too deep',
  'too-many': 'names more store paths than are told',
  opaque: 'packed in a format that is not looked into',
  apart: 'its code puts a store path together out of numbers',
  signed: 'signed, so that it cannot be changed',
} as const
const PLACES = {
  contents: 'in its contents',
  name: 'in its name',
  link: 'in its link text',
  header: 'in its header',
} as const
const LABELS: Readonly<Record<Severity, string>> = { error: 'error', warning: 'warning', note: 'note' }

/** A finding as a line. */
export const line = (finding: Finding): string =>
  `${LABELS[finding.severity]}: ${toText(finding.file)}: ${describe(finding)}`

/** An error as lines: what, why, and what to do. */
export const errorText = (error: BundleError): string =>
  `error: ${error.message}${error.hint === undefined ? '' : `\n  try: ${error.hint}`}`

const MEGABYTE = 1e6
/** `12.3 MB`, in units of 10^6 bytes. */
export const megabytes = (bytes: number): string => `${(bytes / MEGABYTE).toFixed(1)} MB`

/** `12.3 MB`, `210.3 kB`, `248 B`. */
export const bytesText = (bytes: number): string =>
  bytes < 1000 ? `${bytes} B` : bytes < 999_950 ? `${(bytes / 1000).toFixed(1)} kB` : megabytes(bytes)
