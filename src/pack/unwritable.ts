/**
 * Directories of its own that a program names and its image lacks, such as nginx's `/var/log/nginx`: it ends when it
 * cannot write there. Only those that are called as the program or its package: of others no name tells who makes them.
 */
import { withFile } from '../io/store.ts'
import type { Finding } from '../model/findings.ts'
import { type BundlePath, baseName, toText } from '../paths.ts'
import { type ImageOptions, imagePath } from './image.ts'

/** Of a larger program the end is not looked at. In bytes. */
const PROGRAM_MAX = 256 << 20

/** What is said of the program that an image starts. @param file where its bytes are */
export function unwritable(
  file: string,
  { name, program }: { readonly name: string; readonly program: BundlePath },
  { writable = [], add = [] }: ImageOptions,
): Finding[] {
  const contents = withFile(file, source => source.read(0, Math.min(source.size, PROGRAM_MAX)))
  const names = new Set([name, toText(baseName(program))])
  const directories = unwritableOf(contents, names, placesOf(writable, add))
  return directories.length === 0 ? [] : [{ code: 'image-unwritable', severity: 'warning', file: program, directories }]
}

const STATE = /\/(?:var\/(?:log|lib|cache|spool|run)|run)\/([\w.+-]{2,64})(\/[\w.+-]*)?/g

/**
 * @param contents of the program
 * @param names of the program and its package, without version
 * @param given directories of the image, and files, absolute
 */
export function unwritableOf(contents: Buffer, names: ReadonlySet<string>, given: readonly string[]): string[] {
  const found = new Set<string>()
  for (const match of contents.toString('latin1').matchAll(STATE)) {
    const [text, name, rest] = match
    // A string of its own, not the end of a longer path; a file (`/run/nginx.pid`) has another name.
    const isWhole = match.index === 0 || contents[match.index - 1] === 0
    if (!isWhole || !names.has(name!)) continue
    found.add(rest === undefined ? text : text.slice(0, text.length - rest.length))
  }
  const has = (directory: string): boolean => given.some(g => directory === g || g.startsWith(`${directory}/`))
  return [...found].filter(directory => !has(directory)).sort()
}

/** What is given of an image's places, absolute. */
export const placesOf = (writable: readonly string[], added: readonly string[]): string[] => [
  ...writable.map(path => `/${imagePath('--writable', path)}`),
  ...added.map(pair => pair.slice(pair.lastIndexOf(':') + 1)),
]
