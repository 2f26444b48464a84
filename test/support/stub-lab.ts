/** Little bundles around programs that a test compiles: bin/<program>, lib/<loader>, lib/<libraries>. */
import { execFile } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { expect } from 'vitest'
import { checkEntered, checkInjected, seen } from '../../src/apply/fidelity.ts'
import { EM, PT } from '../../src/elf/constants.ts'
import type { LoaderPlace } from '../../src/elf/facts.ts'
import { isElf, parseElf } from '../../src/elf/parse.ts'
import { PHDR, PROGRAM_TABLE } from '../../src/elf/program-headers.ts'
import { SECTION_TABLE } from '../../src/elf/sections.ts'
import { readWord, writeHalf, writeWord } from '../../src/elf/words.ts'
import { blobOf, entryCpu } from '../../src/entry/cpus.ts'
import { injectStub, type StubRefusal, stubRefusal } from '../../src/entry/inject.ts'
import { bootstrapWrites, enter, sidecarOf } from '../../src/entry/sidecar.ts'
import { bufferSource } from '../../src/io/bytes.ts'
import { Random } from './elf-tools.ts'

export const SUPPORT = resolve(import.meta.dirname)

/** Why this file cannot get the stub. */
export function refusal(file: string): StubRefusal | null {
  const source = bufferSource(readFileSync(file))
  return stubRefusal(source, parseElf(source, file))
}

/** Puts the stub into a program, in place, as apply/apply.ts does. */
export function inject(file: string, loader: LoaderPlace): void {
  const bytes = readFileSync(file)
  const facts = parseElf(bufferSource(bytes), file)
  expect(stubRefusal(bufferSource(bytes), facts), file).toBeNull()
  const stub = blobOf(entryCpu(facts)!, 'stub')
  const before = seen(bufferSource(bytes), file)
  const injected = injectStub(bytes, facts, stub, loader)
  expect(checkInjected(file, before, seen(bufferSource(injected), file), loader), file).toEqual([])
  writeFileSync(file, injected)
}

/**
 * Enters programs of one CPU by one sidecar, in place, as apply/enter.ts does. Returns the sidecar; null where one has no
 * room, and then nothing is changed.
 */
export function enterBySidecar(files: readonly string[], loader: LoaderPlace, rpath: string | null): Buffer | null {
  const sources = files.map(file => bufferSource(readFileSync(file)))
  const facts = sources.map((source, i) => parseElf(source, files[i]!))
  const cpu = entryCpu(facts[0]!)!
  const bootstrap = blobOf(cpu, 'bootstrap')
  const programs = sources.flatMap((source, i) => {
    const program = enter(source, facts[i]!, bootstrap, { loader, relocations: null, rpath })
    return program === null ? [] : [program]
  })
  if (programs.length < files.length) return null
  const made = sidecarOf(cpu, blobOf(cpu, 'sidecar'), programs)
  for (const [i, file] of files.entries()) {
    const after = Buffer.from(sources[i]!.read(0, sources[i]!.size))
    for (const { offset, bytes } of bootstrapWrites(programs[i]!, i, bootstrap, made)) bytes.copy(after, offset)
    const [was, is] = [sources[i]!, bufferSource(after)].map(source => seen(source, file))
    expect(checkEntered(file, was!, is!, programs[i]!), file).toEqual([])
    writeFileSync(file, after)
  }
  return made.bytes
}

/**
 * Makes a program of a bundle ask the kernel for no more than a page. So it is put at any, as kernels before 6.10 do with all
 * that have no PT_INTERP.
 */
export function askForAnyPage(program: string): void {
  const file = realpathSync(program)
  const bytes = readFileSync(file)
  const facts = parseElf(bufferSource(bytes), file)
  const table = readWord(bytes, PROGRAM_TABLE[facts.class].offset, facts)
  const { size, align } = PHDR[facts.class]
  for (const [i, s] of facts.segments.entries())
    if (s.type === PT.load) writeWord(bytes, table + i * size + align, 0x1000, facts)
  writeFileSync(file, bytes)
}

export const BIN = '/usr/bin'

/** So many programs of this machine that can take the stub, of at most 1 MiB, chosen by a seed. */
export function programsOfMachine(count: number, seed: number): ReadonlySet<string> {
  const random = new Random(seed)
  const names = readdirSync(BIN).filter(name => statSync(join(BIN, name), { throwIfNoEntry: false })?.isFile())
  const programs = new Set<string>()
  for (let tries = 0; tries < 100 * count && programs.size < count; tries++) {
    const path = realpathSync(join(BIN, random.pick(names)))
    if (programs.has(path) || statSync(path).size > 1 << 20) continue
    const bytes = readFileSync(path)
    if (!isElf(bytes)) continue
    const facts = parseElf(bufferSource(bytes), path)
    if (facts.machine === EM.x8664 && stubRefusal(bufferSource(bytes), facts) === null) programs.add(path)
  }
  expect(programs.size).toBe(count)
  return programs
}

/** A bundle's directories with a loader and libraries in them. Returns where the loader lies. */
export function layOut(place: string, loader: string, libraries: readonly string[]): LoaderPlace {
  mkdirSync(join(place, 'bin'), { recursive: true })
  mkdirSync(join(place, 'lib'), { recursive: true })
  for (const file of [loader, ...libraries]) copyFileSync(realpathSync(file), join(place, 'lib', basename(file)))
  chmodSync(join(place, 'lib', basename(loader)), 0o755)
  return { up: 1, path: `lib/${basename(loader)}` }
}

/** What a command says, and its end: an exit code or the name of a signal. */
export interface Said {
  readonly end: number | string
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command to its end, whatever that is. One that is not there is an error. */
export function say(
  file: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  limit = 60_000,
): Promise<Said> {
  return new Promise((done, fail) => {
    const options = {
      env: { PATH: process.env.PATH, ...env },
      encoding: 'latin1',
      timeout: limit,
      maxBuffer: 1 << 28,
    } as const
    execFile(file, args, options, (error, stdout, stderr) => {
      if (typeof error?.code === 'string') fail(error)
      else done({ end: error ? (error.signal ?? error.code ?? -1) : 0, stdout, stderr })
    })
  })
}

/** Where a bundle lies in an empty root. */
export const ROOT = '/srv/x'

/** Runs a program of a bundle where there is nothing else but /proc, /dev and `more`. */
export const sayInEmptyRoot = (
  place: string,
  command: readonly string[],
  env: Readonly<Record<string, string>>,
  more: readonly string[] = [],
): Promise<Said> =>
  say(
    'bwrap',
    [
      ...['--unshare-pid', '--tmpfs', '/', '--proc', '/proc', '--dev', '/dev'],
      ...['--ro-bind', place, ROOT, ...more, '--', ...command],
    ],
    env,
  )

/** Writes 0 into e_shoff, e_shnum and e_shstrndx, and cuts off what only sections knew of. */
export function dropSections(file: string): void {
  const bytes = readFileSync(file)
  const facts = parseElf(bufferSource(bytes), file)
  const { offset, count, names } = SECTION_TABLE[facts.class]
  writeWord(bytes, offset, 0, facts)
  writeHalf(bytes, count, 0, facts)
  writeHalf(bytes, names, 0, facts)
  const end = Math.max(...facts.segments.map(s => s.offset + s.filesz))
  writeFileSync(file, bytes.subarray(0, end))
}
