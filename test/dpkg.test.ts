/** What dpkg's database says of programs of a machine: a database made by hand, of files that are there. */
import { mkdirSync, realpathSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { remembering } from '../src/io/store.ts'
import type { SourcePath } from '../src/paths.ts'
import { directoriesOf, dpkgOwned, dpkgOwners } from '../src/scan/dpkg.ts'
import { temporary } from './support/bundle.ts'

/** Files that each Debian has: of base-files and of perl-base. */
const DATA = ['/usr/lib/os-release', '/usr/share/common-licenses/GPL-3']
const program = realpathSync('/usr/bin/perl') as SourcePath

function database(packages: Readonly<Record<string, { source?: string; status?: string; files: readonly string[] }>>) {
  const admin = temporary()
  mkdirSync(join(admin, 'info'))
  const status = Object.entries(packages).map(([name, { source, status = 'install ok installed', files }]) => {
    writeFileSync(join(admin, `info/${name}.list`), `/.\n/usr\n${files.join('\n')}\n`)
    const package_ = name.replace(/:.*/, '')
    return `Package: ${package_}\nStatus: ${status}\n${source === undefined ? '' : `Source: ${source} (1.0)\n`}Description: x\n Package: y\n`
  })
  writeFileSync(join(admin, 'status'), status.join('\n'))
  return admin
}

test('the files of its package, and of those that are built of the same source', () => {
  const admin = database({
    'tool-bin': {
      source: 'tool',
      files: [program, '/usr/share/doc/tool/README', '/usr/lib/x86_64-linux-gnu/libx.so.1'],
    },
    'libtool1:amd64': { source: 'tool', files: [DATA[0]!, '/usr/lib/is/not/there'] },
    'tool-doc': { source: 'tool', files: ['/usr/share/perl5'] },
    another: { files: [DATA[1]!] },
    'tool-removed': { source: 'tool', status: 'deinstall ok config-files', files: [DATA[1]!] },
  })
  expect(dpkgOwned([program], admin)).toEqual(
    new Map([[program, { packages: ['tool-bin', 'libtool1'], data: [DATA[0]!] }]]),
  )
})

test('a program in /bin of a package lies in /usr/bin of a machine with a merged /usr', () => {
  const admin = database({ tool: { files: [program.replace(/^\/usr/, ''), DATA[1]!] } })
  expect(dpkgOwned([program], admin).get(program)?.data).toEqual([DATA[1]!])
})

test('of what no package has there is nothing to say, nor where there is no dpkg', () => {
  const admin = database({ tool: { files: ['/usr/bin/tool'] } })
  const others = ['/usr/bin/other', '/usr/local/bin/tool', '/home/me/tool'] as SourcePath[]
  expect(dpkgOwned(others, admin).size).toBe(0)
  expect(dpkgOwned([program], join(admin, 'none')).size).toBe(0)
  expect(dpkgOwned([program], temporary()).size).toBe(0)
})

test('what was installed since is known the next time, not while things are remembered', () => {
  const admin = database({ other: { files: [DATA[1]!] } })
  const owner = () => dpkgOwners([program], admin).get(program)
  const install = (source: string): void => {
    writeFileSync(join(admin, 'info/tool.list'), `${program}\n`)
    writeFileSync(join(admin, 'status'), `Package: tool\nSource: ${source}\nStatus: install ok installed\n`)
  }
  remembering(() => {
    expect(owner()).toBeUndefined()
    install('tools')
    expect(owner()).toBeUndefined()
  })
  expect(owner()).toMatchObject({ name: 'tool', source: 'tools' })
  install('tool')
  expect(owner()).toMatchObject({ name: 'tool', source: null })
})

test('few directories that tell', () => {
  const files = ['/usr/lib/python3.11/os.py', '/usr/lib/python3.11/json/__init__.py', '/usr/share/x']
  const multiarch = ['/usr/lib/x86_64-linux-gnu/perl-base/strict.pm', '/usr/lib/x86_64-linux-gnu/perl-base/x/y.pm']
  expect(directoriesOf([...files, ...multiarch])).toEqual([
    '/usr/lib/python3.11',
    '/usr/share/x',
    '/usr/lib/x86_64-linux-gnu/perl-base',
  ])
})
