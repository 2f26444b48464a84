/** Store paths that a compiler has put into code as numbers: that there is one is said, whichever it is. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { silent } from '../src/io/progress.ts'
import { ApartSearch } from '../src/references/apart.ts'
import { verify } from '../src/verify/verify.ts'

const directory = mkdtempSync(join(tmpdir(), 'apart-'))
afterAll(() => rmSync(directory, { recursive: true }))

const ELF = Buffer.from('\x7fELF', 'latin1')
const found = (bytes: Buffer, size: number): number => {
  const search = new ApartSearch()
  for (let at = 0; at < bytes.length; at += size) search.push(bytes.subarray(at, at + size))
  return search.found
}

test('found wherever pieces end; a whole store path is none, and text is none', () => {
  const code = Buffer.concat([ELF, Buffer.from('\x48\xb8/nix/sto\x48\x89', 'latin1')])
  const whole = Buffer.concat([ELF, Buffer.from('  /nix/store/x  ', 'latin1')])
  for (let size = 1; size <= code.length; size++) expect(found(code, size), `pieces of ${size}`).toBe(7)
  for (let size = 1; size <= whole.length; size++) expect(found(whole, size), `pieces of ${size}`).toBe(-1)
  expect(found(Buffer.from('#!/bin/sh\n# /nix/sto'), 64)).toBe(-1)
})

test('a copy of a store path on the stack, as gcc compiles it', async () => {
  const source = join(directory, 'copy.c')
  const object = join(directory, 'copy.o')
  const path = '/nix/store/0123456789abcdfghijklmnpqrsvwxyz-data-1/share/x'
  writeFileSync(source, `int take(char *p); int main(void) { char path[] = "${path}"; return take(path); }`)
  // Without vectors, so that it is copied by eight bytes at a time.
  execFileSync('gcc', ['-O1', '-c', '-mno-sse', '-o', object, source])
  expect(readFileSync(object).includes('/nix/store')).toBe(false)
  const { findings } = await verify(object, silent, { strict: true })
  expect(findings.filter(f => f.severity === 'error')).toMatchObject([{ code: 'container-unread', problem: 'apart' }])
})
