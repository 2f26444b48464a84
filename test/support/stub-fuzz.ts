/** The fuzzer of the stub (stub-fuzz.c), built with its sanitizers. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect } from 'vitest'
import { I686 } from './cross.ts'
import { output } from './elf-tools.ts'
import { SUPPORT } from './stub-lab.ts'

const ENTRY = resolve(SUPPORT, '../../src/entry')

/** The compilers that make fuzzers: of this machine, and of its 32-bit programs, which its kernel runs too. */
const COMPILERS = {
  64: ['gcc'],
  32: [I686.cc, `-Wl,--disable-new-dtags,--dynamic-linker,${I686.loader},-rpath,${I686.sysroot}/lib`],
} as const

/** A defect for the fuzzer to find: text of the source, and what is there instead. */
export type Defect = readonly [from: string, to: string]

/**
 * Builds the fuzzer. Returns its path.
 * @param what the stub, or the sidecar, which takes the stub's code in; the defect is in either
 */
export async function buildFuzzer(
  directory: string,
  name: string,
  [from, to]: Defect = ['', ''],
  what: 'stub' | 'sidecar' = 'stub',
  bits: 64 | 32 = 64,
): Promise<string> {
  const source = join(directory, `${name}.c`)
  const program = join(directory, name)
  const text = (file: string): string => readFileSync(join(ENTRY, file), 'utf8')
  const stub = text('stub.c').replace('#include "alias.h"', () => text('alias.h'))
  const all = what === 'stub' ? stub : text('sidecar.c').replace('#include "stub.c"', () => stub)
  expect(all).toContain(from)
  writeFileSync(
    source,
    all.replace(from, () => to),
  )
  const [cc, ...flags] = COMPILERS[bits]
  await output(cc, [
    ...flags,
    ...(what === 'sidecar' ? ['-DSIDECAR'] : []),
    // Not -I: elf.h there is not the system's.
    ...['-iquote', ENTRY, '-iquote', SUPPORT],
    ...['-std=gnu11', '-g', '-O1', '-Wall', '-Wextra', '-fno-builtin', '-DHOST_TEST', '-D_start=stub_start'],
    // A defect may leave something unused.
    ...(from === '' ? ['-Werror'] : []),
    ...['-fsanitize=address,undefined', '-fno-sanitize-recover=all'],
    ...['-o', program, source, join(SUPPORT, 'stub-fuzz.c')],
  ])
  return program
}

/** `starts` starts; the summary line names the seed, a failure the seed of the start that failed. */
export async function fuzz(program: string, starts: number, seed: number): Promise<void> {
  const said = await output(program, [`${starts}`, `${seed}`])
  console.info(said.trimEnd())
  const [, total, jumps, program_, messages] = /^(\d+) starts, .*?: (\d+) jumps .*?, (\d+) to .*?, (\d+) messages/.exec(
    said,
  )!
  expect(Number(total)).toBe(starts)
  expect(Number(jumps) + Number(program_) + Number(messages)).toBe(starts)
  for (const count of [jumps, program_, messages]) expect(Number(count)).toBeGreaterThan(starts / 20)
  const [, statics, again, aliases, moved, ofRoom, unplain] =
    /; (\d+) static, (\d+) when all is loaded, (\d+) by an alias, (\d+) moved; (\d+) aliases .*?, (\d+) roots/.exec(
      said,
    )!
  for (const count of [statics, again, moved]) expect(Number(count)).toBeGreaterThan(starts / 50)
  for (const count of [aliases, ofRoom, unplain]) expect(Number(count)).toBeGreaterThan(starts / 2000)
}

/** Builds the fuzzer of the bootstrap (bootstrap-fuzz.c): its code without its first instructions and the kernel. */
export async function buildBootstrapFuzzer(
  directory: string,
  name: string,
  [from, to]: Defect = ['', ''],
  bits: 64 | 32 = 64,
): Promise<string> {
  const source = join(directory, `${name}.c`)
  const program = join(directory, name)
  const text = readFileSync(join(ENTRY, 'bootstrap.c'), 'utf8')
    .replace('#include "calls.h"\n', '')
    .replace('#pragma GCC visibility push(hidden)', '')
    .replaceAll(/__asm__\("\.section[^;]*;/g, '')
    .replace('extern const struct boot config;', 'extern struct boot made;\n#define config made')
  expect(text).toContain(from)
  writeFileSync(
    source,
    text.replace(from, () => to),
  )
  const [cc, ...flags] = COMPILERS[bits]
  await output(cc, [
    ...flags,
    ...['-std=gnu11', '-g', '-O1', '-Wall', '-Wextra', '-Wno-unused', '-fno-builtin', `-DBOOTSTRAP="${source}"`],
    ...['-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-o', program],
    join(SUPPORT, 'bootstrap-fuzz.c'),
  ])
  return program
}
