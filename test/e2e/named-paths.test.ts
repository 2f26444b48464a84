/**
 * What a path leads to when it is more, or less, than the name of a file: it goes through links, another string follows
 * it without an end, its ending is added at run time, it is a package's root in a configuration.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { bundle, mustBundle, run, temporary, withoutNix } from '../support/bundle.ts'
import { compile, GLIBC, storePath } from '../support/store-lab.ts'

/** A program that says of each of these paths whether it is there; `from` are C expressions. */
function asker(name: string, paths: readonly string[], text = asking(paths)): string {
  const libc = storePath(
    'libc-1.0',
    Object.fromEntries(Object.entries(GLIBC.libc).map(([file, contents]) => [`lib/${file}`, contents])),
  )
  const root = storePath(name)
  compile(GLIBC.cc, text, join(root, 'bin', 'ask'), [
    ...[`-Wl,-rpath,${libc}/lib`, `-Wl,--dynamic-linker,${libc}/lib/${GLIBC.loader}`],
  ])
  return root
}

const asking = (paths: readonly string[]): string => `
  #include <stdio.h>
  #include <unistd.h>
  static const char *const paths[] = { ${paths.map(p => JSON.stringify(p)).join(', ')} };
  int main(void) {
    for (unsigned i = 0; i < sizeof paths / sizeof *paths; i++) puts(access(paths[i], R_OK) == 0 ? "there" : paths[i]);
    return 0;
  }`

/** The same with strings side by side, of which only their lengths are known. */
const askingGlued = (paths: readonly string[]): string => `
  #include <stdio.h>
  #include <string.h>
  #include <unistd.h>
  static const char strings[] = ${JSON.stringify(`AllErr${paths.join('AllThreads Syscall6')}Zone`)};
  static const volatile unsigned short where[][2] = { ${paths
    .map((p, i) => `{ ${6 + paths.slice(0, i).reduce((n, q) => n + q.length + 19, 0)}, ${p.length} }`)
    .join(', ')} };
  int main(void) {
    for (unsigned i = 0; i < sizeof where / sizeof *where; i++) {
      char path[4096] = "";
      memcpy(path, strings + where[i][0], where[i][1]);
      puts(access(path, R_OK) == 0 ? "there" : path);
    }
    return 0;
  }`

/** What a program prints from its bundle, relocatable and for a prefix, and what bundling it said. */
function inBundles(target: string, program: string): { printed: string[]; said: string }[] {
  const scratch = temporary()
  const place = join(scratch, 'p')
  const kinds = [
    [join(scratch, 'r'), []],
    [place, ['--prefix', place]],
  ] as const
  return kinds.map(([at, options]) => {
    const { stderr } = mustBundle([target, '-o', at, ...options])
    const { stdout, code, stderr: complaint } = withoutNix(join(at, program))
    expect([code, complaint]).toEqual([0, ''])
    return { printed: stdout.trim().split('\n'), said: stderr }
  })
}

const THERE = (n: number): { printed: string[]; said: string } => ({ printed: Array(n).fill('there'), said: '' })

describe('a path through links of other packages', () => {
  const third = storePath('third-1.0', {
    'bin/tool': '#!/bin/sh\n',
    'share/third/data': 'data\n',
    'share/third/other': '\n',
  })
  const iproute = storePath('iproute-6.1', {
    'bin/ip': '#!/bin/sh\necho ip\n',
    sbin: { link: 'bin' },
    'lib/x/conf': 'conf\n',
    lib64: { link: 'lib' },
    'lib/x/more': 'more\n',
  })
  const jdk = storePath('openjdk-17', { 'lib/openjdk/bin/java': '#!/bin/sh\n', bin: { link: 'lib/openjdk/bin' } })
  const env = storePath('env', {
    'bin/tool': { link: `${third}/bin/tool` },
    share: { link: `${third}/share` },
    'etc/linked': { link: `${jdk}/bin` },
  })
  const alias = storePath('alias', { x: { link: env } })

  test('to a file: fixupPhase makes sbin -> bin and lib64 -> lib, buildEnv links into other packages', () => {
    const root = asker('asker-1.0', [
      `${iproute}/sbin/ip`,
      `${iproute}/lib64/x/conf`,
      `${jdk}/bin/java`,
      `${env}/bin/tool`,
      `${env}/share/third/data`,
      `${env}/etc/linked/java`,
      `${alias}/x/share/third/data`,
    ])
    expect(inBundles(root, 'bin/ask')).toEqual([THERE(7), THERE(7)])
  })

  test('to a directory', () => {
    const root = asker('asker-1.0', [`${env}/share/third`, `${iproute}/lib64/x`, `${alias}/x/etc/linked`])
    expect(inBundles(root, 'bin/ask')).toEqual([THERE(3), THERE(3)])
  })

  test("of a wrapper's program and of its PATH", () => {
    const asked = asker('asked-1.0', [`${iproute}/lib64/x/conf`])
    const linked = storePath('linked-1.0', { sbin: { link: `${asked}/bin` } })
    const root = storePath('wrapper-1.0', { 'bin/bash': { from: '/bin/bash' } })
    writeFileSync(
      join(root, 'bin/wrapped'),
      `#! ${root}/bin/bash -e\nPATH=\${PATH:+':'$PATH':'}\nPATH=\${PATH/':''${iproute}/sbin'':'/':'}\nPATH='${iproute}/sbin'$PATH\nPATH=\${PATH#':'}\nPATH=\${PATH%':'}\nexport PATH\nexec -a "$0" "${linked}/sbin/ask"  "$@" \n`,
      { mode: 0o755 },
    )
    for (const { printed } of inBundles(join(root, 'bin/wrapped'), 'bin/wrapped')) expect(printed).toEqual(['there'])
  })
})

describe('a path that another string follows at once, as in Go and Rust', () => {
  const hdep = storePath('hdep-1.0', {
    'bin/dep': '#!/bin/sh\necho dep\n',
    'bin/d': '#!/bin/sh\n',
    'share/hdep/a.conf': 'a\n',
    'share/hdep/b': 'b\n',
  })

  test('is the longest beginning that is there', () => {
    const paths = [`${hdep}/bin/dep`, `${hdep}/share/hdep`, `${hdep}/share/hdep/a.conf`]
    const root = asker('glued-1.0', paths, askingGlued(paths))
    expect(inBundles(root, 'bin/ask')).toEqual([THERE(3), THERE(3)])
  })

  test('in a Go program', () => {
    const work = temporary()
    const root = storePath('hello-go-1.0')
    mkdirSync(join(root, 'bin'))
    writeFileSync(
      join(work, 'main.go'),
      `package main
import ("fmt"; "os")
const Dep = "${hdep}/bin/dep"
func main() {
  _, err := os.Stat(Dep)
  if err == nil { fmt.Println("there") } else { fmt.Println(err) }
}`,
    )
    const env = { ...process.env, HOME: work, GOCACHE: join(work, 'cache'), GOFLAGS: '-mod=mod', GO111MODULE: 'off' }
    expect(run('go', ['build', '-o', join(root, 'bin/ask'), 'main.go'], { cwd: work, env })).toMatchObject({ code: 0 })
    expect(inBundles(root, 'bin/ask')).toEqual([THERE(1), THERE(1)])
  })
})

test('a path without its ending brings what goes on with one', () => {
  const extension = storePath('labext-1.0', {
    'lib/labext.so': 'so\n',
    'lib/labext.conf': 'conf\n',
    'lib/labextra.so': 'other\n',
    'lib/lab': 'no\n',
  })
  const root = asker(
    'asker-1.0',
    [],
    `
    #include <stdio.h>
    #include <unistd.h>
    int main(void) {
      const char *const endings[] = { ".so", ".conf" };
      for (int i = 0; i < 2; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s%s", "${extension}/lib/labext", endings[i]);
        puts(access(path, R_OK) == 0 ? "there" : path);
      }
    }`,
  )
  expect(inBundles(root, 'bin/ask')).toEqual([THERE(2), THERE(2)])
})

test("a configuration that is named brings the packages that it names, as fontconfig's does its fonts", () => {
  const fonts = storePath('dejavu-fonts-2.37', { 'share/fonts/DejaVuSans.ttf': 'a font\n' })
  const nobody = storePath('nobody-1.0', { x: 'x\n' })
  const conf = storePath('fonts.conf', {
    'fonts.conf': `<fontconfig>\n  <dir>${fonts}</dir>\n</fontconfig>\n`,
  })
  const root = asker('asker-1.0', [`${conf}/fonts.conf`])
  const scratch = temporary()
  const at = join(scratch, 'p')
  mustBundle([root, '-o', at, '--prefix', at])
  expect(readFileSync(join(at, 'pkg/fonts.conf/fonts.conf'), 'utf8')).toContain(
    `<dir>${at}/pkg/dejavu-fonts-2.37</dir>`,
  )
  expect(existsSync(join(at, 'pkg/dejavu-fonts-2.37/share/fonts/DejaVuSans.ttf'))).toBe(true)
  // The same in a file of the package's own tree, which nothing names, and then something does.
  writeFileSync(join(root, 'own.conf'), `dir=${nobody}\n`)
  mustBundle([root, '-o', join(scratch, 'own')])
  expect(existsSync(join(scratch, 'own/pkg/nobody-1.0'))).toBe(false)
  writeFileSync(join(root, 'other.conf'), `include=${root}/own.conf\n`)
  mustBundle([root, '-o', join(scratch, 'named')])
  expect(existsSync(join(scratch, 'named/pkg/nobody-1.0/x'))).toBe(true)
})

test('a path with escaped slashes in JSON, as PHP writes it, comes along and stays so spelled', () => {
  const dep = storePath('dep-1.0', { 'share/dep/a.txt': 'a\n', 'bin/dep': '#!/bin/sh\n' })
  const json = JSON.stringify({ file: `${dep}/share/dep/a.txt`, url: encodeURIComponent(`${dep}/bin/dep`) })
  const conf = storePath('conf-1.0', { 'settings.json': json.replaceAll('/', '\\/') })
  const root = asker('asker-1.0', [`${conf}/settings.json`])
  const at = join(temporary(), 'p')
  mustBundle([root, '-o', at, '--prefix', at])
  const text = readFileSync(join(at, 'pkg/conf-1.0/settings.json'), 'utf8')
  const { file, url } = JSON.parse(text)
  expect(text).toContain('\\/pkg\\/dep-1.0\\/share')
  for (const path of [file, decodeURIComponent(url)]) expect(existsSync(path), path).toBe(true)
})

describe('escaped slashes in a relocatable bundle', () => {
  const dep = storePath('dep-1.0', { 'share/dep/a.txt': 'a\n' })
  const path = `${dep}/share/dep/a.txt`
  const made = (name: string, text: string): { text: string; stderr: string; place: string } => {
    const conf = storePath('conf-1.0', { [name]: text })
    const place = join(temporary(), 'r')
    const { stderr } = mustBundle([asker('asker-1.0', [`${conf}/${name}`]), '-f', 'dir', '-o', place])
    if (existsSync(join(place, 'relocate'))) expect(run(join(place, 'relocate'), []).code).toBe(0)
    expect(bundle(['verify', place]).code).toBe(0)
    return { text: readFileSync(join(place, `pkg/conf-1.0/${name}`), 'utf8'), stderr, place }
  }

  test.each(['\\/', '\\u002f', '\\u002F'])(
    'JSON reads a plain slash as it reads %s: relocate puts the place there',
    slash => {
      const { text, stderr, place } = made('a.json', `{"a": ["${path.replaceAll('/', slash)}"], "b": "x\\ty"}`)
      expect(stderr).toBe('')
      expect(JSON.parse(text)).toEqual({ a: [`${place}/pkg/dep-1.0/share/dep/a.txt`], b: 'x\ty' })
    },
  )

  test('so do HTML and XML entities', () => {
    const { text, stderr, place } = made('a.xml', `<?xml version="1.0"?>\n<a>${path.replaceAll('/', '&#47;')}</a>\n`)
    expect(stderr).toBe('')
    expect(text.replaceAll('&#47;', '/')).toContain(`<a>${place}/pkg/dep-1.0/share/dep/a.txt</a>`)
  })

  test.each([
    ['an expression of sed', 'x.sed', `s/a/${path.replaceAll('/', '\\/')}/\n`],
    ['an address', 'a.json', `{"a": "${encodeURIComponent(path)}"}`],
    ['what is no JSON', 'a.json', `// "${path.replaceAll('/', '\\/')}"\n{}`],
  ])('%s is blanked, and that is said', (_, name, text) => {
    const { stderr, text: written } = made(name, text)
    expect(stderr).toMatch(
      /^warning: .*conf-1.0\/.*finds dep-1.0\/share\/dep\/a.txt by store path with escaped slashes, which a relocatable bundle cannot keep/,
    )
    expect(written).toContain('eeeeeeee-dep-1.0')
  })
})

describe('a path into a package that is there, which leads nowhere, is told', () => {
  const hdep = storePath('hdep-1.0', { 'lib/mod_a.so': 'so\n', 'share/hdep/b': 'b\n' })
  const said = (paths: readonly string[], text?: string): string => {
    const root = asker('asker-1.0', paths, text)
    return mustBundle([root, '-o', join(temporary(), 'b')]).stderr
  }

  test('where another string may follow it', () => {
    expect(said([], askingGlued([`${hdep}/bin/none`, 'end']))).toMatch(
      /^warning: .*bin\/ask: names 1 path into 1 package that leads to nothing in the bundle: hdep-1\.0 \(hdep-1\.0\/bin\/noneAllThreads\): .*--include$/m,
    )
  })

  test('where it is the beginning of names', () => {
    expect(said([`${hdep}/lib/mod_`])).toContain('hdep-1.0 (hdep-1.0/lib/mod_)')
  })

  test('where it is the root of another package', () => {
    expect(said([hdep, `${hdep}/lib/mod_`])).toContain('names 2 paths into 1 package that lead to nothing')
  })

  test('where it is a directory of libraries of which none comes; but what a pattern in it means does', () => {
    const root = asker('asker-1.0', [`${hdep}/lib`])
    const out = join(temporary(), 'b')
    expect(mustBundle([root, '-o', out, '-f', 'dir']).stderr).toContain('hdep-1.0 (hdep-1.0/lib)')
    const patterned = asker('asker-1.0', [`${hdep}/lib/mod_%s.so`])
    const other = join(temporary(), 'b')
    expect(mustBundle([patterned, '-o', other, '-f', 'dir']).stderr).toBe('')
    expect(existsSync(join(other, 'pkg/hdep-1.0/lib/mod_a.so'))).toBe(true)
  })

  test('where it goes up from a directory of which nothing comes; but not where something does', () => {
    const updown = `${hdep}/lib/../share/hdep/b`
    expect(said([updown])).toContain('names 1 path into 1 package that leads to nothing in the bundle: hdep-1.0')
    const root = asker('asker-1.0', [updown, `${hdep}/lib/mod_a.so`])
    const out = join(temporary(), 'b')
    expect(mustBundle([root, '-o', out, '-f', 'dir']).stderr).toBe('')
    expect(withoutNix(join(out, 'bin/ask'), []).stdout).toBe('there\nthere\n')
  })

  test('where it is packed in a file that a program may unpack', () => {
    const packed = gzipSync(`dir=${hdep}\n`)
    const root = asker('asker-1.0', [])
    writeFileSync(join(root, 'share.gz'), packed)
    expect(mustBundle([root, '-o', join(temporary(), 'b')]).stderr).toMatch(
      /share\.gz: names 1 path into 1 package that leads to nothing in the bundle: hdep-1\.0/,
    )
  })

  test('where it is a compiler or build tool, which does not come for being named', () => {
    const cmake = storePath('cmake-3.25.1', { 'bin/cmake': '#!/bin/sh\n' })
    expect(said([`${cmake}/bin/cmake`])).toMatch(
      /bin\/ask: names cmake-3\.25\.1\/bin\/cmake, which stays out: a compiler or build tool, .*--include brings/,
    )
  })

  test('and not where nothing is there in the store either: the original finds nothing too', () => {
    expect(said([`${hdep}/etc/hdep.conf`, `${hdep}/share/hdep/b`])).toBe('')
    // A pattern of glob(3), as popt has for its popt.d.
    expect(said([`${hdep}/etc/hdep.d/*`, `${hdep}/share/hdep/b`])).toBe('')
  })

  test('and not where the whole package comes', () => {
    const root = asker('asker-1.0', [])
    const text = askingGlued([`${root}/share/none`])
    compile(GLIBC.cc, text, join(root, 'bin', 'second'), ['-static'])
    expect(mustBundle([root, '-o', join(temporary(), 'b')]).stderr).toBe('')
  })

  test('a text that puts a name behind the store directory: os.path.join(STORE, NAME)', () => {
    const conf = storePath('conf-1.0', {
      'a.conf': `dir = join("/nix/store", "${hdep.slice('/nix/store/'.length)}")\n`,
    })
    expect(said([`${conf}/a.conf`, `${hdep}/share/hdep/b`])).toMatch(
      /conf-1\.0\/a\.conf: names the store path of hdep-1\.0 without its directory \(offset 26\): its hash is overwritten/,
    )
  })
})

describe("the store's own directory, which becomes another", () => {
  const said = (files: Readonly<Record<string, string>>, paths: readonly string[] = []): string => {
    const root = asker('asker-1.0', paths)
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(join(root, name, '..'), { recursive: true })
      writeFileSync(join(root, name), text, { mode: 0o755 })
    }
    return mustBundle([root, '-o', join(temporary(), 'b')]).stderr
  }

  test('is told of where a program, a script or a module may compare with it', () => {
    expect(
      said(
        {
          'bin/case': '#!/bin/sh\ncase $1 in /nix/store/*) echo in;; esac\n',
          'share/ask/m.py': 'if path.startswith("/nix/store/"):\n    pass\n',
        },
        ['/nix/store'],
      ),
    ).toMatch(
      /^warning: .*bin\/ask: asks whether paths are in the store, .*\(3 places name its directory and no path in it\), also in .*: it takes \/var\/empty for the store/m,
    )
  })

  test('and not in comments, examples, other texts, and references that were taken away', () => {
    const text = '# /nix/store/*\nexit # no more\n'
    expect(
      said({ 'bin/odd': `#!/bin/sh\n${text}`, 'share/ask/a.py': text, 'share/ask/notes.txt': 'all of /nix/store\n' }, [
        `/nix/store/${'e'.repeat(32)}-gone-1.0/x`,
        '/nix/store/some-name',
      ]),
    ).toBe('')
  })
})
