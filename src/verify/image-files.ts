/**
 * The files of an artefact that may be parts of images: layers, and documents that name them. Which file is what, names
 * tell of those that are named by their digests; of the others only the documents do, so that they are known when all
 * has been read.
 */
import { posix } from 'node:path'
import type { Finding } from '../model/findings.ts'
import { checkRoot } from './checks/image-root.ts'
import { checkImages, type ImageFile, isLayer, JSON_MAX, mayBeDocument, partsNamed } from './checks/images.ts'
import type { Looked } from './checks/packed.ts'

/** Parts of images by names that only their documents tell. */
export interface Parts {
  readonly documents: ReadonlySet<string>
  readonly layers: ReadonlySet<string>
}

/** The names of an artefact, and where they lead. */
export interface Names {
  readonly all: ReadonlySet<string>
  readonly links: ReadonlyMap<string, string>
  readonly hardLinks: ReadonlyMap<string, string>
  isFile(name: string): boolean
}

/** As the kernel: a path of more links than this is a cycle. */
const LINKS_MAX = 40

export class ImageFiles {
  readonly #files = new Map<string, ImageFile>()
  readonly #names: Names
  readonly #parts: Parts | null

  /** @param parts null when it is not known yet what documents name */
  constructor(names: Names, parts: Parts | null) {
    this.#names = names
    this.#parts = parts
  }

  isLayer(name: string): boolean {
    return isLayer(name) || this.#parts?.layers.has(name) === true
  }

  isDocument(name: string, size: number): boolean {
    return mayBeDocument(name, size) || (size <= JSON_MAX && this.#parts?.documents.has(name) === true)
  }

  /** @param json a document's bytes; null for what is none */
  add(name: string, size: number, json: Buffer | null, looked: Looked): void {
    this.#files.set(name, { ...looked, size, json, unread: looked.findings.some(isUnread) })
  }

  /** Parts of images that were read as something else; null when there are none. */
  missed(): Parts | null {
    if (this.#parts !== null) return null
    const { documents, layers } = partsNamed(this.#files)
    const places = (names: ReadonlySet<string>): Set<string> =>
      new Set([...names].flatMap(name => this.#leads(name) ?? []).filter(name => this.#names.isFile(name)))
    const parts = { documents: places(documents), layers: places(layers) }
    return [...parts.documents, ...parts.layers].some(name => !this.#files.has(name)) ? parts : null
  }

  /** @param closed whether everything has to resolve inside the roots that the layers make */
  check(closed: boolean): Finding[] {
    const { findings, images } = checkImages(this.#files, name => this.#leads(name))
    if (!closed) return findings
    // Images share layers, and what is wrong with them.
    const told = new Set<string>()
    for (const finding of images.flatMap(checkRoot)) {
      const key = JSON.stringify(finding)
      if (!told.has(key)) findings.push(finding)
      told.add(key)
    }
    return findings
  }

  /** The name of the file that a name leads to: `docker save` has links for layers that occur twice. */
  #leads(name: string): string | null {
    const { all, links, hardLinks } = this.#names
    let at = name
    for (let followed = 0; followed < LINKS_MAX; followed++) {
      const target = links.get(at)
      const other = target === undefined ? hardLinks.get(at) : posix.join(posix.dirname(at), target)
      if (other === undefined) return all.has(at) ? at : null
      at = posix.normalize(other)
    }
    return null
  }
}

const isUnread = (finding: Finding): boolean => finding.code === 'container-unread' && finding.severity === 'error'
