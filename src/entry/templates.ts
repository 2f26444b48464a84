/**
 * Templates: data files that name absolute paths, and so have to be told where a bundle lies. In the bundle they name
 * nothing; `.templates` says what to put where, and `relocate` (relocate.c, whose head has the table's form) does it.
 */

import { BundleError } from '../errors.ts'
import { bufferSource, viewAt } from '../io/bytes.ts'
import type { BundlePath } from '../paths.ts'

/** Where the table lies in a bundle, and the program. */
export const TEMPLATES = '.templates' as BundlePath
export const RELOCATE = 'relocate' as BundlePath

/** A text that names places. */
export interface Template {
  readonly at: BundlePath
  /** Its contents in the bundle. A byte string. */
  readonly pristine: string
  /** By offset, at least one, never overlapping: bytes of `pristine` that stand for `to` below the bundle's root. */
  readonly sites: readonly { readonly offset: number; readonly length: number; readonly to: BundlePath }[]
}

const MAGIC = 'SFTPLT1\0'
/** A root is a path (limits.h). In bytes. */
const PATH_MAX = 4096

export function encodeTemplates(templates: readonly Template[]): Buffer {
  const parts: Buffer[] = [Buffer.from(MAGIC, 'latin1')]
  const word = (n: number): void => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32LE(n)
    parts.push(bytes)
  }
  const counted = (text: string): void => {
    word(text.length)
    parts.push(Buffer.from(text, 'latin1'))
  }
  word(templates.length)
  for (const { at, pristine, sites } of templates) {
    counted(at)
    counted(pristine)
    word(sites.length)
    for (const { offset, length, to } of sites) {
      word(offset)
      word(length)
      counted(to)
    }
  }
  return Buffer.concat(parts)
}

/** @throws BundleError('malformed') for what `relocate` refuses too */
export function decodeTemplates(bytes: Buffer, path: string): Template[] {
  const view = viewAt(bufferSource(bytes), 0, bytes.length, true, 'templates', path)
  const damaged = (reason: string): BundleError => new BundleError('malformed', `templates: ${reason}`, { path })
  let at = MAGIC.length
  const word = (): number => {
    at += 4
    return view.u32(at - 4)
  }
  const counted = (): string => {
    const length = word()
    if (length > bytes.length - at) throw damaged(`${length} bytes at ${at} of ${bytes.length}`)
    at += length
    return bytes.toString('latin1', at - length, at)
  }
  const place = (): BundlePath => {
    const text = counted()
    const parts = text.split('/')
    if (text.includes('\0') || text.length >= PATH_MAX || parts.some(p => p === '' || p === '.' || p === '..'))
      throw damaged('a path that leads out of the bundle')
    return text as BundlePath
  }
  if (!bytes.toString('latin1', 0, at).startsWith(MAGIC)) throw damaged('no table')
  const templates: Template[] = []
  for (let files = word(); files > 0; files--) {
    const [path, pristine] = [place(), counted()]
    const sites: Template['sites'][number][] = []
    let end = 0
    for (let count = word(); count > 0; count--) {
      const [offset, length, to] = [word(), word(), place()]
      if (offset < end || offset + length > pristine.length) throw damaged('places that overlap')
      end = offset + length
      sites.push({ offset, length, to })
    }
    if (sites.length === 0) throw damaged('a file without places')
    templates.push({ at: path, pristine, sites })
  }
  if (at !== bytes.length) throw damaged('bytes behind its end')
  return templates
}

/** The text for a root, an absolute path without a slash at its end (byte string). */
export function fillIn({ pristine, sites }: Template, root: string): string {
  const parts: string[] = []
  let at = 0
  for (const { offset, length, to } of sites) {
    parts.push(pristine.slice(at, offset), `${root}/${to}`)
    at = offset + length
  }
  return parts.join('') + pristine.slice(at)
}

/**
 * The root that a text is filled in for.
 * @returns null when it is as in the bundle; undefined when it is neither
 */
export function rootOf(template: Template, text: string): string | null | undefined {
  if (text === template.pristine) return null
  const { sites } = template
  const length = (text.length - fillIn(template, '').length) / sites.length
  if (!Number.isInteger(length) || length < 0 || length >= PATH_MAX) return undefined
  const root = text.slice(sites[0]!.offset, sites[0]!.offset + length)
  return (root === '' || root.startsWith('/')) && fillIn(template, root) === text ? root : undefined
}
