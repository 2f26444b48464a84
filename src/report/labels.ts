/** How files, packages and steps of a chain are called where a person reads of them. */
import { ownerOf } from '../explain/why.ts'
import type { Explained, Need, Place } from '../model/explained.ts'
import { baseName, toText } from '../paths.ts'
import { RULES } from '../references/follow.ts'

/** Calls things by their names, and tells those of one name apart: by the beginning of the digest, only then. */
export class Labels {
  readonly #explained: Explained
  readonly #packages: readonly string[]

  constructor(explained: Explained) {
    this.#explained = explained
    const count = new Map<string, number>()
    for (const { name } of explained.packages) count.set(name, (count.get(name) ?? 0) + 1)
    this.#packages = explained.packages.map(({ name, digest }) =>
      toText(count.get(name)! > 1 && digest !== null ? `${name}#${digest.slice(0, 4)}` : name),
    )
  }

  package(id: number): string {
    return this.#packages[id]!
  }

  /** A file or directory by its package and path in it; what is made by its place. */
  of(id: number): string {
    const { files, directories } = this.#explained
    const { package: owner, part } = files[id] ?? directories[id - files.length]!
    if (owner === null) return toText(files[id]?.at ?? part)
    return part === '' ? this.package(owner) : `${this.package(owner)}/${toText(part)}`
  }

  /** The place in the bundle; null for a directory. */
  at(id: number): string | null {
    const file = this.#explained.files[id]
    return file ? toText(file.at) : null
  }

  owner(id: number): string | null {
    const owner = ownerOf(this.#explained, id)
    return owner === null ? null : this.package(owner)
  }

  /** `needs libc.so.6`: what a step of a chain does. */
  verb({ kind, name, to }: Need): string {
    const asked = toText(name)
    switch (kind) {
      case 'interp':
      case 'shebang':
        return `is run by ${toText(baseName(name))}`
      case 'needed':
      case 'install-name':
      case 'loaded':
        return `needs ${asked}`
      case 'variant':
        return `needs ${asked}, for newer CPUs`
      case 'dlopen':
        return `opens ${asked}`
      case 'wrapper':
        return `starts ${this.of(to)}`
      case 'link':
        return `leads to ${asked}`
      case 'reference':
        return `names ${this.of(to)}`
      case 'trace':
        return `was seen to open ${asked}`
      case 'member':
        return `holds ${asked}`
      case 'condition':
        return `imports ${asked}`
      case 'image':
        return `lies in ${asked}, which comes whole`
      case 'made':
        return `comes as ${asked} too`
    }
  }

  /** Where it stands and how it was found: `DT_NEEDED, offset 38926; found by RUNPATH[0]: glibc-2.36/lib`. */
  evidence(need: Need): string {
    const own = need.at.filter(place => place.file === null)
    const others = need.at.filter(place => place.file !== null)
    const parts = [
      this.places(own, need.count - others.length),
      ...others.slice(0, 1).map(place => `${this.of(place.file!)} names it (${this.places([place], 1)})`),
      this.#found(need),
    ]
    return parts.filter(part => part !== '').join('; ')
  }

  #found({ kind, via, to }: Need): string {
    const rule = via === null ? undefined : RULES.get(via)
    if (via === null) return ''
    if (rule !== undefined) return kind === 'shebang' ? '' : `rule ${via}: ${rule}`
    const directory = this.of(to).replace(/\/[^/]*$/, '')
    if (kind === 'needed' || kind === 'dlopen' || kind === 'install-name' || kind === 'loaded') {
      if (via === 'default') return "found in the loader's own directory"
      if (via === 'already loaded' || via === 'loaded') return 'loaded already by that name'
      return via === 'trace' ? 'seen by --trace' : `found by ${via}: ${directory}`
    }
    return kind === 'variant' ? `found in ${directory}` : ''
  }

  /** Places of one part together: `.rodata, offsets 3537240, 3561661`. */
  places(places: readonly Place[], count: number): string {
    const [first] = places
    if (first === undefined) return ''
    const where =
      first.member !== null ? `in ${toText(first.member)}` : first.part === null ? '' : PARTS.get(first.part)
    const part = where ?? toText(first.part!)
    const isText = first.line !== null
    const numbers = places.map(({ line, offset }) => (isText ? line : offset)).slice(0, SHOWN)
    const noun = isText ? 'line' : 'offset'
    const more = Math.max(count, places.length) - numbers.length
    const list = `${noun}${numbers.length === 1 ? '' : 's'} ${[...new Set(numbers)].join(', ')}${more > 0 ? ` and ${more} more` : ''}`
    const encoding = first.encoding === 'utf8' ? '' : `, ${first.encoding}`
    return `${part === '' ? '' : `${part}, `}${list}${encoding}`
  }
}

const SHOWN = 4
const PARTS: ReadonlyMap<string, string> = new Map([
  ['needed', 'DT_NEEDED'],
  ['interp', 'PT_INTERP'],
  ['runpath', 'RUNPATH'],
  ['rpath', 'RPATH'],
  ['install name', 'LC_LOAD_DYLIB'],
])
