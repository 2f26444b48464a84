/**
 * Strings that move with the bundle where the kernel does not let a program write to its own code: systemd's
 * MemoryDenyWriteExecute=, no /proc/self/mem, both. What is written and what stays blanked is what docs/references.md
 * says, string by string.
 */
import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { temporary } from './support/bundle.ts'
import { output } from './support/elf-tools.ts'
import { PLACEHOLDER, relocated, sayAt } from './support/relocation-lab.ts'
import {
  buildMatrix,
  COMMAND,
  GLIBC,
  type MatrixLibc,
  type MatrixString,
  MUSL,
  matrixLines,
} from './support/relocation-matrix.ts'
import { ROOT, SUPPORT, say } from './support/stub-lab.ts'

const scratch = temporary()
const DENY = join(scratch, 'deny')
const more = ['--ro-bind', DENY, '/deny']
beforeAll(() => output('gcc', ['-static', '-O1', '-o', DENY, join(SUPPORT, 'no-mprotect.c')]))

/** A program's layout, and in which places a string of it is in an executable segment. */
interface Layout {
  readonly kind: 'pie' | 'no-pie'
  readonly link: readonly string[]
  readonly inCode: readonly string[]
}
const READ_ONLY = ['rodata', 'pointer', 'counted', 'relro name', 'rodata border']
const LAYOUTS: readonly Layout[] = [
  { kind: 'pie', link: [], inCode: ['code'] },
  { kind: 'pie', link: ['-Wl,-z,noseparate-code'], inCode: ['code', ...READ_ONLY] },
  { kind: 'pie', link: ['-fuse-ld=lld', '-Wl,--no-rosegment'], inCode: ['code', ...READ_ONLY] },
  { kind: 'pie', link: ['-fuse-ld=lld', '-Wl,-z,norelro'], inCode: ['code'] },
]

/** The threads that go on while the library is written to see it: without the hook that is not early enough. */
const unwatched = (text: string): string => text.replaceAll(/^\w+ watcher: .*\n/gm, '')

/** How many bytes of each file of the bundle are mapped with which protection. */
function protections(maps: string): Map<string, number> {
  const bytes = new Map<string, number>()
  for (const [, from, to, protection, file] of maps.matchAll(/^(\w+)-(\w+) (\S+) .* (\/\S+)$/gm)) {
    const key = `${file} ${protection}`
    bytes.set(key, (bytes.get(key) ?? 0) + Number(BigInt(`0x${to}`) - BigInt(`0x${from}`)))
  }
  return bytes
}

/** What is lost without a way to write to code: strings in it, and all that only the hook is early enough for. */
const isLost = (libc: MatrixLibc, { inCode }: Layout, { object, reader, place }: MatrixString): boolean =>
  object === 'plugin' ||
  (object === 'library' && (reader === 'constructor' || reader === 'thread') && !libc.isMusl) ||
  inCode.includes(place)

describe.each([GLIBC, MUSL])('$name', libc => {
  describe.each(LAYOUTS)('$kind, $link', layout => {
    let bundle: string
    beforeAll(async () => {
      bundle = await buildMatrix(libc, layout.kind, layout.link)
    })
    const all = matrixLines(libc, () => relocated(ROOT))
    const rest = (root: string): string =>
      unwatched(matrixLines(libc, string => (isLost(libc, layout, string) ? PLACEHOLDER : relocated(root))))

    test.each(['wx', 'exec', 'mem', 'pwrite'])('%s denied: nothing is lost', async rule => {
      expect(await sayAt(bundle, ROOT, ['/deny', rule, ...COMMAND], { more })).toEqual({
        end: 0,
        stdout: all,
        stderr: '',
      })
    })

    test.each(['exec,mem', 'exec,pwrite', 'wx,mem'])('%s denied: code, constructors, plugins', async rules => {
      const said = await sayAt(bundle, ROOT, ['/deny', rules, ...COMMAND], { more })
      expect(unwatched(said.stdout)).toBe(rest(ROOT))
      expect(said).toMatchObject({ end: 0, stderr: '' })
    })

    test('no /proc: nothing is lost; and no exec: as when both are denied', async () => {
      const options = { more, proc: false, env: { LD_LIBRARY_PATH: `${ROOT}/lib` } }
      const root = `${ROOT}/bin/..`
      // There is no /proc/self/exe that it could start again.
      const half = (text: string): string => text.slice(0, text.length / 2)
      const command = [...COMMAND, 'child']
      const without = await sayAt(bundle, ROOT, command, options)
      expect(without).toEqual({ end: 0, stdout: half(matrixLines(libc, () => relocated(root))), stderr: '' })
      const said = await sayAt(bundle, ROOT, ['/deny', 'exec', ...command], options)
      expect(unwatched(said.stdout)).toBe(half(rest(root)))
      expect(said).toMatchObject({ end: 0, stderr: '' })
    })

    test.each(['', 'mem', 'exec'])('pages are as protected as without strings to write (denied: %j)', async rule => {
      const command = [...(rule ? ['/deny', rule] : []), ...COMMAND, 'maps']
      const untouched = [...more, '--ro-bind', '/dev/null', `${ROOT}/.relocations`]
      const [written, plain] = [
        await sayAt(bundle, ROOT, command, { more }),
        await sayAt(bundle, ROOT, command, { more: untouched }),
      ]
      expect(plain.stdout).toContain('/var/empty')
      expect(protections(written.stdout).size).toBeGreaterThan(8)
      expect(protections(written.stdout)).toEqual(protections(plain.stdout))
    })

    test('every mprotect denied: ld.so itself gives up, as it does without the stub', async () => {
      const denied = (...command: string[]) => sayAt(bundle, ROOT, ['/deny', 'all', ...command], { more })
      const loader = libc.loader.slice(libc.loader.lastIndexOf('/') + 1)
      for (const said of [await denied(...COMMAND), await denied(`${ROOT}/lib/${loader}`, ...COMMAND)]) {
        expect(said).toMatchObject({ end: 127, stdout: '' })
        expect(said.stderr).toMatch(
          /cannot (?:change memory protections|apply additional memory protection)|RELRO protection failed/,
        )
      }
    })
  })
})

test("a program that its user may run and not read: /proc/self/mem is root's, nothing is lost", async () => {
  const bundle = await buildMatrix(GLIBC, 'pie', ['-Wl,-z,noseparate-code'])
  chmodSync(join(bundle, '..'), 0o755)
  const program = join(bundle, 'bin/prog')
  chmodSync(program, 0o711)
  const nobody = ['--reuid', '65534', '--regid', '65534', '--clear-groups']
  expect(await say('setpriv', [...nobody, 'cat', program])).toMatchObject({ end: 1, stdout: '' })
  expect(await say('setpriv', [...nobody, program, join(bundle, 'lib/plugin.so')])).toEqual({
    end: 0,
    stdout: matrixLines(GLIBC, () => relocated(bundle)),
    stderr: '',
  })
})
