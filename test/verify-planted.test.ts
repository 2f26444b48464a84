/**
 * References that were planted in every place that is thought of: found, or the container is named. The verdict is the
 * same for a directory and for each archive of it. What is planted is packed by GNU tar, gzip, Info-ZIP, xz, bzip2, zstd,
 * cpio, gcc and Python, which share nothing with what reads it.
 */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deflateSync, gzipSync } from 'node:zlib'
import { afterAll, describe, expect, test } from 'vitest'
import { TRAILER } from '../src/archive/single.ts'
import { silent } from '../src/io/progress.ts'
import type { Finding } from '../src/model/findings.ts'
import { References } from '../src/verify/checks/references.ts'
import { verify } from '../src/verify/verify.ts'

const HASH = '0c8b4gz5vd6h1jr9xk2mnqfwl3yaips7'
const STORE = `/nix/store/${HASH}-glibc-2.36`
const TEXT = `a line\n${STORE}/lib/x and more\n`
const hashes = new Set([HASH])

const work = fs.mkdtempSync(join(tmpdir(), 'storefree-planted-'))
afterAll(() => fs.rmSync(work, { recursive: true, force: true }))
const run = (file: string, args: readonly string[], cwd = work): Buffer =>
  execFileSync(file, args, { cwd, maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'pipe'] })
const shell = (script: string, cwd: string): Buffer => run('bash', ['-euc', script], cwd)

const wide = (text: string, width: number, bigEndian: boolean): Buffer => {
  const bytes = Buffer.alloc(text.length * width)
  for (let i = 0; i < text.length; i++) bytes[i * width + (bigEndian ? width - 1 : 0)] = text.charCodeAt(i)
  return bytes
}

interface Plant {
  readonly what: string
  /** Makes files in an empty directory. */
  readonly make: (directory: string) => void
  /** What has to be found: of each finding its code, file and place; or the container that is named. */
  readonly want: readonly string[]
}

const file =
  (name: string, contents: string | Buffer) =>
  (directory: string): void => {
    fs.mkdirSync(join(directory, name, '..'), { recursive: true })
    fs.writeFileSync(join(directory, name), contents)
  }
const packed =
  (script: string) =>
  (directory: string): void => {
    const before = `${directory}.work`
    fs.mkdirSync(before, { recursive: true })
    fs.writeFileSync(join(before, 'x'), TEXT)
    run('bash', ['-euc', script, 'bash', directory], before)
  }
const compiled =
  (source: string, ...args: string[]) =>
  (directory: string): void => {
    fs.writeFileSync(`${directory}.c`, source)
    run('gcc', ['-o', join(directory, 'app'), ...args, `${directory}.c`])
  }
const MAIN = 'int main(void) { return 0; }\n'
const LONG = 'l'.repeat(90)

const PLANTS: readonly Plant[] = [
  { what: 'UTF-8', make: file('a', TEXT), want: ['store-reference a contents'] },
  ...(
    [
      ['UTF-16LE', 2, false],
      ['UTF-16BE', 2, true],
      ['UTF-32LE', 4, false],
      ['UTF-32BE', 4, true],
    ] as const
  ).map(
    ([what, width, big]): Plant => ({
      what,
      make: file('a', wide(TEXT, width, big)),
      want: ['store-reference a contents'],
    }),
  ),
  { what: 'a nuked hash', make: file('a', `/nix/store/${'e'.repeat(32)}-x`), want: ['store-reference a contents'] },
  { what: 'the bare directory', make: file('a', 'x=/nix/store'), want: ['store-reference a contents'] },
  { what: 'a bare hash', make: file('a', `id ${HASH}\n`), want: ['store-hash a contents'] },
  { what: 'a bare hash in UTF-16', make: file('a', wide(HASH, 2, false)), want: ['store-hash a contents'] },
  {
    what: 'JSON',
    make: file('a.json', JSON.stringify({ Env: [`PATH=${STORE}`] })),
    want: ['store-reference a.json contents'],
  },
  {
    what: 'behind 3 MB of zeros',
    make: file('a', Buffer.concat([Buffer.alloc(3e6), Buffer.from(STORE)])),
    want: ['store-reference a contents'],
  },
  {
    what: 'a name',
    make: file(`nix/store/x`, ''),
    want: ['store-reference nix/store name', 'store-reference nix/store/x name'],
  },
  { what: 'a bare hash in a name', make: file(`${HASH}-x`, ''), want: [`store-hash ${HASH}-x name`] },
  {
    what: 'a long name',
    make: file(`${LONG}/${LONG}/nix/store/x`, ''),
    want: [`store-reference ${LONG}/${LONG}/nix/store name`, `store-reference ${LONG}/${LONG}/nix/store/x name`],
  },
  { what: 'a link', make: d => fs.symlinkSync(`${STORE}/bin`, join(d, 'l')), want: ['store-reference l link'] },
  {
    what: 'a long link',
    make: d => fs.symlinkSync(`${STORE}/${LONG}/${LONG}`, join(d, 'l')),
    want: ['store-reference l link'],
  },
  { what: 'gzip', make: packed('gzip < x > $1/a.gz'), want: ['store-reference a.gz!gzip contents'] },
  { what: 'gzip with a name', make: packed('gzip -k x; mv x.gz $1/a.gz'), want: ['store-reference a.gz!x contents'] },
  {
    what: 'gzip of two members, cut within the reference',
    make: packed('(head -c 20 x | gzip; tail -c +21 x | gzip) > $1/a.gz'),
    want: ['store-reference a.gz!gzip contents'],
  },
  {
    what: 'gzip in gzip',
    make: packed('gzip -nc x | gzip -nc > $1/a'),
    want: ['store-reference a!gzip!gzip contents'],
  },
  {
    what: 'zlib',
    make: packed(
      "python3 -c \"import sys, zlib; open(sys.argv[1], 'wb').write(zlib.compress(open('x', 'rb').read()))\" $1/a",
    ),
    want: ['store-reference a!zlib contents'],
  },
  {
    what: 'zip, deflated',
    make: packed('head -c 5000 /dev/zero >> x; zip -q $1/a.zip x'),
    want: ['store-reference a.zip!x contents'],
  },
  { what: 'zip, stored', make: packed('zip -q -0 $1/a.zip x'), want: ['store-reference a.zip!x contents'] },
  {
    what: 'zip: the name of a member',
    make: packed('mkdir -p d/nix/store; echo > d/nix/store/y; zip -qr $1/a.zip d'),
    want: ['store-reference a.zip!d/nix/store name', 'store-reference a.zip!d/nix/store/y name'],
  },
  {
    what: 'zip: a comment',
    make: packed(`echo hi > y; echo ${STORE} | zip -q -z $1/a.zip y`),
    want: ['store-reference a.zip contents'],
  },
  { what: 'zip: a link', make: packed(`ln -s ${STORE} l; zip -qy $1/a.zip l`), want: ['store-reference a.zip!l link'] },
  {
    what: 'jar in a jar',
    make: packed('zip -q in.jar x; zip -q $1/a.jar in.jar'),
    want: ['store-reference a.jar!in.jar!x contents'],
  },
  {
    what: 'a wheel',
    make: packed(
      "python3 -c \"import sys, zipfile; zipfile.ZipFile(sys.argv[1], 'w', 8).write('x', 'p/x.py')\" $1/p-1-py3-none-any.whl",
    ),
    want: ['store-reference p-1-py3-none-any.whl!p/x.py contents'],
  },
  {
    what: 'a zip behind a script',
    make: packed('head -c 5000 /dev/zero >> x; zip -q z.zip x; (echo "#!/bin/sh"; cat z.zip) > $1/run'),
    want: ['store-reference run!x contents'],
  },
  { what: 'tar', make: packed('tar cf $1/a.tar x'), want: ['store-reference a.tar!x contents'] },
  {
    what: 'gzip in tar',
    make: packed('gzip -n x; tar cf $1/a.tar x.gz'),
    want: ['store-reference a.tar!x.gz!gzip contents'],
  },
  { what: 'tar.gz', make: packed('tar czf $1/a x'), want: ['store-reference a!x contents'] },
  {
    what: 'gzip in tar.gz in zip',
    make: packed('gzip -n x; tar czf b x.gz; zip -q $1/a.zip b'),
    want: ['store-reference a.zip!b!x.gz!gzip contents'],
  },
  {
    what: 'a pax header',
    make: packed('echo > y; tar --format=pax --pax-option=comment=/nix/store/x -czf $1/a.tgz y'),
    want: ['store-reference a.tgz!y header'],
  },
  {
    what: 'a long name of GNU tar',
    make: packed(`mkdir -p ${LONG}/${LONG}/nix/store; tar --format=gnu -czf $1/a.tgz ${LONG}/${LONG}/nix/store`),
    want: [`store-reference a.tgz!${LONG}/${LONG}/nix/store name`],
  },
  {
    what: 'a long link of GNU tar',
    make: packed(`ln -s ${STORE}/${LONG}/${LONG} l; tar --format=gnu -czf $1/a.tgz l`),
    want: ['store-reference a.tgz!l link'],
  },
  {
    what: 'the owner in a tar header',
    make: packed('echo > y; tar --owner=/nix/store/x:0 -czf $1/a.tgz y'),
    want: ['store-reference a.tgz!y header'],
  },
  {
    what: 'an interpreter',
    make: compiled(MAIN, `-Wl,-dynamic-linker,${STORE}/ld.so`),
    want: ['store-reference app contents interp'],
  },
  {
    what: 'a RUNPATH',
    make: compiled(MAIN, `-Wl,-rpath,${STORE}/lib`),
    want: ['store-reference app contents runpath'],
  },
  {
    what: 'an RPATH',
    make: compiled(MAIN, `-Wl,--disable-new-dtags,-rpath,${STORE}/lib`),
    want: ['store-reference app contents rpath'],
  },
  {
    what: 'a needed library',
    make: d => {
      fs.writeFileSync(`${d}.s.c`, 'int s;\n')
      run('gcc', ['-shared', '-o', `${d}.so`, `-Wl,-soname,${STORE}/libs.so`, `${d}.s.c`])
      compiled(MAIN, '-Wl,--no-as-needed', `${d}.so`)(d)
    },
    want: ['store-reference app contents needed'],
  },
  {
    what: 'read-only data',
    make: compiled(`const char *s = "${STORE}"; int main(void) { return *s; }`),
    want: ['store-reference app contents .rodata'],
  },
  {
    what: 'debug information',
    make: compiled(MAIN, '-g', '-gz=none', `-fdebug-prefix-map=${work}=/nix/store/x`),
    want: ['store-reference app contents .debug_line_str'],
  },
  {
    what: 'compressed debug information',
    make: compiled(MAIN, '-g', '-gz=zlib', `-fdebug-prefix-map=${work}=/nix/store/${'x'.repeat(300)}`),
    want: ['store-reference app contents .debug_line_str'],
  },
  { what: 'xz', make: packed('seq 500 >> x; xz -c x > $1/a.xz'), want: ['container-unread a.xz opaque xz'] },
  { what: 'bzip2', make: packed('gzip x; bzip2 -c x.gz > $1/a.bz2'), want: ['container-unread a.bz2 opaque bzip2'] },
  { what: 'zstd', make: packed('seq 500 >> x; zstd -qc x > $1/a.zst'), want: ['container-unread a.zst opaque zstd'] },
  {
    what: 'xz in a zip',
    make: packed('seq 500 >> x; xz -c x > x.xz; zip -q $1/a.zip x.xz'),
    want: ['container-unread a.zip opaque xz'],
  },
  {
    what: 'an encrypted zip',
    make: packed('zip -q -P secret $1/a.zip x'),
    want: ['container-unread a.zip encrypted '],
  },
  {
    what: 'cpio',
    make: packed('gzip -n x; echo x.gz | cpio -o -H newc --quiet > $1/a'),
    want: ['container-unread a opaque cpio', 'store-reference a!gzip contents gzip at 116'],
  },
  // Files of other tools (packed/README.md).
  ...(
    [
      ['h.beam', 'store-reference h.beam!zlib contents zlib at 332'],
      ['rp.rdb', 'store-reference rp.rdb!zlib contents zlib at 12331'],
      ['x.gresource', 'store-reference x.gresource!zlib contents zlib at 136'],
      ['pzstd-a.txt.zst', 'container-unread pzstd-a.txt.zst opaque zstd'],
      ['chez-c.so', 'container-unread chez-c.so opaque chez'],
    ] as const
  ).map(
    ([name, want]): Plant => ({
      what: name,
      make: file(name, fs.readFileSync(join(import.meta.dirname, 'packed', name))),
      want: [want],
    }),
  ),
  {
    what: 'a script with an archive behind it',
    make: file('a.run', Buffer.concat([Buffer.from('#!/bin/sh\nexit\n'), gzipSync(Buffer.alloc(99))])),
    want: ['container-unread a.run opaque self-extractor'],
  },
  {
    what: "data behind a program's end",
    make: directory =>
      shell(`cp "$(type -P true)" ${directory}/a && chmod u+w ${directory}/a && echo payload >> ${directory}/a`, work),
    want: ['container-unread a opaque data behind its end'],
  },
  ...['no stream', 'another size'].map(
    (lie): Plant => ({
      what: `data behind a program's end, and the trailer of a single file: ${lie}`,
      make: directory => {
        const program = fs.readFileSync(run('bash', ['-c', 'type -P true']).toString().trim())
        const data =
          lie === 'no stream' ? Buffer.alloc(5000, 'x') : Buffer.concat([deflateSync('x'), Buffer.alloc(5000, 'x')])
        const trailer = Buffer.alloc(TRAILER.size)
        trailer.write(TRAILER.magic, 'latin1')
        trailer.writeBigUInt64LE(BigInt(program.length), 8)
        trailer.writeBigUInt64LE(BigInt(lie === 'no stream' ? data.length : data.length - 1), 16)
        fs.writeFileSync(`${directory}/a`, Buffer.concat([program, data, trailer]))
      },
      want: ['container-unread a opaque data behind its end'],
    }),
  ),
  ...(
    [
      ['7z', '7z\xbc\xaf\x27\x1c'],
      ['rpm', '\xed\xab\xee\xdb'],
      ['deb', '!<arch>\ndebian-binary   '],
      ['squashfs', 'hsqs'],
      ['asar', `\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0{"files":{}}`],
      ['appimage', '\x7fELF\x02\x01\x01\0AI\x02'],
    ] as const
  ).map(
    ([kind, magic]): Plant => ({
      what: kind,
      make: file('a', Buffer.from(`${magic}${'\x01'.repeat(600)}`, 'latin1')),
      want: [`container-unread a opaque ${kind}`],
    }),
  ),
]

const told = (findings: readonly Finding[]): string[] =>
  [
    ...new Set(
      findings.flatMap(f =>
        'where' in f
          ? [`${f.code} ${f.file} ${f.where}${f.part === null ? '' : ` ${f.part}`}`]
          : f.code === 'container-unread'
            ? [`${f.code} ${f.file} ${f.problem} ${f.detail}`]
            : [],
      ),
    ),
  ].sort()

/** A finding in a layer, told of the file there. */
function inLayer(finding: Finding): Finding {
  const [outer, ...rest] = finding.file.split('!')
  if (outer !== 'layer.tar') return finding
  if (finding.code !== 'container-unread') return { ...finding, file: rest.join('!') }
  const [file = '', ...member] = finding.member.split('!')
  return { ...finding, file, member: member.join('!') }
}

describe('found, and the same in all forms', () => {
  test('there are enough of them', () => expect(PLANTS.length).toBeGreaterThanOrEqual(50))
  test.each(PLANTS.map((plant, i) => ({ ...plant, i })))('$what', async ({ make, want, i }) => {
    const directory = join(work, `p${i}`)
    fs.mkdirSync(directory)
    make(directory)
    const tar = `${directory}.tar`
    shell(
      `tar -cf ${tar} -C ${directory} . && gzip -kn ${tar} && zstd -qk ${tar} && xz -k ${tar} && bzip2 -k ${tar}
       cd ${directory} && zip -qry ${directory}.zip .`,
      work,
    )
    const image = `${directory}.image`
    fs.mkdirSync(image)
    fs.copyFileSync(`${tar}.gz`, join(image, 'layer.tar'))
    fs.writeFileSync(join(image, 'manifest.json'), '[{"Layers": ["layer.tar"]}]')
    const forms = [directory, tar, `${tar}.gz`, `${tar}.zst`, `${tar}.xz`, `${tar}.bz2`, `${directory}.zip`, image]
    for (const form of forms) {
      const { findings } = await verify(form, silent, { hashes })
      // Debug information has more than one place.
      const found = told(findings.map(inLayer)).filter(f => !/\.debug_(?!line_str)/.test(f))
      expect(found, form).toEqual([...want].sort())
    }
  })
})

test('a clean tree is clean in all forms', async () => {
  const directory = join(work, 'clean')
  fs.mkdirSync(directory)
  packed(
    'echo nothing > x; gzip -kn x; zip -q $1/a.zip x x.gz; tar czf $1/a.tgz x x.gz; cp /bin/true $1; ln $1/true $1/again',
  )(directory)
  fs.symlinkSync('/etc/passwd', join(directory, 'l'))
  fs.chmodSync(join(directory, 'true'), 0o4777)
  shell(`tar -cf clean.tar clean; tar -cJf clean.tar.xz clean; zip -qry clean.zip clean`, work)
  for (const form of [directory, `${directory}.tar`, `${directory}.tar.xz`, `${directory}.zip`])
    expect(
      (await verify(form, silent)).findings.filter(f => f.severity !== 'note'),
      form,
    ).toEqual([])
})

test.each([1, 2, 3, 5, 8, 13, 16, 31, 32, 64, 100, 127, 128])('in pieces of %i bytes, at each place', size => {
  for (const directories of [[], ['/gnu/store', '/opt/nix/store']]) {
    const paths = [STORE, HASH, ...(directories.length > 0 ? [`/gnu/store/${HASH}-x`, '/opt/nix/store/y'] : [])]
    for (const [i, text] of paths.entries())
      for (let before = 0; before <= size; before += Math.max(1, size >> 4)) {
        const bytes = Buffer.from(`${'.'.repeat(before)} ${text} ${'.'.repeat(size)}`)
        const references = new References({ hashes, directories })
        for (let at = 0; at < bytes.length; at += size) references.push(bytes.subarray(at, at + size))
        const found = references.end().map(r => [r.offset, r.text])
        expect(found.slice(0, 1), `${i} behind ${before}`).toEqual([[before + 1, text]])
      }
  }
})

describe('bombs and damage', () => {
  const opaque = async (name: string, contents: Buffer): Promise<string[]> => {
    const directory = fs.mkdtempSync(join(work, 'bomb-'))
    fs.writeFileSync(join(directory, name), contents)
    return told((await verify(directory, silent)).findings)
  }
  test('gzip of 300 MB of zeros', async () => {
    const zeros = gzipSync(Buffer.alloc(300 << 20))
    expect(await opaque('a.gz', zeros)).toEqual(['container-unread a.gz too-large '])
    expect(await opaque('a.gz', gzipSync(zeros))).toEqual(['container-unread a.gz too-large '])
  })
  test('what a damaged gzip held until then is told', async () => {
    const long = gzipSync(Buffer.concat([Buffer.from(TEXT), randomBytes(3 << 20)]))
    const found = await opaque('a.gz', long.subarray(0, -100_000))
    expect(found).toEqual([
      expect.stringMatching(/^container-unread a.gz damaged /),
      'store-reference a.gz!gzip contents',
    ])
  })
  test('what follows a gzip is named, small or large, and is no archive of its own', async () => {
    const gz = gzipSync(Buffer.from('nothing\n'))
    const large = gzipSync(randomBytes(3 << 20))
    for (const first of [gz, large])
      expect((await opaque('a.gz', Buffer.concat([first, Buffer.from('x'), gzipSync(TEXT)])))[0]).toMatch(
        /^container-unread a.gz damaged (?:something follows at \d+|incorrect header check)/,
      )
    const directory = fs.mkdtempSync(join(work, 'follow-'))
    packed('echo > y; tar czf $1/a.tgz y')(directory)
    const tgz = join(directory, 'a.tgz')
    fs.appendFileSync(tgz, Buffer.alloc(1000))
    expect(told((await verify(tgz, silent)).findings)).toEqual([])
    fs.appendFileSync(tgz, STORE)
    await expect(verify(tgz, silent)).rejects.toMatchObject({ code: 'archive-unreadable' })
  })
  test('packed deeper than is looked', async () => {
    let bytes = Buffer.from(TEXT)
    for (let i = 0; i < 6; i++) bytes = gzipSync(bytes)
    expect(await opaque('a', bytes)).toEqual([expect.stringMatching(/^container-unread a too-deep $/)])
  })
  test('gzip, tar.gz and zip that are cut short', async () => {
    const gz = gzipSync(Buffer.from(TEXT.repeat(200).replaceAll('/nix', '/nyx')))
    expect((await opaque('a.gz', gz.subarray(0, -9)))[0]).toMatch(/^container-unread a.gz damaged /)
    const directory = fs.mkdtempSync(join(work, 'cut-'))
    packed('head -c 3000000 /dev/urandom > y; tar czf $1/a.tgz y; zip -q $1/a.zip y')(directory)
    for (const name of ['a.tgz', 'a.zip']) {
      const whole = fs.readFileSync(join(directory, name))
      expect((await opaque(name, whole.subarray(0, 200_000)))[0]).toContain(`container-unread ${name} damaged`)
      const cut = join(directory, `cut-${name}`)
      fs.writeFileSync(cut, whole.subarray(0, 200_000))
      await expect(verify(cut, silent)).rejects.toMatchObject({ code: 'archive-unreadable' })
    }
  })
})
