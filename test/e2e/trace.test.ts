/** `--trace`: what the original opens while it runs comes along, whether or not anything names it. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, beforeEach, expect, test } from 'vitest'
import { bundle, fixture, mustBundle, temporary, withoutNix } from '../support/bundle.ts'

const inputs = temporary()
const opener = join(inputs, 'opener')
let cwd: string

/** A program that opens a library whose name it has from its command line, and reads a file that its environment names. */
beforeAll(() => {
  writeFileSync(
    `${opener}.c`,
    `#include <dlfcn.h>
     #include <stdio.h>
     #include <stdlib.h>
     int main(int argc, char **argv) {
       void *library = dlopen(argv[1], RTLD_NOW);
       printf("%s\\n", library ? "opened" : dlerror());
       if (getenv("DATA")) { FILE *f = fopen(getenv("DATA"), "r"); printf("%d\\n", f ? fgetc(f) : -1); }
       return library == NULL;
     }`,
  )
  const loader = `${fixture('glibc')}/lib/ld-linux-x86-64.so.2`
  const rpath = `${fixture('zlib')}/lib:${fixture('glibc')}/lib`
  execFileSync('gcc', ['-o', opener, `${opener}.c`, `-Wl,--dynamic-linker=${loader},-rpath,${rpath}`])
})

beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'storefree-trace-test-'))
  return () => rmSync(cwd, { recursive: true, force: true })
})

const bundled = (...args: string[]) => withoutNix(join(cwd, 'out/bin/opener'), args)
const leftovers = (): string[] =>
  readdirSync(tmpdir()).filter(name => name.startsWith('storefree-trace-') && !name.startsWith('storefree-trace-test-'))

test('a library whose name nobody could know is found in the bundle once it was seen', () => {
  mustBundle([opener, '-f', 'dir', '-o', 'out'], { cwd })
  expect(bundled('libz.so.1')).toMatchObject({ code: 1, stdout: /libz\.so\.1: cannot open/ })
  const made = mustBundle([opener, '-f', 'dir', '-o', 'out', '--force', '--trace', '--', 'opener', 'libz.so.1'], {
    cwd,
  })
  // The program's own output is none of ours.
  expect(made.stderr).toContain('opened\n')
  expect(made.stdout).not.toContain('opened')
  expect(bundled('libz.so.1')).toMatchObject({ code: 0, stdout: 'opened\n' })
  expect(leftovers()).toEqual([])
})

test('a file of another package comes along, also from a child of the command', () => {
  const data = `${fixture('nginx')}/conf/mime.types`
  const shell = `DATA=${data} opener libz.so.1`
  mustBundle([opener, '-f', 'dir', '-o', 'out', '--trace', '--', 'sh', '-c', shell], { cwd })
  const nginx = data.split('/')[3]!.slice(33)
  expect(existsSync(join(cwd, `out/pkg/${nginx}/conf/mime.types`))).toBe(true)
  expect(readdirSync(join(cwd, 'out/pkg', nginx))).toEqual(['conf'])
})

test('what a program has opened that is gone by now', () => {
  const data = `${fixture('nginx')}/conf/mime.types`
  const shell = `cp /bin/cat "$PWD/gone" && "$PWD/gone" ${data} > /dev/null; rm "$PWD/gone"`
  mustBundle([opener, '-f', 'dir', '-o', 'out', '--trace', '--', 'sh', '-c', shell], { cwd })
  expect(existsSync(join(cwd, `out/pkg/${data.split('/')[3]!.slice(33)}/conf/mime.types`))).toBe(true)
})

test('what --exclude names stays out', () => {
  const shell = `DATA=${fixture('nginx')}/conf/mime.types opener libz.so.1`
  mustBundle([opener, '-f', 'dir', '-o', 'out', '--exclude', '*/conf/*', '--trace', '--', 'sh', '-c', shell], { cwd })
  expect(readdirSync(join(cwd, 'out/pkg')).filter(name => name.startsWith('nginx'))).toEqual([])
})

test('a command that fails, and one that opens nothing of a store, are told of', () => {
  expect(
    mustBundle([opener, '-f', 'dir', '-o', 'out', '--trace', '--', 'opener', 'libnone.so'], { cwd }).stderr,
  ).toContain('warning: opener: what was traced ended with exit code 1')
  expect(mustBundle([opener, '-f', 'dir', '-o', 'out2', '--trace', '--', '/bin/true'], { cwd }).stderr).toContain(
    'warning: /bin/true: what was traced opened no file of a store',
  )
})

test('no command, one that is not there, no strace', () => {
  expect(bundle([opener, '--trace'], { cwd })).toMatchObject({
    code: 2,
    stderr: /--trace: no command to run\n {2}try: /,
  })
  const path = temporary()
  symlinkSync(process.execPath, join(path, 'node'))
  expect(bundle([opener, '--trace', '--', 'opener'], { cwd, env: { PATH: path } })).toMatchObject({
    code: 2,
    stderr: /strace: not found on PATH\n {2}try: install strace/,
  })
  expect(bundle([opener, '--trace', '--', 'no-such-program'], { cwd })).toMatchObject({
    code: 2,
    stderr: /no-such-program: no such program to trace\n {2}try: one of the target's: opener/,
  })
  expect(leftovers()).toEqual([])
})
