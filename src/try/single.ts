/** One file that runs (pack/exe.ts): which programs it can be called as, and which it is by itself. */
import { join } from 'node:path'
import { open } from '../archive/members.ts'
import { singleOf } from '../archive/single.ts'
import { BundleError } from '../errors.ts'
import { withFile } from '../io/store.ts'
import { baseName, fromText, toText } from '../paths.ts'
import { copyProgram, findMethod, makeRoot, PLACE } from './empty-root.ts'
import { environment, rootMethod, started, staticShell, type Tried, type TryOptions } from './run.ts'
import { inTemporary } from './unpack.ts'

export interface Programs {
  /** Byte string: `bin/nginx`. */
  readonly program: string
  /** Of `bin/`, `sbin/` and `libexec/`. */
  readonly names: readonly string[]
}

/**
 * What stands in a file's trailer and at the start of each of its entries; null for another file.
 * @throws BundleError('archive-unreadable') for one that is damaged
 */
export async function readPrograms(path: string): Promise<Programs | null> {
  const single = withFile(path, singleOf)
  if (single === null) return null
  const names: string[] = []
  for await (const { name, type } of (await open(path)).members())
    if (type !== 'directory' && /^(?:s?bin|libexec)\/[^/.][^/]*$/.test(name))
      names.push(name.slice(name.indexOf('/') + 1))
  return { program: single.program, names }
}

/** One file: it unpacks itself in the root as it would anywhere. */
export async function trySingle(
  bundle: string,
  { program, names }: Programs,
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
