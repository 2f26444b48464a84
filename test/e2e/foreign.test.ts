/** Programs for other CPUs: bundled without ever being run, they print in an emulator what their originals print there. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { bundle, command, fixtureEnv, grep, mustBundle, run, temporary } from '../support/bundle.ts'
import { CPUS, emulated, greeterClosure, launched, NO_DATA, PLACE } from '../support/store-lab.ts'

const args = ['one', 'two words', '']
const directory = temporary()

describe.each(CPUS)('$arch', cpu => {
  const hasStub = cpu.arch !== 's390x'
  const place = (kind: string): string => join(directory, `${cpu.arch}-${kind}`)
  const log = (kind: string): string => place(`${kind}.trace`)
  let original: { code: number | null; stdout: string }
  let store: ReturnType<typeof greeterClosure>
  const reports = new Map<string, { code: number | null; stdout: string; stderr: string }>()

  beforeAll(() => {
    store = greeterClosure(cpu)
    // Nixpkgs' loader has its own directory compiled in; Debian's is told of it.
    const ownDirectory = ['-E', `LD_LIBRARY_PATH=${store.libc}/lib`]
    const program = join(store.program, 'bin/greeter')
    original = run(cpu.emulator, [...ownDirectory, program, ...args], { env: { LANG: 'C' } })
    for (const [kind, options] of [
      ['relocatable', []],
      ['fixed', ['--prefix', PLACE]],
      ['patchelf', ['--prefix', PLACE, '--patcher', 'patchelf']],
    ] as const)
      reports.set(
        kind,
        run(
          'strace',
          [
            ...['-f', '--seccomp-bpf', '-o', log(kind), '-e', 'trace=execve,execveat', process.execPath, command],
            ...[store.program, ...options, '-f', 'dir', '-o', place(kind)],
          ],
          { env: fixtureEnv },
        ),
      )
  })

  test('the original runs in the emulator', () => {
    expect(original.code).toBe(3)
    expect(original.stdout).not.toContain(NO_DATA)
    expect(original.stdout).not.toContain('no plugin')
    const headers = run('readelf', ['-hW', join(store.program, 'bin/greeter')]).stdout
    expect(headers).toMatch(cpu.machine)
  })

  test.each(['fixed', 'patchelf'])('for one place: prints what the original prints (%s)', kind => {
    const { code, stdout, stderr } = reports.get(kind)!
    expect(code, stdout + stderr).toBe(0)
    expect(emulated(cpu, place(kind), 'bin/greeter', args)).toEqual(original)
  })

  test('relocatable: prints what the original prints', () => {
    const { code, stdout, stderr } = reports.get('relocatable')!
    expect(code, stdout + stderr).toBe(0)
    if (hasStub) expect(emulated(cpu, place('relocatable'), 'bin/greeter', args)).toEqual(original)
    else {
      // Without the stub nothing tells the program where its data went, and the report says so.
      const known = original.stdout.replace('a line of data', NO_DATA)
      expect(launched(cpu, place('relocatable'), 'bin/greeter', args)).toEqual({ ...original, stdout: known })
      expect(stderr).toContain('finds greeter-1.0/share/greeter/data by store path')
    }
  })

  // The native launcher executes the interpreter, which an emulator of one process leaves to the kernel.
  if (!hasStub)
    test.each(['shown', 'wrapped'])(
      'relocatable: %s is a script that its interpreter runs, or a wrapper of it',
      name => {
        const { stdout, stderr } = launched(cpu, place('relocatable'), `bin/${name}`, ['more'])
        expect(stderr).toBe('')
        expect(stdout.split('\n').filter(line => line.startsWith('argument'))).toEqual([
          "argument 'shows'",
          `argument '${PLACE}/pkg/greeter-1.0/.bin-text/shown'`,
          "argument 'more'",
        ])
      },
    )

  if (!hasStub)
    test('the stub is not to be had', () => {
      const { code, stderr } = bundle([store.program, '--launcher', 'stub', '-f', 'dir', '-o', place('stub')])
      expect(code).toBe(1)
      expect(stderr).toContain(`there is no stub for ${cpu.arch}`)
    })

  // This machine's kernel runs programs for i686.
  if (cpu.arch === 'i686')
    test('as one file', () => {
      mustBundle([store.program, '-f', 'exe', '-o', place('one')])
      const env = { LANG: 'C', HOME: directory }
      const said = run(place('one'), args, { env })
      expect(said).toEqual({ ...original, stdout: original.stdout.replace('named greeter', `named ${cpu.arch}-one`) })
    })
  if (cpu.arch === 'armv7l')
    test('as one file, unpacked', () => {
      mustBundle([store.program, '-f', 'exe', '-o', place('one')])
      const env = { STOREFREE_EXTRACT: place('unpacked') }
      expect(run(cpu.emulator, [place('one')], { env })).toMatchObject({ code: 0, stderr: '' })
      expect(emulated(cpu, place('unpacked'), 'bin/greeter', args)).toEqual(original)
    })

  test('verified, without a store path, and named after its CPU', () => {
    for (const kind of ['relocatable', 'fixed']) {
      expect(bundle(['verify', place(kind)]).code).toBe(0)
      expect(grep('/nix/store', place(kind))).toBe('')
      expect(JSON.parse(readFileSync(join(place(kind), 'bundle.json'), 'utf8'))).toMatchObject({
        system: `${cpu.arch}-linux`,
      })
    }
  })

  test('nothing of it was executed', () => {
    const calls = [...reports.keys()].map(kind => readFileSync(log(kind), 'utf8')).join('')
    const executed = [...calls.matchAll(/execve(?:at)?\((?:[^"]*)"([^"]+)"/g)].map(m => m[1]!)
    expect(executed.some(path => path.endsWith('/patchelf'))).toBe(true)
    expect(executed.filter(path => path.startsWith('/nix/store/') || path.startsWith(directory))).toEqual([])
  })
})
