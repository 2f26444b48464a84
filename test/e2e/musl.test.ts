/** Programs on musl, whose loader is its C library: bundled, they print in an empty root what their originals print. */
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { bundle, grep, mustBundle, run, temporary } from '../support/bundle.ts'
import { bareRoot, compile, greeterClosure, inBareRoot, MUSL, NO_DATA, PLACE, storePath } from '../support/store-lab.ts'

const args = ['one', 'two words', '']
const directory = temporary()
let store: ReturnType<typeof greeterClosure>
let original: ReturnType<typeof run>

beforeAll(() => {
  store = greeterClosure(MUSL)
  original = run(join(store.program, 'bin/greeter'), args, { env: { LANG: 'C' } })
})

test('the original is complete', () => {
  expect(original).toMatchObject({ code: 3, stderr: '' })
  expect(original.stdout).toMatch(/a plugin speaks\na line of data\n$/)
  expect(run('readelf', ['-lW', join(store.program, 'bin/greeter')]).stdout).toContain('ld-musl-x86_64.so.1]')
})

describe.each([
  { kind: 'stub', options: [], keepsData: true },
  { kind: 'shell', options: ['--launcher', 'shell'], keepsData: false },
  { kind: 'fixed', options: ['--prefix', PLACE], keepsData: true },
  { kind: 'patchelf', options: ['--patcher', 'patchelf'], keepsData: true },
])('$kind', ({ kind, options, keepsData }) => {
  const place = join(directory, kind)
  beforeAll(() => void mustBundle([store.program, ...options, '-f', 'dir', '-o', place]))

  test('prints what the original prints', () => {
    const stdout = keepsData ? original.stdout : original.stdout.replace('a line of data', NO_DATA)
    expect(inBareRoot(place, [`${PLACE}/bin/greeter`, ...args])).toEqual({ ...original, stdout })
  })

  test('verified, without a store path', () => {
    expect(bundle(['verify', place]).code).toBe(0)
    expect(grep('/nix/store', place)).toBe('')
  })
})

describe('the rules of its loader', () => {
  const place = join(directory, 'rules')
  let program: string

  beforeAll(() => {
    const libc = storePath('libc-1.0', Object.fromEntries(Object.entries(MUSL.libc).map(([n, c]) => [`lib/${n}`, c])))
    const [a, b] = [storePath('a-1.0'), storePath('b-1.0')]
    const libraries = [join(a, 'lib/liba.so'), join(b, 'lib/libb.so')] as const
    compile(MUSL.cc, 'int b(void) { return 40; }', libraries[1], ['-shared', '-fPIC', '-Wl,-soname,libb.so'])
    // It has a RUNPATH, and what it needs is only in the program's.
    const own = ['-shared', '-fPIC', '-Wl,-soname,liba.so', libraries[1], `-Wl,--enable-new-dtags,-rpath,${a}/lib`]
    compile(MUSL.cc, 'int b(void); int a(void) { return b() + 2; }', libraries[0], own)
    program = storePath('rules-1.0')
    const text = `
      #include <dlfcn.h>
      #include <stdio.h>
      int a(void);
      int main(int argc, char **argv) {
        printf("%d, %s\\n", a(), dlopen(argv[1], RTLD_NOW) ? "found" : "not found");
        return 0;
      }`
    compile(MUSL.cc, text, join(program, 'bin/rules'), [
      ...[libraries[0], `-Wl,--enable-new-dtags,-rpath,${a}/lib:${b}/lib:${libc}/lib,--allow-shlib-undefined`],
      `-Wl,--dynamic-linker,${libc}/lib/${MUSL.loader}`,
    ])
    mustBundle([program, '-f', 'dir', '-o', place])
  })

  test('RUNPATH is inherited', () => {
    const original = run(join(program, 'bin/rules'), ['x.so'])
    expect(original).toMatchObject({ code: 0, stdout: '42, not found\n' })
    expect(inBareRoot(place, [`${PLACE}/bin/rules`, 'x.so'])).toEqual(original)
  })

  test('what is not in the bundle is not looked for on the host', () => {
    const trace = [
      '-f',
      '-e',
      'trace=execve,open,openat',
      '/usr/bin/bwrap',
      ...bareRoot(place, [`${PLACE}/bin/rules`, 'x.so']),
    ]
    const { stdout, stderr } = run('strace', trace)
    expect(stdout).toBe('42, not found\n')
    // What bwrap itself opens comes before.
    const own = stderr.slice(stderr.indexOf(`execve("${PLACE}`))
    const asked = [...own.matchAll(/open(?:at)?\((?:AT_FDCWD, )?"([^"]*\/x\.so)"/g)].map(m => m[1]!)
    expect(asked).toEqual([`${PLACE}/pkg/rules-1.0/bin/../../../lib/x.so`, '/var/empty/eeeeeeeeeeeeeeeee/x.so'])
    expect(own).not.toMatch(/"\/etc\/ld-musl|"\/(?:usr\/)?(?:local\/)?lib\//)
  })
})
