/**
 * Pushing an image to a registry (OCI distribution-spec, "Push"): which blobs are there is asked first, what is missing is
 * uploaded, and the manifest comes last, so that nobody ever sees half an image.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { BundleError, errno } from '../errors.ts'
import { filePieces } from './store.ts'
import { runTool } from './tool.ts'

/** `registry.example:5000/team/nginx:1.22.1`, taken apart. */
export interface RegistryRef {
  readonly host: string
  readonly name: string
  readonly tag: string
  /** Repositories of the same registry that may have blobs already. */
  readonly others: readonly string[]
}

export interface PushedBlob {
  /** `sha256:...` */
  readonly digest: string
  /** In bytes. */
  readonly size: number
  /** The file (byte string) that it is read of, or the bytes themselves. */
  readonly from: string | Buffer
}

/** What a registry keeps beside an image and gives to whoever asks what refers to it (distribution-spec, "Listing Referrers"). */
export interface Referrer {
  readonly artifactType: string
  readonly annotations: Readonly<Record<string, string>>
  readonly blobs: readonly PushedBlob[]
  readonly manifest: { readonly bytes: Buffer; readonly type: string }
}

/** How a push went. */
export interface Pushed {
  readonly uploaded: number
  /** Blobs that the registry had. */
  readonly skipped: number
}

/** What an answer may take, without and with a blob to carry. In milliseconds. */
const ANSWER = 30_000
const UPLOAD = 1_800_000

/**
 * @param others names of repositories there; the registry may stand before them
 * @throws BundleError('usage') for a name without a registry
 */
export function registryRef(ref: string, others: readonly string[] = []): RegistryRef {
  const match = /^([^/]+)\/(.+?)(?::([\w][\w.-]{0,127}))?$/.exec(ref)
  const [, host = '', name = '', tag = 'latest'] = match ?? []
  if (!/[.:]|^localhost$/.test(host) || name === '')
    throw new BundleError('usage', `--push ${ref}: no registry in it`, {
      hint: '--push registry.example/team/nginx:1.22.1',
    })
  const near = others.map(other => (other.startsWith(`${host}/`) ? other.slice(host.length + 1) : other))
  const odd = near.find(other => !/^[a-z0-9]+(?:[._/-]+[a-z0-9]+)*$/.test(other))
  if (odd !== undefined)
    throw new BundleError('usage', `--mount-from ${odd}: no repository of ${host}`, { hint: '--mount-from team/curl' })
  return { host, name, tag, others: near.filter(other => other !== name) }
}

/**
 * @throws BundleError('registry-failed') with what the registry said
 */
export async function push(
  ref: RegistryRef,
  blobs: readonly PushedBlob[],
  manifest: { readonly bytes: Buffer; readonly type: string },
  referrer: Referrer | null,
  progress: (text: string) => void,
): Promise<Pushed> {
  const registry = new Registry(ref)
  const all = [...blobs, ...(referrer?.blobs ?? [])]
  let uploaded = 0
  for (const [i, blob] of all.entries()) {
    progress(`pushing ${i + 1} of ${all.length} blobs`)
    if (!(await registry.has(blob.digest)) && (await registry.upload(blob))) uploaded++
  }
  await registry.putManifest(ref.tag, manifest.bytes, manifest.type)
  if (referrer !== null) await refer(registry, digestOf(manifest.bytes), referrer)
  return { uploaded, skipped: all.length - uploaded }
}

const INDEX = 'application/vnd.oci.image.index.v1+json'
const digestOf = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

/** Registries without referrers keep them as an index under a tag that is made of the digest ("Referrers Tag Schema"). */
async function refer(registry: Registry, subject: string, referrer: Referrer): Promise<void> {
  const { artifactType, annotations, manifest } = referrer
  const digest = digestOf(manifest.bytes)
  if (await registry.putManifest(digest, manifest.bytes, manifest.type)) return
  const tag = subject.replace(':', '-')
  const known = await registry.index(tag)
  const isOther = (entry: unknown): boolean =>
    !(entry instanceof Object && 'digest' in entry && entry.digest === digest)
  const own = { mediaType: manifest.type, digest, size: manifest.bytes.length, annotations, artifactType }
  const index = { schemaVersion: 2, mediaType: INDEX, manifests: [...known.filter(isOther), own] }
  await registry.putManifest(tag, Buffer.from(JSON.stringify(index), 'utf8'), INDEX)
}

class Registry {
  readonly #ref: RegistryRef
  readonly #base: string
  /** What is sent as `Authorization`; null until the registry asks for it. */
  #authorization: string | null = null

  constructor(ref: RegistryRef) {
    this.#ref = ref
    // As docker does: without TLS on this machine only.
    const isLocal = /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])(?::\d+)?$/.test(ref.host)
    this.#base = `${isLocal ? 'http' : 'https'}://${ref.host}/v2/${ref.name}`
  }

  async has(digest: string): Promise<boolean> {
    const answer = await this.#send('HEAD', `${this.#base}/blobs/${digest}`, ANSWER)
    if (answer.status !== 200 && answer.status !== 404) throw await this.#refused(answer, 'asking for a blob')
    return answer.status === 200
  }

  /** @returns false where another repository had it ("Mounting a blob from another repository") */
  async upload(blob: PushedBlob): Promise<boolean> {
    let begun: Response | null = null
    for (const from of this.#ref.others) {
      // Each answer that is no mount has begun an upload, which is as good as any other.
      await begun?.body?.cancel()
      const asked = new URLSearchParams({ mount: blob.digest, from })
      begun = await this.#send('POST', `${this.#base}/blobs/uploads/?${asked}`, ANSWER)
      if (begun.status === 201) return false
    }
    begun ??= await this.#send('POST', `${this.#base}/blobs/uploads/`, ANSWER)
    const location = begun.headers.get('location')
    if (begun.status !== 202 || location === null) throw await this.#refused(begun, 'beginning an upload')
    const url = new URL(location, this.#base)
    url.searchParams.set('digest', blob.digest)
    const done = await this.#send('PUT', url.href, UPLOAD, blob, 'application/octet-stream')
    if (done.status !== 201) throw await this.#refused(done, `uploading ${blob.digest}`)
    return true
  }

  /** @returns whether the registry keeps what it says it refers to */
  async putManifest(reference: string, bytes: Buffer, type: string): Promise<boolean> {
    const body = { digest: '', size: bytes.length, from: bytes }
    const done = await this.#send('PUT', `${this.#base}/manifests/${reference}`, ANSWER, body, type)
    if (done.status !== 201) throw await this.#refused(done, 'putting the manifest')
    return done.headers.get('oci-subject') !== null
  }

  /** The manifests of the index that a tag has; none where there is no such tag. */
  async index(tag: string): Promise<readonly unknown[]> {
    const answer = await this.#send('GET', `${this.#base}/manifests/${tag}`, ANSWER)
    if (answer.status === 404) return []
    if (answer.status !== 200) throw await this.#refused(answer, 'asking what refers to the image')
    const index: unknown = await answer.json().catch(() => null)
    const manifests = index instanceof Object && 'manifests' in index ? index.manifests : null
    if (Array.isArray(manifests)) return manifests
    throw this.#failed(`what it has at ${tag} is no index`)
  }

  async #send(method: string, url: string, limit: number, body?: PushedBlob, type?: string): Promise<Response> {
    const first = await this.#request(method, url, limit, body, type)
    if (first.status !== 401 || this.#authorization !== null) return first
    this.#authorization = await this.#authorize(first.headers.get('www-authenticate') ?? '')
    await first.body?.cancel()
    return this.#request(method, url, limit, body, type)
  }

  async #request(method: string, url: string, limit: number, body?: PushedBlob, type?: string): Promise<Response> {
    const headers: Record<string, string> = {}
    // A registry may send uploads elsewhere, which has no business with our password.
    if (this.#authorization !== null && new URL(url).host === new URL(this.#base).host)
      headers.authorization = this.#authorization
    if (body !== undefined) headers['content-length'] = String(body.size)
    if (type !== undefined) headers['content-type'] = type
    if (method === 'GET') headers.accept = INDEX
    try {
      return await fetch(url, {
        method,
        headers,
        redirect: 'follow',
        signal: AbortSignal.timeout(limit),
        ...(body !== undefined && {
          body: typeof body.from === 'string' ? streamOf(body.from) : new Uint8Array(body.from),
          duplex: 'half',
        }),
      } as RequestInit)
    } catch (error) {
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
      const isLate = error instanceof Error && error.name === 'TimeoutError'
      const reason = isLate
        ? `no answer in ${limit / 1000} seconds`
        : (errno(cause) ?? String((cause as Error).message))
      throw this.#failed(reason, error)
    }
  }

  /** What the registry asks for (RFC 7235; docker's token authentication). */
  async #authorize(challenge: string): Promise<string> {
    const credentials = await credentialsFor(this.#ref.host)
    const basic = credentials === null ? null : `Basic ${Buffer.from(credentials).toString('base64')}`
    if (/^basic\b/i.test(challenge)) {
      if (basic === null) throw this.#failed(`it wants a password, and there is none for it`)
      return basic
    }
    const fields = Object.fromEntries(
      [...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name!.toLowerCase(), value!]),
    )
    if (!/^bearer\b/i.test(challenge) || !fields.realm || !URL.canParse(fields.realm))
      throw this.#failed(`it refuses, and does not say what it wants (${challenge.slice(0, 80) || 'no challenge'})`)
    const url = new URL(fields.realm)
    if (fields.service) url.searchParams.set('service', fields.service)
    url.searchParams.append('scope', `repository:${this.#ref.name}:pull,push`)
    for (const other of this.#ref.others) url.searchParams.append('scope', `repository:${other}:pull`)
    const answer = await fetch(url, {
      headers: basic === null ? {} : { authorization: basic },
      signal: AbortSignal.timeout(ANSWER),
    }).catch(error => {
      throw this.#failed(`its token server ${url.host} does not answer`, error)
    })
    if (!answer.ok) throw await this.#refused(answer, 'asking for a token')
    const token = (await answer.json().catch(() => ({}))) as { token?: unknown; access_token?: unknown }
    const text = token.token ?? token.access_token
    if (typeof text !== 'string' || /[^\x21-\x7e]/.test(text)) throw this.#failed('its token server sends no token')
    return `Bearer ${text}`
  }

  async #refused(answer: Response, doing: string): Promise<BundleError> {
    const text = await answer.text().catch(() => '')
    let said = ''
    try {
      const { errors } = JSON.parse(text) as { errors?: { code?: string; message?: string }[] }
      said = (errors ?? []).map(e => e.message || e.code || '').join('; ')
    } catch {
      said = /<html|<!doctype/i.test(text) ? 'it is no registry' : text.trim().slice(0, 100)
    }
    return this.#failed(
      `${doing}: it answers ${answer.status}${said === '' ? '' : ` (${said.replace(/[^ -~]+/g, ' ')})`}`,
    )
  }

  #failed(reason: string, cause?: unknown): BundleError {
    return new BundleError('registry-failed', `the registry ${this.#ref.host}: ${reason}`, {
      hint: `docker login ${this.#ref.host}, or skopeo copy oci-archive:FILE docker://${this.#ref.host}/${this.#ref.name}`,
      cause,
    })
  }
}

/** A file as the body of a request. */
function streamOf(path: string): ReadableStream<Uint8Array> {
  const pieces = filePieces(path)
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await pieces.next()
      if (done) controller.close()
      else controller.enqueue(new Uint8Array(value))
    },
    cancel: async () => void (await pieces.return(undefined)),
  })
}

/** `user:password` as `docker login` has kept it (config.json, or a credential helper); null for none. */
async function credentialsFor(host: string): Promise<string | null> {
  const directory = process.env.DOCKER_CONFIG ?? join(homedir(), '.docker')
  let config: {
    auths?: Record<string, { auth?: string }>
    credHelpers?: Record<string, string>
    credsStore?: string
  }
  try {
    config = JSON.parse(readFileSync(join(directory, 'config.json'), 'utf8'))
  } catch (error) {
    if (errno(error) === 'ENOENT') return null
    throw new BundleError('unreadable', 'is no configuration of docker', {
      path: join(directory, 'config.json'),
      cause: error,
    })
  }
  const helper = config.credHelpers?.[host] ?? config.credsStore
  if (helper !== undefined && /^[\w.-]+$/.test(helper)) {
    const { stdout } = await runTool(`docker-credential-${helper}`, ['get'], { input: host })
    const { Username, Secret } = JSON.parse(stdout) as { Username?: string; Secret?: string }
    return Username !== undefined && Secret !== undefined ? `${Username}:${Secret}` : null
  }
  const auth = config.auths?.[host]?.auth ?? config.auths?.[`https://${host}`]?.auth
  return auth === undefined ? null : Buffer.from(auth, 'base64').toString('utf8')
}
