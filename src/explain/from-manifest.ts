/**
 * A bundle's own account (`bundle.json`) as the questions of this room are asked of it. It may be anybody's: numbers that
 * lead nowhere are an error, circles are none. Pure.
 */
import { createHash } from 'node:crypto'
import { MANIFEST, pathBytes } from '../apply/manifest.ts'
import { textBytes, usualName, usualPart, usualRole } from '../apply/manifest-needs.ts'
import { readManifest } from '../apply/manifest-text.ts'
import { BundleError } from '../errors.ts'
import {
  byEnds,
  type Explained,
  type ExplainedFile,
  type ExplainedPackage,
  type Need,
  type Place,
} from '../model/explained.ts'
import type { MachinePackage } from '../model/machine.ts'
import type { Manifest } from '../model/manifest.ts'
import { fromText, oneLine } from '../paths.ts'

/** Files that directories of a hostile document may hold in all, as often as they are listed. */
const MEMBERS_MAX = 2_000_000

/**
 * @param path of the bundle, for errors
 * @throws BundleError('unsupported') for what is no `bundle.json`, says nothing of why, or contradicts itself
 */
export function explainManifest(bytes: Buffer, path: string): Explained {
  const read = readManifest(bytes)
  if ('reason' in read) throw new BundleError('unsupported', `its ${MANIFEST} cannot be read: ${read.reason}`, { path })
  const { manifest } = read
  if (manifest.schema === 1)
    throw new BundleError(
      'unsupported',
      'this bundle was made by storefree 0.1: it does not say why its files are there',
      {
        path,
        hint: 'ask of the target that it was made of, or make it again',
      },
    )
  try {
    return new Reading(manifest, bytes).explained()
  } catch (error) {
    if (!(error instanceof Contradiction)) throw error
    throw new BundleError('unsupported', `its ${MANIFEST} contradicts itself: ${error.message}`, { path })
  }
}

class Contradiction extends Error {}

const machinePackage = ({ name, version, arch, source, distro, manager }: MachinePackage): MachinePackage => {
  const known = (text: string | null): string | null => (text === null ? null : oneLine(text))
  return {
    manager,
    name: oneLine(name),
    version: oneLine(version),
    arch: known(arch),
    source: known(source),
    distro: known(distro),
  }
}

class Reading {
  readonly #manifest: Manifest
  readonly #size: number
  readonly #digest: string
  readonly #files: number
  readonly #directories: number
  readonly #packageNames: readonly { readonly name: string }[]

  constructor(manifest: Manifest, bytes: Buffer) {
    this.#manifest = manifest
    this.#size = bytes.length
    this.#digest = createHash('sha256').update(bytes).digest('hex')
    this.#files = manifest.files.length
    this.#directories = manifest.directories?.length ?? 0
    this.#packageNames = manifest.packages.map(p => ({ name: fromText(p.name) }))
  }

  explained(): Explained {
    const { name, version, system, packages, files, directories = [], needs = [], asked = [], nix } = this.#manifest
    const all = files.map(file => this.#file(file))
    // It lists all files but itself.
    all.push({ at: MANIFEST, type: 'file', size: this.#size, role: 'made', package: null, part: '' })
    const explained: Explained['directories'] = directories.map(d => ({
      package: this.#package(d.package),
      part: textBytes(d.path, d.bytes),
    }))
    return {
      subject: {
        kind: 'bundle',
        name: oneLine(name),
        version: version === null ? null : oneLine(version),
        system: oneLine(system),
        digest: this.#digest,
      },
      packages: packages.map(p => this.#explainedPackage(p)),
      files: all,
      directories: explained,
      needs: [...needs.map(need => this.#need(need, all)), ...this.#members(all, explained)].sort(byEnds),
      asked: [
        ...asked.map(a => ({ kind: a.kind, name: textBytes(a.name ?? '', a.bytes), to: this.#id(a.to) })),
        { kind: 'bundle' as const, name: '', to: this.#files },
      ],
      closure: nix === true,
    }
  }

  #explainedPackage(p: Manifest['packages'][number]): ExplainedPackage {
    const kept = (p.kept ?? []).map(({ from, rule, via, ...place }) => ({
      from: this.#fileId(from),
      rule: oneLine(rule),
      via: via === undefined ? null : oneLine(via),
      place: this.#place(place),
    }))
    return {
      name: fromText(p.name),
      digest: p.digest ?? null,
      store: null,
      machine: p.machine === undefined ? null : machinePackage(p.machine),
      tree: p.tree,
      nar: p.nar ?? null,
      references: (p.references ?? []).map(id => this.#package(id)),
      kept,
      keptCount: p.keptCount ?? kept.length,
    }
  }

  #file(file: Manifest['files'][number]): ExplainedFile {
    const at = pathBytes(file)
    const owner = file.package === undefined ? null : this.#package(file.package)
    const usual = owner === null ? '' : usualPart(at, this.#packageNames[owner]!.name)
    return {
      at,
      type: file.type,
      size: file.type === 'file' ? file.size : 0,
      role: file.role ?? usualRole(file.type),
      package: owner,
      part: file.part === undefined ? usual : pathBytes(file.part),
    }
  }

  #need(row: NonNullable<Manifest['needs']>[number], files: readonly ExplainedFile[]): Need {
    const { from, to, kind, name, bytes, via, at = [], count } = row
    const usual = (): string => usualName(kind, files[this.#id(to)], this.#packageNames)
    return {
      from: this.#id(from),
      to: this.#id(to),
      kind,
      name: name === undefined ? usual() : textBytes(name, bytes),
      via: via === undefined ? null : oneLine(via),
      at: at.map(place => this.#place(place)),
      count: count ?? at.length,
    }
  }

  /** What directories hold. A member's name is its path below. */
  #members(files: readonly ExplainedFile[], directories: Explained['directories']): Need[] {
    const needs: Need[] = []
    for (const [i, { holds = [] }] of (this.#manifest.directories ?? []).entries())
      for (const [first, last] of holds) {
        if (first > last || last >= this.#files) throw new Contradiction(`files ${first} to ${last} are not there`)
        if (needs.length + last - first > MEMBERS_MAX) throw new Contradiction('its directories hold too much')
        for (let to = first; to <= last; to++) {
          const { package: owner, part } = directories[i]!
          const file = files[to]!
          const below = file.package === owner && (part === '' || file.part.startsWith(`${part}/`))
          const name = below ? file.part.slice(part === '' ? 0 : part.length + 1) : file.at
          const from = this.#files + 1 + i
          needs.push({ from, to, kind: 'member', name, via: null, at: [], count: 0 })
        }
      }
    return needs
  }

  #place(p: NonNullable<NonNullable<Manifest['needs']>[number]['at']>[number]): Place {
    return {
      file: p.file === undefined ? null : this.#id(p.file),
      member: p.member === undefined ? null : fromText(p.member),
      offset: p.offset,
      line: p.line ?? null,
      part: p.part === undefined ? null : fromText(p.part),
      encoding: p.encoding ?? 'utf8',
    }
  }

  #package(id: number): number {
    if (id >= this.#manifest.packages.length) throw new Contradiction(`there is no package ${id}`)
    return id
  }

  #fileId(id: number): number {
    if (id >= this.#files) throw new Contradiction(`there is no file ${id}`)
    return id
  }

  /** `bundle.json` lies between the files and the directories. */
  #id(id: number): number {
    if (id >= this.#files + this.#directories) throw new Contradiction(`there is neither file nor directory ${id}`)
    return id < this.#files ? id : id + 1
  }
}
