/** One file that runs (pack/exe.ts): which programs it can be called as, and which it is by itself. */
import { join } from 'node:path'
import { createInflate } from 'node:zlib'
import { BundleError } from '../errors.ts'
import { readStream, withFile } from '../io/store.ts'
import { TRAILER } from '../pack/exe.ts'
import { baseName, fromText, toText } from '../paths.ts'
import { copyProgram, findMethod, makeRoot, PLACE } from './empty-root.ts'
import { environment, rootMethod, started, staticShell, type Tried, type TryOptions } from './run.ts'
import { inTemporary } from './unpack.ts'

export interface Single {
  /** Byte string: `bin/nginx`. */
  readonly program: string
  /** Of `bin/`, `sbin/` and `libexec/`. */
  readonly names: readonly string[]
}

/** What stands in a file's trailer and at the start of each of its entries; null for another file. */
export async function readSingle(path: string): Promise<Single | null> {
  const trailer = trailerOf(path)
  if (trailer === null) return null
  const program = trailer.toString('latin1', 40).split('\0')[0]!
  const names: string[] = []
  try {
    for await (const { at } of entriesOf(path, trailer, null))
      if (/^(?:s?bin|libexec)\/[^/.][^/]*$/.test(at)) names.push(at.slice(at.indexOf('/') + 1))
  } catch {
    return null
  }
  return { program, names }
}

/** Whether a file unpacks itself, by its end. */
export const isSingle = (path: string): boolean => trailerOf(path) !== null

/**
 * The contents of one file in it; null where there is none, or no more of it than a damaged stream has.
 * @param max a larger one is none, in bytes
 */
export async function fileInSingle(path: string, name: string, max: number): Promise<Buffer | null> {
  const trailer = trailerOf(path)
  if (trailer === null) return null
  try {
    for await (const { at, contents } of entriesOf(path, trailer, { name, max })) if (at === name) return contents
  } catch {
    return null
  }
  return null
}

const trailerOf = (path: string): Buffer | null =>
  withFile(path, source => {
    const trailer = source.size < TRAILER.size ? null : source.read(source.size - TRAILER.size, TRAILER.size)
    return trailer?.toString('latin1', 0, TRAILER.magic.length) === TRAILER.magic ? trailer : null
  })

/** @param wanted the file whose contents are wanted; of others they are passed over */
async function* entriesOf(
  path: string,
  trailer: Buffer,
  wanted: { readonly name: string; readonly max: number } | null,
): AsyncGenerator<{ at: string; contents: Buffer | null }> {
  const [offset, size] = [Number(trailer.readBigUInt64LE(8)), Number(trailer.readBigUInt64LE(16))]
  const file = readStream(path, 1 << 17, { offset, size })
  const inflate = createInflate()
  file.on('error', error => inflate.destroy(error)).pipe(inflate)
  /** What is left of the contents of the entry before. */
  let skip = 0n
  let head: Buffer = Buffer.alloc(0)
  /** Pieces of the contents that are wanted, once their entry has begun. */
  let kept: Buffer[] | null = null
  try {
    for await (const piece of inflate as AsyncIterable<Buffer>) {
      head = head.length === 0 ? piece : Buffer.concat([head, piece])
      for (;;) {
        if (skip > 0n) {
          const taken = skip < BigInt(head.length) ? Number(skip) : head.length
          kept?.push(Buffer.from(head.subarray(0, taken)))
          head = head.subarray(taken)
          skip -= BigInt(taken)
        }
        if (skip > 0n) break
        if (kept !== null) {
          yield { at: wanted!.name, contents: Buffer.concat(kept) }
          return
        }
        if (head.length < 3) break
        const end = 3 + head.readUInt16LE(1)
        if (head.length < end + 8) break
        const at = head.toString('latin1', 3, end)
        skip = head.readBigUInt64LE(end)
        head = head.subarray(end + 8)
        if (at === wanted?.name && skip <= BigInt(wanted.max)) kept = []
        else yield { at, contents: null }
      }
    }
  } finally {
    file.destroy()
  }
}

/** One file: it unpacks itself in the root as it would anywhere. */
export async function trySingle(
  bundle: string,
  { program, names }: Single,
  [name, ...args]: readonly string[],
  { shell, trace }: TryOptions,
): Promise<Tried> {
  const own = toText(baseName(fromText(program)))
  if (name !== undefined && !names.includes(fromText(name)))
    throw new BundleError('not-found', `${name}: no such program in the bundle`, {
      hint: `one of ${names.map(toText).join(', ')}`,
    })
  const sh = shell === undefined ? null : staticShell(shell)
  const method = rootMethod(await findMethod(), bundle, 'of the file')
  return inTemporary(async directory => {
    const root = join(directory, 'root')
    makeRoot(root, method.copies ? sh : null)
    const place = method.copies ? join(root, PLACE) : join(directory, 'bundle')
    copyProgram(bundle, place, name ?? own)
    const argv = method.command({ bundle: place, root, shell: sh }, [`${PLACE}/${name ?? own}`, ...args])
    return started(method, argv, environment(), trace ? join(directory, 'trace') : null, [PLACE, '/home'])
  })
}
