/** The questions are answered of whatever `bundle` makes, and whatever Nix there is or is not. */
import { chmodSync, copyFileSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { TRAILER } from '../../src/archive/single.ts'
import {
  bundle,
  command,
  fixture,
  fixtureEnv,
  mustBundle,
  run,
  sharedBundle,
  temporary,
  withoutNix,
} from '../support/bundle.ts'

let place: string
beforeAll(() => {
  place = temporary()
  const make = (format: string, name: string): void =>
    void mustBundle([fixture('nginx'), '-f', format, '-o', join(place, name), '-q'])
  symlinkSync(sharedBundle('nginx'), join(place, 'directory'))
  copyFileSync(sharedBundle('nginx', '.tar.zst'), join(place, 'n.tar.zst'))
  make('deb', 'n.deb')
  make('exe', 'single')
  make('oci', 'image.tar')
  run('mkdir', [join(place, 'image')])
  run('tar', ['xf', join(place, 'image.tar'), '-C', join(place, 'image')])
})

/** Without sizes: a package and an image are for one place, and a stub is in no program there. */
function answers(text: string): unknown {
  const { answers: all } = JSON.parse(text) as {
    answers: { matches: { at: string; chains: unknown }[]; in: boolean }[]
  }
  return all.map(a => [a.in, a.matches.map(m => [m.at, m.chains])])
}

const NAMES = ['padlock.so', 'libz.so.1', 'glibc', 'nosuch']

describe('the same of each form, without Nix', () => {
  const of = (what: string) => withoutNix(process.execPath, [command, 'why', join(place, what), ...NAMES, '--json'])
  let expected: unknown
  beforeAll(() => {
    expected = answers(of('directory').stdout)
  })

  test.each(['n.tar.zst', 'n.deb', 'single', 'image.tar', 'image'])('%s', name => {
    const asked = of(name)
    expect([asked.code, asked.stderr]).toEqual([1, ''])
    expect(answers(asked.stdout)).toEqual(expected)
  })

  test.each(['directory/bundle.json', 'n.tar.zst', 'single'])('%s on standard input', name => {
    const { code, stdout } = run('sh', [
      '-c',
      `"$0" "$1" why - padlock.so < "$2"`,
      process.execPath,
      command,
      join(place, name),
    ])
    expect(code).toBe(0)
    expect(stdout).toContain('padlock.so is in: pkg/openssl-3.0/lib/engines-3/padlock.so')
  })
})

test.each([
  ['nothing', ''],
  ['another document', '{"a": 1}'],
  ['no archive', 'hello'],
  ['a stub of a document', '{'],
])('standard input with %s is an error', (_, input) => {
  const { code, stderr } = run(process.execPath, [command, 'size', '-'], { input })
  expect([code, stderr]).toEqual([2, expect.stringMatching(/^error: standard input: /)])
})

test('a single file that is cut off, or lies, is none', () => {
  const whole = readFileSync(join(place, 'single'))
  const lying = join(temporary(), 'lying')
  // The trailer stays, what it speaks of does not.
  const trailer = whole.subarray(whole.length - TRAILER.size)
  const begins = Number(trailer.readBigUInt64LE(8))
  writeFileSync(lying, Buffer.concat([whole.subarray(0, begins + 200), trailer]))
  chmodSync(lying, 0o755)
  const { code, stderr } = bundle(['why', lying, 'x'])
  expect(code).toBe(2)
  expect(stderr).not.toMatch(/\n {4}at /)
})

test('the bill of materials of an image and of a package is that of the bundle in it', () => {
  const sbom = (word: string): string => mustBundle(['sbom', word]).stdout
  const image = JSON.parse(sbom(join(place, 'image.tar')))
  expect(JSON.parse(sbom(join(place, 'image')))).toEqual(image)
  const bundled = sharedBundle('nginx', '.tar', '--prefix', '/app')
  expect(JSON.parse(sbom(bundled))).toEqual(image)
  // On standard input; and a package's, whose place is another.
  const piped = run('sh', ['-c', '"$0" "$1" sbom - < "$2"', process.execPath, command, bundled])
  expect(JSON.parse(piped.stdout)).toEqual(image)
  const names = (document: { components: { name: string }[] }): string[] => document.components.map(c => c.name)
  expect(names(JSON.parse(sbom(join(place, 'n.deb'))))).toEqual(names(image))
})

test('of bundle.json alone a bill of materials is refused, with what to do', () => {
  const alone = bundle(['sbom', '-'], { input: '{}' })
  expect([alone.code, alone.stderr]).toEqual([2, expect.stringContaining('is bundle.json alone')])
})

describe('whatever Nix there is', () => {
  const size = (env: NodeJS.ProcessEnv): { total: { nar: number | null; bytes: number } } =>
    JSON.parse(run(process.execPath, [command, 'size', fixture('nginx'), '--json'], { env }).stdout)
  /** Only these tools of Nix on PATH. */
  function withTools(tools: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
    const bin = temporary()
    for (const [name, text] of Object.entries(tools)) writeFileSync(join(bin, name), text, { mode: 0o755 })
    for (const name of ['sh', 'xargs', 'tar', 'printf', 'cat', 'env'])
      copyFileSync(
        run('sh', ['-c', `command -v ${name}`])
          .stdout.trim()
          .replace(/^printf$/, '/usr/bin/printf'),
        join(bin, name),
      )
    return { ...fixtureEnv, PATH: bin }
  }
  const real = run('sh', ['-c', 'command -v nix-store'], { env: fixtureEnv }).stdout.trim()

  test('nix-store alone, and none at all: the sizes of files', () => {
    const all = size(fixtureEnv)
    expect(all.total.nar).toBe(13_126_928)
    const env = { ...withTools({ 'nix-store': `#!/bin/sh\nexec ${real} "$@"\n` }) }
    expect(size(env)).toEqual(all)
    const none = size(withTools({}))
    expect([none.total.nar, none.total.bytes]).toEqual([null, all.total.bytes])
  })

  test('of whatever version: without derivers, references in another order, warnings beside it', () => {
    // As Nix 2.34 and Lix print it, by the source of both; here is Nix 2.8.
    const lines = [
      'echo "warning: Git tree is dirty" >&2',
      'case "$1 $2" in *--dump-db*)',
      `  ${real} "$@" | while read -r path; do read -r hash; read -r nar; read -r deriver; read -r count`,
      '    printf "%s\\n%s\\n%s\\n\\n%s\\n" "$path" "$hash" "$nar" "$count"',
      '    all=; i=0; while [ $i -lt "$count" ]; do read -r one; all="$one $all"; i=$((i + 1)); done',
      '    for one in $all; do echo "$one"; done; done ;;',
      `*) exec ${real} "$@" ;; esac`,
    ]
    const packages = (env: NodeJS.ProcessEnv): unknown =>
      JSON.parse(run(process.execPath, [command, 'size', fixture('nginx'), '--json'], { env }).stdout)
    expect(packages(withTools({ 'nix-store': `#!/bin/sh\n${lines.join('\n')}\n` }))).toEqual(packages(fixtureEnv))
  })

  test.each([
    ['what a later one may print', 'cat <<E\n/nix/store/x\nnew format\nE'],
    ['a failure', 'echo error: no >&2; exit 1'],
    ['nothing', 'exit 0'],
  ])('%s is as none', (_, does) => {
    const { total } = size(withTools({ 'nix-store': `#!/bin/sh\n${does}\n` }))
    expect(total.nar).toBe(null)
  })
})
