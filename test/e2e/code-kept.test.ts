/** What the command keeps of itself (docs/command.md): one directory, of which nothing that is printed depends. */
import { mkdirSync, mkdtempSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { command, run, temporary } from '../support/bundle.ts'

const work = temporary()
const tree = join(work, 'tree')
mkdirSync(tree)
writeFileSync(join(tree, 'a'), '/nix/store/6rr4jfk3d0qlvhmwpcr1yvpbcsfjrz7d-x')
const home = (): string => mkdtempSync(join(work, 'home-'))
const bundle = (args: readonly string[], env: NodeJS.ProcessEnv): ReturnType<typeof run> =>
  run(process.execPath, [command, ...args], { env: { PATH: process.env.PATH, ...env } })
const kept = (HOME: string): string[] => readdirSync(join(HOME, '.cache/storefree/code')).sort()

test('runs say the same with what was kept, without, and where nothing can be kept', () => {
  const HOME = home()
  const first = bundle(['verify', tree], { HOME })
  expect(first).toMatchObject({ code: 1, stdout: expect.stringContaining('1 store reference') })
  expect(readdirSync(HOME)).toEqual(['.cache'])
  expect(readdirSync(join(HOME, '.cache/storefree'))).toEqual(['code'])
  const files = kept(HOME)
  expect(files.map(name => name.split('.').slice(0, 3).join('.'))).toEqual(['cli.cjs.verify', 'pipeline.cjs.verify'])
  const written = (): number[] => kept(HOME).map(name => statSync(join(HOME, '.cache/storefree/code', name)).ino)
  const before = written()
  for (const env of [
    { HOME },
    { HOME, NODE_OPTIONS: '--no-warnings' },
    { HOME, STOREFREE_NO_CODE_CACHE: '1' },
    { HOME: '/homeless-shelter' },
    {},
  ])
    expect(bundle(['verify', tree], env)).toEqual(first)
  // Flags of V8 change none of it, and it is kept once.
  expect([kept(HOME), written()]).toEqual([files, before])
})

test('without it nothing is left', () => {
  const HOME = home()
  bundle(['verify', tree], { HOME, STOREFREE_NO_CODE_CACHE: '1' })
  expect(bundle(['--version'], { HOME })).toMatchObject({ code: 0, stderr: '' })
  expect(readdirSync(HOME)).toEqual([])
})

test('a command line that is wrong keeps nothing, and says what it said', () => {
  const HOME = home()
  const said = bundle(['verify'], { HOME })
  expect(said).toMatchObject({ code: 2, stderr: expect.stringContaining("missing required argument 'path'") })
  expect(said).toEqual(bundle(['verify'], {}))
  expect(readdirSync(HOME)).toEqual([])
})

test('whoever reads the version may be gone before it comes', () => {
  const said = run('bash', [
    '-c',
    '{ sleep 0.3; exec "$0" "$1" --version; } | true; echo "$PIPESTATUS"',
    process.execPath,
    command,
  ])
  expect(said).toMatchObject({ stdout: '0\n', stderr: '' })
})
