/**
 * What an image is to be, besides its files: OCI's image configuration (image-spec, config.md) and the few files outside
 * of the bundle that programs expect. Pure.
 */
import { BundleError } from '../errors.ts'
import { baseName } from '../paths.ts'

export interface ImageOptions {
  /** `NAME[:TAG]`; by default the bundle's name and version. */
  ref?: string
  /** The name of a program of the bundle; by default the only one, or the one that is called as the bundle. */
  entrypoint?: string
  cmd?: readonly string[]
  /** `NAME=VALUE` each. */
  env?: readonly string[]
  /** `8080`, `53/udp`. */
  expose?: readonly string[]
  workdir?: string
  /** `NAME=VALUE` each. */
  label?: readonly string[]
  stopSignal?: string
  /** `UID[:GID]`, in numbers: the kubelet's runAsNonRoot takes no names. */
  user?: string
  /** Directories that whoever runs with group 0 can write. */
  writable?: readonly string[]
  /** `SOURCE:DESTINATION` each: own files. */
  add?: readonly string[]
  /** How many layers at most. */
  layers?: number
  compression?: 'gzip' | 'zstd' | 'none'
  /** `REGISTRY/NAME[:TAG]`: where the image is pushed to, once it is verified. */
  push?: string
  /** Other repositories of that registry, as `team/curl`: blobs of theirs are not sent again. */
  mountFrom?: readonly string[]
  /** RFC 3339; by default SOURCE_DATE_EPOCH, else the epoch's first second. */
  created?: string
}

/** How the parts of Nix's system names are called in images (Go's GOARCH). */
const ARCHITECTURES: Readonly<Record<string, { architecture: string; variant?: string }>> = {
  x86_64: { architecture: 'amd64' },
  aarch64: { architecture: 'arm64' },
  armv7l: { architecture: 'arm', variant: 'v7' },
  armv6l: { architecture: 'arm', variant: 'v6' },
  i686: { architecture: '386' },
  riscv64: { architecture: 'riscv64' },
  s390x: { architecture: 's390x' },
  powerpc64le: { architecture: 'ppc64le' },
}

/** Where the bundle lies in an image. One constant for all: then equal libraries are equal files in every image. */
export const IMAGE_PREFIX = '/app'
export const LAYERS = 12
/** The largest, the small ones, the entry's own, and what is made. */
export const LAYERS_MIN = 4

/** Looks at what was typed before anything is built. @throws BundleError('usage') */
export function checkImageOptions(options: ImageOptions): void {
  const wrong = (what: string, why: string, hint: string): never => {
    throw new BundleError('usage', `${what}: ${why}`, { hint })
  }
  const { ref, user, layers = LAYERS } = options
  if (ref !== undefined && !REF.test(ref))
    wrong(`--ref ${ref}`, 'no name of an image', 'lower case, such as --ref registry.example/team/nginx:1.22.1')
  if (user !== undefined && !/^\d{1,10}(?::\d{1,10})?$/.test(user))
    wrong(`--user ${user}`, 'numbers only, for runAsNonRoot takes no names', '--user 1001:0')
  for (const pair of options.env ?? [])
    if (!/^[^=\0]+=[^\0]*$/.test(pair)) wrong(`--env ${pair}`, 'no NAME=VALUE', '--env TZ=UTC')
  for (const pair of options.label ?? [])
    if (!/^[^=]+=/.test(pair)) wrong(`--label ${pair}`, 'no NAME=VALUE', '--label team=web')
  for (const port of options.expose ?? [])
    if (!/^\d{1,5}(?:\/(?:tcp|udp|sctp))?$/.test(port) || Number.parseInt(port, 10) > 65535)
      wrong(`--expose ${port}`, 'no port', '--expose 8080, --expose 53/udp')
  for (const directory of options.writable ?? []) imagePath('--writable', directory)
  if (options.workdir !== undefined) imagePath('--workdir', options.workdir)
  for (const pair of options.add ?? []) addition(pair)
  if (!Number.isInteger(layers) || layers < LAYERS_MIN || layers > 125)
    wrong(`--layers ${layers}`, `a number from ${LAYERS_MIN} to 125 is wanted`, `--layers ${LAYERS}`)
  if (options.created !== undefined && Number.isNaN(Date.parse(options.created)))
    wrong(`--created ${options.created}`, 'no time', '--created 2026-01-31T12:00:00Z')
}
const REF =
  /^(?:[a-zA-Z0-9.-]+(?::\d+)?\/)?[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*(?::[\w][\w.-]{0,127})?$/

/** `SOURCE:DESTINATION`. @throws BundleError('usage') */
export function addition(pair: string): { readonly source: string; readonly destination: string } {
  const colon = pair.lastIndexOf(':')
  const [source, destination] = [pair.slice(0, Math.max(0, colon)), pair.slice(colon + 1)]
  if (source === '')
    throw new BundleError('usage', `--add ${pair}: no SOURCE:DESTINATION`, {
      hint: '--add ./nginx.conf:/etc/nginx/nginx.conf',
    })
  return { source, destination: imagePath('--add', destination) }
}

/** An absolute path in an image without its slash. @throws BundleError('usage') */
export function imagePath(option: string, path: string): string {
  const parts = path.replace(/\/+$/, '').split('/').slice(1)
  if (!path.startsWith('/') || parts.length === 0 || parts.some(p => p === '' || p === '.' || p === '..'))
    throw new BundleError('usage', `${option} ${path}: an absolute path in the image is wanted`, {
      hint: `${option} ${option === '--add' ? './nginx.conf:' : ''}/var/lib/app`,
    })
  return parts.join('/')
}

/** What a program of the bundle is called, and where it lies. */
export interface ImageProgram {
  readonly name: string
  /** In the bundle: `bin/nginx`. */
  readonly at: string
}

/** @throws BundleError('usage') when it is not clear which program is meant */
export function entrypointOf(programs: readonly ImageProgram[], name: string, wanted: string | undefined): string {
  const inBin = programs.filter(({ at }) => at.startsWith('bin/'))
  const found =
    wanted !== undefined
      ? programs.find(p => p.name === wanted)
      : programs.length === 1
        ? programs[0]
        : (programs.find(p => p.name === name) ?? (inBin.length === 1 ? inBin[0] : undefined))
  if (found) return found.at
  const names = programs.map(p => p.name)
  const shown = `${names.slice(0, 10).join(', ')}${names.length > 10 ? ` and ${names.length - 10} more` : ''}`
  throw new BundleError(
    'usage',
    wanted === undefined ? `which program does the image start? There are ${shown}` : `no program ${wanted}: ${shown}`,
    { hint: `--entrypoint ${names[0] ?? 'NAME'}` },
  )
}

/** A file of an image that is made, or a directory. */
export interface MadeFile {
  readonly at: string
  readonly contents: string | null
  readonly mode: number
  /** Of a link, where it leads. */
  readonly target?: string
}

/**
 * What stands outside of the bundle: users that programs ask for by name (nginx ends at getpwnam("nobody")), how names of
 * hosts are found, a place for what is temporary.
 */
export function surroundings({ user, writable = [] }: ImageOptions): MadeFile[] {
  const [uid = '0', gid = '0'] = (user ?? '').split(':').map(id => id || '0')
  const isOther = uid !== '0' && uid !== '65534'
  const passwd = [
    'root:x:0:0:root:/root:/bin/false',
    'nobody:x:65534:65534:nobody:/:/bin/false',
    ...(isOther ? [`app:x:${uid}:${gid}:app:/:/bin/false`] : []),
  ]
  const group = ['root:x:0:', 'nogroup:x:65534:', ...(gid !== '0' && gid !== '65534' ? [`app:x:${gid}:`] : [])]
  const nsswitch = ['passwd: files', 'group: files', 'hosts: files dns', 'services: files', 'protocols: files']
  const file = (at: string, lines: readonly string[]): MadeFile => ({
    at,
    contents: lines.map(line => `${line}\n`).join(''),
    mode: 0o644,
  })
  return [
    file('etc/passwd', passwd),
    file('etc/group', group),
    file('etc/nsswitch.conf', nsswitch),
    { at: 'tmp', contents: null, mode: 0o1777 },
    ...writable.map(path => ({ at: imagePath('--writable', path), contents: null, mode: 0o775 })),
  ]
}

/** What OCI's image configuration is made of. */
export interface ImageFacts {
  readonly system: string
  readonly name: string
  readonly version: string | null
  /** In the image, absolute. */
  readonly entrypoint: string
  /** Directories of programs, absolute. */
  readonly path: readonly string[]
  /** Further variables that the image's own files want. */
  readonly env: readonly string[]
}

/** @throws BundleError('unsupported') for what is no Linux of one CPU */
export function architectureOf(systems: ReadonlySet<string>): { architecture: string; variant?: string } {
  const [system, another] = systems
  const found = system?.endsWith('-linux') ? ARCHITECTURES[system.slice(0, -'-linux'.length)] : undefined
  if (another !== undefined)
    throw new BundleError(
      'unsupported',
      `an image is for one CPU, and the programs are for ${[...systems].join(', ')}`,
      {
        hint: 'choose with --program',
      },
    )
  if (found === undefined)
    throw new BundleError('unsupported', `no image for ${system ?? 'a bundle without programs'}`, {
      hint: 'images hold programs for Linux',
    })
  return found
}

/** @param layers SHA-256 of each layer's tar, and what it is called */
export function imageConfig(
  { system, entrypoint, path, env }: ImageFacts,
  options: ImageOptions,
  layers: readonly { readonly diffId: string; readonly contents: string }[],
  created: string,
): object {
  const own = options.env ?? []
  const isOwn = (pair: string): boolean =>
    own.some(o => o.slice(0, o.indexOf('=')) === pair.slice(0, pair.indexOf('=')))
  const { cmd = [], expose = [], label = [] } = options
  return {
    created,
    ...architectureOf(new Set([system])),
    os: 'linux',
    config: {
      ...(options.user !== undefined && { User: options.user }),
      ...(expose.length > 0 && {
        ExposedPorts: Object.fromEntries(expose.map(port => [port.includes('/') ? port : `${port}/tcp`, {}])),
      }),
      Env: [...[`PATH=${path.join(':')}`, ...env].filter(pair => !isOwn(pair)), ...own],
      Entrypoint: [entrypoint],
      ...(cmd.length > 0 && { Cmd: cmd }),
      ...(options.workdir !== undefined && { WorkingDir: options.workdir }),
      ...(label.length > 0 && {
        Labels: Object.fromEntries(
          label.map(pair => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
        ),
      }),
      ...(options.stopSignal !== undefined && { StopSignal: options.stopSignal }),
    },
    rootfs: { type: 'layers', diff_ids: layers.map(l => `sha256:${l.diffId}`) },
    history: layers.map(l => ({ created, created_by: 'storefree', comment: l.contents })),
  }
}

/** The time that is written into an image. */
export function createdAt(options: ImageOptions, epoch: string | undefined): string {
  if (options.created !== undefined) return new Date(options.created).toISOString().replace('.000Z', 'Z')
  const seconds = epoch !== undefined && /^\d{1,11}$/.test(epoch) ? Number(epoch) : 1
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z')
}

/** `nginx:1.22.1`, of characters that a reference may have. */
export function refOf({ name, version }: ImageFacts, ref: string | undefined): string {
  if (ref !== undefined) return baseName(ref).includes(':') ? ref : `${ref}:latest`
  const plain = name
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, '')
  const tag = (version ?? 'latest').replace(/[^\w.-]+/g, '-').slice(0, 128)
  return `${plain || 'bundle'}:${tag}`
}
