/** What is compiled into a loader, beside what the loader itself says. */
import { execFileSync } from 'node:child_process'
import { readFileSync, realpathSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { ElfFacts } from '../src/elf/facts.ts'
import { readLoader } from '../src/elf/loader.ts'
import { parseElf } from '../src/elf/parse.ts'

const LD_SO = realpathSync('/lib64/ld-linux-x86-64.so.2')

const source = (bytes: Buffer) => ({
  size: bytes.length,
  read: (offset: number, length: number) => bytes.subarray(offset, offset + length),
})

test("the machine's loader: the directories that it says it searches, and every copy of them is to be blanked", () => {
  const bytes = readFileSync(LD_SO)
  const { directories, hostPaths } = readLoader(source(bytes), parseElf(source(bytes), LD_SO))
  const said = execFileSync(LD_SO, ['--list-diagnostics'], { encoding: 'latin1' })
  const searched = [...said.matchAll(/^path\.system_dirs\[0x\d+\]="(.*)\/"$/gm)].map(m => m[1]!)
  expect(searched.length).toBeGreaterThan(1)
  expect(directories).toEqual(searched)
  for (const directory of searched)
    for (let at = bytes.indexOf(`${directory}/\0`); at >= 0; at = bytes.indexOf(`${directory}/\0`, at + 1))
      // The end of a longer one is blanked with it.
      expect(hostPaths.some(p => p.offset <= at && at < p.offset + p.from.length)).toBe(true)
})

const segment = (text: string) => {
  const bytes = Buffer.from(text, 'latin1')
  const facts = { segments: [{ type: 1, flags: 4, offset: 0, filesz: bytes.length }] } as unknown as ElfFacts
  return readLoader(source(bytes), facts)
}

test.each([
  ['a NUL', '\0'],
  ['the end of a table', '\0\x80\x01'],
  ['the end of a table that is a letter by chance', '\0\x80@'],
])('the first of the default directories begins behind %s', (_, before) => {
  const { directories, hostPaths } = segment(`${before}/lib/x/\0/usr/lib/\0\0`)
  expect(directories).toEqual(['/lib/x', '/usr/lib'])
  expect(hostPaths.map(({ offset, from }) => [offset, from])).toEqual([
    [before.length, '/lib/x/'],
    [before.length + 8, '/usr/lib/'],
  ])
})

test('a path that is not absolute, or has no lib in it, is no default directory', () => {
  expect(segment('\0share/lib/\0text\0').directories).toEqual([])
  expect(segment('\0/etc/\0/var/db/\0').directories).toEqual([])
})
