/**
 * `bundle try`: a bundle's program in a root where there is nothing else. No /nix, no libraries and no shell of the
 * host: what runs here needs nothing but the bundle and a kernel.
 */
import { join, resolve } from 'node:path'
import { pathBytes } from '../apply/manifest.ts'
import { type Artefact, open } from '../archive/members.ts'
import { SHELL_LAUNCHER_LINE } from '../entry/shell.ts'
import { BundleError } from '../errors.ts'
import type { Progress } from '../io/progress.ts'
import { realPath, stat, withFile } from '../io/store.ts'
import type { Manifest } from '../model/manifest.ts'
import { fromText, toText } from '../paths.ts'
import { type Verification, verify } from '../verify/verify.ts'
import { copyTree, findMethod, linkMachineData, makeRoot, PLACE } from './empty-root.ts'
import { isImage } from './image.ts'
import { tryImage } from './image-run.ts'
import { environment, rootMethod, started, staticShell, type Tried, type TryOptions } from './run.ts'
import { readPrograms, trySingle } from './single.ts'
import { inTemporary, unpack } from './unpack.ts'

/**
 * Runs a command of a bundle, a directory or an archive.
 * @param command of which the first is a program of the bundle; empty for its only program
 * @throws BundleError when it is no bundle, or no empty root can be made here
 */
export async function tryBundle(
  bundle: string,
  command: readonly string[],
  options: TryOptions,
  progress: Progress,
): Promise<Tried> {
  const path = fromText(bundle)
  const single = stat(path)?.type === 'file' ? await readPrograms(path) : null
  if (single !== null) return trySingle(bundle, single, command, options)
  const verification = await verify(path, progress)
  const { manifest } = verification
  const artefact = await open(path)
  if (manifest === null && isImage(await namesOf(artefact)))
    return tryImage(bundle, artefact, verification, command, options, progress)
  if (manifest === null)
    throw new BundleError('usage', 'no bundle: there is no bundle.json in it', {
      path,
      hint: 'bundle TARGET makes one',
    })
  refuseUnsafe(path, verification)
  const file = programOf(manifest, command[0])
  const shell = options.shell === undefined ? null : staticShell(options.shell)
  const method = rootMethod(await findMethod(), bundle, errorsOf(verification))
  return inTemporary(async directory => {
    const root = join(directory, 'root')
    const inRoot = join(root, PLACE)
    makeRoot(root, method.copies ? shell : null)
    let place = method.copies ? inRoot : join(directory, 'bundle')
    progress.update('unpacking')
    if (artefact.kind !== 'directory') await unpack(artefact, place)
    else if (method.copies) copyTree(bundle, place)
    else place = resolve(bundle)
    if (method.copies) linkMachineData(root)
    refuseShell(place, file, shell)
    progress.done()
    const log = options.trace ? join(directory, 'trace') : null
    const argv = method.command({ bundle: place, root, shell }, [`${PLACE}/${file}`, ...command.slice(1)])
    const env = { ...environment(), ...(method.copies && { LD_ORIGIN_PATH: originOf(manifest, place, file) }) }
    return started(method, argv, env, log, [PLACE])
  })
}

async function namesOf(artefact: Artefact): Promise<Set<string>> {
  const names = new Set<string>()
  for await (const { name } of artefact.members()) names.add(name)
  return names
}

const errorsOf = ({ findings }: Verification): string => {
  const errors = findings.filter(f => f.severity === 'error').length
  return errors === 0 ? 'clean: everything resolves inside' : `${errors} errors`
}

/** What leads out of the place where it is unpacked is not unpacked. */
function refuseUnsafe(path: string, { findings }: Verification): void {
  const unsafe = findings.find(f => f.code === 'entry-unsafe' || f.code === 'link-escapes')
  if (unsafe === undefined) return
  throw new BundleError('unsupported', `is not unpacked: ${toText(unsafe.file)} is unsafe`, {
    path,
    hint: `bundle verify ${toText(path)}`,
  })
}

/** The path in the bundle (text) of the program that is meant. */
function programOf(manifest: Manifest, name: string | undefined): string {
  const programs = manifest.files
    .map(f => toText(pathBytes(f)))
    .filter(at => /^(?:s?bin|libexec)\/[^/.][^/]*$/.test(at))
  const found =
    name === undefined
      ? programs.filter(at => /^s?bin\//.test(at))
      : [...programs, ...manifest.files.map(f => f.path)].filter(
          at => at === name.replace(/^\.?\/+/, '') || (!name.includes('/') && at.endsWith(`/${name}`)),
        )
  const [only, second] = found
  if (only !== undefined && (second === undefined || name !== undefined)) return only
  const all = programs.map(at => at.slice(at.lastIndexOf('/') + 1)).join(', ')
  throw name === undefined
    ? new BundleError('usage', `which program? there are ${programs.length}: ${all}`, {
        hint: `bundle try BUNDLE -- ${programs[0]?.replace(/^.*\//, '') ?? 'PROGRAM'}`,
      })
    : new BundleError('not-found', `${name}: no such program in the bundle`, { hint: `one of ${all}` })
}

/** A program that starts through /bin/sh has none in an empty root. */
function refuseShell(place: string, file: string, shell: string | null): void {
  const path = fromText(join(place, file))
  if (shell !== null || stat(path)?.type !== 'file') return
  const head = withFile(path, source => source.read(0, 128)).toString('latin1')
  const interpreter = /^#! *(\S+)/.exec(head)?.[1]
  if (interpreter === undefined || interpreter.startsWith(PLACE)) return
  const shellHint = '--shell /bin/busybox puts a static shell there'
  const hint = head.includes(SHELL_LAUNCHER_LINE)
    ? `${shellHint}; --launcher auto makes a bundle that needs none`
    : interpreter === '/bin/sh'
      ? shellHint
      : `its package leaves ${interpreter} to the machine that it runs on`
  throw new BundleError('unsupported', `starts through ${interpreter}, and an empty root has none`, {
    path: fromText(file),
    hint,
  })
}

/** Where nothing can be mounted there is no /proc, which tells the loader where the program lies (ld.so(8), $ORIGIN). */
function originOf(manifest: Manifest, place: string, file: string): string {
  const at = toText(realPath(fromText(join(place, file)))).slice(toText(realPath(fromText(place))).length + 1)
  const elf = manifest.programs.find(p => p.at.path === at)?.elf.path ?? at
  return `${PLACE}/${elf.slice(0, elf.lastIndexOf('/'))}`
}
