/** Closures for macOS as few packages have them. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { bundle, grep, mustBundle, run, temporary } from '../support/bundle.ts'
import { DarwinClosure } from '../support/darwin-closure.ts'

/** The strings of all load commands, as LLVM's otool prints them. */
const loadCommands = (file: string, arch?: string): string[] =>
  [
    ...run('llvm-otool-19', [...(arch === undefined ? [] : ['-arch', arch]), '-l', file]).stdout.matchAll(
      /^ *(?:name|path) (\S.*) \(offset \d+\)$/gm,
    ),
  ].map(m => m[1]!)

/** A library in `lib/` of a package, with its store path as install name. */
const library = (closure: DarwinClosure, package_: string, name: string, libraries: string[] = []): string =>
  closure.build(
    `${package_}/lib/lib${name}.dylib`,
    `${libraries.length > 0 ? 'int below(void);' : ''} int ${name}(void) { return ${libraries.length > 0 ? 'below()' : '1'}; }`,
    { id: `${package_}/lib/lib${name}.dylib`, libraries },
  )

function made(target: string, ...options: string[]): { out: string; stderr: string } {
  const out = join(temporary(), 'out')
  const { stderr } = mustBundle([target, '-f', 'dir', '-o', out, ...options])
  expect(grep('/nix/store', out)).toBe('')
  expect(bundle(['verify', out]).code).toBe(0)
  return { out, stderr }
}

test('a library for x86_64h in a process for x86_64 keeps its own libraries', () => {
  const closure = new DarwinClosure('x86_64')
  const [app, one, two] = [closure.package('app-1'), closure.package('one-1'), closure.package('two-1')]
  const below = library(closure, two, 'below')
  const one_ = library(closure, one, 'one', [below])
  closure.build(`${app}/bin/app`, 'int one(void); int main(void) { return one(); }', { libraries: [one_] })
  const bytes = readFileSync(one_)
  bytes.writeUInt32LE(8, 8)
  writeFileSync(one_, bytes)
  const { out } = made(app)
  expect(loadCommands(join(out, 'lib/libone.dylib'))).toContain('@loader_path/libbelow.dylib')
})

test('a slice that no program maps asks for what the others find', () => {
  const closure = new DarwinClosure('universal')
  const [app, one, two] = [closure.package('app-1'), closure.package('one-1'), closure.package('two-1')]
  const one_ = library(closure, one, 'one', [library(closure, two, 'below')])
  new DarwinClosure('arm64').build(`${app}/bin/app`, 'int one(void); int main(void) { return one(); }', {
    libraries: [one_],
  })
  const { out } = made(app)
  for (const arch of ['x86_64', 'arm64'])
    expect(loadCommands(join(out, 'lib/libone.dylib'), arch)).toContain('@loader_path/libbelow.dylib')
})

test.each([
  ['relocatable', [], '@loader_path/../lib'],
  ['for one place', ['--prefix', '/opt/app'], '/opt/app/pkg/app-1/lib'],
])('%s: a search path into the own tree still leads there: plugins are opened by @rpath', (_, options, rpath) => {
  const closure = new DarwinClosure('arm64')
  const app = closure.package('app-1')
  closure.build(`${app}/lib/plugin.so`, 'int plugin(void) { return 1; }', { bundle: true })
  closure.build(`${app}/bin/app`, 'int main(void) { return 0; }', { flags: ['-rpath', `${app}/lib/`] })
  const { out } = made(app, ...options)
  expect(loadCommands(join(out, 'pkg/app-1/bin/app'))).toContain(rpath)
  expect(existsSync(join(out, 'pkg/app-1/lib/plugin.so'))).toBe(true)
})

test('a plugin finds its libraries by the search paths of the program that opens it', () => {
  const closure = new DarwinClosure('arm64')
  const [app, kit] = [closure.package('app-1'), closure.package('kit-1')]
  const framework = `${kit}/lib/Kit.framework/Versions/A/Kit`
  const libkit = closure.build(framework, 'int kit(void) { return 1; }', { id: '@rpath/Kit.framework/Versions/A/Kit' })
  closure.build(`${app}/bin/app`, 'int main(void) { return 0; }', { flags: ['-rpath', `${kit}/lib`] })
  closure.build(`${app}/lib/plugin.so`, 'int kit(void); int plugin(void) { return kit(); }', {
    bundle: true,
    libraries: [libkit],
  })
  const { out, stderr } = made(app)
  expect(stderr).not.toContain('not found')
  const place = '@loader_path/../../kit-1/lib/Kit.framework/Versions/A/Kit'
  expect(loadCommands(join(out, 'pkg/app-1/lib/plugin.so'))).toContain(place)
  expect(existsSync(join(out, 'pkg/kit-1/lib/Kit.framework/Versions/A/Kit'))).toBe(true)
})

test('names and search paths that reach other packages from their own, by hash', () => {
  const closure = new DarwinClosure('arm64')
  const [app, one] = [closure.package('app-1'), closure.package('one-1')]
  const beside = `@loader_path/../..${one.slice('/nix/store'.length)}/lib`
  const one_ = closure.build(`${one}/lib/libone.dylib`, 'int one(void) { return 1; }', { id: `${beside}/libone.dylib` })
  closure.build(`${app}/bin/app`, 'int one(void); int main(void) { return one(); }', {
    libraries: [one_],
    flags: ['-rpath', beside],
  })
  const { out } = made(app)
  expect(grep(one.slice('/nix/store/'.length, '/nix/store/'.length + 32), out)).toBe('')
  const commands = loadCommands(join(out, 'pkg/app-1/bin/app'))
  expect(commands).toEqual(
    expect.arrayContaining(['@loader_path/../../../lib', '@loader_path/../../../lib/libone.dylib']),
  )
})

test('an object file with options for a linker', () => {
  const closure = new DarwinClosure('arm64')
  const app = closure.package('app-1')
  closure.build(`${app}/bin/app`, 'int main(void) { return 0; }')
  mkdirSync(`${app}/lib`)
  writeFileSync(
    `${app}/lib/part.ll`,
    `target triple = "arm64-apple-macos11"\n!llvm.linker.options = !{!0}\n!0 = !{!"-L${app}/lib"}\n@x = global i32 1\n`,
  )
  execFileSync('clang-19', ['-target', 'arm64-apple-macos11', '-c', 'part.ll', '-o', 'part.o'], { cwd: `${app}/lib` })
  rmSync(`${app}/lib/part.ll`)
  const { out } = made(app)
  const object = readFileSync(join(out, 'pkg/app-1/lib/part.o'))
  expect(object.includes('-L/var/empty/')).toBe(true)
  expect(object).toHaveLength(readFileSync(`${app}/lib/part.o`).length)
})

test('an application that a wrapper of another package starts comes with all of it', () => {
  const closure = new DarwinClosure('arm64')
  const [app, wrap, bash] = [closure.package('app-1'), closure.package('wrap-1'), closure.package('bash-5')]
  const contents = `${app}/Applications/App.app/Contents`
  closure.build(`${contents}/MacOS/App`, 'int main(void) { return 0; }')
  closure.text(`${contents}/Info.plist`, '<plist/>\n')
  closure.text(`${contents}/Resources/icon`, 'icon\n')
  closure.text(`${wrap}/bin/app`, `#! ${bash}/bin/bash -e\nexec -a "$0" "${contents}/MacOS/App"  "$@" \n`, 0o755)
  const { out } = made(wrap)
  const place = join(out, 'pkg/app-1/Applications/App.app/Contents')
  expect(readFileSync(join(place, 'Resources/icon'), 'utf8')).toBe('icon\n')
  expect(existsSync(join(place, 'Info.plist'))).toBe(true)
  // The program itself is a target too.
  const alone = made(`${contents}/MacOS/App`)
  expect(readlinkSync(join(alone.out, 'bin/App'))).toBe('../pkg/app-1/Applications/App.app/Contents/MacOS/App')
})

test('ELF and Mach-O in one tree', () => {
  const closure = new DarwinClosure('arm64')
  const app = closure.package('app-1')
  closure.build(`${app}/bin/app`, 'int main(void) { return 0; }')
  closure.text(`${app}/share/x.c`, 'int main(void) { return 7; }')
  execFileSync('gcc', ['-static', '-o', `${app}/bin/linux`, `${app}/share/x.c`])
  const { out } = made(app)
  expect(run(join(out, 'bin/linux'), []).code).toBe(7)
})

test('two runs give one tar', () => {
  const closure = new DarwinClosure('universal')
  const [app, one] = [closure.package('app-1'), closure.package('one-1')]
  const one_ = library(closure, one, 'one')
  closure.build(`${app}/bin/app`, 'int one(void); int main(void) { return one(); }', { libraries: [one_] })
  const [a, b] = ['1', '4'].map(jobs => {
    const out = join(temporary(), 'out.tar')
    mustBundle([app, '-o', out, '--jobs', jobs])
    return readFileSync(out)
  })
  expect(a!.equals(b!)).toBe(true)
})
