/** Ten times the mutations of test/macho-malformed.test.ts, and the prefixes of all fixtures. */
import { expect, test } from 'vitest'
import { temporaryDirectory } from '../support/elf-tools.ts'
import { MachOLab } from '../support/macho-lab.ts'
import { mutate, mutationOriginals, readAll } from '../support/macho-mutations.ts'

test('100,000 mutated Mach-O files', { timeout: 3_600_000 }, () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1e9)
  const { slowest, grown } = mutate(mutationOriginals(new MachOLab(temporaryDirectory())), 100_000, seed)
  expect(slowest).toBeLessThan(1000)
  expect(grown).toBeLessThan(256)
})

test('every prefix of every fixture', { timeout: 3_600_000 }, () => {
  const originals = mutationOriginals(new MachOLab(temporaryDirectory()), 1)
  for (const [, bytes] of originals)
    for (let end = 0; end <= Math.min(bytes.length, 16384); end++) readAll(bytes.subarray(0, end))
  expect(originals.length).toBeGreaterThan(50)
})
