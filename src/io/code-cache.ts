/**
 * V8's compiled code of the command's own files, kept from run to run: parsing and compiling them took longer than a small
 * run's work. Node 22 has module.enableCompileCache(), which keeps what was compiled when a file is loaded; here it is taken
 * at the end of a run, with every function that was called.
 *
 * V8 believes what it is given: it looks at its own version and flags and at the source's length, and at no sum of the code.
 * So a file here counts only if it is of this user, nobody else can write to it, and its sum and its key are right. Whatever
 * is in the way (no home, a disk that is full or read-only, a file that is cut off), the command runs without it and says
 * nothing. docs/command.md tells where it lies and how it is turned off.
 */
import { isAscii } from 'node:buffer'
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  type Stats,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, isAbsolute, join } from 'node:path'
import { cachedDataVersionTag, getHeapCodeStatistics } from 'node:v8'
import { Script } from 'node:vm'
import { crc32 } from 'node:zlib'

/** As require() wraps a file. */
const HEAD = '(function (exports, require, module, __filename, __dirname) { '
/** What is kept in all, of every version of Node and of the command: the newest of it. In bytes. */
const KEPT = 16 << 20
/** Larger than any of ours. In bytes. */
const LIMIT = 32 << 20
/** What a run has to have compiled over what is kept, for it to be taken anew. */
const GROWTH = 1.1
/** Of a kept file: its sum, how much code there was in the run that it is of, and how long its key is; then key and code. */
const PREFIX = 12

/** A file that was compiled, and where its code is kept. */
interface Compiled {
  readonly script: Script
  readonly place: string
  readonly key: Buffer
  /** How much code there was, in bytes, in the run that the kept code is of; 0 if there is none. */
  readonly before: number
}

export interface CodeCache {
  /**
   * What require() gives for a CommonJS file, which itself requires its neighbours by the cache and else by `require`. It must
   * not import(): for that Node has no way that is settled.
   */
  load(file: string, require: (name: string) => unknown): unknown
  /** At the end of a run: keeps what was compiled, if it is news. */
  save(): void
}

/**
 * The code cache of this user.
 * @param use what is run: what other uses compile would only be read in vain
 * @returns null where nothing is kept: no home, it is turned off, or what runs is watched for which of its code is called
 */
export function codeCache(use: string, env: NodeJS.ProcessEnv = process.env): CodeCache | null {
  // Before 20.15 and 22.2 Node had no such sum.
  if (typeof crc32 !== 'function' || process.geteuid === undefined) return null
  if (env.STOREFREE_NO_CODE_CACHE || env.NODE_DISABLE_COMPILE_CACHE || env.NODE_V8_COVERAGE) return null
  const directory = directoryIn(env)
  const node = identity()
  if (directory === null || node === null) return null
  const all: Compiled[] = []
  const modules = new Map<string, { exports: unknown }>()

  function load(file: string, require: (name: string) => unknown): unknown {
    const loaded = modules.get(file)
    if (loaded !== undefined) return loaded.exports
    const source = readFileSync(file)
    const key = Buffer.from(JSON.stringify([1, node, file, source.length, crc32(source), use]))
    const place = join(directory!, `${basename(file)}.${use}.${crc32(key).toString(16).padStart(8, '0')}`)
    const kept = isOurs(directory!) ? read(place, key) : null
    // Ours are ASCII, which takes a fifth of the time.
    const text = source.toString(isAscii(source) ? 'latin1' : 'utf8')
    const script = new Script(`${HEAD}${text}\n})`, {
      filename: file,
      columnOffset: -HEAD.length,
      cachedData: kept?.code,
    })
    all.push({ script, place, key, before: kept === null || script.cachedDataRejected ? 0 : kept.size })
    const module = { exports: {} as unknown }
    modules.set(file, module)
    const requireBeside = (name: string): unknown =>
      name.startsWith('./') ? load(join(dirname(file), name), require) : require(name)
    script.runInThisContext().call(module.exports, module.exports, requireBeside, module, file, dirname(file))
    return module.exports
  }

  function save(): void {
    const size = getHeapCodeStatistics().bytecode_and_metadata_size
    const news = all.filter(({ before }) => before * GROWTH < size)
    if (news.length === 0 || !make(directory!)) return
    for (const compiled of news) write(compiled, size)
    prune(directory!)
  }

  return { load, save }
}

/** Where it lies; null without a home. It need not be there. */
function directoryIn({ XDG_CACHE_HOME: caches = '', HOME: home = '' }: NodeJS.ProcessEnv): string | null {
  const base = isAbsolute(caches) ? caches : isAbsolute(home) ? join(home, '.cache') : null
  return base && join(base, 'storefree', 'code')
}

/** This Node, with these flags of V8, on this CPU; null if it may not be looked at. */
function identity(): unknown {
  try {
    const { size, mtimeMs } = statSync(process.execPath)
    return [process.versions, process.arch, process.platform, cachedDataVersionTag(), size, mtimeMs]
  } catch {
    return null
  }
}

/** Whether the directory is there, and this user's, and nobody else can put a file there: not so of `sudo` in another's home. */
function isOurs(directory: string): boolean {
  try {
    const parent = dirname(directory)
    const base = statSync(dirname(parent))
    const isSafe = base.uid === process.geteuid!() && (base.mode & 0o002) === 0
    return (
      isSafe && [parent, directory].map(path => lstatSync(path)).every(stats => stats.isDirectory() && isOwn(stats))
    )
  } catch {
    return false
  }
}

const isOwn = ({ uid, mode }: Stats): boolean => uid === process.geteuid!() && (mode & 0o022) === 0

/** Makes the directory, and the cache directory that it is in, but no home: a build of Nix has one that must not be. */
function make(directory: string): boolean {
  const parent = dirname(directory)
  const base = dirname(parent)
  try {
    if (statSync(dirname(base)).uid === process.geteuid!()) makeOne(base)
    // Whose it is comes before anything is put there.
    if (statSync(base).uid !== process.geteuid!()) return false
    makeOne(parent)
    makeOne(directory)
  } catch {
    return false
  }
  return isOurs(directory)
}

function makeOne(directory: string): void {
  try {
    mkdirSync(directory, 0o700)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

/** What is kept there; null if it is not there, or not what was put there. */
function read(place: string, key: Buffer): { code: Buffer; size: number } | null {
  let file: number | undefined
  try {
    // A pipe would not be waited for.
    file = openSync(place, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    const stats = fstatSync(file)
    const start = codeStart(key)
    if (!stats.isFile() || !isOwn(stats) || stats.size < start || stats.size > LIMIT) return null
    const bytes = Buffer.allocUnsafeSlow(stats.size)
    if (readSync(file, bytes, 0, bytes.length, 0) !== bytes.length) return null
    if (bytes.readUInt32LE(0) !== crc32(bytes.subarray(4)) || bytes.readUInt32LE(8) !== key.length) return null
    if (!bytes.subarray(PREFIX, PREFIX + key.length).equals(key)) return null
    return { code: bytes.subarray(start), size: bytes.readUInt32LE(4) }
  } catch {
    return null
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

/** Where the code begins: V8 copies what is not at a multiple of eight. */
const codeStart = (key: Buffer): number => (PREFIX + key.length + 7) & ~7

/** In one rename: whoever reads it meanwhile has the old one or the new one. */
function write({ script, place, key }: Compiled, size: number): void {
  const made = `${place}.${process.pid}.${Math.random().toString(36).slice(2)}`
  let file: number | undefined
  try {
    file = openSync(made, 'wx', 0o600)
    const head = Buffer.alloc(codeStart(key))
    head.writeUInt32LE(size, 4)
    head.writeUInt32LE(key.length, 8)
    key.copy(head, PREFIX)
    const bytes = Buffer.concat([head, script.createCachedData()])
    bytes.writeUInt32LE(crc32(bytes.subarray(4)), 0)
    writeFileSync(file, bytes)
    renameSync(made, place)
  } catch {
    if (file !== undefined) discard(made)
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

/** Removes what is oldest, of Nodes and of versions that are gone, and what a run left that was killed. */
function prune(directory: string): void {
  try {
    const files = readdirSync(directory).map(name => ({
      path: join(directory, name),
      stats: lstatSync(join(directory, name)),
    }))
    let sum = 0
    for (const { path, stats } of files.sort((a, b) => b.stats.mtimeMs - a.stats.mtimeMs)) {
      sum += stats.size
      if (sum > KEPT) discard(path)
    }
  } catch {
    // Another run does the same.
  }
}

function discard(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // It is gone.
  }
}
