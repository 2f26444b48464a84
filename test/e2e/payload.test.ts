/** Programs that carry data behind their end and read it from their own file. */
import { execFileSync } from 'node:child_process'
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { bundle, grep, mustBundle, run, temporary } from '../support/bundle.ts'
import { CPUS, compile, emulated, GLIBC, inBareRoot, PLACE, storePath, type Toolchain } from '../support/store-lab.ts'

/** Prints what stands behind the last mark in its own file. */
const PROGRAM = `
  #include <stdio.h>
  #include <stdlib.h>
  #include <string.h>
  int main(void) {
    FILE *self = fopen("/proc/self/exe", "r");
    if (!self) return 1;
    fseek(self, 0, SEEK_END);
    long size = ftell(self);
    char *bytes = malloc(size);
    rewind(self);
    fread(bytes, 1, size, self);
    for (long at = size - 6; at >= 0; at--)
      if (memcmp(bytes + at, "{mark}", 6) == 0) {
        fwrite(bytes + at + 6, 1, size - at - 6, stdout);
        return 3;
      }
    return 2;
  }`

function carrier(name: string, { cc, loader, libc }: Toolchain, kind: 'pie' | 'static'): string {
  const c = storePath(
    'libc-1.0',
    Object.fromEntries(Object.entries(libc).map(([n, contents]) => [`lib/${n}`, contents])),
  )
  const program = join(storePath(`${name}-1.0`), 'bin', name)
  const dynamic = ['-fPIE', '-pie', `-Wl,--enable-new-dtags,-rpath,${c}/lib,--dynamic-linker,${c}/lib/${loader}`]
  compile(cc, PROGRAM, program, kind === 'pie' ? dynamic : ['-static'])
  return program
}

const PAYLOAD = '{mark}what the program carries\n'
const directory = temporary()
const riscv64 = CPUS.find(cpu => cpu.arch === 'riscv64')!
const s390x = CPUS.find(cpu => cpu.arch === 's390x')!

describe('a program with a loader', () => {
  let program: string
  beforeAll(() => {
    program = carrier('carrier', GLIBC, 'pie')
    appendFileSync(program, PAYLOAD)
  })

  test('is not made relocatable with --launcher shell', () => {
    const { code, stderr } = bundle([program, '--launcher', 'shell', '-f', 'dir', '-o', join(directory, 'refused')])
    expect(code).toBe(1)
    expect(stderr).toMatch(/carrier: carries data behind its end .*--prefix/)
  })

  test.each([
    ['edits of our own', []],
    ['patchelf, which would move it', ['--patcher', 'patchelf']],
  ])('finds its payload in a bundle for one place (%s)', (name, options) => {
    const place = join(directory, name)
    const { stderr } = mustBundle([program, '--prefix', PLACE, ...options, '-f', 'dir', '-o', place])
    expect(stderr).toMatch(/carrier: packed in a format that is not looked into \(data behind its end\)/)
    const original = run(program, [])
    expect(original).toMatchObject({ code: 3, stdout: 'what the program carries\n' })
    expect(inBareRoot(place, [`${PLACE}/bin/carrier`])).toEqual(original)
    expect(readFileSync(join(place, 'bin/carrier'), 'latin1').endsWith(PAYLOAD)).toBe(true)
  })

  test('for a CPU without a stub the same holds', () => {
    const foreign = carrier('foreign', s390x, 'pie')
    appendFileSync(foreign, PAYLOAD)
    const place = join(directory, 'foreign')
    expect(bundle([foreign, '-f', 'dir', '-o', place])).toMatchObject({ code: 1 })
    mustBundle([foreign, '--prefix', PLACE, '-f', 'dir', '-o', place])
    expect(emulated(s390x, place, 'bin/foreign', [])).toMatchObject({ code: 3, stdout: 'what the program carries\n' })
  })
})

describe.each([
  { name: 'x86_64', tools: GLIBC, start: (place: string) => inBareRoot(place, [`${PLACE}/bin/alone`]) },
  { name: 'riscv64', tools: riscv64, start: (place: string) => emulated(riscv64, place, 'bin/alone', []) },
])('a static program for $name', ({ name, tools, start }) => {
  test.each([
    ['relocatable', []],
    ['for one place', ['--prefix', PLACE]],
  ])('finds its payload: it runs as it is (%s)', (kind, options) => {
    const program = carrier('alone', tools, 'static')
    appendFileSync(program, PAYLOAD)
    const place = join(directory, `${name} ${kind}`)
    mustBundle([program, ...options, '-f', 'dir', '-o', place])
    expect(start(place)).toMatchObject({ code: 3, stdout: 'what the program carries\n' })
  })
})

describe('an appended zip', () => {
  let data: string
  const zipped = (name: string, kind: 'pie' | 'static'): string => {
    data = storePath('data-1.0', { 'share/text': 'a text\n' })
    const program = carrier(name, GLIBC, kind)
    const script = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'a') as z:
    line = 'it names ' + sys.argv[2] + '/share/text\\n'
    z.writestr('stored', line, zipfile.ZIP_STORED)
    z.writestr('deflated', line * 50, zipfile.ZIP_DEFLATED)`
    execFileSync('python3', ['-c', script, program, data])
    return program
  }
  const member = (file: string, name: string): string => run('unzip', ['-p', file, name]).stdout

  test.each([
    ['pie', ['--prefix', PLACE]],
    ['static', ['--prefix', PLACE]],
    ['static', []],
  ] as const)('is looked into and made again, and is whole (%s %j)', (kind, options) => {
    const program = zipped('zipped', kind)
    const place = join(directory, `zipped ${kind} ${options.length}`)
    expect(member(program, 'stored')).toBe(`it names ${data}/share/text\n`)
    mustBundle([program, ...options, '-f', 'dir', '-o', place])
    const file = join(place, 'bin/zipped')
    expect(run('unzip', ['-tqq', file])).toMatchObject({ code: 0, stdout: '' })
    for (const name of ['stored', 'deflated']) {
      const text = member(file, name)
      expect(text).not.toContain('/nix/store')
      if (options.length > 0) expect(text).toMatch(/^it names \/srv\/x\/+p\/0-data-1\.0\/share\/text$/m)
    }
    expect(inBareRoot(place, [`${PLACE}/bin/zipped`]).code).toBe(3)
    expect(grep('/nix/store', place)).toBe('')
    expect(bundle(['verify', place]).code).toBe(0)
  })

  test('verify looks into it, in a directory and in an archive', () => {
    const program = zipped('unclean', 'static')
    const place = temporary()
    // The plain bytes are clean: only the packed member names the store.
    const bytes = readFileSync(program)
    const clean = Buffer.from(bytes.toString('latin1').replaceAll('/nix/store', '/nix/stork'), 'latin1')
    writeFileSync(join(place, 'program'), clean, { mode: 0o755 })
    execFileSync('tar', ['-cf', join(directory, 'unclean.tar'), '-C', place, '.'])
    for (const path of [place, join(directory, 'unclean.tar')]) {
      const { code, stderr, stdout } = bundle(['verify', path])
      expect(code).toBe(1)
      expect(stdout + stderr).toContain('program!deflated')
    }
  })
})
