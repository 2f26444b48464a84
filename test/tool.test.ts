import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { buildSync } from 'esbuild'
import { afterAll, expect, test } from 'vitest'
import { runAttached, runTool } from '../src/io/tool.ts'

const directory = mkdtempSync(join(tmpdir(), 'storefree-tool-'))
afterAll(() => rmSync(directory, { recursive: true }))

const shell = (script: string, options = {}) => runTool('sh', ['-c', script], options)

test('a tool is waited for to the end of what it prints, whose last line end is left out', async () => {
  const { code, stdout, stderr } = await shell('echo one; echo; (sleep 0.1; echo late) & echo two >&2; exit 3')
  expect({ code, stdout, stderr }).toEqual({ code: 3, stdout: 'one\n\nlate', stderr: 'two' })
})

test('characters that come in two pieces are put together', async () => {
  expect((await shell("printf 'a\\303'; sleep 0.05; printf '\\244'")).stdout).toBe('aä')
})

test('input is given to a tool, and a tool need not read it', async () => {
  expect((await runTool('cat', [], { input: 'to a tool' })).stdout).toBe('to a tool')
  expect((await runTool('true', [], { input: 'x'.repeat(1 << 20) })).code).toBe(0)
  expect((await shell('cat')).stdout).toBe('')
})

test('a tool that is not there is missing, with what to do about it; one that may not be run too', async () => {
  await expect(runTool('storefree-no-such-tool', [], { hint: 'install it' })).rejects.toMatchObject({
    code: 'tool-missing',
    message: 'storefree-no-such-tool: not found on PATH',
    hint: 'install it',
  })
  const file = join(directory, 'not-executable')
  writeFileSync(file, 'x', { mode: 0o644 })
  await expect(runTool(file, [])).rejects.toMatchObject({ code: 'tool-missing' })
})

test('a tool that is killed has failed; one that ran in our place says how it ended', async () => {
  await expect(shell('kill -KILL $$')).rejects.toMatchObject({
    code: 'tool-failed',
    message: 'sh: ended by SIGKILL',
  })
  expect(await runAttached('sh', ['-c', 'kill -KILL $$'], { PATH: process.env.PATH })).toBe(137)
  expect(await runAttached('sh', ['-c', `exit $(env | grep -c '^HOME=')`], { PATH: process.env.PATH })).toBe(0)
})

test('arguments that no program can be given are an error, not a crash', async () => {
  await expect(runTool('true', ['a\0b'])).rejects.toMatchObject({ code: 'tool-failed' })
  await expect(runTool('true', ['x'.repeat(1 << 20)])).rejects.toMatchObject({ code: 'tool-failed' })
})

test('a tool does not outlive the process, whether that ends by itself or is interrupted', async () => {
  for (const [name, end] of [
    ['exit', 'process.exit()'],
    ['cleanup', 'cleanUp(); process.exit()'],
  ] as const) {
    const pid = join(directory, name)
    const source = `
      import { cleanUp } from './src/io/cleanup.ts'
      import { runTool } from './src/io/tool.ts'
      import { existsSync } from 'node:fs'
      void cleanUp
      runTool('sh', ['-c', 'echo $$ > ${pid}.new; mv ${pid}.new ${pid}; exec sleep 60'])
      setInterval(() => { if (existsSync('${pid}')) { ${end} } }, 10)`
    const built = buildSync({
      stdin: { contents: source, resolveDir: process.cwd(), loader: 'ts' },
      ...{ bundle: true, platform: 'node', write: false },
    }).outputFiles[0]!.text
    execFileSync(process.execPath, ['-'], { input: built })
    const of = Number(readFileSync(pid, 'utf8'))
    const runs = (): boolean => {
      try {
        return process.kill(of, 0) && !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${of}/stat`, 'utf8'))
      } catch {
        return false
      }
    }
    for (let i = 0; i < 200 && runs(); i++) await sleep(10)
    expect(runs(), name).toBe(false)
  }
})
