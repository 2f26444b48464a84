/** Data files that name places: the table, and the program that fills them in, on every CPU. */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import { PREBUILT } from '../src/entry/prebuilt.ts'
import { decodeTemplates, encodeTemplates, fillIn, rootOf, type Template } from '../src/entry/templates.ts'
import type { BundlePath } from '../src/paths.ts'
import { temporary } from './support/bundle.ts'

const BLANK = `/var/empty/${'e'.repeat(32)}-other-1.0`
const site = (pristine: string, at: number): Template['sites'][number] => ({
  offset: pristine.indexOf(BLANK, at),
  length: BLANK.length,
  to: 'pkg/other-1.0' as BundlePath,
})
const CONF = `dir = ${BLANK}/share\nmodule = "${BLANK}/lib/m.so"\n`
const conf: Template = {
  at: 'pkg/app-1.0/etc/app.conf' as BundlePath,
  pristine: CONF,
  sites: [site(CONF, 0), site(CONF, 20 + BLANK.length)],
}
const whole: Template = { at: 'top.conf' as BundlePath, pristine: BLANK, sites: [site(BLANK, 0)] }

describe('the table', () => {
  test('is read as it was written', () => {
    expect(decodeTemplates(encodeTemplates([conf, whole]), 'x')).toEqual([conf, whole])
  })

  test('cut short, or with any byte changed, it is a value or malformed', () => {
    const bytes = encodeTemplates([conf, whole])
    const isRead = (b: Buffer): boolean => {
      try {
        decodeTemplates(b, 'x')
        return true
      } catch (error) {
        expect(error).toMatchObject({ code: 'malformed' })
        return false
      }
    }
    for (let n = 0; n < bytes.length; n++) expect(isRead(bytes.subarray(0, n)), `${n}`).toBe(false)
    for (let i = 0; i < bytes.length; i++)
      for (const value of [0, 1, 0x2e, 0x2f, 0xff]) {
        const changed = Buffer.from(bytes)
        changed[i] = value
        isRead(changed)
      }
  })

  test.each(['../x', '/etc/passwd', 'a//b', 'a/./b', 'a/..', ''])('a path that leads out is refused: %s', path => {
    expect(() => decodeTemplates(encodeTemplates([{ ...conf, at: path as BundlePath }]), 'x')).toThrow('leads out')
  })

  test('the root that a text was filled in for is found again, and no other', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('/', 'a', '/pkg', '/pkg/other-1.0', 'share', '\n', ' ')), parts => {
        const root = parts.length === 0 ? '' : `/${parts.join('')}`
        expect(rootOf(conf, fillIn(conf, root))).toBe(root)
        expect(rootOf(conf, `${fillIn(conf, root)}x`)).toBe(undefined)
      }),
    )
    expect(rootOf(conf, conf.pristine)).toBe(null)
  })
})

describe.each([
  { cpu: 'x86_64', runner: [] },
  { cpu: 'aarch64', runner: ['qemu-aarch64-static'] },
  { cpu: 'riscv64', runner: ['qemu-riscv64-static'] },
  { cpu: 'i686', runner: ['qemu-i386-static'] },
  { cpu: 'arm', runner: ['qemu-arm-static'] },
] as const)('relocate on $cpu', ({ cpu, runner }) => {
  let root: string
  const at = (file: string): string => join(root, file)
  const read = (template: Template): string => fs.readFileSync(at(template.at), 'latin1')
  const start = (...args: string[]) => {
    const [file, ...rest] = [...runner, at('relocate'), ...args]
    const { status, stdout, stderr } = spawnSync(file!, rest, { encoding: 'utf8', timeout: 20_000 })
    return { status, out: stdout + stderr }
  }
  function lay(directory: string, templates: readonly Template[] = [conf, whole]): void {
    for (const { at, pristine } of templates) {
      fs.mkdirSync(join(directory, at, '..'), { recursive: true })
      fs.writeFileSync(join(directory, at), pristine, 'latin1')
    }
    fs.writeFileSync(join(directory, '.templates'), encodeTemplates(templates))
    fs.writeFileSync(join(directory, 'relocate'), Buffer.from(PREBUILT[cpu].relocate, 'base64'), { mode: 0o755 })
  }
  beforeEach(() => {
    root = join(temporary(), 'app')
    lay(root)
  })

  test('writes where it lies, once; says what is left; and takes it back', () => {
    fs.chmodSync(at(conf.at), 0o640)
    expect(start('--check')).toMatchObject({
      status: 1,
      out: expect.stringContaining(`${conf.at}: names no place yet`),
    })
    expect(start()).toEqual({ status: 0, out: 'relocate: 2 files written, 0 named this place already\n' })
    expect(read(conf)).toBe(fillIn(conf, root))
    expect(read(whole)).toBe(`${root}/pkg/other-1.0`)
    expect(fs.statSync(at(conf.at)).mode & 0o7777).toBe(0o640)
    expect(start()).toEqual({ status: 0, out: 'relocate: 0 files written, 2 named this place already\n' })
    expect(start('--check')).toEqual({ status: 0, out: `relocate: 2 files name ${root}\n` })
    expect(start('--undo').status).toBe(0)
    expect([read(conf), read(whole)]).toEqual([conf.pristine, whole.pristine])
    expect(fs.readdirSync(root).sort()).toEqual(['.templates', 'pkg', 'relocate', 'top.conf'])
  })

  test('after a move it says so, and writes the new place', () => {
    start()
    const moved = join(temporary(), 'a-longer-name-than-before')
    fs.renameSync(root, moved)
    root = moved
    expect(start('--check').out).toContain('names another place')
    expect(start().status).toBe(0)
    expect(read(conf)).toBe(fillIn(conf, moved))
  })

  test('a file that somebody has edited is left alone, and the others are written', () => {
    fs.appendFileSync(at(conf.at), 'mine = 1\n')
    expect(start()).toMatchObject({ status: 1, out: expect.stringContaining('is left alone') })
    expect(read(conf)).toBe(`${conf.pristine}mine = 1\n`)
    expect(read(whole)).toBe(fillIn(whole, root))
    expect(start('--force').status).toBe(0)
    expect(read(conf)).toBe(fillIn(conf, root))
  })

  test.each(['a b', "a'b", 'a"b', 'a<b', 'a$b', 'a%b', 'ä', 'a\nb'])(
    'a place whose characters may mean something is refused: %j',
    name => {
      const odd = join(root, '..', name)
      fs.renameSync(root, odd)
      root = odd
      const { status, out } = start()
      expect([status, out.split('\n').length]).toEqual([2, 2])
      expect(read(conf)).toBe(conf.pristine)
      expect(start('--force').status).toBe(0)
      expect(read(conf)).toBe(fillIn(conf, Buffer.from(root).toString('latin1')))
    },
  )

  test('a file that is gone, a directory, a pipe or a link in its place is told, never followed', () => {
    const outside = join(temporary(), 'outside')
    fs.writeFileSync(outside, conf.pristine)
    const put: (() => void)[] = [
      () => {},
      () => fs.mkdirSync(at(conf.at)),
      () => void execFileSync('mkfifo', [at(conf.at)]),
      () => fs.symlinkSync(outside, at(conf.at)),
      () => fs.symlinkSync('/dev/zero', at(conf.at)),
    ]
    for (const make of put) {
      fs.rmSync(at(conf.at), { recursive: true, force: true })
      make()
      expect(start()).toMatchObject({ status: 1, out: expect.stringContaining(`${conf.at}: `) })
    }
    expect(fs.readFileSync(outside, 'latin1')).toBe(conf.pristine)
    expect(read(whole)).toBe(fillIn(whole, root))
  })

  test('a link on the way to a file is not followed', () => {
    const outside = temporary()
    fs.renameSync(at('pkg/app-1.0/etc'), join(outside, 'etc'))
    fs.symlinkSync(join(outside, 'etc'), at('pkg/app-1.0/etc'))
    expect(start().status).toBe(1)
    expect(fs.readFileSync(join(outside, 'etc/app.conf'), 'latin1')).toBe(conf.pristine)
  })

  test('places whose ends wrap around are refused', () => {
    const table = encodeTemplates([conf])
    // The first place's offset and length, behind the text and the number of places.
    const at = table.indexOf(CONF) + CONF.length + 4
    for (const [offset, length] of [
      [16, -8],
      [-16, 20],
      [-1, 1],
    ] as const) {
      const copy = Buffer.from(table)
      copy.writeUInt32LE(offset >>> 0, at)
      copy.writeUInt32LE(length >>> 0, at + 4)
      fs.writeFileSync(join(root, '.templates'), copy)
      expect(start()).toMatchObject({ status: 2, out: expect.stringContaining('damaged') })
    }
    expect(read(conf)).toBe(CONF)
  })

  test('a damaged table is refused, and nothing is changed', () => {
    const bytes = encodeTemplates([conf, whole])
    for (const cut of [0, 7, 8, 11, 12, 40, bytes.length - 1]) {
      fs.writeFileSync(at('.templates'), bytes.subarray(0, cut))
      expect(start(), `${cut} bytes`).toMatchObject({ status: 2, out: expect.stringContaining('damaged') })
    }
    fs.writeFileSync(at('.templates'), encodeTemplates([{ ...conf, at: '../outside' as BundlePath }]))
    expect(start().status).toBe(2)
    fs.rmSync(at('.templates'))
    expect(start()).toEqual({ status: 2, out: 'relocate: .templates: is not there\n' })
    expect(read(conf)).toBe(conf.pristine)
  })

  test('what is left of a run that was killed goes, and is no file of the bundle', () => {
    fs.mkdirSync(at('.relocating'))
    fs.writeFileSync(at('.relocating/0'), 'half')
    expect(start().status).toBe(0)
    expect(fs.existsSync(at('.relocating'))).toBe(false)
    expect(read(conf)).toBe(fillIn(conf, root))
  })

  test('an option that is none', () => {
    expect(start('--chekc')).toEqual({ status: 2, out: 'relocate: no option --chekc; try --help\n' })
    expect(start('--help')).toMatchObject({ status: 0, out: expect.stringContaining('--undo') })
  })

  test('ten at once: each file is whole, and all end well', async () => {
    const [file, ...rest] = [...runner, at('relocate')]
    const codes = await Promise.all(
      Array.from({ length: 10 }, () => new Promise(resolve => spawn(file!, rest).on('close', resolve))),
    )
    expect(codes).toEqual(Array.from({ length: 10 }, () => 0))
    expect(read(conf)).toBe(fillIn(conf, root))
    expect(fs.existsSync(at('.relocating'))).toBe(false)
  })
})

test('killed at every system call, it leaves each file whole, and the next run ends the work', () => {
  const root = join(temporary(), 'app')
  fs.mkdirSync(join(root, 'pkg/app-1.0/etc'), { recursive: true })
  fs.writeFileSync(join(root, '.templates'), encodeTemplates([conf, whole]))
  fs.writeFileSync(join(root, 'relocate'), Buffer.from(PREBUILT.x86_64.relocate, 'base64'), { mode: 0o755 })
  const reset = (): void => {
    for (const { at, pristine } of [conf, whole]) fs.writeFileSync(join(root, at), pristine, 'latin1')
  }
  const calls = 'openat,write,fsync,fchmod,fstat,mmap,renameat,mkdirat,flock,getdents64,unlinkat,readlinkat'.split(',')
  let killed = 0
  for (const name of calls)
    for (let n = 1; n < 40; n++) {
      reset()
      const inject = ['-qq', '-o', '/dev/null', '-e', `inject=${name}:signal=KILL:when=${n}`, join(root, 'relocate')]
      const { signal } = spawnSync('strace', inject, { timeout: 20_000 })
      for (const template of [conf, whole])
        expect(
          [template.pristine, fillIn(template, root)].includes(fs.readFileSync(join(root, template.at), 'latin1')),
          `${name} ${n}`,
        ).toBe(true)
      if (signal === null) break
      killed++
      expect(spawnSync(join(root, 'relocate')).status, `${name} ${n}`).toBe(0)
      expect(fs.readdirSync(root).sort()).toEqual(['.templates', 'pkg', 'relocate', 'top.conf'])
      expect(fs.readFileSync(join(root, conf.at), 'latin1')).toBe(fillIn(conf, root))
    }
  expect(killed).toBeGreaterThan(25)
})

describe('where it cannot write, it says so in a line, and each file is what it was', () => {
  let root: string
  beforeEach(() => {
    root = join(temporary(), 'app')
    for (const { at, pristine } of [conf, whole]) {
      fs.mkdirSync(join(root, at, '..'), { recursive: true })
      fs.writeFileSync(join(root, at), pristine, 'latin1')
    }
    fs.writeFileSync(join(root, '.templates'), encodeTemplates([conf, whole]))
    fs.writeFileSync(join(root, 'relocate'), Buffer.from(PREBUILT.x86_64!.relocate, 'base64'), { mode: 0o755 })
    for (let d = root; d !== '/tmp' && d !== '/'; d = join(d, '..')) fs.chmodSync(d, 0o755)
  })
  const ran = (file: string, args: readonly string[]) => {
    const { status, stdout, stderr } = spawnSync(file, args, { encoding: 'utf8', timeout: 20_000 })
    return { status, lines: (stdout + stderr).trim().split('\n') }
  }
  const isUnchanged = (): void => {
    for (const { at, pristine } of [conf, whole]) expect(fs.readFileSync(join(root, at), 'latin1')).toBe(pristine)
    expect(fs.readdirSync(root).sort()).toEqual(['.templates', 'pkg', 'relocate', 'top.conf'])
  }

  test('on a disk that is mounted read-only', () => {
    const mounts = ['--dev-bind', '/', '/', '--ro-bind', root, root]
    const { status, lines } = ran('bwrap', [...mounts, '--', join(root, 'relocate')])
    expect([status, lines]).toEqual([2, [expect.stringMatching(/^relocate: .*[Rr]ead-only/)]])
    isUnchanged()
  })

  test("as somebody else than the files' owner", () => {
    const nobody = ['--reuid=65534', '--regid=65534', '--clear-groups', '--no-new-privs']
    const { status, lines } = ran('setpriv', [...nobody, join(root, 'relocate')])
    expect([status, lines]).toEqual([2, [expect.stringMatching(/^relocate: .*[Pp]ermission denied/)]])
    isUnchanged()
  })

  test('on a disk that is full, now and when it has filled in some', () => {
    // 16 pages; what is copied takes some of them, a file all but `left`.
    const script = `cp -a "$1" /mnt/app && cd /mnt/app && dd if=/dev/zero of=/mnt/fill bs=4096 2>/dev/null
      truncate -s -$(($2 * 4096)) /mnt/fill; ./relocate; echo "code $?"; cat top.conf pkg/app-1.0/etc/app.conf; ls -A; rm /mnt/fill; ./relocate; ./relocate --check`
    const texts = (filled: boolean): string => {
      const at = (t: Template): string => (filled ? fillIn(t, '/mnt/app') : t.pristine)
      return at(whole) + at(conf)
    }
    const seen = new Set<string>()
    for (let left = 0; left < 6; left++) {
      const mounts = ['--dev-bind', '/', '/', '--size', '65536', '--tmpfs', '/mnt']
      const { stdout, stderr } = spawnSync('bwrap', [...mounts, '--', 'sh', '-c', script, 'sh', root, `${left}`], {
        encoding: 'utf8',
      })
      const code = /^code (\d)$/m.exec(stdout)![1]!
      seen.add(code)
      expect(stdout, stderr).toContain(`code ${code}\n${texts(code === '0')}`)
      expect(stdout).toContain('.templates\npkg\nrelocate\ntop.conf\n')
      if (code !== '0') expect(stdout + stderr).toMatch(/relocate: .*[Nn]o space left/)
      expect(stdout).toMatch(/relocate: 2 files name \/mnt\/app\n$/)
    }
    expect([...seen].sort()).toEqual(['0', '2'])
  })
})
