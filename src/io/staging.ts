/**
 * Writing: everything that is written goes into one staging directory beside the destination, and is published from
 * there by one rename or link, or removed. Paths are byte strings.
 */

import { randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import { BundleError, errno } from '../errors.ts'
import type { BundlePath } from '../paths.ts'
import { onEarlyEnd } from './cleanup.ts'
import { native } from './store.ts'

/** As in a Nix store: one second after the epoch (some .pyc files record their source's time). */
const MTIME = 1

/** Bytes of the destination's name that the staging directory's name repeats. */
const NAME_PART = 200

/** Bytes that are written sooner than a thread is found that writes them. */
const AT_ONCE = 1 << 20

/** What every bundle's directory holds (apply/manifest.ts). */
const MANIFEST_NAME = 'bundle.json'

/** Staging directories that are to be removed when the process ends early. */
const live = new Set<Staging>()

onEarlyEnd(() => {
  for (const staging of live) staging.remove()
})

export class Staging {
  /** The directory beside the destination; the bundle's tree lies in `tree` below it. */
  readonly #directory: string
  readonly destination: string
  /** Directories of the tree that are there. */
  readonly #made = new Set<string>()
  /** Files that have their modes and times. */
  readonly #finished = new Set<BundlePath>()
  /** Whether a file that is made with a mode has it. */
  readonly #given = new Map<number, boolean>()

  /** @throws BundleError('destination-exists' | 'destination-unwritable') */
  constructor(destination: string, force: boolean) {
    this.destination = destination
    const parent = parentOf(destination)
    const name = destination.slice(destination.lastIndexOf('/') + 1)
    // The destination's own name may be as long as names may be: a part of it tells enough.
    const part = name.slice(0, NAME_PART)
    this.#directory = `${parent}/.${part}.${process.pid}-${randomBytes(4).toString('hex')}.partial`
    try {
      assertFree(destination, force)
      fs.mkdirSync(native(this.#directory), { mode: 0o700 })
    } catch (error) {
      throw unwritable(parent, error)
    }
    live.add(this)
  }

  /** Absolute path of the staged bundle tree. */
  get tree(): string {
    return `${this.#directory}/tree`
  }

  /** Absolute path of a scratch file in the staging directory, outside the tree. */
  scratch(name: string): string {
    return `${this.#directory}/${name}`
  }

  path(at: BundlePath): string {
    return `${this.tree}/${at}`
  }

  makeParents(at: BundlePath): void {
    const directory = parentOf(this.path(at))
    if (this.#made.has(directory)) return
    this.#writing(at, () => fs.mkdirSync(native(directory), { recursive: true, mode: 0o755 }))
    this.#made.add(directory)
  }

  makeDirectory(at: BundlePath): void {
    this.#writing(at, () => fs.mkdirSync(native(this.path(at)), { recursive: true, mode: 0o755 }))
  }

  symlink(at: BundlePath, to: string): void {
    this.#writing(at, () => fs.symlinkSync(native(to), native(this.path(at))))
  }

  write(at: BundlePath, bytes: Uint8Array): void {
    this.#writing(at, () => fs.writeFileSync(native(this.path(at)), bytes, { flag: 'wx' }))
  }

  /** The same of a file that nothing changes any more: it has its mode and times at once, while it is open. */
  writeFinished(at: BundlePath, bytes: Uint8Array, executable: boolean): void {
    this.#writing(at, () => {
      const mode = executable ? 0o755 : 0o644
      const file = fs.openSync(native(this.path(at)), 'wx', mode)
      try {
        for (let done = 0; done < bytes.length; ) done += fs.writeSync(file, bytes, done)
        if (!this.#isGiven(file, mode)) fs.fchmodSync(file, mode)
        fs.futimesSync(file, MTIME, MTIME)
      } finally {
        fs.closeSync(file)
      }
    })
    this.#finished.add(at)
  }

  /** Whether files get the mode that they are made with: a umask, or a directory's default ACL, may take some of it. */
  #isGiven(file: number, mode: number): boolean {
    const known = this.#given.get(mode)
    if (known !== undefined) return known
    const isGiven = (fs.fstatSync(file).mode & 0o7777) === mode
    this.#given.set(mode, isGiven)
    return isGiven
  }

  /** Writes the pieces to a new file, waiting for each; a small one is written at once. */
  writePieces(at: BundlePath, pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
    return writeNew(this.path(at), pieces)
  }

  /** Gives a staged file other contents. */
  replace(path: string, bytes: Uint8Array): void {
    try {
      fs.writeFileSync(native(path), bytes)
    } catch (error) {
      throw failed(path, error)
    }
  }

  /** Gives a staged file other contents, which may be made of its own: piece by piece. */
  rewrite(path: string, pieces: Iterable<Uint8Array>): void {
    const scratch = this.scratch('rewritten')
    try {
      const file = fs.openSync(native(scratch), 'w', 0o644)
      try {
        for (const piece of pieces) for (let done = 0; done < piece.length; ) done += fs.writeSync(file, piece, done)
      } finally {
        fs.closeSync(file)
      }
      fs.renameSync(native(scratch), native(path))
    } catch (error) {
      throw failed(path, error)
    }
  }

  /** Gives a staged path another name within the staging directory. */
  move(from: string, to: string): void {
    fs.renameSync(native(from), native(to))
  }

  /** Sets a file's mode and times: nothing of it is changed any more. */
  finish(at: BundlePath, executable: boolean): void {
    if (this.#finished.has(at)) return
    const path = native(this.path(at))
    fs.chmodSync(path, executable ? 0o755 : 0o644)
    fs.utimesSync(path, MTIME, MTIME)
    this.#finished.add(at)
  }

  /**
   * Sets modes and times, where that is not done: umask and clock leave no trace.
   * @param empty directories without a file
   */
  seal(
    files: Iterable<{ readonly at: BundlePath; readonly executable: boolean; readonly type: 'file' | 'link' }>,
    empty: readonly BundlePath[] = [],
  ): void {
    const directories = new Set<string>([''])
    for (const at of empty) for (let d: string = at; d !== ''; d = parentIn(d)) directories.add(d)
    for (const { at, executable, type } of files) {
      if (type === 'link') fs.lutimesSync(native(this.path(at)), MTIME, MTIME)
      else this.finish(at, executable)
      for (let d = at.lastIndexOf('/'); d > 0; d = at.lastIndexOf('/', d - 1)) directories.add(at.slice(0, d))
    }
    // Deepest first: a directory's own time is set after its last child's.
    for (const directory of [...directories].sort().reverse()) {
      const path = native(directory === '' ? this.tree : `${this.tree}/${directory}`)
      fs.chmodSync(path, 0o755)
      fs.utimesSync(path, MTIME, MTIME)
    }
  }

  /**
   * Publishes the staged tree, or the staged scratch file, under the destination's name: whole, or not at all.
   * @throws BundleError('destination-exists')
   */
  publish(what: { tree: true } | { scratch: string; executable?: boolean }, force: boolean): void {
    const to = native(this.destination)
    try {
      if ('scratch' in what) {
        const from = native(this.scratch(what.scratch))
        fs.chmodSync(from, (what.executable ? 0o777 : 0o666) & ~process.umask())
        // rename(2) replaces a file silently; link(2) does not.
        if (force) fs.renameSync(from, to)
        else linkOrRename(from, to)
      } else {
        const replaced = native(this.scratch('replaced'))
        const replaces = force && fs.lstatSync(to, { throwIfNoEntry: false }) !== undefined
        if (replaces) fs.renameSync(to, replaced)
        try {
          fs.renameSync(native(this.tree), to)
        } catch (error) {
          // What was there is not lost, unless another process has put something in its place.
          if (replaces && !fs.lstatSync(to, { throwIfNoEntry: false })) fs.renameSync(replaced, to)
          throw error
        }
      }
    } catch (error) {
      const code = errno(error)
      if (code === 'EEXIST' || code === 'ENOTEMPTY' || code === 'ENOTDIR' || code === 'EISDIR')
        throw existing(this.destination)
      throw unwritable(this.destination, error)
    }
    this.remove()
  }

  /** Removes the staging directory and all that is in it. */
  remove(): void {
    live.delete(this)
    const directory = native(this.#directory)
    try {
      fs.rmSync(directory, { recursive: true, force: true })
    } catch (error) {
      if (errno(error) !== 'EACCES') throw error
      // A replaced tree may hold directories that not even their owner may write to: a copy out of a Nix store does.
      makeWritable(this.#directory)
      fs.rmSync(directory, { recursive: true, force: true })
    }
  }

  #writing<T>(at: BundlePath, call: () => T): T {
    try {
      return call()
    } catch (error) {
      throw failed(this.path(at), error)
    }
  }
}

/** Lets the owner remove what is in a directory, and below it. Links are not followed. */
function makeWritable(directory: string): void {
  fs.chmodSync(native(directory), 0o700)
  for (const entry of fs.readdirSync(native(directory), { withFileTypes: true, encoding: 'buffer' }))
    if (entry.isDirectory()) makeWritable(`${directory}/${entry.name.toString('latin1')}`)
}

/**
 * That a destination can be written to as far as what is there goes. Force replaces files, bundles and empty
 * directories, never a directory of anything else.
 * @throws BundleError('destination-exists' | 'destination-unwritable')
 */
export function assertFree(destination: string, force: boolean): void {
  try {
    const there = fs.lstatSync(native(destination), { throwIfNoEntry: false })
    if (there && !force) throw existing(destination)
    if (there?.isDirectory()) assertReplaceable(destination)
  } catch (error) {
    throw unwritable(parentOf(destination), error)
  }
}

function assertReplaceable(directory: string): void {
  const names = fs.readdirSync(native(directory))
  if (names.length > 0 && !names.includes(MANIFEST_NAME))
    throw new BundleError('destination-exists', 'a directory that holds something else than a bundle', {
      path: directory,
      hint: 'remove it yourself, or give another --output',
    })
}

/** Not every file system has hard links. */
function linkOrRename(from: string | Buffer, to: string | Buffer): void {
  try {
    fs.linkSync(from, to)
  } catch (error) {
    const code = errno(error)
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'EOPNOTSUPP') throw error
    if (fs.lstatSync(to, { throwIfNoEntry: false })) throw existing(to.toString('latin1'))
    fs.renameSync(from, to)
  }
}

/** Writes pieces to a new file (EEXIST when it is there), waiting for each; a small one is written at once. */
export async function writeNew(path: string, pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
  try {
    const fd = fs.openSync(native(path), 'wx', 0o644)
    try {
      for await (const piece of pieces)
        for (let done = 0; done < piece.length; )
          done += piece.length <= AT_ONCE ? fs.writeSync(fd, piece, done) : await write(fd, piece, done)
    } finally {
      fs.closeSync(fd)
    }
  } catch (error) {
    throw failed(path, error)
  }
}

/**
 * Writes a file beside the bundle, such as a report: whole, in one rename, over what was there.
 * @throws BundleError('destination-unwritable')
 */
export function writeFile(path: string, text: string | Uint8Array): void {
  const partial = `${path}.${process.pid}.partial`
  try {
    fs.writeFileSync(native(partial), text)
    fs.renameSync(native(partial), native(path))
  } catch (error) {
    fs.rmSync(native(partial), { force: true })
    throw unwritable(path, error)
  }
}

const write = (fd: number, bytes: Uint8Array, from: number): Promise<number> =>
  new Promise((done, fail) => {
    fs.write(fd, bytes, from, (error, n) => (error ? fail(error) : done(n)))
  })

/** The directory that a path of the bundle lies in; empty for its root. */
const parentIn = (at: string): string => at.slice(0, Math.max(0, at.lastIndexOf('/')))

const parentOf = (path: string): string => path.slice(0, Math.max(1, path.lastIndexOf('/')))

const existing = (path: string): BundleError =>
  new BundleError('destination-exists', 'exists already', {
    path,
    hint: 'give another --output, or --force to replace it',
  })

function unwritable(path: string, error: unknown): unknown {
  const code = errno(error)
  if (code === undefined || error instanceof BundleError) return error
  const reason =
    code === 'ENOENT' ? 'no such directory' : code === 'ENOTDIR' ? 'not a directory' : `cannot be written to (${code})`
  return new BundleError('destination-unwritable', reason, { path, cause: error, hint: 'give another --output' })
}

function failed(path: string, error: unknown): unknown {
  const code = errno(error)
  if (code === undefined || error instanceof BundleError) return error
  const reason = code === 'ENOSPC' ? 'no space left on the device' : `cannot be written (${code})`
  return new BundleError('write-failed', reason, {
    path,
    cause: error,
    hint: 'give an --output on another file system',
  })
}
