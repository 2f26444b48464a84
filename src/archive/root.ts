/**
 * The root file system that an image's layers make, one upon another (image-spec, layer.md): in memory, of names and
 * whatever is known of each. It is what `verify --closed` judges of an image, and what `try` writes to disk. Whatever a
 * layer says, nothing lies outside of the root, and what is applied in one way by one runtime and otherwise by another is
 * told.
 */
import type { ArchiveMember } from './untar.ts'

/** A member of a layer. */
export type LayerMember = Pick<ArchiveMember, 'name' | 'type' | 'mode' | 'target'>

export interface Layer<M extends LayerMember> {
  /** Of its file in the artefact. Byte string. */
  readonly name: string
  readonly members: readonly M[]
}

/** What lies at a place of the root. */
export interface Placed<M extends LayerMember> {
  /** Hard links are several places of one member. */
  readonly member: M
  /** The layer's name that it is from. */
  readonly layer: string
}

export interface Root<M extends LayerMember> {
  /** By their places, byte strings without a slash at the start; directories too, each before what is in it. */
  readonly placed: ReadonlyMap<string, Placed<M>>
  /** What is wrong with layers, by their names. */
  readonly wrong: readonly { readonly layer: string; readonly reason: string }[]
}

interface Node<M> {
  member: M
  /** The number of the layer that it is from. */
  layer: number
  /** Of a directory. */
  readonly children: Map<string, Node<M>> | null
}

const WHITEOUT = '.wh.'
const OPAQUE = '.wh..wh..opq'
/** aufs' own, of which nothing is applied. */
const OF_AUFS = '.wh..wh.'
/** Links are followed as often as the kernel does. */
const LINKS_MAX = 40
/** No system takes longer names and link texts. In bytes. */
const PATH_MAX = 4096
/** Directories in one another: PATH_MAX of them in one-byte names. */
const DEPTH_MAX = PATH_MAX / 2
/** Files and directories of a root: more are none's. */
const NODES_MAX = 1 << 22
/** What is wrong is told so many times. */
const WRONG_MAX = 100

/**
 * @param layers from the lowest
 * @param directory what stands for one that no layer has, though files lie in it
 */
export function applyLayers<M extends LayerMember>(layers: readonly Layer<M>[], directory: M): Root<M> {
  const tree = new Tree(layers, directory)
  for (const [i, { members }] of layers.entries()) tree.apply(i, members)
  return { placed: tree.placed(), wrong: tree.wrong }
}

const partsOf = (path: string): string[] => path.split('/').filter(part => part !== '' && part !== '.')

class Tree<M extends LayerMember> {
  readonly wrong: { layer: string; reason: string }[] = []
  readonly #layers: readonly Layer<M>[]
  readonly #made: M
  readonly #root: Node<M>
  #nodes = 0

  constructor(layers: readonly Layer<M>[], made: M) {
    this.#layers = layers
    this.#made = made
    this.#root = { member: made, layer: 0, children: new Map() }
  }

  apply(layer: number, members: readonly M[]): void {
    /** Names that this layer has had: two of one name are unpacked in another order by others. */
    const own = new Set<string>()
    for (const member of members) {
      const { name } = member
      const parts = partsOf(name)
      const base = parts.pop()
      if (base === undefined) continue
      if (base === '..' || parts.includes('..')) {
        this.#wrong(layer, `${name}: its name leads out of the root`)
        continue
      }
      if (name.length > PATH_MAX || member.target.length > PATH_MAX) {
        this.#wrong(layer, `${name.slice(0, 60)}...: its name or its target is longer than any system takes`)
        continue
      }
      if (this.#nodes > NODES_MAX) {
        this.#wrong(layer, `it makes more than ${NODES_MAX} files`)
        return
      }
      const key = [...parts, base].join('/')
      if (own.has(key) && member.type !== 'directory') this.#wrong(layer, `${key}: it is there twice`)
      own.add(key)
      const removes = base.startsWith(WHITEOUT)
      const directory = this.#directory(layer, parts, removes ? null : name)
      if (directory === null) continue
      if (base === OPAQUE) prune(directory, layer)
      else if (base.startsWith(OF_AUFS)) continue
      else if (removes) this.#whiteout(layer, directory, base.slice(WHITEOUT.length), name)
      else this.#place(layer, directory, base, member)
    }
  }

  placed(): Map<string, Placed<M>> {
    const placed = new Map<string, Placed<M>>()
    const pending: [string, Node<M>][] = [['', this.#root]]
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      const [at, { member, layer, children }] = next
      if (at !== '') placed.set(at, { member, layer: this.#layers[layer]!.name })
      for (const [name, child] of children ?? []) pending.push([at === '' ? name : `${at}/${name}`, child])
    }
    return placed
  }

  #whiteout(layer: number, directory: Node<M>, name: string, whole: string): void {
    // Some programs removed the directory above, or more.
    if (name === '' || name === '.' || name === '..') {
      this.#wrong(layer, `${whole}: it removes nothing by name`)
      return
    }
    const there = directory.children!.get(name)
    if (there === undefined) return
    // A layer's whiteouts are of those below it.
    if (there.children === null ? there.layer < layer : prune(there, layer)) directory.children!.delete(name)
  }

  #place(layer: number, directory: Node<M>, base: string, member: M): void {
    const children = directory.children!
    const there = children.get(base)
    if (member.type === 'hardlink') {
      const other = this.#linked(layer, member)
      if (other !== null) children.set(base, { member: other.member, layer, children: null })
      return
    }
    if (member.type === 'directory' && there?.children) {
      there.member = member
      there.layer = layer
      return
    }
    this.#nodes++
    children.set(base, { member, layer, children: member.type === 'directory' ? new Map() : null })
  }

  #linked(layer: number, { name, target }: M): Node<M> | null {
    const parts = partsOf(target)
    const base = parts.pop()
    const leadsOut = base === '..' || parts.includes('..')
    const directory = leadsOut ? null : this.#directory(layer, parts, null)
    const other = base === undefined ? undefined : directory?.children?.get(base)
    if (other?.children === null) return other
    const what = leadsOut ? 'out of the root' : other === undefined ? 'to nothing' : 'to a directory'
    this.#wrong(layer, `${name}: a hard link ${what} (${target})`)
    return null
  }

  /**
   * A directory of the root, with links on the way followed as a process in that root would.
   * @param makesFor the name that it is made for where it is not there; null when it is not to be made
   * @returns null when it is not there, or cannot be
   */
  #directory(layer: number, wanted: readonly string[], makesFor: string | null): Node<M> | null {
    const rest = [...wanted].reverse()
    let at: Node<M>[] = [this.#root]
    let links = 0
    for (let part = rest.pop(); part !== undefined; part = rest.pop()) {
      if (part === '' || part === '.') continue
      if (part === '..') {
        if (at.length > 1) at.pop()
        continue
      }
      const here = at.at(-1)!
      let next = here.children!.get(part)
      if (next?.member.type === 'link') {
        if (++links > LINKS_MAX) {
          this.#wrong(layer, `${wanted.join('/')}: links that go round`)
          return null
        }
        if (next.member.target.startsWith('/')) at = [this.#root]
        rest.push(...next.member.target.split('/').reverse())
        continue
      }
      if (!next?.children) {
        if (makesFor === null) return null
        if (next !== undefined) this.#wrong(layer, `${makesFor}: it lies below a file`)
        if (at.length > DEPTH_MAX) {
          this.#wrong(layer, `${makesFor.slice(0, 60)}...: it lies below more than ${DEPTH_MAX} directories`)
          return null
        }
        this.#nodes++
        next = { member: this.#made, layer, children: new Map() }
        here.children!.set(part, next)
      }
      at.push(next)
    }
    return at.at(-1)!
  }

  #wrong(layer: number, reason: string): void {
    if (this.wrong.length < WRONG_MAX) this.wrong.push({ layer: this.#layers[layer]!.name, reason })
  }
}

/**
 * Removes from a directory what is from layers below one.
 * @returns whether nothing of it is left
 */
function prune<M>(directory: Node<M>, layer: number): boolean {
  for (const [name, child] of directory.children!)
    if (child.children === null ? child.layer < layer : prune(child, layer)) directory.children!.delete(name)
  return directory.layer < layer && directory.children!.size === 0
}
