/**
 * A bundle's bill of materials: CycloneDX 1.6 or 1.7, as JSON. Its components are the packages that files of the bundle
 * are of, below them those files, and what is known to be in these; its dependencies are what files need of each other,
 * not what Nix keeps. Equal bundles give equal bytes. Pure.
 */
import { createHash } from 'node:crypto'
import type { Explained, ExplainedFile, Need } from '../model/explained.ts'
import type { MachinePackage } from '../model/machine.ts'
import type { Component, Contents, Contradiction, Inside, Sbom, SbomOptions } from '../model/sbom.ts'
import type { Provenance } from '../nix/derivation.ts'
import type { Licence } from '../nix/meta.ts'
import { identityOf } from '../nix/store-path.ts'
import { type BundlePath, baseName, toText } from '../paths.ts'
import { Chains } from './chains.ts'
import { cpeOf } from './cpe.ts'
import { ecosystemPurl, machinePurl, nixPurl } from './purl.ts'
import { ownerOf } from './why.ts'

const ROOT = 'bundle'
/** What is made: launchers, tables, `bundle.json`. */
const MADE = 'made'

/** How sure it is: what stands in a store path's name, what a file says itself, what a package manager says. From 0 to 1. */
const CONFIDENCE: Readonly<Record<Method['technique'], number>> = {
  filename: 0.6,
  'binary-analysis': 0.8,
  'manifest-analysis': 1,
}

export function sbomOf(
  explained: Explained,
  contents: ReadonlyMap<string, Contents>,
  options: SbomOptions,
): { sbom: Sbom; contradictions: readonly Contradiction[] } {
  return new Listing(explained, contents, options).listed()
}

/** The document as text. Its serial number is made of all the rest of it. */
export function sbomText(sbom: Sbom, { spec }: SbomOptions): string {
  const digest = createHash('sha256').update(JSON.stringify(sbom)).digest('hex')
  // RFC 9562, version 8: what is in it is up to us.
  const uuid = `${digest.slice(0, 8)}-${digest.slice(8, 12)}-8${digest.slice(13, 16)}-8${digest.slice(17, 20)}-${digest.slice(20, 32)}`
  const head = {
    $schema: `http://cyclonedx.org/schema/bom-${spec}.schema.json`,
    bomFormat: 'CycloneDX',
    specVersion: spec,
    serialNumber: `urn:uuid:${uuid}`,
    version: 1,
  }
  return `${JSON.stringify({ ...head, ...sbom }, null, 1)}\n`
}

class Listing {
  readonly #explained: Explained
  readonly #contents: ReadonlyMap<string, Contents>
  readonly #options: SbomOptions
  readonly #chains: Chains
  /** Files and links of each package; of null those that are made. */
  readonly #files = new Map<number | null, number[]>()
  readonly #refs = new Map<number, string>()
  readonly #contradictions: Contradiction[] = []

  constructor(explained: Explained, contents: ReadonlyMap<string, Contents>, options: SbomOptions) {
    this.#explained = explained
    this.#contents = contents
    this.#options = options
    this.#chains = new Chains(explained)
    for (const [id, file] of explained.files.entries()) {
      const known = this.#files.get(file.package)
      if (known) known.push(id)
      else this.#files.set(file.package, [id])
    }
    const taken = new Set([ROOT, MADE])
    for (const [id, { name, digest }] of explained.packages.entries()) {
      if (!this.#files.has(id)) continue
      // Two packages of one name are told apart by what their hashes come to.
      let ref = digest === null ? toText(name) : `${toText(name)}#${digest}`
      while (taken.has(ref)) ref = `${ref}'`
      taken.add(ref)
      this.#refs.set(id, ref)
    }
  }

  listed(): { sbom: Sbom; contradictions: readonly Contradiction[] } {
    const components = [...this.#refs.keys()].map(id => this.#package(id))
    const made = this.#files.get(null)
    if (made !== undefined) components.push(this.#made(made))
    const { timestamp, tool, creator } = this.#options
    const sbom = {
      metadata: {
        timestamp,
        lifecycles: [{ phase: 'post-build' }],
        tools: { components: [named(tool)] },
        ...(creator !== undefined && { manufacturer: organization(creator) }),
        component: this.#root(),
      },
      components,
      dependencies: this.#dependencies(made !== undefined),
      compositions: this.#compositions(components, made !== undefined),
    }
    return { sbom, contradictions: this.#contradictions }
  }

  #root(): Component {
    const { subject, packages } = this.#explained
    const { name, version, system } = subject
    const absent = packages.flatMap((p, id) => (this.#files.has(id) ? [] : [toText(p.name)]))
    return {
      type: 'application',
      'bom-ref': ROOT,
      name,
      ...(version !== null && { version }),
      properties: [
        { name: 'storefree:system', value: system },
        ...absent.map(value => ({ name: 'storefree:stayed-out', value })),
      ],
    }
  }

  #package(id: number): Component {
    const { machine } = this.#explained.packages[id]!
    return machine === null ? this.#storePackage(id) : this.#machinePackage(id, machine)
  }

  /** One of the machine, by what its package manager says. Whose patches its version has a CPE would not say. */
  #machinePackage(id: number, machine: MachinePackage): Component {
    const own = this.#files.get(id)!
    const { name, version } = machine
    const ref = this.#refs.get(id)!
    const purl = machinePurl(machine)
    const nested = [...this.#insides(ref, own), ...this.#fileComponents(own)]
    return {
      type: this.#typeOf(own),
      'bom-ref': ref,
      name,
      version,
      purl,
      ...(nested.length > 0 && { components: nested }),
      evidence: {
        identity: [identity('purl', purl, [by('manifest-analysis', `${name} ${version}`)])],
        occurrences: own.map(file => this.#occurrence(file)),
      },
      properties: this.#properties(id, 'machine'),
    }
  }

  #properties(id: number, origin: 'machine' | 'store'): Component['properties'] & object {
    const { packages, files } = this.#explained
    const own = this.#files.get(id)!
    const bytes = own.reduce((sum, file) => sum + files[file]!.size, 0)
    return [
      { name: 'storefree:package', value: toText(packages[id]!.name) },
      { name: 'storefree:files', value: String(own.filter(file => files[file]!.type === 'file').length) },
      { name: 'storefree:bytes', value: String(bytes) },
      { name: 'storefree:shipped', value: packages[id]!.tree ? 'own tree' : 'some files' },
      { name: 'storefree:origin', value: origin },
    ]
  }

  #storePackage(id: number): Component {
    const { packages, subject } = this.#explained
    const { name, digest } = packages[id]!
    const own = this.#files.get(id)!
    const full = toText(name)
    const byName = identityOf(full)
    const made = digest === null ? undefined : this.#options.provenance?.get(digest)
    // A derivation's name and version are those that its store path's name was made of.
    const pname = made?.pname ?? byName.pname
    const named = made?.version ?? byName.version
    const { output } = byName
    const { meta } = this.#options
    const told = meta && made?.derivation === meta.derivation ? meta : null
    const how = (value: string): Method =>
      made?.version == null ? by('filename', full) : by('manifest-analysis', value)
    const said = this.#saidVersion(own)
    const version = said === null || named === null || covers(named, said.version) ? named : said.version
    const final = version ?? said?.version ?? null
    if (said !== null && final !== named)
      this.#contradictions.push({ package: full, path: named, files: said.version, at: said.at })
    const ref = this.#refs.get(id)!
    const nested = [...this.#insides(ref, own), ...this.#fileComponents(own)]
    const cpe = told?.cpe ?? cpeOf(pname, final)
    const references = [
      ...(told?.homepage ? [{ type: 'website', url: told.homepage }] : []),
      ...(made?.source ? [sourceReference(made.source)] : []),
    ]
    return {
      type: this.#typeOf(own),
      'bom-ref': ref,
      name: pname,
      ...(final !== null && { version: final }),
      ...(told?.description && { description: told.description }),
      ...(told?.licence && { licenses: licencesOf(told.licence) }),
      ...(cpe !== null && { cpe }),
      // What lies outside a store is nobody's package that we know.
      ...(digest !== null && { purl: nixPurl(pname, final, output, subject.system) }),
      ...(references.length > 0 && { externalReferences: references }),
      ...(made && made.patches.length > 0 && { pedigree: { patches: made.patches.map(patch) } }),
      ...(nested.length > 0 && { components: nested }),
      evidence: {
        identity: [
          identity('name', pname, [made?.pname == null ? by('filename', full) : by('manifest-analysis', pname)]),
          ...(final === null
            ? []
            : [
                identity('version', final, [
                  ...(named === null ? [] : [how(named)]),
                  ...(said === null ? [] : [by('binary-analysis', said.version)]),
                ]),
              ]),
        ],
        occurrences: own.map(file => this.#occurrence(file)),
      },
      properties: this.#properties(id, digest === null ? 'machine' : 'store'),
    }
  }

  /** What is made for the bundle is of what made it. */
  #made(own: readonly number[]): Component {
    const nested = this.#fileComponents(own)
    return {
      ...named(this.#options.maker),
      'bom-ref': MADE,
      ...(nested.length > 0 && { components: nested }),
      evidence: { occurrences: own.map(file => this.#occurrence(file)) },
    }
  }

  #typeOf(own: readonly number[]): Component['type'] {
    const { files, asked } = this.#explained
    const ids = new Set(own)
    if (asked.some(a => a.kind === 'entry' && ids.has(a.to))) return 'application'
    return own.some(id => isObject(files[id]!) || files[id]!.type === 'link') ? 'library' : 'data'
  }

  /** The one version that all files say that say any. */
  #saidVersion(own: readonly number[]): { version: string; at: BundlePath } | null {
    let found: { version: string; at: BundlePath } | null = null
    for (const id of own) {
      const { at } = this.#explained.files[id]!
      const version = this.#contents.get(at)?.version ?? null
      if (version === null) continue
      if (found !== null && found.version !== version) return null
      found ??= { version, at }
    }
    return found
  }

  /** Packages of other ecosystems that files are made of. */
  #insides(ref: string, own: readonly number[]): Component[] {
    const found = new Map<string, { inside: Inside; files: string[] }>()
    for (const id of own) {
      const { at } = this.#explained.files[id]!
      for (const inside of this.#contents.get(at)?.inside ?? []) {
        const purl = ecosystemPurl(inside.ecosystem, inside.name, inside.version)
        const known = found.get(purl)
        if (known === undefined) found.set(purl, { inside, files: [at] })
        else if (known.files.at(-1) !== at) known.files.push(at)
      }
    }
    return [...found]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([purl, { inside, files }]) => ({
        type: 'library',
        'bom-ref': `${ref}/${purl}`,
        name: inside.name,
        ...(inside.version !== null && { version: inside.version }),
        purl,
        evidence: {
          identity: [identity('purl', purl, [by('binary-analysis', purl)])],
          occurrences: files.map(at => ({ location: toText(at) })),
        },
      }))
  }

  // ---- Files ---------------------------------------------------------------------------------------------------

  #fileComponents(own: readonly number[]): Component[] {
    const wanted = this.#options.files
    return own.flatMap(id => {
      const file = this.#explained.files[id]!
      if (file.type !== 'file' || wanted === 'none' || (wanted === 'objects' && !isObject(file))) return []
      const contents = this.#contents.get(file.at)
      if (contents === undefined) throw new Error(`${file.at} was not read`)
      return [fileComponent(file.at, contents, this.#isPlain(file.at))]
    })
  }

  /** Whether a name's text gives its bytes back. */
  #isPlain(at: string): boolean {
    return Buffer.from(toText(at), 'utf8').toString('latin1') === at
  }

  /** Where a package was found, and why that is there. */
  #occurrence(id: number): object {
    const { files } = this.#explained
    const need = this.#chains.chainTo(id)?.needs.at(-1)
    const context = need === undefined ? null : this.#context(need)
    return { location: toText(files[id]!.at), ...(context !== null && { additionalContext: context }) }
  }

  #context({ from, kind, via }: Need): string | null {
    const { files, directories } = this.#explained
    const verb = VERBS[kind]
    if (verb === undefined) return null
    const who = from < files.length ? files[from]!.at : directories[from - files.length]!.part
    return `${verb} ${toText(who)}${via === null ? '' : `, ${toText(via)}`}`
  }

  // ---- What needs what -----------------------------------------------------------------------------------------

  #dependencies(hasMade: boolean): Sbom['dependencies'] {
    const { needs, asked } = this.#explained
    const out = new Map<number, Set<number>>([...this.#refs.keys()].map(id => [id, new Set()]))
    const used = new Set<number>()
    for (const { from, to } of needs) {
      const [user, owner] = [ownerOf(this.#explained, from), ownerOf(this.#explained, to)]
      if (user === null || owner === null || user === owner || !this.#refs.has(owner)) continue
      out.get(user)?.add(owner)
      used.add(owner)
    }
    const first = new Set(asked.flatMap(({ kind, to }) => (kind === 'bundle' ? [] : [ownerOf(this.#explained, to)])))
    const direct = [...this.#refs.keys()].filter(id => first.has(id) || !used.has(id))
    const refs = (ids: Iterable<number>): string[] => [...ids].map(id => this.#refs.get(id)!).sort()
    return [
      { ref: ROOT, dependsOn: [...refs(direct), ...(hasMade ? [MADE] : [])] },
      ...[...out].map(([id, ids]) => ({ ref: this.#refs.get(id)!, dependsOn: refs(ids) })),
      ...(hasMade ? [{ ref: MADE, dependsOn: [] }] : []),
    ]
  }

  /**
   * What of it is the whole: what files need of each other, and with all files the bundle's. What else was linked or
   * copied into a file when it was built no file says.
   */
  #compositions(components: readonly Component[], hasMade: boolean): object[] {
    const { packages } = this.#explained
    const ids = [...this.#refs.keys()]
    const whole = ids.filter(id => packages[id]!.tree).map(id => this.#refs.get(id)!)
    const part = ids.filter(id => !packages[id]!.tree).map(id => this.#refs.get(id)!)
    const inside = components.flatMap(c => c.components ?? []).filter(c => c.type !== 'file')
    const unknown = inside.map(c => c['bom-ref'])
    return [
      {
        aggregate: 'complete',
        ...(this.#options.files === 'all' && { assemblies: [ROOT, ...(hasMade ? [MADE] : [])] }),
        dependencies: [ROOT, ...ids.map(id => this.#refs.get(id)!), ...(hasMade ? [MADE] : [])],
      },
      ...(part.length > 0 ? [{ aggregate: 'incomplete', assemblies: part }] : []),
      ...(whole.length + unknown.length > 0
        ? [
            {
              aggregate: 'unknown',
              ...(whole.length > 0 && { assemblies: whole }),
              ...(unknown.length > 0 && { dependencies: unknown }),
            },
          ]
        : []),
    ]
  }
}

/** Why a file is there, before the name of the one that needs it. */
const VERBS: Partial<Record<Need['kind'], string>> = {
  interp: 'loader of',
  needed: 'needed by',
  'install-name': 'needed by',
  loaded: 'loaded by',
  dlopen: 'opened by',
  shebang: 'interpreter of',
  wrapper: 'started by',
  link: 'linked from',
  reference: 'named by',
  trace: 'opened by',
  condition: 'used by',
  variant: 'variant for',
  made: 'made for',
}

const isObject = ({ role }: ExplainedFile): boolean =>
  role === 'program' || role === 'library' || role === 'loader' || role === 'script'

/** BSI TR-03183-2 asks for these three of every file, in its own taxonomy of properties. */
function fileComponent(at: BundlePath, contents: Contents, isPlain: boolean): Component {
  const { sha256, sha512, executable, archive } = contents
  return {
    type: 'file',
    'bom-ref': isPlain ? `file:${toText(at)}` : `file:base64:${Buffer.from(at, 'latin1').toString('base64')}`,
    name: toText(at),
    hashes: [
      { alg: 'SHA-256', content: sha256 },
      { alg: 'SHA-512', content: sha512 },
    ],
    properties: [
      // Its name, not its path.
      { name: 'bsi:component:filename', value: toText(baseName(at)) },
      { name: 'bsi:component:executable', value: executable ? 'executable' : 'non-executable' },
      { name: 'bsi:component:archive', value: archive ? 'archive' : 'no archive' },
      { name: 'bsi:component:structured', value: 'structured' },
    ],
  }
}

const sourceReference = ({ url, algorithm, digest }: NonNullable<Provenance['source']>): object => ({
  type: 'source-distribution',
  url,
  ...(digest !== null && { hashes: [{ alg: algorithm === 'sha512' ? 'SHA-512' : 'SHA-256', content: digest }] }),
})

/** As its authors say it; of several names it does not say whether all of them hold. */
const licencesOf = (licence: Licence): object[] =>
  'expression' in licence
    ? [{ expression: licence.expression, acknowledgement: 'declared' }]
    : licence.names.map(name => ({ license: { name, acknowledgement: 'declared' } }))

/** nixpkgs names patches after what they mend. */
function patch(name: string): object {
  const ids = [...new Set([...name.matchAll(/CVE-\d{4}-\d{4,}/gi)].map(([id]) => id.toUpperCase()))]
  return {
    type: ids.length > 0 ? 'backport' : 'unofficial',
    diff: { text: { contentType: 'text/plain', content: name } },
    ...(ids.length > 0 && { resolves: ids.map(id => ({ type: 'security', id, name: id })) }),
  }
}

const organization = (creator: string): object =>
  /^https?:/.test(creator) ? { url: [creator] } : { contact: [{ email: creator }] }

/** `storefree 0.1.0` */
function named(tool: string): Component {
  const [, name = tool, version] = /^(\S+) (\S+)$/.exec(tool) ?? []
  return { type: 'application', 'bom-ref': `tool:${tool}`, name, ...(version !== undefined && { version }) }
}

interface Method {
  readonly technique: 'filename' | 'binary-analysis' | 'manifest-analysis'
  readonly confidence: number
  readonly value: string
}

const by = (technique: Method['technique'], value: string): Method => ({
  technique,
  confidence: CONFIDENCE[technique],
  value,
})

const identity = (field: 'name' | 'version' | 'purl', concludedValue: string, methods: readonly Method[]): object => ({
  field,
  confidence: Math.max(...methods.map(method => method.confidence)),
  concludedValue,
  methods,
})

/** Whether a package's version says what its files say, and perhaps more: `2.40-66` of 2.40, `1.3.1-p1` of 1.3.1. */
const covers = (named: string, said: string): boolean =>
  named === said || (/^[-+.]/.test(named.slice(said.length)) && named.startsWith(said))
