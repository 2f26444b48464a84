/**
 * The known blind spot of any scan for strings (docs/references.md): a compiler may build a store path out of numbers.
 * The scan misses it, and so does grep; a traced run without a store shows it.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { fixture, grep, mustBundle, run, temporary } from '../support/bundle.ts'
import { tool } from '../support/root.ts'
import { trace } from '../support/trace.ts'

test('gcc -O1 keeps a copied string as numbers: nothing finds it, the trace of a run without the store does', () => {
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
  mustBundle([program, '-f', 'dir', '-o', place])
  const around = [tool('bwrap'), '--bind', '/', '/', '--tmpfs', '/nix', '--dev', '/dev', '--proc', '/proc', '--']
  const traced = trace(around, join(place, 'bin/split'), [], join(directory, 'trace'), {})
  expect(traced.code).toBe(1)
  expect([...traced.tried].filter(path => path.startsWith('/nix'))).toEqual([data])
})
