/** What is written is text: no colours, and nothing is written over on a dumb terminal. */
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { bundle, command, run } from '../support/bundle.ts'

const directory = mkdtempSync(join(tmpdir(), 'storefree-terminal-'))
afterAll(() => rmSync(directory, { recursive: true }))

test('nothing is coloured, asked for or not', () => {
  const env = { ...process.env, NO_COLOR: undefined, FORCE_COLOR: undefined, CLICOLOR_FORCE: '1' }
  for (const args of [['--help'], ['verify', '/no-such'], ['verify', '--strit']]) {
    const { stdout, stderr } = bundle(args, { env })
    expect(stdout + stderr).not.toContain('\x1b')
  }
})

test('progress is written over on a terminal, not on a dumb one', () => {
  const large = join(directory, 'large')
  // Long enough that there is progress to tell of.
  for (let i = 0; i < 20; i++) {
    writeFileSync(`${large}${i}`, '')
    truncateSync(`${large}${i}`, 1 << 25)
  }
  const on = (TERM: string): string =>
    run('script', ['-qec', `'${process.execPath}' '${command}' verify '${directory}'`, '/dev/null'], {
      env: { ...process.env, TERM, CI: '' },
    }).stdout
  expect(on('xterm')).toContain('\x1b[2K')
  const dumb = on('dumb')
  expect(dumb).not.toContain('\x1b')
  expect(dumb).toContain('clean')
})
