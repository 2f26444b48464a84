/** Archives: every tar program unpacks what was packed, and ours reads what others pack or damage. */
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BLOCK, tarEnd, tarHeader, tarPadding } from '../src/archive/tar.ts'
import { type ArchiveMember, readTar, tarMembersOf } from '../src/archive/untar.ts'
import { BundleError } from '../src/errors.ts'
import { type PackedFile, pack } from '../src/pack/archive.ts'
import type { BundlePath } from '../src/paths.ts'

const work = fs.mkdtempSync(`${tmpdir()}/storefree-tar-`)
afterAll(() => fs.rmSync(work, { recursive: true, force: true }))

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')
const digest = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex').slice(0, 12)

interface Source {
  readonly at: string
  readonly contents?: Buffer
  readonly target?: string
  readonly executable?: boolean
}

/** A path of exactly `length` bytes, in components of at most `part`. */
function pathOf(length: number, part: number): string {
  let path = ''
  while (path.length < length) {
    const room = length - path.length - (path === '' ? 0 : 1)
    path += `${path === '' ? '' : '/'}${'n'.repeat(Math.min(part, room === part + 1 ? part - 1 : room))}`
  }
  return path
}

/** Names and contents that formats have trouble with. */
function sources(): Source[] {
  const list: Source[] = [
    { at: 'empty' },
    { at: 'run', contents: bytes('#!/bin/sh\n'), executable: true },
    { at: ' leading and trailing ', contents: bytes('spaces') },
    { at: '-leading', contents: bytes('dash') },
    { at: '--help', contents: bytes('option') },
    { at: 'new\nline/and\ttab', contents: bytes('newline') },
    { at: 'latin1-\xe9\xff', contents: bytes('no UTF-8') },
    { at: 'utf8-\xc3\xa9', contents: bytes('UTF-8') },
    { at: 'back\\slash', contents: bytes('\\') },
    { at: 'glob*[?]', contents: bytes('*') },
    // A directory sorts before its contents though `a-b` and `a.b` sort before `a/b`.
    { at: 'a-b', contents: bytes('1') },
    { at: 'a/b', contents: bytes('2') },
    { at: 'a.b', contents: bytes('3') },
    { at: 'link', target: 'empty' },
    { at: 'dangling', target: 'no/such file\n' },
    { at: 'link-\xff', target: 'latin1-\xe9\xff' },
  ]
  for (const size of [1, 511, 512, 513, 1023, 1024, 1025, 10_239, 10_240, 10_241, 600_000])
    list.push({ at: `size-${size}`, contents: Buffer.alloc(size, size % 251) })
  for (const length of [99, 100, 101, 155, 156, 200, 255, 256, 400, 1000])
    list.push({ at: `link-${length}`, target: `${'t'.repeat(50)}/${'x'.repeat(length - 51)}`.slice(0, length) })
  // With the archive's root directory before it: every length from 1 to 400 occurs.
  for (let length = 20; length <= 400; length++) {
    list.push({ at: `${pathOf(length - 1, 60)}f`, contents: bytes(String(length)) })
    if (length % 8 === 0 && length < 250) list.push({ at: `${'w'.repeat(length)}`, contents: bytes('one name') })
  }
  for (const length of [97, 98, 99, 100, 101, 151, 152, 153, 154, 155, 156, 157])
    for (const last of [1, 2, 98, 99, 100, 101])
      list.push({ at: `p${pathOf(length - 1, 200)}/${'q'.repeat(last)}`, contents: bytes('boundary') })
  return list
}

function write(tree: string, list: readonly Source[]): PackedFile[] {
  return list
    .map(({ at, contents = Buffer.alloc(0), target, executable = false }): PackedFile => {
      const path = bytes(`${tree}/${at}`)
      fs.mkdirSync(bytes(`${tree}/${at}`.slice(0, `${tree}/${at}`.lastIndexOf('/'))), { recursive: true })
      if (target === undefined) fs.writeFileSync(path, contents)
      else fs.symlinkSync(bytes(target), path)
      return {
        at: at as BundlePath,
        type: target === undefined ? 'file' : 'link',
        executable,
        size: contents.length,
        target: target ?? null,
      }
    })
    .sort((a, b) => (a.at < b.at ? -1 : 1))
}

/** A tree as lines: path, type, mode, time, owner, contents or link text. */
function lines(root: string): string[] {
  const result: string[] = []
  const walk = (at: string): void => {
    const path = bytes(`${root}${at}`)
    const s = fs.lstatSync(path)
    const mode = (s.mode & 0o7777).toString(8)
    const rest = `${s.uid}:${s.gid}`
    // Not every program restores the time of a link; nothing reads it.
    if (s.isSymbolicLink()) result.push(`${at} link ${rest} ${fs.readlinkSync(path, 'latin1')}`)
    else if (s.isFile())
      result.push(`${at} file ${mode} ${s.mtimeMs} ${rest} ${s.size} ${digest(fs.readFileSync(path))}`)
    else {
      result.push(`${at} directory ${mode} ${s.mtimeMs} ${rest}`)
      for (const name of fs.readdirSync(path, 'latin1').sort()) walk(`${at}/${name}`)
    }
  }
  for (const name of fs.readdirSync(root, 'latin1').sort()) walk(`/${name}`)
  return result.sort()
}

const expected = (list: readonly Source[], root: string): string[] => {
  const directories = new Set([''])
  for (const { at } of list)
    for (let d = at.lastIndexOf('/'); d > 0; d = at.lastIndexOf('/', d - 1)) directories.add(at.slice(0, d))
  return [
    ...[...directories].map(d => `/${root}${d === '' ? '' : `/${d}`} directory 755 1000 0:0`),
    ...list.map(({ at, contents = Buffer.alloc(0), target, executable }) =>
      target === undefined
        ? `/${root}/${at} file ${executable ? '755' : '644'} 1000 0:0 ${contents.length} ${digest(contents)}`
        : `/${root}/${at} link 0:0 ${target}`,
    ),
  ].sort()
}

interface Read extends Omit<ArchiveMember, 'contents' | 'whole'> {
  readonly data: Buffer
}

async function* inPieces(archive: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < archive.length; at += size) yield archive.subarray(at, at + size)
}

async function read(archive: Buffer, piece = 64 * 1024): Promise<Read[]> {
  const result: Read[] = []
  for await (const { contents, whole, ...member } of readTar(inPieces(archive, piece), 'test.tar')) {
    const parts: Buffer[] = []
    for await (const part of contents()) parts.push(Buffer.from(part))
    result.push({ ...member, data: Buffer.concat(parts) })
  }
  return result
}

/** Members, or the error's code. Anything else is thrown on. */
const readOrCode = (archive: Buffer, piece?: number): Promise<Read[] | string> =>
  read(archive, piece).catch((error: unknown) => {
    if (error instanceof BundleError) return error.code
    throw error
  })

const run = (file: string, args: readonly string[], options: { cwd?: string; input?: Buffer } = {}): Buffer =>
  execFileSync(file, args, { ...options, maxBuffer: 1 << 30, stdio: ['pipe', 'pipe', 'pipe'] })

const ROOT = 'bundle-1.0'
const list = sources()
const archive = `${work}/ours.tar`
beforeAll(async () => {
  const tree = `${work}/tree`
  fs.mkdirSync(tree)
  await pack(tree, write(tree, list), ROOT, archive, 'none')
})

const PYTHON = `
import os, sys, tarfile
# A name that is no UTF-8 goes through surrogateescape. Debian 12's first Python 3.11 has no filters.
options = {'filter': 'data'} if hasattr(tarfile, 'data_filter') else {}
with tarfile.open(sys.argv[1], encoding='utf-8', errors='surrogateescape') as t:
    t.extractall(sys.argv[2], **options)
`

describe('what we pack is unpacked the same by', () => {
  const programs: [string, (into: string) => void][] = [
    ['GNU tar', into => run('tar', ['-xpf', archive, '-C', into])],
    ['bsdtar', into => run('bsdtar', ['-xpf', archive, '-C', into])],
    ['busybox tar', into => run('busybox', ['tar', '-xpf', archive, '-C', into])],
    ['Python', into => run('python3', ['-c', PYTHON, archive, into])],
  ]
  test.each(programs)('%s', (name, unpack) => {
    const into = fs.mkdtempSync(`${work}/x-`)
    unpack(into)
    const found = lines(into)
    // busybox sets a directory's time before it puts files in.
    const ignored = (line: string): string =>
      name === 'busybox tar' ? line.replace(/( directory 755) \d+(\.\d+)?/, '$1') : line
    expect(found.map(ignored)).toEqual(expected(list, ROOT).map(ignored))
  })

  test('ourselves, in pieces of any size', async () => {
    const data = fs.readFileSync(archive)
    const want = expected(list, ROOT).map(line => line.replace(/ 1000 0:0| 0:0/, ''))
    for (const piece of [64 * 1024, 1000, 513]) {
      const members = await read(data, piece)
      const got = members.map(m =>
        m.type === 'link'
          ? `/${m.name} link ${m.target}`
          : `/${m.name} ${m.type} ${m.mode.toString(8)}${m.type === 'file' ? ` ${m.size} ${digest(m.data)}` : ''}`,
      )
      expect([...got].sort()).toEqual(want)
    }
  })
})

test('entries are sorted bytewise, a directory stands before what is in it, and nobody owns them', async () => {
  const members = await read(fs.readFileSync(archive))
  const names = members.map(m => (m.type === 'directory' ? `${m.name}/` : m.name))
  expect(names).toEqual([...names].sort())
  const seen = new Set<string>()
  for (const { name } of members) {
    const parent = name.slice(0, Math.max(0, name.lastIndexOf('/')))
    expect(parent === '' || seen.has(parent), name).toBe(true)
    seen.add(name)
  }
  for (const { header } of members) {
    const block = header.subarray(-BLOCK)
    expect(block.toString('latin1', 108, 124)).toBe('0000000\x000000000\0')
    expect(block.toString('latin1', 136, 148)).toBe('00000000001\0')
    expect(block.subarray(265, 329).every(b => b === 0)).toBe(true)
  }
  // The first length beyond each field, and one that no split serves.
  expect(names.map(n => n.length)).toEqual(expect.arrayContaining([99, 100, 101, 155, 156, 255, 256, 257, 400]))
})

test('equal trees give equal bytes, whatever umask, time zone and order of writing', async () => {
  const some = list.slice(0, 24)
  const digests = new Set<string>()
  const umask = process.umask()
  const zone = process.env.TZ
  try {
    for (let i = 0; i < 20; i++) {
      process.umask([0o000, 0o022, 0o077, 0o027][i % 4]!)
      process.env.TZ = ['UTC', 'Asia/Tokyo', 'America/New_York'][i % 3]
      const tree = fs.mkdtempSync(`${work}/same-`)
      const shuffled = [...some].sort((a, b) => digest(bytes(a.at + i)).localeCompare(digest(bytes(b.at + i))))
      const files = write(tree, shuffled)
      const out = `${tree}.tar`
      const { tarSha256, tarSize } = await pack(tree, i % 2 ? files.reverse() : files, ROOT, out, 'none')
      const data = fs.readFileSync(out)
      expect(createHash('sha256').update(data).digest('hex')).toBe(tarSha256)
      expect(data.length).toBe(tarSize)
      digests.add(tarSha256)
    }
  } finally {
    process.umask(umask)
    if (zone === undefined) delete process.env.TZ
    else process.env.TZ = zone
  }
  expect(digests.size).toBe(1)
})

test.each(['gzip', 'zstd'] as const)('%s: the same tar inside', async compression => {
  const tree = `${work}/tree`
  const files = list.map(
    ({ at, contents, target, executable = false }): PackedFile => ({
      at: at as BundlePath,
      type: target === undefined ? 'file' : 'link',
      executable,
      size: contents?.length ?? 0,
      target: target ?? null,
    }),
  )
  const out = `${work}/ours.${compression}`
  const { tarSha256 } = await pack(tree, files, ROOT, out, compression)
  const tar = run(compression, ['-d', '-c', out])
  expect(createHash('sha256').update(tar).digest('hex')).toBe(tarSha256)
  expect(tar.equals(fs.readFileSync(archive))).toBe(true)
})

test('a file of 9 GB has its size in a header that every program reads', async () => {
  const size = 9_000_000_001
  const header = tarHeader({ name: 'big', type: 'file', executable: false, size, target: '' })
  const path = `${work}/big.tar`
  // As large as it says, in a hole.
  fs.writeFileSync(path, header)
  fs.truncateSync(path, header.length + size + tarPadding(size).length + tarEnd(0).length)
  for (const [tool, ...args] of [
    ['tar', '-tvf'],
    ['bsdtar', '-tvf'],
  ] as const)
    expect(run(tool, [...args, path]).toString()).toContain(String(size))
  expect(
    run('python3', ['-c', 'import sys, tarfile; print(tarfile.open(sys.argv[1]).next().size)', path]).toString().trim(),
  ).toBe(String(size))
  // Only the header is read before the first member is there.
  for await (const member of readTar(inPieces(header, BLOCK), path)) {
    expect([member.name, member.size]).toEqual(['big', size])
    break
  }
  // busybox lists the whole archive to know the size, which takes seconds: the header alone, then the end.
  const listed = spawnSync('busybox', ['tar', '-tv'], { input: header, encoding: 'utf8' })
  expect(listed.stdout).toContain(String(size))
})

describe('what others pack is read the same', () => {
  const tree = `${work}/theirs`
  const some: Source[] = [
    { at: 'bin/run', contents: bytes('#!/bin/sh\n'), executable: true },
    { at: 'empty' },
    { at: 'latin1-\xe9', contents: bytes('x') },
    { at: `${pathOf(180, 60)}/f`, contents: bytes('split') },
    { at: `${'d'.repeat(120)}/${'f'.repeat(120)}`, contents: bytes('long') },
    { at: 'data', contents: Buffer.alloc(100_000, 7) },
    { at: 'link', target: 'empty' },
  ]
  const long: Source[] = [
    { at: pathOf(400, 200), contents: bytes('long') },
    { at: 'far', target: 't'.repeat(300) },
  ]
  beforeAll(() => {
    fs.mkdirSync(tree)
    write(`${tree}/${ROOT}`, [...some, ...long])
  })
  // What ustar cannot hold is left out there.
  const programs: [string, string, string[], boolean][] = [
    [
      'GNU tar, ustar',
      'tar',
      ['--format=ustar', '-c', `--exclude=far`, `--exclude=${'n'.repeat(200)}`, `--exclude=${'d'.repeat(120)}`],
      false,
    ],
    ['GNU tar, gnu', 'tar', ['--format=gnu', '-c'], true],
    ['GNU tar, pax', 'tar', ['--format=pax', '-c'], true],
    [
      'bsdtar, ustar',
      'bsdtar',
      ['--format=ustar', '-c', `--exclude=far`, `--exclude=${'n'.repeat(200)}*`, `--exclude=${'d'.repeat(120)}`],
      false,
    ],
    ['bsdtar, gnu', 'bsdtar', ['--format=gnutar', '-c'], true],
    ['bsdtar, pax', 'bsdtar', ['--format=pax', '-c'], true],
    ['busybox', 'busybox', ['tar', '-c'], true],
    [
      'Python, gnu',
      'python3',
      [
        '-c',
        'import sys, tarfile\nt = tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.GNU_FORMAT)\nt.add(sys.argv[-1])\nt.close()',
        '-f',
        '-',
      ],
      true,
    ],
    [
      'Python, pax',
      'python3',
      [
        '-c',
        'import sys, tarfile\nt = tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.PAX_FORMAT)\nt.add(sys.argv[-1])\nt.close()',
        '-f',
        '-',
      ],
      true,
    ],
  ]
  test.each(programs)('%s', async (_, tool, args, all) => {
    const tar = run(tool, [...args, ...(args.includes('-f') ? [] : ['-f', '-']), ROOT], { cwd: tree })
    const want = all ? [...some, ...long] : some.filter(s => !s.at.startsWith('d'.repeat(120)))
    const members = (await read(tar)).filter(m => m.type !== 'directory')
    expect(
      members.map(m => [m.name, m.type, m.target, digest(m.data), (m.mode & 0o100) !== 0 && m.type === 'file']).sort(),
    ).toEqual(
      want
        .map(s => [
          `${ROOT}/${s.at}`,
          s.target === undefined ? 'file' : 'link',
          s.target ?? '',
          digest(s.contents ?? Buffer.alloc(0)),
          false,
        ])
        .sort(),
    )
  })

  test('a sparse file is refused: what is unpacked is not what lies in the archive', async () => {
    const path = `${tree}/sparse`
    fs.writeFileSync(path, 'start')
    fs.truncateSync(path, 1 << 20)
    fs.appendFileSync(path, 'end')
    for (const args of [
      ['--format=gnu'],
      ['--format=pax'],
      ['--format=pax', '--sparse-version=0.1'],
      ['--format=pax', '--sparse-version=0.0'],
    ]) {
      const tar = run('tar', [...args, '-S', '-cf', '-', 'sparse'], { cwd: tree })
      expect(await readOrCode(tar), args.join(' ')).toBe('archive-unreadable')
    }
  })

  test("GNU tar's own types: a sparse file and a second volume are refused by name, labels and lists of names are read", async () => {
    const at = fs.mkdtempSync(`${tmpdir()}/storefree-gnu-`)
    const shell = (script: string, cwd: string) => execFileSync('bash', ['-c', script], { cwd })
    try {
      shell('mkdir t && echo hi > t/a && truncate -s 1M t/s && echo x >> t/s && head -c 30000 /dev/zero > big', at)
      shell('tar --format=gnu -S -cf S t/s && tar --format=gnu -V /nix/store/label -cf V t/a', at)
      shell('tar --format=gnu -g list -cf D t', at)
      shell("printf 'n M\\n' | tar --format=gnu -M -L 20 -cf first big > /dev/null 2>&1", at)
      const read = async (name: string): Promise<ArchiveMember[]> => {
        const members: ArchiveMember[] = []
        for await (const member of readTar(once(fs.readFileSync(`${at}/${name}`)), name)) members.push(member)
        return members
      }
      await expect(read('S')).rejects.toThrow('a sparse file: pack it without --sparse')
      await expect(read('M')).rejects.toThrow('begins in another volume: pack it without --multi-volume')
      const [labelled] = await read('V')
      expect(labelled).toMatchObject({ name: 't/a', type: 'file', size: 3 })
      expect(labelled!.header.includes('/nix/store/label')).toBe(true)
      const [listed, ...rest] = await read('D')
      expect(listed).toMatchObject({ name: 't', type: 'directory', size: 0 })
      expect(listed!.header.toString('latin1')).toContain('Ya\0Ys\0')
      expect(rest.map(({ name }) => name)).toEqual(['t/a', 't/s'])
    } finally {
      fs.rmSync(at, { recursive: true })
    }
    async function* once(bytes: Buffer) {
      yield bytes
    }
  })

  test('hard links, devices and pipes keep their kind', async () => {
    const made = fs.mkdtempSync(`${work}/kinds-`)
    fs.writeFileSync(`${made}/a`, 'a')
    fs.linkSync(`${made}/a`, `${made}/b`)
    run('mknod', [`${made}/null`, 'c', '1', '3'])
    run('mkfifo', [`${made}/pipe`])
    for (const format of ['gnu', 'pax', 'ustar']) {
      const members = await read(
        run('tar', [`--format=${format}`, '-cf', '-', 'a', 'b', 'null', 'pipe'], { cwd: made }),
      )
      expect(members.map(m => [m.name, m.type, m.target])).toEqual([
        ['a', 'file', ''],
        ['b', 'hardlink', 'a'],
        ['null', 'special', ''],
        ['pipe', 'special', ''],
      ])
    }
  })
})

// ---- Hostile archives --------------------------------------------------------------------------------------------

/** A header with fields of one's own, its checksum put right. */
function header(name: string, typeflag: string, size: number, change?: (block: Buffer) => void): Buffer {
  const block = Buffer.from(tarHeader({ name, type: 'file', executable: false, size, target: '' }))
  block[156] = typeflag.charCodeAt(0)
  change?.(block)
  return resum(block)
}

function resum(block: Buffer): Buffer {
  block.fill(' ', 148, 156)
  const sum = block.subarray(0, BLOCK).reduce((a, b) => a + b, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return block
}

const body = (text: string): Buffer => Buffer.concat([bytes(text), tarPadding(text.length)])
const file = (name: string, text: string): Buffer => Buffer.concat([header(name, '0', text.length), body(text)])
const pax = (typeflag: string, text: string): Buffer => Buffer.concat([header('@', typeflag, text.length), body(text)])
const record = (text: string): string => {
  const length = text.length + 3 + (text.length + 3 > 9 ? 1 : 0)
  return `${length > 99 ? length + 1 : length} ${text}\n`
}
const END = Buffer.alloc(2 * BLOCK)

test('headers are read whole where the next piece is read over the one before', async () => {
  const name = `r/${'long'.repeat(300)}`
  const whole = Buffer.concat([
    pax('x', record(`path=${name}`).replace(/^\d+/, String(name.length + 11))),
    file('r/b', 'b'),
    END,
  ])
  async function* inOneBuffer(size: number): AsyncGenerator<Buffer> {
    const buffer = Buffer.alloc(size)
    for (let at = 0; at < whole.length; at += size) yield buffer.subarray(0, whole.copy(buffer, 0, at, at + size))
  }
  for (const size of [1, 7, BLOCK, 1000, 4096])
    for await (const member of readTar(inOneBuffer(size), 'test.tar')) {
      expect(member.name).toBe(name)
      expect(member.header.includes('path=r/longlong')).toBe(true)
      expect(member.header.length).toBe(2 * BLOCK + name.length + 11)
    }
})

test('in memory it is the same, all of a member at once or in pieces', async () => {
  const whole = fs.readFileSync(archive)
  const streamed = await read(whole)
  const atOnce: Read[] = []
  for (const { contents, whole: bytes, ...member } of tarMembersOf(whole, 'test.tar'))
    atOnce.push({ ...member, data: bytes()! })
  expect(atOnce).toEqual(streamed)
  const cut = whole.subarray(0, BLOCK + 100)
  expect(() => [...tarMembersOf(cut, 'test.tar')]).toThrow(BundleError)
})

test('truncated at every block and inside each: unreadable, but for the padding at the end', async () => {
  const whole = Buffer.concat([
    file('r/a', 'x'.repeat(700)),
    pax('x', record('path=r/long')),
    file('r/b', ''),
    header('././@LongLink', 'L', 5),
    body('r/cc\0'),
    file('r/c', 'y'),
    END,
  ])
  expect((await read(whole)).map(m => m.name)).toEqual(['r/a', 'r/long', 'r/cc'])
  for (let at = 0; at < whole.length; at += 1) {
    if (at % BLOCK > 2 && at % 37 !== 0) continue
    const result = await readOrCode(whole.subarray(0, at))
    if (at >= whole.length - BLOCK) expect(Array.isArray(result), `at ${at}`).toBe(true)
    else expect(result, `at ${at}`).toBe('archive-unreadable')
  }
})

test.each<[string, Buffer]>([
  ['nothing at all', Buffer.alloc(0)],
  ['text', bytes('no archive'.repeat(100))],
  ['a wrong checksum', Buffer.concat([Buffer.from(file('a', 'x').fill('b', 0, 1)), END])],
  ['members behind its end', Buffer.concat([file('a', 'x'), END, file('b', 'y'), END])],
  ['members behind a lone block of zeros', Buffer.concat([file('a', 'x'), Buffer.alloc(BLOCK), file('b', 'y'), END])],
  ['a link with contents', Buffer.concat([header('a', '2', 512), Buffer.alloc(512, 1), END])],
  ['a hard link with contents', Buffer.concat([header('a', '1', 512), Buffer.alloc(512, 1), END])],
  ['a directory with contents', Buffer.concat([header('a', '5', 512), Buffer.alloc(512, 1), END])],
  [
    'a directory as a file with a slash, with contents',
    Buffer.concat([header('a/', '0', 512), Buffer.alloc(512, 1), END]),
  ],
  ['a member of an unknown type', Buffer.concat([header('a', 'S', 0), END])],
  ['a negative size', Buffer.concat([header('a', '0', 0, b => b.fill(0xff, 124, 136)), END])],
  [
    'a size beyond 2^48',
    Buffer.concat([
      header('a', '0', 0, b => b.fill(0, 124, 136).writeUInt16BE(0x8000, 124).valueOf() && b.fill(1, 126, 130)),
      END,
    ]),
  ],
  ['a size in no octal digits', Buffer.concat([header('a', '0', 0, b => void b.write('00000000009\0', 124)), END])],
  ['a pax size in hexadecimal', Buffer.concat([pax('x', record('size=0x1')), file('a', 'x'), END])],
  ['a pax size with an exponent', Buffer.concat([pax('x', record('size=1e0')), file('a', 'x'), END])],
  ['a pax size that is negative', Buffer.concat([pax('x', record('size=-1')), file('a', 'x'), END])],
  ['a pax path with a NUL', Buffer.concat([pax('x', record('path=a\0b')), file('a', 'x'), END])],
  ['a pax record whose length is none', Buffer.concat([pax('x', 'xx path=a\n'), file('a', 'x'), END])],
  ['a pax record whose length is zero', Buffer.concat([pax('x', '0 path=a\n'), file('a', 'x'), END])],
  ['a pax record that is too long', Buffer.concat([pax('x', '99 path=a\n'), file('a', 'x'), END])],
  ['a pax record that is too short', Buffer.concat([pax('x', '5 path=a\n'), file('a', 'x'), END])],
  ['a pax record without a key', Buffer.concat([pax('x', record('nothing')), file('a', 'x'), END])],
  ['a sparse file of pax', Buffer.concat([pax('x', record('GNU.sparse.major=1')), file('a', 'x'), END])],
  [
    'an extended header of 2 MB',
    Buffer.concat([header('@', 'x', 2 << 20), Buffer.alloc(2 << 20), file('a', 'x'), END]),
  ],
  [
    'extended headers without an end',
    Buffer.concat(Array.from({ length: 3000 }, () => pax('g', record(`comment=${'x'.repeat(60)}`)))),
  ],
])('%s is unreadable', async (_, data) => {
  expect(await readOrCode(data)).toBe('archive-unreadable')
})

test('a global header holds for all members but those that have their own', async () => {
  const members = await read(
    Buffer.concat([
      pax('g', record('linkpath=elsewhere')),
      header('r/a', '2', 0),
      pax('x', record('linkpath=own')),
      header('r/b', '2', 0),
      header('r/c', '2', 0),
      END,
    ]),
  )
  expect(members.map(m => m.target)).toEqual(['elsewhere', 'own', 'elsewhere'])
})

test('an empty pax value gives back the plain field', async () => {
  const members = await read(Buffer.concat([pax('x', record('path=')), file('plain', 'x'), END]))
  expect(members.map(m => m.name)).toEqual(['plain'])
})

test('10,000 damaged archives: members or archive-unreadable, none of them slow', async () => {
  const seed = Number(process.env.STOREFREE_SEED ?? 1)
  let state = seed
  const random = (n: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return Math.floor((state / 2 ** 32) * n)
  }
  const whole = Buffer.concat([
    file('r/a', 'x'.repeat(700)),
    pax('x', record('path=r/long')),
    file('r/b', 'z'),
    header('././@LongLink', 'L', 5),
    body('r/cc\0'),
    file('r/c', 'y'),
    header('r/d', '2', 0, b => void b.write('r/a', 157)),
    END,
  ])
  const codes = new Map<string, number>()
  for (let i = 0; i < 10_000; i++) {
    let data = Buffer.from(whole)
    for (let n = 1 + random(4); n > 0; n--) {
      const at = random(data.length)
      const kind = random(6)
      if (kind === 0) data[at] = random(256)
      else if (kind === 1) data = data.subarray(0, at)
      else if (kind === 2) data.fill(random(256), at, Math.min(data.length, at + random(600)))
      else {
        // A header that is valid but for one field.
        const block = at - (at % BLOCK)
        data[block + (random(2) ? 124 + random(12) : random(BLOCK))] = random(256)
        if (block + BLOCK <= data.length) resum(data.subarray(block, block + BLOCK))
      }
      if (data.length === 0) break
    }
    const started = Date.now()
    const result = await readOrCode(data, 1 + random(2000)).catch((error: unknown) => {
      throw new Error(`seed ${seed}, archive ${i}`, { cause: error })
    })
    expect(Date.now() - started, `seed ${seed}, archive ${i}`).toBeLessThan(1000)
    const key = typeof result === 'string' ? result : 'members'
    codes.set(key, (codes.get(key) ?? 0) + 1)
  }
  expect([...codes.keys()].sort()).toEqual(['archive-unreadable', 'members'])
})
