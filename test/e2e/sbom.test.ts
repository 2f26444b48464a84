/** `bundle sbom`, `bundle --sbom`: checked by the official schemas, and by sha512sum, find and readers of their own. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  appendFileSync,
  copyFileSync,
  cpSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import Ajv from 'ajv'
import { beforeAll, describe, expect, test } from 'vitest'
import {
  bundle,
  command,
  fixture,
  fixtureEnv,
  mustBundle,
  sharedBundle,
  temporary,
  withoutNix,
} from '../support/bundle.ts'
import { storePath } from '../support/store-lab.ts'

interface Component {
  readonly type: string
  readonly 'bom-ref': string
  readonly name: string
  readonly version?: string
  readonly cpe?: string
  readonly purl?: string
  readonly licenses?: unknown
  readonly description?: string
  readonly hashes?: readonly { readonly alg: string; readonly content: string }[]
  readonly components?: readonly Component[]
  readonly properties?: readonly { readonly name: string; readonly value: string }[]
}
interface Document {
  readonly metadata: { readonly component: Component }
  readonly components: readonly Component[]
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[]
  readonly compositions: readonly {
    readonly assemblies?: readonly string[]
    readonly dependencies?: readonly string[]
  }[]
}

const withNested = (component: Component): Component[] => [
  component,
  ...(component.components ?? []).flatMap(withNested),
]
const allOf = (text: string): Component[] => (JSON.parse(text) as Document).components.flatMap(withNested)

/** The schemas as CycloneDX publishes them. */
function validator(spec: string): (text: string) => unknown {
  const directory = 'node_modules/@cyclonedx/cyclonedx-library/res/schema'
  const schema = (name: string): object =>
    JSON.parse(readFileSync(join(directory, `${name}.SNAPSHOT.schema.json`), 'utf8'))
  const ajv = new Ajv({ unknownFormats: ['iri-reference', 'idn-email'], schemaId: 'auto', logger: false })
  for (const name of ['spdx', 'jsf-0.82', 'cryptography-defs'])
    ajv.addSchema({ ...schema(name), $id: `http://cyclonedx.org/schema/${name}.SNAPSHOT.schema.json` })
  const valid = ajv.compile(schema(`bom-${spec}`))
  return text => (valid(JSON.parse(text)) ? null : valid.errors)
}

const sbom = (word: string, ...args: string[]): string => {
  const { code, stdout, stderr } = bundle(['sbom', word, ...args])
  expect(code, stderr).toBe(0)
  return stdout
}

let directory: string
let document: string
let inside: string
beforeAll(() => {
  directory = join(temporary(), 'nginx')
  mustBundle([fixture('nginx'), '--sbom', '-o', directory, '-f', 'dir'])
  document = sbom(directory)
  inside = readFileSync(join(directory, 'share/sbom/nginx-1.22.1.cdx.json'), 'utf8')
})

describe('nginx', () => {
  test('both documents fit the official schemas, and nothing in them leads nowhere', () => {
    const later = sbom(directory, '--spec', '1.7', '--files', 'objects', '--creator', 'Example Ltd <sbom@example.org>')
    expect(JSON.parse(later).metadata.manufacturer).toEqual({
      name: 'Example Ltd',
      contact: [{ email: 'sbom@example.org' }],
    })
    expect(bundle(['sbom', directory, '--creator', 'me']).code).toBe(2)
    expect(bundle(['sbom', directory, '--creator', 'Example <me>']).code).toBe(2)
    expect(validator('1.6')(document)).toBeNull()
    expect(validator('1.6')(inside)).toBeNull()
    expect(validator('1.7')(later)).toBeNull()
    // A document that is none does not pass.
    expect(validator('1.6')(document.replace('"type": "file"', '"type": "files"'))).not.toBeNull()
    for (const text of [document, inside, later]) {
      const { metadata, components, dependencies, compositions } = JSON.parse(text) as Document
      const refs = [metadata.component, ...components.flatMap(withNested)].map(c => c['bom-ref'])
      expect(new Set(refs).size).toBe(refs.length)
      const named = [
        ...dependencies.flatMap(({ ref, dependsOn }) => [ref, ...dependsOn]),
        ...compositions.flatMap(c => [...(c.assemblies ?? []), ...(c.dependencies ?? [])]),
      ]
      expect(named.filter(ref => !refs.includes(ref))).toEqual([])
    }
  })

  test('every file is in one component, with the digests that sha512sum and sha256sum find', () => {
    const sums = (tool: string): string[] =>
      execFileSync('sh', ['-c', `cd "$0" && find . -type f -exec ${tool} {} +`, directory], { encoding: 'utf8' })
        .trim()
        .split('\n')
        .map(line => line.replace(/ [ *]\.\//, ' '))
        .sort()
    const listed = (text: string, alg: string): string[] =>
      allOf(text)
        .filter(c => c.type === 'file')
        .map(c => `${c.hashes!.find(h => h.alg === alg)!.content} ${c.name}`)
        .sort()
    expect(listed(document, 'SHA-512')).toEqual(sums('sha512sum'))
    expect(listed(document, 'SHA-256')).toEqual(sums('sha256sum'))
    // It cannot list itself, nor what lists it.
    const others = sums('sha512sum').filter(line => !/ (?:bundle\.json|share\/sbom\/.*)$/.test(line))
    expect(listed(inside, 'SHA-512')).toEqual(others)
  })

  test('packages by the names that scanners know; a file knows its version better than its path', () => {
    const packages = (JSON.parse(document) as Document).components
    expect(packages.find(c => c.name === 'nginx')).toMatchObject({
      type: 'application',
      version: '1.22.1',
      purl: 'pkg:nix/nixpkgs/nginx@1.22.1?system=x86_64-linux',
      cpe: 'cpe:2.3:a:f5:nginx:1.22.1:*:*:*:*:*:*:*',
    })
    // The store path says 3.0.
    const said = execFileSync(
      'sh',
      ['-c', 'strings -a "$0" | grep -m1 "^OpenSSL [0-9]"', join(directory, 'lib/libcrypto.so.3')],
      { encoding: 'utf8' },
    ).split(' ')[1]
    expect(packages.find(c => c.name === 'openssl')).toMatchObject({ type: 'library', version: said })
    expect(bundle(['sbom', directory, '-v']).stderr).toContain(`openssl-3.0: its path says 3.0, `)
  })

  test('of a bundle, of its archive and of its target, with Nix and without: equal bytes, no store path, no hash', () => {
    const [plain, archive] = [sharedBundle('nginx'), join(temporary(), 'nginx.tar')]
    mustBundle([fixture('nginx'), '--sbom', '-o', archive])
    const { code, stdout: text } = withoutNix(process.execPath, [command, 'sbom', plain])
    expect(code).toBe(0)
    // The one in the archive was made anew, and is a file among the others.
    expect(sbom(archive) === document).toBe(true)
    const output = join(temporary(), 'target.json')
    expect(bundle(['sbom', fixture('nginx'), '-o', output])).toMatchObject({ code: 0, stdout: '' })
    expect(readFileSync(output, 'utf8') === text).toBe(true)

    const hashes = execFileSync('nix-store', ['-qR', fixture('nginx')], { env: fixtureEnv, encoding: 'utf8' })
      .trim()
      .split('\n')
      .map(path => path.slice('/nix/store/'.length, '/nix/store/'.length + 32))
    for (const each of [text, document, inside])
      expect(['/nix/store', ...hashes].filter(word => each.includes(word))).toEqual([])
  })

  test('the one in the bundle is listed and verified', () => {
    expect(bundle(['verify', directory]).code).toBe(0)
    const { files } = JSON.parse(readFileSync(join(directory, 'bundle.json'), 'utf8'))
    expect(files.map((f: { path: string }) => f.path)).toContain('share/sbom/nginx-1.22.1.cdx.json')
  })

  test('what TR-03183-2 asks for and is missing', () => {
    const { code, stdout } = bundle(['sbom', directory, '--check'])
    expect(code).toBe(1)
    expect(stdout).toMatch(/^BSI TR-03183-2 asks for these, which are missing:\n {2}creator of the document\n/)
    expect(stdout).toMatch(/^ {2}licences, of 7 of 7: nginx, /m)
    expect(stdout).not.toMatch(/SHA-512|version/)
  })
})

test('a bundle that is not as it lists itself has none', () => {
  const changed = join(temporary(), 'changed')
  cpSync(directory, changed, { recursive: true, verbatimSymlinks: true })
  appendFileSync(join(changed, 'lib/libz.so.1'), 'x')
  expect(bundle(['sbom', changed])).toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringContaining('lib/libz.so.1 is not as bundle.json lists it'),
  })
  rmSync(join(changed, 'lib/libz.so.1'))
  expect(bundle(['sbom', changed]).code).toBe(2)
  cpSync(join(directory, 'lib/libz.so.1'), join(changed, 'lib/libz.so.1'))
  symlinkSync('elsewhere', join(changed, 'link'))
  expect(bundle(['sbom', changed]).code).toBe(2)
  rmSync(join(changed, 'link'))
  writeFileSync(join(changed, 'more'), '')
  expect(bundle(['sbom', changed])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('more is not in bundle.json'),
  })
})

test('a program of Go, a Python distribution, an npm package, odd names; two packages of one name', () => {
  const scratch = temporary()
  writeFileSync(join(scratch, 'go.mod'), 'module example.org/tool\ngo 1.18\n')
  writeFileSync(join(scratch, 'main.go'), 'package main\nfunc main() { println("hello") }\n')
  execFileSync('go', ['build', '-o', 'tool', '.'], { cwd: scratch, env: { ...process.env, GOPROXY: 'off' } })
  const twins = ['red', 'blue'].map(colour => storePath('twin-1', { 'share/colour': `${colour}\n` }))
  const target = storePath('mixed-1', {
    'bin/mixed': `#!/bin/sh\ncat ${twins[0]}/share/colour ${twins[1]}/share/colour\n`,
    'bin/tool': { from: join(scratch, 'tool') },
    'share/py/Some_Thing-2.0.dist-info/METADATA': 'Name: Some_Thing\nVersion: 2.0\n\n',
    'share/js/node_modules/@a/b/package.json': '{"name":"@a/b","version":"3.0.0"}',
    'share/new\nline "quote".txt': 'text\n',
  })
  // The bundle's share is a link to its program's.
  const output = join(temporary(), 'mixed')
  mustBundle([target, '--sbom', '-o', output, '-f', 'dir'])
  expect(bundle(['verify', output]).code).toBe(0)
  expect(readdirSync(join(output, 'share/sbom'))).toEqual(['mixed-1.cdx.json'])
  const text = readFileSync(join(output, 'share/sbom/mixed-1.cdx.json'), 'utf8')
  expect(validator('1.6')(text)).toBeNull()
  const purls = allOf(text).flatMap(c => c.purl ?? [])
  expect(allOf(text).find(c => c['bom-ref'] === 'made')!.purl).toMatch(/^pkg:npm\/storefree@\d/)
  for (const purl of ['pkg:golang/example.org/tool', 'pkg:pypi/some-thing@2.0', 'pkg:npm/%40a/b@3.0.0'])
    expect(purls).toContain(purl)
  expect(allOf(text).map(c => c.name)).toContain('pkg/mixed-1/share/new\\x0aline "quote".txt')
  const refs = allOf(text).filter(c => c.name === 'twin')
  expect(refs.map(c => c.purl)).toEqual(new Array(2).fill('pkg:nix/nixpkgs/twin@1?system=x86_64-linux'))
  expect(new Set(refs.map(c => c['bom-ref'])).size).toBe(2)
  // Told apart by their digests, there and in the table.
  const rows = [...bundle(['size', output]).stdout.matchAll(/^twin-1#([0-9a-f]{4}) +1 /gm)].map(([, digest]) => digest!)
  expect(rows.sort()).toEqual(refs.map(c => c['bom-ref'].slice('twin-1#'.length, 'twin-1#'.length + 4)).sort())
})

test("a machine's program: the packages that dpkg says its files are of", () => {
  const { code, stdout, stderr } = bundle(['sbom', '/usr/bin/less'])
  expect([code, stderr]).toEqual([0, ''])
  expect(validator('1.6')(stdout)).toBeNull()
  const { components, metadata } = JSON.parse(stdout) as Document
  expect(metadata.component).toMatchObject({ name: 'less', version: components.find(c => c.name === 'less')!.version })
  const format = `\${Package} \${Version} \${Architecture}\n`
  const versions = execFileSync('dpkg-query', ['-W', '-f', format], { encoding: 'utf8' })
  for (const name of ['less', 'libc6', 'libtinfo6']) {
    const { version, purl } = components.find(c => c.name === name)!
    const arch = /arch=([^&]*)/.exec(purl!)![1]
    expect(versions.split('\n')).toContain(`${name} ${version} ${arch}`)
    expect(purl).toMatch(new RegExp(`^pkg:deb/debian/${name}@[^?]+\\?arch=\\w+&distro=debian-12`))
  }
  expect(bundle(['size', '/usr/bin/less']).stdout).toMatch(/^libc6-\d/m)
  expect(bundle(['why', '/usr/bin/less', 'libtinfo6']).code).toBe(0)
})

test('what no package manager knows is told', () => {
  const own = join(temporary(), 'own')
  copyFileSync('/usr/bin/less', own)
  const { code, stderr } = bundle(['sbom', own])
  expect(code).toBe(0)
  expect(stderr).toMatch(/^warning: of 1 files of a machine it does not say what package they are of: /m)
})

describe('what expressions say', () => {
  /** A program, the library and the data that it was made with, of which a text alone names the data. */
  const NIX = `
    let
      make = name: more: attributes: (derivation ({
        inherit name; system = "x86_64-linux"; builder = "/bin/sh"; PATH = "/bin:/usr/bin";
        args = [ "-c" "mkdir -p $out/bin $out/share; echo text > $out/share/$name; printf '#!/bin/sh\\ncat \${more}\\n' > $out/bin/$name; chmod +x $out/bin/$name" ];
      } // attributes)) // { meta = metas.\${name}; };
      metas = {
        "tool-1.2" = { license = { spdxId = "MIT"; }; homepage = [ "https://example.org/tool" ]; description = throw "no"; };
        "lib-2.0" = { license = [ { spdxId = "Zlib"; } { fullName = "Another"; } "third" ]; identifiers.cpe = "cpe:2.3:a:example:lib:2.0:*:*:*:*:*:*:*"; };
        "data-3" = { license = { fullName = "Public Domain"; free = true; check = x: x; }; description = "Data"; };
        "unasked-4" = throw "it is not of the closure";
      };
    in rec {
      data = make "data-3" "" { };
      lib = make "lib-2.0" "\${data}/share/data-3" { };
      unasked = make "unasked-4" "" { };
      tool = make "tool-1.2" "\${lib}/share/lib-2.0 \${data}/share/data-3" { buildInputs = [ lib [ unasked ] ]; inherit unasked; };
    }`
  const EXPECTED = [
    ['data', [{ license: { name: 'Public Domain', acknowledgement: 'declared' } }], undefined, 'Data'],
    [
      'lib',
      [{ id: 'Zlib' }, { name: 'Another' }, { name: 'third' }].map(one => ({
        license: { ...one, acknowledgement: 'declared' },
      })),
      'cpe:2.3:a:example:lib:2.0:*:*:*:*:*:*:*',
      undefined,
    ],
    ['tool', [{ license: { id: 'MIT', acknowledgement: 'declared' } }], undefined, undefined],
  ]
  const said = (text: string): unknown[][] => {
    expect(validator('1.6')(text)).toBeNull()
    return (JSON.parse(text) as Document).components
      .filter(c => c['bom-ref'] !== 'made')
      .map(c => [c.name, c.licenses, c.cpe, c.description])
      .sort()
  }

  test('of an attribute and what it was made with; what a text alone names by its name in the set', () => {
    const nix = join(temporary(), 'tool.nix')
    writeFileSync(nix, NIX)
    expect(said(mustBundle(['sbom', 'tool', '--file', nix]).stdout)).toEqual(EXPECTED)
    // A set that is a function, with an argument.
    writeFileSync(nix, `{ on ? false, ... }: assert on; ${NIX}`)
    expect(
      said(mustBundle(['sbom', 'tool', '--file', nix, '--nix-arg=--arg', '--nix-arg=on', '--nix-arg=true']).stdout),
    ).toEqual(EXPECTED)
  })

  test('of a flake: what it was made with, and no set', () => {
    const flake = temporary()
    writeFileSync(
      join(flake, 'flake.nix'),
      `{ outputs = { self }: { packages.x86_64-linux.default = (${NIX}).tool; }; }`,
    )
    const found = said(mustBundle(['sbom', `path:${flake}`]).stdout)
    expect(found.filter(([name]) => name !== 'data')).toEqual(EXPECTED.filter(([name]) => name !== 'data'))
  })

  test('an expression that throws where nothing can be asked alone: no licence, and a document all the same', () => {
    const nix = join(temporary(), 'tool.nix')
    writeFileSync(nix, NIX.replace('{ spdxId = "MIT"; }', '(abort "no")'))
    const found = said(mustBundle(['sbom', 'tool', '--file', nix]).stdout)
    expect(found.map(row => row[1])).toEqual([undefined, undefined, undefined])
  })
})

test('an attribute: its sources, its patches and what they mend, by its derivation; of its bundle alone neither', () => {
  const nix = join(temporary(), 'tool.nix')
  writeFileSync(
    nix,
    `{ tool = (x: x // {
      meta = {
        license = { spdxId = "MIT"; fullName = "MIT License"; }; homepage = "https://example.org/tool";
        description = throw "no"; identifiers.cpe = "cpe:2.3:a:example:tool:1.2:*:*:*:*:*:*:*";
      };
    }) (derivation {
      name = "odd-name"; pname = "tool"; version = "1.2"; system = "x86_64-linux"; builder = "/bin/sh";
      src = derivation {
        name = "tool-1.2.tar.gz"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo hello > $out" ];
        url = "https://example.org/tool-1.2.tar.gz";
        outputHashAlgo = "sha256"; outputHashMode = "flat"; outputHash = builtins.hashString "sha256" "hello\\n";
      };
      patches = [ (builtins.toFile "CVE-2023-12345.patch" "x") (builtins.toFile "fix-build.patch" "y") ];
      args = [ "-c" "PATH=/bin:/usr/bin; mkdir -p $out/bin; printf '#!/bin/sh\\n' > $out/bin/tool; chmod +x $out/bin/tool" ];
    }); }`,
  )
  const document = mustBundle(['sbom', 'tool', '--file', nix]).stdout
  expect(validator('1.6')(document)).toBeNull()
  const tool = (JSON.parse(document) as Document).components.find(c => c.name === 'tool')
  expect(tool).toMatchObject({
    version: '1.2',
    licenses: [{ license: { id: 'MIT', acknowledgement: 'declared' } }],
    cpe: 'cpe:2.3:a:example:tool:1.2:*:*:*:*:*:*:*',
    externalReferences: [
      { type: 'website', url: 'https://example.org/tool' },
      {
        type: 'source-distribution',
        url: 'https://example.org/tool-1.2.tar.gz',
        hashes: [{ alg: 'SHA-256', content: createHash('sha256').update('hello\n').digest('hex') }],
      },
    ],
    pedigree: {
      patches: [
        { type: 'backport', resolves: [{ type: 'security', id: 'CVE-2023-12345' }] },
        { type: 'unofficial', diff: { text: { content: 'fix-build.patch' } } },
      ],
    },
  })
  expect(document).not.toMatch(/\/nix\/store|[0-9a-df-np-sv-z]{32}-/)
  expect(mustBundle(['sbom', 'tool', '--file', nix]).stdout).toBe(document)
  const output = join(temporary(), 'out')
  mustBundle(['tool', '--file', nix, '-f', 'dir', '-o', output, '-q'])
  const after = JSON.parse(bundle(['sbom', output]).stdout) as Document
  expect(after.components.map(c => [c.name, 'pedigree' in c])).toEqual([
    ['odd-name', false],
    ['storefree', false],
  ])
})
