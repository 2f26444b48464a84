/**
 * Everything resolves inside an image: in the root file system that its layers make, as in any tree that is taken for a
 * root. What a runtime mounts into it is there when it runs.
 */
import { applyLayers, type Layer, type LayerMember, type Root } from '../../archive/root.ts'
import type { ElfFacts } from '../../elf/facts.ts'
import type { MachOFacts } from '../../macho/facts.ts'
import type { Finding } from '../../model/findings.ts'
import type { BundlePath } from '../../paths.ts'
import { checkTree } from './closure.ts'
import { checkEntry } from './entries.ts'
import type { Loading } from './loading.ts'

/** A member of a layer, with what a program says of itself. */
export interface SeenMember extends LayerMember {
  readonly facts: ElfFacts | MachOFacts | null
  readonly loading: Loading | null
}

/** An image whose layers make a root file system. */
export interface Image {
  /** From the lowest; those that are there. */
  readonly layers: readonly Layer<SeenMember>[]
  /** Where its environment has loaders look (`LD_LIBRARY_PATH`). Byte strings. */
  readonly directories: readonly string[]
}

const DIRECTORY: SeenMember = { name: '', type: 'directory', mode: 0o755, target: '', facts: null, loading: null }

/** What every runtime mounts (runtime-spec, config-linux.md, "Default Filesystems"). */
const MOUNTED = /^\/(?:proc|dev|sys)(?:\/|$)/

/** What does not resolve in an image's root, and what nothing of it may be: `LAYER!PLACE` each. */
export function checkRoot(image: Image): Finding[] {
  const { placed, wrong } = applyLayers(image.layers, DIRECTORY)
  const named = (place: string): BundlePath => {
    const layer = placed.get(place)?.layer
    return (layer === undefined ? place : `${layer}!${place}`) as BundlePath
  }
  const entries = [...placed].flatMap(([place, { member }]) => checkEntry(place, member, NONE, NOTHING))
  const closure = checkTree(treeOf(placed), image.directories).findings.filter(
    f => !('target' in f && f.code === 'link-dangling' && mounts(f.file, f.target)),
  )
  return [
    ...wrong.map(
      ({ layer, reason }): Finding => ({ code: 'image-wrong', severity: 'error', file: layer as BundlePath, reason }),
    ),
    ...[...entries, ...closure].map(f => ({
      ...f,
      file: named(f.file),
      ...('program' in f && f.program !== null && { program: named(f.program) }),
    })),
  ]
}

const NONE: ReadonlySet<string> = new Set()
const NOTHING: ReadonlyMap<string, unknown> = new Map()

function treeOf(placed: Root<SeenMember>['placed']) {
  const links = new Map<string, string>()
  const elf = new Map<string, ElfFacts>()
  const images = new Map<string, MachOFacts>()
  const loading = new Map<string, Loading>()
  for (const [place, { member }] of placed) {
    const { type, target, facts } = member
    if (member.loading !== null) loading.set(place, member.loading)
    if (type === 'link') links.set(place, target)
    if (facts?.format === 'elf') elf.set(place, facts)
    else if (facts !== null) images.set(place, facts)
  }
  return { names: new Set(placed.keys()), links, elf, images, loading }
}

/** Whether a link leads to where a runtime mounts something. */
function mounts(file: string, target: string): boolean {
  const from = target.startsWith('/') ? [] : file.split('/').slice(0, -1)
  const at: string[] = []
  for (const part of [...from, ...target.split('/')])
    if (part === '..') at.pop()
    else if (part !== '' && part !== '.') at.push(part)
  return MOUNTED.test(`/${at.join('/')}`)
}
