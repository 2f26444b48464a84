/** A package of the store or of the machine as a component, with all that is known of it. Pure. */
import type { MachinePackage } from '../../model/machine.ts'
import type { Component, Contradiction, SbomOptions } from '../../model/sbom.ts'
import type { Provenance } from '../../nix/derivation.ts'
import type { Licence } from '../../nix/meta.ts'
import { identityOf } from '../../nix/store-path.ts'
import { toText } from '../../paths.ts'
import { cpeOf } from './cpe.ts'
import { by, covers, identity, type Method, saidVersion } from './identity.ts'
import { fileComponents, insideComponents, occurrences } from './parts.ts'
import { ecosystemPurl, machinePurl, nixPurl } from './purl.ts'
import { isObject, MADE, type Shipped } from './shipped.ts'
import { isExpression, spdxIds } from './spdx.ts'

/** A package's component; and whether its files contradict its store path. */
export function packageComponent(
  shipped: Shipped,
  id: number,
  options: SbomOptions,
): { component: Component; contradiction: Contradiction | null } {
  const { machine } = shipped.explained.packages[id]!
  return machine === null
    ? storePackage(shipped, id, options)
    : { component: machinePackage(shipped, id, machine, options), contradiction: null }
}

/** One of the machine, by what its package manager says. Whose patches its version has a CPE would not say. */
function machinePackage(shipped: Shipped, id: number, machine: MachinePackage, { files }: SbomOptions): Component {
  const own = shipped.of(id)
  const { name, version } = machine
  const ref = shipped.ref(id)
  const purl = machinePurl(machine)
  const nested = [...insideComponents(shipped, ref, own), ...fileComponents(shipped, own, files)]
  return {
    type: typeOf(shipped, own),
    'bom-ref': ref,
    name,
    version,
    purl,
    ...(nested.length > 0 && { components: nested }),
    evidence: {
      identity: [identity('purl', purl, [by('manifest-analysis', `${name} ${version}`)])],
      occurrences: occurrences(shipped, own),
    },
    properties: propertiesOf(shipped, id, 'machine'),
  }
}

function storePackage(
  shipped: Shipped,
  id: number,
  { told: all, files, storePaths }: SbomOptions,
): { component: Component; contradiction: Contradiction | null } {
  const { packages, subject } = shipped.explained
  const { name, digest } = packages[id]!
  const own = shipped.of(id)
  const full = toText(name)
  const byName = identityOf(full)
  const told = digest === null ? undefined : all?.get(digest)
  const { made = null, meta = null } = told ?? {}
  // A derivation's name and version are those that its store path's name was made of.
  const pname = made?.pname ?? byName.pname
  const path = made?.version ?? byName.version
  const { output } = byName
  const how = (value: string): Method => (made?.version == null ? by('filename', full) : by('manifest-analysis', value))
  const said = saidVersion(shipped, own)
  const settled = said === null || path === null || covers(path, said.version) ? path : said.version
  const version = settled ?? said?.version ?? null
  const ref = shipped.ref(id)
  const nested = [...insideComponents(shipped, ref, own), ...fileComponents(shipped, own, files)]
  const cpe = meta?.cpe ?? cpeOf(pname, version)
  const references = [
    ...(meta?.homepage ? [{ type: 'website', url: meta.homepage }] : []),
    ...(made?.source ? [sourceReference(made.source)] : []),
  ]
  const component: Component = {
    type: typeOf(shipped, own),
    'bom-ref': ref,
    name: pname,
    ...(version !== null && { version }),
    ...(meta?.description && { description: meta.description }),
    ...(meta?.licence && { licenses: licencesOf(meta.licence) }),
    ...(cpe !== null && { cpe }),
    // What lies outside a store is nobody's package that we know.
    ...(digest !== null && { purl: nixPurl(pname, version, output, subject.system) }),
    ...(references.length > 0 && { externalReferences: references }),
    ...(made && made.patches.length > 0 && { pedigree: { patches: made.patches.map(patch) } }),
    ...(nested.length > 0 && { components: nested }),
    evidence: {
      identity: [
        identity('name', pname, [made?.pname == null ? by('filename', full) : by('manifest-analysis', pname)]),
        ...(version === null
          ? []
          : [
              identity('version', version, [
                ...(path === null ? [] : [how(path)]),
                ...(said === null ? [] : [by('binary-analysis', said.version)]),
              ]),
            ]),
      ],
      occurrences: occurrences(shipped, own),
    },
    properties: [
      ...propertiesOf(shipped, id, digest === null ? 'machine' : 'store'),
      ...(storePaths && told ? [{ name: 'storefree:store-path', value: toText(told.store) }] : []),
      ...(storePaths && made ? [{ name: 'storefree:derivation', value: made.derivation }] : []),
    ],
  }
  const contradiction =
    said !== null && version !== path ? { package: full, path, files: said.version, at: said.at } : null
  return { component, contradiction }
}

/** What is made for the bundle is of what made it. */
export function madeComponent(shipped: Shipped, { maker, files }: SbomOptions): Component {
  const own = shipped.of(null)
  const nested = fileComponents(shipped, own, files)
  return {
    ...toolComponent(maker),
    'bom-ref': MADE,
    ...(nested.length > 0 && { components: nested }),
    evidence: { occurrences: occurrences(shipped, own) },
  }
}

/** `storefree 0.1.0` */
export function toolComponent(tool: string): Component {
  const [, name = tool, version] = /^(\S+) (\S+)$/.exec(tool) ?? []
  return {
    type: 'application',
    'bom-ref': `tool:${tool}`,
    name,
    ...(version !== undefined && { version }),
    ...(name === 'storefree' && { purl: ecosystemPurl('npm', name, version ?? null) }),
  }
}

function propertiesOf(shipped: Shipped, id: number, origin: 'machine' | 'store'): Component['properties'] & object {
  const { packages, files } = shipped.explained
  const own = shipped.of(id)
  const bytes = own.reduce((sum, file) => sum + files[file]!.size, 0)
  return [
    { name: 'storefree:package', value: toText(packages[id]!.name) },
    { name: 'storefree:files', value: String(own.filter(file => files[file]!.type === 'file').length) },
    { name: 'storefree:bytes', value: String(bytes) },
    { name: 'storefree:shipped', value: packages[id]!.tree ? 'own tree' : 'some files' },
    { name: 'storefree:origin', value: origin },
  ]
}

function typeOf({ explained: { files, asked } }: Shipped, own: readonly number[]): Component['type'] {
  const ids = new Set(own)
  if (asked.some(a => a.kind === 'entry' && ids.has(a.to))) return 'application'
  return own.some(id => isObject(files[id]!) || files[id]!.type === 'link') ? 'library' : 'data'
}

const sourceReference = ({ url, algorithm, digest }: NonNullable<Provenance['source']>): object => ({
  type: 'source-distribution',
  url,
  ...(digest !== null && { hashes: [{ alg: algorithm === 'sha512' ? 'SHA-512' : 'SHA-256', content: digest }] }),
})

/**
 * As its authors say it; of several names it does not say whether all of them hold. One is an identifier, for not every
 * reader takes an expression (bomber#106); what no list knows is a name.
 */
function licencesOf(licence: Licence): object[] {
  const acknowledgement = 'declared'
  if ('expression' in licence && !spdxIds().has(licence.expression) && isExpression(licence.expression))
    return [{ expression: licence.expression, acknowledgement }]
  const names = 'expression' in licence ? [licence.expression] : licence.names
  return names.map(name => ({ license: { ...(spdxIds().has(name) ? { id: name } : { name }), acknowledgement } }))
}

/** nixpkgs names patches after what they mend. */
function patch(name: string): object {
  const ids = [...new Set([...name.matchAll(/CVE-\d{4}-\d{4,}/gi)].map(([id]) => id.toUpperCase()))]
  return {
    type: ids.length > 0 ? 'backport' : 'unofficial',
    diff: { text: { contentType: 'text/plain', content: name } },
    ...(ids.length > 0 && { resolves: ids.map(id => ({ type: 'security', id, name: id })) }),
  }
}
