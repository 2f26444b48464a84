/** A bill of materials: names that scanners know, what files say of themselves, the document. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { deflateSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { missingIn, missingText } from '../src/explain/sbom/check.ts'
import { cpeOf, PRODUCTS } from '../src/explain/sbom/cpe.ts'
import { sbomOf, sbomText } from '../src/explain/sbom/document.ts'
import { insideOf, isAccount, versionIn } from '../src/explain/sbom/inside.ts'
import { ecosystemPurl, insidePurl, machinePurl, nixPurl } from '../src/explain/sbom/purl.ts'
import { isExpression, spdxIds } from '../src/explain/sbom/spdx.ts'
import type { Explained, ExplainedFile, ExplainedPackage } from '../src/model/explained.ts'
import type { Contents, SbomOptions, Told } from '../src/model/sbom.ts'
import type { BundlePath } from '../src/paths.ts'
import { temporary } from './support/bundle.ts'

describe('CPE', () => {
  test.each(Object.entries(PRODUCTS))('%s', (pname, [vendor, product]) => {
    expect(vendor).toMatch(/^[a-z0-9][a-z0-9._-]*$/)
    expect(product).toMatch(/^[a-z0-9][a-z0-9._-]*$/)
    // 13 fields, of which none is empty (NISTIR 7695, 6.2).
    expect(cpeOf(pname, '1.2')).toMatch(/^cpe:2\.3:a(?::(?:[^:\\]|\\.)+){10}$/)
  })

  test('versions', () => {
    expect(cpeOf('openssl', '1.1.1w')).toBe('cpe:2.3:a:openssl:openssl:1.1.1w:*:*:*:*:*:*:*')
    expect(cpeOf('openssh', '9.2p1')).toBe('cpe:2.3:a:openbsd:openssh:9.2:p1:*:*:*:*:*:*')
    for (const version of ['5.2p37', '5.2-p37', '5.2.37'])
      expect(cpeOf('bash', version)).toBe('cpe:2.3:a:gnu:bash:5.2.37:*:*:*:*:*:*:*')
    expect(cpeOf('glib', '2.80+git:1')).toBe('cpe:2.3:a:gnome:glib:2.80\\+git\\:1:*:*:*:*:*:*:*')
    expect(cpeOf('zlib', '1.3-unstable-2024-01-01')).toBe('cpe:2.3:a:zlib:zlib:1.3:*:*:*:*:*:*:*')
  })

  test('no guess: what the table does not have, and what has no version, has none', () => {
    // tiiuae/sbomnix#239: air, which reloads Go programs, was Adobe's.
    expect(cpeOf('air', '1.61.7')).toBeNull()
    for (const name of ['libxcrypt', 'constructor', '__proto__', 'hex', '']) expect(cpeOf(name, '1')).toBeNull()
    expect(cpeOf('openssl', null)).toBeNull()
    expect(cpeOf('openssl', 'latest')).toBeNull()
  })
})

describe('package URLs', () => {
  test('of nixpkgs, in the form of the draft', () => {
    expect(nixPurl('openssl', '3.0.22', 'bin', 'x86_64-linux')).toBe(
      'pkg:nix/nixpkgs/openssl@3.0.22?output=bin&system=x86_64-linux',
    )
    expect(nixPurl('gtk+', '3.24+x', null, 'x86_64-linux')).toBe('pkg:nix/nixpkgs/gtk%2B@3.24%2Bx?system=x86_64-linux')
  })

  test("of distributions: an rpm's epoch is a qualifier, a deb's is in its version", () => {
    const of = { name: 'tiny', version: '2:1.5-3', arch: 'noarch', source: null, distro: 'fedora-41' }
    expect(machinePurl({ ...of, manager: 'rpm' })).toBe(
      'pkg:rpm/fedora/tiny@1.5-3?arch=noarch&distro=fedora-41&epoch=2',
    )
    expect(machinePurl({ ...of, manager: 'deb' })).toBe('pkg:deb/fedora/tiny@2:1.5-3?arch=noarch&distro=fedora-41')
  })

  test('of other ecosystems, by the rules of each', () => {
    expect(ecosystemPurl('npm', '@babel/core', '7.0.0')).toBe('pkg:npm/%40babel/core@7.0.0')
    expect(ecosystemPurl('pypi', 'Ruamel.Yaml_x', '1.0')).toBe('pkg:pypi/ruamel-yaml-x@1.0')
    expect(ecosystemPurl('golang', 'github.com/BurntSushi/toml', 'v1.2.0')).toBe(
      'pkg:golang/github.com/burntsushi/toml@v1.2.0',
    )
    expect(ecosystemPurl('cargo', 'serde', null)).toBe('pkg:cargo/serde')
  })

  test('any name is one', () => {
    fc.assert(
      fc.property(fc.string(), fc.string({ unit: 'binary', maxLength: 9 }), (name, version) => {
        expect(nixPurl(`a${name}`, version, null, 'any')).toMatch(
          /^pkg:nix\/nixpkgs\/[\w.~:%-]+@[\w.~:%-]*\?system=any$/,
        )
      }),
    )
  })
})

describe('what files say of themselves', () => {
  test("Go's own command lists the same modules of a program", () => {
    const directory = temporary()
    writeFileSync(join(directory, 'go.mod'), 'module example.org/hello\ngo 1.18\n')
    writeFileSync(join(directory, 'main.go'), 'package main\nfunc main() { println("hello") }\n')
    const options = { cwd: directory, env: { ...process.env, GOFLAGS: '-mod=mod', GOPROXY: 'off' } }
    execFileSync('go', ['build', '-o', 'hello', '.'], options)
    const [first, ...listed] = execFileSync('go', ['version', '-m', 'hello'], { ...options, encoding: 'utf8' }).split(
      '\n',
    )
    const modules = listed.map(line => line.split('\t').slice(1)).filter(([what]) => what === 'mod' || what === 'dep')
    const bytes = readFileSync(join(directory, 'hello'))
    expect(insideOf('bin/hello', bytes)).toEqual([
      ...modules.map(([, name, version]) => ({
        ecosystem: 'golang',
        name,
        version: version === '(devel)' ? null : version,
      })),
      { ecosystem: 'golang', name: 'stdlib', version: /go([\d.]+)/.exec(first!)![1] },
    ])
    // Cut off anywhere it says nothing, or less.
    const at = bytes.indexOf('\xff Go buildinf:', 0, 'latin1')
    for (let end = at; end < at + 200; end++) insideOf('bin/hello', bytes.subarray(0, end))
  })

  test('modules of Go that replace others, and checksums', () => {
    const text =
      'path\tx\nmod\ta.b/c\tv1.0.0\th1:x=\ndep\tgithub.com/d/e\tv1.1.0\n=>\tgithub.com/f/e\tv1.1.1\th1:y=\ndep\tg.h/i\tv2.0.0\n=>\t./local\t\n'
    expect(insideOf('bin/x', goProgram('go1.22.1 X:loopvar', text))).toEqual([
      { ecosystem: 'golang', name: 'a.b/c', version: 'v1.0.0' },
      { ecosystem: 'golang', name: 'github.com/f/e', version: 'v1.1.1' },
      { ecosystem: 'golang', name: 'g.h/i', version: null },
      { ecosystem: 'golang', name: 'stdlib', version: '1.22.1' },
    ])
  })

  test("cargo-auditable's list, in a section that objcopy made", () => {
    const directory = temporary()
    const list = {
      packages: [
        { name: 'hello', version: '0.1.0', source: 'local', root: true },
        { name: 'serde', version: '1.0.200', source: 'crates.io' },
        { name: 'cc', version: '1.0.0', source: 'crates.io', kind: 'build' },
        { name: 3 },
      ],
    }
    writeFileSync(join(directory, 'list'), deflateSync(JSON.stringify(list)))
    execFileSync('cc', ['-x', 'c', '-', '-o', 'plain'], { cwd: directory, input: 'int main(void) { return 0; }' })
    execFileSync('objcopy', ['--add-section', '.dep-v0=list', 'plain', 'hello'], { cwd: directory })
    expect(insideOf('bin/hello', readFileSync(join(directory, 'hello')))).toEqual([
      { ecosystem: 'cargo', name: 'hello', version: '0.1.0' },
      { ecosystem: 'cargo', name: 'serde', version: '1.0.200' },
    ])
    writeFileSync(join(directory, 'list'), 'no zlib')
    execFileSync('objcopy', ['--add-section', '.dep-v0=list', 'plain', 'hello'], { cwd: directory })
    expect(insideOf('bin/hello', readFileSync(join(directory, 'hello')))).toEqual([])
  })

  test("a distribution's package note (systemd's ELF_PACKAGE_METADATA)", () => {
    const directory = temporary()
    const note = { type: 'deb', os: 'debian', name: 'hello', version: '2.10-3', architecture: 'amd64' }
    writeFileSync(join(directory, 'note'), noteOf(JSON.stringify(note)))
    execFileSync('cc', ['-x', 'c', '-', '-o', 'plain'], { cwd: directory, input: 'int main(void) { return 0; }' })
    execFileSync('objcopy', ['--add-section', '.note.package=note', 'plain', 'hello'], { cwd: directory })
    const bytes = readFileSync(join(directory, 'hello'))
    const [found] = insideOf('bin/hello', bytes)
    expect(found).toEqual({ ecosystem: 'deb', name: 'hello', version: '2.10-3', vendor: 'debian', arch: 'amd64' })
    expect(insidePurl(found!)).toBe('pkg:deb/debian/hello@2.10-3?arch=amd64')
    for (const text of ['', '{', '[]', '{"name":1}', '{"name":"two words"}', 'x'.repeat(9)]) {
      writeFileSync(join(directory, 'note'), noteOf(text))
      execFileSync('objcopy', ['--update-section', '.note.package=note', 'hello'], { cwd: directory })
      expect(insideOf('bin/hello', readFileSync(join(directory, 'hello')))).toEqual([])
    }
    const unknown = { ecosystem: null, name: 'a', version: '1' }
    expect(insidePurl(unknown)).toBeNull()
  })

  test('Python and Node packages', () => {
    const metadata = 'Metadata-Version: 2.1\nName: Jinja2\nVersion: 3.1.2\n\nName: of the description\n'
    expect(insideOf('lib/python3.11/site-packages/Jinja2-3.1.2.dist-info/METADATA', Buffer.from(metadata))).toEqual([
      { ecosystem: 'pypi', name: 'Jinja2', version: '3.1.2' },
    ])
    const npm = (at: string, text: string) => (isAccount(at) ? insideOf(at, Buffer.from(text)) : null)
    const at = 'lib/node_modules/x/node_modules/@a/b/package.json'
    expect(npm(at, '{"name":"@a/b","version":"1.0.0"}')).toEqual([{ ecosystem: 'npm', name: '@a/b', version: '1.0.0' }])
    for (const text of ['', '[]', 'null', '{"name":"a/b/c","version":"1"}', '{"name":"a"}', '{"name":1,"version":"1"}'])
      expect(npm(at, text)).toEqual([])
    // Test data of a package is none.
    expect(npm('lib/node_modules/x/test/package.json', '{"name":"y","version":"1"}')).toBeNull()
  })

  test('versions of C libraries: one, or none', () => {
    const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')
    expect(versionIn('openssl', bytes('\0OpenSSL 3.0.22 25 Aug 2026\0..\0OpenSSL 3.0.22 25 Aug 2026\0'))).toBe('3.0.22')
    expect(versionIn('openssl', bytes('\0OpenSSL 3.0.22 25 Aug 2026\0OpenSSL 3.0.1 1 Aug 2025\0'))).toBeNull()
    expect(versionIn('openssl', bytes('needs OpenSSL 3.0.22 or later'))).toBeNull()
    expect(versionIn('zlib', bytes(' deflate 1.2.13 Copyright 1995-2022 Jean-loup Gailly'))).toBe('1.2.13')
    expect(versionIn('nosuch', bytes('\x001.2\0'))).toBeNull()
  })

  test('of any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.boolean(), (random, isElf) => {
        const head = isElf ? '\x7fELF\x02\x01' : '\xff Go buildinf:\x08\x02'
        const bytes = Buffer.concat([Buffer.from(head.padEnd(32, '\0'), 'latin1'), random])
        for (const at of ['bin/a', 'a.dist-info/METADATA', 'node_modules/a/package.json']) insideOf(at, bytes)
      }),
    )
  })
})

/** As the linker writes it for --package-metadata. */
function noteOf(text: string): Buffer {
  const head = Buffer.alloc(12)
  const body = Buffer.from(`${text}\0`, 'utf8')
  for (const [at, value] of [4, body.length, 0xcafe1a7e].entries()) head.writeUInt32LE(value, at * 4)
  return Buffer.concat([head, Buffer.from('FDO\0', 'latin1'), body, Buffer.alloc(-body.length & 3)])
}

/** A program's bytes with Go's build information of its release and modules. */
function goProgram(release: string, modules: string): Buffer {
  const string = (text: string): Buffer => {
    const length: number[] = []
    let rest = text.length
    for (; rest > 127; rest >>= 7) length.push((rest & 127) | 128)
    return Buffer.concat([Buffer.from([...length, rest]), Buffer.from(text, 'latin1')])
  }
  const mark = 'm'.repeat(16)
  const head = Buffer.from('\xff Go buildinf:\x08\x02'.padEnd(32, '\0'), 'latin1')
  return Buffer.concat([Buffer.alloc(64), head, string(release), string(`${mark}${modules}${mark}`)])
}

describe('licences', () => {
  test('the identifiers are those that the schemas take', () => {
    const schema = 'node_modules/@cyclonedx/cyclonedx-library/res/schema/spdx.SNAPSHOT.schema.json'
    expect([...spdxIds()]).toEqual(JSON.parse(readFileSync(schema, 'utf8')).enum)
  })

  test('an expression is one of known identifiers', () => {
    for (const text of ['MIT', 'MIT OR Apache-2.0', 'GPL-2.0-or-later WITH Classpath-exception-2.0'])
      expect(isExpression(text)).toBe(true)
    for (const text of ['', 'non-standard', 'MIT OR mine', 'MIT OR', 'MIT, Apache-2.0'])
      expect(isExpression(text)).toBe(false)
  })
})

describe('the document', () => {
  const OPTIONS: SbomOptions = {
    spec: '1.6',
    files: 'all',
    edges: 'files',
    storePaths: false,
    timestamp: '1970-01-01T00:00:01Z',
    maker: 'storefree 0.1.0',
    tool: 'storefree 0.1.0',
  }
  const pack = (name: string, digest: string | null): ExplainedPackage => ({
    ...{ name, digest, store: null, machine: null, tree: false, nar: null, references: [], kept: [], keptCount: 0 },
  })
  const file = (at: string, owner: number | null, role: ExplainedFile['role'] = 'library'): ExplainedFile => ({
    ...{ at: at as BundlePath, type: 'file', size: 1, role, package: owner, part: at },
  })
  const contents = (version: string | null = null): Contents => ({
    ...{ sha256: 'a'.repeat(64), sha512: 'b'.repeat(128), executable: true, archive: false, inside: [], version },
  })
  const explained: Explained = {
    subject: { kind: 'bundle', name: 'app', version: null, system: 'x86_64-linux', digest: null },
    packages: [pack('app-1', '01'), pack('openssl-3.0', '02'), pack('openssl-3.0', '03'), pack('gcc-12', '04')],
    files: [file('bin/app', 0, 'program'), file('lib/a\xff.so', 1), file('lib/b.so', 2), file('made', null, 'made')],
    directories: [],
    needs: [
      { from: 0, to: 1, kind: 'needed', name: 'a.so', via: 'RUNPATH[0]', at: [], count: 1 },
      { from: 1, to: 2, kind: 'dlopen', name: 'b.so', via: null, at: [], count: 1 },
    ],
    asked: [{ kind: 'entry', name: 'app', to: 0 }],
    closure: false,
  }
  const read = new Map([
    ['bin/app', contents()],
    ['lib/a\xff.so', contents('3.0.22')],
    ['lib/b.so', contents()],
    ['made', contents()],
  ])

  test('two packages of one name are two components; a file knows better than a path; who needs what', () => {
    const { sbom, contradictions } = sbomOf(explained, read, OPTIONS)
    expect(sbom.components.map(c => [c.type, c['bom-ref'], c.version])).toEqual([
      ['application', 'app-1#01', '1'],
      ['library', 'openssl-3.0#02', '3.0.22'],
      ['library', 'openssl-3.0#03', '3.0'],
      ['application', 'made', '0.1.0'],
    ])
    expect(contradictions).toEqual([{ package: 'openssl-3.0', path: '3.0', files: '3.0.22', at: 'lib/a\xff.so' }])
    expect(sbom.dependencies).toEqual([
      { ref: 'bundle', dependsOn: ['app-1#01', 'made'] },
      { ref: 'app-1#01', dependsOn: ['openssl-3.0#02'] },
      { ref: 'openssl-3.0#02', dependsOn: ['openssl-3.0#03'] },
      { ref: 'openssl-3.0#03', dependsOn: [] },
      { ref: 'made', dependsOn: [] },
    ])
    expect(sbom.components[1]).toMatchObject({
      components: [
        { name: 'lib/a\\xff.so', 'bom-ref': `file:base64:${Buffer.from('lib/a\xff.so', 'latin1').toString('base64')}` },
      ],
      evidence: { occurrences: [{ additionalContext: 'needed by bin/app, RUNPATH[0]' }] },
    })
    // What stayed out is told, and is no component.
    expect(sbom.metadata.component.properties).toContainEqual({ name: 'storefree:stayed-out', value: 'gcc-12' })
  })

  test('what Nix keeps, through packages without a file here; store paths only where they are asked for', () => {
    const store = (name: string): string => `/nix/store/${'a'.repeat(32)}-${name}`
    const said = (name: string, ...references: string[]): Told => ({
      ...{ store: store(name), made: null, meta: null, references },
    })
    // app keeps gcc, of which no file is here, and by that the second openssl; and itself.
    const told = new Map([
      ['01', said('app-1', '04', '01')],
      ['02', said('openssl-3.0')],
      ['03', said('openssl-3.0')],
      ['04', said('gcc-12', '03', '01', '04')],
    ])
    const options: SbomOptions = { ...OPTIONS, told, edges: 'nix' }
    const { sbom } = sbomOf(explained, read, options)
    expect(sbom.dependencies.slice(0, 3)).toEqual([
      { ref: 'bundle', dependsOn: ['app-1#01', 'openssl-3.0#02', 'made'] },
      { ref: 'app-1#01', dependsOn: ['openssl-3.0#03'] },
      { ref: 'openssl-3.0#02', dependsOn: [] },
    ])
    expect(sbomText(sbom, options)).not.toContain('/nix/store')
    const open = sbomOf(explained, read, { ...options, storePaths: true }).sbom
    expect(open.components[0]!.properties).toContainEqual({ name: 'storefree:store-path', value: store('app-1') })
  })

  test('its number is that of its contents; what of it is for TR-03183-2', () => {
    const text = (options: SbomOptions): string => sbomText(sbomOf(explained, read, options).sbom, options)
    expect(text(OPTIONS)).toBe(text(OPTIONS))
    const number = (options: SbomOptions): string => JSON.parse(text(options)).serialNumber
    expect(number(OPTIONS)).toMatch(/^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(number({ ...OPTIONS, files: 'none' })).not.toBe(number(OPTIONS))

    const missing = missingIn(sbomOf(explained, read, OPTIONS).sbom)
    expect(missing.map(({ what, count, of }) => [what, count, of])).toEqual([
      ['creator of the document', 1, 1],
      ['creator', 4, 4],
      ['licences', 4, 4],
    ])
    expect(missingText(missing)).toContain('  creator, of 4 of 4: app, openssl, openssl, ...')
    const known = missingIn(sbomOf(explained, read, { ...OPTIONS, creator: 'https://example.org' }).sbom)
    expect(known.map(({ what }) => what)).toEqual(['creator', 'licences'])
    const none = { ...OPTIONS, files: 'none' as const }
    expect(missingText(missingIn(sbomOf(explained, read, none).sbom))).toContain('  file names and SHA-512')
  })
})
