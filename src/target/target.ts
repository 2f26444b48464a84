/**
 * Stage 1: what the user typed becomes entries. A word with a slash is a path, always; a word without one is an
 * attribute that Nix builds, never a path; where there is no Nix, a program on PATH.
 */
import { isElf, parseElf } from '../elf/parse.ts'
import { BundleError } from '../errors.ts'
import { list, lstat, readLink, realPath, type Status, stat, withFile } from '../io/store.ts'
import { isMachOProgram } from '../macho/facts.ts'
import { holdsMachO, parseMachO } from '../macho/parse.ts'
import type { Entry, PackageRoot, Target } from '../model/target.ts'
import { buildAttribute, buildFlake, hasNix, isAttribute, isFlake, type NixOptions } from '../nix/build.ts'
import { parseName, storePathOf } from '../nix/store-path.ts'
import { type BundlePath, fromText, type SourcePath, toText } from '../paths.ts'

/** Where a package keeps what is started by name. */
const PROGRAM_DIRECTORIES = ['bin', 'sbin', 'libexec'] as const

/** What a target is resolved with. */
export interface TargetOptions extends NixOptions {
  /** Only these programs, by name or place (`git`, `bin/git`); empty: all. */
  readonly programs: readonly string[]
}

/**
 * The entries of some targets, together.
 * @param words what was typed; at least one
 * @throws BundleError('not-found' | 'not-a-program' | 'no-programs' | 'same-program' | 'nix-failed' | ...)
 */
export async function resolveTargets(words: readonly string[], options: TargetOptions): Promise<Target> {
  const targets: Target[] = []
  for (const word of words) targets.push(await resolveTarget(word, options))
  return chosen(targets.reduce(join), options.programs)
}

async function resolveTarget(word: string, options: TargetOptions): Promise<Target> {
  // A path may hold a `#`; what is there is what was meant.
  if (word.includes('/') && (!isFlake(word) || lstat(absolute(word, options.cwd)) !== null))
    return pathTarget(word, options.cwd)
  if (isFlake(word)) {
    if (word.startsWith('-')) throw new BundleError('usage', `${word}: no flake reference begins with a dash`)
    return builtTarget(word, await buildFlake(word, options), `flake ${word}`)
  }
  if (options.file === null && !(await hasNix())) return pathProgram(word)
  if (!isAttribute(word))
    throw new BundleError('usage', `${word}: neither a path (it has no /) nor a Nix attribute`, {
      hint: /^\.+$/.test(word)
        ? `bundle ${word}/ for the directory, bundle ${word}#default for its flake`
        : `for a file of this name: bundle ./${word}`,
    })
  const of = options.file === null ? '' : ` of ${options.file}`
  return builtTarget(word, await buildAttribute(word, options), `nix attribute ${word}${of}`)
}

const builtTarget = (word: string, outputs: readonly string[], label: string): Target =>
  merge(
    outputs.map(output => directoryEntries(output as SourcePath)),
    outputs[0] as SourcePath,
    label,
    word,
  )

const absolute = (word: string, cwd: string): SourcePath => {
  const typed = fromText(word).replace(/^(?:\.\/+)+/, '')
  return (typed.startsWith('/') ? typed : `${fromText(cwd)}/${typed}`) as SourcePath
}

function pathTarget(word: string, cwd: string): Target {
  const path = absolute(word, cwd)
  if (lstat(path) === null) throw new BundleError('not-found', 'no such file or directory', { path })
  const status = stat(path)
  if (status === null)
    throw new BundleError('broken-link', `a link that leads nowhere (to ${readLink(path)})`, { path })
  const label = storePathOf(realPath(path)) ? 'store path' : 'path'
  if (status.type === 'directory') {
    const real = realPath(path)
    if (real === '/')
      throw new BundleError('not-a-program', 'the root of the file system is no package', {
        path,
        hint: 'give a program or its package',
      })
    return merge([directoryEntries(real)], real, `${label} ${word}`, word)
  }
  return fileTarget(path, status, `${label} ${word}`)
}

/** Where there is no Nix: a program as the shell would find it. Its data stays the machine's. */
function pathProgram(word: string): Target {
  for (const directory of (process.env.PATH ?? '').split(':').filter(d => d.startsWith('/'))) {
    const path = `${fromText(directory)}/${fromText(word)}` as SourcePath
    const status = stat(path)
    if (status?.type === 'file' && (status.mode & 0o111) !== 0)
      return fileTarget(path, status, `program on PATH ${toText(path)}`)
  }
  throw new BundleError(
    'not-found',
    `${word}: not a path (it has no /), not a flake reference (it has no #), there is no Nix on PATH to build it as an attribute, and no program on PATH is called so`,
    { hint: `give a path such as ./result or ./${word}, or install Nix` },
  )
}

/** Two targets in one. */
function join(a: Target, b: Target): Target {
  const entries = new Map(a.entries.map(entry => [entry.at, entry]))
  for (const entry of b.entries) {
    const twin = entries.get(entry.at)
    if (twin !== undefined && realPath(twin.source) !== realPath(entry.source))
      throw new BundleError(
        'same-program',
        `two programs for ${entry.at}: ${toText(twin.source)} and ${toText(entry.source)}`,
        {
          hint: 'make a bundle of each',
        },
      )
    entries.set(entry.at, twin ?? entry)
  }
  const roots = new Map(a.roots.map(root => [root.root, root]))
  for (const root of b.roots) if (!roots.get(root.root)?.tree) roots.set(root.root, root)
  return {
    label: `${a.label}, ${b.label}`,
    name: a.name === b.name ? a.name : `${a.name}+${b.name}`,
    version: a.name === b.name ? a.version : null,
    entries: [...entries.values()].sort((x, y) => (x.at < y.at ? -1 : 1)),
    roots: [...roots.values()],
  }
}

/** Of a target only some programs. */
function chosen(target: Target, programs: readonly string[]): Target {
  if (programs.length === 0) return target
  const names = programs.map(fromText)
  const entries = target.entries.filter(({ at }) => names.some(name => at === name || at.endsWith(`/${name}`)))
  for (const name of names)
    if (!entries.some(({ at }) => at === name || at.endsWith(`/${name}`)))
      throw new BundleError('no-programs', `${toText(name)}: no program of ${target.label} is called so`, {
        hint: `--program with one of: ${target.entries.map(({ at }) => toText(at)).join(', ')}`,
      })
  return { ...target, entries }
}

/** A single program: the path as it was typed, links followed until one lies in a package. */
function fileTarget(path: SourcePath, status: Status, label: string): Target {
  assertProgram(path, status)
  const typed = path.slice(path.lastIndexOf('/') + 1)
  const source = intoPackage(path)
  const real = realPath(source)
  const store = storePathOf(real)
  const directory = source.slice(0, source.lastIndexOf('/')).split('/').at(-1) ?? ''
  const kind = PROGRAM_DIRECTORIES.find(d => d === directory) ?? 'bin'
  const name = store && store.root === real ? store.name : typed
  const root: PackageRoot = store
    ? { root: store.root as SourcePath, name: store.name, tree: true }
    : { root: real.slice(0, real.lastIndexOf('/')) as SourcePath, name: typed, tree: false }
  return {
    label,
    ...(store ? parseName(store.name) : { name: typed, version: null }),
    entries: [{ at: `${kind}/${name}` as BundlePath, source }],
    roots: [root],
  }
}

/** Links outside a store are followed; a link inside a package is a program's name and stays. */
function intoPackage(path: SourcePath): SourcePath {
  let at: string = path
  for (;;) {
    const slash = at.lastIndexOf('/')
    const name = at.slice(slash + 1)
    const directory = realPath(at.slice(0, slash) || '/')
    at = `${directory === '/' ? '' : directory}/${name}`
    if (storePathOf(at) !== null || lstat(at)?.type !== 'link') return at as SourcePath
    const text = readLink(at)
    at = text.startsWith('/') ? text : `${directory}/${text}`
  }
}

function assertProgram(path: SourcePath, status: Status): void {
  if (status.type !== 'file') throw new BundleError('not-a-program', 'neither a file nor a directory', { path })
  const head = withFile(path, source => source.read(0, 4))
  if (withFile(path, holdsMachO)) {
    if (!isMachOProgram(withFile(path, source => parseMachO(source, path))))
      throw new BundleError('not-a-program', 'a library or bundle, not a program', {
        path,
        hint: 'give the program that uses it',
      })
  } else if (isElf(head)) {
    const facts = withFile(path, source => parseElf(source, path))
    if (!facts.program)
      throw new BundleError('not-a-program', 'a shared library or object file, not a program', {
        path,
        hint: 'give the program that uses it',
      })
  } else if (head.toString('latin1', 0, 2) !== '#!')
    throw new BundleError('not-a-program', 'neither an ELF or Mach-O program nor a script with a #! line', { path })
  if ((status.mode & 0o111) === 0)
    throw new BundleError('not-executable', 'not executable', { path, hint: 'chmod +x it, or give another file' })
}

interface Entries {
  readonly entries: readonly Entry[]
  readonly roots: readonly PackageRoot[]
}

/** Everything executable in `bin`, `sbin` and `libexec` of a directory; a file is its own only entry. */
function directoryEntries(root: SourcePath): Entries {
  const status = stat(root)
  if (status === null) throw new BundleError('not-found', 'no such file or directory', { path: root })
  if (status.type !== 'directory') return fileTarget(root, status, '')
  const entries: Entry[] = []
  const roots = new Map<string, PackageRoot>()
  const addRoot = (path: SourcePath): void => {
    const store = storePathOf(path)
    const at = (store?.root ?? root) as SourcePath
    roots.set(at, { root: at, name: store?.name ?? at.slice(at.lastIndexOf('/') + 1), tree: true })
  }
  addRoot(root)
  for (const kind of PROGRAM_DIRECTORIES) {
    const directory = `${root}/${kind}`
    if (stat(directory)?.type !== 'directory') continue
    const real = realPath(directory)
    for (const name of list(directory)) {
      // What a wrapper stands for (`.foo-wrapped`) is nobody's to start; it comes with the tree.
      if (name.startsWith('.')) continue
      const source = `${real}/${name}` as SourcePath
      const program = stat(source)
      if (program?.type !== 'file' || (program.mode & 0o111) === 0) continue
      entries.push({ at: `${kind}/${name}` as BundlePath, source })
      // A package of links (buildEnv, symlinkJoin): what it links to comes with its own tree.
      if (storePathOf(realPath(source)) !== null) addRoot(realPath(source))
    }
  }
  return { entries, roots: [...roots.values()] }
}

function merge(parts: readonly Entries[], first: SourcePath, label: string, word: string): Target {
  const entries = new Map<BundlePath, Entry>()
  const roots = new Map<SourcePath, PackageRoot>()
  for (const part of parts.filter(p => p.entries.length > 0)) {
    for (const entry of part.entries) if (!entries.has(entry.at)) entries.set(entry.at, entry)
    for (const root of part.roots) roots.set(root.root, root)
  }
  if (entries.size === 0)
    throw new BundleError('no-programs', 'holds no programs: nothing is executable in its bin/, sbin/ or libexec/', {
      path: first,
      hint: word.includes('/') ? 'give the program itself' : `choose another output, such as ${word.split('^')[0]}^bin`,
    })
  const store = storePathOf(first)
  return {
    label,
    ...parseName(store?.name ?? first.slice(first.lastIndexOf('/') + 1)),
    entries: [...entries.values()].sort((a, b) => (a.at < b.at ? -1 : 1)),
    roots: [...roots.values()],
  }
}
