/** `--add SOURCE:DESTINATION`: files of the user's in an image or a package. */
import { BundleError } from '../errors.ts'
import { list, lstat, readLink } from '../io/store.ts'
import { fromText } from '../paths.ts'
import type { SourcedEntry } from './archive.ts'
import { addition } from './image.ts'

/**
 * All files, links and directories that are added, by their places without a slash before them.
 * @throws BundleError when one is not there, or is no file
 */
export const addedFiles = (pairs: readonly string[], cwd: string): SourcedEntry[] =>
  pairs.flatMap(pair => {
    const { source, destination } = addition(pair)
    return [...ownFiles(fromText(source.startsWith('/') ? source : `${cwd}/${source}`), fromText(destination))]
  })

function* ownFiles(from: string, name: string): Generator<SourcedEntry> {
  const status = lstat(from)
  if (status === null || status.type === 'special')
    throw new BundleError(
      'not-found',
      status === null ? 'no such file or directory' : 'neither a file nor a directory',
      {
        path: from,
        hint: 'check --add',
      },
    )
  const isFile = status.type === 'file'
  yield {
    name,
    type: status.type === 'directory' ? 'directory' : isFile ? 'file' : 'link',
    executable: (status.mode & 0o111) !== 0,
    size: isFile ? status.size : 0,
    target: status.type === 'link' ? readLink(from) : '',
    from: isFile ? from : null,
  }
  if (status.type === 'directory')
    for (const child of list(from)) yield* ownFiles(`${from}/${child}`, `${name}/${child}`)
}
