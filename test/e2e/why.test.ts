/** `bundle why`: what it says is true, by tools that share no code with it, and the same of a finished bundle without Nix. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { bundle, command, fixture, mustBundle, run, sharedBundle, temporary, withoutNix } from '../support/bundle.ts'
import { GLIBC, greeterClosure, storePath } from '../support/store-lab.ts'

interface Step {
  readonly from: { readonly package: string; readonly part: string }
  readonly kind: string
  readonly name: string
  readonly via: string | null
  readonly at: readonly { readonly file: string | null; readonly offset: number; readonly part: string | null }[]
}
interface Answered {
  readonly asked: string
  readonly in: boolean
  readonly matches: readonly {
    readonly at: string
    readonly chains: readonly { readonly steps: readonly Step[] }[]
    readonly removable: number
  }[]
}
const asked = (text: string): Answered[] => JSON.parse(text).answers

let directory: string
let archive: string
beforeAll(() => {
  directory = sharedBundle('nginx')
  archive = sharedBundle('nginx', '.tar.zst')
})

test("OpenSSL's engine: the library that names its directory, at offsets where od finds that", () => {
  const { code, stdout } = bundle(['why', fixture('nginx'), 'padlock.so'])
  expect(code).toBe(0)
  expect(stdout).toMatch(
    /nginx-1.22.1\/bin\/nginx +needs libcrypto.so.3 +DT_NEEDED, offset \d+; found by RUNPATH\[\d\]/,
  )
  const [, offsets] =
    /libcrypto.so.3 +names openssl-3.0\/lib\/engines-3 +.rodata, offsets ([\d, ]+); rule directory/.exec(stdout)!
  expect(stdout).toMatch(/openssl-3.0\/lib\/engines-3 +holds padlock.so/)
  expect(stdout).toContain("Leave it out: --exclude 'openssl-3.0/lib/engines-3/*'")
  const library = join(fixture('openssl^out'), 'lib/libcrypto.so.3')
  for (const offset of offsets!.split(', ')) {
    const text = execFileSync('od', ['-An', '-c', '-w120', `-j${offset}`, '-N72', library], { encoding: 'utf8' })
    expect(text.replaceAll(' ', '')).toContain('/lib/engines-3')
  }
})

test('names and search paths are those that readelf shows', () => {
  const [answer] = asked(bundle(['why', fixture('nginx'), 'libz.so.1', '--json']).stdout)
  const step = answer!.matches[0]!.chains[0]!.steps.at(-1)!
  const dynamic = execFileSync('readelf', ['-d', join(fixture('nginx'), 'bin/nginx')], { encoding: 'utf8' })
  expect(dynamic).toContain(`Shared library: [${step.name}]`)
  const runpath = /RUNPATH.*\[(.*)\]/.exec(dynamic)![1]!.split(':')
  expect(runpath[Number(/^RUNPATH\[(\d+)\]$/.exec(step.via!)![1])]).toBe(join(fixture('zlib'), 'lib'))
  const strings = readFileSync(join(fixture('nginx'), 'bin/nginx')).toString('latin1')
  expect(strings.slice(step.at[0]!.offset).split('\0')[0]).toBe('libz.so.1')
})

test('what would be without it is what a bundle without it lacks', () => {
  const size = (...more: string[]): number =>
    JSON.parse(bundle([fixture('nginx'), '--dry-run', '--json', ...more]).stdout).sizes.bundle
  const exclude = ['--exclude', 'openssl-3.0/lib/engines-3/*']
  const [answer] = asked(bundle(['why', fixture('nginx'), 'openssl-3.0/lib/engines-3', '--json']).stdout)
  expect(answer!.matches[0]!.removable).toBe(size() - size(...exclude))
})

describe('of a finished bundle, on a machine without Nix', () => {
  const names = [
    'padlock.so',
    'libgcc_s.so.1',
    'openssl',
    'nginx.conf',
    'bin/nginx',
    'glibc-2.36/lib/libc.so.6',
    'nosuch',
    'lib*',
  ]
  const without = (path: string): string => {
    const { code, stdout, stderr } = withoutNix(process.execPath, [command, 'why', path, ...names, '--json', '--all'])
    expect([code, stderr]).toEqual([1, ''])
    return stdout
  }
  test('the same answers as before bundling; of a directory, of an archive', () => {
    const before = bundle(['why', fixture('nginx'), ...names, '--json', '--all'])
    expect(before.code).toBe(1)
    expect(asked(before.stdout).map(a => a.in)).toEqual(names.map(name => name !== 'nosuch'))
    const after = without(directory)
    expect(asked(after)).toEqual(asked(before.stdout))
    expect(without(archive)).toBe(after)
    expect(after).not.toMatch(/\/nix\/store|[0-9a-df-np-sv-z]{32}/)
  })

  test('a bundle of before says that it does not know', () => {
    const old = join(temporary(), 'old')
    mkdirSync(old)
    const { needs, asked, directories, ...manifest } = JSON.parse(readFileSync(join(directory, 'bundle.json'), 'utf8'))
    writeFileSync(join(old, 'bundle.json'), JSON.stringify({ ...manifest, schema: 1 }))
    const { code, stderr, stdout } = run(process.execPath, [command, 'why', old, 'x', '--json'])
    expect([code, JSON.parse(stdout).error.code]).toEqual([2, 'unsupported'])
    expect(stderr).toContain('it does not say why its files are there')
  })

  test.each([
    ['no JSON', '{', /not JSON/],
    ['another document', '{}', /schema/],
  ])('a bundle.json that is %s', (_, text, reason) => {
    const broken = join(temporary(), 'broken')
    mkdirSync(broken)
    writeFileSync(join(broken, 'bundle.json'), text)
    const { code, stderr } = run(process.execPath, [command, 'why', broken, 'x'])
    expect([code, stderr]).toEqual([2, expect.stringMatching(reason)])
  })
})

test('what is only named: in the closure or not, by whom, and that nothing is found there', () => {
  const spare = storePath('spare-1.0', { 'lib/libspare.so': 'no library' })
  const app = storePath('app-1', { 'bin/app': `#!/bin/sh\n# as ${spare} was\n: ${spare}\n` })
  const { code, stdout } = bundle(['why', app, 'spare'])
  expect(code).toBe(1)
  expect(stdout).toContain('spare is not in the bundle.')
  expect(stdout).toContain('app-1/bin/app')
  expect(stdout).toContain('line 2: stays out, the root of another package')
})

test('a package that only a search path names: nothing is found there, and nothing uses it', () => {
  const { program } = greeterClosure(GLIBC)
  const { code, stdout } = bundle(['why', program, 'decoy'])
  expect(code).toBe(1)
  expect(stdout).toMatch(/^decoy is not in the bundle\..* \(decoy-1\.0\), kept by \d files:$/m)
  expect(stdout).toMatch(/greeter-1\.0\/bin\/\w+ .*RUNPATH\[0\], offset \d+: finds nothing there/)
  expect(stdout).toContain('Nothing uses it: `patchelf --shrink-rpath`')
})

test('data of the machine, which was asked for by kind, is told by the option, and without where it lay', () => {
  const app = storePath('app-1', { 'bin/app': '#!/bin/sh\n' })
  const place = join(temporary(), 'out')
  mustBundle([app, '-f', 'dir', '-o', place, '--with', 'tzdata', '-q'])
  const { stdout } = bundle(['why', place, 'share/zoneinfo/Europe/Berlin'])
  expect(stdout).toMatch(
    /Berlin is in: share\/zoneinfo\/Europe\/Berlin, \d+ bytes, taken from the machine\n.* was asked for: --with tzdata\n/,
  )
  expect(readFileSync(join(place, 'bundle.json'), 'utf8')).not.toContain('usr/share/zoneinfo/')
})
