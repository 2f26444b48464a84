/**
 * A bundle's bill of materials: CycloneDX 1.6 or 1.7, as JSON. Its components are the packages that files of the bundle
 * are of, below them those files, and what is known to be in these; its dependencies are what files need of each other,
 * not, unless that is asked for, what Nix keeps. Equal bundles give equal bytes. Pure.
 */
import { createHash } from 'node:crypto'
import type { Explained } from '../../model/explained.ts'
import type { Component, Contents, Contradiction, Sbom, SbomOptions } from '../../model/sbom.ts'
import { toText } from '../../paths.ts'
import { madeComponent, packageComponent, toolComponent } from './package.ts'
import { compositions, dependencies } from './relations.ts'
import { ROOT, Shipped } from './shipped.ts'

export function sbomOf(
  explained: Explained,
  contents: ReadonlyMap<string, Contents>,
  options: SbomOptions,
): { sbom: Sbom; contradictions: readonly Contradiction[] } {
  const shipped = new Shipped(explained, contents)
  const described = [...shipped.refs.keys()].map(id => packageComponent(shipped, id, options))
  const components = described.map(({ component }) => component)
  if (shipped.hasMade) components.push(madeComponent(shipped, options))
  const { timestamp, tool, creator } = options
  const sbom = {
    metadata: {
      timestamp,
      lifecycles: [{ phase: 'post-build' }],
      tools: { components: [toolComponent(tool)] },
      ...(creator !== undefined && { manufacturer: organization(creator) }),
      component: rootComponent(shipped, options),
    },
    components,
    dependencies: dependencies(shipped, options),
    compositions: compositions(shipped, components, options),
  }
  return { sbom, contradictions: described.flatMap(({ contradiction }) => contradiction ?? []) }
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

function rootComponent({ explained, refs }: Shipped, { edges }: SbomOptions): Component {
  const { subject, packages } = explained
  const { name, system } = subject
  const version = subject.version ?? machineVersion(explained)
  const absent = packages.flatMap((p, id) => (refs.has(id) ? [] : [toText(p.name)]))
  return {
    type: 'application',
    'bom-ref': ROOT,
    name,
    ...(version !== null && { version }),
    properties: [
      { name: 'storefree:system', value: system },
      ...(edges === 'nix' ? [{ name: 'storefree:dependencies', value: 'what Nix keeps' }] : []),
      ...absent.map(value => ({ name: 'storefree:stayed-out', value })),
    ],
  }
}

/** That of the one package of the machine whose programs these are. */
function machineVersion({ asked, packages, files }: Explained): string | null {
  const owners = new Set(asked.filter(a => a.kind === 'entry').map(({ to }) => files[to]?.package ?? null))
  const [only = null, another] = owners
  return only === null || another !== undefined ? null : (packages[only]!.machine?.version ?? null)
}

/** `https://example.org`, `sbom@example.org`, `Example Ltd <sbom@example.org>` */
function organization(creator: string): object {
  const [, name, address = creator] = /^([^<>]+?) *<([^<>]+)>$/.exec(creator) ?? []
  return {
    ...(name !== undefined && { name }),
    ...(/^https?:/.test(address) ? { url: [address] } : { contact: [{ email: address }] }),
  }
}
