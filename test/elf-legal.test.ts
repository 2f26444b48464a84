/** Files that are rare and in order: readelf reads them, and so do we. */
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { grown } from '../src/apply/grow.ts'
import { readCopies } from '../src/elf/copies.ts'
import { editInPlace } from '../src/elf/edit.ts'
import { grow } from '../src/elf/grow.ts'
import { parseElf, symbolNames } from '../src/elf/parse.ts'
import { isDebugFile } from '../src/elf/sections.ts'
import { bufferSource } from '../src/io/bytes.ts'
import type { SourcePath } from '../src/paths.ts'
import { Sources } from '../src/scan/sources.ts'
import { output, temporaryDirectory } from './support/elf-tools.ts'

async function linked(flags: readonly string[], text = 'int b(void) { return 1; }'): Promise<string> {
  const directory = temporaryDirectory()
  writeFileSync(`${directory}/a.c`, text)
  await output('gcc', ['-g', ...flags, 'a.c', '-o', 'a'], { cwd: directory })
  return `${directory}/a`
}
const sourceOf = (file: string) => bufferSource(readFileSync(file))

test('addresses beyond 2^53, as on ia64', async () => {
  const rpath = '/a/search/path'
  const region = '-Wl,-Ttext-segment=0x4000000000000000'
  const flags = ['-shared', '-fPIC', '-fuse-ld=bfd', region, `-Wl,-rpath,${rpath}`, '-Wl,--hash-style=both']
  const file = await linked(flags)
  const facts = parseElf(sourceOf(file), file)
  expect(facts.runpath?.value).toBe(rpath)
  expect(symbolNames(sourceOf(file), file)).toContain('b')

  expect(editInPlace(facts, [{ op: 'set-rpath', to: '/short' }]).left).toEqual([])
  const to = `/${'x'.repeat(300)}`
  const growth = grow(sourceOf(file), file, [{ op: 'set-rpath', to }])
  if (typeof growth === 'string') throw new Error(growth)
  const after = grown(sourceOf(file), growth)
  writeFileSync(file, after.read(0, after.size))
  const printed = await output('sh', ['-c', 'readelf -aW "$0" 2>&1', file])
  expect(printed).toContain(`Library rpath: [${to}]`)
  expect(printed).toMatch(/\.dynstr +STRTAB +400000000000/)
  expect(printed).toMatch(/\(STRTAB\) +0x400000000000/)
  expect(printed).not.toMatch(/[Ww]arning|[Ee]rror/)
  expect(symbolNames(sourceOf(file), file)).toContain('b')
})

test('an empty table of relocations at address 0', async () => {
  const file = await linked(['-no-pie', '-fuse-ld=bfd', '-Wl,--hash-style=gnu'], 'int main(void) { return 0; }')
  const bytes = readFileSync(file)
  const facts = parseElf(bufferSource(bytes), file)
  for (const { tag, offset } of facts.dynamic) if (tag === 7 || tag === 8) bytes.writeBigUInt64LE(0n, offset + 8)
  const names = symbolNames(bufferSource(readFileSync(file)), file)
  expect(parseElf(bufferSource(bytes), file).needed).toEqual(facts.needed)
  expect(readCopies(bufferSource(bytes), file)).toEqual([])
  expect(names.slice(0, 1)).toEqual(symbolNames(bufferSource(bytes), file).slice(0, 1))
})

test.each([
  ['a program', ['-pie'], 'objcopy --only-keep-debug a a.debug'],
  ['a program at a fixed address', ['-no-pie'], 'objcopy --only-keep-debug a a.debug'],
  ['a library', ['-shared', '-fPIC', '-Wl,-rpath,/x'], 'objcopy --only-keep-debug a a.debug'],
])('the debug information of %s alone is data, and no damaged file', async (_, flags, command) => {
  const file = await linked(flags, 'int main(void) { return 0; }')
  await output('sh', ['-c', command], { cwd: file.slice(0, -2) })
  expect(isDebugFile(sourceOf(`${file}.debug`))).toBe(true)
  expect(isDebugFile(sourceOf(file))).toBe(false)
  // eu-strip leaves the original's sizes in the program headers, which lie beyond the file's end.
  copyFileSync(`${file}.debug`, `${file}.eu`)
  const eu = readFileSync(`${file}.eu`)
  const at = Number(eu.readBigUInt64LE(32))
  for (let i = 0; i < eu.readUInt16LE(56); i++)
    eu.writeBigUInt64LE(eu.readBigUInt64LE(at + i * 56 + 40) + BigInt(eu.length), at + i * 56 + 32)
  writeFileSync(`${file}.eu`, eu)
  const sources = new Sources()
  for (const path of [`${file}.debug`, `${file}.eu`])
    expect(sources.facts(path as SourcePath)).toEqual({ format: 'data' })
  expect(sources.findings).toEqual([])
})
