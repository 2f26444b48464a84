/** A million starts of the stub in made-up processes, under sanitizers; and the fuzzer finds what is planted. */
import { expect, test } from 'vitest'
import { temporary } from '../support/bundle.ts'
import { output } from '../support/elf-tools.ts'
import { buildBootstrapFuzzer, buildFuzzer, type Defect, fuzz } from '../support/stub-fuzz.ts'

const directory = temporary()
const HOUR = 3_600_000

test('a million starts', { timeout: HOUR }, async () => {
  const seed = Number(process.env.STUB_FUZZ_SEED ?? 1 + (Date.now() % 1_000_000))
  const program = await buildFuzzer(directory, 'fuzz')
  await Promise.all([fuzz(program, 500_000, seed), fuzz(program, 500_000, seed + 1)])
})

test('a million starts of the bootstrap', { timeout: HOUR }, async () => {
  const seed = Number(process.env.STUB_FUZZ_SEED ?? 1 + (Date.now() % 1_000_000))
  const program = await buildBootstrapFuzzer(directory, 'bootstrap')
  expect(await output(program, ['1000000', `${seed}`])).toContain('1000000 starts')
})

test('a million starts by a sidecar', { timeout: HOUR }, async () => {
  const seed = Number(process.env.STUB_FUZZ_SEED ?? 1 + (Date.now() % 1_000_000))
  const program = await buildFuzzer(directory, 'sidecar', undefined, 'sidecar')
  await Promise.all([fuzz(program, 500_000, seed), fuzz(program, 500_000, seed + 1)])
})

test('half a million starts of 32 bits, and as many by a sidecar', { timeout: HOUR }, async () => {
  const seed = Number(process.env.STUB_FUZZ_SEED ?? 1 + (Date.now() % 1_000_000))
  const whats = ['stub', 'sidecar'] as const
  const built = await Promise.all(whats.map(what => buildFuzzer(directory, `${what}-32`, undefined, what, 32)))
  await Promise.all(built.map(program => fuzz(program, 500_000, seed)))
})

const DEFECTS: readonly (readonly [name: string, defect: Defect])[] = [
  ['segments anywhere', ['(p->vaddr | p->memsz | p->offset) >> SPACE_BITS ||', '']],
  ['more of the file than of memory', ['p->filesz > p->memsz ||', '']],
  ['a file cut off', ['p->filesz - 1) != 1)))', 'p->filesz - 1) == 9)))']],
  ['another place in the page', ['(p->vaddr ^ p->offset) & (page - 1)', '0']],
  ['an entry outside', ['e.entry < low || e.entry >= high ||', '']],
  ['no zeros behind the data', ['at < (u8 *)file_end; at++)', 'at < (u8 *)in_file; at++)']],
  ['the slack stays mapped', ['if (start > room)', 'if (0)']],
  ['too much given back', ['room + align - start, 0, 0', 'room + align - start + page, 0, 0']],
  ['no alignment', ['((room - low + align - 1) & -align)', '((room - low + page - 1) & -page)']],
  ['the loader stays open', ['sys(SYS_close, fd, 0, 0, 0, 0, 0);\n\t*base', '*base']],
  ['the table stays open', ['close:\n\tsys(SYS_close, fd, 0, 0, 0, 0, 0);', 'close:;']],
  [
    'a directory that is not trusted stays open',
    ['\t\tsys4(SYS_close, fd, 0, 0, 0);\n\t\treturn -1;', '\t\treturn -1;'],
  ],
  ['a root that is not plain goes as it is', ['|| (t->sites && !is_plain(path))', '']],
  ['a colon is plain', ['*,:;<', '*,;<']],
  ['control characters are plain', ["(u8)c <= ' '", "c == ' '"]],
  ['any way will do', ['if (plain && is_special(execfn[i]))', 'if (0)']],
  ['no alias without need', ['if (!other && euid)', 'if (!other && euid && needed)']],
  ['a writable table', ['sys(SYS_mprotect, at, size, PROT_READ, 0, 0, 0);', '']],
  ['the segment of the stub in the table', ['!= PT_INTERP && !ours', '!= PT_INTERP']],
  ['RELRO early read-only', ['if (can == 1) {', 'if (can == 1 && !protect(first, last, PROT_READ)) {']],
  [
    'RELRO left writable',
    ['copy(at, text, HASHED);\n\t\t\t\t\t\tprotect(first, last, PROT_READ);', 'copy(at, text, HASHED);'],
  ],
  ['RELRO to its last byte', ['headers[i].memsz) & -page;', 'headers[i].memsz + page - 1) & -page;']],
  ['RELRO from the string on', ['writable(at < relro ? relro : at)', 'writable(at)']],
  ['data left writable', ['else if (open)\n\t\t\t\t\tprotect(low, high, PROT_READ);', '']],
  ['a segment that cannot be read', ['if (p->type != PT_LOAD || !(p->flags & PF_R))', 'if (p->type != PT_LOAD)']],
  ['a list that is being changed', ['m && d->state == 0;', 'm;']],
  ['one namespace', ['d->version > 1 ? d->next : 0', '0']],
  ['AT_ENTRY left', ['*entry = state->entry;', '']],
  ['a static program keeps the table', ['sys(SYS_munmap, at, room, 0, 0, 0, 0);\n\t\ts = 0;', 's = 0;']],
  ['PT_PHDR without the bias', ['.vaddr = at - bias', '.vaddr = at']],
  ['set-uid', ['if (aux[AT_SECURE] && *aux[AT_SECURE])', 'if (0)']],
  ['no AT_BASE', ['|| !aux[AT_BASE]', '']],
  ['the second arrival', ['if (exit_function != 0)', 'if (0)']],
  ['the second arrival of musl', ['*aux[AT_ENTRY] != program->first', '0']],
  ['a path too long', ['if (end == limit)', 'if (0)']],
  ['`..` as text', ['if (canonical) {', 'if (1) {']],
  ['a directory too few', ['up > 0 && end < limit; up--', 'up > 1 && end < limit; up--']],
  ['a failed map', ['if (failed(room))\n\t\tgoto', 'if (0)\n\t\tgoto']],
  ['moved to any page', ['((room - low + align - 1) & -align) - bias', '((room - low + align - 1) & -page) - bias']],
  ['moved without need', ['if (!(bias & (align - 1)))', 'if (0)']],
  ['zeros stay behind', ['|| !move(file_end, end, by)', '']],
  ['a segment moved as one', ['!move(first, file_end, by) || !move(file_end, end, by)', '!move(first, end, by)']],
  ['the entry stays behind', ['\t\tentry = program->bias + c->entry;\n', '']],
  ['a part that could not be moved', ['== (long)(from + by);', '!= 9999;']],
  ['what was reserved stays', ['\tsys(SYS_munmap, room, span, 0, 0, 0, 0);\n', '']],
]

test.each(DEFECTS)('found: %s', { timeout: HOUR }, async (name, defect) => {
  const program = await buildFuzzer(directory, name.replaceAll(/\W/g, '-'), defect)
  await expect(output(program, ['50000', '1'])).rejects.toThrow(/start with seed \d+|Sanitizer|runtime error/)
})

const SIDECAR_DEFECTS: readonly (readonly [name: string, defect: Defect])[] = [
  ['pages not looked at', ['if (hash(SEED, (const halves *)from, o->length / 8) != o->digest)', 'if (0)']],
  ['a failed move', ['!= (long)(bias + first))', '== -9999)']],
  ['a page too few', ['o->covered + page - 1) & -page;', 'o->covered) & -page;']],
  ['from the wrong page', ['from + first - o->first', 'from']],
  ['the first page of a larger one', ['first = o->address & -page', 'first = o->first']],
  ['the config not kept', ['(const struct config *)kept, ', '&boot->config, ']],
  ['half of the config kept', ['program.first + o->covered - (word)&boot->config)', '32)']],
  ["another program's pages", ['&originals.original[boot->number]', '&originals.original[0]']],
  ['RUNPATH stays', ['if (old->tag != DT_RPATH && old->tag != DT_RUNPATH)', 'if (old->tag != DT_RPATH)']],
  ["the string's place", ['(word)text - strings', '(word)text']],
  ['no entry to end it', ['word entries = 2', 'word entries = 1']],
  ['a path for a second arrival', ['if (is_first && *rpath', 'if (*rpath']],
  ['PT_DYNAMIC without the bias', ['next->vaddr = program->dynamic - bias', 'next->vaddr = program->dynamic']],
  ["the file's dynamic section", ['if (kept && p->type == PT_DYNAMIC && program->dynamic)', 'if (0)']],
  ["the debug map of the file's section", ['(const struct dynamic *)program->dynamic;', '0;']],
  [
    'the segment left out',
    ['(void)program, (void)p;\n\treturn 0;', 'return program->config->address - p->vaddr < p->memsz;'],
  ],
  ['the second arrival of musl', ['*aux[AT_ENTRY] != program->first', '0']],
  [
    'the first instruction',
    ['program.first = program.bias + o->address;', 'program.first = program.bias + o->address + 16;'],
  ],
  [
    'put back where it was',
    ['restore(who, o, program.bias, page);', 'restore(who, o, program.first - o->address, page);'],
  ],
  [
    'moved on a second arrival',
    ['if (is_first && *program.config->loader)', 'if (aux[AT_PHDR] && *program.config->loader)'],
  ],
]

test.each(SIDECAR_DEFECTS)('found: %s', { timeout: HOUR }, async (name, defect) => {
  const program = await buildFuzzer(directory, name.replaceAll(/\W/g, '-'), defect, 'sidecar')
  await expect(output(program, ['50000', '1'])).rejects.toThrow(/start with seed \d+|Sanitizer|runtime error/)
})

const BOOTSTRAP_DEFECTS: readonly (readonly [name: string, defect: Defect])[] = [
  ['set-uid', ['if (aux[0] == AT_SECURE && aux[1])', 'if (0)']],
  ['no hash', ['if (digest == config.digest)', 'if (1)']],
  ['cut short', ['&last, 1, length - 1) == 1', '&last, 1, length - 1) >= 0']],
  ['a directory too few', ['for (u32 up = config.up; up; up--)', 'for (u32 up = config.up; up > 1; up--)']],
  ['it stays open', ['call(SYS_close, fd, 0, 0, 0);', '']],
  ['a link without an end', ['link[n] = 0;', ';']],
  ['the wrong second place', ['SIDECAR_PATH + 4', 'SIDECAR_PATH']],
  ['a failed map', ['if (start > 0 || start < -4095)', 'if (1)']],
  ['a path without an end', ['while (*from && to < end)', 'while (*from)']],
  ['more is hashed', ['start + config.hashed)', 'start + config.length)']],
  ['missing', ['if (fd < 0) die(', 'if (0) die(']],
]

test.each(BOOTSTRAP_DEFECTS)('found in the bootstrap: %s', { timeout: HOUR }, async (name, defect) => {
  const program = await buildBootstrapFuzzer(directory, `boot-${name.replaceAll(/\W/g, '-')}`, defect)
  await expect(output(program, ['50000', '1'])).rejects.toThrow(/start with seed \d+|Sanitizer|runtime error/)
})
