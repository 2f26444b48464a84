/**
 * A bundle as an image: the one archive that docker, podman, buildah, skopeo and umoci take. It is a layout of OCI
 * (image-spec, image-layout.md) with a `manifest.json` as `docker save` writes it, whose paths lead into `blobs/`: tools
 * that know OCI read the one, dockerd before 25 the other, and both find the same image.
 *
 * Equal inputs give equal digests of the layers' contents, and so one image id, whatever compresses them. No daemon, no
 * root, no clock and no name of this machine is in it.
 */
import { createHash } from 'node:crypto'
import type { Compression } from '../archive/compress.ts'
import { BundleError } from '../errors.ts'
import type { PushedBlob, Referrer } from '../io/registry.ts'
import { filePieces } from '../io/store.ts'
import { baseName, fromText, toText } from '../paths.ts'
import { type Packed, type PackedFile, type SourcedEntry, withDirectories, writeTar } from './archive.ts'
import {
  architectureOf,
  createdAt,
  type ImageFacts,
  type ImageOptions,
  imageConfig,
  LAYERS,
  type MadeFile,
  refOf,
  surroundings,
} from './image.ts'
import { type Group, type LayerFile, layersOf } from './layers.ts'
import { addedFiles } from './own-files.ts'

/** One layer as it was written. Sizes are in bytes. */
export interface WrittenLayer {
  readonly contents: string
  /** Compressed, as it lies in registries. */
  readonly digest: string
  readonly size: number
  /** Of the tar in it. */
  readonly diffId: string
  readonly tarSize: number
}

export interface WrittenImage extends Packed {
  readonly ref: string
  /** Of the configuration, `sha256:...`: what docker and podman call the image by. */
  readonly id: string
  /** Of the manifest: what registries call it by. */
  readonly digest: string
  readonly layers: readonly WrittenLayer[]
  /** What a registry is given: layers and configuration, then the manifest. */
  readonly blobs: readonly PushedBlob[]
  readonly manifest: { readonly bytes: Buffer; readonly type: string }
  /** The bill of materials as a registry keeps it beside the image; null where there is none in the bundle. */
  readonly referrer: Referrer | null
}

const MEDIA: Readonly<Record<Compression, string>> = {
  gzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
  zstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
  none: 'application/vnd.oci.image.layer.v1.tar',
}
const CONFIG = 'application/vnd.oci.image.config.v1+json'
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json'

type Sourced = SourcedEntry & LayerFile

/** What an image is made of. */
export interface ImageInput {
  /** Where the bundle's files lie. */
  readonly tree: string
  readonly files: readonly PackedFile[]
  /** The bundle's place in the image. */
  readonly prefix: string
  /** What a file of the bundle comes with; null for what is made. */
  readonly groupOf: (at: string) => Group | null
  /** The package of the program that is started. */
  readonly own: string | null
  readonly facts: ImageFacts
  readonly cwd: string
}

/**
 * Writes the image.
 * @param scratch gives paths for files that are removed when all is done
 */
export async function writeImage(
  input: ImageInput,
  options: ImageOptions,
  archive: string,
  scratch: (name: string) => string,
): Promise<WrittenImage> {
  const { compression = 'gzip' } = options
  const created = createdAt(options, process.env.SOURCE_DATE_EPOCH)
  const blobs: SourcedEntry[] = []
  const blob = (bytes: Buffer): { digest: string; size: number } => {
    const digest = createHash('sha256').update(bytes).digest('hex')
    if (!blobs.some(b => b.name.endsWith(digest))) blobs.push(entry(`blobs/sha256/${digest}`, bytes, bytes.length))
    return { digest: `sha256:${digest}`, size: bytes.length }
  }

  const layers: WrittenLayer[] = []
  for (const [i, { contents, files }] of layersOf(
    filesOf(input, options),
    input.own,
    options.layers ?? LAYERS,
  ).entries()) {
    const path = scratch(`layer-${i}`)
    const hash = createHash('sha256')
    let size = 0
    const written = await writeTar(withDirectories(files), path, compression, piece => {
      hash.update(piece)
      size += piece.length
    })
    const digest = hash.digest('hex')
    blobs.push(entry(`blobs/sha256/${digest}`, path, size))
    layers.push({ contents, digest: `sha256:${digest}`, size, diffId: written.tarSha256, tarSize: written.tarSize })
  }

  const config = blob(json(imageConfig(input.facts, options, layers, created)))
  const pushed = blobs.map(({ name, size, from }) => ({
    digest: `sha256:${name.slice(name.lastIndexOf('/') + 1)}`,
    size,
    from: from!,
  }))
  const ref = refOf(input.facts, options.ref ?? options.push)
  const manifestBytes = json({
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: { mediaType: CONFIG, ...config },
    layers: layers.map(({ digest, size }) => ({ mediaType: MEDIA[compression], digest, size })),
    annotations: {
      'org.opencontainers.image.title': input.facts.name,
      ...(input.facts.version !== null && { 'org.opencontainers.image.version': input.facts.version }),
      'org.opencontainers.image.created': created,
    },
  })
  const manifest = blob(manifestBytes)
  const { architecture, variant } = architectureOf(new Set([input.facts.system]))
  const index = json({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [
      {
        mediaType: MANIFEST,
        ...manifest,
        platform: { architecture, os: 'linux', ...(variant !== undefined && { variant }) },
        annotations: {
          'org.opencontainers.image.ref.name': ref.slice(ref.lastIndexOf(':') + 1),
          'io.containerd.image.name': ref,
        },
      },
    ],
  })
  const path = (digest: string): string => `blobs/sha256/${digest.slice('sha256:'.length)}`
  const saved = json([{ Config: path(config.digest), RepoTags: [ref], Layers: layers.map(l => path(l.digest)) }])
  const layout = json({ imageLayoutVersion: '1.0.0' })
  const entries = [
    entry('oci-layout', layout, layout.length),
    entry('index.json', index, index.length),
    entry('manifest.json', saved, saved.length),
    ...blobs,
  ]
  const packed = await writeTar(withDirectories(entries), archive, 'none')
  return {
    ...packed,
    ref,
    id: config.digest,
    digest: manifest.digest,
    layers,
    blobs: pushed,
    manifest: { bytes: manifestBytes, type: MANIFEST },
    referrer: await referrerOf(input, { mediaType: MANIFEST, ...manifest }, created),
  }
}

const CYCLONEDX = 'application/vnd.cyclonedx+json'
const EMPTY = Buffer.from('{}', 'utf8')

/** A manifest that refers to the image's (image-spec, manifest.md, "Guidelines for Artifact Usage"). */
async function referrerOf({ tree, files }: ImageInput, subject: object, created: string): Promise<Referrer | null> {
  const file = files.find(f => f.type === 'file' && /^share\/sbom\/[^/]+\.cdx\.json$/.test(f.at))
  if (file === undefined) return null
  const from = `${tree}/${file.at}`
  const hash = createHash('sha256')
  for await (const piece of filePieces(from)) hash.update(piece)
  const sbom = { digest: `sha256:${hash.digest('hex')}`, size: file.size }
  const empty = { digest: `sha256:${createHash('sha256').update(EMPTY).digest('hex')}`, size: EMPTY.length }
  const title = { 'org.opencontainers.image.title': toText(baseName(file.at)) }
  const bytes = json({
    schemaVersion: 2,
    mediaType: MANIFEST,
    artifactType: CYCLONEDX,
    config: { mediaType: 'application/vnd.oci.empty.v1+json', ...empty },
    layers: [{ mediaType: CYCLONEDX, ...sbom, annotations: title }],
    subject,
    annotations: { 'org.opencontainers.image.created': created },
  })
  return {
    artifactType: CYCLONEDX,
    annotations: { 'org.opencontainers.image.created': created },
    blobs: [
      { ...empty, from: EMPTY },
      { ...sbom, from },
    ],
    manifest: { bytes, type: MANIFEST },
  }
}

const json = (value: object): Buffer => Buffer.from(`${JSON.stringify(value)}\n`, 'utf8')

const entry = (name: string, from: string | Buffer, size: number): SourcedEntry => ({
  name,
  type: 'file',
  executable: false,
  size,
  target: '',
  from,
})

/** Every file of the image, each with its group. @throws BundleError('usage') where two would lie in one place */
function filesOf({ tree, files, prefix, groupOf, facts, cwd }: ImageInput, options: ImageOptions): Sourced[] {
  const place = prefix.slice(1)
  const bundled = files.map(
    (f): Sourced => ({
      at: f.at,
      name: `${place}/${f.at}`,
      type: f.type,
      executable: f.executable,
      size: f.type === 'file' ? f.size : 0,
      target: f.target ?? '',
      from: f.type === 'file' ? `${tree}/${f.at}` : null,
      group: groupOf(f.at),
    }),
  )
  const made = [...surroundings(options), ...linksToData(files, place, facts)].map(
    ({ at, contents, mode, target = '' }): Sourced => ({
      at,
      name: fromText(at),
      type: contents !== null ? 'file' : target === '' ? 'directory' : 'link',
      executable: false,
      mode,
      size: contents === null ? 0 : Buffer.byteLength(contents),
      target,
      from: contents === null ? null : Buffer.from(contents),
      group: null,
    }),
  )
  const added = addedFiles(options.add ?? [], cwd).map((file): Sourced => ({ ...file, at: file.name, group: null }))
  const taken = new Map<string, Sourced>()
  const directories = new Set<string>()
  for (const file of [...bundled, ...made, ...added]) {
    const known = taken.get(file.name)
    // What the user gives stands for what is made, and a directory with its mode for an empty one.
    const isAdded = added.includes(file)
    const isReplaced =
      known !== undefined &&
      ((made.includes(known) && isAdded) || (known.type === 'directory' && file.type === 'directory'))
    if ((known !== undefined && !isReplaced) || (isAdded && directories.has(file.name) && file.type !== 'directory'))
      throw new BundleError('usage', `--add, --writable: /${file.name} is in the bundle already`, {
        hint: 'choose another place in the image',
      })
    taken.set(file.name, file)
    for (let d = file.name.lastIndexOf('/'); d > 0; d = file.name.lastIndexOf('/', d - 1))
      directories.add(file.name.slice(0, d))
  }
  for (const name of directories) {
    const file = taken.get(name)
    if (file !== undefined && file.type !== 'directory')
      throw new BundleError('usage', `--add, --writable: /${name} is a file in the image, and cannot hold others`, {
        hint: 'choose another place in the image',
      })
  }
  return [...taken.values()]
}

/** Data of `--with` where programs of any image look for it. */
function linksToData(files: readonly PackedFile[], place: string, { env }: ImageFacts): MadeFile[] {
  if (!env.some(pair => pair.startsWith('SSL_CERT_FILE='))) return []
  const bundle = files.find(
    f => f.type === 'file' && /(?:^|\/)etc\/ssl\/(?:cert\.pem|certs\/ca-bundle\.crt)$/.test(f.at),
  )
  return bundle === undefined
    ? []
    : [
        {
          at: 'etc/ssl/certs/ca-certificates.crt',
          contents: null,
          mode: 0o777,
          target: `/${place}/${bundle.at}`,
        },
      ]
}
