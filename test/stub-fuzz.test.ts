/** Starts of the stub and the sidecar in made-up processes, under sanitizers. test/long has a million of them. */
import { expect, test } from 'vitest'
import { temporary } from './support/bundle.ts'
import { output } from './support/elf-tools.ts'
import { buildBootstrapFuzzer, buildFuzzer, fuzz } from './support/stub-fuzz.ts'

const directory = temporary()

test('every start ends in a jump to the right place, or in one line and exit 127', { timeout: 180_000 }, async () => {
  const seed = Number(process.env.STUB_FUZZ_SEED ?? 1 + (Date.now() % 1_000_000))
  await fuzz(await buildFuzzer(directory, 'fuzz'), 20_000, seed)
})

test('nor does a start by a sidecar end otherwise', { timeout: 180_000 }, async () => {
  const seed = Number(process.env.STUB_FUZZ_SEED ?? 1 + (Date.now() % 1_000_000))
  await fuzz(await buildFuzzer(directory, 'sidecar', undefined, 'sidecar'), 10_000, seed)
})

// test/long has the sidecar too.
test('nor does one of 32 bits', { timeout: 120_000 }, async () => {
  const seed = Number(process.env.STUB_FUZZ_SEED ?? 1 + (Date.now() % 1_000_000))
  await fuzz(await buildFuzzer(directory, 'fuzz-32', undefined, 'stub', 32), 5000, seed)
})

test.each([64, 32] as const)('the bootstrap comes to its own sidecar or to one line, %i bits', async bits => {
  const seed = Number(process.env.STUB_FUZZ_SEED ?? 1 + (Date.now() % 1_000_000))
  const said = await output(await buildBootstrapFuzzer(directory, `bootstrap-${bits}`, undefined, bits), [
    '20000',
    `${seed}`,
  ])
  expect(said).toMatch(/^20000 starts, .* \d{4,} jumps to the sidecar, \d{4,} messages/)
})

test('a planted defect is found', async () => {
  const blind = await buildFuzzer(directory, 'blind', ['p->filesz > p->memsz ||', ''])
  await expect(output(blind, ['20000', '1'])).rejects.toThrow(/start with seed \d+|Sanitizer|runtime error/)
})

test.each([
  ['a target that does not fit', 's->root_length + 3 + digits > HASHED ||', ''],
  ['RELRO that ld.so has protected', 'int can = writable(at < relro ? relro : at);', 'int can = 1;'],
  ['what is looked at is put back', 'copy(at, kept, sizeof kept);', ';'],
  ['the copies of variables', 'if (s->program)\n\t\trelocate(s, s->program', 'if (0)\n\t\trelocate(s, s->program'],
  ["another user's directory for aliases", '(owner == euid || (roots && owner == 0)) && ', ''],
  ['no room for an alias', '(root > HASHED ? root : HASHED)', 'root'],
  ['an alias that another root has', 'if (text[i] != root[i] || !root[i])', 'if (0)'],
  ['a directory above that anybody may change', 'is_guarded(&stat, euid, 1)', '1'],
  ["what is an emulator's memory", 'if (*mem >= 0 && !same)', 'if (0)'],
  ['a damaged table', '|| hash(SEED, (u64 *)t + 2, size / 8 - 2) != t->checksum', ''],
])('a planted defect is found: %s', async (name, from, to) => {
  const program = await buildFuzzer(directory, name.replaceAll(' ', '-'), [from, to])
  await expect(output(program, ['60000', '1'])).rejects.toThrow(/start with seed \d+|Sanitizer|runtime error/)
})
