/**
 * Images hold all that they name: index, manifest, configuration and layers, as OCI lays them out (image-layout.md), as
 * `docker save` does, and as skopeo's `dir:` does. A layer that is named and not there was not looked into; one in the
 * place of another would be unpacked in another order than it says.
 */
import type { Finding } from '../../model/findings.ts'

/** A file of the artefact, with what was seen of it. */
export interface ImageFile {
  /** In bytes. */
  readonly size: number
  readonly sha256: string | null
  /** The SHA-256 of a layer's tar, unpacked; null for what is none. */
  readonly diffId: string | null
  /** A document's bytes; null for what is none. */
  readonly json: Buffer | null
}

/** Larger documents are none (the distribution specification wants 4 MiB at least). In bytes. */
const JSON_MAX = 4 << 20
/** How deep indexes are followed. */
const DEPTH = 4

/** Whether a file may be a document of an image. */
export const mayBeDocument = (name: string, size: number): boolean =>
  size <= JSON_MAX &&
  /(?:^|\/)(?:index\.json|manifest\.json|blobs\/sha256\/[0-9a-f]{64}|[0-9a-f]{64}(?:\.json)?)$/.test(name)

/** A layer, or what may be one by its name. */
export const isLayer = (name: string): boolean =>
  /(?:^|\/)(?:blobs\/[a-z0-9]+\/[0-9a-f]{32,}|[0-9a-f]{64}(?:\.tar)?|layer\.tar)$/.test(name)

type Json = { readonly [key: string]: unknown }

interface Descriptor {
  readonly digest: string
  readonly size: number | null
  /** Whether it is fetched from somewhere else by intent. */
  readonly foreign: boolean
}

/** What is wrong with the images among these files, by name. `has` tells names of other kinds too, such as links. */
export function checkImages(files: ReadonlyMap<string, ImageFile>, has: (name: string) => boolean): Finding[] {
  const check = new Check(files, has)
  for (const [name, { json }] of files) {
    const document = parsed(json)
    const at = name.slice(0, name.lastIndexOf('/') + 1)
    if (/(?:^|\/)index\.json$/.test(name) && isObject(document) && Array.isArray(document.manifests))
      check.index(name, document, digest => `${at}blobs/${digest.replace(':', '/')}`, 1)
    if (!/(?:^|\/)manifest\.json$/.test(name)) continue
    if (Array.isArray(document)) for (const image of document) check.saved(name, image, at)
    else if (isObject(document) && Array.isArray(document.layers) && has(`${at}version`))
      check.manifest(name, document, digest => at + digest.slice(digest.indexOf(':') + 1))
  }
  return check.findings
}

type Place = (digest: string) => string

class Check {
  readonly findings: Finding[] = []
  readonly #files: ReadonlyMap<string, ImageFile>
  readonly #has: (name: string) => boolean
  readonly #seen = new Set<string>()

  constructor(files: ReadonlyMap<string, ImageFile>, has: (name: string) => boolean) {
    this.#files = files
    this.#has = has
  }

  index(file: string, index: Json, place: Place, depth: number): void {
    for (const entry of listOf(index.manifests)) {
      const blob = this.#blob(file, entry, 'manifest', place)
      if (blob === null || this.#seen.has(blob.name)) continue
      this.#seen.add(blob.name)
      const document = parsed(blob.file.json)
      if (!isObject(document)) this.#wrong(blob.name, 'is named as a manifest and is none')
      else if (Array.isArray(document.manifests)) {
        if (depth < DEPTH) this.index(blob.name, document, place, depth + 1)
        else this.#wrong(blob.name, 'is an index in too many others')
      } else this.manifest(blob.name, document, place)
    }
  }

  manifest(file: string, manifest: Json, place: Place): void {
    const config = this.#blob(file, manifest.config, 'configuration', place)
    const layers = listOf(manifest.layers).map(layer => this.#blob(file, layer, 'layer', place))
    if (config)
      this.#order(
        config.name,
        config.file,
        layers.map(layer => layer?.file ?? null),
      )
  }

  /** One image of `docker save`. */
  saved(file: string, image: unknown, at: string): void {
    if (!isObject(image)) return
    const named = (name: unknown, what: string): ImageFile | null => {
      if (typeof name !== 'string') return null
      const path = at + Buffer.from(name, 'utf8').toString('latin1')
      if (!this.#has(path)) this.#wrong(file, `names the ${what} ${name}, which is not there`)
      return this.#files.get(path) ?? null
    }
    const config = image.Config === undefined ? null : named(image.Config, 'configuration')
    const layers = listOf(image.Layers).map(layer => named(layer, 'layer'))
    if (config && typeof image.Config === 'string') this.#order(at + image.Config, config, layers)
  }

  /** The configuration tells the layers by what they unpack to, in their order (config.md, "rootfs"). */
  #order(name: string, config: ImageFile, layers: readonly (ImageFile | null)[]): void {
    const document = parsed(config.json)
    const rootfs = isObject(document) && isObject(document.rootfs) ? document.rootfs : null
    if (rootfs === null || !Array.isArray(rootfs.diff_ids)) return
    const ids: readonly unknown[] = rootfs.diff_ids
    if (ids.length !== layers.length) this.#wrong(name, `tells of ${ids.length} layers, and there are ${layers.length}`)
    for (const [i, layer] of layers.entries())
      if (layer?.diffId && i < ids.length && ids[i] !== `sha256:${layer.diffId}`)
        this.#wrong(name, `tells of another layer ${i + 1} (${String(ids[i])}) than there is (sha256:${layer.diffId})`)
  }

  #blob(file: string, entry: unknown, what: string, place: Place): { name: string; file: ImageFile } | null {
    const descriptor = descriptorOf(entry)
    if (descriptor === null) {
      this.#wrong(file, `names a ${what} without a digest`)
      return null
    }
    const { digest, size, foreign } = descriptor
    const name = place(digest)
    const blob = this.#files.get(name)
    if (!blob) {
      if (this.#has(name)) return null
      if (foreign)
        this.findings.push({
          code: 'container-unread',
          severity: 'warning',
          file,
          member: name,
          problem: 'opaque',
          detail: 'a layer that lies elsewhere',
        })
      else this.#wrong(file, `names the ${what} ${digest}, which is not there`)
      return null
    }
    if (size !== null && size !== blob.size) this.#wrong(name, `has ${blob.size} bytes, and ${size} in what names it`)
    // Of a blob that has its digest for a name that is told already (oci.ts).
    if (
      !name.endsWith(`blobs/sha256/${digest.slice(7)}`) &&
      digest.startsWith('sha256:') &&
      blob.sha256 !== null &&
      digest !== `sha256:${blob.sha256}`
    )
      this.#wrong(name, `its contents have another digest (${blob.sha256}) than what names it says`)
    return { name, file: blob }
  }

  #wrong(file: string, reason: string): void {
    this.findings.push({ code: 'image-wrong', severity: 'error', file, reason })
  }
}

function descriptorOf(entry: unknown): Descriptor | null {
  if (!isObject(entry) || typeof entry.digest !== 'string' || !/^[a-z0-9]+:[0-9a-f]{32,}$/.test(entry.digest))
    return null
  const type = typeof entry.mediaType === 'string' ? entry.mediaType : ''
  return {
    digest: entry.digest,
    size: typeof entry.size === 'number' ? entry.size : null,
    foreign: /nondistributable|foreign/.test(type) || Array.isArray(entry.urls),
  }
}

const isObject = (value: unknown): value is Json => value instanceof Object && !Array.isArray(value)
const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

function parsed(json: Buffer | null): unknown {
  try {
    return json === null ? null : JSON.parse(json.toString('utf8'))
  } catch {
    return null
  }
}
