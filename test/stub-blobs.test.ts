/** The blobs of the stub, the bootstrap and the sidecar: built from the sources here, small, nothing but code that works at any address. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { PREBUILT } from '../src/entry/prebuilt.ts'
import { temporary } from './support/bundle.ts'
import { output } from './support/elf-tools.ts'

const entry = resolve(import.meta.dirname, '../src/entry')
const directory = temporary()
/** The stub never costs a program more than that, nor the bootstrap cover more of its code. In bytes. */
const SIZE_MAX = { stub: 10_432, bootstrap: 1280, sidecar: 11_072 }
/** Of ARM an instruction has four bytes, and what is not aligned is read byte by byte. */
const SIZE_MAX_ARM = { stub: 12_608, bootstrap: 1344, sidecar: 13_376 }

test("build.sh's output is prebuilt.ts, byte for byte but for how the formatter breaks lines", {
  timeout: 180_000,
}, async () => {
  const [built, kept] = [await output(join(entry, 'build.sh'), []), readFileSync(join(entry, 'prebuilt.ts'), 'latin1')]
  const unbroken = (text: string): string => text.replaceAll(/\s+/g, ' ')
  expect(unbroken(built) === unbroken(kept), 'run src/entry/build.sh > src/entry/prebuilt.ts').toBe(true)
})

/**
 * Builds as build.sh does, with the script changed: the ELF files before objcopy cuts them are kept in `out`, and the
 * code is linked for `address`.
 */
async function build(out: string, address: string): Promise<void> {
  const script = readFileSync(join(entry, 'build.sh'), 'utf8')
  const changed = script
    .replace(/^cd .*$/m, `cd '${entry}'`)
    .replace('-Wl,-T,stub.ld', `-Wl,-T,${out}/stub.ld`)
    .replace('"$objcopy" -O binary', `cp "$out/$name.elf" '${out}'/"$name-$objcopy".elf; "$objcopy" -O binary`)
  expect(changed.split(out)).toHaveLength(3)
  const blobsOnly = changed.replace("cat << 'HEAD'", () => "program() { :; }\ncat << 'HEAD'")
  const placed = readFileSync(join(entry, 'stub.ld'), 'utf8').replace('. = 0;', `. = ${address};`)
  writeFileSync(join(out, 'stub.ld'), placed)
  await output('bash', ['-c', blobsOnly])
}

const [low, high] = [join(directory, 'low'), join(directory, 'high')]
beforeAll(async () => {
  for (const path of [low, high]) mkdirSync(path)
  await Promise.all([build(low, '0'), build(high, '0x123456789000')])
}, 120_000)

const BLOBS = (['stub', 'bootstrap', 'sidecar'] as const).flatMap(
  name =>
    [
      { name, cpu: 'x86_64', prefix: '' },
      { name, cpu: 'aarch64', prefix: 'aarch64-linux-gnu-' },
      { name, cpu: 'riscv64', prefix: 'riscv64-linux-gnu-' },
      { name, cpu: 'i686', prefix: 'i686-linux-gnu-' },
      { name, cpu: 'arm', prefix: 'arm-linux-gnueabihf-' },
    ] as const,
)

describe.each(BLOBS)('the $name of $cpu', ({ name, cpu, prefix }) => {
  const blob = Buffer.from(PREBUILT[cpu]![name]!, 'base64')
  const elf = join(low, `${name}-${prefix}objcopy.elf`)

  test('no larger than it may be', () => {
    expect(blob.length).toBeGreaterThan(900)
    expect(blob.length).toBeLessThanOrEqual((cpu === 'arm' ? SIZE_MAX_ARM : SIZE_MAX)[name])
    // The configuration follows at once, and holds words of 8 bytes.
    expect(blob.length % 16).toBe(0)
  })

  test('no relocations, no data, nothing undefined: one section of code', async () => {
    expect(await output(`${prefix}readelf`, ['-rW', elf])).toContain('There are no relocations in this file')
    expect(await output(`${prefix}nm`, ['-u', elf])).toBe('')
    const headers = await output(`${prefix}readelf`, ['-SW', elf])
    const sections = [...headers.matchAll(/\] (\.\S+)\s+(\S+)\s+\S+ \S+ (\S+) \S+\s+(\w+) /g)]
    const loaded = sections.filter(([, , , size, flags]) => flags!.includes('A') && Number.parseInt(size!, 16) > 0)
    expect(loaded.map(([, name, type, size, flags]) => [name, type, Number.parseInt(size!, 16), flags])).toEqual([
      ['.text', 'PROGBITS', blob.length, 'AX'],
    ])
    const symbols = await output(`${prefix}nm`, [elf])
    expect(symbols).toMatch(/^(0{16}|0{8}) \w _start$/m)
    expect(Number.parseInt(/^(\w+) \w config$/m.exec(symbols)![1]!, 16)).toBe(blob.length)
  })

  test('linked for another address it is the same, byte for byte', async () => {
    await output(`${prefix}objcopy`, [
      '-O',
      'binary',
      '-j',
      '.text',
      join(high, `${name}-${prefix}objcopy.elf`),
      `${elf}.bin`,
    ])
    expect(readFileSync(`${elf}.bin`).equals(blob)).toBe(true)
  })

  test('the paths in it are those of /proc, where aliases go, and the placeholder that it writes over', () => {
    const strings = blob.toString('latin1').match(/\/[\w.+-]+\/[\x20-\x7e]*/g) ?? []
    const aliases = ['/dev/shm/sf-%', '/run/sf', '/run/user/%/sf', '/tmp/sf-%']
    const others = [...aliases, '/proc/self/mem', `/var/empty/${'e'.repeat(32)}-`]
    expect([...new Set(strings)].sort()).toEqual(['/proc/self/exe', ...(name === 'bootstrap' ? [] : others)].sort())
  })
})
