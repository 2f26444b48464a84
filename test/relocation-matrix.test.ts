/**
 * Strings that move with the bundle, wherever a linker puts them and whoever reads them first: all of it in one program
 * for each linker, layout and libc. What the strings become is compared to the byte.
 */
import { describe, expect, test } from 'vitest'
import { eachOf } from './support/elf-tools.ts'
import { relocated, sayAt } from './support/relocation-lab.ts'
import { buildMatrix, COMMAND, GLIBC, KINDS, LAYOUTS, MUSL, matrixLines } from './support/relocation-matrix.ts'
import { ROOT } from './support/stub-lab.ts'

describe.each([GLIBC, MUSL])('$name', libc => {
  test.each(LAYOUTS.map(link => ({ link })))('pie and no-pie, $link', async ({ link }) => {
    await eachOf(KINDS, async kind => {
      const said = await sayAt(await buildMatrix(libc, kind, link), ROOT, COMMAND)
      expect(said.stdout, kind).toBe(matrixLines(libc, () => relocated(ROOT)))
      expect(said, kind).toMatchObject({ end: 0, stderr: '' })
    })
  })
})
