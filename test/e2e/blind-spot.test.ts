/**
 * The known blind spot of any scan for strings (docs/references.md): a compiler may build a store path out of numbers.
 * The scan misses the path, and so does grep, but that there is one is said; a traced run without a store shows which.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { fixture, grep, mustBundle, run, temporary, withoutNix } from '../support/bundle.ts'
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

test('Go keeps []byte("...") of a constant as numbers, whatever is done with it: that there is one is told', () => {
  const directory = temporary()
  const data = `${fixture('nginx')}/html/index.html`
  mkdirSync(join(directory, 'bin'))
  const open = 'f, err := os.Open(string(b)); if err != nil { println("gone"); os.Exit(1) }; f.Close()'
  for (const [name, bytes] of [
    ['copied', `[]byte("${data}")`],
    ['appended', `append([]byte("${data.slice(0, -10)}"), os.Args[1]...)`],
  ]) {
    const source = join(directory, `${name}.go`)
    writeFileSync(source, `package main\nimport "os"\nfunc main() { b := ${bytes}; ${open} }\n`)
    const program = join(directory, 'bin', name!)
    const env = { ...process.env, HOME: directory, GOCACHE: join(directory, 'cache'), GO111MODULE: 'off' }
    expect(run('go', ['build', '-o', program, source], { cwd: directory, env })).toMatchObject({ code: 0, stderr: '' })
    expect(grep('/nix/store', program)).toBe('')
    expect(run(program, ['index.html']).code).toBe(0)
    const place = join(directory, `bundle-${name}`)
    const told = mustBundle([program, '-f', 'dir', '-o', place])
    expect(told.stderr).toMatch(/^warning: .*puts a store path together out of numbers/m)
    // Not brought, and so not found: what is told is true.
    expect(withoutNix(join(place, 'bin', name!), ['index.html'])).toMatchObject({ code: 1, stderr: 'gone\n' })
  }
})
