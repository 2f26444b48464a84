/**
 * What an expression says of the package that was asked for (nixpkgs manual, "Meta-attributes"). Only attributes and flakes
 * are asked, which were evaluated anyway; each field by itself, for one that throws says nothing of the others.
 */
import { BundleError } from '../errors.ts'
import { runTool } from '../io/tool.ts'
import { FLAKES, isAttribute, isFlake, type NixOptions, outputsOf } from './build.ts'

export interface Meta {
  /** The derivation that it is said of. */
  readonly derivation: string
  /** Store paths that it makes. */
  readonly outputs: readonly string[]
  readonly licence: Licence | null
  readonly homepage: string | null
  readonly description: string | null
  readonly cpe: string | null
}

/** An SPDX identifier or expression; or names, of which the package says not how they go together. */
export type Licence = { readonly expression: string } | { readonly names: readonly string[] }

/** @returns null for what is no attribute and no flake, and where nothing can be asked */
export async function metaOf(word: string, options: NixOptions): Promise<Meta | null> {
  const flake = isFlake(word)
  if (!flake && (word.includes('/') || !isAttribute(word))) return null
  const { what } = outputsOf(word)
  const settings = [...(options.system === null ? [] : ['--system', options.system]), ...options.args]
  const ask = async (field: string): Promise<unknown> => {
    const args = flake
      ? ['eval', '--json', ...FLAKES, ...settings, `${what.includes('#') ? what : `${what}#default`}.${field}`]
      : ['--eval', '--strict', '--json', options.file ?? '<nixpkgs>', '-A', `${what}.${field}`, ...settings]
    const { code, stdout } = await runTool(flake ? 'nix' : 'nix-instantiate', args, { cwd: options.cwd })
    try {
      return code === 0 ? JSON.parse(stdout) : null
    } catch {
      return null
    }
  }
  try {
    const fields = ['drvPath', 'outPath', 'meta.license', 'meta.homepage', 'meta.description', 'meta.identifiers.cpe']
    const [derivation, path, license, homepage, description, cpe] = await Promise.all(fields.map(ask))
    return readMeta({ derivation, outputs: [path], license, homepage, description, cpe })
  } catch (error) {
    if (!(error instanceof BundleError) || error.code !== 'tool-missing') throw error
    return null
  }
}

/** What Nix has evaluated; null without a derivation. */
export function readMeta(told: unknown): Meta | null {
  if (typeof told !== 'object' || told === null) return null
  const { derivation, outputs, license, homepage, description, cpe } = told as Record<string, unknown>
  if (typeof derivation !== 'string') return null
  const text = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null)
  const page = text(Array.isArray(homepage) ? homepage[0] : homepage)
  return {
    derivation,
    outputs: (Array.isArray(outputs) ? outputs : []).filter((path): path is string => typeof path === 'string'),
    licence: licenceOf(license),
    homepage: page !== null && /^https?:\/\/[^\s<>"]+$/.test(page) ? page : null,
    description: text(description),
    cpe: typeof cpe === 'string' && /^cpe:2\.3:[aho](?::[^:\s]+){10}$/.test(cpe) ? cpe : null,
  }
}

/** A licence is a set with `spdxId`, a list of such, or a text. Whether all of a list hold, or one, it does not say. */
export function licenceOf(value: unknown): Licence | null {
  const all = (Array.isArray(value) ? value : [value]).flatMap(one => {
    if (typeof one === 'string' && one !== '') return [{ name: one, id: null }]
    if (typeof one !== 'object' || one === null) return []
    const field = (key: string): string | null => {
      const found: unknown = (one as Record<string, unknown>)[key]
      return typeof found === 'string' && found !== '' ? found : null
    }
    const id = field('spdxId')
    const name = id ?? field('fullName') ?? field('shortName')
    return name === null ? [] : [{ name, id }]
  })
  const [only, another] = all
  if (only === undefined) return null
  const isSpdx = only.id !== null && /^[A-Za-z0-9.+-]+(?: (?:WITH|AND|OR) [A-Za-z0-9.+-]+)*$/.test(only.id)
  return another === undefined && isSpdx ? { expression: only.id! } : { names: [...new Set(all.map(a => a.name))] }
}
