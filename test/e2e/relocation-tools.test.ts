/**
 * Tools of the trade on a running program whose strings move with the bundle: what is written over its code and data
 * disturbs none of them, and they see a program like any other.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { fixture, grep, mustBundle, run, temporary } from '../support/bundle.ts'
import { SUPPORT } from '../support/stub-lab.ts'

const directory = temporary()
// perf keeps a cache in HOME.
const env = { PATH: '/usr/bin:/bin', LANG: 'C', HOME: directory }
const place = join(directory, 'bundle')
const program = join(place, 'bin/app')
const size = readFileSync(join(fixture('nginx'), 'html/index.html')).length
const says = (who: string): string => `${who}: ${size} bytes\n`
const CALLS = [says('program'), says('library'), says("plugin's constructor"), says('plugin')].join('')
const SAYS = `${says("library's constructor")}${CALLS}end\n`

beforeAll(() => {
  const app = join(directory, 'app')
  for (const name of ['bin', 'lib']) mkdirSync(join(app, name), { recursive: true })
  const data = `-DDATA="${fixture('nginx')}/html/index.html"`
  const compile = (...args: string[]) =>
    expect(
      run('gcc', ['-g', '-O1', data, join(SUPPORT, 'relocation-tools.c'), ...args], { cwd: app, env }),
    ).toMatchObject({ code: 0, stderr: '' })
  const shared = (name: string) => ['-shared', '-fPIC', '-o', `lib/${name}`, `-Wl,-soname,${name}`]
  compile('-DLIBRARY', ...shared('libapp.so'))
  compile('-DPLUGIN', ...shared('libplugin.so'))
  compile('-fPIE', '-pie', '-o', 'bin/app', '-Llib', '-lapp', '-Wl,-rpath,$ORIGIN/../lib')
  mustBundle([app, '-f', 'dir', '-o', place])
  expect(grep('/nix/store', place)).toBe('')
})

test('it does what it did', () => {
  expect(run(program, [], { env })).toMatchObject({ code: 0, stdout: SAYS, stderr: '' })
})

test('valgrind finds nothing wrong, in a child neither', () => {
  const options = ['--error-exitcode=99', '--leak-check=full', '--trace-children=yes']
  const result = run('valgrind', [...options, program, 'fork'], { env })
  expect(result).toMatchObject({ code: 0, stdout: `${says("library's constructor")}${CALLS}end\n${CALLS}end\n` })
  expect(result.stderr.match(/ERROR SUMMARY: 0 errors from 0 contexts/g)).toHaveLength(2)
})

test('LD_PRELOAD: a function of its own in the place of open sees where the bundle lies', () => {
  const source = join(directory, 'preload.c')
  const library = join(directory, 'preload.so')
  writeFileSync(
    source,
    `#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
int open(const char *path, int flags, ...)
{
	fprintf(stderr, "open %s\\n", path);
	return ((int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open"))(path, flags);
}`,
  )
  expect(run('gcc', ['-shared', '-fPIC', '-o', library, source], { env })).toMatchObject({ code: 0, stderr: '' })
  const result = run(program, [], { env: { ...env, LD_PRELOAD: library } })
  expect(result).toMatchObject({ code: 0, stdout: SAYS })
  const lines = result.stderr.trim().split('\n')
  expect(lines).toHaveLength(5)
  for (const line of lines) expect(line).toMatch(new RegExp(`^open ${place}/+p/0-nginx-1.22.1/html/index\\.html$`))
})

test('strace -f: the file is opened where it is, in the child too, and nothing else is asked for', () => {
  const log = join(directory, 'trace')
  expect(run('strace', ['-f', '-o', log, '-e', 'trace=file', program, 'fork'], { env }).code).toBe(0)
  const text = readFileSync(log, 'latin1')
  expect(text.match(/open(?:at)?\(.*index\.html", O_RDONLY\) = \d/g)).toHaveLength(9)
  expect(text).not.toMatch(/\/nix\/|\/var\/empty\/e{32}/)
})

describe('gdb', () => {
  const gdb = (...commands: string[]) => ['-nx', '-batch', ...commands.flatMap(command => ['-ex', command])]
  const libraries = ['pkg/app/lib/libapp.so', 'lib/libc.so.6', 'lib/ld-linux-x86-64.so.2', 'pkg/app/lib/libplugin.so']
  /** Of `info sharedlibrary`, as far as there are symbols. */
  const listed = (text: string): string[] =>
    [...text.matchAll(/^0x\S+ +0x\S+ +Yes +(\/.*)$/gm)].map(([, path]) =>
      run('realpath', ['--relative-to', place, path!]).stdout.trim(),
    )

  test('attaches, names main and the libraries, shows a string, detaches, and the program goes on', async () => {
    const child = spawn(program, ['wait'], { env, stdio: ['pipe', 'pipe', 'inherit'] })
    try {
      let stdout = ''
      const waiting = new Promise<void>(ready =>
        child.stdout.on('data', text => {
          stdout += text
          if (stdout.includes('waiting\n')) ready()
        }),
      )
      await waiting
      const commands = ['bt', 'info sharedlibrary', 'print (const char *) path', 'detach']
      const said = run('gdb', ['-p', `${child.pid}`, ...gdb(...commands)], { env })
      expect(said.stdout).toMatch(/^#\d+ .* in main \(argc=.*relocation-tools\.c:\d+$/m)
      expect(said.stdout).toMatch(/^#\d+ .*\blibrary_wait \(\) at .*relocation-tools\.c:\d+$/m)
      expect(new Set(listed(said.stdout))).toEqual(new Set(libraries))
      expect(said.stdout).toMatch(/^\$1 = .*p\/0-nginx-1\.22\.1\/html\/index\.html"$/m)
      const closed = new Promise(done => child.once('close', done))
      child.stdin.end('\n')
      expect(await closed).toBe(0)
      expect(stdout).toBe(SAYS.replace(/end\n$/, 'waiting\nend\n'))
    } finally {
      child.kill('SIGKILL')
    }
  })

  test('from the start, with a breakpoint in a plugin; the same in a core file', () => {
    // As docs/references.md says: gdb finds the loader when it is told to look again.
    const commands = ['set breakpoint pending on', 'break plugin_call', 'start', 'set solib-search-path', 'continue']
    const core = join(directory, 'core')
    const more = ['bt', 'info sharedlibrary', `gcore ${core}`, 'continue']
    const said = run('gdb', [...gdb(...commands, ...more), program], { env })
    expect(said.stdout).toMatch(/^Breakpoint 1, plugin_call \(\) at .*relocation-tools\.c:\d+$/m)
    for (const line of SAYS.split('\n')) expect(said.stdout).toContain(line)
    expect(said.stdout).toContain('exited normally')
    for (const { stdout } of [said, run('gdb', [...gdb('bt', 'info sharedlibrary'), program, core], { env })]) {
      expect(stdout).toMatch(/^#0 +plugin_call \(\).*\n#1 .* in main \(/m)
      expect(new Set(listed(stdout))).toEqual(new Set(libraries))
    }
  })
})

test('perf: the time is in the function of the plugin that takes it', () => {
  const data = join(directory, 'perf.data')
  const recorded = run('perf', ['record', '-q', '-F', '999', '-o', data, program, 'work'], { env })
  expect(recorded, recorded.stderr).toMatchObject({ code: 0, stdout: SAYS })
  const report = run('perf', ['report', '-i', data, '--stdio', '--sort', 'dso,sym'], { env })
  const share = /^ *([\d.]+)% +libplugin\.so +\[\.\] plugin_work/m.exec(report.stdout)?.[1]
  expect(Number(share), report.stdout + report.stderr).toBeGreaterThan(50)
})
