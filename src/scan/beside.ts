/**
 * Programs that find things beside themselves: a Java VM its lib/jvm.cfg, Electron its resources.pak, dotnet its
 * host/fxr. Nothing names these by store path, so no reference leads there; what betrays them is that the program can
 * tell where it lies, and that it names files of its own package without saying where.
 *
 * Both are asked for, because nearly every program can tell where it lies (readlink(2)), and few use it for that. For
 * a program that holds its package's place as a string the references bring what it needs.
 */

import { symbolNames } from '../elf/parse.ts'
import { list, lstat, pieces, realPath, stat, withFile } from '../io/store.ts'
import type { FileFacts, FileNode } from '../model/graph.ts'
import { storePathOf } from '../nix/store-path.ts'
import { baseName, directoryOf, type SourcePath } from '../paths.ts'
import { leftOut } from '../references/follow.ts'
import type { Sources } from './sources.ts'
import { walkTree } from './tree.ts'

/** By these a program or library learns where it lies. */
const WHERE =
  /^(?:readlink(?:at)?|realpath|canonicalize_file_name|__(?:readlink(?:at)?|realpath)_chk|dladdr1?|dl_iterate_phdr)$/
const SELF = Buffer.from('/proc/self/exe', 'latin1')
/** Where only programs lie: what is beside one there is not its data. */
const PROGRAMS = /^(?:s?bin|libexec)$/
/** How a script says where it lies, to go on from there: shell, Python, Perl, Ruby, PHP, Lua, Tcl, JavaScript. */
const FROM_HERE = new RegExp(
  [
    /\$\{0%\/\*\}|BASH_SOURCE|\b(?:dirname|readlink|realpath)\b[ "'({$a-z-]*\$\{?0\b/,
    /__file__|__FILE__|__dir__|__DIR__|__dirname|import\.meta|FindBin|dirname\s*\(?\s*(?:\$0|sys\.argv\[0\])/,
    /\b(?:require(?:_relative)?|from|import)\s*\(?\s*['"]\.\.?\/|\binfo script\b|\barg\[0\]/,
  ]
    .map(r => r.source)
    .join('|'),
)
/** A module that Python looks for beside the script first. */
const IMPORT = /^[ \t]*(?:from|import)[ \t]+(\w+)/gm
/** What is run as a script whether it can be executed or not. */
const SCRIPT = /\.(?:[cm]?js|py|pl|rb|lua|tcl|php|sh|bash)$/
/** A larger script is none. In bytes. */
const SCRIPT_MAX = 4 << 20
/** A word of a program's strings that may be a file's name, and one that leads up and down again. */
const WORDS = /\.\.\/[A-Za-z0-9_+./-]+|[A-Za-z0-9_+-][A-Za-z0-9_+.-]{3,}/g
const WORD_MAX = 255
/** A package with more files is not looked through to the end. */
const NAMES_MAX = 50_000

/**
 * The file that a program or script looks for beside itself and that is not in the bundle; null when none is known of.
 * @param objects of its process, itself among them
 * @param has whether a file is in the bundle
 */
export function lookedForBeside(
  { path, facts, size }: FileNode,
  objects: readonly SourcePath[],
  sources: Sources,
  has: (path: SourcePath) => boolean,
): SourcePath | null {
  const root = storePathOf(path)?.root as SourcePath | undefined
  if (root === undefined || root === path) return null
  const absent = absentFiles(root, has)
  if (facts.format === 'script' || SCRIPT.test(path)) {
    const neighbour = absent.values().next().value
    if (neighbour === undefined || size > SCRIPT_MAX) return null
    const text = withFile(path, source => source.read(0, size).toString('latin1'))
    return FROM_HERE.test(text) ? neighbour : importedBeside(path, text, has)
  }
  if (facts.format !== 'elf' || absent.size === 0) return null
  const own = objects.filter(object => object === path || object.startsWith(`${root}/`))
  if (!own.some(object => tellsWhere(object, sources.facts(object)))) return null
  const beside = PROGRAMS.test(
    path
      .slice(root.length + 1)
      .split('/')
      .slice(0, -1)
      .join('/'),
  )
    ? null
    : dataBeside(path, has)
  if (beside !== null) return beside
  for (const object of own) {
    const found = named(object, directoryOf(path) as SourcePath, root, absent, has)
    if (found !== null) return found
  }
  return null
}

/** The files of a package that are not in the bundle, by name; those whose name says nothing are left out. */
function absentFiles(root: SourcePath, has: (path: SourcePath) => boolean): Map<string, SourcePath> {
  const absent = new Map<string, SourcePath>()
  const wanted = (path: string): boolean => leftOut(path.slice(root.length + 1)) === null
  for (const { path, type } of walkTree(root, wanted)) {
    const name = baseName(path)
    if (type === 'special' || stat(path)?.type !== 'file' || has(realPath(path))) continue
    if (!/^.{2,}\../.test(name) || absent.has(name)) continue
    absent.set(name, path)
    if (absent.size >= NAMES_MAX) break
  }
  return absent
}

function tellsWhere(path: SourcePath, facts: FileFacts): boolean {
  if (facts.format !== 'elf') return false
  return withFile(path, source => {
    if (facts.dynstr !== null && symbolNames(source, path).some(name => WHERE.test(name))) return true
    if (!facts.program) return false
    let end: Buffer = Buffer.alloc(0)
    for (const piece of pieces(source)) {
      if (piece.includes(SELF) || Buffer.concat([end, piece.subarray(0, SELF.length)]).includes(SELF)) return true
      end = Buffer.from(piece.subarray(-SELF.length))
    }
    return false
  })
}

/** A file in a program's directory that is neither program nor library, and not in the bundle. */
function dataBeside(path: SourcePath, has: (path: SourcePath) => boolean): SourcePath | null {
  const directory = directoryOf(path)
  for (const name of list(directory)) {
    const neighbour = `${directory}/${name}` as SourcePath
    const status = lstat(neighbour)
    if (status?.type === 'file' && (status.mode & 0o111) === 0 && !has(neighbour)) return neighbour
  }
  return null
}

/** The first absent file that an object names, by its name alone or by a way that leads up from its directory. */
function named(
  object: SourcePath,
  directory: SourcePath,
  root: SourcePath,
  absent: ReadonlyMap<string, SourcePath>,
  has: (path: SourcePath) => boolean,
): SourcePath | null {
  return withFile(object, source => {
    let end = ''
    for (const piece of pieces(source)) {
      const text = end + piece.toString('latin1')
      for (const [word] of text.matchAll(WORDS)) {
        const found = word.startsWith('../') ? upwards(word, directory, root, has) : absent.get(word)
        if (found !== undefined) return found
      }
      end = text.slice(-WORD_MAX)
    }
    return null
  })
}

/** What a way such as `../share/app` leads to from a program's directory: a file of its package that is not there yet. */
function upwards(
  word: string,
  directory: SourcePath,
  root: SourcePath,
  has: (path: SourcePath) => boolean,
): SourcePath | undefined {
  const path = `${directory}/${word.replace(/\/+$/, '')}`
  if (stat(path) === null) return undefined
  const target = realPath(path)
  // What the program itself lies in is no place of its data.
  if (!target.startsWith(`${root}/`) || `${directory}/`.startsWith(`${target}/`)) return undefined
  for (const { path: file, type } of walkTree(target, p => leftOut(p.slice(root.length + 1)) === null))
    if (type === 'file' && !has(file)) return file
  return undefined
}

function importedBeside(path: SourcePath, text: string, has: (path: SourcePath) => boolean): SourcePath | null {
  for (const [, name] of text.matchAll(IMPORT))
    for (const neighbour of [`${name}.py`, `${name}/__init__.py`]) {
      const module = `${directoryOf(path)}/${neighbour}`
      if (stat(module)?.type === 'file' && !has(realPath(module))) return module as SourcePath
    }
  return null
}
