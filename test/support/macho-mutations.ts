/** Random changes to Mach-O files, and everything that reads or edits one run on each. */
import { BundleError } from '../../src/errors.ts'
import { bufferSource } from '../../src/io/bytes.ts'
import { editedStrings, editMachO, type MachOEdit } from '../../src/macho/edit.ts'
import { holdsMachO, isMachO, parseMachO } from '../../src/macho/parse.ts'
import { patched } from '../../src/macho/patch.ts'
import { loadImages } from '../../src/macho/search.ts'
import { signMachO } from '../../src/macho/sign.ts'
import { checkSignature } from '../../src/macho/signature.ts'
import type { SourcePath } from '../../src/paths.ts'
import { Random } from './elf-tools.ts'
import { buildFat, buildMachO } from './macho-image.ts'
import type { MachOLab } from './macho-lab.ts'

/** Everything that is read off a Mach-O file, and edited in it. Throws nothing but what a caller has to expect. */
export function readAll(bytes: Buffer): void {
  const source = bufferSource(bytes)
  isMachO(bytes.subarray(0, 28))
  holdsMachO(source)
  expected('malformed', () => {
    const facts = parseMachO(source, 'x')
    const path = '/x' as SourcePath
    for (const slice of facts.slices) {
      expected('malformed', () => checkSignature(source, slice, 'x'))
      loadImages({ path, facts }, slice, { open: () => ({ path: '/y' as SourcePath, facts }) })
    }
    const edits = facts.slices.flatMap((slice): MachOEdit[] => [
      ...slice.dylibs
        .slice(0, 2)
        .map((d, i) => ({ op: 'change-install-name' as const, from: d.name.value, to: `y${i}` })),
      ...slice.rpaths.slice(0, 1).map(r => ({ op: 'delete-rpath' as const, from: r.value })),
      ...slice.rpaths.slice(1, 2).map(r => ({ op: 'change-rpath' as const, from: r.value, to: 'longer'.repeat(9) })),
    ])
    const { writes, refusals } = editMachO(source, facts, edits)
    for (const { offset, bytes: written } of writes)
      if (!(offset + written.length <= bytes.length)) throw new Error(`an edit at ${offset} of ${bytes.length}`)
    const after = patched(source, writes)
    const now = parseMachO(after, 'x')
    if (refusals.length === 0) {
      const [is, wanted] = [editedStrings(now, []), editedStrings(facts, edits)].map(strings => JSON.stringify(strings))
      if (is !== wanted) throw new Error(`edits: ${is}, not ${wanted}`)
    }
    expected('malformed', () =>
      expected('edit-refused', () => {
        const signed = signMachO(after, now, 'x', 'x').source
        for (const slice of parseMachO(signed, 'x').slices) checkSignature(signed, slice, 'x')
      }),
    )
  })
}

function expected(code: BundleError['code'], run: () => void): void {
  try {
    run()
  } catch (error) {
    if (!(error instanceof BundleError && error.code === code)) throw error
  }
}

/** Small files of every kind, or all of them. */
export function mutationOriginals(lab: MachOLab, oneOf = 3): [string, Buffer][] {
  const files = [...lab.signed(), ...lab.others()].filter(({ bytes }) => bytes.length < 100_000)
  const images = ([32, 64] as const).flatMap(bits => [true, false].map(little => buildMachO({ bits, little }).bytes))
  return [
    ...files.filter((_, i) => i % oneOf === 0).map(({ name, bytes }): [string, Buffer] => [name, bytes]),
    ...images.map((bytes, i): [string, Buffer] => [`image ${i}`, bytes]),
    ['fat image', buildFat([{ bytes: images[2]! }, { bytes: images[3]!, cputype: 0x01000012 }])],
  ]
}

/** What it took of a processor, in ms: other tests run beside this one. */
function time(run: () => void): number {
  const start = process.cpuUsage()
  run()
  const { user, system } = process.cpuUsage(start)
  return (user + system) / 1000
}

const NUMBERS = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff]

/** So many mutations; an error names the seed. */
export function mutate(
  originals: readonly (readonly [string, Buffer])[],
  count: number,
  seed: number,
): { slowest: number; grown: number } {
  const random = new Random(seed)
  const before = process.memoryUsage().rss
  let slowest = 0
  for (let i = 0; i < count; i++) {
    const [name, original] = random.pick(originals)
    const bytes = Buffer.from(original)
    // Most of what is read lies in the load commands: half of the changes go there.
    for (let n = 1 + random.below(4); n > 0; n--) {
      const at = random.below(random.chance(60) ? 1536 : bytes.length - 4) & (random.chance(80) ? ~3 : ~0)
      if (random.chance(40)) bytes[at] = random.below(256)
      else if (random.chance(70))
        bytes.writeUInt32LE(random.chance(50) ? random.pick(NUMBERS) : random.below(bytes.length), at)
      else bytes.copy(bytes, at, random.below(bytes.length), random.below(bytes.length))
    }
    try {
      slowest = Math.max(
        slowest,
        time(() => readAll(bytes)),
      )
    } catch (error) {
      throw new Error(`SEED=${seed}, mutation ${i} of ${name}`, { cause: error })
    }
  }
  return { slowest, grown: (process.memoryUsage().rss - before) >> 20 }
}
