/**
 * The known blind spot of any scan for strings (docs/references.md): a compiler may build a store path out of numbers.
 * The scan misses the path, and so does grep, but that there is one is said; a traced run without a store shows which.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { fixture, grep, mustBundle, run, temporary } from '../support/bundle.ts'
import { tool } from '../support/root.ts'
import { trace } from '../support/trace.ts'

test('gcc -O1 keeps a copied string as numbers: that there is one is told, and the trace of a run without the store shows which', () => {
  const directory = temporary()
  const data = `${fixture('nginx')}/html/index.html`
  mkdirSync(join(directory, 'bin'))
  writeFileSync(
    join(directory, 'split.c'),
    `#include <fcntl.h>
int main(void) { volatile char path[] = "${data}"; return open((const char *)path, O_RDONLY) < 0; }`,
  )
  const program = join(directory, 'bin/split')
  expect(run('gcc', ['-O1', '-o', program, join(directory, 'split.c')])).toMatchObject({ code: 0, stderr: '' })
  expect(grep('/nix/store', program)).toBe('')
  expect(run(program, []).code).toBe(0)

  const place = join(directory, 'bundle')
  const told = mustBundle([program, '-f', 'dir', '-o', place])
  expect(told.stderr + told.stdout).toContain('puts a store path together out of numbers')
  const around = [tool('bwrap'), '--bind', '/', '/', '--tmpfs', '/nix', '--dev', '/dev', '--proc', '/proc', '--']
  const traced = trace(around, join(place, 'bin/split'), [], join(directory, 'trace'), {})
  expect(traced.code).toBe(1)
  expect([...traced.tried].filter(path => path.startsWith('/nix'))).toEqual([data])
})
