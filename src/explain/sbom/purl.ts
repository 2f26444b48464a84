/** Package URLs (purl-spec). Never `pkg:generic`: scanners take the name of such a one for an ecosystem. Pure. */

import type { MachinePackage } from '../../model/machine.ts'
import type { Ecosystem, Inside } from '../../model/sbom.ts'

/**
 * A package of nixpkgs by its name. There is no settled form for Nix: this is the one of the open draft (purl-spec pull
 * request 877), whose namespace is where the package comes from.
 */
export const nixPurl = (pname: string, version: string | null, output: string | null, system: string): string =>
  purl('nix', ['nixpkgs', pname], version, { ...(output !== null && { output }), system })

/** A package of a distribution; scanners find its vulnerabilities by its source (`upstream`) and release (`distro`). */
export function machinePurl({ manager, name, version, arch, source, distro }: MachinePackage): string {
  const namespace = distro?.replace(/-[^-]*$/, '') ?? DISTRIBUTIONS[manager]
  // An epoch is a qualifier of an rpm, and part of a deb's version.
  const [, epoch, rest = version] = (manager === 'rpm' ? /^(\d+):(.*)$/.exec(version) : null) ?? []
  const qualifiers = {
    ...(arch !== null && { arch }),
    ...(epoch !== undefined && { epoch }),
    ...(distro !== null && { distro }),
    ...(source !== null && { upstream: source }),
  }
  return purl(manager, [namespace, name], rest, qualifiers)
}

const DISTRIBUTIONS: Readonly<Record<MachinePackage['manager'], string>> = {
  deb: 'debian',
  apk: 'alpine',
  rpm: 'fedora',
}

/** Of a package that is in a file; null where its ecosystem has no type, or a distribution's is not named. */
export function insidePurl({ ecosystem, name, version, vendor, arch }: Inside): string | null {
  if (ecosystem === null) return null
  if (!DISTRIBUTED.has(ecosystem)) return ecosystemPurl(ecosystem, name, version)
  return vendor === undefined ? null : purl(ecosystem, [vendor, name], version, { ...(arch !== undefined && { arch }) })
}

/** Types whose packages are a distribution's. */
const DISTRIBUTED: ReadonlySet<Ecosystem> = new Set(['deb', 'rpm', 'apk', 'alpm'])

/** @param name as its ecosystem has it: `github.com/a/b`, `@scope/name` */
export function ecosystemPurl(ecosystem: Ecosystem, name: string, version: string | null): string {
  // Each type has its own rules for what is one name: purl-spec, types/.
  const own =
    ecosystem === 'pypi'
      ? name.toLowerCase().replace(/[_.]+/g, '-')
      : ecosystem === 'golang'
        ? name.toLowerCase()
        : name
  return purl(ecosystem, own.split('/'), version, {})
}

function purl(
  type: string,
  path: readonly string[],
  version: string | null,
  qualifiers: Readonly<Record<string, string>>,
): string {
  const pairs = Object.entries(qualifiers)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${encoded(value)}`)
  const end = `${version === null ? '' : `@${encoded(version)}`}${pairs.length > 0 ? `?${pairs.join('&')}` : ''}`
  return `pkg:${type}/${path
    .filter(part => part !== '')
    .map(encoded)
    .join('/')}${end}`
}

const encoded = (text: string): string =>
  encodeURIComponent(text.replace(/\p{Surrogate}/gu, '\ufffd'))
    .replace(/[!'()*]/g, c => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%3A', ':')
