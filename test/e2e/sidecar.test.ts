/**
 * Programs that are entered by a sidecar (entry/sidecar.ts): those that carry data behind their end, in the shapes that are
 * met, and those that have no room for the stub. Each finds its data as the original does, wherever the bundle lies, and
 * nothing of its file has moved.
 */
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { bundle, grep, mustBundle, type Run, run, temporary } from '../support/bundle.ts'
import { EmptyRoot } from '../support/root.ts'
import { CPUS, compile, GLIBC, inBareRoot, MUSL, PLACE, storePath, type Toolchain } from '../support/store-lab.ts'

const directory = temporary()
const OTHERS = CPUS.filter(({ arch }) => arch !== 's390x')

/**
 * Says what it finds in its own file: by a trailer in the last bytes (Bun, PyInstaller's cookie), by an absolute offset
 * that was written into it (.NET's apphost), where its section headers end (AppImage), by a zip's end record. And a data
 * file by its store path, its own path, argv[0], what a library has to say.
 */
const PROGRAM = (data: string) => `
  #include <link.h>
  #include <math.h>
  #include <stdio.h>
  #include <stdlib.h>
  #include <string.h>
  #include <unistd.h>
  struct { char mark[16]; long long offset; } volatile place = { "{offset of data}", 0x1122334455667788 };
  static char *bytes; static long size;
  static const char *data = "${data}/share/text";
  static void show(const char *how, long at) { printf("%s: %.12s\\n", how, at > 0 && at < size ? bytes + at : "nothing"); }
  int main(int argc, char **argv) {
    FILE *self = fopen("/proc/self/exe", "r");
    fseek(self, 0, SEEK_END);
    bytes = calloc(1, (size = ftell(self)) + 16);
    rewind(self);
    if (fread(bytes, 1, size, self) != size) return 1;
    long long back = 0;
    if (!memcmp(bytes + size - 8, "TRAILER!", 8)) memcpy(&back, bytes + size - 16, 8);
    show("trailer", size - back);
    show("absolute", place.offset);
    ElfW(Ehdr) *e = (void *)bytes;
    show("sections", e->e_shoff + (long)e->e_shnum * e->e_shentsize);
    for (long at = size - 22; at > 0; at--)
      if (!memcmp(bytes + at, "PK\\5\\6", 4)) { unsigned back; memcpy(&back, bytes + at + 12, 4); show("zip", at - back); break; }
    FILE *text = fopen(data, "r");
    char line[100] = "no file\\n";
    if (text) fgets(line, sizeof line, text);
    printf("%s%s %d\\n", line, argv[0] + strlen(argv[0]) - 7, argc + (int)floor(sqrt(argc)));
    return 3;
  }`

/** The payload: a mark, a zip with one stored member, the mark's distance from the end. */
function payload(): Buffer {
  const zip = join(directory, 'payload.zip')
  rmSync(zip, { force: true })
  const script = "import sys, zipfile; zipfile.ZipFile(sys.argv[1], 'w').writestr('member', 'x' * 50)"
  execFileSync('python3', ['-c', script, zip])
  const parts = [Buffer.from('PAYLOAD-MARK'), Buffer.alloc(70_000, 'z'), readFileSync(zip), Buffer.alloc(8)]
  const bytes = Buffer.concat([...parts, Buffer.from('TRAILER!')])
  bytes.writeBigUInt64LE(BigInt(bytes.length), bytes.length - 16)
  return bytes
}

/** A program of a store with a payload behind its end; `fixed`, `pie`, `static`: how it is linked. */
function carrier({ cc, loader, libc }: Toolchain, kind: 'pie' | 'fixed' | 'static' | 'bare'): string {
  const c = storePath(
    'libc-1.0',
    Object.fromEntries(Object.entries(libc).map(([n, contents]) => [`lib/${n}`, contents])),
  )
  const text = storePath('text-1.0', { 'share/text': 'what a data file says\n' })
  const program = join(storePath('carrier-1.0'), 'bin/carrier')
  const flags = {
    pie: ['-fPIE', '-pie', `-Wl,--enable-new-dtags,-rpath,${c}/lib`],
    fixed: ['-no-pie', '-fno-pie', `-Wl,--enable-new-dtags,-rpath,${c}/lib`],
    static: ['-static'],
    // Without a search path: as what is made outside of a store.
    bare: ['-fPIE', '-pie', '-Wl,--hash-style=gnu'],
  }[kind]
  const dynamic = kind === 'static' ? [] : [`-Wl,--dynamic-linker,${c}/lib/${loader}`]
  compile(cc, PROGRAM(text), program, [...flags, ...dynamic, '-lm'])
  const bytes = readFileSync(program)
  const at = bytes.indexOf('{offset of data}')
  bytes.writeBigUInt64LE(BigInt(bytes.length), at + 16)
  writeFileSync(program, Buffer.concat([bytes, payload()]))
  return program
}

const FOUND = /^trailer: PAYLOAD-MARK\nabsolute: PAYLOAD-MARK\nsections: PAYLOAD-MARK\nzip: PK\x01\x02.*\n/
/** A root of so many bytes. */
const long = (length: number): string => `/${'r'.repeat(49)}`.repeat(length / 50)

/** That in a bundle the program's file is what it was, but for what must differ: nothing behind `from` does. */
function isInPlace(original: string, bundled: string): void {
  const [was, is] = [readFileSync(original), readFileSync(bundled)]
  expect(is.length).toBe(was.length)
  const mark = was.lastIndexOf('PAYLOAD-MARK')
  expect(is.subarray(mark).equals(was.subarray(mark))).toBe(true)
  const sections = (file: string): string => run('readelf', ['-SW', file]).stdout
  expect(sections(bundled)).toBe(sections(original))
}

describe.each([
  ['glibc', 'pie', GLIBC],
  ['glibc', 'fixed', GLIBC],
  ['glibc', 'bare', GLIBC],
  ['musl', 'pie', MUSL],
  ['glibc', 'static', GLIBC],
] as const)('%s, %s', (libc, kind, tools) => {
  let program: string
  let original: Run
  const place = join(directory, `${libc} ${kind}`)
  beforeAll(() => {
    program = carrier(tools, kind)
    if (kind === 'bare') original = run(program, [], { env: { LD_LIBRARY_PATH: '/lib/x86_64-linux-gnu' } })
    else original = run(program, [])
    const made = mustBundle([program, '-f', 'dir', '-o', place])
    expect(made.stdout).toMatch(/, 0 blanked|self-relocating(?!.*blanked,)/)
  })

  test('finds its data, from a short root, moved, and from one of 900 bytes', () => {
    expect(original).toMatchObject({ code: 3, stdout: expect.stringMatching(FOUND) })
    expect(original.stdout).toContain('what a data file says\n')
    for (const at of ['/b', '/srv/moved to here', long(900)])
      expect(new EmptyRoot(place, at).run('bin/carrier'), at).toEqual(original)
  })

  test('nothing has moved in its file, and verify knows it', () => {
    isInPlace(program, join(place, 'bin/carrier'))
    expect(grep('/nix/store', place)).toBe('')
    expect(bundle(['verify', place])).toMatchObject({ code: 0 })
  })
})

describe('what does not belong together', () => {
  let place: string
  const start = (): Run => inBareRoot(place, [`${PLACE}/bin/carrier`])
  const sidecar = (): string => join(place, 'lib/.entry-x86_64')
  let other: string
  beforeAll(() => {
    other = join(directory, 'glibc fixed')
    place = join(directory, 'damaged')
    execFileSync('cp', ['-a', join(directory, 'glibc pie'), place])
  })
  const spoiled = (how: (bytes: Buffer) => Buffer): Run => {
    const bytes = readFileSync(sidecar())
    writeFileSync(sidecar(), how(Buffer.from(bytes)))
    const said = start()
    writeFileSync(sidecar(), bytes)
    return said
  }
  const says = (text: string) => ({
    code: 127,
    stdout: '',
    stderr: expect.stringMatching(new RegExp(`^${PLACE}/bin/carrier: ${text}.*\n$`)),
  })

  test('as it is made it runs', () => {
    expect(start()).toMatchObject({ code: 3, stderr: '' })
  })

  test('cut short anywhere', () => {
    for (const length of [0, 1, 4096, 8191, readFileSync(sidecar()).length - 1])
      expect(spoiled(bytes => bytes.subarray(0, length))).toMatchObject(
        says('not the one that this program was bundled with: '),
      )
  })

  test("another bundle's", () => {
    expect(spoiled(() => readFileSync(join(other, 'lib/.entry-x86_64')))).toMatchObject(says('not the one'))
  })

  test('a bit of its code, of its list, of the pages', () => {
    const flip = (at: number) => (bytes: Buffer) => {
      bytes[at]! ^= 0x10
      return bytes
    }
    const bytes = readFileSync(sidecar())
    const list = bytes.indexOf('SFENTRY1')
    for (const at of [0, 5000, list + 9, list + 17]) expect(spoiled(flip(at))).toMatchObject(says('not the one'))
    expect(spoiled(flip(bytes.length - 8))).toMatchObject(says('damaged'))
    for (const at of [5000, bytes.length - 8]) {
      const kept = readFileSync(sidecar())
      writeFileSync(sidecar(), flip(at)(Buffer.from(kept)))
      expect(bundle(['verify', place])).toMatchObject({ code: 1 })
      writeFileSync(sidecar(), kept)
    }
  })

  test('missing', () => {
    const bytes = readFileSync(sidecar())
    rmSync(sidecar())
    expect(start()).toMatchObject(says('the bundle is not complete: there is no lib/.entry-x86_64'))
    expect(bundle(['verify', place])).toMatchObject({ code: 1 })
    writeFileSync(sidecar(), bytes)
  })

  test("a program of another bundle does not start with this bundle's", () => {
    const bytes = readFileSync(join(place, 'bin/carrier'))
    copyFileSync(join(other, 'bin/carrier'), join(place, 'bin/carrier'))
    expect(start()).toMatchObject(says('not the one'))
    writeFileSync(join(place, 'bin/carrier'), bytes)
  })
})

describe('ways to start', () => {
  const place = join(directory, 'glibc pie')
  const bare = (command: readonly string[], more: readonly string[] = []): Run => inBareRoot(place, command, more)
  const good = { code: 3, stderr: '', stdout: expect.stringMatching(FOUND) }

  test('by its loader', () => {
    const real = '/srv/x/pkg/carrier-1.0/bin/carrier'
    const said = bare([`${PLACE}/lib/ld-linux-x86-64.so.2`, real])
    // /proc/self/exe is the loader's, as it is of any program that is started so: the payload and the data are not found.
    expect(said).toMatchObject({ code: 3, stderr: '', stdout: expect.stringMatching(/carrier 2\n$/) })
  })

  test('through links; without /proc by its name', () => {
    expect(bare(['/link'], ['--symlink', `${PLACE}/bin/carrier`, '/link'])).toMatchObject(good)
    const withoutProc = ['--tmpfs', '/proc', '--symlink', `${PLACE}/bin/carrier`, '/link']
    for (const name of ['/link', `${PLACE}/bin/carrier`])
      expect(bare([name], withoutProc).stderr).not.toContain('not complete')
  })

  test('where nothing may be writable and executable', () => {
    // What systemd's MemoryDenyWriteExecute= does: PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN.
    const script = `
import ctypes, os, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) != 0: sys.exit(77)
os.execv(sys.argv[1], sys.argv[1:])`
    const said = run('python3', ['-c', script, join(place, 'bin/carrier')])
    if (said.code !== 77) expect(said).toMatchObject({ code: 3, stderr: '' })
  })
})

test('several programs of a bundle have one sidecar; equal inputs give equal bytes', () => {
  const programs = [carrier(GLIBC, 'pie'), carrier(GLIBC, 'fixed')]
  const root = storePath('two-1.0')
  mkdirSync(join(root, 'bin'))
  for (const [i, from] of programs.entries()) copyFileSync(from, join(root, `bin/carrie${i}`))
  const [one, two] = ['one', 'two'].map(name => join(directory, name)) as [string, string]
  for (const place of [one, two]) mustBundle([root, '-f', 'dir', '-o', place])
  expect(run('diff', ['-r', one, two])).toMatchObject({ code: 0, stdout: '' })
  for (const i of [0, 1])
    expect(new EmptyRoot(one, '/b').run(`bin/carrie${i}`)).toMatchObject({
      code: 3,
      stdout: expect.stringMatching(FOUND),
    })
})

test.each([
  ['fixed', ['-no-pie', '-fno-pie']],
  ['pie', ['-fPIE', '-pie']],
])('segments that are not in order: %s', (kind, flags) => {
  const c = storePath('libc-1.0', Object.fromEntries(Object.entries(GLIBC.libc).map(([n, from]) => [`lib/${n}`, from])))
  const program = join(storePath(`unordered-${kind}-1.0`), 'bin/unordered')
  const text = '#include <stdio.h>\nint main(int argc, char **argv) { puts("it runs"); return 3; }'
  compile('gcc', text, program, [...flags, `-Wl,-rpath,${c}/lib,--dynamic-linker,${c}/lib/${GLIBC.loader}`])
  const bytes = readFileSync(program)
  const table = Number(bytes.readBigUInt64LE(32))
  const headers = Array.from({ length: bytes.readUInt16LE(56) }, (_, i) => table + i * 56)
  const [one, other] = headers.filter(at => bytes.readUInt32LE(at) === 1).slice(1, 3) as [number, number]
  const kept = Buffer.from(bytes.subarray(one, one + 56))
  bytes.copy(bytes, one, other, other + 56)
  kept.copy(bytes, other)
  writeFileSync(program, bytes)
  expect(run(program, [])).toMatchObject({ code: 3, stdout: 'it runs\n' })
  const place = join(directory, `unordered ${kind}`)
  mustBundle([program, '-f', 'dir', '-o', place])
  expect(readFileSync(join(place, 'bundle.json'), 'utf8')).toContain('"lib/.entry-x86_64"')
  expect(new EmptyRoot(place, '/b').run('bin/unordered')).toMatchObject({ code: 3, stdout: 'it runs\n', stderr: '' })
})

test.each(OTHERS)('on $arch too', cpu => {
  const program = carrier(cpu, 'pie')
  const place = join(directory, cpu.arch)
  mustBundle([program, '-f', 'dir', '-o', place])
  isInPlace(program, join(place, 'bin/carrier'))
  const said = inBareRoot(place, ['/emulator', `${PLACE}/bin/carrier`], ['--ro-bind', cpu.emulator, '/emulator'])
  expect(said).toMatchObject({ code: 3, stderr: '', stdout: expect.stringMatching(FOUND) })
  expect(said.stdout).toContain('what a data file says\n')
})
