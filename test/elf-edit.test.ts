/** Edits in place: only the strings that were to change have changed, and what is edited runs as before. */
import { readFileSync, realpathSync, renameSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { cp, mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { expect, test } from 'vitest'
import { compareEdited } from '../src/apply/edited-object.ts'
import { grown } from '../src/apply/grow.ts'
import { type ElfEdit, editable, editedFacts, editInPlace, emptyRpath, type Write } from '../src/elf/edit.ts'
import { grow } from '../src/elf/grow.ts'
import { parseElf, symbolNames } from '../src/elf/parse.ts'
import { patchelf } from '../src/elf/patchelf.ts'
import { bufferSource } from '../src/io/bytes.ts'
import { buildElf } from './support/elf-image.ts'
import { Lab } from './support/elf-lab.ts'
import { eachOf, output, temporaryDirectory } from './support/elf-tools.ts'

// ---- Programs from compilers -----------------------------------------------------------------------------------

const LOADER = '/lib64/ld-linux-x86-64.so.2'
const HASH = 'abcdfghijklmnpqrsvwxyz0123456789'
/** What is in a bundle's strings. */
const TO = { interp: LOADER, rpath: '$ORIGIN/../lib', library: '$ORIGIN', needed: 'libone.so' }

const SOURCES = {
  'two.c': `
    __thread int counter = 40;
    int two(void) { return ++counter; }`,
  'one.c': `
    #include <stdio.h>
    int two(void);
    static int ready;
    __attribute__((constructor)) static void start(void) { ready = 1; }
    int b(void) { return 7; }
    int one(const char *text) { printf("one %s %d %d\\n", text, ready, b()); return two(); }`,
  'main.c': `
    #include <math.h>
    #include <stdio.h>
    int one(const char *text);
    int main(int argc, char **argv) {
      for (int i = 1; i < argc; i++) {
        int count = one(argv[i]);
        printf("%d %d %.3f\\n", i, count, sqrt(one(argv[i])));
      }
      return 3;
    }`,
  'one.map': 'ONE_1.0 { global: one; b; local: *; };',
}

/** How a program and its libraries are linked. */
interface Variant {
  readonly name: string
  readonly shared: readonly string[]
  readonly program: readonly string[]
}

const VARIANTS: readonly Variant[] = ['bfd', 'gold'].flatMap(linker =>
  ['norelro', 'now', 'separate-code', 'noseparate-code']
    .filter(layout => linker === 'bfd' || !layout.includes('separate'))
    .flatMap(layout =>
      ['sysv', 'gnu', 'both'].flatMap(hash =>
        ['-pie', '-no-pie'].map((pie, i): Variant => {
          // Half of them have a DT_RPATH to begin with.
          const tags = (hash === 'gnu') === (i === 0) ? '--enable-new-dtags' : '--disable-new-dtags'
          const shared = [`-fuse-ld=${linker}`, `-Wl,-z,${layout},--hash-style=${hash},${tags}`]
          return {
            name: [linker, layout, hash, pie.slice(1), tags.slice(2, 5)].join('_'),
            shared,
            program: [...shared, pie],
          }
        }),
      ),
    ),
)

interface Built {
  readonly variant: string
  /** The program and its two libraries as they were linked, by the name they have in a bundle. */
  readonly files: ReadonlyMap<string, { readonly original: string; readonly edits: readonly ElfEdit[] }>
}

/** Links a variant below `store`, with search paths and an interpreter as long as in a Nix store. */
async function link(root: string, { name, shared, program }: Variant): Promise<Built> {
  const path = (what: string): string => `${root}/store/${HASH}-${what}`
  const [one, two, main] = [path(`one-${name}`), path(`two-${name}`), path(`main-${name}`)]
  for (const directory of [`${one}/lib`, `${two}/lib`, `${main}/bin`]) await mkdir(directory, { recursive: true })
  const [libone, libtwo, prog] = [`${one}/lib/libone-with-a-name.so.1`, `${two}/lib/libtwo.so.2`, `${main}/bin/prog`]
  await output('gcc', ['-shared', ...shared, `${root}/two.o`, '-o', libtwo, '-Wl,-soname,libtwo.so.2'])
  await output('gcc', [
    ...['-shared', ...shared, `${root}/one.o`, libtwo, '-o', libone],
    ...['-Wl,-soname,libone-with-a-name.so.1', `-Wl,-rpath,${two}/lib`, `-Wl,--version-script,${root}/one.map`],
  ])
  await output('gcc', [
    ...[...program, `${root}/main.o`, libone, '-lm', '-o', prog, `-Wl,-rpath-link,${two}/lib`],
    ...[`-Wl,-rpath,${one}/lib:${two}/lib`, `-Wl,--dynamic-linker,${path('glibc')}/lib/ld.so`],
  ])
  return {
    variant: name,
    files: new Map([
      [
        'bin/prog',
        {
          original: prog,
          edits: [
            { op: 'set-interp', to: TO.interp },
            { op: 'set-rpath', to: TO.rpath },
            { op: 'replace-needed', from: 'libone-with-a-name.so.1', to: TO.needed },
          ],
        },
      ],
      [`lib/${TO.needed}`, { original: libone, edits: [{ op: 'set-rpath', to: TO.library }] }],
      ['lib/libtwo.so.2', { original: libtwo, edits: [] }],
    ]),
  }
}

const factsOf = (file: string) => parseElf(bufferSource(readFileSync(file)), file)

function write(file: string, writes: readonly Write[]): void {
  const bytes = readFileSync(file)
  for (const { offset, bytes: written } of writes) written.copy(bytes, offset)
  writeFileSync(file, bytes)
}

/** Lets strings grow that have no room. */
function growFile(file: string, edits: readonly ElfEdit[]): void {
  const source = bufferSource(readFileSync(file))
  const growth = grow(source, file, edits)
  if (typeof growth === 'string') throw new Error(`${file}: ${growth}`)
  const after = grown(source, growth)
  writeFileSync(file, after.read(0, after.size))
}

async function run(program: string): Promise<string> {
  // The exit code is part of what it does.
  const script = '"$0" "$@"; echo "exit $?"'
  return output('sh', ['-c', script, program, 'first', 'second'], { cwd: '/', env: { LD_BIND_NOW: '1' } })
}

const READELF = ['--dynamic', '--segments', '--sections', '--version-info', '--dyn-syms', '--wide']

/** What readelf has to print of the edited file, going by what it printed of the original. */
function plannedReport(printed: string, edits: readonly ElfEdit[]): string {
  let planned = printed
  for (const edit of edits)
    if (edit.op === 'set-interp')
      planned = planned.replace(/(Requesting program interpreter: ).*(?=\])/, (_, words) => words + edit.to)
    else if (edit.op === 'set-rpath')
      planned = planned.replace(
        / 0x0+(?:1d \(RUNPATH\)|f \(RPATH\)) .*/,
        () => ` 0x000000000000000f (RPATH)              Library rpath: [${edit.to}]`,
      )
    else
      planned = planned
        .replaceAll(`Shared library: [${edit.from}]`, `Shared library: [${edit.to}]`)
        .replaceAll(`File: ${edit.from} `, `File: ${edit.to} `)
  return planned.replace(/ +/g, ' ')
}

test(`${VARIANTS.length} programs and their libraries, in place and by patchelf`, { timeout: 180_000 }, async () => {
  const root = realpathSync(temporaryDirectory())
  for (const [name, text] of Object.entries(SOURCES)) writeFileSync(`${root}/${name}`, text)
  for (const name of ['one', 'two', 'main'])
    await output('gcc', ['-fPIC', '-O1', '-c', `${name}.c`, '-o', `${name}.o`], { cwd: root })
  await mkdir(`${root}/store/${HASH}-glibc/lib`, { recursive: true })
  symlinkSync(LOADER, `${root}/store/${HASH}-glibc/lib/ld.so`)

  const built: Built[] = []
  const expected = new Map<string, string>()
  await eachOf(VARIANTS, async variant => {
    const linked = await link(root, variant)
    expected.set(linked.variant, await run(linked.files.get('bin/prog')!.original))
    built.push(linked)
  })
  expect(new Set(expected.values())).toEqual(
    new Set(['one first 1 7\none first 1 7\n1 41 6.481\none second 1 7\none second 1 7\n2 43 6.633\nexit 3\n']),
  )

  let [edited, left] = [0, 0]
  const jobs: { file: string; edits: readonly ElfEdit[]; about: string }[] = []
  for (const { variant, files } of built)
    for (const [name, { original, edits }] of files) {
      const facts = factsOf(original)
      const copies = [
        `${root}/inplace/${variant}/${name}`,
        `${root}/patchelf/${variant}/${name}`,
        `${root}/grown/${variant}/${name}`,
      ] as const
      for (const copy of copies) {
        await mkdir(dirname(copy), { recursive: true })
        await cp(original, copy)
      }
      const inPlace = editInPlace(facts, edits)
      write(copies[0], inPlace.writes)
      left += inPlace.left.length
      edited += edits.length
      expect({ variant, name, differences: compareEdited(original, copies[0], facts, edits, 'in place') }).toEqual({
        variant,
        name,
        differences: [],
      })
      expect(statSync(copies[0]).size).toBe(statSync(original).size)
      if (edits.length === 0) continue
      write(copies[1], emptyRpath(facts))
      jobs.push({ file: copies[1], edits, about: original })

      // One string grows, the others stay in place.
      const mixed = growing(edits)
      const inPart = editInPlace(facts, mixed)
      expect(inPart.left.map(e => e.op)).toEqual(['set-rpath'])
      write(copies[2], inPart.writes)
      growFile(copies[2], inPart.left)
    }
  expect(left).toBe(0)
  await patchelf(jobs)

  await eachOf(built, async ({ variant, files }) => {
    for (const [name, { original, edits }] of files) {
      const [inPlace, patched] = [`${root}/inplace/${variant}/${name}`, `${root}/patchelf/${variant}/${name}`]
      const [before, after] = await Promise.all([original, inPlace].map(file => output('readelf', [...READELF, file])))
      expect(after!.replace(/ +/g, ' '), `${variant} ${name}`).toBe(plannedReport(before!, edits))
      expect(after).not.toContain('(RUNPATH)')
      expect(after!.includes('(RPATH)')).toBe(edits.some(e => e.op === 'set-rpath'))

      // Both ways, the same.
      const facts = factsOf(original)
      expect({ variant, name, differences: compareEdited(original, patched, facts, edits, 'by a tool') }).toEqual({
        variant,
        name,
        differences: [],
      })
      expect(editable(factsOf(patched))).toEqual(editable(factsOf(inPlace)))
      expect(symbolsOf(patched)).toEqual(symbolsOf(inPlace))
      expect(compareEdited(original, `${root}/grown/${variant}/${name}`, facts, growing(edits), 'grown')).toEqual([])
    }
  })

  // Nothing is left of where it was built.
  renameSync(`${root}/store`, `${root}/gone`)
  await eachOf(built, async ({ variant }) => {
    for (const way of ['inplace', 'patchelf', 'grown'])
      expect({ way, variant, printed: await run(`${root}/${way}/${variant}/bin/prog`) }).toEqual({
        way,
        variant,
        printed: expected.get(variant),
      })
  })
  console.log(`edited in place: ${built.length} programs, ${2 * built.length} libraries, ${edited} edits, ${left} left`)
})

/** The same with a search path longer than any that was linked. */
const growing = (edits: readonly ElfEdit[]): ElfEdit[] =>
  edits.map(e => (e.op === 'set-rpath' ? { op: 'set-rpath', to: `${e.to}:/${'x'.repeat(400)}` } : e))

const symbolsOf = (file: string): string[] => symbolNames(bufferSource(readFileSync(file)), file)

// ---- Strings that share their bytes ----------------------------------------------------------------------------

interface Shared {
  readonly source: string
  readonly flags: readonly string[]
}

async function compile({ source, flags }: Shared): Promise<string> {
  const directory = temporaryDirectory()
  writeFileSync(`${directory}/a.c`, source)
  await output('gcc', [...flags, '-fuse-ld=bfd', 'a.c', '-o', 'a.so'], { cwd: directory })
  return `${directory}/a.so`
}

/** Edits in place and lets the rest grow, as the bundler does. */
async function edit(file: string, edits: readonly ElfEdit[]): Promise<{ left: readonly ElfEdit[] }> {
  const facts = factsOf(file)
  await cp(file, `${file}.original`)
  const { writes, left } = editInPlace(facts, edits)
  write(file, writes)
  if (left.length > 0) growFile(file, left)
  expect(compareEdited(`${file}.original`, file, facts, edits, left.length === 0 ? 'in place' : 'grown')).toEqual([])
  return { left }
}

// patchelf 0.14.3 on a program of mips-linux-gnu-gcc: --set-interpreter, and it dies at its start.
test('a MIPS debug map that an editor moved is found', () => {
  const root = temporaryDirectory()
  const image = buildElf({ bits: 32, little: false })
  const [original, copy] = [`${root}/original`, `${root}/copy`]
  const rldMap = { e_machine: 8, 'dyn.flags1.tag': 0x70000035 }
  writeFileSync(original, image.with({ ...rldMap, 'dyn.flags1.val': -64 }))
  writeFileSync(copy, image.with({ ...rldMap, 'dyn.flags1.val': 0x680106b4 }))
  expect(compareEdited(original, original, factsOf(original), [], 'by a tool')).toEqual([])
  expect(compareEdited(original, copy, factsOf(original), [], 'by a tool')).toMatchObject([
    { fact: 'the place of the debug map' },
  ])
})

// patchelf renames the symbol `b` to `X`.
test('patchelf#162: a symbol is the tail of RUNPATH', async () => {
  const runpath = `/nix/store/${HASH}-x/lib`
  for (const [to, leaves] of [
    ['$ORIGIN', 0],
    [`/${'x'.repeat(runpath.length - 3)}`, 0],
    [`/${'x'.repeat(runpath.length - 2)}`, 1],
    [`/${'x'.repeat(runpath.length - 1)}`, 1],
    [`/${'x'.repeat(runpath.length)}`, 1],
  ] as const) {
    const file = await compile({
      source: 'int b(void) { return 1; }',
      flags: ['-shared', '-fPIC', '-Wl,--enable-new-dtags,-rpath', `-Wl,${runpath}`],
    })
    // The `b` is not its own, and so the NUL goes before it.
    expect(factsOf(file).runpath).toMatchObject({ value: runpath, capacity: runpath.length - 1 })
    const { left } = await edit(file, [{ op: 'set-rpath', to }])
    expect(left).toHaveLength(leaves)
    expect(symbolsOf(file)).toContain('b')
    const printed = await output('readelf', [...READELF, file])
    expect(printed).toMatch(/ b$/m)
    expect(printed).toContain(`Library rpath: [${to}]`)
  }
})

test('an import without any hash table is the tail of RUNPATH', async () => {
  const directory = temporaryDirectory()
  writeFileSync(`${directory}/b.c`, 'int b(void) { return 5; }')
  writeFileSync(`${directory}/main.c`, 'int b(void); int main(void) { return b(); }')
  const library = ['-shared', '-fPIC', 'b.c', '-o', 'libthe.so', '-Wl,-soname,libthe.so']
  await output('gcc', library, { cwd: directory })
  await output(
    'gcc',
    [
      '-no-pie',
      '-fuse-ld=bfd',
      '-Wl,--hash-style=gnu',
      'main.c',
      'libthe.so',
      '-o',
      'prog',
      `-Wl,-rpath,/nix/store/${HASH}-x/lib`,
    ],
    { cwd: directory },
  )
  const facts = factsOf(`${directory}/prog`)
  expect(facts.runpath!.capacity).toBe(facts.runpath!.value.length - 1)
  await edit(`${directory}/prog`, [{ op: 'set-rpath', to: '$ORIGIN' }])
  expect(await run(`${directory}/prog`)).toBe('exit 5\n')
})

test('a symbol has the whole name of a needed library', async () => {
  const directory = temporaryDirectory()
  writeFileSync(`${directory}/helper.c`, 'int helper(void) { return 6; }')
  writeFileSync(`${directory}/main.c`, 'int helper(void); int main(void) { return helper(); }')
  await output('gcc', ['-shared', '-fPIC', 'helper.c', '-o', 'helper', '-Wl,-soname,helper'], { cwd: directory })
  await output('gcc', ['-fuse-ld=bfd', 'main.c', './helper', '-o', 'prog', '-Wl,-rpath,$ORIGIN'], { cwd: directory })
  const facts = factsOf(`${directory}/prog`)
  expect(facts.needed[0]).toMatchObject({ value: 'helper', capacity: 0 })
  expect(editInPlace(facts, [{ op: 'replace-needed', from: 'helper', to: 'x' }]).writes).toEqual([])
  growFile(`${directory}/prog`, [{ op: 'replace-needed', from: 'helper', to: 'x' }])
  renameSync(`${directory}/helper`, `${directory}/x`)
  expect(symbolsOf(`${directory}/prog`)).toContain('helper')
  expect(await run(`${directory}/prog`)).toBe('exit 6\n')
})

test('a needed name is the tail of another', async () => {
  const directory = temporaryDirectory()
  writeFileSync(`${directory}/a.c`, '')
  for (const name of ['liblong-c.so', 'c.so'])
    await output('gcc', ['-shared', 'a.c', '-o', name, `-Wl,-soname,${name}`], { cwd: directory })
  const libraries = ['-Wl,--no-as-needed', './liblong-c.so', './c.so']
  await output('gcc', ['-shared', '-fuse-ld=bfd', 'a.c', ...libraries, '-o', 'a.so'], { cwd: directory })
  const { needed } = factsOf(`${directory}/a.so`)
  expect(needed.slice(0, 2)).toMatchObject([
    { value: 'liblong-c.so', capacity: 'liblong-'.length },
    { value: 'c.so', capacity: 0 },
  ])
  const { left } = await edit(`${directory}/a.so`, [
    { op: 'replace-needed', from: 'liblong-c.so', to: 'l.so' },
    { op: 'replace-needed', from: 'c.so', to: 'd.so' },
  ])
  expect(left).toEqual([{ op: 'replace-needed', from: 'c.so', to: 'd.so' }])
})

test('RPATH and RUNPATH in one object become one RPATH', async () => {
  for (const to of ['$ORIGIN/x', `/${'x'.repeat(300)}`]) {
    const lab = new Lab(realpathSync(temporaryDirectory()))
    lab.library('x/liba.so')
    lab.library('liba.so')
    const [rpath, runpath] = [lab.at('rpath'), lab.at('runpath')]
    const file = lab.program('prog', { needed: ['liba.so'], rpath, runpath })
    await lab.build()
    expect(editable(factsOf(file))).toMatchObject({ rpath, runpath: `${runpath}:${rpath}` })
    const { left } = await edit(file, [{ op: 'set-rpath', to }])
    expect(left).toHaveLength(to.startsWith('$') ? 0 : 1)
    expect(editable(factsOf(file))).toMatchObject({ rpath: to, runpath: null })
  }
})

// ---- The bytes -------------------------------------------------------------------------------------------------

const FORMATS = [32, 64].flatMap(bits => [true, false].map(little => ({ bits: bits as 32 | 64, little })))

test.each(FORMATS)('any length, $bits bits, little endian: $little', ({ bits, little }) => {
  for (const without of [[], ['rpath'], ['runpath'], ['rpath', 'runpath']]) {
    const { bytes } = buildElf({ bits, little, without })
    const facts = parseElf(bufferSource(bytes), 'x')
    for (let length = 0; length <= 32; length++) {
      const to = 'x'.repeat(length)
      const edits: ElfEdit[] = [
        { op: 'set-interp', to: `/${to}` },
        { op: 'set-rpath', to },
        { op: 'replace-needed', from: 'libm.so.6', to },
        { op: 'replace-needed', from: 'not there', to },
      ]
      const { writes, left } = editInPlace(facts, edits)
      const room = Math.max(facts.rpath?.capacity ?? 0, facts.runpath?.capacity ?? 0)
      const fits = [length < 27, length < room, length < 10, false]
      expect(left).toEqual(edits.filter((_, i) => !fits[i]))

      const edited = Buffer.from(bytes)
      for (const w of writes) w.bytes.copy(edited, w.offset)
      const after = parseElf(bufferSource(edited), 'x')
      expect(editable(after)).toEqual(
        editedFacts(
          facts,
          edits.filter((_, i) => fits[i]),
        ),
      )
      expect(symbolNames(bufferSource(edited), 'x')).toEqual(symbolNames(bufferSource(bytes), 'x'))
      expect(after.segments).toEqual(facts.segments)
      // The rest of a replaced string is gone.
      if (fits[0]) expect(edited.includes('x86-64.so.2')).toBe(false)
    }
  }
})

test('an empty RPATH for patchelf: every entry is a RPATH of the empty string, nothing else changes', () => {
  const { bytes } = buildElf()
  const edited = Buffer.from(bytes)
  for (const w of emptyRpath(parseElf(bufferSource(bytes), 'x'))) w.bytes.copy(edited, w.offset)
  const [before, after] = [bytes, edited].map(b => editable(parseElf(bufferSource(b), 'x')))
  expect(after).toEqual({ ...before, rpath: '', runpath: null })
})

test('what has no RPATH, RUNPATH or interpreter has no place', () => {
  const facts = parseElf(bufferSource(buildElf({ without: ['rpath', 'runpath'] }).bytes), 'x')
  const edits: ElfEdit[] = [
    { op: 'set-rpath', to: '' },
    { op: 'set-interp', to: '/x' },
  ]
  expect(editInPlace({ ...facts, interp: null }, edits)).toEqual({ writes: [], left: edits })
})

test('a program of the Go linker: its dynamic section stays writable', async () => {
  const root = temporaryDirectory()
  const program = `${root}/program`
  writeFileSync(
    `${root}/main.go`,
    'package main\nimport ("fmt"; "os/user")\nfunc main() { u, err := user.LookupId("0"); fmt.Println(u.Uid, err) }\n',
  )
  const env = { HOME: root, GOCACHE: `${root}/cache`, GO111MODULE: 'off', CGO_ENABLED: '1' }
  await output('go', ['build', '-ldflags=-linkmode=internal', '-o', program, `${root}/main.go`], { env })
  expect(await output(program, [])).toBe('0 <nil>\n')

  const facts = parseElf(bufferSource(readFileSync(program)), program)
  const edits: ElfEdit[] = [{ op: 'set-rpath', to: '$ORIGIN/../lib' }]
  const [bare, ours] = ['bare', 'ours'].map(name => `${root}/${name}`)
  for (const copy of [bare!, ours!]) await cp(program, copy)
  await output('patchelf', ['--force-rpath', '--set-rpath', '$ORIGIN/../lib', bare!])
  expect(compareEdited(program, bare!, facts, edits, 'by a tool')).toMatchObject([
    { code: 'edit-outside-plan', fact: 'that the dynamic section can be written to' },
  ])
  await patchelf([{ file: ours!, edits, about: program }])
  expect(compareEdited(program, ours!, facts, edits, 'by a tool')).toEqual([])
  expect(await output(ours!, [])).toBe('0 <nil>\n')
})
