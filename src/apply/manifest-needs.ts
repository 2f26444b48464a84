/**
 * The part of `bundle.json` that says why: whose each file is, what needs it, what stayed out of the bundle. Numbers are
 * indices: of a package in `packages`; of a file in `files`, or behind these of a directory in `directories`. What can be
 * told from elsewhere in the document is left out of it.
 */
import * as v from 'valibot'
import {
  type Explained,
  type ExplainedFile,
  FILE_ROLES,
  NEED_KINDS,
  type Need,
  type Place,
} from '../model/explained.ts'
import { MANAGERS } from '../model/machine.ts'
import { toText } from '../paths.ts'

const Index = v.pipe(v.number(), v.integer(), v.minValue(0))
const ENCODINGS = ['utf8', 'utf16le', 'utf16be', 'utf32le', 'utf32be'] as const

/** A text, and its bytes (base64) where the text alone would not give them back. */
const NAME = { name: v.optional(v.string()), bytes: v.optional(v.string()) }

const PLACE = {
  offset: Index,
  /** The file that it stands in; by default the one that needs. */
  file: v.optional(Index),
  member: v.optional(v.string()),
  line: v.optional(Index),
  part: v.optional(v.string()),
  encoding: v.optional(v.picklist(ENCODINGS)),
}

/** What a package says besides its name. */
export const PACKAGE_NEEDS = {
  pname: v.optional(v.string()),
  version: v.optional(v.nullable(v.string())),
  output: v.optional(v.nullable(v.string())),
  digest: v.optional(v.nullable(v.string())),
  /** What the package manager says of one that was no store's. */
  machine: v.optional(
    v.object({
      manager: v.picklist(MANAGERS),
      name: v.string(),
      version: v.string(),
      arch: v.nullable(v.string()),
      source: v.nullable(v.string()),
      distro: v.nullable(v.string()),
    }),
  ),
  nar: v.optional(v.nullable(v.number())),
  references: v.optional(v.array(Index)),
  /** Of one that has no file here: what names it all the same. */
  kept: v.optional(v.array(v.object({ from: Index, rule: v.string(), via: v.optional(v.string()), ...PLACE }))),
  keptCount: v.optional(Index),
}

/** What a file says besides its place. */
export const FILE_NEEDS = {
  package: v.optional(Index),
  /** Its path in its package, where its place does not say it. */
  part: v.optional(v.object({ path: v.string(), bytes: v.optional(v.string()) })),
  role: v.optional(v.picklist(FILE_ROLES)),
}

/** Further fields of the document. */
export const NEEDS = {
  directories: v.optional(
    v.array(
      v.object({
        package: Index,
        path: v.string(),
        bytes: v.optional(v.string()),
        /** The first and the last file of each run of those that came with it. */
        holds: v.optional(v.array(v.tuple([Index, Index]))),
      }),
    ),
  ),
  needs: v.optional(
    v.array(
      v.object({
        from: Index,
        to: Index,
        kind: v.picklist(NEED_KINDS),
        ...NAME,
        via: v.optional(v.string()),
        at: v.optional(v.array(v.object(PLACE))),
        count: v.optional(Index),
      }),
    ),
  ),
  asked: v.optional(
    v.array(
      v.object({
        kind: v.picklist(['entry', 'target', 'trace', 'include', 'closure', 'with', 'licence', 'bundle']),
        ...NAME,
        to: Index,
      }),
    ),
  ),
  /** Whether Nix told of its closure. */
  nix: v.optional(v.boolean()),
}

type Row<Entries extends v.ObjectEntries> = v.InferOutput<v.ObjectSchema<Entries, undefined>>

/** The role that a file has where nothing else is said. */
export const usualRole = (type: 'file' | 'link'): ExplainedFile['role'] => (type === 'link' ? 'name' : 'data')

/** The path in its package of a file at this place, where nothing else is said. */
export function usualPart(at: string, packageName: string): string {
  const directory = `pkg/${packageName}/`
  return at.startsWith(directory) ? at.slice(directory.length) : at
}

/** The name by which a file is asked for, where nothing else is said: its path without store directory and hash. */
export function usualName(
  kind: Need['kind'],
  to: ExplainedFile | undefined,
  packages: readonly { readonly name: string }[],
): string {
  if (to === undefined || kind === 'made') return to?.at ?? ''
  if (kind !== 'reference' && kind !== 'wrapper' && kind !== 'shebang') return ''
  return to.package === null ? '' : `${packages[to.package]!.name}/${to.part}`
}

export const packageFields = (explained: Explained, id: number): Row<typeof PACKAGE_NEEDS> => {
  const { digest, machine, nar, references, kept, keptCount } = explained.packages[id]!
  return {
    ...(digest !== null && { digest }),
    ...(machine !== null && { machine, pname: machine.name, version: machine.version, output: null }),
    ...(nar !== null && { nar }),
    ...(references.length > 0 && { references: [...references] }),
    ...(kept.length > 0 && {
      kept: kept.map(({ from, rule, via, place }) => ({
        from,
        rule,
        ...(via !== null && { via }),
        ...placeRow(place),
      })),
    }),
    ...(keptCount > kept.length && { keptCount }),
  }
}

export function fileFields({ packages }: Explained, file: ExplainedFile): Row<typeof FILE_NEEDS> {
  const { at, type, role, package: owner, part } = file
  const isUsual = owner === null ? part === '' : part === usualPart(at, packages[owner]!.name)
  return {
    package: owner ?? undefined,
    part: isUsual ? undefined : pathText(part),
    role: role === usualRole(type) ? undefined : role,
  }
}

type NeedRow = NonNullable<Row<typeof NEEDS>['needs']>[number]

/** Needs are made row by row, as they are written. */
export function needsFields(
  explained: Explained,
): Omit<Row<typeof NEEDS>, 'needs'> & { readonly needs: Iterable<NeedRow> } {
  const { directories, needs, asked, files, closure } = explained
  const members = new Map<number, number[]>()
  for (const { from, to, kind } of needs) {
    if (!isByDirectory(kind, from, to, files.length)) continue
    const known = members.get(from)
    if (known) known.push(to)
    else members.set(from, [to])
  }
  return {
    directories: directories.map(({ package: owner, part }, i) => ({
      package: owner,
      ...pathText(part),
      ...(members.has(files.length + i) && { holds: runs(members.get(files.length + i)!) }),
    })),
    needs: needRows(explained),
    asked: asked.map(({ kind, name, to }) => ({ kind, ...nameRow(name), to })),
    ...(closure && { nix: true }),
  }
}

/** What a directory holds is told by its files; the rest has names that their parts do not say. */
const isByDirectory = (kind: Need['kind'], from: number, to: number, files: number): boolean =>
  kind === 'member' && from >= files && to < files

function* needRows({ needs, files, packages }: Explained): Generator<NeedRow> {
  for (const { from, to, kind, name, via, at, count } of needs) {
    if (isByDirectory(kind, from, to, files.length)) continue
    yield {
      from,
      to,
      kind,
      ...(name !== usualName(kind, files[to], packages) && nameRow(name)),
      ...(via !== null && { via }),
      ...(at.length > 0 && { at: at.map(placeRow) }),
      ...(count !== at.length && { count }),
    }
  }
}

/** The first and last of each run of consecutive numbers, in the order of needs: ascending, and some of them twice. */
function runs(numbers: readonly number[]): [number, number][] {
  const found: [number, number][] = []
  for (const n of numbers) {
    const last = found.at(-1)
    if (last && last[1] === n) continue
    if (last && last[1] === n - 1) last[1] = n
    else found.push([n, n])
  }
  return found
}

const placeRow = ({ file, member, offset, line, part, encoding }: Place): Row<typeof PLACE> => ({
  offset,
  ...(file !== null && { file }),
  ...(member !== null && { member: toText(member) }),
  ...(line !== null && { line }),
  ...(part !== null && { part: toText(part) }),
  ...(encoding !== 'utf8' && { encoding }),
})

function nameRow(name: string): { name?: string; bytes?: string } {
  if (name === '') return {}
  const { path, ...bytes } = pathText(name)
  return { name: path, ...bytes }
}

/** A byte string as text, with the bytes in base64 where the text would not give them back. */
export const pathText = (bytes: string): { path: string; bytes?: string } => {
  const path = toText(bytes)
  if (path === bytes && !/[^\0-\x7f]/.test(bytes)) return { path }
  const same = Buffer.from(path, 'utf8').toString('latin1') === bytes
  return same ? { path } : { path, bytes: Buffer.from(bytes, 'latin1').toString('base64') }
}

/** The byte string of such a text. */
export const textBytes = (text: string, bytes: string | undefined): string =>
  bytes === undefined && !/[^\0-\x7f]/.test(text)
    ? text
    : (bytes === undefined ? Buffer.from(text, 'utf8') : Buffer.from(bytes, 'base64')).toString('latin1')
