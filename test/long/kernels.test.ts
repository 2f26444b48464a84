/**
 * Real kernels: Debian's for every CPU with a stub, in a machine of qemu that holds nothing but bundles. /init has the stub
 * itself. What each program says is what it says here.
 *
 * Packages: qemu-system-x86, qemu-system-arm, qemu-system-misc, opensbi, cpio, and those of the cross compilers. The kernels are fetched by apt.
 */
import { appendFileSync, copyFileSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseElf } from '../../src/elf/parse.ts'
import { entryCpu } from '../../src/entry/cpus.ts'
import { sidecarPath } from '../../src/entry/sidecar.ts'
import { bufferSource } from '../../src/io/bytes.ts'
import { temporary } from '../support/bundle.ts'
import { ARMV7L, I686, RISCV64 } from '../support/cross.ts'
import { kernel } from '../support/debian.ts'
import { output } from '../support/elf-tools.ts'
import { PLACEHOLDER, relocate, relocated } from '../support/relocation-lab.ts'
import { askForAnyPage, enterBySidecar, inject, layOut, SUPPORT, say } from '../support/stub-lab.ts'

/** The image of the newest kernel of this major version. */
async function image({ arch, version, suites, flavour }: Machine): Promise<string> {
  const boot = join(await kernel(arch, suites, version, flavour), 'boot')
  return join(boot, readdirSync(boot).find(name => /^vmlinu[xz]-/.test(name))!)
}

/** A program in a machine's bundle, and how to make it. */
interface Machine {
  readonly arch: string
  /** Debian's, and what the names of its kernels for this machine end in. */
  readonly suites: readonly string[]
  readonly flavour: string
  readonly version: string
  readonly cc: string
  readonly loader: string
  readonly libraries: string
  readonly qemu: readonly string[]
  /** How static programs can be linked for it. */
  readonly statics: readonly string[]
}

const SUITES = ['bookworm', 'bullseye']
const X86 = {
  ...{ arch: 'amd64', suites: SUITES, flavour: 'cloud-amd64' },
  statics: ['static', 'static-pie'],
  cc: 'gcc',
  loader: '/lib64/ld-linux-x86-64.so.2',
  libraries: '/lib/x86_64-linux-gnu',
  qemu: [...['qemu-system-x86_64', '-accel', 'tcg', '-cpu', 'max'], ...['-append', 'console=ttyS0 panic=-1 quiet']],
} as const
const ARM64 = {
  ...{ arch: 'arm64', suites: SUITES, flavour: 'cloud-arm64' },
  statics: ['static', 'static-pie'],
  cc: 'aarch64-linux-gnu-gcc',
  loader: '/usr/aarch64-linux-gnu/lib/ld-linux-aarch64.so.1',
  libraries: '/usr/aarch64-linux-gnu/lib',
  // Branch target identification and memory tagging are part of `max`.
  qemu: [
    ...['qemu-system-aarch64', '-machine', 'virt', '-cpu', 'max,pauth-impdef=on'],
    ...['-append', 'console=ttyAMA0 panic=-1 quiet'],
  ],
} as const
const I386 = {
  ...{ arch: 'i386', suites: SUITES, flavour: '686' },
  statics: ['static', 'static-pie'],
  cc: I686.cc,
  loader: I686.loader,
  libraries: `${I686.sysroot}/lib`,
  qemu: ['qemu-system-i386', '-accel', 'tcg', '-cpu', 'max', '-append', 'console=ttyS0 panic=-1 quiet'],
} as const
const ARMHF = {
  ...{ arch: 'armhf', suites: SUITES, flavour: 'armmp' },
  statics: ['static'],
  cc: ARMV7L.cc,
  loader: ARMV7L.loader,
  libraries: `${ARMV7L.sysroot}/lib`,
  qemu: [
    ...['qemu-system-arm', '-machine', 'virt,highmem=off', '-cpu', 'cortex-a15'],
    ...['-append', 'console=ttyAMA0 panic=-1 quiet'],
  ],
} as const
const RISCV = {
  // Debian 12 has none for it.
  ...{ arch: 'riscv64', suites: ['trixie'], flavour: 'riscv64' },
  statics: ['static'],
  cc: RISCV64.cc,
  loader: RISCV64.loader,
  libraries: `${RISCV64.sysroot}/lib`,
  qemu: ['qemu-system-riscv64', '-machine', 'virt', '-append', 'console=ttyS0 panic=-1 quiet'],
} as const
const MACHINES: readonly Machine[] = [
  { ...X86, version: '5.10' },
  { ...X86, version: '6.1' },
  { ...ARM64, version: '5.10' },
  { ...ARM64, version: '6.1' },
  { ...I386, version: '6.1' },
  { ...ARMHF, version: '6.1' },
  { ...RISCV, version: '6.12' },
]

const KINDS = ['pie', 'no-pie'] as const

test.each(MACHINES)('Linux $version, $arch', { timeout: 900_000 }, async machine => {
  const { cc, loader, libraries, statics: alones } = machine
  const vmlinuz = await image(machine)
  const root = temporary()
  const make = (at: string, args: readonly string[]) =>
    output(cc, [
      '-O1',
      ...args,
      '-Wl,--disable-new-dtags,-rpath,$ORIGIN/../lib',
      '-lm',
      '-pthread',
      '-o',
      join(root, at),
    ])
  writeFileSync(join(root, 'first.c'), 'static __thread int n = 100; int library_counter(void) { return ++n; }')
  writeFileSync(join(root, 'plugin.c'), 'static __thread int n = 9; int plugged(int by) { return n += by; }')

  // /init is a bundle's program too; glibc finds its libc in /lib, for $ORIGIN needs /proc.
  mkdirSync(join(root, 'tree'))
  symlinkSync('lib', join(root, 'tree/lib64'))
  const files = [loader, ...['libc.so.6', 'libm.so.6'].map(name => join(libraries, name))]
  const place = layOut(join(root, 'tree'), loader, files)
  const bundle = join(root, 'tree/srv/x')
  layOut(bundle, loader, [...files, join(libraries, 'libgcc_s.so.1')])
  await make('tree/init', [join(SUPPORT, 'stub-init.c')])
  inject(join(root, 'tree/init'), { ...place, up: 0 })

  await make('tree/srv/x/lib/libfirst.so', ['-shared', '-fPIC', join(root, 'first.c')])
  await make('tree/srv/x/lib/libplugin.so', ['-shared', '-fPIC', join(root, 'plugin.c')])
  for (const kind of KINDS) {
    const source = [`-${kind}`, kind === 'pie' ? '-fPIE' : '-fno-pie', '-DIFUNC', join(SUPPORT, 'stub-program.c')]
    await make(`tree/srv/x/bin/${kind}`, [...source, `-L${bundle}/lib`, '-lfirst'])
    copyFileSync(join(bundle, 'bin', kind), join(bundle, 'bin', `${kind}-original`))
    // With something behind its end, so that it is entered by a sidecar.
    copyFileSync(join(bundle, 'bin', kind), join(bundle, 'bin', `${kind}-entered`))
    appendFileSync(join(bundle, 'bin', `${kind}-entered`), 'payload')
    inject(join(bundle, 'bin', kind), place)
  }
  // What is aligned to more than a page, four times started: chance would not align them all. Kernels since 6.10, and in later
  // stable ones, see to that without PT_INTERP too; where the segments do not ask for it, none does.
  writeFileSync(
    join(root, 'aligned.c'),
    `#include <stdio.h>
    __attribute__((aligned(1 << 21))) char c = 1; char zeros[100000]; char *volatile p = &c;
    __asm__(".pushsection .text; .skip 4096, 0; .popsection"); /* as long as programs are */
    int main() { int sum = 0; for (int i = 0; i < sizeof zeros; i++) sum += zeros[i]; puts(sum || (size_t)p & 0x1fffff ? "astray" : "aligned"); }`,
  )
  await make('tree/srv/x/bin/aligned', ['-pie', '-fPIE', join(root, 'aligned.c')])
  for (const copy of ['original', 'entered', 'page', 'page-entered'])
    copyFileSync(join(bundle, 'bin/aligned'), join(bundle, `bin/aligned-${copy}`))
  for (const name of ['aligned', 'aligned-page']) inject(join(bundle, 'bin', name), place)
  const entered = [...KINDS, 'aligned', 'aligned-page'].map(name => join(bundle, 'bin', `${name}-entered`))
  const cpu = entryCpu(parseElf(bufferSource(readFileSync(entered[0]!)), ''))!
  writeFileSync(join(bundle, sidecarPath(cpu.name)), enterBySidecar(entered, place, null)!)
  for (const name of ['aligned-page', 'aligned-page-entered']) askForAnyPage(join(bundle, 'bin', name))
  // Strings that relocate themselves: of a program, its library and a plugin, and of static programs.
  const strings = join(root, 'tree/srv/r')
  layOut(strings, loader, [...files, join(libraries, 'libgcc_s.so.1')])
  const flags = ['-D_GNU_SOURCE', `-DSTORE="${PLACEHOLDER}"`, join(SUPPORT, 'relocated.c')]
  await make('tree/srv/r/lib/libreloc.so', ['-shared', '-fPIC', '-DLIBRARY', ...flags, '-Wl,-soname,libreloc.so'])
  await make('tree/srv/r/lib/plugin.so', ['-shared', '-fPIC', '-DPLUGIN', ...flags])
  await make('tree/srv/r/bin/prog', ['-pie', '-fPIE', ...flags, `-L${strings}/lib`, '-lreloc', '-ldl'])
  // gcc has copies of variables in position-independent programs too, on x86_64.
  const copied = /^(\w+) B library_data/m.exec(await output('nm', ['-D', join(strings, 'bin/prog')]))?.[1]
  const more = copied ? [Number.parseInt(copied, 16)] : []
  relocate(strings, place, ['lib/libreloc.so', 'lib/plugin.so'], { hooked: true, more })
  for (const kind of alones) {
    const alone = join(root, 'tree/srv', kind)
    mkdirSync(join(alone, 'bin'), { recursive: true })
    await output(cc, [`-${kind}`, '-O1', '-fPIE', '-DALONE', ...flags, '-o', join(alone, 'bin/prog')])
    relocate(alone, { up: 1, path: '' }, [])
  }

  const ld = `/srv/x/${place.path}`
  const runs = KINDS.flatMap(kind => [
    `aslr ${ld} /srv/x/bin/${kind} x`,
    `no-aslr ${ld} /srv/x/bin/${kind} x`,
    `aslr none ${ld} /srv/x/bin/${kind} x`,
    `aslr none ${ld} /srv/x/bin/${kind}-original x`,
    `aslr ${ld} /srv/x/bin/${kind}-entered x`,
  ])
  const ALIGNED = ['aligned', 'aligned-original', 'aligned-entered', 'aligned-page', 'aligned-page-entered']
  for (let i = 0; i < 4; i++) runs.push(...ALIGNED.map(name => `aslr ${i} /srv/x/bin/${name}`))
  runs.push('aslr none /srv/r/bin/prog plugin /srv/r/lib/plugin.so')
  for (const kind of alones) runs.push(`aslr none /srv/${kind}/bin/prog`)
  writeFileSync(join(root, 'tree/runs'), `${runs.join('\n')}\n`)
  await output('sh', ['-c', 'cd tree && find . | cpio -o -H newc --quiet > ../initramfs'], { cwd: root })

  const [qemu, ...options] = machine.qemu
  const said = await say(
    qemu!,
    [
      ...options,
      ...['-kernel', vmlinuz, '-initrd', join(root, 'initramfs'), '-m', '768', '-smp', '2'],
      ...['-nographic', '-no-reboot', '-net', 'none', '-monitor', 'none', '-serial', 'stdio'],
    ],
    {},
    600_000,
  )
  const text = said.stdout.replaceAll('\r', '')
  if (process.env.STUB_SHOW) console.info(text, said.stderr)
  expect(text, said.stderr).toMatch(/init: \S+ \d+\.\d+\S*, pid 1$/m)
  expect(text).toMatch(/^init: done$/m)
  const told = new Map(
    text
      .slice(0, text.indexOf('init: done'))
      .split(/^run: /m)
      .slice(1)
      .map(run => [run.slice(0, run.indexOf('\n')), run.slice(run.indexOf('\n') + 1)]),
  )
  expect([...told.keys()]).toEqual(runs)
  const aligned = (program: string) => runs.filter(r => r.endsWith(program)).map(r => told.get(r)!.split('\n')[0]!)
  for (const name of ALIGNED) expect(new Set(aligned(`/${name}`)), name).toEqual(new Set(['aligned']))
  const found = (place: string) => told.get(runs.find(r => r.includes(`/srv/${place}/bin`))!)!
  for (const place of ['r', ...alones]) {
    expect(found(place)).toMatch(/^end: exit 0$/m)
    expect(found(place)).not.toContain('/var/empty')
    expect(found(place)).toContain(`pointer: ${relocated(`/srv/${place}`)}/pointer/joined\n`)
  }
  expect(found('r')).toContain(`library's constructor: ${relocated('/srv/r')}/start\n`)
  expect(found('r')).toContain(`plugin's constructor: ${relocated('/srv/r')}/plugin `)
  for (const kind of KINDS) {
    const [plain, fixed, second, original, bySidecar] = runs.filter(r => r.includes(`/${kind}`)).map(r => told.get(r)!)
    expect(plain).toMatch(/^end: exit 23$/m)
    expect(plain).not.toMatch(/: NO$/m)
    expect(plain).toContain('PT_INTERP: yes')
    expect(fixed, `${kind} without ASLR`).toBe(plain)
    // The second arrival. Without PT_INTERP in the file there is none to see, and e_entry is the stub's.
    const common = (said: string) => said.split('\n').filter(line => !/^(PT_INTERP|AT_ENTRY| |end: exit)/.test(line))
    expect(common(second!)).toEqual(common(original!.replaceAll(`${kind}-original`, kind)))
    expect(second).toMatch(/^end: exit 1$/m)
    expect(common(bySidecar!.replaceAll(`${kind}-entered`, kind))).toEqual(common(plain!))
    expect(bySidecar).toMatch(/^end: exit 23$/m)
  }
})
