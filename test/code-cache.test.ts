/** The code that V8 compiled is kept for the next run: nothing of a run depends on it, whatever lies in its place. */
import { execFileSync, spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { build } from 'esbuild'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { commandOf } from '../src/cli/commands.ts'
import { type CodeCache, codeCache } from '../src/io/code-cache.ts'

const work = fs.mkdtempSync(`${tmpdir()}/storefree-code-`)
afterAll(() => fs.rmSync(work, { recursive: true, force: true }))
const isRoot = process.geteuid!() === 0

const require = createRequire(import.meta.url)
const script = join(work, 'script.cjs')
let home: string
beforeEach(() => {
  home = fs.mkdtempSync(`${work}/home-`)
  fs.writeFileSync(script, `"use strict";module.exports=${JSON.stringify('x'.repeat(100))};function f(){}f()\n`)
})

const directory = (): string => join(home, '.cache/storefree/code')
const kept = (): string[] => fs.readdirSync(directory()).map(name => join(directory(), name))
const only = (): string => {
  const [file, ...rest] = kept()
  expect(rest).toEqual([])
  return file!
}
/** A run with the cache: what the script exports, and whether its code was kept anew. */
function ran(env: NodeJS.ProcessEnv = { HOME: home }, file = script): { exports: unknown; isKept: boolean } {
  const cache = codeCache('test', env) as CodeCache
  const before = times()
  const exports = cache.load(file, require)
  cache.save()
  return { exports, isKept: times() !== before }
}
const times = (): string =>
  fs.existsSync(directory()) ? String(kept().map(path => fs.lstatSync(path, { bigint: true }).ino)) : ''
/** What a run without any cache gives. */
const plain = (): unknown => {
  delete require.cache[script]
  return require(script)
}

test('what was compiled is kept once, for this user alone, and is what require() gives', () => {
  expect(ran()).toEqual({ exports: plain(), isKept: true })
  for (const path of [directory(), dirname(directory())]) expect(fs.statSync(path).mode & 0o777).toBe(0o700)
  expect(fs.statSync(only()).mode & 0o777).toBe(0o600)
  expect(ran()).toEqual({ exports: plain(), isKept: false })
})

test('another text of equal length and another use are other code', () => {
  ran()
  fs.writeFileSync(script, fs.readFileSync(script, 'utf8').replace(/x{100}/, 'y'.repeat(100)))
  expect(ran()).toEqual({ exports: 'y'.repeat(100), isKept: true })
  const other = codeCache('other', { HOME: home })!
  other.load(script, require)
  other.save()
  expect(kept()).toHaveLength(3)
})

test('what lies beside is required by the cache too, once, and the rest as ever', () => {
  fs.writeFileSync(join(work, 'beside.cjs'), 'exports.path=require("node:path");exports.self=exports')
  fs.writeFileSync(script, 'exports.a=require("./beside.cjs");exports.b=require("./beside.cjs")')
  const { a, b } = ran().exports as { a: { path: unknown; self: unknown }; b: unknown }
  expect([a.path, a.self, b]).toEqual([require('node:path'), a, a])
  expect(kept()).toHaveLength(2)
  fs.rmSync(join(work, 'beside.cjs'))
})

test('stacks name the same places, in the first line too', () => {
  fs.writeFileSync(script, 'const e=new Error();exports.stack=[e.stack,\nnew Error().stack].map(s=>s.split("\\n")[1])')
  const places = ({ stack }: { stack: string[] }): string[] => stack
  const expected = places(plain() as { stack: string[] })
  expect(expected[0]).toContain(`${script}:1:9`)
  for (const _ of [1, 2]) expect(places(ran().exports as { stack: string[] })).toEqual(expected)
})

describe('what lies in its place is not believed', () => {
  const cases: Record<string, (file: string) => void> = {
    'cut off': file => fs.truncateSync(file, fs.statSync(file).size - 1),
    'cut off in its head': file => fs.truncateSync(file, 5),
    empty: file => fs.truncateSync(file, 0),
    'with one bit turned': file => {
      const bytes = fs.readFileSync(file)
      bytes[bytes.length - 9]! ^= 1
      fs.writeFileSync(file, bytes)
    },
    'of another key': file => {
      const bytes = fs.readFileSync(file)
      bytes[20]! ^= 1
      fs.writeFileSync(file, bytes)
    },
    'longer than any': file => fs.truncateSync(file, 1 << 30),
    'a link': file => {
      fs.renameSync(file, join(work, 'elsewhere'))
      fs.symlinkSync(join(work, 'elsewhere'), file)
    },
    'a pipe that nobody writes to': file => {
      fs.rmSync(file)
      execFileSync('mkfifo', [file])
    },
    'writable by others': file => fs.chmodSync(file, 0o666),
    ...(isRoot && { "another's": (file: string) => fs.chownSync(file, 12345, 12345) }),
  }
  test.each(Object.entries(cases))('%s', (_, change) => {
    ran()
    change(only())
    expect(ran()).toEqual({ exports: plain(), isKept: true })
    expect(fs.lstatSync(only()).isFile()).toBe(true)
    expect(ran().isKept).toBe(false)
  })
})

describe('nothing is kept, and nothing said', () => {
  const nothing = (): void => {
    expect(ran()).toEqual({ exports: plain(), isKept: false })
    expect(fs.existsSync(directory()) && kept().length > 0).toBe(false)
  }
  test('in a directory that others can write to', () => {
    fs.mkdirSync(directory(), { recursive: true })
    fs.chmodSync(directory(), 0o777)
    nothing()
    fs.chmodSync(directory(), 0o755)
    fs.chmodSync(dirname(directory()), 0o775)
    nothing()
    fs.chmodSync(dirname(directory()), 0o755)
    fs.chmodSync(join(home, '.cache'), 0o777)
    nothing()
    fs.chmodSync(join(home, '.cache'), 0o755)
    expect(ran().isKept).toBe(true)
  })
  test('in a directory that a link leads to', () => {
    fs.mkdirSync(join(home, '.cache'))
    fs.mkdirSync(join(home, 'elsewhere/code'), { recursive: true })
    fs.symlinkSync('../elsewhere', join(home, '.cache/storefree'))
    nothing()
  })
  test.runIf(isRoot)("in another's home, as of sudo", () => {
    fs.chownSync(home, 12345, 12345)
    nothing()
    expect(fs.readdirSync(home)).toEqual([])
    fs.mkdirSync(join(home, '.cache'))
    fs.chownSync(join(home, '.cache'), 12345, 12345)
    nothing()
    expect(fs.readdirSync(join(home, '.cache'))).toEqual([])
  })
  test('where a file is in the way', () => {
    fs.mkdirSync(join(home, '.cache'))
    fs.writeFileSync(join(home, '.cache/storefree'), '')
    nothing()
  })
  test('in a home that is not there, which is not made', () => {
    fs.rmdirSync(home)
    nothing()
    expect(fs.existsSync(home)).toBe(false)
  })
  test.each(['STOREFREE_NO_CODE_CACHE', 'NODE_DISABLE_COMPILE_CACHE', 'NODE_V8_COVERAGE'])('with %s', name => {
    expect(codeCache('test', { HOME: home, [name]: '1' })).toBe(null)
  })
  test('without a home', () => {
    for (const HOME of [undefined, '', 'here'])
      expect(codeCache('test', { HOME, XDG_CACHE_HOME: 'relative' })).toBe(null)
  })
})

test('of old files only some are left', () => {
  fs.mkdirSync(directory(), { recursive: true, mode: 0o700 })
  for (const n of [1, 2, 3]) {
    fs.writeFileSync(join(directory(), `old${n}`), '')
    fs.truncateSync(join(directory(), `old${n}`), 7 << 20)
    fs.utimesSync(join(directory(), `old${n}`), n, n)
  }
  ran()
  expect(fs.readdirSync(directory()).filter(name => name.startsWith('old'))).toEqual(['old2', 'old3'])
})

test('XDG_CACHE_HOME is where it lies, if that is set', () => {
  const caches = join(home, 'caches')
  codeCacheRun({ HOME: '/nowhere', XDG_CACHE_HOME: caches })
  expect(fs.readdirSync(join(caches, 'storefree/code'))).toHaveLength(1)
})
const codeCacheRun = (env: NodeJS.ProcessEnv): void => {
  const cache = codeCache('test', env)!
  cache.load(script, require)
  cache.save()
}

describe('as processes', () => {
  const runner = join(work, 'runner.cjs')
  beforeAll(() =>
    build({
      stdin: {
        contents: `import { codeCache } from './src/io/code-cache.ts'
          const cache = codeCache('test')
          process.once('exit', () => cache.save())
          cache.load(process.argv[2], require)`,
        resolveDir: process.cwd(),
      },
      bundle: true,
      platform: 'node',
      format: 'cjs',
      outfile: runner,
    }),
  )
  const say = (args: readonly string[] = [], before: readonly string[] = []): { stdout: string; stderr: string } => {
    const [file, ...rest] = [...before, process.execPath, ...args, runner, script]
    return spawnSync(file!, rest, { env: { PATH: process.env.PATH, HOME: home }, encoding: 'utf8' })
  }

  test('a disk that is full leaves nothing half-written', () => {
    fs.writeFileSync(script, `console.log("ran");module.exports=${JSON.stringify('x'.repeat(100_000))}`)
    expect(say([], ['bash', '-c', 'ulimit -f 8; exec "$0" "$@"'])).toMatchObject({ stdout: 'ran\n', stderr: '' })
    expect(kept()).toEqual([])
  })

  test('code that V8 refuses is compiled again, and kept anew', () => {
    fs.writeFileSync(script, 'console.log("ran")')
    say()
    // The first number is V8's own; sum and key stay right.
    const { crc32 } = require('node:zlib') as typeof import('node:zlib')
    const right = fs.readFileSync(only())
    const wrong = Buffer.from(right)
    wrong.writeUInt32LE(12345, (12 + wrong.readUInt32LE(8) + 7) & ~7)
    wrong.writeUInt32LE(crc32(wrong.subarray(4)), 0)
    fs.writeFileSync(only(), wrong)
    expect(say()).toMatchObject({ stdout: 'ran\n', stderr: '' })
    expect(fs.readFileSync(only()).length).toBe(right.length)
    expect(fs.readFileSync(only()).equals(wrong)).toBe(false)
  })

  test('other flags of V8 have code of their own', () => {
    fs.writeFileSync(script, 'console.log("ran")')
    for (const flags of [[], ['--stack-size=900'], ['--no-opt'], []])
      expect(say(flags)).toMatchObject({ stdout: 'ran\n', stderr: '' })
    expect(kept()).toHaveLength(3)
  })
})

test.each([
  ['verify', 'verify'],
  ['nginx', 'make'],
  ['./verify', 'make'],
  ['make', 'make'],
  ['--help', null],
  ['', null],
  [undefined, null],
])('%s is a word of %s', (word, command) => expect(commandOf(word)).toBe(command))

test('only one file imports at run time, and its command has no part in the cache', () => {
  const files = fs.readdirSync('src', { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.ts'))
  const isImporting = (name: string): boolean =>
    /\bimport\((?!['")])/.test(fs.readFileSync(join('src', name), 'utf8').replaceAll(/`[^`\n]*`/g, ''))
  expect(files.filter(isImporting)).toEqual(['report/svg.ts'])
})
