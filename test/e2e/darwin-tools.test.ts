/** install_name_tool and codesign at work on a bundle for macOS: what they are told, and what they must not get away with. */
import { existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { codesign } from '../../src/macho/codesign.ts'
import { bundle, command, fixtureEnv, mustBundle, run, temporary } from '../support/bundle.ts'
import { application, DarwinClosure } from '../support/darwin-closure.ts'
import { tool } from '../support/root.ts'

/** A directory with a program that writes down its arguments, one a line, then does something. */
function standIn(name: string, then: string): { directory: string; log: string; program: string } {
  const directory = temporary()
  const log = join(directory, 'log')
  const program = join(directory, name)
  writeFileSync(program, `#!/bin/sh\nprintf '%s\\n' "$@" >> '${log}'\n${then}\n`, { mode: 0o755 })
  return { directory, log, program }
}

const withPath = (directory: string): NodeJS.ProcessEnv => ({
  ...fixtureEnv,
  PATH: `${directory}:${fixtureEnv.PATH}`,
})

/** LLVM's install_name_tool under Apple's name. */
function llvm(): NodeJS.ProcessEnv {
  const directory = temporary()
  symlinkSync(tool('llvm-install-name-tool-19'), join(directory, 'install_name_tool'))
  return withPath(directory)
}

/** The strings of all load commands, as LLVM's otool prints them. */
const loadCommands = (file: string): string[] =>
  [...run('llvm-otool-19', ['-l', file]).stdout.matchAll(/^ *(?:name|path) (\S.*) \(offset \d+\)$/gm)].map(m => m[1]!)

/** A program of a library by rpath, with no bytes to spare. */
function tight() {
  const closure = new DarwinClosure('arm64')
  const package_ = closure.package('t')
  const library = closure.build(`${package_}/l/l`, 'int l(void) { return 1; }', { id: '@rpath/l' })
  closure.build(`${package_}/bin/tight`, 'int l(void); int main(void) { return l(); }', {
    libraries: [library],
    flags: ['-rpath', '@loader_path/../l', '-headerpad', '0'],
  })
  return package_
}

describe('--patcher install_name_tool', () => {
  test("with LLVM's tool the bundle has the load commands that it has without", () => {
    const closure = new DarwinClosure('arm64')
    const [app, foo, bar] = [closure.package('app-1'), closure.package('foo-1'), closure.package('bar-1')]
    const [libfoo, libbar] = ([foo, bar] as const).map((p, i) =>
      closure.build(`${p}/lib/lib${i}.dylib`, `int f${i}(void) { return 1; }`, { id: `${p}/lib/lib${i}.dylib` }),
    ) as [string, string]
    // Two search paths that become one and are there already.
    closure.build(`${app}/bin/app`, 'int f0(void), f1(void); int main(void) { return f0() + f1(); }', {
      libraries: [libfoo, libbar],
      flags: ['-rpath', `${foo}/lib`, '-rpath', `${bar}/lib`, '-rpath', '@loader_path/../../../lib'],
    })
    const [ours, theirs] = [join(temporary(), 'out'), join(temporary(), 'out')]
    mustBundle([app, '-f', 'dir', '-o', ours])
    mustBundle([app, '-f', 'dir', '-o', theirs, '--patcher', 'install_name_tool'], { env: llvm() })
    for (const file of ['pkg/app-1/bin/app', 'lib/lib0.dylib', 'lib/lib1.dylib'])
      expect(loadCommands(join(theirs, file)).sort()).toEqual(loadCommands(join(ours, file)).sort())
    expect(loadCommands(join(ours, 'pkg/app-1/bin/app'))).toContain('@loader_path/../../../lib')
  })

  test("load commands and code that LLVM's tool writes over each other are found, and nothing is published", () => {
    for (const length of [4, 8, 12, 16, 20]) {
      const out = join(temporary(), 'out')
      const options = ['--prefix', `/opt/${'x'.repeat(length)}`, '--patcher', 'install_name_tool']
      const result = bundle([tight(), '-f', 'dir', '-o', out, ...options], { env: llvm() })
      expect(existsSync(out)).toBe(false)
      // What is written over may be the signature's command, of which nobody asks that it is right.
      const [code, words] = [result.code, /^error: .*bin\/tight: (install_name_tool broke it|editing it changed)/m]
      expect([[1, 2].includes(code!), result.stdout]).toEqual([true, ''])
      expect(result.stderr).toMatch(words)
    }
  })

  test.each([
    ['a byte of its code', 'bytes[textAt] ^= 1', 'the contents of arm64'],
    ['where the program begins', 'bytes[mainAt + 8] ^= 4', 'other load commands of arm64'],
  ])('a tool that changes %s besides is found, and nothing is published', (_, change, fact) => {
    const directory = temporary()
    const script = `#!${process.execPath}
      const { execFileSync } = require('node:child_process'), fs = require('node:fs')
      execFileSync(${JSON.stringify(tool('llvm-install-name-tool-19'))}, process.argv.slice(2))
      const file = process.argv.at(-1), bytes = fs.readFileSync(file)
      let mainAt, textAt
      for (let i = 0, at = 32; i < bytes.readUInt32LE(16); i++, at += bytes.readUInt32LE(at + 4)) {
        if (bytes.readUInt32LE(at) === 0x80000028) mainAt = at
        if (bytes.readUInt32LE(at) === 0x19 && bytes.toString('latin1', at + 8, at + 15) === '__TEXT\\0')
          textAt = bytes.readUInt32LE(at + 72 + 48)
      }
      if (mainAt) { ${change}; fs.writeFileSync(file, bytes) }`
    writeFileSync(join(directory, 'install_name_tool'), script, { mode: 0o755 })
    const closure = new DarwinClosure('arm64')
    const [app, foo] = [closure.package('app-1'), closure.package('foo-1')]
    const libfoo = closure.build(`${foo}/lib/libfoo.dylib`, 'int foo(void) { return 1; }', {
      id: `${foo}/lib/libfoo.dylib`,
    })
    closure.build(`${app}/bin/app`, 'int foo(void); int main(void) { return foo(); }', { libraries: [libfoo] })
    const out = join(temporary(), 'out')
    const args = [app, '-f', 'dir', '-o', out, '--patcher', 'install_name_tool']
    const result = bundle(args, { env: withPath(directory) })
    expect(result).toMatchObject({ code: 1, stdout: '' })
    expect(result.stderr).toMatch(new RegExp(`^error: .*bin/app: editing it changed ${fact}`))
    expect(existsSync(out)).toBe(false)
  })

  test('each change is told once, of all CPUs', () => {
    const { app, foo } = application('universal')
    const { directory, log } = standIn('install_name_tool', 'exit 0')
    const out = join(temporary(), 'out')
    const result = bundle([app, '-f', 'dir', '-o', out, '--patcher', 'install_name_tool'], {
      env: withPath(directory),
    })
    // It has changed nothing: that is not what was planned.
    expect(result).toMatchObject({ code: 1, stdout: '' })
    expect(result.stderr).toMatch(/editing it changed the strings of (?:arm64|x86_64)/)
    expect(existsSync(out)).toBe(false)
    const told = readFileSync(log, 'utf8')
    expect(told).toContain(`-change\n${foo}/lib/libfoo.1.dylib\n@loader_path/../../../lib/libfoo.1.dylib\n`)
    for (const runs of told.split(/(?<=\n)\/.*\/install-names\n/)) {
      const changes = [...runs.matchAll(/^-(?:change|rpath|delete_rpath|id)\n.*$/gm)].map(m => m[0])
      expect(new Set(changes).size).toBe(changes.length)
    }
  })

  test('one that fails is an error with what it said', () => {
    const { directory } = standIn('install_name_tool', 'echo no room >&2; exit 3')
    const out = join(temporary(), 'out')
    const result = bundle([tight(), '-f', 'dir', '-o', out, '--patcher', 'install_name_tool'], {
      env: withPath(directory),
    })
    expect(result).toMatchObject({ code: 2, stdout: '', stderr: /install_name_tool failed: no room/ })
    expect(existsSync(out)).toBe(false)
  })

  test('one that makes a wreck is an error, and nothing is published', () => {
    const { directory } = standIn('install_name_tool', 'for file; do :; done; echo wreck > "$file"')
    const out = join(temporary(), 'out')
    const result = bundle([tight(), '-f', 'dir', '-o', out, '--patcher', 'install_name_tool'], {
      env: withPath(directory),
    })
    expect(result.code).toBe(2)
    expect(result.stderr).toMatch(/^error: .*\/(?:bin\/tight|l\/l): install_name_tool broke it/)
    expect(result.stderr).not.toMatch(/^ +at /m)
    expect(existsSync(out)).toBe(false)
  })
})

describe('on macOS, as this machine pretends to be', () => {
  const pretending = temporary()
  writeFileSync(join(pretending, 'macos.mjs'), "Object.defineProperty(process, 'platform', { value: 'darwin' })\n")

  /** Runs `bundle` where the only programs of /usr/bin are these two, scripts for Node. */
  function onMacOS(args: readonly string[], codesign: string, installNameTool = 'process.exit(9)') {
    const directory = temporary()
    const log = join(directory, 'log')
    const programs = { codesign, install_name_tool: installNameTool }
    const binds = Object.entries(programs).flatMap(([name, then]) => {
      const script = `#!/usr/bin/node
        const fs = require('node:fs'), file = process.argv.at(-1)
        fs.appendFileSync(${JSON.stringify(log)}, JSON.stringify(process.argv.slice(2, -1)) + '\\n')
        ${then}`
      writeFileSync(join(directory, name), script, { mode: 0o755 })
      return ['--ro-bind', join(directory, name), `/usr/bin/${name}`]
    })
    const environment = { ...fixtureEnv, PATH: '/usr/bin', NODE_OPTIONS: `--import=${join(pretending, 'macos.mjs')}` }
    const root = ['--bind', '/', '/', '--dev', '/dev', '--proc', '/proc', '--tmpfs', '/usr/bin']
    const node = ['--ro-bind', process.execPath, '/usr/bin/node']
    const result = run('bwrap', [...root, ...node, ...binds, '--', '/usr/bin/node', command, ...args], {
      env: environment,
    })
    const called = existsSync(log) ? readFileSync(log, 'utf8').trimEnd().split('\n') : []
    return { result, called: called.map(line => JSON.parse(line) as string[]) }
  }

  function application_(flags: readonly string[] = []) {
    const closure = new DarwinClosure('arm64')
    const [app, foo] = [closure.package('app-1'), closure.package('foo-1')]
    const libfoo = closure.build(`${foo}/lib/libfoo.dylib`, 'int foo(void) { return 1; }', {
      id: `${foo}/lib/libfoo.dylib`,
    })
    closure.build(`${app}/bin/app`, 'int foo(void); int main(void) { return foo(); }', { libraries: [libfoo], flags })
    closure.text(`${app}/lib/part.c`, `const char *place = "${foo}/lib";`)
    run('clang-19', ['-target', 'arm64-apple-macos11', '-c', `${app}/lib/part.c`, '-o', `${app}/lib/part.o`])
    return app
  }

  test('codesign signs what was edited and has a signature, and no object file', () => {
    const out = join(temporary(), 'out')
    const { result, called } = onMacOS([application_(), '-f', 'dir', '-o', out], '')
    expect(result).toMatchObject({ code: 0 })
    const keep = '--preserve-metadata=identifier,entitlements,requirements,flags,runtime'
    expect(called).toEqual([1, 2].map(() => ['--force', '--sign', '-', keep]))
  })

  test('--signer builtin asks nobody', () => {
    const out = join(temporary(), 'out')
    const { result, called } = onMacOS([application_(), '-f', 'dir', '-o', out, '--signer', 'builtin'], '')
    expect([result.code, called]).toEqual([0, []])
  })

  test('a signature of other contents is found; a codesign that fails is an error', () => {
    const out = join(temporary(), 'out')
    const spoil = 'const b = fs.readFileSync(file); b[b.length - 200] ^= 1; fs.writeFileSync(file, b)'
    const spoilt = onMacOS([application_(), '-f', 'dir', '-o', out], spoil).result
    expect(spoilt).toMatchObject({ code: 1, stdout: '', stderr: /editing it changed the signature of arm64/ })
    const failed = onMacOS([application_(), '-f', 'dir', '-o', out], "console.error('unsuitable'); process.exit(1)")
    expect(failed.result).toMatchObject({
      code: 2,
      stderr: /codesign failed: unsuitable\n {2}try: use --signer builtin/,
    })
    expect(existsSync(out)).toBe(false)
  })

  test('install_name_tool is asked for what has no room', () => {
    const out = join(temporary(), 'out')
    const prefix = `/opt/${'x'.repeat(20)}`
    const { result, called } = onMacOS(
      [tight(), '-f', 'dir', '-o', out, '--prefix', prefix],
      '',
      "console.error('larger updated load commands do not fit'); process.exit(1)",
    )
    expect(result).toMatchObject({ code: 2, stderr: /bin\/tight: install_name_tool failed: larger updated/ })
    expect(called.at(-1)).toEqual(expect.arrayContaining(['-change', '@rpath/l', `${prefix}/pkg/t/l/l`]))
    expect(existsSync(out)).toBe(false)
  })
})

describe('codesign', () => {
  afterEach(() => void vi.unstubAllEnvs())

  test('signs ad hoc and keeps what the old signature says', async () => {
    const { log, program } = standIn('codesign', 'exit 0')
    await codesign('/some/file', program)
    expect(readFileSync(log, 'utf8')).toBe(
      '--force\n--sign\n-\n--preserve-metadata=identifier,entitlements,requirements,flags,runtime\n/some/file\n',
    )
  })

  test('that fails, or is not there, is an error', async () => {
    const { program } = standIn('codesign', 'echo unsuitable >&2; exit 1')
    await expect(codesign('/some/file', program)).rejects.toMatchObject({
      code: 'tool-failed',
      message: expect.stringContaining('unsuitable'),
      hint: 'use --signer builtin',
    })
    await expect(codesign('/some/file', `${program}-not`)).rejects.toMatchObject({ code: 'tool-missing' })
  })
})
