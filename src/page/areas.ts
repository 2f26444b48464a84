/** A bundle's bytes as areas within areas: packages, their directories, files. Pure. */
import type { Bundle } from './bundle.ts'

export interface Area {
  readonly name: string
  /** Bytes. */
  size: number
  /** The file; null for what holds others, and for what stayed out. */
  readonly file: number | null
  /** The package that it is, or is a part of. */
  readonly package: number | null
  /** Whether it is in Nix's closure and not in the bundle. */
  readonly out: boolean
  readonly above: Area | null
  /** The largest first. */
  readonly areas: Area[]
}

/** A part of a package that stayed out is told from this share of it on: an archive of Nix's is a little larger than its files. */
const OUT_MIN = 0.02

/** @param withOut whether what stayed out of Nix's closure has areas too */
export function areasOf(bundle: Bundle, withOut: boolean): Area {
  const { packages, name } = bundle.data
  const root = area(name, null, null, null)
  const tops = new Map<number | null, Area>()
  for (const file of bundle.files) {
    if (file.size === 0) continue
    let top = tops.get(file.package)
    if (top === undefined) {
      top = area(file.package === null ? 'made' : packages[file.package]!.label, root, file.package, null)
      tops.set(file.package, top)
      root.areas.push(top)
    }
    const parts = (file.package === null ? file.at : file.part || top.name).split('/')
    let at = top
    for (const part of parts.slice(0, -1)) at = below(at, part)
    at.areas.push({ ...area(parts.at(-1)!, at, file.package, file.id), size: file.size })
  }
  if (withOut)
    for (const [id, { label, nar, bytes }] of packages.entries()) {
      const size = nar === null ? 0 : nar - bytes
      if (nar === null || size < nar * OUT_MIN) continue
      const top = tops.get(id)
      const rest = { ...area(top === undefined ? label : 'stayed out', top ?? root, id, null), size, out: true }
      ;(top ?? root).areas.push(rest)
    }
  finish(root)
  return root
}

const area = (name: string, above: Area | null, owner: number | null, file: number | null): Area => ({
  name,
  size: 0,
  file,
  package: owner,
  out: false,
  above,
  areas: [],
})

/** The directory of that name; the last one is looked at first, for files come sorted. */
function below(at: Area, name: string): Area {
  for (let i = at.areas.length - 1; i >= 0; i--) {
    const other = at.areas[i]!
    if (other.file === null && !other.out && other.name === name) return other
  }
  const made = area(name, at, at.package, null)
  at.areas.push(made)
  return made
}

function finish(at: Area): void {
  for (const other of at.areas) finish(other)
  if (at.areas.length === 0) return
  at.size = at.areas.reduce((sum, { size }) => sum + size, 0)
  at.areas.sort((a, b) => b.size - a.size)
}

/** The areas from the whole down to one. */
export function wayTo(at: Area): Area[] {
  const way: Area[] = []
  for (let up: Area | null = at; up !== null; up = up.above) way.unshift(up)
  return way
}
