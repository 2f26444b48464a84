/** What a package's component holds: its files, and packages of other ecosystems that are in these. Pure. */
import type { Need } from '../../model/explained.ts'
import type { Component, Contents, Inside, SbomOptions } from '../../model/sbom.ts'
import { type BundlePath, baseName, toText } from '../../paths.ts'
import { by, identity } from './identity.ts'
import { insidePurl } from './purl.ts'
import { isObject, type Shipped } from './shipped.ts'

export function fileComponents(
  { explained, contents }: Shipped,
  own: readonly number[],
  wanted: SbomOptions['files'],
): Component[] {
  return own.flatMap(id => {
    const file = explained.files[id]!
    if (file.type !== 'file' || wanted === 'none' || (wanted === 'objects' && !isObject(file))) return []
    const read = contents.get(file.at)
    if (read === undefined) throw new Error(`${file.at} was not read`)
    return [fileComponent(file.at, read)]
  })
}

/** BSI TR-03183-2 asks for these three of every file, in its own taxonomy of properties. */
function fileComponent(at: BundlePath, { sha256, sha512, executable, archive }: Contents): Component {
  // Whether the name's text gives its bytes back.
  const isPlain = Buffer.from(toText(at), 'utf8').toString('latin1') === at
  return {
    type: 'file',
    'bom-ref': isPlain ? `file:${toText(at)}` : `file:base64:${Buffer.from(at, 'latin1').toString('base64')}`,
    name: toText(at),
    hashes: [
      { alg: 'SHA-256', content: sha256 },
      { alg: 'SHA-512', content: sha512 },
    ],
    properties: [
      // Its name, not its path.
      { name: 'bsi:component:filename', value: toText(baseName(at)) },
      { name: 'bsi:component:executable', value: executable ? 'executable' : 'non-executable' },
      { name: 'bsi:component:archive', value: archive ? 'archive' : 'no archive' },
      { name: 'bsi:component:structured', value: 'structured' },
    ],
  }
}

/**
 * Packages of other ecosystems that files are made of.
 * @param ref of the package that the files are of
 */
export function insideComponents({ explained, contents }: Shipped, ref: string, own: readonly number[]): Component[] {
  const found = new Map<string, { inside: Inside; purl: string | null; files: string[] }>()
  for (const id of own) {
    const { at } = explained.files[id]!
    for (const inside of contents.get(at)?.inside ?? []) {
      const purl = insidePurl(inside)
      const key = purl ?? `${inside.name}@${inside.version}`
      const known = found.get(key)
      if (known === undefined) found.set(key, { inside, purl, files: [at] })
      else if (known.files.at(-1) !== at) known.files.push(at)
    }
  }
  return [...found]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, { inside, purl, files }]) => ({
      type: 'library',
      'bom-ref': `${ref}/${key}`,
      name: inside.name,
      ...(inside.version !== null && { version: inside.version }),
      ...(purl !== null && { purl }),
      evidence: {
        identity: [identity(purl === null ? 'name' : 'purl', purl ?? inside.name, [by('binary-analysis', key)])],
        occurrences: files.map(at => ({ location: toText(at) })),
      },
    }))
}

/** Where a package was found, and why that is there. */
export function occurrences(shipped: Shipped, own: readonly number[]): object[] {
  const { explained, chains } = shipped
  return own.map(id => {
    const need = chains.chainTo(id)?.needs.at(-1)
    const context = need === undefined ? null : contextOf(shipped, need)
    return { location: toText(explained.files[id]!.at), ...(context !== null && { additionalContext: context }) }
  })
}

function contextOf({ explained: { files, directories } }: Shipped, { from, kind, via }: Need): string | null {
  const verb = VERBS[kind]
  if (verb === undefined) return null
  const who = from < files.length ? files[from]!.at : directories[from - files.length]!.part
  return `${verb} ${toText(who)}${via === null ? '' : `, ${toText(via)}`}`
}

/** Why a file is there, before the name of the one that needs it. */
const VERBS: Partial<Record<Need['kind'], string>> = {
  interp: 'loader of',
  needed: 'needed by',
  'install-name': 'needed by',
  loaded: 'loaded by',
  dlopen: 'opened by',
  shebang: 'interpreter of',
  wrapper: 'started by',
  link: 'linked from',
  reference: 'named by',
  trace: 'opened by',
  condition: 'used by',
  variant: 'variant for',
  made: 'made for',
}
