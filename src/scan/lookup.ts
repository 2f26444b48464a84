/**
 * What a reference leads to: which files and directories of this machine its text names, and by which links.
 *
 * A text is not always a path that is there. It may end too late: behind a full stop in a sentence; and in a binary
 * behind the path itself, because Go, Rust and others put strings side by side and know their lengths, where C ends
 * each with a NUL (`.../bin/depAllThreadsSyscall6`). It may end too early: `.so` or `.conf` is added at run time. It may
 * be a pattern (`share/%s.conf`).
 */
import { list, lstat, realPath, stat } from '../io/store.ts'
import { STORE_DIR, storePathOf, storePathPrefix } from '../nix/store-path.ts'
import { directoryOf, type SourcePath } from '../paths.ts'

/** What a reference names, as far as it is there. */
export interface Named {
  /** The first one where it names several. */
  readonly path: SourcePath
  readonly root: SourcePath
  /** The package's name without the hash. */
  readonly name: string
  readonly type: 'file' | 'directory' | 'missing'
  /** All of them: a text without its ending names several. Empty for what is missing. */
  readonly all: readonly SourcePath[]
  /** Of what is missing: whether something may be there all the same, under a name that the text does not tell. */
  readonly doubtful: boolean
}

/**
 * What stands behind a text: `delimiter` where it is a text's own end, as in a script; `nul` in a binary, where C ends its
 * strings so; `anything` in a binary, where another string may begin within the text and nothing says so.
 */
export type Behind = 'delimiter' | 'nul' | 'anything'

/** Looks up what a text names; null when its store path is not on this machine. */
export function lookUp(text: string, behind: Behind): Named | null {
  const store = storePathPrefix(text)
  const root = store && longestStorePath(store.root)
  if (!root) return null
  const { name } = storePathOf(root)!
  const missing = (path: string, doubtful: boolean): Named => ({
    path: path as SourcePath,
    root,
    name,
    type: 'missing',
    all: [],
    doubtful,
  })
  const at = (...paths: string[]): Named => {
    const type = stat(paths[0]!)?.type
    if (type !== 'file' && type !== 'directory') return missing(paths[0]!, false)
    return { ...missing(paths[0]!, false), type, all: paths as SourcePath[] }
  }
  // What is glued to the root itself belongs to whatever stands behind it.
  if (text[root.length] !== '/') return at(root)
  let path = root as string
  const parts = text
    .slice(root.length)
    .split('/')
    .filter(part => part !== '' && part !== '.')
  for (const [i, part] of parts.entries()) {
    if (part === '..') {
      // As the kernel: up from where links have led. What lies outside of the package is not known to be meant.
      const up = directoryOf(realPath(path))
      const rest = parts.slice(i + 1).join('/')
      const beyond = rest === '' || storePathOf(up)?.root !== root ? null : lookUp(`${up}/${rest}`, behind)
      return beyond === null || beyond.type === 'missing' ? at(path) : beyond
    }
    if (stat(`${path}/${part}`)) {
      path += `/${part}`
      continue
    }
    // Nothing lies below a file: what goes on there is another string, or the rest of an expression of sed.
    const isDirectory = stat(path)?.type === 'directory'
    if (!isDirectory || (behind !== 'delimiter' && OTHER_PATH.test(parts.slice(i).join('/')))) return at(path)
    const names = list(path)
    const isLast = i === parts.length - 1
    const fit = isLast && LIBRARIES.test(path.slice(root.length)) ? fitting(part, names, behind) : []
    const found = fit.length > 0 ? fit : namesFor(part, names, isLast, behind)
    if (found.length > 0) return at(...found.map(n => `${path}/${n}`))
    // A pattern stands for whatever the directory holds.
    if (PATTERN.test(part) && path !== root) return { ...at(path), type: 'directory' }
    // The string may be the directory alone, or what is added to it may be no ending.
    return missing(path, behind === 'anything' || (isLast && names.some(n => n.startsWith(part))))
  }
  return at(path)
}

const PATTERN = /[%*?@]/
/** Directories that do not come as a whole when they are named (references/follow.ts, `libraries`). */
const LIBRARIES = /^\/lib(?:32|64)?$/

/** What stands for other text in a pattern: of printf, a shell, autoconf. */
const PLACEHOLDER = /%[-+ #0-9.*]*[A-Za-z]|[*?]+|@\w+@/

/** The names that have the fixed parts of a pattern, where it has any; behind the first of them another string may stand. */
export function fitting(pattern: string, names: readonly string[], behind: Behind): string[] {
  const [first = '', ...rest] = pattern.split(PLACEHOLDER).map(text => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  if (rest.length === 0 || (first === '' && (behind === 'anything' || rest.every(text => text === '')))) return []
  const expression = behind === 'anything' ? new RegExp(`^${first}`) : new RegExp(`^${[first, ...rest].join('.*')}$`)
  return names.filter(name => expression.test(name))
}
/** What another path begins with that stands behind: sources of Rust's library, which its programs are full of. */
const OTHER_PATH = /^(?:rustc\/[0-9a-f]{40}|nix\/store|usr|proc|dev)(?:\/|$)/

/** The store path that is there and that a text begins with: `...-nginx-1.22.1.` ends a sentence. */
function longestStorePath(text: string): SourcePath | null {
  for (let end = text.length; end > STORE_DIR.length + 34; end--)
    if (lstat(text.slice(0, end))) return text.slice(0, end) as SourcePath
  return null
}

/** Which names of a directory a text means that is none of them. */
function namesFor(text: string, names: readonly string[], isLast: boolean, behind: Behind): string[] {
  const beginnings = names.filter(name => text.startsWith(name)).sort((a, b) => b.length - a.length)
  // Where no other string can follow, a longer name is another name, unless what names seldom hold stands behind it.
  const ended = beginnings.find(name => !/[\w+-]/.test(text[name.length]!))
  if (behind !== 'anything') {
    if (ended !== undefined) return [ended]
    const endings = isLast ? withEnding(names, text.replace(/\.$/, '')) : []
    if (endings.length > 0 || behind === 'delimiter' || PATTERN.test(text)) return endings
    // A NUL may end the string that follows.
    return beginnings.slice(0, 1)
  }
  const stem = longest(names.flatMap(stems).filter(s => text.startsWith(s)))
  const [name] = beginnings
  if (name !== undefined && name.length >= stem.length) return [name]
  return stem === '' ? [] : withEnding(names, stem)
}

const longest = (texts: readonly string[]): string => texts.reduce((a, b) => (b.length > a.length ? b : a), '')

/** The names that go on with a full stop and an ending. */
const withEnding = (names: readonly string[], stem: string): string[] =>
  stem === '' ? [] : names.filter(name => name.startsWith(`${stem}.`))

/** What stands before each full stop of a name. */
const stems = (name: string): string[] => [...name.matchAll(/\./g)].map(({ index }) => name.slice(0, index))

/** The links that a path goes through before its last component. No directory that they lie in is one. */
export function linksOnTheWay(path: string): SourcePath[] {
  const links: SourcePath[] = []
  let real = ''
  for (const part of directoryOf(path).split('/').slice(1)) {
    const at = `${real}/${part}` as SourcePath
    const isLink = lstat(at)?.type === 'link'
    if (isLink) links.push(at)
    real = isLink ? realPath(at) : at
  }
  return links
}
