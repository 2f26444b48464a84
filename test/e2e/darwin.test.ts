/**
 * Closures for macOS, bundled on Linux. What was made is read with LLVM's tools; page hashes are computed again by code
 * that shares nothing with the signer.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, realpathSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { bundle, grep, mustBundle, run, temporary } from '../support/bundle.ts'
import { application, DarwinClosure, type Target } from '../support/darwin-closure.ts'
import { tool } from '../support/root.ts'

/** All Mach-O files below a directory, each once, without links. */
const machOFiles = (directory: string): string[] =>
  run('find', [directory, '-type', 'f'])
    .stdout.trim()
    .split('\n')
    .filter(path => /^(?:cffaedfe|cafebabe)/.test(readFileSync(path).toString('hex', 0, 4)))

/** The strings of all load commands, as otool prints them, by kind of command. */
function loadCommands(file: string, arch: string): { cmd: string; text: string }[] {
  const { stdout, code } = run('llvm-otool-19', ['-arch', arch, '-l', file])
  expect(code).toBe(0)
  return stdout.split('Load command').flatMap(command => {
    const cmd = /^ *cmd (\S+)$/m.exec(command)?.[1]
    const text = /^ *(?:name|path) (\S.*) \(offset \d+\)$/m.exec(command)?.[1]
    return cmd !== undefined && text !== undefined ? [{ cmd, text }] : []
  })
}

/** Recomputes the SHA-256 of every page of every slice: how many there are, and the numbers of those that differ. */
function wrongPages(file: string): { pages: number; wrong: number[] } {
  const bytes = readFileSync(file)
  const offsets =
    bytes.readUInt32BE(0) === 0xcafebabe
      ? Array.from({ length: bytes.readUInt32BE(4) }, (_, i) => bytes.readUInt32BE(8 + i * 20 + 8))
      : [0]
  let pages = 0
  const wrong: number[] = []
  for (const start of offsets) {
    let at = start + 32
    for (let i = 0; i < bytes.readUInt32LE(start + 16); i++, at += bytes.readUInt32LE(at + 4)) {
      if (bytes.readUInt32LE(at) !== 0x1d) continue
      const blob = start + bytes.readUInt32LE(at + 8)
      const directory = blob + bytes.readUInt32BE(blob + 16)
      const [hashes, count, limit] = [16, 28, 32].map(field => bytes.readUInt32BE(directory + field)) as [
        number,
        number,
        number,
      ]
      const size = 2 ** bytes[directory + 39]!
      for (let page = 0; page < count; page++, pages++) {
        const contents = bytes.subarray(start + page * size, start + Math.min(limit, (page + 1) * size))
        const hash = bytes.subarray(directory + hashes + page * 32, directory + hashes + page * 32 + 32)
        if (!createHash('sha256').update(contents).digest().equals(hash)) wrong.push(page)
      }
    }
  }
  return { pages, wrong }
}

const LIBRARY = /^LC_(?:LOAD|LOAD_WEAK|REEXPORT|LOAD_UPWARD)_DYLIB$/

describe.each<[Target, string, readonly string[]]>([
  ['arm64', 'aarch64-darwin', ['arm64']],
  ['x86_64', 'x86_64-darwin', ['x86_64']],
  ['universal', 'universal-darwin', ['x86_64', 'arm64']],
])('%s', (target, system, archs) => {
  describe.each([
    ['relocatable', null],
    ['for one place', '/opt/app'],
  ])('%s', (_, prefix) => {
    const work = temporary()
    const out = join(work, 'out')
    let made: { stdout: string; stderr: string }
    let closure: ReturnType<typeof application>

    beforeAll(() => {
      closure = application(target)
      const where = prefix === null ? [] : ['--prefix', prefix]
      made = mustBundle([closure.app, '-f', 'dir', '-o', out, '-v', ...where])
    })

    test('the summary says what it is; no store path is left in any file', () => {
      expect(made.stdout).toContain(`app 1.0  ${system}  (store path`)
      expect(grep('/nix/store', out)).toBe('')
      expect(bundle(['verify', out]).code).toBe(0)
    })

    test('every library that is asked for lies in the bundle, where dyld looks for it, or belongs to macOS', () => {
      const files = machOFiles(out)
      expect(files.length).toBeGreaterThanOrEqual(8)
      for (const file of files)
        for (const arch of archs)
          for (const { cmd, text } of loadCommands(file, arch)) {
            if (!LIBRARY.test(cmd) || text === '/usr/lib/libSystem.B.dylib') continue
            if (cmd === 'LC_LOAD_WEAK_DYLIB') expect(text).toMatch(/^\/var\/empty\/e{32}-gone-0\//)
            else if (prefix !== null) expect(existsSync(text.replace(prefix, out)), text).toBe(true)
            else {
              expect(text).toMatch(/^@loader_path\//)
              expect(existsSync(text.replace('@loader_path', dirname(realpathSync(file)))), text).toBe(true)
            }
          }
    })

    test('ids tell every library apart, search paths stand once, and lead into the bundle', () => {
      for (const arch of archs) {
        const ids = new Set<string>()
        for (const file of machOFiles(out)) {
          const commands = loadCommands(file, arch)
          const rpaths = commands.filter(c => c.cmd === 'LC_RPATH').map(c => c.text)
          expect(new Set(rpaths).size).toBe(rpaths.length)
          for (const rpath of rpaths)
            expect(existsSync(rpath.replace('@loader_path', dirname(file)).replace(prefix ?? '\0', out)), rpath).toBe(
              true,
            )
          for (const { text } of commands.filter(c => c.cmd === 'LC_ID_DYLIB')) {
            expect(text).toMatch(prefix === null ? /^@rpath\// : /^\/opt\/app\/|^@rpath\/libbar\.dylib$/)
            expect([...ids]).not.toContain(text)
            ids.add(text)
          }
        }
      }
    })

    test('every page hash is right', () => {
      for (const file of machOFiles(out)) {
        const { pages, wrong } = wrongPages(file)
        expect(pages).toBeGreaterThan(0)
        expect(wrong).toEqual([])
      }
    })

    test('a framework stays the tree that it was, the second library of a name lies apart, the bundle links to its entry', () => {
      const framework = join(out, 'pkg/Kit-5/Library/Frameworks/Kit.framework')
      expect(readlinkSync(join(framework, 'Versions/Current'))).toBe('A')
      expect(readFileSync(join(framework, 'Versions/A/Resources/Info.plist'), 'utf8')).toBe('<plist/>\n')
      expect(existsSync(join(framework, 'Kit'))).toBe(true)
      expect(readdirSync(join(out, 'lib'))).toEqual(expect.arrayContaining(['libdup.dylib', 'libfoo.1.dylib']))
      expect(existsSync(join(out, 'lib/dup-2/libdup.dylib'))).toBe(true)
      expect(readlinkSync(join(out, 'bin/app'))).toBe('../pkg/app-1.0/bin/app')
    })

    test('what a program names comes along, and is found there or warned of', () => {
      expect(readFileSync(join(out, 'pkg/data-1/share/table'), 'utf8')).toBe('table\n')
      const library = readFileSync(join(out, 'lib/libbar.dylib'), 'latin1')
      if (prefix !== null) expect(library).toMatch(/\/opt\/app\/+p\/0-data-1\/share\/table\0/)
      else expect(made.stderr).toMatch(/warning: .*libbar\.dylib: finds data-1\/share\/table by store path/)
    })

    test('a library that may be missing is no error', () => {
      expect(made.stderr).toMatch(/note: .*gone-0\/lib\/libgone\.dylib is not found/)
    })
  })
})

describe('what stands for wrappers and scripts does what they did', () => {
  // Nothing here runs Mach-O: in the place of the two programs lie scripts that say what they were given.
  const out = join(temporary(), 'a b\'s "$x"')
  const SHELLS = { dash: [tool('dash')], bash: [tool('bash'), '--posix'], busybox: [tool('busybox'), 'sh'] } as const
  const say = (name: string) =>
    `#!/bin/sh\nprintf '%s\\n' "${name}" "$0" "$@"\nprintf '%s\\n' "G=$GREETING" "P=$PATH"\n`

  beforeAll(() => {
    const { app } = application('arm64')
    mustBundle([app, '-f', 'dir', '-o', out])
    writeFileSync(join(out, 'pkg/app-1.0/bin/app'), say('app'))
    writeFileSync(join(out, 'pkg/bash-5.2/bin/bash'), say('bash'))
  })

  describe.each(Object.entries(SHELLS))('%s', (_, [shell, ...options]) => {
    // As the kernel starts a script, by this shell.
    const start = (name: string, ...args: string[]): string[] => {
      const result = run(shell, [...options, join(out, 'bin', name), ...args], {
        cwd: '/',
        env: { PATH: '/usr/bin:/bin' },
      })
      expect(result).toMatchObject({ code: 0, stderr: '' })
      return result.stdout.trimEnd().split('\n')
    }
    const pkg = join(out, 'pkg/app-1.0')

    test('a wrapper script: environment, flags, arguments', () => {
      const said = start('wrapped', 'x y', '', '$z')
      expect(said).toEqual([
        'app',
        `${pkg}/bin/app`,
        '--quiet',
        'x y',
        '',
        '$z',
        `G=${pkg}/share/greeting`,
        'P=/usr/bin:/bin',
      ])
    })

    test('a compiled wrapper: the same, and a list', () => {
      const said = start('compiled', 'x y')
      const path = `P=${out}/pkg/bash-5.2/bin:/usr/bin:/bin`
      expect(said).toEqual(['app', `${pkg}/bin/app`, '--from', 'a b', 'x y', `G=${pkg}/share/greeting`, path])
    })

    test('a script: its interpreter gets its text, whose last line names the program in the bundle', () => {
      const [name, interpreter, text, ...rest] = start('greet', 'x y')
      expect([name, interpreter]).toEqual(['bash', join(out, 'pkg/bash-5.2/bin/bash')])
      expect(rest).toEqual(['x y', 'G=', 'P=/usr/bin:/bin'])
      // Run by another bash than the bundle's, it would run itself again.
      const ran = run(tool('bash'), [text!, '_storefree_again', 'x y'], { env: { PATH: '/usr/bin:/bin' } })
      expect(ran).toMatchObject({ code: 0, stderr: '' })
      expect(realpathSync(ran.stdout.split('\n')[1]!)).toBe(join(pkg, 'bin/app'))
      expect(ran.stdout.split('\n')[2]).toBe('x y')
    })
  })
})

describe('what cannot be done is said', () => {
  const closure = new DarwinClosure('arm64')

  test('a library that is missing is an error with the chain that needs it, and nothing is written', () => {
    const [a, b] = [closure.package('a-1'), closure.package('b-1')]
    const libb = closure.build(`${b}/lib/libb.dylib`, 'int b(void) { return 1; }', { id: `${b}/lib/libb.dylib` })
    const liba = closure.build(`${a}/lib/liba.dylib`, 'int b(void); int a(void) { return b(); }', {
      id: `${a}/lib/liba.dylib`,
      libraries: [libb],
    })
    const program = closure.build(`${a}/bin/a`, 'int a(void); int main(void) { return a(); }', { libraries: [liba] })
    run('rm', [libb])
    const out = join(temporary(), 'out')
    const result = bundle([program, '-f', 'dir', '-o', out])
    expect(result).toMatchObject({ code: 1, stdout: '' })
    expect(result.stderr).toContain(`${libb} is not found; it is needed by ${liba}, needed by ${program}`)
    expect(existsSync(out)).toBe(false)
  })

  test('a library, a Java class and a program of the wrong bytes are no programs', () => {
    const library = closure.package('library-1')
    const dylib = closure.build(`${library}/bin/lib.dylib`, 'int f(void) { return 1; }', { id: 'lib.dylib' })
    expect(bundle([dylib])).toMatchObject({ code: 2, stderr: /lib\.dylib: a library or bundle, not a program/ })
    const java = join(temporary(), 'Main.class')
    writeFileSync(java, Buffer.from('cafebabe0000003400100a0003', 'hex'), { mode: 0o755 })
    expect(bundle([java])).toMatchObject({ code: 2, stderr: /neither an ELF or Mach-O program nor a script/ })
    const bytes = readFileSync(closure.build(`${library}/bin/cut`, 'int main(void) { return 1; }'))
    const cut = closure.text(`${library}/bin/cut-off`, '', 0o755)
    writeFileSync(cut, bytes.subarray(0, 3000))
    expect(bundle([cut])).toMatchObject({
      code: 2,
      stderr: /cut-off: segment .*: \d+ bytes at \d+, but the slice has 3000/,
    })
  })

  test('load commands that have to grow and cannot are refused', () => {
    const tight = closure.package('t')
    const library = closure.build(`${tight}/l/l`, 'int l(void) { return 1; }', { id: '@rpath/l' })
    const program = closure.build(`${tight}/bin/tight`, 'int l(void); int main(void) { return l(); }', {
      libraries: [library],
      flags: ['-rpath', '@loader_path/../l', '-headerpad', '0'],
    })
    const prefix = `/opt/${'x'.repeat(20)}`
    const out = join(temporary(), 'out')
    const result = bundle([program, '-f', 'dir', '-o', out, '--prefix', prefix])
    expect(result.code).toBe(2)
    expect(result.stderr).toMatch(
      /bin\/tight: its load commands would need \d+ more bytes \(arm64\), and \d+ are free\n {2}try: a shorter --prefix/,
    )
    expect(existsSync(out)).toBe(false)
  })
})

test('two programs that mean different libraries by one name are told of', () => {
  const closure = new DarwinClosure('x86_64')
  const [app, one, two] = [closure.package('app-1'), closure.package('one-1'), closure.package('two-1')]
  for (const package_ of [one, two])
    closure.build(`${package_}/lib/libx.dylib`, `int x(void) { return ${package_ === one ? 1 : 2}; }`, {
      id: '@rpath/libx.dylib',
    })
  const middle = closure.build(`${app}/lib/libmiddle.dylib`, 'int x(void); int middle(void) { return x(); }', {
    id: `${app}/lib/libmiddle.dylib`,
    libraries: [`${one}/lib/libx.dylib`],
  })
  for (const [name, package_] of [
    ['first', one],
    ['second', two],
  ] as const)
    closure.build(`${app}/bin/${name}`, 'int middle(void); int main(void) { return middle(); }', {
      libraries: [middle],
      flags: ['-rpath', `${package_}/lib`],
    })
  const out = join(temporary(), 'out')
  mkdirSync(out)
  const made = mustBundle([app, '-f', 'dir', '-o', out, '--force'])
  expect(made.stderr).toMatch(
    /warning: .*libmiddle\.dylib: means one-1\/lib\/libx\.dylib by @rpath\/libx\.dylib in app-1\/bin\/first, and two-1\/lib\/libx\.dylib in app-1\/bin\/second/,
  )
})
