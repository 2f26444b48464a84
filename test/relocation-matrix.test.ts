/**
 * Strings that move with the bundle, wherever a linker puts them and whoever reads them first: all of it in one program
 * for each linker, layout and libc. What the strings become is compared to the byte.
 */
import { describe, expect, test } from 'vitest'
import { eachOf } from './support/elf-tools.ts'
import { relocated, sayAt } from './support/relocation-lab.ts'
import {
  buildMatrix,
  COMMAND,
  GLIBC,
  KINDS,
  LAYOUTS,
  type MatrixLibc,
  MUSL,
  matrixLines,
  OTHERS,
} from './support/relocation-matrix.ts'
import { ROOT } from './support/stub-lab.ts'

// Of other CPUs the linker's own layout, and i686 in all.
const layoutsOf = (libc: MatrixLibc) => (libc.emulator ? LAYOUTS.slice(0, 1) : LAYOUTS)

describe.each([GLIBC, MUSL, ...OTHERS])('$name', libc => {
  const [run, more] = libc.emulator ? [['/emulator'], ['--ro-bind', libc.emulator, '/emulator']] : [[], []]
  // What it executes is not emulated, so there it is not its own child too.
  const only = libc.emulator ? ['child'] : []
  const all = matrixLines(libc, () => relocated(ROOT))
  test.each(layoutsOf(libc).map(link => ({ link })))('pie and no-pie, $link', async ({ link }) => {
    await eachOf(KINDS, async kind => {
      const said = await sayAt(await buildMatrix(libc, kind, link), ROOT, [...run, ...COMMAND, ...only], { more })
      expect(said.stdout, kind).toBe(libc.emulator ? all.slice(0, all.length / 2) : all)
      expect(said, kind).toMatchObject({ end: 0, stderr: '' })
    })
  })
})
