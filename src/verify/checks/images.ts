/**
 * Images hold all that they name: index, manifest, configuration and layers, as OCI lays them out (image-layout.md), as
 * `docker save` does, and as skopeo's `dir:` does. A layer that is named and not there was not looked into; one in the
 * place of another would be unpacked in another order than it says.
 */
import type { Finding } from '../../model/findings.ts'
import type { Image, SeenMember } from './image-root.ts'

/** A file of the artefact, with what was seen of it. */
export interface ImageFile {
  /** In bytes. */
  readonly size: number
  readonly sha256: string | null
  /** The SHA-256 of a layer's tar, unpacked; null for what is none. */
  readonly diffId: string | null
  /** A document's bytes; null for what is none. */
  readonly json: Buffer | null
  /** Whether it is told already that it could not be read. */
  readonly unread: boolean
  /** Of a layer, where everything has to resolve. */
  readonly members: readonly SeenMember[]
}

/** Larger documents are none (the distribution specification wants 4 MiB at least). In bytes. */
export const JSON_MAX = 4 << 20
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

/**
 * What documents of `docker save` name by names of their own: which is a configuration, which a layer, only they tell.
 */
export function partsNamed(files: ReadonlyMap<string, ImageFile>): { documents: Set<string>; layers: Set<string> } {
  const named = { documents: new Set<string>(), layers: new Set<string>() }
  for (const [name, { json }] of files) {
    const document = /(?:^|\/)manifest\.json$/.test(name) ? parsed(json) : null
    const at = name.slice(0, name.lastIndexOf('/') + 1)
    for (const image of listOf(document)) {
      if (!isObject(image)) continue
      if (typeof image.Config === 'string') named.documents.add(at + bytesIn(image.Config))
      for (const layer of listOf(image.Layers)) if (typeof layer === 'string') named.layers.add(at + bytesIn(layer))
    }
  }
  return named
}

const bytesIn = (text: string): string => Buffer.from(text, 'utf8').toString('latin1')

/**
 * What is wrong with the images among these files, by name, and the images.
 * @param place the file that a name leads to, links followed; null when it is not there
 */
export function checkImages(
  files: ReadonlyMap<string, ImageFile>,
  place: (name: string) => string | null,
): { findings: Finding[]; images: Image[] } {
  const check = new Check(files, place)
  for (const [name, { json }] of files) {
    const document = parsed(json)
    const at = name.slice(0, name.lastIndexOf('/') + 1)
    if (/(?:^|\/)index\.json$/.test(name) && isObject(document) && Array.isArray(document.manifests))
      check.index(name, document, digest => `${at}blobs/${digest.replace(':', '/')}`, 1)
    if (!/(?:^|\/)manifest\.json$/.test(name)) continue
    if (Array.isArray(document)) for (const image of document) check.saved(name, image, at)
    else if (isObject(document) && Array.isArray(document.layers) && place(`${at}version`) !== null)
      check.manifest(name, document, digest => at + digest.slice(digest.indexOf(':') + 1))
  }
  return { findings: check.findings, images: check.images }
}

type Place = (digest: string) => string

interface Blob {
  readonly name: string
  readonly file: ImageFile
}

const SEARCH = 'LD_LIBRARY_PATH='

class Check {
  readonly findings: Finding[] = []
  readonly images: Image[] = []
  readonly #files: ReadonlyMap<string, ImageFile>
  readonly #place: (name: string) => string | null
  readonly #seen = new Set<string>()

  constructor(files: ReadonlyMap<string, ImageFile>, place: (name: string) => string | null) {
    this.#files = files
    this.#place = place
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
    if (config) this.#order(config, layers)
    // Whatever else is kept as an image's layer (a chart, an attestation) makes no root.
    if (listOf(manifest.layers).every(isTarLayer)) this.#image(config, layers)
  }

  /** One image of `docker save`. */
  saved(file: string, image: unknown, at: string): void {
    if (!isObject(image)) return
    const named = (name: unknown, what: string): Blob | null => {
      if (typeof name !== 'string') return null
      const path = this.#place(at + bytesIn(name))
      if (path === null) this.#wrong(file, `names the ${what} ${name}, which is not there`)
      const found = path === null ? undefined : this.#files.get(path)
      return found && path !== null ? { name: path, file: found } : null
    }
    const config = image.Config === undefined ? null : named(image.Config, 'configuration')
    const layers = listOf(image.Layers).map(layer => named(layer, 'layer'))
    if (config) this.#order(config, layers)
    this.#image(config, layers)
  }

  #image(config: Blob | null, layers: readonly (Blob | null)[]): void {
    for (const layer of layers)
      if (layer && layer.file.diffId === null && !layer.file.unread)
        this.#wrong(layer.name, 'is named as a layer, and is no archive of files')
    const document = parsed(config?.file.json ?? null)
    const settings = isObject(document) && isObject(document.config) ? document.config : {}
    const search = listOf(settings.Env).find(pair => String(pair).startsWith(SEARCH))
    const directories = search === undefined ? [] : bytesIn(String(search)).slice(SEARCH.length).split(/[:;]/)
    this.images.push({
      layers: layers.flatMap(layer => (layer ? [{ name: layer.name, members: layer.file.members }] : [])),
      directories: directories.filter(d => d.startsWith('/')),
    })
  }

  /** The configuration tells the layers by what they unpack to, in their order (config.md, "rootfs"). */
  #order({ name, file }: Blob, layers: readonly (Blob | null)[]): void {
    const document = parsed(file.json)
    const rootfs = isObject(document) && isObject(document.rootfs) ? document.rootfs : null
    if (rootfs === null || !Array.isArray(rootfs.diff_ids)) return
    const ids: readonly unknown[] = rootfs.diff_ids
    if (ids.length !== layers.length) this.#wrong(name, `tells of ${ids.length} layers, and there are ${layers.length}`)
    for (const [i, layer] of layers.entries())
      if (layer?.file.diffId && i < ids.length && ids[i] !== `sha256:${layer.file.diffId}`)
        this.#wrong(
          name,
          `tells of another layer ${i + 1} (${String(ids[i])}) than there is (sha256:${layer.file.diffId})`,
        )
  }

  #blob(file: string, entry: unknown, what: string, place: Place): Blob | null {
    const descriptor = descriptorOf(entry)
    if (descriptor === null) {
      this.#wrong(file, `names a ${what} without a digest`)
      return null
    }
    const { digest, size, foreign } = descriptor
    const path = place(digest)
    const name = this.#place(path) ?? path
    const blob = this.#files.get(name)
    if (!blob) {
      if (this.#place(path) !== null) return null
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

/** A layer by its media type, and one of none. */
const isTarLayer = (entry: unknown): boolean =>
  isObject(entry) && (typeof entry.mediaType !== 'string' || /[.+]tar\b/.test(entry.mediaType))

const isObject = (value: unknown): value is Json => value instanceof Object && !Array.isArray(value)
const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

function parsed(json: Buffer | null): unknown {
  try {
    return json === null ? null : JSON.parse(json.toString('utf8'))
  } catch {
    return null
  }
}
