/** test/relocation-matrix.test.ts on the glibc that the fixtures build from source, the one a store has. */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { fixture } from '../support/bundle.ts'
import { eachOf } from '../support/elf-tools.ts'
import { relocated, sayAt } from '../support/relocation-lab.ts'
import { buildMatrix, COMMAND, GLIBC, KINDS, LAYOUTS, matrixLines } from '../support/relocation-matrix.ts'
import { ROOT } from '../support/stub-lab.ts'

const lib = join(fixture('full.glibc'), 'lib')
const libc = {
  ...GLIBC,
  name: 'glibc of the store',
  loader: join(lib, 'ld-linux-x86-64.so.2'),
  libraries: [join(lib, 'libc.so.6')],
}

test.each(LAYOUTS.map(link => ({ link })))('pie and no-pie, $link', async ({ link }) => {
  await eachOf(KINDS, async kind => {
    const said = await sayAt(await buildMatrix(libc, kind, link), ROOT, COMMAND)
    expect(said.stdout, kind).toBe(matrixLines(libc, () => relocated(ROOT)))
    expect(said, kind).toMatchObject({ end: 0, stderr: '' })
  })
})
