/**
 * parseElf says what readelf says, on every ELF file of this machine's program and library directories. readelf goes
 * by section headers where we go by program headers, so most facts are reached in two ways.
 */
import { closeSync, openSync, readdirSync, readFileSync, readSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { PF, PT } from '../src/elf/constants.ts'
import type { ElfFacts } from '../src/elf/facts.ts'
import { isElf, parseElf, symbolNames } from '../src/elf/parse.ts'
import { bufferSource } from '../src/io/bytes.ts'
import { withFile } from '../src/io/store.ts'
import { eachOf, output, temporaryDirectory } from './support/elf-tools.ts'

const DIRECTORIES = ['/usr/bin', '/usr/sbin', '/usr/lib/x86_64-linux-gnu']

test('facts equal readelf on every ELF file of the machine', { timeout: 120_000 }, async () => {
  const files = DIRECTORIES.flatMap(elfFiles)
  expect(files.length).toBeGreaterThan(500)

  const batches = Array.from({ length: Math.ceil(files.length / 60) }, (_, i) => files.slice(i * 60, i * 60 + 60))
  const differences: { file: string; ours: unknown; readelf: unknown }[] = []
  let [compared, neededCount, nameCount] = [0, 0, 0]
  await eachOf(batches, async batch => {
    const printed = await output('readelf', [...READELF, ...batch])
    const reports = printed.split(/^\nFile: /m).slice(1)
    expect(reports.map(report => report.slice(0, report.indexOf('\n')))).toEqual(batch)
    for (const [i, file] of batch.entries()) {
      const [ours, theirs] = [ourReport(file), readelfReport(reports[i]!)]
      compared++
      neededCount += theirs.needed.length
      nameCount += theirs.names
      for (const key of Object.keys(theirs) as (keyof Report)[])
        if (JSON.stringify(ours[key]) !== JSON.stringify(theirs[key]))
          differences.push({ file, ours: { [key]: ours[key] }, readelf: { [key]: theirs[key] } })
    }
  })
  console.log(`compared with readelf: ${compared} files, ${neededCount} needed names, ${nameCount} symbol names`)
  expect(differences).toEqual([])
})

test('the names of symbols and versions equal readelf', { timeout: 60_000 }, async () => {
  const files = DIRECTORIES.flatMap(elfFiles).filter((_, i) => i % 12 === 0)
  let compared = 0
  await eachOf(files, async file => {
    const printed = await output('readelf', ['--dyn-syms', '--wide', file])
    // "   12: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND name@VERSION (3)"; of a unique symbol, where readelf
    // does not know the system, "OBJECT  <OS specific>: 10 DEFAULT   14 name".
    const theirs = [
      ...printed.matchAll(/^ +\d+: [0-9a-f]{8,16} +\S+ +\S+ +(?:<[^>]*>: \d+|\S+) +\S+(?: +\[[^\]]*\])* +\S+ ?(.*)$/gm),
    ].map(m => m[1]!.replace(/(.)@@?[^@]*$/, '$1'))
    const ours = withFile(file, source => symbolNames(source, file)).slice(0, theirs.length)
    compared += theirs.length
    // A symbol that is named after the version it defines has no name of its own in readelf's eyes.
    expect(
      ours.map((name, i) => (theirs[i] === '' ? '' : name)),
      file,
    ).toEqual(theirs)
  })
  expect(compared).toBeGreaterThan(2_000)
})

// ld.bfd gives a program without exports a GNU hash table that counts one symbol, whatever it imports.
test('imports are counted whatever hash table there is', async () => {
  const directory = temporaryDirectory()
  writeFileSync(`${directory}/a.c`, '#include <stdio.h>\nint main(void) { return puts("x") < 0; }\n')
  const variants = ['bfd', 'gold'].flatMap(linker =>
    ['sysv', 'gnu', 'both'].flatMap(hash => ['-pie', '-no-pie'].map(pie => [linker, hash, pie] as const)),
  )
  const compiled = variants.map(([linker, hash, pie]) => ['gcc', linker, hash, pie] as const)
  // 32 bits, and a hash table of 64-bit words.
  const others = ['i686', 's390x'].flatMap(cpu =>
    ['sysv', 'gnu', 'both'].map(hash => [`${cpu}-linux-gnu-gcc`, 'bfd', hash, '-pie'] as const),
  )
  await eachOf([...compiled, ...others], async ([cc, linker, hash, pie]) => {
    const file = `${directory}/${cc}-${linker}-${hash}${pie}`
    await output(cc, [pie, `-fuse-ld=${linker}`, `-Wl,--hash-style=${hash}`, `${directory}/a.c`, '-o', file])
    const names = withFile(file, source => symbolNames(source, file))
    expect(names, file).toEqual(expect.arrayContaining(['puts', '__libc_start_main']))
    const theirs = readelfReport(await output('readelf', [...READELF, file]))
    expect({ file, names: names.length }).toEqual({ file, names: theirs.names })
  })
})

test('section headers are not needed', async () => {
  const original = readFileSync('/bin/ls')
  const stripped = Buffer.from(original)
  stripped.writeBigUInt64LE(0n, 40) // e_shoff
  stripped.fill(0xff, 58, 64) // e_shentsize, e_shnum, e_shstrndx
  expect(parseElf(bufferSource(stripped), 'stripped')).toEqual(parseElf(bufferSource(original), 'ls'))
})

const READELF = ['--file-header', '--segments', '--sections', '--dynamic', '--version-info', '--wide']

/** readelf's names of e_machine. */
const MACHINES: Readonly<Record<number, string>> = {
  0: 'None',
  3: 'Intel 80386',
  62: 'Advanced Micro Devices X86-64',
  183: 'AArch64',
  247: 'Linux BPF',
}

interface Report {
  readonly type: string
  readonly machine: string
  readonly class: string
  /** All program headers: offset, address, sizes, flags, alignment; the type where this tool has a name for it. */
  readonly segments: readonly string[]
  readonly interp: string | null
  /** All dynamic tags up to DT_NULL. */
  readonly tags: readonly number[]
  readonly needed: readonly string[]
  readonly soname: string | null
  readonly rpath: string | null
  readonly runpath: string | null
  readonly nodeflib: boolean
  readonly pie: boolean
  readonly verneed: ElfFacts['verneed']
  /** Symbols, needed files and versions, defined versions. */
  readonly names: number
}

function ourReport(file: string): Report {
  return withFile(file, source => {
    const facts = parseElf(source, file)
    return {
      type: { 1: 'REL', 2: 'EXEC', 3: 'DYN' }[facts.type] ?? `${facts.type}`,
      machine: MACHINES[facts.machine] ?? `${facts.machine}`,
      class: `ELF${facts.class} ${facts.little ? 'little' : 'big'}`,
      segments: facts.segments.map(s => {
        const type =
          Object.entries(PT)
            .find(([, number]) => number === s.type)?.[0]
            .toUpperCase() ?? '-'
        const flags = [PF.r, PF.w, PF.x].map((bit, i) => (s.flags & bit ? 'RWE'[i] : '')).join('')
        return `${type} ${[s.offset, s.vaddr, s.filesz, s.memsz, s.align].map(n => n.toString(16)).join(' ')} ${flags}`
      }),
      interp: facts.interp?.value ?? null,
      tags: facts.dynamic.map(e => e.tag),
      needed: facts.needed.map(n => n.value),
      soname: facts.soname?.value ?? null,
      rpath: facts.rpath?.value ?? null,
      runpath: facts.runpath?.value ?? null,
      nodeflib: (facts.flags1 & 0x800) !== 0,
      pie: (facts.flags1 & 0x08000000) !== 0,
      verneed: facts.verneed,
      names: symbolNames(source, file).length,
    }
  })
}

/** What readelf printed about one file. */
function readelfReport(printed: string): Report {
  const all = (pattern: RegExp): string[] => [...printed.matchAll(pattern)].map(m => m[1]!)
  const one = (pattern: RegExp): string | null => pattern.exec(printed)?.[1] ?? null
  const flags1 = one(/\(FLAGS_1\) +Flags: (.*)/)?.split(' ') ?? []
  const verneed: { file: string; versions: string[] }[] = []
  const needs = printed.slice(Math.max(printed.indexOf("\nVersion needs section '"), 0))
  for (const m of needs.matchAll(
    /^ +(?:0+|0x[0-9a-f]+): (?:Version: 1 +File: (\S+) +Cnt: \d+| {2}Name: (\S+) +Flags: )/gm,
  ))
    if (m[1] !== undefined) verneed.push({ file: m[1], versions: [] })
    else if (m[2] !== undefined) verneed.at(-1)!.versions.push(m[2])
  const dynsym = / DYNSYM +[0-9a-f]{8,16} [0-9a-f]+ ([0-9a-f]+) ([0-9a-f]+) /.exec(printed)
  const definitions = [...printed.matchAll(/Rev: 1 +Flags: .* Index: \d+ +Cnt: (\d+) /g)].map(m => Number(m[1]))
  return {
    type: one(/^ +Type: +([A-Z]+)/m)!,
    machine: one(/^ +Machine: +(.*)$/m)!,
    class: `${one(/^ +Class: +(\w+)$/m)} ${one(/^ +Data: +2's complement, (\w+) endian$/m)}`,
    segments: [
      ...printed.matchAll(
        /^ {2}(\S+) +0x([0-9a-f]+) 0x([0-9a-f]+) 0x[0-9a-f]+ 0x([0-9a-f]+) 0x([0-9a-f]+) ([RWE ]{3}) 0x([0-9a-f]+)$|^ {2}(\S+) +0x([0-9a-f]+) 0x([0-9a-f]+) 0x[0-9a-f]+ 0x([0-9a-f]+) 0x([0-9a-f]+) ([RWE ]{3}) 0$/gm,
      ),
    ].map(m => {
      const [type, offset, vaddr, filesz, memsz, flags, align = '0'] = m[1] ? m.slice(1, 8) : m.slice(8)
      const numbers = [offset, vaddr, filesz, memsz, align].map(n => Number.parseInt(n!, 16).toString(16))
      const known = Object.keys(PT).find(name => name.toUpperCase() === type!.replaceAll('_', ''))
      return `${known?.toUpperCase() ?? '-'} ${numbers.join(' ')} ${flags!.replaceAll(' ', '')}`
    }),
    interp: one(/\[Requesting program interpreter: (.*)\]/),
    tags: all(/^ 0x([0-9a-f]{8,16}) \(/gm)
      .map(tag => Number.parseInt(tag, 16))
      .filter(tag => tag !== 0),
    needed: all(/\(NEEDED\) +Shared library: \[(.*)\]/g),
    soname: one(/\(SONAME\) +Library soname: \[(.*)\]/),
    rpath: one(/\(RPATH\) +Library rpath: \[(.*)\]/),
    runpath: one(/\(RUNPATH\) +Library runpath: \[(.*)\]/),
    nodeflib: flags1.includes('NODEFLIB'),
    pie: flags1.includes('PIE'),
    verneed,
    names:
      (dynsym ? Number.parseInt(dynsym[1]!, 16) / Number.parseInt(dynsym[2]!, 16) : 0) +
      verneed.reduce((sum, need) => sum + 1 + need.versions.length, 0) +
      definitions.reduce((sum, count) => sum + count, 0),
  }
}

/** The regular ELF files below a directory, sorted. */
function elfFiles(directory: string): string[] {
  const head = Buffer.alloc(4)
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name))
    .filter(path => {
      const fd = openSync(path, 'r')
      try {
        return readSync(fd, head) === 4 && isElf(head)
      } finally {
        closeSync(fd)
      }
    })
    .sort()
}
