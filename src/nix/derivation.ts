/**
 * A derivation as Nix has it in the store (`.drv`: ATerm, Nix manual "Derivations"): what a package was made of. Pure.
 */
import { baseName, fromText } from '../paths.ts'
import { storePathOf } from './store-path.ts'

export interface Derivation {
  readonly outputs: readonly {
    readonly name: string
    readonly path: string
    readonly algorithm: string
    readonly hash: string
  }[]
  /** Other derivations that it was made with. */
  readonly inputs: readonly string[]
  readonly env: ReadonlyMap<string, string>
}

/** @returns null for what is none */
export function parseDerivation(text: string): Derivation | null {
  try {
    const term = new Terms(text).derivation()
    const [outputs, inputs, , , , , env] = term
    return {
      outputs: lists(outputs).map(([name, path, algorithm, hash]) => ({
        name: string(name),
        path: string(path),
        algorithm: string(algorithm),
        hash: string(hash),
      })),
      inputs: lists(inputs).map(([path]) => string(path)),
      env: new Map(lists(env).map(([name, value]) => [string(name), string(value)])),
    }
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}

type Term = string | readonly Term[]

const string = (term: Term | undefined): string => {
  if (typeof term !== 'string') throw new SyntaxError('a text is wanted')
  return term
}
const lists = (term: Term | undefined): (readonly Term[])[] => {
  if (!Array.isArray(term)) throw new SyntaxError('a list is wanted')
  return term.map(item => {
    if (!Array.isArray(item)) throw new SyntaxError('a list is wanted')
    return item
  })
}

/** `Derive([...],...)`: texts in quotes, lists in brackets, tuples in parentheses. */
class Terms {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  derivation(): readonly Term[] {
    this.#expect('Derive')
    const term = this.#sequence('(', ')', 0)
    if (this.#text.slice(this.#at).trim() !== '') throw new SyntaxError('more follows')
    return term
  }

  #term(depth: number): Term {
    const c = this.#text[this.#at]
    // Lists of tuples of lists are all there is.
    if (depth > 4) throw new SyntaxError('too deep')
    if (c === '"') return this.#quoted()
    return c === '[' ? this.#sequence('[', ']', depth) : this.#sequence('(', ')', depth)
  }

  #sequence(open: string, close: string, depth: number): Term[] {
    this.#expect(open)
    const items: Term[] = []
    if (this.#text[this.#at] === close) this.#at++
    else
      for (;;) {
        items.push(this.#term(depth + 1))
        if (this.#text[this.#at] !== ',') {
          this.#expect(close)
          break
        }
        this.#at++
      }
    return items
  }

  #quoted(): string {
    const match = /"((?:[^"\\]|\\.)*)"/sy
    match.lastIndex = this.#at
    const found = match.exec(this.#text)
    if (found === null) throw new SyntaxError('a text has no end')
    this.#at = match.lastIndex
    const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' }
    return found[1]!.replace(/\\(.)/gs, (_, c: string) => escapes[c] ?? c)
  }

  #expect(word: string): void {
    if (!this.#text.startsWith(word, this.#at)) throw new SyntaxError(`${word} is wanted`)
    this.#at += word.length
  }
}

/** What a derivation says of its package, without store paths. */
export interface Provenance {
  /** The derivation itself, by its store path. */
  readonly derivation: string
  readonly pname: string | null
  readonly version: string | null
  /** Names of the patches that nixpkgs' builder applies. */
  readonly patches: readonly string[]
  readonly source: { readonly url: string; readonly algorithm: string | null; readonly digest: string | null } | null
}

/**
 * @param derivation its store path
 * @param read another derivation, of which it is an input; null where it is not there
 */
export function provenanceOf(
  derivation: string,
  { env, inputs }: Derivation,
  read: (path: string) => Derivation | null,
): Provenance {
  const attributes = structured(env)
  const field = (name: string): string | null => attributes.get(name) ?? null
  const words = (name: string): string[] => (field(name) ?? '').split(/\s+/).filter(word => word !== '')
  const [src = ''] = words('src')
  const made = src === '' ? undefined : inputs.map(read).find(drv => drv?.outputs.some(o => o.path === src))
  return {
    derivation,
    pname: field('pname'),
    version: field('version'),
    patches: words('patches').map(path => storePathOf(fromText(path))?.name ?? baseName(path)),
    source: made ? sourceOf(made) : null,
  }
}

/** Where a fetcher's file comes from. A digest of an unpacked tree is of Nix's archive, which nobody else has. */
function sourceOf({ env, outputs }: Derivation): Provenance['source'] {
  const attributes = structured(env)
  const url = `${attributes.get('urls') ?? ''} ${attributes.get('url') ?? ''}`
    .split(/\s+/)
    .find(word => /^[a-z]+:\/\//.test(word))
  if (url === undefined) return null
  const { algorithm, hash } = outputs[0] ?? { algorithm: '', hash: '' }
  const isFile = /^sha(?:256|512)$/.test(algorithm) && /^[0-9a-f]{64,128}$/.test(hash)
  return { url, algorithm: isFile ? algorithm : null, digest: isFile ? hash : null }
}

/** The attributes as texts, lists with blanks between: also of a derivation with __structuredAttrs. */
function structured(env: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const json = env.get('__json')
  if (json === undefined) return env
  try {
    const all: unknown = JSON.parse(json)
    return new Map(
      Object.entries(all ?? {}).flatMap(([name, value]: [string, unknown]) =>
        typeof value === 'string'
          ? [[name, value] as const]
          : Array.isArray(value)
            ? [[name, value.filter(item => typeof item === 'string').join(' ')] as const]
            : [],
      ),
    )
  } catch {
    return env
  }
}
