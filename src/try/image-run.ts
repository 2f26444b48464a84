/** An image in its own root: what it starts, as the user that it says, in the layers that it has. */
import { join } from 'node:path'
import type { Artefact } from '../archive/members.ts'
import { BundleError } from '../errors.ts'
import type { Progress } from '../io/progress.ts'
import { directoryOf, fromText, toText } from '../paths.ts'
import type { Verification } from '../verify/verify.ts'
import { findMethod, METHODS, makeImageRoot } from './empty-root.ts'
import { unpackImage } from './image.ts'
import { programIn } from './image-root.ts'
import { rootMethod, started, type Tried, type TryOptions } from './run.ts'
import { inTemporary } from './unpack.ts'

/** @throws BundleError when it cannot be unpacked, or no root can be made here for its user */
export async function tryImage(
  bundle: string,
  artefact: Artefact,
  { findings }: Verification,
  [word, ...args]: readonly string[],
  { shell, trace }: TryOptions,
  progress: Progress,
): Promise<Tried> {
  const path = fromText(bundle)
  const wrong = findings.find(f => f.code === 'image-wrong' || f.code === 'entry-unsafe')
  if (wrong !== undefined)
    throw new BundleError('unsupported', `is not unpacked: ${toText(wrong.file)} is wrong`, {
      path,
      hint: `bundle verify ${bundle}`,
    })
  if (shell !== undefined)
    throw new BundleError('usage', '--shell: an image has the shell that it has', { hint: 'leave --shell out' })
  return inTemporary(async directory => {
    const root = join(directory, 'root')
    const scratch = join(directory, 'parts')
    progress.update('unpacking')
    const { entrypoint, cmd, env, workdir, user } = await unpackImage(artefact, path, scratch, root)
    makeImageRoot(root)
    progress.done()
    // As docker has it: arguments stand for the image's own; and a program for what it starts.
    const isProgram = word !== undefined && !word.startsWith('-')
    const given = word === undefined ? cmd : [word, ...args]
    const [first, ...rest] = isProgram ? given : [...entrypoint, ...given]
    const program = first === undefined ? null : programIn(root, first, env)
    if (program === null)
      throw first === undefined
        ? new BundleError('usage', 'the image says no program to start', { path, hint: 'bundle try IMAGE -- PROGRAM' })
        : new BundleError('not-found', `${first}: no such program in the image`, { path })
    const options = { root, workdir, user }
    const able = METHODS.filter(m => m.inImage(options, []) !== null)
    const method = rootMethod(await findMethod(able), bundle, 'its layers')
    const paths = Object.fromEntries(
      env.map(pair => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
    )
    // PATH has to find the tools that make the root, too.
    const variables = { HOME: '/', ...paths, PATH: `${process.env.PATH}:${paths.PATH ?? '/bin:/usr/bin'}` }
    const log = trace ? join(directory, 'trace') : null
    // What lies beside it is of the bundle: `/app` of `/app/bin/nginx`.
    const place = directoryOf(directoryOf(fromText(program)))
    const tried = await started(method, method.inImage(options, [program, ...rest])!, variables, log, [
      place === '' ? fromText(program) : place,
    ])
    const isIn = (path: string): boolean => programIn(root, path, []) !== null
    return { ...tried, outside: tried.outside?.filter(o => !isIn(toText(o.path))) ?? null }
  })
}
