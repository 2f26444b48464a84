/** Of which package of a machine a file is: databases of dpkg and apk made by hand, and a tool in rpm's place. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { machinePurl } from '../src/explain/sbom/purl.ts'
import type { SourcePath } from '../src/paths.ts'
import { ownersOf } from '../src/scan/owners.ts'
import { run, temporary } from './support/bundle.ts'

const path = process.env.PATH
afterEach(() => {
  process.env.PATH = path
})

function machine(files: Readonly<Record<string, string>>): string {
  const root = temporary()
  for (const [at, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, at)), { recursive: true })
    writeFileSync(join(root, at), text)
  }
  return root
}

const LESS = '/usr/bin/less' as SourcePath
const TINFO = '/usr/lib/x86_64-linux-gnu/libtinfo.so.6.4' as SourcePath

test('dpkg: a merged /usr, a package of several CPUs, sources, what is removed, what is nobody’s', async () => {
  const root = machine({
    'etc/os-release': 'PRETTY_NAME="Debian"\nVERSION_ID="12"\nID=debian\n',
    'var/lib/dpkg/status': [
      'Package: less\nStatus: install ok installed\nArchitecture: amd64\nVersion: 590-2.1~deb12u2\n',
      'Package: libtinfo6\nStatus: install ok installed\nArchitecture: amd64\nSource: ncurses (6.4)\nVersion: 1:6.4-4+b1\n',
      'Package: libtinfo6\nStatus: install ok installed\nArchitecture: i386\nSource: ncurses\nVersion: 1:6.4-4\n',
      'Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n',
    ].join('\n'),
    'var/lib/dpkg/info/less.list': '/.\n/bin/less\n',
    'var/lib/dpkg/info/libtinfo6:amd64.list': '/lib/x86_64-linux-gnu/libtinfo.so.6.4\n',
    'var/lib/dpkg/info/libtinfo6:i386.list': '/lib/i386-linux-gnu/libtinfo.so.6.4\n',
    'var/lib/dpkg/info/gone.list': '/usr/bin/gone\n',
  })
  const asked = [LESS, TINFO, '/usr/bin/gone', '/opt/mine', `/nix/store/${'b'.repeat(32)}-x/bin/x`] as SourcePath[]
  const owners = await ownersOf(asked, root)
  expect([...owners].map(([file, owner]) => [file, machinePurl(owner)])).toEqual([
    [LESS, 'pkg:deb/debian/less@590-2.1~deb12u2?arch=amd64&distro=debian-12'],
    [TINFO, 'pkg:deb/debian/libtinfo6@1:6.4-4%2Bb1?arch=amd64&distro=debian-12&upstream=ncurses'],
  ])
})

test('apk: paragraphs of letters, files below their directories', async () => {
  const root = machine({
    'etc/os-release': 'ID=alpine\nVERSION_ID=3.20.1\n',
    'lib/apk/db/installed': [
      'C:Q1x=\nP:musl\nV:1.2.5-r0\nA:x86_64\no:musl\nF:lib\nR:ld-musl-x86_64.so.1\nZ:Q1y=\n',
      'P:busybox-binsh\nV:1.36.1-r29\nA:x86_64\no:busybox\nF:bin\nR:sh\nF:\nR:top\n',
      'P:no-version\nF:usr/bin\nR:less\n',
    ].join('\n'),
  })
  const owners = await ownersOf(['/lib/ld-musl-x86_64.so.1', '/bin/sh', '/top', LESS] as SourcePath[], root)
  expect([...owners].map(([file, owner]) => [file, machinePurl(owner)])).toEqual([
    ['/lib/ld-musl-x86_64.so.1', 'pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64&distro=alpine-3.20.1'],
    ['/bin/sh', 'pkg:apk/alpine/busybox-binsh@1.36.1-r29?arch=x86_64&distro=alpine-3.20.1&upstream=busybox'],
    ['/top', 'pkg:apk/alpine/busybox-binsh@1.36.1-r29?arch=x86_64&distro=alpine-3.20.1&upstream=busybox'],
  ])
})

test('rpm is asked, where it has a database; without rpm nothing is known', async () => {
  const root = machine({ 'etc/os-release': 'ID=fedora\nVERSION_ID=40\n', 'var/lib/rpm/rpmdb.sqlite': '' })
  const bin = temporary()
  writeFileSync(
    join(bin, 'rpm'),
    `#!/bin/sh\nfor file; do :; done\ncase $file in /usr/bin/less) printf 'less\\t643-4.fc40\\tx86_64\\tless-643-4.fc40.src.rpm\\n';; */libtinfo*) printf 'ncurses-libs\\t1:6.4-12\\tx86_64\\tncurses-6.4-12.src.rpm\\nother\\t1\\tx\\ty\\n';; *) echo "file $file is not owned by any package"; exit 1;; esac\n`,
  )
  chmodSync(join(bin, 'rpm'), 0o755)
  process.env.PATH = `${bin}:${path}`
  const asked = [LESS, TINFO, '/opt/mine'] as SourcePath[]
  const purls = [...(await ownersOf(asked, root))].map(([, owner]) => machinePurl(owner))
  expect(purls).toEqual([
    'pkg:rpm/fedora/less@643-4.fc40?arch=x86_64&distro=fedora-40',
    'pkg:rpm/fedora/ncurses-libs@6.4-12?arch=x86_64&distro=fedora-40&epoch=1&upstream=ncurses',
  ])
  process.env.PATH = temporary()
  expect(await ownersOf(asked, root)).toEqual(new Map())
})

test('of this machine: as dpkg-query says it', async () => {
  const asked = ['/usr/bin/less', '/usr/bin/gzip', '/usr/bin/perl'].map(p => run('realpath', [p]).stdout.trim())
  for (const [file, { name, version, arch }] of await ownersOf(asked as SourcePath[])) {
    const searched = run('sh', ['-c', `dpkg -S ${file} 2>/dev/null || dpkg -S ${file.replace('/usr', '')}`]).stdout
    expect(searched.split(':')[0]).toBe(name)
    expect(run('sh', ['-c', `dpkg-query -W -f '\${Version} \${Architecture}' ${name}`]).stdout).toBe(
      `${version} ${arch}`,
    )
  }
})

test('databases that are damaged say nothing', async () => {
  const root = machine({
    'etc/os-release': '\0=\nID=\n',
    'var/lib/dpkg/status': '\0\0Package\n\nPackage: x\n\nStatus: install ok installed\n',
    'var/lib/dpkg/info/x.list': '/usr/bin/less\n',
    'lib/apk/db/installed': 'R:less\n\n\n:\nP:\nV:\nF:usr/bin\nR:less\n',
  })
  expect((await ownersOf([LESS], root)).size).toBeLessThanOrEqual(1)
  expect(await ownersOf([LESS], temporary())).toEqual(new Map())
})
